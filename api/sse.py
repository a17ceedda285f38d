"""Server-sent events that stop when the caller does.

Starlette iterates a body and is cancelled between two pieces, which leaves the generator, and the model
behind it, running until it is collected. Here one task owns the generator, and hanging up cancels it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TypeVar

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")


class EventStream(Response):
    """Sends what `events` yields as `data:` lines, then `[DONE]`; a comment line in a long silence."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[Mapping[str, object], None], *, heartbeat_s: float) -> None:
        super().__init__(headers={"x-accel-buffering": "no", "cache-control": "no-store"})
        del self.headers["content-length"]
        self._events = events
        self._heartbeat_s = heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the events end or the caller is gone."""
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
            async with aclosing(self._events) as events:
                async for event in events:
                    await line(f"data: {json.dumps(event, ensure_ascii=False)}\n\n")
            await line("data: [DONE]\n\n", more=False)
            group.cancel_scope.cancel()


async def unless_gone(receive: Receive, work: Callable[[], Awaitable[T]]) -> T | None:
    """Run `work`, cancelled when the caller hangs up; None then."""
    result: T | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_hang_up, receive, group.cancel_scope)
        result = await work()
        group.cancel_scope.cancel()
    return result


async def _hang_up(receive: Receive, cancel: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    cancel.cancel()
