"""How good is it? Asks questions with known answers and pages, and scores what comes back.

Pages are ranked as distinct (document, page) pairs, each placed by its best hit. A question is searched
inside its own document and, where it is meant for the whole shelf, over everything. No model judges
(`scores.py`): strict with free text, and the same for everyone who runs it. `report.py` sums up.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from agent import scores
from agent.hidden import Hiding
from agent.questions import Gold, Place, SearchedIn
from agent.records import Answer, Question
from agent.run import GuardedAgent
from ingest.records import Document, Scope

#: Hits asked for when pages are ranked: enough for ten distinct pages of several chunks each.
_HITS = 60
#: The same where documents are short and recall@100 is wanted.
_HITS_BEIR = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What became of one question; None where it was not asked or does not apply."""

    gold: Gold
    #: Distinct pages by scope searched in, best first.
    ranked: Mapping[SearchedIn, tuple[Place, ...]]
    search_s: tuple[float, ...] = ()
    answer: Answer | None = None
    right: bool | None = None
    answer_s: float | None = None
    #: Tokens read and written by the model; None where it tells none.
    tokens_in: int | None = None
    tokens_out: int | None = None


class _Spend(Protocol):
    @property
    def prompt_tokens(self) -> int: ...

    @property
    def completion_tokens(self) -> int: ...


class _Spending(Protocol):
    def snapshot(self) -> Sequence[_Spend]: ...


@runtime_checkable
class _Counting(Protocol):
    """A model that tells what it was fed and what it said."""

    @property
    def spending(self) -> _Spending: ...


async def evaluate(
    agent: GuardedAgent,
    questions: Sequence[Gold],
    documents: Mapping[str, Document],
    *,
    scope: Scope,
    ask: bool,
    known: Mapping[str, Score] | None = None,
) -> AsyncIterator[Score]:
    """Score each question as it is asked; `documents` by name. With `ask` False only the search is scored.

    `known` holds scores of an earlier run by question id: those are passed on, not made again.
    """
    for gold in questions:
        if known and gold.id in known:
            yield known[gold.id]
            continue
        score = await _searched(agent, gold, documents, scope=scope)
        yield await _answered(agent, score, documents, scope=scope) if ask else score


async def evaluate_without_gold(
    agent: GuardedAgent,
    questions: Sequence[Gold],
    documents: Mapping[str, Document],
    *,
    scope: Scope,
    known: Mapping[str, Score] | None = None,
) -> AsyncIterator[Score]:
    """Ask each question with the pages that hold its answer hidden: nothing is left but to abstain.

    A question whose pages are not known cannot be asked so and is left out.
    """
    hiding = Hiding(agent.library)
    blind = agent.over(hiding)
    for gold in (gold for gold in questions if gold.answerable and gold.places):
        if known and gold.id in known:
            yield known[gold.id]
            continue
        hiding.pages = {(documents[name].id, no) for name, no in gold.places if name in documents}
        score = Score(gold=gold.without_answer(), ranked={})
        yield await _answered(blind, score, documents, scope=scope)


async def _searched(
    agent: GuardedAgent, gold: Gold, documents: Mapping[str, Document], *, scope: Scope
) -> Score:
    inside = _inside(gold, documents, scope=scope)
    ranked: dict[SearchedIn, tuple[Place, ...]] = {}
    times: list[float] = []
    wheres: tuple[tuple[SearchedIn, Scope | None], ...] = (
        ("document", inside),
        ("corpus", scope if gold.scope == "corpus" else None),
    )
    for where, narrowed in wheres:
        if narrowed is not None and gold.answerable and gold.places:
            start = time.perf_counter()
            ranked[where] = await _ranked(agent, gold, documents, scope=narrowed)
            times.append(time.perf_counter() - start)
    return Score(gold=gold, ranked=ranked, search_s=tuple(times))


async def _answered(
    agent: GuardedAgent, score: Score, documents: Mapping[str, Document], *, scope: Scope
) -> Score:
    gold = score.gold
    own = gold.scope == "document" or len(gold.docs) > 1
    inside = _inside(gold, documents, scope=scope) if own else None
    spent = _spent(agent.model)
    start = time.perf_counter()
    answer = await agent.answer(Question(text=gold.question, scope=inside or scope))
    took = time.perf_counter() - start
    now = _spent(agent.model)
    read, written = (now[0] - spent[0], now[1] - spent[1]) if now and spent else (None, None)
    return replace(
        score,
        answer=answer,
        right=is_right(gold, answer),
        answer_s=took,
        tokens_in=read,
        tokens_out=written,
    )


def _inside(gold: Gold, documents: Mapping[str, Document], *, scope: Scope) -> Scope | None:
    """Narrow `scope` to the question's own documents; None where it names none that are there."""
    own = tuple(documents[name].id for name in gold.docs if name in documents)
    return replace(scope, documents=own) if own else None


def _spent(model: object) -> tuple[int, int] | None:
    """Return tokens read and written by `model` so far, or None where it counts none."""
    if not isinstance(model, _Counting):
        return None
    spends = model.spending.snapshot()
    return sum(s.prompt_tokens for s in spends), sum(s.completion_tokens for s in spends)


async def _ranked(
    agent: GuardedAgent, gold: Gold, documents: Mapping[str, Document], *, scope: Scope
) -> tuple[Place, ...]:
    names = {document.id: name for name, document in documents.items()}
    found = await agent.search(gold.question, scope=scope, limit=_HITS_BEIR if gold.relevant else _HITS)
    # What is judged by the document alone is found on whichever of its pages: a long text has several.
    return tuple(
        dict.fromkeys(
            (names.get(c.document_id, c.name), 1 if gold.relevant else c.page_no) for c in found.citations
        )
    )


def is_right(gold: Gold, answer: Answer) -> bool:
    """Say whether `answer` gives the gold answer; an unanswerable question wants an abstention."""
    if not gold.answerable:
        return answer.kind != "answer"
    if answer.kind != "answer":
        return False
    text = " ".join(sentence.text for sentence in answer.sentences)
    return scores.matches(text, gold.answer, gold.answer_format)
