"""`pagewarden models serve` becomes vLLM with our flags, and runs no code that nobody has looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.serving import ENVIRONMENT, SERVERS

ROOT = Path(__file__).parents[2]


def serve(*words: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "api", "models", "serve", *words]
    environment = os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_process_becomes_vllm_with_the_flags_of_its_role(tmp_path: Path) -> None:
    stand_in = tmp_path / "vllm"
    stand_in.write_text('#!/bin/sh\nfor word in "$@"; do echo "word $word"; done\nenv\n', "utf-8")
    stand_in.chmod(0o755)
    done = serve("guard", "--gpu-memory", "0.5", "--port", "8004", path=f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    words = [line.removeprefix("word ") for line in lines if line.startswith("word ")]
    assert words == ["serve", *SERVERS["guard"].command(gpu_memory=0.5, port=8004)]
    assert {f"{name}={value}" for name, value in ENVIRONMENT.items()} <= set(lines)
    assert not [line for line in lines if line.startswith("HF_HUB_OFFLINE=")]


def test_code_of_a_repository_is_not_run_without_a_commit() -> None:
    for words in (["embed"], ["vision", "--precision", "bf16"], ["vision", "--model", "somebody/else"]):
        refused = serve(*words, "--print")
        assert refused.returncode == 2
        assert "--revision" in refused.stderr
        assert refused.stdout == ""
    pinned = serve("embed", "--revision", "0123abc", "--print")
    assert pinned.returncode == 0
    assert "--revision=0123abc --trust-remote-code --code-revision=0123abc" in pinned.stdout


def test_a_folder_is_its_own_pin(tmp_path: Path) -> None:
    told = serve("vision", "--model", str(tmp_path), "--print")
    assert told.returncode == 0
    assert f" {tmp_path} " in told.stdout
    assert "--revision" not in told.stdout


def test_without_vllm_it_says_how_to_get_it() -> None:
    done = serve("vision")
    assert done.returncode == 4
    assert "pagewarden[vllm]" in done.stderr


@pytest.mark.parametrize(
    "words", [["guard", "--precision", "fp8"], ["nobody"], ["vision", "--gpu-memory", "2"]]
)
def test_what_does_not_fit_is_a_usage_error(words: list[str]) -> None:
    assert serve(*words).returncode == 2
