"""The graph is the picture that the README shows, and no way leads out but through its gates."""

from __future__ import annotations

from pathlib import Path

from agent.graph import ask_graph, picture

ROOT = Path(__file__).parents[2]


def test_the_readme_shows_the_graph_as_it_is() -> None:
    assert f"```mermaid\n{picture()}\n```" in (ROOT / "README.md").read_text("utf-8")


def test_nothing_is_released_but_after_verify_and_the_answer_rails() -> None:
    edges = {(edge.source, edge.target) for edge in ask_graph().get_graph().edges}
    into = {target: {s for s, t in edges if t == target} for _, target in edges}
    assert into["release"] == {"screen_answer"}
    assert into["screen_answer"] == {"verify"}
    assert into["verify"] == {"write"}


def test_nothing_is_planned_or_searched_but_after_the_question_rails() -> None:
    edges = {(edge.source, edge.target) for edge in ask_graph().get_graph().edges}
    assert {target for source, target in edges if source == "__start__"} == {"screen_question"}
    assert {source for source, target in edges if target == "plan"} == {"screen_question", "write"}
    assert {source for source, target in edges if target == "look"} == {"screen_evidence"}
