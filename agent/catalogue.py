"""Questions about the library itself: what it holds, how much, on what, how long.

They are recognised by whole phrases (precision before recall: "how many pages contain tables?" asks a document)
and answered in code from the documents that the caller may read. Each sentence cites a passage of the document
that it names, and `verify` works it out again before it is released.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal

from langgraph.runtime import Runtime

from agent import courtesy, words
from agent.records import WrittenBy
from agent.retrieve import kept_of
from agent.state import Drafted, Kept, Run, Source, State
from ingest.records import Chunk, Document

Kind = Literal["list", "count", "topic", "have", "length"]

_THINGS = r"(?:documents?|files?|pdfs?|papers|reports|videos?|sources|books|manuals|presentations|materials?)"
_HERE = (
    r"(?:(?:do|can|could)\s+you\s+(?:have|hold|know|see|read|search|access|use)(?:\s+access\s+to)?|have\s+you\s+got"
    r"|are\s+(?:there|available|loaded|stored|indexed|here)|are\s+(?:in|on|part\s+of)\s+(?:the|this|your|my|our)\s+(?:library|collection|shelf)"
    r"|(?:have\s+been|were)\s+(?:added|uploaded|indexed)|did\s+i\s+(?:add|upload)|does\s+(?:the|this|your)\s+library\s+(?:have|hold|contain))"
)
_IN_LIBRARY = r"(?:\s+(?:here|in\s+total|altogether|available|(?:in|on)\s+(?:the|this|your|my|our)\s+(?:library|collection|shelf)))*"
_ON = r"\s+(?:on|about|regarding|concerning|covering|dealing\s+with|that\s+(?:cover|mention|discuss|are\s+about|deal\s+with))\s+(?P<topic>[^?]+?)"
_END = r"\s*[?.!]*$"
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("topic", re.compile(rf"^(?:which|what)\s+(?:\w+\s+)?{_THINGS}\s+{_HERE}{_ON}{_END}", re.I)),
    ("topic", re.compile(rf"^(?:do\s+you\s+have|have\s+you\s+got|is\s+there|are\s+there)\s+(?:anything|something|any\s+{_THINGS}|some\s+{_THINGS}|an?\s+{_THINGS}|{_THINGS}){_ON}{_IN_LIBRARY}{_END}", re.I)),
    ("topic", re.compile(rf"^(?:which|what)\s+(?:of\s+(?:the|your|my)\s+)?{_THINGS}\s+(?:cover|mention|discuss|talk\s+about|deal\s+with|speak\s+of|are\s+about)s?\s+(?P<topic>[^?]+?){_END}", re.I)),
    ("topic", re.compile(rf"^(?:list|show(?:\s+me)?|find)\s+(?:(?:all|the|your|my|me|every)\s+)*{_THINGS}{_ON}{_END}", re.I)),
    ("count", re.compile(rf"^how\s+many\s+(?:different\s+)?(?:{_THINGS}|pages)\s+{_HERE}{_IN_LIBRARY}{_END}", re.I)),
    ("count", re.compile(r"^how\s+(?:big|large)\s+is\s+(?:the|this|your|my)\s+(?:library|collection)" + _END, re.I)),
    ("list", re.compile(rf"^(?:which|what)\s+(?:kinds?\s+of\s+)?{_THINGS}\s+{_HERE}{_IN_LIBRARY}{_END}", re.I)),
    ("list", re.compile(rf"^(?:please\s+)?(?:list|show|show\s+me|name|give\s+me|tell\s+me)\s+(?:(?:all|a\s+list\s+of|of|the|your|my|our|available)\s+)*{_THINGS}(?:\s+(?:you\s+have|that\s+you\s+have|in\s+(?:the|this|your|my)\s+library|available))?{_IN_LIBRARY}{_END}", re.I)),
    ("list", re.compile(r"^what(?:'s|\s+is)\s+(?:in|on)\s+(?:the|this|your|my)\s+(?:library|shelf|collection)" + _END, re.I)),
    ("list", re.compile(r"^what\s+(?:does\s+(?:the|this|your)\s+library\s+(?:have|hold|contain)|do\s+you\s+have)" + _END, re.I)),
    ("have", re.compile(rf"^(?:do\s+you\s+have|have\s+you\s+got|can\s+you\s+(?:read|see)|is\s+there)\s+(?:the|a|an|our|my|any)\s+(?P<topic>[^?]*?(?:{_THINGS}|report|paper|manual|book|presentation|slides|filing|10-[KQ]|guide|\.\w{{2,4}})){_IN_LIBRARY}{_END}", re.I)),
    ("have", re.compile(rf"^(?:is|are)\s+(?P<topic>[^?]+?)\s+(?:in|on|part\s+of)\s+(?:the|this|your|my|our)\s+(?:library|collection|shelf){_END}", re.I)),
    ("length", re.compile(rf"^how\s+(?:long\s+(?:is|are)\s+(?P<topic>[^?]+?)|many\s+pages\s+(?:(?:does|do)\s+(?P<topic2>[^?]+?)\s+have|(?:has|have|are\s+(?:there\s+)?in)\s+(?P<topic3>[^?]+?))){_END}", re.I)),
)  # fmt: skip
#: Words that say "a document" and name none.
_GENERIC = words.content(
    "document file pdf docx pptx html report paper manual book presentation slide filing guide video latest copy 10-K"
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
        if found := pattern.search(text):
            topics = [v for k, v in found.groupdict().items() if k.startswith("topic") and v]
            return Asked(kind=kind, topic=topics[0].strip() if topics else "")
    return None


def named(text: str, documents: Sequence[Document]) -> list[Document]:
    """Return the documents whose name holds all that `text` calls them; [] where it calls none by name."""
    asked = (words.content(text) | words.numbers(text)) - _GENERIC
    if not asked:
        return []
    squashed = words.squashed(text)
    found = []
    for document in documents:
        stem = document.name.rpartition(".")[0] or document.name
        spoken = re.sub(r"[\W_]+", " ", stem)
        together = words.squashed(stem)
        known = words.content(spoken) | words.numbers(spoken)
        if together in squashed or all(w in known or (len(w) > 3 and w in together) for w in asked):
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
    if wanted.kind in ("list", "count"):
        chosen = list(documents)
    else:
        chosen = named(wanted.topic, documents)
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
