"""Lists in pages: an opaque cursor names the last row seen; and answers that a client may already hold."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.errors import BadRequest

T = TypeVar("T")

#: Rows of a page, where the caller names no number.
USUAL = 50
Limit = Annotated[int, Field(ge=1, le=200)]


class Paging(BaseModel):
    """Which rows of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit = USUAL
    #: `next` of the page before.
    after: Annotated[str | None, Field(max_length=1000)] = None


class MaybePaging(BaseModel):
    """The same for lists that are told whole unless a page is asked for."""

    model_config = ConfigDict(extra="forbid")

    limit: Limit | None = None
    after: Annotated[str | None, Field(max_length=1000)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows(Generic[T]):
    """One page."""

    rows: list[T]
    next: str | None = None


def cursor(*key: str) -> str:
    """Write the key of a row as a cursor."""
    return urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def seen(after: str | None, *, parts: int) -> tuple[str, ...] | None:
    """Read a cursor. Raises BadRequest for what is none of ours."""
    if after is None:
        return None
    try:
        key = json.loads(urlsafe_b64decode(after.encode("ascii") + b"=" * (-len(after) % 4)))
    except ValueError as error:
        raise _strange() from error
    if not isinstance(key, list) or len(key) != parts or not all(isinstance(part, str) for part in key):
        raise _strange()
    return tuple(key)


def _strange() -> BadRequest:
    return BadRequest("`after` is the `next` of an earlier page, as it came.", param="after")


def cut(rows: Sequence[T], *, limit: int, key: Callable[[T], tuple[str, ...]]) -> Rows[T]:
    """Make a page of rows of which one more than `limit` was fetched."""
    page = list(rows[:limit])
    return Rows(rows=page, next=cursor(*key(page[-1])) if len(rows) > limit else None)


def page_of(rows: Sequence[T], wanted: MaybePaging, *, key: Callable[[T], tuple[str, ...]]) -> Rows[T]:
    """Cut a page out of all rows, which are in the order of `key`."""
    if wanted.limit is None and wanted.after is None:
        return Rows(rows=list(rows))
    last = seen(wanted.after, parts=len(key(rows[0])) if rows else 1) if rows else None
    left = [row for row in rows if last is None or key(row) > last]
    return cut(left, limit=wanted.limit or USUAL, key=key)


def tagged(request: Request, told: BaseModel, *, brief: bool = False) -> Response:
    """Return JSON with an ETag, or 304 where the caller holds it; `brief` leaves out what is as always."""
    return held(request, told.model_dump_json(exclude_defaults=brief).encode(), "application/json")


def held(request: Request, body: bytes, media_type: str, **more: str) -> Response:
    """Return a body with an ETag and the headers `more`, or 304 where the caller holds it."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "private, no-cache", **more}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
