"""One request for many: who asks what is already being asked waits for that answer.

The shared request lives as long as anybody waits for it, and is cancelled with the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Shared(Generic[T]):
    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiting = 0


class Sharing(Generic[T]):
    """Runs one task a key at a time."""

    def __init__(self) -> None:
        self._running: dict[str, _Shared[T]] = {}

    def running(self, key: str) -> bool:
        """Whether the key's task is under way."""
        return key in self._running

    async def get(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """Return what the key's task makes, starting it unless it runs; its error is everybody's."""
        shared = self._running.get(key)
        if shared is None:
            shared = self._running[key] = _Shared(asyncio.ensure_future(make()))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if shared.task.done() or not shared.waiting:
                if self._running.get(key) is shared:
                    del self._running[key]
                shared.task.cancel()  # nobody waits any more; a task that is done does not mind
