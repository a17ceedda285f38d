"""How the library's SQLite files are opened, made and changed: what each of them wants alike."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Literal

#: Seconds until a file that another process is writing to counts as locked.
WAIT_S = 10.0
_NONE: Mapping[int, str] = MappingProxyType({})


def connect(path: Path | str) -> sqlite3.Connection:
    """Open a file, or make it, for threads that take turns; nothing begins a transaction by itself.

    Raises sqlite3.Error.
    """
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@contextmanager
def transaction(
    connection: sqlite3.Connection, kind: Literal["DEFERRED", "IMMEDIATE"] = "IMMEDIATE"
) -> Iterator[sqlite3.Connection]:
    """Do all of it, or nothing. Raises sqlite3.Error."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have rolled it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a file's tables, 0 where it has none yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def make(
    connection: sqlite3.Connection, tables: str, *, version: int, upgrades: Mapping[int, str] = _NONE
) -> int:
    """Make the tables of an empty file, or bring an older one's up to date; return the version it is of then.

    `upgrades` leads from a version to the next. Two processes may try at once, hence the lock first.
    """
    with transaction(connection):
        found = version_of(connection)
        if found == 0:
            _change(connection, tables, version)
            return version
        while found in upgrades:
            _change(connection, upgrades[found], found + 1)
            found += 1
        return found


def _change(connection: sqlite3.Connection, statements: str, version: int) -> None:
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {version}")
