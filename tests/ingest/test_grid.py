"""Grids: what a table of cells says as lines and as HTML, and what HTML says as cells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.grid import grid_of_html, grid_of_rows, head_rows, html_of, table_of
from ingest.records import Box, GridCell

NESTED = """
<table><thead><tr><th rowspan="2">Segment<th colspan="2">Revenue</tr><tr><th>2023<th>2024</tr></thead>
<tr><td>East<br>side<td>410<td>425</tr><tr><td rowspan=2>West<td>7<td></tr><tr><td>8<td>
<table><tr><td>in<td>side</table></tr>
</table><table><tr><td>another</table>
"""


def places(cells: tuple[GridCell, ...]) -> dict[str, tuple[int, int, int, int]]:
    return {cell.text: (cell.row, cell.col, cell.rowspan, cell.colspan) for cell in cells}


def test_spans_headers_and_tables_within_cells_of_html_come_out_whole() -> None:
    cells = grid_of_html(NESTED)
    assert places(cells) == {
        "Segment": (0, 0, 2, 1),
        "Revenue": (0, 1, 1, 2),
        "2023": (1, 1, 1, 1),
        "2024": (1, 2, 1, 1),
        "East side": (2, 0, 1, 1),
        "410": (2, 1, 1, 1),
        "425": (2, 2, 1, 1),
        "West": (3, 0, 2, 1),
        "7": (3, 1, 1, 1),
        "8": (4, 1, 1, 1),
        "in side": (4, 2, 1, 1),
    }
    assert head_rows(cells) == 2


def test_each_row_reads_without_its_neighbours() -> None:
    assert table_of(grid_of_html(NESTED)).text.splitlines() == [
        "Segment | Revenue",
        "2023 | 2024",
        "East side | Revenue 2023: 410 | Revenue 2024: 425",
        "West | Revenue 2023: 7",
        "West | Revenue 2023: 8 | Revenue 2024: in side",
    ]


def test_html_is_written_with_head_spans_and_empty_places() -> None:
    cells = (
        GridCell(row=0, col=0, rowspan=2, text="a<b", header=True),
        GridCell(row=0, col=1, colspan=2, text="c", header=True),
        GridCell(row=1, col=2, text="d", header=True),
        GridCell(row=2, col=1, text="e"),
    )
    assert html_of(cells) == (
        '<table><thead><tr><th rowspan="2">a&lt;b</th><th colspan="2">c</th></tr>'
        "<tr><th></th><th>d</th></tr></thead>"
        "<tbody><tr><td></td><td>e</td><td></td></tr></tbody></table>"
    )


def test_a_table_without_marks_is_headed_by_a_first_row_of_words() -> None:
    assert head_rows(grid_of_html("<table><tr><td>Year<td>Sum<tr><td>2023<td>5</table>")) == 1
    assert head_rows(grid_of_html("<table><tr><td>4<td>5<tr><td>2<td>5</table>")) == 0


def test_rows_and_columns_without_words_are_left_out() -> None:
    cells = grid_of_rows([["", "Name", "", "Size"], ["", "", "", ""], ["", "x", "", "5"]])
    assert places(cells) == {"Name": (0, 0, 1, 1), "Size": (0, 1, 1, 1), "x": (1, 0, 1, 1), "5": (1, 1, 1, 1)}


def test_html_without_a_table_has_no_cells() -> None:
    assert grid_of_html("<p>none</p>") == ()
    assert grid_of_html("") == ()


def test_a_section_is_said_in_its_rows_until_its_total() -> None:
    rows = [["", "2023"], ["Assets:", ""], ["Cash", "5"], ["Total", "5"], ["Shares", "9"]]
    assert table_of(grid_of_rows(rows, heads=1)).text.splitlines() == [
        "2023",
        "Assets:",
        "Assets: Cash | 2023: 5",
        "Assets: Total | 2023: 5",
        "Shares | 2023: 9",
    ]


def test_a_table_that_goes_on_takes_the_names_given() -> None:
    rest = grid_of_rows([["Cash", "5"]], heads=0)
    assert table_of(rest, given=["Item", "2023"]).text == "Cash | 2023: 5"


def test_spans_of_cells_with_boxes_say_what_they_cover() -> None:
    box = Box(x0=0.1, y0=0.1, x1=0.2, y1=0.2)
    element = table_of(
        [GridCell(row=0, col=0, rowspan=2, text="A", box=box), GridCell(row=1, col=1, text="B", box=box)]
    )
    assert [element.text[span.start : span.end] for span in element.spans] == ["A", "A", "B"]


WORDS = st.sampled_from(["", "a", "B c", "7", "1,200", "<&>", "2023"])


@given(st.lists(st.lists(WORDS, min_size=3, max_size=3), min_size=1, max_size=6), st.integers(0, 2))
def test_what_is_written_as_html_is_read_back_as_the_same_grid(rows: list[list[str]], heads: int) -> None:
    cells = grid_of_rows(rows, heads=heads)
    read = grid_of_html(html_of(cells))
    assert places(read) == places(cells)
    if head_rows(cells):
        assert head_rows(read) == head_rows(cells)


@given(st.text(alphabet="<>/tabledrhow spn=\"'0123", max_size=80))
def test_any_markup_gives_cells_that_do_not_overlap(text: str) -> None:
    taken: set[tuple[int, int]] = set()
    for cell in grid_of_html(f"<table><tr><td rowspan=2>x{text}"):
        spots = {
            (row, column)
            for row in range(cell.row, cell.row + cell.rowspan)
            for column in range(cell.col, cell.col + cell.colspan)
        }
        assert not spots & taken
        taken |= spots
