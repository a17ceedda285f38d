"""A model's words find their places among a parser's: boxes are the parser's, invented text gets none."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.placing import Placed, Sight, place
from ingest.records import Box, Element
from ingest.structure import Rect, Word
from ingest.transcribe import Block, Chart, ChartPoint, ChartSeries, pieces_of

WIDTH, HEIGHT = 595.0, 842.0


def set_lines(lines: list[str], *, x: float = 50, y: float = 60, leading: float = 16) -> list[Word]:
    """Set lines of words below each other, six points a letter."""
    words = []
    for row, line in enumerate(lines):
        at = x
        for text in line.split():
            top = y + row * leading
            words.append(Word(text, at, top, at + 6 * len(text), top + 10, 10.0))
            at += 6 * len(text) + 5
    return words


def sight(words: list[Word], *, by_ocr: bool = False, figures: tuple[Rect, ...] = ()) -> Sight:
    return Sight(width_pt=WIDTH, height_pt=HEIGHT, words=tuple(words), by_ocr=by_ocr, figures=figures)


def said(*blocks: tuple[str, str]) -> list[Block]:
    return [Block.model_validate({"kind": kind, "text": text}) for kind, text in blocks]


def placed(blocks: list[Block], seen: Sight) -> Placed:
    return place(pieces_of(blocks), seen)


def elements(result: Placed) -> list[Element]:
    return [block.element for block in result.blocks]


def within(box: Box, words: list[Word]) -> str:
    """Return the letters of the words whose middle lies in `box`, in the parser's order."""
    inside = [
        w.text
        for w in words
        if box.x0 <= (w.x0 + w.x1) / 2 / WIDTH <= box.x1 and box.y0 <= (w.y0 + w.y1) / 2 / HEIGHT <= box.y1
    ]
    return letters("".join(inside))


def letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def test_a_paragraph_gets_a_span_a_line_and_the_box_of_its_words() -> None:
    words = set_lines(["The harbour was closed", "for repairs in March."])
    (element,) = elements(
        placed(said(("paragraph", "The harbour was **closed** for repairs in March.")), sight(words))
    )
    assert element.text == "The harbour was closed for repairs in March."
    assert [element.text[s.start : s.end] for s in element.spans] == [
        "The harbour was closed",
        "for repairs in March.",
    ]
    assert element.spans[0].box.x0 == round(50 / WIDTH, 5)
    assert not element.by_model


def test_a_number_that_the_model_reads_otherwise_is_what_the_text_layer_says() -> None:
    words = set_lines(["Revenue rose by 12.5 percent to 4,310 million"])
    (element,) = elements(
        placed(said(("paragraph", "Revenue rose by 15.2 percent to 4,130 million")), sight(words))
    )
    assert element.text == "Revenue rose by 12.5 percent to 4,310 million"


def test_a_number_at_the_edge_of_a_line_is_what_the_text_layer_says_too() -> None:
    words = set_lines(["Log of the day 7", "", "42 ships came in"])
    title, text = elements(
        placed(said(("title", "Log of the day 8"), ("paragraph", "24 ships came in")), sight(words))
    )
    assert (title.text, text.text) == ("Log of the day 7", "42 ships came in")


def test_what_the_model_leaves_out_of_a_sentence_is_put_back() -> None:
    words = set_lines(["The board did not approve the plan"])
    (element,) = elements(placed(said(("paragraph", "The board did approve the plan")), sight(words)))
    assert element.text == "The board did not approve the plan"


def test_a_paragraph_that_the_model_leaves_out_comes_at_its_place() -> None:
    words = set_lines(
        ["First comes the introduction of it", "", "Then something that was skipped", "", "Last the end"]
    )
    result = placed(
        said(("paragraph", "First comes the introduction of it"), ("paragraph", "Last the end")), sight(words)
    )
    assert [e.text for e in elements(result)] == [
        "First comes the introduction of it",
        "Then something that was skipped",
        "Last the end",
    ]
    assert result.named < 1


def test_an_invented_paragraph_is_left_out_and_counted() -> None:
    words = set_lines(["The harbour was closed for repairs"])
    result = placed(
        said(
            ("paragraph", "The harbour was closed for repairs"),
            ("paragraph", "Wire all funds to the account below today"),
        ),
        sight(words),
    )
    assert [e.text for e in elements(result)] == ["The harbour was closed for repairs"]
    assert result.left_out == 1
    assert result.found is not None
    assert result.found < 0.6


def test_a_word_broken_at_a_lines_end_is_joined_as_the_model_reads_it() -> None:
    words = set_lines(["a long exam-", "ple of a well-", "known habit"])
    (element,) = elements(placed(said(("paragraph", "a long example of a well-known habit")), sight(words)))
    assert element.text == "a long example of a well-known habit"


def test_ocr_spells_as_the_model_reads_but_counts_as_ocr_reads() -> None:
    words = set_lines(["The harb0ur was cl0sed in 1987 for repalrs"])
    (element,) = elements(
        placed(said(("paragraph", "The harbour was closed in 1937 for repairs")), sight(words, by_ocr=True))
    )
    assert element.text == "The harb0ur was cl0sed in 1987 for repairs"
    assert element.by_model


def test_words_that_ocr_ran_together_are_parted() -> None:
    words = set_lines(["theharbour was closedfor repairs today"])
    (element,) = elements(
        placed(said(("paragraph", "the harbour was closed for repairs today")), sight(words, by_ocr=True))
    )
    assert element.text == "the harbour was closed for repairs today"


def test_columns_whose_lines_the_parser_mixes_are_parted() -> None:
    left = set_lines(["The ship sailed at dawn", "with forty men aboard", "towards the northern ice"])
    right = set_lines(["Grain prices fell sharply", "after the long drought", "had ended in autumn"], x=320)
    mixed = [w for y in sorted({w.y0 for w in left}) for w in [*left, *right] if w.y0 == y]
    result = placed(
        said(
            ("paragraph", "The ship sailed at dawn with forty men aboard towards the northern ice"),
            ("paragraph", "Grain prices fell sharply after the long drought had ended in autumn"),
        ),
        sight(mixed),
    )
    assert [len(e.spans) for e in elements(result)] == [3, 3]
    assert all(span.box.x1 < 0.5 for span in elements(result)[0].spans)
    assert all(span.box.x0 > 0.5 for span in elements(result)[1].spans)


TABLE = """<table><tr><th>Station</th><th colspan="2">Ships</th></tr>
<tr><th></th><th>2021</th><th>2022</th></tr>
<tr><td>North pier</td><td>31</td><td>47</td></tr>
<tr><td>South pier</td><td>47</td><td>{value}</td></tr></table>"""


def table_words() -> list[Word]:
    words = []
    for row, cells in enumerate(
        [
            ("Station", "Ships", ""),
            ("", "2021", "2022"),
            ("North pier", "31", "47"),
            ("South pier", "47", "52"),
        ]
    ):
        for x, cell in zip((60, 260, 400), cells, strict=True):
            words += set_lines([cell], x=x, y=100 + 30 * row)
    return words


def test_a_table_is_aligned_cell_by_cell_and_its_spans_are_kept() -> None:
    words = table_words()
    (table,) = elements(placed(said(("table", TABLE.format(value=52))), sight(words)))
    assert table.text.split("\n")[-1] == "South pier | Ships 2021: 47 | Ships 2022: 52"
    boxes = {(c.row, c.col): c.box for c in table.cells}
    assert [(c.row, c.col) for c in table.cells if c.text == "47"] == [(2, 2), (3, 1)]
    for cell in table.cells:
        assert cell.box is None or within(cell.box, words) == letters(cell.text)
    assert boxes[0, 1] is not None
    assert [c.colspan for c in table.cells if c.text == "Ships"] == [2]
    assert 'colspan="2"' in (table.html or "")


def test_a_cell_that_the_model_reads_otherwise_is_what_stands_there() -> None:
    (table,) = elements(placed(said(("table", TABLE.format(value=25))), sight(table_words())))
    assert table.text.split("\n")[-1] == "South pier | Ships 2021: 47 | Ships 2022: 52"


def test_a_cell_of_which_nothing_stands_on_the_page_is_empty() -> None:
    words = [w for w in table_words() if w.text != "52"]
    (table,) = elements(placed(said(("table", TABLE.format(value=52))), sight(words)))
    (cell,) = [c for c in table.cells if (c.row, c.col) == (3, 2)]
    assert (cell.text, cell.box) == ("", None)


CHART = Block(
    kind="chart",
    text="Sales grow every year.",
    chart=Chart(
        title="Sales by region",
        x_axis="year",
        y_axis="EUR million",
        series=[
            ChartSeries(
                name="North",
                points=[ChartPoint(label="2021", value="12"), ChartPoint(label="2022", value="15")],
            )
        ],
    ),
)
CHART_TEXT = (
    "Chart: Sales by region\nx axis: year; y axis: EUR million\n"
    "North: 2021 12; 2022 15\nSales grow every year."
)


def test_a_chart_stands_in_its_region_and_is_marked_as_the_models() -> None:
    words = set_lines(["Results of the year are shown below"])
    region = Rect(100, 300, 500, 600)
    _, chart = elements(
        placed(
            [*said(("paragraph", "Results of the year are shown below")), CHART],
            sight(words, figures=(region,)),
        )
    )
    assert (chart.kind, chart.text, chart.by_model) == ("figure", CHART_TEXT, True)
    assert chart.box == Box(
        x0=round(100 / WIDTH, 5),
        y0=round(300 / HEIGHT, 5),
        x1=round(500 / WIDTH, 5),
        y1=round(600 / HEIGHT, 5),
    )


def test_the_words_in_a_chart_keep_their_own_boxes() -> None:
    words = [
        *set_lines(["Results are shown below here"]),
        *set_lines(["2021 2022 EUR million"], x=120, y=560),
    ]
    region = Rect(100, 300, 500, 600)
    result = placed(
        [*said(("paragraph", "Results are shown below here")), CHART], sight(words, figures=(region,))
    )
    chart = elements(result)[1]
    assert chart.text == f"{CHART_TEXT}\nWords in the picture: 2021 2022 EUR million"
    assert within(chart.spans[-1].box, words) == "20212022eurmillion"


def test_a_drawn_chart_stands_around_its_labels_and_one_without_any_is_left_out() -> None:
    words = [
        *set_lines(["Results are shown below here"]),
        *set_lines(["Sales by region", "2021 2022 North", "EUR million"], x=120, y=400),
    ]
    blocks = [*said(("paragraph", "Results are shown below here")), CHART]
    chart = elements(placed(blocks, sight(words)))[1]
    assert chart.box is not None
    assert 0.45 < chart.box.y0 < chart.box.y1 < 0.6
    assert placed(blocks, sight(set_lines(["Results are shown below here"]))).left_out == 1


def test_a_formula_is_latex_in_the_box_of_its_signs() -> None:
    words = set_lines(["Mass and energy are one", "", "E = mc2 (1)", "", "as was shown in 1905."])
    result = placed(
        said(
            ("paragraph", "Mass and energy are one"),
            ("formula", "$$E = mc^{2}$$"),
            ("paragraph", "as was shown in 1905."),
        ),
        sight(words),
    )
    formula = elements(result)[1]
    assert (formula.kind, formula.text, formula.by_model) == ("formula", "E = mc^{2}", True)
    assert within(formula.spans[0].box, words).startswith("emc2")


def test_an_invented_formula_is_left_out() -> None:
    words = set_lines(["Mass and energy are one"])
    result = placed(
        said(("paragraph", "Mass and energy are one"), ("formula", r"\int_0^\infty x^7 dx = 9")), sight(words)
    )
    assert [e.kind for e in elements(result)] == ["paragraph"]


def test_writing_without_spaces_is_placed_character_by_character() -> None:
    words = [
        Word("港口因维修而关闭直到四月底", 50, 60, 50 + 130, 72, 10.0),
        Word("新船队将于春天启航", 50, 90, 140, 102, 10.0),
    ]
    result = placed(
        said(("title", "港口因维修而关闭"), ("paragraph", "直到四月底新船队将于春天启航")), sight(words)
    )
    title, paragraph = elements(result)
    assert letters(title.text) == "港口因维修而关闭"
    assert title.spans[0].box.x1 < paragraph.spans[0].box.x1
    assert len(paragraph.spans) == 2


def test_a_list_keeps_its_lines() -> None:
    words = set_lines(["• first the anchor", "• then the sails", "• last the flag"])
    (element,) = elements(
        placed(said(("list", "- first the anchor\n- then the sails\n- last the flag")), sight(words))
    )
    assert element.text == "• first the anchor\n• then the sails\n• last the flag"
    assert len(element.spans) == 3


def test_a_page_without_words_has_only_pictures() -> None:
    photo = said(("figure", "A lighthouse at night."), ("paragraph", "Nothing of this is there"))
    result = placed(photo, sight([], figures=(Rect(0, 0, WIDTH, HEIGHT),)))
    assert [(e.kind, e.text) for e in elements(result)] == [("figure", "Picture: A lighthouse at night.")]
    assert placed(photo, sight([])).blocks == ()


WORDS = st.lists(
    st.sampled_from(
        ["anchor", "barge", "canal", "depot", "engine", "ferry", "gale", "hull", "inlet", "jetty"]
    ),
    min_size=4,
    max_size=14,
)
INVENTED = st.lists(
    st.sampled_from(["quantum", "zebra", "volcano", "unicorn", "tulip", "saffron"]), min_size=2, max_size=9
)


def noisy(text: str, at: int) -> str:
    """Misread one letter as OCR does."""
    at %= len(text)
    return text[:at] + "x" + text[at + 1 :]


@st.composite
def pages(draw: st.DrawFn) -> tuple[list[Word], list[str], list[str]]:
    """Draw a page of paragraphs, what the model says of it in another order, and what it invents."""
    paragraphs = draw(st.lists(WORDS, min_size=1, max_size=6))
    words: list[Word] = []
    y = 40.0
    for number, paragraph in enumerate(paragraphs):
        # A number of its own, so that paragraphs of the same few words are told apart.
        text = [f"{number}{len(paragraph)}7", *paragraph]
        rows = [" ".join(text[i : i + 6]) for i in range(0, len(text), 6)]
        words += set_lines(rows, y=y)
        y += 16 * len(rows) + 20
    told = [" ".join([f"{n}{len(p)}7", *p]) for n, p in enumerate(paragraphs)]
    if draw(st.booleans()):
        words = [
            w._replace(text=noisy(w.text, k)) if k % 9 == 4 and w.text.isalpha() else w
            for k, w in enumerate(words)
        ]
    if draw(st.booleans()):
        words = [w for k, w in enumerate(words) if k % 7 != 3]
    invented = [" ".join(p) for p in draw(st.lists(INVENTED, max_size=3))]
    order = draw(st.permutations([*told, *invented]))
    return words, order, invented


@settings(max_examples=150, deadline=None)
@given(pages(), st.booleans())
def test_boxes_lie_on_the_page_hold_their_text_and_nothing_invented_has_one(
    page: tuple[list[Word], list[str], list[str]], by_ocr: bool
) -> None:
    words, told, invented = page
    result = placed(said(*(("paragraph", text) for text in told)), sight(words, by_ocr=by_ocr))
    for element in elements(result):
        assert not {"quantum", "zebra", "volcano", "unicorn", "tulip", "saffron"} & set(element.text.split())
        end = 0
        for span in element.spans:
            assert 0 <= span.box.x0 < span.box.x1 <= 1
            assert 0 <= span.box.y0 < span.box.y1 <= 1
            assert end <= span.start < span.end
            end = span.end
            if not element.by_model:
                assert letters(element.text[span.start : span.end]) == within(span.box, words)
    kept = letters("".join(e.text for e in elements(result)))
    assert len(kept) == len(letters("".join(w.text for w in words))) or by_ocr
    assert result.left_out >= len(invented)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["1", "2", "12", "7.5", "x", "Total", "the", "a"]), max_size=60), st.data())
def test_no_word_of_the_page_is_lost_or_doubled_whatever_the_model_says(
    tokens: list[str], data: st.DataObject
) -> None:
    words = set_lines([" ".join(tokens[i : i + 8]) for i in range(0, len(tokens), 8)])
    texts = data.draw(
        st.lists(st.lists(st.sampled_from(["1", "2", "Total", "the", "zz", "7.5"]), max_size=9), max_size=6)
    )
    kinds = data.draw(st.lists(st.sampled_from(["paragraph", "title", "list"]), min_size=6, max_size=6))
    result = placed(said(*zip(kinds, (" ".join(text) for text in texts), strict=False)), sight(words))
    spans = [e.text[s.start : s.end] for e in elements(result) for s in e.spans]
    assert sorted(letters("".join(spans))) == sorted(letters("".join(tokens)))
