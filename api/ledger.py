"""What callers did: how much they used, what they thought of answers, and which requests they repeat.

Counts and codes; of what was said only what somebody writes into a comment on purpose.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from api.errors import KeyReused, StillRunning
from api.store import Store

Rating = Literal["up", "down"]

#: How long the answer to a repeated request is kept.
_KEPT_S = 86_400.0
#: A request that did not end within this was killed; it may be tried again.
_RUNNING_S = 3600.0
_TABLES = """
CREATE TABLE used (
    day TEXT NOT NULL, tenant TEXT NOT NULL, who TEXT NOT NULL, requests INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, pages INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, who)
) STRICT, WITHOUT ROWID;
CREATE TABLE feedback (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, who TEXT NOT NULL, trace_id TEXT NOT NULL,
    rating TEXT NOT NULL, reason TEXT, comment TEXT, at REAL NOT NULL
) STRICT;
CREATE INDEX feedback_by_time ON feedback (tenant, at, id);
CREATE TABLE repeated (
    who TEXT NOT NULL, route TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, at REAL NOT NULL,
    status INTEGER, answer BLOB, media_type TEXT, PRIMARY KEY (who, route, key)
) STRICT, WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What one caller, or a whole tenant, used on one day (UTC)."""

    day: str
    who: str
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    pages: int = 0

    @property
    def tokens(self) -> int:
        """Both kinds together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What somebody thought of an answer."""

    id: str
    who: str
    #: Of the answer.
    trace_id: str
    rating: Rating
    #: A code of the asker's choice ("wrong_page").
    reason: str | None
    comment: str | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The answer that a repeated request gets again."""

    status: int
    body: bytes
    media_type: str


class Ledger:
    """The ledger of one home."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = Store(path, _TABLES, version=1), clock

    @property
    def today(self) -> str:
        """Name the day, UTC."""
        return datetime.fromtimestamp(self._clock(), UTC).date().isoformat()

    async def note(self, tenant: str, used: Used) -> None:
        """Add to what a caller used on a day."""
        query = (
            "INSERT INTO used VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " requests = requests + excluded.requests,"
            " prompt_tokens = prompt_tokens + excluded.prompt_tokens,"
            " completion_tokens = completion_tokens + excluded.completion_tokens,"
            " pages = pages + excluded.pages"
        )
        counts = (used.requests, used.prompt_tokens, used.completion_tokens, used.pages)
        await self._store.write(lambda c: c.execute(query, (used.day, tenant, used.who, *counts)))

    async def used_today(self, tenant: str, who: str | None) -> Used:
        """Sum up today of one caller, or of all of a tenant."""
        day = self.today
        query = (
            "SELECT coalesce(sum(requests), 0), coalesce(sum(prompt_tokens), 0),"
            " coalesce(sum(completion_tokens), 0), coalesce(sum(pages), 0) FROM used"
            " WHERE tenant = ? AND day = ? AND (who = ? OR ?)"
        )
        values = (tenant, day, who or "", who is None)
        row = await self._store.read(lambda c: c.execute(query, values).fetchone(), (0, 0, 0, 0))
        return Used(
            day=day,
            who=who or "",
            requests=row[0],
            prompt_tokens=row[1],
            completion_tokens=row[2],
            pages=row[3],
        )

    async def used(self, tenant: str, *, who: str | None, after: str | None, limit: int) -> list[Used]:
        """List use by day and caller, the newest day first; `after` is the last "day/who" seen."""
        day, _, last = (after or "9999-12-31/").partition("/")
        query = (
            "SELECT day, who, requests, prompt_tokens, completion_tokens, pages FROM used WHERE tenant = ?"
            " AND (day < ? OR (day = ? AND who > ?)) AND (who = ? OR ?) ORDER BY day DESC, who LIMIT ?"
        )
        values = (tenant, day, day, last, who or "", who is None, limit)
        rows: list[tuple[Any, ...]] = await self._store.read(
            lambda c: c.execute(query, values).fetchall(), []
        )
        names = ("day", "who", "requests", "prompt_tokens", "completion_tokens", "pages")
        return [Used(**dict(zip(names, row, strict=True))) for row in rows]

    async def rate(
        self,
        tenant: str,
        who: str,
        *,
        trace_id: str,
        rating: Rating,
        reason: str | None,
        comment: str | None,
    ) -> Feedback:
        """Keep what somebody thought of an answer."""
        made = Feedback(
            id=secrets.token_hex(16),
            who=who,
            trace_id=trace_id,
            rating=rating,
            reason=reason,
            comment=comment,
            at=self._clock(),
        )
        values = (made.id, tenant, who, trace_id, rating, reason, comment, made.at)
        await self._store.write(
            lambda c: c.execute("INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        )
        return made

    async def feedback(
        self, tenant: str, *, who: str | None, after: str | None, limit: int
    ) -> list[Feedback]:
        """List what one caller, or everybody of a tenant, thought; the newest first."""
        query = (
            "SELECT id, who, trace_id, rating, reason, comment, at FROM feedback WHERE tenant = ?"
            " AND (who = ? OR ?) AND (? IS NULL OR (at, id) < (SELECT at, id FROM feedback"
            " WHERE id = ? AND tenant = ?)) ORDER BY at DESC, id DESC LIMIT ?"
        )
        values = (tenant, who or "", who is None, after, after, tenant, limit)
        rows: list[tuple[Any, ...]] = await self._store.read(
            lambda c: c.execute(query, values).fetchall(), []
        )
        names = tuple(Feedback.__dataclass_fields__)
        return [Feedback(**dict(zip(names, row, strict=True))) for row in rows]

    async def begin(self, who: str, route: str, key: str, body: str) -> Kept | None:
        """Note that a request begins that may be repeated; return the answer where it was one already.

        Raises StillRunning, and KeyReused where another body came with the key before.
        """
        now = self._clock()

        def look(connection: sqlite3.Connection) -> Kept | None:
            connection.execute("DELETE FROM repeated WHERE at < ?", (now - _KEPT_S,))
            found = connection.execute(
                "SELECT body, at, status, answer, media_type FROM repeated"
                " WHERE who = ? AND route = ? AND key = ?",
                (who, route, key),
            ).fetchone()
            if found is not None and found[0] != body:
                raise KeyReused("This Idempotency-Key came with another request before: choose a new one.")
            if found is not None and found[2] is not None:
                return Kept(status=found[2], body=found[3], media_type=found[4])
            if found is not None and found[1] > now - _RUNNING_S:
                raise StillRunning("The first request with this Idempotency-Key is still running.")
            connection.execute(
                "INSERT OR REPLACE INTO repeated (who, route, key, body, at) VALUES (?, ?, ?, ?, ?)",
                (who, route, key, body, now),
            )
            return None

        return await self._store.write(look)

    async def finish(self, who: str, route: str, key: str, kept: Kept | None) -> None:
        """Keep the answer for repetitions; None forgets the request, so that it may be tried again."""
        place = (who, route, key)
        if kept is None:
            query = "DELETE FROM repeated WHERE who = ? AND route = ? AND key = ?"
            await self._store.write(lambda c: c.execute(query, place))
            return
        query = (
            "UPDATE repeated SET status = ?, answer = ?, media_type = ?"
            " WHERE who = ? AND route = ? AND key = ?"
        )
        values = (kept.status, kept.body, kept.media_type, *place)
        await self._store.write(lambda c: c.execute(query, values))
