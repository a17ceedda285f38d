"""The house as its doors see it: an agent to ask, a shelf to fill, and a plain word on what it can do.

HTTP and the command line know only this file; `wiring.py` builds the real one and tests bring a scripted one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from agent.records import WrittenBy
from ingest.records import Document, Outcome, Scope

if TYPE_CHECKING:
    from agent.run import Agent

#: Called with (stage, done, total) of the file being added: pages while it is read, chunks later; "wait"
#: while it waits for a model server that is down.
OnProgress = Callable[[Literal["read", "wait", "embed", "screen", "shelve"], int, int], None]


class Shelf(Protocol):
    """Documents on their way in and out, and the list of those that a caller may see."""

    async def add(
        self,
        path: Path,
        *,
        name: str,
        tenant: str,
        collection: str,
        groups: Sequence[str] = (),
        on_progress: OnProgress | None = None,
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
    capabilities: Capabilities
    readiness: Callable[[], Awaitable[list[Part]]]
    #: Starts what would otherwise start with the first question (the local model).
    warm: Callable[[], Coroutine[None, None, None]]
    #: Why changed policy files are not in force, None where all are.
    policy_fault: Callable[[], str | None] = lambda: None
