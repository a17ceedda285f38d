"""The one client of OpenAI-compatible model servers: vLLM, NIM, hosted, or llama.cpp on loopback.

Here is what is said on the wire and what its failures are called; whether an answer is whole is judged in
`reply_stream.py`, who goes first in `pacing.py`, who is asked again in `patience.py`. Images go as `data:`
URLs only, because the server would fetch any address it is told. A generation that is repeated does no harm,
so a request is repeated until its first word was shown, and never after.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Literal, TypeVar, cast
from urllib.parse import urlsplit

import httpx2
import openai
from openai.types.chat import ChatCompletionMessageParam
from openai.types.shared_params import ResponseFormatJSONSchema
from pydantic import BaseModel, ConfigDict, ValidationError

from ingest.errors import Fault, ModelDown, ModelReply, PromptTooLong, ReplyCut
from ingest.orders import Extra, Order, Orders, fingerprint
from ingest.pacing import Load, Pace, read_load
from ingest.patience import Breaker, Patience, Retries
from ingest.reply_stream import Completion, Limits, Said, Telling, judged
from ingest.sharing import Sharing
from ingest.spending import Bill, Ledger, Spend, Spending
from ingest.turns import (
    ANYONE,
    Call,
    LanguageModel,
    Message,
    OnBehalf,
    Purpose,
    Reasoning,
    Reply,
    Traits,
    Urgency,
)

__all__ = [
    "ANYONE",
    "Call",
    "LanguageModel",
    "Message",
    "OnBehalf",
    "Patience",
    "Purpose",
    "Reasoning",
    "Reply",
    "ServedModel",
    "Traits",
    "Urgency",
]

T = TypeVar("T")

#: A probe that takes longer than this finds a server that is no use for answering.
_READY_TIMEOUT_S = 60.0
#: How long the token counts after a finish reason are waited for; the answer is whole without them.
_TAIL_S = 2.0
_LOOK_TIMEOUT_S = 1.0
#: uvicorn, in front of vLLM, closes an idle connection after 5 s; we let go of it first.
_KEEP_ALIVE_S = 4.0
_LINE_BYTES, _TOTAL_BYTES = 1024 * 1024, 32 * 1024 * 1024
_OVERLOADED = frozenset({408, 409, 425, 429, 503, 529})
#: A refusal for being busy counts this much of a failure: a server that answers others is not down.
_BUSY_WEIGHT = 0.25
#: No tokenizer makes more than one token of a byte, and none that we know makes so little as one of five over
#: a whole prompt. Between the two the server is asked.
_BYTES_A_TOKEN = 5
_TURN_TOKENS = 16
_TRY_AGAIN = """That is not what was asked for: {error}
Answer again with one JSON object that fits the schema, and nothing else."""


class ServedModel:
    """A model behind an OpenAI-compatible server; satisfies LanguageModel.

    `image_tokens` tells what an image costs; `pace` is shared by models on the same server; `spending` counts
    for all who ask.
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
        extra: Extra | None = None,
        traits: Traits | None = None,
        patience: Patience | None = None,
        pace: Pace | None = None,
        most_at_once: int = 64,
        ledger: Ledger | None = None,
        reasoning: Reasoning = "off",
        thought_tokens: int = 2048,
        image_tokens: Callable[[bytes], int] | None = None,
    ) -> None:
        self.name = model
        self.writes_as: Literal["served", "local"] = writes_as
        self.context_tokens = context_tokens
        self.sees_images = sees_images
        self.traits = traits or Traits()
        self.spending = Spending()
        self._base_url = base_url
        self._patience = patience or Patience.of(timeout_s)
        self._retries = Retries(self._patience)
        self._breaker = Breaker(self._patience)
        self._pace = pace or Pace(most=most_at_once, look=self._look if self.traits.tells_load else None)
        self._ledger = ledger or self.spending
        self._thought_tokens = thought_tokens
        self._image_tokens = image_tokens
        self._orders = Orders(
            name=model,
            key=api_key,
            sees_images=sees_images,
            traits=self.traits,
            extra=extra or {},
            reasoning=reasoning,
            thought_tokens=thought_tokens,
        )
        self._sharing: Sharing[str] = Sharing()
        self._http = _http(base_url, self._patience)
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            max_retries=0,
            timeout=self._http.timeout,
            http_client=self._http,
            # A compressed answer could unpack to far more than is bounded here.
            default_headers={"Accept-Encoding": "identity"},
        )

    @property
    def pace(self) -> Pace:
        """Who goes when; another model on the same server shares it."""
        return self._pace

    def will_reason(
        self, reasoning: Reasoning | None = None, *, schema: bool = False, video: bool = False
    ) -> bool:
        """Say whether a request would think, so that it can be shown; see Reasoning."""
        return self._orders.will_reason(reasoning, schema=schema, video=video)

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the answer's text piece by piece, reasoning removed; see LanguageModel."""
        order = self._orders.make(messages, max_tokens=max_tokens, reasoning=reasoning, call=call or ANYONE)
        with self._billed(order) as bill:
            await self._fits(order)
            spoke, tried = False, 0
            while True:
                tried += 1
                try:
                    async with aclosing(self._told(order, bill)) as pieces:
                        async for piece in pieces:
                            spoke = True
                            yield piece
                    return
                except ModelDown as down:
                    if spoke:
                        raise
                    await self._pause(down, tried)

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        schema: type[Reply],
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> Reply:
        """Ask by JSON schema and parse; one retry that shows the error, then ModelReply."""
        call = call or ANYONE

        async def ask() -> str:
            return await self._replied(
                messages, schema=schema, max_tokens=max_tokens, reasoning=reasoning, call=call
            )

        if not call.share:
            return schema.model_validate_json(await ask())
        key = fingerprint(messages, schema=schema, max_tokens=max_tokens, reasoning=reasoning, call=call)
        if self._sharing.running(key):
            self._ledger.note(Spend(tenant=call.tenant, purpose=call.purpose, calls=1, shared=1))
        return schema.model_validate_json(await self._sharing.get(key, ask))

    async def tell(self, messages: Sequence[Message], *, max_tokens: int, call: Call | None = None) -> str:
        """Return one whole answer as it came: the text, or the arguments of a tool call where it is one.

        Raises ModelDown, ModelReply, ReplyCut.
        """
        order = replace(
            self._orders.make(messages, max_tokens=max_tokens, call=call or ANYONE), verbatim=True
        )
        with self._billed(order) as bill:
            return await self._complete(order, bill)

    async def ready(self) -> None:
        """Generate one token. Raises ModelDown or ModelReply where the engine behind the port is not up.

        A real generation, because a server answers /health and /version while its engine hangs.
        """
        limit_s = min(self._patience.reply_s, _READY_TIMEOUT_S)
        order = self._orders.make([Message(role="user", text="Say yes.")], max_tokens=1, reasoning="off")
        with self._translated(limit_s):
            await _within(limit_s, self._ask(order))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    @property
    def _where(self) -> str:
        return f"{self.name} at {urlsplit(self._base_url).netloc}"

    @property
    def _root(self) -> str:
        return self._base_url.rstrip("/").removesuffix("/v1")

    async def _fits(self, order: Order) -> None:
        """Raise PromptTooLong for what cannot fit, before it is sent; ask the server where that is close."""
        if order.max_tokens < 1 or order.max_tokens >= self.context_tokens:
            raise PromptTooLong(
                f"An answer of {order.max_tokens} tokens does not fit into the {self.context_tokens} of "
                f"{self.name}; ask for fewer."
            )
        room = self.context_tokens - order.max_tokens
        pictured = sum(map(self._image_tokens, order.images)) if self._image_tokens else 0
        besides = pictured + _TURN_TOKENS * len(order.wire)
        unknown = (order.images and not self._image_tokens) or order.videos
        if order.text_bytes + besides <= room and not unknown:
            return
        counted = await self._count(order) if self.traits.tokenizes else None
        least = order.text_bytes // _BYTES_A_TOKEN + pictured
        if (counted if counted is not None else least) > room:
            size = f"{counted}" if counted is not None else f"at least {least}"
            raise PromptTooLong(
                f"The prompt of {size} tokens ({len(order.images)} images) and an answer of "
                f"{order.max_tokens} do not fit into the {self.context_tokens} tokens of {self.name}; "
                "send less, or serve it with a longer context."
            )

    async def _count(self, order: Order) -> int | None:
        """Return the prompt's tokens as the server counts them, images included; None where it does not."""
        asked = {"model": self.name, "messages": order.wire, "add_generation_prompt": True}
        try:
            told = await self._client.post(f"{self._root}/tokenize", body=asked, cast_to=httpx2.Response)
            return _Tokenized.model_validate_json(told.content).count
        except openai.APIStatusError as error:
            return self.context_tokens + 1 if _is_too_long(error) else None
        except (openai.APIError, httpx2.HTTPError, ValueError):
            return None

    async def _told(self, order: Order, bill: Bill) -> AsyncGenerator[str, None]:
        """Send the request once and yield what may be shown of its stream."""
        telling = Telling(
            where=self._where,
            thinks=order.thinks,
            thought_tokens=self._thought_tokens,
            counted=self.traits.counts_pieces,
        )
        async with self._sending(order, bill, limit_s=self._patience.first_s):
            try:
                async with aclosing(self._chunks(order, telling)) as chunks:
                    async for chunk in chunks:
                        if piece := telling.hear(chunk):
                            yield piece
                telling.end()
            finally:
                bill.count(telling.usage)

    async def _chunks(self, order: Order, telling: Telling) -> AsyncGenerator[Completion]:
        """Yield the stream's chunks, each within its time; what breaks after the finish breaks nothing."""
        options: dict[str, object] = {"include_usage": True}
        counts = {"return_token_ids": True} if self.traits.counts_pieces else {}
        if counts:
            options["continuous_usage_stats"] = True
        now = asyncio.get_running_loop().time
        first, ends = now() + self._patience.first_s, now() + self._patience.total_s
        stream = await _until(
            first,
            self._client.chat.completions.create(
                model=self.name,
                messages=cast(list[ChatCompletionMessageParam], order.wire),
                max_tokens=order.max_tokens,
                temperature=0,
                stream=True,
                extra_body={"stream_options": options, **counts, **order.extra},
            ),
        )
        async with stream:
            chunks = aiter(stream)
            due = first
            while True:
                try:
                    chunk = await _until(min(due, ends), anext(chunks))
                except StopAsyncIteration:
                    return
                except (TimeoutError, openai.APIConnectionError, httpx2.HTTPError):
                    if telling.finished:
                        return
                    raise
                yield _read(chunk)
                due = now() + (_TAIL_S if telling.finished else self._patience.between_s)

    async def _replied(
        self,
        messages: Sequence[Message],
        *,
        schema: type[BaseModel],
        max_tokens: int,
        reasoning: Reasoning | None,
        call: Call,
    ) -> str:
        """Return JSON that fits the schema, or raise."""

        def order() -> Order:
            return self._orders.make(
                asked, max_tokens=max_tokens, reasoning=reasoning, call=call, schema=schema
            )

        asked = list(messages)
        first = order()
        with self._billed(first) as bill:
            said = await self._complete(first, bill)
            try:
                schema.model_validate_json(said)
                return said
            except ValidationError as error:
                asked.append(Message(role="assistant", text=said))
                asked.append(Message(role="user", text=_TRY_AGAIN.format(error=_in_short(error))))
            said = await self._complete(order(), bill)
            try:
                schema.model_validate_json(said)
                return said
            except ValidationError as error:
                raise ModelReply(
                    f"The model {self.name} does not keep to the schema {schema.__name__} "
                    f"({_in_short(error)}); use a server that enforces response_format json_schema."
                ) from error

    async def _complete(self, order: Order, bill: Bill) -> str:
        """Return the text of one whole reply, asked for as often as it takes."""
        await self._fits(order)
        tried = 0
        while True:
            tried += 1
            try:
                limit_s = self._patience.reply_s
                async with self._sending(order, bill, limit_s=limit_s):
                    return await _within(limit_s, self._ask(order, bill))
            except ModelDown as down:
                await self._pause(down, tried)

    async def _ask(self, order: Order, bill: Bill | None = None) -> str:
        answer = _read(
            await self._client.chat.completions.create(
                model=self.name,
                messages=cast(list[ChatCompletionMessageParam], order.wire),
                max_tokens=order.max_tokens,
                temperature=0,
                response_format=_response_format(order.schema) if order.schema else openai.omit,
                extra_body=order.extra,
            )
        )
        if bill is not None:
            bill.count(answer.usage)
        choice = answer.choices[0] if answer.choices else None
        if choice is None or choice.finish_reason is None:
            raise ModelDown(f"The model server {self._where} gave no whole answer; ask again.")
        called = order.verbatim and choice.finish_reason == "tool_calls"
        finish = "stop" if called else judged(choice.finish_reason, where=self.name)
        if finish == "length" and (order.schema or order.verbatim):
            raise ReplyCut(
                f"The model {self.name} ran out of its {order.max_tokens} tokens before its reply was whole."
            )
        said = choice.message or Said()
        if order.verbatim:
            return said.content or said.called
        return (said.content or "").rpartition("</think>")[2].strip() or said.thought.strip()

    @contextmanager
    def _billed(self, order: Order) -> Iterator[Bill]:
        bill = Bill(call=order.call, images=len(order.images))
        self._retries.earn()
        try:
            yield bill
            bill.failed = False
        finally:
            self._ledger.note(bill.spend())

    @asynccontextmanager
    async def _sending(self, order: Order, bill: Bill, *, limit_s: float) -> AsyncIterator[None]:
        """Hold a turn for one request, and learn from how it ends."""
        self._turn_away()
        async with self._pace.turn(order.call.urgency) as turn:
            await self._probe_if_wanted()
            bill.requests += 1
            began = asyncio.get_running_loop().time()
            try:
                with self._translated(limit_s):
                    yield
            except ModelDown as down:
                busy = down.fault == "overloaded"
                turn.outcome = "overloaded" if busy or down.fault == "silent" else "lost"
                turn.pause_s = down.retry_in_s or 0.0
                self._breaker.failed(_BUSY_WEIGHT if busy else 1.0)
                raise
            except ModelReply:
                self._breaker.well()
                raise
            else:
                turn.outcome = "well"
                self._breaker.well()
            finally:
                bill.seconds += asyncio.get_running_loop().time() - began

    def _turn_away(self) -> None:
        wait_s = self._breaker.wait_s()
        if wait_s > 0:
            raise ModelDown(
                f"The model server {self._where} failed too often in a row; it is tried again in "
                f"{wait_s:.0f} s.",
                fault="open",
                retry_in_s=wait_s,
            )

    async def _probe_if_wanted(self) -> None:
        """Where the server was left alone for long enough, find out with one real token."""
        self._turn_away()
        if not self._breaker.open:
            return
        self._breaker.probing()
        try:
            await self.ready()
        except ModelDown:
            self._breaker.failed()
            self._turn_away()
            raise
        except ModelReply:
            pass  # a refusal is a sign of life
        finally:
            self._breaker.gave_up()
        self._breaker.well()

    async def _pause(self, down: ModelDown, tried: int) -> None:
        """Wait before the request is sent again, or raise where it is not."""
        pause_s = self._retries.pause_s(down, tried=tried)
        if pause_s is None:
            raise down
        await asyncio.sleep(pause_s)

    async def _look(self) -> Load | None:
        """Ask vLLM how busy it is; None where that is another server, or it does not say."""
        try:
            told = await _within(_LOOK_TIMEOUT_S, self._http.get(f"{self._root}/metrics"))
        except (TimeoutError, httpx2.HTTPError, ValueError):
            return None
        return read_load(told.text) if told.status_code == 200 else None

    @contextmanager
    def _translated(self, limit_s: float) -> Iterator[None]:
        """Turn what the vendor, its transport and a babbling server raise into our errors."""
        try:
            yield
        except openai.APIStatusError as error:
            raise self._refusal(error) from error
        except (openai.APIConnectionError, httpx2.HTTPError, TimeoutError) as error:
            raise self._lost(error, limit_s) from error
        except openai.APIError as error:
            raise ModelDown(f"The model server {self._where} failed mid-answer; ask again.") from error
        except ValueError as error:
            # Broken UTF-8, half a JSON line, a list where an object belongs: the vendor lets it through.
            raise ModelDown(
                f"The model server {self._where} does not speak the OpenAI protocol here; check its address."
            ) from error

    def _lost(self, error: Exception, limit_s: float) -> ModelDown:
        cause = error.__cause__ if isinstance(error, openai.APIConnectionError) else error
        unreachable = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
        silent = isinstance(error, openai.APITimeoutError | httpx2.TimeoutException | TimeoutError)
        if silent and not unreachable:
            return ModelDown(
                f"The model server {self._where} said nothing for {limit_s:.0f} s, or went on for too long; "
                "see whether it is overloaded, or allow it more time.",
                fault="silent",
            )
        fault: Fault = "unreachable" if unreachable else "broken"
        return ModelDown(
            f"The model server {self._where} cannot be reached or broke off; "
            "see that it runs and that its address is right.",
            fault=fault,
        )

    def _refusal(self, error: openai.APIStatusError) -> ModelDown | ModelReply:
        status = error.status_code
        if status >= 500 or status in _OVERLOADED:
            return ModelDown(
                f"The model server {self._where} is overloaded or down (HTTP {status}); try again soon.",
                fault="overloaded" if status in _OVERLOADED else "broken",
                retry_in_s=_retry_after_s(error.response.headers.get("retry-after")),
            )
        if status in (401, 403):
            return ModelReply(f"The model server {self._where} wants another API key (HTTP {status}).")
        if status == 404:
            return ModelReply(f"The model server {self._where} knows no such model or path (HTTP 404).")
        said = f"The model server {self._where} refused the request (HTTP {status}): {error.message[:200]}"
        return PromptTooLong(said) if _is_too_long(error) else ModelReply(said)


class _Tokenized(BaseModel):
    """What `/tokenize` answers."""

    model_config = ConfigDict(extra="ignore")

    count: int


class _Bounded(httpx2.AsyncByteStream):
    """The bytes of an answer, up to a bound."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._limits = Limits(line_bytes=_LINE_BYTES, total_bytes=_TOTAL_BYTES)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._limits.feed(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ValueError("a compressed answer, which was not asked for")
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream)


def _http(base_url: str, patience: Patience) -> httpx2.AsyncClient:
    return openai.DefaultAsyncHttpxClient(
        # The phases after the connection are timed by who waits for them: pieces count there, not bytes.
        timeout=httpx2.Timeout(None, connect=patience.connect_s),
        limits=httpx2.Limits(
            max_connections=None, max_keepalive_connections=64, keepalive_expiry=_KEEP_ALIVE_S
        ),
        # A proxy of the environment is not asked for a server on this very machine.
        trust_env=not _is_loopback(base_url),
        follow_redirects=False,
        event_hooks={"response": [_bound]},
    )


async def _within(limit_s: float, awaited: Awaitable[T]) -> T:
    async with asyncio.timeout(limit_s):
        return await awaited


async def _until(when: float, awaited: Awaitable[T]) -> T:
    async with asyncio.timeout_at(when):
        return await awaited


def _read(answer: object) -> Completion:
    """Read what the vendor parsed leniently. Raises ValueError where it is no completion."""
    if not isinstance(answer, BaseModel):
        raise ValueError("no object")
    return Completion.model_validate(answer.model_dump(warnings=False))


def _retry_after_s(said: str | None) -> float | None:
    """Read the seconds of a Retry-After; a date, which model servers don't send, is none."""
    try:
        seconds = float(said) if said else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None


def _is_too_long(error: openai.APIStatusError) -> bool:
    """Say whether a refusal is about the length of the prompt: vLLM names the field, others the context."""
    told = f"{error.message} {error.param if isinstance(error.param, str) else ''}".lower()
    return error.status_code in (400, 413) and (
        "input_tokens" in told or "context length" in told or "context size" in told
    )


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
