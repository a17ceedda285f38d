"""`pagewarden read` from outside: what was read on stdout, a code that tells, and pictures if asked for."""

from __future__ import annotations

import json
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

from api.schemas import reading_out
from ingest.outlines import COLOURS
from ingest.records import Box, Element, GridCell, Page, Reading, Span
from tests.api.test_cli import fits, pagewarden
from tests.ingest.tiny_pdf import Sheet, Text, tiny_pdf

SENTENCE = "Harbour dues are paid at the office before the ship leaves the port."


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    """Write three pages, each with a heading and a sentence."""
    sheets = [
        Sheet(
            texts=[
                Text(x=72, y=700, text=f"Chapter {no}", size=20, bold=True),
                Text(x=72, y=650, text=SENTENCE),
                Text(x=72, y=636, text="They are not paid back."),
            ]
        )
        for no in (1, 2, 3)
    ]
    path = tmp_path / "dues.pdf"
    path.write_bytes(tiny_pdf(sheets))
    return path


def read(path: Path, *words: str, cwd: Path) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    told = pagewarden("read", str(path), "--json", *words, home=cwd / "home")
    lines = told.stdout.splitlines()
    assert len(lines) == 1, told.stderr
    fits("read", json.loads(lines[0]))
    return json.loads(lines[0]), told


def test_a_pdf_is_told_page_by_page_in_the_form_that_was_promised(pdf: Path, tmp_path: Path) -> None:
    whole, told = read(pdf, cwd=tmp_path)
    assert told.returncode == 0
    assert list(whole) == ["outcome", "reason", "detail", "pages", "attachments"]
    assert (whole["outcome"], whole["reason"], whole["attachments"]) == ("ok", None, [])
    assert [page["page_no"] for page in whole["pages"]] == [1, 2, 3]
    page = whole["pages"][1]
    assert set(page) == {"page_no", "reader", "why", "flags", "start_s", "end_s", "elements"}
    assert (page["reader"], page["flags"], page["start_s"]) == ("text-layer", [], None)
    assert "words in the text layer" in page["why"]
    title, paragraph = page["elements"]
    assert (title["kind"], title["text"]) == ("title", "Chapter 2")
    assert paragraph["text"] == f"{SENTENCE} They are not paid back."
    assert set(title) == {"kind", "text", "html", "box", "cells"}
    assert (title["html"], title["cells"]) == (None, [])
    x0, y0, x1, y1 = title["box"]
    assert 0.1 < x0 < x1 < 0.5
    assert 0.1 < y0 < y1 < 0.2
    assert not (tmp_path / "home").exists(), "nothing is shelved"


def test_one_page_is_read_by_itself(pdf: Path, tmp_path: Path) -> None:
    one, told = read(pdf, "--page", "2", cwd=tmp_path)
    assert told.returncode == 0
    assert [page["page_no"] for page in one["pages"]] == [2]
    assert pagewarden("read", str(pdf), "--page", "4", home=tmp_path).returncode == 2


def test_people_get_a_report(pdf: Path, tmp_path: Path) -> None:
    told = pagewarden("read", str(pdf), "--page", "3", home=tmp_path)
    assert told.returncode == 0
    assert "page 3 · text-layer" in told.stdout
    assert "title 1" in told.stdout
    assert "Harbour dues are paid" in told.stdout


def test_pages_are_drawn_where_asked_for(pdf: Path, tmp_path: Path) -> None:
    told = pagewarden("read", str(pdf), "--page", "2", "--show", str(tmp_path / "out"), home=tmp_path)
    assert told.returncode == 0, told.stderr
    (drawn,) = (tmp_path / "out").iterdir()
    assert (drawn.name, str(drawn) in told.stdout) == ("2.png", True)
    colours = {colour for _, colour in Image.open(drawn).convert("RGB").getcolors(1 << 20) or []}
    assert {COLOURS["title"], COLOURS["paragraph"]} <= colours
    assert COLOURS["table"] not in colours


def test_text_has_no_pages_to_draw_and_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text(SENTENCE)
    whole, told = read(path, cwd=tmp_path)
    assert told.returncode == 0
    assert [e["text"] for page in whole["pages"] for e in page["elements"]] == [SENTENCE]


def test_a_picture_is_read_by_eye(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="the extra `local` is not installed")
    picture = Image.new("RGB", (900, 300), "white")
    ImageDraw.Draw(picture).text((40, 100), "Harbour office", fill="black", font=ImageFont.load_default(48))
    buffer = BytesIO()
    picture.save(buffer, "PNG", dpi=(150, 150))
    path = tmp_path / "scan.png"
    path.write_bytes(buffer.getvalue())
    whole, told = read(path, cwd=tmp_path)
    assert told.returncode == 0
    (page,) = whole["pages"]
    assert (page["reader"], page["elements"][0]["text"]) == ("ocr-layout", "Harbour office")


FAULTS = {
    "none.pdf": (None, "missing"),
    "empty.pdf": (b"", "empty"),
    "cut.pdf": (b"%PDF-1.7\nnothing else", "damaged"),
    "locked.pdf": (tiny_pdf([Sheet(texts=[Text(x=72, y=700, text="x")])], encrypt=True), "encrypted"),
    "odd.bin": (b"\x00\x01\x02\x03" * 99, "unknown_type"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_that_fails_says_why_in_the_same_form(tmp_path: Path, name: str) -> None:
    content, reason = FAULTS[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    whole, told = read(tmp_path / name, cwd=tmp_path)
    assert told.returncode == 3
    assert (whole["outcome"], whole["reason"], whole["pages"]) == ("failed", reason, [])
    assert whole["detail"] in told.stderr.replace("\n", " ")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    whole, told = read(tmp_path, cwd=tmp_path)
    assert (told.returncode, whole["reason"]) == (3, "missing")


def test_cells_and_attachments_are_told_with_their_places() -> None:
    box = Box(x0=-0.00001, y0=0.1, x1=0.5, y1=0.123456789)
    cells = (
        GridCell(row=0, col=0, colspan=2, text="Both", box=box, header=True),
        GridCell(row=1, col=0, text="a"),
        GridCell(row=1, col=1, text="b", box=box),
    )
    table = Element(
        kind="table", text="Both", spans=(Span(start=0, end=4, box=box),), html="<table/>", cells=cells
    )
    page = Page(no=1, width_pt=1, height_pt=1, read_by="file", reason="a file", elements=(table,))
    inner = Reading(name="inner.txt", outcome="failed", reason="empty", detail="It is empty.")
    told = reading_out(Reading(name="a.eml", outcome="partial", pages=(page,), attachments=(inner,)))
    fits("read", told.model_dump(mode="json"))
    shown = told.pages[0].elements[0]
    assert shown.box == (0.0, 0.1, 0.5, 0.12346)
    assert shown.cells[0].model_dump() == {
        **{"row": 0, "col": 0, "rowspan": 1, "colspan": 2, "text": "Both"},
        "box": (0.0, 0.1, 0.5, 0.12346),
    }
    assert shown.cells[1].box is None
    assert (told.attachments[0].name, told.attachments[0].reason) == ("inner.txt", "empty")
