"""Documents are found by the names, years and quarters that a question says, among one's own alone."""

from __future__ import annotations

import pytest

from ingest.routing import Cards, Fit, Period, card, read
from tests.fakes import a_document

SHELF = [
    a_document(name)
    for name in (
        "NORTHWIND_2022_10K.pdf",
        "NORTHWIND_2023_10K.pdf",
        "NORTHWIND_2023Q2_10Q.pdf",
        "BLUEYONDER_2023_10K.pdf",
        "Ada_Lovelace.pdf",
        "scan0001.pdf",
    )
]
NAMES = {one.id: one.name for one in SHELF}


def best(question: str) -> set[str]:
    """Return the documents that fit best."""
    found = Cards(SHELF).fits(question)
    top = max(((one.name, one.period) for one in found.values()), default=None)
    return {NAMES[key] for key, one in found.items() if (one.name, one.period) == top}


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("What did Northwind earn in 2022?", {"NORTHWIND_2022_10K.pdf"}),
        ("What did North Wind earn in FY2022?", {"NORTHWIND_2022_10K.pdf"}),
        ("Northwind's stores in Q2 of FY2023?", {"NORTHWIND_2023Q2_10Q.pdf"}),
        ("Northwind's stores in the second quarter of 2023?", {"NORTHWIND_2023Q2_10Q.pdf"}),
        # A report tells of the year before it, too.
        ("How did Northwind change between FY2022 and FY2023?", {"NORTHWIND_2023_10K.pdf"}),
        (
            "Is Blue Yonder or Northwind larger in 2023?",
            {"NORTHWIND_2023_10K.pdf", "BLUEYONDER_2023_10K.pdf"},
        ),
        ("when was ada lovelace born", {"Ada_Lovelace.pdf"}),
        ("What did Northwind earn?", {one for one in NAMES.values() if one.startswith("NORTHWIND")}),
    ],
)
def test_a_question_means_the_documents_that_it_names(question: str, meant: set[str]) -> None:
    assert best(question) == meant


@pytest.mark.parametrize(
    "question", ["", "   ", "?!", "What is the policy on leave?", "What did Contoso earn?"]
)
def test_a_question_that_names_none_of_them_tells_none_apart(question: str) -> None:
    assert Cards(SHELF).fits(question) == {}


def test_no_document_and_one_document_are_never_told_apart() -> None:
    assert Cards([]).fits("What did Northwind earn in 2022?") == {}
    assert Cards(SHELF[:1]).fits("What did Northwind earn in 2022?") == {}


def test_what_is_not_among_the_callers_documents_changes_nothing() -> None:
    own = [one for one in SHELF if not one.name.startswith("BLUE")]
    question = "Did {} earn more than Northwind in 2022?"
    assert Cards(own).fits(question.format("Blue Yonder")) == Cards(own).fits(question.format("Contoso"))


@pytest.mark.parametrize(
    "text",
    ["It cost $2023.", "2023.5 tons", "2,023 staff", "part 20235", "version 2023.1", "2023% more", "#2023"],
)
def test_amounts_and_longer_numbers_are_no_years(text: str) -> None:
    assert read(text).periods == frozenset()


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("FY23", {Period(2023)}),
        ("FY2022 - FY2023", {Period(2022), Period(2023)}),
        ("Q4 2021 and 2019", {Period(2021, 4), Period(2019)}),
        ("FY2023Q1", {Period(2023, 1)}),
        ("third quarter of fiscal 2020", {Period(2020, 3)}),
        ("Q2 without a year", set()),
    ],
)
def test_years_and_quarters_are_read(text: str, periods: set[Period]) -> None:
    assert read(text).periods == periods


@pytest.mark.parametrize(
    ("name", "names", "periods"),
    [
        ("BLUEYONDER_2024Q2_10Q.pdf", {"blueyonder"}, {Period(2024, 2)}),
        (
            "blue-yonder 2020.03.09 report.pdf",
            {"blue", "yonder", "blueyonder", "yonderreport"},
            {Period(2020)},
        ),
        ("BlueYonder2019.pdf", {"blue", "yonder"}, {Period(2019)}),
        ("2001.03131.pdf", set(), set()),
        ("936c0e2c2e6c8e0c07c51bfaf7fd0a83.pdf", set(), set()),
        ("4983.txt", set(), set()),
        ("3M_2018_10K.pdf", {"3m"}, {Period(2018)}),
        ("HP 2019.pdf", {"hp"}, {Period(2019)}),
        ("notes us 12a.pdf", {"notes", "notesus"}, set()),
        (".pdf", set(), set()),
        ("", set(), set()),
    ],
)
def test_a_name_is_read(name: str, names: set[str], periods: set[Period]) -> None:
    assert (card(name).names, card(name).periods) == (names, periods)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What did 3M sell?", 1.0),
        ("what did 3m sell", 0.0),
        ("Is HP profitable?", 1.0),
        ("Is Kontor profitable?", 0.5),
        ("Is kontor profitable?", 0.0),
        ("Is Kontorhaus profitable?", 1.0),
        ("is kontorhaus profitable?", 0.5),
        ("The US and the report", 0.0),
    ],
)
def test_short_names_and_beginnings_want_a_capital(question: str, name: float) -> None:
    shelf = [
        a_document(one) for one in ("3M_2018.pdf", "HP_2019.pdf", "KONTORHAUS_2019.pdf", "US_report.pdf")
    ]
    assert max((one.name for one in Cards(shelf).fits(question).values()), default=0.0) == name


def test_the_fourth_quarter_tells_of_the_year_and_other_quarters_half_of_it() -> None:
    shelf = [a_document(f"ACME_2023{suffix}.pdf") for suffix in ("Q4", "Q1", "", "_draft")]
    found = Cards([*shelf, a_document("x.pdf")]).fits("Acme in 2023")
    assert [found[one.id] for one in shelf] == [
        Fit(name=1.0, period=period) for period in (1.0, 0.5, 1.0, 1.0)
    ]
