"""Does the cited evidence carry the sentence? Asked of every sentence, before any of it is shown.

Code decides: the sentence's numbers and names must stand in what it cites, most of its words too, a denial
needs a denial, and the cross-encoder must not rank what it cites below most of the other evidence. A sentence
that cites the wrong source is tried once against the others (re-cited) before it is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from langgraph.runtime import Runtime

from agent import words
from agent.catalogue import stands
from agent.state import Drafted, Run, Source, State, dropped

#: What numbers a heading or an item is no figure of the text.
_ORDINAL = re.compile(r"^\(?\d{1,3}(?:\.\d{1,3})*[.)]?(?=\s+[A-Z]|\s*$)")
#: A sentence of fewer content words leans on the question for what it claims.
_SHORT = 3


async def verify(state: State, runtime: Runtime[Run]) -> State:
    """Keep the drafted sentence with evidence that carries it, or drop it."""
    run = runtime.context
    draft = state.get("draft")
    assert draft is not None, "the graph routes here only with a draft"
    if state.get("about"):
        return {"draft": draft, "told": ""} if await stands(draft, state, run) else dropped(state, "changed")
    sources = await run.sources(state)
    question = draft.get("question", state["standalone"])
    carried = await carry(draft, sources, run=run, question=question)
    if carried is None:
        return dropped(state, "unsupported")
    return {"draft": {**draft, **carried}, "told": ""}


async def carry(draft: Drafted, sources: list[Source], *, run: Run, question: str) -> Drafted | None:
    """Return the draft with the evidence that supports it (its own, else the best other), or None."""
    text, settings = draft["text"], run.settings
    judge = partial(
        supports,
        question=question,
        around=sources,
        least=settings.min_word_support,
        least_short=settings.min_short_support,
    )
    cited = [s for s in sources if s.n in draft["evidence"]]
    stands = bool(cited) and judge(text, cited)
    claim = claim_of(text, question)
    if stands and await _ranked(claim, cited, sources, run=run):
        return {"text": text, "evidence": [s.n for s in cited]}
    able = [s for s in sources if judge(text, [s])]
    if not able:
        return None
    scores = await run.library.rerank(claim, [s.text for s in able])
    best = max(zip(scores, able, strict=True), key=lambda pair: pair[0])[1]
    return {"text": text, "evidence": [best.n]}


def supports(
    sentence: str,
    cited: list[Source],
    *,
    question: str,
    around: list[Source],
    least: float,
    least_short: float,
) -> bool:
    """Say whether `cited` hold the sentence's numbers, names and at least `least` of its content words.

    An answer repeats words of the question; it may, as far as the cited documents know them too (`around`:
    all the evidence at hand). So a name that no source mentions is never answered for, even where the
    question brought it. A sentence with numbers stands on the sentences or rows that hold them (`_part`).
    """
    documents = {s.chunk.document_id for s in cited}
    known = "\n".join(s.context for s in around if s.chunk.document_id in documents)
    lent = words.numbers(question) & words.numbers(known)
    figures = words.numbers(sentence) - lent
    held = "\n".join(_part(s, figures) for s in cited)
    knows = _knower(known)
    if not _known_names(question, knows) or not figures <= words.numbers(held):
        return False
    if not all(knows(name) for name in words.names(sentence)):
        return False
    if words.negates(sentence) and not words.negates(held):
        return False
    both = f"{question}\n{sentence}"
    if not all(right_cell(source, figures, claim=both) for source in cited):
        return False
    if not all(units_fit(sentence, source, figures) for source in cited):
        return False
    claim = claim_of(sentence, question)
    least = least if claim == sentence else least_short
    spoken = {words.stem(name) for name in words.names(claim)}  # known, as seen above
    holds = words.content(held) | words.numbers(held)
    return words.cover(words.content(claim) - spoken, holds) >= least


def units_fit(sentence: str, source: Source, figures: set[str]) -> bool:
    """Say whether running text has what the sentence counts right beside the number ("16 bytes", "16-byte").

    A table names units in its headers, a finding has no order, and years count nothing: they pass.
    """
    if source.chunk.kind == "table" or words.numbers(source.finding) & figures:
        return True
    counted = words.counted(sentence)
    beside = words.beside(source.text)
    return all(unit in beside.get(number, {unit}) for number, unit in counted.items() if number in figures)


def claim_of(sentence: str, question: str) -> str:
    """Return what a sentence claims.

    A bare "1,117 [2]" says what the question asked, in the question's words.
    """
    return sentence if len(words.content(sentence)) >= _SHORT else f"{question}\n{sentence}"


def right_cell(source: Source, figures: set[str], *, claim: str) -> bool:
    """Say whether a table's rows that hold `figures` are the right ones, with them in the right column."""
    rows = _rows(source, figures)
    if not rows:
        return True
    return right_row(source, figures, claim=claim) and all(
        right_column(r, figures, claim=claim) for r in rows
    )


def right_row(source: Source, figures: set[str], *, claim: str) -> bool:
    """Say whether no other row of the table fits the claim clearly better than those that hold `figures`."""
    said = words.content(claim) | (words.numbers(claim) - figures)
    fits = [
        (bool(words.numbers(row) & figures), len(said & (words.content(row) | words.numbers(row))))
        for row in _lines(source)
        if " | " in row
    ]
    best = max((fit for holds, fit in fits if holds), default=0)
    return all(fit <= best for _, fit in fits)


def right_column(row: str, figures: set[str], *, claim: str) -> bool:
    """Say whether the row's cells with `figures` are in the columns that the claim names, if it names any."""
    split = [cell.partition(": ") for cell in row.split(" | ")]
    cells = [(head, value) for head, colon, value in split if colon]
    said, counted = words.content(claim), words.numbers(claim)

    def named(head: str) -> bool:
        own, digits = words.content(head), words.numbers(head)
        return bool(own or digits) and own <= said and digits <= counted

    wanted = {head for head, _ in cells if named(head)}
    used = {head for head, value in cells if words.numbers(value) & figures}
    if split[0][1] and used == {split[0][0]}:
        # The label of a row answers only who asks for it: "Offset: 72" is no size.
        return split[0][0] in wanted
    return not wanted or not used or bool(wanted & used)


def _part(source: Source, figures: set[str]) -> str:
    """Return what of a source counts for a sentence with `figures`: the rows or sentences that hold them.

    A sentence counts with the one before it (which says what "it" is), a row with the table's other lines.
    """
    if not figures:
        return source.context
    pieces = [_ORDINAL.sub("", piece) for piece in _lines(source)]
    holding = [i for i, piece in enumerate(pieces) if words.numbers(piece) & figures]
    if source.chunk.kind == "table":
        beside = [piece for piece in pieces if " | " not in piece]
    else:
        beside = [pieces[i - 1] for i in holding if i]
    if words.numbers(source.finding) & figures:
        beside += [source.text, source.finding]
    last_heading = source.chunk.heading.rpartition(" > ")[2]
    return "\n".join([source.title, last_heading, *beside, *(pieces[i] for i in holding)])


def _rows(source: Source, figures: set[str]) -> list[str]:
    """Return the rows of a table that hold one of `figures`."""
    if source.chunk.kind != "table":
        return []
    return [line for line in _lines(source) if " | " in line and words.numbers(line) & figures]


def _lines(source: Source) -> list[str]:
    return source.text.splitlines() if source.chunk.kind == "table" else words.sentences(source.text)


def _known_names(question: str, knows: Callable[[str], bool]) -> bool:
    """Say whether the documents know at least half of the names that the question asks about."""
    asked = words.names(question)
    return not asked or sum(knows(name) for name in asked) * 2 >= len(asked)


def _knower(known: str) -> Callable[[str], bool]:
    """Return who says whether `known` has a name, also run together as in "BESTBUY_2023_10K.pdf".

    All the evidence of a document is read once here, not once for each name.
    """
    apart, together = words.flat(known), words.squashed(known)
    return lambda name: name in apart or (len(name) > 2 and name in together)


async def _ranked(sentence: str, cited: list[Source], sources: list[Source], *, run: Run) -> bool:
    """Say whether the best cited source ranks in the upper half of all for this sentence."""
    if len(sources) <= 2:
        return True
    scores = await run.library.rerank(sentence, [s.text for s in sources])
    best = max(score for score, s in zip(scores, sources, strict=True) if s in cited)
    above = sum(score > best for score in scores)
    return above <= len(sources) // 2
