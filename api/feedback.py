"""`/v1/feedback`: what people think of answers, kept under the answer's trace id."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Who, digest
from api.ledger import Feedback, Ledger, Rating
from api.paging import Paging, cut, seen
from api.repeats import once
from api.schemas import FeedbackOut, FeedbacksOut

router = APIRouter(tags=["feedback"])


class FeedbackIn(BaseModel):
    """A thumb, and why."""

    model_config = ConfigDict(extra="forbid")

    #: `pagewarden.trace_id` of the answer.
    trace_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    rating: Rating
    reason: Annotated[str | None, Field(pattern=r"^[a-z0-9_]{1,64}$")] = None
    comment: Annotated[str | None, Field(min_length=1, max_length=4000)] = None


@router.post("/v1/feedback", status_code=201, response_model=FeedbackOut)
async def give(given: FeedbackIn, request: Request, who: Who) -> Response:
    """Say what an answer was worth."""
    ledger: Ledger = request.app.state.ledger

    async def work() -> Response:
        kept = await ledger.rate(
            who.scope.tenant,
            who.id,
            trace_id=given.trace_id,
            rating=given.rating,
            reason=given.reason,
            comment=given.comment,
        )
        return Response(_out(kept).model_dump_json(), status_code=201, media_type="application/json")

    return await once(request, who, digest(given.model_dump_json()), work)


@router.get("/v1/feedback")
async def listing(request: Request, who: Who, wanted: Annotated[Paging, Query()]) -> FeedbacksOut:
    """List what the caller said, the newest first; for an admin, what everybody of the tenant said."""
    ledger: Ledger = request.app.state.ledger
    last = seen(wanted.after, parts=1)
    rows = await ledger.feedback(
        who.scope.tenant,
        who=None if who.at_least("admin") else who.id,
        after=None if last is None else last[0],
        limit=wanted.limit + 1,
    )
    page = cut(rows, limit=wanted.limit, key=lambda one: (one.id,))
    return FeedbacksOut(
        feedback=[_out(one) for one in page.rows], has_more=page.next is not None, next=page.next
    )


def _out(kept: Feedback) -> FeedbackOut:
    return FeedbackOut.model_validate(kept, from_attributes=True)
