"""Habits that a machine can see: module docstrings, no blanket except, nothing read from the environment."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "api", "guardrails", "ingest")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

#: Where anything at all may be caught, how often, and why there.
CATCH_ALL = {
    "api/edge.py": (1, "the edge of HTTP"),
    "api/cli/edge.py": (1, "the edge of the command line"),
    "api/slack/desk.py": (1, "the edge of Slack: whoever asked gets an apology, never silence"),
    "guardrails/nemo.py": (1, "whatever it is becomes a closed verdict"),
    "ingest/index_edge.py": (1, "qdrant-edge raises bare Exception"),
    "ingest/objects.py": (1, "every driver of a store raises what it likes"),
    "ingest/worker.py": (1, "the edge of a worker: one file's surprise ends no other's job"),
    "ingest/child.py": (1, "the edge of a reading child: parsers of twenty formats raise what they like"),
}
#: Who may touch the environment, and why.
ENVIRONMENT = {
    "api/benchmark/suite.py": "what it hands to lmms-eval, its child: all of it, and the door's key",
    "api/startup.py": "the switches that stand before anything is imported",
    "ingest/elements.py": "unstructured phones home while it is imported, in a reading child too",
    "ingest/local_llm.py": "OpenMP reads its wait policy when it is loaded, in the child",
}
BANNED_WORDS = {"manager", "handler", "helper", "helpers", "util", "utils", "processor"}
BANNED_STARTS = ("do_", "process_", "handle_")
#: Names that the standard library's HTMLParser asks for.
GIVEN_NAMES = {"handle_starttag", "handle_endtag", "handle_data"}


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def words_of(name: str) -> set[str]:
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_"))


def test_a_module_says_what_it_is() -> None:
    assert [place(path) for path in FILES if not ast.get_docstring(tree(path))] == []


def catches_all(node: ast.AST) -> bool:
    """Say whether a handler swallows everything: it names no narrow class and does not raise again."""
    if not isinstance(node, ast.ExceptHandler):
        return False
    everything = node.type is None or (
        isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
    )
    last = node.body[-1]
    return everything and not (isinstance(last, ast.Raise) and last.exc is None)


def test_a_blanket_except_raises_again_or_stands_at_an_edge() -> None:
    found = {place(path): sum(map(catches_all, ast.walk(tree(path)))) for path in FILES}
    too_many = {name: n for name, n in found.items() if n > CATCH_ALL.get(name, (0, ""))[0]}
    assert too_many == {}


def test_the_environment_is_read_by_settings_alone() -> None:
    touching = {
        place(path)
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "putenv", "unsetenv"}
    }
    assert touching - set(ENVIRONMENT) == set()


def test_nothing_is_named_after_nothing() -> None:
    definitions = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    vague = []
    for path in FILES:
        names = [path.stem, *path.relative_to(ROOT).parts[:-1]]
        names += [node.name for node in ast.walk(tree(path)) if isinstance(node, definitions)]
        for name in names:
            if words_of(name) & BANNED_WORDS or (name.startswith(BANNED_STARTS) and name not in GIVEN_NAMES):
                vague.append((place(path), name))
    assert vague == []


def test_no_settings_are_made_at_import() -> None:
    made = [
        (place(path), ast.unparse(node))
        for path in FILES
        for node in tree(path).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).endswith("Settings")
    ]
    assert made == []


def test_no_package_below_tests_shadows_ours() -> None:
    assert [place(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a clone: git lists no files here")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_nothing_committed_names_a_registry_or_a_place_on_somebodys_machine() -> None:
    # Put together from halves, so that this file does not find itself.
    hosts = "|".join(
        f"{name}[.]{end}" for name, end in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))
    )
    folders = "|".join(("wo" + "rk", "ro" + "ot", "home/[a-z]+", "Users/[A-Za-z]+", "opt/(pypi|wheels)"))
    found = re.compile(rf"{hosts}|(?<![\w./$}}~-])/({folders})/")
    harmless = re.compile(r"/home/pagewarden")
    guilty = []
    for path in committed():
        if path.suffix in {".pdf", ".docx", ".pptx", ".png", ".ico", ".xlsx"}:
            continue
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
            if found.search(harmless.sub("", line)):
                guilty.append(f"{place(path)}:{number}: {line.strip()[:80]}")
    assert guilty == []


def test_nothing_committed_is_left_to_be_done() -> None:
    mark = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    guilty = [
        place(path)
        for path in committed()
        if path.suffix in {".py", ".md", ".toml", ".yml", ".js", ".css", ".co"}
        and mark.search(path.read_text("utf-8"))
    ]
    assert guilty == []
