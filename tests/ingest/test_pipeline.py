"""The way onto the shelf: added, updated, unchanged, quarantined or failed, and never half."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import LibraryError
from ingest.index import Index
from ingest.pipeline import Pipeline, original, page_pictures
from ingest.records import Chunk, Document, Outcome, Reading, Scope, document_id
from ingest.registry import Registry
from ingest.settings import IngestSettings
from ingest.sources import Source
from tests.ingest.odd_files import archive
from tests.ingest.shelf_fakes import (
    LOCAL_INDEX_WARNING,
    FakeEmbedder,
    FakeReader,
    FakeScreen,
    Fuse,
    Killed,
    an_index_in_memory,
)

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(LOCAL_INDEX_WARNING)]

SCOPE = Scope(tenant="acme", collections=("hr",), groups=("board",))
TWO_PAGES = "Annual leave is 25 days.\fSick leave is paid."


@dataclass
class Shelf:
    """A library in a folder, on a real registry and an index in memory, and what to look at it with."""

    folder: Path
    index: Index
    registry: Registry
    reader: FakeReader = field(default_factory=FakeReader)
    embedder: FakeEmbedder = field(default_factory=FakeEmbedder)
    screen: FakeScreen = field(default_factory=FakeScreen)
    settings: IngestSettings = field(default_factory=IngestSettings)

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def pipeline(self, fuse: Fuse | None = None) -> Pipeline:
        fuse = fuse or Fuse()
        return Pipeline(
            reader=fuse.through(self.reader, "reader"),
            embedder=fuse.through(self.embedder, "embedder"),
            index=fuse.through(self.index, "index"),
            registry=fuse.through(self.registry, "registry"),
            files=self.files,
            screen=fuse.through(self.screen, "screen"),
            settings=self.settings,
        )

    def file(self, text: str, name: str = "incoming.txt") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    async def add(
        self,
        text: str,
        name: str = "leave.txt",
        *,
        pipeline: Pipeline | None = None,
        groups: tuple[str, ...] = (),
    ) -> Outcome:
        return await (pipeline or self.pipeline()).add(
            self.file(text), name=name, tenant="acme", collection="hr", groups=groups
        )

    async def visible(self, name: str = "leave.txt") -> tuple[Document | None, list[Chunk]]:
        """Return what a caller can see of a document: the row, and the points of its live revision."""
        key = document_id(tenant="acme", collection="hr", source_key=name)
        document = await self.registry.get(key, scope=SCOPE)
        if document is None:
            return None, []
        return document, await self.index.chunks(document_id=key, revision=document.revision)

    async def texts(self, name: str = "leave.txt") -> list[str]:
        return [chunk.text for chunk in (await self.visible(name))[1]]

    def kept(self, name: str = "leave.txt") -> set[str]:
        """Name the revisions whose files are kept."""
        folder = self.files / document_id(tenant="acme", collection="hr", source_key=name)
        return {path.name for path in folder.iterdir()} if folder.exists() else set()


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    index = await an_index_in_memory()
    registry = Registry.open(tmp_path / "registry.sqlite")
    yield Shelf(tmp_path, index, registry)
    await registry.close()
    await index.close()


@pytest.mark.parametrize(
    ("text", "code"), [("", "empty"), ("broken", "damaged"), ("\x00\x01\x02\xff" * 64, "unknown_type")]
)
async def test_a_file_at_fault_is_an_outcome_and_leaves_nothing(shelf: Shelf, text: str, code: str) -> None:
    outcome = await shelf.add(text)
    assert (outcome.outcome, outcome.reason) == ("failed", code)
    assert outcome.detail
    assert (await shelf.index.count(), shelf.kept(), await shelf.registry.unsettled()) == (0, set(), [])


async def test_a_missing_file_is_an_outcome(shelf: Shelf) -> None:
    outcome = await shelf.pipeline().add(
        shelf.folder / "none.pdf", name="none.pdf", tenant="acme", collection="hr"
    )
    assert (outcome.outcome, outcome.reason) == ("failed", "missing")


async def test_an_added_file_is_visible_with_its_pages_and_its_copy(shelf: Shelf) -> None:
    outcome = await shelf.add(TWO_PAGES)
    document, chunks = await shelf.visible()
    assert document is not None
    assert (outcome.outcome, outcome.pages, outcome.chunks) == ("added", 2, 2)
    assert outcome.id == document.id
    assert [(chunk.page_no, chunk.text) for chunk in chunks] == [
        (1, "Annual leave is 25 days."),
        (2, "Sick leave is paid."),
    ]
    assert original(shelf.files, document).read_text() == TWO_PAGES
    assert (page_pictures(shelf.files, document) / "2.png").is_file()
    assert shelf.reader.read_paths == [original(shelf.files, document)]
    assert [page.no for page in await shelf.registry.pages(document.id, scope=SCOPE)] == [1, 2]


async def test_a_repeated_ingest_changes_nothing_and_reads_nothing(shelf: Shelf) -> None:
    await shelf.add(TWO_PAGES)
    before = await shelf.visible()
    outcome = await shelf.add(TWO_PAGES)
    assert (outcome.outcome, outcome.chunks) == ("unchanged", 2)
    assert await shelf.visible() == before
    assert len(shelf.reader.read_paths) == 1


async def test_a_changed_file_replaces_its_own_points_only(shelf: Shelf) -> None:
    await shelf.add(TWO_PAGES)
    await shelf.add("Other file.", "other.txt")
    outcome = await shelf.add("Annual leave is 30 days.")
    assert outcome.outcome == "updated"
    assert await shelf.texts() == ["Annual leave is 30 days."]
    assert await shelf.texts("other.txt") == ["Other file."]
    assert await shelf.index.count() == 2
    assert len(shelf.kept()) == 1


async def test_the_same_file_in_two_tenants_is_two_documents(shelf: Shelf) -> None:
    await shelf.add(TWO_PAGES)
    path = shelf.file(TWO_PAGES)
    outcome = await shelf.pipeline().add(path, name="leave.txt", tenant="rival", collection="hr")
    assert outcome.outcome == "added"
    assert await shelf.index.count() == 4
    assert await shelf.pipeline().remove(outcome.id or "", scope=Scope(tenant="rival", collections=("hr",)))
    assert len(await shelf.texts()) == 2


@pytest.mark.parametrize("groups", [("board",), ()])
async def test_other_groups_make_it_anew_for_those_groups(shelf: Shelf, groups: tuple[str, ...]) -> None:
    await shelf.add(TWO_PAGES, groups=("board", "hr") if not groups else ())
    outcome = await shelf.add(TWO_PAGES, groups=groups)
    document, chunks = await shelf.visible()
    assert outcome.outcome == "updated"
    assert document is not None
    assert document.groups == groups
    assert len(chunks) == await shelf.index.count() == 2


async def test_another_reader_version_makes_it_anew_without_doubles(shelf: Shelf) -> None:
    await shelf.add(TWO_PAGES)
    shelf.reader.version = "fake-2"
    assert (await shelf.add(TWO_PAGES)).outcome == "updated"
    assert await shelf.index.count() == 2


async def test_a_file_without_text_is_added_and_says_so(shelf: Shelf) -> None:
    outcome = await shelf.add(" .\f\f".replace(".", " ") + "\n")
    assert (outcome.outcome, outcome.pages, outcome.chunks) == ("added", 3, 0)
    assert outcome.detail == "No text was found on 3 pages; nothing can be found in it."


async def test_a_forbidden_text_quarantines_the_whole_document_and_names_page_and_rail(shelf: Shelf) -> None:
    outcome = await shelf.add("Fine.\fThis is forbidden.")
    assert (outcome.outcome, outcome.reason) == ("quarantined", "override")
    assert "page 2" in (outcome.detail or "")
    assert await shelf.visible() == (None, [])
    assert (await shelf.index.count(), shelf.kept()) == (0, set())
    [row] = await shelf.registry.quarantined(scope=SCOPE)
    assert (row.name, row.page_no, row.code) == ("leave.txt", 2, "override")


async def test_a_passage_with_a_planted_order_stays_off_and_its_document_comes_on(shelf: Shelf) -> None:
    outcome = await shelf.add("Fine.\fThis was planted here.\fFine as well.")
    assert (outcome.outcome, outcome.chunks) == ("added", 2)
    assert outcome.detail == (
        "1 passage on page 2 withheld: what stands there may be an order to the assistant."
    )
    document, chunks = await shelf.visible()
    assert document is not None
    assert not any("planted" in chunk.text for chunk in chunks)
    pages = await shelf.registry.pages(document.id, scope=SCOPE)
    assert [page.flags for page in pages] == [(), ("withheld",), ()]


async def test_nothing_but_planted_passages_is_a_quarantine(shelf: Shelf) -> None:
    outcome = await shelf.add("This was planted here.")
    assert (outcome.outcome, outcome.reason) == ("quarantined", "planted")


async def test_a_planted_order_in_the_name_quarantines_the_document(shelf: Shelf) -> None:
    assert (await shelf.add("Fine.", "planted.txt")).outcome == "quarantined"


async def test_a_forbidden_name_quarantines_too(shelf: Shelf) -> None:
    outcome = await shelf.add("Fine.", "forbidden.txt")
    assert outcome.outcome == "quarantined"
    assert "its name" in (outcome.detail or "")


async def test_what_a_page_hides_is_judged_as_well(shelf: Shelf) -> None:
    class Hiding(FakeReader):
        async def read_alone(self, source: Source, **more: Any) -> Reading:
            reading = await super().read_alone(source, **more)
            hidden = tuple(replace(page, hidden="forbidden " * (page.no == 2)) for page in reading.pages)
            return replace(reading, pages=hidden)

    shelf.reader = Hiding()
    outcome = await shelf.add("Fine.\fFine as well.")
    assert (outcome.outcome, outcome.reason) == ("quarantined", "override")
    assert "page 2" in (outcome.detail or "")


async def test_a_quarantined_update_leaves_the_version_before_it(shelf: Shelf) -> None:
    await shelf.add(TWO_PAGES)
    assert (await shelf.add("forbidden")).outcome == "quarantined"
    assert len(await shelf.texts()) == 2
    assert await shelf.index.count() == 2


async def test_a_document_that_a_stricter_rail_stops_leaves_the_shelf(shelf: Shelf) -> None:
    await shelf.add("This is forbidden now.", pipeline=_lenient(shelf))
    assert len(await shelf.texts()) == 1
    shelf.reader.version = "fake-2"
    assert (await shelf.add("This is forbidden now.")).outcome == "quarantined"
    assert await shelf.visible() == (None, [])
    assert await shelf.index.count() == 0


def _lenient(shelf: Shelf) -> Pipeline:
    class Lenient(FakeScreen):
        async def screen(self, texts, *, tenant, collection):  # type: ignore[no-untyped-def]
            return [None for _ in texts]

    shelf.screen, strict = Lenient(), shelf.screen
    pipeline = shelf.pipeline()
    shelf.screen = strict
    return pipeline


async def test_a_quarantined_file_can_be_taken_off_the_list(shelf: Shelf) -> None:
    outcome = await shelf.add("forbidden")
    assert outcome.id is not None
    foreign = Scope(tenant="rival", collections=("hr",))
    assert not await shelf.pipeline().remove(outcome.id, scope=foreign)
    assert await shelf.pipeline().remove(outcome.id, scope=SCOPE)
    assert await shelf.registry.quarantined(scope=SCOPE) == []


async def test_a_removed_document_leaves_nothing_and_a_foreign_one_stays(shelf: Shelf) -> None:
    outcome = await shelf.add(TWO_PAGES)
    assert outcome.id is not None
    foreign = Scope(tenant="rival", collections=("hr",))
    assert not await shelf.pipeline().remove(outcome.id, scope=foreign)
    assert await shelf.index.count() == 2
    assert await shelf.pipeline().remove(outcome.id, scope=SCOPE)
    assert not await shelf.pipeline().remove(outcome.id, scope=SCOPE)
    assert (await shelf.index.count(), shelf.kept(), await shelf.registry.unsettled()) == (0, set(), [])


async def test_a_failing_part_leaves_the_old_version_or_nothing_wherever_it_fails(shelf: Shelf) -> None:
    for n in range(1, 40):
        name, fuse = f"{n}.txt", Fuse(at=n, error=LibraryError("the disk is full"))
        new = await shelf.add("New text.", name, pipeline=shelf.pipeline(fuse))
        assert await shelf.texts(name) == ([] if new.outcome == "failed" else ["New text."])
        await shelf.add("Old text.", f"old {name}")
        fuse = Fuse(at=n, error=LibraryError("the disk is full"))
        update = await shelf.add("New text.", f"old {name}", pipeline=shelf.pipeline(fuse))
        expected = "Old text." if update.outcome == "failed" else "New text."
        assert await shelf.texts(f"old {name}") == [expected]
        if len(fuse.calls) < n:
            break
    assert "registry.settle" in fuse.calls
    await shelf.pipeline().recover()
    live = await shelf.registry.list(scope=SCOPE)
    assert await shelf.index.count() == len(live)
    assert {path.name for path in shelf.files.iterdir()} == {document.id for document in live}


@pytest.mark.parametrize("change", ["new", "update", "regroup", "remove"])
async def test_a_kill_anywhere_leaves_whole_documents_after_the_next_start(shelf: Shelf, change: str) -> None:
    for n in range(1, 40):
        name, fuse = f"{n}.txt", Fuse(at=n, error=Killed())
        key = document_id(tenant="acme", collection="hr", source_key=name)
        if change != "new":
            await shelf.add("Old text.", name)
        doomed = shelf.pipeline(fuse)
        try:
            if change == "remove":
                await doomed.remove(key, scope=SCOPE)
            elif change == "regroup":
                await shelf.add("Old text.", name, pipeline=doomed, groups=("board",))
            else:
                await shelf.add("New text.", name, pipeline=doomed)
        except Killed:
            pass
        await shelf.pipeline().recover()
        assert await shelf.texts(name) in ([], ["Old text."], ["New text."])
        if len(fuse.calls) < n:
            break
    assert len(fuse.calls) > 3
    live = await shelf.registry.list(scope=SCOPE)
    assert await shelf.index.count() == len(live)
    assert {path.name for path in shelf.files.iterdir()} == {document.id for document in live}
    assert await shelf.registry.unsettled() == []


async def test_an_error_that_nobody_planned_goes_on_and_leaves_nothing(shelf: Shelf) -> None:
    fuse = Fuse(at=6, error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await shelf.add(TWO_PAGES, pipeline=shelf.pipeline(fuse))
    assert await shelf.visible() == (None, [])
    assert await shelf.index.count() == 0


async def test_many_files_come_out_once_each_and_one_bad_file_stops_none(shelf: Shelf) -> None:
    texts = {f"{n}.txt": "broken" if n == 3 else f"Text {n}." for n in range(8)}
    files = [(shelf.file(text, name), name) for name, text in texts.items()]
    told: list[tuple[str, str, int, int]] = []
    pipeline = shelf.pipeline()
    outcomes = await asyncio.gather(
        *(
            pipeline.add(
                path,
                name=name,
                tenant="acme",
                collection="hr",
                on_progress=lambda *now, name=name: told.append((name, *now)),
            )
            for path, name in files
        )
    )
    assert [outcome.name for outcome in outcomes] == list(texts)
    assert [outcome.name for outcome in outcomes if outcome.outcome != "added"] == ["3.txt"]
    assert await shelf.index.count() == 7
    assert [stage for name, stage, _, _ in told if name == "1.txt"] == ["read", "embed", "screen", "shelve"]


async def test_the_same_file_twice_at_once_is_added_once(shelf: Shelf) -> None:
    path = shelf.file(TWO_PAGES)
    files = [(path, "leave.txt"), (path, "leave.txt"), (path, "leave.txt")]
    pipeline = shelf.pipeline()
    added = (pipeline.add(path, name=name, tenant="acme", collection="hr") for path, name in files)
    kinds = [outcome.outcome for outcome in await asyncio.gather(*added)]
    assert sorted(kinds) == ["added", "unchanged", "unchanged"]
    assert await shelf.index.count() == 2


async def pack(shelf: Shelf, members: dict[str, str | bytes], name: str = "mail.zip") -> Outcome:
    path = shelf.folder / "incoming.zip"
    path.write_bytes(
        archive({key: text.encode() if isinstance(text, str) else text for key, text in members.items()})
    )
    return await shelf.pipeline().add(path, name=name, tenant="acme", collection="hr")


async def keys(shelf: Shelf) -> list[str]:
    return sorted(document.source_key for document in await shelf.registry.list(scope=SCOPE))


async def test_each_file_of_an_archive_is_a_document_of_its_own(shelf: Shelf) -> None:
    outcome = await pack(shelf, {"a/leave.txt": TWO_PAGES, "sick.txt": "broken", "b.txt": "Travel costs."})
    assert [(one.name, one.outcome, one.reason) for one in outcome.attachments] == [
        ("mail.zip/a/leave.txt", "added", None),
        ("mail.zip/sick.txt", "failed", "damaged"),
        ("mail.zip/b.txt", "added", None),
    ]
    assert outcome.outcome == "added"
    assert "mail.zip/sick.txt (damaged)" in (outcome.detail or "")
    assert await keys(shelf) == ["mail.zip", "mail.zip/a/leave.txt", "mail.zip/b.txt"]
    document, chunks = await shelf.visible("mail.zip/a/leave.txt")
    assert document is not None
    assert document.name == "leave.txt"
    assert [chunk.page_no for chunk in chunks] == [1, 2]
    assert original(shelf.files, document).read_text() == TWO_PAGES


async def test_an_archive_added_again_replaces_what_was_in_it(shelf: Shelf) -> None:
    await pack(shelf, {"a.txt": "One.", "b.txt": "Two."})
    again = await pack(shelf, {"a.txt": "One.", "b.txt": "Two."})
    assert {one.outcome for one in (again, *again.attachments)} == {"unchanged"}
    outcome = await pack(shelf, {"a.txt": "One, changed.", "c.txt": "Three."})
    assert [one.outcome for one in outcome.attachments] == ["updated", "added"]
    assert await keys(shelf) == ["mail.zip", "mail.zip/a.txt", "mail.zip/c.txt"]
    assert await shelf.texts("mail.zip/a.txt") == ["One, changed."]
    assert shelf.kept("mail.zip/b.txt") == set()
    assert await shelf.registry.unsettled() == []


async def test_removing_an_archive_removes_what_was_in_it(shelf: Shelf) -> None:
    outcome = await pack(shelf, {"a.txt": "One.", "in.zip": archive({"b.txt": b"Two."})})
    assert await keys(shelf) == ["mail.zip", "mail.zip/a.txt", "mail.zip/in.zip", "mail.zip/in.zip/b.txt"]
    assert await shelf.pipeline().remove(outcome.id or "", scope=SCOPE)
    assert (await keys(shelf), await shelf.index.count()) == ([], 0)


async def test_a_rail_stops_a_packed_file_and_leaves_the_others(shelf: Shelf) -> None:
    outcome = await pack(shelf, {"a.txt": "One.", "b.txt": "A forbidden text."})
    assert [one.outcome for one in outcome.attachments] == ["added", "quarantined"]
    assert await keys(shelf) == ["mail.zip", "mail.zip/a.txt"]


async def test_an_archive_that_is_killed_half_way_is_whole_the_next_time(shelf: Shelf) -> None:
    path = shelf.folder / "incoming.zip"
    path.write_bytes(archive({f"{no}.txt": b"Words of it." for no in range(3)}))

    async def add(pipeline: Pipeline) -> Outcome:
        return await pipeline.add(path, name="mail.zip", tenant="acme", collection="hr")

    for step in range(1, 300, 3):
        fuse = Fuse(at=step, error=Killed())
        try:
            await add(shelf.pipeline(fuse))
        except Killed:
            await shelf.pipeline().recover()
            # Its own row comes last: while it is not there, adding again completes it.
            assert "mail.zip" not in await keys(shelf) or len(await keys(shelf)) == 4
            outcome = await add(shelf.pipeline())
            assert len(outcome.attachments) == 3
            assert len(await keys(shelf)) == 4
            await shelf.pipeline().remove(outcome.id or "", scope=SCOPE)
            continue
        break
    else:
        raise AssertionError("the story never ran to its end")
    assert await shelf.registry.unsettled() == []


async def test_archives_in_archives_end(shelf: Shelf) -> None:
    content: bytes = archive({"a.txt": b"At the bottom."})
    for _ in range(6):
        content = archive({"in.zip": content})
    outcome = await pack(shelf, {"in.zip": content})
    deepest = outcome
    while deepest.attachments:
        (deepest,) = deepest.attachments
    assert (deepest.outcome, deepest.reason) == ("failed", "unsafe_archive")
