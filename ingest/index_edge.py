"""The library's index inside this process: Qdrant Edge, one shard in one folder, one owner at a time.

New points are searched plainly; from a million of them on a graph (HNSW) over int8 vectors is due, whose best
are scored again at full precision. `EdgeShard.optimize` holds the GIL for its whole run, so a child process
runs it on a copy, and what was written meanwhile is written to the copy too before that takes over
(docs/benchmarks/index.md). Writes go in small batches through one thread because `update` and `flush` hold
the GIL too; `query` lets go of it. BM25's IDF is counted over the caller's tenant only.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import anyio.to_thread
import numpy as np
import qdrant_edge as edge
from anyio import CapacityLimiter
from numpy.typing import NDArray

from ingest.errors import Incompatible, LibraryError, Locked
from ingest.index import FILTERED, SPARSE, Found, Payload, Point, SparseVector, found, in_order
from ingest.records import Chunk, Scope
from ingest.shards import copy_sparse, current, graphed, make_current, replace_text, successor

T = TypeVar("T")
log = logging.getLogger(__name__)

#: Version of what is stored: raise it when `Payload` or the sparse encoder changes.
_LAYOUT = 1
#: Points written while the loop waits for the GIL: 256 take about 50 ms.
_WRITTEN_AT_ONCE = 256
_READ_AT_ONCE = 512
_READERS = 4
#: Points without a graph from which one is built. Until then search is plain and exact (20 ms a hybrid
#: question at 100,000); the graph finds .95 of the ten nearest there, less than is promised.
OPTIMISED_FROM = 1_000_000
#: Writes kept to be made again on the copy while the graph is built, 256 points each (about 0.4 MB).
_REPLAYED_AT_MOST = 400
#: Candidates scored again at full precision, times what was asked for (docs/benchmarks/index.md).
_OVERSAMPLED = 3.0
#: Points of the graph that a search looks at: recall@10 .829 with the usual 100, .952 with these.
_EXAMINED = 512


class EdgeSparseEncoder:
    """BM25 term weights of Qdrant Edge: English stemming and stop words, no model to fetch."""

    def __init__(self) -> None:
        self._bm25 = edge.Bm25()

    def document(self, text: str) -> SparseVector:
        """Weigh the terms of a text on its way into the index."""
        return _plain(self._bm25.embed_document(text))

    def query(self, text: str) -> SparseVector:
        """Weigh the terms of a question."""
        return _plain(self._bm25.embed_query(text))


def edge_sparse_encoder() -> EdgeSparseEncoder:
    """Make the encoder that a Qdrant server's index takes too, so that both rank alike."""
    return EdgeSparseEncoder()


@dataclass(slots=True)
class _Opened:
    """A shard in use, and how many searches are in it."""

    shard: edge.EdgeShard
    path: Path
    readers: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


class EdgeIndex:
    """An `Index` on one Edge shard. Open it with `EdgeIndex.open`; a second process gets `Locked`."""

    def __init__(self, opened: _Opened, *, vector_name: str, dimensions: int) -> None:
        self._opened = opened
        self._vector_name = vector_name
        self._dimensions = dimensions
        self._sparse = EdgeSparseEncoder()
        self._writing = CapacityLimiter(1)
        self._reading = CapacityLimiter(_READERS)
        #: What was written since a copy was taken; None while there is no copy.
        self._meanwhile: list[edge.UpdateOperation] | None = None

    @classmethod
    def open(cls, path: Path, *, vector_name: str, dimensions: int) -> EdgeIndex:
        """Open the index in the folder `path`, or make it.

        Raises Locked where another process owns it, Incompatible where another embedder or version made it.
        """
        _check_or_sign(path, {"layout": _LAYOUT, "vector": vector_name, "dimensions": dimensions})
        shard_folder = current(path)
        with _translated():
            shard = _shard(shard_folder, vector_name, dimensions)
        return cls(_Opened(shard, shard_folder), vector_name=vector_name, dimensions=dimensions)

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points; the same ids again change nothing."""
        for at in range(0, len(points), _WRITTEN_AT_ONCE):
            await self._write(partial(self._upsert, points[at : at + _WRITTEN_AT_ONCE]))

    async def flush(self) -> None:
        """Make what was written outlive a power cut (a kill it outlives anyway: there is a log)."""
        await self._write(self._flush)

    async def search(
        self, *, text: str, vector: NDArray[np.float32], scope: Scope, limit: int
    ) -> list[Found]:
        """Return the union of the dense and the BM25 leg (`limit` each), both within `scope`, unordered."""
        return await self._read(partial(self._search, text, vector, scope, limit))

    async def chunks(self, *, document_id: str, revision: str, page_no: int | None = None) -> list[Chunk]:
        """Return a revision's chunks (of one page, or all), in page order then place."""
        wanted = {"document_id": document_id, "revision": revision}
        must: list[edge.ConditionType] = [_is(key, value) for key, value in wanted.items()]
        if page_no is not None:
            must.append(_is("page_no", page_no))
        return await self._read(partial(self._scroll, edge.Filter(must=must)))

    async def get(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks that exist among `chunk_ids`, in the order asked."""
        return await self._read(partial(self._retrieve, chunk_ids))

    async def delete(self, *, document_id: str, keep_revision: str | None = None) -> None:
        """Remove a document's points, all of them or all but those of `keep_revision`."""
        kept: list[edge.ConditionType] = [] if keep_revision is None else [_is("revision", keep_revision)]
        doomed = edge.Filter(must=[_is("document_id", document_id)], must_not=kept)
        await self._write(partial(self._update, edge.UpdateOperation.delete_points_by_filter(doomed)))

    async def count(self) -> int:
        """Return the number of points."""
        return await self._read(self._count)

    async def close(self) -> None:
        """Flush and release; afterwards another process may open it."""
        await self._write(self._close)

    async def copy_to(self, folder: Path) -> None:
        """Copy the index as it is now to `folder`, which must not exist; writes wait, searches go on."""
        await self._write(partial(self._copy, folder / self._opened.path.name))
        for name in ("meta.json", "current"):
            if (self._opened.path.parent / name).exists():
                shutil.copyfile(self._opened.path.parent / name, folder / name)

    async def optimise(self, *, least: int = OPTIMISED_FROM) -> bool:
        """Build the graph where `least` points have none, while reads and writes go on; False: not due.

        Raises LibraryError where the child fails or too much is written meanwhile; the index stays as it was.
        """
        points = await self.count()
        if self._meanwhile is not None or abs(points - graphed(self._opened.path.parent)) < least:
            return False
        copy = successor(self._opened.path)
        try:
            await self._write(partial(self._copy_and_note, copy))
            await _in_child(copy, self._vector_name, self._dimensions)
            before = await self._write(partial(self._take_over, copy, graphed=points))
        except LibraryError:
            # Not where it is cancelled: the thread that makes the copy the live one may still be at it.
            await asyncio.to_thread(shutil.rmtree, copy, ignore_errors=True)
            raise
        finally:
            self._meanwhile = None
        while before.readers:
            before.idle.clear()
            await before.idle.wait()
        await asyncio.to_thread(_thrown_away, before)
        return True

    async def _write(self, call: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(_guarded, call, limiter=self._writing)

    async def _read(self, call: Callable[[edge.EdgeShard], T]) -> T:
        # The shard is taken once: a search that began on one ends on it.
        opened = self._opened
        opened.readers += 1
        try:
            return await anyio.to_thread.run_sync(
                _guarded, partial(call, opened.shard), limiter=self._reading
            )
        finally:
            opened.readers -= 1
            opened.idle.set()

    def _copy(self, target: Path) -> None:
        self._opened.shard.flush()
        try:
            copy_sparse(self._opened.path, target)
        except OSError as error:
            raise LibraryError(
                f"The index could not be copied ({error}): make room and try again."
            ) from error

    def _copy_and_note(self, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        self._copy(target)
        self._meanwhile = []

    def _take_over(self, copy: Path, *, graphed: int) -> _Opened:
        """Write to the copy what was written meanwhile and make it the live shard; returns the one before."""
        if self._meanwhile is None:
            raise LibraryError("More was written than can be written again; the graph is built another time.")
        before = self._opened
        shard = _shard(copy, self._vector_name, self._dimensions)
        for operation in self._meanwhile:
            shard.update(operation)
        shard.flush()
        make_current(copy, graphed=graphed)
        self._opened = _Opened(shard, copy)
        self._meanwhile = None
        return before

    def _upsert(self, points: Sequence[Point]) -> None:
        self._update(edge.UpdateOperation.upsert_points([self._laid_out(point) for point in points]))

    def _laid_out(self, point: Point) -> edge.Point:
        vectors = {
            self._vector_name: point.vector.tolist(),
            SPARSE: _sparse(self._sparse.document(point.words)),
        }
        return edge.Point(point.chunk.id, vectors, Payload.of(point).stored())

    def _update(self, operation: edge.UpdateOperation) -> None:
        self._opened.shard.update(operation)
        if self._meanwhile is not None:
            self._meanwhile.append(operation)
            if len(self._meanwhile) > _REPLAYED_AT_MOST:
                self._meanwhile = None

    def _flush(self) -> None:
        self._opened.shard.flush()

    def _close(self) -> None:
        self._opened.shard.flush()
        self._opened.shard.close()

    def _count(self, shard: edge.EdgeShard) -> int:
        return int(shard.count(edge.CountRequest(exact=True)))

    def _search(
        self, text: str, vector: NDArray[np.float32], scope: Scope, limit: int, shard: edge.EdgeShard
    ) -> list[Found]:
        legs = (
            edge.Query.Nearest(vector.tolist(), using=self._vector_name),
            edge.Query.Nearest(_sparse(self._sparse.query(text)), using=SPARSE),
        )
        own = edge.Filter(must=[_is("tenant", scope.tenant)])
        requests = [
            edge.QueryRequest(
                limit=limit,
                query=leg,
                filter=_allowed(scope),
                with_payload=True,
                params=edge.SearchParams(idf=edge.IdfParams(corpus=own)) if using == SPARSE else _rescored(),
            )
            for leg, using in zip(legs, (self._vector_name, SPARSE), strict=True)
        ]
        dense, sparse = (_scored(leg) for leg in shard.query_batch(edge.QueryBatchRequest(requests)))
        missing = sparse.keys() - dense.keys()
        return found(dense, sparse, beside=self._cosines(vector, missing, scope, shard))

    def _cosines(
        self, vector: NDArray[np.float32], chunk_ids: Set[str], scope: Scope, shard: edge.EdgeShard
    ) -> dict[str, float]:
        """Score points that only the words brought."""
        if not chunk_ids:
            return {}
        request = edge.QueryRequest(
            limit=len(chunk_ids),
            query=edge.Query.Nearest(vector.tolist(), using=self._vector_name),
            filter=edge.Filter(must=[_allowed(scope), edge.HasIdCondition(set(chunk_ids))]),
            params=edge.SearchParams(exact=True, quantization=edge.QuantizationSearchParams(ignore=True)),
        )
        return {str(point.id): float(point.score) for point in shard.query(request)}

    def _scroll(self, wanted: edge.Filter, shard: edge.EdgeShard) -> list[Chunk]:
        payloads: dict[str, Payload] = {}
        offset = None
        while True:
            request = edge.ScrollRequest(offset=offset, limit=_READ_AT_ONCE, filter=wanted, with_payload=True)
            records, offset = shard.scroll(request)
            payloads |= {str(record.id): Payload.model_validate(record.payload) for record in records}
            if offset is None:
                return in_order(payloads)

    def _retrieve(self, chunk_ids: Sequence[str], shard: edge.EdgeShard) -> list[Chunk]:
        wanted: list[edge.PointId] = [one for one in chunk_ids if _is_uuid(one)]
        records = shard.retrieve(wanted, with_payload=True, with_vector=False)
        by_id = {str(one.id): Payload.model_validate(one.payload).chunk(str(one.id)) for one in records}
        return [by_id[one] for one in chunk_ids if one in by_id]


def _allowed(scope: Scope) -> edge.Filter:
    """Say a scope as a filter; an empty list in it matches nothing."""
    readable = edge.Filter(
        should=[
            edge.IsEmptyCondition("groups"),
            edge.FieldCondition("groups", match=edge.MatchAny(list(scope.groups))),
        ]
    )
    must: list[edge.ConditionType] = [
        _is("tenant", scope.tenant),
        _is_any("collection", scope.collections),
        readable,
    ]
    if scope.documents is not None:
        must.append(_is_any("document_id", scope.documents))
    return edge.Filter(must=must)


def _is(key: str, value: str | int) -> edge.FieldCondition:
    return edge.FieldCondition(key, match=edge.MatchValue(value))


def _is_any(key: str, values: Sequence[str]) -> edge.FieldCondition:
    return edge.FieldCondition(key, match=edge.MatchAny(list(values)))


def _scored(points: Sequence[edge.ScoredPoint]) -> dict[str, tuple[float, Payload]]:
    return {str(point.id): (float(point.score), Payload.model_validate(point.payload)) for point in points}


def _sparse(vector: SparseVector) -> edge.SparseVector:
    return edge.SparseVector(list(vector.indices), list(vector.values))


def _plain(vector: edge.SparseVector) -> SparseVector:
    return SparseVector(indices=tuple(vector.indices), values=tuple(vector.values))


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _config(vector_name: str, dimensions: int) -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors={vector_name: edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Cosine)},
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        quantization_config=edge.ScalarQuantizationConfig(
            edge.ScalarType.Int8, quantile=0.99, always_ram=True
        ),
    )


def _rescored() -> edge.SearchParams:
    """Score the best of a graph over int8 vectors again; plain segments are exact anyway."""
    again = edge.QuantizationSearchParams(rescore=True, oversampling=_OVERSAMPLED)
    return edge.SearchParams(hnsw_ef=_EXAMINED, quantization=again)


def _shard(folder: Path, vector_name: str, dimensions: int) -> edge.EdgeShard:
    """Open a shard, or make it, with an index on each payload field that filters use."""
    config = _config(vector_name, dimensions)
    if folder.is_dir() and any(folder.iterdir()):
        shard = edge.EdgeShard.load(str(folder), config)
    else:
        folder.mkdir(exist_ok=True)
        shard = edge.EdgeShard.create(str(folder), config)
    indexed = shard.info().payload_schema
    for name in FILTERED:
        if name not in indexed:
            shard.update(edge.UpdateOperation.create_field_index(name, edge.PayloadSchemaType.Keyword))
    return shard


async def _in_child(folder: Path, vector_name: str, dimensions: int) -> None:
    """Optimise the shard in `folder` in a process of its own, which a cancelled caller takes along."""
    child = multiprocessing.get_context("spawn").Process(
        target=_optimised, args=(str(folder), vector_name, dimensions), daemon=True
    )
    child.start()
    try:
        await anyio.to_thread.run_sync(child.join, abandon_on_cancel=True)
    finally:
        if child.is_alive():
            child.kill()
            # A moment: what it still writes would stand in the way of the next copy.
            child.join()
    if child.exitcode != 0:
        raise LibraryError(
            f"Building the graph of the index ended with {child.exitcode}; it stays as it was."
        )


def _optimised(folder: str, vector_name: str, dimensions: int) -> None:
    """Run in the child: build graphs and int8 vectors, behind everything else on the machine."""
    os.nice(10)
    shard = edge.EdgeShard.load(folder, _config(vector_name, dimensions))
    shard.optimize()
    shard.flush()
    shard.close()


def _thrown_away(before: _Opened) -> None:
    """Release a shard that nobody reads any longer, and its folder."""
    with _translated():
        before.shard.close()
    shutil.rmtree(before.path, ignore_errors=True)


def _check_or_sign(path: Path, made_with: dict[str, object]) -> None:
    """Compare what made the index with what opens it; sign a new one."""
    signature = path / "meta.json"
    if not signature.exists():
        path.mkdir(parents=True, exist_ok=True)
        replace_text(signature, json.dumps(made_with))
        return
    try:
        signed = json.loads(signature.read_text())
    except ValueError as error:
        raise LibraryError("The index's meta.json is damaged: add the documents to a new library.") from error
    if signed != made_with:
        raise Incompatible(
            f"The library was made with {signed}, this is {made_with}: add the documents to a new library."
        )


def _guarded(call: Callable[[], T]) -> T:
    with _translated():
        return call()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn Edge's errors into ours: it raises plain `Exception`, told apart by its text alone (0.9.0)."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        if "WouldBlock" in str(error):
            raise Locked("Another process owns this library: stop it, or ask through its server.") from error
        raise LibraryError(f"The index failed: {error}") from error
