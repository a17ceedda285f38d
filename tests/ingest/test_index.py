"""One contract for both indexes: the embedded one on disk, the server's in its client's memory.

Every test with the fixture `index` runs on both. The client's memory stands in for a server and differs:

- it has no payload indexes (it scans, and warns so) and no HNSW: recall and speed say nothing about a server;
- it keeps nothing, so that reopening, kills and locks are tested on the embedded index alone;
- it never times out, refuses or overloads: those errors are made in `test_a_server_that_is_not_there…`;
- IDF is counted over the whole collection, not over the tenant's corpus that the request names: that another
  tenant's words move no score is shown on the embedded index alone;
- shards, replicas and `wait=True` mean nothing in it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import Incompatible, IndexDown, LibraryError, Locked
from ingest.index import Index, Point
from ingest.index_edge import EdgeIndex, edge_sparse_encoder
from ingest.index_server import ServerIndex
from ingest.records import Box, Chunk, Scope, Span, chunk_id, document_id

pytestmark = pytest.mark.anyio

DIMENSIONS = 4
VECTOR = "toy"
EVERYTHING = 10_000


def unit(*numbers: float) -> np.ndarray:
    vector = np.array(numbers, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def point(
    text: str,
    *,
    source: str = "a.pdf",
    tenant: str = "acme",
    collection: str = "hr",
    groups: tuple[str, ...] = (),
    revision: str = "r1",
    page_no: int = 1,
    place: int = 0,
    vector: np.ndarray | None = None,
) -> Point:
    document = document_id(tenant=tenant, collection=collection, source_key=source)
    chunk = Chunk(
        id=chunk_id(document_id=document, revision=revision, recipe="test", page_no=page_no, place=place),
        document_id=document,
        revision=revision,
        page_no=page_no,
        kind="paragraph",
        text=text,
        heading="Leave > Annual",
        spans=(Span(start=0, end=len(text), box=Box(x0=0.1, y0=0.2, x1=0.9, y1=0.2345)),),
    )
    return Point(
        chunk=chunk,
        vector=unit(1, 0, 0, 0) if vector is None else vector,
        words=text,
        place=place,
        tenant=tenant,
        collection=collection,
        groups=groups,
    )


ACME = Scope(tenant="acme", collections=("hr",))


async def open_edge(path: Path) -> Index:
    return EdgeIndex.open(path, vector_name=VECTOR, dimensions=DIMENSIONS)


async def open_server(path: Path) -> Index:
    return await ServerIndex.open(
        ":memory:",
        api_key=None,
        collection="library",
        vector_name=VECTOR,
        dimensions=DIMENSIONS,
        sparse=edge_sparse_encoder(),
    )


OPENERS = [
    pytest.param(open_edge, id="edge"),
    pytest.param(
        open_server,
        id="server",
        marks=pytest.mark.filterwarnings("ignore:Payload indexes have no effect in the local Qdrant"),
    ),
]


@pytest.fixture(params=OPENERS)
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Index]:
    opened: Index = await request.param(tmp_path / "index")
    yield opened
    await opened.close()


async def ids(index: Index, scope: Scope, *, text: str = "leave", limit: int = EVERYTHING) -> set[str]:
    hits = await index.search(text=text, vector=unit(1, 0, 0, 0), scope=scope, limit=limit)
    return {hit.chunk.id for hit in hits}


async def test_a_chunk_comes_back_as_it_went_in_with_the_scores_of_both_legs(index: Index) -> None:
    one = point("Annual leave is 25 days.", vector=unit(1, 1, 0, 0))
    await index.upsert([one])
    [hit] = await index.search(text="annual leave", vector=unit(1, 0, 0, 0), scope=ACME, limit=5)
    assert hit.chunk == one.chunk
    assert hit.dense == pytest.approx(0.7071, abs=1e-3)
    assert hit.sparse is not None
    assert hit.sparse > 0


async def test_what_only_the_words_brought_has_its_own_cosine_and_the_other_way_round_none(
    index: Index,
) -> None:
    far, near = point("zebra", place=0, vector=unit(0, 1, 0, 0)), point("leave", place=1)
    await index.upsert([far, near])
    hits = await index.search(text="zebra", vector=unit(1, 0, 0, 0), scope=ACME, limit=1)
    legs = {hit.chunk.text: (hit.dense, hit.sparse) for hit in hits}
    assert legs["zebra"][0] == pytest.approx(0.0, abs=1e-3)
    assert legs["leave"][1] is None


async def test_nothing_is_found_with_a_scope_of_no_collections_or_no_documents(index: Index) -> None:
    await index.upsert([point("leave")])
    assert await ids(index, replace(ACME, collections=())) == set()
    assert await ids(index, replace(ACME, documents=())) == set()


async def test_a_group_named_like_a_wildcard_opens_nothing(index: Index) -> None:
    await index.upsert([point("leave", groups=("board",))])
    for name in ("*", "", "board ", "BOARD"):
        assert await ids(index, replace(ACME, groups=(name,))) == set()
    assert len(await ids(index, replace(ACME, groups=("board",)))) == 1


async def test_foreign_points_do_not_crowd_out_ones_own(index: Index) -> None:
    foreign = [point("leave leave", tenant="rival", source=f"{n}.pdf") for n in range(30)]
    own = point("leave", vector=unit(1, 1, 1, 1))
    await index.upsert([*foreign, own])
    assert await ids(index, ACME, limit=1) == {own.chunk.id}


async def test_the_same_points_again_change_nothing(index: Index) -> None:
    points = [point("leave", place=n) for n in range(3)]
    await index.upsert(points)
    await index.upsert(points)
    assert await index.count() == 3


async def test_chunks_of_a_revision_come_in_page_order_then_place(index: Index) -> None:
    pages = [(2, 3), (1, 1), (10, 4), (1, 0), (2, 2)]
    points = [point(f"{no}/{place}", page_no=no, place=place) for no, place in pages]
    await index.upsert([*points, point("old", revision="r0")])
    document = points[0].chunk.document_id
    texts = [chunk.text for chunk in await index.chunks(document_id=document, revision="r1")]
    assert texts == ["1/0", "1/1", "2/2", "2/3", "10/4"]
    page = await index.chunks(document_id=document, revision="r1", page_no=2)
    assert [chunk.text for chunk in page] == ["2/2", "2/3"]


async def test_more_chunks_than_one_read_brings_all_come(index: Index) -> None:
    points = [point(f"chunk {n}", place=n) for n in range(1_100)]
    await index.upsert(points)
    chunks = await index.chunks(document_id=points[0].chunk.document_id, revision="r1")
    assert chunks == [one.chunk for one in points]


async def test_chunks_are_read_by_id_in_the_order_asked_and_odd_ids_are_absent(index: Index) -> None:
    one, two = point("one", place=0), point("two", place=1)
    await index.upsert([one, two])
    absent = chunk_id(document_id="x", revision="x", recipe="x", page_no=1, place=1)
    found = await index.get([two.chunk.id, absent, "not an id", "", one.chunk.id])
    assert [chunk.text for chunk in found] == ["two", "one"]


async def test_deleting_a_document_keeps_the_named_revision_and_other_documents(index: Index) -> None:
    old, new = point("old leave", revision="r1"), point("new leave", revision="r2")
    other = point("other leave", source="b.pdf")
    await index.upsert([old, new, other])
    await index.delete(document_id=old.chunk.document_id, keep_revision="r2")
    assert await ids(index, ACME) == {new.chunk.id, other.chunk.id}
    await index.delete(document_id=old.chunk.document_id)
    assert await ids(index, ACME) == {other.chunk.id}


async def test_the_same_id_with_other_words_is_found_by_the_new_ones_alone(index: Index) -> None:
    await index.upsert([point("walrus", vector=unit(0, 0, 0, 1))])
    await index.upsert([point("leave")])
    assert await index.count() == 1
    [hit] = await index.search(text="walrus", vector=unit(1, 0, 0, 0), scope=ACME, limit=5)
    assert (hit.chunk.text, hit.sparse) == ("leave", None)
    assert hit.dense == pytest.approx(1.0, abs=1e-3)


FOREIGN = {
    "tenant": point("leave leave", source="f.pdf", tenant="rival"),
    "collection": point("leave leave", source="f.pdf", collection="law"),
    "group": point("leave leave", source="f.pdf", groups=("board",)),
    "document": point("leave leave", source="f.pdf"),
}


@pytest.mark.parametrize("leg", ["dense", "sparse"])
@pytest.mark.parametrize("foreign", FOREIGN)
async def test_each_leg_is_filtered_by_each_part_of_a_scope(index: Index, leg: str, foreign: str) -> None:
    own = point("leave", vector=unit(1, 1, 0, 0))
    await index.upsert([FOREIGN[foreign], own])
    scope = replace(ACME, documents=(own.chunk.document_id,)) if foreign == "document" else ACME
    asked, towards = ("nothing", unit(1, 0, 0, 0)) if leg == "dense" else ("leave", unit(0, 0, 0, 1))
    hits = await index.search(text=asked, vector=towards, scope=scope, limit=1)
    assert [hit.chunk.id for hit in hits] == [own.chunk.id]
    assert (hits[0].sparse is None) is (leg == "dense")


async def test_any_one_of_a_callers_groups_opens_and_no_group_opens_to_everyone(index: Index) -> None:
    board = point("leave", source="b.pdf", groups=("board", "law"))
    everyone = point("leave", source="e.pdf")
    await index.upsert([board, everyone])
    assert await ids(index, replace(ACME, groups=("staff",))) == {everyone.chunk.id}
    assert await ids(index, replace(ACME, groups=("staff", "law"))) == {board.chunk.id, everyone.chunk.id}


BROKEN = {
    "a collection that is no word": replace(ACME, collections=("hr", None)),  # type: ignore[arg-type]
    "a group that is no word": replace(ACME, groups=(object(),)),  # type: ignore[arg-type]
    "a tenant that is no word": replace(ACME, tenant=["acme"]),  # type: ignore[arg-type]
    "a document that is no word": replace(ACME, documents=(1.5,)),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_filter_that_cannot_be_said_is_an_error_and_never_no_filter(
    index: Index, broken: str
) -> None:
    await index.upsert([point("leave"), point("leave", source="b.pdf", tenant="rival")])
    with pytest.raises((TypeError, ValueError, LibraryError)):
        await ids(index, BROKEN[broken])


async def test_a_search_without_words_or_with_words_of_no_language_still_finds_by_meaning(
    index: Index,
) -> None:
    one = point("leave")
    await index.upsert([one])
    for text in ("", "   ", "…", "the of and", "\u200b", "🦭🦭"):
        hits = await index.search(text=text, vector=unit(1, 0, 0, 0), scope=ACME, limit=5)
        assert [(hit.chunk.id, hit.sparse) for hit in hits] == [(one.chunk.id, None)], text


WRITTEN = (
    "",
    "Ураїнська відпустка",
    "年次休暇は25日",
    "e\u0301 é 🦭 \u202eabc",
    "a\tb\nc",
    "ſ ﬁ ½",
    "x" * 20_000,
)


async def test_texts_of_any_writing_come_back_as_they_went_in(index: Index) -> None:
    points = [point(text, place=n) for n, text in enumerate(WRITTEN)]
    await index.upsert(points)
    document = points[0].chunk.document_id
    assert await index.chunks(document_id=document, revision="r1") == [one.chunk for one in points]
    assert [one.text for one in await index.get([one.chunk.id for one in points])] == list(WRITTEN)
    hits = await index.search(text="відпустка", vector=unit(0, 0, 0, 1), scope=ACME, limit=20)
    assert [hit.chunk.text for hit in hits if hit.sparse] == [WRITTEN[1]]


async def test_names_with_quotes_stars_and_brackets_are_only_themselves(index: Index) -> None:
    odd = ('a"b', "a'b", "a*", "a[]", "a.b", "a b", "ä", "")
    points = [point("leave", source=f"{n}", groups=(name,)) for n, name in enumerate(odd)]
    await index.upsert(points)
    for one, name in zip(points, odd, strict=True):
        assert await ids(index, replace(ACME, groups=(name,))) == {one.chunk.id}, name


async def test_nothing_in_many_in_and_nothing_out_are_no_errors(index: Index) -> None:
    await index.upsert([])
    assert (await index.count(), await index.get([]), await ids(index, ACME)) == (0, [], set())
    absent = document_id(tenant="acme", collection="hr", source_key="absent.pdf")
    assert await index.chunks(document_id=absent, revision="r1") == []
    await index.delete(document_id=absent)
    await index.delete(document_id=absent, keep_revision="r1")
    await index.flush()


async def test_a_batch_larger_than_one_write_is_whole(index: Index) -> None:
    points = [point(f"leave {n}", place=n, vector=unit(1, n / 2000, 0, 0)) for n in range(2_000)]
    await index.upsert(points)
    assert await index.count() == 2_000
    hits = await index.search(text="", vector=unit(1, 0, 0, 0), scope=ACME, limit=3)
    assert {hit.chunk.text for hit in hits} == {"leave 0", "leave 1", "leave 2"}


async def test_reads_beside_writes_see_points_whole(index: Index) -> None:
    points = [point(f"leave {n}", place=n) for n in range(600)]

    async def write() -> None:
        for at in range(0, len(points), 50):
            await index.upsert(points[at : at + 50])

    async def read() -> None:
        whole = {one.chunk.id: one.chunk for one in points}
        for _ in range(20):
            hits = await index.search(text="leave", vector=unit(1, 0, 0, 0), scope=ACME, limit=40)
            assert all(hit.chunk == whole[hit.chunk.id] for hit in hits)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        group.create_task(read())
    assert await index.count() == 600


async def test_a_vector_of_the_wrong_length_is_an_error(index: Index) -> None:
    with pytest.raises((LibraryError, ValueError)):
        await index.search(text="leave", vector=unit(1, 0), scope=ACME, limit=5)


TENANTS, COLLECTIONS, GROUPS = ("acme", "rival"), ("hr", "law", "it"), ("a", "b", "*")
some_groups = st.lists(st.sampled_from(GROUPS), unique=True).map(tuple)
shelves = st.lists(
    st.tuples(st.sampled_from(TENANTS), st.sampled_from(COLLECTIONS), some_groups), min_size=1, max_size=12
)
scopes = st.builds(
    Scope,
    tenant=st.sampled_from((*TENANTS, "nobody")),
    collections=st.lists(st.sampled_from(COLLECTIONS), unique=True).map(tuple),
    groups=some_groups,
    documents=st.none() | st.lists(st.integers(0, 11), max_size=4).map(lambda ns: tuple(map(str, ns))),
)


def allowed(one: Point, scope: Scope) -> bool:
    return (
        one.tenant == scope.tenant
        and one.collection in scope.collections
        and (not one.groups or any(group in scope.groups for group in one.groups))
        and (scope.documents is None or one.chunk.document_id in scope.documents)
    )


@pytest.mark.parametrize("opener", OPENERS)
@settings(max_examples=15, deadline=None)
@given(shelf=shelves, asked=st.lists(scopes, min_size=1, max_size=6))
def test_a_search_finds_exactly_what_its_scope_allows(
    opener: Callable[[Path], Awaitable[Index]],
    tmp_path_factory: pytest.TempPathFactory,
    shelf: list[tuple[str, str, tuple[str, ...]]],
    asked: list[Scope],
) -> None:
    points = [
        point("leave", source=f"{n}", tenant=tenant, collection=collection, groups=groups)
        for n, (tenant, collection, groups) in enumerate(shelf)
    ]

    def real_ids(scope: Scope) -> Scope:
        if scope.documents is None:
            return scope
        named = [points[int(n)].chunk.document_id for n in scope.documents if int(n) < len(points)]
        return replace(scope, documents=tuple(named))

    async def check() -> None:
        index = await opener(tmp_path_factory.mktemp("scope"))
        await index.upsert(points)
        for scope in map(real_ids, asked):
            assert await ids(index, scope) == {one.chunk.id for one in points if allowed(one, scope)}
        await index.close()

    asyncio.run(check())


async def test_another_tenants_words_move_no_score(tmp_path: Path) -> None:
    index = await open_edge(tmp_path)
    await index.upsert([point("rare leave", place=0), point("leave policy", place=1)])
    asked = {"text": "rare leave", "vector": unit(1, 0, 0, 0), "scope": ACME, "limit": 5}
    before = {hit.chunk.id: hit.sparse for hit in await index.search(**asked)}
    await index.upsert([point("rare rare", tenant="rival", source=f"{n}") for n in range(50)])
    assert {hit.chunk.id: hit.sparse for hit in await index.search(**asked)} == pytest.approx(before)
    await index.close()


async def test_a_second_process_is_told_that_the_library_is_locked(tmp_path: Path) -> None:
    index = await open_edge(tmp_path)
    with pytest.raises(Locked, match="Another process"):
        await open_edge(tmp_path)
    await index.close()
    await (await open_edge(tmp_path)).close()


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    index = await open_edge(tmp_path)
    await index.upsert([point("leave")])
    await index.close()
    again = await open_edge(tmp_path)
    assert len(await ids(again, ACME)) == 1
    await again.close()


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.ingest.test_index import open_edge, point\n"
        "async def write():\n"
        "    index = await open_edge(Path(sys.argv[1]))\n"
        "    await index.upsert([point('leave', place=n) for n in range(300)])\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(write())\n"
    )
    run([sys.executable, "-c", script, str(tmp_path)], check=False, cwd=Path(__file__).parents[2])

    async def count() -> int:
        index = await open_edge(tmp_path)
        try:
            return await index.count()
        finally:
            await index.close()

    assert asyncio.run(count()) == 300


@pytest.mark.parametrize(("vector_name", "dimensions"), [("other", DIMENSIONS), (VECTOR, 8)])
async def test_an_index_of_another_embedder_does_not_open(
    tmp_path: Path, vector_name: str, dimensions: int
) -> None:
    await (await open_edge(tmp_path)).close()
    with pytest.raises(Incompatible, match="add the documents to a new library"):
        EdgeIndex.open(tmp_path, vector_name=vector_name, dimensions=dimensions)


async def test_an_index_of_another_layout_does_not_open(tmp_path: Path) -> None:
    await (await open_edge(tmp_path)).close()
    signature = tmp_path / "meta.json"
    signature.write_text(json.dumps(json.loads(signature.read_text()) | {"layout": 999}))
    with pytest.raises(Incompatible):
        await open_edge(tmp_path)


async def test_a_damaged_signature_is_a_library_error(tmp_path: Path) -> None:
    await (await open_edge(tmp_path)).close()
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(LibraryError, match="damaged"):
        await open_edge(tmp_path)


async def test_an_index_whose_making_was_cut_short_opens_empty(tmp_path: Path) -> None:
    (tmp_path / "meta.json.new").write_text("{")
    index = await open_edge(tmp_path)
    assert await index.count() == 0
    await index.close()


async def test_a_server_that_is_not_there_is_a_retryable_error() -> None:
    with pytest.raises(IndexDown) as failure:
        await ServerIndex.open(
            "http://127.0.0.1:9",
            api_key=None,
            collection="library",
            vector_name=VECTOR,
            dimensions=DIMENSIONS,
            sparse=edge_sparse_encoder(),
        )
    assert failure.value.retryable
