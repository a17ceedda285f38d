"""A clip costs what `ingest/clips.py` says, at every pruning rate, where tiles have their true size."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from ingest import video
from ingest.clips import clip_tokens, frames_of, video_tokens
from ingest.serving import SERVERS
from tests.contract.conftest import SMALL
from tests.contract.vllm_cpu import server, tiny_models
from tests.contract.vllm_cpu.server import Running
from tests.ingest.films import pattern, write_film

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

#: 8 frames are what the small server takes of a clip; at .9 the formula's floor of one frame holds.
CLIPS_S = (4, 2)
#: <img> and </img> around each frame.
MARKS = 2


@pytest.fixture(scope="module", params=[0.0, 0.5, 0.75, 0.9])
def pruning(
    request: pytest.FixtureRequest, vllm_venv: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, float]]:
    """Serve Nemotron Nano 2 VL with a pruning rate; the last of two flags of one name counts."""
    folder = tmp_path_factory.mktemp("evs")
    model = tiny_models.nano_vl(folder / "model", tile=512)
    over = (*SMALL, f"--video-pruning-rate={request.param}")
    with server.serve(vllm_venv, SERVERS["vision"], model, log=folder / "log", over=over) as running:
        yield running, request.param


def clip(folder: Path, seconds: float) -> bytes:
    """Cut a clip as a scene is cut for the model: what moves in it is a bar."""
    film = folder / "film.mp4"
    scenes = []
    for step in range(int(seconds * 10)):
        picture = np.array(pattern(1, size=(512, 288)))
        picture[:, step * 8 : step * 8 + 40] = 255
        scenes.append((picture, 0.1))
    write_film(film, scenes)
    return video.clip(film, "video/mp4", start_s=0, end_s=seconds)


def prompt_tokens(running: Running, *parts: dict[str, Any]) -> int:
    asked = {
        "model": running.name,
        "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": "Look."}]}],
        "max_tokens": 1,
    }
    reply = httpx2.post(f"{running.base_url}/chat/completions", json=asked, timeout=300.0).json()
    return int(reply["usage"]["prompt_tokens"])


def test_a_clip_costs_what_the_formula_says(pruning: tuple[Running, float], tmp_path: Path) -> None:
    running, rate = pruning
    bare = prompt_tokens(running)
    measured, told = {}, {}
    for seconds in CLIPS_S:
        url = "data:video/mp4;base64," + base64.b64encode(clip(tmp_path, seconds)).decode("ascii")
        cost = prompt_tokens(running, {"type": "video_url", "video_url": {"url": url}}) - bare
        frames = frames_of(seconds)
        # One letter is one token here; lines stand between the frames.
        words = [f"Frame {n + 1} sampled at {n * 0.5:.2f} seconds: " for n in range(frames)]
        measured[seconds] = cost - sum(map(len, words)) - (frames - 1) - frames * MARKS
        told[seconds] = video_tokens(frames, pruning_rate=rate)
        # Words in life are a few letters a token: the bound holds with room for them.
        assert measured[seconds] + frames * MARKS < clip_tokens(seconds, pruning_rate=rate)
    print(f"q = {rate}: {measured} visual tokens by seconds")
    assert measured == told
