"""Answers that code takes from tables, end to end over fakes: looked up, computed, proven, or not given."""

from __future__ import annotations

import pytest

from agent.run import GuardedAgent
from agent.settings import AgentSettings
from ingest.records import Chunk
from tests.fakes import SCOPE, FakeLibrary, FakeRails, a_chunk, a_document
from agent.records import Answer, Question

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
            "Effective tax rate, Year ended June 30, 2023: 21.6%.",
            {2},
        ),
        (
            "What were the total assets of Orbit in FY2022?",
            "Total assets, June 30, 2022: $ 17,426 (in millions).",
            {3},
        ),
        (
            "How much has the effective tax rate of Orbit changed between FY2022 and FY2023?",
            "Effective tax rate decreased from 24.6% (Year ended June 30, 2022) to 21.6% "
            "(Year ended June 30, 2023), a decrease of 3.0 percentage points.",
            {2},
        ),
        (
            "Did Orbit's operating income increase between FY2022 and FY2023?",
            "Yes: Operating income increased from 1,000 (Year ended June 30, 2022) to 1,100 "
            "(Year ended June 30, 2023), an increase of 100, or an increase of 10.0% (in millions).",
            {2},
        ),
        (
            "What is the FY2023 gross margin of Orbit?",
            "Gross margin, 2023: 17.7% = Gross profit 2,200 (Year ended June 30, 2023) / "
            "Net sales $ 12,400 (Year ended June 30, 2023).",
            {2},
        ),
        (
            "What is the FY2023 fixed asset turnover ratio for Orbit? Fixed asset turnover ratio is defined as: "
            "FY2023 revenue / (average PP&E between FY2022 and FY2023). Round your answer to two decimal places.",
            "Fixed asset turnover, 2023: 3.44 = Net sales $ 12,400 (Year ended June 30, 2023) / mean("
            "Property, plant and equipment, net 3,500 (June 30, 2022); "
            "Property, plant and equipment, net 3,700 (June 30, 2023)).",
            {2, 3},
        ),
        (
            "What is the FY2023 unadjusted EBITDA less capex for Orbit? Define unadjusted EBITDA as unadjusted "
            "operating income + depreciation and amortization [from cash flow statement].",
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
            "No: Gross margin decreased from 20.0% in 2022 to 17.7% in 2023, a decrease of 2.3 percentage points",
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
