"""Waiting for a model server that is down, so that no page pays for it.

Who fails asks the server a question of one word. Does it answer, the failure was the page's; else everybody
waits, one asks, longer and longer apart, until it answers or the patience of the settings is at its end.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ingest.errors import ModelDown, ModelReply

T = TypeVar("T")

#: Failures of one page on a server that answers others, after which the page is at fault.
STRIKES = 3
_LONGEST_PAUSE_S = 30.0


class PageAtFault(ModelReply):
    """The server answers, but not about this page."""


class Outage:
    """The state of one model server, shared by all who ask it.

    `answers` asks something cheap and raises ModelDown where nobody is there; `wait_s` is the longest outage
    that is waited out, counted from its beginning whoever comes; `first_s` the first pause.
    """

    def __init__(
        self, answers: Callable[[], Awaitable[None]], *, wait_s: float, first_s: float = 1.0
    ) -> None:
        self._answers = answers
        self._wait_s = wait_s
        self._first_s = first_s
        self._turn = anyio.Lock()
        self._outages = 0
        self._since: float | None = None

    async def through(self, ask: Callable[[], Awaitable[T]], *, on_wait: Callable[[bool], None]) -> T:
        """Ask until there is an answer. Raises PageAtFault, or ModelDown after the longest wait.

        `on_wait` is told when waiting begins (True) and ends.
        """
        strikes = 0
        while True:
            await self._known_outage(on_wait)
            seen = self._outages
            try:
                return await ask()
            except ModelDown as down:
                on_wait(True)
                try:
                    if await self._was_down(seen):
                        continue
                finally:
                    on_wait(False)
                strikes += 1
                if strikes == STRIKES:
                    raise PageAtFault(
                        f"The model server answers, but failed {strikes} times on this page. {down.detail}"
                    ) from down
                await anyio.sleep(self._pause_s(strikes - 1))

    async def _known_outage(self, on_wait: Callable[[bool], None]) -> None:
        """Wait with the one who asks for all, where a server is known to be down already."""
        if self._since is None:
            return
        on_wait(True)
        try:
            async with self._turn:
                pass
        finally:
            on_wait(False)

    async def _was_down(self, seen: int) -> bool:
        """Say whether the server is (or was, since outage number `seen`) down; if it is, wait for it."""
        async with self._turn:
            if self._outages != seen:
                return True
            tried = 0
            while not await self._is_up():
                if not tried:
                    self._outages += 1
                if self._since is None:
                    self._since = time.monotonic()
                down_s = time.monotonic() - self._since
                if down_s >= self._wait_s:
                    raise ModelDown(
                        f"The model server has been down for {down_s:.0f} s; "
                        "add the document again once it is up."
                    )
                await anyio.sleep(min(self._pause_s(tried), self._wait_s - down_s))
                tried += 1
            self._since = None
            return tried > 0

    async def _is_up(self) -> bool:
        try:
            await self._answers()
        except ModelDown:
            return False
        except ModelReply:
            return True  # whatever it said, it is there
        return True

    def _pause_s(self, tried: int) -> float:
        """Return a pause that doubles, jittered so that many workers don't come back at once."""
        return min(_LONGEST_PAUSE_S, self._first_s * 2.0 ** min(tried, 10)) * random.uniform(0.5, 1.5)
