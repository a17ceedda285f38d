"""Courtesies, and questions about the library itself: answered by code, within the scope and the rails."""

from __future__ import annotations

import pytest

from agent.catalogue import named, parse
from agent.courtesy import courtesy
from agent.records import Answer, Question, Turn
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from ingest.records import Scope
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

REPORT = a_document("acme_2023_report.pdf")
MANUAL = a_document("pump manual.pdf")
SECRET = a_document("secret plans.pdf", groups=("board",))


def a_library() -> FakeLibrary:
    return FakeLibrary(
        shelf=[
            (REPORT, [a_chunk("The revenue of Acme was 5,310 in 2023.", document=REPORT)]),
            (MANUAL, [a_chunk("Pump B weighs 15 kg.", document=MANUAL)]),
            (SECRET, [a_chunk("The pump will be sold.", document=SECRET)]),
        ]
    )


async def ask(text: str, *, rails: FakeRails | None = None, **more: object) -> Answer:
    agent = GuardedAgent(
        library=a_library(), rails=rails or FakeRails(), model=None, settings=AgentSettings()
    )
    return await agent.answer(Question(text=text, scope=SCOPE, **more))  # type: ignore[arg-type]


async def test_a_greeting_is_answered_without_a_search_or_a_fact() -> None:
    answer = await ask("Hello!")
    assert (answer.kind, answer.citations, answer.written_by) == ("answer", (), "code")
    assert "look it up" in answer.text


async def test_a_question_with_a_greeting_is_a_question() -> None:
    answer = await ask("Hello, how much does Pump B weigh?")
    assert [c.name for c in answer.citations] == ["pump manual.pdf"]


@pytest.mark.parametrize(
    "text",
    [
        "Hello, how many?",
        "thanks to whom?",
        "who is the mayor?",
        "help desk hours",
        "What can you do in 2021?",
    ],
)
def test_what_asks_for_something_is_no_courtesy(text: str) -> None:
    assert courtesy(text) is None


async def test_a_courtesy_passes_the_rails_too() -> None:
    rails = FakeRails(forbidden={"look it up": "secret"})
    answer = await ask("Hello!", rails=rails)
    assert (answer.kind, answer.reason, answer.sentences) == ("refusal", "secret", ())


async def test_the_documents_of_the_scope_are_listed_each_with_a_citation() -> None:
    answer = await ask("What documents do you have?")
    assert [s.text for s in answer.sentences] == [
        "There are 2 documents here, with 6 pages together.",
        "acme_2023_report.pdf has 3 pages.",
        "pump manual.pdf has 3 pages.",
    ]
    assert all(s.citations for s in answer.sentences)
    assert [c.quote for c in answer.citations] == [
        "The revenue of Acme was 5,310 in 2023.",
        "Pump B weighs 15 kg.",
    ]


async def test_what_the_caller_may_not_read_is_neither_counted_nor_named() -> None:
    for text in (
        "How many documents do you have?",
        "Do you have the secret plans document?",
        "List the files",
    ):
        answer = await ask(text)
        assert "secret" not in answer.text
        assert "3 documents" not in answer.text


async def test_a_document_is_found_by_its_name() -> None:
    answer = await ask("Do you have the 2023 report?")
    assert answer.text == "acme_2023_report.pdf has 3 pages. [1]"
    assert (await ask("Do you have the 2024 report?")).kind == "abstention"


async def test_documents_are_found_by_what_they_speak_of() -> None:
    answer = await ask("Which documents mention revenue?")
    assert answer.text == "acme_2023_report.pdf (3 pages) speaks of it on page 1. [1]"


async def test_a_length_is_asked_of_a_document_only_by_its_name() -> None:
    assert (await ask("How long is the pump manual?")).text == "pump manual.pdf has 3 pages. [1]"
    assert (await ask("How long is the coast of Norway?")).written_by == "quotes"


async def test_a_stopped_passage_keeps_its_document_off_the_list() -> None:
    answer = await ask("List the files", rails=FakeRails(forbidden={"weighs": "override"}))
    assert "pump manual.pdf" not in answer.text


async def test_an_empty_library_says_so_to_who_asks_for_its_documents() -> None:
    stranger = Scope(tenant="other", collections=("default",))
    agent = GuardedAgent(library=a_library(), rails=FakeRails(), model=None, settings=AgentSettings())
    answer = await agent.answer(Question(text="What documents do you have?", scope=stranger))
    assert (answer.kind, answer.reason) == ("abstention", "empty_library")


async def test_no_model_is_asked() -> None:
    model = FakeModel(says=["There are 99 documents."])
    agent = GuardedAgent(library=a_library(), rails=FakeRails(), model=model, settings=AgentSettings())
    await agent.answer(Question(text="How many documents do you have?", scope=SCOPE))
    assert model.asked == []


async def test_a_question_about_the_library_is_no_question_to_lean_on() -> None:
    history = (
        Turn(role="user", text="How much does Pump A weigh?"),
        Turn(role="assistant", text="I found no evidence for an answer in these documents."),
        Turn(role="user", text="Which documents do you have?"),
        Turn(role="assistant", text="There are 2 documents here."),
    )
    answer = await ask("And Pump B?", history=history)
    assert answer.text == "Pump B weighs 15 kg. [1]"


@pytest.mark.parametrize(
    "text",
    [
        "How many pages contain tables?",
        "How many documents were signed in 2021?",
        "Which reports did the auditor reject?",
        "Do you have to register the pump?",
        "What is in the header?",
        "List the steps to install the pump",
    ],
)
def test_a_question_to_the_documents_is_none_about_the_library(text: str) -> None:
    assert parse(text) is None


def test_names_run_together_are_known() -> None:
    documents = [a_document("BESTBUY_2023_10K.pdf"), a_document("ACME_2022_10K.pdf")]
    assert [d.name for d in named("the Best Buy filing", documents)] == []
    assert [d.name for d in named("the BestBuy 2023 filing", documents)] == ["BESTBUY_2023_10K.pdf"]
