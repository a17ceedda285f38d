"""A scripted OpenAI-compatible server on loopback: it fails as told, dies and comes back on the same port.

It knows a page by the squares that `numbered` draws in its corner, as a model would by reading it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from PIL import Image

from tests.ingest.tiny_pdf import Sheet, Text, tiny_pdf

#: Squares of 12 points, from the left edge of an A4 page, at its foot.
_SIDE, _BITS = 12, 9


def numbered(no: int, lines: list[str]) -> Sheet:
    """Make an A4 page with lines of text and its number in squares."""
    squares = [f"{20 + _SIDE * bit} 20 {_SIDE} {_SIDE} re f" for bit in range(_BITS) if (no + 1) >> bit & 1]
    texts = [Text(x=60, y=700 - 16 * row, text=line) for row, line in enumerate(lines)]
    return Sheet(texts=texts, operators="\n".join(squares))


def lines_of(no: int) -> list[str]:
    """Return what stands on page `no` of `book`."""
    names = ["anchor", "barge", "canal", "depot", "engine", "ferry", "gale", "hull", "inlet", "jetty"]
    words = [names[(no * k + k * k) % 10] for k in range(1, 9)]
    return [f"Log of day {no}", " ".join(words[:5]) + f" {no}00", " ".join(words[5:]) + " at noon."]


def book(pages: int) -> bytes:
    """Make a PDF of so many numbered pages."""
    return tiny_pdf([numbered(no, lines_of(no)) for no in range(1, pages + 1)])


def page_no(png: bytes) -> int:
    """Read the squares of an A4 page image; 0 where there are none (the upper half of a page)."""
    with Image.open(BytesIO(png)) as opened:
        picture = opened.convert("L")
    scale = picture.width / 595
    found = 0
    for bit in range(_BITS):
        x, y = (20 + _SIDE * (bit + 0.5)) * scale, picture.height - (20 + _SIDE / 2) * scale
        found |= (picture.getpixel((int(x), int(y))) < 128) << bit
    return found - 1


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as the server got it."""

    body: dict[str, Any]
    #: None: a question without an image, a sign of life.
    png: bytes | None
    #: How often this very page was asked for before.
    before: int
    page: int

    @property
    def texts(self) -> list[str]:
        said = [message["content"] for message in self.body["messages"]]
        return [part if isinstance(part, str) else part[-1].get("text", "") for part in said]


@dataclass(frozen=True, kw_only=True)
class Say:
    """An answer: text, with a finish reason; or a status; or silence; or a line that breaks."""

    text: str = ""
    finish: str = "stop"
    status: int = 200
    after_s: float = 0.0
    hang: bool = False
    #: Bytes after which the connection is dropped.
    cut_at: int | None = None


def transcript(*blocks: tuple[str, str]) -> str:
    return json.dumps({"blocks": [{"kind": kind, "text": text} for kind, text in blocks]})


def faithful(no: int) -> str:
    """Transcribe page `no` of `book` as it is."""
    head, *rest = lines_of(no)
    return transcript(("title", head), ("paragraph", " ".join(rest)))


Script = Callable[[Asked], Say]


@dataclass
class ModelServer:
    """Answers each page as `script` says; counts, and keeps to its slots."""

    script: Script
    slots: int = 64
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    answered: Counter[int] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _gate: asyncio.Semaphore | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def signs_of_life(self) -> int:
        return sum(asked.png is None for asked in self.asked)

    def requests(self, page: int) -> int:
        return sum(asked.page == page and asked.png is not None for asked in self.asked)

    async def start(self) -> None:
        self._gate = asyncio.Semaphore(self.slots)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def kill(self) -> None:
        """End as a process does that is killed: the port is shut, every connection reset."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        self._open.clear()

    async def __aenter__(self) -> ModelServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if b"content-length" in h)
        asked = self._note(json.loads(await reader.readexactly(size)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return await self._answer(asked, reader, writer)
        finally:
            self.at_once -= 1

    async def _answer(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        say = self.script(asked)
        if say.hang:
            await reader.read()
            return False
        assert self._gate is not None
        async with self._gate:
            await asyncio.sleep(say.after_s)
        answer = _http(say)
        writer.write(answer[: say.cut_at])
        await writer.drain()
        if say.cut_at is not None:
            return False
        self.answered[asked.page] += 1
        return True

    def _note(self, body: dict[str, Any]) -> Asked:
        content = body["messages"][-1]["content"] if body["messages"][-1]["role"] == "user" else ""
        parts = [part for m in body["messages"] if isinstance(m["content"], list) for part in m["content"]]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        png = base64.b64decode(urls[0].partition(",")[2]) if urls else None
        page = page_no(png) if png else -1
        asked = Asked(body=body, png=png, page=page, before=self.requests(page) if content or png else 0)
        self.asked.append(asked)
        return asked


def _http(say: Say) -> bytes:
    if say.status != 200:
        body: dict[str, Any] = {"error": {"message": "no", "code": say.status}}
    else:
        message = {"role": "assistant", "content": say.text}
        choice = {"index": 0, "message": message, "finish_reason": say.finish}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "eyes", "choices": [choice]}
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {say.status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
