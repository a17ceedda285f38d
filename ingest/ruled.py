"""Tables drawn with ruling lines, which say where cells end: wrapped text and spanning cells come out whole.

Lines that touch make one drawing; where its uprights and levels cut a rectangle into cells with words in
them, it is a table. Where no line parts two neighbouring cells they are one (a span). Everything else (page
frames, underlines, the grid of a chart) fails for want of cells or words, and is left to `tables.py`, which
goes by alignment.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from ingest.tables import Cell, Line, grid_html, header_count, write_grid

#: Lines nearer than this are one line, points; borders are drawn twice, or a hair apart.
_NEAR = 2.5
#: More lines than this on a page are a drawing.
_MAX_LINES = 4000
#: Least share of cells with words in them; below, it is the grid of a chart.
_FILLED = 0.35


class Stroke(NamedTuple):
    """A straight line, level or upright, in points as shown, origin top left (x0 <= x1, y0 <= y1)."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def is_level(self) -> bool:
        """Whether it runs from left to right."""
        return self.x1 - self.x0 >= self.y1 - self.y0


class Placed(Protocol):
    """A word that a cell may hold, in points as shown."""

    @property
    def text(self) -> str: ...
    @property
    def x0(self) -> float: ...
    @property
    def y0(self) -> float: ...
    @property
    def x1(self) -> float: ...
    @property
    def y1(self) -> float: ...
    @property
    def size(self) -> float: ...
    @property
    def bold(self) -> bool: ...


class Ruled(NamedTuple):
    """A table as drawn: its rectangle, the words that it holds (their places in the list given), its text."""

    rect: tuple[float, float, float, float]
    held: frozenset[int]
    text: str
    html: str
    cells: list[tuple[int, int, Cell]]
    size: float


class _Rule(NamedTuple):
    """A merged line: where it lies across, and from where to where it runs."""

    at: float
    start: float
    end: float


def ruled_tables(strokes: Sequence[Stroke], words: Sequence[Placed]) -> list[Ruled]:
    """Return the ruled tables of a page, top down; words outside of them are not touched."""
    if len(strokes) < 4 or len(strokes) > _MAX_LINES:
        return []
    levels, uprights = _rules(strokes, level=True), _rules(strokes, level=False)
    tables = (_table(rows, columns, words) for rows, columns in _drawings(levels, uprights))
    return sorted((table for table in tables if table), key=lambda table: (table.rect[1], table.rect[0]))


def _rules(strokes: Iterable[Stroke], *, level: bool) -> list[_Rule]:
    """Merge strokes of one direction that lie on one line and touch."""
    lines = sorted(
        _Rule((s.y0 + s.y1) / 2, s.x0, s.x1) if level else _Rule((s.x0 + s.x1) / 2, s.y0, s.y1)
        for s in strokes
        if s.is_level is level
    )
    groups: list[list[_Rule]] = []
    for line in lines:
        if groups and line.at - groups[-1][0].at <= _NEAR:
            groups[-1].append(line)
        else:
            groups.append([line])
    return [rule for group in groups for rule in _joined(group)]


def _joined(group: list[_Rule]) -> list[_Rule]:
    at = sum(line.at for line in group) / len(group)
    joined: list[_Rule] = []
    for line in sorted(group, key=lambda line: line.start):
        if joined and line.start - joined[-1].end <= _NEAR:
            joined[-1] = _Rule(at, joined[-1].start, max(joined[-1].end, line.end))
        else:
            joined.append(_Rule(at, line.start, line.end))
    return joined


def _drawings(levels: list[_Rule], uprights: list[_Rule]) -> list[tuple[list[_Rule], list[_Rule]]]:
    """Group lines that meet, directly or through others; each group with two of each kind at least."""
    parent = list(range(len(levels) + len(uprights)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, level in enumerate(levels):
        for j, upright in enumerate(uprights, start=len(levels)):
            meets_across = level.start - _NEAR <= upright.at <= level.end + _NEAR
            if meets_across and upright.start - _NEAR <= level.at <= upright.end + _NEAR:
                parent[root(i)] = root(j)
    groups: dict[int, tuple[list[_Rule], list[_Rule]]] = defaultdict(lambda: ([], []))
    for i, level in enumerate(levels):
        groups[root(i)][0].append(level)
    for j, upright in enumerate(uprights, start=len(levels)):
        groups[root(j)][1].append(upright)
    return [(rows, columns) for rows, columns in groups.values() if len(rows) >= 2 and len(columns) >= 2]


def _table(levels: list[_Rule], uprights: list[_Rule], words: Sequence[Placed]) -> Ruled | None:
    ys, xs = _places(levels), _places(uprights)
    if len(ys) < 3 or len(xs) < 3:
        return None  # one row or one column is a box around text
    owner = _spans(ys, xs, levels, uprights)
    inside: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i, word in enumerate(words):
        slot = _slot((word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2, xs, ys)
        if slot is not None:
            inside[owner[slot]].append(i)
    made = {slot: _cell([words[i] for i in held]) for slot, held in inside.items()}
    if len(made) < 4 or len(made) < _FILLED * len(set(owner.values())):
        return None
    covered = [[made.get(owner[row, column]) for column in range(len(xs) - 1)] for row in range(len(ys) - 1)]
    kept = [c for c in range(len(xs) - 1) if any((r, c) in made for r in range(len(ys) - 1))]
    covered = [line for line in ([line[c] for c in kept] for line in covered) if any(line)]
    if len(kept) < 2 or len(covered) < 2:
        return None
    text, html, cells = _written(covered)
    sizes = sorted(cell.size for cell in made.values())
    return Ruled(
        rect=(xs[0], ys[0], xs[-1], ys[-1]),
        held=frozenset(i for held in inside.values() for i in held),
        text=text,
        html=html,
        cells=cells,
        size=sizes[len(sizes) // 2],
    )


def _places(rules: list[_Rule]) -> list[float]:
    places: list[float] = []
    for rule in sorted(rules):
        if not places or rule.at - places[-1] > _NEAR:
            places.append(rule.at)
    return places


def _spans(
    ys: list[float], xs: list[float], levels: list[_Rule], uprights: list[_Rule]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Map each slot (row, column) to the first slot of the cell that it is part of."""
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    for row, (top, bottom) in enumerate(pairwise(ys)):
        for column, (left, right) in enumerate(pairwise(xs)):
            owner[row, column] = (row, column)
            if column and not _parted(uprights, left, (top + bottom) / 2):
                owner[row, column] = owner[row, column - 1]
            elif row and not _parted(levels, top, (left + right) / 2):
                owner[row, column] = owner[row - 1, column]
    return owner


def _parted(rules: list[_Rule], at: float, where: float) -> bool:
    return any(abs(rule.at - at) <= _NEAR and rule.start <= where <= rule.end for rule in rules)


def _slot(x: float, y: float, xs: list[float], ys: list[float]) -> tuple[int, int] | None:
    column = next((i for i, (left, right) in enumerate(pairwise(xs)) if left <= x < right), None)
    row = next((i for i, (top, bottom) in enumerate(pairwise(ys)) if top <= y < bottom), None)
    return None if row is None or column is None else (row, column)


def _cell(words: list[Placed]) -> Cell:
    """Join a cell's words line by line."""
    lines: list[list[Placed]] = []
    for word in sorted(words, key=lambda w: (w.y0 + w.y1) / 2):
        middle = (word.y0 + word.y1) / 2
        if lines and middle < max(w.y1 for w in lines[-1][:1]):
            lines[-1].append(word)
        else:
            lines.append([word])
    ordered = [word for line in lines for word in sorted(line, key=lambda w: w.x0)]
    return Cell(
        text=" ".join(word.text for word in ordered),
        x0=min(w.x0 for w in words),
        y0=min(w.y0 for w in words),
        x1=max(w.x1 for w in words),
        y1=max(w.y1 for w in words),
        size=ordered[0].size,
        bold=all(word.bold for word in words),
    )


def _written(covered: list[Line[Cell]]) -> tuple[str, str, list[tuple[int, int, Cell]]]:
    """Write rows out; a cell that spans rows stands in each of them, one that spans columns once."""
    lines = [_once(line) for line in covered]
    count = header_count(lines)
    heads, body = lines[:count], lines[count:]
    names = [_heading(covered[:count], column) for column in range(len(covered[0]))]
    text, cells = write_grid(heads, body, names)
    return text, grid_html(heads, body), cells


def _once(line: Line[Cell]) -> Line[Cell]:
    return [None if i and cell is line[i - 1] else cell for i, cell in enumerate(line)]


def _heading(heads: list[Line[Cell]], column: int) -> str:
    """Join what stands over a column, a cell that spans rows once."""
    over = {id(cell): cell.text for line in heads if (cell := line[column]) is not None}
    return " ".join(over.values())
