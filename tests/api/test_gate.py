"""The gate turns red where the agent gets worse: here over fakes; `tests/bench/gate.py` does it for real."""

from __future__ import annotations

import pytest

from agent.evaluate import evaluate
from agent.questions import Gold
from agent.report import evaluation
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from api.cli.evaluate import _gated
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

REPORT = a_document("report.pdf")
PLANT = a_chunk("The plant in Marlow opened in 1987.", document=REPORT)
GOLD = Gold(
    id="1",
    question="When did the plant in Marlow open?",
    answer="1987",
    doc="report.pdf",
    evidence_pages=(1,),
)
FLOORS = {"retrieval.document.all.hit@5": 1.0, "answers.all.match": 1.0, "answers.all.support": 0.95}
INVENTS = [f"{PLANT.text[:-1]} [1].\n", "The engineers keep a spare copy in the green cupboard [1]."]
OFF = {"min_word_support": 0.0, "min_short_support": 0.0, "min_confidence": 0.0, "entailment": "off"}


async def gated(says: list[str], **settings: object) -> int:
    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PLANT])]),
        rails=FakeRails(),
        model=FakeModel(says=says),
        settings=AgentSettings.model_validate(settings),
    )
    found = [s async for s in evaluate(agent, [GOLD], {"report.pdf": REPORT}, scope=SCOPE, ask=True)]
    return _gated(evaluation(found), FLOORS)


async def test_the_gate_is_green_where_what_is_invented_is_dropped() -> None:
    assert await gated(INVENTS) == 0


async def test_the_gate_is_red_for_a_model_that_no_longer_does_as_its_prompt_says() -> None:
    assert await gated(["As far as I know that is widely discussed among engineers."]) == 1


async def test_the_gate_is_red_with_the_checks_off() -> None:
    assert await gated(INVENTS, **OFF) == 1
