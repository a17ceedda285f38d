"""Comparisons and several questions at once, taken apart; what asks one thing stays whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.subquestions import apart


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        (
            "Compare the size of the log header with that of the page header.",
            ["What is the size of the log header?", "What is the size of the page header?"],
        ),
        (
            "Compare the revenue of Acme and Beta in FY2022.",
            ["What is the revenue of Acme in FY2022?", "What is the revenue of Beta in FY2022?"],
        ),
        (
            "What is the difference between the maximum and the minimum page size?",
            ["What is the maximum page size?", "What is the minimum page size?"],
        ),
        ("Which is larger, the moon or the sun?", ["How large is the moon?", "How large is the sun?"]),
        (
            "Which has more columns, table A or table B?",
            ["How many columns has table A?", "How many columns has table B?"],
        ),
        ("Is the moon larger than the sun?", ["How large is the moon?", "How large is the sun?"]),
        (
            "Does Section 3.3 cite more papers than Section 3.1?",
            ["How many papers does Section 3.3 cite?", "How many papers does Section 3.1 cite?"],
        ),
        ("Sloops vs ketches", ["What are Sloops?", "What are ketches?"]),
        (
            "What are the weights of pump A, pump B and pump C, respectively?",
            [
                "What is the weight of pump A?",
                "What is the weight of pump B?",
                "What is the weight of pump C?",
            ],
        ),
        (
            "When did the plant in Marlow open? And how many people does it employ?",
            ["When did the plant in Marlow open?", "How many people does the plant in Marlow employ?"],
        ),
        (
            "What is the minimum and what is the maximum page size?",
            ["What is the minimum page size?", "What is the maximum page size?"],
        ),
        (
            "Compare the depth of a tree with the width of a lawn.",
            ["What is the depth of a tree?", "What is the width of a lawn?"],
        ),
        (
            "At which offset is the salt and at which offset is the cookie in the header?",
            ["At which offset is the salt in the header?", "At which offset is the cookie in the header?"],
        ),
        (
            "What is the default of MAX_ROWS and how many tables are allowed?",
            ["What is the default of MAX_ROWS?", "How many tables are allowed?"],
        ),
    ],
)
def test_a_question_that_asks_several_things_is_taken_apart(asked: str, parts: list[str]) -> None:
    assert apart(asked) == parts


@pytest.mark.parametrize(
    "asked",
    [
        "How much has the tax rate changed between FY2021 and FY2022?",
        "What was revenue in 2022 and 2023?",
        "Who wrote the page which holds the map and which has the index?",
        "Are margins consistent (not fluctuating more than 2% each year)?",
        "How many pages contain tables?",
        "What are research and development costs?",
        "Is the plant older than 30 years?",
    ],
)
def test_what_asks_one_thing_stays_whole(asked: str) -> None:
    assert apart(asked) == [asked]


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_at_all_gives_at_least_one_question(text: str) -> None:
    assert len(apart(text)) >= 1
