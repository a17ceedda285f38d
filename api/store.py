"""Small SQLite files beside the library, opened for one transaction and closed again.

Whatever process wrote last is what counts, nothing has to be closed at the end, and a file that nothing was
written to does not exist.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

import anyio.to_thread

from ingest.errors import Incompatible, LibraryError
from ingest.sqlite_files import WAIT_S, make, transaction, version_of

T = TypeVar("T")


class Store:
    """One file: its tables are made at the first write, for this user alone to read."""

    def __init__(self, path: Path, tables: str, *, version: int) -> None:
        self.path = path
        self._tables, self._version = tables, version

    async def read(self, call: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Look, without making a file where there is none. Raises LibraryError."""
        if not self.path.exists():
            return otherwise
        return await anyio.to_thread.run_sync(self._alone, call, "DEFERRED")

    async def write(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """Do something in one transaction. Raises LibraryError, and what `call` raises."""
        return await anyio.to_thread.run_sync(self._alone, call, "IMMEDIATE")

    def _alone(self, call: Callable[[sqlite3.Connection], T], kind: Literal["DEFERRED", "IMMEDIATE"]) -> T:
        try:
            with self._opened() as connection, transaction(connection, kind):
                return call(connection)
        except sqlite3.Error as error:
            raise LibraryError(f"{self.path.name} failed ({error}): restore it, or move it away.") from error

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            self._make_or_check(connection)
            yield connection
        finally:
            connection.close()

    def _make_or_check(self, connection: sqlite3.Connection) -> None:
        found = version_of(connection)
        if found == 0:
            connection.execute("PRAGMA journal_mode = WAL")
            found = make(connection, self._tables, version=self._version)
        if found != self._version:
            raise Incompatible(
                f"{self.path.name} is of version {found}, this program reads {self._version}: "
                "use the program that made it."
            )
