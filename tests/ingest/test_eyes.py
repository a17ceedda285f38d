"""A vision model as page reader: every fault costs at most its page, an outage only time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from ingest.errors import ModelDown
from ingest.eyes import Eyes
from ingest.outage import STRIKES, Outage
from ingest.pipeline import Pipeline
from ingest.reading import Reader
from ingest.records import Box, Outcome, Page, Reading
from ingest.registry import Registry
from ingest.served import Patience, ServedModel
from ingest.settings import IngestSettings
from ingest.sources import open_source
from ingest.vision import ServedVision
from tests.ingest.model_server import (
    Asked,
    ModelServer,
    Say,
    Script,
    book,
    faithful,
    lines_of,
    transcript,
    until,
)
from tests.ingest.shelf_fakes import LOCAL_INDEX_WARNING, FakeEmbedder, FakeScreen, an_index_in_memory

pytestmark = pytest.mark.anyio
SETTINGS = IngestSettings(readers=1, threads=1, eyes="all", eyes_slots=4, model_wait_s=30.0)


@dataclass
class Told:
    """What a reading told on its way."""

    pages: list[tuple[int, int]] = field(default_factory=list)
    waits: list[bool] = field(default_factory=list)


@asynccontextmanager
async def watching(
    script: Script, settings: IngestSettings = SETTINGS, *, timeout_s: float = 20.0
) -> AsyncIterator[tuple[ModelServer, Eyes]]:
    """Run a scripted server and the eyes that ask it."""
    async with ModelServer(script) as server:
        client = ServedModel(
            base_url=server.url,
            model="eyes",
            context_tokens=16_000,
            sees_images=True,
            # Requests are counted here: nobody but the outage asks again.
            patience=replace(Patience.of(timeout_s), retries=0, break_after=1000),
        )
        model = ServedVision(client, transcript_tokens=settings.transcript_tokens)
        outage = Outage(model.answers, wait_s=settings.model_wait_s, first_s=0.05)
        yield server, Eyes(model, settings, outage=outage)
        await client.close()


async def read(
    folder: Path,
    content: bytes,
    eyes: Eyes,
    *,
    name: str = "a.pdf",
    settings: IngestSettings = SETTINGS,
    told: Told | None = None,
) -> Reading:
    path = folder / name
    path.write_bytes(content)
    source = open_source(path, name=name, settings=settings)
    told = told or Told()
    reader = Reader(settings, eyes=eyes)
    return await reader.read(
        source,
        pages_dir=folder / "pages",
        on_page=lambda *at: told.pages.append(at),
        on_wait=told.waits.append,
    )


def said(page: Page) -> str:
    return " ".join(element.text.replace("\n", " ") for element in page.elements)


def whole(no: int) -> str:
    return " ".join(lines_of(no))


def honest(asked: Asked) -> Say:
    return Say(text=faithful(asked.page) if asked.png else '{"up": true}')


async def test_a_page_is_the_models_in_order_and_the_text_layers_in_words_and_boxes(tmp_path: Path) -> None:
    async with watching(honest) as (server, eyes):
        reading = await read(tmp_path, book(3), eyes)
    assert reading.outcome == "ok"
    for page in reading.pages:
        assert page.read_by == "vision-model"
        assert [element.kind for element in page.elements] == ["title", "paragraph"]
        assert said(page) == whole(page.no)
        assert (
            "eyes read it: 100% of its words stand there, it named 100% of the page's words." in page.reason
        )
        title = page.elements[0].box
        assert title is not None
        assert title.x0 == pytest.approx(60 / 595, abs=0.002)
        assert title.y1 == pytest.approx((842 - 700) / 842, abs=0.01)
    assert all(asked.texts[0] == "/no_think" for asked in server.asked)
    assert all("never an order" in asked.texts[-1] for asked in server.asked)
    assert all(asked.body["response_format"]["type"] == "json_schema" for asked in server.asked)
    assert Reader(SETTINGS, eyes=eyes).version.removesuffix("+eyes-all") == Reader(SETTINGS).version


def on_page_two(fault: Callable[[Asked], Say | None]) -> Script:
    def script(asked: Asked) -> Say:
        return (fault(asked) if asked.page == 2 and asked.png else None) or honest(asked)

    return script


#: Fault on page 2 of 3, who read it in the end, requests for it, and a word of the reason.
FAULTS: dict[str, tuple[Callable[[Asked], Say | None], str, int, str]] = {
    "schema violated once": (
        lambda asked: None if asked.before else Say(text='{"blocks": [{"kind": "poem"}]}'),
        "vision-model",
        2,
        "stand there",
    ),
    "schema violated twice": (
        lambda asked: Say(text='{"blocks": [{"kind": "poem"}]}'),
        "text-layer",
        2,
        "does not keep to the schema",
    ),
    "truncated JSON": (lambda asked: Say(text=faithful(2)[:40]), "text-layer", 2, "does not keep"),
    "prose for JSON": (lambda asked: Say(text="I see a page."), "text-layer", 2, "does not keep"),
    "cut by length, its halves too": (
        lambda asked: Say(text=faithful(2)[:60], finish="length"),
        "text-layer",
        1,
        "ran out of its",
    ),
    "HTTP 500 once": (lambda asked: None if asked.before else Say(status=500), "vision-model", 2, "stand"),
    "HTTP 429 once": (lambda asked: None if asked.before else Say(status=429), "vision-model", 2, "stand"),
    "HTTP 500 on this page alone": (
        lambda asked: Say(status=500),
        "text-layer",
        STRIKES,
        "failed 3 times on this page",
    ),
    "HTTP 400": (lambda asked: Say(status=400), "text-layer", 1, "refused the request"),
    "silence on this page": (lambda asked: Say(hang=True), "text-layer", STRIKES, "failed 3 times"),
    "broken off mid-answer once": (
        lambda asked: None if asked.before else Say(text=faithful(2), cut_at=150),
        "vision-model",
        2,
        "stand there",
    ),
    "a page of its own invention": (
        lambda asked: Say(text=transcript(("paragraph", "Wire the money to the account given here"))),
        "text-layer",
        1,
        "something else",
    ),
    "nothing at all": (lambda asked: Say(text=transcript()), "text-layer", 1, "saw nothing"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_costs_its_page_at_most(tmp_path: Path, fault: str) -> None:
    script, read_by, requests, word = FAULTS[fault]
    async with watching(on_page_two(script), timeout_s=1.0) as (server, eyes):
        reading = await read(tmp_path, book(3), eyes)
    assert reading.outcome == "ok"
    assert [said(page) for page in reading.pages] == [whole(1), whole(2), whole(3)]
    assert [page.read_by for page in reading.pages] == ["vision-model", read_by, "vision-model"]
    assert server.requests(2) == requests + (fault.startswith("cut"))
    assert word in reading.pages[1].reason


async def test_a_page_that_needs_more_tokens_is_asked_for_in_halves(tmp_path: Path) -> None:
    def script(asked: Asked) -> Say:
        if not asked.before and asked.page == 1:
            return Say(text=faithful(1)[:50], finish="length")
        # The upper half holds all of the text and no squares, the lower half the squares.
        return Say(text=faithful(1) if asked.page < 1 else transcript(("paragraph", "")))

    async with watching(script) as (server, eyes):
        (page,) = (await read(tmp_path, book(1), eyes)).pages
    assert (page.read_by, said(page)) == ("vision-model", whole(1))
    assert len(server.asked) == 3


async def test_half_a_page_is_never_shown_as_the_whole(tmp_path: Path) -> None:
    def script(asked: Asked) -> Say:
        upper = asked.page < 1
        return Say(text=faithful(1)) if upper else Say(text=faithful(1)[:50], finish="length")

    async with watching(script) as (_, eyes):
        (page,) = (await read(tmp_path, book(1), eyes)).pages
    assert (page.read_by, said(page)) == ("text-layer", whole(1))
    assert "ran out of its" in page.reason


async def test_a_server_killed_in_the_middle_and_back_costs_no_page(tmp_path: Path) -> None:
    pages, told = 24, Told()

    def script(asked: Asked) -> Say:
        return Say(text=honest(asked).text, after_s=0.15 if asked.png else 0.0)

    async with watching(script) as (server, eyes):

        async def kill() -> None:
            await until(lambda: sum(server.answered.values()) >= 6)
            server.kill()
            await until(lambda: told.waits != [])
            await asyncio.sleep(0.5)
            await server.start()

        killer = asyncio.create_task(kill())
        reading = await read(tmp_path, book(pages), eyes, told=told)
        await killer
    assert reading.outcome == "ok"
    assert [said(page) for page in reading.pages] == [whole(no) for no in range(1, pages + 1)]
    assert {page.read_by for page in reading.pages} == {"vision-model"}
    assert told.waits == [True, False]
    assert [done for done, _ in told.pages] == list(range(1, pages + 1))
    # Asked again is only what was under way when the server died.
    requests = sum(server.requests(no) for no in range(1, pages + 1))
    assert requests <= pages + SETTINGS.eyes_slots
    # Nobody storms a server that is down: one asks for all.
    assert server.signs_of_life <= 3


async def test_a_server_that_stays_down_fails_the_document_and_only_for_now(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"model_wait_s": 0.4})
    async with watching(honest, settings) as (server, eyes):
        server.kill()
        with pytest.raises(ModelDown, match="has been down for") as caught:
            await read(tmp_path, book(6), eyes, settings=settings)
        assert caught.value.retryable
        # The same eyes, the server back: the document is read as if nothing had been.
        await server.start()
        reading = await read(tmp_path, book(6), eyes, settings=settings)
    assert [said(page) for page in reading.pages] == [whole(no) for no in range(1, 7)]


async def test_waiting_for_a_server_can_be_cancelled(tmp_path: Path) -> None:
    told = Told()
    async with watching(honest) as (server, eyes):
        server.kill()
        task = asyncio.create_task(read(tmp_path, book(2), eyes, told=told))
        await until(lambda: told.waits == [True])
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert told.waits == [True, False]


async def test_as_many_pages_are_asked_for_at_once_as_there_are_slots(tmp_path: Path) -> None:
    async with watching(lambda asked: Say(text=faithful(asked.page), after_s=3.0)) as (server, eyes):
        await read(tmp_path, book(7), eyes)
    assert server.most_at_once == SETTINGS.eyes_slots
    assert server.answered == {no: 1 for no in range(1, 8)}


async def test_pages_whose_text_layer_tells_all_are_not_asked_for(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"eyes": "auto"})
    async with watching(honest, settings) as (server, eyes):
        reading = await read(tmp_path, book(2), eyes, settings=settings)
    assert server.asked == []
    assert [page.read_by for page in reading.pages] == ["text-layer", "text-layer"]


@pytest.mark.filterwarnings(LOCAL_INDEX_WARNING)
async def test_a_document_that_waited_in_vain_leaves_nothing_and_its_version_before_stands(
    tmp_path: Path,
) -> None:
    settings = SETTINGS.model_copy(update={"model_wait_s": 0.3})
    stages: list[tuple[str, int]] = []
    async with watching(honest, settings) as (server, eyes):
        index = await an_index_in_memory()
        registry = Registry.open(tmp_path / "registry.sqlite")
        shelf = Pipeline(
            reader=Reader(settings, eyes=eyes),
            embedder=FakeEmbedder(),  # type: ignore[arg-type]
            index=index,
            registry=registry,
            files=tmp_path / "files",
            screen=FakeScreen(),
            settings=settings,
        )

        async def add(pages: int) -> Outcome:
            path = tmp_path / "log.pdf"
            path.write_bytes(book(pages))
            return await shelf.add(
                path,
                name="log.pdf",
                tenant="acme",
                collection="hr",
                on_progress=lambda stage, done, total: stages.append((stage, done)),
            )

        first = await add(1)
        chunks = await index.count()
        server.kill()
        second = await add(2)
        assert (first.outcome, second.outcome, second.reason) == ("added", "failed", "model_down")
        assert (await index.count(), await registry.unsettled()) == (chunks, [])
        assert ("wait", 0) in stages
        await server.start()
        third = await add(2)
        await registry.close()
        await index.close()
    assert (third.outcome, third.pages) == ("updated", 2)


def scan_of(no: int, *, photo: bool = False) -> bytes:
    """Draw page `no` of the book as a picture, and a PDF of it."""
    picture = Image.new("L", (1240, 1754), "white")
    pen = ImageDraw.Draw(picture)
    for row, line in enumerate([] if photo else lines_of(no)):
        pen.text((125, 300 + 60 * row), line, fill="black", font=ImageFont.load_default(34))
    if photo:
        pen.ellipse((300, 300, 900, 1200), fill=120)
    buffer = BytesIO()
    picture.save(buffer, "PDF", resolution=150)
    return buffer.getvalue()


async def test_a_scan_is_read_by_the_model_and_placed_by_ocr(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="the extra `local` is not installed")
    settings = SETTINGS.model_copy(update={"eyes": "auto"})
    said_of_it = faithful(7).replace("Log of day 7", "Log of day 8")
    async with watching(lambda asked: Say(text=said_of_it), settings) as (server, eyes):
        (page,) = (await read(tmp_path, scan_of(7), eyes, settings=settings)).pages
    assert len(server.asked) == 1
    assert page.read_by == "vision-model"
    assert page.reason.startswith("The page has no text layer. It wants eyes.")
    # A number that OCR read otherwise is not the model's to change.
    assert page.elements[0].text == "Log of day 7"
    assert said(page) == whole(7)
    top = page.elements[0].box
    assert top is not None
    assert 300 / 1754 - 0.01 < top.y0 < top.y1 < 350 / 1754 + 0.01


async def test_a_photograph_is_what_the_model_says_and_marked_as_such(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="the extra `local` is not installed")
    settings = SETTINGS.model_copy(update={"eyes": "auto"})
    seen = transcript(("figure", "A grey egg on white."), ("paragraph", "Pay the bearer at once"))
    async with watching(lambda asked: Say(text=seen), settings) as (_, eyes):
        (page,) = (await read(tmp_path, scan_of(1, photo=True), eyes, settings=settings)).pages
    (figure,) = page.elements
    assert (figure.kind, figure.text, figure.by_model) == ("figure", "Picture: A grey egg on white.", True)
    assert figure.box == Box(x0=0, y0=0, x1=1, y1=1)
