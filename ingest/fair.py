"""Turns at what is scarce (reading children, the embedder), so that one tenant's long file starves nobody.

A plain semaphore serves in order of arrival: five thousand pages of one file stand before another's one page.
Here whoever was served least goes next, and who comes back after a pause starts level with the others.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterator

_owner: ContextVar[str] = ContextVar("owner", default="")


@contextmanager
def on_behalf_of(owner: str) -> Iterator[None]:
    """Take every turn inside this block (and in tasks started there) for `owner`."""
    before = _owner.set(owner)
    try:
        yield
    finally:
        _owner.reset(before)


class Turns:
    """So many at once, owners by turns."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._queues: dict[str, deque[anyio.Event]] = {}
        self._served: dict[str, int] = {}
        self._inside: dict[str, int] = {}

    async def __aenter__(self) -> None:
        """Wait for a turn, and hold it."""
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()

    async def acquire(self) -> None:
        """Wait for a turn of the present owner."""
        owner = _owner.get()
        if owner not in self._served:
            self._served[owner] = min(self._served.values(), default=0)
        if self._free and not any(self._queues.values()):
            self._take(owner)
            return
        mine = anyio.Event()
        self._queues.setdefault(owner, deque()).append(mine)
        try:
            await mine.wait()
        except BaseException:
            if mine.is_set():  # it was given to us while we were being cancelled
                self._put_back(owner)
            else:
                self._queues[owner].remove(mine)
                self._forget(owner)
            raise

    def release(self) -> None:
        """Give the turn back; it goes to whom was served least."""
        self._put_back(_owner.get())

    def _take(self, owner: str) -> None:
        self._free -= 1
        self._served[owner] += 1
        self._inside[owner] = self._inside.get(owner, 0) + 1

    def _put_back(self, owner: str) -> None:
        self._free += 1
        self._inside[owner] -= 1
        waiting = [name for name, queue in self._queues.items() if queue]
        if waiting:
            following = min(waiting, key=lambda name: self._served[name])
            self._take(following)
            self._queues[following].popleft().set()
        self._forget(owner)

    def _forget(self, owner: str) -> None:
        """Forget who neither waits nor is inside: coming back, it starts level with the others."""
        if not self._inside.get(owner) and not self._queues.get(owner):
            self._inside.pop(owner, None)
            self._queues.pop(owner, None)
            self._served.pop(owner, None)
