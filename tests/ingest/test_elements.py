from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import docx
import pptx
import pytest
from PIL import Image
from pptx.util import Inches

from ingest.elements import read_html, read_sections, visible_html
from ingest.sections import Piece
from ingest.sources import DOCX, HTML, PPTX, RST

# Vendors of unstructured warn about their own futures; that is not what is tested here.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)


def read(folder: Path, content: str | bytes, media_type: str, name: str = "a") -> list[Piece]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [piece for section in read_sections(path, media_type, None) for piece in section]


def rows(table: Piece) -> list[list[str]]:
    """The texts of a grid, row by row, without its gaps."""
    lines: dict[int, list[str]] = {}
    for cell in table.cells:
        lines.setdefault(cell.row, []).append(cell.text)
    return [lines[row] for row in sorted(lines)]


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
    assert rows(pieces[-1]) == [["Year", "Sales"], ["2023", "12"]]
    assert [cell.header for cell in pieces[-1].cells] == [True, True, False, False]


def test_cells_over_several_rows_keep_their_span(tmp_path: Path) -> None:
    page = """<table><tr><th>Quarter</th><th>Month</th><th>Sales</th></tr>
      <tr><td rowspan="2">Q1</td><td>May</td><td>3</td></tr><tr><td>June</td><td>4</td></tr></table>"""
    (table,) = read(tmp_path, page, HTML)
    spanning = [(cell.text, cell.row, cell.col, cell.rowspan) for cell in table.cells if cell.row > 0]
    assert spanning == [("Q1", 1, 0, 2), ("May", 1, 1, 1), ("3", 1, 2, 1), ("June", 2, 1, 1), ("4", 2, 2, 1)]


def test_a_table_that_only_lays_a_page_out_is_text(tmp_path: Path) -> None:
    page = "<table><tr><td><p>One column of words.</p></td></tr><tr><td>Another line.</td></tr></table>"
    assert [piece.kind for piece in read(tmp_path, page, HTML)] == ["paragraph", "paragraph"]


def test_a_table_stays_between_the_words_around_it() -> None:
    table = "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
    pieces = read_html(f"<p>Before it.</p>{table}after it<p>The end.</p>{table}")
    assert [piece.kind for piece in pieces] == ["paragraph", "table", "paragraph", "paragraph", "table"]


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
    assert rows(table) == [["name", "price"], ["Nut; bolt", "3,50"], ["Screw", "1", "extra"]]


def test_word_files_give_headings_and_tables(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("Handbook", level=1)
    document.add_paragraph("Every machine is switched off at six in the evening.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ("Machine", "Watts", "Lathe", "900"), strict=True):
        cell.text = text
    document.save(str(tmp_path / "a.docx"))
    ((title, paragraph, grid),) = read_sections(tmp_path / "a.docx", DOCX, None)
    assert (title.kind, title.level, paragraph.kind) == ("title", 1, "paragraph")
    assert rows(grid) == [["Machine", "Watts"], ["Lathe", "900"]]


def test_the_words_of_embedded_pictures_stand_where_the_pictures_do(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100), "white").save(tmp_path / "p.png")
    document = docx.Document()
    document.add_paragraph("Words above.")
    document.add_picture(str(tmp_path / "p.png"))
    document.add_picture(str(tmp_path / "p.png"))
    document.add_paragraph("Words below.")
    document.save(str(tmp_path / "a.docx"))
    (section,) = read_sections(tmp_path / "a.docx", DOCX, lambda png: ["Seen in", "the picture"])
    said = [(piece.kind, piece.text) for piece in section]
    # The same picture twice is read once: logos stand on every slide.
    assert said == [
        ("paragraph", "Words above."),
        ("figure", "Seen in\nthe picture"),
        ("paragraph", "Words below."),
    ]


def test_restructured_text_is_read_and_includes_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret words")
    text = f"""Guide\n=====\n\nSome words here.\n\n.. include:: {tmp_path / "secret.txt"}\n
.. raw:: html\n\n   <p>raw markup</p>\n\n* one item\n"""
    pieces = read(tmp_path, text, RST)
    assert (pieces[0].kind, pieces[0].text) == ("title", "Guide")
    assert "Some words here." in words(pieces)
    assert "secret words" not in words(pieces)
    assert "raw markup" not in words(pieces)


def test_prose_in_hard_lines_is_joined_and_other_lines_stay(tmp_path: Path) -> None:
    prose = (
        "The harbour master signs every permit before noon,\nand keeps a copy in the office by the gate.\n"
    )
    listing = "\n- first thing\n- second thing\n\nkey = 1\nother = 2\n\nOPENING HOURS\n"
    pieces = read(tmp_path, prose + listing, "text/plain")
    assert [piece.kind for piece in pieces] == ["paragraph", "list", "paragraph", "title"]
    assert "\n" not in pieces[0].text
    assert pieces[2].text == "key = 1\nother = 2"


def test_each_slide_is_a_section_with_its_notes(tmp_path: Path) -> None:
    deck = pptx.Presentation()
    for title in ("First", "Second"):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = title
        box = slide.shapes.add_textbox(Inches(1), Inches(2), Inches(4), Inches(1))
        box.text_frame.text = f"Words of the {title} slide"
        slide.notes_slide.notes_text_frame.text = f"Say this on {title}"
    deck.save(str(tmp_path / "a.pptx"))
    sections = read_sections(tmp_path / "a.pptx", PPTX, None)
    assert [section[0].text for section in sections] == ["First", "Second"]
    assert ["Say this on Second" in words(section) for section in sections] == [False, True]


def test_reading_downloads_nothing_and_calls_nobody(tmp_path: Path) -> None:
    """In a plain process: pytest's own variables would silence a library that hides from tests."""
    (tmp_path / "a.html").write_text("<p>A sentence. Another one, to be told apart from the first.</p>")
    script = f"""
import socket, sys
def refused(*a, **k):
    print("CALLED", a, file=sys.stderr); raise OSError("no network")
socket.getaddrinfo = socket.socket.connect = refused
from pathlib import Path
from ingest.elements import read_sections
assert read_sections(Path({str(tmp_path / "a.html")!r}), "text/html", None)
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
