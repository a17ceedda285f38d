"""Answers that code takes from tables, end to end over fakes: looked up, computed, proven, or not given."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from agent.proof import proven
from agent.reckon import reckoned
from agent.records import Answer, Question
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from agent.sheets import read_sheets
from agent.state import Drafted, Run, Source
from agent.write import QuoteWriter
from ingest.records import Chunk
from tests.fakes import SCOPE, FakeLibrary, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

REPORT = a_document("ORBIT_2023_10K.pdf")
INCOME = a_chunk(
    "(in millions)\n"
    "Net sales | Year ended June 30, 2023: $ 12,400 | Year ended June 30, 2022: $ 12,000\n"
    "Cost of sales | Year ended June 30, 2023: (10,200) | Year ended June 30, 2022: (9,600)\n"
    "Gross profit | Year ended June 30, 2023: 2,200 | Year ended June 30, 2022: 2,400\n"
    "Operating income | Year ended June 30, 2023: 1,100 | Year ended June 30, 2022: 1,000\n"
    "Effective tax rate | Year ended June 30, 2023: 21.6% | Year ended June 30, 2022: 24.6%",
    document=REPORT,
    page_no=2,
    kind="table",
    heading="Consolidated Statements of Income",
)
BALANCE = a_chunk(
    "As of June 30, 2023 2022\n"
    "Current assets: Inventories, net | 1,900 | 2,100\n"
    "Current assets: Total current assets | 5,300 | 5,800\n"
    "Property, plant and equipment, net | 3,700 | 3,500\n"
    "Total assets | $ 17,003 | $ 17,426\n"
    "Current liabilities: Total current liabilities | 4,400 | 5,100",
    document=REPORT,
    page_no=3,
    place=1,
    kind="table",
    heading="Consolidated Balance Sheets (in millions)",
)
CASH = a_chunk(
    "Operating activities: Depreciation and amortization | 2023: 569 | 2022: 600\n"
    "Investing activities: Purchase of property, plant, and equipment | 2023: (526) | 2022: (500)\n"
    "Net cash provided by operating activities | 2023: 1,261 | 2022: 1,526",
    document=REPORT,
    page_no=4,
    place=2,
    kind="table",
    heading="Consolidated Statements of Cash Flows (in millions)",
)
STORES = a_chunk(
    "Stores | Open: Total | Staff: Total\nNorth | Open: 12 | Staff: 240\nSouth | Open: 31 | Staff: 420\n"
    "East | Open: 7 | Staff: 95\nTotal | Open: 50 | Staff: 755",
    document=REPORT,
    page_no=5,
    place=3,
    kind="table",
    heading="Regions and their stores",
)


async def answer_to(question: str, *chunks: Chunk) -> Answer:
    library = FakeLibrary(shelf=[(REPORT, list(chunks or (INCOME, BALANCE, CASH, STORES)))])
    agent = GuardedAgent(library=library, rails=FakeRails(), model=None, settings=AgentSettings())
    return await agent.answer(Question(text=question, scope=SCOPE))


@pytest.mark.parametrize(
    ("question", "says", "pages"),
    [
        (
            "What was Orbit's effective tax rate in FY2023?",
            "Effective tax rate: 21.6% in FY2023.",
            {2},
        ),
        (
            "What were the total assets of Orbit in FY2022?",
            "Total assets: $ 17,426 in FY2022 (in millions).",
            {3},
        ),
        (
            "How much has the effective tax rate of Orbit changed between FY2022 and FY2023?",
            "Effective tax rate changed from 24.6% in FY2022 to 21.6% in FY2023, a decrease of 3.0 "
            "percentage points.",
            {2},
        ),
        (
            "Did Orbit's operating income increase between FY2022 and FY2023?",
            "Yes: Operating income increased from 1,000 in FY2022 to 1,100 in FY2023, an increase of 100, or "
            "an increase of 10.0% (in millions).",
            {2},
        ),
        (
            "What is the FY2023 gross margin of Orbit?",
            "Gross margin, 2023: 17.7% = Gross profit 2,200 (Year ended June 30, 2023) / "
            "Net sales $ 12,400 (Year ended June 30, 2023).",
            {2},
        ),
        (
            "What is the FY2023 fixed asset turnover ratio for Orbit? Fixed asset turnover ratio is defined "
            "as: FY2023 revenue / (average PP&E between FY2022 and FY2023). Round your answer to two decimal "
            "places.",
            "Fixed asset turnover, 2023: 3.44 = Net sales $ 12,400 (Year ended June 30, 2023) / mean("
            "Property, plant and equipment, net 3,500 (June 30, 2022); "
            "Property, plant and equipment, net 3,700 (June 30, 2023)).",
            {2, 3},
        ),
        (
            "What is the FY2023 unadjusted EBITDA less capex for Orbit? Define unadjusted EBITDA as "
            "unadjusted operating income + depreciation and amortization [from cash flow statement].",
            "EBITDA less capital expenditures, 2023: ",
            {2, 4},
        ),
        (
            "Does Orbit have positive working capital based on FY2022 data?",
            "Yes: Working capital, 2022: 700 million",
            {3},
        ),
        (
            "Does Orbit have an improving gross margin profile as of FY2023?",
            "No: Gross margin decreased from 20.0% in 2022 to 17.7% in 2023, a decrease of 2.3 percentage "
            "points",
            {2},
        ),
        (
            "Has Orbit's quick ratio improved or declined between FY2023 and FY2022?",
            "Quick ratio increased from 0.73 in 2022 to 0.77 in 2023, an increase of",
            {3},
        ),
        ("Which region has the most staff?", "South, Staff: 420, the highest of 3 rows.", {5}),
        ("Which region has the lowest number of open stores?", "East, Open: 7, the lowest of 3 rows.", {5}),
        ("How many staff does North have?", "North, Staff: 240.", {5}),
    ],
)
async def test_tables_answer(question: str, says: str, pages: set[int]) -> None:
    answer = await answer_to(question)
    assert answer.kind == "answer", answer.reason
    assert answer.sentences[0].text.startswith(says), answer.text
    assert {citation.page_no for citation in answer.citations} == pages


COMPUTED = "What is the FY2023 fixed asset turnover ratio of Orbit?"
CHANGED = "How much has the effective tax rate of Orbit changed between FY2022 and FY2023?"


async def proof_of(question: str, tampered: Callable[[Drafted], Drafted], *, cite: int | None = None) -> bool:
    """Let code answer, tamper with what it drafted, and ask whether that is still proven."""
    run, sources = a_run(question, INCOME, BALANCE, CASH, STORES)
    draft = reckoned(question, await read_sheets(run, sources))
    assert draft is not None
    assert await proven(draft, sources, run=run, question=question), "as drafted it stands"
    cited = [source for source in sources if source.n != cite]
    return await proven(tampered(draft), cited, run=run, question=question)


def a_run(question: str, *chunks: Chunk) -> tuple[Run, list[Source]]:
    """Make a run over chunks that passed the rails, and its sources."""
    library = FakeLibrary(shelf=[(REPORT, list(chunks))])
    run = Run(
        question=Question(text=question, scope=SCOPE),
        library=library,
        rails=FakeRails(),
        writer=QuoteWriter(),
        model=None,
        settings=AgentSettings(),
        trace_id="trace",
        limit=8,
    )
    sources = [
        Source(n=n, chunk=chunk, name=REPORT.name, score=1.0 / n, text=chunk.text)
        for n, chunk in enumerate(chunks, start=1)
    ]
    return run, sources


def replaced(old: str, new: str, *, everywhere: bool = True) -> Callable[[Drafted], Drafted]:
    """Replace words in a draft: in its sums too, or in its text alone."""

    def tamper(draft: Drafted) -> Drafted:
        whole = json.dumps(draft, ensure_ascii=False)
        assert old in whole
        if everywhere:
            return json.loads(whole.replace(old, new))  # type: ignore[no-any-return]
        return {**draft, "text": draft["text"].replace(old, new)}

    return tamper


@pytest.mark.parametrize(
    ("question", "old", "new"),
    [
        (COMPUTED, "3.44", "3.45"),
        (COMPUTED, "3,700", "3,800"),
        (COMPUTED, "Net sales", "Gross profit"),
        (COMPUTED, "June 30, 2023", "June 30, 2022"),
        (CHANGED, "24.6%", "25.6%"),
        (CHANGED, "3.0 percentage points", "4.0 percentage points"),
        (CHANGED, "a decrease", "an increase"),
        (CHANGED, "Effective tax rate", "Operating income"),
        ("What were the total assets of Orbit in FY2022?", "17,426", "17,003"),
    ],
)
async def test_what_was_tampered_with_in_sums_and_text_is_not_proven(
    question: str, old: str, new: str
) -> None:
    assert not await proof_of(question, replaced(old, new))


@pytest.mark.parametrize(
    ("question", "old", "new"),
    [
        (COMPUTED, "3.44", "3.45"),
        (COMPUTED, "mean(", "mean 7 ("),
        (CHANGED, "from 24.6% in FY2022 to 21.6% in FY2023", "from 24.6% in FY2023 to 21.6% in FY2022"),
        (CHANGED, "21.6% in FY2023", "21.6% in FY2021"),
        (CHANGED, "Effective tax rate", "Unicorn tax rate"),
        (CHANGED, "percentage points.", "percentage points, unlike Unicorn."),
        ("What were the total assets of Orbit in FY2022?", "in millions", "in billions"),
        ("Does Orbit have positive working capital based on FY2022 data?", "million", "thousand"),
    ],
)
async def test_what_was_tampered_with_in_the_text_alone_is_not_proven(
    question: str, old: str, new: str
) -> None:
    assert not await proof_of(question, replaced(old, new, everywhere=False))


async def test_an_operand_from_a_page_that_is_not_cited_proves_nothing() -> None:
    assert not await proof_of(COMPUTED, lambda draft: draft, cite=2)
    assert await proof_of(COMPUTED, lambda draft: draft, cite=4), "the stores are no operand"


async def test_two_rows_that_fit_alike_and_differ_are_no_answer_of_code() -> None:
    twice = a_chunk(
        "Europe: Sales | 2023: 5 | 2022: 6\nAsia: Sales | 2023: 7 | 2022: 8", document=REPORT, kind="table"
    )
    run, sources = a_run("", twice)
    assert reckoned("What were the sales in 2023?", await read_sheets(run, sources)) is None
    found = reckoned("What were the sales in Asia in 2023?", await read_sheets(run, sources))
    assert found is not None
    assert found["text"] == "Asia: Sales: 7 in 2023."


@pytest.mark.parametrize(
    "question",
    [
        "What was Orbit's effective tax rate in FY2019?",
        "Why did Orbit's operating income increase between FY2022 and FY2023?",
        "What is Orbit's adjusted EBITDA for FY2023?",
        "How many staff does West have?",
        "What is the dividend payout ratio of Orbit for FY2023?",
    ],
)
async def test_what_tables_do_not_say_is_not_reckoned(question: str) -> None:
    run, sources = a_run(question, INCOME, BALANCE, CASH, STORES)
    assert reckoned(question, await read_sheets(run, sources)) is None


async def test_a_computed_sentence_quotes_every_row_it_stands_on() -> None:
    answer = await answer_to("What is the FY2023 gross margin of Orbit?")
    (citation,) = answer.citations
    assert [line.partition(" | ")[0] for line in citation.quote.splitlines()] == ["Net sales", "Gross profit"]
    assert len(citation.boxes) >= 4
