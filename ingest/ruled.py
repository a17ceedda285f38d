"""Tables drawn with ruling lines, which say where cells end: wrapped text and spanning cells come out whole.

Lines that touch make one drawing; where its uprights and levels cut a rectangle into cells with words in
them, it is a table. Where no line parts two neighbouring cells they are one (a span). Everything else (page
frames, underlines, the grid of a chart) fails for want of cells or words, and is left to `tables.py`, which
goes by alignment.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from ingest.cells import Cell, Found
from ingest.cells import Placed as PlacedCell
from ingest.grid import Line, is_figure
from ingest.signs import glued
from ingest.tables import header_count

#: Lines nearer than this are one line, points; borders are drawn twice, or a hair apart.
_NEAR = 2.5
#: More lines than this on a page are a drawing.
_MAX_LINES = 4000
#: Least share of cells with words in them; below, it is the grid of a chart.
_FILLED = 0.35
#: Least share of the grid that its lines run through, on average; diagrams of boxes have less.
_THROUGH = 0.55
#: Lines that run on farther than this past the outermost one leave a side open, points.
_OPEN = 8.0
#: A bar farther than this above or below a grid is another drawing's, points.
_BAR = 48.0
#: With more bands than this, lines part the rows, and none is missing.
_FEW_BANDS = 4


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
    @property
    def turn(self) -> int: ...


class Ruled(NamedTuple):
    """A table as drawn: its rectangle, the words in it (their places in the list given), its cells."""

    rect: tuple[float, float, float, float]
    held: frozenset[int]
    found: Found


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
    tables = (
        _table(_with_bars(rows, columns, levels, words), columns, words)
        for rows, columns in _drawings(levels, uprights)
    )
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


def _with_bars(
    rows: list[_Rule], columns: list[_Rule], levels: list[_Rule], words: Sequence[Placed]
) -> list[_Rule]:
    """Add the bar above a grid's first row, and that below its last: headers and totals have no uprights."""
    left, right = min(rule.start for rule in rows), max(rule.end for rule in rows)
    top, bottom = min(rule.at for rule in rows), max(rule.at for rule in rows)
    bars = [r for r in levels if abs(r.start - left) < _OPEN and abs(r.end - right) < _OPEN]
    above = max((bar for bar in bars if bar.at < top - _NEAR), default=None)
    below = min((bar for bar in bars if bar.at > bottom + _NEAR), default=None)

    def holds_words(start: float, end: float) -> bool:
        return any(start < w.y0 + 2 and w.y1 - 2 < end and left < w.x0 and w.x1 < right for w in words)

    added = list(rows)
    if above is not None and top - above.at < _BAR and holds_words(above.at, top):
        added.append(above)
    if below is not None and below.at - bottom < _BAR and holds_words(bottom, below.at):
        added.append(below)
    return added


def _table(levels: list[_Rule], uprights: list[_Rule], words: Sequence[Placed]) -> Ruled | None:
    ys, xs = _open_sides(levels, uprights, words)
    if len(ys) < 2 or len(xs) < 2 or not _is_drawn_through(ys, xs, levels, uprights):
        return None
    slots = _Slots(xs, ys)
    inside: dict[tuple[int, int], list[tuple[int, Placed]]] = defaultdict(list)
    areas = _areas(ys, xs, levels, uprights)
    owner = {slot: area for area in areas for slot in area.slots}
    for i, word in enumerate(words):
        for piece in slots.pieces(word, owner):
            slot = slots.of(piece)
            if slot is not None:
                inside[owner[slot].slot].append((i, piece))
    held = frozenset(i for pieces in inside.values() for i, _ in pieces)
    filled = [area for area in areas if inside[area.slot]]
    if len(filled) < 4 or len(filled) < _FILLED * len(areas):
        return None
    pieces_of = {slot: [piece for _, piece in pieces] for slot, pieces in inside.items()}
    rows = _rows_within(filled, pieces_of, len(ys) - 1, xs)
    cells = _headed(_closed_up(glued(rows)))
    if len({c.row for c in cells}) < 2 or len({c.col for c in cells}) < 2:
        return None  # one row or one column is a box around text
    sizes = sorted(place.cell.size for place in cells)
    return Ruled(
        rect=(xs[0], ys[0], xs[-1], ys[-1]),
        held=held,
        found=Found(cells, sizes[len(sizes) // 2], []),
    )


def _places(rules: list[_Rule]) -> list[float]:
    places: list[float] = []
    for rule in sorted(rules):
        if not places or rule.at - places[-1] > _NEAR:
            places.append(rule.at)
    return places


def _open_sides(
    levels: list[_Rule], uprights: list[_Rule], words: Sequence[Placed]
) -> tuple[list[float], list[float]]:
    """Return where the grid's lines lie; a table without a frame ends where its lines end."""
    ys, xs = _places(levels), _places(uprights)
    left, right = min(rule.start for rule in levels), max(rule.end for rule in levels)
    top, bottom = min(rule.start for rule in uprights), max(rule.end for rule in uprights)
    xs = _extended(xs, left, right, [(w.x0 + w.x1) / 2 for w in words if ys[0] < w.y0 and w.y1 < ys[-1]])
    ys = _extended(ys, top, bottom, [(w.y0 + w.y1) / 2 for w in words if xs[0] < w.x0 and w.x1 < xs[-1]])
    return ys, xs


def _extended(places: list[float], start: float, end: float, middles: list[float]) -> list[float]:
    """Add an end where lines run on past the outermost ones with words beside them."""
    if start < places[0] - _OPEN and any(start < middle < places[0] for middle in middles):
        places = [start, *places]
    if end > places[-1] + _OPEN and any(places[-1] < middle < end for middle in middles):
        places = [*places, end]
    return places


def _is_drawn_through(ys: list[float], xs: list[float], levels: list[_Rule], uprights: list[_Rule]) -> bool:
    """Say whether lines run through most of the grid, as in a table; in a diagram they only make boxes."""
    across = [_drawn(levels, y) / (xs[-1] - xs[0]) for y in ys]
    down = [_drawn(uprights, x) / (ys[-1] - ys[0]) for x in xs]
    # A table may lack its frame, in whole or in part.
    across, down = across[1:-1] or across, down[1:-1] or down
    return sum(across) >= _THROUGH * len(across) and sum(down) >= _THROUGH * len(down)


def _drawn(rules: list[_Rule], at: float) -> float:
    return sum(rule.end - rule.start for rule in rules if abs(rule.at - at) <= _NEAR)


class _Area(NamedTuple):
    """A cell as drawn: its first slot (row, column), and how many rows and columns it takes."""

    slot: tuple[int, int]
    rowspan: int
    colspan: int

    @property
    def slots(self) -> list[tuple[int, int]]:
        row, column = self.slot
        return [(row + r, column + c) for r in range(self.rowspan) for c in range(self.colspan)]


def _areas(ys: list[float], xs: list[float], levels: list[_Rule], uprights: list[_Rule]) -> list[_Area]:
    """Cut the grid into rectangles: slots are one cell where no line parts them."""
    upright = _Parting(uprights, xs, [(a + b) / 2 for a, b in pairwise(ys)])
    level = _Parting(levels, ys, [(a + b) / 2 for a, b in pairwise(xs)])
    rows, columns = len(ys) - 1, len(xs) - 1
    taken: set[tuple[int, int]] = set()
    areas: list[_Area] = []
    for row in range(rows):
        for column in range(columns):
            if (row, column) in taken:
                continue
            wide = tall = 1
            while (
                column + wide < columns
                and (row, column + wide) not in taken
                and not upright.parts(column + wide, row)
            ):
                wide += 1
            while (
                row + tall < rows
                and all(
                    (row + tall, c) not in taken and not level.parts(row + tall, c)
                    for c in range(column, column + wide)
                )
                and not any(upright.parts(c, row + tall) for c in range(column + 1, column + wide))
            ):
                tall += 1
            area = _Area((row, column), tall, wide)
            taken.update(area.slots)
            areas.append(area)
    return areas


class _Parting:
    """Tells where a line is drawn between two slots."""

    def __init__(self, rules: list[_Rule], places: list[float], middles: list[float]) -> None:
        self._drawn: set[tuple[int, int]] = set()
        for rule in rules:
            near = bisect_left(places, rule.at - _NEAR)
            while near < len(places) and places[near] <= rule.at + _NEAR:
                first, last = bisect_left(middles, rule.start), bisect_left(middles, rule.end)
                self._drawn.update((near, i) for i in range(first, last))
                near += 1

    def parts(self, place: int, along: int) -> bool:
        """Say whether line `place` is drawn beside slot `along`."""
        return (place, along) in self._drawn


class _Piece(NamedTuple):
    """A part of a word that a line cuts through: a file may write two cells as one word."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool
    turn: int


class _Slots:
    """Tells in which slot of the grid a word stands."""

    def __init__(self, xs: list[float], ys: list[float]) -> None:
        self._xs, self._ys = xs, ys

    def of(self, word: Placed) -> tuple[int, int] | None:
        x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
        column, row = bisect_right(self._xs, x) - 1, bisect_right(self._ys, y) - 1
        inside = 0 <= column < len(self._xs) - 1 and 0 <= row < len(self._ys) - 1
        return (row, column) if inside else None

    def pieces(self, word: Placed, owner: dict[tuple[int, int], _Area]) -> list[Placed]:
        """Cut a word where it reaches over a drawn line into the next cell, character by character."""
        slot = self.of(word)
        if slot is None or word.turn or len(word.text) < 2:
            return [word]
        first, last = bisect_right(self._xs, word.x0 + 1) - 1, bisect_left(self._xs, word.x1 - 1) - 1
        first, last = max(0, first), min(len(self._xs) - 2, last)
        if first >= last or owner[slot[0], first] is owner[slot[0], last]:
            return [word]
        step = (word.x1 - word.x0) / len(word.text)
        parts: dict[int, list[int]] = defaultdict(list)
        for i in range(len(word.text)):
            column = min(max(bisect_right(self._xs, word.x0 + (i + 0.5) * step) - 1, first), last)
            parts[owner[slot[0], column].slot[1]].append(i)
        return [
            _Piece(
                word.text[part[0] : part[-1] + 1],
                word.x0 + part[0] * step,
                word.y0,
                word.x0 + (part[-1] + 1) * step,
                word.y1,
                word.size,
                word.bold,
                word.turn,
            )
            for part in parts.values()
        ]


def _cell(words: Sequence[Placed]) -> Cell:
    """Join a cell's words line by line, in the direction in which most of them are written."""
    turn = Counter(word.turn for word in words).most_common(1)[0][0]
    ordered = [word for line in _text_lines(words, turn) for word in line]
    return Cell(
        text=" ".join(word.text for word in ordered),
        x0=min(w.x0 for w in words),
        y0=min(w.y0 for w in words),
        x1=max(w.x1 for w in words),
        y1=max(w.y1 for w in words),
        size=ordered[0].size,
        bold=all(word.bold for word in words),
    )


def _text_lines(words: Sequence[Placed], turn: int = 0) -> list[list[Placed]]:
    """Collect words into lines, each in the order in which it is read."""

    def along(word: Placed) -> float:
        return {0: word.x0, 90: word.y0, 180: -word.x1, 270: -word.y1}[turn]

    def across(word: Placed) -> tuple[float, float]:
        """Upper and lower edge of the word, as its reader sees them."""
        return {
            0: (word.y0, word.y1),
            90: (-word.x1, -word.x0),
            180: (-word.y1, -word.y0),
            270: (word.x0, word.x1),
        }[turn]

    lines: list[list[Placed]] = []
    for word in sorted(words, key=lambda w: sum(across(w))):
        if lines and sum(across(word)) / 2 < across(lines[-1][0])[1]:
            lines[-1].append(word)
        else:
            lines.append([word])
    return [sorted(line, key=along) for line in lines]


def _rows_within(
    areas: list[_Area], inside: dict[tuple[int, int], list[Placed]], bands: int, xs: list[float]
) -> list[PlacedCell]:
    """Make the cells; a band without lines between its rows of figures is cut into these rows."""
    cut: dict[int, list[list[Placed]]] = {}
    if bands <= _FEW_BANDS:
        for band in range(bands):
            alone = [area for area in areas if area.slot[0] == band and area.rowspan == area.colspan == 1]
            if lines := _unruled_rows([inside[area.slot] for area in alone]):
                cut[band] = lines
    cells: list[PlacedCell] = []
    row, first_row = 0, []
    for band in range(bands + 1):
        first_row.append(row)
        row += len(cut.get(band, [0]))
    for area in areas:
        (band, column), words = area.slot, inside[area.slot]
        if band in cut and area.rowspan == area.colspan == 1:
            for at, line in enumerate(cut[band]):
                own = [word for word in words if any(word is other for other in line)]
                if own:
                    cells.append(PlacedCell(_cell(own), first_row[band] + at, column))
            continue
        rowspan = first_row[band + area.rowspan] - first_row[band]
        for start, wide, part in _parted(words, area, xs):
            cells.append(PlacedCell(_cell(part), first_row[band], start, rowspan, wide))
    return cells


def _parted(words: list[Placed], area: _Area, xs: list[float]) -> list[tuple[int, int, list[Placed]]]:
    """Part a row without uprights into cells: (first column, how many, words) of each.

    Headers are often drawn so: their words keep to the columns all the same.
    """
    whole = [(area.slot[1], area.colspan, words)]
    if area.colspan == 1 or any(word.turn for word in words):
        return whole
    groups: list[tuple[int, int, list[Placed]]] = []
    for stretch in sorted(_stretches(words), key=lambda stretch: stretch[0].x0):
        x0, x1 = stretch[0].x0, stretch[-1].x1
        first, last = bisect_right(xs, x0 + 2) - 1, bisect_left(xs, x1 - 2) - 1
        if groups and first < groups[-1][0] + groups[-1][1]:
            start = groups[-1][0]
            end = max(start + groups[-1][1], last + 1)
            groups[-1] = (start, end - start, [*groups[-1][2], *stretch])
        else:
            groups.append((first, last - first + 1, stretch))
    return groups if len(groups) > 1 else whole


def _stretches(words: list[Placed]) -> list[list[Placed]]:
    """Group the words of each line that follow each other without a wide gap."""
    stretches: list[list[Placed]] = []
    for line in _text_lines(words):
        for i, word in enumerate(line):
            if i and word.x0 - line[i - 1].x1 <= 0.8 * word.size:
                stretches[-1].append(word)
            else:
                stretches.append([word])
    return stretches


def _unruled_rows(columns: list[list[Placed]]) -> list[list[Placed]]:
    """Return the rows that stand in a band of the grid without lines between them; [] where it is one row.

    Rows of figures have something in most columns on every line; prose that wraps has not.
    """
    words = [word for column in columns for word in column]
    if len(columns) < 2 or any(word.turn for word in words):
        return []
    lines = _text_lines(words)
    if len(lines) < 3:
        return []
    holds = [[column for column in columns if any(w is o for w in line for o in column)] for line in lines]
    full = sum(len(held) >= max(2, 0.6 * len(columns)) for held in holds)
    figures = sum(
        any(
            is_figure(" ".join(w.text for w in line if any(w is o for o in column))) for column in columns[1:]
        )
        for line in lines
    )
    return lines if full >= 0.8 * len(lines) and figures >= 0.6 * len(lines) else []


def _closed_up(cells: list[PlacedCell]) -> list[PlacedCell]:
    """Leave out rows and columns in which no cell begins."""
    rows, columns = sorted({c.row for c in cells}), sorted({c.col for c in cells})
    return [
        PlacedCell(
            c.cell,
            bisect_left(rows, c.row),
            bisect_left(columns, c.col),
            bisect_left(rows, c.row + c.rowspan) - bisect_left(rows, c.row),
            bisect_left(columns, c.col + c.colspan) - bisect_left(columns, c.col),
        )
        for c in cells
    ]


def _headed(cells: list[PlacedCell]) -> list[PlacedCell]:
    """Mark the header rows: those that look it, down to where the deepest of their cells ends."""
    width = max(c.col + c.colspan for c in cells)
    lines: list[Line[Cell]] = [[None] * width for _ in range(max(c.row for c in cells) + 1)]
    for c in cells:
        lines[c.row][c.col] = c.cell
    heads = header_count(lines)
    for c in sorted(cells, key=lambda c: c.row):
        if c.row < heads:
            heads = max(heads, c.row + c.rowspan)
    if heads >= len(lines):
        heads = 0
    return [c._replace(header=c.row < heads) for c in cells]
