"""The registry: one switch for visibility, every read through a scope, nothing half-written."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.errors import Incompatible, LibraryError
from ingest.records import Document, Element, Page, Scope, document_id
from ingest.registry import Quarantined, Registry, Unsettled

pytestmark = pytest.mark.anyio

ACME = Scope(tenant="acme", collections=("hr",))


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    opened = Registry.open(tmp_path / "registry.sqlite")
    yield opened
    await opened.close()


def document(
    name: str = "leave.pdf", *, tenant: str = "acme", groups: tuple[str, ...] = (), revision: str = "r1"
) -> Document:
    return Document(
        id=document_id(tenant=tenant, collection="hr", source_key=name),
        tenant=tenant,
        collection="hr",
        groups=groups,
        source_key=name,
        name=name,
        media_type="application/pdf",
        revision=revision,
        bytes=1234,
        pages=2,
        chunks=3,
        added_at=1_700_000_000.5,
    )


def page(no: int) -> Page:
    elements = (Element(kind="paragraph", text="x", spans=()),)
    return Page(no=no, width_pt=595, height_pt=842, read_by="text-layer", reason="words", elements=elements)


async def test_a_committed_document_comes_back_as_it_was(registry: Registry) -> None:
    one = document(groups=("board", "hr"))
    await registry.commit(one, [page(1), page(2)], recipe="v1")
    scope = replace(ACME, groups=("hr",))
    assert await registry.get(one.id, scope=scope) == one
    assert await registry.list(scope=scope) == [one]
    assert [p.no for p in await registry.pages(one.id, scope=scope)] == [1, 2]
    shelved = await registry.shelved(one.id)
    assert shelved is not None
    assert (shelved.document, shelved.recipe) == (one, "v1")


@pytest.mark.parametrize(
    "scope",
    [
        Scope(tenant="rival", collections=("hr",), groups=("board",)),
        Scope(tenant="acme", collections=("law",), groups=("board",)),
        Scope(tenant="acme", collections=(), groups=("board",)),
        Scope(tenant="acme", collections=("hr",), groups=()),
        Scope(tenant="acme", collections=("hr",), groups=("board",), documents=()),
    ],
)
async def test_what_a_scope_does_not_allow_is_absent_from_every_read(
    registry: Registry, scope: Scope
) -> None:
    one = document(groups=("board",))
    await registry.commit(one, [page(1)], recipe="v1")
    await registry.quarantine(quarantined(groups=("board",)))
    assert await registry.get(one.id, scope=scope) is None
    assert await registry.live([one.id], scope=scope) == {}
    assert await registry.list(scope=scope) == []
    assert await registry.pages(one.id, scope=scope) == []
    assert await registry.quarantined(scope=scope) == []


async def test_a_new_revision_replaces_the_old_one_and_its_pages(registry: Registry) -> None:
    await registry.commit(document(), [page(1), page(2)], recipe="v1")
    new = document(revision="r2")
    await registry.commit(new, [page(1)], recipe="v2")
    assert await registry.list(scope=ACME) == [new]
    assert [p.no for p in await registry.pages(new.id, scope=ACME)] == [1]


async def test_a_commit_that_fails_half_way_leaves_the_old_revision(registry: Registry) -> None:
    old = document()
    await registry.commit(old, [page(1)], recipe="v1")
    with pytest.raises(LibraryError, match="registry failed"):
        await registry.commit(document(revision="r2"), [page(1), page(1)], recipe="v1")
    assert await registry.get(old.id, scope=ACME) == old
    await registry.commit(document(revision="r3"), [page(1)], recipe="v1")


async def test_a_removed_document_is_gone_with_its_pages(registry: Registry) -> None:
    one = document()
    await registry.commit(one, [page(1)], recipe="v1")
    assert await registry.remove(one.id)
    assert not await registry.remove(one.id)
    assert await registry.get(one.id, scope=ACME) is None
    assert await registry.shelved(one.id) is None


async def test_what_was_begun_is_listed_until_it_is_settled(registry: Registry) -> None:
    first = await registry.begin("a")
    second = await registry.begin("a")
    other = await registry.begin("b")
    await registry.settle("a", fence=first)
    assert [one.document_id for one in await registry.unsettled()] == ["a", "b"]
    await registry.settle("a", fence=second)
    assert await registry.unsettled() == [Unsettled(document_id="b", token=other)]


def quarantined(*, groups: tuple[str, ...] = ()) -> Quarantined:
    return Quarantined(
        document_id=document().id,
        tenant="acme",
        collection="hr",
        groups=groups,
        name="leave.pdf",
        revision="r1",
        page_no=3,
        code="override",
        at=1.5,
    )


async def test_a_quarantined_document_is_listed_until_it_is_released_or_shelved(registry: Registry) -> None:
    await registry.quarantine(quarantined())
    assert await registry.quarantined(scope=ACME) == [quarantined()]
    assert await registry.release(document().id)
    assert not await registry.release(document().id)
    await registry.quarantine(quarantined())
    await registry.commit(document(), [], recipe="v1")
    assert await registry.quarantined(scope=ACME) == []


async def test_collections_are_those_of_the_tenant(registry: Registry) -> None:
    await registry.commit(document(), [], recipe="v1")
    await registry.commit(replace(document("x.pdf"), collection="law"), [], recipe="v1")
    await registry.commit(replace(document("y.pdf", tenant="rival"), collection="it"), [], recipe="v1")
    assert await registry.collections(tenant="acme") == ("hr", "law")


async def test_odd_names_and_ids_are_only_text(registry: Registry) -> None:
    odd = document("'); DROP TABLE documents; --.pdf")
    await registry.commit(odd, [], recipe="v1")
    assert await registry.get("' OR 1=1 --", scope=ACME) is None
    assert await registry.list(scope=ACME) == [odd]


async def test_two_processes_see_one_registry(registry: Registry, tmp_path: Path) -> None:
    other = Registry.open(tmp_path / "registry.sqlite")
    await registry.commit(document(), [], recipe="v1")
    assert await other.list(scope=ACME) == [document()]
    await other.close()


def test_a_registry_of_another_version_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(Incompatible, match="version 99"):
        Registry.open(path)


def test_a_file_that_is_no_registry_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "registry.sqlite"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(LibraryError, match="does not open"):
        Registry.open(path)


async def test_a_page_comes_back_with_what_is_wrong_with_it(registry: Registry) -> None:
    lost = replace(page(2), flags=("hidden_text", "lost"), lost="timeout", has_image=False)
    await registry.commit(document(), [page(1), lost], recipe="v1")
    whole, part = await registry.pages(document().id, scope=ACME)
    assert (whole.flags, whole.lost, whole.has_image) == ((), None, True)
    assert (part.flags, part.lost, part.has_image) == (("hidden_text", "lost"), "timeout", False)
    assert [await registry.has_image(document().id, no) for no in (1, 2, 3)] == [True, False, False]
