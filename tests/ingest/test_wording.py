"""Searched for is what is asked, not how to answer; a measure brings the lines that it stands on."""

from __future__ import annotations

import pytest

from ingest.wording import focused, underlying


@pytest.mark.parametrize(
    ("asked", "searched"),
    [
        ("What is the ratio? Round your answer to two decimals.", "What is the ratio?"),
        ("Is it up? If that is of no use here, then state that and explain why.", "Is it up?"),
        ('Which ones? Answer in a list, e.g., ["a", "b"].', "Which ones?"),
        ("Who leads it? Please write the name.", "Who leads it?"),
        ("Define A as B + C. What is A?", "Define A as B + C. What is A?"),
        # Alone it is the question.
        ("Give the total revenue of 2023.", "Give the total revenue of 2023."),
        ("Return the key. Write it down.", "Return the key."),
        ("", ""),
        ("  ?  ", "?"),
    ],
)
def test_how_to_answer_is_not_searched_for(asked: str, searched: str) -> None:
    assert focused(asked) == searched


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("Has the quick ratio improved?", "liabilities"),
        ("What is the gross margin?", "gross"),
        ("Compute ROA.", "assets"),
        ("Capex as a share of revenue?", "purchases"),
    ],
)
def test_a_measure_brings_its_lines(asked: str, line: str) -> None:
    assert line in underlying(asked).split()


def test_several_measures_bring_each_word_once_and_none_brings_nothing() -> None:
    several = underlying("working capital and quick ratio").split()
    assert len(several) == len(set(several))
    assert underlying("How many days of leave are there?") == underlying("") == ""
    assert underlying("a roadmap for the broad capexed market") == "", "whole words only"
