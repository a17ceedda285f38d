"""The command line as others use it: clean stdout, an exit code, and a sentence for each error."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from jsonschema import Draft202012Validator

from agent.errors import WriterDown
from agent.records import SearchResult, Sentence, Step
from api.app import create_app
from api.cli.door import Running, announce, withdraw
from api.cli.gather import listed
from api.errors import KINDS, problem_of
from api.house import House
from api.settings import ApiSettings
from ingest import errors as ingest_errors
from ingest.records import Outcome
from tests.fakes import FakeAgent, FakeShelf, a_citation, a_document, an_answer, telling

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"


def pagewarden(*words: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PAGEWARDEN_")} | {
        "PAGEWARDEN_HOME": str(home)
    }
    command = [sys.executable, "-m", "api", *words]
    return subprocess.run(command, env=env | more, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def serving(house: House, tmp_path: Path) -> Iterator[Path]:
    """Serve the scripted house on loopback, announced in its home."""
    home = tmp_path / "served"
    settings = ApiSettings(home=home)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = Running(url=f"http://127.0.0.1:{listener.getsockname()[1]}", pid=os.getpid(), instance="it")
        app = create_app(house, settings=settings, instance="it")
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        announce(home, running)
        yield home
        withdraw(home, running)
        server.should_exit = True
        thread.join()
    assert not (home / "server.json").exists()


def fits(name: str, told: Any) -> None:
    Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text())).validate(told)


def test_help_imports_none_of_the_heavy_packages() -> None:
    code = (
        "import sys\n"
        "from api.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = ('fastapi', 'langgraph', 'onnxruntime', 'qdrant_edge', 'nemoguardrails', 'pydantic',\n"
        "         'PIL', 'pypdfium2', 'ingest.reading', 'ingest.sources')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stderr.strip() == "[]"
    for verb in (
        "serve",
        "add",
        "read",
        "ask",
        "search",
        "status",
        "rm",
        "models",
        "policy",
        "doctor",
        "eval",
    ):
        assert verb in told.stdout


def test_an_answer_is_one_json_document_and_the_exit_code_is_0(serving: Path, agent: FakeAgent) -> None:
    answer = an_answer(Sentence(text="It is 20.", citations=(1,)), citations=(a_citation(),))
    agent.script["How many?"] = telling(answer, Step(node="x", label="Looked", ms=1))
    told = pagewarden("ask", "How many?", "--json", home=serving)
    assert told.returncode == 0, told.stderr
    fits("answer", json.loads(told.stdout))
    assert told.stdout.count("\n") == 1


def test_people_get_sentences_on_stdout_and_steps_on_stderr(serving: Path, agent: FakeAgent) -> None:
    answer = an_answer(Sentence(text="It is 20.", citations=(1,)), citations=(a_citation(),), dropped=1)
    agent.script["How many?"] = telling(answer, Step(node="x", label="Looked", ms=1))
    told = pagewarden("--home", str(serving), "ask", "How many?", home=serving / "elsewhere")
    lines = told.stdout.splitlines()
    assert lines[0] == "It is 20. [1]"
    assert lines[2].startswith("[1] report.pdf, page 2, region 10%-90% across")
    assert f"/?d={a_citation().document_id}&page=2" in told.stdout
    assert "1 sentence was left out" in told.stdout
    assert "Looked" in told.stderr


@pytest.mark.parametrize(("kind", "code"), [("abstention", 0), ("refusal", 3)])
def test_an_abstention_leaves_with_0_and_a_refusal_with_3(
    serving: Path, agent: FakeAgent, kind: Any, code: int
) -> None:
    agent.script["?"] = telling(an_answer(kind=kind, text="No.", reason="why"))
    assert pagewarden("ask", "?", home=serving).returncode == code


def test_a_model_that_is_down_leaves_with_4_and_says_so(serving: Path, agent: FakeAgent) -> None:
    agent.script["?"] = [WriterDown("The model server does not answer; start it.")]
    told = pagewarden("ask", "?", "--json", home=serving)
    assert told.returncode == 4
    assert json.loads(told.stdout)["code"] == "model_down"
    assert "start it" in told.stderr


def test_adding_a_folder_tells_each_file_and_leaves_with_3_when_one_was_not_taken(
    serving: Path, shelf: FakeShelf, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("a")
    (folder / "b.pdf").write_text("b")
    (folder / ".hidden").write_text("c")
    shelf.refusals["b.pdf"] = Outcome(
        name="b.pdf", outcome="failed", reason="encrypted", detail="Wants a password."
    )
    told = pagewarden("add", str(folder), "--json", home=serving)
    assert told.returncode == 3, told.stderr
    fits("add", json.loads(told.stdout))
    assert [d["name"] for d in json.loads(told.stdout)["documents"]] == ["b.pdf", "sub/a.txt"]
    people = pagewarden("add", str(folder), "--collection", "reports", home=serving)
    assert people.stdout == ""
    assert "Wants a password." in people.stderr


def test_search_status_and_rm_go_through_the_server(
    serving: Path, agent: FakeAgent, shelf: FakeShelf
) -> None:
    held = a_document("report.pdf", tenant="default")
    shelf.held[held.id] = held
    agent.found = SearchResult(hits=())
    search = pagewarden("search", "x", "--doc", "report.pdf", "--json", home=serving)
    fits("search", json.loads(search.stdout))
    assert agent.searched[0][1].documents == (held.id,)
    fits("status", json.loads(pagewarden("status", "--json", home=serving).stdout))
    assert "report.pdf" in pagewarden("status", home=serving).stdout
    fits("removed", json.loads(pagewarden("rm", "report.pdf", "--json", home=serving).stdout))
    gone = pagewarden("rm", "report.pdf", "--json", home=serving)
    assert (gone.returncode, json.loads(gone.stdout)["code"]) == (3, "not_found")


def test_a_refused_search_leaves_with_3(serving: Path, agent: FakeAgent) -> None:
    agent.found = SearchResult(hits=(), refusal="override")
    told = pagewarden("search", "x", "--json", home=serving)
    assert (told.returncode, json.loads(told.stdout)) == (3, {"hits": [], "reason": "override"})


def test_an_unknown_document_is_a_usage_error(serving: Path) -> None:
    told = pagewarden("ask", "x", "--doc", "nope.pdf", "--json", home=serving)
    assert (told.returncode, json.loads(told.stdout)["code"]) == (2, "usage")


@pytest.mark.parametrize(
    "words", [["wizard"], ["ask"], ["search", "x", "--limit", "0"], ["add", "x", "--nope"]]
)
def test_what_does_not_fit_leaves_with_2(tmp_path: Path, words: list[str]) -> None:
    told = pagewarden(*words, home=tmp_path)
    assert told.returncode == 2
    assert told.stdout == ""


def test_no_weights_and_no_network_leave_with_4_and_name_the_command(tmp_path: Path) -> None:
    told = pagewarden("search", "x", "--json", home=tmp_path / "h", PAGEWARDEN_WEIGHTS=str(tmp_path / "none"))
    assert (told.returncode, json.loads(told.stdout)["code"]) == (4, "weights_missing"), told.stderr
    assert "pagewarden models pull" in told.stderr


def test_a_port_in_use_leaves_with_5(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = pagewarden("serve", "--json", "--port", str(taken.getsockname()[1]), home=tmp_path)
    assert (told.returncode, json.loads(told.stdout)["code"]) == (5, "port_in_use")
    assert "--port" in told.stderr


def test_listening_for_everyone_without_a_key_is_refused(tmp_path: Path) -> None:
    told = pagewarden("serve", "--host", "0.0.0.0", home=tmp_path)
    assert told.returncode == 2
    assert "PAGEWARDEN_API_KEY" in told.stderr


def test_a_stale_server_file_is_not_believed(tmp_path: Path) -> None:
    announce(tmp_path, Running(url="http://127.0.0.1:9", pid=1, instance="dead"))
    told = pagewarden("status", "--json", home=tmp_path, PAGEWARDEN_WEIGHTS=str(tmp_path / "none"))
    assert json.loads(told.stdout)["code"] == "weights_missing", "it opened the library itself"
    assert (tmp_path / "server.json").stat().st_mode & 0o077 == 0


def test_doctor_names_what_is_missing_and_its_fix(tmp_path: Path) -> None:
    told = pagewarden("doctor", "--json", home=tmp_path, PAGEWARDEN_WEIGHTS=str(tmp_path / "none"))
    checks = {check["name"]: check for check in json.loads(told.stdout)["checks"]}
    assert told.returncode == 4
    assert checks["models"]["fix"] == "pagewarden models pull retrieval"
    assert checks["modules"]["ok"]
    assert checks["python"]["ok"]


def test_models_are_listed_as_files(tmp_path: Path) -> None:
    told = pagewarden("models", "list", "--json", home=tmp_path, PAGEWARDEN_WEIGHTS=str(tmp_path / "none"))
    assert all(not model["present"] for model in json.loads(told.stdout)["models"])
    assert (
        pagewarden("models", "verify", home=tmp_path, PAGEWARDEN_WEIGHTS=str(tmp_path / "none")).returncode
        == 4
    )


EXITS = {
    **dict.fromkeys(["missing", "empty", "too_large", "too_many_pages", "unknown_type", "encrypted"], 3),
    **dict.fromkeys(["damaged", "unsafe_archive", "unsafe_markup", "timeout", "out_of_memory"], 3),
    **dict.fromkeys(["needs_program", "unreadable", "no_page_image", "bad_input"], 3),
    **dict.fromkeys(["address_refused", "not_fetched"], 3),
    **dict.fromkeys(
        ["weights_missing", "model", "model_down", "model_reply", "index_down", "incompatible"], 4
    ),
    **dict.fromkeys(["no_words", "prompt_too_long", "unscreened"], 4),
    "fenced": 4,
    "key_reused": 3,
    "locked": 5,
    "library": 1,
    "internal": 1,
}


def test_every_error_of_ingestion_has_an_exit_code_and_a_status() -> None:
    kinds = [
        one
        for one in vars(ingest_errors).values()
        if isinstance(one, type) and issubclass(one, ingest_errors.IngestError)
    ]
    assert {kind.code for kind in kinds} == set(EXITS)
    for kind in kinds:
        problem = problem_of(kind("Do this."))
        assert (problem.code, problem.kind.exit) == (kind.code, EXITS[kind.code])
        assert problem.detail == "Do this."
        assert 400 <= KINDS[kind.code].status < 600


def test_the_library_itself_is_never_added(tmp_path: Path) -> None:
    (tmp_path / "home" / "files").mkdir(parents=True)
    (tmp_path / "home" / "files" / "x.pdf").write_text("x")
    (tmp_path / "a.txt").write_text("a")
    assert listed([tmp_path], apart=tmp_path / "home") == [(tmp_path / "a.txt", "a.txt")]
    assert listed([tmp_path / "none.pdf"], apart=tmp_path) == [(tmp_path / "none.pdf", "none.pdf")]
