"""Tables found by alignment: rows whose cells stand in the same columns, with what heads each column.

Made for the tables of financial reports, which have no ruling lines: labels on the left, `$` and brackets
around figures, headers over several lines and columns, section rows such as "Operating activities:". Text is
written one line a row, `label | header: value`, so that a row is understood without its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Protocol, TypeVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A stretch of words without a wide gap, in points, origin top left."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool = False

    @property
    def rect(self) -> tuple[float, float, float, float]:
        """The cell's rectangle (x0, y0, x1, y1)."""
        return self.x0, self.y0, self.x1, self.y1

    def joined(self, other: Cell) -> Cell:
        """Return one cell that says both, `other` last."""
        return Cell(
            text=f"{self.text} {other.text}",
            x0=min(self.x0, other.x0),
            y0=min(self.y0, other.y0),
            x1=max(self.x1, other.x1),
            y1=max(self.y1, other.y1),
            size=self.size if len(self.text) >= len(other.text) else other.size,
            bold=self.bold and other.bold,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Cells that stand on one line, left to right."""

    cells: list[Cell]

    @property
    def y0(self) -> float:
        """Upper edge of the highest cell."""
        return min(cell.y0 for cell in self.cells)

    @property
    def y1(self) -> float:
        """Lower edge of the lowest cell."""
        return max(cell.y1 for cell in self.cells)

    @property
    def size(self) -> float:
        """Size of the first cell's writing."""
        return self.cells[0].size


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows in their columns; a column is (x0, x1) of its figures."""

    rows: list[Row]
    columns: list[tuple[float, float]]

    @property
    def size(self) -> float:
        """Size of most of its writing."""
        sizes = sorted(cell.size for row in self.rows for cell in row.cells)
        return sizes[len(sizes) // 2]


class Worded(Protocol):
    """Anything with words in it."""

    @property
    def text(self) -> str:
        """Its words."""
        ...


Worded_ = TypeVar("Worded_", bound=Worded)
#: A grid's row: one entry a column, None where nothing stands.
Line = list[Worded_ | None]

_FIGURE = re.compile(
    r"[\s$€£¥(]*[-–—+(<>~≈±]?[\s$€£¥]*\(?\d[\d,.'\s]*\)?\s*(?:%|pts?|bps|x|[BMK]|bn|m|million|billion)?\)?"
    r"[\s*†‡%]*(?:\(\w{1,2}\))?|[—–-]+\s*%?|\$\s*[—–-]+|N/?[AM]|nm|NM|n/a"
)
_YEAR = re.compile(r"(?:FY|CY|Q[1-4]|[1-4]Q|H[12])?\s*['’]?(?:19|20)\d\d[AE*]?(?:\s*\(\w{1,3}\))?")
_CURRENCY = re.compile(r"(?:US|C|A)?[$€£¥]\s*\(?|\(")
_CLOSING = re.compile(r"[)%*†]+|\)\s*%|bps|pts\.?|ppts?|x")
_SENTENCE = 60


def find_tables(rows: Sequence[Row]) -> Iterator[Row | Table]:
    """Split a column's rows into tables and the rows between them, in order."""
    rows = [_with_signs(row) for row in rows]
    loose: list[Row] = []
    place = 0
    while place < len(rows):
        end = _run(rows, place)
        table = _table(rows[place:end]) if end - place >= 2 else None
        if table is None:
            loose.append(rows[place])
            place += 1
            continue
        heads = _heads_above(loose, table)
        yield from loose[: len(loose) - heads]
        for part in _parts(loose[len(loose) - heads :] + table.rows):
            if len(part) == 1:
                yield part[0]
            else:
                yield replace(table, rows=part, columns=_columns(part))
        loose = []
        place = end
    yield from loose


def _with_signs(row: Row) -> Row:
    """Give currency signs, brackets and percent signs that stand alone to their figure."""
    if len(row.cells) < 2:
        return row
    cells: list[Cell] = []
    for cell in row.cells:
        last = cells[-1] if cells else None
        opens = last and _CURRENCY.fullmatch(last.text) and re.match(r"[\d(.,—–-]", cell.text)
        closes = (
            last
            and _CLOSING.fullmatch(cell.text)
            and last.text[-1:].isdigit()
            and cell.x0 - last.x1 < 3 * cell.size
        )
        ends = last and re.search(r"(?:^|\s)[$€£]$", last.text) and _is_figure(cell.text) and len(cells) > 1
        if last and (opens or closes or ends):
            cells[-1] = last.joined(cell)
        elif last and len(cells) == 1 and re.search(r"\s[$€£]$", last.text) and _is_figure(cell.text):
            sign = last.text[-1]
            edge = last.x1 - 0.6 * last.size
            cells[-1] = replace(last, text=last.text[:-1].rstrip(), x1=edge)
            cells.append(replace(cell, text=f"{sign} {cell.text}", x0=edge))
        else:
            cells.append(cell)
    return Row(cells=cells)


def _is_figure(text: str) -> bool:
    return bool(_FIGURE.fullmatch(text.strip()))


def _is_heading(text: str) -> bool:
    """Years, dates and words head a column; other figures fill it."""
    return bool(_YEAR.fullmatch(text.strip())) or not _is_figure(text)


def _run(rows: Sequence[Row], start: int) -> int:
    """Return the end of the run of table-like rows from `start`; `start` itself where there is none."""
    if len(rows[start].cells) < 2:
        return start
    last, singles = start, 0
    values_from = rows[start].cells[1].x0
    for place in range(start + 1, len(rows)):
        row, above = rows[place], rows[place - 1]
        if row.y0 - above.y1 > 2.6 * max(row.size, above.size):
            break
        if len(row.cells) >= 2:
            last, singles = place, 0
            values_from = min(values_from, row.cells[1].x0)
            continue
        singles += 1
        only = row.cells[0]
        if singles > 3 or (only.x1 > values_from + 4 and len(only.text) > _SENTENCE):
            break
    return last + 1


def _parts(rows: list[Row]) -> Iterator[list[Row]]:
    """Cut where new headers (a row of years) begin a further table below the first one's figures."""
    start, filled, first_head = 0, False, -1
    for place, row in enumerate(rows):
        values = row.cells[1:]
        if any(not _is_heading(cell.text) for cell in values):
            filled, first_head = True, -1
            continue
        is_label = len(row.cells) == 1 and row.cells[0].x0 <= rows[0].cells[0].x0 + 4
        first_head = -1 if is_label else place if first_head < 0 else first_head
        if filled and first_head >= 0 and sum(bool(_YEAR.fullmatch(c.text.strip())) for c in row.cells) >= 2:
            if place + 1 < len(rows):
                yield rows[start:first_head]
                start = first_head
                if len(rows[start].cells) == 1 and len(rows[start].cells[0].text) > _SENTENCE:
                    yield [rows[start]]
                    start += 1
            filled, first_head = False, -1
    yield rows[start:]


def _table(rows: Sequence[Row]) -> Table | None:
    multi = [row for row in rows if len(row.cells) >= 2]
    if len(multi) < 2:
        return None
    columns = _columns(rows)
    if len(columns) < 2:
        return None
    others = [cell for row in multi for cell in row.cells[1:]]
    figures = sum(_is_figure(cell.text) for cell in others)
    if len(multi) == 2 and not figures and max(len(row.cells) for row in multi) < 3:
        return None
    if figures < 0.5 * len(others) and not _aligned(multi, columns):
        return None
    if figures == 0 and sum(len(cell.text) > 80 for cell in others) > 0.5 * len(others):
        return None
    return Table(rows=list(rows), columns=columns)


def _columns(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Find the columns: the rows with most figures draw them, headers and totals only fill gaps."""
    multi = [row for row in rows if len(row.cells) >= 2]
    ranked = sorted(
        multi, key=lambda r: (sum(not _is_heading(c.text) for c in r.cells), len(r.cells)), reverse=True
    )
    columns: list[list[float]] = []
    for row in ranked:
        draws = any(not _is_heading(cell.text) for cell in row.cells) or row is ranked[0]
        for cell in row.cells:
            hit = [c for c in columns if min(cell.x1, c[1]) - max(cell.x0, c[0]) > 0]
            if not hit:
                columns.append([cell.x0, cell.x1])
            elif len(hit) == 1 and (
                draws or not any(_is_figure(c.text) for r in ranked[:1] for c in r.cells)
            ):
                hit[0][0], hit[0][1] = min(hit[0][0], cell.x0), max(hit[0][1], cell.x1)
    columns.sort()
    merged: list[list[float]] = []
    for column in columns:
        if merged and column[0] < merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], column[1])
        else:
            merged.append(column)
    return [(column[0], column[1]) for column in merged]


def _aligned(rows: Sequence[Row], columns: Sequence[tuple[float, float]]) -> bool:
    """Say whether most cells behind the first share a left, right or middle edge with one above or below."""
    good = total = 0
    by_column: dict[int, list[Cell]] = {}
    for row in rows:
        for cell in row.cells:
            by_column.setdefault(_column_of(cell, columns), []).append(cell)
    for place, cells in by_column.items():
        if place == 0:
            continue
        total += len(cells)
        edges = [[c.x0 for c in cells], [c.x1 for c in cells], [(c.x0 + c.x1) / 2 for c in cells]]
        best = max(max(sum(abs(a - b) < 3 for b in edge) for a in edge) for edge in edges)
        good += best if best >= 2 else 0
    return total >= 2 and good >= 0.6 * total


def _column_of(cell: Cell, columns: Sequence[tuple[float, float]]) -> int:
    def nearness(place: int) -> tuple[float, float]:
        x0, x1 = columns[place]
        return min(cell.x1, x1) - max(cell.x0, x0), -abs(cell.x0 + cell.x1 - x0 - x1)

    return max(range(len(columns)), key=nearness)


def _heads_above(loose: Sequence[Row], table: Table) -> int:
    """Count the rows just above a table that stand over its figures: "Years ended December 31,"."""
    heads, below = 0, table.rows[0]
    for row in reversed(loose[-3:]):
        only = row.cells[0]
        close = below.y0 - row.y1 < 1.2 * row.size
        over = only.x0 > table.columns[0][1] - 2 and only.x1 < table.columns[-1][1] + 30
        if not (close and len(only.text) < _SENTENCE and over and len(row.cells) == 1):
            break
        heads, below = heads + 1, row
    return heads


def table_text(table: Table) -> tuple[str, str, list[tuple[int, int, Cell]]]:
    """Write a table out: its text, its HTML, and (start, end, cell) for every cell in the text."""
    lines = [_line(row, table.columns) for row in table.rows]
    count = header_count(lines)
    heads, body = table.rows[:count], _with_wraps(lines[count:])
    names = _names(heads, table.columns)
    head_lines: list[Line[Cell]] = [list(row.cells) for row in heads]
    text, spans = write_grid(head_lines, body, names, _sections(body))
    return text, grid_html(lines[:count], body), spans


def _line(row: Row, columns: Sequence[tuple[float, float]]) -> Line[Cell]:
    line: Line[Cell] = [None] * len(columns)
    for cell in row.cells:
        place = _column_of(cell, columns)
        there = line[place]
        line[place] = cell if there is None else there.joined(cell)
    return line


def header_count(lines: Sequence[Line[Cell]]) -> int:
    """Count the leading rows that head columns instead of filling them."""
    count = 0
    for line in lines:
        values = [cell for cell in line[1:] if cell is not None]
        if not values and (count == 0 and line[0] is not None and not _is_unit(line[0].text)):
            break
        if any(not _is_heading(cell.text) for cell in values):
            break
        if not values and line[0] is not None and not _is_unit(line[0].text):
            break
        count += 1
    if count < len(lines):
        return count
    # Words everywhere: the first row heads the table if it is set apart or short and complete.
    first, rest = lines[0], lines[1:]
    bold = all(cell.bold for cell in first if cell) and not all(
        cell.bold for line in rest for cell in line if cell
    )
    short = all(cell is not None and len(cell.text.split()) <= 4 for cell in first) and len(lines) >= 3
    return 1 if bold or short else 0


def _is_unit(text: str) -> bool:
    opening = (
        r"\(?\$?\s*(?:in\b|amounts|dollars|unaudited|(?:\w+ )?(?:millions|thousands|billions)|as of|at\b|"
        r"(?:for the )?(?:fiscal )?(?:\w+ )?(?:years?|months?|quarters?)\b.*ended)"
    )
    return bool(re.match(opening, text, re.IGNORECASE))


def _with_wraps(lines: Sequence[Line[Cell]]) -> list[Line[Cell]]:
    """Put labels and cells that run over several lines back into one row."""
    rows: list[Line[Cell]] = []
    for line in lines:
        last = rows[-1] if rows else None
        if last is not None and _continues(last, line):
            rows[-1] = [
                b if a is None else a if b is None else a.joined(b) for a, b in zip(last, line, strict=True)
            ]
        else:
            rows.append(list(line))
    return rows


def _continues(last: Line[Cell], line: Line[Cell]) -> bool:
    label, above = line[0], last[0]
    bare, values = not any(last[1:]), [cell for cell in line[1:] if cell is not None]
    lowest = max(cell.y1 for cell in last if cell is not None)
    highest = min(cell.y0 for cell in line if cell is not None)
    size = next(cell.size for cell in line if cell is not None)
    if highest - lowest > 0.75 * size:
        return False
    if label is None:
        # A wrapped cell of words: nothing stands in the first column, and no figure anywhere.
        return not any(_is_figure(cell.text) for cell in values) and not bare
    if above is None:
        return False
    runs_on = (
        label.text[:1].islower()
        or label.text[:1] == "("
        or above.text.endswith((",", " and", " of", " or", " the", " to", " in", " for"))
    )
    if above.text.endswith(":"):
        return False
    if bare:
        return runs_on and label.x0 >= above.x0 - 2
    return not values and label.text[:1].islower()


def _sections(body: Sequence[Line[Cell]]) -> list[str]:
    """Say for each row which section it stands in: the label-only row above, while rows below are indented.

    Where nothing is indented, a section lasts until its total.
    """
    sections: list[str] = []
    current: Cell | None = None
    indented: bool | None = None
    for line in body:
        label = line[0]
        if label is not None and not any(line[1:]):
            current, indented = (label if len(label.text) <= _SENTENCE + 20 else None), None
            sections.append("")
            continue
        if current is not None and label is not None:
            deeper = label.x0 > current.x0 + 1
            indented = deeper if indented is None else indented
            if indented and not deeper:
                current = None
        sections.append(current.text.rstrip(": ") if current is not None and label is not None else "")
        if label is not None and not indented and label.text.lower().startswith(("total", "net cash")):
            current = None
    return sections


def _names(heads: Sequence[Row], columns: Sequence[tuple[float, float]]) -> list[str]:
    """Say what heads each column, top down; a header over several columns counts for each of them."""
    names: list[list[str]] = [[] for _ in columns]
    everywhere: list[str] = []
    cells = _stacked(heads, columns[0][1])
    for cell in cells:
        beside = [o for o in cells if o is not cell and o.y0 < cell.y1 - 2 and o.y1 > cell.y0 + 2]
        covered = [place for place in _covered(cell, beside, columns) if place > 0]
        if len(covered) == len(columns) - 1 > 1:
            everywhere.append(cell.text)
            continue
        for place in covered:
            names[place].append(cell.text)
    if everywhere and not any(names):
        names = [[], *([*everywhere] for _ in columns[1:])]
    return [" ".join(parts).replace("|", "/").rstrip(": ") for parts in names]


def _stacked(heads: Sequence[Row], labels_to: float) -> list[Cell]:
    """Join the lines of one header ("Gain reclassified" over "into income"); years stand for themselves."""
    cells: list[Cell] = []
    above = 0
    for row in heads:
        beside = sum(cell.x0 > labels_to - 2 for cell in row.cells)
        # More headers than on the line above are its parts, not its second line.
        parts, above = beside > above, beside
        for cell in row.cells:
            middle = cell.x0 + cell.x1
            over = [
                i
                for i, c in enumerate(cells)
                if abs(c.x0 + c.x1 - middle) < 2 * cell.size and 0 <= cell.y0 - c.y0 < 2 * cell.size
            ]
            if over and not parts and not _YEAR.fullmatch(cell.text.strip()):
                cells[over[-1]] = cells[over[-1]].joined(cell)
            else:
                cells.append(cell)
    return cells


def _covered(cell: Cell, others: Sequence[Cell], columns: Sequence[tuple[float, float]]) -> range:
    """Return the columns that a header stands over: the widest stretch it is centred on.

    Headers are narrower than what they span, so overlap alone gives too few; a column that another header
    of the same line stands over is never part of the stretch.
    """
    middle = (cell.x0 + cell.x1) / 2
    hit = _over(cell, columns)
    if not hit:
        if middle < columns[min(1, len(columns) - 1)][0] - 3 * cell.size:
            return range(0)
        near = min(range(1, len(columns)), key=lambda i: abs(sum(columns[i]) / 2 - middle))
        hit = [near]
    first, last = hit[0], hit[-1]
    single = abs(sum(columns[first]) / 2 - middle) < max(0.75 * (cell.x1 - cell.x0), 2 * cell.size)
    if first == last and single and others:
        return range(first, first + 1)
    taken = {place for other in others for place in _over(other, columns)}
    low_end = max((place + 1 for place in taken if place < first), default=1)
    high_end = min((place for place in taken if place > last), default=len(columns))
    best = range(first, last + 1)
    for low in range(first, low_end - 1, -1):
        for high in range(last, high_end):
            centre = (columns[low][0] + columns[high][1]) / 2
            if high - low >= len(best) and abs(centre - middle) < 1.2 * cell.size:
                best = range(low, high + 1)
    return best


def _over(cell: Cell, columns: Sequence[tuple[float, float]]) -> list[int]:
    return [i for i, (x0, x1) in enumerate(columns) if i and min(cell.x1, x1) - max(cell.x0, x0) > 0]


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
        put("\n")
    for row, line in enumerate(body):
        label, values = line[0], [(i, cell) for i, cell in enumerate(line) if i and cell is not None]
        if label is not None:
            put(f"{sections[row]}: " if row < len(sections) and sections[row] else "")
            # A figure is no name: "Offset: 72" says what "72" alone does not.
            put(f"{names[0]}: " if names and names[0] and _is_figure(label.text) else "")
            put(label.text, label)
        for place, (column, cell) in enumerate(values):
            put(" | " if place or label is not None else "")
            put(f"{names[column]}: " if column < len(names) and names[column] else "")
            put(cell.text, cell)
        put("\n")
    return "".join(parts).rstrip("\n"), spans


def grid_html(heads: Sequence[Line[Worded_]], body: Sequence[Line[Worded_]]) -> str:
    """Write a grid as a plain HTML table."""
    rows = [_html_row(line, "th") for line in heads] + [_html_row(line, "td") for line in body]
    return f"<table>{''.join(rows)}</table>"


def _html_row(line: Line[Worded_], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell.text) if cell else ''}</{tag}>" for cell in line) + "</tr>"
