"""`/v1/threads`: the conversations that are kept, as the caller may read them now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath

from api.auth import Caller
from api.errors import NotFound
from api.paging import MaybePaging, page_of, tagged
from api.schemas import RemovedOut, ThreadOut, ThreadsOut, thread_out

if TYPE_CHECKING:
    from agent.run import Agent

router = APIRouter(tags=["threads"])

Name = Annotated[str, InPath(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_NONE = "There is no such conversation here."


@router.get("/v1/threads", response_model=ThreadsOut)
async def threads(request: Request, caller: Caller, wanted: Annotated[MaybePaging, Query()]) -> Response:
    """List the caller's conversations: all, or page by page with `limit` and `after`."""
    agent: Agent = request.app.state.house.agent
    page = page_of(sorted(await agent.threads(scope=caller)), wanted, key=lambda name: (name,))
    told = ThreadsOut(threads=page.rows, has_more=page.next is not None, next=page.next)
    return tagged(request, told, brief=True)


@router.get("/v1/threads/{name}")
async def thread(name: Name, request: Request, caller: Caller) -> ThreadOut:
    """Show a conversation; a sentence whose evidence can no longer be read is withdrawn."""
    agent: Agent = request.app.state.house.agent
    turns = await agent.thread(name, scope=caller)
    if not turns:
        raise NotFound(_NONE)
    return thread_out(name, turns)


@router.delete("/v1/threads/{name}")
async def forget(name: Name, request: Request, caller: Caller) -> RemovedOut:
    """Delete a conversation."""
    agent: Agent = request.app.state.house.agent
    if not await agent.forget(name, scope=caller):
        raise NotFound(_NONE)
    return RemovedOut(removed=[name])
