"""Questions about what is written in charts: titles, legends, meanings of colours, what two charts share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher

from agent.chart_parts import Part
from agent.chart_said import (
    LABELLED,
    ORDINALS,
    WAY,
    Said,
    one_chart,
    only,
    way_of,
    which,
)
from agent.charts import Axis, Chart, number_of
from agent.colours import labels_in, named_in
from agent.countries import COUNTRIES, known_name

_COMMON = re.compile(
    rf"how many (?:of the same|identical|common) (?:{LABELLED} )?"
    r"(?P<what>tick values|labels|countries) are there "
    rf"(?:both )?(?:on {WAY} )?(?:in|of) (?P<legend>the legends? of )?",
    re.I,
)
_LEGENDS = re.compile(r"how many (?:of the same|identical|common) labels are there in the legends of ", re.I)
_TITLE = re.compile(r"what is the title of ", re.I)
_COLOUR = re.compile(
    r"what (?:is the \w+ represented by|does|do|is)\b.*"
    r"\b(?:represent(?:ed)?|indicate|stand for|mean|label)\b",
    re.I,
)
_LEGEND_NAMES = re.compile(
    r"what are the (?:names of the )?labels in the legend|list the labels (?:in|of) the legend", re.I
)
_LEGEND_COUNT = re.compile(r"how many (?:discrete |distinct )?labels are there in the legend", re.I)
#: Two labels that are this alike and not the same leave it open whether they are.
_ALIKE = 0.84
#: Labels, and the lines that have them; none where it is open which are meant.
Labels = tuple[list[str], list[str]]


def title(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell a chart's title."""
    match = _TITLE.match(part.text)
    one = one_chart(part, charts)
    if match is None or one is None or not one[1].title:
        return None
    if not re.fullmatch(r"the (?:\w+ )?(?:chart|graph|plot|figure)", part.text[match.end() :], re.I):
        return None
    return Said(
        text=f"the title of {which(one[0], part)} is “{one[1].title}”",
        places=(one[0],),
        lines=(one[1].lines[0],),
    )


def colour(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell what a colour stands for."""
    one, named_colour = one_chart(part, charts), named_in(part.text)
    asks = _COLOUR.match(part.text) or re.match(
        r"what is the [\w ]+ label in the legend|which [\w ]+ is (?:shown|drawn) in", part.text, re.I
    )
    if one is None or named_colour is None or not asks or part.options:
        return None
    if re.search(
        r"\b(?:dashed|dotted|solid|value|area|circle|square|triangle|marker|axis)\b", part.text, re.I
    ):
        return None
    keys, lines = one[1].keys()
    label = labels_in(named_colour, keys)
    if label is None:
        return None
    named = " ".join(filter(None, named_colour))
    return Said(
        text=f"in {which(one[0], part)}, {named} stands for “{label}”", places=(one[0],), lines=tuple(lines)
    )


def legend(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Name or count the labels of a legend."""
    one = one_chart(part, charts)
    names, number = only(_LEGEND_NAMES, part), only(_LEGEND_COUNT, part)
    if one is None or not one[1].legend or not (names or number):
        return None
    labels, lines = _keys(one[1])
    where = f"the legend of {which(one[0], part)}"
    said = f"{where} names {', '.join(labels)}" if names else f"{where} has {len(labels)} labels"
    return Said(text=said, places=(one[0],), lines=tuple(lines)) if len(set(labels)) == len(labels) else None


def common(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Count what two charts have in common."""
    match, legends = _COMMON.match(part.text), _LEGENDS.match(part.text)
    places = part.places
    if (match is None and legends is None) or len(places) < 2 or not all(p in charts for p in places):
        return None
    what = "labels" if legends or match is None else match["what"].casefold()
    if legends is not None:
        found, where = [_keys(charts[place]) for place in places], " in the legends"
    elif match is not None and match["way"]:
        way = way_of(match["way"])
        found, where = [_ticks(charts[place].axis(way), what) for place in places], f" on the {way} axes"
    else:
        found, where = [_labels(charts[place]) for place in places], ""
    if what == "tick values" and not _in_one_unit([labels for labels, _ in found]):
        return None
    number = _shared([labels for labels, _ in found], countries=what == "countries")
    if number is None:
        return None
    those = " and ".join(f"the {ORDINALS[place]}" for place in places)
    return Said(
        text=f"{those} chart have {number} {what} in common{where}",
        places=places,
        lines=tuple(line for _, lines in found for line in lines),
    )


def _keys(chart: Chart) -> Labels:
    """Return the labels of the legend; without one those written in the colour of what they name."""
    name, keys = ("Legend: ", chart.legend) if chart.legend else ("Written in colour: ", chart.coloured)
    return [label for label, _ in keys], [line for line in chart.lines if line.startswith(name)]


def _labels(chart: Chart) -> Labels:
    """Return the labels of a chart that has one kind of them."""
    axes = [(list(axis.ticks), [axis.line]) for axis in chart.axes if axis.kind == "labels"]
    bars = ([bar.label for bar in chart.bars], [bar.line for bar in chart.bars])
    kinds = [found for found in (bars, _keys(chart), *axes) if found[0]]
    return kinds[0] if len(kinds) == 1 else ([], [])


def _ticks(axis: Axis | None, what: str) -> Labels:
    if axis is None or (what != "tick values" and axis.kind != "labels"):
        return [], []
    numbers = axis.numbers()
    ticks = [f"{tick.money}{tick.value.normalize():f}{tick.unit}" for tick in numbers] or [*axis.ticks]
    return ticks, [axis.line]


def _in_one_unit(sets: Sequence[Sequence[str]]) -> bool:
    """Say whether ticks of several axes are written alike: 0 % and 0 may be one value or two."""
    units = []
    for labels in sets:
        ticks = [tick for label in labels if (tick := number_of(label)) is not None]
        if ticks and len(ticks) == len(labels):
            units.append({(tick.money, tick.unit) for tick in ticks if tick.value} or {("", "")})
    return all(unit == units[0] for unit in units)


def _shared(sets: Sequence[Sequence[str]], *, countries: bool) -> int | None:
    """Count what all lists hold; None where a label of one may or may not be one of another."""
    if not all(sets):
        return None
    meant = [[_meant(label) for label in labels] for labels in sets]
    if any(len(set(labels)) < len(labels) or "" in labels for labels in meant):
        return None
    common = set(meant[0]).intersection(*meant[1:])
    for labels, others in ((meant[0], meant[1]), (meant[1], meant[0])):
        if any(_nearly(label, set(others) - common) for label in set(labels) - common):
            return None
    return len([label for label in common if not countries or label in COUNTRIES])


def _meant(label: str) -> str:
    """Return what a label says, comparable; "" where it is cut off and may be several."""
    known = known_name(label)
    if known:
        return known
    return "" if label.startswith("…") or label.endswith("...") else " ".join(label.casefold().split())


def _nearly(label: str, others: Iterable[str]) -> bool:
    if label in COUNTRIES or re.search(r"\d", label):
        return False
    return any(SequenceMatcher(None, label, one).ratio() >= _ALIKE for one in others if one not in COUNTRIES)
