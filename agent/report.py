"""The report of an evaluation: how well pages are found, how good answers are, what it knows not to answer.

Its JSON is what people compare and gate on, so its names are fixed: scopes below `retrieval`, types below
those and below `answers`, always with "all".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agent import scores, words
from agent.evaluate import Score
from agent.questions import Place, SearchedIn
from agent.records import Answer, Citation

#: Least share of a released sentence's content words that its quotes must hold to count as supported.
_SUPPORTED = 0.5


class Retrieval(BaseModel):
    """How well pages are found; intervals are 95 % bootstraps."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    n: int
    hit_1: Annotated[float, Field(alias="hit@1")]
    hit_5: Annotated[float, Field(alias="hit@5")]
    recall_10: Annotated[float, Field(alias="recall@10")]
    recall_100: Annotated[float | None, Field(alias="recall@100")]
    ndcg_10: Annotated[float, Field(alias="ndcg@10")]
    hit_5_interval: Annotated[tuple[float, float] | None, Field(alias="hit@5_interval")]
    ndcg_10_interval: Annotated[tuple[float, float] | None, Field(alias="ndcg@10_interval")]


class Answers(BaseModel):
    """How good answers are; a rate of nothing is None, never zero."""

    n: int
    match: float | None = Field(description="questions answered rightly, of those that can be")
    match_interval: tuple[float, float] | None
    abstained: float | None = Field(description="questions on which it abstained or refused")
    match_when_answered: float | None = Field(description="right ones among the answers given")
    citation_precision: float | None = Field(description="citations that point to a page holding the answer")
    citation_recall: float | None = Field(description="pages holding the answer that are cited")
    support: float | None = Field(description="released sentences whose numbers and words their quotes hold")
    cited_cell: float | None = Field(default=None, description="answers whose cited words hold the gold cell")
    dropped: int = Field(description="sentences written but left out")


class Abstention(BaseModel):
    """How well it knows what it cannot answer."""

    precision: float | None = Field(description="abstentions that were right to abstain")
    recall: float | None = Field(description="unanswerable questions on which it abstained")
    coverage: float | None = Field(description="answerable questions that it answered")
    aurc: float | None = Field(description="area under the risk-coverage curve of the answers given")
    risk_coverage: list[tuple[float, float]]


class Line(BaseModel):
    """One question as scored, for people who want to see why, and for comparing runs."""

    id: str
    type: str
    scope: SearchedIn
    question: str
    gold: str
    #: Rank of the first page that holds the answer, by scope searched in; null: not among those found.
    page_rank: dict[SearchedIn, int | None]
    kind: str | None
    answer: str | None
    reason: str | None
    dropped: int
    cited: list[str]
    right: bool | None
    confidence: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float


class Evaluation(BaseModel):
    """The whole report. Below `retrieval` stand scopes, below those (and below `answers`) types and "all"."""

    retrieval: dict[SearchedIn, dict[str, Retrieval]]
    answers: dict[str, Answers]
    abstention: Abstention | None
    latency_ms: dict[str, float]
    config: dict[str, str | int | float | bool | None]
    questions: list[Line]


def evaluation(
    found: Sequence[Score], *, config: Mapping[str, str | int | float | bool | None] | None = None
) -> Evaluation:
    """Sum up everything."""
    asked = [score for score in found if score.answer is not None]
    return Evaluation(
        retrieval={where: kept for where in ("document", "corpus") if (kept := _retrieval(found, where))},
        answers={key: _answers(some) for key, some in _by_type(asked)},
        abstention=_abstention(asked) if asked else None,
        latency_ms=_latency(found),
        config=dict(config or {}),
        questions=[_line(score) for score in found],
    )


def values(run: Evaluation, metric: str) -> dict[str, float]:
    """Return one number a question of a run, for paired comparison: "hit@5", "hit@1" or "match"."""
    if metric == "match":
        return {line.id: float(line.right) for line in run.questions if line.right is not None}
    k = int(metric.removeprefix("hit@"))
    return {
        f"{where}/{line.id}": float(rank is not None and rank <= k)
        for line in run.questions
        for where, rank in line.page_rank.items()
    }


def _by_type(found: Sequence[Score]) -> Iterator[tuple[str, list[Score]]]:
    if found:
        yield "all", list(found)
    for key in sorted({score.gold.type for score in found}):
        yield key, [score for score in found if score.gold.type == key]


def _retrieval(found: Sequence[Score], where: SearchedIn) -> dict[str, Retrieval]:
    return {key: _ranking(some, where) for key, some in _by_type([s for s in found if where in s.ranked])}


def _ranking(found: Sequence[Score], where: SearchedIn) -> Retrieval:
    def each(of: Callable[[Sequence[Place], frozenset[Place], int], float], k: int) -> list[float]:
        return [of(score.ranked[where], score.gold.places, k) for score in found]

    fives, gains = each(scores.hit, 5), each(scores.ndcg, 10)
    deep = any(score.gold.relevant for score in found)
    return Retrieval.model_validate(
        {
            "n": len(found),
            "hit@1": _maybe(each(scores.hit, 1)),
            "hit@5": _maybe(fives),
            "recall@10": _maybe(each(scores.recall, 10)),
            "recall@100": _maybe(each(scores.recall, 100)) if deep else None,
            "ndcg@10": _maybe(gains),
            "hit@5_interval": _rounded_pair(scores.interval(fives)),
            "ndcg@10_interval": _rounded_pair(scores.interval(gains)),
        }
    )


def _answers(asked: Sequence[Score]) -> Answers:
    able = [float(bool(score.right)) for score in asked if score.gold.answerable]
    given = [score for score in asked if score.answer is not None and score.answer.kind == "answer"]
    cited = [(score.gold.places, _pages_cited(score)) for score in given if score.gold.places]
    sentences = [held for score in given for held in _supported(score.answer)]
    cells = [score for score in given if score.gold.cell and score.right]
    return Answers(
        n=len(asked),
        match=_maybe(able),
        match_interval=_rounded_pair(scores.interval(able)),
        abstained=_maybe([float(s.answer is not None and s.answer.kind != "answer") for s in asked]),
        match_when_answered=_maybe([float(bool(s.right)) for s in given]),
        citation_precision=_maybe([len(gold & pages) / len(pages) for gold, pages in cited if pages]),
        citation_recall=_maybe([len(gold & pages) / len(gold) for gold, pages in cited]),
        support=_maybe(sentences),
        cited_cell=_maybe([float(_cell_cited(s)) for s in cells]),
        dropped=sum(s.answer.dropped for s in asked if s.answer is not None),
    )


def _pages_cited(score: Score) -> frozenset[Place]:
    return frozenset((c.name, c.page_no) for c in score.answer.citations) if score.answer else frozenset()


def _cell_cited(score: Score) -> bool:
    return score.answer is not None and any(
        (score.gold.cell or "") in c.quote for c in score.answer.citations
    )


def _supported(answer: Answer | None) -> list[float]:
    """Say for each released sentence whether its quotes hold its numbers and half of its content words."""
    if answer is None:
        return []
    by_number = {citation.n: citation for citation in answer.citations}
    return [
        float(_stands(sentence.text, [by_number[n] for n in sentence.citations if n in by_number]))
        for sentence in answer.sentences
    ]


def _stands(sentence: str, cited: Sequence[Citation]) -> bool:
    quotes = "\n".join(f"{citation.name}\n{citation.quote}" for citation in cited)
    said = sentence.partition(" [")[0]
    covered = words.cover(words.content(said), words.content(quotes))
    return bool(cited) and words.numbers(said) <= words.numbers(quotes) and covered >= _SUPPORTED


def _abstention(asked: Sequence[Score]) -> Abstention:
    def abstained(score: Score) -> bool:
        return score.answer is not None and score.answer.kind != "answer"

    given = [
        (_sureness(score.answer), bool(score.right))
        for score in asked
        if score.answer is not None and score.answer.kind == "answer"
    ]
    able = [score for score in asked if score.gold.answerable]
    return Abstention(
        precision=_maybe([float(not score.gold.answerable) for score in asked if abstained(score)]),
        recall=_maybe([float(abstained(score)) for score in asked if not score.gold.answerable]),
        coverage=_maybe([float(not abstained(score)) for score in able]),
        aurc=None if (area := scores.aurc(given)) is None else round(area, 4),
        risk_coverage=[(round(c, 4), round(r, 4)) for c, r in scores.risk_coverage(given)],
    )


def _sureness(answer: Answer) -> float:
    """Return what orders answers in the risk-coverage curve."""
    if answer.confidence is not None:
        return answer.confidence
    return max((citation.score for citation in answer.citations), default=0.0)


def _latency(found: Sequence[Score]) -> dict[str, float]:
    searches = sorted(1000 * s for score in found for s in score.search_s)
    answers = sorted(1000 * score.answer_s for score in found if score.answer_s is not None)
    return {
        f"{name}_{label}": round(times[min(len(times) - 1, int(share * len(times)))], 1)
        for name, times in (("search", searches), ("answer", answers))
        for label, share in (("p50", 0.5), ("p95", 0.95))
        if times
    }


def _line(score: Score) -> Line:
    answer, gold = score.answer, score.gold
    return Line(
        id=gold.id,
        type=gold.type,
        scope=gold.scope,
        question=gold.question,
        gold=gold.answer,
        page_rank={where: _first(pages, gold.places) for where, pages in score.ranked.items()},
        kind=answer.kind if answer else None,
        answer=answer.text if answer else None,
        reason=answer.reason if answer else None,
        dropped=answer.dropped if answer else 0,
        cited=[f"{c.name}, page {c.page_no}: {c.quote}" for c in answer.citations] if answer else [],
        right=score.right,
        confidence=answer.confidence if answer else None,
        tokens_in=score.tokens_in,
        tokens_out=score.tokens_out,
        seconds=round(sum(score.search_s) + (score.answer_s or 0.0), 2),
    )


def _first(pages: Sequence[Place], relevant: frozenset[Place]) -> int | None:
    return next((place for place, page in enumerate(pages, start=1) if page in relevant), None)


def _rounded_pair(pair: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if pair is None else (round(pair[0], 4), round(pair[1], 4))


def _maybe(rates: Sequence[float]) -> float | None:
    value = scores.mean(rates)
    return None if value is None else round(value, 4)
