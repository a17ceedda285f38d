"""What travels through the graph: `State`, plain values; `Run`, what lives as long as one question.

State never holds document text: evidence is ids, read again through the caller's scope at every use.
(LangGraph's serializer hands unregistered classes back as dicts, and old checkpoints cannot be edited when a
document goes.)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, NotRequired, Protocol, TypedDict, runtime_checkable

from agent.records import Citation, Facts, Question, Step, WrittenBy
from agent.settings import AgentSettings
from guardrails.records import Hop, Verdict
from ingest.library import Library
from ingest.records import Chunk
from ingest.served import Call, LanguageModel, Purpose

#: Turns that a thread keeps.
MOST_TURNS = 100


class StoredSentence(TypedDict):
    """A released sentence as a thread keeps it: shown only while what it cites can still be read."""

    text: str
    #: Ids of the cited chunks.
    cited: list[str]


class StoredTurn(TypedDict):
    """One turn of a conversation as stored."""

    role: str
    text: str
    #: Of a question: as it was understood.
    standalone: NotRequired[str]
    #: Of an answer: its sentences, and the evidence that a follow-up may use again.
    sentences: NotRequired[list[StoredSentence]]
    evidence: NotRequired[list[Kept]]


class Kept(TypedDict):
    """A hit kept as evidence; its number is its place in the list, from 1."""

    chunk_id: str
    document_id: str
    name: str
    page_no: int
    kind: str
    score: float


class Found(TypedDict):
    """What one search brought, best first; `place` is that of its question in the plan."""

    place: int
    hits: list[Kept]


def gathered(before: list[Found], more: list[Found]) -> list[Found]:
    """Put the hits of searches that ran side by side together, by place; an empty list starts over."""
    return sorted([*before, *more], key=lambda found: found["place"]) if more else []


def remembered(before: list[StoredTurn], more: list[StoredTurn]) -> list[StoredTurn]:
    """Append turns to a thread; the oldest are forgotten, so that it stays small."""
    return [*before, *more][-MOST_TURNS:]


class Operand(TypedDict):
    """A cell that a sum stands on, as printed: checked against its evidence before anything is released."""

    evidence: int
    #: What heads its row and its column; "" where nothing does.
    label: str
    head: str
    value: str


class Sum(TypedDict):
    """A figure that code computed from cells; `verify` computes it again."""

    #: "value", "difference", "change" and "share" (both in percent), "ratio", "sum", "mean", "max", "min",
    #: "count", or a formula over the operands in their order, "=(a+b)/c".
    op: str
    operands: list[Operand]
    #: As the sentence says it.
    result: str


class Drafted(TypedDict):
    """A sentence that the writer proposes, without markers, and the evidence numbers it names."""

    text: str
    evidence: list[int]
    #: Which question of the plan it answers; where absent, the whole one.
    question: NotRequired[str]
    #: Its figures that stand on no page because they were computed.
    sums: NotRequired[list[Sum]]
    #: Of what code read from charts: the lines of evidence that it stands on. The cited evidence alone must
    #: give the same sentence again.
    charts: NotRequired[list[str]]


class Standing(TypedDict):
    """A released sentence and the citation numbers that it carries."""

    text: str
    citations: list[int]


class State(TypedDict, total=False):
    """The plain values of one question; `turns` alone accumulates over a thread."""

    question: str
    turns: Annotated[list[StoredTurn], remembered]
    #: The question made self-contained, and the self-contained questions that it asks (itself, if only one).
    standalone: str
    queries: list[str]
    #: Ids of the documents that the question names; [] where it names none.
    narrow: list[str]
    #: The statements whose tables a measure is computed from, searched besides.
    statements: list[str]
    #: Of a single search sent off by the plan: the place of its question.
    place: int
    #: What is not asked of the documents but answered by code: "courtesy", "library", or "".
    about: str
    round: int
    found: Annotated[list[Found], gathered]
    evidence: list[Kept]
    draft: Drafted | None
    sentences: list[Standing]
    dropped: int
    #: Code of the rail that refused the question; of the reason to abstain.
    refused: str
    reason: str
    #: Code of the rail that stopped what would have been said; where nothing else stands, that is a refusal.
    stopped: str
    #: What the last node did, for people; empty where there is nothing to tell.
    told: str
    #: Its details for the trace; taken out before the state is stored.
    facts: Facts


def dropped(state: State, reason: str) -> State:
    """Return the update that drops the draft and tells why, by a code: its words passed no rail."""
    return {
        "draft": None,
        "dropped": state.get("dropped", 0) + 1,
        "told": f"Left out a sentence: {reason.replace('_', ' ')}",
        "facts": {"dropped": reason},
    }


class Rails(Protocol):
    """The rails as the graph's screen nodes use them (`guardrails.nemo.Rails`)."""

    async def screen(self, hop: Hop, texts: list[str], *, released: str = "") -> tuple[Verdict, ...]:
        """Return one verdict a text, in order; undecided is blocked."""
        ...


@runtime_checkable
class Grounding(Protocol):
    """Rails whose policy also says how well a sentence must stand, and which keep what verifying said."""

    @property
    def least(self) -> tuple[float, float]:
        """Word support and confidence that a sentence must have at least, each in [0, 1]."""
        ...

    def grounded(self, text: str, lack: str) -> Verdict:
        """Put on record what a sentence lacks ("" for nothing), as a verdict."""
        ...


@runtime_checkable
class Policies(Protocol):
    """Who chooses the rails of each caller (`guardrails.effective.Effective`)."""

    def rails_for(
        self,
        *,
        tenant: str,
        collections: tuple[str, ...],
        channel: str,
        trace: str,
        groups: tuple[str, ...],
        heard: Callable[[Sequence[Verdict]], object],
    ) -> Rails:
        """Return the rails that are in force for a caller from now until its request ends.

        `heard` is told every verdict.
        """
        ...


class Writer(Protocol):
    """Proposes sentences from evidence: a model, or quotes where there is none."""

    writes_as: WrittenBy

    def draft(self, run: Run, state: State, sources: list[Source]) -> AsyncGenerator[Drafted, None]:
        """Yield sentences one by one; nothing at all says that the sources do not answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A piece of evidence as read for this question: screened text, number, and where it is from."""

    n: int
    chunk: Chunk
    name: str
    score: float
    #: The chunk's text after the rails (a rail may have masked some of it).
    text: str
    #: What looking at its region said; "" where nobody looked or nothing was seen.
    finding: str = ""

    @property
    def context(self) -> str:
        """All words that stand for this source: its document, headings, text and finding."""
        return "\n".join(part for part in (self.title, self.chunk.heading, self.text, self.finding) if part)

    @property
    def heading(self) -> str:
        """The heading right above it, "" at the top."""
        return self.chunk.heading.rpartition(" > ")[2]

    @property
    def title(self) -> str:
        """The document's name in words: "BESTBUY_2023_10K.pdf" knows of 2023."""
        return self.name.replace("_", " ")


@dataclass(slots=True, kw_only=True)
class Run:
    """One question being answered: who asks, with what, by when. Never stored."""

    question: Question
    library: Library
    rails: Rails
    writer: Writer
    model: LanguageModel | None
    settings: AgentSettings
    trace_id: str
    #: Hits kept for one question or search.
    limit: int
    deadline: float = 0.0
    #: Evidence text that passed the rails, by chunk id, and findings; gone with the run.
    passed: dict[str, str] = field(default_factory=dict)
    #: Names and headings that passed, as the rails left them; a chunk without a heading has the heading "".
    beside: dict[str, str] = field(default_factory=lambda: {"": ""})
    findings: dict[str, str] = field(default_factory=dict)
    #: Chunks that a writer has read: a further round brings others.
    shown: set[str] = field(default_factory=set)
    #: What eyes the question wanted and this library lacks.
    blind: bool = False
    #: Earlier turns that passed the rails.
    history: list[StoredTurn] = field(default_factory=list)
    #: Tells progress to whoever listens to this run.
    tell: Callable[[Step], None] = field(default=lambda step: None)
    #: The open draft; one round of writing.
    draft: AsyncGenerator[Drafted, None] | None = None
    #: What the draft that passed the answer's rails is cited by, as they left it; not yet numbered.
    quotes: list[Citation] = field(default_factory=list)
    citations: list[Citation] = field(default_factory=list)
    #: Whether the model thought before it wrote.
    reasoned: bool = False
    #: Of the sentence that was surest so far, shown or not.
    confidence: float = 0.0
    #: What was searched for, and the hits of all rounds by chunk id.
    searched: list[str] = field(default_factory=list)
    seen: dict[str, Kept] = field(default_factory=dict)
    #: Of an abstention: what came nearest.
    nearest: list[Citation] = field(default_factory=list)
    #: What the rails said since the last step was told.
    verdicts: list[Verdict] = field(default_factory=list)
    #: What the policy says to whoever is refused, by language.
    refusal: Mapping[str, str] = field(default_factory=dict)

    @property
    def left_s(self) -> float:
        """Seconds left of the budget, never below zero."""
        return max(0.0, self.deadline - time.monotonic())

    def call(self, purpose: Purpose) -> Call:
        """Say on whose behalf a model is asked, and what for."""
        return Call(tenant=self.question.scope.tenant, purpose=purpose)

    @property
    def least(self) -> tuple[float, float]:
        """Word support and confidence that the policy asks of a sentence, whatever the settings ask."""
        return self.rails.least if isinstance(self.rails, Grounding) else (0.0, 0.0)

    def stands(self, text: str, lack: str) -> bool:
        """Put on record whether a sentence stands on its evidence; say whether it may go on."""
        if not isinstance(self.rails, Grounding):
            return not lack
        return self.rails.grounded(text, lack).allowed

    def judged(self) -> list[dict[str, object]]:
        """Return what the rails said since this was last asked, alike ones as one with their number."""
        verdicts, self.verdicts[:] = list(self.verdicts), []
        names = ("hop", "policy", "mode", "decision", "rail", "code")
        said = (tuple(line[name] for name in names) for verdict in verdicts for line in verdict.told())
        return [dict(zip(names, one, strict=True)) | {"texts": many} for one, many in Counter(said).items()]

    async def close(self) -> None:
        """Close the open draft, and with it the model's stream: the node that opened it has long returned."""
        draft, self.draft = self.draft, None
        if draft is not None:
            await draft.aclose()

    async def sources(self, state: State) -> list[Source]:
        """Read the kept evidence again through the caller's scope; what is gone is left out."""
        return await self.read(state.get("evidence", []))

    async def read(self, kept: list[Kept], *, of: Sequence[Chunk] | None = None) -> list[Source]:
        """Read hits again through the scope, or take them `of` what was just read; numbered as they come.

        What a rail stopped, in its text or beside it, is left out.
        """
        if of is None:
            of = await self.library.chunks([k["chunk_id"] for k in kept], scope=self.question.scope)
        alive = {chunk.id: chunk for chunk in of if chunk.id in self.passed and chunk.heading in self.beside}
        return [
            Source(
                n=n,
                chunk=_headed(alive[k["chunk_id"]], self.beside),
                name=self.beside[k["name"]],
                score=k["score"],
                text=self.passed[k["chunk_id"]],
                finding=self.findings.get(k["chunk_id"], ""),
            )
            for n, k in enumerate(kept, start=1)
            if k["chunk_id"] in alive and k["name"] in self.beside
        ]


def _headed(chunk: Chunk, beside: dict[str, str]) -> Chunk:
    """Return a chunk with its heading as the rails left it."""
    left = beside[chunk.heading]
    return chunk if left == chunk.heading else replace(chunk, heading=left)
