"""Scenes shown to a vision model: what is sent, what it costs, and what is kept where it fails."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ingest import clips, video
from ingest.errors import ModelReply
from ingest.watching import MOST_PICTURES, SceneReply, Shot, Watcher
from tests.ingest.films import pattern, slide, write_film

MP4 = "video/mp4"


class Model:
    """Sees a red lift in everything, or fails."""

    name, writes_as, context_tokens, sees_images = "nano", "served", 49_152, True

    def __init__(self, error: ModelReply | None = None) -> None:
        self.error, self.sent = error, []  # type: ignore[var-annotated]

    async def reply(self, messages: Any, **more: Any) -> SceneReply:
        self.sent.append(messages)
        if self.error:
            raise self.error
        return SceneReply(seen="A red\nlift.", written=["EXIT"])


def watcher(model: Model, *, by_clips: bool = True) -> Watcher:
    return Watcher(model, clips=by_clips, pruning_rate=0.75, slots=1, wait_s=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frames", "rate", "tokens"),
    [(128, 0, 32_768), (128, 0.5, 16_384), (128, 0.75, 8_192), (8, 0.75, 512), (8, 0.9, 256), (1, 0.9, 256)],
)
def test_a_pruned_clip_costs_its_share_and_never_less_than_a_frame(
    frames: int, rate: float, tokens: int
) -> None:
    assert clips.video_tokens(frames, pruning_rate=rate) == tokens


def test_a_clip_has_the_frames_that_a_server_takes(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write_film(path, [(pattern(1), 3), (pattern(2), 3)])
    with av.open(io.BytesIO(video.clip(path, MP4, start_s=0, end_s=6))) as made:
        assert made.streams.video[0].frames == clips.frames_of(6) == 12


def test_frames_that_show_nothing_new_are_not_sent_and_the_rest_keep_their_times(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write_film(path, [(slide("ONE"), 10), (slide("TWO", ground="yellow"), 10)])
    found = video.frames(path, MP4, start_s=2, end_s=20, most=MOST_PICTURES)
    assert [round(at_s, 1) for at_s, _ in found] == [0.0, 8.0]
    moving = [np.roll(np.asarray(pattern(3, size=(128, 72))), 8 * n, axis=1) for n in range(10)]
    assert clips.changing(moving) == list(range(10))
    assert clips.spread(list(range(40)), most=3)[::2] == [0, 39]


@pytest.mark.anyio
@pytest.mark.parametrize("by_clips", [True, False])
async def test_a_clip_and_pictures_are_never_in_one_request(by_clips: bool) -> None:
    model = Model()
    frames = () if by_clips else ((0.0, b"one"), (2.5, b"two"))
    shot = Shot(seconds=6, clip=b"clip" if by_clips else b"", frames=frames)
    elements = await watcher(model, by_clips=by_clips).watch(shot, on_wait=lambda waits: None)
    assert [element.text for element in elements] == ["Seen: A red lift.", "Written there: EXIT"]
    assert all(element.by_model and not element.moments for element in elements)
    system, user = model.sent[0]
    assert system.text == "/no_think"
    assert bool(user.video) != bool(user.images)
    assert ("0.0, 2.5 seconds" in user.text) != by_clips


@pytest.mark.anyio
async def test_what_does_not_fit_or_fails_is_told() -> None:
    small = Model()
    small.context_tokens = 1000
    with pytest.raises(ModelReply, match="does not fit"):
        await watcher(small).watch(Shot(seconds=60, clip=b"clip"), on_wait=lambda waits: None)
    assert small.sent == []
    with pytest.raises(ModelReply, match="nonsense"):
        await watcher(Model(ModelReply("nonsense"))).watch(Shot(seconds=6, clip=b"c"), on_wait=lambda w: None)
