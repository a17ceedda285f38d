"""What the colours of a chart stand for: entries of a legend, and labels written in the colour they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ingest.chart_marks import Colour, Mark, Pixels, away, cut, ground_of, joined, plain_of

#: A sample stands nearer than this to its label, and is no wider, in heights of the label.
_NEAR, _WIDE = 1.5, 4.5
#: Half the height of the strip in which a sample must stand free.
_TALL = 0.62
#: From this distance to the page's colour on something is drawn: samples may be pale.
_DRAWN = 20
#: Ink with less difference between its channels is black, grey or white.
_COLOURED = 60
#: Characters of a label; what is longer is a sentence.
_LONGEST = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A label and the colour that stands for it."""

    label: Mark
    colour: Colour
    #: Where the sample is drawn (x0, y0, x1, y1), in pixels; the label itself where it is written in it.
    sample: tuple[float, float, float, float]


def legend_of(marks: Sequence[Mark], pixels: Pixels) -> list[Key]:
    """Return the entries of the legend as they are read: labels with samples, in rows or columns."""
    ground = ground_of(pixels)
    plain = plain_of(marks, ground)
    keys = [key for mark in plain if (key := _sampled(mark, marks, pixels, ground)) is not None]
    lined = [key for key in keys if any(_goes_with(key, other) for other in keys if other is not key)]
    if len(lined) < 2:
        return []
    heads = {id(key.label) for key in lined}
    others = [m for m in plain if id(m) not in heads]
    whole = [_with_lines_below(key, others) for key in lined]
    said = " ".join(key.label.text for key in whole)
    if any(_misses(key, mark) and mark.text not in said for key in lined for mark in others):
        return []
    return in_lines(whole)


def _misses(key: Key, mark: Mark) -> bool:
    """Say whether what stands in line with an entry may be one whose sample was not found."""
    label = key.label
    below = abs(mark.x0 - label.x0) < 0.3 * label.size and abs(mark.y - label.y) < 2.2 * label.size / 0.8
    gap = max(mark.x0 - label.x1, label.x0 - mark.x1)
    in_row = abs(mark.y - label.y) < 0.25 * label.size and gap < 5 * label.size
    return _alike(label, mark) and (below or in_row)


def _with_lines_below(key: Key, marks: Sequence[Mark]) -> Key:
    """Join the further lines of an entry's label: they begin where it begins, close below."""
    label = last = key.label
    while below := next((m for m in marks if _continues(last, m)), None):
        label, last = joined(label, below), below
    return replace(key, label=label)


def _continues(above: Mark, mark: Mark) -> bool:
    return (
        _alike(above, mark)
        and abs(above.x0 - mark.x0) < 0.4 * above.size
        and 0.5 * above.size < mark.y - above.y < 1.45 * above.size / 0.8
    )


def in_lines(keys: Sequence[Key]) -> list[Key]:
    """Order labels as they are read: line by line, from the left."""
    lines: list[list[Key]] = []
    for key in sorted(keys, key=lambda one: one.label.y):
        if lines and abs(lines[-1][0].label.y - key.label.y) < 0.5 * key.label.size:
            lines[-1].append(key)
        else:
            lines.append([key])
    return [key for line in lines for key in sorted(line, key=lambda one: one.label.x0)]


def coloured(marks: Sequence[Mark], pixels: Pixels) -> list[Key]:
    """Return the labels written in a colour, with what is written in grey in the same column."""
    plain = plain_of(marks, ground_of(pixels))
    worded = [m for m in plain if sum(map(str.isalpha, m.text)) >= 3 and len(m.text) <= _LONGEST]
    bright = [m for m in worded if max(m.ink) - min(m.ink) >= _COLOURED]
    found = [
        m
        for m in worded
        if m in bright or any(abs(m.x0 - b.x0) < 0.5 * b.size and _alike(m, b) for b in bright)
    ]
    return [Key(label=m, colour=m.ink, sample=(m.x0, m.y0, m.x1, m.y1)) for m in found]


def _alike(a: Mark, b: Mark, most: float = 1.25) -> bool:
    return max(a.size, b.size) < most * min(a.size, b.size)


def _goes_with(key: Key, other: Key) -> bool:
    """Say whether two entries belong to one legend: one row, or one column with one left edge."""
    a, b = key.label, other.label
    if not _alike(a, b, 1.7):  # boxes of short words breathe
        return False
    row = abs(a.y - b.y) < 0.4 * a.size
    column = abs(key.sample[0] - other.sample[0]) < 0.5 * a.size and abs(a.y - b.y) < 4 * a.size
    return row or column


def _sampled(mark: Mark, marks: Sequence[Mark], pixels: Pixels, ground: Colour) -> Key | None:
    """Find the sample left of a label: a small patch or line that touches nothing else."""
    if sum(map(str.isalpha, mark.text)) < 2 and not any(map(str.isdigit, mark.text)):
        return None
    size = mark.size / 0.8
    y0, y1 = mark.y - _TALL * size, mark.y + _TALL * size
    lefts = [m.x1 + 1 for m in marks if m is not mark and m.x1 < mark.x0 and abs(m.y - mark.y) < 0.6 * size]
    x0 = max([0.0, mark.x0 - (_NEAR + _WIDE) * size, *lefts])
    region = cut(pixels, x0, y0, mark.x0 + 0.4 * size, y1)
    if region.size == 0:
        return None
    inked = away(region, ground) > _DRAWN
    for row in inked:  # the frame around a legend runs on below the label
        run = row.size if row.all() else int(np.argmin(row[::-1]))
        if run > 1.2 * size:
            row[row.size - run :] = False
    runs = _runs(np.flatnonzero(inked.any(axis=0)), gap=max(2.0, 0.12 * size))
    # The last run is the label's own first letter: OCR's box may begin a little late.
    if len(runs) < 2 or runs[-1][0] - runs[-2][-1] > _NEAR * size:
        return None
    run = runs[-2]
    for before in reversed(runs[:-2]):
        if run[0] - before[-1] > max(2.0, 0.6 * size):
            break
        run = [*before, *run]  # the dashes of one line
    left, right = run[0], run[-1]
    if not 0.25 * size < right - left + 1 < _WIDE * size or (left == 0 and x0 > 0 and not lefts):
        return None
    middle = round(mark.y - max(0.0, y0))
    rows = next(
        (
            r
            for r in _runs(np.flatnonzero(inked[:, left : right + 1].any(axis=1)), gap=2.0)
            if r[0] - 2 <= middle <= r[-1] + 2
        ),
        None,
    )
    if rows is None or rows[0] == 0 or rows[-1] == inked.shape[0] - 1:
        return None
    box = (x0 + left, y0, x0 + right + 1, y1)
    if any(
        m is not mark and m.x0 < box[2] - 1 and box[0] + 1 < m.x1 and abs(m.y - mark.y) < 0.6 * size
        for m in marks
    ):
        return None
    drawn = region[int(rows[0]) : int(rows[-1]) + 1, left : right + 1]
    return Key(
        label=mark,
        colour=_colour_of(drawn, ground),
        sample=(box[0], max(0.0, y0) + int(rows[0]), box[2], max(0.0, y0) + int(rows[-1]) + 1),
    )


def _colour_of(drawn: Pixels, ground: Colour) -> Colour:
    """Return the colour of a sample: of its inside where it is filled, else of its strokes."""
    tall, wide = drawn.shape[:2]
    inside = drawn[
        tall // 4 : max(tall // 4 + 1, tall - tall // 4), wide // 4 : max(wide // 4 + 1, wide - wide // 4)
    ]
    far = away(inside, ground)
    if (far > 14).mean() < 0.9:
        inside, far = drawn, away(drawn, ground)
    colour = np.median(inside[far >= 0.75 * float(far.max())], axis=0)
    return round(float(colour[0])), round(float(colour[1])), round(float(colour[2]))


def _runs(places: np.ndarray[tuple[int], np.dtype[np.intp]], *, gap: float) -> list[list[int]]:
    """Part rising numbers where more than `gap` lies between."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place - runs[-1][-1] <= gap:
            runs[-1].append(int(place))
        else:
            runs.append([int(place)])
    return runs
