"""The book of errands: SQLite, shared by every process that answers in Slack.

An event is acknowledged only once its row is committed, so a delivery that died before is answered by
Slack's retry, and one that died after by whoever claims the row when its lease has run out. The key of a row
comes from the message (team, channel, timestamp), not from the delivery: a mention arrives as two events with
two ids.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from pydantic import TypeAdapter

from api.slack.errors import LeaseLost, SlackError
from api.slack.records import Asked, ChannelWishes, Cited, Errand, Pressed, Rating, Told, Wish
from ingest.sqlite_files import connect, make, transaction

T = TypeVar("T")
_SCHEMA = 1
#: A signature is remembered twice as long as Slack's own window.
_SIGNATURES_S = 600.0
_TABLES = """
CREATE TABLE errands (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, team TEXT NOT NULL, conversation TEXT NOT NULL,
    place TEXT NOT NULL, what TEXT NOT NULL, revision TEXT NOT NULL, wish TEXT NOT NULL, state TEXT NOT NULL,
    attempts INTEGER NOT NULL, owner TEXT NOT NULL, lease_until REAL NOT NULL, not_before REAL NOT NULL,
    posted TEXT NOT NULL, told TEXT, arrived_at REAL NOT NULL
) STRICT;
CREATE INDEX errands_open ON errands (arrived_at) WHERE state IN ('waiting', 'running');
CREATE INDEX errands_by_conversation ON errands (conversation, place);
CREATE TABLE signatures (signature TEXT PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE ratings (
    key TEXT NOT NULL, user TEXT NOT NULL, team TEXT NOT NULL, good INTEGER NOT NULL, reason TEXT NOT NULL,
    question TEXT NOT NULL, answer TEXT NOT NULL, cited TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (key, user)
) STRICT;
CREATE TABLE overheard (conversation TEXT PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE channels (
    team TEXT NOT NULL, channel TEXT NOT NULL, wishes TEXT NOT NULL, PRIMARY KEY (team, channel)
) STRICT, WITHOUT ROWID;
"""
_ERRAND = (
    "key, kind, team, conversation, place, what, revision, wish, state, attempts, posted, told, arrived_at"
)
#: The oldest open errand of a conversation none of which is being done; workspaces take turns.
_NEXT = f"""
SELECT {_ERRAND} FROM errands AS e
WHERE (state = 'waiting' OR (state = 'running' AND lease_until < :now)) AND not_before <= :now
  AND NOT EXISTS (SELECT 1 FROM errands AS o WHERE o.conversation = e.conversation AND o.key <> e.key
    AND ((o.state = 'running' AND o.lease_until >= :now)
      OR (o.state IN ('waiting', 'running') AND (o.place, o.key) < (e.place, e.key))))
  AND (SELECT count(*) FROM errands AS r WHERE r.team = e.team AND r.state = 'running'
    AND r.lease_until >= :now) < :most
ORDER BY (SELECT count(*) FROM errands AS r WHERE r.team = e.team AND r.state = 'running'
    AND r.lease_until >= :now), e.arrived_at
LIMIT 1
"""
_ASKED, _PRESSED = TypeAdapter(Asked), TypeAdapter(Pressed)
_TOLD, _CITED = TypeAdapter(Told), TypeAdapter(tuple[Cited, ...])
_WISHES = TypeAdapter(ChannelWishes)


class SqliteBook:
    """The book in one file."""

    def __init__(self, connection: sqlite3.Connection, *, clock: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._turn = CapacityLimiter(1)
        self._clock = clock

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], float] = time.time) -> SqliteBook:
        """Open the book at `path`, or make it. Raises SlackError for another version's."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = connect(path)
        version = make(connection, _TABLES, version=_SCHEMA)
        if version != _SCHEMA:
            connection.close()
            raise SlackError(f"{path.name} was made by another version of Pagewarden ({version}).")
        return cls(connection, clock=clock)

    async def close(self) -> None:
        """Close the file."""
        await self._run(lambda: self._connection.close())

    async def take(self, errand: Errand) -> bool:
        """Keep an errand; False where it is known already."""
        what = json.dumps(asdict(errand.what))
        values = (errand.key, errand.kind, errand.team, errand.conversation, errand.place, what)
        rest = (errand.revision, errand.state, errand.posted, errand.arrived_at or self._clock())
        return await self._write(
            lambda db: (
                db.execute(
                    "INSERT OR IGNORE INTO errands VALUES (?,?,?,?,?,?,?,'',?,0,'',0,0,?,NULL,?)",
                    (*values, *rest),
                ).rowcount
                > 0
            )
        )

    async def amend(self, errand: Errand) -> None:
        """Take an edited message's new words: answered anew in its place, or kept where it is not known."""
        if await self.take(errand):
            return
        what = json.dumps(asdict(errand.what))
        await self._write(
            lambda db: db.execute(
                "UPDATE errands SET what = ?, revision = ?, attempts = 0, "
                "wish = CASE state WHEN 'running' THEN 'again' ELSE '' END, "
                "state = CASE state WHEN 'done' THEN 'waiting' ELSE state END "
                "WHERE key = ? AND revision < ? AND state <> 'withdrawn' AND what <> ?",
                (what, errand.revision, errand.key, errand.revision, what),
            )
        )

    async def withdraw(self, errand: Errand) -> None:
        """Take note that a message was deleted; its answer is deleted too, one under way is broken off."""
        if await self.take(replace(errand, state="withdrawn")):
            return
        await self._write(
            lambda db: db.execute(
                "UPDATE errands SET wish = 'withdraw', attempts = 0, not_before = 0, "
                "state = CASE state WHEN 'done' THEN 'waiting' ELSE state END "
                "WHERE key = ? AND state <> 'withdrawn'",
                (errand.key,),
            )
        )

    async def stop(self, conversation: str) -> None:
        """Stop what is being answered in a conversation."""
        await self._write(
            lambda db: db.execute(
                "UPDATE errands SET wish = 'stop' WHERE conversation = ? AND kind = 'question' "
                "AND state IN ('running', 'waiting') AND wish = ''",
                (conversation,),
            )
        )

    async def claim(self, owner: str, *, lease_s: float, per_workspace: int) -> Errand | None:
        """Take the next errand; None where there is nothing to do now."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> Errand | None:
            row = db.execute(_NEXT, {"now": now, "most": per_workspace}).fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE errands SET state = 'running', owner = ?, lease_until = ?, attempts = attempts + 1 "
                "WHERE key = ?",
                (owner, now + lease_s, row[0]),
            )
            errand = _errand(row)
            return replace(errand, state="running", attempts=errand.attempts + 1)

        return await self._write(work)

    async def renew(self, key: str, owner: str, *, lease_s: float) -> Wish:
        """Go on holding an errand; return what somebody wishes of it. Raises LeaseLost."""
        until = self._clock() + lease_s
        rows = await self._write(
            lambda db: db.execute(
                "UPDATE errands SET lease_until = ? WHERE key = ? AND owner = ? AND state = 'running' "
                "RETURNING wish",
                (until, key, owner),
            ).fetchall()
        )
        if not rows:
            raise LeaseLost("Another process has taken this question over.")
        wish: Wish = rows[0][0]
        return wish

    async def place(self, key: str, owner: str, posted: str) -> None:
        """Remember which message tells the answer. Raises LeaseLost."""
        await self._held("UPDATE errands SET posted = ? WHERE key = ? AND owner = ? AND state = 'running'",
                         posted, key, owner)  # fmt: skip

    async def settle(self, errand: Errand, owner: str) -> None:
        """Close an errand as it is given, unless its words have changed meanwhile. Raises LeaseLost."""
        told = None if errand.told is None else json.dumps(asdict(errand.told))
        await self._held(
            "UPDATE errands SET posted = ?, told = ?, "
            "state = CASE WHEN revision <> ? OR wish = 'again' OR (wish = 'withdraw' AND ? <> 'withdrawn') "
            "THEN 'waiting' ELSE ? END, "
            "wish = CASE WHEN wish = 'withdraw' AND ? <> 'withdrawn' THEN 'withdraw' ELSE '' END "
            "WHERE key = ? AND owner = ? AND state = 'running'",
            errand.posted, told, errand.revision, errand.state, errand.state, errand.state, errand.key, owner,
        )  # fmt: skip

    async def release(self, key: str, owner: str, *, after_s: float = 0.0, count: bool = True) -> None:
        """Give an errand back, to be done again by anybody; without `count` it was no attempt."""
        before = self._clock() + after_s
        await self._write(
            lambda db: db.execute(
                "UPDATE errands SET state = 'waiting', owner = '', lease_until = 0, not_before = ?, "
                "wish = CASE wish WHEN 'again' THEN '' ELSE wish END, "
                "attempts = attempts - ? WHERE key = ? AND owner = ? AND state = 'running'",
                (before, 0 if count else 1, key, owner),
            )
        )

    async def errand(self, key: str) -> Errand | None:
        """Return an errand."""
        rows = await self._read(f"SELECT {_ERRAND} FROM errands WHERE key = ?", key)
        return _errand(rows[0]) if rows else None

    async def conversation(self, conversation: str) -> list[Errand]:
        """Return the questions of a conversation in their order, without those withdrawn."""
        rows = await self._read(
            f"SELECT {_ERRAND} FROM errands WHERE conversation = ? AND kind = 'question' "
            "AND state <> 'withdrawn' ORDER BY place, key",
            conversation,
        )
        return [_errand(row) for row in rows]

    async def starter(self, conversation: str) -> str:
        """Return who began a conversation with us; "" where nobody did, which is remembered.

        A follow-up can arrive before what it follows; `overheard` then tells whoever answers that to look.
        """

        def work(db: sqlite3.Connection) -> str:
            row = db.execute(
                "SELECT what FROM errands WHERE conversation = ? AND kind = 'question' "
                "AND state <> 'withdrawn' ORDER BY place LIMIT 1",
                (conversation,),
            ).fetchone()
            if row is None:
                db.execute("INSERT OR IGNORE INTO overheard VALUES (?, ?)", (conversation, self._clock()))
                return ""
            return _ASKED.validate_json(row[0]).user

        return await self._write(work)

    async def overheard(self, conversation: str) -> bool:
        """Say whether something was said in a conversation before we knew it for one; told once."""
        return await self._write(
            lambda db: (
                db.execute("DELETE FROM overheard WHERE conversation = ?", (conversation,)).rowcount > 0
            )
        )

    async def known(self, keys: Sequence[str]) -> set[str]:
        """Return those keys that are in the book."""
        marks = ",".join("?" * len(keys))
        return {row[0] for row in await self._read(f"SELECT key FROM errands WHERE key IN ({marks})", *keys)}

    async def posts(self, conversation: str) -> set[str]:
        """Return the timestamps of our own messages in a conversation."""
        rows = await self._read("SELECT posted FROM errands WHERE conversation = ?", conversation)
        return {row[0] for row in rows if row[0]}

    async def open_errands(self) -> int:
        """Count what is not done."""
        rows = await self._read("SELECT count(*) FROM errands WHERE state IN ('waiting', 'running')")
        return int(rows[0][0])

    async def first_time(self, signature: str) -> bool:
        """Say whether a signed request comes for the first time, and remember it."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> bool:
            db.execute("DELETE FROM signatures WHERE at < ?", (now - _SIGNATURES_S,))
            return db.execute("INSERT OR IGNORE INTO signatures VALUES (?, ?)", (signature, now)).rowcount > 0

        return await self._write(work)

    async def forget_signature(self, signature: str) -> None:
        """Let a request come again whose errand could not be kept."""
        await self._write(lambda db: db.execute("DELETE FROM signatures WHERE signature = ?", (signature,)))

    async def rate(self, rating: Rating) -> None:
        """Keep what somebody thinks of an answer; the last word counts."""
        values = (rating.key, rating.user, rating.team, int(rating.good), rating.reason, rating.question)
        cited = json.dumps([asdict(one) for one in rating.cited])
        await self._write(
            lambda db: db.execute(
                "INSERT OR REPLACE INTO ratings VALUES (?,?,?,?,?,?,?,?,?)",
                (*values, rating.answer, cited, self._clock()),
            )
        )

    async def ratings(self) -> list[Rating]:
        """Return all feedback, latest first."""
        rows = await self._read(
            "SELECT key, user, team, good, reason, question, answer, cited, at FROM ratings ORDER BY at DESC"
        )
        return [
            Rating(
                key=key, user=user, team=team, good=bool(good), reason=reason, question=question,
                answer=answer, cited=_CITED.validate_json(cited), at=at,
            )
            for key, user, team, good, reason, question, answer, cited, at in rows
        ]  # fmt: skip

    async def wishes(self, team: str, channel: str) -> ChannelWishes:
        """Return what `/pagewarden` set for a channel."""
        rows = await self._read("SELECT wishes FROM channels WHERE team = ? AND channel = ?", team, channel)
        return _WISHES.validate_json(rows[0][0]) if rows else ChannelWishes()

    async def wish(self, team: str, channel: str, wishes: ChannelWishes) -> None:
        """Set what a channel wants."""
        told = json.dumps(asdict(wishes))
        await self._write(
            lambda db: db.execute("INSERT OR REPLACE INTO channels VALUES (?,?,?)", (team, channel, told))
        )

    async def sweep(self, *, keep_days: int) -> None:
        """Forget what was done long ago."""
        now = self._clock()

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "DELETE FROM errands WHERE state IN ('done', 'withdrawn') AND arrived_at < ?",
                (now - keep_days * 86_400,),
            )
            db.execute("DELETE FROM overheard WHERE at < ?", (now - 86_400,))

        await self._write(work)

    async def _held(self, statement: str, *values: object) -> None:
        if await self._write(lambda db: db.execute(statement, values).rowcount) == 0:
            raise LeaseLost("Another process has taken this question over.")

    async def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return await self._run(lambda: self._connection.execute(query, values).fetchall())

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def whole() -> T:
            with transaction(self._connection):
                return work(self._connection)

        return await self._run(whole)

    async def _run(self, work: Callable[[], T]) -> T:
        # A transaction is never broken off half-way: it takes well under a millisecond.
        result: list[T] = []
        with anyio.CancelScope(shield=True):
            result.append(await anyio.to_thread.run_sync(work, limiter=self._turn))
        return result[0]


def _errand(row: Sequence[Any]) -> Errand:
    key, kind, team, conversation, place, what, revision, wish, state, attempts, posted, told, at = row
    return Errand(
        key=key, kind=kind, team=team, conversation=conversation, place=place,
        what=(_ASKED if kind == "question" else _PRESSED).validate_json(what),
        revision=revision, wish=wish, state=state, attempts=attempts, posted=posted,
        told=None if told is None else _TOLD.validate_json(str(told)), arrived_at=at,
    )  # fmt: skip
