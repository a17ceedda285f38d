"""Questions about one axis of a chart: its ticks, their ends, steps and number, and what it stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

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


def extreme(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell the first or last tick of an axis."""
    match, one = only(_EXTREME, part), one_chart(part, charts)
    axis = one[1].axis(way_of(match["way"])) if match and one else None
    if match is None or one is None or axis is None:
        return None
    end = match["end"].casefold()
    upright = end in ("highest", "topmost", "top", "lowest", "bottommost", "bottom")
    if upright != (axis.way == "vertical") and end not in ("first", "last"):
        return None
    first = end in ("highest", "topmost", "top", "leftmost", "first")
    tick = _as_printed(axis.ticks[0] if first else axis.ticks[-1], axis)
    if not tick:
        return None
    return Said(
        text=f"the {end} labelled tick on the {axis.way} axis of {which(one[0], part)} is {tick}",
        places=(one[0],),
        lines=(axis.line,),
    )


def _as_printed(tick: str, axis: Axis) -> str:
    """Return a tick as it is printed, where that is certain: not cut off, and among countries a country."""
    if tick.startswith("…") or tick.endswith("..."):
        return ""
    if axis.kind != "labels" or sum(known_name(label) != "" for label in axis.ticks) < 0.7 * len(axis.ticks):
        return tick
    return tick if known_name(tick) == tick.casefold() else ""


def count(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Count the ticks of an axis."""
    match, one = only(_COUNT, part), one_chart(part, charts)
    axis = one[1].axis(way_of(match["way"])) if match and one else None
    if match is None or one is None or axis is None:
        return None
    what = match["what"].casefold()
    if what == "countries" and not all_countries(axis.ticks):
        return None
    if what == "years" and not all(re.fullmatch(r"(?:1[5-9]|20)\d\d", tick) for tick in axis.ticks):
        return None
    return Said(
        text=f"the {axis.way} axis of {which(one[0], part)} has {len(axis.ticks)} labelled {what}",
        places=(one[0],),
        lines=(axis.line,),
    )


def step(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell by how much consecutive ticks differ, where all differ alike."""
    match, one = only(_STEP, part), one_chart(part, charts)
    if match is None or one is None:
        return None
    axis = _colour_bar(one[1]) if match["bar"] else one[1].axis(way_of(match["way"]))
    ticks = axis.numbers() if axis else ()
    steps = {abs(b.value - a.value) for a, b in pairwise(ticks)}
    unit = _unit(ticks)
    if axis is None or len(steps) != 1 or unit is None:
        return None
    where = "colour bar" if match["bar"] else f"{axis.way} axis"
    return Said(
        text=f"consecutive ticks on the {where} of {which(one[0], part)} differ by {steps.pop():f}{unit}",
        places=(one[0],),
        lines=(axis.line,),
    )


def span(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell by how much the largest and the smallest tick differ."""
    match, one = only(_SPAN, part), one_chart(part, charts)
    axis = one[1].axis(way_of(match["way"])) if match and one else None
    ticks = axis.numbers() if axis else ()
    unit = _unit(ticks)
    if one is None or axis is None or not ticks or unit is None:
        return None
    values = [tick.value for tick in ticks]
    apart = max(values) - min(values)
    return Said(
        text=f"the largest and the smallest tick on the {axis.way} axis of {which(one[0], part)} differ by "
        f"{apart:f}{unit}",
        places=(one[0],),
        lines=(axis.line,),
    )


def bar_end(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell the largest or smallest tick of a colour bar."""
    match, one = only(_BAR_END, part), one_chart(part, charts)
    axis = _colour_bar(one[1]) if match and one else None
    if match is None or one is None or axis is None or not axis.numbers():
        return None
    end = match["end"].casefold()
    best = (max if end in ("maximum", "highest") else min)(axis.numbers(), key=lambda tick: tick.value)
    return Said(
        text=f"the {end} tick on the colour bar of {which(one[0], part)} is {best.text}",
        places=(one[0],),
        lines=(axis.line,),
    )


def axis_label(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell what is written along an axis."""
    match, one = only(_AXIS_LABEL, part), one_chart(part, charts)
    axis = one[1].axis(way_of(match["way"])) if match and one else None
    if one is None or axis is None or not axis.title:
        return None
    return Said(
        text=f"the label of the {axis.way} axis of {which(one[0], part)} is “{axis.title}”",
        places=(one[0],),
        lines=(axis.title_line,),
    )


def chosen(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Choose what an axis stands for: its labels must prove the kind, and one option alone name it."""
    match, one = _STANDS_FOR.fullmatch(part.text), one_chart(part, charts)
    axis = one[1].axis(way_of(match["way"])) if match and one else None
    if match is None or one is None or axis is None or not part.options:
        return None
    titled = [(letter, text) for letter, text in part.options if axis.title and _says(text, axis.title)]
    if len(titled) == 1:
        letter, text = titled[0]
        return Said(
            text=f"the {axis.way} axis of {which(one[0], part)} represents {letter}, “{text.rstrip('.')}”",
            places=(one[0],),
            lines=(axis.title_line,),
        )
    if sum(known_name(label) != "" for label in axis.ticks) >= 0.9 * len(axis.ticks):
        kind = r"\bcountr(?:y|ies)\b"
    elif axis.kind == "dates" or all(re.fullmatch(r"(?:1[5-9]|20)\d\d", tick) for tick in axis.ticks):
        kind = r"\b(?:years?|time|dates?)\b"
    else:
        return None
    named = [(letter, text) for letter, text in part.options if re.search(kind, text, re.I)]
    if len(named) != 1 or not words.numbers(named[0][1]) <= words.numbers(one[1].text):
        return None
    letter, text = named[0]
    return Said(
        text=f"the {axis.way} axis of {which(one[0], part)} represents {letter}, “{text.rstrip('.')}”",
        places=(one[0],),
        lines=(axis.line,),
    )


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
