"""The layers after the rules: a model's judgement, one rewriting, how sure it is; each fails closed."""

from __future__ import annotations

import pytest

from agent.records import Answer, Question
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from tests.fakes import DOWN, SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

REPORT = a_document("report.pdf")
PROSE = a_chunk("The plant in Marlow opened in 1987. It employs 240 people.", document=REPORT)
OTHER = a_chunk("The canteen in Marlow serves soup.", document=REPORT, page_no=2, place=1)
ASKED = "When did the plant in Marlow open?"


async def ask(model: FakeModel | None, question: str = ASKED, **settings: object) -> Answer:
    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PROSE, OTHER])]),
        rails=FakeRails(),
        model=model,
        settings=AgentSettings.model_validate(settings),
    )
    return await agent.answer(Question(text=question, scope=SCOPE))


def why(answer: Answer) -> list[object]:
    return [step.facts["dropped"] for step in answer.steps if "dropped" in step.facts]


async def test_a_served_model_judges_what_the_rules_let_pass() -> None:
    model = FakeModel(says=["The plant in Marlow opened in 1987 [1]."])
    assert (await ask(model)).kind == "answer"
    (judged,) = model.judged
    assert "Claim: The plant in Marlow opened in 1987." in judged[-1].text
    assert PROSE.text in judged[-1].text


@pytest.mark.parametrize(
    ("verdict", "code"),
    [("not_stated", "not_entailed"), ("contradicted", "not_entailed"), (None, "undecided")],
)
async def test_what_the_model_does_not_support_or_does_not_decide_is_dropped(
    verdict: str | None, code: str
) -> None:
    model = FakeModel(says=["The plant in Marlow opened in 1987 [1]."], verdict=verdict)  # type: ignore[arg-type]
    answer = await ask(model)
    assert (answer.kind, answer.reason) == ("abstention", "no_evidence")
    assert code in why(answer)


async def test_the_local_model_is_not_asked_to_judge_unless_told_so() -> None:
    model = FakeModel(says=["The plant in Marlow opened in 1987."], writes_as="local")
    await ask(model)
    assert model.judged == []
    await ask(model, entailment="all")
    assert model.judged


async def test_an_unsupported_sentence_is_written_anew_once_and_checked_again() -> None:
    good = {"sentence": "The plant in Marlow opened in 1987.", "source": 1}
    model = FakeModel(says=["The plant in Marlow opened in 1986 [1]."], replies=[good])
    answer = await ask(model)
    assert (answer.text, answer.dropped) == ("The plant in Marlow opened in 1987. [1]", 0)
    assert "a number that the source does not have" in model.judged[0][-1].text


async def test_a_rewriting_that_does_not_stand_either_is_dropped_and_counted_once() -> None:
    bad = {"sentence": "The plant in Marlow opened in 1985.", "source": 1}
    model = FakeModel(says=["The plant in Marlow opened in 1986 [1]."], replies=[bad])
    answer = await ask(model, max_rounds=1)
    assert (answer.kind, answer.dropped, why(answer)) == ("abstention", 1, ["number_missing"])
    assert len(model.judged) == 1


async def test_a_model_that_fails_to_rewrite_drops_the_sentence() -> None:
    class Silent(FakeModel):
        async def reply(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            raise DOWN

    answer = await ask(Silent(says=["The plant in Marlow opened in 1986 [1]."]), max_rounds=1)
    assert (answer.kind, answer.dropped) == ("abstention", 1)


async def test_what_is_not_sure_enough_is_an_abstention_that_says_how_sure() -> None:
    answer = await ask(None, min_confidence=1.0)
    assert (answer.kind, answer.reason) == ("abstention", "no_evidence")
    assert "unsure" in why(answer)
    assert answer.confidence is not None
    assert 0 < answer.confidence < 1
    assert (await ask(None, min_confidence=0.0)).confidence == answer.confidence


async def test_an_abstention_tells_what_was_searched_and_what_came_near() -> None:
    answer = await ask(FakeModel(says=["NOT FOUND"]))
    assert answer.searched[0] == ASKED
    assert [(c.n, c.page_no) for c in answer.nearest] == [(1, 1), (2, 2)]
    assert answer.citations == ()
    assert (await ask(FakeModel(says=["The plant in Marlow opened in 1987 [1]."]))).nearest == ()


async def test_what_the_rails_stopped_is_not_near() -> None:
    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PROSE, OTHER])]),
        rails=FakeRails(forbidden={"240": "secret"}),
        model=FakeModel(says=["NOT FOUND"]),
        settings=AgentSettings(),
    )
    answer = await agent.answer(Question(text=ASKED, scope=SCOPE))
    assert [c.page_no for c in answer.nearest] == [2]


async def test_a_refusal_is_not_sure_of_anything_and_tells_nothing() -> None:
    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PROSE])]),
        rails=FakeRails(forbidden={"plant": "secret"}),
        model=None,
        settings=AgentSettings(),
    )
    answer = await agent.answer(Question(text=ASKED, scope=SCOPE))
    assert (answer.kind, answer.confidence, answer.searched, answer.nearest) == ("refusal", None, (), ())
