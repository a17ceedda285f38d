"""What a rule about charts says, and what all rules ask first: which chart, which axis, and nothing more."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.chart_parts import Part
from agent.charts import Chart, Way
from agent.countries import COUNTRIES, known_name

WAY = r"(?:the )?(?P<way>vertical|horizontal|[xy])[- ]axis"
LABELLED = r"(?:explicitly )?label+ed"
IN_CHART = re.compile(r",? ?(?:in|of|according to|from) the (?:\w+ )?(?:chart|graph|plot|figure)$", re.I)
ORDINALS = ("", "first", "second", "third", "fourth", "fifth")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is answered to one part, and from which charts."""

    text: str
    places: tuple[int, ...]
    #: The lines of the charts that it stands on.
    lines: tuple[str, ...]


Rule = Callable[[Part, Mapping[int, Chart]], Said | None]


def one_chart(part: Part, charts: Mapping[int, Chart]) -> tuple[int, Chart] | None:
    """Return the one chart that a part is about."""
    places = part.places or (tuple(charts) if len(charts) == 1 else ())
    if len(places) != 1 or places[0] not in charts:
        return None
    return places[0], charts[places[0]]


def which(place: int, part: Part) -> str:
    """Name a chart as the question does."""
    return f"the {ORDINALS[place]} chart" if part.places else "the chart"


def way_of(name: str) -> Way:
    """Return the way of an axis by its name."""
    return "vertical" if name.casefold() in ("vertical", "y") else "horizontal"


def only(pattern: re.Pattern[str], part: Part) -> re.Match[str] | None:
    """Match a part that asks this and nothing more than which chart it is about."""
    match = pattern.match(part.text)
    rest = IN_CHART.sub("", part.text[match.end() :]) if match else ""
    return match if match and not rest.strip() else None


def all_countries(labels: Sequence[str]) -> bool:
    """Say whether all labels are countries."""
    return all(known_name(label) in COUNTRIES for label in labels)
