"""Answers that code takes from tables: figures looked up, and what is computed from them.

Each is one sentence in fixed words, with the labels, heads and figures as printed and every operand cited. Where two
readings are possible there is no answer here: a wrong figure is worse than none.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agent import words
from agent.definition import defined
from agent.figures import NONE, decimals_of
from agent.lookup import Asked, Match, best_rows, by_head, in_period, sole, understood, worded
from agent.metrics import Metric, metric_in
from agent.periods import Period, of_head
from agent.sheets import Sheet, Spot
from agent.state import Drafted, Operand, Sum
from agent.statements import Worked, worked
from agent.sums import shown, worth

_YES_NO = re.compile(
    r"^(?:\W|in \w+,|as of [^,]+,)*\s*(?:has|have|had|is|are|was|were|did|does|do)\b", re.IGNORECASE
)
_UP = r"improv|increas|\bgrow|grew|rise|rose|risen|higher|expand"
_DOWN = r"declin|decreas|drop|fall|fell|shrink|shrank|lower|worse|reduc"
_MOVES = re.compile(rf"{_UP}|{_DOWN}|chang|differen|compar", re.IGNORECASE)
_BY_PERCENT = re.compile(r"\bpercent(?:age)?\b|%|\bgrowth\b|\bgr[eo]w\b", re.IGNORECASE)
_MEAN = re.compile(r"\b(?:average|mean)\b", re.IGNORECASE)
_POSITIVE = re.compile(r"\bpositive\b", re.IGNORECASE)
_STEADY = re.compile(
    r"\b(?:consistent|stable|steady)\b.*?(?:more than|within|by)\D{0,12}(\d+(?:\.\d+)?)\s*%", re.IGNORECASE
)
_MOST = re.compile(r"\b(?:highest|largest|biggest|greatest|most|best|maximum|max|top)\b", re.IGNORECASE)
_LEAST = re.compile(r"\b(?:lowest|smallest|least|fewest|minimum|min|worst)\b", re.IGNORECASE)
_WHICH = re.compile(r"\b(?:which|what|who)\b", re.IGNORECASE)
_FIGURE_ASKED = re.compile(
    r"\b(?:what|how (?:much|many|large|big|long|high)|give|state|find|tell)\b", re.IGNORECASE
)
_WHY = re.compile(
    r"\b(?:why|what (?:drove|caused|led)|driv(?:en|ers?)|reasons?|how (?:do|does|did|can|to))\b",
    re.IGNORECASE,
)
_TOTAL = re.compile(r"^(?:sub-?)?total\b|\btotal$", re.IGNORECASE)
#: Rows that a maximum may be looked for in.
_MIN_ROWS, _MAX_ROWS = 2, 60


def reckoned(question: str, sheets: Sequence[Sheet]) -> Drafted | None:
    """Return the answer that tables give to `question`, or None where they give none or more than one."""
    if not sheets or _WHY.search(question):
        return None
    asked = understood(question, sheets)
    for way in (_by_definition, _by_metric, _extreme, _moved, _average, _looked_up):
        found = way(question, asked, sheets)
        if found is not None:
            return found
    return None


# --- metrics


def _by_definition(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    formula = defined(question)
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
    decimals = _decimals(question, default=(1 if unit else 2) if ratio else _printed_decimals(found))
    return _stated(name, period, found, unit=unit, decimals=decimals, ratio=ratio)


def _metric_name(question: str) -> str:
    metric = metric_in(question)
    if metric is not None:
        return metric.name
    match = re.search(r"([A-Z]?[\w &%/-]{3,40}?)\s+(?:is|are)\s+defined", question)
    return match[1].strip().capitalize() if match else "Result"


def _by_metric(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    metric = metric_in(asked.text)
    if metric is None or defined(question) is not None:
        return None
    printed = _moved(question, asked, sheets) or _looked_up(question, asked, sheets)
    if printed is not None:
        return printed
    periods = list(asked.periods)
    several = len({p.year for p in periods}) > 1
    if _MEAN.search(asked.text) and several:
        return _mean_of_metric(metric, asked, sheets)
    if _MOVES.search(asked.text) or _STEADY.search(question):
        if len(periods) == 1:
            periods = [Period(year=periods[0].year - 1, quarter=periods[0].quarter), periods[0]]
        return _metric_moved(question, metric, asked, sheets, periods)
    period = _main_period(asked)
    found = _first(metric, period, asked, sheets)
    if found is None:
        return None
    decimals = _decimals(question, default=metric.decimals)
    if metric.unit == "amount":
        decimals = _decimals(question, default=_printed_decimals(found))
    lead = ""
    if _YES_NO.match(asked.text):
        if not _POSITIVE.search(asked.text):
            return None
        lead = "Yes: " if found.value > 0 else "No: "
    unit = "%" if metric.unit == "%" else ""
    return _stated(
        metric.name, period, found, unit=unit, decimals=decimals, ratio=metric.unit != "amount", lead=lead
    )


def _first(metric: Metric, period: Period | None, asked: Asked, sheets: Sequence[Sheet]) -> Worked | None:
    tries = (worked(formula, period, question=asked, sheets=sheets) for formula in metric.formulas)
    return next((found for found in tries if found is not None), None)


def _stated(
    name: str, period: Period | None, found: Worked, *, unit: str, decimals: int, ratio: bool, lead: str = ""
) -> Drafted:
    scale = "" if ratio else _scale(found.spots)
    money = "" if ratio else _money(found.spots)
    result = shown(found.value, decimals=decimals, unit=unit or scale, money=money)
    made: Sum = {"op": found.op, "operands": [s.operand() for s in found.spots], "result": result}
    when = f", {_heads(found.spots)}" if period is None else f", {_said(period)}"
    return _draft(f"{lead}{name}{when}: {result} = {_spelled(found)}", found.spots, [made])


def _metric_moved(
    question: str, metric: Metric, asked: Asked, sheets: Sequence[Sheet], periods: Sequence[Period]
) -> Drafted | None:
    steady = _STEADY.search(question)
    ordered = sorted(set(periods), key=lambda p: (p.year, p.quarter or 4))
    if len(ordered) < 2:
        return None
    first, last = (_first(metric, p, asked, sheets) for p in (ordered[0], ordered[-1]))
    if first is None or last is None or first.op != last.op:
        return None
    percent = metric.unit == "%"
    unit = "%" if percent else "" if metric.unit == "times" else _scale(last.spots)
    decimals = metric.decimals if metric.unit != "amount" else _printed_decimals(last)
    before, after = (shown(w.value, decimals=decimals, unit=unit) for w in (first, last))
    change = last.value - first.value
    letters = len(first.spots)
    both = f"=({_shifted(last.op[1:], letters)})-({first.op[1:]})"
    size = shown(abs(change), decimals=decimals, unit="percentage points" if percent else unit)
    moved = _direction(change, size)
    sums: list[Sum] = [
        {"op": first.op, "operands": [s.operand() for s in first.spots], "result": before},
        {"op": last.op, "operands": [s.operand() for s in last.spots], "result": after},
        {"op": both, "operands": [s.operand() for s in (*first.spots, *last.spots)], "result": moved},
    ]
    if not change or "no change" in moved:
        sums.pop()
    if steady:
        lead = "Yes: " if abs(change) <= Decimal(steady[1]) else "No: "
        if len(ordered) > 2:
            return None
    else:
        lead = _lead(question, change)
    text = (
        f"{lead}{metric.name} {_went(change)} from {before} in {_said(ordered[0])} to {after} in "
        f"{_said(ordered[-1])}, {moved}: {_spelled(last)}, against {_spelled(first)}"
    )
    return _draft(text, (*first.spots, *last.spots), sums)


def _mean_of_metric(metric: Metric, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    years = sorted({p.year for p in asked.periods})
    each = [_first(metric, Period(year=year), asked, sheets) for year in years]
    found = [one for one in each if one is not None]
    if len(found) < len(years) or sum(len(one.spots) for one in found) > len(string.ascii_lowercase):
        return None
    parts, spots = [], []
    for one in found:
        parts.append(f"({_shifted(one.op[1:], len(spots))})")
        spots += one.spots
    op = f"=({'+'.join(parts)})/{len(parts)}"
    value = worth(op, [spot.operand() for spot in spots])
    if value is None:
        return None
    unit = "%" if metric.unit == "%" else ""
    result = shown(value, decimals=_decimals(asked.text, default=metric.decimals), unit=unit)
    made: Sum = {"op": op, "operands": [s.operand() for s in spots], "result": result}
    spelled = "; ".join(_spelled(one) for one in found)
    text = f"{metric.name}, average of {years[0]} to {years[-1]}: {result}, the mean of {spelled}"
    return _draft(text, spots, [made])


# --- single rows


def _moved(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    """Say how a printed figure went from one period to another."""
    if not _MOVES.search(asked.text) or _MOST.search(asked.text) or _LEAST.search(asked.text):
        return None
    periods = list(asked.periods)
    if len(periods) != 2:
        return None
    early, late = sorted(periods, key=lambda p: (p.year, p.quarter or 4))
    matches = [m for m in best_rows(asked, sheets) if not _is_change(m)]
    last = sole(matches, lambda m: _figured(in_period(m, late, question=asked)))
    if last is None:
        return None
    own = [m for m in matches if m.row is last.row]
    first = sole(own, lambda m: _figured(in_period(m, early, question=asked)))
    if first is None or first.cell is last.cell or first.cell.figure is None or last.cell.figure is None:
        return None
    change = last.cell.figure.amount - first.cell.figure.amount
    operands = [first.operand(), last.operand()]
    if first.cell.figure.percent or first.cell.text.endswith("%"):
        size = shown(abs(change), decimals=_most_decimals(first, last), unit="percentage points")
        made: list[Sum] = [{"op": "difference", "operands": operands, "result": _direction(change, size)}]
        told = made[0]["result"]
    else:
        told, made = _both_changes(first, last, change, operands)
    if change == 0:
        told, made = "no change", []
    text = (
        f"{_lead(question, change)}{last.row.name} {_went(change)} from {_at(first)} to {_at(last)}, {told}"
        f"{_note(last)}"
    )
    return _draft(text, (first, last), made or [_value(first), _value(last)])


def _both_changes(first: Spot, last: Spot, change: Decimal, operands: list[Operand]) -> tuple[str, list[Sum]]:
    amount = shown(abs(change), decimals=_most_decimals(first, last))
    made: list[Sum] = [{"op": "difference", "operands": operands, "result": _direction(change, amount)}]
    percent = worth("change", operands)
    if percent is None or not percent:
        return made[0]["result"], made
    size = shown(abs(percent), decimals=1, unit="%")
    result = f"{'an increase' if percent > 0 else 'a decrease'} of {size}"
    made.append({"op": "change", "operands": operands, "result": result})
    return f"{made[0]['result']}, or {result}", made


def _average(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    """Average one row over the asked years."""
    years = sorted({p.year for p in asked.periods})
    if not _MEAN.search(asked.text) or len(years) < 2:
        return None
    matches = best_rows(asked, sheets)
    spots = [
        sole(matches, lambda m, y=year: _figured(in_period(m, Period(year=y), question=asked)))
        for year in years
    ]
    found = [spot for spot in spots if spot is not None]
    if len(found) < len(years) or len({id(spot.row) for spot in found}) > 1:
        return None
    operands = [spot.operand() for spot in found]
    value = worth("mean", operands)
    if value is None:
        return None
    percent = found[0].cell.text.endswith("%")
    decimals = _decimals(question, default=max(_printed(s) for s in found) + 1)
    result = shown(value, decimals=decimals, unit="%" if percent else "")
    listed = ", ".join(_at(spot) for spot in found)
    text = f"{found[0].row.name}, average of {years[0]} to {years[-1]}: {result}, the mean of {listed}"
    return _draft(text, found, [{"op": "mean", "operands": operands, "result": result}])


def _looked_up(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    """Give the one cell that a question asks for."""
    if _YES_NO.match(asked.text) or not _FIGURE_ASKED.search(asked.text) or len(asked.periods) > 1:
        return None
    if _MOST.search(asked.text) or _LEAST.search(asked.text) or _MOVES.search(asked.text):
        return None
    period = asked.periods[0] if asked.periods else None

    def pick(match: Match) -> Spot | None:
        rest = asked.wanted - worded(match.row.name)
        named = by_head(match.row, rest) if period is None else None
        if named is not None:
            return Spot(sheet=match.sheet, row=match.row, cell=named)
        return in_period(match, period, question=asked)

    spot = sole(best_rows(asked, sheets), pick)
    if spot is None or spot.cell.text in NONE or not _is_answer(asked, spot):
        return None
    head = f", {spot.cell.head}" if spot.cell.head else ""
    return _draft(f"{spot.row.name}{head}: {spot.cell.text}{_note(spot)}", (spot,), [_value(spot)])


def _is_answer(asked: Asked, spot: Spot) -> bool:
    """Say whether a cell is the kind of thing that is asked for: a figure where a figure is."""
    if re.search(r"\bhow (?:many|much)\b", asked.text, re.IGNORECASE) and spot.cell.figure is None:
        return False
    return not worded(spot.cell.text) <= asked.wanted


# --- extremes


def _extreme(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    """Say which row has the most or the least in a column."""
    most, least = _MOST.search(asked.text), _LEAST.search(asked.text)
    if bool(most) == bool(least) or not _WHICH.search(asked.text) or _MOVES.search(asked.text):
        return None
    found = [one for sheet in sheets for one in _columns(sheet, asked, asked.wanted)]
    best = [one for one in found if one.score == max(other.score for other in found)]
    if len(best) != 1:
        return None
    spots = best[0].spots
    operands = [spot.operand() for spot in spots]
    value = worth("max" if most else "min", operands)
    winners = [spot for spot in spots if spot.cell.figure and spot.cell.figure.amount == value]
    if len(winners) != 1:
        return None
    winner = winners[0]
    word = (most or least)[0].casefold()  # type: ignore[index]
    word = {"best": "highest", "top": "highest", "most": "highest", "worst": "lowest", "least": "lowest"}.get(
        word, word
    )
    head = f", {winner.cell.head}" if winner.cell.head else ""
    text = f"{winner.row.name}{head}: {winner.cell.text}{_note(winner)}, the {word} of {len(spots)} rows"
    made: list[Sum] = [
        {"op": "max" if most else "min", "operands": operands, "result": winner.cell.text},
        {"op": "count", "operands": operands, "result": str(len(spots))},
    ]
    return _draft(text, (winner,), made)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    score: float
    spots: tuple[Spot, ...]


def _columns(sheet: Sheet, asked: Asked, wanted: frozenset[str]) -> Iterator[_Column]:
    """Yield the one column of a table that is asked for, with the rows that may be compared."""
    context = worded(sheet.table.about)
    period = asked.periods[0] if len(asked.periods) == 1 else None
    rows = [row for row in sheet.table.rows if not _TOTAL.search(row.name)]
    for head in dict.fromkeys(cell.head for row in rows for cell in row.cells if cell.head):
        own, when = worded(head), of_head(head)
        if period is not None and when is not None:
            if when.year != period.year:
                continue
        elif not own & wanted:
            continue
        spots = [
            Spot(sheet=sheet, row=row, cell=cell)
            for row in rows
            for cell in row.cells
            if cell.head == head and cell.figure is not None and cell.text not in NONE
        ]
        labels = set().union(*(worded(spot.row.name) | worded(spot.row.section) for spot in spots), set())
        held = len(wanted & (own | context | labels)) / max(len(wanted), 1)
        if _MIN_ROWS <= len(spots) <= _MAX_ROWS and held >= 1.0:
            yield _Column(score=held + len(own & wanted), spots=tuple(spots))


# --- wording


def _draft(text: str, spots: Sequence[Spot], sums: list[Sum]) -> Drafted:
    cited = list(dict.fromkeys(spot.sheet.n for spot in spots))
    return {"text": f"{text.rstrip('.')}.", "evidence": cited, "sums": sums}


def _value(spot: Spot) -> Sum:
    return {"op": "value", "operands": [spot.operand()], "result": spot.cell.text}


def _at(spot: Spot) -> str:
    return f"{spot.cell.text} ({spot.cell.head})" if spot.cell.head else spot.cell.text


def _note(spot: Spot) -> str:
    """Name the scale of the table, for amounts that stand in it without one."""
    figure = spot.cell.figure
    plain_amount = figure is not None and not spot.cell.text.endswith("%") and not figure.scale
    per_unit = re.search(r"\bper\b|%|ratio|shares?\b|number|stores|employees", spot.row.label, re.IGNORECASE)
    return (
        f" (in {spot.sheet.table.scale})" if spot.sheet.table.scale and plain_amount and not per_unit else ""
    )


def _spelled(found: Worked) -> str:
    """Write a formula with its figures in place: "Net sales 5 (2023) / mean of …"."""
    text = re.sub(r"\*100$", "", found.op[1:])
    text = re.sub(r"abs\((\w)\)", r"\1", text)
    if text.count("(") == 1 and text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    text = re.sub(r"\(\((\w)\+(\w)\)/2\)", r"mean(\1; \2)", text)
    text = re.sub(r"\((mean\(\w; \w\))\)", r"\1", text)
    pieces = re.split(r"(\b[a-z]\b)", text)
    spelled = [
        f"{found.spots[ord(piece) - 97].row.name} {_at(found.spots[ord(piece) - 97])}"
        if len(piece) == 1 and piece in string.ascii_lowercase
        else re.sub(r"([-+*/])", r" \1 ", piece)
        for piece in pieces
    ]
    return "".join(spelled).replace("  ", " ")


def _shifted(op: str, by: int) -> str:
    """Move a formula's letters on, so that two can be joined."""
    return re.sub(r"\b[a-z]\b", lambda m: chr(ord(m.group()) + by), op)


def _direction(change: Decimal, size: str) -> str:
    if re.fullmatch(r"\D*0(?:\.0+)?\D*", size):
        return "no change"
    return f"{'an increase' if change > 0 else 'a decrease'} of {size}"


def _went(change: Decimal) -> str:
    return "increased" if change > 0 else "decreased" if change < 0 else "stayed the same"


def _lead(question: str, change: Decimal) -> str:
    """Return "Yes: " or "No: " where the question asks whether something went one way."""
    if not _YES_NO.match(question):
        return ""
    up, down = bool(re.search(_UP, question, re.I)), bool(re.search(_DOWN, question, re.I))
    if up == down:
        return ("Yes: " if change else "No: ") if not up and re.search("chang", question, re.I) else ""
    return "Yes: " if (change > 0 if up else change < 0) else "No: "


def _said(period: Period) -> str:
    return f"Q{period.quarter} {period.year}" if period.quarter else str(period.year)


def _heads(spots: Sequence[Spot]) -> str:
    return next((spot.cell.head for spot in spots if spot.cell.head), "as printed")


def _main_period(asked: Asked) -> Period | None:
    """Return the one period that an answer is for: the last where a definition names those before it."""
    return max(asked.periods, key=lambda p: (p.year, p.quarter or 4)) if asked.periods else None


def _figured(spot: Spot | None) -> Spot | None:
    return spot if spot is not None and spot.cell.figure is not None and spot.cell.text not in NONE else None


def _is_change(match: Match) -> bool:
    return bool(re.search(r"%\s*change|\bchange\b|growth", match.row.name, re.IGNORECASE))


def _scale(spots: Sequence[Spot]) -> str:
    return next((spot.sheet.table.scale.removesuffix("s") for spot in spots if spot.sheet.table.scale), "")


def _money(spots: Sequence[Spot]) -> str:
    signs = {spot.cell.figure.money for spot in spots if spot.cell.figure and spot.cell.figure.money}
    return signs.pop() if len(signs) == 1 else ""


def _printed(spot: Spot) -> int:
    return decimals_of(spot.cell.text)


def _most_decimals(*spots: Spot) -> int:
    return max(_printed(spot) for spot in spots)


def _printed_decimals(found: Worked) -> int:
    return max(_printed(spot) for spot in found.spots)


def _decimals(question: str, *, default: int) -> int:
    match = re.search(r"\b(one|two|three|1|2|3)\s+decimals?(?:\s+places?)?", question, re.IGNORECASE)
    if match is None:
        return default
    return {"one": 1, "two": 2, "three": 3}.get(match[1].casefold(), 0) or int(match[1])
