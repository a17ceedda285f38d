"""Who plans, what is believed of a model's plan, and what a question narrows."""

from __future__ import annotations

import pytest

from agent.naming import meant
from agent.records import Question, Step, Turn
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

PUMPS, SLIDES = a_document("pumps-reference.pdf"), a_document("pumps.pptx")
PUMP_A = a_chunk("Pump A weighs 12 kg.", document=PUMPS, place=1)
PUMP_B = a_chunk("Pump B weighs 15 kg.", document=PUMPS, place=2)
SLIDE = a_chunk("Pump A weighs 13 kg.", document=SLIDES)
HISTORY = (
    Turn(role="user", text="How much does Pump A weigh?"),
    Turn(role="assistant", text="Pump A weighs 12 kg. [1]"),
)


def a_library() -> FakeLibrary:
    return FakeLibrary(shelf=[(PUMPS, [PUMP_A, PUMP_B]), (SLIDES, [SLIDE])])


async def steps(
    text: str, *, library: FakeLibrary, model: FakeModel | None = None, **more: object
) -> list[Step]:
    agent = GuardedAgent(library=library, rails=FakeRails(), model=model, settings=AgentSettings())
    answer = await agent.answer(Question(text=text, scope=SCOPE, **more))  # type: ignore[arg-type]
    return list(answer.steps)


async def test_each_side_of_a_comparison_is_searched_and_answered() -> None:
    agent = GuardedAgent(library=a_library(), rails=FakeRails(), model=None, settings=AgentSettings())
    answer = await agent.answer(Question(text="Which is heavier, Pump A or Pump B?", scope=SCOPE))
    searched = [s.facts["query"] for s in answer.steps if s.node == "retrieve"]
    assert sorted(map(str, searched)) == ["How heavy is Pump A?", "How heavy is Pump B?"]
    # The slides say 13 kg: that is told with both citations.
    assert "one says “Pump A weighs 12 kg”, another “Pump A weighs 13 kg”" in answer.text
    assert "Pump B weighs 15 kg." in {s.text for s in answer.sentences}


async def test_no_more_is_searched_than_the_settings_allow() -> None:
    library = a_library()
    await steps("What is A? What is B? What is C? What is D? What is E?", library=library)
    assert len({query for query, _ in library.searched}) == 3


async def test_a_served_model_plans_what_leans_and_the_step_says_so() -> None:
    reply = {"standalone": "How much does Pump B weigh?", "queries": ["How much does Pump B weigh?"]}
    model = FakeModel(says=["Pump B weighs 15 kg [1]."], replies=[reply])
    told = await steps("And B?", library=a_library(), model=model, history=HISTORY)
    (plan,) = [s for s in told if s.node == "plan"]
    assert (plan.facts["by"], plan.facts["queries"]) == ("model", ["How much does Pump B weigh?"])


async def test_a_name_that_nobody_said_is_not_believed_of_a_model() -> None:
    reply = {"standalone": "How much does Pump Gotham 77 weigh?", "queries": ["Pump Gotham 77"]}
    model = FakeModel(says=["NOT FOUND"], replies=[reply])
    library = a_library()
    told = await steps("And Pump B?", library=library, model=model, history=HISTORY)
    assert next(s for s in told if s.node == "plan").facts["by"] == "rules"
    assert library.searched[0][0] == "How much does Pump B weigh?"


async def test_the_local_model_is_not_asked_for_what_the_rules_are_sure_of() -> None:
    model = FakeModel(says=["Pump B weighs 15 kg."], writes_as="local")
    await steps("And Pump B?", library=a_library(), model=model, history=HISTORY)
    assert all("<conversation>" not in message.text for asked in model.asked for message in asked)


async def test_a_named_document_narrows_the_search() -> None:
    library = a_library()
    await steps("How much does Pump A weigh according to the slides?", library=library)
    assert {scope.documents for _, scope in library.searched} == {(SLIDES.id,)}


async def test_an_unknown_document_is_no_filter() -> None:
    library = a_library()
    await steps("How much does Pump A weigh according to the Debian reference?", library=library)
    assert {scope.documents for _, scope in library.searched} == {None}


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What does the pumps reference say of weight?", ["pumps-reference.pdf"]),
        ("How heavy is it in pumps.pptx?", ["pumps.pptx"]),
        ("How heavy is it in the presentation?", ["pumps.pptx"]),
        ("How heavy is it in the spreadsheet of 2021?", []),
        ("How heavy is it in the document?", []),
        ("What is in the report?", []),
    ],
)
def test_documents_are_known_by_name_or_kind(question: str, names: list[str]) -> None:
    documents = [PUMPS, SLIDES]
    assert [d.name for d in documents if d.id in meant(question, documents)] == names
