"""Does the cited evidence carry the sentence? Asked of every sentence, before any of it is shown.

Code decides first (`support.py`): the sentence's numbers and names must stand in what it cites, most of its
words too, a denial needs a denial; then the cross-encoder must not rank what it cites below most of the other
evidence. A sentence that cites the wrong source is tried once against the others (re-cited) before it is
dropped.
"""

from __future__ import annotations

from functools import partial

from langgraph.runtime import Runtime

from agent.state import Drafted, Run, Source, State
from agent.support import Lack, claim_of, lack


async def verify(state: State, runtime: Runtime[Run]) -> State:
    """Keep the drafted sentence with evidence that carries it, or drop it."""
    run = runtime.context
    draft = state.get("draft")
    assert draft is not None, "the graph routes here only with a draft"
    sources = await run.sources(state)
    carried, _why = await carry(draft, sources, run=run, question=state["standalone"])
    if carried is None:
        return {"draft": None, "dropped": state.get("dropped", 0) + 1, "told": ""}
    return {"draft": carried, "told": ""}


async def carry(
    draft: Drafted, sources: list[Source], *, run: Run, question: str
) -> tuple[Drafted | None, Lack]:
    """Return the draft with the evidence that supports it (its own, else the best other), or its lack."""
    text, settings = draft["text"], run.settings
    lacks = partial(
        lack,
        question=question,
        around=sources,
        least=settings.min_word_support,
        least_short=settings.min_short_support,
    )
    cited = [s for s in sources if s.n in draft["evidence"]]
    why = lacks(text, cited) if cited else "uncited"
    claim = claim_of(text, question)
    if not why and await _ranked(claim, cited, sources, run=run):
        return {**draft, "evidence": [s.n for s in cited]}, ""
    able = [s for s in sources if not lacks(text, [s])]
    if not able:
        return None, why or "ranked_low"
    scores = await run.library.rerank(claim, [s.text for s in able])
    best = max(zip(scores, able, strict=True), key=lambda pair: pair[0])[1]
    return {**draft, "evidence": [best.n]}, ""


async def _ranked(sentence: str, cited: list[Source], sources: list[Source], *, run: Run) -> bool:
    """Say whether the best cited source ranks in the upper half of all for this sentence."""
    if len(sources) <= 2:
        return True
    scores = await run.library.rerank(sentence, [s.text for s in sources])
    best = max(score for score, s in zip(scores, sources, strict=True) if s in cited)
    above = sum(score > best for score in scores)
    return above <= len(sources) // 2
