"""A library with pages hidden, to see what becomes of a question whose answer is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ingest.library import WHOLE, Library
from ingest.records import Box, Chunk, Document, Film, Framing, Hit, Scope
from ingest.vision import Finding

#: More hits are asked for than wanted, because the hidden pages are those that come first.
_DEEPER = 24


class Hiding:
    """A Library over another: chunks of `pages`, (document id, page number), are as if never shelved."""

    def __init__(self, library: Library) -> None:
        self.vision, self.languages = library.vision, library.languages
        self.pages: set[tuple[str, int]] = set()
        self._library = library

    async def search(self, query: str, *, scope: Scope, limit: int, **more: Any) -> list[Hit]:
        """Search, and leave out what is hidden."""
        hits = await self._library.search(query, scope=scope, limit=limit + _DEEPER, **more)
        return [hit for hit in hits if self._shown(hit.chunk)][:limit]

    async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
        """Score passages; see Library."""
        return await self._library.rerank(query, passages)

    async def chunks(self, chunk_ids: Sequence[str], *, scope: Scope) -> list[Chunk]:
        """Read chunks that are not hidden."""
        found = await self._library.chunks(chunk_ids, scope=scope)
        return [chunk for chunk in found if self._shown(chunk)]

    async def on_page(self, document_id: str, page_no: int, *, scope: Scope) -> list[Chunk]:
        """Return the chunks of a page; none of a hidden one."""
        if (document_id, page_no) in self.pages:
            return []
        return await self._library.on_page(document_id, page_no, scope=scope)

    async def around(self, chunk_ids: Sequence[str], *, scope: Scope) -> dict[str, list[Chunk]]:
        """Return what belongs to each chunk, without what is hidden."""
        found = await self._library.around(chunk_ids, scope=scope)
        shown = {id_: [chunk for chunk in near if self._shown(chunk)] for id_, near in found.items()}
        return {id_: near for id_, near in shown.items() if any(chunk.id == id_ for chunk in near)}

    async def look(
        self, chunks: Sequence[Chunk], *, question: str, scope: Scope, max_tokens: int
    ) -> list[Finding]:
        """Look at regions; what is hidden shows nothing."""
        shown = [chunk for chunk in chunks if self._shown(chunk)]
        found = iter(await self._library.look(shown, question=question, scope=scope, max_tokens=max_tokens))
        return [next(found) if self._shown(c) else Finding(outcome="nothing") for c in chunks]

    async def page_image(
        self,
        document_id: str,
        page_no: int,
        *,
        scope: Scope,
        marks: Sequence[Box] = (),
        veils: Sequence[Box] = (),
        framing: Framing = WHOLE,
    ) -> bytes | None:
        """Show a page; None for a hidden one."""
        if (document_id, page_no) in self.pages:
            return None
        return await self._library.page_image(
            document_id, page_no, scope=scope, marks=marks, veils=veils, framing=framing
        )

    async def film(self, document_id: str, *, scope: Scope) -> tuple[Film, list[Chunk]] | None:
        """Return a film; None where any of its scenes is hidden."""
        if any(document == document_id for document, _ in self.pages):
            return None
        return await self._library.film(document_id, scope=scope)

    async def document(self, document_id: str, *, scope: Scope) -> Document | None:
        """Return a document; see Library."""
        return await self._library.document(document_id, scope=scope)

    async def documents(self, *, scope: Scope) -> list[Document]:
        """List documents; see Library."""
        return await self._library.documents(scope=scope)

    def _shown(self, chunk: Chunk) -> bool:
        return (chunk.document_id, chunk.page_no) not in self.pages
