"""A door before a real vLLM that puts words into its mouth: the first rule whose mark stands in a request
decides what the answer must match. The client sends what it always sends, the engine does all its work, and
noise becomes a conversation that can be checked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit


class Door:
    """Listens on loopback; `rules` maps a mark in the request to a regular expression for the answer."""

    def __init__(self, upstream: str, rules: Mapping[str, str]) -> None:
        self._upstream = urlsplit(upstream)
        self._rules = dict(rules)
        self.url = ""
        #: Every request as the client sent it.
        self.requests: list[dict[str, Any]] = []

    def asked(self, mark: str) -> list[dict[str, Any]]:
        """Return the requests that hold a mark."""
        return [request for request in self.requests if mark in json.dumps(request, ensure_ascii=False)]

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            there = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
            there[1].write(self._forced(head, await reader.readexactly(_length(head))))
            while piece := await there[0].read(65536):
                writer.write(piece)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # Whoever hung up, the other side is hung up on below.
        finally:
            for end in (writer, *(there[1:] if there else ())):
                end.close()

    def _forced(self, head: bytes, body: bytes) -> bytes:
        if body:
            request = json.loads(body)
            self.requests.append(json.loads(body))
            words = json.dumps(request, ensure_ascii=False)
            expression = next((told for mark, told in self._rules.items() if mark in words), None)
            if expression is not None:
                request.pop("response_format", None)
                request["structured_outputs"] = {"regex": expression}
                body = json.dumps(request).encode()
        lines = [line for line in head.split(b"\r\n") if line and not line.lower().startswith(_OURS)]
        lines += [b"Connection: close", b"Content-Length: %d" % len(body), b"", b""]
        return b"\r\n".join(lines) + body


_OURS = (b"connection:", b"content-length:")


def _length(head: bytes) -> int:
    fields = [line.split(b":", 1)[1] for line in head.lower().split(b"\r\n") if line.startswith(_OURS[1])]
    return int(fields[0]) if fields else 0


@asynccontextmanager
async def forcing(upstream: str, rules: Mapping[str, str]) -> AsyncIterator[Door]:
    """Open the door before the server at `upstream` (its base URL, ending in /v1)."""
    door = Door(upstream, rules)
    listening = await asyncio.start_server(door, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    door.url = f"http://127.0.0.1:{port}{door._upstream.path}"
    async with listening:
        yield door
