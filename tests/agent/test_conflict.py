"""What contradicts is shown from both sides; what only looks like a contradiction is let go."""

from __future__ import annotations

import pytest

from agent.conflict import conflict
from agent.records import Question
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from agent.state import Source
from ingest.records import ElementKind
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

A, B = a_document("handbook.pdf"), a_document("leaflet.pdf")


def a_source(n: int, text: str, *, name: str, kind: ElementKind = "paragraph", heading: str = "") -> Source:
    chunk = a_chunk(text, document=a_document(name), place=n, kind=kind, heading=heading)
    return Source(n=n, chunk=chunk, name=name, score=1.0, text=text)


def found(
    ours: str, theirs: str, *, names: tuple[str, str] = ("handbook.pdf", "leaflet.pdf"), **more: object
):  # type: ignore[no-untyped-def]
    sources = [
        a_source(n, t, name=name, **more)
        for n, (t, name) in enumerate(zip((ours, theirs), names, strict=True), 1)
    ]  # type: ignore[arg-type]
    return conflict(ours, sources[:1], sources, question="What does it say?")


CONTRADICT = [
    ("The header reserves 20 bytes for expansion.", "The header reserves 24 bytes for expansion."),
    ("The plant in Marlow opened in 1987.", "The plant in Marlow opened in 1989."),
    ("The fee for late payment is $40 a month.", "The fee for a late payment is $45 a month."),
    ("In 2023 the plant employed 240 people.", "In 2023 the plant employed 310 people."),
    (
        "The offer for new members expires on May 3, 2023.",
        "The offer for new members expires on May 5, 2023.",
    ),
]
AGREE = [
    (
        "We compare the performance of all models in Table 6.",
        "We compare the performance of all models in Table 2.",
    ),
    ("Unit 8 Key Assignments of the course:", "Unit 2 Key Assignments of the course:"),
    ("The header reserves 20 bytes for expansion.", "The header reserves 20 bytes for expansion."),
    ("In 2023 the plant employed 240 people.", "In 2022 the plant employed 310 people."),
    ("Dividends were paid to all holders in 2021.", "Dividends were paid to all holders in 2022."),
    ("Revenue of the whole group was $1.2 billion.", "Revenue of the whole group was $1,200 million."),
    ("Revenue of the whole group was $1,283.6 million.", "Revenue of the whole group was $1,284 million."),
    ("A page of the database holds 64 KiB.", "A page of the database holds 65,536 bytes."),
    ("The pump in Marlow weighs 15 kg.", "The pump in Henley weighs 18 kg and costs more."),
    ("The pump does weigh 15 kg here.", "The pump does not weigh 18 kg here."),
    ("It took 20 tries.", "It took 24 tries."),
    ("The small Pump A weighs 12 kg.", "The small Pump B weighs 15 kg."),
    ("The small pump b weighs 12 kg.", "The small pump c weighs 15 kg."),
    ("The small pump in Marlow weighs 12 kg.", "The small pump in Henley weighs 15 kg."),
    ("The pumps of series S3 weigh 12 kg.", "The pumps of series S4 weigh 15 kg."),
]


@pytest.mark.parametrize(("ours", "theirs"), CONTRADICT)
def test_the_same_words_with_another_figure_contradict(ours: str, theirs: str) -> None:
    told = found(ours, theirs)
    assert told is not None
    assert told.told()["evidence"] == [1, 2]


@pytest.mark.parametrize(("ours", "theirs"), AGREE)
def test_other_years_units_subjects_and_roundings_do_not(ours: str, theirs: str) -> None:
    assert found(ours, theirs) is None


def test_filings_of_two_years_speak_of_two_years() -> None:
    texts = "Capital spending of the group was $40 million.", "Capital spending of the group was $55 million."
    assert found(*texts) is not None
    assert found(*texts, names=("10K_2022.pdf", "10K_2023.pdf")) is None


def test_a_row_contradicts_the_same_row_of_the_same_table_in_another_document_only() -> None:
    rows = "Net sales | 2023: 5,122 | 2022: 4,900", "Net sales | 2023: 5,310 | 2022: 4,900"
    assert found(*rows, kind="table", heading="Results") is not None
    assert found(*rows, kind="table", heading="Results", names=("a.pdf", "a.pdf")) is None
    assert found(*rows, kind="table") is None


@pytest.mark.anyio
@pytest.mark.parametrize("served", [True, False])
async def test_both_sides_are_released_with_both_citations(served: bool) -> None:
    ours, theirs = CONTRADICT[0]
    shelf = [(A, [a_chunk(ours, document=A)]), (B, [a_chunk(theirs, document=B)])]
    model = FakeModel(says=["The header reserves 20 bytes for expansion [1]."]) if served else None
    agent = GuardedAgent(
        library=FakeLibrary(shelf=shelf), rails=FakeRails(), model=model, settings=AgentSettings()
    )
    asked = Question(text="How many bytes does the header reserve for expansion?", scope=SCOPE)
    answer = await agent.answer(asked)
    first = answer.sentences[0]
    assert "20 bytes" in first.text
    assert "24 bytes" in first.text
    assert {c.name for c in answer.citations if c.n in first.citations} == {"handbook.pdf", "leaflet.pdf"}


TABLE = "\n".join(
    (
        "Attached databases | Default: 10 | Hard upper bound: 125",
        "Columns | Default: 2000 | Hard upper bound: 32767",
    )
)


@pytest.mark.parametrize(
    ("said", "denied"),
    [
        ("The hard upper bound of attached databases is 128.", True),
        ("The hard upper bound of attached databases is 125.", False),
        ("The hard upper bound of attached rows is 128.", False),
        ("The upper bound of attached databases is 128.", False),
        ("Attached databases are 10 by default, and the hard upper bound is 125.", False),
    ],
)
def test_a_sentence_and_a_row_of_another_document_contradict_each_other(said: str, denied: bool) -> None:
    prose = a_source(1, said, name="errata.txt")
    table = a_source(2, TABLE, name="limits.docx", kind="table")
    shown = conflict(said, [prose], [prose, table], question="What is the hard upper bound?")
    assert (shown is not None) is denied
    if shown is not None:
        assert shown.told()["evidence"] == [1, 2]
        assert "125" in shown.told()["text"]


def test_a_sentence_and_a_table_of_its_own_document_do_not() -> None:
    said = "The hard upper bound of attached databases is 128."
    sources = [a_source(1, said, name="a.pdf"), a_source(2, TABLE, name="a.pdf", kind="table")]
    assert conflict(said, sources[:1], sources, question="What is it?") is None
