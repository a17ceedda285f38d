"""The one client of OpenAI-compatible model servers: vLLM, NIM, hosted, or llama.cpp on loopback.

A stream counts as complete only with a finish reason: an engine killed mid-answer still ends its stream
with a clean `[DONE]` (measured on vLLM 0.32). Images go as `data:` URLs only, because the server would
fetch any address it is told. Reasoning is cut off here, not by the server: its parsers put plain answers
into the wrong field.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionMessageParam
from openai.types.shared_params import ResponseFormatJSONSchema
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ingest.errors import ModelDown, ModelReply, ReplyCut

Reply = TypeVar("Reply", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn; images are PNG bytes and go as `data:` URLs only, before the text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[bytes, ...] = ()


class LanguageModel(Protocol):
    """A model that writes. `writes_as` is told to the caller: "served" or "local"."""

    name: str
    writes_as: Literal["served", "local"]
    #: Tokens of prompt and answer together.
    context_tokens: int
    sees_images: bool

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        """Yield the answer's text piece by piece, reasoning removed.

        Raises ModelDown where the stream ends without a finish reason (a dead engine says [DONE] too).
        """
        ...

    async def reply(self, messages: Sequence[Message], *, schema: type[Reply], max_tokens: int) -> Reply:
        """Ask by JSON schema and parse; one retry that shows the error, then ModelReply."""
        ...


#: Request fields that differ by host (thinking switches and the like), merged into each request.
Extra = Mapping[str, object]

_CONNECT_TIMEOUT_S = 5.0
#: A probe that takes longer than this finds a server that is no use for answering.
_READY_TIMEOUT_S = 60.0
_BUSY = frozenset({408, 409, 425, 429})
_FINISHED = frozenset({"stop", "length"})
_TRY_AGAIN = """That is not what was asked for: {error}
Answer again with one JSON object that fits the schema, and nothing else."""


def _whole_characters(text: object) -> object:
    """Replace lone surrogates, which JSON may carry and UTF-8 may not."""
    return (
        text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(text, str) else text
    )


Text = Annotated[str | None, BeforeValidator(_whole_characters)]


class _Function(BaseModel):
    model_config = ConfigDict(extra="ignore")

    arguments: str = ""


class _Call(BaseModel):
    model_config = ConfigDict(extra="ignore")

    function: _Function


class _Said(BaseModel):
    """What a message or a piece of one says; the reasoning field has two names among servers."""

    model_config = ConfigDict(extra="ignore")

    content: Text = None
    reasoning: Text = None
    reasoning_content: Text = None
    tool_calls: list[_Call] | None = None

    @property
    def thought(self) -> str:
        return self.reasoning or self.reasoning_content or ""


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")

    #: `delta` in a stream, `message` otherwise.
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _Answer(BaseModel):
    """A completion or a chunk of one; a chunk that only counts tokens has no choices."""

    model_config = ConfigDict(extra="ignore")

    choices: Annotated[list[_Choice], Field(max_length=1)]


class ServedModel:
    """A model behind an OpenAI-compatible server; satisfies LanguageModel.

    `no_think` sends the system switch `/no_think` of the Nemotron family with every request: its default
    differs by host. Nothing is retried here but one ill-formed reply: who waits, and how long, is the
    caller's decision.
    """

    def __init__(
        self,
        *,
        base_url: str,
        model: str,
        api_key: str = "",
        writes_as: Literal["served", "local"] = "served",
        context_tokens: int,
        sees_images: bool = False,
        timeout_s: float = 120.0,
        no_think: bool = False,
        extra: Extra | None = None,
    ) -> None:
        self.name = model
        self.writes_as: Literal["served", "local"] = writes_as
        self.context_tokens = context_tokens
        self.sees_images = sees_images
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._no_think = no_think
        self._extra = dict(extra or {})
        timeout = httpx2.Timeout(timeout_s, connect=min(_CONNECT_TIMEOUT_S, timeout_s))
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            max_retries=0,
            timeout=timeout,
            # A proxy of the environment is not asked for a server on this very machine.
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=timeout, trust_env=not _is_loopback(base_url), follow_redirects=False
            ),
        )

    async def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[str, None]:
        """Yield the answer's text piece by piece, reasoning removed; see LanguageModel."""
        speech, thought, spoke = _Speech(), "", False
        async with aclosing(self._choices(messages, max_tokens=max_tokens)) as choices:
            async for choice in choices:
                said, finish = choice.delta or _Said(), choice.finish_reason
                thought += said.thought
                piece = speech.feed(said.content or "")
                if finish:
                    self._judge_finish(finish)
                    piece += speech.rest()
                    if not piece and not spoke and finish == "stop":
                        piece = thought
                if piece:
                    spoke = True
                    yield piece
                if finish:
                    return
        raise ModelDown(f"The model server {self._where} broke off mid-answer; ask again.")

    async def reply(self, messages: Sequence[Message], *, schema: type[Reply], max_tokens: int) -> Reply:
        """Ask by JSON schema and parse; one retry that shows the error, then ModelReply."""
        asked = list(messages)
        first = await self._complete(asked, schema=schema, max_tokens=max_tokens)
        try:
            return schema.model_validate_json(first)
        except ValidationError as error:
            asked.append(Message(role="assistant", text=first))
            asked.append(Message(role="user", text=_TRY_AGAIN.format(error=_in_short(error))))
        second = await self._complete(asked, schema=schema, max_tokens=max_tokens)
        try:
            return schema.model_validate_json(second)
        except ValidationError as error:
            raise ModelReply(
                f"The model {self.name} does not keep to the schema {schema.__name__} ({_in_short(error)}); "
                "use a server that enforces response_format json_schema."
            ) from error

    async def tell(self, messages: Sequence[Message], *, max_tokens: int) -> str:
        """Return one whole answer as it came: the text, or the arguments of a tool call where it is one.

        Raises ModelDown, ModelReply, ReplyCut.
        """
        with self._translated(self._timeout_s):
            async with asyncio.timeout(self._timeout_s):
                choice = await self._ask(messages, max_tokens=max_tokens, may_call=True)
        if choice.finish_reason == "length":
            raise ReplyCut(f"The model {self.name} ran out of its {max_tokens} tokens.")
        said = choice.message or _Said()
        called = said.tool_calls[0].function.arguments if said.tool_calls else ""
        return said.content or called

    async def ready(self) -> None:
        """Generate one token. Raises ModelDown or ModelReply where the engine behind the port is not up.

        A real generation, because a server answers /health and /version while its engine hangs.
        """
        with self._translated(_READY_TIMEOUT_S):
            async with asyncio.timeout(min(self._timeout_s, _READY_TIMEOUT_S)):
                await self._ask([Message(role="user", text="Say yes.")], max_tokens=1)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    @property
    def _where(self) -> str:
        return f"{self.name} at {urlsplit(self._base_url).netloc}"

    async def _choices(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncGenerator[_Choice]:
        wire = self._wire(messages)
        with self._translated(self._timeout_s):
            stream = await self._client.chat.completions.create(
                model=self.name,
                messages=wire,
                max_tokens=max_tokens,
                temperature=0,
                stream=True,
                extra_body=self._extra,
            )
            async with stream:
                async for chunk in stream:
                    for choice in _read(chunk).choices:
                        yield choice

    async def _complete(self, messages: Sequence[Message], *, schema: type[Reply], max_tokens: int) -> str:
        with self._translated(self._timeout_s):
            async with asyncio.timeout(self._timeout_s):
                choice = await self._ask(messages, max_tokens=max_tokens, schema=schema)
        if choice.finish_reason == "length":
            raise ReplyCut(
                f"The model {self.name} ran out of its {max_tokens} tokens before its reply was whole."
            )
        said = choice.message or _Said()
        return (said.content or "").rpartition("</think>")[2].strip() or said.thought.strip()

    async def _ask(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        schema: type[BaseModel] | None = None,
        may_call: bool = False,
    ) -> _Choice:
        completion = await self._client.chat.completions.create(
            model=self.name,
            messages=self._wire(messages),
            max_tokens=max_tokens,
            temperature=0,
            response_format=_response_format(schema) if schema else openai.omit,
            extra_body=self._extra,
        )
        choices = _read(completion).choices
        if not choices or choices[0].finish_reason is None:
            raise ModelDown(f"The model server {self._where} gave no whole answer; ask again.")
        if not (may_call and choices[0].finish_reason == "tool_calls"):
            self._judge_finish(choices[0].finish_reason)
        return choices[0]

    def _judge_finish(self, reason: str) -> None:
        if reason not in _FINISHED:
            raise ModelReply(f"The model {self.name} stopped with {reason!r} instead of an answer.")

    def _wire(self, messages: Sequence[Message]) -> list[ChatCompletionMessageParam]:
        if not self.sees_images and any(message.images for message in messages):
            raise ModelReply(
                f"The model {self.name} does not see images; serve a vision model to look at pages."
            )
        said = list(messages)
        if self._no_think:
            said = _with_switch(said, "/no_think")
        return [_wire_message(message) for message in said]

    @contextmanager
    def _translated(self, limit_s: float) -> Iterator[None]:
        """Turn what the vendor, its transport and a babbling server raise into our two errors."""
        try:
            yield
        except (openai.APITimeoutError, httpx2.TimeoutException, TimeoutError) as error:
            raise ModelDown(
                f"The model server {self._where} said nothing for {limit_s:.0f} s; "
                "see whether it is overloaded, or allow it more time."
            ) from error
        except openai.APIStatusError as error:
            raise self._refusal(error) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise ModelDown(
                f"The model server {self._where} cannot be reached or broke off; "
                "see that it runs and that its address is right."
            ) from error
        except openai.APIError as error:
            raise ModelDown(f"The model server {self._where} failed mid-answer; ask again.") from error
        except ValueError as error:
            # Broken UTF-8, half a JSON line, a list where an object belongs: the vendor lets it through.
            raise ModelDown(
                f"The model server {self._where} does not speak the OpenAI protocol here; check its address."
            ) from error

    def _refusal(self, error: openai.APIStatusError) -> ModelDown | ModelReply:
        status = error.status_code
        if status >= 500 or status in _BUSY:
            return ModelDown(
                f"The model server {self._where} is overloaded or down (HTTP {status}); try again soon."
            )
        if status in (401, 403):
            return ModelReply(f"The model server {self._where} wants another API key (HTTP {status}).")
        if status == 404:
            return ModelReply(f"The model server {self._where} knows no such model or path (HTTP 404).")
        return ModelReply(
            f"The model server {self._where} refused the request (HTTP {status}): {error.message[:200]}"
        )


class _Speech:
    """Cuts the reasoning off a stream of pieces; a tag may be split over any of them."""

    _OPEN, _CLOSE = "<think>", "</think>"

    def __init__(self) -> None:
        self._held = ""
        self._state: Literal["start", "thinking", "speaking"] = "start"

    def feed(self, piece: str) -> str:
        """Take a piece, return what may be shown of all that came so far."""
        self._held += piece
        if self._state == "start":
            self._begin()
        if self._state == "thinking":
            self._skip_thought()
        return self._speak() if self._state == "speaking" else ""

    def rest(self) -> str:
        """Return what was held back, at the end. Raises ModelReply where the thought never ended."""
        if self._state == "thinking":
            if self._CLOSE in self._held:
                return ""
            raise ModelReply(
                "The model used up its tokens on reasoning; allow more tokens or switch reasoning off."
            )
        return self._held if self._state == "speaking" else self._held.strip()

    def _begin(self) -> None:
        text = self._held.lstrip()
        if text.startswith(self._OPEN):
            self._state, self._held = "thinking", text[len(self._OPEN) :]
        elif text and not self._OPEN.startswith(text):
            self._state, self._held = "speaking", text

    def _skip_thought(self) -> None:
        _, closed, after = self._held.partition(self._CLOSE)
        if not closed:
            self._held = self._held[-len(self._CLOSE) :]
        elif after.strip():
            self._state, self._held = "speaking", after.lstrip()

    def _speak(self) -> str:
        if self._CLOSE in self._held:
            # The server's template opened the thought itself, so it was taken for the answer until now.
            raise ModelReply(
                "The model reasons aloud before it answers; switch its reasoning off (no_think)."
            )
        keep = _overlap(self._held, self._CLOSE)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown


def _read(answer: object) -> _Answer:
    """Read what the vendor parsed leniently. Raises ValueError where it is no completion."""
    if not isinstance(answer, BaseModel):
        raise ValueError("no object")
    return _Answer.model_validate(answer.model_dump(warnings=False))


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of `text` begin `tag`."""
    return next((n for n in range(min(len(text), len(tag) - 1), 0, -1) if text.endswith(tag[:n])), 0)


def _with_switch(messages: Sequence[Message], switch: str) -> list[Message]:
    """Put a switch word before the system text, which is made where there is none."""
    if messages and messages[0].role == "system":
        first = Message(role="system", text=f"{switch}\n{messages[0].text}", images=messages[0].images)
        return [first, *messages[1:]]
    return [Message(role="system", text=switch), *messages]


def _wire_message(message: Message) -> ChatCompletionMessageParam:
    if message.role == "system":
        return {"role": "system", "content": message.text}
    if message.role == "assistant":
        return {"role": "assistant", "content": message.text}
    if not message.images:
        return {"role": "user", "content": message.text}
    urls = [f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}" for png in message.images]
    parts: list[ChatCompletionContentPartParam] = [
        {"type": "image_url", "image_url": {"url": url}} for url in urls
    ]
    if not message.text:
        # Nemotron Parse takes an image and not a word.
        return {"role": "user", "content": parts}
    return {"role": "user", "content": [*parts, {"type": "text", "text": message.text}]}


def _response_format(schema: type[BaseModel]) -> ResponseFormatJSONSchema:
    return {
        "type": "json_schema",
        "json_schema": {"name": schema.__name__, "schema": schema.model_json_schema(), "strict": True},
    }


def _in_short(error: ValidationError) -> str:
    """Name the first faults without repeating what the model said."""
    faults = [f"{'.'.join(map(str, f['loc'])) or 'reply'}: {f['msg']}" for f in error.errors()[:3]]
    return "; ".join(faults)


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
