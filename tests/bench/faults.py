"""What a caller gets of a faulty model server, how fast, and how many requests the server sees.

Usage: python tests/bench/faults.py     (half a minute; ends with 1 where a fault is misnamed or storms)
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pydantic import BaseModel

from ingest.errors import ModelError
from ingest.served import Call, Message, Patience, ServedModel
from tests.model_server import (
    Answer,
    Exchange,
    chunk,
    completion,
    model_server,
    raw,
    refusal,
    reset,
    said,
    silence,
    sized,
)

ASK = [Message(role="user", text="?")]
#: As the product's, but silence is a second and not two minutes.
PATIENCE = replace(Patience(), first_s=1.0, between_s=1.0, reply_s=1.0)
STORM = 100


class Page(BaseModel):
    """A reply of the stub."""

    text: str


async def stream(model: ServedModel) -> str:
    """Ask for a stream, as a person does."""
    return "".join([piece async for piece in model.stream(ASK, max_tokens=64)])


async def reply(model: ServedModel) -> str:
    """Ask for a reply, as a batch does."""
    call = Call(purpose="read", urgency="batch")
    return (await model.reply(ASK, schema=Page, max_tokens=64, call=call)).text


async def loris(exchange: Exchange) -> None:
    """Send a byte a second."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    for byte in chunk(content="Two."):
        await exchange.send(bytes([byte]))
        await asyncio.sleep(1)


async def broken(exchange: Exchange) -> None:
    """Reset after a word."""
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + chunk(content="Two "))
    await asyncio.sleep(0.05)
    exchange.writer.transport.abort()


Ask = Callable[[ServedModel], Awaitable[str]]
DEAD = b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\ndata: [DONE]\n\n'
#: Name, what the server does, how it is asked, how many calls at once, what they get.
FAULTS: list[tuple[str, Answer, Ask, int, set[str]]] = [
    ("well, for comparison", said('{"text": "Two."}'), reply, STORM, {"answer"}),
    ("reset before a word", reset, stream, 1, {"broken"}),
    ("reset mid-stream", broken, stream, 1, {"broken"}),
    ("engine death mid-stream", raw(chunk(content="Two ") + DEAD), stream, 1, {"broken"}),
    ("429 storm, Retry-After 1", refusal(429, retry_after="1"), reply, STORM, {"overloaded", "open"}),
    ("429 storm, no Retry-After", refusal(429), reply, STORM, {"overloaded", "open"}),
    ("429, Retry-After 1 hour", refusal(429, retry_after="3600"), stream, 1, {"overloaded"}),
    ("500s", refusal(500), reply, STORM, {"broken", "open"}),
    ("503s, people", refusal(503), stream, STORM, {"overloaded", "open"}),
    ("silence", silence, stream, 1, {"silent"}),
    ("silence, a batch", silence, reply, STORM, {"silent", "open"}),
    ("slow loris, 1 byte/s", loris, stream, 1, {"silent"}),
    ("garbage JSON", sized(b'{"choices": [{'), reply, 1, {"broken"}),
    ("HTML", sized(b"<html>", kind="text/html"), reply, 1, {"broken"}),
    ("truncated schema", sized(completion('{"text": "Two')), reply, 1, {"model_reply"}),
    ("cut at its tokens", sized(completion('{"text": "Two', finish="length")), reply, 1, {"model_reply"}),
    ("wrong model name", refusal(404, "The model does not exist"), reply, STORM, {"model_reply"}),
    ("wrong key", refusal(401), reply, 1, {"model_reply"}),
]


async def got(ask: Ask, model: ServedModel) -> str:
    """Return the name of what a caller gets."""
    try:
        await ask(model)
    except ModelError as error:
        return str(getattr(error, "fault", error.code))
    return "answer"


def line(name: str, kinds: Counter[str], seconds: float, requests: int, calls: int) -> None:
    """Print one fault."""
    told = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    print(f"{name:28}{calls:6}{requests:10}{seconds:9.2f}  {told}", flush=True)


async def fault(name: str, answer: Answer, ask: Ask, calls: int, wanted: set[str]) -> bool:
    """Run one fault and say whether it went as it should."""
    async with model_server(answer) as server:
        model = ServedModel(base_url=server.url, model="nano", context_tokens=4096, patience=PATIENCE)
        start = time.perf_counter()
        kinds = Counter(await asyncio.gather(*(got(ask, model) for _ in range(calls))))
        line(name, kinds, time.perf_counter() - start, len(server.asked), calls)
        await model.close()
        # Two in hand, a fifth of the calls, and the second question of an ill-formed reply.
        return set(kinds) <= wanted and len(server.asked) <= 1.2 * calls + 2


async def refused() -> bool:
    """Ask where nobody listens."""
    model = ServedModel(base_url="http://127.0.0.1:9/v1", model="nano", context_tokens=4096)
    start = time.perf_counter()
    kinds = Counter([await got(stream, model) for _ in range(20)])
    line("refused, one after another", kinds, time.perf_counter() - start, 0, 20)
    await model.close()
    return set(kinds) <= {"unreachable", "open"}


async def death_and_return() -> bool:
    """Let the engine die under a batch and come back: the caller waits as told, and every page is read."""
    dead = False

    async def answer(exchange: Exchange) -> None:
        await asyncio.sleep(0.02)
        await (refusal(500) if dead else said('{"text": "Two."}'))(exchange)

    async with model_server(answer) as server:
        model = ServedModel(base_url=server.url, model="nano", context_tokens=4096, patience=PATIENCE)
        tries = 0

        async def page() -> str:
            nonlocal tries
            while True:
                tries += 1
                kind = await got(reply, model)
                if kind == "answer":
                    return kind
                await asyncio.sleep(1.0)  # a model server that is down is not a bad page

        async def kill() -> None:
            nonlocal dead
            await asyncio.sleep(0.1)
            dead = True
            await asyncio.sleep(4)
            dead = False

        start = time.perf_counter()
        _, *kinds = await asyncio.gather(kill(), *(page() for _ in range(3 * STORM)))
        line("engine death and return", Counter(kinds), time.perf_counter() - start, len(server.asked), tries)
        await model.close()
        return kinds == ["answer"] * 3 * STORM and len(server.asked) <= 3 * STORM + 0.2 * tries + 40


async def main() -> int:
    """Print the table."""
    print(f"{'fault':28}{'calls':>6}{'requests':>10}{'seconds':>9}  what callers get")
    well = [await refused(), *[await fault(*row) for row in FAULTS], await death_and_return()]
    print("as it should be:", sum(well), "of", len(well))
    return int(not all(well))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
