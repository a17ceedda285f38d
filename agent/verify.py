"""Does the cited evidence carry the sentence? Asked of every sentence, before any of it is shown.

Code decides first (`support.py`): the sentence's numbers and names must stand in what it cites, most of its
words too, a denial needs a denial; then the cross-encoder must not rank what it cites below most of the other
evidence; then, where a served model writes, it judges whether the one follows from the other (`entail.py`). A
sentence that cites the wrong source is tried once against the others (re-cited), one that nothing carries is
written anew once (`rewrite.py`), and what still does not stand, or is not sure enough (`confidence.py`), is
dropped and counted.
"""

from __future__ import annotations

from functools import partial

from langgraph.runtime import Runtime

from agent.catalogue import stands
from agent.chart_answers import proven_charts
from agent.confidence import calibration, signs
from agent.conflict import conflict
from agent.entail import Pair, judge
from agent.proof import proven
from agent.rewrite import rewritten
from agent.settings import ModelChecks
from agent.state import Drafted, Run, Source, State, dropped
from agent.support import Lack, claim_of, lack, says_nothing

#: How sure what code read from charts is: 30 of 31 answers right (76 questions on 50 charts, development).
_READ_SURE = 0.97


async def verify(state: State, runtime: Runtime[Run]) -> State:
    """Keep the drafted sentence with evidence that carries it, or drop it; either is a verdict on record."""
    run = runtime.context
    draft = state.get("draft")
    assert draft is not None, "the graph routes here only with a draft"
    update = await _verified(draft, state, run)
    kept = update.get("draft")
    lack = "" if kept is not None else str(update.get("facts", {}).get("dropped", "undecided"))
    if run.stands(kept["text"] if kept is not None else draft["text"], lack) or kept is None:
        return update
    return dropped(state, "undecided")


async def _verified(draft: Drafted, state: State, run: Run) -> State:
    if state.get("about"):
        run.confidence = 1.0  # worked out again by code
        return {"draft": draft, "told": ""} if await stands(draft, state, run) else dropped(state, "changed")
    sources = await run.sources(state)
    question = draft.get("question", state["standalone"])
    carried, why = await _carried(draft, sources, run=run, question=question)
    if carried is None:
        return dropped(state, why)
    carried = _both_sides(carried, sources, question=question)
    read = bool(carried.get("charts"))
    found = {} if read else await weighed(carried, sources, run=run, question=question)
    confidence = _READ_SURE if read else round(calibration().confidence(found), 4)
    run.confidence = max(run.confidence, confidence)
    facts = {"confidence": confidence, "signs": {name: round(value, 4) for name, value in found.items()}}
    # What code computed was proven cell by cell or tick by tick, which is surer than any sign.
    if not _is_computed(carried) and not _sure(confidence, run):
        update = dropped(state, "unsure")
        return update | {"facts": {**update["facts"], **facts}}
    return {"draft": carried, "told": f"Checked a sentence: {confidence:.2f} sure", "facts": facts}


def _is_computed(draft: Drafted) -> bool:
    return bool(draft.get("sums") or draft.get("charts"))


def _both_sides(draft: Drafted, sources: list[Source], *, question: str) -> Drafted:
    """Return the draft, or, where other evidence contradicts it, a sentence that shows both."""
    if _is_computed(draft):
        return draft
    cited = [s for s in sources if s.n in draft["evidence"]]
    found = conflict(draft["text"], cited, sources, question=question)
    return draft if found is None else {**draft, **found.told()}


async def _carried(
    draft: Drafted, sources: list[Source], *, run: Run, question: str
) -> tuple[Drafted | None, Lack]:
    """Try the sentence as it is and, where a model can, once more as rewritten; say what the first lacked."""
    carried, why = await carry(draft, sources, run=run, question=question)
    if carried is not None or not _asks_model(run.settings.rewrite, run):
        return carried, why
    second = await rewritten(draft, why, sources, run=run, question=question)
    if second is None:
        return None, why
    carried, _ = await carry(second, sources, run=run, question=question)
    return carried, "" if carried else why


def _asks_model(setting: ModelChecks, run: Run) -> bool:
    """Say whether a check that wants a model may ask the one that writes, and there is time for it."""
    if run.model is None or run.writer.writes_as == "quotes" or run.left_s <= 0:
        return False
    return setting == "all" or (setting == "served" and run.writer.writes_as == "served")


async def carry(
    draft: Drafted, sources: list[Source], *, run: Run, question: str
) -> tuple[Drafted | None, Lack]:
    """Return the draft with the evidence that supports it (its own, else the best other), or its lack."""
    text, settings = draft["text"], run.settings
    lacks = partial(
        lack,
        question=question,
        around=sources,
        least=max(settings.min_word_support, run.least[0]),
        least_short=max(settings.min_short_support, run.least[0]),
    )
    cited = [s for s in sources if s.n in draft["evidence"]]
    if draft.get("sums"):
        return (draft, "") if await proven(draft, cited, run=run, question=question) else (None, "wrong_sum")
    if draft.get("charts"):
        return (draft, "") if proven_charts(draft, cited, run.question) else (None, "wrong_sum")
    if says_nothing(text, question):
        return None, "says_nothing"
    why: Lack = lacks(text, cited) if cited else "uncited"
    claim = claim_of(text, question)
    if not why and await _ranked(claim, cited, sources, run=run):
        return await _entailed({**draft, "evidence": [s.n for s in cited]}, cited, run=run, question=question)
    able = [s for s in sources if not lacks(text, [s])]
    if not able:
        return None, why or "ranked_low"
    scores = await run.library.rerank(claim, [s.text for s in able])
    best = max(zip(scores, able, strict=True), key=lambda pair: pair[0])[1]
    return await _entailed({**draft, "evidence": [best.n]}, [best], run=run, question=question)


async def _entailed(
    draft: Drafted, cited: list[Source], *, run: Run, question: str
) -> tuple[Drafted | None, Lack]:
    """Let the model judge what the rules let pass; undecided does not stand."""
    if not _asks_model(run.settings.entailment, run) or run.model is None:
        return draft, ""
    pair = Pair(claim=draft["text"], question=question, cited=tuple(cited))
    (verdict,) = await judge(run.model, [pair], tenant=run.question.scope.tenant)
    if verdict is None:
        return None, "undecided"
    return (draft, "") if verdict == "supported" else (None, "not_entailed")


def _sure(confidence: float, run: Run) -> bool:
    """Say whether a sentence is sure enough to be shown; once one was, the next ones add to it."""
    least = run.settings.min_confidence
    floor = max(calibration().threshold if least is None else least, run.least[1])
    return confidence >= floor or (bool(run.citations) and not run.least[1])


async def weighed(draft: Drafted, sources: list[Source], *, run: Run, question: str) -> dict[str, float]:
    """Gather the signs of a sentence that stands (`confidence.signs`); its pages are read for their words."""
    cited = [s for s in sources if s.n in draft["evidence"]]
    places = {(s.chunk.document_id, s.chunk.page_no) for s in cited}
    chunks = [
        chunk
        for document_id, page_no in sorted(places)
        for chunk in await run.library.on_page(document_id, page_no, scope=run.question.scope)
    ]
    return signs(
        question,
        draft["text"],
        cited=cited,
        sources=sources,
        pages="\n".join(f"{chunk.heading}\n{chunk.text}" for chunk in chunks),
        computed=_is_computed(draft),
    )


async def _ranked(sentence: str, cited: list[Source], sources: list[Source], *, run: Run) -> bool:
    """Say whether the best cited source ranks in the upper half of all for this sentence."""
    if len(sources) <= 2:
        return True
    scores = await run.library.rerank(sentence, [s.text for s in sources])
    best = max(score for score, s in zip(scores, sources, strict=True) if s in cited)
    above = sum(score > best for score in scores)
    return above <= len(sources) // 2
