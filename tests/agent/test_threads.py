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
from agent.records import Answer, Question
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from agent.state import MOST_TURNS, StoredTurn, remembered
from agent.threads import WITHDRAWN, WITHHELD, Threads
from guardrails.effective import Effective
from guardrails.nemo import Rails
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

REPORT = a_document()
PLANT = a_chunk("The plant in Marlow opened in 1987. It employs 240 people.", document=REPORT)


OTHER = a_document("other.pdf")
MILL = a_chunk("The mill in Ashby closed.", document=OTHER)


def an_agent(
    threads: Threads, model: FakeModel | None, *, library: FakeLibrary | None = None
) -> GuardedAgent:
    return GuardedAgent(
        library=library or FakeLibrary(shelf=[(REPORT, [PLANT])]),
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


async def asked(agent: GuardedAgent, *texts: str) -> list[Answer]:
    question = Question(text="", scope=SCOPE, thread_id="t1")
    return [await agent.answer(replace(question, text=text)) for text in texts]


async def test_a_thread_is_listed_shown_and_forgotten_by_its_tenant_alone(tmp_path: Path) -> None:
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        agent = an_agent(threads, FakeModel(says=["The plant in Marlow opened in 1987 [1]."]))
        await asked(agent, "When did the plant in Marlow open?")
        assert await agent.threads(scope=SCOPE) == ["t1"]
        assert [turn.text for turn in await agent.thread("t1", scope=SCOPE)] == [
            "When did the plant in Marlow open?",
            "The plant in Marlow opened in 1987. [1]",
        ]
        for tenant in ("other", "acm", "acme/"):
            stranger = replace(SCOPE, tenant=tenant)
            assert await agent.threads(scope=stranger) == []
            assert await agent.thread("t1", scope=stranger) == ()
            assert not await agent.forget("t1", scope=stranger)
        assert await agent.forget("t1", scope=SCOPE)
        assert await agent.threads(scope=SCOPE) == []
        assert not await agent.forget("t1", scope=SCOPE)


async def test_a_sentence_is_withdrawn_with_the_document_that_it_stood_on(tmp_path: Path) -> None:
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        model = FakeModel(says=["The plant in Marlow opened in 1987 [1]."])
        agent = an_agent(threads, model)
        await asked(agent, "When did the plant in Marlow open?")
        library = agent._library
        assert isinstance(library, FakeLibrary)
        library.shelf[:] = [(OTHER, [MILL])]
        assert [turn.text for turn in await agent.thread("t1", scope=SCOPE)][1] == WITHDRAWN
        model.says, model.asked = ["NOT FOUND"], []
        await asked(agent, "And how many people does it employ?")
        assert model.asked
        assert all("1987" not in message.text for prompt in model.asked for message in prompt)


async def test_a_follow_up_uses_the_evidence_of_the_turn_before(tmp_path: Path) -> None:
    noise = [a_chunk(f"People employ tools {n} times.", document=REPORT, place=n + 5) for n in range(9)]
    library = FakeLibrary(shelf=[(REPORT, [PLANT, *noise])])
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        agent = an_agent(threads, None, library=library)
        first, second = await asked(
            agent, "When did the plant in Marlow open?", "How many tools did they employ?"
        )
        assert first.citations[0].chunk_id == PLANT.id
        kept = next(step.facts["kept"] for step in second.steps if step.node == "screen_evidence")
        assert "report.pdf p. 1" in kept  # type: ignore[operator]
        state = await agent._conversing.aget_state({"configurable": {"thread_id": "acme/t1"}})  # type: ignore[union-attr]
        assert PLANT.id in [one["chunk_id"] for one in state.values["evidence"]]


async def test_evidence_of_earlier_turns_is_screened_again(tmp_path: Path) -> None:
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        agent = an_agent(threads, None)
        await asked(agent, "When did the plant in Marlow open?")
        rails = agent._rails
        assert isinstance(rails, FakeRails)
        rails.seen.clear()
        await asked(agent, "And where does it say that?")
        assert PLANT.text in [text for hop, text, _ in rails.seen if hop == "evidence"]


async def test_a_thread_stays_small(tmp_path: Path) -> None:
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        agent = an_agent(threads, FakeModel(says=["NOT FOUND"]))
        for _ in range(4):
            await asked(agent, "When did the plant in Marlow open?")
        rows = await threads._rows("SELECT checkpoint_id FROM checkpoints")
        assert len(rows) == 1
    turns: list[StoredTurn] = [{"role": "user", "text": str(n)} for n in range(MOST_TURNS)]
    assert [t["text"] for t in remembered(turns, [{"role": "user", "text": "new"}])][-2:] == ["99", "new"]
    assert len(remembered(turns, turns)) == MOST_TURNS


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


async def test_a_stored_answer_is_shown_as_its_reader_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "groups.yaml"
    path.write_text(GROUPED, "utf-8")
    os.utime(path, (0, 0))
    desk = a_chunk("The desk of the Marlow plant answers at ada@berg.example.", document=REPORT)
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        agent = GuardedAgent(
            library=FakeLibrary(shelf=[(REPORT, [desk])]),
            rails=Effective(str(path), None, rails=Rails),
            model=FakeModel(says=["The desk of the Marlow plant answers at ada@berg.example [1]."]),
            settings=AgentSettings(min_confidence=0.0),
            threads=threads,
        )
        staff, personnel = replace(SCOPE, groups=("staff",)), replace(SCOPE, groups=("staff", "hr"))
        question = Question(text="Where does the desk of the Marlow plant answer?", scope=personnel)
        told = await agent.answer(replace(question, thread_id="t1"))
        shown = [(await agent.thread("t1", scope=scope))[1].text for scope in (personnel, staff, SCOPE)]
    whole, masked = (f"The desk of the Marlow plant answers at {mail}. [1]" for mail in MAILS)
    assert told.text == whole
    assert shown == [whole, masked, masked]


async def test_a_stored_answer_that_the_rails_stop_now_is_withheld(tmp_path: Path) -> None:
    async with Threads.open(tmp_path / "threads.sqlite") as threads:
        agent = an_agent(threads, FakeModel(says=["The plant in Marlow opened in 1987 [1]."]))
        await asked(agent, "When did the plant in Marlow open?")
        assert isinstance(agent._rails, FakeRails)
        agent._rails.forbidden["1987"] = "secret"
        assert [turn.text for turn in await agent.thread("t1", scope=SCOPE)] == [
            "When did the plant in Marlow open?",
            WITHHELD,
        ]


MAILS = ("ada@berg.example", "[e-mail]")
GROUPED = """\
name: grouped
version: 1
hops:
  question: &size [{rail: size}]
  document: *size
  evidence: *size
  finding: *size
  answer:
    - {rail: size}
    - {rail: personal, kinds: {email: mask}, groups: {email: [hr]}}
"""
