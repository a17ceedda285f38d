"""Jobs: what somebody asked to be added, kept on disk until it is shelved, failed, or given up by name.

A worker holds a job by a lease that it renews; each claim gets a token from one clock that only goes up, and
every later write names it. The registry compares the same token (`Registry.begin`), so a worker that was
frozen past its lease and wakes up changes nothing. Deaths of a worker count against the job at hand only
while it makes no headway, and a suspect runs alone: what kills its worker takes nobody along twice.

queued → reading → embedding → shelved | failed | quarantined | cancelled
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal, Protocol

from ingest.records import OutcomeKind, document_id, readers_key

JobState = Literal["queued", "reading", "embedding", "shelved", "failed", "quarantined", "cancelled"]
#: Held by a worker.
RUNNING: tuple[JobState, ...] = ("reading", "embedding")
ACTIVE: tuple[JobState, ...] = ("queued", *RUNNING)
SETTLED: tuple[JobState, ...] = ("shelved", "failed", "quarantined", "cancelled")

#: Namespace of job ids: it must never change, or the same file is another job.
_JOBS = uuid.uuid5(uuid.NAMESPACE_DNS, "jobs.pagewarden")
#: How much of a job is done once it is read.
_READ_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A file that somebody wants to be added."""

    tenant: str
    collection: str
    #: What it is called at its source, which is its key: the same name replaces.
    name: str
    #: Where it lies.
    path: str
    #: sha256 of its content, hex.
    revision: str
    bytes: int
    groups: tuple[str, ...] = ()
    #: Whether the file at `path` was put there for the job, and goes with it.
    ours: bool = False
    #: The caller's own name for the request; within a tenant the same key is the same job, whatever else.
    key: str | None = None

    @property
    def id(self) -> str:
        """The same content under the same name in the same place is the same job."""
        parts = (self.tenant, self.collection, readers_key(self.name, self.groups), self.revision)
        return str(uuid.uuid5(_JOBS, "\x1f".join(parts)))

    @property
    def document_id(self) -> str:
        """The document that it will be."""
        key = readers_key(self.name, self.groups)
        return document_id(tenant=self.tenant, collection=self.collection, source_key=key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it stands. Times are seconds since the epoch."""

    id: str
    #: Its place in the order of arrival.
    seq: int
    tenant: str
    collection: str
    groups: tuple[str, ...]
    name: str
    document_id: str
    revision: str
    bytes: int
    path: str
    ours: bool
    key: str | None
    state: JobState
    #: Fences the claim: greater with every claim; 0 before the first.
    token: int
    #: Who holds it; None where nobody does.
    worker: str | None
    #: Until when it is held without a sign of life.
    lease_until: float
    #: Orders the queue of a tenant: the time it came, and later the larger it is.
    due_at: float
    #: Not to be claimed before.
    run_at: float
    #: Attempts that ended with an error.
    tries: int
    #: Workers that died with it in hand and without headway.
    deaths: int
    #: Pages read and their number, over all attempts; 0 of 0 before the first page.
    pages_done: int
    pages_total: int
    chunks_done: int
    chunks_total: int
    #: What it waits for ("the model server"); None where it waits for nothing but its turn.
    waits_for: str | None
    outcome: OutcomeKind | None
    #: A code of `errors.py` for failed, of the rail for quarantined.
    reason: str | None
    #: The page at fault, where one is.
    page_no: int | None
    #: One sentence for people, with what to do.
    detail: str | None
    #: Chunks on the shelf.
    chunks: int
    created_at: float
    #: When the present or last attempt began.
    started_at: float | None
    settled_at: float | None
    #: Greater with every change of any job.
    changed: int

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.state in SETTLED

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        if self.is_settled:
            return 1.0
        read = _READ_SHARE * self.pages_done / max(self.pages_total, 1)
        return read + (1 - _READ_SHARE) * self.chunks_done / max(self.chunks_total, 1)

    def pages_per_s(self, now: float) -> float | None:
        """Return how fast its pages are read; None before the first."""
        if self.started_at is None or not self.pages_done:
            return None
        return self.pages_done / max((self.settled_at or now) - self.started_at, 1e-3)

    def eta_s(self, now: float) -> float | None:
        """Return how long it still takes at this rate; None where nobody can say."""
        if self.state not in RUNNING or self.started_at is None or not self.share:
            return None
        return max(0.0, now - self.started_at) * (1 - self.share) / self.share


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job is."""

    state: Literal["reading", "embedding"]
    pages_done: int = 0
    pages_total: int = 0
    chunks_done: int = 0
    chunks_total: int = 0
    waits_for: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a job ended."""

    state: Literal["shelved", "failed", "quarantined", "cancelled"]
    outcome: OutcomeKind | None = None
    reason: str | None = None
    page_no: int | None = None
    detail: str | None = None
    pages: int = 0
    chunks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Which failures are tried again, how often, and after how long."""

    #: Codes of `errors.py` that cost no attempt: something else is down, and the job says what it waits for.
    waits: Mapping[str, str]
    #: Codes that pass; "internal" is an error that nobody planned.
    passing: Set[str]
    #: Attempts at those, all told.
    tries: int = 3
    #: Workers that may die with a job in hand.
    deaths: int = 3
    #: The first pause; it doubles up to the longest.
    first_s: float = 2.0
    longest_s: float = 60.0

    def pause_s(self, tried: int, *, chance: float | None = None) -> float:
        """Return how long to wait after `tried` attempts, jittered so that many don't come back at once."""
        spread = 0.5 + (random.random() if chance is None else chance)
        return min(self.longest_s, self.first_s * 2.0 ** min(tried, 10)) * spread


#: A page that fails for a model server that is down fails for nobody's fault; the rails' indecision and a
#: disk that is full may pass.
USUAL = Retry(
    waits={"model_down": "the model server", "index_down": "the index server"},
    passing=frozenset({"unscreened", "library", "locked", "internal"}),
)


class Desk(Protocol):
    """Jobs as the doors see them; a tenant sees its own."""

    async def enqueue(self, wanted: Sequence[NewJob]) -> list[Job]:
        """Take jobs in one commit, in the order given; what is already queued or running is not doubled.

        A file that comes again under the same name takes the place of one that still waits.
        Raises KeyReused where an idempotency key came with another file.
        """
        ...

    async def get(self, job_id: str, *, tenant: str) -> Job | None:
        """Return a job; None: absent or another tenant's."""
        ...

    async def listed(
        self, *, tenant: str, states: Sequence[JobState] = (), since: int | None = None, limit: int = 100
    ) -> list[Job]:
        """List jobs, those changed last first; with `since`, what changed after it, in that order.

        No states means all.
        """
        ...

    async def counts(self, *, tenant: str) -> Mapping[JobState, int]:
        """Count jobs by state."""
        ...

    async def cancel(self, job_id: str, *, tenant: str) -> Job | None:
        """Cancel a job that is not settled; one that is stays as it is. None: there is none."""
        ...

    async def retry(self, job_id: str, *, tenant: str) -> Job | None:
        """Queue a failed, quarantined or cancelled job again, with all its attempts. None: there is none."""
        ...

    async def withdraw(self, document_id: str) -> int:
        """Cancel whatever is under way for a document, and return a token that fences it off."""
        ...


class Queue(Protocol):
    """Jobs as workers see them. What names a token that is no longer the job's changes nothing."""

    async def claim(
        self, worker: str, *, busy_with: Sequence[str] = (), newcomer: bool = False
    ) -> Job | None:
        """Hold the next job: of the tenant for whom least was done, the one due first. None: nothing to do.

        `busy_with` names the tenants of the jobs that the worker already runs. A `newcomer` is of none of
        them. A job whose worker died is given to an idle worker only, to run alone.
        """
        ...

    def beat(self, held: Mapping[str, int]) -> Set[str]:
        """Renew leases (job id → token); return the ids that are no longer held. Blocks, for a thread."""
        ...

    async def progress(self, job: Job, told: Progress) -> bool:
        """Note how far a job is; False: it is no longer held."""
        ...

    async def settle(self, job: Job, how: Settlement) -> bool:
        """End a job; False: it is no longer held."""
        ...

    async def give_back(
        self, job: Job, *, pause_s: float = 0.0, waits_for: str | None = None, error: Settlement | None = None
    ) -> bool:
        """Queue a job again; with an `error` it costs an attempt. False: it is no longer held."""
        ...

    async def expire(self) -> int:
        """End all leases at once: for the start of the one process that owns the library."""
        ...


class Jobs(Desk, Queue, Protocol):
    """All of it."""

    async def token(self) -> int:
        """Return a token for a change that no job makes; it fences off all that came before."""
        ...

    async def holds(self, token: int) -> bool:
        """Whether a job is held under this token."""
        ...

    async def uploads(self) -> Set[str]:
        """Return the paths of all files that jobs own."""
        ...

    async def purge(self, *, settled_before: float) -> list[Job]:
        """Forget jobs that settled before then; return them, so that their files can go too."""
        ...

    async def close(self) -> None:
        """Close the store."""
        ...
