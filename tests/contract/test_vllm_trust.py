"""A model folder that brings Python of its own: run only where the flags say so, by a named commit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from ingest.serving import SERVERS, UNPINNED, ModelServer
from tests.contract.vllm_cpu import tiny_models
from tests.contract.vllm_cpu.server import environment

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

LOADS = """
import sys
from vllm.transformers_utils.config import get_config
get_config(sys.argv[1], trust_remote_code=sys.argv[2] == "trusted")
"""


def evil(folder: Path) -> tuple[Path, Path]:
    """Make a model whose configuration leaves a file behind when it is run."""
    model, trace = tiny_models.nano_vl(folder / "model", tile=64), folder / "was-run"
    own = model / "configuration.py"
    own.write_text(f"open({str(trace)!r}, 'w').close()\n" + own.read_text("utf-8"), "utf-8")
    return model, trace


def loads(venv: Path, model: Path, how: str) -> subprocess.CompletedProcess[str]:
    words = [str(venv / "bin" / "python"), "-c", LOADS, str(model), how]
    return subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=400)


def test_code_of_a_model_is_not_run_unless_it_is_trusted(vllm_venv: Path, tmp_path: Path) -> None:
    model, trace = evil(tmp_path)
    refused = loads(vllm_venv, model, "stranger")
    assert refused.returncode != 0
    assert "trust" in refused.stderr
    assert not trace.exists()
    # The trap works: where it is trusted, it is run.
    loads(vllm_venv, model, "trusted")
    assert trace.exists()


def test_the_server_itself_refuses_such_a_model(vllm_venv: Path, tmp_path: Path) -> None:
    model, trace = evil(tmp_path)
    words = [str(vllm_venv / "bin" / "vllm"), "serve", str(model), "--load-format=dummy", "--port=0"]
    ended = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=400)
    assert ended.returncode != 0
    assert not trace.exists()


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_trust_comes_with_a_commit(server: ModelServer) -> None:
    words = server.command(revision=server.checkpoint.revision or UNPINNED)
    pinned = [word for word in words if word.startswith(("--revision=", "--code-revision="))]
    assert len(pinned) == (2 if server.runs_its_code else 1)
    assert ("--trust-remote-code" in words) == server.runs_its_code
    assert "main" not in json.dumps(pinned)
