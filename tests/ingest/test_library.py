"""The library: only what is live and allowed, ordered by both legs and tipped by the reranker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ingest.errors import NoPageImage
from ingest.index import Index
from ingest.library import Shelves
from ingest.page_images import LARGE, SMALL
from ingest.pipeline import Pipeline, original
from ingest.records import Box, Framing, Scope
from ingest.registry import Registry
from ingest.settings import IngestSettings
from tests.ingest.shelf_fakes import (
    LOCAL_INDEX_WARNING,
    FakeEmbedder,
    FakeReader,
    FakeReranker,
    FakeScreen,
    FakeVision,
    an_index_in_memory,
)

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(LOCAL_INDEX_WARNING)]

ACME = Scope(tenant="acme", collections=("hr",))
FOREIGN = [
    Scope(tenant="rival", collections=("hr",)),
    Scope(tenant="acme", collections=("law",)),
    Scope(tenant="acme", collections=("hr",), documents=()),
]


@dataclass
class Room:
    folder: Path
    index: Index
    registry: Registry
    reader: FakeReader
    vision: FakeVision
    reranker: FakeReranker

    def shelves(self, *, reranker: FakeReranker | None = None, **settings: float) -> Shelves:
        return Shelves(
            index=self.index,
            embedder=FakeEmbedder(),
            reranker=reranker,
            vision=self.vision,
            registry=self.registry,
            reader=self.reader,
            files=self.folder / "files",
            settings=IngestSettings(**settings),
        )

    def pipeline(self) -> Pipeline:
        return Pipeline(
            reader=self.reader,
            embedder=FakeEmbedder(),
            index=self.index,
            registry=self.registry,
            files=self.folder / "files",
            screen=FakeScreen(),
            settings=IngestSettings(chunk_tokens=32),
        )

    async def add(self, name: str, text: str, *, groups: tuple[str, ...] = ()) -> str:
        path = self.folder / "incoming.txt"
        path.write_text(text)
        outcome = await self.pipeline().add(path, name=name, tenant="acme", collection="hr", groups=groups)
        assert outcome.id is not None
        return outcome.id


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    index = await an_index_in_memory()
    registry = Registry.open(tmp_path / "registry.sqlite")
    picture = BytesIO()
    Image.new("RGB", (200, 100), "white").save(picture, "PNG")
    yield Room(tmp_path, index, registry, FakeReader(png=picture.getvalue()), FakeVision(), FakeReranker())
    await registry.close()
    await index.close()


async def test_an_empty_library_finds_nothing(room: Room) -> None:
    assert await room.shelves().search("leave", scope=ACME, limit=5) == []


async def test_the_best_hit_comes_first_with_its_legs_and_its_document(room: Room) -> None:
    await room.add("leave.txt", "Annual leave is 25 days.\fParking is free.")
    hits = await room.shelves().search("annual leave days", scope=ACME, limit=2)
    assert [hit.chunk.page_no for hit in hits] == [1, 2]
    assert hits[0].document_name == "leave.txt"
    assert set(hits[0].legs) == {"dense", "sparse"}
    assert hits[0].score > hits[1].score


@pytest.mark.parametrize("scope", FOREIGN)
async def test_what_a_scope_does_not_allow_is_nowhere(room: Room, scope: Scope) -> None:
    document = await room.add("leave.txt", "Annual leave.")
    [hit] = await room.shelves().search("leave", scope=ACME, limit=5)
    library = room.shelves()
    assert await library.search("leave", scope=scope, limit=5) == []
    assert await library.chunks([hit.chunk.id], scope=scope) == []
    assert await library.on_page(document, 1, scope=scope) == []
    assert await library.page_image(document, 1, scope=scope) is None
    assert await library.document(document, scope=scope) is None
    assert await library.documents(scope=scope) == []
    [finding] = await library.look([hit.chunk], question="?", scope=scope, max_tokens=9000)
    assert finding.outcome == "nothing"
    assert (room.vision.views, room.reader.rendered) == ([], [])


async def test_groups_withdrawn_in_the_registry_hold_although_the_points_are_older(room: Room) -> None:
    document_id = await room.add("leave.txt", "Annual leave.")
    [hit] = await room.shelves().search("leave", scope=ACME, limit=5)
    document = await room.registry.get(document_id, scope=ACME)
    assert document is not None
    await room.registry.commit(replace(document, groups=("board",)), [], recipe="")
    assert await room.shelves().search("leave", scope=ACME, limit=5) == []
    assert await room.shelves().chunks([hit.chunk.id], scope=ACME) == []


async def test_points_of_a_revision_that_is_not_live_are_not_seen(room: Room) -> None:
    document_id = await room.add("leave.txt", "Annual leave.")
    [hit] = await room.shelves().search("leave", scope=ACME, limit=5)
    document = await room.registry.get(document_id, scope=ACME)
    assert document is not None
    await room.registry.commit(replace(document, revision="0" * 64), [], recipe="")
    assert await room.shelves().search("leave", scope=ACME, limit=5) == []
    assert await room.shelves().chunks([hit.chunk.id], scope=ACME) == []


async def test_a_removed_document_is_gone_from_old_answers(room: Room) -> None:
    document = await room.add("leave.txt", "Annual leave.")
    [hit] = await room.shelves().search("leave", scope=ACME, limit=5)
    await room.registry.remove(document)
    assert await room.shelves().chunks([hit.chunk.id], scope=ACME) == []
    assert await room.shelves().page_image(document, 1, scope=ACME) is None


async def test_a_page_beyond_the_last_is_absent(room: Room) -> None:
    document = await room.add("leave.txt", "Annual leave.")
    for page_no in (0, -1, 2):
        assert await room.shelves().page_image(document, page_no, scope=ACME) is None
    assert room.reader.rendered == []


async def test_a_page_is_drawn_from_the_kept_copy_with_marks_and_veils(room: Room) -> None:
    document_id = await room.add("leave.txt", "Annual leave.")
    document = await room.registry.get(document_id, scope=ACME)
    assert document is not None
    library = room.shelves()
    plain = await library.page_image(document_id, 1, scope=ACME)
    mark, veil = Box(x0=0, y0=0, x1=0.5, y1=0.5), Box(x0=0.5, y0=0.5, x1=1, y1=1)
    drawn = await library.page_image(document_id, 1, scope=ACME, marks=[mark], veils=[veil])
    assert plain is not None
    assert drawn is not None
    assert pixel(drawn, (10, 10)) != pixel(plain, (10, 10))
    assert pixel(drawn, (190, 90)) == (40, 44, 52)
    kept = original(room.folder / "files", document)
    assert room.reader.rendered == [(kept, "text/plain", 1, LARGE, "webp")], "made once, drawn on twice"
    assert await library.page_image(document_id, 1, scope=ACME) == plain, "the next caller sees no mark"


async def test_a_page_comes_in_two_sizes_and_two_formats(room: Room) -> None:
    document = await room.add("leave.txt", "Annual leave.")
    for size, longest in (("small", SMALL), ("large", LARGE)):
        for form in ("png", "webp"):
            framing = Framing(size=size, form=form)  # type: ignore[arg-type]
            image = await room.shelves().page_image(document, 1, scope=ACME, framing=framing)
            assert image is not None
            assert Image.open(BytesIO(image)).format == form.upper()
        assert room.reader.rendered[-1][3] == longest
    assert len(room.reader.rendered) == 2


async def test_a_region_is_cut_with_a_margin_and_its_veils_stay(room: Room) -> None:
    document = await room.add("leave.txt", "Annual leave.")
    mark = Box(x0=0.4, y0=0.4, x1=0.6, y1=0.6)
    image = await room.shelves().page_image(
        document, 1, scope=ACME, marks=[mark], veils=[mark], framing=Framing(cut="marks")
    )
    assert image is not None
    assert Image.open(BytesIO(image)).size == (52, 26)
    assert pixel(image, (26, 13)) == (40, 44, 52)


async def test_a_page_without_an_image_says_so_to_its_readers_and_to_nobody_else(room: Room) -> None:
    room.reader.has_image = False
    document = await room.add("leave.txt", "Annual leave.", groups=("board",))
    board = replace(ACME, groups=("board",))
    with pytest.raises(NoPageImage):
        await room.shelves().page_image(document, 1, scope=board)
    for scope, page_no in ((ACME, 1), (board, 2), *((one, 1) for one in FOREIGN)):
        assert await room.shelves().page_image(document, page_no, scope=scope) is None
    [hit] = await room.shelves().search("leave", scope=board, limit=5)
    [finding] = await room.shelves().look([hit.chunk], question="?", scope=board, max_tokens=9000)
    assert (finding.outcome, room.reader.rendered) == ("nothing", [])


async def test_a_removed_document_takes_its_pictures_along(room: Room) -> None:
    document = await room.add("leave.txt", "Annual leave.")
    other = await room.add("sick.txt", "Sick leave.")
    for one in (document, other):
        assert await room.shelves().page_image(one, 1, scope=ACME)
    pictures = room.folder / "files"
    assert len(list(pictures.glob("*/*/images-*/*.webp"))) == 2
    assert await room.pipeline().remove(document, scope=ACME)
    (left,) = pictures.glob("*/*/images-*/*.webp")
    assert other in left.parts


def pixel(image: bytes, spot: tuple[int, int]) -> object:
    return Image.open(BytesIO(image)).convert("RGB").getpixel(spot)


async def test_looking_shows_the_region_with_a_margin(room: Room) -> None:
    await room.add("leave.txt", "Annual leave.")
    [hit] = await room.shelves().search("leave", scope=ACME, limit=5)
    [finding] = await room.shelves().look([hit.chunk], question="?", scope=ACME, max_tokens=9000)
    [view] = room.vision.views
    assert (finding.text, view.text) == ("Annual leave.", "Annual leave.")
    assert view.box == Box(x0=0.22, y0=0.22, x1=0.78, y1=0.53)
    assert Image.open(BytesIO(view.png)).size == (112, 31)


async def test_looking_ends_where_the_tokens_do(room: Room) -> None:
    await room.add("leave.txt", "Annual leave.\fSick leave.\fStudy leave.")
    hits = await room.shelves().search("leave", scope=ACME, limit=5)
    room.vision.tokens_each = 1000
    findings = await room.shelves().look(
        [hit.chunk for hit in hits], question="?", scope=ACME, max_tokens=2500
    )
    assert [finding.outcome for finding in findings] == ["found", "found", "unlooked"]
    assert len(room.vision.views) == 2


async def test_the_chunks_of_a_page_come_in_reading_order(room: Room) -> None:
    parts = [f"Paragraph {n} " + "word " * 30 for n in range(5)]
    document = await room.add("long.txt", "\n\n".join(parts) + "\fNext page.")
    chunks = await room.shelves().on_page(document, 1, scope=ACME)
    assert [chunk.text for chunk in chunks] == [part.strip() for part in parts]


async def test_a_document_that_the_question_names_comes_first(room: Room) -> None:
    for name in ("NORTHWIND_2022_10K.txt", "NORTHWIND_2023_10K.txt", "BLUEYONDER_2022_10K.txt"):
        await room.add(name, "Total revenue was stable.")
    library = room.shelves()
    for question, first in (
        ("What was the total revenue of Blue Yonder?", "BLUEYONDER_2022_10K.txt"),
        ("What was North Wind's total revenue in FY2023?", "NORTHWIND_2023_10K.txt"),
        ("What was North Wind's total revenue in FY2022?", "NORTHWIND_2022_10K.txt"),
    ):
        hits = await library.search(question, scope=ACME, limit=3)
        assert [hits[0].document_name, len(hits)] == [first, 3], "lifted, and nothing is left out"
        assert hits[0].legs["lift"] == pytest.approx(0.3 + 0.15 * ("FY" in question))
    off = room.shelves(name_weight=0.0, period_weight=0.0)
    scores = [hit.score for hit in await off.search("total revenue of Blue Yonder", scope=ACME, limit=3)]
    assert max(scores) - min(scores) < 0.3


async def test_a_named_document_is_found_behind_a_crowd_of_others(room: Room) -> None:
    for n in range(30):
        await room.add(f"other{n}.txt", "revenue revenue revenue revenue")
    await room.add("BLUEYONDER.txt", "Income fell. A word on revenue.")
    hits = await room.shelves(candidates=5).search("What is Blue Yonder's revenue?", scope=ACME, limit=5)
    assert hits[0].document_name == "BLUEYONDER.txt"


async def test_a_named_document_out_of_scope_moves_no_score(room: Room) -> None:
    await room.add("NORTHWIND.txt", "Total revenue was stable.")
    await room.add("SOUTHWIND.txt", "Total revenue was not stable.")

    async def found(question: str) -> list[tuple[str, float]]:
        hits = await room.shelves().search(question, scope=ACME, limit=5)
        return [(hit.document_name, hit.score) for hit in hits]

    question = "Total revenue of Blue Yonder and Northwind?"
    before = await found(question)
    await room.add("BLUEYONDER.txt", "Total revenue fell.", groups=("board",))
    await room.add("LATER.txt", "Parking.")
    after = await found(question)
    assert [name for name, _ in after[:2]] == [name for name, _ in before]
    board = replace(ACME, groups=("board",))
    named = await room.shelves().search(question, scope=board, limit=2)
    assert {hit.document_name for hit in named} == {"BLUEYONDER.txt", "NORTHWIND.txt"}


async def test_a_document_added_or_removed_later_is_routed_to_at_once(room: Room) -> None:
    await room.add("NORTHWIND.txt", "Total revenue was stable.")
    library = room.shelves()
    question = "Total revenue of Blue Yonder?"
    [hit] = await library.search(question, scope=ACME, limit=5)
    assert "lift" not in hit.legs
    added = await room.add("BLUEYONDER.txt", "Total revenue fell.")
    hits = await library.search(question, scope=ACME, limit=5)
    assert (hits[0].document_name, "lift" in hits[0].legs) == ("BLUEYONDER.txt", True)
    await room.registry.remove(added)
    [hit] = await library.search(question, scope=ACME, limit=5)
    assert hit.document_name == "NORTHWIND.txt"


async def test_a_page_asked_for_by_number_is_found_in_the_one_document_that_is_asked(room: Room) -> None:
    pages = [f"Blue bars on this sheet, {n}" for n in range(1, 30)]
    pages[11] = "Parking is free."
    document = await room.add("slides.txt", "\f".join(pages))
    await room.add("other.txt", "\f".join(pages))
    own = replace(ACME, documents=(document,))
    library = room.shelves(candidates=5, reference_weight=1.0)
    [first, *_] = await library.search("What do the blue bars on page 12 say?", scope=own, limit=5)
    assert (first.chunk.page_no, first.legs["lift"]) == (12, 1.0)
    everywhere = await library.search("What do the blue bars on page 12 say?", scope=ACME, limit=5)
    assert all("lift" not in hit.legs for hit in everywhere), "among many documents it means nothing"
    beyond = await library.search("What do the blue bars on page 99 say?", scope=own, limit=5)
    assert [hit.document_name for hit in beyond] == ["slides.txt"] * 5
    for scope in FOREIGN:
        narrowed = replace(scope, documents=(document,)) if scope.documents is None else scope
        assert await library.search("What is on page 12?", scope=narrowed, limit=5) == []


async def test_around_a_chunk_stand_its_neighbours_on_its_page_within_scope(room: Room) -> None:
    parts = [f"Paragraph {n} " + "word " * 30 for n in range(4)]
    document = await room.add("long.txt", "\n\n".join(parts) + "\fNext page.")
    first, second, third, last = await room.shelves().on_page(document, 1, scope=ACME)
    found = await room.shelves().around([last.id, second.id, "gone"], scope=ACME)
    assert found == {last.id: [third, last], second.id: [first, second, third]}
    for scope in FOREIGN:
        assert await room.shelves().around([second.id], scope=scope) == {}


async def test_the_reranker_tips_the_order_and_reads_the_best_only(room: Room) -> None:
    for n in range(4):
        await room.add(f"{n}.txt", f"Annual leave policy, part {n}" + " words" * n)
    plain = await room.shelves().search("annual leave policy", scope=ACME, limit=4)
    reranker = FakeReranker(prefers=plain[1].chunk.text)
    library = room.shelves(reranker=reranker, reranked=2, rerank_weight=2.0)
    tipped = await library.search("annual leave policy", scope=ACME, limit=4)
    assert [hit.chunk.id for hit in tipped[:2]] == [plain[1].chunk.id, plain[0].chunk.id]
    assert len(reranker.read) == 2
    assert "rerank" in tipped[0].legs
    assert [hit.score for hit in tipped] == sorted((hit.score for hit in tipped), reverse=True)


async def test_when_the_rerankers_time_is_up_the_fused_order_stands_and_the_hits_say_so(
    room: Room,
) -> None:
    for n in range(3):
        await room.add(f"{n}.txt", f"Annual leave policy, part {n}" + " words" * n)
    plain = await room.shelves().search("annual leave policy", scope=ACME, limit=3)
    reranker = FakeReranker(prefers=plain[2].chunk.text)
    library = room.shelves(reranker=reranker, reranked=2, rerank_budget_s=0.0)
    hits = await library.search("annual leave policy", scope=ACME, limit=3)
    assert [hit.chunk.id for hit in hits] == [hit.chunk.id for hit in plain]
    assert ["unread" in hit.legs for hit in hits] == [True, True, False]
    assert reranker.read == []


async def test_no_reranker_and_a_reranker_of_zero_hits_leave_the_fused_order(room: Room) -> None:
    await room.add("leave.txt", "Annual leave.\fSick leave.")
    plain = await room.shelves().search("annual leave", scope=ACME, limit=4)
    off = await room.shelves(reranker=FakeReranker("Sick"), reranked=0).search(
        "annual leave", scope=ACME, limit=4
    )
    assert off == plain
    scores = await room.shelves().rerank("annual leave", ["annual leave", "parking"])
    assert scores[0] > scores[1]
