"""Doctor asks a model endpoint what it can do: scripted servers of several kinds, and nobody at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from api.cli.doctor import Asked, ask_endpoint
from api.settings import ApiSettings

pytestmark = pytest.mark.anyio

MODEL = "nvidia/nemotron-nano-12b-v2-vl"


class Scripted:
    """An endpoint that can do what it is told it can; records what was asked of it."""

    def __init__(self, *, lacks: set[str] = frozenset(), served: str = MODEL, key: str = "") -> None:  # type: ignore[assignment]
        self.lacks, self.served, self.key = lacks, served, key
        self.requests: list[dict[str, Any]] = []

    def models(self, authorization: str) -> tuple[int, str]:
        if self.key and authorization != f"Bearer {self.key}":
            return 401, json.dumps({"detail": "who are you?"})
        return 200, json.dumps({"data": [{"id": self.served}]})

    def chat(self, asked: dict[str, Any]) -> tuple[int, str]:
        self.requests.append(asked)
        content = asked["messages"][-1]["content"]
        kinds = [part["type"] for part in content] if isinstance(content, list) else []
        for kind, lack in (("image_url", "images"), ("video_url", "video")):
            if kind in kinds and lack in self.lacks:
                return 500, json.dumps({"error": {"message": f"no {lack} here"}})
        seen = 0 if "sight" in self.lacks else 258 * len([kind for kind in kinds if kind != "text"])
        usage = {"prompt_tokens": 10 + seen, "completion_tokens": 1}
        if asked.get("stream"):
            return 200, self._stream(usage)
        said = "Left, I think."
        if "response_format" in asked and "schema" not in self.lacks:
            said = json.dumps({"side": "left", "seen": True})
        choice = {"message": {"content": said}, "finish_reason": "stop"}
        return 200, json.dumps({"choices": [choice], "usage": usage})

    def _stream(self, usage: dict[str, int]) -> str:
        chunks: list[dict[str, Any]] = [{"choices": [{"delta": {"content": "yes"}, "finish_reason": None}]}]
        if "finish" not in self.lacks:
            chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        if "usage" not in self.lacks:
            chunks.append({"choices": [], "usage": usage})
        return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


@contextmanager
def listening(script: Scripted) -> Iterator[str]:
    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(*script.models(self.headers.get("Authorization", "")))

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(*script.chat(asked))

        def _answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


async def asked(tmp_path: Path, url: str, **more: Any) -> Asked:
    found = await ask_endpoint(ApiSettings(home=tmp_path, model_url=url, model=MODEL, **more))
    assert found is not None
    return found


def table(found: Asked) -> dict[str, tuple[str, str]]:
    return {one.name: (one.can, one.off) for one in found.capabilities}


async def test_a_nim_does_all_but_images_beside_a_video(tmp_path: Path) -> None:
    script = Scripted(key="nvapi-not-a-real-key")
    with listening(script) as url:
        found = await asked(tmp_path, url, provider="nim", model_key="nvapi-not-a-real-key")
    told = table(found)
    assert {name: can for name, (can, _) in told.items()} == {
        "/v1/models": "yes",
        "stream": "yes",
        "schema": "yes",
        "images": "yes",
        "video": "yes",
        "reasoning": "unknown",
    }
    assert told["video"][1] == "images beside a video in one request"
    assert found.provider == "nim"
    media = [
        r["messages"][-1]["content"][0]
        for r in script.requests
        if isinstance(r["messages"][-1]["content"], list)
    ]
    assert [str(part[part["type"]]["url"])[:15] for part in media] == ["data:image/png;", "data:video/mp4;"]


@pytest.mark.parametrize(
    ("lack", "row", "off"),
    [
        ("images", "images", "looking at pages"),
        ("sight", "images", "looking at pages"),
        ("video", "video", "scenes go as single images"),
        ("schema", "schema", "replies are checked"),
        ("finish", "stream", "counts as cut"),
    ],
)
async def test_what_an_endpoint_lacks_is_named_with_what_is_switched_off(
    tmp_path: Path, lack: str, row: str, off: str
) -> None:
    with listening(Scripted(lacks={lack})) as url:
        can, told = table(await asked(tmp_path, url, provider="vllm"))[row]
    assert can == "no"
    assert off in told


async def test_usage_that_is_not_counted_is_told(tmp_path: Path) -> None:
    with listening(Scripted(lacks={"usage"})) as url:
        assert table(await asked(tmp_path, url))["stream"] == ("yes", "counting tokens as they are spent")


async def test_a_wrong_key_and_a_wrong_name_end_the_asking(tmp_path: Path) -> None:
    with listening(Scripted(key="another")) as url:
        assert table(await asked(tmp_path, url)) == {
            "/v1/models": ("no", "everything: set PAGEWARDEN_MODEL_KEY")
        }
    script = Scripted(served="somebody/else")
    with listening(script) as url:
        found = await asked(tmp_path, url)
    assert found.capabilities[0].detail == "serves somebody/else"
    assert script.requests == []


async def test_nobody_there_is_one_row(tmp_path: Path) -> None:
    (row,) = (await asked(tmp_path, "http://127.0.0.1:9/v1")).capabilities
    assert (row.name, row.can, row.off) == ("/v1/models", "no", "everything: nothing answers")


@pytest.mark.parametrize(("lack", "writes"), [("finish", False), ("images", True)])
async def test_an_endpoint_that_cannot_write_is_not_well(tmp_path: Path, lack: str, writes: bool) -> None:
    with listening(Scripted(lacks={lack})) as url:
        assert (await asked(tmp_path, url)).writes is writes


async def test_without_a_model_server_nothing_is_asked(tmp_path: Path) -> None:
    assert await ask_endpoint(ApiSettings(home=tmp_path)) is None
    quotes = ApiSettings(home=tmp_path, model_url="http://127.0.0.1:9/v1", model=MODEL, writer="quotes")
    assert await ask_endpoint(quotes) is None
