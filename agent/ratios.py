"""Metrics: margins, ratios and the like, by their usual definition or by one that the question brings.

What a house adjusts by rules of its own ("adjusted") is never computed: it is printed or not known.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from agent.definition import asked_for, defined
from agent.labels import rank
from agent.lookup import Asked
from agent.metrics import Metric, items_of, metric_in
from agent.periods import Period, of_head
from agent.sheets import Sheet, Spot
from agent.state import Drafted, Sum
from agent.statements import Worked, worked
from agent.sums import shown, worth
from agent.wording import (
    MEAN,
    MOVES,
    YES_NO,
    decimals_asked,
    direction,
    drafted,
    first_head,
    lead,
    money_sign,
    said,
    scale_word,
    shifted,
    spelled,
    went,
    worked_decimals,
)

#: What a house adjusts by rules of its own is printed or not known; a part of a house is not its statements.
_ADJUSTED = re.compile(
    r"\b(?:adjusted|non-?\s?gaap|core|organic|constant currency|comparable|pro[- ]forma|normali[sz]ed|"
    r"excluding|segments?|domestic|international|divisions?)\b",
    re.IGNORECASE,
)
_POSITIVE = re.compile(r"\bpositive\b", re.IGNORECASE)
_STEADY = re.compile(
    r"\b(?:consistent|stable|steady)\b.*?(?:more than|within|by)\D{0,12}(\d+(?:\.\d+)?)\s*%", re.IGNORECASE
)
_MAX_YEARS = 4


def by_definition(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    part = defined(question)
    formula = asked_for(question, part) if part is not None else None
    if formula is None:
        return None
    name = _metric_name(question)
    period = _main_period(asked)
    found = worked(formula, period, question=asked, sheets=sheets)
    if found is None:
        return None
    percent = bool(re.search(r"%|percent", question.partition("defined")[0], re.I)) and "/" in formula
    unit = "%" if percent and not formula.endswith("*100") else ""
    if unit:
        found = Worked(op=f"=({found.op[1:]})*100", spots=found.spots, value=found.value * 100)
    ratio = "/" in formula
    decimals = decimals_asked(question, default=(1 if unit else 2) if ratio else worked_decimals(found))
    return _stated(name, period, found, unit=unit, decimals=decimals, ratio=ratio)


def _metric_name(question: str) -> str:
    metric = metric_in(question)
    if metric is not None:
        return metric.name
    match = re.search(r"([A-Z]?[\w &%/-]{3,40}?)\s+(?:is|are)\s+defined", question)
    return match[1].strip().capitalize() if match else "Result"


def by_metric(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    metric = metric_in(asked.text)
    if metric is None or defined(question) is not None or _ADJUSTED.search(asked.text):
        return None
    periods = list(asked.periods)
    several = len({p.year for p in periods}) > 1
    if MEAN.search(asked.text) and several:
        return _mean_of_metric(metric, asked, sheets)
    if _STEADY.search(question):
        return _steady(question, metric, asked, sheets)
    if MOVES.search(asked.text):
        if len(periods) == 1:
            periods = [Period(year=periods[0].year - 1, quarter=periods[0].quarter), periods[0]]
        return _metric_moved(question, metric, asked, sheets, periods)
    period = _main_period(asked)
    found = _first(metric, period, asked, sheets)
    if found is None:
        return None
    decimals = decimals_asked(question, default=metric.decimals)
    if metric.unit == "amount":
        decimals = decimals_asked(question, default=worked_decimals(found))
    lead = ""
    if YES_NO.match(asked.text):
        if not _POSITIVE.search(asked.text):
            return None
        lead = "Yes: " if found.value > 0 else "No: "
    unit = "%" if metric.unit == "%" else ""
    ratio = metric.unit != "amount"
    return _stated(metric.name, period, found, unit=unit, decimals=decimals, ratio=ratio, lead=lead)


def _first(metric: Metric, period: Period | None, asked: Asked, sheets: Sequence[Sheet]) -> Worked | None:
    tries = (worked(formula, period, question=asked, sheets=sheets) for formula in metric.formulas)
    return next((found for found in tries if found is not None), None)


def _stated(
    name: str, period: Period | None, found: Worked, *, unit: str, decimals: int, ratio: bool, lead: str = ""
) -> Drafted:
    scale = "" if ratio else scale_word(found.spots)
    money = "" if ratio else money_sign(found.spots)
    result = shown(found.value, decimals=decimals, unit=unit or scale, money=money)
    made: Sum = {"op": found.op, "operands": [s.operand() for s in found.spots], "result": result}
    when = f", {first_head(found.spots)}" if period is None else f", {said(period)}"
    return drafted(f"{lead}{name}{when}: {result} = {spelled(found)}", found.spots, [made])


def _metric_moved(
    question: str, metric: Metric, asked: Asked, sheets: Sequence[Sheet], periods: Sequence[Period]
) -> Drafted | None:
    ordered = sorted(set(periods), key=lambda p: (p.year, p.quarter or 4))
    if len(ordered) < 2:
        return None
    first, last = (_first(metric, p, asked, sheets) for p in (ordered[0], ordered[-1]))
    if first is None or last is None or first.op != last.op:
        return None
    percent = metric.unit == "%"
    unit = "%" if percent else "" if metric.unit == "times" else scale_word(last.spots)
    decimals = metric.decimals if metric.unit != "amount" else worked_decimals(last)
    before, after = (shown(w.value, decimals=decimals, unit=unit) for w in (first, last))
    change = last.value - first.value
    letters = len(first.spots)
    both = f"=({shifted(last.op[1:], letters)})-({first.op[1:]})"
    size = shown(abs(change), decimals=decimals, unit="percentage points" if percent else unit)
    moved = direction(change, size)
    sums: list[Sum] = [
        {"op": first.op, "operands": [s.operand() for s in first.spots], "result": before},
        {"op": last.op, "operands": [s.operand() for s in last.spots], "result": after},
        {"op": both, "operands": [s.operand() for s in (*first.spots, *last.spots)], "result": moved},
    ]
    if not change or "no change" in moved:
        sums.pop()
    text = (
        f"{lead(question, change)}{metric.name} {went(change)} from {before} in {said(ordered[0])} "
        f"to {after} in {said(ordered[-1])}, {moved}: {spelled(last)}, against {spelled(first)}"
    )
    return drafted(text, (*first.spots, *last.spots), sums)


def _steady(question: str, metric: Metric, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    """Say whether a metric stayed within the change from year to year that the question names."""
    limit = _STEADY.search(question)
    named = sorted({p.year for p in asked.periods})
    years = named if len(named) > 1 else _years(metric, sheets)
    each = [(year, _first(metric, Period(year=year), asked, sheets)) for year in years[-_MAX_YEARS:]]
    found = [(year, one) for year, one in each if one is not None]
    if limit is None or metric.unit != "%" or len(found) < 2 or len(found) < len(each):
        return None
    sums: list[Sum] = []
    told: list[str] = []
    for year, one in found:
        result = shown(one.value, decimals=metric.decimals, unit="%")
        sums.append({"op": one.op, "operands": [s.operand() for s in one.spots], "result": result})
        told.append(f"{result} in {year} = {spelled(one)}")
    steps = [abs(b.value - a.value) for (_, a), (_, b) in pairwise(found)]
    most = steps.index(max(steps))
    first, last = found[most][1], found[most + 1][1]
    if last.value == first.value:
        return None
    both = f"=({shifted(last.op[1:], len(first.spots))})-({first.op[1:]})"
    size = shown(steps[most], decimals=metric.decimals, unit="percentage points")
    moved = direction(last.value - first.value, size)
    sums.append({"op": both, "operands": [s.operand() for s in (*first.spots, *last.spots)], "result": moved})
    lead = "Yes: " if steps[most] <= Decimal(limit[1]) else "No: "
    text = f"{lead}the largest change of {metric.name} from year to year is {moved}: {'; '.join(told)}"
    return drafted(text, [spot for _, one in found for spot in one.spots], sums)


def _years(metric: Metric, sheets: Sequence[Sheet]) -> list[int]:
    """Return the years that a row of the metric's items has figures for."""
    found = {
        period.year
        for sheet in sheets
        for row in sheet.table.rows
        if any(rank(item, row.name) is not None for item in items_of(metric)[:1])
        for cell in row.cells
        if (period := of_head(cell.head)) is not None and period.months in (None, 12)
    }
    return sorted(found)


def _mean_of_metric(metric: Metric, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    years = sorted({p.year for p in asked.periods})
    each = [_first(metric, Period(year=year), asked, sheets) for year in years]
    found = [one for one in each if one is not None]
    if len(found) < len(years) or sum(len(one.spots) for one in found) > len(string.ascii_lowercase):
        return None
    parts: list[str] = []
    spots: list[Spot] = []
    for one in found:
        parts.append(f"({shifted(one.op[1:], len(spots))})")
        spots += one.spots
    op = f"=({'+'.join(parts)})/{len(parts)}"
    value = worth(op, [spot.operand() for spot in spots])
    if value is None:
        return None
    unit = "%" if metric.unit == "%" else ""
    result = shown(value, decimals=decimals_asked(asked.text, default=metric.decimals), unit=unit)
    made: Sum = {"op": op, "operands": [s.operand() for s in spots], "result": result}
    listed = "; ".join(spelled(one) for one in found)
    text = f"{metric.name}, average of {years[0]} to {years[-1]}: {result}, the mean of {listed}"
    return drafted(text, spots, [made])


def _main_period(asked: Asked) -> Period | None:
    """Return the one period that an answer is for: the last where a definition names those before it."""
    return max(asked.periods, key=lambda p: (p.year, p.quarter or 4)) if asked.periods else None
