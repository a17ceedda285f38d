"""What the rails said of each document on the shelf, and under which policy and model.

A file of its own beside the registry, written after the row that makes a document visible: an entry that is
missing or of another revision means no more than that the document is to be judged again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from ingest.errors import LibraryError
from ingest.sqlite_files import connect

T = TypeVar("T")
#: Tenant and collection to what a verdict there would rest on now.
Stamp = Callable[[str, str], str]
_TABLE = """
CREATE TABLE IF NOT EXISTS screenings (
    document_id TEXT PRIMARY KEY, revision TEXT NOT NULL, stamp TEXT NOT NULL, passages INTEGER NOT NULL,
    withheld TEXT NOT NULL, at REAL NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """One document's verdicts: every passage passed but those that were withheld."""

    document_id: str
    revision: str
    #: The policy, the rules of the hop and the model: another stamp, another verdict perhaps.
    stamp: str
    #: How many passages were judged.
    passages: int
    #: The ids of those that were kept off the shelf.
    withheld: tuple[str, ...] = ()


class Screenings:
    """The verdicts of one library."""

    def __init__(self, connection: sqlite3.Connection, *, stamp: Stamp) -> None:
        self._connection = connection
        self.stamp = stamp
        self._turn = CapacityLimiter(1)

    @classmethod
    def open(cls, path: Path, *, stamp: Stamp) -> Screenings:
        """Open the file, or make it; `stamp` names what a verdict rests on now. Raises LibraryError."""
        try:
            connection = connect(path)
            connection.execute(_TABLE)
        except sqlite3.Error as error:
            raise LibraryError(
                f"The verdicts do not open ({error}): remove {path.name}, and all is judged again."
            ) from error
        return cls(connection, stamp=stamp)

    async def keep(self, one: Screening) -> None:
        """Write down what was said of a document, in the place of what was said before."""
        row = (one.document_id, one.revision, one.stamp, one.passages, json.dumps(one.withheld), time.time())
        await self._run(
            lambda c: c.execute("INSERT OR REPLACE INTO screenings VALUES (?, ?, ?, ?, ?, ?)", row)
        )

    async def of(self, document_id: str) -> Screening | None:
        """Return what was said of a document last."""
        query = "SELECT revision, stamp, passages, withheld FROM screenings WHERE document_id = ?"
        row = await self._run(lambda c: c.execute(query, (document_id,)).fetchone())
        if row is None:
            return None
        return Screening(
            document_id=document_id,
            revision=row[0],
            stamp=row[1],
            passages=row[2],
            withheld=tuple(json.loads(row[3])),
        )

    async def stamps(self) -> dict[str, tuple[str, str]]:
        """Return revision and stamp by document."""
        query = "SELECT document_id, revision, stamp FROM screenings"
        rows = await self._run(lambda c: c.execute(query).fetchall())
        return {row[0]: (row[1], row[2]) for row in rows}

    async def keep_only(self, document_ids: Sequence[str]) -> None:
        """Forget the documents that are no longer on the shelf."""
        query = "DELETE FROM screenings WHERE document_id NOT IN (SELECT value FROM json_each(?))"
        held = json.dumps(list(document_ids))
        await self._run(lambda c: c.execute(query, (held,)))

    async def close(self) -> None:
        """Close the file."""
        await self._run(lambda c: c.close())

    async def _run(self, call: Callable[[sqlite3.Connection], T]) -> T:
        return await anyio.to_thread.run_sync(self._guarded, call, limiter=self._turn)

    def _guarded(self, call: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return call(self._connection)
        except sqlite3.Error as error:
            raise LibraryError(f"The verdicts cannot be read or written: {error}") from error
