"""The seam to the vector index: `index_edge.py` in-process, `index_server.py` against a Qdrant server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ingest.records import Chunk, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A chunk on its way into the index, with its vector and what scope filters need."""

    chunk: Chunk
    #: (d,) float32, unit length.
    vector: NDArray[np.float32]
    tenant: str
    collection: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A chunk as the index returns it, with the scores of the legs that saw it."""

    chunk: Chunk
    #: Cosine in [-1, 1]; None where the dense leg did not bring it.
    dense: float | None
    #: BM25, >= 0, unnormalised; None where the sparse leg did not bring it.
    sparse: float | None


class Index(Protocol):
    """Stores points and finds them within a scope. Raises LibraryError; a filter that fails is an error."""

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points; the same ids again change nothing."""
        ...

    async def search(
        self, *, text: str, vector: NDArray[np.float32], scope: Scope, limit: int
    ) -> list[Found]:
        """Return the union of the dense and the BM25 leg (`limit` each), both within `scope`, unordered."""
        ...

    async def chunks(self, *, document_id: str, revision: str, page_no: int | None = None) -> list[Chunk]:
        """Return a revision's chunks (of one page, or all), in page order then place."""
        ...

    async def get(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks that exist among `chunk_ids`, in the order asked. Scope is the caller's duty."""
        ...

    async def delete(self, *, document_id: str, keep_revision: str | None = None) -> None:
        """Remove a document's points, all of them or all but those of `keep_revision`."""
        ...

    async def count(self) -> int:
        """Return the number of points."""
        ...

    async def close(self) -> None:
        """Flush and release; afterwards another process may open it."""
        ...
