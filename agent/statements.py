"""Figures of a metric's items from the statements among the evidence, and the metric computed from them."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agent import words
from agent.figures import NONE
from agent.labels import ITEMS, item_of, normal, rank
from agent.lookup import Asked, Match, best_rows, in_period
from agent.periods import Period
from agent.sheets import Sheet, Spot
from agent.sums import worth

_SLOT = re.compile(
    r"\[(?P<one>[^\]@]+)(?:@(?P<year>\d{4}))?\]|\{(?P<mean>[^}@]+)(?:@(?P<years>\d{4},\d{4}))?\}"
)
_STATEMENT = re.compile(
    r"consolidated|statements? of|balance sheet|income statement|financial position|cash flows?",
    re.IGNORECASE,
)
#: An item that a statement may give only in parts, below a label of its name.
_PARTS: dict[str, tuple[str, ...]] = {
    "inventories": (r"raw materials.*", r"work in (?:process|progress).*", r"finished goods.*")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """A formula with its operands found, and what it comes to."""

    #: Over letters, as `Sum.op` takes it.
    op: str
    spots: tuple[Spot, ...]
    value: Decimal


def worked(formula: str, period: Period | None, *, question: Asked, sheets: Sequence[Sheet]) -> Worked | None:
    """Find every operand of `formula` for a period and compute it; None where one is missing or unclear."""
    spots: list[Spot] = []

    def letter(item: str, when: Period | None) -> str | None:
        found = figures_of(item, when, question=question, sheets=sheets)
        for spot in found:
            spots.append(spot)
        if not found or len(spots) > len(string.ascii_lowercase):
            return None
        names = string.ascii_lowercase[len(spots) - len(found) : len(spots)]
        return names if len(found) == 1 else f"({'+'.join(names)})"

    op, at = "", 0
    for slot in _SLOT.finditer(formula):
        if slot["one"]:
            filled = letter(slot["one"], _year(slot["year"]) or period)
        else:
            filled = _mean(slot, period, letter)
        if filled is None:
            return None
        op += formula[at : slot.start()] + filled
        at = slot.end()
    op = f"={op}{formula[at:]}"
    scales = {spot.sheet.table.scale for spot in spots} - {""}
    value = worth(op, [spot.operand() for spot in spots])
    if value is None or len(scales) > 1 or any(spot.cell.text in NONE for spot in spots):
        return None
    return Worked(op=op, spots=tuple(spots), value=value)


def _mean(
    slot: re.Match[str], period: Period | None, letter: Callable[[str, Period | None], str | None]
) -> str | None:
    if slot["years"]:
        when = [Period(year=int(year)) for year in slot["years"].split(",")]
    elif period is not None and period.quarter is None:
        when = [period, Period(year=period.year - 1)]
    else:
        return None
    both = [letter(slot["mean"], one) for one in when]
    return None if None in both else f"(({both[0]}+{both[1]})/2)"


def _year(text: str | None) -> Period | None:
    return Period(year=int(text)) if text else None


def figures_of(item: str, period: Period | None, *, question: Asked, sheets: Sequence[Sheet]) -> list[Spot]:
    """Return the cell (or the cells that add up to it) of an item, or [] where none is clearly it."""
    known = item if item in ITEMS else item_of(item)
    if known is None:
        wanted = frozenset(words.content(item))
        rows = best_rows(question, sheets, wanted=wanted)
        exact = [match for match in rows if words.content(match.row.name) == wanted]
        return _agreed([(0, match) for match in exact], period, question)
    ranked = [
        (place, Match(score=sheet.source.score, sheet=sheet, row=row))
        for sheet in sheets
        for row in sheet.table.rows
        if (place := rank(known, row.name)) is not None
    ]
    found = _agreed(ranked, period, question)
    return found or _in_parts(known, period, question=question, sheets=sheets)


def _agreed(rows: Sequence[tuple[int, Match]], period: Period | None, question: Asked) -> list[Spot]:
    """Return the one figure that the best fitting rows agree on, statements before other tables."""
    spots = [
        (place, spot)
        for place, match in rows
        if (spot := in_period(match, period, question=question)) is not None and spot.cell.figure is not None
    ]
    for of_statement in (True, False):
        mine = [
            (place, spot)
            for place, spot in spots
            if bool(_STATEMENT.search(spot.sheet.table.about)) is of_statement
            and not spot.cell.text.endswith("%")
        ]
        if mine:
            best = min(place for place, _ in mine)
            leading = [spot for place, spot in mine if place == best]
            amounts = {abs(spot.cell.figure.amount) for spot in leading if spot.cell.figure}
            return leading[:1] if len(amounts) == 1 else []
    return []


def _in_parts(item: str, period: Period | None, *, question: Asked, sheets: Sequence[Sheet]) -> list[Spot]:
    patterns = _PARTS.get(item, ())
    for sheet in sheets:
        rows = [
            row
            for row in sheet.table.rows
            if rank(item, row.section) is not None
            and any(re.fullmatch(pattern, normal(row.name)) for pattern in patterns)
        ]
        spots = [in_period(Match(score=0.0, sheet=sheet, row=row), period, question=question) for row in rows]
        if len(rows) > 1 and all(spot is not None and spot.cell.figure is not None for spot in spots):
            return [spot for spot in spots if spot is not None]
    return []
