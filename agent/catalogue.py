"""Questions about the library itself: what it holds, how much, on what, how long.

They are recognised by whole phrases (precision before recall: "how many pages contain tables?" asks a
document) and answered in code from the documents that the caller may read. Each sentence cites a passage of
the document that it names, and `verify` works it out again before it is released.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal

from langgraph.runtime import Runtime

from agent import courtesy, words
from agent.naming import has
from agent.records import WrittenBy
from agent.retrieve import kept_of
from agent.state import Drafted, Kept, Run, Source, State
from ingest.records import Chunk, Document

Kind = Literal["list", "count", "topic", "have", "length"]

_THINGS = "(?:documents?|files?|pdfs?|papers|reports|videos?|sources|books|manuals|presentations|materials?)"
_SHELF = "(?:library|collection|shelf)"
_YOUR = "(?:the|this|your|my|our)"
#: "you have", "are there", "in the library": what makes a question one about the library.
_HERE = (
    "(?:(?:do|can|could) you (?:have|hold|know|see|read|search|access|use)(?: access to)?|have you got"
    f"|are (?:there|available|loaded|stored|indexed|here|(?:in|on|part of) {_YOUR} {_SHELF})"
    "|(?:have been|were) (?:added|uploaded|indexed)|did i (?:add|upload)"
    f"|does {_YOUR} library (?:have|hold|contain))"
)
_TOO = f"(?: (?:here|in total|altogether|available|(?:in|on) {_YOUR} {_SHELF}))*"
_SPEAK = "(?:cover|mention|discuss|talk about|deal with|speak of|are about)"
_TOPIC = "(?P<topic>[^?]+?)"
_ON = f" (?:on|about|regarding|concerning|covering|dealing with|that {_SPEAK}) {_TOPIC}"
_HAVE = "(?:do you have|have you got|can you (?:read|see)|is there|are there)"
_ANY = f"(?:anything|something|(?:any |some |an? )?{_THINGS})"
_CALLED = f"(?:{_THINGS}|report|paper|manual|book|presentation|slides|filing|10-[KQ]|guide|[.][a-z]{{2,4}})"
_LIST = (
    "(?:please )?(?:list|show|name|find|give|tell)(?: me)?"
    "(?: (?:all|every|a list of|of|the|your|my|our|available))*"
)
_PHRASES: tuple[tuple[Kind, str], ...] = (
    ("topic", f"(?:which|what) (?:\\w+ )?{_THINGS} {_HERE}{_ON}"),
    ("topic", f"{_HAVE} {_ANY}{_ON}{_TOO}"),
    ("topic", f"(?:which|what) (?:of {_YOUR} )?{_THINGS} {_SPEAK} {_TOPIC}"),
    ("topic", f"{_LIST} {_THINGS}{_ON}"),
    ("count", f"how many (?:different )?(?:{_THINGS}|pages) {_HERE}{_TOO}"),
    ("count", f"how (?:big|large) is {_YOUR} {_SHELF}"),
    ("list", f"(?:which|what) (?:kinds? of )?{_THINGS} {_HERE}{_TOO}"),
    ("topic", f"what do you (?:have|know){_ON}"),
    ("list", f"{_LIST} {_THINGS}(?: (?:that )?you have)?{_TOO}"),
    ("list", f"what(?:'s| is) (?:in|on) {_YOUR} {_SHELF}"),
    ("list", f"what (?:does {_YOUR} library (?:have|hold|contain)|do you have)"),
    ("have", f"{_HAVE} (?:the|an?|our|my|any) (?P<topic>[^?]*?{_CALLED}){_TOO}"),
    ("have", f"(?:is|are) {_TOPIC} (?:in|on|part of) {_YOUR} {_SHELF}"),
    ("length", f"how long (?:is|are) {_TOPIC}"),
    ("length", f"how many pages (?:does|do) {_TOPIC} have"),
    ("length", f"how many pages (?:has|have|are (?:there )?in) {_TOPIC}"),
)
_PATTERNS = tuple((kind, re.compile(phrase + r"\s*[?.!]*", re.I)) for kind, phrase in _PHRASES)
#: Words that say "a document" and name none.
_GENERIC = words.content(
    "document file pdf docx pptx html report paper manual book presentation slide filing guide video 10-K"
)
_MAX_LISTED = 7
#: Hits looked at to find the documents that speak of a topic.
_LOOKED_AT = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked about the library."""

    kind: Kind
    topic: str = ""


def parse(question: str) -> Asked | None:
    """Return what a question asks about the library itself, None where it asks the documents."""
    text = " ".join(question.split())
    for kind, pattern in _PATTERNS:
        if found := pattern.fullmatch(text):
            return Asked(kind=kind, topic=found.groupdict().get("topic") or "")
    return None


def named(text: str, documents: Sequence[Document]) -> list[Document]:
    """Return the documents whose name holds all that `text` calls them; [] where it calls none by name."""
    asked = (words.content(text) | words.numbers(text)) - _GENERIC
    if not asked:
        return []
    squashed = words.squashed(text)
    found = []
    for document in documents:
        together = words.squashed(document.name.rpartition(".")[0] or document.name)
        if together in squashed or all(has(document.name, word) for word in asked):
            found.append(document)
    return found


async def asks_library(question: str, run: Run) -> bool:
    """Say whether a question is about the library: a length only where it names a document."""
    wanted = parse(question)
    if wanted is None:
        return False
    return wanted.kind != "length" or bool(
        named(wanted.topic, await run.library.documents(scope=run.question.scope))
    )


async def catalogue(state: State, runtime: Runtime[Run]) -> State:
    """Put the documents that are asked for into the evidence, and let code write; a courtesy needs none."""
    run = runtime.context
    run.writer = CodeWriter()
    if state["about"] == "courtesy":
        return {"told": ""}
    wanted = parse(state["standalone"])
    assert wanted is not None, "the plan routes here only what it has parsed"
    documents = await run.library.documents(scope=run.question.scope)
    hits = await _hits(wanted, documents, run)
    empty: State = {} if documents else {"reason": "empty_library"}
    return empty | {
        "found": [{"place": 0, "hits": hits}],
        "told": f"Looked through the names of {len(documents)} documents",
        "facts": {"documents": len(documents), "named": [hit["name"] for hit in hits]},
    }


async def _hits(wanted: Asked, documents: Sequence[Document], run: Run) -> list[Kept]:
    """Return one passage for each document to be listed."""
    every = wanted.kind in ("list", "count")
    chosen = list(documents) if every else named(wanted.topic, documents)
    if not chosen and wanted.kind in ("topic", "have"):
        return await _speaking(wanted.topic, run)
    first = [(d, await _opening(d, run)) for d in chosen[:_MAX_LISTED]]
    return [kept_of(chunk, name=d.name, score=1.0) for d, chunk in first if chunk is not None]


async def _speaking(topic: str, run: Run) -> list[Kept]:
    """Return the best passage of each document that has all words of the topic on one page."""
    found = await run.library.search(topic, scope=run.question.scope, limit=_LOOKED_AT)
    best: dict[str, Kept] = {}
    for hit in found:
        text = f"{hit.document_name.replace('_', ' ')}\n{hit.chunk.heading}\n{hit.chunk.text}"
        if words.cover(words.content(topic), words.content(text)) == 1.0:
            best.setdefault(
                hit.chunk.document_id, kept_of(hit.chunk, name=hit.document_name, score=hit.score)
            )
    return list(best.values())[:_MAX_LISTED]


async def _opening(document: Document, run: Run) -> Chunk | None:
    """Return the first passage of a document, from one of its first three pages."""
    for page_no in range(1, min(document.pages, 3) + 1):
        for chunk in await run.library.on_page(document.id, page_no, scope=run.question.scope):
            return chunk
    return None


class CodeWriter:
    """Says what code knows: courtesies, and what the library holds."""

    writes_as: WrittenBy = "code"

    async def draft(self, run: Run, state: State, sources: list[Source]) -> AsyncGenerator[Drafted, None]:
        """Yield one sentence for each document, or the courtesy."""
        for drafted in await _sentences(run, state, sources):
            yield drafted


async def stands(draft: Drafted, state: State, run: Run) -> bool:
    """Work a sentence of code out again, from the documents as they are now."""
    return draft in await _sentences(run, state, await run.sources(state))


async def _sentences(run: Run, state: State, sources: list[Source]) -> list[Drafted]:
    if state["about"] == "courtesy":
        kind = courtesy.courtesy(state["standalone"])
        return [{"text": courtesy.SAID[kind], "evidence": []}] if kind else []
    wanted = parse(state["standalone"])
    documents = {d.id: d for d in await run.library.documents(scope=run.question.scope)}
    listed = [(s, documents[s.chunk.document_id]) for s in sources if s.chunk.document_id in documents]
    if wanted is None or not listed:
        return []
    each: list[Drafted] = [
        {"text": _entry(wanted, document, source), "evidence": [source.n]} for source, document in listed
    ]
    if wanted.kind not in ("list", "count"):
        return each
    numbers = [source.n for source, _ in listed]
    total: Drafted = {"text": _total(list(documents.values()), len(listed), wanted), "evidence": numbers}
    return [total] if wanted.kind == "count" else [total, *each]


def _entry(wanted: Asked, document: Document, source: Source) -> str:
    pages = "1 page" if document.pages == 1 else f"{document.pages} pages"
    if wanted.kind in ("topic", "have") and not named(wanted.topic, [document]):
        return f"{document.name} ({pages}) speaks of it on page {source.chunk.page_no}."
    return f"{document.name} has {pages}."


def _total(documents: Sequence[Document], listed: int, wanted: Asked) -> str:
    pages = sum(document.pages for document in documents)
    one = len(documents) == 1
    text = f"There {'is 1 document' if one else f'are {len(documents)} documents'} here, with {pages} pages"
    if wanted.kind == "list" and listed < len(documents):
        return f"{text}; these are the first {listed} by name."
    return f"{text}." if one else f"{text} together."
