"""How sure it is: what the signs say of a question and its answer, and how the weights are read."""

from __future__ import annotations

import pytest

from agent.confidence import Calibration, calibration, fits_type, signs
from agent.state import Source
from tests.fakes import a_chunk, a_document


def a_source(text: str, *, name: str = "coffee-machine.pdf", n: int = 1, score: float = 1.0) -> Source:
    return Source(n=n, chunk=a_chunk(text, document=a_document(name)), name=name, score=score, text=text)


def found(question: str, text: str, *, pages: str = "", other: Source | None = None) -> dict[str, float]:
    source = a_source(text)
    sources = [source] if other is None else [other, source]
    return signs(
        question,
        text,
        cited=[source],
        sources=sources,
        pages=pages or text,
        computed=False,
    )


def test_a_name_that_the_cited_page_does_not_know_lowers_the_signs() -> None:
    question = "How many examples does the set that uses HOVER as its solver have in 2020?"
    with_it = found(question, "The set that uses HOVER as its solver has 204 examples in 2020.")
    without = found(question, "The set that uses FOLIO as its solver has 204 examples in 2012.")
    assert with_it["specifics_page"] == 1.0
    assert without["specifics_page"] == 0.0
    assert with_it["covered_page"] > without["covered_page"]


def test_what_stands_elsewhere_on_the_page_counts_for_the_page_only() -> None:
    signs_ = found("Which light shows HOVER?", "The light blinks.", pages="HOVER\nThe light blinks.")
    assert (signs_["specifics_page"], signs_["specifics_chunk"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("question", "sentence", "fits"),
    [
        ("How many people work there?", "It employs 240 people.", 1.0),
        ("How many people work there?", "It employs people.", 0.0),
        ("When did it open?", "It opened in 1987.", 1.0),
        ("When did it open?", "It opened early.", 0.0),
        ("Who founded it?", "It was founded by Anna Kern.", 1.0),
        ("Who founded it?", "it was founded by a friend.", 0.0),
        ("Is it open?", "Yes, it is.", 1.0),
        ("Is it open?", "The gate is green.", 0.0),
        ("Describe the gate.", "It is green.", 0.5),
        ("What was the mood in 2022?", "In 2022 it was low.", 0.5),
        ("What was the percentage in 2022?", "In 2022 it was low.", 0.0),
    ],
)
def test_an_answer_has_what_is_asked_for(question: str, sentence: str, fits: float) -> None:
    assert fits_type(question, sentence) == fits


def test_the_rank_of_the_cited_source_is_told() -> None:
    first = found("What is it?", "It is green.")
    second = found("What is it?", "It is green.", other=a_source("Blue.", n=2))
    assert (first["first"], second["first"]) == (1.0, 0.5)


def test_every_sign_is_about_zero_to_one() -> None:
    assert all(-0.01 <= value <= 2.0 for value in found("How many in 2020?", "It has 5.").values())


def test_the_shipped_weights_name_signs_that_there_are() -> None:
    assert set(calibration().weights) <= set(found("What is it?", "It is green."))
    assert 0 <= calibration().threshold < 1


def test_confidence_is_logistic_in_the_weights() -> None:
    model = Calibration(threshold=0.5, bias=-1.0, weights={"reads": 2.0})
    assert model.confidence({"reads": 0.5}) == 0.5
    assert model.confidence({"reads": 1.0}) > 0.7
