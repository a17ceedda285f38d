"""Ways to damage a recorded stream, and the one question to ask of each: is it taken for whole?

Recordings have the shape of vLLM 0.32 with counted pieces (`return_token_ids`, `continuous_usage_stats`), of
vLLM and llama.cpp without, with and without a role chunk, one token a piece and several.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ingest.errors import ModelDown, ModelReply
from ingest.served import Message, Patience, ServedModel, Traits
from tests.model_server import DONE, Exchange, event, model_server

TEXT = ["Two ", "thousand ", "columns", " per ", "table. ", "Üni", "ted ", "🙂 ", "in ", "all."]
WHOLE = "".join(TEXT)


@dataclass(frozen=True)
class Recording:
    """The events of a stream, in order; `finish_at` is the one with the finish reason."""

    name: str
    events: tuple[bytes, ...]
    counted: bool

    @property
    def raw(self) -> bytes:
        return b"".join(self.events)

    @property
    def finish_at(self) -> int:
        return next(n for n, e in enumerate(self.events) if b'"finish_reason": "stop"' in e)

    @property
    def finished_after(self) -> int:
        """Bytes after which the finish reason has arrived whole, line end included."""
        return len(b"".join(self.events[: self.finish_at + 1])) - 1


@dataclass(frozen=True)
class Case:
    """A damaged stream. `whole` says whether it may count as complete; None: whenever the text is right."""

    kind: str
    body: bytes
    whole: bool | None = False


def recordings() -> list[Recording]:
    """Make the recordings."""
    return [
        _recorded("counted, a token a piece", counted=True),
        _recorded("counted, tokens in groups", counted=True, group=3),
        _recorded("plain with usage", counted=False),
        _recorded("plain, finish on the last piece", counted=False, joined=True),
    ]


def _recorded(name: str, *, counted: bool, group: int = 1, joined: bool = False) -> Recording:
    sent = 0

    def piece(text: str | None, tokens: int, finish: str | None = None, **delta: object) -> bytes:
        nonlocal sent
        sent += tokens
        said = delta | ({} if text is None else {"content": text})
        choice: dict[str, object] = {"index": 0, "delta": said, "finish_reason": finish}
        body: dict[str, object] = {"choices": [choice]}
        if counted:
            choice["token_ids"] = list(range(100 + sent - tokens, 100 + sent)) if tokens else None
            body["usage"] = {"prompt_tokens": 9, "completion_tokens": sent, "total_tokens": 9 + sent}
        return event(body)

    told = [piece("", 0, role="assistant")]
    for start in range(0, len(TEXT), group):
        texts = TEXT[start : start + group]
        last = joined and start + group >= len(TEXT)
        told.append(piece("".join(texts), len(texts), "stop" if last else None))
    if not joined:
        told.append(piece("", 1, "stop"))
    usage = {"prompt_tokens": 9, "completion_tokens": sent, "total_tokens": 9 + sent}
    return Recording(name, (*told, event({"choices": [], "usage": usage}), DONE), counted)


ERROR = event(
    {"error": {"message": "EngineCore encountered an issue", "type": "InternalServerError", "code": 500}}
)
GARBAGE = (
    b"data: {\n\n",
    b'data: {"choices": [{"delta"\n\n',
    b"data: \xff\xfe\n\n",
    b"data: \xf0\x9f\x99\n\n",
    b"data: null\n\n",
    b"data: 7\n\n",
    b"data: []\n\n",
    b'data: {"choices": null}\n\n',
    b'data: {"choices": [7]}\n\n',
    b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
    b'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": 7}]}\n\n',
)


def cuts(recording: Recording, *, step: int = 1) -> Iterator[Case]:
    """Cut at each byte, the connection closing or `[DONE]` following."""
    raw = recording.raw
    for at in range(0, len(raw), step):
        arrived = at > recording.finished_after
        yield Case("cut at a byte", raw[:at], arrived)
        if at % (3 * step) == 0:
            # Half a count after the finish may be refused: the text is right, and the stream is not.
            judged = None if at >= recording.finished_after - 1 else False
            yield Case("cut at a byte, then [DONE]", raw[:at] + b"\n\n" + DONE, judged)


def damages(recording: Recording) -> Iterator[Case]:
    """Drop, double, swap, replace and add events."""
    told, finish = list(recording.events), recording.finish_at
    for n in range(finish + 1):
        matters = bool(n)  # the first event only says who speaks
        yield Case("event dropped", b"".join(told[:n] + told[n + 1 :]), not matters)
        yield Case("event doubled", b"".join(told[: n + 1] + told[n:]), _harmless_twice(recording, n))
        yield Case("dead engine: error, [DONE]", b"".join(told[:n]) + ERROR + DONE)
        yield Case("[DONE] too early", b"".join(told[:n]) + DONE)
        for garbage in GARBAGE:
            yield Case("garbage event", b"".join(told[:n]) + garbage + b"".join(told[n:]))
    yield Case("error at the end", b"".join(told[: finish + 1]) + ERROR + DONE)
    for kind in ("content_filter", "error", "abort", "tool_calls"):
        bad = told[finish].replace(b'"stop"', f'"{kind}"'.encode())
        yield Case("other finish reason", b"".join(told[:finish]) + bad + DONE)
    yield Case("a line of 2 MB", told[0] + b"data: " + b"x" * (2 * 1024 * 1024) + b"\n\n" + DONE)
    for a in range(1, finish + 1):
        for b in range(a + 1, finish + 1):
            swapped = list(told)
            swapped[a], swapped[b] = swapped[b], swapped[a]
            yield Case("events swapped", b"".join(swapped), told[a] == told[b])
    empty = [told[0], told[finish].replace(TEXT[-1].encode(), b""), *told[finish + 1 :]]
    yield Case("finish with no text", b"".join(empty))
    missing = told[finish].replace(b'"finish_reason": "stop"', b'"finish_reason": null')
    yield Case("finish reason missing", b"".join([*told[:finish], missing, *told[finish + 1 :]]))


def _harmless_twice(recording: Recording, n: int) -> bool:
    """Whether saying an event twice changes nothing: it has no text and counts no token."""
    return b'"content": ""' in recording.events[n] and (not recording.counted or n == 0)


def dressings(recording: Recording) -> Iterator[Case]:
    """Say the same in other words of the format: nothing is damaged, and nothing may be lost."""
    raw = recording.raw
    yield Case("as recorded", raw, True)
    yield Case("CRLF", raw.replace(b"\n", b"\r\n"), True)
    yield Case("CR", raw.replace(b"\n", b"\r"), True)
    yield Case("no space after data:", raw.replace(b"data: ", b"data:"), True)
    for comment in (b": keep-alive\n\n", b":\n", b": \n\n\n\n"):
        yield Case("keep-alive comments", comment + raw.replace(b"\n\n", b"\n\n" + comment), True)
    yield Case("named events", raw.replace(b"data: ", b"event: message\ndata: "), True)


def flips(recording: Recording, *, count: int, seed: int = 7) -> Iterator[Case]:
    """Flip one byte of the structure (not inside a text, where no reader could tell)."""
    raw, chance = recording.raw, random.Random(seed)
    for _ in range(count):
        at = chance.randrange(recording.finished_after)
        if raw[at : at + 1] in b'{}[]":,\n':
            yield Case("structure byte flipped", raw[:at] + b"~" + raw[at + 1 :], None)


#: Kinds of damage that take or give a whole event and leave the rest in form. TCP and TLS do no such thing; a
#: faulty proxy might, and only counted pieces tell.
WHOLE_EVENTS = frozenset({"event dropped", "event doubled", "events swapped", "structure byte flipped"})


@dataclass
class Outcomes:
    """What became of the cases of one recording."""

    #: By kind: refused, rightly complete, wrongly complete, wrongly refused.
    refused: Counter[str]
    complete: Counter[str]
    wrong: Counter[str]
    lost: Counter[str]


async def outcomes(recording: Recording, cases: Iterable[Case]) -> Outcomes:
    """Send each case through the real client over a real socket."""
    told = Outcomes(Counter(), Counter(), Counter(), Counter())
    body = b""

    async def answer(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        await exchange.send(head + body)
        exchange.writer.close()

    async with model_server(answer) as server:
        model = ServedModel(
            base_url=server.url,
            model="nano",
            context_tokens=4096,
            patience=replace(Patience.of(10.0), retries=0, break_after=10**9),
            traits=Traits(counts_pieces=recording.counted),
        )
        for case in cases:
            body = case.body
            heard = await _heard(model)
            if heard is None:
                (told.lost if case.whole else told.refused)[case.kind] += 1
            elif heard == WHOLE and case.whole is not False:
                told.complete[case.kind] += 1
            else:
                told.wrong[case.kind] += 1
        await model.close()
    return told


async def _heard(model: ServedModel) -> str | None:
    """Return the text of a stream that ended as whole, None where it did not."""
    try:
        ask = [Message(role="user", text="How many columns?")]
        return "".join([piece async for piece in model.stream(ask, max_tokens=64)])
    except (ModelDown, ModelReply):
        return None
