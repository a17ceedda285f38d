"""What a question points at by its place: pages by number, parts by label."""

from __future__ import annotations

import pytest

from ingest.references import is_meant, pointed
from tests.fakes import a_chunk


@pytest.mark.parametrize(
    ("question", "pages"),
    [
        ("What is on page 50?", {50}),
        ("Compare slide 4 with slide 12.", {4, 12}),
        ("How many lines are on the first page?", {1}),
        ("What is the title of the slides?", {1}),
        ("What happens on page 0?", set()),
        ("A page 50% full", set()),
        ("How many pages are there?", set()),
        ("Who is the cover page model?", set()),
        ("", set()),
    ],
)
def test_pages_are_read(question: str, pages: set[int]) -> None:
    assert pointed(question).pages == pages


@pytest.mark.parametrize(
    ("question", "labels"),
    [
        ("In Table 2 and Fig. 5?", {("table", "2"), ("fig", "5")}),
        ("See section 3.3 and Appendix B", {("section", "3.3"), ("appendix", "b")}),
        ("How many tables and figures show units sold?", set()),
        ("the item is late", set()),
    ],
)
def test_labels_are_read(question: str, labels: set[tuple[str, str]]) -> None:
    assert pointed(question).labels == labels


def test_a_part_is_meant_by_its_page_its_caption_or_its_heading() -> None:
    caption = a_chunk("Table 2: Revenue\nNorth | 2023: 5", page_no=7)
    below = a_chunk("It grew.", heading="3 Results > 3.3 Revenue", page_no=8)
    mention = a_chunk("As Table 2 shows, it grew.", page_no=9)
    for question, meant in (
        ("What does Table 2 say?", [True, False, False]),
        ("What does section 3.3 say?", [False, True, False]),
        ("What does page 9 say?", [False, False, True]),
        ("What does Table 22 say?", [False, False, False]),
        ("What does it say?", [False, False, False]),
    ):
        assert [is_meant(pointed(question), one) for one in (caption, below, mention)] == meant
