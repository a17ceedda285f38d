"""Columns: where prose stands side by side, and in which order its parts are read.

A recursive cut (Nagy 1992), with one difference: a gutter counts only for the band of the page in which no
line crosses it. So a page may have three columns above, a title across, and two with a side bar below. Only
prose makes a gutter: the columns of a table are `tables.py`'s.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from statistics import median

from ingest.cells import Cell
from ingest.lines import rows_of
from ingest.words import is_unspaced, weight

#: Gutters inside gutters; newspapers have about three.
_DEPTH = 6
#: Gutters tried for each cut.
_MAX_GUTTERS = 6
#: How far a line may reach into a gutter, points.
_SLACK = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A band of the page with something on both sides of a gutter."""

    left: list[Cell]
    right: list[Cell]
    score: float


def regions_of(segments: Sequence[Cell], depth: int = 0) -> list[list[Cell]]:
    """Cut where prose stands side by side; each region is read from top to bottom before the next."""
    cut = _best_cut(segments) if depth < _DEPTH and len(segments) >= 8 else None
    if cut is None:
        return [list(segments)] if segments else []
    inside = {id(s) for s in (*cut.left, *cut.right)}
    top = min(s.y0 + s.y1 for s in (*cut.left, *cut.right))
    outside = [s for s in segments if id(s) not in inside]
    parts = (
        [s for s in outside if s.y0 + s.y1 < top],
        cut.left,
        cut.right,
        [s for s in outside if s.y0 + s.y1 >= top],
    )
    return [region for part in parts for region in regions_of(part, depth + 1)]


def _best_cut(segments: Sequence[Cell]) -> _Cut | None:
    prose = [s for s in segments if is_prose(s)]
    if len(prose) < 5:
        return None
    ordered = sorted(segments, key=lambda s: s.y0 + s.y1)
    best: _Cut | None = None
    for gutter in _gutters(segments, prose):
        for band in _bands(ordered, gutter):
            cut = _cut(band, gutter)
            if cut is None or (best is not None and cut.score <= best.score):
                continue
            trimmed = _trimmed(band, gutter)
            cut = cut if len(trimmed) == len(band) else _cut(trimmed, gutter)
            if cut and (best is None or cut.score > best.score):
                best = cut
    return best


def _gutters(segments: Sequence[Cell], prose: Sequence[Cell]) -> list[float]:
    """Return the likeliest gutters: where fewest lines cross, between places where more do, and where many
    lines begin.
    """
    x0, x1 = min(s.x0 for s in segments), max(s.x1 for s in segments)
    width = x1 - x0
    starts = sorted(s.x0 - x0 for s in prose if 0.12 * width < s.x0 - x0 < 0.88 * width)
    near = {start: bisect_right(starts, start + 3) - bisect_left(starts, start) for start in starts}
    chosen = _valleys(segments, x0, width)
    for start in sorted(near, key=lambda s: (-near[s], s)):
        if near[start] >= 3 and all(abs(x0 + start - 3 - other) > 6 for other in chosen):
            chosen.append(x0 + start - 3)
        if len(chosen) >= _MAX_GUTTERS:
            break
    return chosen[:_MAX_GUTTERS]


def _valleys(segments: Sequence[Cell], x0: float, width: float) -> list[float]:
    """Return the middles of the stretches that fewer lines cover than on both sides, the deepest first."""
    step = max(2.0, width / 300)
    edges = [0] * (int(width / step) + 2)
    for s in segments:
        if s.x1 > x0 and s.x0 < x0 + width:
            edges[max(0, round((s.x0 - x0) / step))] += 1
            edges[min(len(edges) - 1, round((s.x1 - x0) / step))] -= 1
    covers = list(accumulate(edges))[:-1]
    highest_left = list(accumulate(covers, max))
    highest_right = list(accumulate(covers[::-1], max))[::-1]
    found: list[tuple[float, float]] = []
    begin = 0
    for place in range(1, len(covers)):
        if covers[place] < covers[place - 1]:
            begin = place
        elif covers[place] > covers[place - 1] and begin:
            depth = min(highest_left[begin], highest_right[place]) - covers[begin]
            found.append((-depth, x0 + (begin + place - 1) / 2 * step))
            begin = 0
    return [at for depth, at in sorted(found)[:4] if depth <= -3]


def _bands(ordered: Sequence[Cell], gutter: float) -> Iterator[list[Cell]]:
    """Yield the stretches of the page, top down, in which nothing crosses the gutter."""
    band: list[Cell] = []
    for segment in ordered:
        if segment.x0 < gutter - _SLACK and segment.x1 > gutter + _SLACK:
            if len(band) >= 6:
                yield band
            band = []
        else:
            band.append(segment)
    if len(band) >= 6:
        yield band


def _trimmed(band: list[Cell], gutter: float) -> list[Cell]:
    """Leave rows of a table at a band's top or bottom out: its columns may end at the gutter by chance."""
    rows = rows_of(band)
    begin, end = 0, len(rows)
    while begin < end and _is_tabular(rows[begin].cells, gutter):
        begin += 1
    while end > begin and _is_tabular(rows[end - 1].cells, gutter):
        end -= 1
    if end - begin == len(rows):
        return band
    top = min(c.y0 + c.y1 for c in rows[begin].cells) if begin < end else 0.0
    bottom = max(c.y0 + c.y1 for c in rows[end - 1].cells) if begin < end else 0.0
    return [s for s in band if top <= s.y0 + s.y1 <= bottom]


def _is_tabular(cells: Sequence[Cell], gutter: float) -> bool:
    return (
        len(cells) >= 3
        and not any(is_prose(cell) for cell in cells)
        and cells[0].x1 < gutter + _SLACK < cells[-1].x1
    )


def _cut(band: list[Cell], gutter: float) -> _Cut | None:
    left = [s for s in band if s.x1 <= gutter + _SLACK]
    right = [s for s in band if s.x1 > gutter + _SLACK]
    if not left or not right:
        return None
    top = max(min(s.y0 for s in left), min(s.y0 for s in right))
    bottom = min(max(s.y1 for s in left), max(s.y1 for s in right))
    beside = [[s for s in side if s.y1 > top and s.y0 < bottom] for side in (left, right)]
    prosy = [[s for s in side if is_prose(s)] for side in beside]
    if _are_columns(beside, prosy):
        return _Cut(left=left, right=right, score=float(min(map(len, prosy))))
    if _stands_beside(right, beside[1], beside[0]) or _stands_beside(left, beside[0], beside[1]):
        return _Cut(left=left, right=right, score=0.4 * min(map(len, beside)))
    return None


def _are_columns(beside: Sequence[Sequence[Cell]], prosy: Sequence[Sequence[Cell]]) -> bool:
    """Say whether prose stands on both sides: it fills its columns, or keeps to lines of its own."""
    if min(map(len, prosy)) < 3 or sum(map(len, prosy)) < 6:
        return False
    if any(len(lines) < 0.4 * len(side) for lines, side in zip(prosy, beside, strict=True)):
        return False
    return all(map(_is_filled, prosy)) or _apart(beside[0], beside[1])


def _stands_beside(column: Sequence[Cell], lines: Sequence[Cell], others: Sequence[Cell]) -> bool:
    """Say whether `column` is full of prose, and what stands beside its `lines` goes its own way.

    Labels that stand on the lines of the prose belong to it (terms and what they mean): no cut.
    """
    if sum(map(is_prose, column)) < 5 or len(others) < 3 or not _fills(column):
        return False
    return sum(map(is_prose, others)) >= 3 or _apart(others, lines)


def _apart(labels: Sequence[Cell], prose: Sequence[Cell]) -> bool:
    lines = sorted(s.y0 + s.y1 for s in prose)
    on_line = 0
    for label in labels:
        middle = label.y0 + label.y1
        place = bisect_left(lines, middle)
        near = [abs(line - middle) for line in lines[max(0, place - 1) : place + 1]]
        on_line += min(near, default=99.0) < 3.0
    return on_line < 0.5 * len(labels)


def _fills(side: Sequence[Cell]) -> bool:
    """Say whether most lines run over the whole width; justified ones may be in pieces."""
    width = max(s.x1 for s in side) - min(s.x0 for s in side)
    lines = [row.cells for row in rows_of(side)]
    full = sum(cells[-1].x1 - cells[0].x0 > 0.88 * width for cells in lines)
    return full >= 0.6 * len(lines)


def is_prose(segment: Cell) -> bool:
    """Say whether a segment is (a line of) running text."""
    return _reads_as_prose(segment.text)


@lru_cache(maxsize=4096)
def _reads_as_prose(text: str) -> bool:
    if is_unspaced(text):
        return weight(text) >= 20
    letters = sum(map(str.isalpha, text))
    return (text.count(" ") >= 3 or len(text) >= 24) and letters > 0.6 * len(text.replace(" ", ""))


def _is_filled(side: Sequence[Cell]) -> bool:
    """Lines of prose fill their column; labels of a table end anywhere."""
    x0, x1 = min(s.x0 for s in side), max(s.x1 for s in side)
    return median(s.x1 - s.x0 for s in side) >= 0.55 * (x1 - x0)
