"""Who reads the pages that want eyes: what is served and named, and nobody where nothing is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from api.settings import ApiSettings
from api.wiring import film_watcher, page_eyes
from ingest.served import ServedModel
from ingest.settings import IngestSettings

pytestmark = pytest.mark.anyio
SERVED = ApiSettings(model_url="http://127.0.0.1:9/v1", model="nano", model_sees_images=True)


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def writer() -> AsyncIterator[ServedModel]:
    model = ServedModel(base_url="http://127.0.0.1:9/v1", model="nano", context_tokens=8000, sees_images=True)
    yield model
    await model.close()


async def test_the_model_that_looks_also_reads(closing: AsyncExitStack, writer: ServedModel) -> None:
    eyes = page_eyes(SERVED, writer, IngestSettings(), closing)
    assert eyes is not None
    assert eyes.version == "nano-auto"


async def test_nemotron_parse_reads_where_it_is_served(closing: AsyncExitStack, writer: ServedModel) -> None:
    settings = SERVED.model_copy(update={"parser_url": "http://127.0.0.1:9/v1", "parser_form": "nim"})
    eyes = page_eyes(settings, writer, IngestSettings(), closing)
    assert eyes is not None
    assert eyes.name == "nvidia/nemotron-parse"


async def test_nobody_reads_where_no_model_sees_or_eyes_are_off(
    closing: AsyncExitStack, writer: ServedModel
) -> None:
    blind = SERVED.model_copy(update={"model_sees_images": False})
    assert page_eyes(blind, writer, IngestSettings(), closing) is None
    assert page_eyes(SERVED, None, IngestSettings(), closing) is None
    assert page_eyes(SERVED, writer, IngestSettings(eyes="off"), closing) is None


async def test_films_are_watched_as_clips_where_the_server_prunes_them(writer: ServedModel) -> None:
    ours = SERVED.model_copy(update={"provider": "vllm"})
    clips = film_watcher(ours, writer, IngestSettings())
    assert clips is not None
    assert clips.version == "nano-clips"
    assert clips.tokens(64) < 64 * 2 * 256
    unpruned = film_watcher(ours, writer, IngestSettings(video_pruning=0.0))
    assert unpruned is not None
    assert unpruned.version == "nano-frames"
    unknown = film_watcher(SERVED, writer, IngestSettings())
    assert unknown is not None
    assert unknown.version == "nano-frames"


async def test_nobody_watches_where_no_model_sees_or_watching_is_off(writer: ServedModel) -> None:
    assert film_watcher(SERVED, None, IngestSettings()) is None
    assert film_watcher(SERVED, writer, IngestSettings(watch="off")) is None
