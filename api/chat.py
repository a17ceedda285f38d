"""`POST /v1/chat/completions` and `/v1/models`: OpenAI's dialect, so that any client works unchanged.

Two rules come from running six clients against a loopback server: an `event` rides on a chunk that has
`choices`, and the usage chunk, whose `choices` are empty, is sent only to those who ask for it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from agent.records import Answer, Question, Released, Step, Turn
from api.answers import Cut, Links
from api.asking import MODEL, Asking, begin, scope_of, watch_over
from api.auth import HTTP, Caller, Who
from api.errors import BadRequest, CannotLook
from api.schemas import answer_out, citation_out
from api.settings import ApiSettings
from api.sse import EventStream, unless_gone
from ingest.records import Scope
from ingest.turns import Reasoning

router = APIRouter(tags=["chat"])

#: Parts that hold a picture, in the words of both dialects.
_PICTURES = frozenset({"image_url", "input_image", "image"})


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
    #: Whether the served model thinks before it writes; how long is the server's to say.
    reasoning: Reasoning | None = None
    #: How citations stand in the text: `[1]`, or `[1](address)` for clients that read no annotations.
    links: Literal["markers", "markdown"] = "markers"


StopWord = Annotated[str, Field(min_length=1, max_length=256)]
MaxTokens = Annotated[int | None, Field(ge=1)]
UserName = Annotated[str | None, Field(max_length=256)]


class ChatRequest(BaseModel):
    """A chat completion request; sampling fields are accepted and ignored."""

    model: Annotated[str, Field(strict=True, max_length=200)]
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=200)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Annotated[int | None, Field(ge=1, le=1)] = None
    stop: StopWord | Annotated[list[StopWord], Field(max_length=4)] | None = None
    #: Tokens are four bytes each here, and no sentence is cut in half.
    max_tokens: MaxTokens = None
    max_completion_tokens: MaxTokens = None
    #: Whom the client asks for: it has a limit of its own (see docs/api.md).
    user: UserName = None
    pagewarden: Narrowing | None = None

    @property
    def cut(self) -> Cut:
        """Where the answer shall end."""
        words = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return Cut(stop=words, max_tokens=self.max_completion_tokens or self.max_tokens)


@router.get("/v1/models")
async def models(caller: Caller) -> dict[str, object]:
    """List the house as a model, and each of its collections as one."""
    names = [MODEL, *(f"{MODEL}/{collection}" for collection in caller.collections)]
    return {"object": "list", "data": [_model(name) for name in names]}


@router.get("/v1/models/{name:path}")
async def model(name: str, caller: Caller) -> dict[str, object]:
    """Return one of them."""
    scope_of(name, caller)
    return _model(name)


@router.post("/v1/chat/completions")
async def completions(asked: ChatRequest, request: Request, who: Who) -> Response:
    """Answer the last user message from the documents; JSON, or server-sent events with `stream`."""
    scope = scope_of(asked.model, who.scope)
    own = asked.pagewarden or Narrowing()
    question = question_of(asked.messages, scope, own, reads=request.headers.get("accept-language", ""))
    asking = await begin(
        request, who, question, cut=asked.cut, markdown=own.links == "markdown", user=asked.user
    )
    settings: ApiSettings = request.app.state.settings
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        chunks = _chunks(asking, _head("chat.completion.chunk", asked.model), usage=usage)
        return EventStream(
            chunks, heartbeat_s=settings.heartbeat_s, watch=watch_over(request, who), slot=asking.slot
        )
    told = await unless_gone(request.receive, lambda: _whole(asking, _head("chat.completion", asked.model)))
    return Response(status_code=499) if told is None else JSONResponse(told)


def question_of(
    messages: Sequence[ChatMessage], caller: Scope, own: Narrowing, *, reads: str = ""
) -> Question:
    """Read the messages: the last is the question, the user's and assistant's before it are history.

    `reads` is an Accept-Language header: it words refusals, and nothing else.
    """
    texts = [text_of(message.content, f"messages[{place}]") for place, message in enumerate(messages)]
    if messages[-1].role != "user" or not texts[-1].strip():
        raise BadRequest("The last message must be the user's, with a question in it.", param="messages")
    history = tuple(
        Turn(role=message.role, text=text)
        for message, text in zip(messages[:-1], texts[:-1], strict=True)
        if message.role in ("user", "assistant") and text
    )
    scope = replace(caller, documents=None if own.documents is None else tuple(own.documents))
    return Question(
        text=texts[-1],
        scope=scope,
        history=history,
        thread_id=own.thread_id,
        channel=HTTP,
        reasoning=own.reasoning,
        languages=_languages(reads),
    )


def _languages(header: str) -> tuple[str, ...]:
    """Return the languages of an Accept-Language header, as they come; weights are rarely out of order."""
    tags = (part.partition(";")[0].strip().partition("-")[0].lower() for part in header.split(",")[:10])
    return tuple(dict.fromkeys(tag for tag in tags if tag.isascii() and tag.isalpha() and len(tag) <= 3))


def text_of(content: str | list[ContentPart] | None, place: str) -> str:
    """Return a message's text; `place` names the message. Raises CannotLook, BadRequest."""
    if not isinstance(content, list):
        return content or ""
    return "\n".join(_text_of_part(part, f"{place}.content[{n}]") for n, part in enumerate(content))


def _text_of_part(part: ContentPart, param: str) -> str:
    """Return the text of a part. Raises CannotLook for a picture, BadRequest for what else is no text."""
    if part.type in _PICTURES:
        raise CannotLook(
            "Pictures in a question are not looked at here: add the picture as a document, and ask about it.",
            param=param,
        )
    if part.type not in ("text", "input_text", "output_text") or part.text is None:
        raise BadRequest(f"Parts of type '{part.type[:40]}' are not read: send text.", param=param)
    return part.text


async def _whole(asking: Asking, head: dict[str, object]) -> dict[str, object]:
    answer = await asking.whole()
    telling = asking.telling
    message = {
        "role": "assistant",
        "content": telling.text,
        "refusal": None,
        "annotations": telling.annotations(),
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": telling.finish_reason}
    own = {"pagewarden": answer_out(answer, link=telling.links.page).model_dump(mode="json")}
    return {**head, "choices": [choice], "usage": _usage(asking)} | telling.search_results() | own


async def _chunks(
    asking: Asking, head: dict[str, object], *, usage: bool
) -> AsyncGenerator[dict[str, object], None]:
    telling = asking.telling
    yield head | _choice({"role": "assistant", "content": ""})
    async with aclosing(asking.events()) as events:
        async for event, piece in events:
            match event:
                case Step():
                    yield head | _choice({}) | _status(event.label, node=event.node, ms=event.ms, done=False)
                case Released() if piece:
                    for citation in event.new_citations:
                        yield head | _choice({}) | telling.source_event(citation)
                    yield head | _choice({"content": piece}) | {"released": _released(event, telling.links)}
                case Answer():
                    yield head | _choice({}) | _status("Done", node="done", ms=0.0, done=True)
                    if piece:
                        yield head | _choice({"content": piece})
                    if annotations := telling.annotations():
                        yield head | _choice({"annotations": annotations})
    assert asking.answer is not None, "the agent ends with exactly one answer"
    own = {"pagewarden": answer_out(asking.answer, link=telling.links.page).model_dump(mode="json")}
    yield head | _choice({}, finish_reason=telling.finish_reason) | telling.search_results() | own
    if usage:
        yield head | {"choices": [], "usage": _usage(asking)}


def _usage(asking: Asking) -> dict[str, int]:
    """Return what counts against the caller's tokens; the models' own are not told (see docs/api.md)."""
    prompt, completion = asking.prompt_tokens, asking.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _released(event: Released, links: Links) -> dict[str, object]:
    fresh = [citation_out(c, link=links.page).model_dump(mode="json") for c in event.new_citations]
    return {"text": event.sentence.text, "citations": list(event.sentence.citations), "new_citations": fresh}


def _status(label: str, *, node: str, ms: float, done: bool) -> dict[str, object]:
    """Return a progress event as Open WebUI reads it; `node` and `ms` are for our own page."""
    told = {"description": label, "done": done, "hidden": False, "node": node, "ms": round(ms, 1)}
    return {"event": {"type": "status", "data": told}}


def _choice(delta: dict[str, object], *, finish_reason: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}


def _head(kind: str, model: str) -> dict[str, object]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": MODEL}
