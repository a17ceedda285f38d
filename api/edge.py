"""The process edge of HTTP: request ids, who may speak from where and how much, and the last catch.

Plain ASGI, because a middleware that wraps the response would hide a client's hanging up from a stream. On a
loopback address the Host header is checked (a foreign name that resolves to 127.0.0.1 is DNS rebinding), and
a browser page of another origin may not call at all, since an upload is a "simple" request without CORS.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import Forbidden, Oversized, Problem, SlowBody, problem_of
from api.limits import Rate
from api.settings import ApiSettings, is_loopback

logger = logging.getLogger(__name__)

#: Largest body of anything but an upload, bytes.
MAX_BODY_BYTES = 1024 * 1024
#: Longest that such a body may take to arrive.
BODY_TIMEOUT_S = 30.0
UPLOADS = "/v1/documents"
#: These routes speak OpenAI's dialect, errors too.
RESPONSES = "/v1/responses"
OPENAI = ("/v1/chat/", "/v1/models", RESPONSES)

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "media-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_GIVEN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Edge:
    """The outermost layer of the app."""

    def __init__(self, app: ASGIApp, *, settings: ApiSettings) -> None:
        self._app = app
        self._loopback_only = is_loopback(settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Guard one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        begun: str | None = None
        status, start = 0, time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal begun, status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                begun = headers.get("content-type", "")
                _dress(headers, request_id)
                rate: Rate | None = scope["state"].get("rate")
                if rate is not None:
                    for name, value in rate.headers().items():
                        headers[name] = value
            await send(message)

        try:
            self._judge(Headers(scope=scope))
            await self._app(scope, await _bounded(scope, receive), answer)
        except Exception as error:
            problem = problem_of(error, request_id=request_id)
            scope["state"]["rate"] = getattr(error, "rate", None) or scope["state"].get("rate")
            if problem.code == "internal":
                logger.exception("request %s failed", request_id)
            if begun is None:
                await _refuse(scope["path"], problem, answer)
            elif begun.startswith("text/event-stream"):
                await send({"type": "http.response.body", "body": _last_event(scope["path"], problem)})
            else:
                raise
        finally:
            identity = scope["state"].get("identity")
            told = {
                "request_id": request_id,
                "who": None if identity is None else identity.id,
                "method": scope["method"],
                "route": getattr(scope.get("route"), "path", None),
                "status": status,
                "ms": round((time.perf_counter() - start) * 1000, 1),
            }
            logger.info("request", extra=told)

    def _judge(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if self._loopback_only and not is_loopback(_name(host)):
            raise Forbidden("This server answers to 127.0.0.1 and localhost only.")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Forbidden("Pages of another origin may not call this server.")


async def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Read a small body whole and replay it; an upload has a limit of its own, file by file."""
    if scope["path"].rstrip("/") == UPLOADS or scope["method"] in ("GET", "HEAD", "DELETE"):
        return receive
    body = bytearray()
    try:
        with anyio.fail_after(BODY_TIMEOUT_S):
            await _fill(body, receive)
    except TimeoutError as error:
        raise SlowBody(f"The request did not arrive within {BODY_TIMEOUT_S:.0f} s.") from error
    pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


async def _fill(body: bytearray, receive: Receive) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise Oversized(f"The request is larger than {MAX_BODY_BYTES // 1024} KiB.")


def _name(host: str) -> str:
    """Return the name in a Host header, without its port; "" where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex


def _dress(headers: MutableHeaders, request_id: str) -> None:
    headers["x-request-id"] = request_id
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("cache-control", "no-store")


def error_body(path: str, problem: Problem) -> tuple[bytes, str]:
    """Return the body and its media type in the dialect of the route."""
    if path.startswith(OPENAI):
        return json.dumps(problem.as_openai()).encode(), "application/json"
    return json.dumps(problem.as_problem()).encode(), "application/problem+json"


def _last_event(path: str, problem: Problem) -> bytes:
    """Return OpenAI's error chunk; the stream then ends without a finish reason and without [DONE]."""
    told = problem.as_openai()
    if not path.startswith(RESPONSES):
        return f"data: {json.dumps(told)}\n\n".encode()
    named = {"type": "error", "code": problem.code, "message": problem.detail, "param": problem.param}
    return f"event: error\ndata: {json.dumps(named | {'sequence_number': -1})}\n\n".encode()


def error_headers(problem: Problem) -> dict[str, str]:
    """Return what the status wants beside the body."""
    if problem.after_s is not None:
        return {"retry-after": str(problem.after_s)}
    match problem.kind.status:
        case 401:
            return {"www-authenticate": "Bearer"}
        case 409 if problem.code == "still_running":
            return {"retry-after": "1"}
        case 503:
            return {"retry-after": "5"}
        case _:
            return {}


async def _refuse(path: str, problem: Problem, send: Send) -> None:
    body, media_type = error_body(path, problem)
    headers = {"content-type": media_type, "content-length": str(len(body))} | error_headers(problem)
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.kind.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
