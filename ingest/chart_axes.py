"""The axes of a chart, from the words along them: numbers that follow one scale, dates, or labels.

An axis is believed only where its ticks prove each other: numbers and dates must lie on one straight or
logarithmic scale, labels at even steps, and nothing else may be printed in their column or row. A tick that
OCR misread is mended only where the scale says what it must be and one letter differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations, pairwise
from math import log10
from typing import Literal

import numpy as np

from ingest.chart_marks import DIFFERENT, Mark, Pixels, away, cut, distance, ground_of

Way = Literal["vertical", "horizontal"]
#: Least ticks that prove each other.
_LEAST = 3
#: How far a tick may stand from its place on the scale, in heights of its letters.
_OFF = 0.55
#: The same of labels, in steps from one to the next: slanted ones end less exactly where they should.
_OFF_SLANTED, _OFF_UPRIGHT = 0.22, 0.08
_NUMBER = re.compile(
    r"(?P<sign>[-−–+]?)\s?(?P<money>[$€£]?)(?P<digits>\d{1,3}(?:,\d{3})+|\d+)(?P<rest>\.\d+)?\s?(?P<unit>%|[kKMGBT]\b)?"
    r"(?:\s(?P<scale>thousand|million|billion|trillion))?(?:\s(?P<what>[A-Za-zµμ°][\w/³²°·-]{0,9}))?"
)
_SCALES = {
    "k": 3,
    "K": 3,
    "M": 6,
    "G": 9,
    "B": 9,
    "T": 12,
    "thousand": 3,
    "million": 6,
    "billion": 9,
    "trillion": 12,
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(r"([A-Za-z]{3})[a-z]*\.? ?(\d{1,2}), ?(\d{4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A row or column of ticks: from left to right, or from top to bottom."""

    way: Way
    side: Literal["left", "right", "top", "bottom"]
    kind: Literal["numbers", "dates", "labels"]
    ticks: tuple[Mark, ...]
    #: What is written along it, in one phrase; None where there is none or it may be several.
    title: Mark | None = None

    @property
    def begin(self) -> float:
        """Where its first tick stands along it."""
        return _along(self.ticks[0], self.way)

    @property
    def end(self) -> float:
        """Where its last tick stands along it."""
        return _along(self.ticks[-1], self.way)


#: Reads a piece of the picture again, closer: (x0, y0, x1, y1) → text and how sure.
Again = Callable[[float, float, float, float], tuple[str, float]]


def value_of(text: str) -> float | None:
    """Return the number that a tick says, its scale counted in; None for anything else."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    number = float(match["digits"].replace(",", "") + (match["rest"] or ""))
    scale = _SCALES.get(match["unit"] or "", 0) + _SCALES.get(match["scale"] or "", 0)
    negative = match["sign"] in ("-", "−", "–")
    return (-number if negative else number) * float(10**scale)


def day_of(text: str) -> float | None:
    """Return a date as a count of days; None for anything else."""
    match = _DATE.fullmatch(text.strip())
    if match is None or match[1].casefold() not in _MONTHS:
        return None
    try:
        return float(date(int(match[3]), _MONTHS.index(match[1].casefold()) + 1, int(match[2])).toordinal())
    except ValueError:
        return None


def axes_of(
    marks: Sequence[Mark], pixels: Pixels, again: Again | None = None, *, singles: Sequence[Mark] = ()
) -> list[Axis]:
    """Find every axis whose ticks prove each other; `singles` are the upright words each by itself."""
    ground = ground_of(pixels)
    plain = [mark for mark in marks if distance(mark.ground, ground) < DIFFERENT]
    upright = [mark for mark in plain if mark.upright]
    found = _numbered(upright, marks, "vertical", pixels, again)
    found += _alone(_numbered(upright, marks, "horizontal", pixels, again), upright)
    slanted = _slanted([mark for mark in plain if mark.slanted])
    if slanted is not None:
        found.append(slanted)
    elif not any(axis.way == "horizontal" for axis in found):
        found += _labelled(upright, found) or _labelled(singles, found)
    return [axis for axis in found if axis.way == "vertical" or not _goes_on_unread(axis, marks, pixels)]


def _goes_on_unread(axis: Axis, marks: Sequence[Mark], pixels: Pixels) -> bool:
    """Say whether something is printed in an axis's row, up to a step beyond its ends, that nobody read.

    Of slanted labels only the places right before the first and after the last are looked at: between them
    even steps have shown that none is missing.
    """
    ticks, ground = axis.ticks, ground_of(pixels)
    size = float(np.median([tick.size for tick in ticks]))
    if ticks[0].slanted:
        step = float(np.median(np.diff([tick.x1 for tick in ticks])))
        top = float(np.median([tick.y0 for tick in ticks]))
        corners = [
            cut(pixels, x - 0.6 * size, top, x, top + 0.8 * size)
            for x in (ticks[0].x1 - step, ticks[-1].x1 + step)
        ]
        return any(corner.size and (away(corner, ground) > DIFFERENT).mean() > 0.03 for corner in corners)
    step = float(np.median(np.diff([tick.x for tick in ticks])))
    y0, y1 = max(tick.y0 for tick in ticks), min(tick.y1 for tick in ticks)
    x0, x1 = max(0.0, ticks[0].x - 1.4 * step), min(pixels.shape[1] - 1.0, ticks[-1].x + 1.4 * step)
    inked = away(cut(pixels, x0, y0, x1, y1), ground) > DIFFERENT
    for mark in marks:
        if mark.y0 < y1 and y0 < mark.y1:
            begin, end = mark.x0 - x0 - 0.4 * size, mark.x1 - x0 + 0.4 * size
            inked[:, max(0, round(begin)) : max(0, round(end))] = False
    columns = np.flatnonzero(inked.any(axis=0))
    if columns.size == 0:
        return False
    for run in np.split(columns, np.flatnonzero(np.diff(columns) > 2) + 1):
        tall = inked[:, run[0] : run[-1] + 1].any(axis=1).sum()
        if tall > 0.45 * size and 0.12 * size < len(run) < 6 * size:
            return True
    return False


def _alone(rows: list[Axis], marks: Sequence[Mark]) -> list[Axis]:
    """Keep rows of ticks beside which no other number stands and to which no second line belongs."""
    ticks = [tick for row in rows for tick in row.ticks]
    kept = []
    for row in rows:
        y, size = row.ticks[0].y, row.ticks[0].size
        others = [m for m in marks if m not in ticks and value_of(m.text) is not None]
        beside = [m for m in others if abs(m.y - y) < 0.45 * size]
        second = [t for t in row.ticks if any(_stands_over(m, t) for m in marks if m not in ticks)]
        if not beside and 2 * len(second) < len(row.ticks):
            kept.append(row)
    return kept


def _stands_over(mark: Mark, tick: Mark) -> bool:
    """Say whether a word stands right above or below a tick, like the month over its year."""
    apart = abs(mark.y - tick.y) - tick.size / 0.8
    return abs(mark.x - tick.x) < 0.6 * tick.size and apart < 0.5 * tick.size


def titled(axes: Sequence[Axis], marks: Sequence[Mark]) -> list[Axis]:
    """Give axes their titles: an upright one's stands turned beside its ticks, else below the middle."""
    return [replace(axis, title=_title_of(axis, axes, marks)) for axis in axes]


def _title_of(axis: Axis, axes: Sequence[Axis], marks: Sequence[Mark]) -> Mark | None:
    size = axis.ticks[0].size
    if axis.way == "vertical":
        edge = min(tick.x0 for tick in axis.ticks)
        near = [
            m
            for m in marks
            if m.turned and 0 < edge - m.x < 6 * size and axis.begin - size < m.y < axis.end + size
        ]
    else:
        foot, middle = max(tick.y1 for tick in axis.ticks), (axis.begin + axis.end) / 2
        reach = 0.12 * (axis.end - axis.begin)
        near = [
            m
            for m in marks
            if m.upright
            and 0 < m.y - foot < 2.5 * size
            and abs(m.x - middle) < reach
            and m.x1 - m.x0 < axis.end - axis.begin
        ]
        beside = [m for m in marks if near and m not in near and abs(m.y - near[0].y) < 0.4 * size]
        if beside:
            return None  # a line of notes, and no title
    ticks = [tick for one in axes for tick in one.ticks]
    near = [m for m in near if m not in ticks and any(map(str.isalpha, m.text))]
    return near[0] if len(near) == 1 else None


def _along(mark: Mark, way: Way) -> float:
    return mark.y if way == "vertical" else mark.x


def _numbered(
    marks: Sequence[Mark], everything: Sequence[Mark], way: Way, pixels: Pixels, again: Again | None
) -> list[Axis]:
    """Find columns (rows) of numbers or dates on one scale."""
    found: list[Axis] = []
    left = list(marks)
    reads: tuple[tuple[Literal["numbers", "dates"], Callable[[str], float | None]], ...] = (
        ("dates", day_of),
        ("numbers", value_of),
    )
    for kind, read in reads:
        while True:
            known = [mark for mark in left if read(mark.text) is not None]
            best = max((_scaled(line, way, read) for line in _lines(known, way)), key=len, default=[])
            if len(best) < (2 if again and way == "vertical" else _LEAST):
                break
            left = [mark for mark in left if mark not in best]
            taken = [tick for axis in found for tick in axis.ticks]
            others = [mark for mark in everything if mark not in best and mark not in taken]
            whole = _whole(best, others, way, read, pixels, again)
            if whole is not None:
                left = [mark for mark in left if mark not in whole]
                found.append(Axis(way=way, side=_side(whole, way, pixels), kind=kind, ticks=tuple(whole)))
    return found


def _lines(marks: Sequence[Mark], way: Way) -> list[list[Mark]]:
    """Return every set of marks in one column (by their left or right edges) or one row."""
    edges: tuple[Callable[[Mark], float], ...] = (
        (lambda m: m.x1, lambda m: m.x0, lambda m: m.x) if way == "vertical" else (lambda m: m.y,)
    )
    found = []
    for edge in edges:
        for mark in marks:
            line = [m for m in marks if abs(edge(m) - edge(mark)) < 0.45 * mark.size]
            if len(line) >= 2:
                found.append(sorted(line, key=lambda m: _along(m, way)))
    return found


def _scaled(line: Sequence[Mark], way: Way, read: Callable[[str], float | None]) -> list[Mark]:
    """Return the most marks of a line that lie on one scale, straight or logarithmic."""
    values = [read(mark.text) or 0.0 for mark in line]
    places = [_along(mark, way) for mark in line]
    scales = [values]
    if read is value_of and all(value > 0 for value in values):
        scales.append([log10(value) for value in values])
    best: list[Mark] = []
    for scale in scales:
        for a, b in combinations(range(len(line)), 2):
            if scale[a] == scale[b] or abs(places[b] - places[a]) < 1.2 * line[a].size:
                continue
            slope = (places[b] - places[a]) / (scale[b] - scale[a])
            if (slope > 0) == (way == "vertical"):
                continue
            fits = [
                mark
                for mark, value, place in zip(line, scale, places, strict=True)
                if abs(places[a] + slope * (value - scale[a]) - place) < _room(mark, line, way)
            ]
            if len(fits) > len(best) and len({mark.text for mark in fits}) == len(fits):
                best = fits
    return best


def _room(mark: Mark, line: Sequence[Mark], way: Way) -> float:
    """Return how far a tick may stand off: the outer ones of a row are often moved inwards by half."""
    if way == "horizontal" and mark in (line[0], line[-1]):
        return _OFF * mark.size + 0.55 * (mark.x1 - mark.x0)
    return _OFF * mark.size


def _whole(
    ticks: list[Mark],
    others: Sequence[Mark],
    way: Way,
    read: Callable[[str], float | None],
    pixels: Pixels,
    again: Again | None,
) -> list[Mark] | None:
    """Return a scale's ticks with those that were misread or overseen; None where a doubt is left."""
    ticks = [*ticks]
    first, last = _along(ticks[0], way), _along(ticks[-1], way)
    for box in _printed_between(ticks, way, pixels):
        x0, y0, x1, y1 = box
        if any(m.x0 < x1 and x0 < m.x1 and m.y0 < y1 and y0 < m.y1 for m in ticks):
            continue
        place, inner = (y0 + y1) / 2, first < (y0 + y1) / 2 < last
        if not inner and any(_covers(m, box) and _is_apart(m, box) for m in others):
            continue
        beside = [m for m in others if x0 < m.x < x1 and y0 - 2 < m.y < y1 + 2]
        mended, doubt = _mended(place, box, beside, ticks, read, again)
        if mended is not None:
            ticks.append(mended)
        elif inner or doubt:
            return None
    ticks.sort(key=lambda m: _along(m, way))
    return ticks if len(ticks) >= _LEAST and _is_stepped(ticks, way, read) else None


def _covers(mark: Mark, box: tuple[float, float, float, float]) -> bool:
    """Say whether what is printed in a region belongs to a phrase."""
    x0, y0, x1, y1 = box
    return mark.x0 < x1 and x0 < mark.x1 and mark.y0 < (y0 + y1) / 2 < mark.y1


def _is_apart(mark: Mark, box: tuple[float, float, float, float]) -> bool:
    """Say whether a phrase that reaches into a column of ticks is none of them: it runs on beyond it."""
    return not mark.upright or mark.x1 > box[2] + mark.size or mark.x0 < box[0] - mark.size


def _is_stepped(ticks: Sequence[Mark], way: Way, read: Callable[[str], float | None]) -> bool:
    """Say whether ticks follow each other at even steps; the outer ones of a row, and dates, need not."""
    values = [read(mark.text) or 0.0 for mark in ticks]
    if read is day_of:
        return len(ticks) > _LEAST
    if way == "horizontal" and len(ticks) > 4:
        values = values[1:-1]
    scales = [values] if min(values) <= 0 else [values, [log10(value) for value in values]]
    steps = [np.diff(scale) for scale in scales]
    return any(np.abs(step - step[0]).max() <= 0.01 * abs(step[0]) for step in steps)


def _printed_between(
    ticks: Sequence[Mark], way: Way, pixels: Pixels
) -> list[tuple[float, float, float, float]]:
    """Return the regions of a column of ticks where something of a line's height is printed."""
    if way == "horizontal":
        return []
    x0, x1 = min(m.x0 for m in ticks), max(m.x1 for m in ticks)
    right = float(np.median([m.x1 for m in ticks]))
    if sum(abs(m.x1 - right) < 0.25 * m.size for m in ticks) > 0.7 * len(ticks):
        x1 = right  # their right edges stand in line: what is right of it is the plot
    ys = sorted(m.y for m in ticks)
    step = min(b - a for a, b in pairwise(ys))
    size = float(np.median([m.size for m in ticks]))
    top, bottom = max(0.0, ys[0] - 1.3 * step), min(float(pixels.shape[0]), ys[-1] + 1.3 * step)
    column = cut(pixels, x0, top, x1, bottom)
    inked = away(column, ground_of(pixels)) > DIFFERENT
    share = inked.mean(axis=1)
    is_line = share > 0.9
    rows = np.flatnonzero((share > 0) & ~is_line)
    if rows.size == 0:
        return []
    found = []
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 2) + 1):
        tall = run[-1] - run[0] + 1
        if 0.35 * size < tall < 2.2 * size:
            found.append((x0, float(top + run[0]), x1, float(top + run[-1] + 1)))
    return found


def _mended(
    place: float,
    box: tuple[float, float, float, float],
    beside: Sequence[Mark],
    ticks: Sequence[Mark],
    read: Callable[[str], float | None],
    again: Again | None,
) -> tuple[Mark | None, bool]:
    """Read what stands in a column and is none of its ticks yet.

    Comes back as a tick only where the scale proves it, else with whether it may be one all the same.
    """
    wanted = _value_at(place, ticks, read)
    if wanted is None:
        return None, False
    texts = [(mark.text, mark.sure) for mark in beside]
    if again is not None:
        pad = 0.5 * ticks[0].size
        texts.append(again(box[0] - pad, box[1] - pad / 2, box[2] + pad, box[3] + pad / 2))
    like = min(ticks, key=lambda m: abs(m.y - place))
    for text, sure in texts:
        said = read(text)
        if said is not None and abs(said - wanted) <= 1e-6 * max(1.0, abs(wanted)):
            x0, y0, x1, y1 = box
            return replace(like, text=text.strip(), x0=x0, y0=y0, x1=x1, y1=y1, sure=sure), False
    for mark in beside:
        for right in _written_like(wanted, ticks):
            if len(right) >= 3 and read(mark.text) is None and _differ_by_one(right, mark.text):
                return replace(mark, text=right), False
    # Read as a whole where that can be done: a word beside may be only a part of it.
    least = 3 if again is None else 1
    whole = texts if again is None else texts[-1:]
    return None, not whole or not all(_is_word(text, least) for text, _ in whole)


def _is_word(text: str, least: int) -> bool:
    """Say whether a text is surely no number: it has letters, and none of those taken for digits."""
    letters = sum(map(str.isalpha, text))
    if re.search(r"\d", text):
        return False
    return letters >= 4 or (letters >= least and not re.search(r"[OoIlSBZ]", text))


def _differ_by_one(right: str, text: str) -> bool:
    return len(right) == len(text) and sum(a != b for a, b in zip(right, text, strict=True)) == 1


def _value_at(place: float, ticks: Sequence[Mark], read: Callable[[str], float | None]) -> float | None:
    """Return what a tick at `place` must say: whole steps away from the others, on their straight scale."""
    pairs = sorted((m.y, read(m.text) or 0.0) for m in ticks)
    slope = (pairs[-1][1] - pairs[0][1]) / (pairs[-1][0] - pairs[0][0])
    raw = pairs[0][1] + slope * (place - pairs[0][0])
    step = min(abs(b[1] - a[1]) for a, b in pairwise(pairs))
    if len(pairs) == 2:
        near = [(pairs[0][1] + pairs[1][1]) / 2]  # two ticks prove nothing but the one between them
    else:
        near = [pairs[0][1] + step * k for k in range(-len(pairs) - 2, 2 * len(pairs) + 3)]
        near += [pairs[0][1] - step * k for k in range(-len(pairs) - 2, 2 * len(pairs) + 3)]
    best = min(near, key=lambda value: abs(value - raw))
    return best if abs(best - raw) * abs(1 / slope) < _OFF * ticks[0].size else None


def _written_like(value: float, ticks: Sequence[Mark]) -> list[str]:
    """Write a value as its neighbours are written."""
    found = set()
    for tick in ticks:
        match = _NUMBER.fullmatch(tick.text.strip())
        if match is None or match["scale"] or match["unit"] not in (None, "%"):
            continue
        decimals = len(match["rest"] or ".") - 1
        grouped = "," if "," in match["digits"] else ""
        found.add(f"{match['money']}{value:{grouped}.{decimals}f}{match['unit'] or ''}")
    return sorted(found)


def _side(ticks: Sequence[Mark], way: Way, pixels: Pixels) -> Literal["left", "right", "top", "bottom"]:
    """Say on which side of what it measures an axis stands: the plot is where more ink is."""
    if way == "vertical":
        middle = float(np.mean([m.x for m in ticks]))
        return "left" if middle < pixels.shape[1] / 2 else "right"
    return "bottom" if float(np.mean([m.y for m in ticks])) > pixels.shape[0] / 3 else "top"


def _slanted(marks: Sequence[Mark]) -> Axis | None:
    """Find the labels that hang slantwise below an axis: their ends stand in one row, at even steps."""
    if len(marks) < _LEAST:
        return None
    top = float(np.median([m.y0 for m in marks]))
    row = sorted((m for m in marks if abs(m.y0 - top) < 0.5 * m.size), key=lambda m: m.x1)
    if (
        len(row) < max(_LEAST, 0.8 * len(marks))
        or len(row) != len(marks)
        or not _is_even([m.x1 for m in row], off=_OFF_SLANTED)
    ):
        return None
    return Axis(way="horizontal", side="bottom", kind="labels", ticks=tuple(row))


def _is_even(places: Sequence[float], *, off: float) -> bool:
    """Say whether places follow each other at even steps, none left out; `off` as a share of a step."""
    steps = np.diff(places)
    usual = float(np.median(steps))
    if usual <= 0 or np.abs(steps - usual).max() > 1.4 * off * usual:
        return False
    ideal = np.polyval(np.polyfit(np.arange(len(places)), np.asarray(places), 1), np.arange(len(places)))
    return bool(np.abs(np.asarray(places) - ideal).max() < off * usual)


def _labelled(marks: Sequence[Mark], numbered: Sequence[Axis]) -> list[Axis]:
    """Find the row of labels right below the foot of a vertical axis, at even steps."""
    upright = [axis for axis in numbered if axis.way == "vertical"]
    if not upright:
        return []
    foot = max(axis.ticks[-1].y for axis in upright)
    size = upright[0].ticks[0].size
    right = min(axis.ticks[0].x1 for axis in upright)
    taken = {id(tick) for axis in upright for tick in axis.ticks}
    below = [m for m in marks if 0.3 * size < m.y - foot < 4 * size and m.x > right and id(m) not in taken]
    for mark in sorted(below, key=lambda m: m.y):
        row = sorted((m for m in below if abs(m.y - mark.y) < 0.45 * mark.size), key=lambda m: m.x)
        if len(row) >= _LEAST:
            return [
                Axis(way="horizontal", side="bottom", kind="labels", ticks=tuple(panel))
                for panel in _panels(row)
            ]
    return []


def _panels(row: Sequence[Mark]) -> list[Sequence[Mark]]:
    """Part a row of labels that repeats itself, as below charts side by side; [] where steps are uneven."""
    texts = [mark.text for mark in row]
    for size in range(_LEAST, len(row) + 1):
        if len(row) % size == 0 and texts == texts[:size] * (len(row) // size):
            panels = [row[at : at + size] for at in range(0, len(row), size)]
            even = all(
                _is_even([m.x for m in p], off=_OFF_UPRIGHT) and all(a.x1 < b.x0 for a, b in pairwise(p))
                for p in panels
            )
            return list(panels) if even and len(set(texts)) == size else []
    return []
