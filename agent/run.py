"""The public face of the agent: ask, search, page. Content leaves the house only through here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from agent.records import Event, Question, SearchResult
from ingest.records import Box, Scope


class Agent(Protocol):
    """Asks, searches and shows pages, always within a scope and through the rails."""

    def ask(self, question: Question) -> AsyncIterator[Event]:
        """Yield steps and released sentences, then exactly one Answer. Close it to cancel (aclosing)."""
        ...

    async def search(self, query: str, *, scope: Scope, limit: int) -> SearchResult:
        """Run the first half of the graph: screen the question, retrieve, screen the evidence."""
        ...

    async def page(
        self, document_id: str, page_no: int, *, scope: Scope, marks: Sequence[Box] = ()
    ) -> bytes | None:
        """Return a page as PNG with `marks` highlighted; None where absent or not allowed."""
        ...
