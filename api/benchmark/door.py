"""A door on loopback between lmms-eval, which has no system turn, and the model server.

It says `/think` or `/no_think` as our own client does, leaves room for a thought, keeps the server's key
from the harness, and passes everything else on as it came.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI, Request, Response

_CONNECT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """The model server behind the door, and how it is asked."""

    base_url: str
    key: str
    timeout_s: float
    #: Said in the system turn, "" for nothing.
    switch: str
    #: Tokens of a thought before the answer; 0 where none is wanted.
    thought_tokens: int


@dataclass(slots=True, kw_only=True)
class Door:
    """An open door: where it stands, what opens it, how many went through."""

    base_url: str = ""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    asked: int = 0
    failed: int = 0


@asynccontextmanager
async def open_door(behind: Behind) -> AsyncIterator[Door]:
    """Hold a door open on a free port of this machine."""
    door = Door()
    async with httpx2.AsyncClient(timeout=httpx2.Timeout(behind.timeout_s, connect=_CONNECT_S)) as client:
        server = uvicorn.Server(
            uvicorn.Config(_app(behind, door, client), port=0, log_level="warning", access_log=False)
        )
        serving = asyncio.create_task(server.serve())
        try:
            while not server.started:
                if serving.done():
                    serving.result()
                    raise OSError("the door did not open")
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            door.base_url = f"http://127.0.0.1:{port}/v1"
            yield door
        finally:
            server.should_exit = True
            await serving


def _app(behind: Behind, door: Door, client: httpx2.AsyncClient) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.post("/v1/chat/completions")
    async def ask(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {door.key}":
            return Response(status_code=401)
        door.asked += 1
        body = asked(json.loads(await request.body()), behind)
        headers = {"authorization": f"Bearer {behind.key}"} if behind.key else {}
        url = f"{behind.base_url.rstrip('/')}/chat/completions"
        try:
            told = await client.post(url, json=body, headers=headers)
        except httpx2.HTTPError as error:
            door.failed += 1
            return Response(json.dumps({"error": {"message": type(error).__name__}}), 502)
        door.failed += told.status_code != 200
        return Response(told.content, told.status_code, media_type=told.headers.get("content-type"))

    return app


def asked(body: dict[str, Any], behind: Behind) -> dict[str, Any]:
    """Return a request as the server is to have it."""
    messages = body.get("messages", [])
    if behind.switch:
        messages = [{"role": "system", "content": behind.switch}, *messages]
    told = {**body, "messages": messages}
    if behind.thought_tokens:
        told["max_tokens"] = int(body.get("max_tokens") or 0) + behind.thought_tokens
    return told
