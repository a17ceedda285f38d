"""`POST /v1/responses`: the same answers in OpenAI's newer dialect, whole or as named events.

The order of events passed OpenAI's own client, LangChain and the Vercel AI SDK. The search is told as a
`file_search_call`; nothing is kept, so an earlier response cannot be continued by its id.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StrictStr

from agent.records import Answer, Released
from api.answers import Cut
from api.asking import Asking, begin, scope_of, watch_over
from api.auth import Who
from api.chat import ChatMessage, ContentPart, MaxTokens, Narrowing, UserName, question_of, text_of
from api.errors import BadRequest
from api.schemas import answer_out
from api.settings import ApiSettings
from api.sse import EventStream, unless_gone

router = APIRouter(tags=["chat"])

Event = dict[str, object]


class InputItem(BaseModel):
    """One message of the input; items of other kinds (calls, reasoning) are passed over."""

    model_config = ConfigDict(extra="allow")

    type: Annotated[str, Field(max_length=64)] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Annotated[StrictStr | list[ContentPart] | None, Field(max_length=200_000)] = None


class ResponsesRequest(BaseModel):
    """A request of the Responses API; what is not named here is accepted and ignored."""

    model: Annotated[str, Field(strict=True, max_length=200)]
    input: Annotated[StrictStr | list[InputItem], Field(min_length=1, max_length=200_000)]
    stream: bool = False
    max_output_tokens: MaxTokens = None
    include: Annotated[list[Annotated[str, Field(max_length=100)]] | None, Field(max_length=20)] = None
    previous_response_id: Annotated[str | None, Field(max_length=200)] = None
    background: bool | None = None
    user: UserName = None
    pagewarden: Narrowing | None = None

    @property
    def messages(self) -> list[ChatMessage]:
        """Read the input as chat messages."""
        if isinstance(self.input, str):
            return [ChatMessage(role="user", content=self.input)]
        return [
            ChatMessage(role=item.role, content=text_of(item.content, f"input[{place}]"))
            for place, item in enumerate(self.input)
            if item.type == "message" and item.role is not None
        ]


@router.post("/v1/responses")
async def responses(asked: ResponsesRequest, request: Request, who: Who) -> Response:
    """Answer the last user message of the input; JSON, or named server-sent events with `stream`."""
    if asked.previous_response_id is not None:
        raise BadRequest(
            "Responses are not kept: send the earlier turns in `input`, or name a `pagewarden.thread_id`.",
            param="previous_response_id",
        )
    if asked.background:
        raise BadRequest("Answers are not made in the background: leave it out.", param="background")
    scope = scope_of(asked.model, who.scope)
    own = asked.pagewarden or Narrowing()
    messages = asked.messages
    if not messages:
        raise BadRequest("The input holds no message.", param="input")
    question = question_of(messages, scope, own, reads=request.headers.get("accept-language", ""))
    cut = Cut(max_tokens=asked.max_output_tokens)
    asking = await begin(request, who, question, cut=cut, markdown=own.links == "markdown", user=asked.user)
    made = _Made(asking, asked)
    settings: ApiSettings = request.app.state.settings
    if asked.stream:
        return EventStream(
            _events(made),
            heartbeat_s=settings.heartbeat_s,
            named=True,
            watch=watch_over(request, who),
            slot=asking.slot,
        )

    async def whole() -> Event:
        made.answer = await asking.whole()
        return made.response(made.status, output=[made.search("completed"), made.message(made.status)])

    told = await unless_gone(request.receive, whole)
    return Response(status_code=499) if told is None else JSONResponse(told)


@dataclass(slots=True)
class _Made:
    """A response in the making: its ids, its items and how they look now."""

    asking: Asking
    asked: ResponsesRequest
    answer: Answer | None = None
    id: str = field(default_factory=lambda: f"resp_{uuid.uuid4().hex}")
    search_id: str = field(default_factory=lambda: f"fs_{uuid.uuid4().hex}")
    message_id: str = field(default_factory=lambda: f"msg_{uuid.uuid4().hex}")
    created_at: float = field(default_factory=lambda: float(int(time.time())))

    @property
    def status(self) -> str:
        """Whether it ends of itself or for its length."""
        return "incomplete" if self.asking.telling.finish_reason == "length" else "completed"

    def search(self, status: str) -> Event:
        """Show the search; what it found where the caller wants that."""
        results: list[Event] | None = None
        if self.answer is not None and "file_search_call.results" in (self.asked.include or ()):
            results = [
                {
                    "file_id": cited.document_id,
                    "filename": cited.name,
                    "score": min(1.0, max(0.0, cited.score)),
                    "text": cited.quote,
                    "attributes": {"page": float(cited.page_no)},
                }
                for cited in self.asking.telling.cited()
            ]
        queries = [self.asking.question.text] if self.answer is None else list(self.answer.searched)
        return {
            "id": self.search_id,
            "type": "file_search_call",
            "status": status,
            "queries": queries,
            "results": results,
        }

    def part(self) -> Event:
        """Show the text as far as it was told, with its annotations once it is whole."""
        annotations = [] if self.answer is None else self.asking.telling.flat_annotations()
        return {
            "type": "output_text",
            "text": self.asking.telling.text,
            "annotations": annotations,
            "logprobs": [],
        }

    def message(self, status: str) -> Event:
        """Show the message."""
        content = [] if status == "in_progress" else [self.part()]
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    def response(self, status: str, *, output: list[Event]) -> Event:
        """Show the whole; with usage and our own field once it is done."""
        told: Event = {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": None,
            "max_output_tokens": self.asked.max_output_tokens,
            "metadata": {},
            "model": self.asked.model,
            "output": output,
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": None,
            "text": {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_p": None,
            "truncation": "disabled",
            "usage": None,
            "user": self.asked.user,
        }
        if self.answer is None:
            return told
        prompt, completion = self.asking.prompt_tokens, self.asking.completion_tokens
        usage = {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + completion,
        }
        own = answer_out(self.answer, link=self.asking.telling.links.page).model_dump(mode="json")
        return told | {"usage": usage, "pagewarden": own}


async def _events(made: _Made) -> AsyncGenerator[Mapping[str, object], None]:
    """Tell a response in order, each event with its number."""
    number = 0
    async with aclosing(_told(made)) as events:
        async for event in events:
            yield event | {"sequence_number": number}
            number += 1


async def _told(made: _Made) -> AsyncGenerator[Event, None]:
    searching = {"item_id": made.search_id, "output_index": 0}
    text = {"item_id": made.message_id, "output_index": 1, "content_index": 0}
    begun = made.response("in_progress", output=[])
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    yield {"type": "response.output_item.added", "output_index": 0, "item": made.search("in_progress")}
    yield {"type": "response.file_search_call.in_progress", **searching}
    yield {"type": "response.file_search_call.searching", **searching}
    found = False
    async with aclosing(made.asking.events()) as events:
        async for event, piece in events:
            if not found and isinstance(event, Released | Answer):
                found = True
                for one in _found(made, searching, text):
                    yield one
            if piece:
                yield {"type": "response.output_text.delta", **text, "delta": piece, "logprobs": []}
    made.answer = made.asking.answer
    for place, annotation in enumerate(made.asking.telling.flat_annotations()):
        yield {
            "type": "response.output_text.annotation.added",
            **text,
            "annotation_index": place,
            "annotation": annotation,
        }
    whole = made.asking.telling.text
    yield {"type": "response.output_text.done", **text, "text": whole, "logprobs": []}
    yield {"type": "response.content_part.done", **text, "part": made.part()}
    yield {"type": "response.output_item.done", "output_index": 1, "item": made.message(made.status)}
    output = [made.search("completed"), made.message(made.status)]
    yield {"type": f"response.{made.status}", "response": made.response(made.status, output=output)}


def _found(made: _Made, searching: Event, text: Event) -> list[Event]:
    """Return what ends the search and opens the message."""
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    return [
        {"type": "response.file_search_call.completed", **searching},
        {"type": "response.output_item.done", "output_index": 0, "item": made.search("completed")},
        {"type": "response.output_item.added", "output_index": 1, "item": made.message("in_progress")},
        {"type": "response.content_part.added", **text, "part": empty},
    ]
