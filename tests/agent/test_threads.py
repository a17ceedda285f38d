"""Stored conversations: remembered per tenant, and never a way to run code."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import aiosqlite
import ormsgpack
import pytest

from agent.errors import ThreadCorrupt
from agent.records import Question
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from agent.threads import Threads
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

REPORT = a_document()
PLANT = a_chunk("The plant in Marlow opened in 1987. It employs 240 people.", document=REPORT)


def an_agent(threads: Threads, model: FakeModel) -> GuardedAgent:
    return GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PLANT])]),
        rails=FakeRails(),
        model=model,
        settings=AgentSettings(),
        threads=threads,
    )


def a_model() -> FakeModel:
    reply = {
        "standalone": "How many people does the plant in Marlow employ?",
        "queries": ["people employed Marlow"],
    }
    return FakeModel(says=["It employs 240 people [1]."], replies=[reply])


async def test_a_thread_remembers_its_turns_after_it_is_opened_again(tmp_path: Path) -> None:
    question = Question(text="When did the plant in Marlow open?", scope=SCOPE, thread_id="t1")
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        model = FakeModel(says=["The plant in Marlow opened in 1987 [1]."])
        await an_agent(threads, model).answer(question)
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        model = a_model()
        await an_agent(threads, model).answer(replace(question, text="How many people does it employ?"))
        assert "The plant in Marlow opened in 1987. [1]" in model.asked[0][1].text
        assert len(await threads.turns("acme/t1")) == 4


async def test_two_tenants_share_no_thread(tmp_path: Path) -> None:
    question = Question(text="When did the plant in Marlow open?", scope=SCOPE, thread_id="t1")
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        await an_agent(threads, FakeModel(says=["NOT FOUND"])).answer(question)
        assert await threads.turns("other/t1") == []


async def test_a_deleted_thread_leaves_nothing(tmp_path: Path) -> None:
    question = Question(text="When did the plant in Marlow open?", scope=SCOPE, thread_id="t1")
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        await an_agent(threads, FakeModel(says=["NOT FOUND"])).answer(question)
        await threads.delete("acme/t1")
        assert await threads.turns("acme/t1") == []


async def test_a_forged_row_runs_nothing_and_its_thread_is_corrupt(tmp_path: Path) -> None:
    """Every constructor extension of the serializer is tried: a class, a class with arguments, a method."""
    question = Question(text="When did the plant in Marlow open?", scope=SCOPE, thread_id="t1")
    proof = tmp_path / "ran"
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        await an_agent(threads, FakeModel(says=["NOT FOUND"])).answer(question)
        for code in range(6):
            forged = ormsgpack.packb(
                {"channel_values": {"turns": ormsgpack.Ext(code, _call(f"touch {proof}"))}, "v": 4, "id": "z"}
            )
            await _overwrite(threads, forged)
            with pytest.raises(ThreadCorrupt):
                await threads.turns("acme/t1")
            with pytest.raises(ThreadCorrupt):
                await an_agent(threads, a_model()).answer(question)
            assert not proof.exists(), f"extension {code} ran code"


def test_without_strict_mode_threads_do_not_open() -> None:
    """Fails when the assertion is removed: a plain process without the switch must not get a store."""
    code = (
        "import asyncio, pathlib, tempfile\n"
        "from agent.threads import Threads\n"
        "async def main():\n"
        "    async with Threads.open(pathlib.Path(tempfile.mkdtemp()) / 't.sqlite'):\n"
        "        print('opened')\n"
        "asyncio.run(main())\n"
    )
    env = {k: v for k, v in os.environ.items() if k != "LANGGRAPH_STRICT_MSGPACK"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert "UnsafeCheckpoints" in done.stderr
    assert "opened" not in done.stdout


def _call(command: str) -> bytes:
    return ormsgpack.packb(["subprocess", "getoutput", [command], {}])


async def _overwrite(threads: Threads, forged: bytes) -> None:
    connection: aiosqlite.Connection = threads.saver.conn
    await connection.execute("UPDATE checkpoints SET type = 'msgpack', checkpoint = ?", (forged,))
    await connection.commit()
