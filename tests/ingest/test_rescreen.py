"""A changed policy or model judges the shelf again: what it stops goes, what it frees comes back, no half."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingest.errors import LibraryError, Unscreened
from ingest.index import Index
from ingest.pipeline import Pipeline
from ingest.records import Scope, document_id
from ingest.registry import Registry
from ingest.rescreen import Rescreened, Rescreening
from ingest.screenings import Screening, Screenings
from ingest.settings import IngestSettings
from tests.ingest.shelf_fakes import LOCAL_INDEX_WARNING, FakeEmbedder, FakeReader, an_index_in_memory

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(LOCAL_INDEX_WARNING)]

SCOPE = Scope(tenant="acme", collections=("hr",))


@dataclass
class Policy:
    """A policy that stops words, and its version."""

    version: int = 1
    #: Word → code.
    stops: dict[str, str] = field(default_factory=dict)
    undecided: bool = False
    screened: list[str] = field(default_factory=list)

    def stamp(self, tenant: str, collection: str) -> str:
        return f"{tenant}/{collection}@{self.version}"

    async def screen(self, texts: Sequence[str], *, tenant: str, collection: str) -> list[str | None]:
        if self.undecided:
            raise Unscreened("Nobody decides.")
        self.screened += texts
        return [next((code for word, code in self.stops.items() if word in text), None) for text in texts]


@dataclass
class House:
    """A shelf with its verdicts."""

    folder: Path
    index: Index
    registry: Registry
    screenings: Screenings
    policy: Policy
    pipeline: Pipeline

    @property
    def rescreening(self) -> Rescreening:
        return Rescreening(
            pipeline=self.pipeline,
            registry=self.registry,
            index=self.index,
            screen=self.policy,
            screenings=self.screenings,
            files=self.folder / "files",
        )

    async def add(self, text: str, name: str = "leave.txt", *, groups: tuple[str, ...] = ()) -> str:
        path = self.folder / "incoming.txt"
        path.write_text(text)
        outcome = await self.pipeline.add(path, name=name, tenant="acme", collection="hr", groups=groups)
        path.unlink()
        return outcome.outcome

    async def texts(self, name: str = "leave.txt", *, groups: tuple[str, ...] = ()) -> list[str]:
        key = document_id(tenant="acme", collection="hr", source_key=name)
        scope = Scope(tenant="acme", collections=("hr",), groups=groups)
        document = await self.registry.get(key, scope=scope)
        if document is None:
            return []
        return [c.text for c in await self.index.chunks(document_id=key, revision=document.revision)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    index, policy = await an_index_in_memory(), Policy()
    registry = Registry.open(tmp_path / "registry.sqlite")
    screenings = Screenings.open(tmp_path / "screenings.sqlite", stamp=policy.stamp)
    pipeline = Pipeline(
        reader=FakeReader(),
        embedder=FakeEmbedder(),
        index=index,
        registry=registry,
        files=tmp_path / "files",
        screen=policy,
        settings=IngestSettings(),
        screenings=screenings,
    )
    yield House(tmp_path, index, registry, screenings, policy, pipeline)
    await screenings.close()
    await registry.close()
    await index.close()


PAGES = "Annual leave is 25 days.\fSick leave is paid."


async def test_a_verdict_is_kept_with_policy_and_passages_and_nothing_is_behind(house: House) -> None:
    house.policy.stops = {"Sick": "planted"}
    assert await house.add(PAGES) == "added"
    (document,) = await house.registry.everything()
    kept = await house.screenings.of(document.id)
    assert kept is not None
    assert (kept.revision, kept.stamp, kept.passages) == (document.revision, "acme/hr@1", 2)
    assert len(kept.withheld) == 1
    assert await house.rescreening.behind() == []
    house.policy.screened.clear()
    assert await house.rescreening.run() == Rescreened()
    assert house.policy.screened == [], "judged under the same policy, it is not judged again"


async def test_what_passes_under_the_new_policy_stays_as_it_is(house: House) -> None:
    await house.add(PAGES)
    (before,) = await house.registry.everything()
    house.policy.version = 2
    assert [one.name for one in await house.rescreening.behind()] == ["leave.txt"]
    assert await house.rescreening.run() == Rescreened(passed=1)
    assert (await house.registry.everything())[0] == before, "nothing was added again"
    assert await house.rescreening.behind() == []


async def test_a_passage_that_is_stopped_now_leaves_and_one_that_passes_now_comes_back(house: House) -> None:
    await house.add(PAGES)
    house.policy.version, house.policy.stops = 2, {"Sick": "planted"}
    assert await house.rescreening.run() == Rescreened(added=1)
    assert await house.texts() == ["Annual leave is 25 days."]
    house.policy.version, house.policy.stops = 3, {}
    assert await house.rescreening.run() == Rescreened(added=1)
    assert len(await house.texts()) == 2
    assert await house.rescreening.behind() == []


async def test_a_document_that_is_stopped_now_goes_into_quarantine(house: House) -> None:
    await house.add(PAGES)
    await house.add("Canteen opens at noon.", "canteen.txt")
    house.policy.version, house.policy.stops = 2, {"Annual": "override"}
    became: list[tuple[str, str]] = []
    told = await house.rescreening.run(on_document=lambda one, what: became.append((one.name, what)))
    assert told == Rescreened(passed=1, quarantined=1)
    assert sorted(became) == [("canteen.txt", "passed"), ("leave.txt", "quarantined")]
    assert await house.texts() == []
    assert await house.texts("canteen.txt") != []
    (row,) = await house.registry.quarantined(scope=SCOPE)
    assert row.code == "override"
    assert await house.rescreening.behind() == []


async def test_groups_and_name_survive(house: House) -> None:
    await house.add(PAGES, "board/leave.txt", groups=("board",))
    house.policy.version, house.policy.stops = 2, {"Sick": "planted"}
    assert await house.rescreening.run() == Rescreened(added=1)
    assert await house.texts("board/leave.txt") == []
    assert await house.texts("board/leave.txt", groups=("board",)) == ["Annual leave is 25 days."]


async def test_what_hides_text_is_read_from_its_file_again(house: House) -> None:
    await house.add(PAGES)
    (document,) = await house.registry.everything()
    with_hidden = await house.registry.pages(document.id, scope=SCOPE)
    assert all("hidden_text" not in page.flags for page in with_hidden)
    house.registry._connection.execute("UPDATE pages SET flags = '[\"hidden_text\"]' WHERE no = 1")
    house.policy.version = 2
    assert await house.rescreening.run() == Rescreened(added=1)


async def test_a_rail_that_cannot_decide_leaves_the_document_behind_and_on_the_shelf(house: House) -> None:
    await house.add(PAGES)
    house.policy.version, house.policy.undecided = 2, True
    assert await house.rescreening.run() == Rescreened(failed=1)
    assert len(await house.texts()) == 2
    assert len(await house.rescreening.behind()) == 1
    house.policy.undecided = False
    assert await house.rescreening.run() == Rescreened(passed=1)


async def test_a_kept_file_that_is_gone_leaves_the_document_behind(house: House) -> None:
    await house.add(PAGES)
    for path in (house.folder / "files").rglob("original*"):
        path.unlink()
    house.policy.version, house.policy.stops = 2, {"Sick": "planted"}
    assert await house.rescreening.run() == Rescreened(failed=1)
    assert len(await house.rescreening.behind()) == 1


async def test_the_kept_file_is_whole_after_it_was_added_again(house: House) -> None:
    await house.add(PAGES)
    house.policy.version, house.policy.stops = 2, {"Sick": "planted"}
    await house.rescreening.run()
    (kept,) = [path for path in (house.folder / "files").rglob("original*") if path.is_file()]
    assert kept.read_text() == PAGES


async def test_a_library_without_verdicts_is_judged_once(house: House) -> None:
    await house.add(PAGES)
    await house.screenings.keep_only([])
    assert await house.rescreening.run() == Rescreened(passed=1)
    assert await house.rescreening.run() == Rescreened()


async def test_a_verdict_on_another_revision_counts_as_none(house: House) -> None:
    await house.add(PAGES)
    (document,) = await house.registry.everything()
    stale = Screening(document_id=document.id, revision="old", stamp="acme/hr@1", passages=2)
    await house.screenings.keep(stale)
    assert len(await house.rescreening.behind()) == 1


async def test_verdicts_of_what_is_gone_are_forgotten(house: House) -> None:
    await house.add(PAGES)
    (document,) = await house.registry.everything()
    await house.pipeline.remove(document.id, scope=SCOPE)
    await house.rescreening.behind()
    assert await house.screenings.of(document.id) is None


async def test_verdicts_that_cannot_be_written_are_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "screenings.sqlite").write_bytes(b"no database at all, and long enough to be looked at" * 20)
    with pytest.raises(LibraryError, match=r"screenings\.sqlite"):
        Screenings.open(tmp_path / "screenings.sqlite", stamp=Policy().stamp)
