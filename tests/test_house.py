"""The house itself: locks, settings, containers and the sample agree with what the code says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from api.sample import sample_files

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "docs" / "sample"
LOCKS = {"product": ROOT / "requirements.lock", "tests": ROOT / "tests" / "requirements.lock"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def blocks(name: str) -> list[str]:
    """Return the requirements of a lock, each joined with its hash lines."""
    text = LOCKS[name].read_text("utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def locked(name: str) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for block in blocks(name):
        pin = Requirement(block.partition("--hash")[0].strip())
        (version,) = (spec.version for spec in pin.specifier)
        found.setdefault(canonicalize_name(pin.name), []).append(Version(version))
    return found


def asked(*extras: str) -> list[Requirement]:
    declared = project()
    lines = [*declared["dependencies"]] if not extras else []
    lines += [line for extra in extras for line in declared["optional-dependencies"][extra]]
    return [Requirement(line) for line in lines]


def extras_locked() -> list[str]:
    """Return the extras that the Makefile locks for the tests."""
    return re.findall(r"^TESTED := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)[0].split()


def misfits(wanted: list[Requirement], *locks: str) -> list[str]:
    pinned = {name: versions for lock in locks for name, versions in locked(lock).items()}
    return [
        str(want)
        for want in wanted
        if not any(want.specifier.contains(v) for v in pinned.get(canonicalize_name(want.name), []))
    ]


def test_every_dependency_is_locked_at_a_version_that_fits() -> None:
    assert misfits([*asked(), *asked("local"), *asked("build")], "product") == []
    assert misfits(asked("dev", *extras_locked()), "product", "tests") == []


def test_the_tests_lock_only_adds() -> None:
    assert set(locked("tests")) & set(locked("product")) == set()


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_version_has_hashes_and_nothing_names_a_place(name: str) -> None:
    for block in blocks(name):
        assert re.fullmatch(
            r"[a-z0-9.-]+==[^\s;]+( ; [^-]*?(?:-[^-]+)*?)?\s+(--hash=sha256:[0-9a-f]{64}\s*)+", block
        ), block[:80]
    assert not re.search(r"://|--index|--find-links|--extra-index| @ ", LOCKS[name].read_text("utf-8"))


def test_no_lock_holds_torch_or_the_opencv_that_wants_libgl() -> None:
    held = set(locked("product")) | set(locked("tests"))
    assert held & {"torch", "torchvision", "opencv-python", "vllm", "litellm"} == set()
    assert "opencv-python-headless" in held


def test_env_example_is_what_the_settings_say() -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "env_example.py")], capture_output=True, text=True, check=True
    )
    assert made.stdout == (ROOT / ".env.example").read_text("utf-8"), "run `make env-example`"


def test_make_help_names_the_two_commands() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {"run", "test"} <= {line.split()[0] for line in told.splitlines()}


@pytest.mark.parametrize(("once", "ends"), [("", ""), ("1", "--once")])
def test_make_run_serves_the_sample(once: str, ends: str) -> None:
    plan = subprocess.run(
        ["make", "--no-print-directory", "-n", "run", "PORT=8123", f"ONCE={once}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert plan[0] == ".ci/set_up"
    assert plan[1].endswith("pagewarden models pull")
    assert plan[2].endswith(f"pagewarden serve --sample --port 8123 {ends}")


def test_the_image_installs_from_the_lock_and_runs_without_root() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("FROM")] == [
        "FROM python:3.12-slim-bookworm AS build",
        "FROM python:3.12-slim-bookworm",
    ]
    assert "RUN pip install --no-deps --require-hashes -r requirements.lock" in lines
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001"]


def questions() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLE / "questions.jsonl").read_text("utf-8").splitlines()]


def page_texts(path: Path) -> list[str]:
    document = pypdfium2.PdfDocument(path)
    try:
        return [" ".join(page.get_textpage().get_text_range().split()) for page in document]
    finally:
        document.close()


def test_the_sample_is_small_and_of_many_kinds() -> None:
    files = [path for path in SAMPLE.iterdir() if path.suffix in {".pdf", ".docx", ".pptx", ".html"}]
    assert {path.suffix for path in files} == {".pdf", ".docx", ".pptx", ".html"}
    assert sum(path.stat().st_size for path in files) < 6_000_000
    assert sum(len(page_texts(path)) for path in files if path.suffix == ".pdf") >= 30
    readme = (SAMPLE / "README.md").read_text("utf-8")
    assert [path.name for path in files if f"`{path.name}`" not in readme] == []


def test_the_scan_has_no_text_layer() -> None:
    assert "".join(page_texts(SAMPLE / "sqlite-deployment-scan.pdf")) == ""


def test_the_twelve_questions_cover_what_they_should() -> None:
    asked_for = questions()
    assert len(asked_for) == len({question["id"] for question in asked_for}) == 12
    kinds = [question["type"] for question in asked_for]
    assert kinds.count("table") >= 4
    assert kinds.count("unanswerable") in {2, 3}
    assert {"scan", "html", "slides", "text"} <= set(kinds)
    assert [question["id"] for question in asked_for if question.get("demo")] == ["sample-01", "sample-12"]
    assert asked_for[0]["type"] == "table"
    assert asked_for[-1]["type"] == "unanswerable"


def test_the_cell_of_a_question_stands_on_its_page() -> None:
    for question in questions():
        if question["doc"] is None:
            continue
        assert (SAMPLE / question["doc"]).is_file()
        if not question["doc"].endswith(".pdf"):
            continue
        for page in question["evidence_pages"]:
            text = page_texts(SAMPLE / question["doc"])[page - 1]
            if question["type"] != "scan":
                assert re.search(rf"\b{re.escape(question.get('cell', question['answer']))}\b", text)


def test_the_sample_library_holds_the_documents_that_its_page_names_and_nothing_else() -> None:
    told = re.findall(r"^\| `([^`]+)` \|", (SAMPLE / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [path.name for path in sample_files(SAMPLE)] == sorted(told)
