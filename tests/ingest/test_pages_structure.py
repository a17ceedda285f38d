"""What words become: columns, headings, paragraphs, lists, tables."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.structure import Block, Rect, Word, finish, lay_out

WIDTH, HEIGHT = 600.0, 800.0


def line(text: str, x: float, y: float, *, size: float = 10, bold: bool = False) -> list[Word]:
    """Words of a line of a typewriter: every character half an em wide."""
    words, at = [], x
    for token in text.split(" "):
        end = at + len(token) * size / 2
        if token:
            words.append(Word(token, at, y, end, y + 1.2 * size, size, bold))
        at = end + size / 4
    return words


def right(text: str, x1: float, y: float) -> list[Word]:
    return line(text, x1 - len(text) * 5, y)


def blocks(words: list[Word], **more: object) -> list[Block]:
    return lay_out(words, width=WIDTH, height=HEIGHT, **more)  # type: ignore[arg-type]


def texts(words: list[Word]) -> list[str]:
    return [block.element.text for block in blocks(words)]


def test_lines_become_paragraphs_and_hyphens_at_their_ends_go() -> None:
    words = line("The corporation reported a consid-", 50, 100) + line(
        "erable increase of its long-", 50, 112
    )
    words += line("term debt this year, a long-term matter.", 50, 124)
    (block,) = blocks(words)
    assert block.element.text == (
        "The corporation reported a considerable increase of its long-term debt this year, "
        "a long-term matter."
    )
    pieces = [block.element.text[s.start : s.end] for s in block.element.spans]
    assert pieces[0] == "The corporation reported a consid"
    assert len(pieces) == 3


def test_headings_are_told_by_size_and_ranked_over_the_document() -> None:
    page = line("Annual Report", 50, 50, size=20, bold=True) + line("Results", 50, 100, size=14, bold=True)
    for i in range(4):
        page += line("Plain words that fill a line of the page from left to right", 50, 140 + 12 * i)
    (elements,) = finish([blocks(page)])
    assert [(e.kind, e.level) for e in elements] == [("title", 1), ("title", 2), ("paragraph", None)]


def test_two_columns_are_read_one_after_the_other() -> None:
    words = line("A title over both columns of the paper", 150, 40, size=16, bold=True)
    for i in range(8):
        words += line(f"left {i} words of the first column here", 50, 100 + 12 * i)
        words += line(f"right {i} words of the second column", 330, 100 + 12 * i)
    whole = " ".join(texts(words))
    assert whole.index("left 7") < whole.index("right 0")
    assert whole.startswith("A title")


def test_running_headers_and_page_numbers_go_and_the_first_words_stay() -> None:
    pages = []
    for no in range(1, 5):
        words = (
            line("ACME annual report", 50, 20)
            + line(f"Body of page {no} in words", 50, 300)
            + line(str(no), 300, 780)
        )
        pages.append(blocks(words))
    kept = [" ".join(e.text for e in page) for page in finish(pages)]
    assert kept == [f"Body of page {no} in words" for no in range(1, 5)]


def test_lists_and_captions_are_named() -> None:
    words = line("• first thing to do", 60, 100) + line("• second thing to do", 60, 112)
    words += line("Figure 3: The growth of sales over time", 50, 200)
    assert [block.element.kind for block in blocks(words)] == ["list", "list", "caption"]


def statement() -> list[Word]:
    words = line("Years ended December 31,", 380, 90)
    words += right("2023", 420, 104) + right("2022", 500, 104)
    words += line("Operating activities:", 50, 118)
    words += (
        line("Net income", 60, 132) + line("$", 385, 132) + right("1,058", 420, 132) + line("$", 465, 132)
    )
    words += right("815", 500, 132)
    words += line("Depreciation and amortization of", 60, 146)
    words += line("intangible assets", 68, 158) + right("586", 420, 158) + right("(625)", 500, 158)
    return words + line("Total", 50, 172) + right("1,644", 420, 172) + right("—", 500, 172)


def test_a_financial_table_says_each_row_with_its_headers_and_section() -> None:
    (block,) = blocks(statement())
    element = block.element
    assert element.kind == "table"
    assert element.text.splitlines() == [
        "Years ended December 31,",
        "2023 | 2022",
        "Operating activities:",
        "Operating activities: Net income | 2023: $ 1,058 | 2022: $ 815",
        "Operating activities: Depreciation and amortization of intangible assets | 2023: 586 | 2022: (625)",
        "Total | 2023: 1,644 | 2022: —",
    ]
    assert element.html is not None
    assert "<th>2023</th>" in element.html


def test_every_cell_of_a_table_has_its_own_box() -> None:
    (block,) = blocks(statement())
    boxes = {block.element.text[s.start : s.end]: s.box for s in block.element.spans}
    assert boxes["$ 1,058"].x1 * WIDTH == pytest.approx(420, abs=0.1)
    assert boxes["(625)"].x1 * WIDTH == pytest.approx(500, abs=0.1)
    assert boxes["$ 815"].y0 * HEIGHT == pytest.approx(132, abs=0.1)
    starts = [s.start for s in block.element.spans]
    assert starts == sorted(starts)


def test_a_table_without_headers_is_written_plainly() -> None:
    words = []
    for i, (name, value) in enumerate([("Cash", "12"), ("Debt", "7"), ("Equity", "5")]):
        words += line(name, 50, 100 + 14 * i) + right(value, 300, 100 + 14 * i)
    assert texts(words) == ["Cash | 12\nDebt | 7\nEquity | 5"]


def test_a_second_table_below_the_first_gets_its_own_headers() -> None:
    words = []
    for top, years in ((100, ("2023", "2022")), (160, ("2021", "2020"))):
        words += right(years[0], 400, top) + right(years[1], 500, top)
        words += line("Rent", 50, top + 14) + right("12", 400, top + 14) + right("13", 500, top + 14)
        words += line("Wages", 50, top + 28) + right("22", 400, top + 28) + right("23", 500, top + 28)
    first, second = texts(words)
    assert "Rent | 2023: 12 | 2022: 13" in first
    assert "Rent | 2021: 12 | 2020: 13" in second


def test_a_picture_is_bound_to_its_caption_and_its_words() -> None:
    caption = line("Figure 1: Sales by region and year", 100, 310)
    picture = Rect(100, 100, 400, 300)
    inside = {picture: line("North 42", 150, 150)}
    (block,) = blocks(caption, pictures=[picture], picture_words=inside)
    assert block.element.kind == "figure"
    assert block.element.text == "Picture. Figure 1: Sales by region and year\nWords in the picture: North 42"
    box = block.element.spans[0].box
    assert (box.x0 * WIDTH, box.y1 * HEIGHT) == pytest.approx((100, 300), abs=0.1)


def test_sideways_words_keep_their_boxes() -> None:
    words = [Word("watermark", 10, 200, 22, 300, 10, turn=270), *line("upright words here", 100, 100)]
    upright, sideways = blocks(words)
    assert upright.element.text == "upright words here"
    (span,) = sideways.element.spans
    assert (span.box.x0 * WIDTH, span.box.y1 * HEIGHT) == pytest.approx((10, 300), abs=0.1)


WORDS = st.lists(
    st.builds(
        lambda text, x, y, size, bold, turn: Word(
            text, x, y, x + len(text) * size / 2, y + 1.2 * size, size, bold, turn
        ),
        st.text("abcXYZ019$%(),.-", min_size=1, max_size=8).filter(lambda t: not set(t) <= set(".-")),
        st.floats(0, 560),
        st.floats(0, 780),
        st.sampled_from([8.0, 10.0, 16.0]),
        st.booleans(),
        st.sampled_from([0, 0, 0, 90]),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_no_word_is_lost_and_every_span_says_what_it_covers(words: list[Word]) -> None:
    kept: Counter[str] = Counter()
    for block in blocks(words):
        element, end = block.element, 0
        for span in element.spans:
            assert end <= span.start < span.end <= len(element.text)
            end = span.end
            assert 0 <= span.box.x0 <= span.box.x1 <= 1
            assert 0 <= span.box.y0 <= span.box.y1 <= 1
            kept.update(element.text[span.start : span.end].replace(" ", ""))
    given_ = Counter("".join(word.text for word in words))
    lost = given_ - kept
    # A hyphen that breaks a word at a line's end is the only character that may go.
    assert set(lost) <= {"-"}
    assert not kept - given_
