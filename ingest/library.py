"""The library: all that the agent reads. Search, rerank, look, and page images, always within a scope.

It hides index, embedder, reranker, vision and registry; every read checks the scope again, so that a
deleted or revoked document is gone from old answers too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ingest.records import Box, Chunk, Document, Hit, Scope
from ingest.vision import Finding


class Library(Protocol):
    """What the agent reads (the class below satisfies it; tests bring their own)."""

    vision: str
    languages: tuple[str, ...]

    async def search(self, query: str, *, scope: Scope, limit: int) -> list[Hit]:
        """Dense + BM25, fused, reranked; only live revisions; best first."""
        ...

    async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
        """Score passages against `query` with the cross-encoder (order only), in the order given."""
        ...

    async def chunks(self, chunk_ids: Sequence[str], *, scope: Scope) -> list[Chunk]:
        """Read chunks again through the caller's scope; those gone or out of scope are left out."""
        ...

    async def on_page(self, document_id: str, page_no: int, *, scope: Scope) -> list[Chunk]:
        """Return the chunks of a page, in reading order; [] where it is absent or not allowed."""
        ...

    async def look(self, chunks: Sequence[Chunk], *, question: str, scope: Scope) -> list[Finding]:
        """Look at the regions of `chunks` on their page images."""
        ...

    async def page_image(
        self,
        document_id: str,
        page_no: int,
        *,
        scope: Scope,
        marks: Sequence[Box] = (),
        veils: Sequence[Box] = (),
    ) -> bytes | None:
        """Render a page as PNG with `marks` highlighted and `veils` painted over; None: absent or not allowed."""
        ...

    async def document(self, document_id: str, *, scope: Scope) -> Document | None:
        """Return a live document, or None: absent and not allowed look the same."""
        ...

    async def documents(self, *, scope: Scope) -> list[Document]:
        """List the live documents that the scope allows, by name."""
        ...
