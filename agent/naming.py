"""The documents that a question names: "in the slides", "according to sqlite-limits.docx", "the 2023 10-K".

A name narrows a search only where it fits documents that the caller may read, and not all of them: an unknown
name is no filter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent import words
from ingest.records import Document

#: What people call a file of a kind: by the ending of its name, or by a word in it.
_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"slides?|slide\s+deck|deck|presentations?", (".pptx", ".ppt", ".odp")),
    (r"spreadsheets?|workbook|excel\s+(?:file|sheet)", (".xlsx", ".xls", ".ods", ".csv")),
    (r"word\s+(?:document|file)|docx", (".docx", ".doc", ".odt")),
    (r"web\s*page|web\s*site|html(?:\s+(?:page|file))?", (".html", ".htm")),
    (r"scan|scanned\s+(?:document|page|pages|file)", ("scan",)),
    (r"video|recording", (".mp4", ".mov", ".mkv", ".webm", ".avi")),
    (r"e-?mail", (".eml", ".msg")),
)
_CALLED = (
    r"report|filing|10-[kq]|guide|manual|reference|handbook|document|documentation|paper|brochure|file|pdf|article|"
    r"book|booklet|briefing|specification|spec|prospectus|survey|thesis|policy|contract|transcript|"
    + "|".join(kind for kind, _ in _KINDS)
)
_IN = r"(?:in|according\s+to|from|per|of|does|do|by|by\s+the\s+words\s+of)"
_PHRASE = re.compile(
    rf"\b{_IN}\s+(?:the|our|my|your)\s+(?P<name>(?:[\w&'.-]+\s+){{0,5}}?(?P<called>{_CALLED}))\b", re.I
)
_FILE = re.compile(
    r"\b[\w-]+(?:\.[\w-]+)*\.(?:pdf|docx?|pptx?|xlsx?|html?|txt|md|csv|eml|msg|mp4|odt|odp|ods)\b", re.I
)


def names_some(question: str) -> bool:
    """Say whether a question may name a document: cheap, so that the shelf is read only then."""
    return _PHRASE.search(question) is not None or _FILE.search(question) is not None


def meant(question: str, documents: Sequence[Document]) -> list[str]:
    """Return the ids of the documents that a question names; [] where it names none, or all of them."""
    files = {name.casefold() for name in _FILE.findall(question)}
    found = [d for d in documents if d.name.casefold() in files]
    for phrase in _PHRASE.finditer(question) if not found else ():
        found = _called(phrase["name"], phrase["called"], documents)
        if found:
            break
    return [d.id for d in found] if 0 < len(found) < len(documents) else []


def _called(name: str, kind: str, documents: Sequence[Document]) -> list[Document]:
    own = re.sub(rf"\s*\b{re.escape(kind)}$", "", name, flags=re.I)
    asked = words.content(own) | words.numbers(own)
    among = [d for d in documents if _fits(kind, d)] or list(documents)
    if not asked:
        return among
    return [d for d in among if all(has(d.name, word) for word in asked)]


def _fits(kind: str, document: Document) -> bool:
    name = document.name.casefold()
    for called, marks in _KINDS:
        if re.fullmatch(called, kind, re.I):
            return any(name.endswith(mark) if mark.startswith(".") else mark in name for mark in marks)
    return words.stem(kind.casefold()) in words.content(re.sub(r"[\W_]+", " ", name))


def has(name: str, word: str) -> bool:
    """Say whether a document's name has a word, apart or run together ("BESTBUY_2023_10K.pdf")."""
    stem = name.rpartition(".")[0] or name
    spoken = re.sub(r"[\W_]+", " ", stem)
    return word in words.content(spoken) | words.numbers(spoken) or (
        len(word) > 3 and word in words.squashed(stem)
    )
