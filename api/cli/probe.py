"""What a model endpoint can do, found out by asking it: names, a picture, a schema, a stream, a film.

Plain requests, not our client: a probe must see what the server says, also where the client would smooth it
over. A few tokens each; nothing of the library is sent.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import httpx2

if TYPE_CHECKING:
    from ingest.providers import Provider

Can = Literal["yes", "no", "unknown"]
_TIMEOUT_S = 60.0
#: A two-word schema that a model without one would hardly keep to by chance.
_SCHEMA = {
    "type": "object",
    "properties": {"side": {"enum": ["left", "right"]}, "seen": {"type": "boolean"}},
    "required": ["side", "seen"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One row of the table: what was asked, what came, and what is switched off for it."""

    name: str
    can: Can
    detail: str
    #: What is not done because of it; empty where nothing is lost.
    off: str = ""


class Endpoint:
    """An OpenAI-compatible endpoint, probed with as few tokens as will do."""

    def __init__(self, *, base_url: str, model: str, key: str, http: httpx2.AsyncClient) -> None:
        self._url, self._model = base_url.rstrip("/"), model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = http

    async def look_at(self, provider: Provider) -> AsyncIterator[Capability]:
        """Yield what the endpoint can do; ends after the first row where nothing answers."""
        names = await self._names()
        yield names
        if names.can == "no":
            return
        yield await self._stream()
        yield await self._schema()
        yield await self._images(provider)
        yield await self._video(provider)
        yield self._reasoning(provider)

    async def _names(self) -> Capability:
        name = "/v1/models"
        try:
            reply = await self._http.get(f"{self._url}/models", headers=self._headers)
        except httpx2.HTTPError as error:
            return Capability(name=name, can="no", detail=_broke(error), off="everything: nothing answers")
        if reply.status_code != 200:
            off = "everything: set PAGEWARDEN_MODEL_KEY" if reply.status_code in (401, 403) else ""
            can: Can = "no" if off else "unknown"
            return Capability(name=name, can=can, detail=f"HTTP {reply.status_code}", off=off)
        known = _ids(reply)
        if known and self._model not in known:
            told = ", ".join(known[:3])
            return Capability(
                name=name, can="no", detail=f"serves {told}", off=f"everything: {self._model} is not served"
            )
        return Capability(name=name, can="yes", detail=f"{self._model} is served")

    async def _stream(self) -> Capability:
        body = self._turn("Say yes.") | {"stream": True, "stream_options": {"include_usage": True}}
        status, text = await self._post(body)
        if status != 200:
            return Capability(name="stream", can="no", detail=text, off="answers: none can be written")
        chunks = list(_events(text))
        finished = any(c.get("finish_reason") for chunk in chunks for c in chunk.get("choices", []))
        counted = any(chunk.get("usage") for chunk in chunks)
        if not finished:
            off = "answers: a stream without a finish reason counts as cut"
            return Capability(name="stream", can="no", detail="ended without a finish reason", off=off)
        off = "" if counted else "counting tokens as they are spent"
        return Capability(
            name="stream", can="yes", detail="with usage" if counted else "without usage", off=off
        )

    async def _schema(self) -> Capability:
        form = {"name": "probe", "schema": _SCHEMA, "strict": True}
        body = self._turn("Left or right?", max_tokens=120)
        status, text = await self._post(
            body | {"response_format": {"type": "json_schema", "json_schema": form}}
        )
        if status != 200:
            off = "asking by schema: looking at pages, planning and page reading need it"
            return Capability(name="schema", can="no", detail=text, off=off)
        said = _said(text)
        try:
            kept = set(json.loads(said)) == {"side", "seen"}
        except (ValueError, TypeError):
            kept = False
        if kept:
            return Capability(name="schema", can="yes", detail="response_format is enforced")
        return Capability(
            name="schema",
            can="no",
            detail="response_format is taken and not kept to",
            off="nothing; replies are checked and asked again, and some will fail",
        )

    async def _images(self, provider: Provider) -> Capability:
        part = {"type": "image_url", "image_url": {"url": _data_url(self._picture, "image/png")}}
        off = "looking at pages: figures and scans are read by OCR alone"
        found = await self._media("images", part, off=off)
        if found.can == "yes" and provider.images is False:
            return Capability(
                name="images", can="yes", detail="taken, though the provider's row says no", off=off
            )
        return found

    async def _video(self, provider: Provider) -> Capability:
        part = {"type": "video_url", "video_url": {"url": _data_url(self._film, "video/mp4")}}
        found = await self._media("video", part, off="video: scenes go as single images")
        if found.can == "yes" and not provider.images_beside_video:
            return Capability(
                name="video", can="yes", detail="taken", off="images beside a video in one request"
            )
        return found

    async def _media(self, name: str, part: Mapping[str, object], *, off: str) -> Capability:
        turn = [{"role": "user", "content": [part, {"type": "text", "text": "What is it?"}]}]
        bare, _ = await self._tokens(self._turn("What is it?"))
        shown, text = await self._tokens(self._turn("") | {"messages": turn})
        if shown is None:
            return Capability(name=name, can="no", detail=text, off=off)
        if bare is not None and shown <= bare:
            return Capability(
                name=name, can="no", detail="taken and not looked at (no token was spent)", off=off
            )
        spent = f"taken, {shown - bare} tokens" if bare is not None else "taken"
        return Capability(name=name, can="yes", detail=spent)

    async def _tokens(self, body: Mapping[str, object]) -> tuple[int | None, str]:
        """Return the prompt's tokens (None where it was refused, with what was said)."""
        status, text = await self._post(body)
        if status != 200:
            return None, text
        usage = _object(text).get("usage")
        count = usage.get("prompt_tokens") if isinstance(usage, dict) else None
        return (count if isinstance(count, int) else 0), text

    def _reasoning(self, provider: Provider) -> Capability:
        """Say what the row knows: a few tokens do not show whether a model reasons."""
        how = {"system": "/think and /no_think", "template": "chat_template_kwargs", "none": "no switch"}
        told = f"{provider.reasoning} unless told, by {how[provider.switch]} (from the provider's row)"
        return Capability(name="reasoning", can="unknown", detail=told)

    def _turn(self, text: str, *, max_tokens: int = 1) -> dict[str, object]:
        quiet = {"role": "system", "content": "/no_think"}
        return {
            "model": self._model,
            "messages": [quiet, {"role": "user", "content": text}],
            "max_tokens": max_tokens,
            "temperature": 0,
        }

    async def _post(self, body: Mapping[str, object]) -> tuple[int, str]:
        """Return status and text; 0 where nothing came."""
        try:
            reply = await self._http.post(f"{self._url}/chat/completions", json=body, headers=self._headers)
        except httpx2.HTTPError as error:
            return 0, _broke(error)
        return reply.status_code, reply.text if reply.status_code == 200 else _refused(reply)

    @cached_property
    def _picture(self) -> bytes:
        """A grey square, 64 pixels a side."""
        return base64.b64decode(_SQUARE)

    @cached_property
    def _film(self) -> bytes:
        return Path(__file__).with_name("probe.mp4").read_bytes()


_SQUARE = (
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAK0lEQVR42u3MMREAAAgEoNfkRjeEmwcBqMlNRyAQCAQC"
    "gUAgEAgEAsHzYAFAdAEArKmlZAAAAABJRU5ErkJggg=="
)


def opened() -> httpx2.AsyncClient:
    """Open a connection that goes nowhere it was not told to."""
    return httpx2.AsyncClient(timeout=httpx2.Timeout(_TIMEOUT_S, connect=5.0), follow_redirects=False)


def _data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _ids(reply: httpx2.Response) -> list[str]:
    models = _object(reply.text).get("data")
    return [str(m["id"]) for m in models if "id" in m] if isinstance(models, list) else []


def _object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _events(text: str) -> list[dict[str, list[dict[str, object]]]]:
    lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line.startswith("{")]


def _said(text: str) -> str:
    choices = _object(text).get("choices")
    if not isinstance(choices, list) or not choices:
        return ""
    message = choices[0].get("message", {})
    said = message.get("content") or message.get("reasoning") or message.get("reasoning_content") or ""
    return str(said).rpartition("</think>")[2].strip()


def _refused(reply: httpx2.Response) -> str:
    told = _object(reply.text).get("error", _object(reply.text).get("detail", ""))
    words = told.get("message", "") if isinstance(told, dict) else told
    return f"HTTP {reply.status_code}: {' '.join(str(words).split())[:100]}".rstrip(": ")


def _broke(error: httpx2.HTTPError) -> str:
    return f"does not answer ({type(error).__name__})"
