"""`POST /v1/search`: the first half of the agent's graph, passages without an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from api.asking import links_of
from api.auth import HTTP, Who
from api.limits import Limits, tokens_of
from api.schemas import HitsOut, hits_out

if TYPE_CHECKING:
    from agent.run import Agent

router = APIRouter(tags=["search"])


class SearchRequest(BaseModel):
    """What is looked for, and where."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    limit: Annotated[int, Field(ge=1, le=50)] = 8
    documents: Annotated[list[Annotated[str, Field(max_length=64)]] | None, Field(max_length=1000)] = None


@router.post("/v1/search")
async def search(asked: SearchRequest, request: Request, who: Who) -> HitsOut:
    """Find passages; a rail that says no leaves its code in `reason`."""
    agent: Agent = request.app.state.house.agent
    scope = replace(who.scope, documents=None if asked.documents is None else tuple(asked.documents))
    limits: Limits = request.app.state.limits
    slot = await limits.question(who)
    try:
        hits = await agent.search(asked.query, scope=scope, limit=asked.limit, channel=HTTP)
    finally:
        slot.release()
    found = hits_out(hits, link=(await links_of(request, who)).page)
    texts = (hit.text for hit in found.hits)
    await limits.answered(who, prompt_tokens=tokens_of(asked.query), completion_tokens=tokens_of(*texts))
    return found
