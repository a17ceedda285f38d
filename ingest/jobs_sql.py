"""Jobs in SQL that SQLite and PostgreSQL read alike: one text, one set of guarantees, one contract suite.

Each call is one transaction. SQLite writes ahead and syncs at checkpoints (`synchronous=NORMAL`): what was
committed outlives a kill, not always a power cut, and a job that is lost to one is enqueued again by its
sender. Tenants take turns by the pages that were read for them; who comes back after a pause starts level
with the others, and hoards nothing.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from ingest.errors import Incompatible, KeyReused, LibraryError
from ingest.jobs import ACTIVE, RUNNING, SETTLED, USUAL, Job, JobState, NewJob, Progress, Retry, Settlement
from ingest.sqlite_files import connect, make, transaction

T = TypeVar("T")
Row = Sequence[object]

#: Raise it with every change of the tables below.
SCHEMA = 1
TABLES = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, seq BIGINT NOT NULL, tenant TEXT NOT NULL, collection TEXT NOT NULL,
    groups TEXT NOT NULL, name TEXT NOT NULL, document_id TEXT NOT NULL, revision TEXT NOT NULL,
    bytes BIGINT NOT NULL, path TEXT NOT NULL, ours INTEGER NOT NULL, key TEXT, state TEXT NOT NULL,
    token BIGINT NOT NULL, worker TEXT, lease_until DOUBLE PRECISION NOT NULL,
    due_at DOUBLE PRECISION NOT NULL, run_at DOUBLE PRECISION NOT NULL, tries INTEGER NOT NULL,
    deaths INTEGER NOT NULL, pages_done INTEGER NOT NULL, pages_total INTEGER NOT NULL,
    chunks_done INTEGER NOT NULL, chunks_total INTEGER NOT NULL, waits_for TEXT, outcome TEXT, reason TEXT,
    page_no INTEGER, detail TEXT, chunks INTEGER NOT NULL, created_at DOUBLE PRECISION NOT NULL,
    started_at DOUBLE PRECISION, settled_at DOUBLE PRECISION, changed BIGINT NOT NULL
);
CREATE INDEX jobs_in_turn ON jobs (tenant, state, due_at, seq);
CREATE INDEX jobs_by_lease ON jobs (state, lease_until);
CREATE INDEX jobs_of_document ON jobs (document_id, seq);
CREATE INDEX jobs_by_change ON jobs (tenant, changed);
CREATE UNIQUE INDEX jobs_by_key ON jobs (tenant, key);
CREATE TABLE tenants (tenant TEXT PRIMARY KEY, work DOUBLE PRECISION NOT NULL);
"""
_COLUMNS = tuple(field.name for field in fields(Job))
_JOB = ", ".join(_COLUMNS)
#: A megabyte stands behind what comes a second after it; nothing stands back longer than that.
_BYTES_A_SECOND, _LONGEST_BACK_S = 1_000_000, 600.0


def _among(states: Sequence[str]) -> str:
    return "(" + ", ".join(f"'{state}'" for state in states) + ")"


_ACTIVE, _RUNNING, _SETTLED = _among(ACTIVE), _among(RUNNING), _among(SETTLED)
#: What a claim, a wait and the end of a job leave behind.
_AFRESH = (
    "pages_done = 0, pages_total = 0, chunks_done = 0, chunks_total = 0, outcome = NULL, reason = NULL,"
    " page_no = NULL, detail = NULL, waits_for = NULL, chunks = 0, tries = 0, deaths = 0, settled_at = NULL,"
    " started_at = NULL, worker = NULL, lease_until = 0"
)


class Transaction(Protocol):
    """An open transaction."""

    def run(self, sql: str, **values: object) -> list[Row]:
        """Run one statement with `:named` values; return its rows, or one row for each that it changed."""
        ...

    def tick(self) -> int:
        """Return the next value of a counter that only goes up, and that a lost store does not set back."""
        ...

    @property
    def now(self) -> float:
        """Seconds since the epoch, of one clock for all workers."""
        ...


class Database(Protocol):
    """Where the tables are."""

    #: Follows a SELECT whose row is about to be changed.
    for_update: str

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one transaction, whole or not at all. Blocks; safe to call from any thread."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class SqlJobs:
    """`Jobs` in a database."""

    def __init__(self, database: Database, *, lease_s: float = 12.0, retry: Retry = USUAL) -> None:
        self._database = database
        self._lease_s = lease_s
        self._retry = retry
        self._turn = CapacityLimiter(1)

    async def enqueue(self, wanted: Sequence[NewJob]) -> list[Job]:
        """Take jobs in one commit."""
        return await self._run(partial(_enqueue, wanted=wanted))

    async def get(self, job_id: str, *, tenant: str) -> Job | None:
        """Return a job of a tenant."""
        return await self._run(partial(_get, job_id=job_id, tenant=tenant))

    async def listed(
        self, *, tenant: str, states: Sequence[JobState] = (), since: int | None = None, limit: int = 100
    ) -> list[Job]:
        """List jobs, those changed last first; with `since`, what changed after it, in that order."""
        among = f"AND state IN {_among(states)}" if states else ""
        query = (
            f"SELECT {_JOB} FROM jobs WHERE tenant = :tenant AND changed > :since {among}"
            f" ORDER BY changed {'DESC' if since is None else 'ASC'} LIMIT :limit"
        )
        rows = await self._run(lambda t: t.run(query, tenant=tenant, since=since or 0, limit=limit))
        return [_job(row) for row in rows]

    async def counts(self, *, tenant: str) -> Mapping[JobState, int]:
        """Count jobs by state."""
        query = "SELECT state, count(*) FROM jobs WHERE tenant = :tenant GROUP BY state"
        rows = await self._run(lambda t: t.run(query, tenant=tenant))
        counted = {str(state): int(str(number)) for state, number in rows}
        return {state: counted[state] for state in (*ACTIVE, *SETTLED) if state in counted}

    async def cancel(self, job_id: str, *, tenant: str) -> Job | None:
        """Cancel a job that is not settled."""
        return await self._run(partial(_cancel, job_id=job_id, tenant=tenant))

    async def retry(self, job_id: str, *, tenant: str) -> Job | None:
        """Queue a job again that did not end on the shelf."""
        return await self._run(partial(_retry, job_id=job_id, tenant=tenant))

    async def withdraw(self, document_id: str) -> int:
        """Cancel whatever is under way for a document, and return a token that fences it off."""
        return await self._run(partial(_withdraw, document_id=document_id))

    async def claim(
        self, worker: str, *, busy_with: Sequence[str] = (), newcomer: bool = False
    ) -> Job | None:
        """Hold the next job."""

        def claim(t: Transaction) -> Job | None:
            _end_leases(t, self._retry.deaths, before=t.now)
            # A wait beyond any pause was set before the clock was put back.
            far = t.now + 2 * self._retry.longest_s
            best = _best(t, busy_with if newcomer else (), far, self._database.for_update)
            if best is None or (best.deaths and busy_with):
                return None
            return _hold(t, best, worker, until=t.now + self._lease_s)

        return await self._run(claim)

    def beat(self, held: Mapping[str, int]) -> Set[str]:
        """Renew leases; return the ids that are no longer held."""

        def beat(t: Transaction) -> Set[str]:
            query = (
                "UPDATE jobs SET lease_until = :until WHERE id = :id AND token = :token"
                f" AND state IN {_RUNNING} RETURNING id"
            )
            until = t.now + self._lease_s
            return {
                one
                for one, token in sorted(held.items())
                if not t.run(query, id=one, token=token, until=until)
            }

        return self._database.transact(beat)

    async def progress(self, job: Job, told: Progress) -> bool:
        """Note how far a job is."""
        return await self._run(partial(_progress, job=job, told=told))

    async def settle(self, job: Job, how: Settlement) -> bool:
        """End a job."""
        return await self._run(partial(_settle, job=job, how=how))

    async def give_back(
        self, job: Job, *, pause_s: float = 0.0, waits_for: str | None = None, error: Settlement | None = None
    ) -> bool:
        """Queue a job again."""
        query = (
            "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = 0, run_at = :run_at, waits_for ="
            " :waits_for, tries = tries + :spent, deaths = 0, reason = :reason, detail = :detail, changed ="
            f" :changed WHERE id = :id AND token = :token AND state IN {_RUNNING} RETURNING id"
        )

        def give(t: Transaction) -> bool:
            return bool(
                t.run(
                    query,
                    id=job.id,
                    token=job.token,
                    run_at=t.now + pause_s,
                    waits_for=waits_for,
                    spent=int(error is not None),
                    reason=error and error.reason,
                    detail=error and error.detail,
                    changed=t.tick(),
                )
            )

        return await self._run(give)

    async def expire(self) -> int:
        """End all leases at once."""
        return await self._run(lambda t: _end_leases(t, self._retry.deaths, before=None))

    async def token(self) -> int:
        """Return a token for a change that no job makes; it fences off all that came before."""
        return await self._run(lambda t: t.tick())

    async def holds(self, token: int) -> bool:
        """Whether a job is held under this token."""
        query = f"SELECT 1 FROM jobs WHERE token = :token AND state IN {_RUNNING} LIMIT 1"
        return bool(await self._run(lambda t: t.run(query, token=token)))

    async def uploads(self) -> Set[str]:
        """Return the paths of all files that jobs own."""
        rows = await self._run(lambda t: t.run("SELECT path FROM jobs WHERE ours = 1"))
        return {str(path) for (path,) in rows}

    async def purge(self, *, settled_before: float) -> list[Job]:
        """Forget jobs that settled before then."""
        query = f"DELETE FROM jobs WHERE state IN {_SETTLED} AND settled_at < :before RETURNING {_JOB}"
        return [_job(row) for row in await self._run(lambda t: t.run(query, before=settled_before))]

    async def close(self) -> None:
        """Close the store."""
        await anyio.to_thread.run_sync(self._database.close, limiter=self._turn)

    async def _run(self, work: Callable[[Transaction], T]) -> T:
        return await anyio.to_thread.run_sync(self._database.transact, work, limiter=self._turn)


def _enqueue(t: Transaction, wanted: Sequence[NewJob]) -> list[Job]:
    ids = [_enqueued(t, one) for one in wanted]
    found = {one: _one(t, one) for one in set(ids)}
    return [found[one] for one in ids]


def _enqueued(t: Transaction, wanted: NewJob) -> str:
    """Take one job in; return the id it goes by."""
    if wanted.key is not None:
        query = "SELECT id FROM jobs WHERE tenant = :tenant AND key = :key"
        for (known,) in t.run(query, tenant=wanted.tenant, key=wanted.key):
            if known != wanted.id:
                raise KeyReused("This idempotency key came with another file before: use a new one.")
            return str(known)
    standing = t.run("SELECT state FROM jobs WHERE id = :id", id=wanted.id)
    _supersede(t, wanted)
    if standing and standing[0][0] in RUNNING:
        return wanted.id
    _level(t, wanted.tenant)
    seq = t.tick()
    values = {
        "id": wanted.id,
        "seq": seq,
        "groups": json.dumps(sorted(set(wanted.groups))),
        "path": wanted.path,
        "ours": int(wanted.ours),
        "key": wanted.key,
        "due_at": t.now + min(wanted.bytes / _BYTES_A_SECOND, _LONGEST_BACK_S),
        "now": t.now,
    }
    if standing:
        t.run(
            "UPDATE jobs SET seq = :seq, state = 'queued', groups = :groups, path = :path, ours = :ours,"
            " key = coalesce(:key, key), due_at = :due_at, run_at = :now, created_at = :now, changed = :seq,"
            f" {_AFRESH} WHERE id = :id",
            **values,
        )
        return wanted.id
    t.run(
        f"INSERT INTO jobs ({_JOB}) VALUES (:id, :seq, :tenant, :collection, :groups, :name, :document_id,"
        " :revision, :bytes, :path, :ours, :key, 'queued', 0, NULL, 0, :due_at, :now, 0, 0, 0, 0, 0, 0, NULL,"
        " NULL, NULL, NULL, NULL, 0, :now, NULL, NULL, :seq)",
        **values,
        tenant=wanted.tenant,
        collection=wanted.collection,
        name=wanted.name,
        document_id=wanted.document_id,
        revision=wanted.revision,
        bytes=wanted.bytes,
    )
    return wanted.id


def _supersede(t: Transaction, wanted: NewJob | Job) -> None:
    """Cancel what still waits of the same document: the newest wish counts."""
    t.run(
        "UPDATE jobs SET state = 'cancelled', reason = 'superseded', settled_at = :now, changed = :changed,"
        " waits_for = NULL, detail = 'The file came again before it was read; the newer one was taken.'"
        " WHERE document_id = :document_id AND state = 'queued' AND id <> :id",
        now=t.now,
        changed=t.tick(),
        document_id=wanted.document_id,
        id=wanted.id,
    )


def _level(t: Transaction, tenant: str) -> None:
    """Start a tenant who has nothing under way level with the least served of those who have."""
    idle = not t.run(f"SELECT 1 FROM jobs WHERE tenant = :t AND state IN {_ACTIVE} LIMIT 1", t=tenant)
    if not idle:
        return
    least = t.run(
        "SELECT min(w.work) FROM tenants w WHERE EXISTS"
        f" (SELECT 1 FROM jobs j WHERE j.tenant = w.tenant AND j.state IN {_ACTIVE})"
    )[0][0]
    t.run(
        "INSERT INTO tenants (tenant, work) VALUES (:tenant, :work) ON CONFLICT (tenant) DO UPDATE SET work ="
        " CASE WHEN tenants.work < excluded.work THEN excluded.work ELSE tenants.work END",
        tenant=tenant,
        work=least or 0.0,
    )


def _end_leases(t: Transaction, most: int, *, before: float | None) -> int:
    """Queue what dead workers held; give up what killed too many of them."""
    ended = f"state IN {_RUNNING} AND lease_until < :before"
    until = 1e18 if before is None else before
    if not t.run(f"SELECT 1 FROM jobs WHERE {ended} LIMIT 1", before=until):
        return 0
    given_up = t.run(
        "UPDATE jobs SET state = 'failed', outcome = 'failed', reason = 'worker_died', deaths = deaths + 1,"
        " worker = NULL, settled_at = :now, changed = :changed, waits_for = NULL, page_no ="
        " CASE WHEN pages_total > pages_done THEN pages_done + 1 ELSE NULL END, detail = :detail"
        f" WHERE {ended} AND deaths + 1 >= :most RETURNING id",
        before=until,
        now=t.now,
        changed=t.tick(),
        most=most,
        detail=f"The process that read it died {most} times over it, each time at the same place. Export the "
        "file again at its source, or leave it out.",
    )
    queued = t.run(
        "UPDATE jobs SET state = 'queued', worker = NULL, deaths = deaths + 1, run_at = :now, waits_for ="
        f" NULL, changed = :changed WHERE {ended} RETURNING id",
        before=until,
        now=t.now,
        changed=t.tick(),
    )
    return len(given_up) + len(queued)


def _best(t: Transaction, apart: Sequence[str], far: float, for_update: str) -> Job | None:
    """Find the next job: the least served tenant's, and of those the one due first."""
    older = (
        f"SELECT 1 FROM jobs o WHERE o.document_id = j.document_id AND o.seq < j.seq AND o.state IN {_ACTIVE}"
    )
    running = f"SELECT 1 FROM jobs r WHERE r.document_id = j.document_id AND r.state IN {_RUNNING}"
    query = (
        f"SELECT {_JOB} FROM jobs j WHERE tenant = :tenant AND state = 'queued'"
        " AND (run_at <= :now OR run_at > :far)"
        f" AND NOT EXISTS ({older}) AND NOT EXISTS ({running}) ORDER BY due_at, seq LIMIT 1 {for_update}"
    )
    for (tenant,) in t.run("SELECT tenant FROM tenants ORDER BY work, tenant"):
        if tenant not in apart:
            for row in t.run(query, tenant=tenant, now=t.now, far=far):
                return _job(row)
    return None


def _hold(t: Transaction, job: Job, worker: str, *, until: float) -> Job:
    token = t.tick()
    rows = t.run(
        "UPDATE jobs SET state = 'reading', worker = :worker, token = :token, lease_until = :until,"
        f" started_at = :now, waits_for = NULL, changed = :token WHERE id = :id RETURNING {_JOB}",
        worker=worker,
        token=token,
        until=until,
        now=t.now,
        id=job.id,
    )
    return _job(rows[0])


def _progress(t: Transaction, job: Job, told: Progress) -> bool:
    """Note headway; more than any attempt before made clears the deaths, and is what the tenant was given."""
    held = f"id = :id AND token = :token AND state IN {_RUNNING}"
    before = t.run(f"SELECT pages_done, chunks_done FROM jobs WHERE {held}", id=job.id, token=job.token)
    if not before:
        return False
    pages, chunks = (int(str(n)) for n in before[0])
    more = max(0, told.pages_done - pages)
    headway = more > 0 or told.chunks_done > chunks
    t.run(
        "UPDATE jobs SET state = :state, pages_done = :pages, pages_total = :pages_total, chunks_done ="
        " :chunks, chunks_total = :chunks_total, waits_for = :waits_for, changed = :changed, deaths ="
        f" CASE WHEN :headway = 1 THEN 0 ELSE deaths END WHERE {held}",
        id=job.id,
        token=job.token,
        state=told.state,
        pages=pages + more,
        pages_total=told.pages_total,
        chunks=max(chunks, told.chunks_done),
        chunks_total=told.chunks_total,
        waits_for=told.waits_for,
        headway=int(headway),
        changed=t.tick(),
    )
    if more:
        t.run("UPDATE tenants SET work = work + :more WHERE tenant = :t", more=float(more), t=job.tenant)
    return True


def _settle(t: Transaction, job: Job, how: Settlement) -> bool:
    ended = t.run(
        "UPDATE jobs SET state = :state, outcome = :outcome, reason = :reason, page_no = :page_no, detail ="
        " :detail, pages_done = CASE WHEN :pages > pages_done THEN :pages ELSE pages_done END, chunks ="
        " :chunks, tries = tries + :failed, worker = NULL, lease_until = 0, waits_for = NULL, settled_at ="
        f" :now, changed = :changed WHERE id = :id AND token = :token AND state IN {_RUNNING} RETURNING id",
        id=job.id,
        token=job.token,
        state=how.state,
        outcome=how.outcome,
        reason=how.reason,
        page_no=how.page_no,
        detail=how.detail,
        pages=how.pages,
        chunks=how.chunks,
        failed=int(how.state == "failed"),
        now=t.now,
        changed=t.tick(),
    )
    return bool(ended)


def _cancel(t: Transaction, job_id: str, tenant: str) -> Job | None:
    if _get(t, job_id, tenant) is None:
        return None
    t.run(
        "UPDATE jobs SET state = 'cancelled', reason = 'cancelled', worker = NULL, lease_until = 0,"
        " waits_for = NULL, detail = 'It was cancelled.', settled_at = :now, token = :changed,"
        f" changed = :changed WHERE id = :id AND state IN {_ACTIVE}",
        id=job_id,
        now=t.now,
        changed=t.tick(),
    )
    return _get(t, job_id, tenant)


def _retry(t: Transaction, job_id: str, tenant: str) -> Job | None:
    job = _get(t, job_id, tenant)
    if job is None or job.state not in ("failed", "quarantined", "cancelled"):
        return job
    _supersede(t, job)
    _level(t, tenant)
    t.run(
        "UPDATE jobs SET state = 'queued', seq = :seq, run_at = :now, due_at = :now, changed = :seq,"
        f" {_AFRESH} WHERE id = :id",
        id=job_id,
        seq=t.tick(),
        now=t.now,
    )
    return _get(t, job_id, tenant)


def _withdraw(t: Transaction, document_id: str) -> int:
    token = t.tick()
    t.run(
        "UPDATE jobs SET state = 'cancelled', reason = 'removed', worker = NULL, lease_until = 0, waits_for ="
        " NULL, detail = 'The document was removed meanwhile.', settled_at = :now, token = :token, changed ="
        f" :token WHERE document_id = :document_id AND state IN {_ACTIVE}",
        document_id=document_id,
        now=t.now,
        token=token,
    )
    return token


def _get(t: Transaction, job_id: str, tenant: str) -> Job | None:
    rows = t.run(f"SELECT {_JOB} FROM jobs WHERE id = :id AND tenant = :tenant", id=job_id, tenant=tenant)
    return _job(rows[0]) if rows else None


def _one(t: Transaction, job_id: str) -> Job:
    return _job(t.run(f"SELECT {_JOB} FROM jobs WHERE id = :id", id=job_id)[0])


def _job(row: Row) -> Job:
    values = dict(zip(_COLUMNS, row, strict=True))
    odd = {"groups": tuple(json.loads(str(values["groups"]))), "ours": bool(values["ours"])}
    return Job(**values | odd)  # type: ignore[arg-type]


#: Of one file alone: what its last tick was.
_TICKS = "CREATE TABLE ticks (last BIGINT NOT NULL); INSERT INTO ticks VALUES (0)"


class SqliteDatabase:
    """The tables in one file."""

    for_update = ""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._turn = threading.Lock()

    @classmethod
    def open(cls, path: Path | str, *, clock: Callable[[], float] = time.time) -> SqliteDatabase:
        """Open the file `path`, or make it. Raises Incompatible for another version's."""
        try:
            connection = connect(path)
            version = make(connection, f"{TABLES};{_TICKS}", version=SCHEMA)
        except sqlite3.Error as error:
            raise LibraryError(f"The jobs do not open ({error}): restore or remove their file.") from error
        if version != SCHEMA:
            connection.close()
            raise Incompatible(
                f"The jobs are of version {version}, this program reads {SCHEMA}: "
                "use the program that made them."
            )
        return cls(connection, clock)

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one transaction."""
        with self._turn:
            try:
                with transaction(self._connection):
                    return work(_SqliteTransaction(self._connection, self._clock()))
            except sqlite3.Error as error:
                raise LibraryError(f"The jobs' file failed: {error}") from error

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._connection.close()


class _SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection = connection
        self.now = now

    def run(self, sql: str, **values: object) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def tick(self) -> int:
        return next_tick(self, self.now)


def next_tick(t: Transaction, now: float) -> int:
    """Count on from the clock's milliseconds: a store that was lost and made anew does not count back."""
    rows = t.run(
        "UPDATE ticks SET last = CASE WHEN last + 1 > :ms THEN last + 1 ELSE :ms END RETURNING last",
        ms=int(now * 1000),
    )
    return int(str(rows[0][0]))


def open_jobs(path: Path, *, lease_s: float = 12.0, retry: Retry = USUAL) -> SqlJobs:
    """Open the jobs of a library in the file `path`, or make it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqlJobs(SqliteDatabase.open(path), lease_s=lease_s, retry=retry)
