"""The library's index on a Qdrant server: many processes write and search at once.

Made after the same plan as the embedded index (`index_edge.py`) and held to it by one contract suite. BM25
term weights are computed here, not by the server, so that both rank alike; the server adds the IDF, counted
over the caller's tenant only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from ingest.errors import Incompatible, IndexDown, LibraryError
from ingest.index import FILTERED, SPARSE, Found, Payload, Point, SparseEncoder, SparseVector, found, in_order
from ingest.records import Chunk, Scope

_TIMEOUT_S = 30
_AT_ONCE = 256


class ServerIndex:
    """An `Index` in one collection of a Qdrant server. Open it with `ServerIndex.open`."""

    def __init__(
        self, client: AsyncQdrantClient, *, collection: str, vector_name: str, sparse: SparseEncoder
    ) -> None:
        self._client = client
        self._collection = collection
        self._vector_name = vector_name
        self._sparse = sparse

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        api_key: str | None,
        collection: str,
        vector_name: str,
        dimensions: int,
        sparse: SparseEncoder,
    ) -> ServerIndex:
        """Connect, and make the collection where it is missing (":memory:" is a server for tests).

        Raises IndexDown where nothing answers, Incompatible where another embedder made the collection.
        """
        if url == ":memory:":
            client = AsyncQdrantClient(location=url)
        else:
            client = AsyncQdrantClient(
                url=url, api_key=api_key, timeout=_TIMEOUT_S, check_compatibility=False
            )
        with _translated():
            if not await client.collection_exists(collection):
                await _create(client, collection, vector_name, dimensions)
            await _check(client, collection, vector_name, dimensions)
        return cls(client, collection=collection, vector_name=vector_name, sparse=sparse)

    async def upsert(self, points: Sequence[Point]) -> None:
        """Write points; the same ids again change nothing."""
        for at in range(0, len(points), _AT_ONCE):
            laid_out = [self._laid_out(point) for point in points[at : at + _AT_ONCE]]
            with _translated():
                await self._client.upsert(self._collection, points=laid_out, wait=True)

    async def flush(self) -> None:
        """Do nothing: the server acknowledges what its own log holds."""

    async def search(
        self, *, text: str, vector: NDArray[np.float32], scope: Scope, limit: int
    ) -> list[Found]:
        """Return the union of the dense and the BM25 leg (`limit` each), both within `scope`, unordered."""
        dense_leg = models.QueryRequest(
            query=vector.tolist(),
            using=self._vector_name,
            filter=_allowed(scope),
            limit=limit,
            with_payload=True,
        )
        own = models.Filter(must=[_is("tenant", scope.tenant)])
        sparse_leg = models.QueryRequest(
            query=_sparse(self._sparse.query(text)),
            using=SPARSE,
            filter=_allowed(scope),
            params=models.SearchParams(idf=models.IdfCorpusParams(corpus=own)),
            limit=limit,
            with_payload=True,
        )
        with _translated():
            legs = await self._client.query_batch_points(self._collection, requests=[dense_leg, sparse_leg])
        dense, sparse = (_scored(leg.points) for leg in legs)
        return found(dense, sparse, beside=await self._cosines(vector, sparse.keys() - dense.keys(), scope))

    async def _cosines(
        self, vector: NDArray[np.float32], chunk_ids: Set[str], scope: Scope
    ) -> dict[str, float]:
        """Score points that only the words brought."""
        if not chunk_ids:
            return {}
        with _translated():
            reply = await self._client.query_points(
                self._collection,
                query=vector.tolist(),
                using=self._vector_name,
                query_filter=models.Filter(
                    must=[_allowed(scope), models.HasIdCondition(has_id=sorted(chunk_ids))]
                ),
                limit=len(chunk_ids),
                with_payload=False,
            )
        return {str(point.id): float(point.score) for point in reply.points}

    async def chunks(self, *, document_id: str, revision: str, page_no: int | None = None) -> list[Chunk]:
        """Return a revision's chunks (of one page, or all), in page order then place."""
        must: list[models.Condition] = [_is("document_id", document_id), _is("revision", revision)]
        if page_no is not None:
            must.append(_is("page_no", page_no))
        payloads: dict[str, Payload] = {}
        offset = None
        while True:
            with _translated():
                records, offset = await self._client.scroll(
                    self._collection,
                    scroll_filter=models.Filter(must=must),
                    limit=_AT_ONCE,
                    offset=offset,
                    with_payload=True,
                )
            payloads |= {str(record.id): Payload.model_validate(record.payload) for record in records}
            if offset is None:
                return in_order(payloads)

    async def get(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks that exist among `chunk_ids`, in the order asked."""
        wanted = [one for one in chunk_ids if _is_uuid(one)]
        with _translated():
            records = await self._client.retrieve(self._collection, ids=wanted, with_payload=True)
        by_id = {str(one.id): Payload.model_validate(one.payload).chunk(str(one.id)) for one in records}
        return [by_id[one] for one in chunk_ids if one in by_id]

    async def delete(self, *, document_id: str, keep_revision: str | None = None) -> None:
        """Remove a document's points, all of them or all but those of `keep_revision`."""
        kept: list[models.Condition] = [] if keep_revision is None else [_is("revision", keep_revision)]
        doomed = models.Filter(must=[_is("document_id", document_id)], must_not=kept)
        with _translated():
            await self._client.delete(
                self._collection, points_selector=models.FilterSelector(filter=doomed), wait=True
            )

    async def count(self) -> int:
        """Return the number of points."""
        with _translated():
            return (await self._client.count(self._collection, exact=True)).count

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    def _laid_out(self, point: Point) -> models.PointStruct:
        return models.PointStruct(
            id=point.chunk.id,
            vector={
                self._vector_name: point.vector.tolist(),
                SPARSE: _sparse(self._sparse.document(point.words)),
            },
            payload=Payload.of(point).stored(),
        )


async def _create(client: AsyncQdrantClient, collection: str, vector_name: str, dimensions: int) -> None:
    await client.create_collection(
        collection,
        vectors_config={vector_name: models.VectorParams(size=dimensions, distance=models.Distance.COSINE)},
        sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    for name in FILTERED:
        await client.create_payload_index(collection, name, models.PayloadSchemaType.KEYWORD, wait=True)


async def _check(client: AsyncQdrantClient, collection: str, vector_name: str, dimensions: int) -> None:
    params = (await client.get_collection(collection)).config.params
    vectors = params.vectors if isinstance(params.vectors, dict) else {}
    fits = vector_name in vectors and vectors[vector_name].size == dimensions
    if not fits or SPARSE not in (params.sparse_vectors or {}):
        raise Incompatible(
            f"The collection {collection!r} was not made for {vector_name} with {dimensions} dimensions: "
            "name another collection, or add the documents again with the embedder that it was made with."
        )


def _allowed(scope: Scope) -> models.Filter:
    """Say a scope as a filter; an empty list in it matches nothing."""
    readable = models.Filter(
        should=[
            models.IsEmptyCondition(is_empty=models.PayloadField(key="groups")),
            _is_any("groups", scope.groups),
        ]
    )
    must: list[models.Condition] = [
        _is("tenant", scope.tenant),
        _is_any("collection", scope.collections),
        readable,
    ]
    if scope.documents is not None:
        must.append(_is_any("document_id", scope.documents))
    return models.Filter(must=must)


def _is(key: str, value: str | int) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _is_any(key: str, values: Sequence[str]) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))


def _scored(points: Sequence[models.ScoredPoint]) -> dict[str, tuple[float, Payload]]:
    return {str(point.id): (float(point.score), Payload.model_validate(point.payload)) for point in points}


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the client's errors into ours: what the server refused, and what never reached it."""
    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code is not None and error.status_code < 500:
            raise LibraryError(f"The index server refused the request ({error.status_code}).") from error
        raise IndexDown("The index server failed; try again later.") from error
    except (ApiException, QdrantException) as error:
        raise IndexDown("The index server does not answer: start it, or check its address.") from error
