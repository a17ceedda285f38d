"""`/v1/documents`: what is on the shelf, adding to it, taking off it, and the images of its pages."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParam
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel

from api.auth import HTTP, Caller
from api.errors import BadRequest, NotFound, Problem
from api.house import House
from api.schemas import (
    DocumentPagesOut,
    DocumentsOut,
    OutcomeOut,
    OutcomesOut,
    PageOut,
    PageTextOut,
    RemovedOut,
    document_out,
    outcome_out,
)
from api.settings import NAME, ApiSettings
from api.upload import receive
from ingest.records import Box, Document, Framing, PictureFormat, PictureSize, Scope

router = APIRouter(tags=["documents"])

#: Most regions drawn on one page image.
MAX_BOXES = 64
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

PageNo = Annotated[int, PathParam(ge=1, le=1_000_000)]


class PageQuery(BaseModel):
    """How a page image is asked for."""

    boxes: str = ""
    size: PictureSize = "large"
    #: Only the region around `boxes`, with a margin.
    crop: bool = False


@router.post("/v1/documents")
async def add(request: Request, caller: Caller) -> Response:
    """Shelve the files of a multipart form; a problem where none of them was taken."""
    house: House = request.app.state.house
    settings: ApiSettings = request.app.state.settings
    with tempfile.TemporaryDirectory(dir=_inbox(settings)) as folder:
        inbox = await receive(request, Path(folder), max_bytes=settings.max_upload_bytes)
        collection = inbox.fields.get("collection") or settings.collection
        if not re.fullmatch(NAME, collection):
            raise BadRequest(f"A collection's name fits {NAME}.", param="collection")
        if not inbox.uploads:
            raise BadRequest("No file came: send each in a field named 'file', with a file name.")
        groups = tuple(filter(None, (name.strip() for name in inbox.fields.get("groups", "").split(","))))
        outcomes = [
            outcome_out(
                await house.shelf.add(
                    upload.path,
                    name=upload.name,
                    tenant=caller.tenant,
                    collection=collection,
                    groups=groups,
                )
            )
            for upload in inbox.uploads
        ]
    return _told(outcomes, request.state.request_id)


@router.get("/v1/documents")
async def listing(request: Request, caller: Caller) -> DocumentsOut:
    """List the documents that the caller may see."""
    house: House = request.app.state.house
    return DocumentsOut(documents=[document_out(d) for d in await house.shelf.documents(scope=caller)])


@router.get("/v1/documents/{document_id}")
async def one(document_id: str, request: Request, caller: Caller) -> DocumentPagesOut:
    """Return a document with the addresses of its page images."""
    document = await _found(request, document_id, scope=caller)
    house: House = request.app.state.house
    numbers = await house.shelf.page_images(document.id, scope=caller)
    scenes = await house.shelf.scenes(document.id, scope=caller)
    images = [_page_out(document.id, no, scenes.get(no, (None, None))) for no in numbers]
    film = f"/v1/documents/{document.id}/film" if scenes else None
    return DocumentPagesOut(**document_out(document).model_dump(), page_images=images, film=film)


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


@router.get("/v1/documents/{document_id}/pages/{page_no}")
async def page(
    document_id: str,
    page_no: PageNo,
    request: Request,
    caller: Caller,
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
    tag = f'"{hashlib.sha256(image).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache", "vary": "accept"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(image, media_type=f"image/{form}", headers=headers)


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


@router.get("/v1/documents/{document_id}/film", response_class=FileResponse)
async def film(document_id: str, request: Request, caller: Caller) -> FileResponse:
    """Return a film, whole or the bytes that `Range` asks for.

    A film of which a rail stops or masks any passage is not played: its pages are shown all the same.
    """
    house: House = request.app.state.house
    found = None
    if _ID.fullmatch(document_id):
        found = await house.agent.film(document_id, scope=caller, channel=HTTP)
    if found is None:
        raise _absent()
    headers = {"cache-control": "private, no-cache", "content-disposition": "inline"}
    return FileResponse(found.path, media_type=found.media_type, headers=headers)


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
