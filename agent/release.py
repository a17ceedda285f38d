"""The way out: a sentence that stood every check is cited and told; at the end comes the answer.

Released sentences are final. What was dropped is counted in the answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from langgraph.runtime import Runtime

from agent.citations import cite
from agent.records import AbstentionReason, Answer, Citation, Kind, Released, Sentence, Step
from agent.screen import refusal_text, screen_quotes
from agent.state import Kept, Run, State, StoredTurn, dropped

ABSTENTIONS = {
    "no_evidence": "I found no evidence for an answer in these documents.",
    "conflicting_evidence": "The documents contradict each other on this, so I will not pick a side.",
    "cannot_see": (
        "The answer may stand in a picture that I cannot look at: this library reads words only. "
        "A served vision model would be needed."
    ),
    "empty_library": "The library is empty. Add documents first: pagewarden add PATH",
    "budget": "The time for this question ran out before a sentence could be checked.",
}

#: The same in a few words, for the last step.
_ENDED = {
    "no_evidence": "no evidence was found",
    "conflicting_evidence": "the documents contradict each other",
    "cannot_see": "it may stand in a picture that nobody here can look at",
    "empty_library": "the library is empty",
    "budget": "the time ran out",
}


async def release(state: State, runtime: Runtime[Run]) -> State:
    """Number the sentence's citations in order of first use, and tell it; what is gone meanwhile is none."""
    run = runtime.context
    draft = state.get("draft")
    assert draft is not None, "the graph routes here only with a screened draft"
    alive = {s.chunk.id: s for s in await run.sources(state)}
    quotes = [quote for quote in run.quotes if quote.chunk_id in alive]
    if not quotes and state.get("about") != "courtesy":
        return dropped(state, "document_gone")  # while the sentence was being checked
    known = len(run.citations)
    numbers = [_number(run, quote) for quote in quotes]
    sentence = Sentence(text=draft["text"], citations=tuple(dict.fromkeys(numbers)))
    runtime.stream_writer(Released(sentence=sentence, new_citations=tuple(run.citations[known:])))
    standing = {"text": sentence.text, "citations": list(sentence.citations)}
    pages = dict.fromkeys(f"{quote.name} p. {quote.page_no}" for quote in quotes)
    return {
        "draft": None,
        "sentences": [*state.get("sentences", []), standing],  # type: ignore[list-item]
        "told": f"A sentence stands on {', '.join(pages)}" if pages else "",
        "facts": {"kept": sentence.text, "citations": list(sentence.citations)},
    }


async def conclude(state: State, runtime: Runtime[Run]) -> State:
    """Say how it ended, and remember the turn."""
    run = runtime.context
    if not (state.get("refused") or state.get("stopped") or state.get("sentences")):
        run.nearest = await _nearest(run, question=state.get("standalone", state["question"]))
    answer = answer_of(state, run, steps=())
    stood, lost = len(answer.sentences), answer.dropped
    if answer.kind == "answer":
        told = f"{_sentences(stood)} on evidence" + (f", {lost} dropped" if lost else "")
    elif answer.kind == "refusal":
        told = f"No answer: a rail said no ({answer.reason})"
    else:
        told = f"No answer: {_ENDED.get(answer.reason or '', answer.reason)}" + (
            f", {_sentences(lost)} dropped" if lost else ""
        )
    if answer.kind == "refusal":
        return {"told": told}
    return {"turns": turns_of(state, answer), "told": told}


def _sentences(many: int) -> str:
    return "1 sentence" if many == 1 else f"{many} sentences"


def turns_of(state: State, answer: Answer) -> list[StoredTurn]:
    """Return what a thread keeps of a question: what was asked and understood, what was said and on what."""
    asked: StoredTurn = {"role": "user", "text": state["question"]}
    if state.get("standalone", state["question"]) != state["question"]:
        asked["standalone"] = state["standalone"]
    chunks = {citation.n: citation.chunk_id for citation in answer.citations}
    said: StoredTurn = {"role": "assistant", "text": answer.text}
    if answer.sentences:
        said["sentences"] = [
            {"text": s.marked, "cited": [chunks[n] for n in s.citations]} for s in answer.sentences
        ]
        said["evidence"] = [k for k in state.get("evidence", []) if k["chunk_id"] in chunks.values()]
    return [asked, said]


def answer_of(state: State, run: Run, *, steps: tuple[Step, ...]) -> Answer:
    """Put the final state together as one Answer."""
    sentences = tuple(
        Sentence(text=s["text"], citations=tuple(s["citations"])) for s in state.get("sentences", [])
    )
    kind, reason, text = _ending(state, run, sentences)
    return Answer(
        kind=kind,
        text=text,
        sentences=sentences,
        citations=tuple(run.citations),
        reason=reason,
        dropped=state.get("dropped", 0),
        written_by=run.writer.writes_as,
        reasoned=run.reasoned,
        vision=run.library.vision,
        languages=run.library.languages,
        trace_id=run.trace_id,
        steps=steps,
        confidence=None if kind == "refusal" else round(run.confidence, 4),
        searched=() if kind == "refusal" else tuple(run.searched),
        nearest=tuple(run.nearest),
    )


async def _nearest(run: Run, *, question: str) -> list[Citation]:
    """Cite the pages that came nearest in any round, one passage a page, best first."""
    best: dict[tuple[str, int], Kept] = {}
    for one in sorted(run.seen.values(), key=lambda kept: -kept["score"]):
        if one["chunk_id"] in run.passed:
            best.setdefault((one["document_id"], one["page_no"]), one)
    sources = await run.read(list(best.values())[: run.settings.nearest])
    quotes = [cite(question, source, n=n) for n, source in enumerate(sources, start=1)]
    return await screen_quotes(quotes, run)


def _ending(state: State, run: Run, sentences: tuple[Sentence, ...]) -> tuple[Kind, str | None, str]:
    if state.get("refused"):
        return "refusal", state["refused"], refusal_text(state["refused"], run)
    if sentences:
        return "answer", None, " ".join(s.marked for s in sentences)
    if state.get("stopped"):
        return "refusal", state["stopped"], refusal_text(state["stopped"], run)
    reason = state.get("reason") or ("cannot_see" if run.blind else "no_evidence")
    assert reason in get_args(AbstentionReason), reason
    return "abstention", reason, ABSTENTIONS[reason]


def _number(run: Run, fresh: Citation) -> int:
    """Return the number of a citation, minting one unless the same quote of the same place has one."""
    for known in run.citations:
        if (known.chunk_id, known.boxes, known.quote) == (fresh.chunk_id, fresh.boxes, fresh.quote):
            return known.n
    run.citations.append(replace(fresh, n=len(run.citations) + 1))
    return len(run.citations)
