"""The whole house on a real vLLM: shelve a page, ask, look at its picture, write, verify, release.

The engine's words are forced (a right sentence, a wrong one), everything around them is the product's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.records import Answer, Event, Question, Released
from api.house import House
from api.settings import ApiSettings
from api.wiring import open_house
from ingest.records import Scope
from tests.contract.vllm_cpu.forcing import Door, forcing
from tests.contract.vllm_cpu.server import Running

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
QUESTION = "How many bytes of the SQLite database header are reserved for expansion?"
WRITES, LOOKS = "You answer a question from numbered sources", "You look at one picture"
JUDGES, SUPPORTED = (
    "You check claims against evidence",
    r'\{"verdicts": \[\{"pair": 1, "verdict": "supported"\}\]\}',
)
SEEN = r'\{"answerable": true, "finding": "The table lists 20 reserved bytes at offset 72\."\}'
SCOPE = Scope(tenant="default", collections=("default",))


@asynccontextmanager
async def house(door: Door, folder: Path, weights: Path) -> AsyncIterator[House]:
    settings = ApiSettings(
        home=folder / "home",
        weights=weights,
        writer="served",
        model_url=door.url,
        model="nvidia/nemotron-nano-12b-v2-vl",
        model_context_tokens=8192,
        model_sees_images=True,
        provider="vllm",
        model_timeout_s=300.0,
    )
    async with open_house(settings) as opened:
        source = ROOT / "docs" / "sample" / "sqlite-file-format.pdf"
        added = await opened.shelf.add(source, name=source.name, tenant="default", collection="default")
        assert added.outcome == "added", added
        yield opened


async def asked(opened: House) -> list[Event]:
    return [event async for event in opened.agent.ask(Question(text=QUESTION, scope=SCOPE))]


async def test_a_right_sentence_is_looked_up_seen_checked_and_released(
    vision: Running, tmp_path: Path, weights_dir: Path
) -> None:
    said = r"20 bytes are reserved for expansion \[1\]\."
    rules = {WRITES: said, LOOKS: SEEN, JUDGES: SUPPORTED}
    async with (
        forcing(vision.base_url, rules) as door,
        house(door, tmp_path, weights_dir) as opened,
    ):
        events = await asked(opened)
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert (answer.kind, answer.written_by) == ("answer", "served")
    assert answer.text.startswith("20 bytes are reserved for expansion")
    assert answer.citations[0].page_no == 2
    assert [e.sentence for e in events if isinstance(e, Released)] == list(answer.sentences)
    looks, writes = door.asked(LOOKS), door.asked(WRITES)
    assert looks
    assert all(request["messages"][-1]["content"][0]["type"] == "image_url" for request in looks)
    assert all("data:image/png;base64," in str(request) for request in looks)
    assert writes
    assert all(request["stream"] for request in writes)
    assert all(str(request["messages"][0]["content"]).startswith("/no_think") for request in door.requests)


async def test_a_wrong_sentence_of_a_real_engine_is_not_shown(
    vision: Running, tmp_path: Path, weights_dir: Path
) -> None:
    rules = {WRITES: r"21 bytes are reserved for expansion \[1\]\.", LOOKS: SEEN}
    async with (
        forcing(vision.base_url, rules) as door,
        house(door, tmp_path, weights_dir) as opened,
    ):
        events = await asked(opened)
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert answer.kind == "abstention"
    assert answer.dropped >= 1
    assert not [event for event in events if isinstance(event, Released)]
    assert door.asked(WRITES)
