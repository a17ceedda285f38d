"""Which documents there are: SQLite, and the one switch that makes a document visible.

The row of a document names its live revision. Points and files are written first, the row last, in one
transaction; whoever reads a point checks that its revision is the live one. What was begun and not settled is
listed in `unsettled`, so that the next start can clear away what a kill left behind. Every change names a
fence, the token of the job that makes it: who was overtaken by a later one changes nothing any more. WAL with
`synchronous=NORMAL`: a commit costs 0.1 ms instead of an fsync.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from ingest.errors import Fenced, Incompatible, LibraryError
from ingest.records import Document, Page, PageFlag, ReadBy, Scope
from ingest.sqlite_files import connect, make, transaction

T = TypeVar("T")

#: Raise it with every change of the tables below.
_SCHEMA = 4
_TABLES = """
CREATE TABLE documents (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, collection TEXT NOT NULL, groups TEXT NOT NULL,
    source_key TEXT NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL, revision TEXT NOT NULL,
    recipe TEXT NOT NULL, bytes INTEGER NOT NULL, pages INTEGER NOT NULL, chunks INTEGER NOT NULL,
    added_at REAL NOT NULL
) STRICT;
CREATE INDEX documents_by_shelf ON documents (tenant, collection);
CREATE TABLE pages (
    document_id TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE, no INTEGER NOT NULL,
    width_pt REAL NOT NULL, height_pt REAL NOT NULL, read_by TEXT NOT NULL, reason TEXT NOT NULL,
    elements INTEGER NOT NULL, flags TEXT NOT NULL, lost TEXT, has_image INTEGER NOT NULL,
    start_s REAL, end_s REAL,
    PRIMARY KEY (document_id, no)
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (
    document_id TEXT PRIMARY KEY, tenant TEXT NOT NULL, collection TEXT NOT NULL, groups TEXT NOT NULL,
    name TEXT NOT NULL, revision TEXT NOT NULL, page_no INTEGER, code TEXT NOT NULL, at REAL NOT NULL
) STRICT;
CREATE TABLE unsettled (document_id TEXT PRIMARY KEY, token INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE fences (document_id TEXT PRIMARY KEY, token INTEGER NOT NULL) STRICT;
"""
#: From a version to the next one.
_UPGRADES = {
    2: """
ALTER TABLE pages ADD COLUMN start_s REAL;
ALTER TABLE pages ADD COLUMN end_s REAL;
""",
    3: """
ALTER TABLE unsettled ADD COLUMN token INTEGER NOT NULL DEFAULT 0;
CREATE TABLE fences (document_id TEXT PRIMARY KEY, token INTEGER NOT NULL) STRICT;
""",
}
_DOCUMENT = (
    "id, tenant, collection, groups, source_key, name, media_type, revision, bytes, pages, chunks, added_at"
)
_PAGE = "no, width_pt, height_pt, read_by, reason, elements, flags, lost, has_image, start_s, end_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPage:
    """How a page of a live document was read."""

    no: int
    width_pt: float
    height_pt: float
    read_by: ReadBy
    reason: str
    #: How many elements it has.
    elements: int
    flags: tuple[PageFlag, ...]
    #: The code under which it was lost; None where it was read.
    lost: str | None
    has_image: bool
    #: Seconds of a scene; None for a page.
    start_s: float | None
    end_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A document that a rail kept off the shelf."""

    document_id: str
    tenant: str
    collection: str
    groups: tuple[str, ...]
    name: str
    revision: str
    #: The page of the text that was stopped; None where it was the document's name.
    page_no: int | None
    #: What the rail called it.
    code: str
    #: Seconds since the epoch, UTC.
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A document that was begun and never settled."""

    document_id: str
    #: The fence of whoever began it.
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved:
    """A live document with the recipe that made its points: what the pipeline compares before it works."""

    document: Document
    recipe: str


class Registry:
    """The registry of one library. Every read for a caller takes the caller's scope."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._turn = CapacityLimiter(1)

    @classmethod
    def open(cls, path: Path) -> Registry:
        """Open the registry in the file `path`, or make it. Raises Incompatible for another version's."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = connect(path)
            connection.execute("PRAGMA foreign_keys = ON")
            version = make(connection, _TABLES, version=_SCHEMA, upgrades=_UPGRADES)
        except sqlite3.Error as error:
            raise LibraryError(f"The registry does not open ({error}): restore {path.name}.") from error
        if version != _SCHEMA:
            connection.close()
            raise Incompatible(
                f"The registry is of version {version}, this program reads {_SCHEMA}: "
                "use the program that made it, or add the documents to a new library."
            )
        return cls(connection)

    async def begin(self, document_id: str, *, fence: int | None = None) -> int:
        """Note that files and points of a document are about to change, and fence off whoever came before.

        Returns the fence: the one given, else the next. Raises Fenced where somebody came later already.
        """
        return await self._run(lambda c: _begin(c, document_id, fence))

    async def hold(self, document_id: str, *, fence: int) -> None:
        """Raise Fenced if somebody else took the document over."""
        await self._run(lambda c: _check(c, document_id, fence))

    async def settle(self, document_id: str, *, fence: int) -> None:
        """Note that nothing of a document is left over."""
        query = "DELETE FROM unsettled WHERE document_id = ? AND token = ?"
        await self._run(lambda c: c.execute(query, (document_id, fence)))

    async def unsettled(self) -> list[Unsettled]:
        """Return the documents that were begun and never settled."""
        rows = await self._run(lambda c: c.execute("SELECT document_id, token FROM unsettled").fetchall())
        return [Unsettled(document_id=row[0], token=row[1]) for row in rows]

    async def commit(
        self, document: Document, pages: Sequence[Page], *, recipe: str, fence: int | None = None
    ) -> None:
        """Make a revision the live one: from here on it is visible, and every other is not. Raises Fenced."""

        def commit(c: sqlite3.Connection) -> None:
            _commit(c, document, pages, recipe)

        await self._run(partial(_fenced, commit, document.id, fence))

    async def remove(self, document_id: str, *, fence: int | None = None) -> bool:
        """Make a document invisible; False where there was none. Raises Fenced."""

        def remove(c: sqlite3.Connection) -> bool:
            return c.execute("DELETE FROM documents WHERE id = ?", (document_id,)).rowcount > 0

        return await self._run(partial(_fenced, remove, document_id, fence))

    async def shelved(self, document_id: str) -> Shelved | None:
        """Return a live document by its id alone: for the pipeline, never for a caller."""
        query = f"SELECT {_DOCUMENT}, recipe FROM documents WHERE id = ?"
        row = await self._run(lambda c: c.execute(query, (document_id,)).fetchone())
        return row and Shelved(document=_document(row), recipe=row[-1])

    async def packed_in(self, *, tenant: str, collection: str, source_key: str) -> dict[str, str]:
        """Return the live documents that were packed in a file, at any depth: source key → id."""
        query = (
            "SELECT source_key, id FROM documents WHERE tenant = ? AND collection = ?"
            " AND substr(source_key, 1, ?) = ?"
        )
        prefix = f"{source_key}/"
        values = (tenant, collection, len(prefix), prefix)
        return dict(await self._run(lambda c: c.execute(query, values).fetchall()))

    async def get(self, document_id: str, *, scope: Scope) -> Document | None:
        """Return a live document that the scope allows; absent and not allowed look the same."""
        return (await self.live([document_id], scope=scope)).get(document_id)

    async def live(self, document_ids: Sequence[str], *, scope: Scope) -> dict[str, Document]:
        """Return those of the documents that are live and allowed, by id."""
        query = f"SELECT {_DOCUMENT} FROM documents WHERE id IN (SELECT value FROM json_each(?))"
        wanted = json.dumps(list(document_ids))
        rows = await self._run(lambda c: c.execute(query, (wanted,)).fetchall())
        return {document.id: document for document in map(_document, rows) if scope.allows(document)}

    async def list(self, *, scope: Scope) -> list[Document]:
        """List the live documents that the scope allows, by name."""
        query = f"SELECT {_DOCUMENT} FROM documents WHERE tenant = ? ORDER BY name, id"
        rows = await self._run(lambda c: c.execute(query, (scope.tenant,)).fetchall())
        return [document for document in map(_document, rows) if scope.allows(document)]

    async def everything(self) -> Sequence[Document]:
        """List every live document of every tenant: for the house itself, never for a caller."""
        query = f"SELECT {_DOCUMENT} FROM documents ORDER BY id"
        return [_document(row) for row in await self._run(lambda c: c.execute(query).fetchall())]

    async def outdate(self, document_id: str) -> None:
        """Forget by which recipe a document was made, so that adding the same file again is no repetition."""
        await self._run(lambda c: c.execute("UPDATE documents SET recipe = '' WHERE id = ?", (document_id,)))

    async def version(self) -> tuple[int, int]:
        """Return what changes with every change of the registry, whoever makes it."""
        return await self._run(lambda c: (c.execute("PRAGMA data_version").fetchone()[0], c.total_changes))

    async def collections(self, *, tenant: str) -> tuple[str, ...]:
        """Name the collections in which a tenant has live documents."""
        query = "SELECT DISTINCT collection FROM documents WHERE tenant = ? ORDER BY collection"
        rows = await self._run(lambda c: c.execute(query, (tenant,)).fetchall())
        return tuple(row[0] for row in rows)

    async def stored(self, *, tenant: str) -> int:
        """Return the bytes of a tenant's live documents."""
        query = "SELECT coalesce(sum(bytes), 0) FROM documents WHERE tenant = ?"
        return int(await self._run(lambda c: c.execute(query, (tenant,)).fetchone()[0]))

    async def pages(self, document_id: str, *, scope: Scope) -> Sequence[ReadPage]:
        """Say how each page of a document was read; [] where the scope does not allow it."""
        if await self.get(document_id, scope=scope) is None:
            return []
        query = f"SELECT {_PAGE} FROM pages WHERE document_id = ? ORDER BY no"
        rows = await self._run(lambda c: c.execute(query, (document_id,)).fetchall())
        return [_read_page(row) for row in rows]

    async def has_image(self, document_id: str, page_no: int) -> bool:
        """Say whether a page can be shown: for the library, which has judged the scope."""
        query = "SELECT has_image FROM pages WHERE document_id = ? AND no = ?"
        row = await self._run(lambda c: c.execute(query, (document_id, page_no)).fetchone())
        return bool(row and row[0])

    async def read_by(self, document_id: str, page_no: int) -> ReadBy | None:
        """Say who read a page, None where there is none: for the library, which has judged the scope."""
        query = "SELECT read_by FROM pages WHERE document_id = ? AND no = ?"
        row = await self._run(lambda c: c.execute(query, (document_id, page_no)).fetchone())
        return row[0] if row else None

    async def quarantine(self, row: Quarantined, *, fence: int | None = None) -> None:
        """Note that a rail kept a document off the shelf. Raises Fenced."""
        values = asdict(row) | {"groups": json.dumps(row.groups)}
        query = (
            "INSERT OR REPLACE INTO quarantine VALUES (:document_id, :tenant, :collection, :groups, :name,"
            " :revision, :page_no, :code, :at)"
        )
        await self._run(partial(_fenced, lambda c: c.execute(query, values), row.document_id, fence))

    async def release(self, document_id: str) -> bool:
        """Take a document off the quarantine list; False where it was not on it."""
        query = "DELETE FROM quarantine WHERE document_id = ?"
        return await self._run(lambda c: c.execute(query, (document_id,)).rowcount) > 0

    async def quarantined(self, *, scope: Scope) -> Sequence[Quarantined]:
        """List the quarantined documents that the scope would allow, newest first."""
        names = tuple(Quarantined.__dataclass_fields__)
        query = f"SELECT {', '.join(names)} FROM quarantine WHERE tenant = ? ORDER BY at DESC"
        rows = await self._run(lambda c: c.execute(query, (scope.tenant,)).fetchall())
        kept = [
            Quarantined(**dict(zip(names, row, strict=True)) | {"groups": tuple(json.loads(row[3]))})
            for row in rows
        ]
        return [row for row in kept if scope.allows(_as_document(row))]

    async def close(self) -> None:
        """Close the file."""
        await self._run(lambda c: c.close())

    async def _run(self, call: Callable[[sqlite3.Connection], T]) -> T:
        return await anyio.to_thread.run_sync(self._guarded, call, limiter=self._turn)

    def _guarded(self, call: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return call(self._connection)
        except sqlite3.Error as error:
            raise LibraryError(f"The registry failed: {error}") from error


def _fenced(
    change: Callable[[sqlite3.Connection], T],
    document_id: str,
    fence: int | None,
    connection: sqlite3.Connection,
) -> T:
    """Make a change in one transaction with the look at the fence."""
    with transaction(connection):
        if fence is not None:
            _check(connection, document_id, fence)
        return change(connection)


def _check(connection: sqlite3.Connection, document_id: str, fence: int) -> None:
    if _fence(connection, document_id) != fence:
        raise Fenced("Another worker took this document over; what this one did changes nothing.")


def _fence(connection: sqlite3.Connection, document_id: str) -> int:
    row = connection.execute("SELECT token FROM fences WHERE document_id = ?", (document_id,)).fetchone()
    return int(row[0]) if row else 0


def _begin(connection: sqlite3.Connection, document_id: str, fence: int | None) -> int:
    with transaction(connection):
        before = _fence(connection, document_id)
        # Jobs count in milliseconds of the clock; whoever comes without a job stands in the same row.
        token = max(before + 1, int(time.time() * 1000)) if fence is None else fence
        if token < before:
            raise Fenced("Another worker took this document over; what this one did changes nothing.")
        connection.execute("INSERT OR REPLACE INTO fences VALUES (?, ?)", (document_id, token))
        connection.execute("INSERT OR REPLACE INTO unsettled VALUES (?, ?)", (document_id, token))
        return token


def _commit(connection: sqlite3.Connection, document: Document, pages: Sequence[Page], recipe: str) -> None:
    values = asdict(document) | {"groups": json.dumps(document.groups), "recipe": recipe}
    named = ", ".join(f":{name}" for name in _DOCUMENT.split(", "))
    # REPLACE deletes the old row, and its pages with it.
    connection.execute(
        f"INSERT OR REPLACE INTO documents ({_DOCUMENT}, recipe) VALUES ({named}, :recipe)", values
    )
    connection.executemany(
        f"INSERT INTO pages (document_id, {_PAGE}) VALUES ({', '.join('?' * 12)})",
        [(document.id, *_page_row(page)) for page in pages],
    )
    connection.execute("DELETE FROM quarantine WHERE document_id = ?", (document.id,))


def _document(row: Sequence[object]) -> Document:
    values = dict(zip(_DOCUMENT.split(", "), row, strict=False))
    return Document(**values | {"groups": tuple(json.loads(str(values["groups"])))})  # type: ignore[arg-type]


def _page_row(page: Page) -> tuple[object, ...]:
    """Return a page as `_PAGE` names it."""
    return (
        page.no,
        page.width_pt,
        page.height_pt,
        page.read_by,
        page.reason,
        len(page.elements),
        json.dumps(page.flags),
        page.lost,
        page.has_image,
        page.start_s,
        page.end_s,
    )


def _read_page(row: Sequence[object]) -> ReadPage:
    values = dict(zip(_PAGE.split(", "), row, strict=True))
    odd = {"flags": tuple(json.loads(str(values["flags"]))), "has_image": bool(values["has_image"])}
    return ReadPage(**values | odd)  # type: ignore[arg-type]


def _as_document(row: Quarantined) -> Document:
    """Dress a quarantined file as the document that it would have been, so that one rule judges both."""
    return Document(
        id=row.document_id,
        tenant=row.tenant,
        collection=row.collection,
        groups=row.groups,
        source_key=row.name,
        name=row.name,
        media_type="",
        revision=row.revision,
        bytes=0,
        pages=0,
        chunks=0,
        added_at=row.at,
    )
