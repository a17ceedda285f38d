"""Doubles that satisfy the Protocols: scripted and recorded, never patched in."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
from pydantic import BaseModel

from agent.entail import Verdicts
from agent.records import (
    Answer,
    Citation,
    Event,
    Kind,
    Question,
    Released,
    SearchResult,
    Sentence,
    Step,
    Turn,
)
from agent.rewrite import Rewritten
from api.house import Capabilities, House, Incoming, Part
from guardrails.records import Hop, Verdict
from ingest.errors import ModelDown, ModelReply, NoPageImage
from ingest.jobs import Job, NewJob, Progress
from ingest.jobs_sql import SqliteDatabase, SqlJobs
from ingest.library import WHOLE
from ingest.records import (
    Box,
    Chunk,
    Document,
    ElementKind,
    Film,
    Framing,
    Hit,
    Outcome,
    Scope,
    Span,
    chunk_id,
    document_id,
    readers_key,
)
from ingest.served import Call, Message, Reasoning
from ingest.surroundings import around
from ingest.vision import Finding
from ingest.worker import settlement_of

# --- agent
# ---------------------------------------------------------------------------------------------------

SCOPE = Scope(tenant="acme", collections=("default",))
Reply = TypeVar("Reply", bound=BaseModel)


def a_document(name: str = "report.pdf", *, tenant: str = "acme", groups: tuple[str, ...] = ()) -> Document:
    """Make a shelved document."""
    return Document(
        id=document_id(tenant=tenant, collection="default", source_key=name),
        tenant=tenant,
        collection="default",
        groups=groups,
        source_key=name,
        name=name,
        media_type="application/pdf",
        revision="0" * 64,
        bytes=1,
        pages=3,
        chunks=1,
        added_at=0.0,
    )


def a_chunk(
    text: str,
    *,
    document: Document | None = None,
    page_no: int = 1,
    place: int = 0,
    kind: ElementKind = "paragraph",
    heading: str = "",
) -> Chunk:
    """Make a chunk whose every line (of a table: every cell) has a box of its own."""
    document = document or a_document()
    spans, at = [], 0
    for row, line in enumerate(text.split("\n")):
        cells = line.split(" | ") if kind == "table" else [line]
        for column, cell in enumerate(cells):
            box = Box(x0=column / len(cells), y0=row / 100, x1=(column + 1) / len(cells), y1=(row + 1) / 100)
            spans.append(Span(start=at, end=at + len(cell), box=box))
            at += len(cell) + 3 * (column < len(cells) - 1)
        at += 1
    return Chunk(
        id=chunk_id(
            document_id=document.id, revision=document.revision, recipe="fake", page_no=page_no, place=place
        ),
        document_id=document.id,
        revision=document.revision,
        page_no=page_no,
        kind=kind,
        text=text,
        spans=tuple(spans),
        heading=heading,
    )


@dataclass
class FakeLibrary:
    """A library that finds its chunks by shared words, and records what it was asked."""

    shelf: list[tuple[Document, list[Chunk]]] = field(default_factory=list)
    vision: str = "ocr-layout"
    languages: tuple[str, ...] = ("en",)
    finding: Finding | Exception = field(default_factory=lambda: Finding(outcome="nothing"))
    searched: list[tuple[str, Scope]] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    asked_of_eyes: list[tuple[str, int]] = field(default_factory=list)
    imaged: list[tuple[str, int, tuple[Box, ...], tuple[Box, ...]]] = field(default_factory=list)
    films: dict[str, Film] = field(default_factory=dict)

    async def search(self, query: str, *, scope: Scope, limit: int) -> list[Hit]:
        """Rank by shared words."""
        self.searched.append((query, scope))
        wanted = _bag(query)
        hits = [
            Hit(chunk=c, document_name=d.name, score=len(wanted & _bag(c.text)) / (len(wanted) or 1))
            for d, chunks in self.shelf
            if scope.allows(d)
            for c in chunks
        ]
        return sorted(hits, key=lambda h: -h.score)[:limit]

    async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
        """Score by shared words."""
        return [float(len(_bag(query) & _bag(p))) for p in passages]

    async def chunks(self, chunk_ids: Sequence[str], *, scope: Scope) -> list[Chunk]:
        """Read again, through the scope."""
        alive = {c.id: c for d, chunks in self.shelf if scope.allows(d) for c in chunks}
        return [alive[i] for i in chunk_ids if i in alive]

    async def on_page(self, document_id: str, page_no: int, *, scope: Scope) -> list[Chunk]:
        """Return the chunks of a page."""
        return [
            c
            for d, chunks in self.shelf
            if d.id == document_id and scope.allows(d)
            for c in chunks
            if c.page_no == page_no
        ]

    async def around(self, chunk_ids: Sequence[str], *, scope: Scope) -> dict[str, list[Chunk]]:
        """Return what belongs to each, as the library does."""
        found: dict[str, list[Chunk]] = {}
        for chunk in await self.chunks(chunk_ids, scope=scope):
            chunks = next(chunks for d, chunks in self.shelf if d.id == chunk.document_id)
            found[chunk.id] = around(sorted(chunks, key=lambda c: c.page_no), chunk.id)
        return found

    async def look(
        self, chunks: Sequence[Chunk], *, question: str, scope: Scope, max_tokens: int
    ) -> list[Finding]:
        """Say what was scripted."""
        self.asked_of_eyes.append((question, max_tokens))
        if isinstance(self.finding, Exception):
            raise self.finding
        self.looked += [c.id for c in chunks]
        return [self.finding for _ in chunks]

    async def page_image(
        self,
        document_id: str,
        page_no: int,
        *,
        scope: Scope,
        marks: Sequence[Box] = (),
        veils: Sequence[Box] = (),
        framing: Framing = WHOLE,
    ) -> bytes | None:
        """Record what was drawn."""
        if await self.document(document_id, scope=scope) is None:
            return None
        self.imaged.append((document_id, page_no, tuple(marks), tuple(veils)))
        return b"\x89PNG\r\n\x1a\n"

    async def document(self, document_id: str, *, scope: Scope) -> Document | None:
        """Return a document the scope allows."""
        return next((d for d, _ in self.shelf if d.id == document_id and scope.allows(d)), None)

    async def film(self, document_id: str, *, scope: Scope) -> tuple[Film, list[Chunk]] | None:
        """Return what was put into `films` with the chunks of its shelf."""
        held = next((c for d, c in self.shelf if d.id == document_id and scope.allows(d)), None)
        film = self.films.get(document_id)
        return None if held is None or film is None else (film, list(held))

    async def documents(self, *, scope: Scope) -> list[Document]:
        """List the documents the scope allows."""
        return sorted((d for d, _ in self.shelf if scope.allows(d)), key=lambda d: d.name)


@dataclass
class FakeRails:
    """Rails that stop texts holding a forbidden word, and record what they saw."""

    forbidden: dict[str, str] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[Hop, str, str]] = field(default_factory=list)

    async def screen(self, hop: Hop, texts: Sequence[str], *, released: str = "") -> tuple[Verdict, ...]:
        """Judge each text."""
        self.seen += [(hop, text, released) for text in texts]
        return tuple(self._verdict(hop, text) for text in texts)

    def _verdict(self, hop: Hop, text: str) -> Verdict:
        for word, code in self.forbidden.items():
            if word in text:
                return Verdict(hop=hop, decision="block", rail="fake", code=code, text="", policy="fake@1")
        masked = text
        for word, mask in self.masks.items():
            masked = masked.replace(word, mask)
        decision: Literal["allow", "mask"] = "mask" if masked != text else "allow"
        return Verdict(hop=hop, decision=decision, rail=None, code="", text=masked, policy="fake@1")


@dataclass
class FakeModel:
    """A model that says what it was told to say, piece by piece; an error in the script is raised."""

    says: Sequence[str | Exception] = ()
    replies: list[dict[str, Any] | Exception] = field(default_factory=list)
    name: str = "fake-model"
    writes_as: Literal["served", "local"] = "served"
    context_tokens: int = 4096
    sees_images: bool = False
    asked: list[Sequence[Message]] = field(default_factory=list)
    #: Its verdict on every pair of claim and evidence; None answers for none of them.
    verdict: Literal["supported", "contradicted", "not_stated"] | None = "supported"
    #: What it was asked to judge, apart from `asked`.
    judged: list[Sequence[Message]] = field(default_factory=list)
    closed: bool = False
    #: Whether it thinks where a question does not say.
    thinks: bool = False

    def will_reason(self, reasoning: Reasoning | None = None) -> bool:
        """Think as asked."""
        return self.thinks if reasoning is None else reasoning != "off"

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the script."""
        self.asked.append(messages)
        try:
            for piece in self.says:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed = True

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        schema: type[Reply],
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> Reply:
        """Return the next scripted reply; judge every pair alike, and write nothing anew unless scripted."""
        if issubclass(schema, Verdicts):
            self.judged.append(messages)
            pairs = messages[-1].text.count("<pair ") if self.verdict else 0
            verdicts = [{"pair": n, "verdict": self.verdict} for n in range(1, pairs + 1)]
            return schema.model_validate({"verdicts": verdicts})
        if issubclass(schema, Rewritten):
            self.judged.append(messages)
            scripted = [r for r in self.replies if isinstance(r, dict) and "sentence" in r]
            return schema.model_validate(scripted[0] if scripted else {"sentence": "", "source": 0})
        self.asked.append(messages)
        if not self.replies:
            raise ModelReply("nothing scripted")
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return schema.model_validate_json(json.dumps(reply))


DOWN = ModelDown(
    "The model server at http://127.0.0.1:9 does not answer. Start it, or unset PAGEWARDEN_MODEL_URL."
)


def _bag(text: str) -> set[str]:
    return {word.strip(".,:;?!|").casefold().removesuffix("s") for word in text.split()}


# --- api
# ---------------------------------------------------------------------------------------------------


def a_citation(
    n: int = 1, *, document: Document | None = None, page_no: int = 2, quote: str = ""
) -> Citation:
    """Make a citation of one row in the middle of a page."""
    document = document or a_document(tenant="default")
    return Citation(
        n=n,
        document_id=document.id,
        name=document.name,
        page_no=page_no,
        boxes=(Box(x0=0.1, y0=0.2 + n / 10, x1=0.9, y1=0.24 + n / 10),),
        quote=quote or f"Row {n} of the table",
        score=0.9 - n / 10,
        chunk_id=f"chunk-{n}",
    )


def an_answer(
    *sentences: Sentence,
    citations: tuple[Citation, ...] = (),
    kind: Kind = "answer",
    text: str | None = None,
    reason: str | None = None,
    dropped: int = 0,
) -> Answer:
    """Make an answer whose text is its sentences with their markers, or `text`."""
    told = " ".join(s.text + "".join(f" [{n}]" for n in s.citations) for s in sentences)
    return Answer(
        kind=kind,
        text=told if text is None else text,
        sentences=sentences,
        citations=citations,
        reason=reason,
        dropped=dropped,
        written_by="quotes",
        vision="ocr-layout",
        languages=("en",),
        trace_id="trace-1",
    )


def telling(answer: Answer, *steps: Step) -> list[Event]:
    """Return the events that tell `answer`: steps, each sentence with its new citations, the answer."""
    seen: set[int] = set()
    events: list[Event] = list(steps)
    for sentence in answer.sentences:
        fresh = tuple(c for c in answer.citations if c.n in sentence.citations and c.n not in seen)
        seen |= {c.n for c in fresh}
        events.append(Released(sentence=sentence, new_citations=fresh))
    return [*events, answer]


def _whose(scope: Scope) -> str:
    return f"{scope.tenant}/{scope.owner}" if scope.owner else scope.tenant


class FakeAgent:
    """Tells scripted events by the question's text; an exception in the script is raised there."""

    def __init__(self, script: dict[str, list[Event | Exception]], *, pause_s: float = 0.0) -> None:
        self.script = script
        self.pause_s = pause_s
        self.asked: list[Question] = []
        self.pages: list[tuple[str, int, Scope, tuple[Box, ...]]] = []
        self.framings: list[Framing] = []
        self.searched: list[tuple[str, Scope, int]] = []
        self.found = SearchResult(hits=())
        self.images: dict[tuple[str, int], bytes | NoPageImage] = {}
        self.texts: dict[tuple[str, int], tuple[str, ...]] = {}
        self.films: dict[tuple[str, str], Film] = {}
        #: Conversations by whose they are ("tenant", or "tenant/owner") and name.
        self.talks: dict[tuple[str, str], tuple[Turn, ...]] = {}
        #: Questions whose generator was closed before its end.
        self.cancelled = 0

    async def ask(self, question: Question) -> AsyncGenerator[Event, None]:
        """Yield the script of the question, or an abstention."""
        self.asked.append(question)
        done = False
        nothing = an_answer(kind="abstention", text="I found no evidence.", reason="no_evidence")
        try:
            for event in self.script.get(question.text, [nothing]):
                await anyio.sleep(self.pause_s)
                if isinstance(event, Exception):
                    raise event
                yield event
            done = True
        finally:
            self.cancelled += not done

    async def search(self, query: str, *, scope: Scope, limit: int, channel: str = "") -> SearchResult:
        """Return what was put into `found`."""
        self.searched.append((query, scope, limit))
        return self.found

    async def page(
        self,
        document_id: str,
        page_no: int,
        *,
        scope: Scope,
        marks: Sequence[Box] = (),
        framing: Framing = WHOLE,
        channel: str = "",
    ) -> bytes | None:
        """Return what was put into `images`, or raise it."""
        self.pages.append((document_id, page_no, scope, tuple(marks)))
        self.framings.append(framing)
        image = self.images.get((document_id, page_no))
        if isinstance(image, NoPageImage):
            raise image
        return image

    async def threads(self, *, scope: Scope) -> list[str]:
        """List what was put into `talks` for the tenant."""
        return sorted(name for whose, name in self.talks if whose == _whose(scope))

    async def thread(self, thread_id: str, *, scope: Scope) -> tuple[Turn, ...]:
        """Return what was put into `talks`."""
        return self.talks.get((_whose(scope), thread_id), ())

    async def forget(self, thread_id: str, *, scope: Scope) -> bool:
        """Forget what was put into `talks`."""
        return self.talks.pop((_whose(scope), thread_id), None) is not None

    async def film(self, document_id: str, *, scope: Scope, channel: str = "") -> Film | None:
        """Return what was put into `films`, to its tenant."""
        return self.films.get((scope.tenant, document_id))

    async def passages(
        self, document_id: str, page_no: int, *, scope: Scope, channel: str = ""
    ) -> tuple[str, ...] | None:
        """Return what was put into `texts`."""
        return self.texts.get((document_id, page_no))


class FakeShelf:
    """Shelves names in memory; `refusals` scripts files at fault by name, `error` breaks the whole shelf."""

    def __init__(self, *held: Document) -> None:
        self.held = {document.id: document for document in held}
        self.refusals: dict[str, Outcome] = {}
        self.error: Exception | None = None
        #: Ids of documents whose pages have no image.
        self.imageless: set[str] = set()
        self.seconds: dict[str, dict[int, tuple[float, float]]] = {}
        #: Every file that came: its label, collection, stored name and bytes.
        self.came: list[tuple[str, str, str, bytes]] = []
        #: Whether jobs stay in the queue until a test calls `work`.
        self.slow = False
        #: How long callers would have waited.
        self.waited: list[float] = []
        database = SqliteDatabase.open(":memory:")
        self.jobs = SqlJobs(database)
        weakref.finalize(self, database.close)

    async def add(
        self,
        path: Path,
        *,
        name: str,
        tenant: str,
        collection: str,
        groups: Sequence[str] = (),
    ) -> Outcome:
        """Read the file and hold a document of three pages."""
        if self.error is not None:
            raise self.error
        self.came.append((name, collection, path.name, path.read_bytes()))  # noqa: ASYNC240
        if name in self.refusals:
            return self.refusals[name]
        document = replace(
            a_document(name, tenant=tenant, groups=tuple(groups)),
            id=document_id(tenant=tenant, collection=collection, source_key=readers_key(name, groups)),
            collection=collection,
            added_at=1.75e9,
        )
        known = document.id in self.held
        self.held[document.id] = document
        return Outcome(
            name=name, outcome="unchanged" if known else "added", id=document.id, pages=3, chunks=1
        )

    async def enqueue(self, files: Sequence[Incoming]) -> list[Job]:
        """Make jobs in a real store, and end them at once by `add`, unless they are `slow`."""
        wanted = [
            NewJob(
                tenant=file.tenant,
                collection=file.collection,
                name=file.name,
                path=str(file.path),
                groups=file.groups,
                revision=hashlib.sha256(file.path.read_bytes()).hexdigest() if file.path.exists() else "",
                bytes=0,
                ours=file.ours,
                key=file.key,
            )
            for file in files
        ]
        outcomes = [
            await self.add(
                file.path,
                name=file.name,
                tenant=file.tenant,
                collection=file.collection,
                groups=file.groups,
            )
            for file in files
            if not self.slow
        ]
        jobs = await self.jobs.enqueue(wanted)
        await self.work(*outcomes)
        return [await self.jobs.get(job.id, tenant=job.tenant) or job for job in jobs]

    async def work(self, *outcomes: Outcome) -> list[Job]:
        """Run queued jobs to these ends; the same file twice is one job."""
        ended = []
        for outcome in outcomes:
            job = await self.jobs.claim("fake")
            if job is None:
                break
            pages = Progress(state="reading", pages_done=outcome.pages, pages_total=outcome.pages)
            await self.jobs.progress(job, pages)
            await self.jobs.settle(job, settlement_of(outcome))
            ended.append(await self.jobs.get(job.id, tenant=job.tenant))
        return [job for job in ended if job is not None]

    async def settled(self, jobs: Sequence[Job], *, within_s: float) -> list[Job]:
        """Look once."""
        self.waited.append(within_s)
        return [await self.jobs.get(job.id, tenant=job.tenant) or job for job in jobs]

    async def cancel(self, job_id: str, *, tenant: str) -> Job | None:
        """Cancel in the store."""
        return await self.jobs.cancel(job_id, tenant=tenant)

    async def retry(self, job_id: str, *, tenant: str) -> Job | None:
        """Queue again in the store."""
        return await self.jobs.retry(job_id, tenant=tenant)

    async def remove(self, document_id: str, *, scope: Scope) -> bool:
        """Forget a document of the scope."""
        allowed = await self.document(document_id, scope=scope) is not None
        if allowed:
            del self.held[document_id]
        return allowed

    async def document(self, document_id: str, *, scope: Scope) -> Document | None:
        """Return a document of the scope."""
        held = self.held.get(document_id)
        return held if held is not None and scope.allows(held) else None

    async def page_images(self, document_id: str, *, scope: Scope) -> list[int]:
        """Number the pages of a document of the scope."""
        document = await self.document(document_id, scope=scope)
        if document is None or document_id in self.imageless:
            return []
        return list(range(1, document.pages + 1))

    async def scenes(self, document_id: str, *, scope: Scope) -> dict[int, tuple[float, float]]:
        """Return what was put into `seconds`."""
        return self.seconds.get(document_id, {})

    async def documents(self, *, scope: Scope) -> list[Document]:
        """List the documents of the scope."""
        return sorted((d for d in self.held.values() if scope.allows(d)), key=lambda d: d.name)

    async def stored(self, *, tenant: str) -> int:
        """Count a byte a document."""
        return sum(d.bytes for d in self.held.values() if d.tenant == tenant)

    async def collections(self, *, tenant: str) -> tuple[str, ...]:
        """Return the collections in use."""
        return tuple(sorted({d.collection for d in self.held.values() if d.tenant == tenant}))


def a_house(agent: FakeAgent | None = None, shelf: FakeShelf | None = None) -> House:
    """Build a house around fakes."""

    async def ready() -> list[Part]:
        return [Part(name="library", ok=True, detail="open"), Part(name="rails", ok=True, detail="default@3")]

    async def ready_at_once() -> None:
        return None

    shelf = shelf or FakeShelf()
    return House(
        agent=agent or FakeAgent({}),
        shelf=shelf,
        intake=shelf,
        jobs=shelf.jobs,
        work=lambda: None,
        capabilities=Capabilities(
            profile="embedded", vision="ocr-layout", languages=("en",), reasoning="quotes", model=None
        ),
        readiness=ready,
        warm=ready_at_once,
    )
