"""What code answers from a chart: ticks, titles, colours, printed values, counts and what two charts share.

A rule fires only where the whole sentence is understood and the chart leaves one answer; all parts of a
question are answered, or none. The answer is made again from the cited evidence alone before it is shown
(`proven_charts`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from itertools import pairwise

from agent import words
from agent.chart_parts import Part, parts_of
from agent.charts import Axis, Bar, Chart, Tick, Way, number_of, read_charts
from agent.colours import labels_in, named_in
from agent.countries import COUNTRIES, known_name
from agent.records import Question
from agent.state import Drafted, Source

_WAY = r"(?:the )?(?P<way>vertical|horizontal|[xy])[- ]axis"
_LABELLED = r"(?:explicitly )?label+ed"
_EXTREME = re.compile(
    r"what is the (?:spatially )?"
    r"(?P<end>highest|topmost|top|lowest|bottommost|bottom|leftmost|rightmost|first|last) "
    rf"(?:{_LABELLED} )?(?:tick|label|number)(?: labels?| values?)? on {_WAY}",
    re.I,
)
_COUNT = re.compile(
    rf"how many (?:distinct )?(?:{_LABELLED} )?(?P<what>ticks|labels|countries|years) are (?:there )?"
    rf"on {_WAY}",
    re.I,
)
_STEP = re.compile(
    rf"what is (?:the )?difference between consecutive (?:numerical )?tick values on {_WAY}"
    r"(?P<bar> (?:in|of) the colou?r ?bar)?",
    re.I,
)
_SPAN = re.compile(
    r"what is the difference between the maximum and (?:the )?minimum values? of the tick (?:labels|values) "
    rf"on {_WAY}",
    re.I,
)
_COMMON = re.compile(
    rf"how many (?:of the same|identical|common) (?:{_LABELLED} )?"
    r"(?P<what>tick values|labels|countries) are there "
    rf"(?:both )?(?:on {_WAY} )?(?:in|of) (?P<legend>the legends? of )?",
    re.I,
)
_LEGENDS = re.compile(r"how many (?:of the same|identical|common) labels are there in the legends of ", re.I)
_TITLE = re.compile(r"what is the title of ", re.I)
_COLOUR = re.compile(
    r"what (?:is the \w+ represented by|does|do|is)\b.*"
    r"\b(?:represent(?:ed)?|indicate|stand for|mean|label)\b",
    re.I,
)
_MOST = re.compile(
    r"^(?:which|what) (?P<what>[\w ]+?) (?:had|has|have|is|was|shows?) the "
    r"(?P<how>highest|largest|greatest|biggest|most|lowest|smallest|least) ",
    re.I,
)
_VALUE = re.compile(
    r"^what (?:(?:is|was) the (?:percentage|share|proportion|value|number|rate|amount) (?:of|for|in)|"
    r"(?:percentage|share|proportion) of) ",
    re.I,
)
_BETWEEN = re.compile(r"^what is the difference between the (?:percentage|share|number|value)s? of ", re.I)
_STANDS_FOR = re.compile(rf"what does {_WAY} (?:in|of) (?:the )?[\w ]+ (?:represent|show)", re.I)
_AXIS_LABEL = re.compile(rf"what is the (?:label|title|name) of {_WAY}", re.I)
_LEGEND_NAMES = re.compile(
    r"what are the (?:names of the )?labels in the legend|list the labels (?:in|of) the legend", re.I
)
_LEGEND_COUNT = re.compile(r"how many (?:discrete |distinct )?labels are there in the legend", re.I)
_BAR_END = re.compile(
    r"what is the (?P<end>maximum|minimum|highest|lowest) (?:value of the tick labels?|tick value|tick label|"
    r"label+ed tick) (?:on|of|in) the (?:colou?r ?bar|continuous legend)",
    re.I,
)
_KEYWORD = re.compile(r"what is the (?:key ?)?word that (?:occurs|appears|stands) in (?:both|all)\b", re.I)
_IN_CHART = re.compile(r",? ?(?:in|of|according to|from) the (?:\w+ )?(?:chart|graph|plot|figure)$", re.I)
_NAMES = ("", "first", "second", "third", "fourth", "fifth")
#: Two labels that are this alike and not the same leave it open whether they are.
_ALIKE = 0.84
#: Share of the question's words that a chart's words hold.
_HELD = 0.6
_NO_MEASURE = words.content(
    "percentage share proportion value number people chart highest largest greatest lowest smallest "
    "difference type kind consider see view say think according"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is answered to one part, and from which charts."""

    text: str
    places: tuple[int, ...]
    #: The lines of the charts that it stands on.
    lines: tuple[str, ...]


Rule = Callable[[Part, Mapping[int, Chart]], Said | None]


def from_charts(question: Question, sources: Sequence[Source]) -> Drafted | None:
    """Answer a question from the charts among the evidence; None where a part stays open."""
    charts = read_charts(sources, question.scope, question.text)
    said = answered(question.text, charts)
    if said is None:
        return None
    evidence = [n for place in said.places for n in charts[place].evidence]
    return {"text": said.text, "evidence": list(dict.fromkeys(evidence)), "charts": list(said.lines)}


def proven_charts(draft: Drafted, cited: Sequence[Source], question: Question) -> bool:
    """Say whether the cited evidence alone gives this very sentence again."""
    said = answered(question.text, read_charts(cited, question.scope, question.text))
    return said is not None and said.text == draft["text"]


def answered(question: str, charts: Mapping[int, Chart]) -> Said | None:
    """Return the answer to all parts of a question in one sentence; None where one stays open."""
    parts = parts_of(question)
    said = [_said(part, charts) for part in parts] if charts else []
    whole = [one for one in said if one is not None]
    if not whole or len(whole) < len(parts):
        return None
    text = "; ".join(one.text for one in whole)
    places = dict.fromkeys(place for one in whole for place in one.places)
    lines = dict.fromkeys(line for one in whole for line in one.lines)
    return Said(text=f"{text[0].upper()}{text[1:]}.", places=tuple(places), lines=tuple(lines))


def _said(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    for rule in _RULES:
        said = rule(part, charts)
        if said is not None:
            return said
    return None


def _one(part: Part, charts: Mapping[int, Chart]) -> tuple[int, Chart] | None:
    """Return the one chart that a part is about."""
    places = part.places or (tuple(charts) if len(charts) == 1 else ())
    if len(places) != 1 or places[0] not in charts:
        return None
    return places[0], charts[places[0]]


def _of(place: int, part: Part) -> str:
    return f"the {_NAMES[place]} chart" if part.places else "the chart"


def _way(name: str) -> Way:
    return "vertical" if name.casefold() in ("vertical", "y") else "horizontal"


def _only(pattern: re.Pattern[str], part: Part) -> re.Match[str] | None:
    """Match a part that asks this and nothing more than which chart it is about."""
    match = pattern.match(part.text)
    rest = _IN_CHART.sub("", part.text[match.end() :]) if match else ""
    return match if match and not rest.strip() else None


def _extreme(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    match, one = _only(_EXTREME, part), _one(part, charts)
    axis = one[1].axis(_way(match["way"])) if match and one else None
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
        text=f"the {end} labelled tick on the {axis.way} axis of {_of(one[0], part)} is {tick}",
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


def _count(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    match, one = _only(_COUNT, part), _one(part, charts)
    axis = one[1].axis(_way(match["way"])) if match and one else None
    if match is None or one is None or axis is None:
        return None
    what = match["what"].casefold()
    if what == "countries" and not _all_countries(axis.ticks):
        return None
    if what == "years" and not all(re.fullmatch(r"(?:1[5-9]|20)\d\d", tick) for tick in axis.ticks):
        return None
    return Said(
        text=f"the {axis.way} axis of {_of(one[0], part)} has {len(axis.ticks)} labelled {what}",
        places=(one[0],),
        lines=(axis.line,),
    )


def _all_countries(labels: Sequence[str]) -> bool:
    return all(known_name(label) in COUNTRIES for label in labels)


def _step(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    match, one = _only(_STEP, part), _one(part, charts)
    if match is None or one is None:
        return None
    axis = _colour_bar(one[1]) if match["bar"] else one[1].axis(_way(match["way"]))
    ticks = axis.numbers() if axis else ()
    steps = {abs(b.value - a.value) for a, b in pairwise(ticks)}
    unit = _unit(ticks)
    if axis is None or len(steps) != 1 or unit is None:
        return None
    where = "colour bar" if match["bar"] else f"{axis.way} axis"
    return Said(
        text=f"consecutive ticks on the {where} of {_of(one[0], part)} differ by {steps.pop():f}{unit}",
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


def _span(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    match, one = _only(_SPAN, part), _one(part, charts)
    axis = one[1].axis(_way(match["way"])) if match and one else None
    ticks = axis.numbers() if axis else ()
    unit = _unit(ticks)
    if one is None or axis is None or not ticks or unit is None:
        return None
    values = [tick.value for tick in ticks]
    span = max(values) - min(values)
    return Said(
        text=f"the largest and the smallest tick on the {axis.way} axis of {_of(one[0], part)} differ by "
        f"{span:f}{unit}",
        places=(one[0],),
        lines=(axis.line,),
    )


def _title(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    match = _TITLE.match(part.text)
    one = _one(part, charts)
    if match is None or one is None or not one[1].title:
        return None
    if not re.fullmatch(r"the (?:\w+ )?(?:chart|graph|plot|figure)", part.text[match.end() :], re.I):
        return None
    return Said(
        text=f"the title of {_of(one[0], part)} is “{one[1].title}”",
        places=(one[0],),
        lines=(one[1].lines[0],),
    )


def _colour(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    one, colour = _one(part, charts), named_in(part.text)
    asks = _COLOUR.match(part.text) or re.match(
        r"what is the [\w ]+ label in the legend|which [\w ]+ is (?:shown|drawn) in", part.text, re.I
    )
    if one is None or colour is None or not asks or part.options:
        return None
    if re.search(
        r"\b(?:dashed|dotted|solid|value|area|circle|square|triangle|marker|axis)\b", part.text, re.I
    ):
        return None
    keys, lines = one[1].keys()
    label = labels_in(colour, keys)
    if label is None:
        return None
    named = " ".join(filter(None, colour))
    return Said(
        text=f"in {_of(one[0], part)}, {named} stands for “{label}”", places=(one[0],), lines=tuple(lines)
    )


def _common(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    match, legends = _COMMON.match(part.text), _LEGENDS.match(part.text)
    places = part.places
    if (match is None and legends is None) or len(places) < 2 or not all(p in charts for p in places):
        return None
    what = "labels" if legends or match is None else match["what"].casefold()
    if legends is not None:
        found, where = [_keys(charts[place]) for place in places], " in the legends"
    elif match is not None and match["way"]:
        way = _way(match["way"])
        found, where = [_ticks(charts[place].axis(way), what) for place in places], f" on the {way} axes"
    else:
        found, where = [_labels(charts[place]) for place in places], ""
    if what == "tick values" and not _in_one_unit([labels for labels, _ in found]):
        return None
    count = _shared([labels for labels, _ in found], countries=what == "countries")
    if count is None:
        return None
    which = " and ".join(f"the {_NAMES[place]}" for place in places)
    return Said(
        text=f"{which} chart have {count} {what} in common{where}",
        places=places,
        lines=tuple(line for _, lines in found for line in lines),
    )


#: Labels, and the lines that have them; none where it is open which are meant.
Labels = tuple[list[str], list[str]]


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


def _legend(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    one = _one(part, charts)
    names, count = _only(_LEGEND_NAMES, part), _only(_LEGEND_COUNT, part)
    if one is None or not one[1].legend or not (names or count):
        return None
    labels, lines = _keys(one[1])
    where = f"the legend of {_of(one[0], part)}"
    said = f"{where} names {', '.join(labels)}" if names else f"{where} has {len(labels)} labels"
    return Said(text=said, places=(one[0],), lines=tuple(lines)) if len(set(labels)) == len(labels) else None


def _bar_end(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    match, one = _only(_BAR_END, part), _one(part, charts)
    axis = _colour_bar(one[1]) if match and one else None
    if match is None or one is None or axis is None or not axis.numbers():
        return None
    end = match["end"].casefold()
    best = (max if end in ("maximum", "highest") else min)(axis.numbers(), key=lambda tick: tick.value)
    return Said(
        text=f"the {end} tick on the colour bar of {_of(one[0], part)} is {best.text}",
        places=(one[0],),
        lines=(axis.line,),
    )


def _axis_label(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    match, one = _only(_AXIS_LABEL, part), _one(part, charts)
    axis = one[1].axis(_way(match["way"])) if match and one else None
    if one is None or axis is None or not axis.title:
        return None
    return Said(
        text=f"the label of the {axis.way} axis of {_of(one[0], part)} is “{axis.title}”",
        places=(one[0],),
        lines=(axis.title_line,),
    )


def _most(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    match, one = _MOST.match(part.text), _one(part, charts)
    if match is None or one is None or part.options:
        return None
    place, chart = one
    series = _series(part.text, chart)
    valued = [(bar, _value(bar, series)) for bar in chart.bars] if series is not None else []
    known = [(number.value, bar, number.text) for bar, number in valued if number is not None]
    if (
        series is None
        or len(known) < 3
        or len(known) < len(valued)
        or not _is_about(part.text, chart, match["what"])
    ):
        return None
    if match["what"].casefold() == "country" and not _all_countries([bar.label for bar in chart.bars]):
        return None
    high = match["how"].casefold() in ("highest", "largest", "greatest", "biggest", "most")
    best = (max if high else min)(known, key=lambda one: one[0])
    if sum(value == best[0] for value, _, _ in known) > 1 or best[1].label.startswith("…"):
        return None
    of = f" for {series}" if series else ""
    how = match["how"].casefold()
    return Said(
        text=f"in {_of(place, part)}, {best[1].label} has the {how} value{of}, {best[2]}",
        places=(place,),
        lines=tuple(bar.line for _, bar, _ in known),
    )


def _series(text: str, chart: Chart) -> str | None:
    """Return which of a chart's series a text names; "" for a chart that has none; None where it is open."""
    names = {name for bar in chart.bars for name, _ in bar.values}
    if names == {""} and all(len(bar.values) == 1 for bar in chart.bars):
        return ""
    said = _tokens(text)
    named = [name for name in names if name and _tokens(name) <= said]
    return named[0] if len(named) == 1 else None


def _value(bar: Bar, series: str) -> Tick | None:
    values = [value for name, value in bar.values if name == series]
    return number_of(values[0]) if len(values) == 1 else None


def _tokens(text: str) -> set[str]:
    """Return all words of a text but articles: "not" counts here."""
    return set(re.findall(r"[^\W_]+", text.casefold())) - {"the", "a", "an", "of", "in", "to", "and"}


def _is_about(question: str, chart: Chart, what: str) -> bool:
    """Say whether a chart's words hold most of a question's, and every number of it."""
    asked = words.content(_IN_CHART.sub("", question)) - _NO_MEASURE - words.content(what)
    asked -= words.content("first second third fourth fifth chart")
    return (
        bool(asked)
        and words.numbers(question) <= words.numbers(chart.text)
        and words.cover(asked, words.content(chart.text)) >= _HELD
    )


def _value_of(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    one = _one(part, charts)
    if not _VALUE.match(part.text) or one is None or part.options:
        return None
    place, chart = one
    bars, series = _bars(part.text, chart), _series(part.text, chart)
    number = _value(bars[0], series) if len(bars) == 1 and series is not None else None
    if number is None or not _is_about(part.text, chart, ""):
        return None
    of = f", {series}" if series else ""
    return Said(
        text=f"in {_of(place, part)}, {bars[0].label}{of} is {number.text}",
        places=(place,),
        lines=(bars[0].line,),
    )


def _bars(text: str, chart: Chart) -> list[Bar]:
    """Return the bars whose labels a text says word for word, but those that another says more of."""
    said = _tokens(text)
    named = [bar for bar in chart.bars if len(_tokens(bar.label)) and _tokens(bar.label) <= said]
    return [bar for bar in named if not any(_tokens(bar.label) < _tokens(other.label) for other in named)]


def _difference(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    one = _one(part, charts)
    if not _BETWEEN.match(part.text) or one is None or part.options:
        return None
    place, chart = one
    bars = _bars(part.text, chart)
    numbers = [_value(bar, "") for bar in bars]
    if len(bars) != 2 or _series(part.text, chart) != "" or not _is_about(part.text, chart, ""):
        return None
    first, second = numbers
    if first is None or second is None or len({first.money, second.money}) > 1:
        return None
    apart: Decimal = abs(first.value - second.value)
    sides = f"{bars[0].label} ({first.text}) and {bars[1].label} ({second.text})"
    return Said(
        text=f"in {_of(place, part)}, {sides} differ by {apart:f}",
        places=(place,),
        lines=tuple(bar.line for bar in bars),
    )


def _chosen(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Choose what an axis stands for: its labels must prove the kind, and one option alone name it."""
    match, one = _STANDS_FOR.fullmatch(part.text), _one(part, charts)
    axis = one[1].axis(_way(match["way"])) if match and one else None
    if match is None or one is None or axis is None or not part.options:
        return None
    titled = [(letter, text) for letter, text in part.options if axis.title and _says(text, axis.title)]
    if len(titled) == 1:
        letter, text = titled[0]
        return Said(
            text=f"the {axis.way} axis of {_of(one[0], part)} represents {letter}, “{text.rstrip('.')}”",
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
        text=f"the {axis.way} axis of {_of(one[0], part)} represents {letter}, “{text.rstrip('.')}”",
        places=(one[0],),
        lines=(axis.line,),
    )


def _keyword(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Choose the one word among the options that every chart's page says."""
    places = part.places or tuple(charts)
    if not _KEYWORD.match(part.text) or len(places) < 2 or not all(place in charts for place in places):
        return None
    pages = [words.content(charts[place].page) for place in places]
    held = [(letter, text) for letter, text in part.options if all(words.content(text) <= p for p in pages)]
    if len(held) != 1 or not words.content(held[0][1]):
        return None
    letter, text = held[0]
    return Said(text=f"all these charts say {letter}, “{text.rstrip('.')}”", places=places, lines=())


def _says(option: str, title: str) -> bool:
    return words.squashed(option) == words.squashed(title)


_RULES: tuple[Rule, ...] = (
    _extreme,
    _count,
    _step,
    _span,
    _title,
    _colour,
    _legend,
    _bar_end,
    _axis_label,
    _common,
    _most,
    _value_of,
    _difference,
    _chosen,
    _keyword,
)
