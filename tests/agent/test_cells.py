"""Tables read back from their lines: generated ones, in all the ways that documents print figures."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.cells import read_table
from agent.figures import figure, plain, scale_of
from agent.periods import Period, asked, column_for, heads_in, of_head

AMOUNTS = st.decimals(min_value=-99_999, max_value=99_999, places=1, allow_nan=False, allow_infinity=False)
LABELS = st.lists(
    st.sampled_from(
        [
            "Net sales",
            "Cost of sales",
            "Gross profit",
            "Other, net",
            "Inventories (1)",
            "Trade payables",
            "Tax (a)",
        ]
    ),
    min_size=1,
    max_size=6,
    unique=True,
)


def printed(amount: Decimal, style: str) -> str:
    """Print an amount as a style does: brackets or a minus, a currency sign, a percent sign."""
    digits = plain(abs(amount), decimals=1)
    if style == "percent":
        return f"({digits} )%" if amount < 0 else f"{digits} %"
    if style == "money":
        return f"$ ({digits})" if amount < 0 else f"$ {digits}"
    if style == "minus":
        return f"-{digits}" if amount < 0 else digits
    return f"({digits})" if amount < 0 else digits


@given(
    amount=AMOUNTS,
    style=st.sampled_from(["brackets", "minus", "money", "percent"]),
    note=st.sampled_from(["", " (1)", "*"]),
)
def test_a_printed_figure_is_read_back(amount: Decimal, style: str, note: str) -> None:
    found = figure(printed(amount, style) + note)
    assert found is not None
    assert (found.amount, found.percent) == (amount, style == "percent")


@pytest.mark.parametrize(
    "words", ["N/A", "1,2", "2 to 3", "1.2.3", "P1.1", "up to 8 degrees", "", "2019-2020", "3rd"]
)
def test_words_ranges_and_versions_are_no_figures(words: str) -> None:
    assert figure(words) is None


@given(
    labels=LABELS,
    years=st.lists(st.integers(2001, 2030), min_size=1, max_size=4, unique=True),
    data=st.data(),
    style=st.sampled_from(["brackets", "minus", "money", "percent"]),
    section=st.sampled_from(["", "Current assets"]),
)
def test_rows_with_headed_cells_are_read_back(
    labels: list[str], years: list[int], data: st.DataObject, style: str, section: str
) -> None:
    grid = {label: [data.draw(AMOUNTS) for _ in years] for label in labels}
    lines = ["(in millions)", " | ".join(str(year) for year in years)]
    for label, amounts in grid.items():
        cells = [f"{year}: {printed(a, style)}" for year, a in zip(years, amounts, strict=True)]
        lines.append(" | ".join([f"{section}: {label}" if section else label, *cells]))
    table = read_table("\n".join(lines))
    assert table.scale == "millions"
    assert [row.section for row in table.rows] == [section] * len(labels)
    for row, amounts in zip(table.rows, grid.values(), strict=True):
        assert [cell.head for cell in row.cells] == [str(year) for year in years]
        assert [cell.figure.amount if cell.figure else None for cell in row.cells] == amounts


@given(
    years=st.lists(st.integers(2001, 2030), min_size=2, max_size=4, unique=True),
    data=st.data(),
    split=st.booleans(),
)
def test_headless_rows_take_the_periods_of_the_line_above_only_where_none_is_blank(
    years: list[int], data: st.DataObject, split: bool
) -> None:
    lines = [f"As of June 30, {' '.join(map(str, years))}", "Assets"]
    amounts = [data.draw(AMOUNTS) for _ in years]
    sign = "$ | " if split else ""
    lines.append(" | ".join(["Cash", *(f"{sign}{printed(a, 'brackets')}" for a in amounts)]))
    lines.append(" | ".join(["Half empty", *(printed(a, "brackets") for a in amounts[1:])]))
    full, short = read_table("\n".join(lines)).rows
    assert [cell.head for cell in full.cells] == [f"June 30, {year}" for year in years]
    assert [cell.figure.amount if cell.figure else None for cell in full.cells] == amounts
    assert all(cell.head == "" for cell in short.cells)


def test_a_percent_sign_in_a_column_of_its_own_belongs_to_the_figure_before_it() -> None:
    table = read_table("2022 2021\nTax rate | 21.6 | % | 24.6 | %\nDividends | $ | 2.08 | $ | 1.72")
    assert [(c.head, c.text) for c in table.rows[0].cells] == [("2022", "21.6%"), ("2021", "24.6%")]
    assert [(c.head, c.text) for c in table.rows[1].cells] == [("2022", "$ 2.08"), ("2021", "$ 1.72")]


def test_a_label_that_is_a_figure_keeps_its_head_out() -> None:
    table = read_table(
        "Offset | Size | Meaning\nOffset: 72 | Size: 20 | Meaning: Reserved\n"
        "Offset: 92 | Size: 4 | Meaning: Version"
    )
    assert [row.name for row in table.rows] == ["72", "92"]
    assert table.rows[0].cells[1].text == "Reserved"


def test_changes_beside_the_years_head_their_own_columns() -> None:
    line = "Years Ended December 31, Change Change 2022 2021 2020 2022 vs. 2021 2021 vs. 2020"
    assert heads_in(line, columns=3) == ["2022", "2021", "2020"]
    assert heads_in(line, columns=7)[3:] == ["2022 vs. 2021"] * 2 + ["2021 vs. 2020"] * 2
    assert heads_in(line, columns=4) == []


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("between FY2021 and FY2022", [(2021, None), (2022, None)]),
        ("between FY 2023 and Q2 of FY2024", [(2023, None), (2024, 2)]),
        ("the FY2017 - FY2019 3 year average", [(2017, None), (2018, None), (2019, None)]),
        ("as of December 31, 2022", [(2022, None)]),
        ("As of FY2023Q1", [(2023, 1)]),
        ("in the second quarter of fiscal 2024", [(2024, 2)]),
        ("What is 1,024 plus 3.2022?", []),
    ],
)
def test_periods_of_a_question(text: str, periods: list[tuple[int, int | None]]) -> None:
    assert [(p.year, p.quarter) for p in asked(text)] == periods


def test_fiscal_quarters_are_counted_from_the_documents_own() -> None:
    heads = ["July 29, 2023", "January 28, 2023", "July 30, 2022"]
    anchor = (Period(year=2024, quarter=2), 2023 * 12 + 7)
    assert column_for(Period(year=2024, quarter=2), heads, anchor=anchor) == 0
    assert column_for(Period(year=2023), heads, anchor=anchor) == 1
    assert column_for(Period(year=2023, quarter=2), heads, anchor=anchor) == 2
    assert column_for(Period(year=2023), heads) is None, "two columns of one year"


def test_a_year_is_not_its_quarter() -> None:
    heads = ["Three Months Ended June 30, 2023", "Twelve Months Ended June 30, 2023"]
    assert column_for(Period(year=2023), heads) == 1
    assert column_for(Period(year=2023), heads[:1]) is None
    assert of_head("2022 vs. 2021") is None


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("(in millions, except per share data)", "millions"),
        ("($ in thousands)", "thousands"),
        ("(Dollars in billions)", "billions"),
        ("in millions and in thousands", ""),
        ("Annual report", ""),
    ],
)
def test_the_scale_of_a_table(text: str, scale: str) -> None:
    assert scale_of(text) == scale
