"""What the agent makes: answers whose every sentence is cited, and the events told on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ingest.records import Box, Hit, Scope

if TYPE_CHECKING:
    from ingest.served import Reasoning

Kind = Literal["answer", "abstention", "refusal"]
#: Who wrote: a served model, the local model, the documents themselves, or our own code.
WrittenBy = Literal["served", "local", "quotes", "code"]
#: Why there is no answer: abstentions say what the evidence lacks; refusals name the rail's code.
AbstentionReason = Literal["no_evidence", "conflicting_evidence", "cannot_see", "empty_library", "budget"]


#: Details of a step: values that JSON has.
Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One earlier turn of the conversation, as the caller tells it."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, by whom (the scope), after what."""

    text: str
    scope: Scope
    history: tuple[Turn, ...] = ()
    #: Continue this conversation of ours; None keeps nothing.
    thread_id: str | None = None
    #: The door it came through ("http", "cli", "slack:C0123"), told by the door, never by the caller; for ""
    #: the policies of every channel apply.
    channel: str = ""
    #: Whether the served model shall think before it writes; None: as the house has it set.
    reasoning: Reasoning | None = None
    #: Languages that the caller reads, best first ("de", "en"); refusals are worded in the first there is.
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """Evidence shown to the user. Boxes come from the parser, never from a model's text."""

    #: As it stands in the sentences, from 1 in order of first use.
    n: int
    document_id: str
    name: str
    page_no: int
    #: The cited lines or cells, in [0, 1] of the page as shown, origin top left.
    boxes: tuple[Box, ...]
    #: The cited words, verbatim from the document.
    quote: str
    score: float
    #: Seconds of a video scene; None for a page.
    start_s: float | None = None
    end_s: float | None = None
    chunk_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A released sentence, final; `citations` are numbers of `Answer.citations`."""

    text: str
    citations: tuple[int, ...]

    @property
    def marked(self) -> str:
        """The text with its citation markers, as it stands in `Answer.text`."""
        return self.text + "".join(f" [{n}]" for n in self.citations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Progress: a node of the graph did its part."""

    node: str
    #: For people: 'Searched "capital expenditures 2024"'.
    label: str
    ms: float
    #: What lies behind the label, for the trace: never a word that has not passed the rails.
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, an abstention or a refusal: all three are values."""

    kind: Kind
    #: The whole text: the sentences with their [n] markers, or why there is no answer.
    text: str
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    #: A code for an abstention or a refusal; None for an answer.
    reason: str | None
    #: Sentences written but left out because a check or a rail said no.
    dropped: int
    written_by: WrittenBy
    #: Whether the model thought before it wrote.
    reasoned: bool = False
    #: The eyes that this library has: "ocr-layout" or a served model's id.
    vision: str
    languages: tuple[str, ...]
    trace_id: str
    steps: tuple[Step, ...] = ()
    #: How sure it is, in [0, 1], that it is right or cites a page that holds the answer: calibrated on
    #: questions with known answers. None for a refusal.
    confidence: float | None = None
    #: What was searched for; with an abstention people see that it looked.
    searched: tuple[str, ...] = ()
    #: Of an abstention: the pages that came nearest, best first, as citations that no sentence uses.
    nearest: tuple[Citation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A sentence has passed the release gate, with the citations that are new with it."""

    sentence: Sentence
    new_citations: tuple[Citation, ...]


#: What `run.ask` yields, in order: steps and released sentences, then exactly one Answer.
Event = Step | Released | Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """The first half of the graph: what was found, or the code of the rail that said no."""

    hits: tuple[Hit, ...]
    #: Citation fields of the hits, in the same order (n counts from 1).
    citations: tuple[Citation, ...] = field(default_factory=tuple)
    refusal: str | None = None
