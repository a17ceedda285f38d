"""A model server on loopback for tests: scripted answers, and a record of who asked, came back and left.

It speaks plain HTTP/1.1 with kept connections, so that what the client does to a socket can be seen.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Exchange:
    """One request and the way to answer it."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def streams(self) -> bool:
        """Whether a stream was asked for."""
        return bool(self.body.get("stream"))

    async def send(self, raw: bytes) -> None:
        """Write bytes as they are. Raises ConnectionError where the client has left."""
        self.writer.write(raw)
        await self.writer.drain()

    async def left(self) -> None:
        """Wait until the client has closed the connection."""
        await self.reader.read()


Answer = Callable[[Exchange], Awaitable[None]]


@dataclass
class ModelServer:
    """Answers each request with the next of its script; the last answer is repeated."""

    script: Sequence[Answer]
    url: str = ""
    #: POST requests for completions.
    asked: list[dict[str, Any]] = field(default_factory=list)
    #: Every request: method and path.
    seen: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        try:
            while True:
                exchange = await _read(reader, writer)
                self.seen.append(f"{exchange.method} {exchange.path}")
                if exchange.path in self.answers:
                    await self.answers[exchange.path](exchange)
                elif exchange.method != "POST":
                    await refusal(404)(exchange)
                else:
                    self.asked.append(exchange.body)
                    self.headers.append(exchange.headers)
                    await self.script[min(len(self.asked), len(self.script)) - 1](exchange)
                if writer.is_closing():
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has left, or the test has ended
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    return Exchange(method, path, headers, json.loads(raw) if raw else {}, reader, writer)


@asynccontextmanager
async def model_server(*script: Answer, **answers: Answer) -> AsyncIterator[ModelServer]:
    """Serve a script on a free port; `answers` are for other paths, by name (`metrics`, `tokenize`)."""
    stub = ModelServer(script, answers={f"/{name}": answer for name, answer in answers.items()})
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield stub
    finally:
        server.close()


def chunk(finish: str | None = None, **delta: object) -> bytes:
    """Make one event of a stream."""
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def event(body: object) -> bytes:
    """Make one event of anything."""
    if isinstance(body, dict):
        body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "nano"} | body
    return f"data: {json.dumps(body)}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def usage(prompt: int, completion: int) -> bytes:
    """Make the last event, which counts tokens."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return event({"choices": [], "usage": counts})


def events(*pieces: str, finish: str | None = "stop") -> bytes:
    """Make a whole stream that says the pieces."""
    said = b"".join(chunk(content=piece) for piece in pieces)
    return chunk(role="assistant", content="") + said + chunk(finish) + usage(7, len(pieces) + 1) + DONE


def raw(body: bytes, *, status: str = "200 OK", kind: str = "text/event-stream", more: str = "") -> Answer:
    """Answer with bytes, and end by closing the connection."""

    async def answer(exchange: Exchange) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Connection: close\r\n\r\n"
        await exchange.send(head.encode() + body)
        exchange.writer.close()

    return answer


def sized(body: bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "") -> Answer:
    """Answer with bytes of a known length, and keep the connection."""

    async def answer(exchange: Exchange) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        await exchange.send(head.encode() + body)

    return answer


def said(*pieces: str) -> Answer:
    """Answer with a text, as a stream where one was asked for, and keep the connection."""

    async def answer(exchange: Exchange) -> None:
        if exchange.streams:
            body = events(*pieces)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            await exchange.send(head + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        else:
            await sized(completion("".join(pieces)))(exchange)

    return answer


def completion(content: str | None, *, finish: str | None = "stop", **more: object) -> bytes:
    """Make a whole reply."""
    message = {"role": "assistant", "content": content, **more}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "nano",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
    }
    return json.dumps(body).encode()


def refusal(status: int, message: str = "no", *, retry_after: str = "", **more: object) -> Answer:
    """Answer with an error."""
    body = json.dumps({"error": {"message": message, "code": status, **more}}).encode()
    header = f"Retry-After: {retry_after}\r\n" if retry_after else ""
    return sized(body, status=f"{status} Refused", more=header)


async def reset(exchange: Exchange) -> None:
    """Break the connection off before a word."""
    exchange.writer.transport.abort()


async def silence(exchange: Exchange) -> None:
    """Say nothing until the client leaves."""
    await exchange.left()
    exchange.writer.close()
