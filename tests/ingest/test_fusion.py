"""Legs become one order by score, and a page with several good passages passes one with a single one."""

from __future__ import annotations

import pytest

from ingest.fusion import by_page, fused
from ingest.index import Found
from ingest.records import Hit
from tests.fakes import a_chunk, a_document


def test_fusion_adds_the_normalised_words_score_to_the_cosine() -> None:
    document = a_document()
    both, dense, sparse = (a_chunk(text, place=n) for n, text in enumerate(("both", "dense", "sparse")))
    hits = fused(
        [
            Found(chunk=sparse, dense=None, sparse=8.0),
            Found(chunk=dense, dense=0.5, sparse=None),
            Found(chunk=both, dense=0.8, sparse=4.0),
        ],
        {document.id: document},
        sparse_weight=0.5,
    )
    assert [(hit.chunk.text, hit.score) for hit in hits] == [
        ("both", pytest.approx(0.8 + 0.25)),
        ("sparse", pytest.approx(0.5 + 0.5)),
        ("dense", pytest.approx(0.5)),
    ]
    assert hits[1].legs == {"sparse": 8.0}


def test_fusion_of_nothing_is_nothing() -> None:
    assert fused([], {}, sparse_weight=0.3) == []


def a_hit(text: str, score: float, *, page_no: int) -> Hit:
    return Hit(chunk=a_chunk(text, page_no=page_no), document_name="a", score=score)


def test_a_page_that_answers_in_several_places_passes_one_with_a_single_good_line() -> None:
    hits = [
        a_hit("alone", 0.90, page_no=1),
        a_hit("first", 0.89, page_no=2),
        a_hit("second", 0.80, page_no=2),
        a_hit("last", 0.40, page_no=3),
    ]
    ordered = by_page(hits, weight=0.1)
    assert [hit.chunk.text for hit in ordered] == ["first", "alone", "second", "last"]
    assert [hit.score for hit in ordered] == pytest.approx([0.93, 0.90, 0.849, 0.40])
    assert by_page(hits, weight=0.0) == hits


def test_a_page_of_many_passages_counts_only_its_best() -> None:
    crowd = [a_hit(f"line {n}", 0.5, page_no=2) for n in range(50)]
    ordered = by_page([a_hit("last", 0.4, page_no=3), *crowd], weight=0.1)
    assert ordered[0].score == pytest.approx(0.5 + 0.1 * 3 * 0.1)


def test_pages_of_two_documents_are_two_pages_and_nothing_is_nothing() -> None:
    other = a_document("other.pdf")
    hits = [
        Hit(chunk=a_chunk("ours"), document_name="a", score=0.9),
        Hit(chunk=a_chunk("theirs", document=other), document_name="b", score=0.5),
    ]
    assert [hit.score for hit in by_page(hits, weight=0.5)] == [0.9, 0.5]
    assert by_page([], weight=0.5) == []
