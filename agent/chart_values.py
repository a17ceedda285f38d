"""Questions about values printed on bars: of one bar, between two, and which has most.

A bar is meant where a question says its label word for word, and the chart holds most of the question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from agent import words
from agent.chart_parts import Part
from agent.chart_said import (
    IN_CHART,
    Said,
    all_countries,
    one_chart,
    which,
)
from agent.charts import Bar, Chart, Tick, number_of

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
#: Share of the question's words that a chart's words hold.
_HELD = 0.6
_NO_MEASURE = words.content(
    "percentage share proportion value number people chart highest largest greatest lowest smallest "
    "difference type kind consider see view say think according"
)


def most(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell which bar has the largest or smallest value."""
    match, one = _MOST.match(part.text), one_chart(part, charts)
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
    if match["what"].casefold() == "country" and not all_countries([bar.label for bar in chart.bars]):
        return None
    high = match["how"].casefold() in ("highest", "largest", "greatest", "biggest", "most")
    best = (max if high else min)(known, key=lambda one: one[0])
    if sum(value == best[0] for value, _, _ in known) > 1 or best[1].label.startswith("…"):
        return None
    of = f" for {series}" if series else ""
    how = match["how"].casefold()
    return Said(
        text=f"in {which(place, part)}, {best[1].label} has the {how} value{of}, {best[2]}",
        places=(place,),
        lines=tuple(bar.line for _, bar, _ in known),
    )


def value_of(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell the value of one bar."""
    one = one_chart(part, charts)
    if not _VALUE.match(part.text) or one is None or part.options:
        return None
    place, chart = one
    bars, series = _bars(part.text, chart), _series(part.text, chart)
    number = _value(bars[0], series) if len(bars) == 1 and series is not None else None
    if number is None or not _is_about(part.text, chart, ""):
        return None
    of = f", {series}" if series else ""
    return Said(
        text=f"in {which(place, part)}, {bars[0].label}{of} is {number.text}",
        places=(place,),
        lines=(bars[0].line,),
    )


def difference(part: Part, charts: Mapping[int, Chart]) -> Said | None:
    """Tell by how much the values of two bars differ."""
    one = one_chart(part, charts)
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
        text=f"in {which(place, part)}, {sides} differ by {apart:f}",
        places=(place,),
        lines=tuple(bar.line for bar in bars),
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
    asked = words.content(IN_CHART.sub("", question)) - _NO_MEASURE - words.content(what)
    asked -= words.content("first second third fourth fifth chart")
    return (
        bool(asked)
        and words.numbers(question) <= words.numbers(chart.text)
        and words.cover(asked, words.content(chart.text)) >= _HELD
    )


def _bars(text: str, chart: Chart) -> list[Bar]:
    """Return the bars whose labels a text says word for word, but those that another says more of."""
    said = _tokens(text)
    named = [bar for bar in chart.bars if len(_tokens(bar.label)) and _tokens(bar.label) <= said]
    return [bar for bar in named if not any(_tokens(bar.label) < _tokens(other.label) for other in named)]
