"""`POST /v1/chat/completions` and `/v1/models`: OpenAI's dialect, so that any client works unchanged.

Two rules come from running six clients against a loopback server: an `event` rides on a chunk that has
`choices`, and the usage chunk, whose `choices` are empty, is sent only to those who ask for it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from agent.records import Answer, Question, Released, Step, Turn
from api.answers import Links, Telling
from api.auth import HTTP, Caller, Doorkeeper, Identity, Who
from api.errors import BadRequest, NotFound
from api.passes import sealer
from api.schemas import answer_out, citation_out
from api.settings import ApiSettings
from api.sse import EventStream, Watch, unless_gone
from ingest.records import Scope

if TYPE_CHECKING:
    from agent.run import Agent

router = APIRouter(tags=["chat"])

MODEL = "pagewarden"
#: The inner models' tokens are not told to us, and a guess would be billed by somebody.
NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class ContentPart(BaseModel):
    """One part of a message; only text is read."""

    model_config = ConfigDict(extra="allow")

    type: StrictStr
    text: StrictStr | None = None


class ChatMessage(BaseModel):
    """One message; system messages are accepted and not obeyed, because rules come from the policy."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[StrictStr | list[ContentPart] | None, Field(max_length=200_000)] = None


class StreamOptions(BaseModel):
    """What a stream says beside the answer."""

    include_usage: bool = False


class Narrowing(BaseModel):
    """Our own request field: it can only narrow what the caller may read, never widen it."""

    model_config = ConfigDict(extra="forbid")

    documents: Annotated[list[Annotated[str, Field(max_length=64)]] | None, Field(max_length=1000)] = None
    thread_id: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None


class ChatRequest(BaseModel):
    """A chat completion request; sampling fields are accepted and ignored."""

    model: StrictStr
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=200)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int | None, Field(ge=1, le=1)] = None
    pagewarden: Narrowing | None = None


@router.get("/v1/models")
async def models(caller: Caller) -> dict[str, object]:
    """List the one model there is."""
    return {"object": "list", "data": [_model()]}


@router.get("/v1/models/{name}")
async def model(name: str, caller: Caller) -> dict[str, object]:
    """Return the one model there is."""
    _known(name)
    return _model()


@router.post("/v1/chat/completions")
async def completions(asked: ChatRequest, request: Request, who: Who) -> Response:
    """Answer the last user message from the documents; JSON, or server-sent events with `stream`."""
    _known(asked.model)
    question = question_of(asked, who.scope, reads=request.headers.get("accept-language", ""))
    agent: Agent = request.app.state.house.agent
    settings: ApiSettings = request.app.state.settings
    links = await links_of(request, who)
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        chunks = _chunks(agent, question, links=links, usage=usage)
        return EventStream(chunks, heartbeat_s=settings.heartbeat_s, watch=watch_over(request, who))
    told = await unless_gone(request.receive, lambda: _whole(agent, question, links=links))
    return Response(status_code=499) if told is None else JSONResponse(told)


async def links_of(request: Request, who: Identity) -> Links:
    """Return what mints links for a caller: with passes, unless this machine needs no key."""
    settings: ApiSettings = request.app.state.settings
    door: Doorkeeper = request.app.state.doorkeeper
    base = settings.public_url or str(request.base_url)
    if who.id == "owner" and door.keyless:
        return Links(base=base)
    return Links(base=base, seal=await sealer(door, who, lasts_s=settings.page_link_s))


def watch_over(request: Request, who: Identity) -> Watch:
    """Return the watch over a caller's open stream."""
    door: Doorkeeper = request.app.state.doorkeeper
    settings: ApiSettings = request.app.state.settings
    return Watch(still=lambda: door.still(who), every_s=settings.recheck_s)


def question_of(asked: ChatRequest, caller: Scope, *, reads: str = "") -> Question:
    """Read the messages: the last is the question, the user's and assistant's before it are history.

    `reads` is an Accept-Language header: it words refusals, and nothing else.
    """
    texts = [_text_of(message, place) for place, message in enumerate(asked.messages)]
    if asked.messages[-1].role != "user" or not texts[-1].strip():
        raise BadRequest("The last message must be the user's, with a question in it.", param="messages")
    history = tuple(
        Turn(role=message.role, text=text)
        for message, text in zip(asked.messages[:-1], texts[:-1], strict=True)
        if message.role in ("user", "assistant") and text
    )
    own = asked.pagewarden or Narrowing()
    scope = replace(caller, documents=None if own.documents is None else tuple(own.documents))
    return Question(
        text=texts[-1],
        scope=scope,
        history=history,
        thread_id=own.thread_id,
        channel=HTTP,
        languages=_languages(reads),
    )


def _languages(header: str) -> tuple[str, ...]:
    """Return the languages of an Accept-Language header, as they come; weights are rarely out of order."""
    tags = (part.partition(";")[0].strip().partition("-")[0].lower() for part in header.split(",")[:10])
    return tuple(dict.fromkeys(tag for tag in tags if tag.isascii() and tag.isalpha() and len(tag) <= 3))


def _text_of(message: ChatMessage, place: int) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    for number, part in enumerate(message.content):
        if part.type != "text" or part.text is None:
            raise BadRequest(
                f"Parts of type '{part.type[:40]}' are not read: send text, and add pictures as documents.",
                param=f"messages[{place}].content[{number}]",
            )
    return "\n".join(part.text or "" for part in message.content)


async def _whole(agent: Agent, question: Question, *, links: Links) -> dict[str, object]:
    telling = Telling(links)
    answer: Answer | None = None
    async with aclosing(agent.ask(question)) as events:
        async for event in events:
            if isinstance(event, Released):
                telling.add(event)
            elif isinstance(event, Answer):
                answer = event
    assert answer is not None, "the agent ends with exactly one answer"
    telling.finish(answer)
    message = {
        "role": "assistant",
        "content": telling.text,
        "refusal": None,
        "annotations": telling.annotations(),
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        **_head("chat.completion"),
        "choices": [choice],
        "usage": NO_USAGE,
        "pagewarden": answer_out(answer).model_dump(mode="json"),
    }


async def _chunks(
    agent: Agent, question: Question, *, links: Links, usage: bool
) -> AsyncGenerator[dict[str, object], None]:
    head = _head("chat.completion.chunk")
    telling = Telling(links)
    yield head | _choice({"role": "assistant", "content": ""})
    async with aclosing(agent.ask(question)) as events:
        async for event in events:
            match event:
                case Step():
                    yield head | _choice({}) | _status(event.label, node=event.node, ms=event.ms, done=False)
                case Released():
                    yield head | _choice({"content": telling.add(event)}) | {"released": _released(event)}
                case Answer():
                    yield head | _choice({}) | _status("Done", node="done", ms=0.0, done=True)
                    if rest := telling.finish(event):
                        yield head | _choice({"content": rest})
                    if annotations := telling.annotations():
                        yield head | _choice({"annotations": annotations})
                    told = {"pagewarden": answer_out(event).model_dump(mode="json")}
                    yield head | _choice({}, finish_reason="stop") | told
    if usage:
        yield head | {"choices": [], "usage": NO_USAGE}


def _released(event: Released) -> dict[str, object]:
    fresh = [citation_out(c).model_dump(mode="json") for c in event.new_citations]
    return {"text": event.sentence.text, "citations": list(event.sentence.citations), "new_citations": fresh}


def _status(label: str, *, node: str, ms: float, done: bool) -> dict[str, object]:
    """Return a progress event as Open WebUI reads it; `node` and `ms` are for our own page."""
    told = {"description": label, "done": done, "hidden": False, "node": node, "ms": round(ms, 1)}
    return {"event": {"type": "status", "data": told}}


def _choice(delta: dict[str, object], *, finish_reason: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}


def _head(kind: str) -> dict[str, object]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": MODEL}


def _known(name: str) -> None:
    if name != MODEL:
        raise NotFound(f"There is one model here, '{MODEL}'.", param="model")


def _model() -> dict[str, object]:
    return {"id": MODEL, "object": "model", "created": 1_700_000_000, "owned_by": MODEL}
