"""Chunks: nothing lost, nothing cut that belongs together, every span on its box."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunk import chunk_pages, indexed_text
from ingest.records import Box, Chunk, Element, ElementKind, Page, Span


def count(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def element(kind: ElementKind, text: str, *, level: int | None = None, n: int = 0) -> Element:
    """Make an element whose every line is a span, in a box that no other span has."""
    spans, at = [], 0
    for row, line in enumerate(text.split("\n")):
        box = Box(x0=0.0, y0=n / 100, x1=0.5, y1=n / 100 + row / 10_000)
        if line:
            spans.append(Span(start=at, end=at + len(line), box=box))
        at += len(line) + 1
    return Element(kind=kind, text=text, spans=tuple(spans), level=level)


def page(*elements: Element, no: int = 1) -> Page:
    return Page(no=no, width_pt=1, height_pt=1, read_by="text-layer", reason="", elements=elements)


def chunked(*pages: Page, max_tokens: int = 20) -> list[Chunk]:
    return chunk_pages(pages, document_id="d", revision="r", recipe="v1", max_tokens=max_tokens, count=count)


def texts(*elements: Element, max_tokens: int = 20) -> list[str]:
    return [chunk.text for chunk in chunked(page(*elements), max_tokens=max_tokens)]


def words(n: int, word: str = "word") -> str:
    return " ".join([word] * n)


def test_no_elements_make_no_chunks() -> None:
    assert chunked() == []
    assert chunked(page(), page(element("paragraph", " \n "))) == []


def test_paragraphs_under_one_heading_fill_a_chunk() -> None:
    parts = [element("paragraph", words(8, w)) for w in "abc"]
    assert texts(*parts) == [f"{words(8, 'a')}\n{words(8, 'b')}", words(8, "c")]


def test_a_title_goes_with_what_follows_it_and_heads_what_comes_later() -> None:
    chunks = chunked(
        page(
            element("title", "Leave", level=1),
            element("title", "Annual", level=2),
            element("paragraph", words(18, "a")),
            element("paragraph", words(18, "b")),
            element("title", "Sick", level=2),
            element("paragraph", words(18, "c")),
        ),
        page(element("paragraph", "more"), no=2),
    )
    assert [(chunk.heading, chunk.text.split("\n")[0], chunk.page_no) for chunk in chunks] == [
        ("", "Leave", 1),
        ("Leave > Annual", words(18, "b"), 1),
        ("Leave > Annual", "Sick", 1),
        ("Leave > Sick", "more", 2),
    ]


def test_a_title_at_the_end_of_a_page_is_a_chunk_of_its_own() -> None:
    [chunk] = chunked(page(element("title", "Appendix", level=1)))
    assert (chunk.kind, chunk.text) == ("title", "Appendix")


def test_small_sections_share_a_chunk() -> None:
    slides = [element(kind, text) for n in "123" for kind, text in (("title", f"T{n}"), ("paragraph", n))]
    assert texts(*slides) == ["T1\n1\nT2\n2\nT3\n3"]


def test_a_sentence_posing_as_a_title_heads_nothing() -> None:
    chunks = chunked(
        page(element("title", words(60), level=1), element("paragraph", words(18))), max_tokens=70
    )
    assert chunks[-1].heading == ""


def test_a_table_is_cut_between_rows_only_and_keeps_its_title_and_caption() -> None:
    rows = [f"row {n} | 2023: {n} | 2024: {n}" for n in range(8)]
    chunks = chunked(
        page(
            element("paragraph", "Before."),
            element("title", "Results"),
            element("caption", "Table 1"),
            element("table", "\n".join(rows)),
            element("paragraph", "After."),
        )
    )
    assert chunks[0].text == "Before."
    assert chunks[1].text.startswith("Results\nTable 1\nrow 0")
    lines = [line for chunk in chunks if chunk.kind == "table" for line in chunk.text.split("\n")]
    assert [line for line in lines if line.startswith("row")] == rows
    assert chunks[-1].text == "After."


def test_a_row_longer_than_a_chunk_stays_whole() -> None:
    row = f"row | {words(50)}"
    assert texts(element("table", f"a | b: 1\n{row}\nc | b: 2")) == ["a | b: 1", row, "c | b: 2"]


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ([("figure", "bars"), ("caption", "Figure 1")], ["bars\nFigure 1"]),
        ([("caption", "Figure 1"), ("figure", "bars")], ["Figure 1\nbars"]),
        ([("figure", "bars"), ("caption", "Table 2"), ("table", "a | b: 1")], ["bars", "Table 2\na | b: 1"]),
        ([("table", "a | b: 1"), ("caption", "Table 2"), ("paragraph", "x")], ["a | b: 1\nTable 2", "x"]),
        ([("paragraph", "x"), ("caption", "alone"), ("paragraph", "y")], ["x\nalone\ny"]),
    ],
)
def test_a_caption_is_bound_to_what_it_captions(
    elements: list[tuple[ElementKind, str]], expected: list[str]
) -> None:
    assert texts(*(element(kind, text) for kind, text in elements)) == expected


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    sentences = [f"Sentence number {n} has exactly nine words in it." for n in range(7)]
    made = texts(element("paragraph", " ".join(sentences)))
    assert len(made) > 1
    assert all(text.endswith(".") and text.startswith("Sentence") for text in made)
    assert " ".join(made) == " ".join(sentences)


def test_a_sentence_longer_than_a_chunk_is_cut_between_words() -> None:
    made = texts(element("paragraph", words(50)))
    assert all(count([text])[0] <= 20 for text in made)
    assert " ".join(made) == words(50)


def test_a_long_list_is_cut_between_items() -> None:
    items = [f"- item {n} " + words(5) for n in range(10)]
    assert "\n".join(texts(element("list", "\n".join(items)))).split("\n") == items
    assert all(text.startswith("- item") for text in texts(element("list", "\n".join(items))))


def test_ids_repeat_with_the_same_recipe_and_change_with_another() -> None:
    pages = [page(element("paragraph", words(18)), element("paragraph", words(18)))]
    again = {"document_id": "d", "revision": "r", "max_tokens": 20, "count": count}
    first = [chunk.id for chunk in chunk_pages(pages, recipe="v1", **again)]
    assert len(set(first)) == 2
    assert first == [chunk.id for chunk in chunk_pages(pages, recipe="v1", **again)]
    assert not set(first) & {chunk.id for chunk in chunk_pages(pages, recipe="v2", **again)}


def test_what_is_indexed_names_document_and_headings() -> None:
    chunks = chunked(
        page(
            element("title", "Leave", level=1),
            element("paragraph", words(18)),
            element("paragraph", words(9, "x")),
        )
    )
    text = indexed_text(chunks[1], document_name="ACME_2024-handbook.v2.pdf")
    assert text == f"ACME 2024 handbook v2\nLeave\n{words(9, 'x')}"


kinds: st.SearchStrategy[ElementKind] = st.sampled_from(
    ["title", "paragraph", "list", "table", "figure", "formula", "caption"]
)
prose = st.lists(
    st.sampled_from(["Table", "Mr.", "it", "ends.", "Yes!", "é", "3.5", "\n", "\n\n", "  ", "word,", "a|b"]),
    max_size=60,
).map(" ".join)
shapes = st.lists(st.lists(st.tuples(kinds, prose), max_size=6), max_size=3)


@settings(max_examples=120, deadline=None)
@given(shape=shapes, max_tokens=st.integers(5, 40))
def test_nothing_is_lost_and_every_span_stays_on_its_box(
    shape: list[list[tuple[ElementKind, str]]], max_tokens: int
) -> None:
    pages = [
        page(*(element(kind, text, n=n) for n, (kind, text) in enumerate(shapes_of)), no=no)
        for no, shapes_of in enumerate(shape, start=1)
    ]
    chunks = chunked(*pages, max_tokens=max_tokens)
    for one in pages:
        own = [chunk for chunk in chunks if chunk.page_no == one.no]
        read = "".join(e.text for e in one.elements)
        assert "".join("".join(chunk.text for chunk in own).split()) == "".join(read.split())
        assert _by_box(one.elements) == _by_box(own)
        for chunk in own:
            assert chunk.text.strip()
            edges = [edge for span in chunk.spans for edge in (span.start, span.end)]
            assert edges == sorted(edges)
            assert edges == [] or edges[-1] <= len(chunk.text)


def _by_box(parts: Sequence[Element] | Sequence[Chunk]) -> dict[Box, str]:
    """Gather the words that stand in each box, blanks aside: those between two chunks belong to neither."""
    found: dict[Box, str] = {}
    for part in parts:
        for span in part.spans:
            words_of = "".join(part.text[span.start : span.end].split())
            if words_of:
                found[span.box] = found.get(span.box, "") + words_of
    return found


def test_the_rest_of_a_long_table_is_still_headed_by_its_caption() -> None:
    rows = "\n".join(f"Row {n} | 2023: {n} | 2024: {n + 1}" for n in range(60))
    table = page(element("caption", "Table 1: Cash flows"), element("table", rows))
    first, *rest = chunked(table, max_tokens=60)
    assert first.text.startswith("Table 1: Cash flows\nRow 0")
    assert rest
    assert {chunk.heading for chunk in rest} == {"Table 1: Cash flows"}


def test_footnotes_share_a_chunk_of_their_own_below_the_text() -> None:
    body, first, second = words(12, "body"), words(4, "one"), words(4, "two")
    parts = [element("paragraph", body), element("footnote", first), element("footnote", second)]
    chunks = chunked(page(*parts))
    assert [(chunk.kind, chunk.text) for chunk in chunks] == [
        ("paragraph", body),
        ("footnote", f"{first}\n{second}"),
    ]


def test_a_footnote_below_a_line_or_two_makes_no_chunk_of_its_own() -> None:
    assert texts(element("paragraph", words(2)), element("footnote", "1 See there.")) == [
        f"{words(2)}\n1 See there."
    ]
