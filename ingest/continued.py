"""Tables that go on over the page: the further parts take the names of their columns from the first.

Elements stay on their page, for citations point to pages. A part is known by where it stands: the last thing
of one page and the first of the next, between the margins, with columns in the same places. Its `<table>` is
marked `data-continued`; where it has no header of its own, its lines read with the names of the first part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingest.grid import column_names, head_rows, plain, table_of
from ingest.records import Element, GridCell

#: How a continuation is marked in its HTML.
MARK = "<table data-continued>"
#: A table goes on from within this share of the page's height above its foot, to this below its head.
_FOOT, _HEAD = 0.66, 0.25
#: Columns stand in the same place within this share of the page's width.
_SAME = 0.02


def joined(pages: Sequence[tuple[Element, ...]]) -> list[tuple[Element, ...]]:
    """Mark tables that go on from the page before, and give their columns the names of the first part."""
    done: list[tuple[Element, ...]] = []
    names: list[str] = []
    for page in pages:
        above = _last_table(done[-1]) if done else None
        below = _first_table(page)
        if above is None or below is None or not _goes_on(above, page[below]):
            done.append(page)
            names = _names(page)
            continue
        part = page[below]
        headed = head_rows(part.cells) > 0
        if not headed and names and len(names) == _width(part):
            part = table_of(part.cells, indents=_indents(part.cells), given=names)
        part = replace(part, html=(part.html or "").replace("<table>", MARK, 1))
        page = (*page[:below], part, *page[below + 1 :])
        done.append(page)
        # What a middle part ends with goes on under the first part's names.
        whole = sum(element.kind == "table" for element in page) == 1
        names = names if whole and not headed else _names(page)
    return done


def _names(page: Sequence[Element]) -> list[str]:
    """Return the names of the columns of a page's last table; [] where it has no header."""
    table = _last_table(page)
    return column_names(table.cells) if table is not None and head_rows(table.cells) else []


def _width(table: Element) -> int:
    return max(cell.col + cell.colspan for cell in table.cells)


def _indents(cells: Sequence[GridCell]) -> list[float]:
    """How far labels are set in, in thousandths of the page's width."""
    edges = [0.0] * (max(cell.row for cell in cells) + 1)
    for cell in cells:
        if cell.col == 0 and cell.box is not None:
            edges[cell.row] = 600 * cell.box.x0
    return edges


def _last_table(page: Sequence[Element]) -> Element | None:
    """Return the table that a page ends with."""
    placed = [element for element in page if element.spans and element.kind != "footnote"]
    if not placed or placed[-1].kind != "table" or not placed[-1].cells:
        return None
    box = placed[-1].box
    lowest = max((e.box.y1 for e in placed if e.box is not None), default=0.0)
    return placed[-1] if box is not None and box.y1 > _FOOT and box.y1 >= lowest - 0.02 else None


def _first_table(page: Sequence[Element]) -> int | None:
    """Return the place of the table that a page begins with; a word that it goes on may stand above."""
    for place, element in enumerate(page):
        if element.kind == "table" and element.cells:
            return place if element.box is not None and element.box.y0 < _HEAD else None
        if not _says_it_goes_on(element.text):
            return None
    return None


_SIGNS = ("continued", "cont'd", "cont’d", "cont.")


def _says_it_goes_on(text: str) -> bool:
    return len(text) < 120 and any(
        sign in text.lower() for sign in ("continued", "cont'd", "cont.", "cont’d")
    )


def _goes_on(above: Element, below: Element) -> bool:
    """Say whether one table is the rest of another: columns in the same places, no header or the same."""
    first, second = _columns(above), _columns(below)
    if len(first) != len(second) or len(first) < 2:
        return False
    if not all(_stand_alike(a, b) for a, b in zip(first, second, strict=True)):
        return False
    headed = head_rows(below.cells)
    if not headed:
        return True
    return [plain(n) for n in column_names(above.cells)] == [plain(n) for n in column_names(below.cells)]


def _stand_alike(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Say whether two columns share their left edge, their right edge or their middle."""
    edges = (abs(a[0] - b[0]), abs(a[1] - b[1]), abs(a[0] + a[1] - b[0] - b[1]) / 2)
    return min(edges) < _SAME


def _columns(table: Element) -> list[tuple[float, float]]:
    """Return where the cells of each column begin and end, headers aside, as shares of the page's width."""
    width = _width(table)
    edges: list[list[tuple[float, float]]] = [[] for _ in range(width)]
    heads = head_rows(table.cells)
    for cell in table.cells:
        if cell.box is not None and cell.colspan == 1 and cell.row >= heads:
            edges[cell.col].append((cell.box.x0, cell.box.x1))
    if not all(edges):
        return []
    return [(min(x0 for x0, _ in column), max(x1 for _, x1 in column)) for column in edges]
