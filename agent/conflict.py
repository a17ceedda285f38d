"""Do two pieces of evidence contradict each other? Then both are shown, each with its citation.

High precision first: two passages must say the same in the same words but for one number, date or amount.
What only looks alike is let go: other years, other rows, rounded figures, one amount in two units, filings of
two years that each speak of "the year".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from agent import quantities, words
from agent.cells import read_table
from agent.state import Drafted, Source

#: Share of content words that two passages must have in common, and how many of them at least.
_ALIKE = 0.8
_LEAST_WORDS = 3
#: Digits that a rounded figure keeps.
_LEAST_DIGITS = 3
_YEAR = re.compile(r"\b(?:18|19|20)\d{2}\b")
#: What happens once: two years for it contradict each other.
_ONCE = re.compile(
    r"\b(?:opened|founded|built|established|launched|born|died|incorporated|invented|completed|"
    r"discovered|inaugurated|introduced|expires?|ends?|begins?|takes effect|deadline|due)\b",
    re.I,
)
_LETTER = re.compile(r"(?<!^)(?<![\w’'-])(?:[A-Za-z]|[A-Za-z]+\d\w*)(?![\w’'-])")
#: "Table 6", "Unit 8": such a number names something and measures nothing; "May 3" is a date.
_NAMED = re.compile(
    r"\b(?!(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec))"
    r"(?:[A-Z][\w-]*|table|figure|section|chapter|unit|page|step|slide|part|item|level|type|version|number)"
    r"\.?\s+#?(?P<number>[$€£¥]?\d[\d,]*(?:\.\d+)?%?)"
)
_NUMBER = re.compile(r"(?<![\w.])[$€£¥]?\d[\d,]*(?:\.\d+)?%?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two passages that cannot both be right."""

    ours: str
    theirs: str
    source: Source
    other: Source

    def told(self) -> Drafted:
        """Return the sentence that shows both."""
        ours, theirs = (text.rstrip(" .;,") for text in (self.ours, self.theirs))
        text = f"The sources contradict each other: one says “{ours}”, another “{theirs}”."
        return {"text": text, "evidence": [self.source.n, self.other.n]}


def conflict(sentence: str, cited: list[Source], sources: list[Source], *, question: str) -> Conflict | None:
    """Return the first passage of `sources` that contradicts what the sentence takes from `cited`."""
    figures = words.numbers(sentence) - words.numbers(question)
    if not figures:
        return None
    for source in cited:
        for ours in _passages(source, figures):
            for other in (s for s in sources if s.chunk.id != source.chunk.id):
                for theirs in _passages(other, None):
                    if _contradict(ours, theirs, figures, source, other):
                        return Conflict(ours=ours, theirs=theirs, source=source, other=other)
                if denying := _denying_row(ours, figures, source, other):
                    return Conflict(ours=ours, theirs=denying, source=source, other=other)
    return None


def _denying_row(ours: str, figures: set[str], source: Source, other: Source) -> str | None:
    """Return the row of another document's table that gives what a sentence speaks of another figure.

    The sentence names the row and the column, each word of them, and has one figure; so has the cell.
    """
    prose_and_table = source.chunk.kind != "table" and other.chunk.kind == "table"
    if not prose_and_table or other.chunk.document_id == source.chunk.document_id or len(figures) > 1:
        return None
    named = words.content(ours) | words.numbers(ours)
    for row in read_table(other.text, heading=other.chunk.heading).rows:
        label = words.content(row.label) | words.numbers(row.label)
        for cell in row.cells:
            head, value = words.content(cell.head), words.numbers(cell.text)
            if label and head and label | head <= named and len(value) == 1 and not value & figures:
                return row.line
    return None


def _passages(source: Source, figures: set[str] | None) -> Iterator[str]:
    """Yield the sentences or rows with a number; of `figures` where some are named."""
    lines = source.text.splitlines() if source.chunk.kind == "table" else words.sentences(source.text)
    for line in lines:
        found = words.numbers(line)
        if found and (figures is None or found & figures):
            yield line


def _contradict(ours: str, theirs: str, figures: set[str], source: Source, other: Source) -> bool:
    tables = {source.chunk.kind == "table", other.chunk.kind == "table"}
    if len(tables) > 1 or not _same_occasion(ours, theirs, source, other):
        return False
    if tables == {True}:
        return _same_table(source, other) and _rows_differ(ours, theirs, figures)
    return _numbers_differ(ours, theirs, figures) and _say_the_same(ours, theirs)


def _same_occasion(ours: str, theirs: str, source: Source, other: Source) -> bool:
    """Say whether both speak of the same time: a title's year counts where the passage names none."""
    if _YEAR.search(ours) and _YEAR.search(theirs):
        return True
    first, second = (set(_YEAR.findall(f"{s.title} {s.chunk.heading}")) for s in (source, other))
    return first == second


def _say_the_same(ours: str, theirs: str) -> bool:
    first, second = words.content(ours), words.content(theirs)
    shared = first & second
    alike = len(shared) >= _ALIKE * len(first | second) and len(shared) >= _LEAST_WORDS
    subjects = words.names(ours) == words.names(theirs) and _letters(ours) == _letters(theirs)
    return alike and subjects and words.negates(ours) == words.negates(theirs)


def _letters(text: str) -> list[str]:
    """Return what tells two of a kind apart in one letter: "Pump A", "type b", "S3"."""
    return [found.casefold() for found in _LETTER.findall(text) if found != "a"]


def _numbers_differ(ours: str, theirs: str, figures: set[str]) -> bool:
    """Say whether exactly one number differs, at the same place, and it is one that the answer gives."""
    first, second = _NUMBER.findall(ours), _NUMBER.findall(theirs)
    if len(first) != len(second):
        return False
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if words.numbers(a) != words.numbers(b)]
    if len(pairs) != 1:
        return False
    a, b = pairs[0]
    if a in _names_only(ours) or b in _names_only(theirs):
        return False
    years = bool(_YEAR.fullmatch(a) and _YEAR.fullmatch(b))
    if years and not _ONCE.search(ours):
        return False
    same = _one_amount(ours, theirs, a, b) or quantities.dates(ours) & quantities.dates(theirs)
    return bool(words.numbers(a) & figures) and not same


def _names_only(text: str) -> set[str]:
    """Return the numbers that stand behind a name."""
    return {found["number"] for found in _NAMED.finditer(text)}


def _one_amount(ours: str, theirs: str, a: str, b: str) -> bool:
    """Say whether two figures are one: in another unit or scale, or one of them rounded."""
    first = {v for q in quantities.quantities(ours) if {q.number} == words.numbers(a) for v in q.values}
    second = {v for q in quantities.quantities(theirs) if {q.number} == words.numbers(b) for v in q.values}
    return any(_rounds(x, y) or _rounds(y, x) for x in first for y in second)


def _rounds(fine: Decimal, coarse: Decimal) -> bool:
    """Say whether `coarse` is `fine` rounded; 20 is no rounded 24, so it keeps three digits or whole ones."""
    digits = coarse.normalize().as_tuple()
    exponent = digits.exponent if isinstance(digits.exponent, int) else 0
    if exponent > 0 and len(digits.digits) < _LEAST_DIGITS:
        exponent = 0
    return fine.quantize(Decimal(1).scaleb(exponent)) == coarse


def _same_table(source: Source, other: Source) -> bool:
    """Say whether two tables are the same one in two documents; within one, rows repeat under other heads."""
    headings = [s.heading.casefold() for s in (source, other)]
    return source.chunk.document_id != other.chunk.document_id and headings[0] == headings[1] != ""


def _rows_differ(ours: str, theirs: str, figures: set[str]) -> bool:
    """Say whether rows of one label and the same heads differ in one cell, which the answer gives."""
    first, second = (_cells(row) for row in (ours, theirs))
    if first[0] != second[0] or first[1].keys() != second[1].keys() or not first[0]:
        return False
    pairs = [(first[1][head], second[1][head]) for head in first[1] if first[1][head] != second[1][head]]
    if len(pairs) != 1:
        return False
    a, b = pairs[0]
    numbered = words.numbers(a) and words.numbers(b) and words.numbers(a) != words.numbers(b)
    return bool(numbered and words.numbers(a) & figures) and not _one_amount(a, b, a, b)


def _cells(row: str) -> tuple[str, dict[str, str]]:
    """Return a row's label and its cells by head."""
    label, *rest = row.split(" | ")
    heads = [cell.partition(": ") for cell in rest]
    return label.casefold().strip(), {head.casefold(): value for head, colon, value in heads if colon}
