"""Ruled tables: the lines decide, text that wraps stays in its cell, and what is no table is left alone."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ingest.ruled import Stroke, ruled_tables
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


def test_text_that_wraps_stays_in_its_cell() -> None:
    (table,) = ruled_tables(grid(XS, YS), WORDS)
    assert table.text.splitlines() == [
        "Offset | Size | Meaning",
        "Offset: 72 | Size: 20 | Meaning: Reserved",
        "Offset: 92 | Size: 4 | Meaning: version number",
    ]


def test_every_cell_points_to_its_words() -> None:
    (table,) = ruled_tables(grid(XS, YS), WORDS)
    wrapped = next(cell for start, end, cell in table.cells if table.text[start:end] == "version number")
    assert wrapped.rect == (255, 145, 290, 170)


def test_lines_drawn_cell_by_cell_and_twice_make_one_grid() -> None:
    pieces = [
        Stroke(x0 + 0.4, y, x1 - 0.4, y)
        for y in (*YS, 120.8)
        for x0, x1 in ((50, 150), (150, 250), (250, 450))
    ] + [Stroke(x, y0, x, y1) for x in XS for y0, y1 in ((100, 120), (120, 140), (140, 180))]
    (table,) = ruled_tables(pieces, WORDS)
    assert table.text == ruled_tables(grid(XS, YS), WORDS)[0].text


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
    assert table.text.splitlines()[-1] == "East | Revenue 2023: 410 | Revenue 2024: 425"


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
        assert all(f"w{i}" in table.text.replace("|", " ").replace(":", " ").split() for i in table.held)
