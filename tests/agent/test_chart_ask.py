"""Asking of charts, end to end over fakes: answered by code, cited by line, or left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.chart_answers import from_charts, proven_charts
from agent.records import Answer, Question
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from agent.state import Source
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

ONE, TWO = a_document("one.png"), a_document("two.png")
RAIN = a_chunk(
    "Chart: Rain in the hills\nVertical axis, left, numbers: 40 · 20 · 0\nBar: Oslo · 64%\nBar: Rome · 41%\n"
    "Bar: Lima · 12%",
    document=ONE,
    page_no=1,
    kind="figure",
)
SNOW = a_chunk(
    "Chart: Snow by month\nVertical axis, left, numbers: 20 · 10 · 0", document=TWO, page_no=1, kind="figure"
)
NOTE = a_chunk("The weather office in Graz measured the snow since 1931.", document=TWO, page_no=1, place=1)
COMMON = (
    "How many of the same tick values are there on the vertical axis in the first chart and the second chart?"
)


async def told(
    question: str,
    *,
    rails: FakeRails | None = None,
    order: tuple[str, ...] = (),
    least: float | None = None,
) -> Answer:
    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(ONE, [RAIN]), (TWO, [SNOW, NOTE])]),
        rails=rails or FakeRails(),
        model=None,
        settings=AgentSettings(min_confidence=least),
    )
    scope = replace(SCOPE, documents=order or (ONE.id, TWO.id))
    return await agent.answer(Question(text=question, scope=scope))


async def test_what_two_charts_share_is_answered_and_cites_the_lines_of_both() -> None:
    answer = await told(COMMON)
    assert answer.text == (
        "The first and the second chart have 2 tick values in common on the vertical axes. [1] [2]"
    )
    assert [(c.name, c.quote) for c in answer.citations] == [
        ("one.png", "Vertical axis, left, numbers: 40 · 20 · 0"),
        ("two.png", "Vertical axis, left, numbers: 20 · 10 · 0"),
    ]


async def test_the_second_chart_is_that_of_the_second_document_chosen() -> None:
    title = "What is the title of the second chart?"
    assert "Snow by month" in (await told(title)).text
    assert "Rain in the hills" in (await told(title, order=(TWO.id, ONE.id))).text


async def test_the_bars_that_were_compared_are_cited_together() -> None:
    answer = await told("Which place has the highest rain in the hills in the first chart?")
    assert answer.text == "In the first chart, Oslo has the highest value, 64%. [1]"
    assert [c.quote for c in answer.citations] == ["Bar: Oslo · 64%\nBar: Rome · 41%\nBar: Lima · 12%"]


async def test_what_a_chart_shows_besides_cannot_be_seen() -> None:
    answer = await told("What is the general trend of the line in the first chart?")
    assert (answer.kind, answer.reason) == ("abstention", "cannot_see")


async def test_what_is_asked_of_a_chart_by_its_place_is_not_answered_with_a_quote() -> None:
    answer = await told("Since when did the weather office measure snow in the second chart?", least=0.0)
    assert answer.kind == "abstention"
    assert "weather office" in (await told("Since when did the weather office measure snow?", least=0.0)).text


async def test_one_part_that_stays_open_leaves_all_unanswered() -> None:
    answer = await told(
        "1. What is the title of the first chart?\n2. What is the trend of the line in the second chart?"
    )
    assert answer.kind == "abstention"


async def test_a_chart_that_the_rails_stop_answers_nothing() -> None:
    answer = await told(COMMON, rails=FakeRails(forbidden={"Snow": "stopped"}))
    assert answer.kind == "abstention"
    assert "20" not in answer.text


def test_a_sentence_stands_only_as_its_charts_give_it_again() -> None:
    scope = replace(SCOPE, documents=(ONE.id, TWO.id))
    sources = [
        Source(n=n, chunk=chunk, name=name, score=1.0, text=chunk.text)
        for n, (chunk, name) in enumerate([(RAIN, "one.png"), (SNOW, "two.png")], start=1)
    ]
    question = Question(text=COMMON, scope=scope)
    draft = from_charts(question, sources)
    assert draft is not None
    assert proven_charts(draft, sources, question)
    assert not proven_charts({**draft, "text": draft["text"].replace("2", "3")}, sources, question)
    assert not proven_charts({**draft, "text": draft["text"].replace("values", "labels")}, sources, question)
    assert not proven_charts(draft, sources[:1], question)
    changed = replace(sources[1], text=sources[1].text.replace("20", "30"))
    assert not proven_charts(draft, [sources[0], changed], question)


async def test_a_model_is_not_asked_where_code_has_read_the_chart() -> None:
    model = FakeModel()
    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(ONE, [RAIN]), (TWO, [SNOW, NOTE])]),
        rails=FakeRails(),
        model=model,
        settings=AgentSettings(),
    )
    scope = replace(SCOPE, documents=(ONE.id, TWO.id))
    answer = await agent.answer(Question(text=COMMON, scope=scope))
    assert answer.kind == "answer"
    assert not model.asked
