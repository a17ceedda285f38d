"""Does cited evidence hold what a sentence says? Rules over words, numbers, dates, names and cells; no model.

Each rule that says no has a code of its own, told in traces and counted: what is dropped most wants mending.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from agent import quantities, words
from agent.state import Source

#: Why a sentence does not stand: the name is of a rule here, of `verify` or of a rail.
Lack = Literal[
    "",
    "uncited",
    "says_nothing",
    "number_missing",
    "number_misread",
    "name_unknown",
    "denial_missing",
    "denied",
    "wrong_row",
    "wrong_column",
    "wrong_unit",
    "words_missing",
    "ranked_low",
    "not_entailed",
    "undecided",
    "wrong_sum",
    "unsure",
]
#: What numbers a heading or an item is no figure of the text.
_ORDINAL = re.compile(r"^\(?\d{1,3}(?:\.\d{1,3})*[.)]?(?=\s+[A-Z]|\s*$)")
#: A sentence of fewer content words leans on the question for what it claims.
_SHORT = 3
#: Share of a sentence's words that a passage must have to say the same, and how many it takes to tell.
_SAME, _SAME_LEAST = 0.8, 3
_OPEN = re.compile(r"\b(?:what|which|who|whom|whose|where|when|how|why|list|name|mention|describe)\b", re.I)
_OFFERS = re.compile(
    r"\b(?:or|among|between|either|than|respectively)\b"
    r"|^\W*(?:is|are|was|were|do|does|did|has|have|can|could)\b",
    re.I,
)


def lack(
    sentence: str,
    cited: list[Source],
    *,
    question: str,
    around: list[Source],
    least: float,
    least_short: float,
) -> Lack:
    """Say what `cited` lack of the sentence's numbers, names and `least` of its content words; "": nothing.

    An answer repeats words of the question; it may, as far as the cited documents know them too (`around`:
    all the evidence at hand). So a name that no source mentions is never answered for, even where the
    question brought it. A sentence with numbers stands on the sentences or rows that hold them (`_part`).
    """
    documents = {s.chunk.document_id for s in cited}
    known = "\n".join(s.context for s in around if s.chunk.document_id in documents)
    lent = words.numbers(question) & words.numbers(known)
    figures = words.numbers(sentence) - lent
    held = "\n".join(_part(s, figures, sentence) for s in cited)
    knows = _knower(known)
    if not _known_names(question, knows) or not all(knows(name) for name in words.names(sentence)):
        return "name_unknown"
    if wrong := _figures(sentence, held, figures, context=known):
        return wrong
    if words.negates(sentence) and not words.negates(held):
        return "denial_missing"
    if not figures and _denies(cited, sentence):
        return "denied"
    if wrong := _cells(sentence, cited, figures, claim=f"{question}\n{sentence}"):
        return wrong
    claim = claim_of(sentence, question)
    spoken = {words.stem(name) for name in words.names(claim)}  # known, as seen above
    holds = words.content(held) | words.numbers(held)
    enough = words.cover(words.content(claim) - spoken, holds) >= (
        least if claim == sentence else least_short
    )
    return "" if enough else "words_missing"


def _figures(sentence: str, held: str, figures: set[str], *, context: str) -> Lack:
    """Judge the numbers: there in some way of saying them, with the scale, unit and day that they have."""
    if quantities.missing(sentence, held, figures):
        return "number_missing"
    return "number_misread" if quantities.misread(sentence, held, figures, context=context) else ""


def _cells(sentence: str, cited: list[Source], figures: set[str], *, claim: str) -> Lack:
    """Judge where the numbers stand: in the right rows and columns, beside what they count."""
    for source in cited:
        rows = _rows(source, figures)
        if rows and not right_row(source, figures, claim=claim):
            return "wrong_row"
        if not all(right_column(row, figures, claim=claim) for row in rows):
            return "wrong_column"
        if not units_fit(sentence, source, figures):
            return "wrong_unit"
    return ""


def units_fit(sentence: str, source: Source, figures: set[str]) -> bool:
    """Say whether running text has what the sentence counts right beside the number ("16 bytes", "16-byte").

    A table names units in its headers, a finding has no order, and years count nothing: they pass.
    """
    if source.chunk.kind == "table" or words.numbers(source.finding) & figures:
        return True
    counted = words.counted(sentence)
    beside = words.beside(source.text)
    # "16 KiB" beside "16 kilobytes" was judged by value, whatever the unit is called.
    amounts = quantities.measured(sentence) & quantities.measured(source.text)
    return all(
        unit in beside.get(number, {unit})
        for number, unit in counted.items()
        if number in figures and number not in amounts
    )


def _denies(cited: list[Source], sentence: str) -> bool:
    """Say whether `cited` deny, and nowhere affirm, what the sentence says in the same words."""
    said = words.content(sentence)
    if words.negates(sentence) or len(said) < _SAME_LEAST:
        return False
    pieces = [piece for source in cited if source.chunk.kind != "table" for piece in _lines(source)]
    same = [piece for piece in pieces if words.cover(said, words.content(piece)) >= _SAME]
    return bool(same) and all(words.negates(piece) for piece in same)


def claim_of(sentence: str, question: str) -> str:
    """Return what a sentence claims.

    A bare "1,117 [2]" says what the question asked, in the question's words.
    """
    return sentence if len(words.content(sentence)) >= _SHORT else f"{question}\n{sentence}"


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


def _part(source: Source, figures: set[str], sentence: str) -> str:
    """Return what of a source counts for a sentence with `figures`: the rows or sentences that hold them.

    A sentence counts with the one before it (which says what "it" is), a row with the table's other lines.
    """
    if not figures:
        return source.context
    pieces = [_ORDINAL.sub("", piece) for piece in _lines(source)]
    holding = [i for i, piece in enumerate(pieces) if words.numbers(piece) & figures]
    if not holding:  # said in another way: "1,200 million" for "$1.2 billion"
        holding = [
            i for i, piece in enumerate(pieces) if quantities.missing(sentence, piece, figures) != figures
        ]
    if source.chunk.kind == "table":
        beside = [piece for piece in pieces if " | " not in piece]
    else:
        beside = [pieces[i - 1] for i in holding if i]
    if words.numbers(source.finding) & figures:
        beside += [source.text, source.finding]
    return "\n".join([source.title, source.heading, *beside, *(pieces[i] for i in holding)])


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


def says_nothing(sentence: str, question: str) -> bool:
    """Say whether a sentence only gives a question its own words back ("It operates in the industries").

    Questions that are answered by yes or no, or by one of what they name, want just that.
    """
    if _OPEN.search(question) is None or _OFFERS.search(question):
        return False
    said = words.content(sentence) | words.numbers(sentence)
    return not words.negates(sentence) and said <= words.content(question) | words.numbers(question)
