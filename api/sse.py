"""Server-sent events that stop when the caller does.

Starlette iterates a body and is cancelled between two pieces, which leaves the generator, and the model
behind it, running until it is collected. Here one task owns the generator, and hanging up cancels it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.errors import Unauthorized
from api.limits import Slot

logger = logging.getLogger(__name__)

T = TypeVar("T")


Line = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who listens, looked at again and again while a stream is open."""

    still: Callable[[], Awaitable[bool]]
    every_s: float


class EventStream(Response):
    """Sends what `events` yields as `data:` lines, then `[DONE]`; a comment line in a long silence.

    With `named` each carries its own `type` as the event's name, and there is no `[DONE]`. Once the watch
    says that the caller may not listen any more, Unauthorized is raised in the middle of it.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[Mapping[str, object], None],
        *,
        heartbeat_s: float,
        named: bool = False,
        watch: Watch | None = None,
        slot: Slot | None = None,
    ) -> None:
        super().__init__(headers={"x-accel-buffering": "no", "cache-control": "no-store"})
        del self.headers["content-length"]
        self._events = events
        self._heartbeat_s = heartbeat_s
        self._named, self._watch, self._slot = named, watch, slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the events end or the caller is gone; then give the slot back."""
        try:
            await self._tell(receive, send)
        finally:
            if self._slot is not None:
                self._slot.release()

    async def _pump(self, line: Line) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                name = f"event: {event['type']}\n" if self._named else ""
                await line(f"{name}data: {json.dumps(event, ensure_ascii=False)}\n\n")

    async def _tell(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        turn = anyio.Lock()

        async def line(text: str, *, more: bool = True) -> None:
            async with turn:
                await send({"type": "http.response.body", "body": text.encode(), "more_body": more})

        async def beat() -> None:
            while True:
                await anyio.sleep(self._heartbeat_s)
                await line(": keep-alive\n\n")

        async with anyio.create_task_group() as group:
            group.start_soon(_hang_up, receive, group.cancel_scope)
            group.start_soon(beat)
            if self._watch is not None:
                group.start_soon(_look_again, self._watch)
            await _cancelled_once(self._pump(line))
            await line("" if self._named else "data: [DONE]\n\n", more=False)
            group.cancel_scope.cancel()


async def _cancelled_once(work: Coroutine[None, None, T]) -> T:
    """Do `work` in a task of its own, which a cancellation reaches once and which then ends in peace.

    A cancelled scope of anyio cancels every further await too: the graph's own clean-up broke off, and the
    model went on writing for whoever had hung up.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    finally:
        if not task.done():
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                logger.warning("what was cancelled did not end cleanly", exc_info=error)


async def unless_gone(receive: Receive, work: Callable[[], Coroutine[None, None, T]]) -> T | None:
    """Run `work`, cancelled when the caller hangs up; None then."""
    result: T | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_hang_up, receive, group.cancel_scope)
        result = await _cancelled_once(work())
        group.cancel_scope.cancel()
    return result


async def _look_again(watch: Watch) -> None:
    # No event tells it: another process may have revoked the key.
    while await watch.still():  # noqa: ASYNC110
        await anyio.sleep(watch.every_s)
    raise Unauthorized("Your key opens nothing any more, so the answer ends here.")


async def _hang_up(receive: Receive, cancel: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    cancel.cancel()
