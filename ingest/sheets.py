"""Workbooks: each sheet a section, its used cells a grid, merged cells as spans; XLSX and XLS.

openpyxl and xlrd give the values as they were last computed; formulas, macros and external links stay what
they are: not read, not run, not followed. A large sheet is streamed, without its merged cells.
"""

from __future__ import annotations

import datetime as dt
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.errors import Damaged, Encrypted, TooLarge
from ingest.listings import guessed_heads
from ingest.records import GridCell
from ingest.sections import Piece

_MAX_CELLS = 1_000_000
#: Unpacked sheets beyond this are streamed: openpyxl holds 50 times their size otherwise.
_STREAMED_FROM = 8 * 1024 * 1024
Grid = dict[tuple[int, int], str]
Merged = dict[tuple[int, int], tuple[int, int]]


def read_xlsx(path: Path) -> list[list[Piece]]:
    """Read a workbook of today; hidden sheets are left out."""
    import openpyxl

    with zipfile.ZipFile(path) as archive:
        size = sum(one.file_size for one in archive.infolist() if one.filename.startswith("xl/worksheets/"))
    streamed = size > _STREAMED_FROM
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # openpyxl warns of every extension that it drops
        # By handle, not by name: it refuses names that it does not like.
        book = openpyxl.load_workbook(file, read_only=streamed, data_only=True, keep_links=False)
        return _xlsx_sections(book, streamed=streamed)


def _xlsx_sections(book: Any, *, streamed: bool) -> list[list[Piece]]:
    sections: list[list[Piece]] = []
    budget = _MAX_CELLS
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            continue
        grid = _xlsx_grid(sheet, budget)
        budget -= len(grid)
        merged = {} if streamed else _merged(sheet)
        sections.append(_section(str(sheet.title), grid, merged))
    return [section for section in sections if section]


def _xlsx_grid(sheet: Any, budget: int) -> Grid:
    grid: Grid = {}
    for row in sheet.iter_rows():
        for cell in row:
            if cell.value is not None and (text := _said(cell.value, str(cell.number_format or ""))):
                grid[cell.row - 1, cell.column - 1] = text
        _within(len(grid), budget)
    return grid


def _merged(sheet: Any) -> Merged:
    return {
        (area.min_row - 1, area.min_col - 1): (
            area.max_row - area.min_row + 1,
            area.max_col - area.min_col + 1,
        )
        for area in sheet.merged_cells.ranges
    }


def read_xls(path: Path) -> list[list[Piece]]:
    """Read a workbook from before 2007; raises Encrypted or Damaged."""
    import xlrd

    try:
        book = xlrd.open_workbook(str(path), on_demand=True, formatting_info=False)
    except xlrd.XLRDError as error:
        if "encrypt" in str(error).lower():
            raise Encrypted("The workbook is protected by a password; save a copy without one.") from error
        raise Damaged("The workbook does not open; save it again as .xlsx.") from error
    sections: list[list[Piece]] = []
    budget = _MAX_CELLS
    for name in book.sheet_names():
        sheet = book.sheet_by_name(name)
        grid: Grid = {}
        for row in range(sheet.nrows):
            for col, cell in enumerate(sheet.row(row)):
                if text := _xls_said(cell, book.datemode):
                    grid[row, col] = text
            _within(len(grid), budget)
        budget -= len(grid)
        sections.append(_section(name, grid, {}))
    return [section for section in sections if section]


def _xls_said(cell: Any, datemode: int) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return _said(xlrd.xldate_as_datetime(cell.value, datemode), "")
        except (ValueError, OverflowError):
            return _said(cell.value, "")
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return ""
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return "true" if cell.value else "false"
    return _said(cell.value, "")


def _within(count: int, budget: int) -> None:
    if count > budget:
        raise TooLarge(f"The workbook has over {_MAX_CELLS} cells; split it and add the parts.")


def _said(value: object, number_format: str) -> str:
    """Say a value as people see it: dates without midnight, whole numbers without a point, percents."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ", "minutes")
    if isinstance(value, float | int):
        if number_format.rstrip("_)").endswith("%"):
            return f"{float(value) * 100:.6g}%"
        whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
        return str(int(value)) if whole else f"{value:.12g}" if isinstance(value, float) else str(value)
    return " ".join(str(value).split())


def _section(name: str, grid: Grid, merged: Merged) -> list[Piece]:
    """Make a sheet's pieces: its name, then a table for each block of rows that an empty row ends."""
    if not grid:
        return []
    tables = (Piece(kind="table", cells=tuple(_cells(grid, merged, rows))) for rows in _blocks(grid))
    return [Piece(kind="title", text=name, level=1), *map(_worded, tables)]


def _blocks(grid: Grid) -> Iterator[list[int]]:
    block: list[int] = []
    for row in sorted({row for row, _ in grid}):
        if block and row > block[-1] + 1:
            yield block
            block = []
        block.append(row)
    yield block


def _cells(grid: Grid, merged: Merged, rows: list[int]) -> Iterator[GridCell]:
    by_row: dict[int, list[int]] = {row: [] for row in rows}
    for row, col in grid:
        if row in by_row:
            by_row[row].append(col)
    left = min(min(cols) for cols in by_row.values())
    right = max(max(cols) for cols in by_row.values())
    heads = _heads(grid, by_row, left, right, merged)
    for at, row in enumerate(rows):
        for col in sorted(by_row[row]):
            rowspan, colspan = merged.get((row, col), (1, 1))
            yield GridCell(
                row=at,
                col=col - left,
                rowspan=min(rowspan, len(rows) - at),
                colspan=colspan,
                text=grid[row, col],
                header=at < heads,
            )


def _heads(grid: Grid, by_row: dict[int, list[int]], left: int, right: int, merged: Merged) -> int:
    """Count the header rows: one of names, and one above it whose cells span several columns."""
    rows = sorted(by_row)
    first = [[grid.get((row, col), "") for col in range(left, right + 1)] for row in rows[:3]]
    spans = any(merged.get((rows[0], col), (1, 1))[1] > 1 for col in by_row[rows[0]])
    if spans and len(rows) > 2 and guessed_heads(first[1:]):
        return 2
    return guessed_heads(first)


def _worded(piece: Piece) -> Piece:
    """A block of one column is no table: its cells are lines."""
    if max(cell.col for cell in piece.cells) > 0:
        return piece
    return Piece(kind="paragraph", text="\n".join(cell.text for cell in piece.cells))
