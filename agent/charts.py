"""A chart as evidence holds it, a line a part, read back: title, axes, colours, bars.

Which chart is "the second" is told by the order of the documents that the caller selected, each with one
chart on it; without an order there is at most one chart to speak of.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Literal

from agent.retrieve import kept_of
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
    verdicts = await run.rails.screen("evidence", [chunk.text for chunk in fresh])
    allowed = [(chunk, v.text) for chunk, v in zip(fresh, verdicts, strict=True) if v.allowed]
    run.passed |= {chunk.id: text for chunk, text in allowed}
    names: dict[str, str] = {}
    for document_id in {chunk.document_id for chunk, _ in allowed}:
        document = await run.library.document(document_id, scope=scope)
        names[document_id] = document.name if document else ""
    return [kept_of(chunk, name=names[chunk.document_id], score=0.0) for chunk, _ in allowed]


def read_charts(sources: Sequence[Source], scope: Scope) -> dict[int, Chart]:
    """Return the charts of the evidence by their place, from 1; {} where no order tells which is which."""
    found: dict[tuple[str, int], list[Source]] = {}
    for source in sources:
        if is_chart(source.chunk):
            found.setdefault((source.chunk.document_id, source.chunk.page_no), []).append(source)
    charts = [_read(parts) for parts in found.values()]
    own = scope.documents or ()
    if len({chart.document_id for chart in charts}) != len(charts):
        return {}
    if len(own) > 1:
        return {own.index(chart.document_id) + 1: chart for chart in charts if chart.document_id in own}
    return {1: charts[0]} if len(charts) == 1 and own else {}


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
