"""The project's client against a real vLLM of the real architecture: what the server's promises are worth.

The answers are noise, so a regular expression or a schema forces them where their words matter.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from PIL import Image
from pydantic import BaseModel

from ingest.errors import ModelDown, ModelError, ModelReply
from ingest.served import Message, Patience, ServedModel, Traits
from tests.contract.vllm_cpu.server import Running

pytestmark = [pytest.mark.anyio, pytest.mark.vllm, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
QUIET = {"role": "system", "content": "/no_think"}
#: Tokens of a tile of the served model, and of the marks around an image.
TILE, MARKS = 4, 2
#: Width, height and the tiles they cost, thumbnail included (measured on vLLM 0.32 with tiles of 512).
SHAPES = {
    "one tile": (64, 64, 1),
    "square": (512, 512, 10),
    "A4 upright": (1240, 1754, 7),
    "A4 lying": (1754, 1240, 13),
    "Letter": (1275, 1650, 13),
    "wide": (1920, 1080, 9),
}


class Verdict(BaseModel):
    """A small schema that noise can fill within a few tokens: no number or string that goes on for ever."""

    answerable: bool
    side: Literal["left", "right"]
    page: Literal[1, 2, 3]


def picture(width: int, height: int) -> bytes:
    """Make a PNG that is not one colour."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def image_part(content: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(content, "image/png")}}


def video_part() -> dict[str, Any]:
    video = (ROOT / "api" / "cli" / "probe.mp4").read_bytes()
    return {"type": "video_url", "video_url": {"url": data_url(video, "video/mp4")}}


@asynccontextmanager
async def client(
    server: Running, *, forced: str | None = None, patience: Patience | None = None, **extra: object
) -> AsyncIterator[ServedModel]:
    """Open our client; `forced` is a regular expression that its answers must match."""
    if forced is not None:
        extra["structured_outputs"] = {"regex": forced}
    model = ServedModel(
        base_url=server.base_url,
        model=server.name,
        context_tokens=8192,
        sees_images=True,
        traits=Traits(switch="words"),
        timeout_s=300.0,
        patience=patience,
        extra=extra,
    )
    try:
        yield model
    finally:
        await model.close()


def ask(text: str = "What stands here?", *images: bytes) -> list[Message]:
    return [Message(role="user", text=text, images=images)]


async def said(
    server: Running,
    messages: list[Message],
    *,
    forced: str = "(yes|no)",
    max_tokens: int = 64,
    patience: Patience | None = None,
    **extra: object,
) -> str:
    async with (
        client(server, forced=forced, patience=patience, **extra) as model,
        aclosing(model.stream(messages, max_tokens=max_tokens)) as pieces,
    ):
        return "".join([piece async for piece in pieces])


async def rambles(server: Running) -> None:
    """Ask for six thousand tokens and read whatever comes."""
    async with (
        client(server, ignore_eos=True) as model,
        aclosing(model.stream(ask(), max_tokens=6000)) as pieces,
    ):
        async for _ in pieces:
            pass


async def lives(server: Running) -> bool:
    """Say whether the engine still answers: a token, not a health page."""
    async with client(server) as model:
        await model.ready()
    return True


async def post(
    server: Running, path: str, body: dict[str, Any], *, timeout_s: float = 300.0
) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=timeout_s) as http:
        return await http.post(server.url + path, json={"model": server.name, **body})


async def prompt_tokens(server: Running, *parts: dict[str, Any]) -> int:
    reply = await post(server, "/tokenize", {"messages": [QUIET, {"role": "user", "content": list(parts)}]})
    return int(reply.json()["count"])


async def settles(server: Running, name: str, value: float) -> bool:
    """Wait until a metric has this value; False where it does not come to it."""
    for _ in range(150):
        if server.metric(name) == value:
            return True
        await asyncio.sleep(0.2)
    return False


async def test_an_answer_streams_whole_and_nothing_of_the_thought_with_it(vision: Running) -> None:
    answer = await said(vision, ask(), forced=r"The pier was closed in 1987\.")
    assert answer == "The pier was closed in 1987."


async def test_many_images_go_in_one_turn(vision: Running) -> None:
    question = "Is it the same page?"
    assert await said(vision, ask(question, *[picture(64, 64)] * 8)) in {"yes", "no"}
    with pytest.raises(ModelReply, match=r"400.*image"):
        await said(vision, ask(question, *[picture(64, 64)] * 9))


@pytest.mark.parametrize("shape", SHAPES)
async def test_an_image_costs_its_tiles(vision: Running, shape: str) -> None:
    width, height, tiles = SHAPES[shape]
    bare = await prompt_tokens(vision, {"type": "text", "text": "Look."})
    shown = await prompt_tokens(vision, image_part(picture(width, height)), {"type": "text", "text": "Look."})
    assert shown - bare == tiles * TILE + MARKS


async def test_a_video_is_pruned_to_a_quarter_of_its_tokens(vision: Running) -> None:
    bare = await prompt_tokens(vision, {"type": "text", "text": "Look."})
    body = {
        "messages": [QUIET, {"role": "user", "content": [video_part(), {"type": "text", "text": "Look."}]}]
    }
    reply = (await post(vision, "/v1/chat/completions", {**body, "max_tokens": 1})).json()
    frames = [f"Frame {n + 1} sampled at {n * 0.57:.2f} seconds: " for n in range(4)]
    words = sum(map(len, frames)) + len(frames) - 1
    pruned = max(TILE, int(len(frames) * TILE * 0.25))
    assert reply["usage"]["prompt_tokens"] - bare == words + len(frames) * MARKS + pruned


async def test_a_stream_ends_with_its_finish_reason_and_its_usage(vision: Running) -> None:
    body = {
        "messages": [QUIET, {"role": "user", "content": "Say it."}],
        "max_tokens": 20,
        "structured_outputs": {"regex": "(left|right) side"},
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    reply = await post(vision, "/v1/chat/completions", body)
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: ")]
    chunks = [json.loads(line) for line in lines[:-1]]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    words = "".join(choice["delta"].get("content") or "" for choice in choices)
    assert lines[-1] == "[DONE]"
    assert [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]] == [
        "stop"
    ]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] in {len(words), len(words) + 1}


async def test_a_schema_holds_from_the_first_token(vision: Running) -> None:
    async with client(vision) as model:
        for question in ("Left?", "Right?", "Which page?"):
            reply = await model.reply(ask(question, picture(64, 64)), schema=Verdict, max_tokens=200)
            assert reply.side in {"left", "right"}


async def test_a_reply_that_runs_out_of_tokens_is_not_taken_for_whole(vision: Running) -> None:
    async with client(vision) as model:
        with pytest.raises(ModelReply, match="ran out of its 5 tokens"):
            await model.reply(ask(), schema=Verdict, max_tokens=5)


async def test_a_caller_who_leaves_is_noticed_by_the_engine(vision: Running) -> None:
    async with (
        client(vision, ignore_eos=True) as model,
        aclosing(model.stream(ask(), max_tokens=6000)) as pieces,
    ):
        await anext(pieces)
        assert await settles(vision, "vllm:num_requests_running", 1.0)
    assert await settles(vision, "vllm:num_requests_running", 0.0)


async def test_a_cancelled_task_is_noticed_by_the_engine(vision: Running) -> None:
    task = asyncio.create_task(rambles(vision))
    assert await settles(vision, "vllm:num_requests_running", 1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await settles(vision, "vllm:num_requests_running", 0.0)


async def test_too_many_requests_are_refused_at_once_and_the_rest_are_answered(vision: Running) -> None:
    rejected = vision.metric("vllm:admission_rejections_total")
    once = replace(Patience.of(300.0), retries=0)  # else whoever is refused is answered in the end

    async def one() -> str:
        try:
            return await said(vision, ask(), patience=once)
        except ModelDown:
            # Mostly HTTP 503; a few are let in together and told so in a stream that began with 200.
            return "busy"

    answers = await asyncio.gather(*(one() for _ in range(100)))
    # The cap counts what runs and what waits: 64 in the flags.
    assert 64 <= sum(answer in {"yes", "no"} for answer in answers) < 100
    assert answers.count("busy") == vision.metric("vllm:admission_rejections_total") - rejected > 0
    assert await said(vision, ask()) in {"yes", "no"}


async def test_a_prompt_beyond_the_window_has_a_name(vision: Running) -> None:
    with pytest.raises(ModelReply, match=r"HTTP 400.*(context|maximum|token)"):
        await said(vision, ask("word " * 4000))
    assert await lives(vision)


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, b"\xff\xd8\xff\xe0" * 9]
)
async def test_a_broken_picture_has_a_name_and_harms_nobody(vision: Running, content: bytes) -> None:
    with pytest.raises(ModelError):
        await said(vision, ask("What is it?", content))
    assert await lives(vision)


async def test_a_model_that_is_not_served_has_a_name(vision: Running) -> None:
    model = ServedModel(base_url=vision.base_url, model="nvidia/another", context_tokens=8192)
    with pytest.raises(ModelReply, match="no such model"):
        await model.ready()
    await model.close()


async def test_the_server_fetches_nothing_that_a_prompt_names(vision: Running) -> None:
    hits: list[bytes] = []

    async def sentinel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hits.append(await reader.read(200))
        writer.close()

    listening = await asyncio.start_server(sentinel, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    urls = [
        *(
            f"http://{host}:{port}/a.png"
            for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1")
        ),
        f"http://nowhere.invalid@127.0.0.1:{port}/a.png",
        f"http://127.0.0.1:{port}/nowhere.invalid",
        "file:///etc/hostname",
        (ROOT / "docs" / "page.png").as_uri(),
    ]
    async with listening:
        for url in urls:
            for kind in ("image_url", "video_url"):
                turn = {"role": "user", "content": [{"type": kind, kind: {"url": url}}]}
                reply = await post(vision, "/v1/chat/completions", {"messages": [turn], "max_tokens": 1})
                assert reply.status_code >= 400, (kind, url)
    assert hits == []
    assert await lives(vision)


DEEP: dict[str, Any] = {"type": "string"}
for _ in range(200):
    DEEP = {"type": "array", "items": DEEP}
GREEDY: dict[str, dict[str, Any]] = {
    "a million answers": {"n": 1_000_000},
    "two billion tokens": {"max_tokens": 2**31},
    "a schema 200 deep": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "deep", "schema": DEEP}},
        "max_tokens": 4,
    },
    "a megabyte of stops": {"stop": ["x" * 1000] * 1000, "max_tokens": 4},
    "an odd salt": {"cache_salt": "\u2028/../\0", "max_tokens": 4},
    "a regular expression that explodes": {
        "structured_outputs": {"regex": "(a+)+b{1,2000}"},
        "max_tokens": 4,
    },
    "ten megabytes of text": {"messages": [{"role": "user", "content": "x" * 10_000_000}]},
}


@pytest.mark.parametrize("greed", GREEDY)
async def test_a_greedy_request_does_not_take_the_engine_along(vision: Running, greed: str) -> None:
    body = {"messages": [QUIET, {"role": "user", "content": "Go on."}], **GREEDY[greed]}
    # Refused, answered or given up on: what counts is that others are answered afterwards.
    with suppress(httpx2.TimeoutException):
        await post(vision, "/v1/chat/completions", body)
    assert await said(vision, ask()) in {"yes", "no"}


def alive(server: Running) -> bool:
    script = ROOT / "docs" / "ops" / "alive.py"
    return subprocess.run([sys.executable, str(script), "chat", server.url], check=False).returncode == 0


async def test_the_health_check_of_the_container_gets_its_token(vision: Running) -> None:
    assert await asyncio.to_thread(alive, vision)


def asked_for(path: Path) -> set[str]:
    return set(re.findall(r"\bvllm:[a-z0-9_]+", path.read_text("utf-8")))


async def test_every_metric_on_the_dashboard_and_in_the_alerts_exists(vision: Running) -> None:
    await said(vision, ask("Look.", picture(64, 64)))
    told = set(re.findall(r"^(vllm:[a-z0-9_]+)", httpx2.get(f"{vision.url}/metrics").text, re.MULTILINE))
    wanted = [asked_for(path) for path in (ROOT / "docs" / "ops").rglob("*") if path.is_file()]
    assert len(set().union(*wanted)) >= 8
    assert set().union(*wanted) - told == set()
