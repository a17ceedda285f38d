from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ingest.elements import Piece
from ingest.errors import TooLarge
from ingest.typeset import Sheet, blank, typeset


def set_(*sections: list[Piece], max_pages: int = 50) -> list[Sheet]:
    return list(typeset(sections, name="file.docx", max_pages=max_pages))


def paragraph(text: str) -> Piece:
    return Piece(kind="paragraph", text=text)


def table(*rows: tuple[str, ...], heads: int = 1) -> Piece:
    return Piece(kind="table", text="", rows=rows, heads=heads)


def inked(sheet: Sheet, box: tuple[float, float, float, float]) -> bool:
    width, height = sheet.picture.size
    crop = sheet.picture.crop(
        (int(box[0] * width), int(box[1] * height), int(box[2] * width) + 1, int(box[3] * height) + 1)
    )
    low, _ = crop.convert("L").getextrema()
    return isinstance(low, int) and low < 140


def test_more_pages_than_allowed_are_refused() -> None:
    with pytest.raises(TooLarge, match="2 pages"):
        set_([paragraph("word " * 6000)], max_pages=2)


def test_a_file_without_text_has_one_page_that_says_so() -> None:
    sheet = blank("empty.xlsx")
    assert sheet.page.elements == ()
    assert sheet.page.reason == "The file holds no text."


def test_every_box_has_its_ink() -> None:
    (sheet,) = set_(
        [
            Piece(kind="title", text="A heading", level=1),
            paragraph("Words that are long enough to be wrapped into a second line of the page. " * 3),
            Piece(kind="list", text="an item"),
            table(("Machine", "Watts"), ("Lathe", "900")),
        ]
    )
    spans = [span for element in sheet.page.elements for span in element.spans]
    assert len(spans) >= 8
    for span in spans:
        assert inked(sheet, (span.box.x0, span.box.y0, span.box.x1, span.box.y1))


def test_tables_say_their_headers_and_go_on_over_pages() -> None:
    rows = [(f"Part {i}", str(i)) for i in range(120)]
    sheets = set_([table(("Name", "Price"), *rows)])
    assert len(sheets) > 1
    for sheet in sheets:
        (element,) = sheet.page.elements
        assert element.text.startswith("Name | Price\n")
    said = "\n".join(sheet.page.elements[0].text for sheet in sheets)
    assert all(f"Part {i} | Price: {i}" in said for i in range(120))


def test_sections_begin_new_pages_and_wide_tables_widen_them() -> None:
    wide = tuple(f"column number {i} of the sheet" for i in range(14))
    first, second = set_([paragraph("one")], [table(wide, wide, heads=0)])
    assert (first.page.no, second.page.no) == (1, 2)
    assert second.page.width_pt > first.page.width_pt == 595


def test_a_heading_is_never_left_alone_at_the_foot_of_a_page() -> None:
    lines = [paragraph(f"Line {i}") for i in range(31)]
    for count in range(20, 31):
        sheets = set_(
            [*lines[:count], Piece(kind="title", text="Heading", level=2), paragraph("Text below it.")]
        )
        last = next(sheet for sheet in sheets if any(e.text == "Heading" for e in sheet.page.elements))
        assert last.page.elements[-1].text == "Text below it."


def test_characters_without_a_glyph_stay_in_the_text() -> None:
    (sheet,) = set_([paragraph("price 価格 5 שלום")])
    assert sheet.page.elements[0].text == "price 価格 5 שלום"
    assert isinstance(sheet.picture, Image.Image)


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=400))
def test_spans_cover_every_visible_character_of_a_paragraph(text: str) -> None:
    if not text.strip():
        return
    sheets = set_([paragraph(text)])
    covered = ""
    for sheet in sheets:
        for element in sheet.page.elements:
            end = 0
            for span in element.spans:
                assert end <= span.start < span.end <= len(element.text)
                end = span.end
                covered += element.text[span.start : span.end]
    assert "".join(covered.split()) == "".join(text.split())
