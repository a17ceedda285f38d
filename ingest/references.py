"""What a question points at by its place: "page 50", "slide 4", "Table 2", "Figure 5", "section 3.3".

No model finds these: a page does not say its own number, and every figure looks like the one before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingest.records import Chunk

_PAGE = re.compile(r"\b(?:page|slide|p\.)\s*(?:no\.?|number|#)?\s*(\d{1,4})\b(?!\s*%|[.,]\d)", re.IGNORECASE)
_FIRST = re.compile(
    r"\b(?:on|in|of) (?:the|its) (?:first|front|cover|title) (?:page|slide)\b"
    r"|\b(?:title|presenters?|authors?) of (?:the|this) (?:slides?|document|report|deck|paper|talk)\b",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"\b(table|figure|fig\.?|chart|exhibit|appendix|section|sec\.?|chapter|unit|item|step|note)\s*[-#]?\s*"
    r"(\d+(?:\.\d+)*|(?-i:[A-Z]\b|[IVX]+\b))",
    re.IGNORECASE,
)
_SHORT = {"fig": "fig", "figure": "fig", "sec": "section"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointed:
    """Pages and labelled parts that a question names."""

    pages: frozenset[int] = frozenset()
    #: ("table", "2"), ("fig", "5"), ("section", "3.3").
    labels: frozenset[tuple[str, str]] = frozenset()


def pointed(question: str) -> Pointed:
    """Take out of a question what it points at."""
    pages = {int(match[1]) for match in _PAGE.finditer(question)} - {0}
    if _FIRST.search(question):
        pages.add(1)
    return Pointed(pages=frozenset(pages), labels=frozenset(_labels(question)))


def is_meant(at: Pointed, chunk: Chunk) -> bool:
    """Say whether `chunk` stands on a page that was pointed at, or bears a label that was."""
    return chunk.page_no in at.pages or bool(at.labels and at.labels & _borne(chunk))


def _labels(text: str) -> set[tuple[str, str]]:
    return {(_kind(match[1]), match[2].casefold()) for match in _LABEL.finditer(text)}


def _borne(chunk: Chunk) -> set[tuple[str, str]]:
    """Return the labels that a chunk bears: those that begin a line of it, or one of its headings."""
    heads = [*chunk.text.split("\n"), *chunk.heading.split(" > ")]
    found = set()
    for head in heads:
        match = _LABEL.match(head.strip())
        if match:
            found.add((_kind(match[1]), match[2].casefold()))
        elif (numbered := re.match(r"(\d+(?:\.\d+)*)\.?\s+\S", head.strip())) and len(head) < 120:
            found.add(("section", numbered[1]))
    return found


def _kind(word: str) -> str:
    bare = word.casefold().rstrip(".")
    return _SHORT.get(bare, bare)
