"""Where the real vLLM is, and one server at a time: each takes 3 to 4 GB and both cores while it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.serving import SERVERS
from tests.contract.vllm_cpu import server, tiny_models

#: What a tiny model on two cores is spared: a warm-up with 128 frames and 16 images takes minutes there.
SMALL = (
    "--max-num-seqs=8",
    '--limit-mm-per-prompt={"image":8,"video":1}',
    '--media-io-kwargs={"video":{"fps":2,"num_frames":8}}',
)


@pytest.fixture(scope="session")
def vllm_venv() -> Path:
    """Return the environment with the CPU build of vLLM; `make test-vllm` makes it and names it."""
    named = os.environ.get("PAGEWARDEN_VLLM_VENV")
    if not named:
        pytest.skip("no vLLM environment is named (PAGEWARDEN_VLLM_VENV); run `make test-vllm`")
    venv = Path(named)
    if not (venv / "bin" / "vllm").is_file():
        pytest.skip(f"no vLLM in {venv}; run `make test-vllm`")
    return venv


@pytest.fixture(scope="module")
def vision(vllm_venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Running]:
    """Serve Nemotron Nano 2 VL, tiny: tiles of 64 pixels, 4 tokens each, noise for answers."""
    folder = tmp_path_factory.mktemp("vision")
    model = tiny_models.nano_vl(folder / "model", tile=64)
    with server.serve(vllm_venv, SERVERS["vision"], model, log=folder / "log", over=SMALL) as running:
        yield running


@pytest.fixture(scope="module")
def vision_512(vllm_venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Running]:
    """Serve it with tiles of 512 pixels: every image costs what it costs in life."""
    folder = tmp_path_factory.mktemp("vision512")
    model = tiny_models.nano_vl(folder / "model", tile=512)
    with server.serve(vllm_venv, SERVERS["vision"], model, log=folder / "log", over=SMALL) as running:
        yield running


@pytest.fixture(scope="module")
def embed(vllm_venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Running]:
    """Serve llama-nemotron-embed-vl, tiny."""
    folder = tmp_path_factory.mktemp("embed")
    model = tiny_models.embed_vl(folder / "model")
    with server.serve(vllm_venv, SERVERS["embed"], model, log=folder / "log") as running:
        yield running


@pytest.fixture(scope="module")
def rerank(vllm_venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Running]:
    """Serve llama-nemotron-rerank-vl, tiny."""
    folder = tmp_path_factory.mktemp("rerank")
    model = tiny_models.rerank_vl(folder / "model")
    with server.serve(vllm_venv, SERVERS["rerank"], model, log=folder / "log") as running:
        yield running
