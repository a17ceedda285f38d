"""The client of model servers: only a finish reason makes a stream complete, and every failure has a name."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from ingest.errors import ModelDown, ModelError, ModelReply, NoWords, ReplyCut
from ingest.served import Message, Patience, ServedModel, Traits

pytestmark = pytest.mark.anyio

ASK = [Message(role="user", text="How many columns?")]


class Verdict(BaseModel):
    """A reply model of these tests."""

    supported: bool
    page: int


class Upstream:
    """A model server on loopback that answers each request with the next of its scripted bytes."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(
            int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length")
        )
        self.requests.append(json.loads(await reader.readexactly(size)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer:
            writer.write(answer)
            await writer.drain()
            writer.close()
        else:
            await reader.read()  # a stalled server: says nothing until the client gives up
            writer.close()


@asynccontextmanager
async def upstream(*answers: bytes) -> AsyncIterator[Upstream]:
    stub = Upstream(answers)
    server = await asyncio.start_server(stub, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield stub
    finally:
        server.close()


def model_at(url: str, *, timeout_s: float = 5.0, **settings: Any) -> ServedModel:
    """Make a client that asks once and never leaves the server alone; repeating has tests of its own."""
    once = replace(Patience.of(timeout_s), retries=0, break_after=10**6)
    given: dict[str, Any] = {"model": "nano", "context_tokens": 4096, "patience": once} | settings
    return ServedModel(base_url=url, **given)


def head(status: str = "200 OK", kind: str = "text/event-stream") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode()


def chunk(finish: str | None = None, **delta: object) -> bytes:
    body = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "nano",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(body)}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def sse(*pieces: str, finish: str | None = "stop") -> bytes:
    return head() + b"".join(chunk(content=p) for p in pieces) + chunk(finish) + DONE


def whole(content: str | None, *, finish: str | None = "stop", **more: object) -> bytes:
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "nano",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **more},
                "finish_reason": finish,
            }
        ],
    }
    return head(kind="application/json") + json.dumps(body).encode()


async def said(model: ServedModel, messages: Sequence[Message] = ASK) -> str:
    try:
        return "".join([piece async for piece in model.stream(messages, max_tokens=64)])
    finally:
        await model.close()


async def test_a_stream_with_a_finish_reason_is_the_whole_text() -> None:
    async with upstream(sse("Two ", "thou", "sand.")) as server:
        assert await said(model_at(server.url)) == "Two thousand."


async def test_pieces_come_as_they_are_made() -> None:
    async with upstream(sse("Two ", "thousand.")) as server:
        model = model_at(server.url)
        assert [p async for p in model.stream(ASK, max_tokens=9)] == ["Two ", "thousand."]
        await model.close()


async def test_done_without_a_finish_reason_is_a_dead_engine() -> None:
    async with upstream(sse("Two thousand.", finish=None)) as server:
        with pytest.raises(ModelDown, match="broke off"):
            await said(model_at(server.url))


async def test_an_error_chunk_is_a_dead_engine_even_with_done_after_it() -> None:
    error = b'data: {"error": {"message": "EngineCore died", "code": 500}}\n\n'
    async with upstream(head() + chunk(content="Two") + error + DONE) as server:
        with pytest.raises(ModelDown):
            await said(model_at(server.url))


async def test_a_stream_cut_at_any_byte_is_never_taken_for_complete() -> None:
    text = sse("Two thousand ", "columns. Ünïted.")
    finish_at = text.index(b'"finish_reason": "stop"')
    complete = []
    async with upstream(*(text[:cut] for cut in range(1, len(text)))) as server:
        model = model_at(server.url)
        for cut in range(1, len(text)):
            try:
                got = "".join([piece async for piece in model.stream(ASK, max_tokens=64)])
            except ModelDown:
                continue
            complete.append((cut, got))
        await model.close()
    assert all(cut > finish_at for cut, _ in complete)
    assert {got for _, got in complete} == {"Two thousand columns. Ünïted."}


async def test_a_chunked_stream_that_stops_without_its_last_chunk_is_down() -> None:
    text = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = chunk(content="Two thousand.")
    text += f"{len(body):x}\r\n".encode() + body + b"\r\n"
    async with upstream(text) as server:
        with pytest.raises(ModelDown):
            await said(model_at(server.url))


@pytest.mark.parametrize(
    "line",
    [
        b"data: \xff\xfe\xfd\n\n",
        b'data: {"choices": [{"delta"\n\n',
        b"data: 5\n\n",
        b"data: [1, 2]\n\n",
        b"data: null\n\n",
        b'data: {"choices": null}\n\n',
        b'data: {"choices": {"delta": 1}}\n\n',
        b'data: {"choices": [7]}\n\n',
        b'data: {"choices": [{"delta": {"content": {"a": 1}}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": 3}]}\n\n',
        b"<html>hello</html>\n\n",
        b"",
    ],
)
async def test_a_babbling_server_is_down_and_nothing_else(line: bytes) -> None:
    async with upstream(head() + line + DONE) as server:
        with pytest.raises(ModelDown):
            await said(model_at(server.url))


async def test_a_lone_surrogate_becomes_a_replacement_character() -> None:
    async with upstream(head() + chunk(content="a\ud800b") + chunk("stop") + DONE) as server:
        assert (await said(model_at(server.url))).encode("utf-8") == "a\ufffdb".encode()


async def test_a_stalled_server_is_down() -> None:
    async with upstream(b"") as server:
        with pytest.raises(ModelDown, match="said nothing"):
            await said(model_at(server.url, timeout_s=0.2))


async def test_nobody_listening_is_down_and_says_what_to_do() -> None:
    with pytest.raises(ModelDown, match=r"cannot be reached.*see that it runs"):
        await said(model_at("http://127.0.0.1:9/v1"))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("500 Internal Server Error", ModelDown),
        ("503 Service Unavailable", ModelDown),
        ("429 Too Many Requests", ModelDown),
        ("400 Bad Request", ModelReply),
        ("401 Unauthorized", ModelReply),
        ("404 Not Found", ModelReply),
        ("302 Found", ModelReply),
    ],
)
async def test_a_status_is_either_down_or_a_refusal(status: str, error: type[ModelError]) -> None:
    answer = head(status, "application/json") + b'{"error": {"message": "no"}}'
    async with upstream(answer) as server:
        with pytest.raises(error):
            await said(model_at(server.url))
        assert len(server.requests) == 1


@pytest.mark.parametrize("finish", ["content_filter", "tool_calls"])
async def test_another_finish_reason_is_no_answer(finish: str) -> None:
    async with upstream(sse("Two", finish=finish)) as server:
        with pytest.raises(ModelReply, match=finish):
            await said(model_at(server.url))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<think>2000? No, a < b.</think>\n\nTwo thousand.", "Two thousand."),
        ("\n<think></think>Two.", "Two."),
        ("a < b and </p> stays", "a < b and </p> stays"),
        ("<thin air", "<thin air"),
        ("Two <", "Two <"),
    ],
)
async def test_reasoning_never_shows_however_it_is_cut(text: str, shown: str, size: int) -> None:
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    async with upstream(sse(*pieces)) as server:
        assert await said(model_at(server.url)) == shown


@pytest.mark.parametrize("pieces", [(), ("",), ("<think>all thought</think>",), (" ", "\n")])
async def test_a_stream_that_finishes_without_a_word_is_no_answer(pieces: tuple[str, ...]) -> None:
    async with upstream(sse(*pieces)) as server:
        with pytest.raises(NoWords):
            await said(model_at(server.url))


async def test_reasoning_that_ends_without_having_begun_is_refused() -> None:
    async with upstream(sse("Let me see. </th", "ink> Two thousand.")) as server:
        with pytest.raises(ModelReply, match="no_think"):
            await said(model_at(server.url))


async def test_reasoning_that_never_ends_is_refused() -> None:
    async with upstream(sse("<think>Let me", " see.", finish="length")) as server:
        with pytest.raises(ModelReply, match="reasoning"):
            await said(model_at(server.url))


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_an_answer_that_the_server_filed_as_reasoning_is_found(field: str) -> None:
    filed = head() + chunk(**{field: "Two "}) + chunk(**{field: "thousand."}) + chunk("stop") + DONE
    async with upstream(filed) as server:
        assert await said(model_at(server.url)) == "Two thousand."


async def test_reasoning_in_its_own_field_is_not_shown() -> None:
    both = head() + chunk(reasoning="Hm.") + chunk(content="Two.") + chunk("stop") + DONE
    async with upstream(both) as server:
        assert await said(model_at(server.url)) == "Two."


async def test_no_think_is_sent_with_every_request() -> None:
    async with upstream(sse("Two.")) as server:
        await said(model_at(server.url, traits=Traits(switch="words")))
        await said(
            model_at(server.url, traits=Traits(switch="words")),
            [Message(role="system", text="Be brief."), *ASK],
        )
    first, second = (request["messages"] for request in server.requests)
    assert first[0] == {"role": "system", "content": "/no_think"}
    assert second[0] == {"role": "system", "content": "/no_think\nBe brief."}
    assert len(second) == 2


async def test_images_go_as_data_urls_before_the_text() -> None:
    async with upstream(sse("Two.")) as server:
        look = Message(role="user", text="What is this?", images=(b"\x89PNG one", b"\x89PNG two"))
        await said(model_at(server.url, sees_images=True), [look])
    (message,) = server.requests[0]["messages"]
    kinds = [part["type"] for part in message["content"]]
    assert kinds == ["image_url", "image_url", "text"]
    urls = [part["image_url"]["url"] for part in message["content"][:2]]
    assert all(url.startswith("data:image/png;base64,") for url in urls)
    assert base64.b64decode(urls[1].partition(",")[2]) == b"\x89PNG two"


async def test_images_for_a_model_without_eyes_are_refused_before_they_are_sent() -> None:
    async with upstream(sse("Two.")) as server:
        with pytest.raises(ModelReply, match="does not see"):
            await said(model_at(server.url), [Message(role="user", text="?", images=(b"x",))])
        assert server.requests == []


async def test_extra_fields_of_the_host_are_merged_into_the_request() -> None:
    async with upstream(sse("Two.")) as server:
        await said(
            model_at(server.url, extra={"chat_template_kwargs": {"enable_thinking": False}, "top_k": 1})
        )
    assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}
    assert server.requests[0]["top_k"] == 1
    assert server.requests[0]["max_tokens"] == 64


async def verdict(model: ServedModel) -> Verdict:
    try:
        return await model.reply(ASK, schema=Verdict, max_tokens=32)
    finally:
        await model.close()


GOOD = '{"supported": true, "page": 3}'


async def test_a_reply_is_asked_for_by_schema_and_parsed() -> None:
    async with upstream(whole(GOOD)) as server:
        assert await verdict(model_at(server.url)) == Verdict(supported=True, page=3)
    asked = server.requests[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"]["required"] == ["supported", "page"]


@pytest.mark.parametrize(
    "answer",
    [
        whole(f"<think>Hm</think>{GOOD}"),
        whole(f"Hm</think>\n{GOOD}"),
        whole(None, reasoning=GOOD),
        whole("", reasoning_content=GOOD),
    ],
)
async def test_a_reply_is_found_beside_reasoning(answer: bytes) -> None:
    async with upstream(answer) as server:
        assert (await verdict(model_at(server.url))).page == 3


async def test_an_ill_formed_reply_is_asked_again_with_the_error_shown() -> None:
    async with upstream(whole('{"supported": "perhaps", "page": 3}'), whole(GOOD)) as server:
        assert (await verdict(model_at(server.url))).supported
    again = server.requests[1]["messages"]
    assert [message["role"] for message in again] == ["user", "assistant", "user"]
    assert "supported" in again[2]["content"]


async def test_a_second_ill_formed_reply_is_an_error() -> None:
    async with upstream(whole("no"), whole("still no")) as server:
        with pytest.raises(ModelReply, match="schema Verdict"):
            await verdict(model_at(server.url))
        assert len(server.requests) == 2


async def test_a_reply_cut_at_its_token_limit_is_an_error() -> None:
    async with upstream(whole('{"supported": true', finish="length")) as server:
        with pytest.raises(ModelReply, match="ran out"):
            await verdict(model_at(server.url))


@pytest.mark.parametrize(
    "answer",
    [
        whole(GOOD, finish=None),
        head(kind="application/json") + b'{"choices": []}',
        head(kind="application/json"),
    ],
)
async def test_a_reply_that_is_not_whole_is_down(answer: bytes) -> None:
    async with upstream(answer) as server:
        with pytest.raises(ModelDown):
            await verdict(model_at(server.url))


async def test_ready_wants_a_real_token() -> None:
    async with upstream(whole("yes", finish="length")) as server:
        model = model_at(server.url)
        await model.ready()
        await model.close()
    assert server.requests[0]["max_tokens"] == 1


@pytest.mark.parametrize("answer", [b"", head("503 Service Unavailable", "application/json") + b"{}"])
async def test_a_server_that_cannot_make_one_token_is_not_ready(answer: bytes) -> None:
    async with upstream(answer) as server:
        model = model_at(server.url, timeout_s=0.3)
        with pytest.raises(ModelDown):
            await model.ready()
        await model.close()


async def test_leaving_a_stream_early_closes_its_connection() -> None:
    async with upstream(sse(*["word "] * 50)) as server:
        model = model_at(server.url)
        stream = model.stream(ASK, max_tokens=64)
        assert await anext(stream) == "word "
        await stream.aclose()
        assert await said(model) == "word " * 50


async def test_a_tool_call_is_told_as_its_arguments_and_a_cut_answer_as_cut() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "markdown_bbox", "arguments": "[[]]"}}
    cut = whole("half an ans", finish="length")
    async with upstream(whole(None, finish="tool_calls", tool_calls=[call]), cut) as server:
        model = model_at(server.url, sees_images=True)
        ask = [Message(role="user", text="", images=(b"png",))]
        assert await model.tell(ask, max_tokens=9) == "[[]]"
        assert [part["type"] for part in server.requests[0]["messages"][0]["content"]] == ["image_url"]
        with pytest.raises(ReplyCut):
            await model.tell(ask, max_tokens=9)
        await model.close()
