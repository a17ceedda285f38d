"""Chromium over its own debugging protocol, and a scripted house served to it."""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from agent.records import Sentence, Step
from api.app import create_app
from api.settings import ApiSettings
from tests.fakes import FakeAgent, FakeShelf, a_citation, a_document, a_house, an_answer, telling

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_PATIENCE_S = 20.0


class Tab:
    """One page in the browser."""

    def __init__(self, wire: ClientConnection) -> None:
        self._wire = wire
        self._ids = itertools.count(1)
        #: What the page complained about: exceptions, console errors, blocked loads.
        self.complaints: list[str] = []
        #: The address of everything that the page, its frames and its workers asked for.
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        number = next(self._ids)
        self._wire.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            told = json.loads(self._wire.recv(timeout=_PATIENCE_S))
            if told.get("id") == number:
                assert "error" not in told, told
                return dict(told["result"])
            if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(told["params"]))
            if told.get("method") == "Network.requestWillBeSent":
                self.requests.append(told["params"]["request"]["url"])

    def run(self, script: str) -> Any:
        """Evaluate JavaScript and return its value."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait(self, script: str) -> Any:
        """Evaluate until it is truthy."""
        for _ in range(200):
            if value := self.run(script):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never came true: {script}\n{self.run('document.body.innerText')}")

    def open(self, url: str, *, width: int = 1440, height: int = 900) -> None:
        """Open a page in a window of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && document.getElementById('has')?.children.length > 0")

    def key(self, key: str) -> None:
        """Press a key."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def ask(self, question: str) -> None:
        """Type a question and send it."""
        self.run("document.getElementById('box').focus()")
        self.call("Input.insertText", text=question)
        self.key("Enter")

    def screenshot(self) -> bytes:
        """Return the window as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Chromium and return the address of its debugging port."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    folder = tmp_path_factory.mktemp("chromium")
    command = [program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told = folder / "DevToolsActivePort"
        for _ in range(400):
            if told.is_file() and "\n" in told.read_text():
                break
            time.sleep(0.05)
        port, path = told.read_text().splitlines()
        yield f"ws://127.0.0.1:{port}{path}"
    finally:
        child.terminate()
        child.wait()


@pytest.fixture
def tab(chromium: str) -> Iterator[Tab]:
    """Open a fresh tab."""
    with connect(chromium, max_size=None, proxy=None) as browser:
        browser.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}))
        target = json.loads(browser.recv(timeout=_PATIENCE_S))["result"]["targetId"]
        root = chromium.split("/devtools/")[0]
        with connect(f"{root}/devtools/page/{target}", max_size=None, proxy=None) as wire:
            yield Tab(wire)
        browser.send(json.dumps({"id": 2, "method": "Target.closeTarget", "params": {"targetId": target}}))
        browser.recv(timeout=_PATIENCE_S)


HELD = replace(a_document("report.pdf", tenant="default"), pages=5)
#: A document of a format without pages.
NOTES = replace(a_document("notes.md", tenant="default"), pages=2)


STORY = (
    Step(
        node="plan",
        label="Planned by rules: “Spending in 2023?”",
        ms=1.0,
        facts={
            "by": "rules",
            "standalone": "Spending in 2023?",
            "queries": ["Spending in 2023?"],
            "leans": True,
        },
    ),
    Step(
        node="retrieve",
        label="Searched “Spending in 2023?”",
        ms=46.0,
        facts={"hits": [{"name": "report.pdf", "page_no": 2, "score": 1.5, "dense": 0.81, "rerank": -3.25}]},
    ),
    Step(node="verify", label="Left out a sentence: figures", ms=2.0, facts={"dropped": "figures"}),
)


@pytest.fixture
def agent() -> FakeAgent:
    """Script an answer, an abstention, a refusal, an attack, and one that takes for ever."""
    cited = tuple(replace(a_citation(n, page_no=n + 1), document_id=HELD.id) for n in (1, 2))
    steps = [Step(node="retrieve", label="Searched “spending”", ms=46.0)]
    two = (Sentence(text="It was 1,284.", citations=(1,)), Sentence(text="It grew.", citations=(2,)))
    evil = Sentence(
        text="<img src=x onerror=window.owned=1><b>bold</b> ![x](http://evil.example/x)", citations=(1,)
    )
    noted = replace(
        a_citation(1, page_no=1),
        document_id=NOTES.id,
        name=NOTES.name,
        quote="Capital spending was 1,284 (in millions).",
        boxes=(),
    )
    agent = FakeAgent(
        {
            "notes": telling(an_answer(two[0], citations=(noted,)), *steps),
            "spending": telling(an_answer(*two, citations=cited, dropped=1), *steps),
            "attack": telling(an_answer(evil, citations=cited[:1]), *steps),
            "nothing": telling(
                an_answer(kind="abstention", text="No evidence.", reason="no_evidence"), *steps
            ),
            "story": telling(replace(an_answer(two[0], citations=cited[:1]), steps=STORY), *STORY),
            "forbidden": telling(an_answer(kind="refusal", text="Stopped.", reason="override")),
            "forever": steps * 500,
        },
        pause_s=0.02,
    )
    for no in range(1, 6):
        picture = io.BytesIO()
        Image.new("RGB", (600, 800), (255, 255, 250 - no)).save(picture, "PNG")
        agent.images[(HELD.id, no)] = picture.getvalue()
    agent.texts[(NOTES.id, 1)] = (
        "Cash flows\nWhat was spent, and on what.",
        "It went up. Capital spending was\n1,284 (in   millions). <img src=x onerror=window.owned=1>",
        "Plant | 2023: 5 | 2024: 7",
    )
    return agent


@pytest.fixture
def shelf() -> FakeShelf:
    """Hold two documents, one of them without page images."""
    shelf = FakeShelf(HELD, NOTES)
    shelf.imageless.add(NOTES.id)
    return shelf


@pytest.fixture
def page(agent: FakeAgent, shelf: FakeShelf, tmp_path: Path) -> Iterator[str]:
    """Serve the house on loopback; return its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(a_house(agent, shelf), settings=ApiSettings(home=tmp_path))
        app.state.shelf = shelf
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()
