"""A film as pages: each scene is a page with its seconds, its key frame, and the words said and shown in it.

Shots, words and what stands in key frames are found one after the other in reading children. What is found is
written beside the key frames as it comes: after a kill, reading goes on where it was. Words are those of
subtitles where there are any (beside the film, then in it), else what speech recognition hears. A sentence
belongs to the scene in which most of it is said.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread
import numpy as np
from pydantic import TypeAdapter

from ingest import child, subtitles
from ingest.child import Draft
from ingest.errors import IngestError, InputError, ModelReply, NeedsProgram, TooManyPages
from ingest.figures import WORDLESS
from ingest.films import Facts, Heard, Stretch
from ingest.records import Box, Cue, Element, Page, PageFlag, Span, clock, content_hash
from ingest.settings import IngestSettings
from ingest.shots import HEIGHT, SAME, WIDTH, differ
from ingest.sources import Source
from ingest.structure import Block, finish
from ingest.watching import MOST_PICTURES, Shot, Watcher

#: Goes into the ids of a film's chunks: raise it whenever the same film would be read differently.
VERSION = "film-3"

T = TypeVar("T")
#: Stands for a scene in which nothing is written and that no model watched: it is found by its film's name,
#: looked at where there are eyes, and what only these could tell is named where there are none.
_PICTURE = Element(
    kind="figure",
    text=WORDLESS,
    spans=(Span(start=0, end=len(WORDLESS), box=Box(x0=0, y0=0, x1=1, y1=1)),),
)
#: Points a pixel: a frame of 1280 pixels is as wide as a slide.
_POINT = 0.75
#: Scenes before one whose key frames are compared with its own: slides come back after the speaker was shown.
_COMPARED = 12
_DEAF = (
    "What is said was not written down: no speech model is here (`pagewarden models pull` fetches it, the "
    "extra `local` runs it)."
)


class InChild(Protocol):
    """Runs a call in a reading child; raises InputError where the child dies or runs out of time."""

    async def __call__(self, call: Callable[[], T], /) -> T: ...


class Transcriber(Protocol):
    """A server that writes down speech."""

    name: str

    async def words(self, wav: bytes, *, from_s: float) -> tuple[Cue, ...]:
        """Write down a WAV; times count from the film's beginning. Raises ModelDown, ModelReply."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """Who hears what is said: local weights in a folder, or a server."""

    name: str
    folder: Path | None = None
    server: Transcriber | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What reading a film needs from whoever reads files."""

    in_child: InChild
    #: Reads a key frame by OCR, or keeps what is known of it with the reason.
    look: Callable[[Callable[[], Draft], Draft], Awaitable[Draft]]
    on_page: Callable[[int, int], None]
    settings: IngestSettings
    ears: Ears | None
    watcher: Watcher | None
    on_wait: Callable[[bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What OCR read in a key frame."""

    blocks: tuple[Block, ...]
    reason: str
    lost: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a model saw in a scene."""

    elements: tuple[Element, ...]
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    sentences: tuple[Element, ...]
    #: Where they come from, or why there are none.
    told: str

    @staticmethod
    def of(cues: Sequence[Cue], told: str) -> _Words:
        return _Words(sentences=tuple(subtitles.sentences(cues)), told=told)


async def read_film(source: Source, pages_dir: Path, desk: Desk) -> list[Page]:
    """Read a film scene by scene; what is lost of it is a page of its own. Raises InputError's subclasses."""
    want_film()
    known = _Known(pages_dir / VERSION)
    await anyio.Path(known.folder).mkdir(parents=True, exist_ok=True)
    facts = await desk.in_child(partial(child.film_facts, source.path, source.media_type, desk.settings))
    spans, broken = await _spans(source, pages_dir, facts, known, desk)
    words = await _words(source, facts, known, desk)
    drafts = await _drafts(pages_dir, spans, facts, known, desk)
    watched = await _watched(source, spans, facts, known, desk)
    pages = _joined(drafts, spans, words, watched, has_image=facts.width > 0)
    return pages + ([_missing(len(pages) + 1, spans, broken, facts)] if broken else [])


def version(source: Source, settings: IngestSettings, ears: Ears | None, watcher: Watcher | None) -> str:
    """Name how a film is read: other subtitles, ears or eyes are other words."""
    file = subtitles.beside(source.path)
    said = "none" if ears is None else ears.name
    words = content_hash(file.read_bytes())[:12] if file is not None else said
    parts = [f"{VERSION}-{settings.scene_s:g}", words, *([watcher.version] if watcher else [])]
    return "+".join(parts)


def want_film() -> None:
    """Raise NeedsProgram where films cannot be decoded."""
    if find_spec("av") is None:
        raise NeedsProgram("Films need PyAV, which is not installed: pip install 'pagewarden[video]'.")


class _Known:
    """What was found so far, as files: each is written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def get(
        self, name: str, kind: type[T], make: Callable[[], Awaitable[T]], *, keep: Callable[[T], bool] = bool
    ) -> T:
        """Return what is known under `name`, or make it and keep it if it is worth that."""
        shape, path = TypeAdapter(kind), anyio.Path(self.folder / f"{name}.json")
        try:
            return shape.validate_json(await path.read_bytes())
        except (OSError, ValueError):
            made = await make()
        if not keep(made):
            return made
        part = path.with_suffix(".part")
        await part.write_bytes(shape.dump_json(made))
        await anyio.to_thread.run_sync(os.replace, part, path)
        return made


async def _spans(
    source: Source, pages_dir: Path, facts: Facts, known: _Known, desk: Desk
) -> tuple[list[tuple[float, float]], str | None]:
    """Return the scenes' seconds and why the film ends early, if it does."""
    longest_s = desk.settings.scene_s
    if not facts.width:
        parts = max(1, int(-(-(facts.duration_s or longest_s) // longest_s)))
        borders = [n * (facts.duration_s or longest_s) / parts for n in range(parts + 1)]
        return list(pairwise(borders)), None
    spans: list[tuple[float, float]] = []
    at_s: float | None = 0.0
    while at_s is not None:
        call = partial(
            child.film_stretch,
            source.path,
            source.media_type,
            at_s,
            len(spans) + 1,
            pages_dir,
            desk.settings,
        )
        try:
            stretch = await known.get(f"shots-{len(spans) + 1}", Stretch, partial(desk.in_child, call))
        except InputError as error:
            if not spans:
                raise
            return spans, error.detail
        spans += stretch.shots
        if len(spans) > desk.settings.max_pages:
            raise TooManyPages(
                f"The film has more than {desk.settings.max_pages} scenes; "
                "split it or raise PAGEWARDEN_INGEST_MAX_PAGES."
            )
        desk.on_page(0, len(spans))
        if stretch.broken:
            return spans, stretch.broken
        at_s = stretch.next_s
    return spans, None


async def _words(source: Source, facts: Facts, known: _Known, desk: Desk) -> _Words:
    """Return what is said: from subtitles beside the film or in it, else heard."""
    file = await anyio.to_thread.run_sync(subtitles.beside, source.path)
    if file is not None:
        cues = subtitles.parse(await anyio.Path(file).read_bytes())
        if cues:
            return _Words.of(cues, "Its words are those of the subtitles beside it.")
    call = partial(child.film_subtitles, source.path, source.media_type, desk.settings)
    inside = await known.get("subtitles", Heard, partial(desk.in_child, call))
    if inside.cues:
        return _Words.of(inside.cues, "Its words are those of the subtitles in it.")
    if not facts.has_sound:
        return _Words.of((), "It has no sound.")
    if desk.ears is None:
        return _Words.of((), _DEAF)
    return await _heard(source, known, desk, desk.ears)


async def _heard(source: Source, known: _Known, desk: Desk, ears: Ears) -> _Words:
    cues: list[Cue] = []
    at_s: float | None = 0.0
    while at_s is not None:
        make = partial(_window, source, at_s, desk, ears)
        try:
            heard = await known.get(f"{_plain(ears.name)}-{at_s:.2f}", Heard, make)
        except (InputError, ModelReply) as error:
            told = f"From {clock(at_s)} on nothing was written down. {error.detail}"
            return _Words.of(cues, told)
        cues += heard.cues
        at_s = heard.next_s
    told = f"Heard by {ears.name}." if cues else f"{ears.name} heard no word."
    return _Words.of(cues, told)


async def _window(source: Source, at_s: float, desk: Desk, ears: Ears) -> Heard:
    where = (source.path, source.media_type, at_s)
    if ears.server is None:
        assert ears.folder is not None
        return await desk.in_child(partial(child.film_words, *where, ears.folder, desk.settings))
    wav, next_s = await desk.in_child(partial(child.film_wav, *where, desk.settings))
    return Heard(cues=await ears.server.words(wav, from_s=at_s) if wav else (), next_s=next_s)


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in name)


async def _drafts(
    pages_dir: Path, spans: Sequence[tuple[float, float]], facts: Facts, known: _Known, desk: Desk
) -> list[Draft]:
    """Read the words of every key frame that shows something new, two at a time and more."""
    drafts = [
        Draft(
            no=no,
            width_pt=max(1, facts.width) * _POINT,
            height_pt=max(1, facts.height) * _POINT,
            read_by="video",
            reason=f"A scene from {clock(start_s)} to {clock(end_s)}.",
            known=(),
        )
        for no, (start_s, end_s) in enumerate(spans, start=1)
    ]
    if not facts.width:
        return [replace(raw, known=None, reason=f"{raw.reason} There is no picture.") for raw in drafts]
    if find_spec("rapidocr") is None:
        told = "Words in its picture were not read: OCR is not installed (pip install 'pagewarden[local]')."
        return [replace(raw, known=None, reason=f"{raw.reason} {told}") for raw in drafts]
    alike = await anyio.to_thread.run_sync(_alike, pages_dir, len(spans))
    done: dict[int, Draft] = {}

    async def look(raw: Draft) -> None:
        file = pages_dir / f"{raw.no}.jpg"
        call = partial(child.look_at_frame, file, raw, desk.settings)

        async def make() -> Seen:
            seen = await desk.look(call, raw)
            return Seen(blocks=seen.blocks, reason=seen.reason, lost=seen.lost)

        seen = await known.get(f"seen-{raw.no}", Seen, make, keep=lambda one: one.lost is None)
        done[raw.no] = replace(raw, known=None, blocks=seen.blocks, reason=seen.reason, lost=seen.lost)
        desk.on_page(len(done), len(spans))

    try:
        async with anyio.create_task_group() as group:
            for raw in drafts:
                if raw.no not in alike:
                    group.start_soon(look, raw)
    except* IngestError as errors:
        raise errors.exceptions[0] from None
    for raw in drafts:
        if raw.no in alike:
            same = done[alike[raw.no]]
            told = f"{raw.reason} It shows what scene {same.no} shows."
            done[raw.no] = replace(same, no=raw.no, reason=told)
    desk.on_page(len(drafts), len(drafts))
    return [done[raw.no] for raw in drafts]


async def _watched(
    source: Source, spans: Sequence[tuple[float, float]], facts: Facts, known: _Known, desk: Desk
) -> list[_Told]:
    """Have every scene looked at by the vision model, where there is one. Raises ModelDown."""
    watcher = desk.watcher
    if watcher is None or not facts.width:
        return [_Told(elements=(), told="") for _ in spans]
    told: dict[int, _Told] = {}

    async def watch(no: int, start_s: float, end_s: float) -> None:
        async def make() -> _Told:
            return await _asked(source, start_s, end_s, watcher, desk)

        name = f"{_plain(watcher.version)}-{no}"
        told[no] = await known.get(name, _Told, make, keep=lambda one: bool(one.elements))

    try:
        async with anyio.create_task_group() as group:
            for no, (start_s, end_s) in enumerate(spans):
                group.start_soon(watch, no, start_s, end_s)
    except* IngestError as errors:
        raise errors.exceptions[0] from None
    return [told[no] for no in range(len(spans))]


async def _asked(source: Source, start_s: float, end_s: float, watcher: Watcher, desk: Desk) -> _Told:
    most = 0 if watcher.clips else MOST_PICTURES
    call = partial(child.film_shot, source.path, source.media_type, start_s, end_s, most, desk.settings)
    try:
        clip, frames = await desk.in_child(call)
        shot = Shot(seconds=end_s - start_s, clip=clip, frames=frames)
        elements = await watcher.watch(shot, on_wait=desk.on_wait)
    except (InputError, ModelReply) as error:
        return _Told(elements=(), told=f"{watcher.name} could not watch it: {error.detail}")
    return _Told(elements=elements, told=f"{watcher.name} watched it.")


def _alike(pages_dir: Path, total: int) -> dict[int, int]:
    """Return for each scene that shows what an earlier one shows the number of that one."""
    fresh: list[tuple[int, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]] = []
    alike: dict[int, int] = {}
    for no in range(1, total + 1):
        pixels = np.frombuffer((pages_dir / f"{no}.small").read_bytes(), dtype=np.uint8)
        small = pixels.reshape(HEIGHT, WIDTH, 3)
        same = next((earlier for earlier, one in reversed(fresh) if differ(one, small) < SAME / 2), None)
        if same is None:
            fresh = [*fresh[-_COMPARED + 1 :], (no, small)]
        else:
            alike[no] = same
    return alike


def _joined(
    drafts: Sequence[Draft],
    spans: Sequence[tuple[float, float]],
    words: _Words,
    watched: Sequence[_Told],
    *,
    has_image: bool,
) -> list[Page]:
    """Put what is shown and what is said together on the axis of time."""
    said: list[list[Element]] = [[] for _ in spans]
    for sentence in words.sentences:
        said[_scene_of(sentence, spans)].append(_ended(sentence, spans[-1][1]))
    shown = finish([list(raw.blocks) for raw in drafts])
    return [
        Page(
            no=raw.no,
            width_pt=raw.width_pt,
            height_pt=raw.height_pt,
            read_by="video",
            reason=" ".join(filter(None, (raw.reason, words.told, seen.told))),
            elements=(
                *elements,
                *spoken,
                *seen.elements,
                *([_PICTURE] if has_image and not (raw.lost or elements or seen.elements) else []),
            ),
            flags=_flags(raw, [*elements, *spoken, *seen.elements]),
            lost=raw.lost,
            has_image=has_image,
            start_s=round(start_s, 3),
            end_s=round(end_s, 3),
        )
        for raw, elements, spoken, seen, (start_s, end_s) in zip(
            drafts, shown, said, watched, spans, strict=True
        )
    ]


def _flags(raw: Draft, elements: Sequence[Element]) -> tuple[PageFlag, ...]:
    if raw.lost is not None:
        return ("lost",)
    return () if any(element.text.strip() for element in elements) else ("no_text",)


def _ended(sentence: Element, end_s: float) -> Element:
    """End what is said with the film: subtitles of a longer cut go on after it."""
    within = [
        replace(one, start_s=min(one.start_s, end_s), end_s=min(one.end_s, end_s)) for one in sentence.moments
    ]
    return replace(sentence, moments=tuple(within))


def _scene_of(sentence: Element, spans: Sequence[tuple[float, float]]) -> int:
    """Return the place of the scene in which most of a sentence is said."""
    start_s, end_s = sentence.moments[0].start_s, sentence.moments[-1].end_s
    shared = [min(end_s, last) - max(start_s, first) for first, last in spans]
    return int(np.argmax(shared))


def _missing(no: int, spans: Sequence[tuple[float, float]], why: str, facts: Facts) -> Page:
    reached_s = spans[-1][1] if spans else 0.0
    end_s = max(reached_s, facts.duration_s or 0.0)
    of = f" of {clock(end_s)}" if end_s > reached_s else ""
    return Page(
        no=no,
        width_pt=1,
        height_pt=1,
        read_by="video",
        reason=f"{why.rstrip('.')} after {clock(reached_s)}{of}; export it again at its source.",
        elements=(),
        flags=("lost",),
        lost="damaged",
        has_image=False,
        start_s=round(reached_s, 3),
        end_s=round(end_s, 3),
    )
