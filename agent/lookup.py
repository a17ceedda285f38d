"""Which cells a question asks for: its words against labels and heads, its times against columns.

Two rows that fit equally well and differ are no answer: then code says nothing, and quoting or a model may.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from agent import words
from agent.cells import Cell, Row
from agent.periods import Period, asked, column_for, of_head
from agent.sheets import Sheet, Spot

#: Sentences that say how to answer and not what is asked.
_INSTRUCTS = re.compile(
    r"^(?:please|answer|round|give|write|return|directly|base|respond|state|if|use|your answer|the answer|"
    r"list (?:all of )?them|note that|calculate \(or)\b",
    re.IGNORECASE,
)
#: Words that say what is done with a figure, or when, and not which figure.
_ABOUT_FIGURES = """
    much many what which how change changed increase increased decrease decreased decline declined drop
    dropped difference compare compared percent percentage point points total amount value number figure
    usd dollar dollars million millions billion thousand year years fiscal fy quarter quarterly ended
    end ending month months annual average mean ratio growth grow grew rise rose fall fell improve
    improved improving profile company report reported according table period margin's vs versus
    respectively data based same most recent latest current calculate calculated compute using assuming
    does have has there q1 q2 q3 q4 balance sheet statement currently approximately units unit highest
    largest biggest greatest best maximum max top consistent consistently historically historical
    fluctuating fluctuate roughly positive negative stable steady between more each show shown give
    given tell find please state name list answer was were been being any lowest smallest least fewest
    minimum min worst perform performs performed performance
"""
NOISE = frozenset(words.stem(word) for word in _ABOUT_FIGURES.split())
#: Stopwords that may name a column or a row all the same.
_COLUMN_WORDS = """
    page pages document documents file files name list source sources answer format state more most own
"""
_SMALL = words.STOPWORDS - frozenset(_COLUMN_WORDS.split())
#: Share of a label's words that the question must say, and of the question's words that label, heads and
#: caption must hold. Looser ones claim more and claim wrongly: measured on development tables.
_LABEL_SAID = 0.75
_WANTED_HELD = 0.75
#: Share of the question's words that label, section and the cell's own head must hold themselves.
_OWN_HELD = 0.5
#: What the next best row must stay behind.
_CLEARLY = 0.12


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a question asks of tables."""

    #: The question without its instructions.
    text: str
    #: Content words and numbers that name the thing, none of a time or of arithmetic.
    wanted: frozenset[str]
    #: All its words: a label may be told by one that elsewhere is arithmetic ("Total assets").
    said: frozenset[str]
    periods: tuple[Period, ...]
    #: A quarter that the document names as its own, if any: fiscal periods are counted from its end.
    quarter: Period | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A row that fits, and how well."""

    score: float
    sheet: Sheet
    row: Row


def understood(question: str, sheets: Sequence[Sheet]) -> Asked:
    """Take a question apart: what is asked for, and for when."""
    kept = [s for s in words.sentences(question) if not _INSTRUCTS.match(s)] or [question]
    text = " ".join(kept)
    title = sheets[0].source.title if sheets else ""
    periods = asked(text)
    own = words.squashed(title)
    names = {words.stem(name) for name in words.names(text) if words.squashed(name) in own}
    names |= {words.stem(name.removesuffix("s")) for name in names}
    times = {str(period.year) for period in periods}
    said = {w for w in worded(text) if not re.search(r"\d", w)}
    numbers = {number for number in words.numbers(text) if number not in times}
    quarters = [period for period in asked(title) if period.quarter is not None]
    return Asked(
        text=text,
        wanted=frozenset((said | numbers) - NOISE - names),
        said=frozenset(said | numbers),
        periods=tuple(periods),
        quarter=quarters[0] if quarters else None,
    )


def worded(text: str) -> set[str]:
    """Return the comparable words and numbers of a label or head; "Pages" is one here, and no stopword."""
    tokens = re.findall(r"[^\W\d_]+", text.casefold())
    return {words.stem(w) for w in tokens if w not in _SMALL and len(w) > 1} | words.numbers(text)


def best_rows(
    question: Asked, sheets: Iterable[Sheet], *, wanted: frozenset[str] | None = None
) -> list[Match]:
    """Return rows whose label the question (or `wanted` in its place) says, best first."""
    told = question.said if wanted is None else wanted
    wanted = question.wanted if wanted is None else wanted
    found = []
    for sheet in sheets:
        context = worded(sheet.table.about) | worded(sheet.source.title)
        for row in sheet.table.rows:
            score = _fit(row, wanted, told, context)
            if score is not None:
                found.append(Match(score=score, sheet=sheet, row=row))
    return sorted(found, key=lambda match: -match.score)


def _fit(row: Row, wanted: frozenset[str], told: frozenset[str], context: set[str]) -> float | None:
    label, section = worded(row.name), worded(row.section)
    said = label & told
    if not label & wanted:
        return None
    label_said = len(said) / len(label)
    heads = set().union(*(worded(cell.head) for cell in row.cells)) if row.cells else set()
    held = len(wanted & (label | section | heads | context)) / len(wanted)
    if label_said < _LABEL_SAID or held < _WANTED_HELD:
        return None
    missed = len(wanted - label)
    return (
        label_said
        + len(label & wanted) / len(wanted)
        + 0.2 * len(wanted & section) / len(wanted)
        + 0.2 * len((wanted - label) & context) / max(missed, 1)
    )


def sole(matches: Sequence[Match], pick: Callable[[Match], Spot | None]) -> Spot | None:
    """Return the cell of the best row, or None where another row fits as well and says something else."""
    spots = [(match, spot) for match in matches if (spot := pick(match)) is not None]
    if not spots:
        return None
    first = spots[0]
    rivals = [spot for match, spot in spots[1:] if first[0].score - match.score < _CLEARLY]
    value = first[1].cell.figure or first[1].cell.text
    same = all((r.cell.figure or r.cell.text) == value for r in rivals)
    return first[1] if same else None


def in_period(match: Match, period: Period | None, *, question: Asked) -> Spot | None:
    """Return the cell of a row for a period; without one the newest, or the only one."""
    cells = match.row.cells
    if period is None:
        return _newest(match)
    heads = [cell.head for cell in cells]
    place = column_for(period, heads, anchor=anchor_of(question, match.sheet))
    if place is None and len(cells) == 1 and not of_head(heads[0]) and _about(match.sheet, period):
        place = 0
    if place is None:
        place = _worded_column(heads, period, question)
    return None if place is None else Spot(sheet=match.sheet, row=match.row, cell=cells[place])


def _worded_column(heads: Sequence[str], period: Period, question: Asked) -> int | None:
    """Return the one of several columns of a period that the question says in words ("2023 EBITDA")."""
    own = {
        place: worded(head) & question.wanted
        for place, head in enumerate(heads)
        if (named := of_head(head)) is not None
        and named.year == period.year
        and named.quarter == period.quarter
        and named.months in (None, 12 if period.quarter is None else 3)
    }
    best = [place for place, said in own.items() if said and len(said) == max(map(len, own.values()))]
    return best[0] if len(own) > 1 and len(best) == 1 else None


def holds(asked_for: Asked, spot: Spot) -> bool:
    """Say whether a cell is what is asked for.

    Its own words hold enough of the question, and no other column of its row holds what they lack.
    """
    own = worded(spot.row.label) | worded(spot.cell.head) | worded(spot.cell.text)
    lacking = asked_for.wanted - own
    others = set().union(*(worded(cell.head) | worded(cell.text) for cell in spot.row.cells))
    if lacking & others or len(asked_for.wanted - lacking) < _OWN_HELD * len(asked_for.wanted):
        return False
    table = spot.sheet.table
    context = worded(table.about) | worded(spot.sheet.source.title)
    return len(asked_for.wanted & (own | context)) >= _WANTED_HELD * len(asked_for.wanted)


def anchor_of(question: Asked, sheet: Sheet) -> tuple[Period, int] | None:
    """Return the document's own quarter with the month it ended in, as its newest column says."""
    if question.quarter is None:
        return None
    ends = [period.at for head in sheet.table.heads if (period := of_head(head)) and period.at is not None]
    return (question.quarter, max(ends)) if ends else None


def _newest(match: Match) -> Spot | None:
    cells = match.row.cells
    known = [(period, cell) for cell in cells if (period := of_head(cell.head)) is not None]
    if len(cells) == 1:
        return Spot(sheet=match.sheet, row=match.row, cell=cells[0])
    if len(known) < 2 or len({p.months for p, _ in known}) > 1:
        return None
    newest = max(known, key=lambda pair: (pair[0].year, pair[0].quarter or 0, pair[0].month or 0))
    return Spot(sheet=match.sheet, row=match.row, cell=newest[1])


def _about(sheet: Sheet, period: Period) -> bool:
    """Say whether a table as a whole is about one period."""
    return {p.year for p in asked(sheet.table.about)} == {period.year} and period.quarter is None


def by_head(row: Row, wanted: frozenset[str]) -> Cell | None:
    """Return the one cell whose head's words the question says, the longest head first; else None."""
    scored: list[tuple[int, Cell]] = []
    for cell in row.cells:
        own = worded(cell.head)
        if own and own <= wanted:
            scored.append((len(own), cell))
    scored.sort(key=lambda pair: -pair[0])
    if not scored or (len(scored) > 1 and scored[0][0] == scored[1][0]):
        return None
    return scored[0][1]
