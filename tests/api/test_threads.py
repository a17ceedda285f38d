"""Conversations over HTTP and on the command line: listed, shown, forgotten."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from agent.records import Sentence, Step, Turn
from api.cli.trace import tell
from api.schemas import answer_out
from tests.api.conftest import Client
from tests.api.test_schemas import check
from tests.fakes import FakeAgent, a_citation, an_answer

pytestmark = pytest.mark.anyio

TALK = (Turn(role="user", text="How many?"), Turn(role="assistant", text="20. [1]"))


async def test_conversations_are_listed_shown_and_deleted(client: Client, agent: FakeAgent) -> None:
    agent.talks = {("default", "t1"): TALK, ("other", "t2"): TALK}
    async with client() as http:
        listed = (await http.get("/v1/threads")).json()
        check("threads", listed)
        assert listed == {"threads": ["t1"]}
        shown = (await http.get("/v1/threads/t1")).json()
        check("thread", shown)
        assert [turn["text"] for turn in shown["turns"]] == ["How many?", "20. [1]"]
        assert (await http.delete("/v1/threads/t1")).json() == {"removed": ["t1"]}
        assert (await http.get("/v1/threads/t1")).status_code == 404


async def test_a_foreign_conversation_and_none_look_the_same(client: Client, agent: FakeAgent) -> None:
    agent.talks = {("other", "t2"): TALK}
    async with client() as http:
        foreign, none = await http.get("/v1/threads/t2"), await http.get("/v1/threads/t3")
        assert (foreign.status_code, foreign.json()["detail"]) == (none.status_code, none.json()["detail"])
        assert (await http.delete("/v1/threads/t2")).status_code == 404
    assert agent.talks


@pytest.mark.parametrize("width", [40, 120])
def test_a_trace_reads_as_a_story_however_narrow_the_terminal(width: int) -> None:
    hits = [{"name": "a-report-with-a-name.pdf", "page_no": 2, "score": 1.5, "dense": 0.8, "rerank": 3.0}]
    steps = (
        Step(node="retrieve", label="Searched “How many bytes?”", ms=46.0, facts={"hits": hits * 9}),
        Step(node="verify", label="Left out a sentence: figures", ms=2.0, facts={"dropped": "figures"}),
        Step(
            node="release", label="A sentence stands", ms=1.0, facts={"kept": "It is [20].", "citations": [1]}
        ),
    )
    answer = an_answer(Sentence(text="It is [20].", citations=(1,)), citations=(a_citation(),))
    out = Console(file=io.StringIO(), width=width)
    tell(out, answer_out(replace(answer, steps=steps)))
    assert isinstance(out.file, io.StringIO)
    lines = out.file.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    told = " ".join(" ".join(lines).split())
    assert "page 2: 1.50 (meaning 0.80, reread 3.00)" in told
    assert "and 4 more" in told
    assert "It is [20]. [1]" in told
