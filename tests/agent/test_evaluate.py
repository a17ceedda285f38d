"""Scores: what counts as found and as right, and what a bad line of questions says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.errors import AgentError
from agent.evaluate import Gold, evaluate, evaluation, load
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

REPORT, OTHER = a_document("report.pdf"), a_document("other.pdf")
PLANT = a_chunk("The plant in Marlow opened in 1987.", document=REPORT, page_no=4)
NOISE = a_chunk("Nothing about it.", document=OTHER, page_no=1)


def a_gold(**changes: object) -> Gold:
    fields: dict[str, object] = {
        "id": "1",
        "question": "When did the plant in Marlow open?",
        "answer": "1987",
        "doc": "report.pdf",
        "evidence_pages": (4,),
        "answer_format": "Int",
        "cell": "1987",
    }
    return Gold.model_validate(fields | changes)


async def scored(*golds: Gold, says: str = "The plant in Marlow opened in 1987 [1].", ask: bool = True):  # type: ignore[no-untyped-def]
    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PLANT]), (OTHER, [NOISE])]),
        rails=FakeRails(),
        model=FakeModel(says=[says]),
        settings=AgentSettings(),
    )
    held = {"report.pdf": REPORT, "other.pdf": OTHER}
    return evaluation([s async for s in evaluate(agent, golds, held, scope=SCOPE, ask=ask)])


def test_a_bad_line_is_named_with_its_file_and_number(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps({"id": "1"}) + "\n")
    with pytest.raises(AgentError, match=r"questions\.jsonl, line 1"):
        load(file)


async def test_a_right_answer_on_the_right_page_and_cell_scores() -> None:
    done = await scored(a_gold())
    report = done.report
    assert (report.hit_1, report.right, report.cited_page, report.cited_cell) == (1.0, 1.0, 1.0, 1.0)


async def test_a_wrong_page_and_a_wrong_answer_do_not() -> None:
    report = (await scored(a_gold(evidence_pages=(9,), answer="1988"))).report
    assert (report.hit_5, report.right, report.wrong_when_answered) == (0.0, 0.0, 1.0)


async def test_an_unanswerable_question_wants_an_abstention() -> None:
    gold = a_gold(type="unanswerable", answer="Not answerable", doc=None, evidence_pages=(), cell=None)
    assert (await scored(gold, says="NOT FOUND")).report.abstained_right == 1.0
    assert (await scored(gold)).report.abstained_right == 0.0


async def test_without_asking_only_the_search_is_scored_and_the_rest_is_none_not_zero() -> None:
    done = await scored(a_gold(scope="document"), ask=False)
    assert (done.report.hit_1, done.report.right, done.questions[0].kind) == (1.0, None, None)
    assert set(done.by_type) == {"text", "scope: document"}
