"""The shapes at the doors: the same for HTTP and for `--json`. `docs/schemas/` is generated from here.

Run `python -m api.schemas docs/schemas` after a change; a test compares.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agent.records import Answer, Citation, Kind, SearchResult, Turn, WrittenBy
from api.keys import Role
from api.ledger import Rating
from ingest.jobs import Job, JobState
from ingest.records import (
    Box,
    Document,
    ElementKind,
    GridCell,
    Outcome,
    OutcomeKind,
    Page,
    PageFlag,
    ReadBy,
    Reading,
    ReadOutcome,
)

#: Mints the address of a citation's page.
Link = Callable[[Citation], str]
Share = Annotated[float, Field(ge=0, le=1)]


class Told(BaseModel):
    """A shape that leaves the house: nothing in it that is not named here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CitationOut(Told):
    """Evidence with its place: boxes are [x0, y0, x1, y1] in [0, 1] of the page as shown, origin top left."""

    n: Annotated[int, Field(ge=1)]
    document_id: str
    name: str
    page_no: Annotated[int, Field(ge=1)]
    boxes: list[tuple[Share, Share, Share, Share]]
    start_s: float | None
    end_s: float | None
    quote: str
    score: float
    #: Where the page is shown with its regions, signed where a key is needed; null on the command line.
    url: str | None = None


class SentenceOut(Told):
    """A sentence of the answer and the numbers of the citations it stands on."""

    text: str
    citations: list[int]


class StepOut(Told):
    """One step of the story behind an answer; `facts` are its details, by name."""

    node: str
    label: str
    ms: Annotated[float, Field(ge=0)]
    facts: dict[str, JsonValue]


class AnswerOut(Told):
    """What `ask --json` prints and the `pagewarden` field of a chat completion holds."""

    kind: Kind
    text: str
    sentences: list[SentenceOut]
    citations: list[CitationOut]
    reason: str | None
    dropped: Annotated[int, Field(ge=0)]
    written_by: WrittenBy
    #: Whether the model thought before it wrote.
    reasoned: bool
    vision: str
    languages: list[str]
    trace_id: str
    #: How sure it is, in [0, 1]; null for a refusal.
    confidence: Share | None
    searched: list[str]
    #: Of an abstention: the pages that came nearest.
    nearest: list[CitationOut]
    steps: list[StepOut]


class HitOut(CitationOut):
    """A passage found, with its whole text."""

    text: str


class HitsOut(Told):
    """What a search found; `reason` is the code of the rail that said no, and then there are no hits."""

    hits: list[HitOut]
    reason: str | None = None


class OutcomeOut(Told):
    """What became of one file."""

    id: str | None
    name: str
    outcome: OutcomeKind
    reason: str | None
    detail: str | None
    pages: int
    chunks: int


class OutcomesOut(Told):
    """What became of the files that somebody asked to add."""

    documents: list[OutcomeOut]


class JobOut(Told):
    """A file on its way: how far it is, what it waits for, or how it ended."""

    id: str
    name: str
    collection: str
    document_id: str
    state: JobState
    bytes: int
    #: How much of it is done, 0 to 1.
    share: Share
    pages_done: int
    pages_total: int
    pages_per_s: float | None
    #: Seconds that it still takes, as far as anybody can say.
    eta_s: float | None
    #: What it waits for but its turn.
    waits_for: str | None
    #: Attempts that ended with an error.
    tries: int
    outcome: OutcomeKind | None
    reason: str | None
    page_no: int | None
    detail: str | None
    chunks: int
    created_at: datetime
    settled_at: datetime | None
    #: Greater with every change of any job: `since` of the next look.
    changed: int


class JobsOut(Told):
    """Jobs, and how many there are in each state."""

    jobs: list[JobOut]
    counts: dict[JobState, int]


class DocumentOut(Told):
    """A document on the shelf."""

    id: str
    name: str
    collection: str
    media_type: str
    revision: str
    bytes: int
    pages: int
    chunks: int
    added_at: datetime


class Listed(Told):
    """One page of a list; `next` is the `after` of the page behind it."""

    has_more: bool = False
    next: str | None = None


class DocumentsOut(Listed):
    """The documents that the caller may see, by name."""

    documents: list[DocumentOut]


class PageOut(Told):
    """Where a page's image is."""

    no: int
    url: str
    #: Seconds of a video's scene; null for a page.
    start_s: float | None
    end_s: float | None


class DocumentPagesOut(DocumentOut):
    """A document with the addresses of its page images; pages without one have only their text."""

    page_images: list[PageOut]
    #: Where a video can be played from, with Range; null for anything else.
    video: str | None


class PageTextOut(Told):
    """A page as text, passage by passage in reading order."""

    no: int
    passages: list[str]


class CellOut(Told):
    """A cell of a table's grid; rows and columns count from 0, a spanning cell stands once, top left."""

    row: Annotated[int, Field(ge=0)]
    col: Annotated[int, Field(ge=0)]
    rowspan: Annotated[int, Field(ge=1)]
    colspan: Annotated[int, Field(ge=1)]
    text: str
    box: tuple[Share, Share, Share, Share] | None


class ElementOut(Told):
    """A block of a page; `html` and `cells` are those of a table."""

    kind: ElementKind
    text: str
    html: str | None
    box: tuple[Share, Share, Share, Share] | None
    cells: list[CellOut]


class ReadPageOut(Told):
    """One page as read, by whom and why so; its elements in reading order."""

    page_no: Annotated[int, Field(ge=1)]
    reader: ReadBy
    why: str
    flags: list[PageFlag]
    start_s: float | None
    end_s: float | None
    elements: list[ElementOut]


class ReadingOut(Told):
    """What `read --json` prints: everything that was read of one file, and what was not, with the reason."""

    outcome: ReadOutcome
    reason: str | None
    detail: str | None
    pages: list[ReadPageOut]
    attachments: list[AttachmentOut]


class AttachmentOut(ReadingOut):
    """A file that was packed in another."""

    name: str


class RemovedOut(Told):
    """What was taken off the shelf."""

    removed: list[str]


class OffOut(Told):
    """Something that this house lacks, and how to have it."""

    what: str
    how: str


class StatusOut(Told):
    """What the house has, holds and lacks."""

    version: str
    profile: Literal["embedded", "served"]
    vision: str
    languages: list[str]
    reasoning: WrittenBy
    model: str | None
    documents: int
    pages: int
    chunks: int
    samples: list[str]
    off: list[OffOut]


class PartOut(Told):
    """One part and whether it is ready."""

    name: str
    ok: bool
    detail: str


class ReadyOut(Told):
    """Whether every part is ready."""

    ready: bool
    parts: list[PartOut]


class TurnOut(Told):
    """One turn of a conversation as it may be read now."""

    role: Literal["user", "assistant"]
    text: str


class ThreadOut(Told):
    """A conversation: its name and its turns."""

    id: str
    turns: list[TurnOut]


class ThreadsOut(Listed):
    """The names of the conversations that are kept."""

    threads: list[str]


class CheckedOut(Told):
    """What the rails make of one row of `policy check`."""

    id: str | int
    action: Literal["allow", "redact", "refuse", "quarantine"]
    #: The rail that decided, "undecided" where one failed; null where every rail allowed.
    rail: str | None
    #: That rail's score, higher is worse; null where it gives none.
    score: float | None
    #: What to go on with: the text, the masked text, or "".
    text: str
    #: The row's share of the time that its batch took, milliseconds.
    ms: Annotated[float, Field(ge=0)]


class OpinionOut(Told):
    """What one rail said about a text."""

    rail: str
    mode: Literal["enforce", "shadow"]
    decision: Literal["allow", "mask", "block"]
    code: str
    score: float | None
    #: The score from which it blocks; null where it gives none.
    blocks_from: float | None
    ms: Annotated[float, Field(ge=0)]


class RescreenedOut(Told):
    """What became of the documents that another policy or model had judged."""

    #: Judged again and left as they are.
    passed: int
    #: Added again from their kept files.
    added: int
    quarantined: int
    #: Could not be judged; the next run tries again.
    failed: int


class ExplainedOut(CheckedOut):
    """The decision about one text, and what every rail of the hop said."""

    hop: Literal["question", "document", "evidence", "finding", "answer"]
    code: str
    policy: str
    opinions: list[OpinionOut]
    #: What whoever asked is told, by language; empty where nothing was refused.
    refusal: dict[str, str]


class PolicyOut(Told):
    """The policy in force at a place; a rail's parameters are those of its rule."""

    policy: str
    tenant: str
    collections: list[str]
    channel: str
    #: Why changed files are not in force; null where all are.
    fault: str | None
    hops: dict[str, list[dict[str, JsonValue]]]
    #: What a model on somebody else's server does not get to see; other policies may add to it.
    hosted: dict[str, JsonValue]
    refusal: dict[str, dict[str, str]]


class CollectionOut(Told):
    """A collection, and how much of it the caller may see."""

    name: str
    #: As chat calls it.
    model: str
    documents: int
    pages: int
    bytes: int


class CollectionsOut(Listed):
    """The collections that the caller may read, by name."""

    collections: list[CollectionOut]


class FeedbackOut(Told):
    """What somebody thought of an answer."""

    id: str
    who: str
    trace_id: str
    rating: Rating
    reason: str | None
    comment: str | None
    at: float


class FeedbacksOut(Listed):
    """What was thought of answers, the newest first."""

    feedback: list[FeedbackOut]


class UsedOut(Told):
    """What one caller used on one day (UTC); a token is four bytes."""

    day: str
    who: str
    requests: int
    prompt_tokens: int
    completion_tokens: int
    pages: int


class UsageOut(Listed):
    """Use by day and caller, the newest day first."""

    usage: list[UsedOut]


class VerdictsOut(Listed):
    """What the rails decided, the newest first, as the audit has it."""

    verdicts: list[dict[str, JsonValue]]


class AllowanceOut(Told):
    """How much a caller may have; null: as much as the settings say."""

    requests_a_minute: int | None
    tokens_a_day: int | None
    pages_a_day: int | None
    storage_bytes: int | None
    streams: int | None


class KeyOut(Told):
    """An API key; `key` is the key itself, told once, when it is made."""

    id: str
    name: str
    tenant: str
    role: Role
    groups: list[str]
    #: null: every collection of the tenant, and new ones.
    collections: list[str] | None
    allowance: AllowanceOut
    created_at: float
    expires_at: float | None
    ended_at: float | None
    follows: str | None
    suspended: bool
    key: str | None = None


class KeysOut(Told):
    """The keys of a home, revoked ones too."""

    keys: list[KeyOut]


class ProblemOut(BaseModel):
    """An RFC 9457 problem; `code` is stable, `detail` says what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None


def citation_out(citation: Citation, *, link: Link | None = None) -> CitationOut:
    """Show a citation, with its address where there is one; the chunk's id stays inside."""
    return CitationOut(
        n=citation.n,
        document_id=citation.document_id,
        name=citation.name,
        page_no=citation.page_no,
        boxes=[_corners(box) for box in citation.boxes],
        start_s=citation.start_s,
        end_s=citation.end_s,
        quote=citation.quote,
        score=citation.score,
        url=None if link is None else link(citation),
    )


def answer_out(answer: Answer, *, link: Link | None = None) -> AnswerOut:
    """Show an answer."""
    return AnswerOut(
        kind=answer.kind,
        text=answer.text,
        sentences=[SentenceOut(text=s.text, citations=list(s.citations)) for s in answer.sentences],
        citations=[citation_out(c, link=link) for c in answer.citations],
        reason=answer.reason,
        dropped=answer.dropped,
        written_by=answer.written_by,
        reasoned=answer.reasoned,
        vision=answer.vision,
        languages=list(answer.languages),
        trace_id=answer.trace_id,
        confidence=answer.confidence,
        searched=list(answer.searched),
        nearest=[citation_out(c, link=link) for c in answer.nearest],
        steps=[StepOut(node=s.node, label=s.label, ms=s.ms, facts=dict(s.facts)) for s in answer.steps],  # type: ignore[arg-type]
    )


def hits_out(found: SearchResult, *, link: Link | None = None) -> HitsOut:
    """Show what a search found."""
    pairs = zip(found.citations, found.hits, strict=True)
    return HitsOut(
        hits=[HitOut(**citation_out(c, link=link).model_dump(), text=hit.chunk.text) for c, hit in pairs],
        reason=found.refusal,
    )


def outcome_out(outcome: Outcome) -> OutcomeOut:
    """Show what became of a file."""
    return OutcomeOut(
        id=outcome.id,
        name=outcome.name,
        outcome=outcome.outcome,
        reason=outcome.reason,
        detail=outcome.detail,
        pages=outcome.pages,
        chunks=outcome.chunks,
    )


def job_out(job: Job) -> JobOut:
    """Show a job."""
    now = time.time()
    rate, eta_s = job.pages_per_s(now), job.eta_s(now)
    return JobOut(
        id=job.id,
        name=job.name,
        collection=job.collection,
        document_id=job.document_id,
        state=job.state,
        bytes=job.bytes,
        share=min(1.0, round(job.share, 3)),
        pages_done=job.pages_done,
        pages_total=max(job.pages_total, job.pages_done),
        pages_per_s=rate and round(rate, 2),
        eta_s=None if eta_s is None else round(eta_s, 1),
        waits_for=job.waits_for,
        tries=job.tries,
        outcome=job.outcome,
        reason=job.reason,
        page_no=job.page_no,
        detail=job.detail,
        chunks=job.chunks,
        created_at=datetime.fromtimestamp(job.created_at, UTC),
        settled_at=None if job.settled_at is None else datetime.fromtimestamp(job.settled_at, UTC),
        changed=job.changed,
    )


def document_out(document: Document) -> DocumentOut:
    """Show a document."""
    return DocumentOut(
        id=document.id,
        name=document.name,
        collection=document.collection,
        media_type=document.media_type,
        revision=document.revision,
        bytes=document.bytes,
        pages=document.pages,
        chunks=document.chunks,
        added_at=datetime.fromtimestamp(document.added_at, UTC),
    )


def reading_out(reading: Reading) -> ReadingOut:
    """Show what was read of a file."""
    return ReadingOut(
        outcome=reading.outcome,
        reason=reading.reason,
        detail=reading.detail,
        pages=[_read_page_out(page) for page in reading.pages],
        attachments=[AttachmentOut(**dict(reading_out(one)), name=one.name) for one in reading.attachments],
    )


def failed_out(code: str, detail: str) -> ReadingOut:
    """Show that a file could not be read."""
    return ReadingOut(outcome="failed", reason=code, detail=detail, pages=[], attachments=[])


def _read_page_out(page: Page) -> ReadPageOut:
    return ReadPageOut(
        page_no=page.no,
        reader=page.read_by,
        why=page.reason,
        flags=list(page.flags),
        start_s=page.start_s,
        end_s=page.end_s,
        elements=[
            ElementOut(
                kind=element.kind,
                text=element.text,
                html=element.html,
                box=None if element.box is None else _corners(element.box),
                cells=[_cell_out(cell) for cell in element.cells],
            )
            for element in page.elements
        ],
    )


def _cell_out(cell: GridCell) -> CellOut:
    return CellOut(
        row=cell.row,
        col=cell.col,
        rowspan=cell.rowspan,
        colspan=cell.colspan,
        text=cell.text,
        box=None if cell.box is None else _corners(cell.box),
    )


def thread_out(name: str, turns: Sequence[Turn]) -> ThreadOut:
    """Show a conversation."""
    return ThreadOut(id=name, turns=[TurnOut(role=turn.role, text=turn.text) for turn in turns])


def _corners(box: Box) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (min(1.0, max(0.0, round(side, 5))) for side in (box.x0, box.y0, box.x1, box.y1))
    return x0, y0, x1, y1


#: The file in `docs/schemas/` of each shape.
PUBLISHED: dict[str, type[BaseModel]] = {
    "answer": AnswerOut,
    "search": HitsOut,
    "add": OutcomesOut,
    "job": JobOut,
    "jobs": JobsOut,
    "documents": DocumentsOut,
    "document": DocumentPagesOut,
    "page_text": PageTextOut,
    "read": ReadingOut,
    "removed": RemovedOut,
    "threads": ThreadsOut,
    "thread": ThreadOut,
    "status": StatusOut,
    "ready": ReadyOut,
    "policy": PolicyOut,
    "policy_check": CheckedOut,
    "policy_rescreen": RescreenedOut,
    "policy_explain": ExplainedOut,
    "collections": CollectionsOut,
    "feedback": FeedbacksOut,
    "usage": UsageOut,
    "audit": VerdictsOut,
    "key": KeyOut,
    "keys": KeysOut,
    "problem": ProblemOut,
}


def published(name: str) -> str:
    """Return the JSON Schema (2020-12) of a shape, as the file holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= PUBLISHED[name].model_json_schema(mode="serialization")
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    for shape in PUBLISHED:
        (Path(sys.argv[1]) / f"{shape}.json").write_text(published(shape))
