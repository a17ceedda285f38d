"""Metrics against values worked out by hand, and the properties that they must have."""

from __future__ import annotations

from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import scores


def test_rankings_against_hand_worked_values() -> None:
    ranked = ["a", "b", "c", "d"]
    assert scores.hit(ranked, {"c"}, 2) == 0.0
    assert scores.hit(ranked, {"c"}, 3) == 1.0
    assert scores.recall(ranked, {"a", "c", "x"}, 3) == pytest.approx(2 / 3)
    # Gains at places 2 and 4, ideal at 1 and 2.
    expected = (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3))
    assert scores.ndcg(ranked, {"b", "d"}, 10) == pytest.approx(expected)
    assert scores.ndcg(ranked, {"a"}, 10) == 1.0


@given(st.permutations(list("abcdefgh")), st.sets(st.sampled_from("abcdefgh"), min_size=1), st.integers(1, 8))
def test_metrics_stay_in_their_range_and_grow_with_k(ranked: list[str], relevant: set[str], k: int) -> None:
    for metric in (scores.hit, scores.recall):
        assert 0 <= metric(ranked, relevant, k) <= metric(ranked, relevant, k + 1) <= 1
    assert 0 <= scores.ndcg(ranked, relevant, k) <= 1


MATCHES = [
    ("Revenue was 1,234 million [1].", "1234", "Int", True),
    ("Revenue was 1,235 million [1].", "1234", "Int", False),
    ("In 12 [12] of the cases.", "12", "Int", True),
    ("In some cases [12].", "12", "Int", False),
    ("It rose by 14.3% [1].", "14.29", "Float", True),
    ("It rose by 15% [1].", "14.29", "Float", False),
    ("The share is 0.51 [1].", "51%", "Float", True),
    ("Yes, it does [1].", "Yes", "Str", True),
    ("No, it does not [1].", "Yes", "Str", False),
    ("They used post-hoc correction [2].", "post-hoc correction", "Str", True),
    ("They used correction [2].", "GPT-4", "Int", False),
    ("It lists XL and Kotakgame.com [1].", "['XL', 'Kotakgame.com']", "List", True),
    ("It lists XL [1].", "['XL', 'Kotakgame.com']", "List", False),
    (
        "The rate dropped from 24.6% to 21.6% in FY 2022.",
        "The rate dropped from 24.6% in FY 2021 to 21.6%",
        "Free",
        False,
    ),
    (
        "The rate dropped from 24.6% in FY 2021 to 21.6% in FY 2022.",
        "The rate dropped from 24.6% in FY 2021 to 21.6%",
        "Free",
        True,
    ),
]


@pytest.mark.parametrize(("said", "gold", "answer_format", "right"), MATCHES)
def test_answers_match_by_their_format(said: str, gold: str, answer_format: str, right: bool) -> None:
    assert scores.matches(said, gold, answer_format) is right


def test_lists_are_split_at_their_quotes_not_inside_them() -> None:
    assert scores.entries(
        "[\"Singapore-Cambridge GCE 'A' Level\", 'International Baccalaureate (IB) Diploma']"
    ) == [
        "Singapore-Cambridge GCE 'A' Level",
        "International Baccalaureate (IB) Diploma",
    ]
    assert scores.entries("['12', '13']") == ["12", "13"]
    assert scores.entries("red, green; blue") == ["red", "green", "blue"]


def test_intervals_hold_their_mean_and_are_the_same_twice() -> None:
    rates = [1.0] * 30 + [0.0] * 10
    found = scores.interval(rates)
    assert found is not None
    low, high = found
    assert 0.55 < low < 0.75 < high < 0.92
    assert scores.interval(rates) == found
    assert scores.interval([1.0]) is None


def test_runs_are_compared_over_what_they_share() -> None:
    ours, theirs = {"a": 1.0, "b": 1.0, "x": 0.0}, {"a": 0.0, "b": 1.0, "y": 1.0}
    found = scores.difference(ours, theirs)
    assert found is not None
    assert found[:2] == (2, 0.5)
    assert scores.difference({"a": 1.0}, {"b": 1.0}) is None


def test_risk_and_coverage_take_ties_together() -> None:
    answered = [(0.9, True), (0.5, False), (0.5, True), (0.1, False)]
    assert scores.risk_coverage(answered) == [(0.25, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    assert scores.aurc(answered) == pytest.approx(0.5 / 3 + 0.25 * 0.5)
    assert scores.aurc([]) is None
