"""SQLite files: made whole or not at all, changed whole or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from ingest.sqlite_files import connect, make, transaction, version_of

TABLES = "CREATE TABLE one (n INTEGER); CREATE TABLE two (n INTEGER)"


def test_a_file_whose_making_breaks_off_is_left_empty(tmp_path: Path) -> None:
    connection = connect(tmp_path / "file")
    with pytest.raises(sqlite3.OperationalError):
        make(connection, "CREATE TABLE one (n INTEGER); CREATE NONSENSE", version=1)
    assert version_of(connection) == 0
    assert make(connection, TABLES, version=1) == 1
    connection.close()


def test_an_older_file_goes_from_version_to_version_and_a_newer_one_is_left_as_it_is(tmp_path: Path) -> None:
    connection = connect(tmp_path / "file")
    make(connection, TABLES, version=1)
    upgrades = {1: "ALTER TABLE one ADD COLUMN a", 2: "ALTER TABLE one ADD COLUMN b"}
    assert make(connection, TABLES, version=3, upgrades=upgrades) == 3
    assert [row[1] for row in connection.execute("PRAGMA table_info(one)")] == ["n", "a", "b"]
    assert make(connection, TABLES, version=2) == 3
    connection.close()


def test_what_breaks_off_changes_nothing(tmp_path: Path) -> None:
    connection = connect(tmp_path / "file")
    make(connection, TABLES, version=1)

    def breaks_off() -> None:
        with transaction(connection):
            connection.execute("INSERT INTO one VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks_off()
    assert connection.execute("SELECT count(*) FROM one").fetchone() == (0,)
    assert not connection.in_transaction
    connection.close()
