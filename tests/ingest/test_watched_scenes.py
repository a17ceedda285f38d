"""Scenes watched by a served model: what is sent, what is kept, and what becomes of a reply that fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingest import video
from ingest.clips import FRAME_TOKENS, changing, clip_tokens, frames_of, spread, video_tokens
from ingest.errors import ModelReply
from ingest.reading import Reader
from ingest.records import Reading
from ingest.settings import IngestSettings
from ingest.sources import open_source
from ingest.watching import MOST_PICTURES, Shot, Watcher
from tests.fakes import FakeModel
from tests.ingest.films import moving, pattern, slide, write_film

pytestmark = pytest.mark.anyio
MP4 = "video/mp4"
SETTINGS = IngestSettings(speech="off", readers=1)
SEEN = {"seen": "A red lift stands before a wall.", "written": ["EXIT"]}


@dataclass
class Pauses:
    """Whether reading waited."""

    told: list[bool] = field(default_factory=list)

    def __call__(self, begins: bool) -> None:
        self.told.append(begins)


def watcher(model: FakeModel, *, clips: bool = True, rate: float = 0.75) -> Watcher:
    return Watcher(model, clips=clips, pruning_rate=rate, slots=2, wait_s=1)


async def read(path: Path, folder: Path, watched_by: Watcher) -> Reading:
    source = open_source(path, name=path.name, settings=SETTINGS)
    reader = Reader(SETTINGS, watcher=watched_by)
    return await reader.read(source, pages_dir=folder, on_page=lambda done, total: None)


@pytest.mark.parametrize("clips", [True, False])
async def test_a_scene_goes_as_a_clip_or_as_frames_and_never_as_both(clips: bool, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_film(path, [(pattern(1), 3), (pattern(2), 3)])
    model = FakeModel(replies=[SEEN, SEEN], context_tokens=32_000)
    reading = await read(path, tmp_path / "pages", watcher(model, clips=clips))
    assert len(model.asked) == 2
    for system, user in model.asked:
        assert system.text == "/no_think"
        assert bool(user.video) is clips
        assert bool(user.images) is not clips
        assert len(user.images) <= MOST_PICTURES
    for page in reading.pages:
        assert [element.text for element in page.elements if element.by_model] == [
            "Seen: A red lift stands before a wall.",
            "Written there: EXIT",
        ]
        assert "fake-model-" not in page.reason
        assert "fake-model watched it." in page.reason


async def test_a_scene_that_the_model_fails_on_says_so_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_film(path, [(slide("ALPHA 17"), 3)])
    model = FakeModel(replies=[ModelReply("It wrote no JSON.")], context_tokens=32_000)
    (page,) = (await read(path, tmp_path / "pages", watcher(model))).pages
    assert "could not watch it: It wrote no JSON." in page.reason
    assert page.lost is None
    assert "ALPHA 17" in page.elements[0].text


async def test_what_was_watched_is_not_watched_again(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_film(path, [(pattern(1), 3)])
    first = await read(path, tmp_path / "pages", watcher(FakeModel(replies=[SEEN], context_tokens=32_000)))
    idle = FakeModel(context_tokens=32_000)
    again = await read(path, tmp_path / "pages", watcher(idle))
    assert again.pages == first.pages
    assert idle.asked == []


async def test_a_scene_that_does_not_fit_is_not_sent() -> None:
    model = FakeModel(context_tokens=4096)
    with pytest.raises(ModelReply, match="does not fit"):
        await watcher(model, rate=0.0).watch(Shot(seconds=60, clip=b"x"), on_wait=Pauses())
    assert model.asked == []


def test_the_formula_of_the_server_has_one_frame_as_its_floor() -> None:
    counts = [video_tokens(128, pruning_rate=rate) for rate in (0, 0.5, 0.75, 0.9)]
    assert counts == [32_768, 16_384, 8_192, 3_276]
    assert video_tokens(2, pruning_rate=0.9) == FRAME_TOKENS
    assert (frames_of(0.1), frames_of(10), frames_of(600)) == (1, 20, 128)
    assert clip_tokens(10, pruning_rate=0) > 20 * FRAME_TOKENS


@pytest.mark.parametrize(("kind", "least", "most"), [("still", 1, 1), ("talking", 2, 12), ("action", 20, 20)])
def test_frames_in_which_nothing_changed_are_left_out(
    kind: str, least: int, most: int, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    write_film(path, moving(kind, seconds=10))
    kept = video.frames(path, MP4, start_s=0, end_s=10, most=128)
    assert least <= len(kept) <= most
    times = [at_s for at_s, _ in kept]
    assert times == sorted(times)
    assert all(round(at_s * 2, 1) == round(at_s * 2) for at_s in times), "they keep their true seconds"
    assert len(video.frames(path, MP4, start_s=0, end_s=10, most=4)) <= 4


def test_of_too_many_frames_the_first_and_the_last_are_among_those_kept() -> None:
    assert spread(list(range(100)), most=4) == [0, 33, 66, 99]
    assert spread([0, 5], most=4) == [0, 5]
    assert spread([0, 5], most=1) == [0]
    assert changing([]) == []
