"""How good is it? Asks questions with known answers and pages, and scores what comes back.

No model judges: a page counts as found when it is among the first k distinct pages of the search, an answer
as right when it holds the gold number or words. That is strict with free text, and the same for everyone who
runs it.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent import words
from agent.errors import AgentError
from agent.records import Answer, Question
from agent.run import GuardedAgent
from ingest.records import Document, Scope

#: Hits asked for when pages are scored: enough for five distinct pages of several chunks each.
_HITS = 24
_UNANSWERABLE = "Not answerable"


class Gold(BaseModel):
    """A question with its known answer, one line of a JSON Lines file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    question: str
    answer: str
    #: The document's name, as added.
    doc: str | None
    #: Pages that hold the answer, from 1; empty where none does or where it is not known.
    evidence_pages: tuple[int, ...] = ()
    type: str = "text"
    answer_format: str = "Str"
    #: "document" asks with that document selected, "corpus" over everything.
    scope: Literal["document", "corpus"] = "corpus"
    #: Words that stand in the cited region.
    cell: str | None = None

    @property
    def answerable(self) -> bool:
        """Whether the documents answer it."""
        return self.type != "unanswerable" and self.answer != _UNANSWERABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of one question; None where it was not asked or does not apply."""

    gold: Gold
    #: Rank of the first page that holds the answer among distinct pages, from 1; None: not within reach.
    page_rank: int | None
    answer: Answer | None = None
    right: bool | None = None
    #: Whether a citation points to a page that holds the answer.
    cited_page: bool | None = None
    #: Whether the cited words hold the gold cell.
    cited_cell: bool | None = None
    seconds: float = 0.0


class Report(BaseModel):
    """Counts over questions; a rate of nothing is None, never zero."""

    questions: int
    hit_1: float | None = Field(description="answerable questions whose page is the first found")
    hit_5: float | None = Field(description="answerable questions whose page is among the first five")
    right: float | None = Field(
        description="questions answered rightly, abstentions on unanswerable ones among them"
    )
    answered_right: float | None = Field(description="answerable questions answered rightly")
    abstained_right: float | None = Field(description="unanswerable questions on which it abstained")
    wrong_when_answered: float | None = Field(description="answers given that are wrong")
    cited_page: float | None = Field(description="right answers that cite a page holding the answer")
    cited_cell: float | None = Field(description="right answers whose cited words hold the gold cell")
    median_s: float | None = Field(description="median seconds a question")


class Line(BaseModel):
    """One question as scored, for people who want to see why."""

    id: str
    type: str
    question: str
    gold: str
    page_rank: int | None
    kind: str | None
    answer: str | None
    reason: str | None
    dropped: int
    cited: list[str]
    right: bool | None
    cited_page: bool | None
    cited_cell: bool | None
    seconds: float


class Evaluation(BaseModel):
    """The whole report: over all questions, by type, and line by line."""

    report: Report
    by_type: dict[str, Report]
    questions: list[Line]


def load(path: Path) -> list[Gold]:
    """Read questions from a JSON Lines file. Raises AgentError naming the line that does not fit."""
    questions = []
    for no, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if line.strip():
            try:
                questions.append(Gold.model_validate_json(line))
            except ValidationError as error:
                raise AgentError(f"{path.name}, line {no} is no question: {error}") from error
    return questions


async def evaluate(
    agent: GuardedAgent,
    questions: Sequence[Gold],
    documents: Mapping[str, Document],
    *,
    scope: Scope,
    ask: bool,
) -> AsyncIterator[Score]:
    """Score each question as it is asked; `documents` by name. With `ask` False only the search is scored."""
    for gold in questions:
        document = documents.get(gold.doc) if gold.doc else None
        narrowed = scope
        if gold.scope == "document" and document is not None:
            narrowed = replace(scope, documents=(document.id,))
        start = time.perf_counter()
        score = Score(gold=gold, page_rank=await _page_rank(agent, gold, document, scope=narrowed))
        if ask:
            start = time.perf_counter()
            answer = await agent.answer(Question(text=gold.question, scope=narrowed))
            score = _scored(score, answer, document)
        yield replace(score, seconds=time.perf_counter() - start)


async def _page_rank(
    agent: GuardedAgent, gold: Gold, document: Document | None, *, scope: Scope
) -> int | None:
    if not gold.answerable or not gold.evidence_pages or document is None:
        return None
    found = await agent.search(gold.question, scope=scope, limit=_HITS)
    pages = list(dict.fromkeys((c.document_id, c.page_no) for c in found.citations))
    ranks = [
        i for i, (id_, no) in enumerate(pages, start=1) if id_ == document.id and no in gold.evidence_pages
    ]
    return min(ranks, default=None)


def _scored(score: Score, answer: Answer, document: Document | None) -> Score:
    gold = score.gold
    right = is_right(gold, answer)
    cited = answer.citations
    pages = {c.page_no for c in cited if document is not None and c.document_id == document.id}
    return replace(
        score,
        answer=answer,
        right=right,
        cited_page=bool(pages & set(gold.evidence_pages)) if gold.evidence_pages else None,
        cited_cell=any(gold.cell in c.quote for c in cited) if gold.cell else None,
    )


def is_right(gold: Gold, answer: Answer) -> bool:
    """Say whether `answer` gives the gold answer; an unanswerable question wants an abstention."""
    if not gold.answerable:
        return answer.kind == "abstention"
    if answer.kind != "answer":
        return False
    text = " ".join(sentence.text for sentence in answer.sentences)
    parts = _parts(gold)
    return all(_holds(text, part) for part in parts)


def _parts(gold: Gold) -> list[str]:
    if gold.answer_format == "List":
        return [p for p in re.split(r"\s*[,;]\s*", gold.answer.strip("[]")) if p.strip("'\" ")]
    return [gold.answer]


def _holds(text: str, gold: str) -> bool:
    """Say whether `text` holds the gold numbers, or 0.8 of its words where it has none."""
    figures = words.numbers(gold)
    if figures:
        return figures <= words.numbers(text)
    wanted = words.content(gold) or words.flat(gold)
    return words.cover(wanted, words.content(text) | words.flat(text)) >= 0.8


def report(scores: Sequence[Score]) -> Report:
    """Sum up."""
    paged = [s for s in scores if s.gold.answerable and s.gold.evidence_pages]
    asked = [s for s in scores if s.answer is not None]
    able, unable = [s for s in asked if s.gold.answerable], [s for s in asked if not s.gold.answerable]
    answered = [s for s in asked if s.answer is not None and s.answer.kind == "answer"]
    right = [s for s in able if s.right]
    times = sorted(s.seconds for s in scores)
    return Report(
        questions=len(scores),
        hit_1=_rate(paged, lambda s: s.page_rank is not None and s.page_rank <= 1),
        hit_5=_rate(paged, lambda s: s.page_rank is not None and s.page_rank <= 5),
        right=_rate(asked, lambda s: bool(s.right)),
        answered_right=_rate(able, lambda s: bool(s.right)),
        abstained_right=_rate(unable, lambda s: bool(s.right)),
        wrong_when_answered=_rate(answered, lambda s: not s.right),
        cited_page=_rate([s for s in right if s.cited_page is not None], lambda s: bool(s.cited_page)),
        cited_cell=_rate([s for s in right if s.cited_cell is not None], lambda s: bool(s.cited_cell)),
        median_s=round(times[len(times) // 2], 3) if times else None,
    )


def evaluation(scores: Sequence[Score]) -> Evaluation:
    """Sum up everything."""
    return Evaluation(report=report(scores), by_type=by_type(scores), questions=lines(scores))


def by_type(scores: Sequence[Score]) -> dict[str, Report]:
    """Sum up each type of question, and each way of asking, for itself."""
    keys = sorted({s.gold.type for s in scores}) + [
        f"scope: {k}" for k in sorted({s.gold.scope for s in scores})
    ]
    return {k: report([s for s in scores if k in (s.gold.type, f"scope: {s.gold.scope}")]) for k in keys}


def lines(scores: Sequence[Score]) -> list[Line]:
    """Return what became of each question, in the order asked."""
    return [
        Line(
            id=s.gold.id,
            type=s.gold.type,
            question=s.gold.question,
            gold=s.gold.answer,
            page_rank=s.page_rank,
            kind=s.answer.kind if s.answer else None,
            answer=s.answer.text if s.answer else None,
            reason=s.answer.reason if s.answer else None,
            dropped=s.answer.dropped if s.answer else 0,
            cited=[f"{c.name}, page {c.page_no}: {c.quote}" for c in s.answer.citations] if s.answer else [],
            right=s.right,
            cited_page=s.cited_page,
            cited_cell=s.cited_cell,
            seconds=round(s.seconds, 2),
        )
        for s in scores
    ]


def _rate(scores: Sequence[Score], right: Callable[[Score], bool]) -> float | None:
    return round(sum(right(s) for s in scores) / len(scores), 3) if scores else None
