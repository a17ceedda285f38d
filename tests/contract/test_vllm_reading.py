"""Pages read by a real vLLM: the architecture of Nemotron Nano 2 VL, with random weights, by its address.

What it says is noise, so what is asserted is shape, tokens and errors. Where a text is needed, a grammar
forces it: then the whole way from page to elements with boxes is gone with the real server in the middle.
"""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from ingest.errors import ModelReply, ReplyCut
from ingest.eyes import Eyes
from ingest.outage import Outage
from ingest.reading import Reader
from ingest.records import Page, Reading
from ingest.served import Message, ServedModel
from ingest.settings import IngestSettings
from ingest.sources import open_source
from ingest.tiles import png_tokens
from ingest.transcribe import PROMPT, PageReply
from ingest.vision import ServedVision
from tests.ingest.model_server import book, faithful, lines_of

pytestmark = [pytest.mark.vllm, pytest.mark.anyio]
NAME = "nvidia/nemotron-nano-12b-v2-vl"
SETTINGS = IngestSettings(readers=1, threads=1, eyes="all", eyes_slots=4, transcript_tokens=600)


@pytest.fixture(scope="module")
def url() -> str:
    """Return the base address of a running vLLM; see README of the tiny model for how to serve one."""
    named = os.environ.get("PAGEWARDEN_VLLM_URL")
    if not named:
        pytest.skip("no vLLM is named (PAGEWARDEN_VLLM_URL, ending in /v1)")
    return named


@asynccontextmanager
async def model_at(url: str, *, tokens: int = 16_384, **extra: object) -> AsyncIterator[ServedModel]:
    model = ServedModel(
        base_url=url, model=NAME, context_tokens=tokens, sees_images=True, timeout_s=300, extra=extra
    )
    yield model
    await model.close()


def blank(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.new("L", (width, height), "white").save(buffer, "PNG")
    return buffer.getvalue()


async def read(folder: Path, content: bytes, model: ServedModel, settings: IngestSettings) -> Reading:
    path = folder / "a.pdf"
    path.write_bytes(content)
    vision = ServedVision(model, transcript_tokens=settings.transcript_tokens)
    eyes = Eyes(vision, settings, outage=Outage(vision.answers, wait_s=60, first_s=0.2))
    return await Reader(settings, eyes=eyes).read(
        open_source(path, name="a.pdf", settings=settings),
        pages_dir=folder / "pages",
        on_page=lambda done, total: None,
    )


def said(page: Page) -> str:
    return " ".join(element.text for element in page.elements)


async def test_the_server_answers_a_sign_of_life(url: str) -> None:
    async with model_at(url) as model:
        await ServedVision(model).answers()


async def test_a_transcript_fits_the_schema_or_is_cut_and_says_so(url: str) -> None:
    async with model_at(url) as model:
        ask = [
            Message(role="system", text="/no_think"),
            Message(role="user", text=PROMPT, images=(blank(1024, 1449),)),
        ]
        try:
            reply = await model.reply(ask, schema=PageReply, max_tokens=400)
        except ReplyCut:
            return  # random weights may go on to the end of their tokens: that is told, not taken for whole
        assert isinstance(reply, PageReply)


async def test_a_page_of_noise_leaves_the_text_layer_standing_with_the_reason(
    url: str, tmp_path: Path
) -> None:
    async with model_at(url) as model:
        reading = await read(tmp_path, book(2), model, SETTINGS)
    assert reading.outcome == "ok"
    for page in reading.pages:
        assert said(page) == " ".join(lines_of(page.no))
        if page.read_by == "text-layer":
            assert f"{NAME} could not read it" in page.reason


async def test_a_page_goes_all_the_way_to_elements_with_boxes(url: str, tmp_path: Path) -> None:
    forced = {"regex": re.escape(faithful(1)).replace("\\ ", " ")}
    async with model_at(url, structured_outputs=forced) as model:
        vision = Forced(model)
        eyes = Eyes(vision, SETTINGS, outage=Outage(vision.answers, wait_s=60, first_s=0.2))
        path = tmp_path / "a.pdf"
        path.write_bytes(book(1))
        reading = await Reader(SETTINGS, eyes=eyes).read(
            open_source(path, name="a.pdf", settings=SETTINGS),
            pages_dir=tmp_path / "pages",
            on_page=lambda done, total: None,
        )
    (page,) = reading.pages
    assert page.read_by == "vision-model", page.reason
    assert [element.kind for element in page.elements] == ["title", "paragraph"]
    assert said(page) == " ".join(lines_of(1))
    assert all(element.box and element.box.x0 > 0.09 for element in page.elements)


class Forced(ServedVision):
    """Asks without a schema of its own: the grammar of the request says what comes."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self.model = model

    async def transcribe(self, png: bytes):  # type: ignore[no-untyped-def]
        from ingest.transcribe import pieces_of

        ask = [Message(role="system", text="/no_think"), Message(role="user", text=PROMPT, images=(png,))]
        told = await self.model.tell(ask, max_tokens=1200)
        return pieces_of(PageReply.model_validate_json(told).blocks)


async def test_too_few_tokens_are_a_cut_not_a_page(url: str) -> None:
    async with model_at(url, ignore_eos=True) as model:
        with pytest.raises(ReplyCut):
            await model.tell([Message(role="user", text="Write.", images=(blank(512, 512),))], max_tokens=4)


async def test_what_is_no_image_is_refused_and_named(url: str) -> None:
    async with model_at(url) as model:
        with pytest.raises(ModelReply, match="HTTP 400"):
            await model.tell([Message(role="user", text="Look.", images=(b"no image at all",))], max_tokens=4)


@pytest.mark.parametrize(("width", "height"), [(1024, 1449), (1275, 1650), (1024, 1453)])
def test_an_image_costs_the_tokens_that_the_tiles_say(url: str, width: int, height: int) -> None:
    """The tiny model has tiles of 4 tokens; the number of tiles is the real one's."""
    import base64

    def count(content: list[dict[str, object]]) -> int:
        body = {"model": NAME, "messages": [{"role": "user", "content": content}]}
        request = urllib.request.Request(
            url.removesuffix("/v1") + "/tokenize",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return int(json.loads(answer.read())["count"])

    png = blank(width, height)
    data = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    text: dict[str, object] = {"type": "text", "text": "x"}
    used = count([{"type": "image_url", "image_url": {"url": data}}, text]) - count([text])
    tiles = (png_tokens(png) - 2) // 256
    assert used >= 4 * tiles
    assert used - 4 * tiles <= 3
