"""Every command of the compose file, read by the argument parser of the vLLM that it names."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ingest.serving import SERVERS
from tests.contract.vllm_cpu.server import environment
from tests.test_compose import MODELS, compose

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def parsed(vllm_venv: Path) -> dict[str, dict[str, Any]]:
    """Parse all of them in one process: importing vLLM takes half a minute."""
    services = compose(PAGEWARDEN_API_KEY="0123456789abcdef")["services"]
    commands = {name: services[name]["command"] for name in MODELS}
    commands["parse"] = SERVERS["parse"].command(revision="a" * 40)
    commands["wrong"] = [*commands["guard"], "--no-such-flag=1"]
    commands["garbled"] = [*commands["guard"], "--limit-mm-per-prompt={image"]
    # The parser looks for the templates, which stand elsewhere in the container.
    told = json.dumps(list(commands.values())).replace("=/templates/", f"={ROOT}/ingest/templates/")
    words = [str(vllm_venv / "bin" / "python"), str(HERE / "vllm_cpu" / "parse_flags.py")]
    done = subprocess.run(words, input=told, env=environment(), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return dict(zip(commands, answers, strict=True))


@pytest.mark.parametrize("name", [*MODELS, "parse"])
def test_vllm_understands_every_flag(parsed: dict[str, dict[str, Any]], name: str) -> None:
    assert "error" not in parsed[name], parsed[name]
    flags = parsed[name]["flags"]
    assert flags["enable_prefix_caching"] is False
    assert flags["allowed_media_domains"] == ["nowhere.invalid"]
    assert flags["max_num_queued_reqs"] >= 64
    assert flags["api_key"] in (None, [])


def test_the_vision_server_is_told_what_its_model_wants(parsed: dict[str, dict[str, Any]]) -> None:
    flags = parsed["vision"]["flags"]
    assert flags["limit_mm_per_prompt"] == {"image": 16, "video": 1}
    assert flags["video_pruning_rate"] == 0.75
    assert flags["media_io_kwargs"] == {"video": {"fps": 2, "num_frames": 128}}
    assert flags["mamba_ssm_cache_dtype"] == "float32"
    assert flags["max_model_len"] == 49152
    assert "disable_any_whitespace=True" in flags["structured_outputs_config"]


def test_a_flag_that_does_not_exist_would_be_noticed(parsed: dict[str, dict[str, Any]]) -> None:
    assert "no-such-flag" in parsed["wrong"]["error"]
    assert "error" in parsed["garbled"]
