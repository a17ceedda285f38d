"""What the Slack door keeps and passes on: people, places, errands, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How somebody stands in the workspace. Bots read nothing of their own accord; who is gone reads nothing.
Standing = Literal["member", "guest", "external", "bot", "gone"]
#: Who reads what is written in a place: one person, those who are in it, or the whole workspace.
PlaceKind = Literal["dm", "private", "public"]
#: waiting → running → done; a question whose message was deleted is withdrawn.
ErrandState = Literal["waiting", "running", "done", "withdrawn"]
#: What somebody wants of an errand that is under way: its words changed, it was deleted, it was stopped.
Wish = Literal["", "again", "withdraw", "stop"]
ErrandKind = Literal["question", "button", "command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody as Slack tells it."""

    team: str
    id: str
    name: str
    #: None unless Slack says that the address is confirmed.
    email: str | None
    standing: Standing
    #: Owners and administrators of the workspace.
    admin: bool = False
    #: Two letters ("de"); "" where Slack does not tell.
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A channel or a direct message, and in it a thread."""

    team: str
    channel: str
    kind: PlaceKind
    #: The timestamp of the thread's first message; "" for a place outside any thread.
    thread: str = ""

    @property
    def conversation(self) -> str:
        """Name the conversation: questions of one are answered in order."""
        return f"{self.team}/{self.channel}/{self.thread}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedFile:
    """A file that came with a message."""

    id: str
    name: str
    url: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody said, and where."""

    team: str
    channel: str
    kind: PlaceKind
    #: The thread in which it is answered.
    thread: str
    #: The message itself; "" for a command.
    ts: str
    user: str
    #: In people's words: mentions of ourselves are taken out.
    text: str
    files: tuple[DroppedFile, ...] = ()
    #: Nobody called us: we speak only where we are sure.
    unasked: bool = False
    #: Only the asker sees the answer, which then stands on all that the asker may read.
    private: bool = False
    #: Where a private answer goes; "" for an ephemeral message in the thread.
    response_url: str = ""
    #: A message that the question is about.
    quoted: str = ""

    @property
    def place(self) -> Place:
        """Return where it was said."""
        return Place(team=self.team, channel=self.channel, kind=self.kind, thread=self.thread)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressed:
    """A button, a choice or a form that somebody sent."""

    team: str
    channel: str
    user: str
    #: What was pressed.
    action: str
    #: The key of the errand whose answer it belongs to, and what else the button says.
    value: str
    response_url: str = ""
    #: The words typed into a form.
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A citation as it is kept: where to look again, with whoever looks then."""

    n: int
    document_id: str
    name: str
    page_no: int
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    quote: str = ""
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer as it was told."""

    kind: str
    #: The whole text with its [n] markers.
    text: str
    #: Each sentence with the numbers of its citations.
    sentences: tuple[tuple[str, tuple[int, ...]], ...] = ()
    citations: tuple[Cited, ...] = ()
    reason: str | None = None
    searched: tuple[str, ...] = ()
    nearest: tuple[Cited, ...] = ()
    dropped: int = 0
    confidence: float | None = None
    trace_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """Something to do for somebody in Slack: kept before it is acknowledged, done once."""

    key: str
    kind: ErrandKind
    team: str
    conversation: str
    #: Its order in the conversation: the message's timestamp.
    place: str
    what: Asked | Pressed
    #: When its words were last edited; "" where never.
    revision: str = ""
    wish: Wish = ""
    state: ErrandState = "waiting"
    attempts: int = 0
    #: The timestamp of the message that tells the answer; "" before there is one.
    posted: str = ""
    told: Told | None = None
    #: Seconds since the epoch.
    arrived_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What somebody thinks of an answer."""

    key: str
    team: str
    user: str
    good: bool
    reason: str = ""
    question: str = ""
    answer: str = ""
    cited: tuple[Cited, ...] = ()
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelWishes:
    """How a channel wants to be answered; None and () leave it to the file, or to the default."""

    #: Only these collections; () leaves all that its audience may read.
    collections: tuple[str, ...] = ()
    language: str | None = None
    tone: Literal["full", "brief"] | None = None
    #: Answer questions that nobody addressed to us, from this confidence on, in (0, 1]; None: never.
    auto: float | None = None
    #: Which messages in a thread of ours are questions to us.
    follow: Literal["questions", "mention"] | None = None
    crops: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What Slack is told at once."""

    #: Shown to the person alone, where a command or a form wants words.
    text: str = ""
