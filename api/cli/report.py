"""What was read, for people: a line on each page, then its elements in order, tables as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SQUARE
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ingest.records import Element, GridCell, Page, Reading

STYLES = {
    "title": "bold red",
    "paragraph": "blue",
    "list": "green",
    "table": "magenta",
    "figure": "yellow",
    "caption": "yellow",
    "formula": "cyan",
    "footnote": "dim",
    "speech": "blue",
}
#: Shown of a text, of a table and of a cell, unless everything is wanted.
_CHARS, _ROWS, _COLUMNS, _CELL_CHARS = 300, 12, 8, 40


def tell(reading: Reading, out: Console, *, full: bool, depth: int = 0) -> None:
    """Print a reading, and what was packed in it below."""
    pages = "1 page" if len(reading.pages) == 1 else f"{len(reading.pages)} pages"
    out.print(Text(f"{'  ' * depth}{reading.name}: {reading.outcome}, {pages}", style="bold"))
    if reading.detail:
        out.print(Text(f"{reading.reason}: {reading.detail}" if reading.reason else reading.detail, "yellow"))
    for page in reading.pages:
        _tell_page(page, out, full=full)
    for attachment in reading.attachments:
        tell(attachment, out, full=full, depth=depth + 1)


def _tell_page(page: Page, out: Console, *, full: bool) -> None:
    flags = f" [{', '.join(page.flags)}]" if page.flags else ""
    out.print(Rule(Text(f"page {page.no} · {page.read_by}{flags}"), align="left", style="dim"))
    out.print(Text(page.reason, style="dim"))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for element in page.elements:
        grid.add_row(Text(_kind(element), style=STYLES[element.kind]), _shown(element, full=full))
    out.print(Padding(grid, (0, 0, 1, 1)))


def _kind(element: Element) -> str:
    if element.kind == "title" and element.level is not None:
        return f"title {element.level}"
    if element.cells:
        rows, columns = _size(element.cells)
        return f"table {rows} × {columns}"
    return element.kind


def _shown(element: Element, *, full: bool) -> RenderableType:
    if element.cells:
        return _grid(element.cells, full=full)
    text = element.text if full or len(element.text) <= _CHARS else f"{element.text[:_CHARS].rstrip()} …"
    return Text(text, style="bold" if element.kind == "title" else "")


def _grid(cells: tuple[GridCell, ...], *, full: bool) -> RenderableType:
    """Draw a grid; a spanning cell stands in its first place, and the places it covers hold a mark."""
    rows, columns = _size(cells)
    shown_rows, shown_columns = (rows, columns) if full else (min(rows, _ROWS), min(columns, _COLUMNS))
    places = [[Text("") for _ in range(columns)] for _ in range(rows)]
    for cell in cells:
        for row in range(cell.row, cell.row + cell.rowspan):
            for column in range(cell.col, cell.col + cell.colspan):
                places[row][column] = Text("↑" if row > cell.row else "←", style="dim")
        text = cell.text if full or len(cell.text) <= _CELL_CHARS else f"{cell.text[:_CELL_CHARS]}…"
        places[cell.row][cell.col] = Text(text, style="bold" if cell.header else "")
    table = Table(box=SQUARE, show_header=False, show_lines=True)
    for _ in range(shown_columns):
        table.add_column(overflow="fold")
    for line in places[:shown_rows]:
        table.add_row(*line[:shown_columns])
    if (shown_rows, shown_columns) != (rows, columns):
        table.caption = f"{shown_rows} of {rows} rows, {shown_columns} of {columns} columns; all with --full"
    return table


def _size(cells: tuple[GridCell, ...]) -> tuple[int, int]:
    return max(c.row + c.rowspan for c in cells), max(c.col + c.colspan for c in cells)
