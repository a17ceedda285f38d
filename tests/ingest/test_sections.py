from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import TooManyPages
from ingest.records import GridCell
from ingest.sections import ROOM, Piece, paged, parts, split, table_of


def title(text: str, level: int) -> Piece:
    return Piece(kind="title", text=text, level=level)


def prose(text: str) -> Piece:
    return Piece(kind="paragraph", text=text)


def test_a_text_is_cut_at_its_highest_headings() -> None:
    pieces = [prose("Before."), title("A", 2), title("a", 3), prose("x"), title("B", 2), prose("y")]
    assert [[piece.text for piece in part] for part in split(pieces)] == [
        ["Before."],
        ["A", "a", "x"],
        ["B", "y"],
    ]


def test_pages_have_no_box_and_no_image() -> None:
    (page,) = paged([[title("T", 1), prose("Words.")]], max_pages=9)
    assert (page.no, page.has_image, page.read_by) == (1, False, "file")
    assert [(element.box, element.spans) for element in page.elements] == [(None, ()), (None, ())]


def test_a_long_section_goes_on_and_takes_its_heading_along() -> None:
    section = [prose("word " * 400), title("Next", 2), prose("more " * 300)]
    first, second = paged([section], max_pages=9)
    assert [element.kind for element in first.elements] == ["paragraph"]
    assert [element.text[:4] for element in second.elements] == ["Next", "more"]


def test_a_long_table_goes_on_between_rows_with_its_header() -> None:
    rows = [["Item", "Price"], *([f"Part number {no}", f"{no}.50"] for no in range(300))]
    pages = paged([[table_of(rows, heads=1)]], max_pages=99)
    assert len(pages) > 1
    lines = [line for page in pages for element in page.elements for line in element.text.split("\n")]
    assert lines.count("Item | Price") == len(pages)
    assert [line for line in lines if line != "Item | Price"] == [
        f"Part number {no} | Price: {no}.50" for no in range(300)
    ]
    for page in pages:
        (table,) = page.elements
        assert len(table.text) <= ROOM
        assert (table.cells[0].text, table.cells[0].header, table.cells[0].row) == ("Item", True, 0)
        assert (table.html or "").startswith(
            "<table><thead><tr><th>Item</th><th>Price</th></tr></thead><tbody><tr><td>Part"
        )


def test_spans_are_in_the_html_and_said_in_each_row() -> None:
    cells = (
        GridCell(row=0, col=0, text="Year", header=True),
        GridCell(row=0, col=1, colspan=2, text="Sales", header=True),
        GridCell(row=1, col=0, rowspan=2, text="Q1"),
        GridCell(row=1, col=1, text="3"),
        GridCell(row=1, col=2, text="4"),
        GridCell(row=2, col=1, text="5"),
        GridCell(row=2, col=2, text="6"),
    )
    (page,) = paged([[Piece(kind="table", cells=cells)]], max_pages=1)
    (table,) = page.elements
    assert table.text == "Year | Sales\nQ1 | Sales: 3 | Sales: 4\nQ1 | Sales: 5 | Sales: 6"
    assert table.html == (
        '<table><thead><tr><th>Year</th><th colspan="2">Sales</th></tr></thead><tbody>'
        '<tr><td rowspan="2">Q1</td><td>3</td><td>4</td></tr><tr><td>5</td><td>6</td></tr></tbody></table>'
    )


def test_too_many_sections_are_refused_and_none_say_so() -> None:
    with pytest.raises(TooManyPages):
        paged([[prose("a")], [prose("b")], [prose("c")]], max_pages=2)
    (page,) = paged([], max_pages=2)
    assert (page.elements, page.flags) == ((), ("no_text",))


@given(st.text(alphabet="ab. \n。", max_size=400), st.integers(5, 60))
def test_cutting_loses_no_word(text: str, room: int) -> None:
    cut = list(parts(text, room))
    assert all(0 < len(part) <= room for part in cut)
    assert "".join("".join(cut).split()) == "".join(text.split())


@given(st.lists(st.lists(st.text(alphabet="ab ", max_size=900), min_size=2, max_size=4), max_size=9))
def test_every_page_fits_and_every_cell_is_said(rows: list[list[str]]) -> None:
    rows = [[" ".join(cell.split()) for cell in row] for row in rows]
    pages = paged([[table_of(rows, heads=0)]], max_pages=999)
    said = "".join("".join(e.text for page in pages for e in page.elements).split()).replace("|", "")
    assert said == "".join("".join(cell.split()) for row in rows for cell in row)
    assert all(sum(len(e.text) for e in page.elements) <= ROOM for page in pages)
