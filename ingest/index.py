"""The seam to the vector index: `index_edge.py` in-process, `index_server.py` against a Qdrant server.

Both store the same payload, described here, and both filter *every* leg of a search: a filter on the fused
result alone would let foreign points crowd out one's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ingest.records import Box, Chunk, ElementKind, Moment, Scope, Span

#: Name of the sparse vector, in every index.
SPARSE = "bm25"
#: Payload fields that filters use; each has an index of its own.
FILTERED = ("tenant", "collection", "groups", "document_id", "revision")
#: Numbers a span takes in a payload: start, end, x0, y0, x1, y1.
_SPAN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A chunk on its way into the index, with its vector and what scope filters need."""

    chunk: Chunk
    #: (d,) float32, unit length.
    vector: NDArray[np.float32]
    #: The words that the BM25 leg finds it by: the text with its heading (see `chunk.indexed_text`).
    words: str
    #: Where it stands in its revision, from 0, in reading order.
    place: int
    tenant: str
    collection: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A chunk as the index returns it, with the scores of the legs that saw it."""

    chunk: Chunk
    #: Cosine in [-1, 1], also of what only the words brought; None where it is gone meanwhile.
    dense: float | None
    #: BM25, >= 0, unnormalised; None where the sparse leg did not bring it.
    sparse: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseVector:
    """Words as numbered weights; `indices` and `values` have the same length."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class SparseEncoder(Protocol):
    """Words to BM25 term weights; the index multiplies the IDF in."""

    def document(self, text: str) -> SparseVector:
        """Weigh the terms of a text on its way into the index."""
        ...

    def query(self, text: str) -> SparseVector:
        """Weigh the terms of a question."""
        ...


class Index(Protocol):
    """Stores points and finds them within a scope. Raises LibraryError; a filter that fails is an error."""

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points; the same ids again change nothing."""
        ...

    async def flush(self) -> None:
        """Make what was written outlive a power cut (a kill it outlives anyway)."""
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


class Payload(BaseModel):
    """A point's payload, as both indexes store it and as it is checked when read back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    collection: str
    #: Empty: everyone of the tenant.
    groups: tuple[str, ...]
    document_id: str
    revision: str
    page_no: int
    place: int
    kind: ElementKind
    text: str
    heading: str
    #: Spans laid end to end, six numbers each; boxes have four decimals (0.1 mm of an A4 page).
    spans: tuple[float, ...]
    #: Of films only, and left out of what is stored for pages: seconds, and moments laid end to end, four
    #: numbers each (start, end, start_s, end_s).
    start_s: float | None = None
    end_s: float | None = None
    moments: tuple[float, ...] | None = None

    @classmethod
    def of(cls, point: Point) -> Payload:
        """Lay a point out for storing."""
        chunk = point.chunk
        return cls(
            tenant=point.tenant,
            collection=point.collection,
            groups=point.groups,
            document_id=chunk.document_id,
            revision=chunk.revision,
            page_no=chunk.page_no,
            place=point.place,
            kind=chunk.kind,
            text=chunk.text,
            heading=chunk.heading,
            spans=tuple(chain.from_iterable(_numbers(span) for span in chunk.spans)),
            start_s=chunk.start_s,
            end_s=chunk.end_s,
            moments=tuple(chain.from_iterable(map(_timed, chunk.moments))) or None,
        )

    def stored(self) -> dict[str, object]:
        """Return what is stored: a page's payload is what it was before there were films."""
        return self.model_dump(mode="json", exclude_none=True)

    def chunk(self, chunk_id: str) -> Chunk:
        """Make the chunk again."""
        spans = (self.spans[at : at + _SPAN] for at in range(0, len(self.spans), _SPAN))
        return Chunk(
            id=chunk_id,
            document_id=self.document_id,
            revision=self.revision,
            page_no=self.page_no,
            kind=self.kind,
            text=self.text,
            heading=self.heading,
            spans=tuple(
                Span(start=int(start), end=int(end), box=Box(x0=x0, y0=y0, x1=x1, y1=y1))
                for start, end, x0, y0, x1, y1 in spans
            ),
            start_s=self.start_s,
            end_s=self.end_s,
            moments=tuple(
                Moment(start=int(start), end=int(end), start_s=start_s, end_s=end_s)
                for start, end, start_s, end_s in zip(*[iter(self.moments or ())] * 4, strict=True)
            ),
        )


def found(
    dense: Mapping[str, tuple[float, Payload]],
    sparse: Mapping[str, tuple[float, Payload]],
    *,
    beside: Mapping[str, float],
) -> list[Found]:
    """Unite two legs, chunk id → (score, payload); `beside`: cosines of what only the sparse leg brought."""
    cosines = {chunk_id: score for chunk_id, (score, _) in dense.items()} | dict(beside)
    return [
        Found(
            chunk=payload.chunk(chunk_id),
            dense=cosines.get(chunk_id),
            sparse=sparse[chunk_id][0] if chunk_id in sparse else None,
        )
        for chunk_id, (_, payload) in ({**sparse, **dense}).items()
    ]


def in_order(payloads: dict[str, Payload]) -> list[Chunk]:
    """Make chunks of payloads by id, in page order then place."""
    ordered = sorted(payloads.items(), key=lambda item: (item[1].page_no, item[1].place))
    return [payload.chunk(chunk_id) for chunk_id, payload in ordered]


def _timed(moment: Moment) -> tuple[float, ...]:
    return (moment.start, moment.end, round(moment.start_s, 2), round(moment.end_s, 2))


def _numbers(span: Span) -> tuple[float, ...]:
    box = span.box
    return (span.start, span.end, *(round(edge, 4) for edge in (box.x0, box.y0, box.x1, box.y1)))
