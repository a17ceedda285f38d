"""What callers may know of the house: collections, the policy in force, their use; the audit for admins."""

from __future__ import annotations

import json
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query, Request, Response
from pydantic import JsonValue

from api.auth import HTTP, Caller, Who
from api.errors import NotFound
from api.house import House
from api.ledger import Ledger
from api.paging import MaybePaging, Paging, cut, page_of, seen, tagged
from api.schemas import (
    CollectionOut,
    CollectionsOut,
    PolicyOut,
    UsageOut,
    UsedOut,
    VerdictsOut,
)

router = APIRouter(tags=["house"])

#: Most of the end of the audit that is read for one page, bytes.
_READ_BYTES = 8 * 1024 * 1024


@router.get("/v1/collections", response_model=CollectionsOut)
async def collections(request: Request, caller: Caller, wanted: Annotated[MaybePaging, Query()]) -> Response:
    """List the collections that the caller may read, and how much of each it may see."""
    house: House = request.app.state.house
    held = await house.shelf.documents(scope=caller)
    rows = [
        CollectionOut(
            name=name,
            model=f"pagewarden/{name}",
            documents=sum(d.collection == name for d in held),
            pages=sum(d.pages for d in held if d.collection == name),
            bytes=sum(d.bytes for d in held if d.collection == name),
        )
        for name in sorted(caller.collections)
    ]
    page = page_of(rows, wanted, key=lambda one: (one.name,))
    told = CollectionsOut(collections=page.rows, has_more=page.next is not None, next=page.next)
    return tagged(request, told)


@router.get("/v1/policies", response_model=PolicyOut)
async def policies(request: Request, caller: Caller) -> Response:
    """Show the policy that is in force for the caller's questions over HTTP."""
    house: House = request.app.state.house
    told = house.policy(caller, HTTP)
    if told is None:
        raise NotFound("This house tells no policy.")
    return tagged(request, told)


@router.get("/v1/usage")
async def usage(request: Request, who: Who, wanted: Annotated[Paging, Query()]) -> UsageOut:
    """List what the caller used by day, the newest first; for an admin, what everybody of the tenant used."""
    ledger: Ledger = request.app.state.ledger
    last = seen(wanted.after, parts=2)
    rows = await ledger.used(
        who.scope.tenant,
        who=None if who.at_least("admin") else who.id,
        after=None if last is None else "/".join(last),
        limit=wanted.limit + 1,
    )
    page = cut(rows, limit=wanted.limit, key=lambda one: (one.day, one.who))
    used = [UsedOut.model_validate(one, from_attributes=True) for one in page.rows]
    return UsageOut(usage=used, has_more=page.next is not None, next=page.next)


@router.get("/v1/audit")
async def audit(request: Request, who: Who, wanted: Annotated[Paging, Query()]) -> VerdictsOut:
    """List what the rails decided in the caller's tenant, the newest first: hashes of texts, no words."""
    house: House = request.app.state.house
    if house.audit is None:
        raise NotFound("No record is kept here: PAGEWARDEN_GUARDRAILS_AUDIT names its file.")
    last = seen(wanted.after, parts=1)
    end = int(last[0]) if last is not None and last[0].isdigit() and len(last[0]) < 19 else None
    path = house.audit
    lines = await anyio.to_thread.run_sync(_ending, path, end)
    own = [(at, told) for at, told in lines if str(told.get("who", "")).startswith(f"{who.scope.tenant}/")]
    page = cut(own, limit=wanted.limit, key=lambda one: (str(one[0]),))
    return VerdictsOut(
        verdicts=[told for _, told in page.rows], has_more=page.next is not None, next=page.next
    )


def _ending(path: str, end: int | None) -> list[tuple[int, dict[str, JsonValue]]]:
    """Read the last lines of the audit before the byte `end`, the newest first, with where each begins."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            stop = size if end is None else min(end, size)
            start = max(0, stop - _READ_BYTES)
            file.seek(start)
            raw = file.read(stop - start)
    except FileNotFoundError:
        return []
    found, at = [], start
    for number, line in enumerate(raw.splitlines(keepends=True)):
        # The first may be the end of a line that begins further up.
        if line.endswith(b"\n") and not (number == 0 and start > 0):
            found.append((at, json.loads(line)))
        at += len(line)
    return found[::-1]
