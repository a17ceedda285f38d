from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from pptx.util import Inches

from ingest.elements import Piece, read_pieces, visible_html
from ingest.sources import DOCX, HTML, PPTX, XLSX

# Vendors of unstructured warn about their own futures; that is not what is tested here.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)


def read(folder: Path, content: str | bytes, media_type: str, name: str = "a") -> list[Piece]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [piece for section in read_pieces(path, media_type) for piece in section]


def words(pieces: list[Piece]) -> str:
    return " ".join(piece.text for piece in pieces)


def test_what_nobody_sees_of_a_page_is_not_read(tmp_path: Path) -> None:
    page = """<html><head><title>Seen</title><style>.x{}</style></head><body>
      <script>alert('script')</script><!-- comment --><p>Visible words stand here.</p>
      <p hidden>attribute</p><p style="display: none">styled</p><span style="font-size:0">tiny</span>
      <div aria-hidden="true">aria</div><template>template</template><noscript>noscript</noscript>
      <img src="x.png" alt="alternative"><iframe srcdoc="inner"></iframe></body></html>"""
    said = words(read(tmp_path, page, HTML))
    assert "Visible words stand here." in said
    for hidden in (
        "script",
        "comment",
        "attribute",
        "styled",
        "tiny",
        "aria",
        "template",
        "alternative",
        "inner",
    ):
        assert hidden not in said


def test_external_entities_and_processing_instructions_go_nowhere() -> None:
    page = visible_html('<?xml version="1.0"?><p>a<?php system("x") ?>b</p>')
    assert "system" not in page


def test_an_empty_page_has_no_pieces(tmp_path: Path) -> None:
    assert read(tmp_path, "<html></html>", HTML) == []


def test_headings_lists_and_tables_of_html_keep_their_kind(tmp_path: Path) -> None:
    page = """<h1>Top</h1><h3>Third</h3><p>A paragraph of several words.</p><ul><li>one item</li></ul>
      <table><tr><th>Year</th><th>Sales</th></tr><tr><td>2023</td><td>12</td></tr></table>"""
    pieces = read(tmp_path, page, HTML)
    assert [(p.kind, p.level) for p in pieces[:2]] == [("title", 1), ("title", 3)]
    assert [p.kind for p in pieces[2:]] == ["paragraph", "list", "table"]
    assert (pieces[-1].rows, pieces[-1].heads) == ((("Year", "Sales"), ("2023", "12")), 1)


def test_cells_over_several_rows_are_said_in_each(tmp_path: Path) -> None:
    page = """<table><tr><th>Quarter</th><th>Month</th><th>Sales</th></tr>
      <tr><td rowspan="2">Q1</td><td>May</td><td>3</td></tr><tr><td>June</td><td>4</td></tr></table>"""
    (table,) = read(tmp_path, page, HTML)
    assert table.rows[1:] == (("Q1", "May", "3"), ("Q1", "June", "4"))


def test_markdown_text_and_mail_are_read(tmp_path: Path) -> None:
    pieces = read(
        tmp_path, "# Guide\n\nSome words here.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", "text/markdown"
    )
    assert [p.kind for p in pieces] == ["title", "paragraph", "table"]
    assert "Plain words." in words(read(tmp_path, "Plain words.\n\nMore of them.", "text/plain"))
    mail = "From: a@example.org\nTo: b@example.org\nSubject: Offer 12\n\nThe price is 40 euros.\n"
    said = words(read(tmp_path, mail, "message/rfc822"))
    assert "Offer 12" in said
    assert "The price is 40 euros." in said


def test_ragged_csv_keeps_every_cell(tmp_path: Path) -> None:
    (table,) = read(tmp_path, 'name;price\n"Nut; bolt";3,50\nScrew;1;extra\n', "text/csv")
    assert table.rows == (("name", "price", ""), ("Nut; bolt", "3,50", ""), ("Screw", "1", "extra"))


def test_word_files_give_headings_and_tables(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("Handbook", level=1)
    document.add_paragraph("Every machine is switched off at six in the evening.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ("Machine", "Watts", "Lathe", "900"), strict=True):
        cell.text = text
    document.save(str(tmp_path / "a.docx"))
    ((title, paragraph, grid),) = read_pieces(tmp_path / "a.docx", DOCX)
    assert (title.kind, title.level, paragraph.kind) == ("title", 1, "paragraph")
    assert grid.rows == (("Machine", "Watts"), ("Lathe", "900"))


def test_each_slide_and_each_sheet_is_a_section(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    for title in ("First", "Second"):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = title
        box = slide.shapes.add_textbox(Inches(1), Inches(2), Inches(4), Inches(1))
        box.text_frame.text = f"Words of the {title} slide"
    deck.save(str(tmp_path / "a.pptx"))
    sections = read_pieces(tmp_path / "a.pptx", PPTX)
    assert [section[0].text for section in sections] == ["First", "Second"]
    book = openpyxl.Workbook()
    book.active.append(["Item", "Price"])
    book.active.append(["Nut", 3])
    book.create_sheet("More").append(["Only one row", "here"])
    book.save(tmp_path / "a.xlsx")
    assert len(read_pieces(tmp_path / "a.xlsx", XLSX)) == 2


def test_reading_downloads_nothing_and_calls_nobody(tmp_path: Path) -> None:
    """In a plain process: pytest's own variables would silence a library that hides from tests."""
    (tmp_path / "a.txt").write_text("A sentence. Another one, to be told apart from the first.")
    script = f"""
import socket, sys
def refused(*a, **k):
    print("CALLED", a, file=sys.stderr); raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = refused
from pathlib import Path
from ingest.elements import read_pieces
assert read_pieces(Path({str(tmp_path / "a.txt")!r}), "text/plain")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "CALLED" not in done.stderr
