"""The graph's screen nodes: the question, the evidence, and each sentence before it leaves.

Whatever enters a prompt is screened: earlier turns, what a plan made of the question, and the names and
headings that stand beside evidence. A turn that was refused once is left out of the history instead of
blocking the conversation for ever; consecutive user turns since the last answer count as one question, else
the first of two would slip by. A quote is part of the answer that it stands beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from langgraph.runtime import Runtime

from agent.citations import quoted
from agent.records import Citation
from agent.retrieve import merge
from agent.state import Run, State, StoredTurn, dropped
from agent.threads import readable
from guardrails.records import Verdict
from ingest.records import Chunk

#: What a refused caller is told where the policy has no words of its own; neither names a rail.
UNDECIDED = "I could not check this safely, so I will not answer. Please try again."
REFUSAL = "I'm sorry, I can't help with this request here."


async def screen_question(state: State, runtime: Runtime[Run]) -> State:
    """Judge the question with the user turns it continues; drop earlier turns that a rail stops."""
    run = runtime.context
    told = [StoredTurn(role=turn.role, text=turn.text) for turn in run.question.history]
    stored = await readable(state.get("turns", []), library=run.library, scope=run.question.scope)
    most = run.settings.history_turns
    earlier, pending = _since_last_answer([*stored, *told][-most:] if most else [])
    question = run.question.text.strip()
    asked = "\n".join([*(turn["text"] for turn in pending), question])
    meant = [turn["standalone"] for turn in earlier if "standalone" in turn]
    verdicts = await run.rails.screen("question", [asked, *(turn["text"] for turn in earlier), *meant])
    if not verdicts[0].allowed:
        code, run.refusal = verdicts[0].code, verdicts[0].refusal
        return {"refused": code, "told": "The question was stopped by the rails", "facts": {"verdict": code}}
    passed = iter(verdicts[1 + len(earlier) :])
    run.history = []
    for turn, verdict in zip(earlier, verdicts[1:], strict=False):
        understood = next(passed) if "standalone" in turn else verdict
        if verdict.allowed and understood.allowed:
            whole: StoredTurn = {**turn, "text": verdict.text}
            if "standalone" in turn:
                whole["standalone"] = understood.text
            run.history.append(whole)
    facts = {"verdict": verdicts[0].decision, "earlier_turns": len(run.history)}
    return {"question": verdicts[0].text, "told": "Question passed the rails", "facts": facts}


async def screen_plan(planned: Sequence[str], run: Run, *, asked: str) -> dict[str, str] | None:
    """Judge what a plan made of the screened question `asked`; None where a rail stops any of it."""
    fresh = [text for text in dict.fromkeys(planned) if text != asked]
    verdicts = await run.rails.screen("question", fresh) if fresh else ()
    if not all(verdict.allowed for verdict in verdicts):
        return None
    return {asked: asked} | {text: v.text for text, v in zip(fresh, verdicts, strict=True)}


async def screen_evidence(state: State, runtime: Runtime[Run]) -> State:
    """Judge the text of every kept hit, with the name and the heading beside it; what is stopped is none."""
    run = runtime.context
    kept = merge(state.get("found", []), limit=run.limit)
    chunks = await run.library.chunks([k["chunk_id"] for k in kept], scope=run.question.scope)
    verdicts = await screen_chunks(chunks, [k["name"] for k in kept] if chunks else [], run)
    alive = {source.chunk.id for source in await run.read(kept, of=chunks)}
    standing = [k for k in kept if k["chunk_id"] in alive]
    stopped = sum(chunk.id not in alive for chunk in chunks)
    pages = len({(k["document_id"], k["page_no"]) for k in standing})
    told = f"Kept {len(standing)} passages from {pages} pages" + (
        f", {stopped} stopped by the rails" if stopped else ""
    )
    if state.get("about") == "courtesy":
        told = ""
    facts = {
        "kept": [f"{k['name']} p. {k['page_no']}" for k in standing],
        "verdicts": [v.code for v in verdicts if not v.allowed],
    }
    update: State = {"evidence": standing, "told": told, "facts": facts}
    undecided = [verdict for verdict in verdicts if verdict.code == "undecided"]
    if not standing and undecided:
        run.refusal = undecided[0].refusal
        update["stopped"] = "undecided"  # to say that there is no evidence would be untrue
    if not kept and not await run.library.documents(scope=run.question.scope):
        update["reason"] = "empty_library"
    return update


async def screen_chunks(chunks: Sequence[Chunk], names: Sequence[str], run: Run) -> tuple[Verdict, ...]:
    """Judge passages with the names and headings beside them, each once a run; note what passes."""
    fresh = [chunk for chunk in chunks if chunk.id not in run.passed]
    titles = dict.fromkeys([*names, *(chunk.heading for chunk in chunks)])
    beside = [title for title in titles if title not in run.beside]
    texts = [*(chunk.text for chunk in fresh), *beside]
    verdicts = await run.rails.screen("evidence", texts) if texts else ()
    run.passed |= {c.id: v.text for c, v in zip(fresh, verdicts, strict=False) if v.allowed}
    run.beside |= {t: v.text for t, v in zip(beside, verdicts[len(fresh) :], strict=True) if v.allowed}
    return verdicts


async def screen_answer(state: State, runtime: Runtime[Run]) -> State:
    """Judge the drafted sentence and its quotes after what was released; the last verdict is the answer's.

    One call for both: each costs NeMo 8 ms. A quote that is stopped shows its place without its words.
    """
    run = runtime.context
    draft = state.get("draft")
    assert draft is not None, "the graph routes here only with a verified draft"
    released = " ".join(sentence["text"] for sentence in state.get("sentences", []))
    quotes = await quoted(draft, state, run)
    texts = [draft["text"], *(quote.quote for quote in quotes)]
    verdict, *beside = await run.rails.screen("answer", texts, released=released)
    if not verdict.allowed:
        run.refusal = verdict.refusal
        return dropped(state, f"rail_{verdict.code}") | {"stopped": verdict.code}
    run.quotes = [replace(quote, quote=judged.text) for quote, judged in zip(quotes, beside, strict=True)]
    return {"draft": {**draft, "text": verdict.text}, "told": ""}


async def screen_quotes(citations: Sequence[Citation], run: Run) -> list[Citation]:
    """Judge quotes that stand beside no sentence; one that the rails stop shows its place alone."""
    verdicts = await run.rails.screen("answer", [one.quote for one in citations]) if citations else ()
    return [replace(one, quote=verdict.text) for one, verdict in zip(citations, verdicts, strict=True)]


def refusal_text(code: str, run: Run) -> str:
    """Return the sentence that a refused caller reads: the policy's, in the first language that it has."""
    own = UNDECIDED if code == "undecided" else REFUSAL
    wanted = (*run.question.languages, "en", *run.refusal)
    return next((run.refusal[one] for one in wanted if one in run.refusal), own)


def _since_last_answer(history: list[StoredTurn]) -> tuple[list[StoredTurn], list[StoredTurn]]:
    """Split the history into what was answered and the user turns that still wait for an answer."""
    last = max((i for i, turn in enumerate(history) if turn["role"] == "assistant"), default=-1)
    return history[: last + 1], history[last + 1 :]
