"""Quotes without a model: what of the evidence is chosen, and that nothing but its words is said."""

from __future__ import annotations

import pytest

from agent.records import Answer, Question
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from ingest.records import Chunk
from tests.fakes import SCOPE, FakeLibrary, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

GUIDE = a_document("guide.pdf")
COVER = a_chunk("Garden Pumps and Their Care\nMarta Lind", document=GUIDE, kind="title")
TOOLS = a_chunk(
    "Tools for the yearly service\n• Open-end spanner • Silicone grease\n• Cleaning brush\nwith long handle\n"
    "• Sealing ring\nThe yearly service takes an hour.",
    document=GUIDE,
    page_no=2,
    place=1,
    kind="list",
)
BUTTONS = a_chunk(
    "Down button: Operation | Function\nDown button: Press once | Stops the pump\n"
    "Down button: Press and hold | Empties the tank\nUp button: Press and hold | Starts the pump",
    document=GUIDE,
    page_no=3,
    place=2,
    kind="table",
)
UNITS = a_chunk(
    "UNIT 3: Priming the pump\nUNIT 4: Winter storage\nRead unit 4 before any frost.",
    document=GUIDE,
    page_no=4,
    place=3,
)


async def answer_to(question: str, *chunks: Chunk) -> Answer:
    library = FakeLibrary(shelf=[(GUIDE, list(chunks or (COVER, TOOLS, BUTTONS, UNITS)))])
    agent = GuardedAgent(
        library=library, rails=FakeRails(), model=None, settings=AgentSettings(min_confidence=0.0)
    )
    return await agent.answer(Question(text=question, scope=SCOPE))


async def test_a_title_question_gets_the_title() -> None:
    answer = await answer_to("What is the title of the document?")
    assert [sentence.text for sentence in answer.sentences] == ["Garden Pumps and Their Care"]


async def test_a_list_question_gets_the_whole_list() -> None:
    answer = await answer_to("What are the tools for the yearly service?", TOOLS, BUTTONS)
    assert answer.sentences[0].text == (
        "Open-end spanner; Silicone grease; Cleaning brush with long handle; Sealing ring."
    )
    assert answer.citations[0].page_no == 2


async def test_a_row_that_the_question_names_word_for_word_is_the_answer() -> None:
    answer = await answer_to("What happens when you press and hold the down button?")
    assert [sentence.text for sentence in answer.sentences] == [
        "Down button: Press and hold | Empties the tank"
    ]


async def test_the_part_that_a_question_numbers_is_quoted_by_its_heading() -> None:
    answer = await answer_to("What is the topic of unit 4?")
    assert answer.sentences[0].text == "UNIT 4: Winter storage"


async def test_a_row_of_headers_and_a_line_that_only_leads_on_are_no_answers() -> None:
    costs = a_chunk("Pump | Price class | Service class\nBlue | low | yearly", document=GUIDE, kind="table")
    lead = a_chunk("The service class of a pump is one of:", document=GUIDE, place=5)
    answer = await answer_to("Which price class and service class has a pump?", costs, lead)
    said = [sentence.text for sentence in answer.sentences]
    assert "Pump | Price class | Service class" not in said
    assert not any(text.endswith(":") for text in said)
