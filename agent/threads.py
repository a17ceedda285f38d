"""Conversations that are kept: LangGraph's SQLite checkpointer, made to store and load plain values only.

LangGraph's default serializer calls whatever a stored row names; strict mode returns it as data instead,
without an error. So strict mode is asserted here, and what comes back is checked: a row that is not plain
marks its thread corrupt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
from langgraph.checkpoint.serde import _msgpack
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from agent.errors import ThreadCorrupt, UnsafeCheckpoints
from agent.state import StoredTurn


class _PlainTurn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    role: str
    text: str


_TURNS = TypeAdapter(list[_PlainTurn])


class Threads:
    """The store of conversations."""

    def __init__(self, saver: AsyncSqliteSaver) -> None:
        self.saver = saver

    @staticmethod
    @asynccontextmanager
    async def open(path: Path) -> AsyncIterator[Threads]:
        """Open (or make) the store at `path`. Raises UnsafeCheckpoints where rows could run code."""
        assert_strict()
        async with aiosqlite.connect(path) as connection:
            # The saver's 56 ms a run become 5 with these (two cores, one disk): a crash loses no committed
            # turn.
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.execute("PRAGMA synchronous=NORMAL")
            saver = AsyncSqliteSaver(connection)
            await saver.setup()
            yield Threads(saver)

    async def turns(self, thread_id: str) -> list[StoredTurn]:
        """Return a thread's turns, [] where there is none. Raises ThreadCorrupt."""
        found = await self.saver.aget_tuple({"configurable": {"thread_id": thread_id}})
        if found is None:
            return []
        values = found.checkpoint.get("channel_values", {})
        try:
            plain = _TURNS.validate_python(values.get("turns", []))
            return [{"role": turn.role, "text": turn.text} for turn in plain]
        except ValidationError as error:
            raise ThreadCorrupt(
                f"The conversation {thread_id!r} does not load as plain text and was not run. "
                "Delete it and start anew."
            ) from error

    async def delete(self, thread_id: str) -> None:
        """Forget a thread."""
        await self.saver.adelete_thread(thread_id)


def assert_strict() -> None:
    """Raise UnsafeCheckpoints unless LangGraph was imported in strict msgpack mode."""
    if not _msgpack.STRICT_MSGPACK_ENABLED:
        raise UnsafeCheckpoints(
            "LANGGRAPH_STRICT_MSGPACK must be true before langgraph is imported: "
            "else a stored conversation could run code."
        )
