"""Answers that code takes from tables: figures looked up, and what is computed from them.

Each is one sentence in fixed words, with labels, heads and figures as printed and every operand cited. Where
two readings are possible there is no answer here: a wrong figure is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agent.figures import NONE
from agent.lookup import Asked, Match, best_rows, by_head, holds, in_period, sole, understood, worded
from agent.periods import Period, of_head
from agent.ratios import by_definition, by_metric
from agent.sheets import Sheet, Spot
from agent.state import Drafted, Operand, Sum
from agent.sums import shown, worth
from agent.wording import (
    MEAN,
    MOVES,
    YES_NO,
    as_printed,
    decimals_asked,
    direction,
    drafted,
    lead,
    most_decimals,
    printed_decimals,
    scale_note,
    went,
    with_head,
    with_time,
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
    if not sheets:
        return None
    asked = understood(question, sheets)
    if _WHY.search(asked.text):
        return None
    for way in (by_definition, _moved, _looked_up, by_metric, _extreme, _average):
        found = way(question, asked, sheets)
        if found is not None:
            return found
    return None


# --- single rows


def _moved(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    """Say how a printed figure went from one period to another."""
    if not MOVES.search(asked.text) or _MOST.search(asked.text) or _LEAST.search(asked.text):
        return None
    periods = list(asked.periods)
    if len(periods) != 2:
        return None
    early, late = sorted(periods, key=lambda p: (p.year, p.quarter or 4))
    matches = [m for m in best_rows(asked, sheets) if not _is_change(m)]
    last = sole(matches, lambda m: _figured(in_period(m, late, question=asked)))
    if last is None or not holds(asked, last):
        return None
    own = [m for m in matches if m.row is last.row]
    first = sole(own, lambda m: _figured(in_period(m, early, question=asked)))
    if first is None or first.cell is last.cell or first.cell.figure is None or last.cell.figure is None:
        return None
    change = last.cell.figure.amount - first.cell.figure.amount
    operands = [first.operand(), last.operand()]
    if first.cell.figure.percent or first.cell.text.endswith("%"):
        size = shown(abs(change), decimals=most_decimals(first, last), unit="percentage points")
        made: list[Sum] = [{"op": "difference", "operands": operands, "result": direction(change, size)}]
        told = made[0]["result"]
    else:
        told, made = _both_changes(first, last, change, operands)
    if change == 0:
        told, made = "no change", []
    verb = "changed" if "chang" in question.casefold() and change else went(change)
    text = (
        f"{lead(question, change)}{last.label} {verb} from {with_time(first, early, question)} to "
        f"{with_time(last, late, question)}, {told}{scale_note(last)}"
    )
    return drafted(text, (first, last), made or [as_printed(first), as_printed(last)])


def _both_changes(first: Spot, last: Spot, change: Decimal, operands: list[Operand]) -> tuple[str, list[Sum]]:
    amount = shown(abs(change), decimals=most_decimals(first, last))
    made: list[Sum] = [{"op": "difference", "operands": operands, "result": direction(change, amount)}]
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
    if not MEAN.search(asked.text) or len(years) < 2:
        return None
    matches = best_rows(asked, sheets)

    def of(year: int) -> Spot | None:
        return sole(matches, lambda m: _figured(in_period(m, Period(year=year), question=asked)))

    spots = [of(year) for year in years]
    found = [spot for spot in spots if spot is not None]
    if len(found) < len(years) or len({id(spot.row) for spot in found}) > 1:
        return None
    operands = [spot.operand() for spot in found]
    value = worth("mean", operands)
    if value is None:
        return None
    percent = found[0].cell.text.endswith("%")
    decimals = decimals_asked(question, default=max(printed_decimals(s) for s in found) + 1)
    result = shown(value, decimals=decimals, unit="%" if percent else "")
    listed = ", ".join(with_head(spot) for spot in found)
    text = f"{found[0].label}, average of {years[0]} to {years[-1]}: {result}, the mean of {listed}"
    return drafted(text, found, [{"op": "mean", "operands": operands, "result": result}])


def _looked_up(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    """Give the one cell that a question asks for."""
    if YES_NO.match(asked.text) or not _FIGURE_ASKED.search(asked.text) or len(asked.periods) > 1:
        return None
    if _MOST.search(asked.text) or _LEAST.search(asked.text) or MOVES.search(asked.text):
        return None
    period = asked.periods[0] if asked.periods else None

    def pick(match: Match) -> Spot | None:
        rest = asked.wanted - worded(match.row.name)
        named = by_head(match.row, rest) if period is None else None
        if named is not None:
            return Spot(sheet=match.sheet, row=match.row, cell=named)
        return in_period(match, period, question=asked)

    spot = sole(best_rows(asked, sheets), pick)
    if spot is None or spot.cell.text in NONE or not holds(asked, spot) or not _is_answer(asked, spot):
        return None
    if period is not None and of_head(spot.cell.head) is not None:
        return drafted(
            f"{spot.label}: {with_time(spot, period, question)}{scale_note(spot)}",
            (spot,),
            [as_printed(spot)],
        )
    head = f", {spot.cell.head}" if spot.cell.head else ""
    return drafted(f"{spot.label}{head}: {spot.cell.text}{scale_note(spot)}", (spot,), [as_printed(spot)])


def _is_answer(asked: Asked, spot: Spot) -> bool:
    """Say whether a cell is the kind of thing that is asked for: a figure where a figure is."""
    if re.search(r"\bhow (?:many|much)\b", asked.text, re.IGNORECASE) and spot.cell.figure is None:
        return False
    return not worded(spot.cell.text) <= asked.wanted


# --- extremes


def _extreme(question: str, asked: Asked, sheets: Sequence[Sheet]) -> Drafted | None:
    """Say which row has the most or the least in a column."""
    most, least = _MOST.search(asked.text), _LEAST.search(asked.text)
    if bool(most) == bool(least) or not _WHICH.search(asked.text) or MOVES.search(asked.text):
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
    word = "highest" if most else "lowest"
    head = f", {winner.cell.head}" if winner.cell.head else ""
    text = f"{winner.label}{head}: {winner.cell.text}{scale_note(winner)}, the {word} of {len(spots)} rows"
    made: list[Sum] = [
        {"op": "max" if most else "min", "operands": operands, "result": winner.cell.text},
        {"op": "count", "operands": operands, "result": str(len(spots))},
    ]
    return drafted(text, (winner,), made)


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
        labels = set().union(*(worded(spot.label) | worded(spot.row.section) for spot in spots), set())
        held = len(wanted & (own | context | labels)) / max(len(wanted), 1)
        if _MIN_ROWS <= len(spots) <= _MAX_ROWS and held >= 1.0:
            yield _Column(score=held + len(own & wanted), spots=tuple(spots))


def _figured(spot: Spot | None) -> Spot | None:
    return spot if spot is not None and spot.cell.figure is not None and spot.cell.text not in NONE else None


def _is_change(match: Match) -> bool:
    return bool(re.search(r"%\s*change|\bchange\b|growth", match.row.name, re.IGNORECASE))
