"""What well-known metrics are made of, as data: a formula over items, an item the labels that statements use.

Definitions are the usual textbook ones and are said with every answer, because houses differ. A definition
that the question brings itself goes before these (`definition.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Unit = Literal["%", "times", "amount"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric and what it is computed from: in a formula `[x]` is an item, `{x}` its mean of two years."""

    name: str
    #: What a question says for it, as patterns.
    called: tuple[str, ...]
    #: Ways to compute it, the most direct first.
    formulas: tuple[str, ...]
    unit: Unit
    decimals: int = 1


METRICS: tuple[Metric, ...] = (
    Metric(
        name="EBITDA less capital expenditures",
        unit="amount",
        decimals=0,
        called=(r"ebitda (?:less|minus|-) (?:capex|capital expenditures?)",),
        formulas=("[operating income]+[depreciation and amortization]-abs([capital expenditures])",),
    ),
    Metric(
        name="EBITDA margin",
        unit="%",
        called=(r"ebitda\s*(?:%|percent)?\s*margin",),
        formulas=("([operating income]+[depreciation and amortization])/[revenue]*100",),
    ),
    Metric(
        name="EBITDA",
        unit="amount",
        decimals=0,
        called=(r"ebitda",),
        formulas=("[operating income]+[depreciation and amortization]",),
    ),
    Metric(
        name="Gross margin",
        unit="%",
        called=(r"gross (?:profit )?margins?",),
        formulas=("[gross profit]/[revenue]*100", "([revenue]-[cost of sales])/[revenue]*100"),
    ),
    Metric(
        name="Operating margin",
        unit="%",
        called=(r"operating (?:income |profit )?margins?",),
        formulas=("[operating income]/[revenue]*100",),
    ),
    Metric(
        name="Net profit margin",
        unit="%",
        called=(r"net (?:profit|income) margins?", r"profit margins?"),
        formulas=("[net income]/[revenue]*100",),
    ),
    Metric(
        name="Cost of sales as a share of revenue",
        unit="%",
        called=(
            r"(?:cogs|cost of (?:goods sold|sales))\s*(?:%|percent)?\s*"
            r"(?:margin|of revenues?|as a (?:%|percent))",
        ),
        formulas=("[cost of sales]/[revenue]*100",),
    ),
    Metric(
        name="Effective tax rate",
        unit="%",
        called=(r"effective tax rates?",),
        formulas=("abs([income taxes])/[pretax income]*100",),
    ),
    Metric(
        name="Quick ratio",
        unit="times",
        decimals=2,
        called=(r"quick ratio", r"acid[- ]test ratio"),
        formulas=("([current assets]-[inventories])/[current liabilities]",),
    ),
    Metric(
        name="Current ratio",
        unit="times",
        decimals=2,
        called=(r"current ratio",),
        formulas=("[current assets]/[current liabilities]",),
    ),
    Metric(
        name="Cash ratio",
        unit="times",
        decimals=2,
        called=(r"cash ratio",),
        formulas=("[cash]/[current liabilities]",),
    ),
    Metric(
        name="Working capital ratio",
        unit="times",
        decimals=2,
        called=(r"working capital ratio",),
        formulas=("[current assets]/[current liabilities]",),
    ),
    Metric(
        name="Working capital",
        unit="amount",
        decimals=0,
        called=(r"working capital",),
        formulas=("[current assets]-[current liabilities]",),
    ),
    Metric(
        name="Operating cash flow ratio",
        unit="times",
        decimals=2,
        called=(r"operating cash flow ratio",),
        formulas=("[operating cash flow]/[current liabilities]",),
    ),
    Metric(
        name="Free cash flow",
        unit="amount",
        decimals=0,
        called=(r"free cash flow",),
        formulas=("[operating cash flow]-abs([capital expenditures])",),
    ),
    Metric(
        name="Fixed asset turnover",
        unit="times",
        decimals=2,
        called=(r"fixed asset turnover(?: ratio)?",),
        formulas=("[revenue]/{fixed assets}",),
    ),
    Metric(
        name="Asset turnover",
        unit="times",
        decimals=2,
        called=(r"(?:total )?asset turnover(?: ratio)?",),
        formulas=("[revenue]/{total assets}",),
    ),
    Metric(
        name="Inventory turnover",
        unit="times",
        decimals=2,
        called=(r"inventory turnover(?: ratio)?",),
        formulas=("[cost of sales]/{inventories}",),
    ),
    Metric(
        name="Return on assets",
        unit="times",
        decimals=2,
        called=(r"return on assets", r"\broa\b"),
        formulas=("[net income]/{total assets}",),
    ),
    Metric(
        name="Return on equity",
        unit="times",
        decimals=2,
        called=(r"return on equity", r"\broe\b"),
        formulas=("[net income]/{equity}",),
    ),
    Metric(
        name="Debt to equity",
        unit="times",
        decimals=2,
        called=(r"debt[- ]to[- ]equity(?: ratio)?",),
        formulas=("[total liabilities]/[equity]",),
    ),
    Metric(
        name="Interest coverage",
        unit="times",
        decimals=2,
        called=(r"interest coverage(?: ratio)?",),
        formulas=("[operating income]/abs([interest expense])",),
    ),
    Metric(
        name="Dividend payout ratio",
        unit="times",
        decimals=2,
        called=(r"dividend payout(?: ratio)?",),
        formulas=("abs([dividends])/[net income]",),
    ),
    Metric(
        name="Capital expenditures as a share of revenue",
        unit="%",
        called=(
            r"(?:capex|capital expenditures?)"
            r"(?:/revenue| as an? (?:%|percent(?:age)?|share) of (?:\w+ )?(?:revenues?|sales))",
        ),
        formulas=("abs([capital expenditures])/[revenue]*100",),
    ),
)


def metric_in(text: str) -> Metric | None:
    """Return the metric that a text names, the longest name first."""
    low = text.casefold()
    found = [
        (match.end() - match.start(), -place, metric)
        for place, metric in enumerate(METRICS)
        for called in metric.called
        if (match := re.search(called, low))
    ]
    return max(found, key=lambda one: one[:2])[2] if found else None


def items_of(metric: Metric) -> list[str]:
    """Return the items that a metric may be computed from."""
    return list(dict.fromkeys(re.findall(r"[\[{]([^\]}]+)[\]}]", " ".join(metric.formulas))))


def wanted(question: str) -> tuple[str, ...]:
    """Return what more to search for where a question is about a metric: statements with its items."""
    metric = metric_in(question)
    items = items_of(metric) if metric is not None else []
    sheets = {item: statement for statement, held in _STATEMENTS.items() for item in held}
    return tuple(dict.fromkeys(sheets[item] for item in items if item in sheets))


_STATEMENTS: dict[str, tuple[str, ...]] = {
    "consolidated statement of income net revenue cost of sales operating income net income": (
        "revenue",
        "cost of sales",
        "gross profit",
        "operating income",
        "net income",
        "pretax income",
        "income taxes",
        "interest expense",
        "sga",
    ),
    "consolidated balance sheet total current assets inventories property total current liabilities": (
        "current assets",
        "current liabilities",
        "total assets",
        "total liabilities",
        "equity",
        "cash",
        "receivables",
        "inventories",
        "accounts payable",
        "fixed assets",
        "long-term debt",
    ),
    "statement of cash flows depreciation amortization capital expenditures operating activities": (
        "depreciation and amortization",
        "capital expenditures",
        "operating cash flow",
        "dividends",
    ),
}
