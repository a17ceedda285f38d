"""A sentence that gives a question its own words back is no answer."""

from __future__ import annotations

import pytest

from agent.state import Source
from agent.support import lack, says_nothing
from tests.fakes import a_chunk


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("What industry does Amcor primarily operate in?", "Amcor primarily operates in the industries."),
        ("Mention tablet devices used by some hospitals?", "Tablet devices are used by some hospitals."),
        ("How many employees does the plant have?", "The plant has many employees."),
    ],
)
def test_words_given_back_say_nothing(question: str, sentence: str) -> None:
    assert says_nothing(sentence, question)


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("What industry does Amcor primarily operate in?", "Amcor operates in packaging."),
        ("How many employees does the plant have?", "The plant has 240 employees."),
        ("Which is larger, the header or the page?", "The page is larger."),
        ("Does the plant have employees?", "The plant has employees."),
        ("Who may read the file?", "The file may not be read."),
    ],
)
def test_what_adds_a_word_a_figure_a_choice_or_a_denial_says_something(question: str, sentence: str) -> None:
    assert not says_nothing(sentence, question)


def why(sentence: str, text: str) -> str:
    source = Source(n=1, chunk=a_chunk(text), name="report.pdf", score=1.0, text=text)
    question = "Does the engine have a storage class for dates?"
    return lack(sentence, [source], question=question, around=[source], least=0.6, least_short=0.7)


def test_what_the_source_denies_in_the_same_words_is_not_affirmed() -> None:
    denied = "The engine does not have a storage class for dates and times."
    assert why("Yes, the engine has a storage class for dates and times.", denied) == "denied"
    assert why("The engine does not have a storage class for dates and times.", denied) == ""
    both = f"{denied} Since version 9 the engine has a storage class for dates and times."
    assert why("Yes, the engine has a storage class for dates and times.", both) == ""
