"""Does the cited evidence carry the sentence? Asked of every sentence, before any of it is shown.

Code decides: the sentence's numbers and names must stand in what it cites, most of its words too, a denial
needs a denial, and the cross-encoder must not rank what it cites below most of the other evidence. A sentence
that cites the wrong source is tried once against the others (re-cited) before it is dropped.
"""

from __future__ import annotations

from langgraph.runtime import Runtime

from agent import words
from agent.state import Drafted, Run, Source, State


async def verify(state: State, runtime: Runtime[Run]) -> State:
    """Keep the drafted sentence with evidence that carries it, or drop it."""
    run = runtime.context
    draft = state.get("draft")
    assert draft is not None, "the graph routes here only with a draft"
    sources = await run.sources(state)
    carried = await carry(draft, sources, run=run, question=state["standalone"])
    if carried is None:
        return {"draft": None, "dropped": state.get("dropped", 0) + 1, "told": ""}
    return {"draft": carried, "told": ""}


async def carry(draft: Drafted, sources: list[Source], *, run: Run, question: str) -> Drafted | None:
    """Return the draft with the evidence that supports it (its own, else the best other), or None."""
    text, least = draft["text"], run.settings.min_word_support
    cited = [s for s in sources if s.n in draft["evidence"]]
    stands = bool(cited) and supports(text, cited, question=question, around=sources, least=least)
    if stands and await _ranked(text, cited, sources, run=run):
        return {"text": text, "evidence": [s.n for s in cited]}
    able = [s for s in sources if supports(text, [s], question=question, around=sources, least=least)]
    if not able:
        return None
    scores = await run.library.rerank(text, [s.text for s in able])
    best = max(zip(scores, able, strict=True), key=lambda pair: pair[0])[1]
    return {"text": text, "evidence": [best.n]}


def supports(
    sentence: str, cited: list[Source], *, question: str, around: list[Source], least: float
) -> bool:
    """Say whether `cited` hold the sentence's numbers, names and at least `least` of its content words.

    An answer repeats words of the question; it may, as far as the cited documents know them too (`around`:
    all the evidence at hand). So a name that no source mentions is never answered for, even where the
    question brought it.
    """
    held = "\n".join(s.context for s in cited)
    documents = {s.chunk.document_id for s in cited}
    known = "\n".join(s.context for s in around if s.chunk.document_id in documents)
    if not _known_names(question, known):
        return False
    lent = words.numbers(question) & words.numbers(known)
    if not words.numbers(sentence) <= words.numbers(held) | lent:
        return False
    if not all(_knows(name, known) for name in words.names(sentence)):
        return False
    if words.negates(sentence) and not words.negates(held):
        return False
    spoken = {words.stem(name) for name in words.names(sentence)}  # known, as seen above
    said, asked = words.content(sentence) - spoken, words.content(question)
    holds = words.content(held)
    if words.cover(said, holds | (asked & words.content(known))) < least:
        return False
    new = (said - asked) | (words.numbers(sentence) - words.numbers(question))
    return not new or bool(new & (holds | words.numbers(held)))


def _known_names(question: str, known: str) -> bool:
    """Say whether the documents know at least half of the names that the question asks about."""
    asked = words.names(question)
    return not asked or sum(_knows(name, known) for name in asked) * 2 >= len(asked)


def _knows(name: str, known: str) -> bool:
    """Say whether `known` has this name, also run together as in "BESTBUY_2023_10K.pdf"."""
    return name in words.flat(known) or (len(name) > 2 and name in words.squashed(known))


async def _ranked(sentence: str, cited: list[Source], sources: list[Source], *, run: Run) -> bool:
    """Say whether the best cited source ranks in the upper half of all for this sentence."""
    if len(sources) <= 2:
        return True
    scores = await run.library.rerank(sentence, [s.text for s in sources])
    best = max(score for score, s in zip(scores, sources, strict=True) if s in cited)
    above = sum(score > best for score in scores)
    return above <= len(sources) // 2
