"""Bars with their values printed on them or at their ends, row by row."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ingest.chart_keys import Key
from ingest.chart_marks import Colour, Mark, Pixels, away, distance, ground_of

_VALUE = re.compile(r"[-−–+]?[$€£]?\d{1,3}(?:,?\d{3})*(?:\.\d+)?%?")
#: From this on a fill is not the page (pale ones are near white).
_FILLED = 14
#: Two fills are one colour below this; another key must be further away by this.
_SAME, _APART = 22, 14
#: Lines of one label follow each other within this, in heights of their letters.
_LEADING = 2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A bar or a part of one, with the value printed for it."""

    value: Mark
    colour: Colour
    top: float
    bottom: float
    left: float
    #: The entry of the legend with its colour; None where there is no legend.
    key: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A row of a bar chart: what it is called, and its parts from left to right."""

    label: tuple[Mark, ...]
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """The label, its lines joined."""
        return " ".join(mark.text for mark in self.label)


def bars_of(marks: Sequence[Mark], keys: Sequence[Key], pixels: Pixels) -> list[Bar]:
    """Return the bars that lie in rows, from top to bottom; [] where a label or a value is in doubt."""
    ground = ground_of(pixels)
    figures = [m for m in marks if m.upright and _VALUE.fullmatch(m.text)]
    parts = [part for mark in figures if (part := _part(mark, keys, pixels, ground)) is not None]
    rows = _rows(parts)
    if len(rows) < 2:
        return []
    valued = {id(part.value) for part in parts} | {id(key.label) for key in keys}
    left = min(part.left for part in parts)
    if max(part[0].left for part in rows) - left > 3:
        return []  # bars of one chart begin on one line
    beside = [m for m in marks if m.upright and m.x1 < left + 2 and id(m) not in valued]
    labels = _named(rows, _in_column(beside))
    bars = [Bar(label=tuple(label), parts=tuple(row)) for label, row in zip(labels, rows, strict=True)]
    names = [bar.name for bar in bars]
    worded = all(any(map(str.isalnum, name)) for name in names)
    return bars if worded and len(set(names)) == len(names) else []


def _in_column(marks: Sequence[Mark]) -> list[Mark]:
    """Keep what stands in one column, by its left or its right edge: labels do, icons beside them do not."""
    best: list[Mark] = []
    edges: tuple[Callable[[Mark], float], ...] = (lambda m: m.x1, lambda m: m.x0)
    for edge in edges:
        for mark in marks:
            column = [m for m in marks if abs(edge(m) - edge(mark)) < 0.7 * m.size]
            best = max(best, column, key=len)
    return best


def _named(rows: Sequence[Sequence[Part]], marks: Sequence[Mark]) -> list[list[Mark]]:
    """Give each row the lines beside it: those nearest to it that follow each other without a gap."""
    centres = np.array([(row[0].top + row[0].bottom) / 2 for row in rows])
    step = min(b - a for a, b in pairwise(centres))
    nearest: list[list[Mark]] = [[] for _ in rows]
    for mark in sorted(marks, key=lambda m: m.y):
        nearest[int(np.abs(centres - mark.y).argmin())].append(mark)
    labels: list[list[Mark]] = []
    for row, centre, lines in zip(rows, centres, nearest, strict=True):
        room = 0.75 * max(step, row[0].bottom - row[0].top)
        core = min(lines, key=lambda m: abs(m.y - centre), default=None)
        if core is None or abs(core.y - centre) > room:
            labels.append([])
            continue
        place = lines.index(core)
        first = last = place
        while first and lines[first].y - lines[first - 1].y < _LEADING * core.size:
            first -= 1
        while last + 1 < len(lines) and lines[last + 1].y - lines[last].y < _LEADING * core.size:
            last += 1
        labels.append(lines[first : last + 1])
    return labels


def _part(mark: Mark, keys: Sequence[Key], pixels: Pixels, ground: Colour) -> Part | None:
    """Find the bar that a value belongs to: the one that it stands on, else the one that ends left of it."""
    height, width = pixels.shape[:2]
    y, size = round(mark.y), mark.size
    if not 0 <= y < height:
        return None
    if distance(mark.ground, ground) >= _FILLED:
        colour, x = mark.ground, round(mark.x0) - 2
        if not 0 <= x < width or distance(_at(pixels, x, y), colour) >= _SAME:
            x = round(mark.x0) + 1
    else:
        x = next(
            (
                at
                for at in range(round(mark.x0) - 2, max(0, round(mark.x0 - 1.4 * size)), -1)
                if distance(_at(pixels, at, y), ground) >= _FILLED
            ),
            -1,
        )
        x -= 3  # past the soft edge
        if x < 0:
            return None
        colour = _at(pixels, x, y)
    if not 0 <= x < width:
        return None
    same = away(pixels[:, x : x + 1], colour)[:, 0] < _SAME
    top, bottom = y, y
    while top > 0 and same[top - 1]:
        top -= 1
    while bottom < height - 1 and same[bottom + 1]:
        bottom += 1
    if not 0.7 * size < bottom - top + 1 < 0.2 * height:
        return None
    row = away(pixels[top + 2 : top + 3], ground)[0] >= _FILLED
    left = x
    while left > 0 and row[left - 1]:
        left -= 1
    return Part(
        value=mark,
        colour=colour,
        top=float(top),
        bottom=float(bottom),
        left=float(left),
        key=_key(colour, keys),
    )


def _at(pixels: Pixels, x: int, y: int) -> Colour:
    red, green, blue = pixels[y, x]
    return int(red), int(green), int(blue)


def _key(colour: Colour, keys: Sequence[Key]) -> Key | None:
    """Return the one entry of the legend that has a colour; None for none or two."""
    near = sorted(keys, key=lambda key: distance(key.colour, colour))
    if not near or distance(near[0].colour, colour) >= _SAME:
        return None
    alone = len(near) == 1 or distance(near[1].colour, colour) >= distance(near[0].colour, colour) + _APART
    return near[0] if alone else None


def _rows(parts: Sequence[Part]) -> list[list[Part]]:
    """Group parts that lie in one row, from top to bottom and left to right."""
    rows: list[list[Part]] = []
    for part in sorted(parts, key=lambda p: p.top):
        row = next(
            (r for r in rows if abs(r[0].top - part.top) < 3 and abs(r[0].bottom - part.bottom) < 3), None
        )
        if row is None:
            rows.append([part])
        else:
            row.append(part)
    return [sorted(row, key=lambda p: p.value.x0) for row in rows]
