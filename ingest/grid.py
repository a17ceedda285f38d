"""A table as a grid: cells in rows and columns, written for retrieval as lines and for people as HTML.

Whoever finds a table (by ruling lines, by alignment, in a file without pages) hands cells over; how they read
is decided here alone. One line a row, `label | header: value`, so that a row is understood without its
neighbours; a cell over several rows is said in each. Only cells with words in them are kept: a position
without a cell is empty, and `<td></td>` in the HTML.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from html.parser import HTMLParser
from typing import Protocol, TypeVar

from ingest.records import Element, GridCell, Span

#: A section row ("Operating activities:") is no longer than this, characters.
_LONGEST_SECTION = 80
#: HTML's own bounds are 1,000 columns and 65,534 rows; nobody reads a cell over more than this.
_MAX_SPAN = 1000

FIGURE = re.compile(
    r"[\s$€£¥(]*[-–—+(<>~≈±−]?[\s$€£¥]*\(?\d[\d,.'\s]*\)?\s*(?:%|pts?|bps|x|[BMK]|bn|m|million|billion)?\)?"
    r"[\s*†‡%]*(?:\(\w{1,2}\))?|[—–-]+\s*%?|\$\s*[—–-]+|N/?[AM]|nm|NM|n/a"
)
YEAR = re.compile(r"(?:FY|CY|Q[1-4]|[1-4]Q|H[12])?\s*['’]?(?:19|20)\d\d[AE*]?(?:\s*\(\w{1,3}\))?")

_UNIT = re.compile(
    r"\(?\$?\s*(?:in\b|amounts|dollars|unaudited|(?:\w+ )?(?:millions|thousands|billions)|as of|at\b|"
    r"(?:for the )?(?:fiscal )?(?:\w+ )?(?:years?|months?|quarters?)\b.*ended|"
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december)\s+\d)",
    re.IGNORECASE,
)


class Worded(Protocol):
    """Anything with words in it."""

    @property
    def text(self) -> str:
        """Its words."""
        ...


Worded_ = TypeVar("Worded_", bound=Worded)
#: A grid's row: one entry a column, None where nothing stands.
Line = list[Worded_ | None]


def is_figure(text: str) -> bool:
    """Say whether a cell holds an amount, a dash for none, or "n/a"."""
    return bool(FIGURE.fullmatch(text.strip()))


def is_heading(text: str) -> bool:
    """Years, dates and words head a column; other figures fill it."""
    return bool(YEAR.fullmatch(text.strip())) or not is_figure(text)


def plain(text: str) -> str:
    """Return a text for comparing: no case, no spaces."""
    return "".join(text.casefold().split())


def is_unit(text: str) -> bool:
    """Say whether a header gives a unit or a time ("in millions", "Years ended December 31,")."""
    return bool(_UNIT.match(text))


def table_of(
    cells: Sequence[GridCell], *, indents: Sequence[float] = (), given: Sequence[str] = ()
) -> Element:
    """Write a grid out as a table element; cells with boxes become its spans.

    `indents`: how far each row's label is set in, any unit, where the page shows it; it tells how long a
    section lasts. `given`: names of the columns where this is the rest of a table that began elsewhere.
    """
    lines = _lines(cells)
    heads = head_rows(cells)
    names = column_names(cells) if heads else list(given)
    text, placed = write_grid(
        [_once(line, before) for before, line in zip([None, *lines], lines[:heads], strict=False)],
        [_parted(line) for line in lines[heads:]],
        names,
        _sections(lines[heads:], indents[heads:]),
    )
    spans = tuple(Span(start=a, end=b, box=cell.box) for a, b, cell in placed if cell.box is not None)
    return Element(kind="table", text=text, spans=spans, html=html_of(cells), cells=tuple(cells))


def head_rows(cells: Iterable[GridCell]) -> int:
    """Count the leading rows that hold nothing but header cells."""
    body = [cell.row for cell in cells if not cell.header]
    last = max((cell.row for cell in cells), default=-1)
    return min(body, default=last + 1)


def column_names(cells: Sequence[GridCell]) -> list[str]:
    """Say what heads each column, top down; a header over several columns counts for each of them.

    A time or a unit over all the columns ("Years ended December 31,") tells them not apart, and is left out
    where something else does.
    """
    heads = head_rows(cells)
    width = _width(cells)
    over = [cell for cell in cells if cell.row < heads]
    names: list[list[str]] = [[] for _ in range(width)]
    everywhere: list[str] = []
    for cell in over:
        if cell.colspan >= width - 1 > 1 and (is_unit(cell.text) or cell.colspan == width):
            everywhere.append(cell.text)
            continue
        for column in range(cell.col, min(width, cell.col + cell.colspan)):
            names[column].append(cell.text)
    if everywhere and not any(names[1:]):
        names = [names[0], *([*everywhere] for _ in range(width - 1))]
    return [" ".join(parts).replace("|", "/").rstrip(": ") for parts in names]


def _width(cells: Iterable[GridCell]) -> int:
    return max((cell.col + cell.colspan for cell in cells), default=0)


def _lines(cells: Sequence[GridCell]) -> list[Line[GridCell]]:
    """Lay cells out row by row; a cell stands in every place that it covers."""
    height = max((cell.row + cell.rowspan for cell in cells), default=0)
    width = _width(cells)
    lines: list[Line[GridCell]] = [[None] * width for _ in range(height)]
    for cell in cells:
        for row in range(cell.row, cell.row + cell.rowspan):
            for column in range(cell.col, cell.col + cell.colspan):
                lines[row][column] = cell
    return lines


def _parted(line: Line[GridCell]) -> Line[GridCell]:
    """Say a cell over several columns once."""
    return [None if i and cell is line[i - 1] else cell for i, cell in enumerate(line)]


def _once(line: Line[GridCell], above: Line[GridCell] | None) -> Line[GridCell]:
    """Say a header over several rows or columns once."""
    return [None if above is not None and cell is above[i] else cell for i, cell in enumerate(_parted(line))]


def _sections(body: Sequence[Line[GridCell]], indents: Sequence[float]) -> list[str]:
    """Say for each row which section it stands in: the label-only row above, while rows below are indented.

    Where nothing is indented, a section lasts until its total.
    """
    sections: list[str] = []
    current: tuple[str, float] | None = None
    indented: bool | None = None
    for row, line in enumerate(body):
        label, indent = line[0] if line else None, indents[row] if row < len(indents) else 0.0
        if label is not None and all(cell is None or cell is label for cell in line) and len(line) > 1:
            short = len(label.text) <= _LONGEST_SECTION
            current, indented = ((label.text.rstrip(": "), indent) if short else None), None
            sections.append("")
            continue
        if current is not None and label is not None:
            deeper = indent > current[1] + 1
            indented = deeper if indented is None else indented
            if indented and not deeper:
                current = None
        sections.append(current[0] if current is not None and label is not None else "")
        if label is not None and not indented and label.text.lower().startswith(("total", "net cash")):
            current = None
    return sections


def write_grid(
    heads: Sequence[Line[Worded_]],
    body: Sequence[Line[Worded_]],
    names: Sequence[str],
    sections: Sequence[str] = (),
) -> tuple[str, list[tuple[int, int, Worded_]]]:
    """Write a grid as text: its header rows first, then `label | header: value` a row.

    A row's section (if it has one) stands before its label as well: `Assets: Cash | 2023: 5`.
    """
    parts: list[str] = []
    spans: list[tuple[int, int, Worded_]] = []
    length = 0

    def put(text: str, cell: Worded_ | None = None) -> None:
        nonlocal length
        if cell is not None and text:
            spans.append((length, length + len(text), cell))
        parts.append(text)
        length += len(text)

    for head in heads:
        for place, cell in enumerate(cell for cell in head if cell is not None):
            put(" | " if place else "")
            put(cell.text, cell)
        put("\n" if any(head) else "")
    for row, line in enumerate(body):
        label, values = line[0], [(i, cell) for i, cell in enumerate(line) if i and cell is not None]
        if label is not None:
            put(f"{sections[row]}: " if row < len(sections) and sections[row] else "")
            # A figure is no name: "Offset: 72" says what "72" alone does not.
            put(f"{names[0]}: " if names and names[0] and is_figure(label.text) else "")
            put(label.text, label)
        for place, (column, cell) in enumerate(values):
            put(" | " if place or label is not None else "")
            put(f"{names[column]}: " if column < len(names) and names[column] else "")
            put(cell.text, cell)
        put("\n" if any(line) else "")
    return "".join(parts).rstrip("\n"), spans


def html_of(cells: Sequence[GridCell]) -> str:
    """Write a grid as an HTML table: header rows in `<thead>`, spanning cells with their spans."""
    heads, width = head_rows(cells), _width(cells)
    rows: list[list[str]] = [[] for _ in range(max((c.row + c.rowspan for c in cells), default=0))]
    taken: list[int] = [0] * len(rows)
    covered: set[tuple[int, int]] = set()
    for cell in sorted(cells, key=lambda cell: (cell.row, cell.col)):
        _fill(rows[cell.row], taken, cell.row, cell.col, covered, tag="th" if cell.row < heads else "td")
        tag = "th" if cell.row < heads else "td"
        spans = f' rowspan="{cell.rowspan}"' if cell.rowspan > 1 else ""
        spans += f' colspan="{cell.colspan}"' if cell.colspan > 1 else ""
        rows[cell.row].append(f"<{tag}{spans}>{escape(cell.text)}</{tag}>")
        taken[cell.row] = cell.col + cell.colspan
        covered |= {
            (row, column)
            for row in range(cell.row + 1, cell.row + cell.rowspan)
            for column in range(cell.col, cell.col + cell.colspan)
        }
    for row, written in enumerate(rows):
        _fill(written, taken, row, width, covered, tag="th" if row < heads else "td")
    head = "".join(f"<tr>{''.join(row)}</tr>" for row in rows[:heads])
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows[heads:])
    return (
        f"<table>{f'<thead>{head}</thead>' if head else ''}{f'<tbody>{body}</tbody>' if body else ''}</table>"
    )


def _fill(
    written: list[str], taken: list[int], row: int, until: int, covered: set[tuple[int, int]], *, tag: str
) -> None:
    """Write the empty places of a row up to column `until`, those aside that a cell from above covers."""
    for column in range(taken[row], until):
        if (row, column) not in covered:
            written.append(f"<{tag}></{tag}>")
    taken[row] = max(taken[row], until)


def grid_html(heads: Sequence[Line[Worded_]], body: Sequence[Line[Worded_]]) -> str:
    """Write rows without spanning cells as an HTML table."""
    return html_of(
        [
            GridCell(row=row, col=column, text=cell.text, header=row < len(heads))
            for row, line in enumerate([*heads, *body])
            for column, cell in enumerate(line)
            if cell is not None
        ]
    )


def grid_of_rows(rows: Iterable[Sequence[str]], *, heads: int | None = None) -> tuple[GridCell, ...]:
    """Make a grid of plain rows; `heads` of them head the columns, None: as many as look like it."""
    cells = [
        GridCell(row=row, col=column, text=text, header=heads is not None and row < heads)
        for row, line in enumerate(rows)
        for column, value in enumerate(line)
        if (text := " ".join(value.split()))
    ]
    cells = compact(cells)
    return tuple(_with_guessed_heads(cells) if heads is None else cells)


def grid_of_html(html: str) -> tuple[GridCell, ...]:
    """Read the first table of `html` into a grid, spans and header cells included; () where it has none.

    A table inside a cell counts as that cell's words. Rows and columns without a word are left out.
    """
    reader = _TableReader()
    reader.feed(html)
    reader.close()
    cells = compact(_placed(reader.rows))
    return tuple(cells if head_rows(cells) else _with_guessed_heads(cells))


@dataclass(slots=True)
class _Source:
    """A cell as HTML has it, its place not yet known."""

    header: bool
    rowspan: int
    colspan: int
    words: list[str]


class _TableReader(HTMLParser):
    """Collects the rows of the first table; unclosed rows and cells end where HTML says they do."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[_Source]] = []
        self._depth = 0
        self._done = self._in_head = False
        self._open: _Source | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._done:
            return
        if tag == "table":
            self._depth += 1
        elif self._depth == 1 and tag in {"thead", "tbody", "tfoot"}:
            self._in_head = tag == "thead"
        elif self._depth == 1 and tag == "tr":
            self.rows.append([])
            self._open = None
        elif self._depth == 1 and tag in {"td", "th"}:
            given = dict(attrs)
            header = tag == "th" or self._in_head
            self._open = _Source(header, _count(given.get("rowspan")), _count(given.get("colspan")), [])
            if not self.rows:
                self.rows.append([])
            self.rows[-1].append(self._open)
        elif self._open is not None and tag not in _INLINE:
            self._open.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table" and self._depth:
            self._depth -= 1
            self._done = self._done or not self._depth
        elif self._depth == 1 and tag == "thead":
            self._in_head = False
        elif self._depth == 1 and tag in {"td", "th", "tr"}:
            self._open = None
        elif self._open is not None and tag not in _INLINE:
            self._open.words.append(" ")

    def handle_data(self, data: str) -> None:
        if self._open is not None and not self._done:
            self._open.words.append(data)


#: Elements that part no words.
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd"}
    | {"mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var", "wbr"}
)


def _count(value: str | None) -> int:
    return min(_MAX_SPAN, max(1, int(value))) if value and value.strip().isdecimal() else 1


def _placed(rows: Sequence[Sequence[_Source]]) -> list[GridCell]:
    """Give each cell its place: the next one of its row that no cell from above hangs into."""
    cells: list[GridCell] = []
    hanging: dict[int, int] = {}  # column → first row that is free again
    for row, sources in enumerate(rows):
        column = 0
        for source in sources:
            while hanging.get(column, 0) > row:
                column += 1
            rowspan, colspan = min(source.rowspan, len(rows) - row), 1
            while colspan < source.colspan and hanging.get(column + colspan, 0) <= row:
                colspan += 1
            for place in range(column, column + colspan):
                hanging[place] = row + rowspan
            text = " ".join("".join(source.words).split())
            if text:
                cells.append(
                    GridCell(
                        row=row,
                        col=column,
                        rowspan=rowspan,
                        colspan=colspan,
                        text=text,
                        header=source.header,
                    )
                )
            column += colspan
    return cells


def compact(cells: Sequence[GridCell]) -> list[GridCell]:
    """Leave out rows and columns in which no cell begins; spans shrink with them."""
    rows, columns = sorted({cell.row for cell in cells}), sorted({cell.col for cell in cells})

    def kept(places: list[int], start: int, count: int) -> int:
        return bisect_left(places, start + count) - bisect_left(places, start)

    return [
        replace(
            cell,
            row=bisect_left(rows, cell.row),
            col=bisect_left(columns, cell.col),
            rowspan=kept(rows, cell.row, cell.rowspan),
            colspan=kept(columns, cell.col, cell.colspan),
        )
        for cell in cells
    ]


def _with_guessed_heads(cells: Sequence[GridCell]) -> list[GridCell]:
    """Make the first row a header where it is words (or years) above others, all of them short."""
    width = _width(cells)
    first = [cell for cell in cells if cell.row == 0]
    wordy = all(is_heading(cell.text) and len(cell.text) <= 60 for cell in first)
    enough = sum(cell.colspan for cell in first) >= max(2, width - 1)
    if not (wordy and enough and any(cell.row for cell in cells)):
        return list(cells)
    # A header over several rows makes the rows beside it header rows as well.
    deepest = max(cell.rowspan for cell in first) if len({cell.rowspan for cell in first}) > 1 else 1
    return [replace(cell, header=cell.header or cell.row < deepest) for cell in cells]
