"""Questions about one axis of a chart: its ticks, their ends, steps and number, and what it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from agent import words
from agent.chart_parts import Part
from agent.chart_said import (
    LABELLED,
    WAY,
    Said,
    all_countries,
    one_chart,
    only,
    way_of,
    which,
)
from agent.charts import Axis, Chart, Tick
from agent.countries import known_name

_EXTREME = re.compile(
    r"what is the (?:spatially )?"
    r"(?P<end>highest|topmost|top|lowest|bottommost|bottom|leftmost|rightmost|first|last) "
    rf"(?:{LABELLED} )?(?:tick|label|number)(?: labels?| values?)? on {WAY}",
    re.I,
)
_COUNT = re.compile(
    rf"how many (?:distinct )?(?:{LABELLED} )?(?P<what>ticks|labels|countries|years) are (?:there )?"
    rf"on {WAY}",
    re.I,
)
_STEP = re.compile(
    rf"what is (?:the )?difference between consecutive (?:numerical )?tick values on {WAY}"
    r"(?P<bar> (?:in|of) the colou?r ?bar)?",
    re.I,
)
_SPAN = re.compile(
    r"what is the difference between the maximum and (?:the )?minimum values? of the tick (?:labels|values) "
    rf"on {WAY}",
    re.I,
)
_BAR_END = re.compile(
    r"what is the (?P<end>maximum|minimum|highest|lowest) (?:value of the tick labels?|tick value|tick label|"
    r"label+ed tick) (?:on|of|in) the (?:colou?r ?bar|continuous legend)",
    re.I,
)
_AXIS_LABEL = re.compile(rf"what is the (?:label|title|name) of {WAY}", re.I)
_STANDS_FOR = re.compile(rf"what does {WAY} (?:in|of) (?:the )?[\w ]+ (?:represent|show)", re.I)


class _Asked(NamedTuple):
    """The one axis that a part asks about, and how it asks."""

    said: re.Match[str]
    place: int
    chart: Chart
    axis: Axis

    def told(self, text: str, line: str = "") -> Said:
        """Answer from this axis, or from a `line` beside its ticks."""
        return Said(text=text, places=(self.place,), lines=(line or self.axis.line,))


def _asked(match: re.Match[str] | None, part: Part, charts: Mapping[int, Chart]) -> _Asked | None:
    """Return what a matched part asks about: an axis, or the colour bar; None where that is open."""
    one = one_chart(part, charts)
    if match is None or one is None:
        return None
    said = match.groupdict()
    of_colours = "way" not in said or said.get("bar")
    axis = _colour_bar(one[1]) if of_colours else one[1].axis(way_of(said["way"]))
    return None if axis is None else _Asked(match, *one, axis)


def extreme(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell the first or last tick of an axis."""
    asked = _asked(only(_EXTREME, part), part, charts)
    if asked is None:
        return None
    axis, end = asked.axis, asked.said["end"].casefold()
    upright = end in ("highest", "topmost", "top", "lowest", "bottommost", "bottom")
    if upright != (axis.way == "vertical") and end not in ("first", "last"):
        return None
    first = end in ("highest", "topmost", "top", "leftmost", "first")
    tick = _as_printed(axis.ticks[0] if first else axis.ticks[-1], axis)
    if not tick:
        return None
    where = f"the {axis.way} axis of {which(asked.place, part)}"
    return asked.told(f"the {end} labelled tick on {where} is {tick}")


def _as_printed(tick: str, axis: Axis) -> str:
    """Return a tick as it is printed, where that is certain: not cut off, and among countries a country."""
    if tick.startswith("…") or tick.endswith("..."):
        return ""
    if axis.kind != "labels" or sum(known_name(label) != "" for label in axis.ticks) < 0.7 * len(axis.ticks):
        return tick
    return tick if known_name(tick) == tick.casefold() else ""


def count(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Count the ticks of an axis."""
    asked = _asked(only(_COUNT, part), part, charts)
    if asked is None:
        return None
    axis, what = asked.axis, asked.said["what"].casefold()
    if what == "countries" and not all_countries(axis.ticks):
        return None
    if what == "years" and not _are_years(axis.ticks):
        return None
    where = f"the {axis.way} axis of {which(asked.place, part)}"
    return asked.told(f"{where} has {len(axis.ticks)} labelled {what}")


def step(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell by how much consecutive ticks differ, where all differ alike."""
    asked = _asked(only(_STEP, part), part, charts)
    ticks = asked.axis.numbers() if asked else ()
    steps = {abs(b.value - a.value) for a, b in pairwise(ticks)}
    unit = _unit(ticks)
    if asked is None or len(steps) != 1 or unit is None:
        return None
    where = "colour bar" if asked.said["bar"] else f"{asked.axis.way} axis"
    return asked.told(
        f"consecutive ticks on the {where} of {which(asked.place, part)} differ by {steps.pop():f}{unit}"
    )


def span(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell by how much the largest and the smallest tick differ."""
    asked = _asked(only(_SPAN, part), part, charts)
    ticks = asked.axis.numbers() if asked else ()
    unit = _unit(ticks)
    if asked is None or not ticks or unit is None:
        return None
    values = [tick.value for tick in ticks]
    apart = max(values) - min(values)
    where = f"the {asked.axis.way} axis of {which(asked.place, part)}"
    return asked.told(f"the largest and the smallest tick on {where} differ by {apart:f}{unit}")


def bar_end(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell the largest or smallest tick of a colour bar."""
    asked = _asked(only(_BAR_END, part), part, charts)
    if asked is None or not asked.axis.numbers():
        return None
    end = asked.said["end"].casefold()
    largest = max if end in ("maximum", "highest") else min
    best = largest(asked.axis.numbers(), key=lambda tick: tick.value)
    return asked.told(f"the {end} tick on the colour bar of {which(asked.place, part)} is {best.text}")


def axis_label(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell what is written along an axis."""
    asked = _asked(only(_AXIS_LABEL, part), part, charts)
    if asked is None or not asked.axis.title:
        return None
    where = f"the {asked.axis.way} axis of {which(asked.place, part)}"
    return asked.told(f"the label of {where} is “{asked.axis.title}”", asked.axis.title_line)


def chosen(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Choose what an axis stands for: its labels must prove the kind, and one option alone name it."""
    asked = _asked(_STANDS_FOR.fullmatch(part.text), part, charts)
    if asked is None or not part.options:
        return None
    axis, line = asked.axis, asked.axis.title_line
    named = [(letter, text) for letter, text in part.options if axis.title and _says(text, axis.title)]
    if len(named) != 1:
        kind, line = _kind(axis), axis.line
        named = [(letter, text) for letter, text in part.options if kind and re.search(kind, text, re.I)]
        if len(named) != 1 or not words.numbers(named[0][1]) <= words.numbers(asked.chart.text):
            return None
    letter, text = named[0]
    where = f"the {axis.way} axis of {which(asked.place, part)}"
    return asked.told(f"{where} represents {letter}, “{text.rstrip('.')}”", line)


def _kind(axis: Axis) -> str:
    """Return a pattern of what the ticks of an axis are; "" where they prove nothing."""
    if sum(known_name(label) != "" for label in axis.ticks) >= 0.9 * len(axis.ticks):
        return r"\bcountr(?:y|ies)\b"
    return r"\b(?:years?|time|dates?)\b" if axis.kind == "dates" or _are_years(axis.ticks) else ""


def _are_years(ticks: Sequence[str]) -> bool:
    return all(re.fullmatch(r"(?:1[5-9]|20)\d\d", tick) for tick in ticks)


def _colour_bar(chart: Chart) -> Axis | None:
    """Return the one scale that stands on the right, beside no other upright scale."""
    upright = [axis for axis in chart.axes if axis.way == "vertical"]
    return upright[0] if len(upright) == 1 and upright[0].side == "right" else None


def _unit(ticks: Sequence[Tick]) -> str | None:
    """Return the unit of ticks that all have the same one, a bare zero aside; None where they differ."""
    units = {(tick.money, tick.unit) for tick in ticks if tick.value or tick.unit or tick.money}
    if len(units) > 1 or any(money for money, _ in units):
        return None
    unit = units.pop()[1] if units else ""
    return unit if len(unit) < 2 else f" {unit}"


def _says(option: str, title: str) -> bool:
    return words.squashed(option) == words.squashed(title)
