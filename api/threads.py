"""`/v1/threads`: the conversations that are kept, as the caller may read them now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request
from fastapi import Path as InPath

from api.auth import Caller
from api.errors import NotFound
from api.schemas import RemovedOut, ThreadOut, ThreadsOut, thread_out

if TYPE_CHECKING:
    from agent.run import Agent

router = APIRouter(tags=["threads"])

Name = Annotated[str, InPath(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_NONE = "There is no such conversation here."


@router.get("/v1/threads")
async def threads(request: Request, caller: Caller) -> ThreadsOut:
    """List the conversations of the caller's tenant."""
    agent: Agent = request.app.state.house.agent
    return ThreadsOut(threads=await agent.threads(scope=caller))


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
