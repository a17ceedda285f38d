"""The arithmetic of evaluation: ranks, answers, citations, abstentions, intervals. Pure, and no model judges.

Ranking metrics follow the usual definitions (hit@k, recall@k, nDCG@k with binary gains, as in BEIR).
Intervals are 95 % percentile bootstraps over questions with a fixed seed: two people get the same ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from math import log2

import numpy as np

from agent import words

_RESAMPLES = 1000
_SEED = 20_240
#: Least share of a gold string's words that an answer must hold.
_WORDS_HELD = 0.8
#: Least token F1 of a free answer.
_FREE_F1 = 0.5
#: Two figures are one where they differ by less than this: 14.3 % against 14.29 %.
_TOLERANCE = 0.01
_MARKS = re.compile(r"\s*\[\d+\]")


def hit(ranked: Sequence[Hashable], relevant: Collection[Hashable], k: int) -> float:
    """Return 1.0 where any of `relevant` is among the first `k`, else 0.0."""
    return float(any(one in relevant for one in ranked[:k]))


def recall(ranked: Sequence[Hashable], relevant: Collection[Hashable], k: int) -> float:
    """Return the share of `relevant` (at least one) among the first `k`."""
    return len(set(ranked[:k]) & set(relevant)) / len(set(relevant))


def ndcg(ranked: Sequence[Hashable], relevant: Collection[Hashable], k: int) -> float:
    """Return nDCG@k with gain 1 for what is relevant; `ranked` holds nothing twice."""
    gained = sum(1 / log2(place + 2) for place, one in enumerate(ranked[:k]) if one in relevant)
    ideal = sum(1 / log2(place + 2) for place in range(min(k, len(set(relevant)))))
    return gained / ideal


def matches(said: str, gold: str, answer_format: str) -> bool:
    """Say whether an answer gives `gold`; formats are those of MMLongBench-Doc, and Free.

    A number wants the same number (Float: within 1 %, percent or share), a string 0.8 of its words, a list
    each of its entries, a free text token F1 of .5 and every number of the gold.
    """
    said = _MARKS.sub("", said)
    if answer_format == "List":
        return all(_holds(said, part) for part in entries(gold))
    if answer_format == "Float":
        return _near(said, gold)
    if answer_format == "Free":
        return words.numbers(gold) <= words.numbers(said) and token_f1(said, gold) >= _FREE_F1
    return _holds(said, gold)


def entries(gold: str) -> list[str]:
    """Split a written-out list into its entries."""
    quoted = re.findall(r"'((?:[^'\\]|\\.|(?<=\w)'(?=\w))*)'|\"((?:[^\"\\]|\\.)*)\"", gold)
    found = [a or b for a, b in quoted] if quoted else re.split(r"\s*[,;]\s*", gold.strip("[] "))
    return [one.strip() for one in found if one.strip()]


def token_f1(said: str, gold: str) -> float:
    """Return the harmonic mean of precision and recall over words, counted."""
    ours, theirs = (Counter(re.findall(r"\w+(?:[.,]\d+)*", text.casefold())) for text in (said, gold))
    shared = sum((ours & theirs).values())
    return 2 * shared / (ours.total() + theirs.total()) if shared else 0.0


def _holds(said: str, gold: str) -> bool:
    figures = words.numbers(gold)
    if figures and not words.content(gold):
        return figures <= words.numbers(said)
    if gold.strip().casefold() in {"yes", "no"}:
        return bool(re.match(rf"\W*{gold.strip()}\b", said, re.IGNORECASE))
    wanted = words.content(gold) or words.flat(gold)
    held = words.content(said) | words.flat(said)
    return figures <= words.numbers(said) and words.cover(wanted, held) >= _WORDS_HELD


def _near(said: str, gold: str) -> bool:
    wanted = [float(number) for number in words.numbers(gold) if _is_plain(number)]
    found = [float(number) for number in words.numbers(said) if _is_plain(number)]
    if not wanted:
        return _holds(said, gold)
    return all(any(_same(a, b) for b in found) for a in wanted)


def _is_plain(number: str) -> bool:
    return number.count(".") <= 1


def _same(a: float, b: float) -> bool:
    """Percent and share are one: .51 and 51 %."""
    return any(abs(a - c) <= _TOLERANCE * max(abs(a), 1e-9) for c in (b, b * 100, b / 100))


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None of nothing."""
    return float(np.mean(values)) if len(values) else None


def interval(
    values: Sequence[float], of: Callable[[Sequence[float]], float | None] = mean
) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of a statistic over `values`; None below two values."""
    if len(values) < 2:
        return None
    drawn = np.random.default_rng(_SEED).integers(0, len(values), size=(_RESAMPLES, len(values)))
    array = np.asarray(values, dtype=np.float64)
    if of is mean:
        found = array[drawn].mean(axis=1)
    else:
        found = np.array([of(list(array[row])) or 0.0 for row in drawn])
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def difference(
    ours: dict[str, float], theirs: dict[str, float]
) -> tuple[int, float, tuple[float, float]] | None:
    """Compare two runs over the questions that both have: (n, mean difference, its 95 % interval)."""
    common = sorted(ours.keys() & theirs.keys())
    deltas = [ours[key] - theirs[key] for key in common]
    spread = interval(deltas)
    return (len(common), float(np.mean(deltas)), spread) if spread is not None else None


def risk_coverage(answered: Sequence[tuple[float, bool]]) -> list[tuple[float, float]]:
    """Return (coverage, risk) as the threshold falls over (confidence, right) pairs, surest first.

    Ties are taken together: a threshold cannot part them.
    """
    points: list[tuple[float, float]] = []
    wrong = taken = 0
    ordered = sorted(answered, key=lambda pair: -pair[0])
    for place, (confidence, right) in enumerate(ordered):
        taken, wrong = taken + 1, wrong + (not right)
        if place + 1 == len(ordered) or ordered[place + 1][0] < confidence:
            points.append((taken / len(ordered), wrong / taken))
    return points


def aurc(answered: Sequence[tuple[float, bool]]) -> float | None:
    """Return the area under the risk-coverage curve (lower is better); None of nothing."""
    area = last = 0.0
    points = risk_coverage(answered)
    for coverage, risk in points:
        area += (coverage - last) * risk
        last = coverage
    return area if points else None
