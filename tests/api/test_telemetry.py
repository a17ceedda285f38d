"""Traces and metrics: a question drawn as a tree of spans, counted by node and verdict, and no word of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent.records import Question, Sentence, Step
from api.app import create_app
from api.house import House
from api.keys import Keys
from api.logs import JsonLines
from api.settings import ApiSettings
from api.telemetry import Telemetry
from ingest.errors import ModelDown
from ingest.records import Scope
from ingest.served import Call
from tests.api.test_identity import OWNER
from tests.fakes import FakeAgent, FakeModel, a_citation, an_answer, telling

pytestmark = pytest.mark.anyio

SECRET = "the salary of Jane"
VERDICT = {"hop": "question", "rail": "injection", "decision": "allow", "mode": "enforced", "texts": 2}
STEPS = (
    Step(node="screen_question", label="Passed", ms=4.0, facts={"rails": [VERDICT]}),
    Step(node="retrieve", label=f"Searched {SECRET}", ms=30.0, facts={"query": SECRET}),
    Step(node="write", label="Wrote", ms=100.0),
)
ANSWER = an_answer(
    Sentence(text=f"It is {SECRET}.", citations=(1,)), citations=(a_citation(1, quote=SECRET),), dropped=2
)
ASKED = Question(text=SECRET, scope=Scope(tenant="acme", collections=("hr",)), channel="http")


class Writing(FakeAgent):
    """Asks a model in the middle of its answer, as a node does."""

    model: Any = None

    async def ask(self, question: Question) -> Any:
        """Tell the script, and ask the model on the way."""
        async for event in super().ask(question):
            if isinstance(event, Step) and event.node == "write":
                async for _ in self.model.stream([], max_tokens=5, call=Call(purpose="write")):
                    pass
            yield event


async def test_a_question_is_a_tree_of_spans_without_a_word_of_it() -> None:
    kept = InMemorySpanExporter()
    telemetry = Telemetry(exporter=kept)
    agent = Writing({SECRET: telling(ANSWER, *STEPS)})
    agent.model = telemetry.model(FakeModel([SECRET]))
    async for _ in telemetry.agent(agent).ask(ASKED):
        pass
    telemetry.close()
    spans = {span.name: span for span in kept.get_finished_spans()}
    root = spans["invoke_agent pagewarden"]
    assert set(spans) == {
        root.name,
        "run_guardrail screen_question",
        "retrieval retrieve",
        "execute_node write",
        f"chat {agent.model.name}",
    }
    for span in spans.values():
        assert span is root or span.parent is not None
        assert span is root or span.parent.span_id == root.context.span_id
    assert root.attributes["pagewarden.kind"] == "answer"
    assert root.attributes["pagewarden.trace_id"] == ANSWER.trace_id
    assert spans["retrieval retrieve"].attributes["openinference.span.kind"] == "RETRIEVER"
    assert spans["run_guardrail screen_question"].events[0].attributes["gen_ai.guardrail.rail"] == "injection"
    told = "".join(span.to_json() for span in spans.values())
    assert SECRET not in told
    assert "acme" not in told
    assert SECRET not in telemetry.exposition().decode()


async def test_answers_nodes_and_verdicts_are_counted() -> None:
    telemetry = Telemetry()
    agent = telemetry.agent(FakeAgent({SECRET: telling(ANSWER, *STEPS)}))
    for _ in range(3):
        async for _event in agent.ask(ASKED):
            pass
    await agent.search(SECRET, scope=ASKED.scope, limit=3)
    assert await agent.threads(scope=ASKED.scope) == [], "all else is the agent's own"
    told = telemetry.exposition().decode()
    assert 'pagewarden_answers_total{kind="answer",reason="",written_by="quotes"} 3.0' in told
    assert 'pagewarden_node_seconds_count{node="retrieve"} 3.0' in told
    assert "pagewarden_dropped_sentences_total 6.0" in told
    verdict = 'decision="allow",hop="question",mode="enforced",rail="injection"'
    assert f"pagewarden_verdicts_total{{{verdict}}} 6.0" in told


async def test_a_question_that_fails_is_a_failed_span_and_one_given_up_is_closed() -> None:
    kept = InMemorySpanExporter()
    telemetry = Telemetry(exporter=kept)
    inner = FakeAgent({"Dead?": [STEPS[0], ModelDown("It died.")], "Long?": telling(ANSWER, *STEPS)})
    agent = telemetry.agent(inner)
    with pytest.raises(ModelDown):
        async for _ in agent.ask(replace(ASKED, text="Dead?")):
            pass
    events = agent.ask(replace(ASKED, text="Long?"))
    await anext(events)
    await events.aclose()
    telemetry.close()
    assert inner.cancelled == 2
    roots = [span for span in kept.get_finished_spans() if span.name.startswith("invoke_agent")]
    assert Counter(span.status.status_code.name for span in roots) == {"ERROR": 2}


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.0.0.1", {"x-forwarded-for": "10.0.0.9"}, 401),
        ("127.0.0.1", {"authorization": "Bearer wrong"}, 401),
        ("10.0.0.7", {}, 401),
        ("10.0.0.7", {"authorization": f"Bearer {OWNER}"}, 200),
    ],
)
async def test_metrics_are_told_to_this_machine_and_to_admins(
    house: House, tmp_path: Path, peer: str, headers: dict[str, str], status: int
) -> None:
    app = create_app(
        replace(house, telemetry=Telemetry()), settings=ApiSettings(home=tmp_path, api_key=OWNER)
    )
    transport = httpx2.ASGITransport(app=app, client=(peer, 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        told = await http.get("/metrics", headers=headers)
        assert told.status_code == status
        if status == 200:
            assert "pagewarden_answers_open 0.0" in told.text
        token = (await Keys(tmp_path / "keys.sqlite").create(name="r", tenant="a", role="editor"))[1]
        refused = await http.get("/metrics", headers={"authorization": f"Bearer {token}"})
        assert refused.status_code == 403


async def test_without_it_nothing_is_counted(house: House, tmp_path: Path) -> None:
    app = create_app(house, settings=ApiSettings(home=tmp_path))
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        assert (await http.get("/metrics")).status_code == 404


async def test_a_request_and_its_answer_are_lines_of_json_without_a_word_of_it(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    agent = FakeAgent({SECRET: telling(ANSWER, *STEPS)})
    app = create_app(replace(house, agent=agent), settings=ApiSettings(home=tmp_path))
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 5000))
    body = {"model": "pagewarden", "messages": [{"role": "user", "content": SECRET}]}
    with caplog.at_level("INFO", logger="api"):
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
            await http.post("/v1/chat/completions?secret=canary", json=body, headers={"x-request-id": "r1"})
            await http.get("/v1/documents/none")
    lines = [json.loads(JsonLines().format(r)) for r in caplog.records if r.name.startswith("api.")]
    answered, chat, missing = lines
    assert (answered["message"], answered["trace_id"], answered["dropped"]) == ("answered", "trace-1", 2)
    assert answered["request_id"] == chat["request_id"] == "r1"
    assert (chat["route"], chat["status"], chat["who"]) == ("/v1/chat/completions", 200, "owner")
    assert (missing["route"], missing["status"]) == ("/v1/documents/{document_id}", 404)
    assert SECRET not in json.dumps(lines)
    assert "canary" not in json.dumps(lines)


def test_the_dashboard_asks_for_what_is_counted() -> None:
    path = Path(__file__).parents[2] / "docs" / "ops" / "grafana" / "dashboards" / "pagewarden.json"
    board = json.loads(path.read_text("utf-8"))
    told = Telemetry()
    told.gauge("pagewarden_answers_open", "x", lambda: 0.0)
    families = {
        line.split()[2] for line in told.exposition().decode().splitlines() if line.startswith("# TYPE")
    }
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(asked) >= 8
    for name in families:
        if not name.endswith("_created"):
            assert any(name in expr for expr in asked), name
