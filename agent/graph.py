"""Question → checked, cited answer, as a graph: nodes and edges, nothing else.

`write → verify → screen_answer → release` turns once a sentence: that loop is the release gate, so no
sentence is shown before it stands on evidence and the rails have spoken, while the model is still writing the
next.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from agent.catalogue import catalogue
from agent.look import look
from agent.plan import plan
from agent.records import Step
from agent.release import conclude, release
from agent.retrieve import retrieve
from agent.screen import screen_answer, screen_evidence, screen_question
from agent.state import Run, State
from agent.verify import verify
from agent.write import write

Graph = CompiledStateGraph[State, Run, State, State]


class Node(Protocol):
    """What a node is: it reads the state and the run, and returns what it changes."""

    __name__: str

    async def __call__(self, state: State, runtime: Runtime[Run]) -> State:
        """Do one part of the story."""
        ...


class Telling(Protocol):
    """A node as the graph calls it."""

    async def __call__(self, state: State, *, runtime: Runtime[Run]) -> State:
        """Do one part of the story and tell it."""
        ...


def ask_graph(checkpointer: BaseCheckpointSaver[Any] | None = None) -> Graph:
    """Compile the whole story; with a checkpointer it remembers the turns of a thread."""
    graph = StateGraph(State, context_schema=Run)
    for node in (
        screen_question,
        plan,
        retrieve,
        catalogue,
        screen_evidence,
        look,
        write,
        verify,
        screen_answer,
        release,
        conclude,
    ):
        graph.add_node(node.__name__, told(node))
    graph.add_edge(START, "screen_question")
    graph.add_conditional_edges("screen_question", _asked, {"refused": "conclude", "passed": "plan"})
    graph.add_conditional_edges("plan", _planned, ["retrieve", "catalogue"])
    graph.add_edge("retrieve", "screen_evidence")
    graph.add_edge("catalogue", "screen_evidence")
    graph.add_conditional_edges("screen_evidence", _found, {"evidence": "look", "nothing": "conclude"})
    graph.add_edge("look", "write")
    graph.add_conditional_edges("write", _written, {"sentence": "verify", "gap": "plan", "end": "conclude"})
    graph.add_conditional_edges("verify", _standing, {"stands": "screen_answer", "falls": "write"})
    graph.add_conditional_edges("screen_answer", _standing, {"stands": "release", "falls": "write"})
    graph.add_edge("release", "write")
    graph.add_edge("conclude", END)
    return graph.compile(checkpointer=checkpointer)


def search_graph() -> Graph:
    """Compile the first half: screen the question, retrieve, screen the evidence."""
    graph = StateGraph(State, context_schema=Run)
    for node in (screen_question, plan_as_is, retrieve, screen_evidence):
        graph.add_node(node.__name__, told(node))
    graph.add_edge(START, "screen_question")
    graph.add_conditional_edges("screen_question", _asked, {"refused": END, "passed": "plan_as_is"})
    graph.add_conditional_edges("plan_as_is", _planned, ["retrieve"])
    graph.add_edge("retrieve", "screen_evidence")
    graph.add_edge("screen_evidence", END)
    return graph.compile()


def picture() -> str:
    """Return the ask graph as a Mermaid diagram, for people."""
    drawn = ask_graph().get_graph().draw_mermaid(with_styles=False)
    return drawn.replace("&nbsp;", "").replace("\t", "  ").strip()


async def plan_as_is(state: State, runtime: Runtime[Run]) -> State:
    """Search for exactly what was asked."""
    return {"standalone": state["question"], "queries": [state["question"]], "told": ""}


def _planned(state: State) -> str | list[Send]:
    """Send off one search for each question, side by side; code answers what no document is asked."""
    if state.get("about"):
        return "catalogue"
    narrow, statements = state.get("narrow", []), state.get("statements", [])
    return [
        Send("retrieve", State(queries=[query], narrow=narrow, place=place, statements=statements))
        for place, query in enumerate(state["queries"])
    ]


def told(node: Node) -> Telling:
    """Let a node tell its step, with its milliseconds, once it is done."""

    async def telling(state: State, *, runtime: Runtime[Run]) -> State:
        start = time.perf_counter()
        update = await node(state, runtime)
        facts = update.pop("facts", {})
        if label := update.pop("told", ""):
            ms = (time.perf_counter() - start) * 1000
            if judged := runtime.context.judged():
                facts = {**facts, "rails": judged}
            runtime.stream_writer(Step(node=node.__name__, label=label, ms=round(ms, 1), facts=facts))
        return update

    return telling


def _asked(state: State) -> str:
    return "refused" if state.get("refused") else "passed"


def _found(state: State) -> str:
    return "evidence" if state.get("evidence") or state.get("about") == "courtesy" else "nothing"


def _standing(state: State) -> str:
    return "stands" if state.get("draft") is not None else "falls"


def _written(state: State, runtime: Runtime[Run]) -> str:
    if state.get("draft") is not None:
        return "sentence"
    run = runtime.context
    local = run.writer.writes_as == "local"
    rounds = run.settings.local_rounds if local else run.settings.max_rounds
    gap = not (state.get("sentences") or state.get("about")) and state.get("reason") != "budget"
    return "gap" if gap and state.get("round", 1) < rounds and run.left_s > 0 else "end"
