"""A chart read from its words and pixels: title, axes, what its colours stand for, printed values.

Nothing is estimated: what is read stands printed in the picture, and a part that leaves a doubt is left out.
The chart becomes one figure whose text says a part a line, every word of it with its box, so that it is
found, screened and cited like anything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from ingest.chart_axes import Again, Axis, axes_of, titled
from ingest.chart_bars import Bar, bars_of
from ingest.chart_keys import Key, coloured, legend_of
from ingest.chart_marks import (
    Colour,
    Mark,
    Pixels,
    away,
    cut,
    distance,
    ground_of,
    joined,
    marks_of,
    plain_of,
    singles_of,
)
from ingest.records import Box, Element, Span
from ingest.words import Rect, Word, stands_in

#: Below this OCR guesses.
_SURE = 0.75
#: A title stands in this share of the picture from its top.
_HEAD = 0.3
_JOIN = " · "
#: A picture with fewer or more words is no chart; nor is one where less than this share is drawn.
_LEAST_WORDS, _MOST_WORDS, _DRAWN = 4, 320, 0.002
#: Grid lines are pale: what differs from the page by this is drawn.
_FAINT = 20
#: Pixels of a page's longest side: more say nothing new of shapes and colours, and take their time.
_LONGEST = 2000
_DATE_COMMA = re.compile(r",(?=\d{4}$)")


#: Reads one line cut from a picture: its text, and how sure, in [0, 1].
Piece = Callable[[Pixels], tuple[str, float]]


class Place(NamedTuple):
    """Where a region lies on its page, and the page's size, in pixels."""

    x0: int
    y0: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is certain of a chart."""

    #: The lines of its title, from top to bottom.
    title: tuple[Mark, ...]
    axes: tuple[Axis, ...]
    legend: tuple[Key, ...]
    #: Labels written in the colour of what they name.
    coloured: tuple[Key, ...]
    bars: tuple[Bar, ...]


def charted(
    png: bytes, words: Sequence[Word], region: Rect, *, width: float, height: float, again: Piece
) -> Element | None:
    """Read a region of a page as a chart; words and sizes in points of the page, None where it is none."""
    inside = [word for word in words if stands_in(word, region)]
    if not _LEAST_WORDS <= len(inside) <= _MOST_WORDS:
        return None
    with Image.open(BytesIO(png)) as opened:
        page = opened.convert("RGB")
    page.thumbnail((_LONGEST, _LONGEST))
    across, down = page.width / width, page.height / height
    left, top = int(region.x0 * across), int(region.y0 * down)
    crop = page.crop((left, top, max(left + 1, int(region.x1 * across)), max(top + 1, int(region.y1 * down))))
    pixels = np.asarray(crop)
    moved = [
        w._replace(
            x0=w.x0 * across - left,
            y0=w.y0 * down - top,
            x1=w.x1 * across - left,
            y1=w.y1 * down - top,
            size=w.size * down,
        )
        for w in inside
    ]
    if not _is_drawn(pixels, moved):
        return None

    def read(x0: float, y0: float, x1: float, y1: float) -> tuple[str, float]:
        return again(cut(pixels, x0, y0, x1, y1))

    chart = read_chart(moved, pixels, again=read)
    if chart is None:
        return None
    return chart_element(chart, Place(x0=left, y0=top, width=page.width, height=page.height))


def _is_drawn(pixels: Pixels, words: Sequence[Word]) -> bool:
    """Say whether something is drawn beside the words."""
    drawn = away(pixels, ground_of(pixels)) > _FAINT
    for word in words:
        cut(drawn, word.x0 - 2, word.y0 - 2, word.x1 + 2, word.y1 + 2)[...] = False
    return float(drawn.mean()) > _DRAWN


def read_chart(words: Sequence[Word], pixels: Pixels, *, again: Again | None = None) -> Chart | None:
    """Read a picture as a chart (words in its pixels); None where nothing proves that it is one."""
    marks = [mark for mark in marks_of(words, pixels) if mark.sure >= _SURE]
    axes = axes_of(marks, pixels, again, singles=singles_of(words, pixels))
    ticks = {id(tick) for axis in axes for tick in axis.ticks}
    others = [mark for mark in marks if id(mark) not in ticks]
    legend = legend_of(others, pixels)
    bars = bars_of(others, legend, pixels)
    if not axes and not bars:
        return None
    title = _title(others, legend, pixels)
    if title and not _heads(title, marks, axes, bars):
        title = []
    used = {id(key.label) for key in legend} | {id(mark) for mark in title}
    used |= {id(mark) for bar in bars for mark in (*bar.label, *(part.value for part in bar.parts))}
    return Chart(
        title=tuple(title),
        axes=tuple(titled(axes, others)),
        legend=tuple(legend),
        coloured=tuple(coloured([mark for mark in others if id(mark) not in used], pixels)),
        bars=tuple(bars),
    )


def chart_element(chart: Chart, place: Place) -> Element:
    """Lay a chart out as a figure of its page."""
    text = ""
    spans: list[Span] = []

    def say(piece: str, *marks: Mark) -> None:
        nonlocal text
        if marks:
            box = Box.around([_box(mark, place) for mark in marks])
            spans.append(Span(start=len(text), end=len(text) + len(piece), box=box))
        text += piece

    if chart.title:
        say("Chart: ")
        say(" ".join(mark.text for mark in chart.title), *chart.title)
    else:
        say("Chart.")
    for axis in chart.axes:
        say(f"\n{axis.way.capitalize()} axis, {axis.side}, {axis.kind}: ")
        _listed(say, ((_shown(tick, place), [tick]) for tick in axis.ticks))
        if axis.title is not None:
            say(f"\n{axis.way.capitalize()} axis title: ")
            say(axis.title.text, axis.title)
    for name, keys in (("Legend", chart.legend), ("Written in colour", chart.coloured)):
        if keys:
            say(f"\n{name}: ")
            _listed(say, ((f"{key.label.text} = {_hex(key.colour)}", [key.label]) for key in keys))
    for bar in chart.bars:
        say("\nBar: ")
        say(bar.name, *bar.label)
        for part in bar.parts:
            say(_JOIN)
            series = f"{part.key.label.text} = " if part.key else ""
            say(f"{series}{part.value.text}", part.value)
    return Element(kind="figure", text=text, spans=tuple(spans))


class _Say(Protocol):
    def __call__(self, piece: str, *marks: Mark) -> None: ...


def _listed(say: _Say, pieces: Iterable[tuple[str, Sequence[Mark]]]) -> None:
    for place, (piece, marks) in enumerate(pieces):
        if place:
            say(_JOIN)
        say(piece, *marks)


def _shown(mark: Mark, place: Place) -> str:
    """Return a tick's text; a slanted one that the page's edge cuts off begins with an ellipsis."""
    below = place.y0 + mark.y1 > place.height - 0.3 * mark.size
    cut_off = mark.slanted and (below or place.x0 + mark.x0 < 2)
    text = _DATE_COMMA.sub(", ", mark.text)
    return f"…{text}" if cut_off else text


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _box(mark: Mark, place: Place) -> Box:
    def share(at: float, whole: int) -> float:
        return min(1.0, max(0.0, at / whole))

    return Box(
        x0=share(place.x0 + mark.x0, place.width),
        y0=share(place.y0 + mark.y0, place.height),
        x1=share(place.x0 + mark.x1, place.width),
        y1=share(place.y0 + mark.y1, place.height),
    )


def _title(marks: Sequence[Mark], legend: Sequence[Key], pixels: Pixels) -> list[Mark]:
    """Return the lines of the title: the topmost line that stands alone, and those that go on in its hand."""
    rows = _lines(plain_of(marks, ground_of(pixels)))
    if not rows or len(rows[0]) != 1 or any(key.label in rows[0] for key in legend):
        return []
    first = rows[0][0]
    if first.y > _HEAD * pixels.shape[0] or sum(map(str.isalpha, first.text)) < 3:
        return []
    title = [first]
    for above, row in pairwise(rows):
        if len(row) != 1 or not _same_hand(above[0], row[0]):
            break
        title.append(row[0])
    return title


def _heads(title: Sequence[Mark], marks: Sequence[Mark], axes: Sequence[Axis], bars: Sequence[Bar]) -> bool:
    """Say whether a title is the whole chart's: above all of it, and no smaller than what it heads.

    Above several charts in one picture, or none that was read, it must be larger than the rest.
    """
    upright = [axis for axis in axes if axis.way == "vertical"]
    tops = [axis.begin - 0.5 * axis.ticks[0].size for axis in upright]
    tops += [part.top for bar in bars for part in bar.parts]
    usual = float(np.median([mark.size for mark in marks]))
    stacked = any(a.end < b.begin for a in upright for b in upright)
    least = 1.15 if stacked or not tops else 0.9
    return title[0].size >= least * usual and all(title[-1].y < top for top in tops)


def _same_hand(above: Mark, mark: Mark) -> bool:
    """Say whether a line goes on with the one above: as large, as dark, and close below."""
    return (
        0.7 < mark.size / above.size < 1.4
        and distance(above.ink, mark.ink) < 40
        and mark.y - above.y < 2.2 * above.size / 0.8 * 0.8
        and abs(mark.x0 - above.x0) < 2.5 * above.size
    )


def _lines(marks: Sequence[Mark]) -> list[list[Mark]]:
    """Group marks by line, from the top; what stands close together in a line is one mark."""
    rows: list[list[Mark]] = []
    for mark in sorted(marks, key=lambda m: m.y):
        if rows and abs(rows[-1][0].y - mark.y) < 0.4 * max(mark.size, rows[-1][0].size):
            rows[-1].append(mark)
        else:
            rows.append([mark])
    return [_closed(sorted(row, key=lambda m: m.x0)) for row in rows]


def _closed(row: list[Mark]) -> list[Mark]:
    closed = [row[0]]
    for mark in row[1:]:
        if mark.x0 - closed[-1].x1 < 1.3 * mark.size:
            closed[-1] = joined(closed[-1], mark)
        else:
            closed.append(mark)
    return closed
