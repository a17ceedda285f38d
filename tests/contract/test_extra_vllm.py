"""The extra `vllm` can be installed beside ours, at a version that knows our flags, and is in no lock."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]


def test_the_extra_has_a_floor_and_is_in_no_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (wanted,) = (Requirement(line) for line in project["optional-dependencies"]["vllm"])
    assert "0.32.0" in wanted.specifier
    assert "0.31.9" not in wanted.specifier
    for lock in (ROOT / "requirements.lock", ROOT / "tests" / "requirements.lock"):
        assert "\nvllm==" not in lock.read_text("utf-8")


@pytest.mark.slow
@pytest.mark.vllm
def test_the_extra_resolves_to_a_version_that_knows_our_flags(vllm_venv: Path, tmp_path: Path) -> None:
    # The fixture is for its skip alone: a plain `make test` asks no package index.
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not here to resolve the extra")
    words = [uv, "pip", "compile", str(ROOT / "pyproject.toml"), "--extra", "vllm"]
    words += ["--python-version", "3.12", "--no-annotate", "--no-header", "--quiet"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    if done.returncode != 0 and any(word in done.stderr for word in ("dns", "connect", "timed out")):
        pytest.skip("the package index cannot be reached from here")
    assert done.returncode == 0, done.stderr
    pins = dict(line.split("==", 1) for line in done.stdout.splitlines() if "==" in line)
    assert Version(pins["vllm"].split(" ")[0]) >= Version("0.32")
    assert Version("0.133") <= Version(pins["fastapi"].split(" ")[0])
