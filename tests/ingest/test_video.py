"""Films read as scenes: where they begin, and what is left of one that is broken or interrupted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest import subtitles, video
from ingest.chunk import chunk_pages
from ingest.errors import Damaged, Empty, InputError
from ingest.reading import Reader
from ingest.records import Cue, Moment, Page, Reading
from ingest.scenes import VERSION
from ingest.settings import IngestSettings
from ingest.shots import HEIGHT, WIDTH, cuts
from ingest.sources import open_source
from tests.ingest.films import pattern, slide, write_film

SETTINGS = IngestSettings(speech="off", readers=1)
MP4 = "video/mp4"


async def read(path: Path, folder: Path) -> Reading:
    source = open_source(path, name=path.name, settings=SETTINGS)
    return await Reader(SETTINGS).read(source, pages_dir=folder, on_page=lambda done, total: None)


def spans(pages: tuple[Page, ...]) -> list[tuple[float | None, float | None]]:
    return [(page.start_s, page.end_s) for page in pages]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_film(
        path,
        [(slide("ALPHA 17"), 4), (slide("BRAVO 23", ground="yellow"), 3), (pattern(3, size=(640, 360)), 3)],
    )
    return path


@pytest.mark.anyio
async def test_a_film_is_a_page_a_scene_with_its_seconds_and_its_words(film: Path, tmp_path: Path) -> None:
    reading = await read(film, tmp_path / "pages")
    assert spans(reading.pages) == [(0, 4), (4, 7), (7, 10)]
    words = [" ".join(element.text for element in page.elements) for page in reading.pages]
    assert "ALPHA 17" in words[0]
    assert "BRAVO 23" in words[1]
    assert all(page.has_image and page.read_by == "video" for page in reading.pages)
    assert (tmp_path / "pages" / "3.jpg").stat().st_size > 1000


@pytest.mark.parametrize(
    ("suffix", "codec", "form"),
    [
        (".mkv", "libx264", "matroska"),
        (".webm", "libvpx-vp9", "webm"),
        (".avi", "mpeg4", "avi"),
        (".ts", "mpeg2video", "mpegts"),
    ],
)
def test_other_containers_give_the_same_scenes(suffix: str, codec: str, form: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip{suffix}"
    rate = 25 if codec == "mpeg2video" else 10
    write_film(path, [(pattern(1), 3), (pattern(2), 3)], codec=codec, form=form, rate=rate)
    source = open_source(path, name="renamed.bin", settings=SETTINGS)
    stretch = video.read_stretch(
        path, source.media_type, from_s=0, first_no=1, pages_dir=tmp_path, longest_s=60, threads=1
    )
    assert [round(start, 1) for start, _ in stretch.shots] == [0.0, 3.0]
    assert stretch.next_s is None


def test_a_long_shot_is_split_and_a_flash_is_no_scene(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_film(path, [(pattern(1), 10), (pattern(9), 0.2), (pattern(1), 4)])
    stretch = video.read_stretch(path, MP4, from_s=0, first_no=1, pages_dir=tmp_path, longest_s=6, threads=1)
    assert all(end - start <= 6.01 for start, end in stretch.shots)
    assert round(stretch.shots[0][0]) == 0
    assert len(stretch.shots) <= 5


def test_what_moves_is_not_cut_and_what_fades_is() -> None:
    rng = np.random.default_rng(1)
    one = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((6, 8, 1))).astype(np.uint8)
    other = np.kron(rng.integers(0, 255, (6, 8, 3)), np.ones((6, 8, 1))).astype(np.uint8)
    times = [n / 10 for n in range(100)]
    assert one.shape == (HEIGHT, WIDTH, 3)
    moving = [np.roll(one, n, axis=1) for n in range(100)]
    assert cuts(times, moving) == []
    faded = [
        (one * (1 - share) + other * share).astype(np.uint8)
        for share in np.clip((np.arange(100) - 40) / 20, 0, 1)
    ]
    found = cuts(times, faded)
    assert len(found) == 1
    assert 4.0 <= found[0] <= 6.0
    assert cuts(times, [one] * 50 + [other] * 50) == [5.0]


@pytest.mark.anyio
async def test_of_a_film_that_breaks_off_what_came_before_is_kept_and_the_rest_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    # The index in front, so that a cut-off film still opens.
    write_film(
        whole,
        [(pattern(n, size=(640, 360)), 3) for n in range(10)],
        options={"movflags": "faststart"},
    )
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    reading = await read(broken, tmp_path / "pages")
    *kept, last = reading.pages
    assert reading.outcome == "partial"
    assert [page.start_s for page in kept[:3]] == [0, 3, 6]
    assert all(page.lost is None for page in kept)
    assert (last.flags, last.lost, last.has_image) == (("lost",), "damaged", False)
    assert last.start_s == kept[-1].end_s
    assert last.end_s == 30
    assert "breaks off" in last.reason or "cannot be read further" in last.reason


def test_a_film_without_its_index_and_other_files_under_its_name_have_a_named_outcome(
    film: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    source = open_source(cut, name=cut.name, settings=SETTINGS)
    with pytest.raises(Damaged, match="index is cut off"):
        video.facts(cut, source.media_type)
    named = tmp_path / "notes.mp4"
    named.write_text("These are the minutes of a meeting.\n" * 20)
    with pytest.raises(Damaged, match="holds no MP4"):
        open_source(named, name="notes.mp4", settings=SETTINGS)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"\0\0\0\x20ftypisom" + np.random.default_rng(1).bytes(5000))
    source = open_source(noise, name="noise.mp4", settings=SETTINGS)
    with pytest.raises(Damaged):
        video.facts(noise, source.media_type)


def test_a_film_of_no_seconds_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "nothing.avi"
    write_film(path, [(pattern(1), 0)], codec="mpeg4", form="avi")
    with pytest.raises(InputError) as caught:
        video.facts(path, "video/x-msvideo")
    assert isinstance(caught.value, Empty | Damaged)


def test_a_playlist_named_like_a_film_opens_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret.mp4"
    write_film(secret, [(pattern(1), 1)])
    path = tmp_path / "list.mp4"
    path.write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
    with pytest.raises(InputError):
        open_source(path, name="list.mp4", settings=SETTINGS)
    with pytest.raises(Damaged):
        video.facts(path, MP4)


@pytest.mark.anyio
async def test_subtitles_beside_a_film_are_its_words_and_their_change_is_seen(
    film: Path, tmp_path: Path
) -> None:
    film.with_suffix(".srt").write_text(
        "1\n00:00:00,500 --> 00:00:02,000\nThe first thing is\n\n"
        "2\n00:00:02,000 --> 00:00:03,500\nthe price of salt.\n\n"
        "3\n00:00:04,500 --> 00:00:06,000\n<i>It rose twice.</i>\n"
    )
    source = open_source(film, name=film.name, settings=SETTINGS)
    before = Reader(SETTINGS).version_of(source)
    reading = await read(film, tmp_path / "pages")
    said = [[e for e in page.elements if e.kind == "speech"] for page in reading.pages]
    assert [[e.text for e in one] for one in said] == [
        ["The first thing is the price of salt."],
        ["It rose twice."],
        [],
    ]
    assert said[1][0].moments == (Moment(start=0, end=14, start_s=4.5, end_s=6.0),)
    assert "subtitles beside it" in reading.pages[0].reason
    film.with_suffix(".srt").write_text("1\n00:00:00,500 --> 00:00:02,000\nOther words.\n")
    assert Reader(SETTINGS).version_of(source) != before
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    other = replace(source, media_type="application/pdf", path=tmp_path / "a.pdf")
    assert Reader(SETTINGS).version_of(other) == Reader(SETTINGS).version


def test_webvtt_and_odd_blocks_are_read() -> None:
    cues = subtitles.parse(
        b"WEBVTT\n\nNOTE x\n\nid\n00:01.000 --> 01:02.500 align:start\n<v Ann>Hi &amp; bye.</v>\n\nnonsense\n"
    )
    assert cues == (Cue(start_s=1.0, end_s=62.5, text="Hi & bye."),)


def test_sentences_keep_their_own_times_and_a_pause_ends_one() -> None:
    cues = [
        Cue(start_s=1.0, end_s=1.5, text="One"),
        Cue(start_s=1.5, end_s=2.0, text="two."),
        Cue(start_s=2.0, end_s=2.5, text="Three"),
        Cue(start_s=9.0, end_s=9.5, text="four"),
    ]
    made = list(subtitles.sentences(cues))
    assert [one.text for one in made] == ["One two.", "Three", "four"]
    assert [one.moments[0].start_s for one in made] == [1.0, 2.0, 9.0]


@pytest.mark.anyio
async def test_reading_goes_on_where_a_kill_ended_it(film: Path, tmp_path: Path) -> None:
    pages_dir = tmp_path / "pages"
    first = await read(film, pages_dir)
    known = pages_dir / VERSION
    # What a kill after the first key frame had left.
    for name in ("seen-2.json", "seen-3.json"):
        (known / name).unlink()
    times = {path.name: path.stat().st_mtime_ns for path in known.iterdir()}
    again = await read(film, pages_dir)
    assert again.pages == first.pages
    assert {path.name: path.stat().st_mtime_ns for path in known.iterdir() if path.name in times} == times
    assert (known / "seen-2.json").is_file()


def test_stretches_give_what_one_go_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.mp4"
    starts = write_film(path, [(pattern(n), 2 + n % 3) for n in range(12)])
    monkeypatch.setattr(video, "_STRETCH_S", 4.0)
    found: list[float] = []
    at_s: float | None = 0.0
    while at_s is not None:
        stretch = video.read_stretch(
            path, MP4, from_s=at_s, first_no=len(found) + 1, pages_dir=tmp_path, longest_s=6, threads=1
        )
        found += [round(start, 1) for start, _ in stretch.shots]
        at_s = stretch.next_s
    assert found == starts


@pytest.mark.anyio
async def test_chunks_of_speech_know_when_they_are_said(film: Path, tmp_path: Path) -> None:
    film.with_suffix(".vtt").write_text("WEBVTT\n\n00:07.500 --> 00:09.000\nThe price of salt rose.\n")
    reading = await read(film, tmp_path / "pages")
    chunks = chunk_pages(
        reading.pages,
        document_id="d",
        revision="r",
        recipe="x",
        max_tokens=50,
        count=lambda texts: [len(text.split()) for text in texts],
    )
    (said,) = [chunk for chunk in chunks if "salt" in chunk.text]
    assert said.moments[0].start_s == 7.5
    assert said.page_no == 3
    shown = next(chunk for chunk in chunks if "ALPHA" in chunk.text)
    assert (shown.start_s, shown.end_s) == (0, 4)


@pytest.mark.anyio
async def test_what_is_said_keeps_its_seconds_beside_what_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_film(path, [(slide("ALPHA 17 IS HERE"), 8)])
    path.with_suffix(".vtt").write_text("WEBVTT\n\n00:05.000 --> 00:07.000\nThe price of salt rose.\n")
    reading = await read(path, tmp_path / "pages")
    chunks = chunk_pages(
        reading.pages,
        document_id="d",
        revision="r",
        recipe="x",
        max_tokens=200,
        count=lambda texts: [len(text.split()) for text in texts],
    )
    (said,) = [chunk for chunk in chunks if "salt" in chunk.text]
    assert (said.start_s, said.end_s) == (5, 7)


@pytest.mark.anyio
async def test_one_letter_in_a_frame_is_no_word(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_film(path, [(slide("T"), 3), (slide("ON", ground="yellow"), 3)])
    reading = await read(path, tmp_path / "pages")
    first, second = reading.pages
    assert [(element.kind, element.text) for element in first.elements] == [("figure", "Picture.")]
    assert first.flags == ("no_text",)
    assert "OCR found no words" in first.reason
    assert "ON" in second.elements[0].text


def test_a_turned_film_is_shown_upright(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_film(path, [(slide("UP", size=(640, 360)), 2)])
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(turned_by_quarter(path.read_bytes()))
    assert (video.facts(path, MP4).width, video.facts(path, MP4).height) == (640, 360)
    assert (video.facts(turned, MP4).width, video.facts(turned, MP4).height) == (360, 640)


def turned_by_quarter(content: bytes) -> bytes:
    """Write a quarter turn into the matrix of the track's header (ISO 14496-12, 8.3.2)."""
    at = content.index(b"tkhd") + 4 + 40
    turn = [0, 0x10000, 0, -0x10000, 0, 0, 360 << 16, 0, 0x40000000]
    return content[:at] + b"".join(n.to_bytes(4, "big", signed=True) for n in turn) + content[at + 36 :]


def test_sound_stands_where_it_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_film(path, [(pattern(1), 4)], tone=True)
    assert video.facts(path, MP4).has_sound
    heard = video.sound(path, MP4, from_s=1, to_s=3)
    assert abs(len(heard) - 2 * video.SAMPLE_RATE) < 2000
    assert 0.05 < float(np.abs(heard).max()) < 0.2


@pytest.mark.anyio
async def test_without_sound_or_ears_the_page_says_so(film: Path, tmp_path: Path) -> None:
    silent = await read(film, tmp_path / "silent")
    assert "It has no sound." in silent.pages[0].reason
    loud = tmp_path / "loud.mp4"
    write_film(loud, [(pattern(1), 3)], tone=True)
    reading = await read(loud, tmp_path / "loud")
    assert "no speech model is here" in reading.pages[0].reason
    assert reading.pages[0].lost is None
