"""The house as its doors see it: an agent to ask, a shelf to fill, and a plain word on what it can do.

HTTP and the command line know only this file; `wiring.py` builds the real one and tests bring a scripted one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from agent.records import WrittenBy
from ingest.jobs import Desk, Job
from ingest.records import Document, Outcome, Scope

if TYPE_CHECKING:
    from agent.run import Agent
    from api.schemas import PolicyOut
    from api.telemetry import Telemetry
    from ingest.rescreen import Rescreened


class Shelf(Protocol):
    """Documents on their way in and out, and the list of those that a caller may see."""

    async def add(
        self, path: Path, *, name: str, tenant: str, collection: str, groups: Sequence[str] = ()
    ) -> Outcome:
        """Read, screen and shelve one file, for `groups` alone where some are named.

        A file at fault is an outcome, not an exception.
        """
        ...

    async def remove(self, document_id: str, *, scope: Scope) -> bool:
        """Take a document off the shelf; False: absent or not allowed."""
        ...

    async def document(self, document_id: str, *, scope: Scope) -> Document | None:
        """Return a document; None: absent or not allowed."""
        ...

    async def page_images(self, document_id: str, *, scope: Scope) -> list[int]:
        """Number the pages that have an image; [] where it is absent or not allowed."""
        ...

    async def scenes(self, document_id: str, *, scope: Scope) -> dict[int, tuple[float, float]]:
        """Return the seconds of a film's pages, by number; {} for anything else."""
        ...

    async def documents(self, *, scope: Scope) -> list[Document]:
        """List what the scope allows, by name."""
        ...

    async def collections(self, *, tenant: str) -> tuple[str, ...]:
        """Return the collections of a tenant."""
        ...

    async def stored(self, *, tenant: str) -> int:
        """Return the bytes that a tenant's documents hold: for limits, never for a caller."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A file that somebody wants to be added."""

    path: Path
    name: str
    tenant: str
    collection: str
    groups: tuple[str, ...] = ()
    #: Whether the file was put there for us, to be moved and removed as we like.
    ours: bool = False
    #: The caller's own name for the request (`Idempotency-Key`).
    key: str | None = None


class Intake(Protocol):
    """Where files become jobs."""

    async def enqueue(self, files: Sequence[Incoming]) -> list[Job]:
        """Take files as jobs, at once and in the order given. Raises KeyReused."""
        ...

    async def settled(self, jobs: Sequence[Job], *, within_s: float) -> list[Job]:
        """Return the jobs as they stand once all are settled, or after so long."""
        ...

    async def cancel(self, job_id: str, *, tenant: str) -> Job | None:
        """Cancel a job and whatever is under way for it; None: there is none."""
        ...

    async def retry(self, job_id: str, *, tenant: str) -> Job | None:
        """Queue a job again that did not end on the shelf; None: there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What this house has, told to every caller; what it lacks is named, never faked."""

    profile: Literal["embedded", "served"]
    #: "ocr-layout", or the id of a model that looks.
    vision: str
    languages: tuple[str, ...]
    reasoning: WrittenBy
    #: The model that writes, for people; None where quotes are the answer.
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the house, for `/readyz`."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything the doors need."""

    agent: Agent
    shelf: Shelf
    intake: Intake
    jobs: Desk
    capabilities: Capabilities
    readiness: Callable[[], Awaitable[list[Part]]]
    #: Starts what would otherwise start with the first question (the local model).
    warm: Callable[[], Coroutine[None, None, None]]
    #: Starts the worker in this process, for what was left over from before.
    work: Callable[[], None]
    #: Why changed policy files are not in force, None where all are.
    policy_fault: Callable[[], str | None] = lambda: None
    #: The policy in force for (scope, channel); None where none is told.
    policy: Callable[[Scope, str], PolicyOut | None] = lambda scope, channel: None
    #: The file in which the rails record their verdicts; None where none is kept.
    audit: str | None = None
    #: Judges again what lies on the shelf under another policy or model than those in force; None: no shelf
    #: of its own. Called with each document's name and what became of it.
    rescreen: Callable[[Callable[[str, str], object]], Awaitable[Rescreened]] | None = None
    #: What is counted and traced; None where nothing is.
    telemetry: Telemetry | None = None
