"""Sums: exact, and computed again from their operands; what was tampered with does not come out."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agent.definition import defined
from agent.figures import plain
from agent.labels import item_of, rank
from agent.metrics import metric_in
from agent.state import Operand, Sum
from agent.sums import again, shown, worth

AMOUNTS = st.integers(1, 99_999).map(lambda n: Decimal(n) / 10)


def cell(amount: Decimal, *, percent: bool = False) -> Operand:
    """Make an operand."""
    return {
        "evidence": 1,
        "label": "Sales",
        "head": "2023",
        "value": plain(amount, decimals=1) + "%" * percent,
    }


@given(
    first=AMOUNTS,
    last=AMOUNTS,
    op=st.sampled_from(["difference", "change", "share", "ratio", "sum", "mean", "max", "min"]),
)
def test_what_was_computed_comes_out_again(first: Decimal, last: Decimal, op: str) -> None:
    operands = [cell(first), cell(last)]
    value = worth(op, operands)
    assert value is not None
    made: Sum = {
        "op": op,
        "operands": operands,
        "result": shown(value, decimals=2, unit="%" if op in ("change", "share") else ""),
    }
    assert again(made)
    assert not again({**made, "result": shown(value + 1, decimals=2)})


@given(first=AMOUNTS, last=AMOUNTS, other=AMOUNTS)
def test_another_operand_gives_another_result(first: Decimal, last: Decimal, other: Decimal) -> None:
    assume(other != last)
    result = shown(abs(last - first), decimals=1)
    way = "an increase" if last > first else "a decrease"
    made: Sum = {"op": "difference", "operands": [cell(first), cell(last)], "result": f"{way} of {result}"}
    assert again(made) is (last != first)
    assert not again({**made, "operands": [cell(first), cell(other)]})
    if last != first:
        assert not again(
            {
                **made,
                "result": made["result"].replace("crease", "crease").replace("an in", "a de")
                if last > first
                else made["result"].replace("a de", "an in"),
            }
        )


@given(numbers=st.lists(AMOUNTS, min_size=2, max_size=9))
def test_a_formula_is_computed_like_its_name(numbers: list[Decimal]) -> None:
    operands = [cell(number) for number in numbers]
    letters = "abcdefghi"[: len(numbers)]
    assert worth(f"=({'+'.join(letters)})/{len(numbers)}", operands) == worth("mean", operands)


@pytest.mark.parametrize(
    "op", ["=a.b", "=__import__('os')", "=a**b", "=c", "=a/(b-b)", "unknown", "=a if b else a"]
)
def test_nothing_but_arithmetic_is_computed(op: str) -> None:
    assert worth(op, [cell(Decimal(3)), cell(Decimal(3))]) is None


def test_points_need_percentages() -> None:
    made: Sum = {
        "op": "difference",
        "operands": [cell(Decimal(3)), cell(Decimal(5))],
        "result": "an increase of 2.0 percentage points",
    }
    assert not again(made)
    made["operands"] = [cell(Decimal(3), percent=True), cell(Decimal(5), percent=True)]
    assert again(made)


@pytest.mark.parametrize(
    ("question", "formula"),
    [
        (
            "X ratio is defined as: FY2019 revenue / (average PP&E between FY2018 and FY2019). Round it.",
            "[revenue@2019]/({pp&e@2018,2019})",
        ),
        (
            "Define unadjusted EBITDA as unadjusted operating income + depreciation and amortization [from "
            "the cash flow statement].",
            "[unadjusted operating income]+[depreciation and amortization]",
        ),
        (
            "DPO is defined as: 365 * (average accounts payable between FY2015 and FY2016) / (FY2016 COGS + "
            "change in inventory between FY2015 and FY2016).",
            "365*({accounts payable@2015,2016})/([cogs@2016]+([inventory@2016]-[inventory@2015]))",
        ),
        (
            "Payout is defined as total cash dividends paid divided by net income?",
            "[total cash dividends paid]/[net income]",
        ),
        ("It is defined as the best of its kind.", None),
        ("What is revenue?", None),
        ("Margin is defined as: (revenue - cost of sales / revenue.", None),
    ],
)
def test_definitions_in_questions(question: str, formula: str | None) -> None:
    assert defined(question) == formula


@pytest.mark.parametrize(
    ("item", "label"),
    [
        ("revenue", "Net sales"),
        ("revenue", "Total net revenues"),
        ("operating income", "Operating Profit"),
        ("capital expenditures", "Purchase of property, plant, and equipment"),
        ("capital expenditures", "Capital spending"),
        ("fixed assets", "Property, plant and equipment, net"),
        ("operating cash flow", "Net Cash Provided by Operating Activities"),
        ("receivables", "Trade receivables, net of allowance for credit losses of $21 and $25, respectively"),
        ("equity", "Total shareholders' equity"),
        ("cost of sales", "Cost of goods sold"),
        ("income taxes", "Provision for income taxes"),
    ],
)
def test_labels_of_statements_are_known(item: str, label: str) -> None:
    assert rank(item, label) is not None


@pytest.mark.parametrize(
    ("item", "label"),
    [
        ("revenue", "Cost of revenues"),
        ("net income", "Net income per share"),
        ("operating income", "Other operating income items"),
        ("current assets", "Other current assets"),
        ("cash", "Restricted cash"),
    ],
)
def test_other_labels_are_not_taken_for_them(item: str, label: str) -> None:
    assert rank(item, label) is None


def test_the_longest_metric_named_is_meant() -> None:
    named = {
        q: metric_in(q)
        for q in ("EBITDA % margin", "EBITDA less capex", "gross margin profile", "capex as a % of revenue")
    }
    assert {q: m.name if m else None for q, m in named.items()} == {
        "EBITDA % margin": "EBITDA margin",
        "EBITDA less capex": "EBITDA less capital expenditures",
        "gross margin profile": "Gross margin",
        "capex as a % of revenue": "Capital expenditures as a share of revenue",
    }
    assert item_of("PP&E") == "fixed assets"
