"""Tables found by alignment: rows whose cells stand in the same columns, with what heads each column.

Made for the tables of financial reports, which have no ruling lines: labels on the left, `$` and brackets
around figures, headers over several lines and columns, section rows such as "Operating activities:". Text is
written one line a row, `label | header: value`, so that a row is understood without its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ingest.cells import Cell, Found, Placed, Row
from ingest.grid import YEAR, Line, is_figure, is_heading, is_unit
from ingest.signs import CLOSING, OPENING


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


_BULLET = re.compile(r"[•●○▪■◦‣➢➤✓❖☐☑□\uf0b7\x84](?:\s|$)")
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
        end = _with_tail(rows, end, table.columns)
        table = replace(table, rows=list(rows[place:end]))
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
        opens = last and OPENING.fullmatch(last.text) and re.match(r"[\d(.,—–-]", cell.text)
        closes = (
            last
            and CLOSING.fullmatch(cell.text)
            and last.text[-1:].isdigit()
            and cell.x0 - last.x1 < 3 * cell.size
        )
        ends = last and re.search(r"(?:^|\s)[$€£]$", last.text) and is_figure(cell.text) and len(cells) > 1
        if last and (opens or closes or ends):
            cells[-1] = last.joined(cell)
        elif last and len(cells) == 1 and re.search(r"\s[$€£]$", last.text) and is_figure(cell.text):
            sign = last.text[-1]
            edge = last.x1 - 0.6 * last.size
            cells[-1] = replace(last, text=last.text[:-1].rstrip(), x1=edge)
            cells.append(replace(cell, text=f"{sign} {cell.text}", x0=edge))
        else:
            cells.append(cell)
    return Row(cells=cells)


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


def _with_tail(rows: Sequence[Row], end: int, columns: Sequence[tuple[float, float]]) -> int:
    """Return the end of a table with the last lines of its last row: they fill one column and no more."""
    while end < len(rows) and len(rows[end].cells) == 1:
        only, above = rows[end].cells[0], rows[end - 1]
        place = _column_of(only, columns)
        over = [cell for cell in above.cells if _column_of(cell, columns) == place]
        if not place or not over or only.y0 - above.y1 > 0.5 * only.size:
            break
        if (
            abs(only.x0 - over[0].x0) > 3
            or only.x1 > columns[place][1] + only.size
            or only.bold != over[0].bold
        ):
            break
        end += 1
    return end


def _parts(rows: list[Row]) -> Iterator[list[Row]]:
    """Cut where new headers (a row of years) begin a further table below the first one's figures."""
    start, filled, first_head = 0, False, -1
    for place, row in enumerate(rows):
        values = row.cells[1:]
        if any(not is_heading(cell.text) for cell in values):
            filled, first_head = True, -1
            continue
        is_label = len(row.cells) == 1 and row.cells[0].x0 <= rows[0].cells[0].x0 + 4
        first_head = -1 if is_label else place if first_head < 0 else first_head
        if filled and first_head >= 0 and sum(bool(YEAR.fullmatch(c.text.strip())) for c in row.cells) >= 2:
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
    figures = sum(is_figure(cell.text) for cell in others)
    if len(multi) == 2 and not figures and not all(cell.bold for cell in multi[0].cells):
        return None
    if figures < 0.5 * len(others) and not _aligned(multi, columns):
        return None
    if figures == 0 and sum(len(cell.text) > 80 for cell in others) > 0.5 * len(others):
        return None
    if _is_beside_prose(multi):
        return None
    if not figures and (_is_prose(multi, columns) or _is_list(multi)):
        return None
    return Table(rows=list(rows), columns=columns)


def _is_prose(rows: Sequence[Row], columns: Sequence[tuple[float, float]]) -> bool:
    """Say whether rows are lines of prose side by side: four words and more in most cells of every column."""
    words: list[list[int]] = [[] for _ in columns]
    for row in rows:
        for cell in row.cells:
            words[_column_of(cell, columns)].append(len(cell.text.split()))
    return all(sum(count >= 4 for count in column) >= 0.7 * len(column) for column in words)


def _is_beside_prose(rows: Sequence[Row]) -> bool:
    """Say whether what stands on the left is a paragraph: its lines are long and go on with the next."""
    pairs = [(a.cells[0].text, b.cells[0].text) for a, b in pairwise(rows)]
    going = sum(
        min(len(a.split()), len(b.split())) >= 5 and b[:1].islower() and a[-1:] not in ".:;" for a, b in pairs
    )
    return going >= 2 and going >= 0.4 * len(pairs)


def _is_list(rows: Sequence[Row]) -> bool:
    """Say whether most cells are items of lists that stand side by side."""
    cells = [cell for row in rows for cell in row.cells]
    return sum(bool(_BULLET.match(cell.text)) for cell in cells) > 0.4 * len(cells)


def _columns(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """Find the columns: the rows with most figures draw them, headers and totals only fill gaps."""
    multi = [row for row in rows if len(row.cells) >= 2]
    ranked = sorted(
        multi, key=lambda r: (sum(not is_heading(c.text) for c in r.cells), len(r.cells)), reverse=True
    )
    columns: list[list[float]] = []
    for row in ranked:
        draws = any(not is_heading(cell.text) for cell in row.cells) or row is ranked[0]
        for cell in row.cells:
            hit = [c for c in columns if min(cell.x1, c[1]) - max(cell.x0, c[0]) > 0]
            if not hit:
                columns.append([cell.x0, cell.x1])
            elif len(hit) == 1 and (draws or not any(is_figure(c.text) for r in ranked[:1] for c in r.cells)):
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


def placed(table: Table) -> Found:
    """Put a table's cells in their places: headers with what they span, wrapped cells as one."""
    lines = [_line(row, table.columns) for row in table.rows]
    count = header_count(lines)
    cells, depth = _head_cells(table.rows[:count], table.columns)
    body = _with_wraps(lines[count:])
    cells += [
        Placed(cell, depth + row, column)
        for row, line in enumerate(body)
        for column, cell in enumerate(line)
        if cell is not None
    ]
    labels = [line[0].x0 if line and line[0] is not None else 0.0 for line in body]
    return Found(cells, table.size, [0.0] * depth + labels)


def _head_cells(heads: Sequence[Row], columns: Sequence[tuple[float, float]]) -> tuple[list[Placed], int]:
    """Place header cells: lines of one header as one row, what a spanning header parts into as the next."""
    levels: list[list[tuple[Cell, range]]] = []
    for row in heads:
        line = _stretches(row, columns)
        last = levels[-1] if levels else None
        if last is not None and _goes_on(last, line):
            _merge(last, line)
        else:
            levels.append(line)
    _sink(levels)
    levels = [level for level in levels if level]
    placed = [
        Placed(cell, row, columns_.start, colspan=len(columns_), header=True)
        for row, level in enumerate(levels)
        for cell, columns_ in level
    ]
    return _reaching_down(placed, len(levels)), len(levels)


def _stretches(row: Row, columns: Sequence[tuple[float, float]]) -> list[tuple[Cell, range]]:
    """Return a header line's cells with the columns that each stands over, none of them over two."""
    line: list[tuple[Cell, range]] = []
    for cell in row.cells:
        place = _column_of(cell, columns)
        stretch = range(place, place + 1)
        if place:
            stretch = _covered(cell, [other for other in row.cells if other is not cell], columns) or stretch
        free = line[-1][1].stop if line else 0
        stretch = range(max(free, stretch.start), stretch.stop)
        if stretch:
            line.append((cell, stretch))
        else:
            line[-1] = (line[-1][0].joined(cell), line[-1][1])
    return line


def _goes_on(level: list[tuple[Cell, range]], line: list[tuple[Cell, range]]) -> bool:
    """Say whether a header line goes on with the level above: each cell below one alike, or below none."""
    lowest, highest = max(c.y1 for c, _ in level), min(c.y0 for c, _ in line)
    if highest - lowest > 0.6 * line[0][0].size:
        return False
    for cell, stretch in line:
        above = [(c, s) for c, s in level if set(s) & set(stretch)]
        if any(s != stretch or len(s) > 1 for _, s in above):
            return False
        if above and YEAR.fullmatch(cell.text.strip()) and is_unit(above[0][0].text):
            return False
    return not any(len(s) > 1 for _, s in level)


def _merge(level: list[tuple[Cell, range]], line: list[tuple[Cell, range]]) -> None:
    for cell, stretch in line:
        place = next((i for i, (_, s) in enumerate(level) if s == stretch), None)
        if place is None:
            level.append((cell, stretch))
        else:
            level[place] = (level[place][0].joined(cell), stretch)


def _sink(levels: list[list[tuple[Cell, range]]]) -> None:
    """Join a header beside a spanning one with its second line, which stands in the row of the parts."""
    for upper, lower in pairwise(levels):
        for cell, stretch in list(upper):
            below = next(((c, s) for c, s in lower if s == stretch), None)
            if len(stretch) > 1 or below is None or YEAR.fullmatch(below[0].text.strip()):
                continue
            if below[0].y0 - cell.y1 < 0.4 * cell.size:
                upper[upper.index((cell, stretch))] = (cell.joined(below[0]), stretch)
                lower.remove(below)


def _reaching_down(cells: list[Placed], depth: int) -> list[Placed]:
    """Let a header with nothing below it reach down to the body."""
    taken = {(c.row, column) for c in cells for column in range(c.col, c.col + c.colspan)}

    def reach(cell: Placed) -> int:
        rows = 1
        while cell.row + rows < depth and not any(
            (cell.row + rows, column) in taken for column in range(cell.col, cell.col + cell.colspan)
        ):
            rows += 1
        return rows

    return [c._replace(rowspan=reach(c)) for c in cells]


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
    while count < len(lines) and _may_head(lines[count], lines[:count], lines[count + 1 :]):
        count += 1
    if count == len(lines):
        count = 1
    return count if count > 1 or (count and _stands_out(lines[0], lines[1:])) else 0


def _may_head(line: Line[Cell], above: Sequence[Line[Cell]], below: Sequence[Line[Cell]]) -> bool:
    label, values = line[0], [cell for cell in line[1:] if cell is not None]
    if any(not is_heading(cell.text) for cell in values):
        return False
    if not values:
        return label is None or is_unit(label.text)
    named = any(other[0] is not None and not is_unit(other[0].text) for other in above)
    if label is None or is_unit(label.text) or not named:
        return True
    # A second row with a label is a row of words, unless it looks like the first.
    return any(YEAR.fullmatch(cell.text.strip()) for cell in values) or _is_set_apart(line, below)


def _is_set_apart(line: Line[Cell], below: Sequence[Line[Cell]]) -> bool:
    """Say whether a row is bold and what is below it is not."""
    return all(cell.bold for cell in line if cell) and not all(
        cell.bold for other in below for cell in other if cell
    )


def _stands_out(first: Line[Cell], rest: Sequence[Line[Cell]]) -> bool:
    """Say whether the one row that may head a table does: by its looks, or by what its columns hold."""
    label, values = first[0], [cell for cell in first[1:] if cell is not None]
    if label is None or not values or is_unit(label.text) or _is_set_apart(first, rest):
        return True
    if any(YEAR.fullmatch(cell.text.strip()) for cell in values):
        return True
    filled = [cell for line in rest for cell in line[1:] if cell is not None]
    figures = sum(is_figure(cell.text) for cell in filled)
    pairs = len(first) == 2
    if filled and figures >= (0.8 if pairs else 0.4) * len(filled):
        return True
    if len(rest) < 2 or not all(cell is not None and len(cell.text.split()) <= 4 for cell in first):
        return False
    # A key and its value are no header; a short row above sentences is.
    return not pairs or sum(len(cell.text.split()) for cell in filled) > 4 * len(filled)


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
        return not any(is_figure(cell.text) for cell in values) and not bare
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
