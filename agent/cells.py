"""A table as evidence holds it, a line `label | header: value | …` a row, read back into rows and cells.

The parser says each header beside its values where it saw one. Where the header stood above the table
("As of June 30, 2023 2022"), its periods head the columns, but only of rows that have a value for each of
them: a blank cell leaves no trace in a line, and a guessed column would be a wrong answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agent.figures import NONE, Figure, figure, scale_of
from agent.periods import heads_in

_JOIN = " | "
_SIGNS = frozenset({"$", "€", "£", "¥", "US$"})
_AFTER = frozenset({"%", ")%", ")", "x", "bps", "pts"})
_NOTE = re.compile(r"\s*(?:\((?:\d{1,2}|[a-z])\)(?:,?\s*\((?:\d{1,2}|[a-z])\))*|[*†‡]+|\[\d{1,2}\])\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One value of a row."""

    #: The words above its column; "" where nothing tells.
    head: str
    #: As printed, a currency sign or percent sign that had a column of its own joined to it.
    text: str
    figure: Figure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table."""

    #: The whole label, section first ("Assets: Cash"), as printed.
    label: str
    cells: tuple[Cell, ...]
    #: The line itself.
    line: str

    @property
    def name(self) -> str:
        """The label without its section and footnote marks."""
        return _NOTE.sub("", self.label.rpartition(": ")[2]).strip()

    @property
    def section(self) -> str:
        """What the row stands under; "" where nothing."""
        return self.label.rpartition(": ")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table, or the part of one that a chunk holds."""

    rows: tuple[Row, ...]
    #: Heads of the columns in order, each once; [] where none is known.
    heads: tuple[str, ...]
    #: Title, caption and headings: what the table is about.
    about: str
    #: "millions", "thousands", "billions" as its caption says, or "".
    scale: str


def read_table(text: str, *, heading: str = "", above: str = "") -> Table:
    """Read a table's text; `above` is what stands before it on the page."""
    lines = [line for line in text.splitlines() if line.strip()]
    first = next((i for i, line in enumerate(lines) if _JOIN in line), len(lines))
    before, body = lines[:first], lines[first:]
    split = [line.split(_JOIN) for line in body]
    known = _known_heads(split)
    rows = [_row(line, pieces, known) for line, pieces in zip(body, split, strict=True)]
    rows = [row for row, pieces in zip(rows, split, strict=True) if not _is_head(pieces, known)]
    titles = [heading.rpartition(" > ")[2], *before]
    headless = [row for row in rows if row.cells and not any(cell.head for cell in row.cells)]
    if headless and len(headless) == sum(bool(row.cells) for row in rows):
        rows = _headed(rows, _lines_above(split, titles, above, known))
    about = "\n".join(part for part in (heading, above, *before) if part)
    heads = tuple(dict.fromkeys(cell.head for row in rows for cell in row.cells if cell.head))
    return Table(
        rows=tuple(row for row in rows if row.cells),
        heads=heads,
        about=about,
        scale=scale_of("\n".join([*titles, *body[:2]])) or scale_of(above),
    )


def _known_heads(split: Sequence[list[str]]) -> frozenset[str]:
    """Return what stands before values as "head: " often enough, or before a figure, to be a header."""
    seen: Counter[str] = Counter()
    figures: set[str] = set()
    for pieces in split:
        for piece in pieces[1:]:
            head, colon, value = piece.partition(": ")
            if colon:
                seen[head] += 1
                if figure(value) is not None or value in NONE | _SIGNS:
                    figures.add(head)
    return frozenset(
        {head for head, times in seen.items() if times > 1}
        | figures
        | (frozenset(seen) if len(split) <= 3 else frozenset())
    )


def _is_head(pieces: Sequence[str], known: frozenset[str]) -> bool:
    """Say whether a line is a row of headers: its words stand in the heads that the rows below repeat."""
    if any(piece.partition(": ")[0] in known and ": " in piece for piece in pieces):
        return False
    words = [piece.strip() for piece in pieces if piece.strip()]
    if known and len(words) > 1 and all(any(word in head for head in known) for word in words[1:]):
        return True
    return bool(words) and len(words) > 1 and all(re.fullmatch(r"(?:FY\s*)?(?:19|20)\d{2}", w) for w in words)


def _row(line: str, pieces: list[str], known: frozenset[str]) -> Row:
    label, values = pieces[0].strip(), pieces[1:]
    head, colon, value = label.partition(": ")
    cells: list[Cell] = []
    if colon and head in known and figure(value) is not None and len(pieces) > 1:
        label = value
    waiting: tuple[str, str] | None = None
    for piece in values:
        head, colon, value = piece.partition(": ")
        if not (colon and head in known):
            head, value = "", piece
        value = value.strip()
        if waiting is not None:
            head, value, waiting = waiting[0] or head, f"{waiting[1]} {value}", None
        if value in _SIGNS:
            waiting = (head, value)
        elif value in _AFTER and cells:
            before = cells.pop()
            joined = f"{before.text} {value}" if value != "%" else f"{before.text}%"
            cells.append(Cell(head=before.head, text=joined, figure=figure(joined)))
        elif value:
            cells.append(Cell(head=head, text=value, figure=figure(value)))
    return Row(label=label, cells=tuple(cells), line=line)


def _lines_above(
    split: Sequence[list[str]], titles: Sequence[str], above: str, known: frozenset[str]
) -> list[str]:
    """Return lines that may hold a headless table's columns, nearest first."""
    inside = [" ".join(pieces) for pieces in split[:3] if _is_head(pieces, known)]
    return [*inside, *reversed(titles), *reversed(above.splitlines())]


def _headed(rows: Sequence[Row], lines: Sequence[str]) -> list[Row]:
    """Give the columns of full rows the periods of the nearest line that names as many."""
    counts = Counter(len(row.cells) for row in rows if len(row.cells) > 1)
    heads: dict[int, list[str]] = {}
    for columns in counts:
        heads[columns] = next((found for line in lines if (found := heads_in(line, columns=columns))), [])
    return [
        Row(
            label=row.label,
            line=row.line,
            cells=tuple(
                Cell(head=head, text=cell.text, figure=cell.figure)
                for cell, head in zip(row.cells, heads.get(len(row.cells), []), strict=True)
            ),
        )
        if heads.get(len(row.cells))
        else row
        for row in rows
    ]
