"""Ruled tables: the lines decide, text that wraps stays in its cell, and what is no table is left alone."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ingest.grid import table_of
from ingest.records import GridCell
from ingest.ruled import Ruled, Stroke, ruled_tables
from ingest.structure import Word, lay_out


def grid(xs: Sequence[float], ys: Sequence[float]) -> list[Stroke]:
    levels = [Stroke(xs[0], y, xs[-1], y) for y in ys]
    return levels + [Stroke(x, ys[0], x, ys[-1]) for x in xs]


def word(text: str, x: float, y: float, *, bold: bool = False) -> Word:
    return Word(text, x, y, x + 5.0 * len(text), y + 10, 10.0, bold)


XS, YS = (50, 150, 250, 450), (100, 120, 140, 180)
WORDS = [
    word("Offset", 55, 105, bold=True),
    word("Size", 155, 105, bold=True),
    word("Meaning", 255, 105, bold=True),
    word("72", 55, 125),
    word("20", 155, 125),
    word("Reserved", 255, 125),
    word("92", 55, 152),
    word("4", 155, 152),
    word("version", 255, 145),
    word("number", 255, 160),
]


def test_a_page_without_lines_has_no_ruled_table() -> None:
    assert ruled_tables([], WORDS) == []


def test_a_frame_around_text_is_no_table() -> None:
    assert ruled_tables(grid((50, 450), (100, 180)), WORDS) == []


def test_the_grid_of_a_chart_is_no_table() -> None:
    lines = grid(range(50, 450, 20), range(100, 300, 20))
    assert ruled_tables(lines, WORDS[:5]) == []


def test_a_page_of_thousands_of_lines_is_a_drawing() -> None:
    lines = [Stroke(0, y / 10, 500, y / 10) for y in range(5000)]
    assert ruled_tables(lines, WORDS) == []


def text(table: Ruled) -> str:
    cells = [
        GridCell(
            row=c.row, col=c.col, rowspan=c.rowspan, colspan=c.colspan, text=c.cell.text, header=c.header
        )
        for c in table.found.cells
    ]
    return table_of(sorted(cells, key=lambda cell: (cell.row, cell.col))).text


def places(table: Ruled) -> dict[str, tuple[int, int, int, int]]:
    return {c.cell.text: (c.row, c.col, c.rowspan, c.colspan) for c in table.found.cells}


def test_text_that_wraps_stays_in_its_cell() -> None:
    (table,) = ruled_tables(grid(XS, YS), WORDS)
    assert text(table).splitlines() == [
        "Offset | Size | Meaning",
        "Offset: 72 | Size: 20 | Meaning: Reserved",
        "Offset: 92 | Size: 4 | Meaning: version number",
    ]


def test_every_cell_points_to_its_words() -> None:
    (table,) = ruled_tables(grid(XS, YS), WORDS)
    wrapped = next(c.cell for c in table.found.cells if c.cell.text == "version number")
    assert wrapped.rect == (255, 145, 290, 170)


def test_lines_drawn_cell_by_cell_and_twice_make_one_grid() -> None:
    pieces = [
        Stroke(x0 + 0.4, y, x1 - 0.4, y)
        for y in (*YS, 120.8)
        for x0, x1 in ((50, 150), (150, 250), (250, 450))
    ] + [Stroke(x, y0, x, y1) for x in XS for y0, y1 in ((100, 120), (120, 140), (140, 180))]
    (table,) = ruled_tables(pieces, WORDS)
    assert text(table) == text(ruled_tables(grid(XS, YS), WORDS)[0])


def test_a_header_over_two_columns_heads_both() -> None:
    lines = [
        *(Stroke(50, y, 350, y) for y in (100, 140, 160)),
        Stroke(150, 120, 350, 120),
        *(Stroke(x, 100, x, 160) for x in (50, 150, 350)),
        Stroke(250, 120, 250, 160),
    ]
    words = [
        word("Segment", 55, 115),
        word("Revenue", 155, 105),
        word("2023", 155, 125),
        word("2024", 255, 125),
        word("East", 55, 145),
        word("410", 155, 145),
        word("425", 255, 145),
    ]
    (table,) = ruled_tables(lines, words)
    assert text(table).splitlines()[-1] == "East | Revenue 2023: 410 | Revenue 2024: 425"
    assert places(table)["Revenue"] == (0, 1, 1, 2)
    assert places(table)["Segment"] == (0, 0, 2, 1)
    assert [c.cell.text for c in table.found.cells if c.header] == ["Segment", "Revenue", "2023", "2024"]


def test_a_table_without_a_frame_ends_where_its_lines_end() -> None:
    lines = [Stroke(50, y, 450, y) for y in YS] + [Stroke(x, YS[0], x, YS[-1]) for x in XS[1:-1]]
    (table,) = ruled_tables(lines, WORDS)
    assert text(table) == text(ruled_tables(grid(XS, YS), WORDS)[0])


def test_a_header_between_two_bars_belongs_to_the_grid_below() -> None:
    lines = [*grid(XS, YS[1:]), Stroke(50, 100, 450, 100)]
    (table,) = ruled_tables(lines, WORDS)
    assert text(table).splitlines()[1] == "Offset: 72 | Size: 20 | Meaning: Reserved"


def test_headers_that_read_upwards_head_their_columns() -> None:
    upward = [word(w.text, w.x0, w.y0)._replace(turn=270) if w.bold else w for w in WORDS]
    (table,) = ruled_tables(grid(XS, YS), upward)
    assert places(table)["Meaning"] == (0, 2, 1, 1)


def test_a_word_that_reaches_over_a_line_is_cut_there() -> None:
    twins = Word("XX", 140, 125, 162, 135, 10.0)
    words = [w for w in WORDS if w.text not in {"72", "20"}] + [twins]
    (table,) = ruled_tables(grid(XS, YS), words)
    row = {(c.row, c.col): c.cell.text for c in table.found.cells}
    assert (row[1, 0], row[1, 1]) == ("X", "X")


def test_rows_of_figures_without_lines_between_them_are_rows() -> None:
    lines = grid((50, 150, 250, 350), (100, 120, 200))
    words = [word("Name", 55, 105), word("2023", 155, 105), word("2022", 255, 105)]
    for i in range(4):
        words += [word(f"n{i}", 55, 125 + 15 * i), word(f"{i}1", 155, 125 + 15 * i)]
        words.append(word(f"{i}2", 255, 125 + 15 * i))
    (table,) = ruled_tables(lines, words)
    assert text(table).splitlines()[1:] == [f"n{i} | 2023: {i}1 | 2022: {i}2" for i in range(4)]


def test_boxes_joined_by_lines_are_a_diagram() -> None:
    boxes = [
        stroke
        for x, y in ((50, 100), (200, 160), (350, 220), (50, 280))
        for stroke in grid((x, x + 80), (y, y + 30))
    ]
    lines = [*boxes, Stroke(130, 115, 200, 115), Stroke(200, 115, 200, 160), Stroke(280, 175, 350, 175)]
    lines += [Stroke(350, 175, 350, 220), Stroke(90, 130, 90, 280)]
    words = [word("box", x + 5, y + 5) for x, y in ((50, 100), (200, 160), (350, 220), (50, 280))]
    assert ruled_tables(lines, words * 2) == []


def test_currency_signs_in_a_column_of_their_own_go_with_their_figures() -> None:
    lines = grid((50, 150, 165, 220, 235), (100, 120, 140, 160))
    words = [word("Sales", 55, 125), word("$", 152, 125), word("1,058", 170, 125), word("%", 222, 125)]
    words += [word("Costs", 55, 145), word("586", 170, 145), word("2023", 170, 105), word("Year", 55, 105)]
    (table,) = ruled_tables(lines, words)
    assert text(table).splitlines()[1:] == ["Sales | 2023: $ 1,058 %", "Costs | 2023: 586"]


def test_a_short_line_above_becomes_the_caption() -> None:
    above = [word("Header", 55, 85), word("Format", 95, 85)]
    blocks = lay_out([*above, *WORDS], width=500, height=800, strokes=grid(XS, YS))
    assert [block.element.kind for block in blocks] == ["caption", "table"]


@given(
    st.lists(
        st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(1, 200), st.booleans()),
        min_size=4,
        max_size=40,
    ),
    st.lists(st.tuples(st.floats(0, 480), st.floats(0, 480)), min_size=1, max_size=40),
)
def test_whatever_the_lines_no_word_is_lost_or_doubled(
    lines: list[tuple[float, float, float, bool]], places: list[tuple[float, float]]
) -> None:
    strokes = [
        Stroke(x, y, x + length, y) if level else Stroke(x, y, x, y + length) for x, y, length, level in lines
    ]
    words = [word(f"w{i}", x, y) for i, (x, y) in enumerate(places)]
    tables = ruled_tables(strokes, words)
    held = [i for table in tables for i in table.held]
    assert len(held) == len(set(held))
    for table in tables:
        said = [token for c in table.found.cells for token in c.cell.text.split()]
        assert "".join(sorted("".join(said))) == "".join(sorted("".join(f"w{i}" for i in table.held)))
        spots = [
            (row, column)
            for c in table.found.cells
            for row in range(c.row, c.row + c.rowspan)
            for column in range(c.col, c.col + c.colspan)
        ]
        assert len(spots) == len(set(spots))
