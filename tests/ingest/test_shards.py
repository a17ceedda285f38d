"""The embedded index grows: its graph is built beside it, and nothing is lost, doubled or seen half."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import numpy as np
import pytest

from ingest.errors import LibraryError
from ingest.index import Point
from ingest.index_edge import EdgeIndex
from ingest.shards import allocated, copy_sparse, current, make_current
from tests.ingest.test_index import ACME, DIMENSIONS, VECTOR, ids, point

pytestmark = pytest.mark.anyio


def opened(path: Path) -> EdgeIndex:
    return EdgeIndex.open(path, vector_name=VECTOR, dimensions=DIMENSIONS)


def some(n: int, *, source: str = "a.pdf", text: str = "leave") -> list[Point]:
    rng = np.random.default_rng(n)
    vectors = rng.standard_normal((n, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [point(f"{text} {i}", place=i, source=source, vector=v) for i, v in enumerate(vectors)]


async def test_a_graph_is_built_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    index = opened(tmp_path)
    await index.upsert(some(300))
    assert await index.optimise(least=301) is False
    before = await ids(index, ACME)
    assert await index.optimise(least=300) is True
    assert (await index.count(), await ids(index, ACME)) == (300, before)
    assert await index.optimise(least=1) is False
    assert sorted(os.listdir(tmp_path)) == ["current", "meta.json", "shard-1"]
    await index.close()
    again = opened(tmp_path)
    assert await ids(again, ACME) == before
    await again.close()


async def test_what_is_written_and_deleted_while_the_graph_is_built_is_there_and_gone_after_it(
    tmp_path: Path,
) -> None:
    index = opened(tmp_path)
    documents = {f"{n}.pdf": some(40, source=f"{n}.pdf") for n in range(10)}
    for points in documents.values():
        await index.upsert(points)
    draw = random.Random(7)
    building = asyncio.create_task(index.optimise(least=1))
    steps = 0
    while not building.done():
        name = f"{draw.randrange(15)}.pdf"
        if documents.pop(name, None) is None:
            documents[name] = some(40, source=name, text=f"walrus {steps}")
            await index.upsert(documents[name])
        else:
            await index.delete(document_id=point("", source=name).chunk.document_id)
        expected = {one.chunk.id for points in documents.values() for one in points}
        assert await ids(index, ACME) == expected
        steps += 1
    assert await building is True
    assert steps > 3
    held = await index.get([one.chunk.id for points in documents.values() for one in points])
    assert held == [one.chunk for points in documents.values() for one in points]
    assert await index.count() == len(held)
    await index.close()


async def test_a_building_that_is_cut_short_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    index = opened(tmp_path)
    await index.upsert(some(100))
    building = asyncio.create_task(index.optimise(least=1))
    # Long enough for the copy, too short for the child.
    await asyncio.wait([building], timeout=0.2)
    assert not building.done()
    building.cancel()
    await asyncio.gather(building, return_exceptions=True)
    await index.upsert(some(10, source="b.pdf"))
    assert await index.count() == 110
    assert await index.optimise(least=1) is True
    await index.close()
    again = opened(tmp_path)
    assert await again.count() == 110
    await again.close()


async def test_a_copy_without_room_is_an_error_and_no_loss(tmp_path: Path) -> None:
    index = opened(tmp_path)
    await index.upsert(some(5))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "shard").write_text("")
    with pytest.raises(LibraryError, match="could not be copied"):
        await index.copy_to(tmp_path / "taken")
    assert await index.count() == 5
    await index.close()


async def test_a_copy_opens_as_an_index_of_its_own_and_keeps_its_holes(tmp_path: Path) -> None:
    index = opened(tmp_path / "index")
    await index.upsert(some(200))
    await index.optimise(least=1)
    await index.copy_to(tmp_path / "copy")
    await index.upsert(some(10, source="later.pdf"))
    copy = opened(tmp_path / "copy")
    assert (await copy.count(), await index.count()) == (200, 210)
    await copy.close()
    await index.close()
    assert allocated(tmp_path / "copy") < 2 * allocated(tmp_path / "index")


def test_a_kill_between_copy_and_pointer_leaves_the_old_shard_and_no_litter(tmp_path: Path) -> None:
    for name in ("shard", "shard-1"):
        (tmp_path / name).mkdir()
    assert current(tmp_path).name == "shard"
    assert not (tmp_path / "shard-1").exists()
    (tmp_path / "shard-1").mkdir()
    make_current(tmp_path / "shard-1", graphed=5)
    assert current(tmp_path).name == "shard-1"
    assert not (tmp_path / "shard").exists()


def test_a_sparse_copy_is_the_same_bytes_and_follows_no_link(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    with (source / "deep" / "file").open("wb") as file:
        file.write(b"start")
        file.seek(8 * 1024 * 1024)
        file.write(b"end")
        file.truncate(12 * 1024 * 1024)
    (source / "empty").write_bytes(b"")
    copy_sparse(source, tmp_path / "copy")
    assert (tmp_path / "copy/deep/file").read_bytes() == (source / "deep/file").read_bytes()
    assert (tmp_path / "copy/empty").read_bytes() == b""
    (source / "link").symlink_to("empty")
    with pytest.raises(OSError, match="link"):
        copy_sparse(source, tmp_path / "other")
