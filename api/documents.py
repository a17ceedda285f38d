"""`/v1/documents`: what is on the shelf, adding to it, taking off it, and the images of its pages."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as PathParam
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field

from api.auth import HTTP, Caller, Doorkeeper, Identity, Who, authorize, digest
from api.errors import BadRequest, NotFound, Problem
from api.house import House, Incoming
from api.limits import Limits
from api.paging import MaybePaging, held, page_of, tagged
from api.passes import FIELD, admit
from api.repeats import once
from api.schemas import (
    DocumentPagesOut,
    DocumentsOut,
    JobsOut,
    OutcomeOut,
    OutcomesOut,
    PageOut,
    PageTextOut,
    RemovedOut,
    document_out,
    job_out,
    outcome_out,
)
from api.settings import NAME, ApiSettings
from api.shelving import outcome_of
from api.upload import Inbox, receive
from ingest.jobs import Job
from ingest.records import Box, Document, Framing, PictureFormat, PictureSize, Scope

router = APIRouter(tags=["documents"])

#: Most regions drawn on one page image.
MAX_BOXES = 64
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Wait = Annotated[float | None, Query(ge=0, le=3600)]
PageNo = Annotated[int, PathParam(ge=1, le=1_000_000)]


class PageQuery(BaseModel):
    """How a page image is asked for."""

    boxes: str = ""
    size: PictureSize = "large"
    #: Only the region around `boxes`, with a margin.
    crop: bool = False
    #: A pass from the link of a citation, in the place of a key.
    given: Annotated[str | None, Field(alias="pass")] = None


@router.post("/v1/documents")
async def add(request: Request, who: Who, wait: Wait = None) -> Response:
    """Shelve the files of a multipart form; a problem where none of them was taken.

    The field `collection` says where; `groups`, separated by commas, who alone may read them. Who does not
    want to wait (`?wait=0`, `Prefer: respond-async`) gets the jobs with a 202, and so does who waited long.
    """
    house: House = request.app.state.house
    settings: ApiSettings = request.app.state.settings
    with tempfile.TemporaryDirectory(dir=_inbox(settings)) as folder:
        inbox = await receive(request, Path(folder), max_bytes=settings.max_upload_bytes)
        collection, groups = place_of(inbox.fields, who, settings)
        if not inbox.uploads:
            raise BadRequest("No file came: send each in a field named 'file', with a file name.")
        limits: Limits = request.app.state.limits

        async def work() -> Response:
            await limits.adding(who, size=sum(upload.path.stat().st_size for upload in inbox.uploads))
            files = [
                Incoming(
                    path=upload.path,
                    name=upload.name,
                    tenant=who.scope.tenant,
                    collection=collection,
                    groups=tuple(groups),
                    ours=True,
                )
                for upload in inbox.uploads
            ]
            jobs = await house.intake.enqueue(files)
            jobs = await house.intake.settled(jobs, within_s=_wait_s(request, wait, settings))
            if not all(job.is_settled for job in jobs):
                # How many pages they have is not known yet: each counts as one.
                await limits.added(who, pages=len(jobs))
                return _told_later(jobs)
            outcomes = [outcome_out(outcome_of(job)) for job in jobs]
            fresh = sum(o.pages for o in outcomes if o.outcome in ("added", "updated"))
            await limits.added(who, pages=fresh)
            return _told(outcomes, request.state.request_id)

        # Only what comes with a key is ever compared.
        keyed = "idempotency-key" in request.headers
        sent = await anyio.to_thread.run_sync(_sent, inbox) if keyed else []
        return await once(request, who, digest(collection, *groups, *sent), work)


def _told_later(jobs: Sequence[Job]) -> Response:
    """Tell of jobs that are not settled yet."""
    told = JobsOut(jobs=[job_out(job) for job in jobs], counts=dict(Counter(job.state for job in jobs)))
    location = f"/v1/jobs/{jobs[0].id}" if len(jobs) == 1 else "/v1/jobs"
    return JSONResponse(told.model_dump(mode="json"), status_code=202, headers={"location": location})


def _sent(inbox: Inbox) -> list[str]:
    """Name what came: each file's label and the hash of its content."""
    found = []
    for upload in inbox.uploads:
        with upload.path.open("rb") as file:
            found += [upload.name, hashlib.file_digest(file, "sha256").hexdigest()]
    return found


@router.get("/v1/documents", response_model=DocumentsOut)
async def listing(request: Request, caller: Caller, wanted: Annotated[MaybePaging, Query()]) -> Response:
    """List the documents that the caller may see: all, or page by page with `limit` and `after`."""
    house: House = request.app.state.house
    held = sorted(await house.shelf.documents(scope=caller), key=lambda d: (d.name, d.id))
    page = page_of(held, wanted, key=lambda d: (d.name, d.id))
    told = DocumentsOut(
        documents=[document_out(d) for d in page.rows], has_more=page.next is not None, next=page.next
    )
    return tagged(request, told, brief=True)


@router.get("/v1/documents/{document_id}", response_model=DocumentPagesOut)
async def one(document_id: str, request: Request, caller: Caller) -> Response:
    """Return a document with the addresses of its page images."""
    document = await _found(request, document_id, scope=caller)
    house: House = request.app.state.house
    numbers = await house.shelf.page_images(document.id, scope=caller)
    scenes = await house.shelf.scenes(document.id, scope=caller)
    images = [_page_out(document.id, no, scenes.get(no, (None, None))) for no in numbers]
    video = f"/v1/documents/{document.id}/video" if scenes else None
    told = DocumentPagesOut(**document_out(document).model_dump(), page_images=images, video=video)
    return tagged(request, told)


def _page_out(document_id: str, no: int, seconds: tuple[float | None, float | None]) -> PageOut:
    url = f"/v1/documents/{document_id}/pages/{no}"
    return PageOut(no=no, url=url, start_s=seconds[0], end_s=seconds[1])


@router.delete("/v1/documents/{document_id}")
async def remove(document_id: str, request: Request, caller: Caller) -> RemovedOut:
    """Take a document off the shelf; its pages and quotes are gone from old answers too."""
    house: House = request.app.state.house
    if not _ID.fullmatch(document_id) or not await house.shelf.remove(document_id, scope=caller):
        raise _absent()
    return RemovedOut(removed=[document_id])


async def _looker(document_id: str, page_no: PageNo, request: Request) -> Scope:
    """Return the scope of a caller, or of whoever a pass was made for."""
    given = request.query_params.get(FIELD)
    if given is None:
        return (await authorize(request)).scope
    door: Doorkeeper = request.app.state.doorkeeper
    return (await admit(door, given, document_id=document_id, page_no=page_no)).scope


@router.get("/v1/documents/{document_id}/pages/{page_no}")
async def page(
    document_id: str,
    page_no: PageNo,
    request: Request,
    caller: Annotated[Scope, Depends(_looker)],
    wanted: Annotated[PageQuery, Query()],
) -> Response:
    """Return a page's image, with the regions of `boxes` (`x0,y0,x1,y1;…`) drawn on it.

    WebP where the caller accepts it by name, else PNG; a page without an image is 404 `no_page_image`.
    """
    house: House = request.app.state.house
    marks = parse_boxes(wanted.boxes)
    form: PictureFormat = "webp" if _takes_webp(request.headers.get("accept", "")) else "png"
    framing = Framing(size=wanted.size, form=form, cut="marks" if wanted.crop else "page")
    image = None
    if _ID.fullmatch(document_id):
        image = await house.agent.page(
            document_id, page_no, scope=caller, marks=marks, framing=framing, channel=HTTP
        )
    if image is None:
        raise _absent()
    return held(request, image, f"image/{form}", vary="accept")


@router.get("/v1/documents/{document_id}/pages/{page_no}/text")
async def page_text(document_id: str, page_no: PageNo, request: Request, caller: Caller) -> PageTextOut:
    """Return a page as text: what formats without page images are shown by."""
    house: House = request.app.state.house
    passages = None
    if _ID.fullmatch(document_id):
        passages = await house.agent.passages(document_id, page_no, scope=caller, channel=HTTP)
    if passages is None:
        raise _absent()
    return PageTextOut(no=page_no, passages=list(passages))


@router.get("/v1/documents/{document_id}/video", response_class=FileResponse)
async def video(document_id: str, request: Request, caller: Caller) -> FileResponse:
    """Return a video, whole or the bytes that `Range` asks for.

    A video of which a rail stops or masks any passage is not played: its pages are shown all the same.
    """
    house: House = request.app.state.house
    found = None
    if _ID.fullmatch(document_id):
        found = await house.agent.film(document_id, scope=caller, channel=HTTP)
    if found is None:
        raise _absent()
    headers = {"cache-control": "private, no-cache", "content-disposition": "inline"}
    return FileResponse(found.path, media_type=found.media_type, headers=headers)


def place_of(fields: Mapping[str, str], who: Identity, settings: ApiSettings) -> tuple[str, tuple[str, ...]]:
    """Read where files go and who alone may read them. Raises BadRequest, NotFound.

    A caller shares with groups of its own: else it could not see, replace or remove what it added.
    """
    collection = fields.get("collection") or settings.collection
    if not re.fullmatch(NAME, collection):
        raise BadRequest(f"A collection's name fits {NAME}.", param="collection")
    if not who.anywhere and collection not in who.scope.collections:
        raise NotFound("There is no such collection here.", param="collection")
    named = (name.strip() for name in fields.get("groups", "").split(","))
    groups = tuple(sorted({name for name in named if name}))
    if not set(groups) <= set(who.scope.groups):
        raise BadRequest("Documents are shared with groups that you are in yourself.", param="groups")
    return collection, groups


def _takes_webp(accept: str) -> bool:
    """Say whether an Accept header names WebP; `*/*` does not: plain clients get what all can show."""
    named = re.search(r"image/webp\s*(?:;\s*q=([\d.]+))?", accept.lower())
    return named is not None and named[1] not in ("0", "0.0", "0.00", "0.000")


def parse_boxes(text: str) -> list[Box]:
    """Read `x0,y0,x1,y1;…`, shares of the page. Raises BadRequest."""
    if not text:
        return []
    rows = text.split(";", MAX_BOXES)
    if len(rows) > MAX_BOXES:
        raise BadRequest(f"At most {MAX_BOXES} boxes are drawn.", param="boxes")
    return [_box(row) for row in rows]


def _box(row: str) -> Box:
    try:
        x0, y0, x1, y1 = (float(side) for side in row[:100].split(","))
    except ValueError as error:
        raise BadRequest("Boxes are written x0,y0,x1,y1;… in shares of the page.", param="boxes") from error
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise BadRequest("A box lies within [0, 1] with x0 < x1 and y0 < y1.", param="boxes")
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)


async def _found(request: Request, document_id: str, *, scope: Scope) -> Document:
    house: House = request.app.state.house
    document = None
    if _ID.fullmatch(document_id):
        document = await house.shelf.document(document_id, scope=scope)
    if document is None:
        raise _absent()
    return document


def _wait_s(request: Request, wait: float | None, settings: ApiSettings) -> float:
    """Return how long to wait for the documents: never longer than the settings say."""
    if wait is not None:
        return min(wait, settings.upload_wait_s)
    asked = request.headers.get("prefer", "").lower()
    return 0.0 if "respond-async" in asked else settings.upload_wait_s


def _absent() -> NotFound:
    return NotFound("There is no such document or page here.")


def _inbox(settings: ApiSettings) -> Path:
    folder = settings.home / "inbox"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _told(outcomes: list[OutcomeOut], request_id: str) -> Response:
    told = OutcomesOut(documents=outcomes).model_dump(mode="json")
    if any(o.outcome not in ("failed", "quarantined") for o in outcomes):
        return JSONResponse(told)
    first = outcomes[0]
    code = "quarantined" if first.outcome == "quarantined" else first.reason or "bad_input"
    problem = Problem(code=code, detail=first.detail or f"{first.name} was not taken.", request_id=request_id)
    return JSONResponse(
        problem.as_problem() | told,
        status_code=problem.kind.status,
        media_type="application/problem+json",
    )
