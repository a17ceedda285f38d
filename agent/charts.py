"""A chart as evidence holds it, a line a part, read back: title, axes, colours, bars.

Which chart is "the second" is told by the order of the documents that the caller selected, each with one
chart on it; of one document, or of the whole library, it is the only one or the one whose title is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Literal

from agent import words
from agent.retrieve import kept_of
from agent.screen import screen_chunks
from agent.state import Kept, Run, Source, State
from ingest.records import Chunk, Scope

Way = Literal["vertical", "horizontal"]
_JOIN = " · "
_ABOUT_CHARTS = re.compile(
    r"\b(?:charts?|graphs?|plots?|figures?|axis|axes|ticks?|legends?|bars?|lines?|colou?rs?|subplots?)\b",
    re.I,
)
_AXIS = re.compile(r"(Vertical|Horizontal) axis, (left|right|top|bottom), (numbers|dates|labels): (.+)")
_NUMBER = re.compile(r"([-−–+]?)([$€£]?)(\d[\d,]*(?:\.\d+)?)\s?(.*)")
#: Documents whose charts are read for one question.
_MOST = 6
#: Share of a title that a question must say to mean its chart, and by how much more than of any other.
_SAID, _CLEARLY = 0.5, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A tick that is a number: as printed, its value, and what stands around the value ("$", "%", "G")."""

    text: str
    value: Decimal
    money: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The labels along an axis: from the top, or from the left."""

    way: Way
    side: str
    kind: str
    ticks: tuple[str, ...]
    #: As the evidence has it.
    line: str
    #: What is written along it, and its line; "" where nothing is.
    title: str = ""
    title_line: str = ""

    def numbers(self) -> tuple[Tick, ...]:
        """Return its ticks as numbers; () where one is none."""
        found = tuple(tick for text in self.ticks if (tick := number_of(text)) is not None)
        return found if len(found) == len(self.ticks) and self.kind == "numbers" else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar: its label, and the printed values by what their colour stands for ("" where nothing tells)."""

    label: str
    values: tuple[tuple[str, str], ...]
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart of the evidence."""

    #: Evidence numbers of the passages that hold it.
    evidence: tuple[int, ...]
    document_id: str
    text: str
    title: str
    axes: tuple[Axis, ...]
    #: Labels by "#rrggbb", of the legend, else as they are written in colour.
    legend: tuple[tuple[str, str], ...]
    coloured: tuple[tuple[str, str], ...]
    bars: tuple[Bar, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, line by line; the first has the title."""
        return tuple(self.text.splitlines())

    def keys(self) -> tuple[list[tuple[str, str]], list[str]]:
        """Return what its colours stand for, of the legend and of labels, with the lines that say so."""
        lines = [line for line in self.lines if line.startswith(("Legend: ", "Written in colour: "))]
        return [*self.legend, *self.coloured], lines

    def axis(self, way: Way) -> Axis | None:
        """Return the one axis of that way; None for none, and for several that differ.

        What stands on the right alone may be the scale of colours.
        """
        found = [axis for axis in self.axes if axis.way == way]
        if not found or any((a.kind, a.ticks) != (found[0].kind, found[0].ticks) for a in found):
            return None
        return None if found[0].side in ("right", "top") else found[0]


def number_of(text: str) -> Tick | None:
    """Read a tick as a number; None for anything else."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    try:
        value = Decimal(match[3].replace(",", ""))
    except InvalidOperation:
        return None
    negative = bool(match[1]) and match[1] != "+"
    return Tick(text=text, value=-value if negative else value, money=match[2], unit=match[4].strip())


def is_about_charts(question: str) -> bool:
    """Say whether a question speaks of a chart or a part of one."""
    return bool(_ABOUT_CHARTS.search(question))


def is_chart(chunk: Chunk) -> bool:
    """Say whether a passage holds a chart, or a further part of one."""
    first = chunk.text.partition("\n")[0]
    return chunk.kind == "figure" and (
        re.match(
            r"Chart(?:: |\.$)|(?:Vertical|Horizontal) axis title: |Legend: |Written in colour: |Bar: ", first
        )
        is not None
        or _AXIS.fullmatch(first) is not None
    )


async def more_charts(run: Run, state: State) -> list[Kept]:
    """Return the charts of the selected documents and of the evidence's pages that are no evidence yet.

    Their text passes the rails like any other; what is stopped is left out.
    """
    scope, evidence = run.question.scope, state.get("evidence", [])
    known = {one["chunk_id"] for one in evidence}
    pages = {(one["document_id"], one["page_no"]) for one in evidence}
    if scope.documents is not None and len(scope.documents) <= _MOST:
        pages |= {(document_id, 1) for document_id in scope.documents}
    fresh: list[Chunk] = []
    for document_id, page_no in sorted(pages):
        near = await run.library.on_page(document_id, page_no, scope=scope)
        fresh += [chunk for chunk in near if is_chart(chunk) and chunk.id not in known]
    if not fresh:
        return []
    names: dict[str, str] = {}
    for document_id in {chunk.document_id for chunk in fresh}:
        document = await run.library.document(document_id, scope=scope)
        names[document_id] = document.name if document else ""
    await screen_chunks(fresh, list(names.values()), run)
    return [
        kept_of(chunk, name=names[chunk.document_id], score=0.0) for chunk in fresh if chunk.id in run.passed
    ]


def read_charts(sources: Sequence[Source], scope: Scope, question: str) -> dict[int, Chart]:
    """Return the charts of the evidence by their place, from 1; {} where nothing tells which is meant."""
    charts = _charts(sources)
    own = scope.documents or ()
    if len(own) > 1:
        alone = len({chart.document_id for chart in charts}) == len(charts)
        return (
            {own.index(one.document_id) + 1: one for one in charts if one.document_id in own} if alone else {}
        )
    if own and len(charts) == 1:
        return {1: charts[0]}
    said = words.content(question)
    named = sorted(charts, key=lambda chart: -_named(chart, said))
    shares = [_named(chart, said) for chart in named]
    alone = bool(shares) and shares[0] >= _SAID and (len(shares) == 1 or shares[1] < shares[0] - _CLEARLY)
    return {1: named[0]} if alone else {}


def _named(chart: Chart, said: set[str]) -> float:
    """Return the share of a chart's title that a question says; 0 for a single word of it."""
    title = words.content(chart.title)
    return words.cover(title, said) if len(title & said) > 1 else 0.0


def _charts(sources: Sequence[Source]) -> list[Chart]:
    """Read the charts among the evidence; a page whose parts may belong to several is left out."""
    pages: dict[tuple[str, int], list[Source]] = {}
    for source in sources:
        pages.setdefault((source.chunk.document_id, source.chunk.page_no), []).append(source)
    found: list[Chart] = []
    for page in pages.values():
        drawn = [source for source in page if is_chart(source.chunk)]
        begins = [source for source in drawn if source.text.startswith("Chart")]
        if len(begins) == 1:
            found.append(_read(drawn))
        elif len(begins) == len(drawn):
            found += [_read([source]) for source in begins]
    return found


def _read(parts: Sequence[Source]) -> Chart:
    ordered = sorted(parts, key=lambda source: not source.text.startswith("Chart"))
    lines = [line for source in ordered for line in source.text.splitlines()]
    axes: list[Axis] = []
    legend: list[tuple[str, str]] = []
    coloured: list[tuple[str, str]] = []
    bars = []
    for line in lines:
        key, _, rest = line.partition(": ")
        if match := _AXIS.fullmatch(line):
            way: Way = "vertical" if match[1] == "Vertical" else "horizontal"
            axes.append(
                Axis(way=way, side=match[2], kind=match[3], ticks=tuple(match[4].split(_JOIN)), line=line)
            )
        elif key.endswith(" axis title") and axes:
            axes[-1] = replace(axes[-1], title=rest, title_line=line)
        elif key == "Legend":
            legend += _pairs(rest.split(_JOIN))
        elif key == "Written in colour":
            coloured += _pairs(rest.split(_JOIN))
        elif key == "Bar":
            label, *values = rest.split(_JOIN)
            bars.append(Bar(label=label, values=tuple(_pairs(values)), line=line))
    return Chart(
        evidence=tuple(source.n for source in ordered),
        document_id=ordered[0].chunk.document_id,
        text="\n".join(lines),
        title=lines[0].partition("Chart: ")[2],
        axes=tuple(axes),
        legend=tuple(legend),
        coloured=tuple(coloured),
        bars=tuple(bars),
    )


def _pairs(pieces: Sequence[str]) -> list[tuple[str, str]]:
    """Split "label = value"; what has no label has ""."""
    split = [piece.rpartition(" = ") for piece in pieces]
    return [(label, value) for label, _, value in split]
