"""Tables on pages drawn with known grids: found cell by cell, and nothing else taken for one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ingest.decide import judge
from ingest.pages import read_sheets
from ingest.records import Element
from ingest.structure import finish, lay_out
from tests.bench.grid_score import Score, compare
from tests.ingest import made_tables
from tests.ingest.tiny_pdf import tiny_pdf

#: Not the seeds that the bench measures with.
SEEDS = (101, 102)


def read(folder: Path, pdf: bytes, pages: int = 1) -> list[tuple[Element, ...]]:
    path = folder / "a.pdf"
    path.write_bytes(pdf)
    laid_out = []
    for sheet in read_sheets(path, 1, pages):
        assert not isinstance(sheet, Exception)
        words = judge(sheet).words
        laid_out.append(lay_out(words, width=sheet.width_pt, height=sheet.height_pt, strokes=sheet.strokes))
    return finish(laid_out)


def tables(pages: list[tuple[Element, ...]]) -> list[tuple[int, Element]]:
    return [(no, e) for no, page in enumerate(pages, start=1) for e in page if e.kind == "table"]


def scored(pages: list[tuple[Element, ...]], made: made_tables.Made) -> Score:
    score = Score()
    compare([(no, e.cells) for no, e in tables(pages)], made.grids, score)
    return score


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", made_tables.KINDS)
def test_a_made_table_is_found_cell_by_cell(kind: str, seed: int, tmp_path: Path) -> None:
    made = made_tables.page(kind, seed)
    score = scored(read(tmp_path, made.pdf), made)
    assert score.tables.predicted == 1
    assert score.cells.f1 >= 0.9
    assert score.neighbours.f1 >= 0.85


@pytest.mark.parametrize("kind", ["ruled", "ruled spans", "booktabs", "bare figures"])
def test_a_table_that_lies_on_its_side_reads_as_if_it_stood(kind: str, tmp_path: Path) -> None:
    made = made_tables.lying(kind, 101)
    assert scored(read(tmp_path, made.pdf), made).cells.f1 >= 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_a_table_in_one_of_two_columns_takes_no_word_of_the_other(seed: int, tmp_path: Path) -> None:
    made = made_tables.in_a_column(seed)
    score = scored(read(tmp_path, made.pdf), made)
    assert (score.tables.predicted, score.cells.f1) == (1, 1.0)


@pytest.mark.parametrize("kind", ["ruled spans", "filing", "bare wrapped"])
def test_every_cell_and_span_points_into_its_table(kind: str, tmp_path: Path) -> None:
    ((_, table),) = tables(read(tmp_path, made_tables.page(kind, 101).pdf))
    said = {cell.text for cell in table.cells}
    assert {table.text[span.start : span.end] for span in table.spans} == said
    around = table.box
    assert around is not None
    for cell in table.cells:
        assert cell.box is not None
        assert around.x0 <= cell.box.x0 < cell.box.x1 <= around.x1
        assert around.y0 <= cell.box.y0 < cell.box.y1 <= around.y1


@pytest.mark.parametrize("repeat", [True, False])
@pytest.mark.parametrize("rules", ["grid", "book", "none"])
def test_a_table_over_pages_keeps_the_names_of_its_columns(rules: str, repeat: bool, tmp_path: Path) -> None:
    made = made_tables.over_pages(101, repeat=repeat, rules=rules)
    pages = read(tmp_path, made.pdf, pages=3)
    found = [table for _, table in tables(pages)]
    assert ["data-continued" in (table.html or "") for table in found] == [False, True, True]
    names = [cell.text for cell in made.grids[0][1] if cell.row == 0 and cell.col > 0]
    for table in found:
        last = table.text.splitlines()[-1]
        assert all(f"{name}: " in last for name in names)
    assert scored(pages, made).cells.f1 >= 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_other_tables_on_the_next_page_are_no_continuation(seed: int, tmp_path: Path) -> None:
    """One table ends a page; another, with headers of its own, begins the next."""
    rng = random.Random(seed)
    sheets = []
    for kind in ("booktabs", "ruled", "ruled spans", "bare figures", "filing"):
        canvas = made_tables.Canvas()
        for top in (790.0, 320.0):
            made_tables.draw(canvas, made_tables.KINDS[kind](rng), 60, top, 9.0)
        sheets.append(made_tables.on_sheet(canvas, width=900))
    found = tables(read(tmp_path, tiny_pdf(sheets), pages=len(sheets)))
    assert len(found) >= 8
    assert not any("data-continued" in (table.html or "") for _, table in found)


def test_prose_in_one_two_and_three_columns_holds_no_table(tmp_path: Path) -> None:
    sheets = []
    for columns, width in ((1, 470.0), (2, 225.0), (3, 145.0)):
        rng, canvas = random.Random(columns), made_tables.Canvas()
        for column in range(columns):
            y = 790.0
            for lines in (12, 9, 14):
                y = made_tables.prose(canvas, rng, 50 + column * (width + 22), y - 12, width, 9, lines)
        sheets.append(made_tables.on_sheet(canvas))
    assert tables(read(tmp_path, tiny_pdf(sheets), pages=3)) == []


def test_a_long_table_is_read_in_time_that_grows_with_its_rows(tmp_path: Path) -> None:
    """Count what is made, not seconds: every row once, none lost, on one endless page."""
    rows = 1500
    texts = [
        made_tables.Text(x=x, y=rows * 12.0 - 12.0 * row, text=text, size=9)
        for row in range(rows)
        for x, text in ((50, f"row {row}"), (200, str(row)), (300, str(2 * row)))
    ]
    sheet = made_tables.Sheet(texts=texts, media_box=(0, 0, 595, rows * 12.0 + 50))
    ((_, table),) = tables(read(tmp_path, tiny_pdf([sheet])))
    assert len(table.cells) == 3 * rows
    assert max(cell.row for cell in table.cells) == rows - 1
