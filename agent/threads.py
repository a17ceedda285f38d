"""Conversations that are kept: LangGraph's SQLite checkpointer, made to store and load plain values only.

LangGraph's default serializer calls whatever a stored row names; strict mode returns it as data instead,
without an error. So strict mode is asserted here, and what comes back is checked: a row that is not plain
marks its thread corrupt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import aiosqlite
from langgraph.checkpoint.serde import _msgpack
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from agent.errors import ThreadCorrupt, UnsafeCheckpoints
from agent.state import StoredTurn
from ingest.library import Library
from ingest.records import Scope

#: Stands where a sentence stood whose evidence can no longer be read.
WITHDRAWN = "[A sentence was withdrawn: what it stood on can no longer be read.]"
#: What is shown of an answer that the rails do not let out to this reader.
WITHHELD = "[An answer is withheld: the policy does not let it out here.]"


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _PlainSentence(_Plain):
    text: str
    cited: list[str]


class _PlainKept(_Plain):
    chunk_id: str
    document_id: str
    name: str
    page_no: int
    kind: str
    score: float


class _PlainTurn(_Plain):
    role: str
    text: str
    standalone: str = ""
    sentences: list[_PlainSentence] = []
    evidence: list[_PlainKept] = []


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
            return [cast(StoredTurn, turn.model_dump(exclude_unset=True)) for turn in plain]
        except ValidationError as error:
            raise ThreadCorrupt(
                f"The conversation {thread_id!r} does not load as plain text and was not run. "
                "Delete it and start anew."
            ) from error

    async def names(self, *, tenant: str, owner: str = "") -> list[str]:
        """List the threads of one owner of a tenant, by name."""
        prefix = f"{tenant}/{owner}/" if owner else f"{tenant}/"
        rows = await self._rows("SELECT DISTINCT thread_id FROM checkpoints ORDER BY thread_id")
        owned = [row.removeprefix(prefix) for row in rows if row.startswith(prefix)]
        return [name for name in owned if "/" not in name]

    async def tidy(self, thread_id: str) -> None:
        """Keep the last checkpoint of a thread only: the earlier ones hold nothing that it lacks."""
        for table in ("writes", "checkpoints"):
            await self._rows(
                f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id <> "
                "(SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = ?)",
                thread_id,
                thread_id,
            )

    async def delete(self, thread_id: str) -> None:
        """Forget a thread."""
        await self.saver.adelete_thread(thread_id)

    async def _rows(self, query: str, *values: str) -> list[str]:
        async with self.saver.lock, self.saver.conn.execute(query, values) as cursor:
            rows = [row[0] async for row in cursor]
            await self.saver.conn.commit()
            return rows


async def readable(turns: Sequence[StoredTurn], *, library: Library, scope: Scope) -> list[StoredTurn]:
    """Return turns as they may be read now: a sentence whose evidence is gone is withdrawn."""
    cited = {one for turn in turns for sentence in turn.get("sentences", []) for one in sentence["cited"]}
    alive = {c.id for c in await library.chunks(sorted(cited), scope=scope)} if cited else set()
    shown: list[StoredTurn] = []
    for turn in turns:
        sentences = turn.get("sentences", [])
        fallen = [s for s in sentences if not alive.issuperset(s["cited"])]
        if fallen:
            texts = [WITHDRAWN if s in fallen else s["text"] for s in sentences]
            shown.append({"role": turn["role"], "text": " ".join(dict.fromkeys(texts))})
        elif "standalone" in turn and shown and WITHDRAWN in shown[-1]["text"]:
            # It may name what only the withdrawn sentence said.
            shown.append({"role": turn["role"], "text": turn["text"]})
        else:
            shown.append(turn)
    return shown


def assert_strict() -> None:
    """Raise UnsafeCheckpoints unless LangGraph was imported in strict msgpack mode."""
    if not _msgpack.STRICT_MSGPACK_ENABLED:
        raise UnsafeCheckpoints(
            "LANGGRAPH_STRICT_MSGPACK must be true before langgraph is imported: "
            "else a stored conversation could run code."
        )
