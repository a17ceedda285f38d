"""What words become: columns, headings, paragraphs, lists, tables."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.margins import running
from ingest.ruled import Stroke
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


def column(name: str, x: float, y: float, lines: int, *, chars: int = 36, size: float = 10) -> list[Word]:
    """Lines that fill a column, each named; the last line ends a sentence."""
    words: list[Word] = []
    for i in range(lines):
        begin = f"{name}{i} "
        filled = begin + "word " * ((chars - len(begin)) // 5) + ("end." if i == lines - 1 else "more")
        words += line(filled, x, y + 1.2 * size * i, size=size)
    return words


def order(words: list[Word], names: str) -> list[str]:
    """Return the first words of named lines, in the order in which they are read."""
    read = " ".join(texts(words)).split()
    return [word for word in read if word[0] in names and word[1:].isdigit()]


def named(name: str, lines: int) -> list[str]:
    return [f"{name}{i}" for i in range(lines)]


def test_three_columns_below_a_title_and_above_a_full_width_paragraph() -> None:
    words = line("A title that runs over all the columns of this page", 60, 110, size=16, bold=True)
    for name, x in (("a", 40), ("b", 225), ("c", 410)):
        words += column(name, x, 150, 8, chars=32)
    words += column("f", 40, 300, 4, chars=104)
    assert order(words, "abcf") == [*named("a", 8), *named("b", 8), *named("c", 8), *named("f", 4)]


def test_bands_of_two_and_three_columns_are_each_read_to_their_end() -> None:
    words = column("a", 40, 110, 8, chars=50) + column("b", 320, 110, 8, chars=50)
    words += line("A heading across the whole of the page, column or not", 60, 230, size=14, bold=True)
    for name, x in (("c", 40), ("d", 225), ("e", 410)):
        words += column(name, x, 270, 8, chars=32)
    assert order(words, "abcde") == [name for n in "abcde" for name in named(n, 8)]


def test_a_side_bar_is_read_apart_from_the_column_beside_it() -> None:
    words = column("m", 180, 120, 20, chars=70)
    bar = ["Further reading", "The annual report", "Notes on method", "Our contacts"]
    for i, text in enumerate(bar):
        words += line(text, 40, 151 + 10 * i, size=8)
    assert order(words, "m") == named("m", 20)
    assert " ".join(texts(words)).startswith(" ".join(bar))


def test_terms_stay_with_what_they_mean() -> None:
    words = []
    for i, term in enumerate(["Asset", "Bond", "Claim", "Debt", "Equity"]):
        words += line(term, 50, 120 + 36 * i, bold=True)
        words += column(f"{term[0].lower()}", 160, 120 + 36 * i, 3, chars=70)
    read = " ".join(texts(words))
    places = [read.index(part) for part in ("Asset", "a0", "Bond", "b0", "Claim", "c0", "Debt", "d0")]
    assert places == sorted(places)


def test_justified_lines_in_pieces_are_no_table() -> None:
    words = column("a", 50, 120, 3, chars=60)
    words += (
        line("Morris", 50, 156) + line("(PM)", 95, 156) + line("and the rest that fills its line", 131, 156)
    )
    words += line("(BAT).", 50, 168) + line("This report first provides all", 110, 168)
    words += line("of it", 275, 168) + column("b", 50, 180, 3, chars=60)
    assert [block.element.kind for block in blocks(words)] == ["paragraph"]


def test_a_sentence_goes_on_in_the_next_column() -> None:
    left = column("a", 40, 120, 7, chars=50)[:-1] + line("and then it is", 240, 192)
    words = (
        left
        + line("not over but goes on in the next column as it", 320, 120)
        + column("b", 320, 132, 7, chars=50)
    )
    assert any("and then it is not over" in text for text in texts(words))


def test_a_large_initial_stands_on_the_line_that_it_begins() -> None:
    words = [Word("Over", 50, 120, 90, 150, 30), *line("the years the pressure grew on all", 95, 122)]
    words += line("of them and nobody could say why it", 75, 134) + line(
        "did, least of all those who knew", 75, 146
    )
    assert " ".join(texts(words)).startswith("Over the years the pressure grew on all of them")


def test_headings_are_ranked_by_their_numbers_where_they_look_alike() -> None:
    page = line("1. Results", 50, 120, bold=True) + column("a", 50, 140, 3, chars=80)
    page += line("1.1 By region", 50, 200, bold=True) + column("b", 50, 220, 3, chars=80)
    page += line("2. Outlook", 50, 280, bold=True) + column("c", 50, 300, 3, chars=80)
    (elements,) = finish([blocks(page)])
    levels = [(e.text, e.level) for e in elements if e.kind == "title"]
    assert levels == [("1. Results", 1), ("1.1 By region", 2), ("2. Outlook", 1)]


def test_items_within_items_stay_items() -> None:
    words = line("1. The first thing that is to be done by them", 50, 120)
    words += line("(a) a part of it that goes", 70, 132) + line("on over two lines", 85, 144)
    words += line("(b) another part", 70, 156) + line("• a part of a part", 90, 168)
    words += line("2. The second thing", 50, 180)
    assert [(b.element.kind, b.element.text[:3]) for b in blocks(words)] == [
        ("list", "1. "),
        ("list", "(a)"),
        ("list", "(b)"),
        ("list", "• a"),
        ("list", "2. "),
    ]


def test_references_with_hanging_indents_are_parted() -> None:
    words = []
    for i in range(3):
        words += line(f"Author{i} A. and others wrote a long title that needs", 50, 120 + 24 * i)
        words += line("a second line, and a journal beside it", 70, 132 + 24 * i)
    assert [text.split()[0] for text in texts(words)] == ["Author0", "Author1", "Author2"]


def note(text: str, y: float, *, mark: str) -> list[Word]:
    return [Word(mark, 50, y, 53, y + 5, 5), *line(text, 54, y, size=8)]


def test_footnotes_are_told_by_mark_and_small_type_and_come_last() -> None:
    words = column("a", 50, 300, 20, chars=90)
    words += note("See the annual report for what this", 560, mark="1") + line(
        "means in full.", 50, 570, size=8
    )
    words += note("Another source says otherwise.", 580, mark="2")
    kinds = [(b.element.kind, b.element.text.split()[0]) for b in blocks(words)]
    assert kinds == [("paragraph", "a0"), ("footnote", "1"), ("footnote", "2")]


def test_footnotes_do_not_part_the_columns() -> None:
    words = column("a", 40, 300, 20, chars=50) + column("b", 320, 300, 24, chars=50)
    words += [Word("*", 40, 560, 43, 565, 5), *line("Equal contribution of both.", 44, 560, size=8)]
    assert order(words, "ab") == [*named("a", 20), *named("b", 24)]
    assert blocks(words)[-1].element.kind == "footnote"


def test_small_type_below_a_short_rule_is_a_footnote_and_small_type_alone_is_none() -> None:
    words = column("a", 50, 300, 20, chars=90) + line("continued from the page before.", 50, 580, size=8)
    rule = Stroke(50, 575, 150, 575.5)
    assert [b.element.kind for b in blocks(words, strokes=[rule])] == ["paragraph", "footnote"]
    assert [b.element.kind for b in blocks(words)] == ["paragraph", "paragraph"]


def test_labels_above_the_caption_of_a_figure_are_the_figure() -> None:
    words = column("a", 50, 120, 5, chars=90)
    words += line("Input", 100, 220, size=8) + line("Encoder", 260, 240, size=8)
    words += line("Decoder", 260, 280, size=8) + line("Output", 400, 300, size=8)
    words += line("Figure 2: How the parts of the model work together", 100, 330)
    words += column("b", 50, 360, 5, chars=90)
    made = blocks(words)
    assert [b.element.kind for b in made] == ["paragraph", "figure", "caption", "paragraph"]
    assert made[1].element.text == "Picture.\nWords in the picture: Input Encoder Decoder Output"


def test_right_to_left_lines_are_read_from_the_right() -> None:
    words = []
    for i, row in enumerate((["שלום", "לכולם", "מן", "Big", "Data", "העולם"], ["שורה", "שנייה", "כאן"])):
        x = 500.0
        ltr = [w for w in row if w.isascii()]
        shown = [*reversed(ltr)] if ltr else []
        for word in row:
            text = shown.pop(0) if word.isascii() else word
            x -= 6 * len(text)
            words.append(Word(text, x, 120 + 12 * i, x + 6 * len(text), 132 + 12 * i, 10))
            x -= 3
    (block,) = blocks(words)
    assert block.element.text == "שלום לכולם מן Big Data העולם שורה שנייה כאן"
    first, second = block.element.spans
    assert first.box.x1 * WIDTH == pytest.approx(500, abs=0.1)
    assert second.box.y0 > first.box.y0


def test_scripts_without_blanks_get_none() -> None:
    words = [Word("日本語の", 50, 120, 90, 132, 10), Word("文章は", 90, 120, 120, 132, 10)]
    words += [Word("続きます。", 50, 134, 100, 146, 10)]
    assert texts(words) == ["日本語の文章は続きます。"]


def test_letters_are_spelt_one_way() -> None:
    words = [Word("ﬁnd", 50, 120, 70, 132, 10), Word("cafe\u0301", 75, 120, 95, 132, 10)]
    words += [Word("‘‘both’’", 100, 120, 140, 132, 10), Word("in\u00advisible\u200b", 145, 120, 200, 132, 10)]
    assert texts(words) == ["find café “both” invisible"]


def test_what_is_drawn_twice_is_read_once() -> None:
    words = line("Bold by hand", 50, 120) + line("Bold by hand", 50.4, 120)
    assert texts(words) == ["Bold by hand"]


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
    # What is drawn twice in one place would be one word.
    unique_by=lambda word: word.text,
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


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_what_a_page_drops_is_what_runs_and_nothing_else(words: list[Word]) -> None:
    made = blocks(words)
    (dropped,) = running([made])
    (kept,) = finish([made])
    assert len(kept) + len(dropped) == len(made)
    assert [e.text for e in kept] == [b.element.text for i, b in enumerate(made) if i not in dropped]


PAGES = st.lists(
    st.tuples(st.integers(1, 3), st.integers(3, 9), st.sampled_from([10.0, 16.0]), st.booleans()),
    min_size=1,
    max_size=3,
)


def banded(bands: list[tuple[int, int, float, bool]]) -> list[Word]:
    """Bands of one to three columns each, some below a heading, in the middle of the page."""
    words: list[Word] = []
    y = 200.0
    for columns, lines, size, heading in bands:
        if heading:
            words += line("A heading that runs across the band", 100, y, size=size, bold=True)
            y += 3 * size
        for i in range(columns):
            chars = (76, 36, 22)[columns - 1]
            words += column(chr(ord("a") + i), 100 + i * (0, 200, 135)[columns - 1], y, lines, chars=chars)
        y += 12 * lines + 24
    return words


@settings(max_examples=40, deadline=None)
@given(PAGES, st.integers(-60, 60), st.integers(-60, 60))
def test_the_order_of_reading_does_not_change_with_the_place(
    bands: list[tuple[int, int, float, bool]], across: int, down: int
) -> None:
    words = banded(bands)
    moved = [w._replace(x0=w.x0 + across, x1=w.x1 + across, y0=w.y0 + down, y1=w.y1 + down) for w in words]
    assert texts(moved) == texts(words)
