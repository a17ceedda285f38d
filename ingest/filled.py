"""A table as a model cut it, with a parser's words and boxes in its cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ingest.grid import write_grid
from ingest.markup import GridText, grid_html
from ingest.records import Box, Element, GridCell, Span


class Filled(NamedTuple):
    """What stands in a cell; satisfies what `grid.write_grid` asks for."""

    text: str
    box: Box | None
    #: Whether the model's spelling stands for the parser's somewhere in it.
    by_model: bool = False


def table_element(grid: Sequence[GridText], cells: Sequence[Filled]) -> Element:
    """Write a grid out: a line a row for retrieval, HTML, and cell by cell; `cells` stand for the model's."""
    heads = _head_rows(grid)
    columns = max(cell.col + cell.colspan for cell in grid)
    kept = [
        replace(cell, text=filled.text, header=cell.header or cell.row < heads)
        for cell, filled in zip(grid, cells, strict=True)
    ]
    lines: dict[int, list[Filled | None]] = {cell.row: [None] * columns for cell in grid}
    for cell, filled in zip(grid, cells, strict=True):
        lines[cell.row][cell.col] = filled if filled.text else None
    rows = [(row, lines[row]) for row in sorted(lines) if any(lines[row])]
    text, places = write_grid(
        [line for row, line in rows if row < heads],
        [line for row, line in rows if row >= heads],
        _names(kept, heads, columns),
    )
    return Element(
        kind="table",
        text=text,
        spans=tuple(Span(start=a, end=b, box=cell.box) for a, b, cell in places if cell.box is not None),
        html=grid_html(kept),
        cells=tuple(
            GridCell(
                row=cell.row,
                col=cell.col,
                rowspan=cell.rowspan,
                colspan=cell.colspan,
                text=cell.text,
                box=filled.box,
                header=cell.header,
            )
            for cell, filled in zip(kept, cells, strict=True)
        ),
        by_model=any(cell.by_model for cell in cells),
    )


def _head_rows(grid: Sequence[GridText]) -> int:
    """Count the rows on top that head the columns: as marked, else one row of words above figures."""
    rows = sorted({cell.row for cell in grid})
    heads = 0
    for row in rows[:-1]:
        cells = [cell for cell in grid if cell.row == row and cell.text]
        if not cells or not all(cell.header for cell in cells):
            break
        heads = row + 1
    if heads or len(rows) < 2 or any(cell.header for cell in grid):
        return heads
    first = [cell.text for cell in grid if cell.row == rows[0] and cell.text]
    below = [cell.text for cell in grid if cell.row > rows[0] and cell.col]
    figures = sum(bool(re.search(r"\d", text)) for text in below)
    return int(bool(first) and not any(re.search(r"\d", t) for t in first[1:]) and figures > 0.5 * len(below))


def _names(grid: Sequence[GridText], heads: int, columns: int) -> list[str]:
    """Name each column by the header cells over it, the outer first."""
    names: list[list[str]] = [[] for _ in range(columns)]
    for cell in sorted((c for c in grid if c.row < heads and c.text), key=lambda c: (c.row, c.col)):
        for column in range(cell.col, min(columns, cell.col + cell.colspan)):
            names[column].append(cell.text)
    return [" ".join(parts) for parts in names]
