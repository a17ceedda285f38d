"""A plain process calls nobody: look-ups and connections are recorded where telemetry does not see a test.

Libraries stay silent when they find `CI` or `PYTEST_*` in the environment, so a test inside pytest proves
nothing: the process here has neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTICED = ("CI", "PYTEST_", "GITHUB_", "DO_NOT_TRACK", "NEMO_GUARDRAILS_", "LANGGRAPH_", "LANGSMITH_", "HF_")

#: Records who is called; a background thread gets two seconds to do what telemetry threads do.
WATCHED = """
import json, sys, time
CALLED = []
LOCAL = ("127.", "::1", "localhost")
def watch(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    elif event in ("socket.connect", "socket.sendto"):
        host = args[1][0] if isinstance(args[1], tuple) else ""
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host and not str(host).startswith(LOCAL):
        CALLED.append((event, str(host)))
sys.addaudithook(watch)
sys.path.insert(0, {root!r})
{body}
time.sleep(2)
print(json.dumps(CALLED))
"""

IMPORTS_EVERYTHING = """
from api.startup import prepare
prepare()
import importlib, pkgutil
import agent, api, guardrails, ingest
for package in (agent, api, guardrails, ingest):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
import asyncio
from guardrails.nemo import Rails
from guardrails.policy import load
asyncio.run(Rails(load("default")).screen("question", ["How many columns may a table have?"]))
"""

OPENS_THE_HOUSE = """
import asyncio, tempfile
from pathlib import Path
from api.startup import prepare
prepare()
from api.settings import ApiSettings
from api.wiring import open_house
from agent.records import Question
from ingest.records import Scope
async def main():
    with tempfile.TemporaryDirectory() as folder:
        settings = ApiSettings(home=Path(folder) / "home", weights=Path({weights!r}), writer="quotes")
        page = Path(folder) / "page.html"
        page.write_text("<h1>Limits</h1><p>A table may have 2000 columns.</p>", encoding="utf-8")
        async with open_house(settings) as house:
            added = await house.shelf.add(page, name="page.html", tenant="default", collection="default")
            assert added.outcome == "added", added
            scope = Scope(tenant="default", collections=("default",))
            question = Question(text="How many columns may a table have?", scope=scope)
            async for event in house.agent.ask(question):
                pass
            assert event.kind == "answer", event
if __name__ == "__main__":
    asyncio.run(main())
"""


def called_by(body: str, folder: Path) -> list[list[str]]:
    script = folder / "watched.py"
    script.write_text(WATCHED.replace("{root!r}", repr(str(ROOT))).replace("{body}", body), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(NOTICED)}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    called: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return called


def test_importing_everything_and_screening_a_text_calls_nobody(tmp_path: Path) -> None:
    assert called_by(IMPORTS_EVERYTHING, tmp_path) == []


@pytest.mark.slow
@pytest.mark.weights
def test_opening_the_house_adding_and_asking_calls_nobody(tmp_path: Path, weights_dir: Path) -> None:
    body = OPENS_THE_HOUSE.replace("{weights!r}", repr(str(weights_dir)))
    assert called_by(body, tmp_path) == []


def test_the_watch_sees_a_call(tmp_path: Path) -> None:
    body = """
import socket
try:
    socket.getaddrinfo("telemetry.invalid", 443)
except OSError:
    pass
"""
    assert called_by(body, tmp_path) == [["socket.getaddrinfo", "telemetry.invalid"]]
