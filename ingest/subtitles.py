"""Subtitles as text, SRT and WebVTT, and what is said as sentences with their times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape
from pathlib import Path

from ingest.charset import decode
from ingest.records import Cue, Element, Moment

#: The files beside a film that are its subtitles: `clip.mp4` has `clip.srt` or `clip.en.vtt`.
ENDINGS = (".srt", ".vtt", ".en.srt", ".en.vtt")
MAX_BYTES = 8 * 1024 * 1024
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
_LINE = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}")
_MARKUP = re.compile(r"<[^>]*>|\{\\[^}]*\}")
#: Speech goes on over a pause this long; a longer one ends a sentence that has no full stop.
_PAUSE_S = 1.5
#: No sentence is longer, whatever its punctuation: music is written down as one.
_MOST_WORDS = 60
_ENDS = re.compile(r"[.?!…][\"')\]]?$")
_NO_END = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|No|vs|etc|e\.g|i\.e|[A-Z])\.$")


def beside(film: Path) -> Path | None:
    """Return the subtitles that lie beside a film under its name."""
    for ending in ENDINGS:
        found = film.with_name(film.stem + ending)
        if found.is_file() and not found.is_symlink() and found.stat().st_size <= MAX_BYTES:
            return found
    return None


def parse(content: bytes) -> tuple[Cue, ...]:
    """Read SRT or WebVTT; blocks that are neither are left out."""
    cues = []
    for block in re.split(r"\n\s*\n", decode(content).replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip("\ufeff\n").split("\n")
        found = ((n, match) for n, line in enumerate(lines) if (match := _LINE.match(line)))
        at, times = next(found, (0, None))
        if times is None:
            continue
        text = " ".join(unescape(_MARKUP.sub("", line)).strip() for line in lines[at + 1 :])
        start_s, end_s = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
        if text.strip() and end_s >= start_s:
            cues.append(Cue(start_s=start_s, end_s=end_s, text=" ".join(text.split())))
    return tuple(sorted(cues, key=lambda cue: cue.start_s))


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, thousandths = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{thousandths}")


def sentences(cues: Sequence[Cue]) -> Iterator[Element]:
    """Join cues to sentences, each an element that knows when every cue of it is said."""
    held: list[Cue] = []
    for cue in _parted(cues):
        if held and cue.start_s - held[-1].end_s > _PAUSE_S:
            yield _said(held)
            held = []
        held.append(cue)
        words = sum(len(one.text.split()) for one in held)
        ended = _ENDS.search(cue.text) and not _NO_END.search(cue.text)
        if ended or words >= _MOST_WORDS:
            yield _said(held)
            held = []
    if held:
        yield _said(held)


def _parted(cues: Sequence[Cue]) -> Iterator[Cue]:
    """Cut cues in which a sentence ends; each part gets its share of the time, by its letters."""
    for cue in cues:
        parts = re.split(r"(?<=[.?!])\s+(?=[A-Z\"'])", cue.text)
        at_s, letters = cue.start_s, sum(map(len, parts)) or 1
        for part in parts:
            until_s = at_s + (cue.end_s - cue.start_s) * len(part) / letters
            yield Cue(start_s=at_s, end_s=until_s, text=part)
            at_s = until_s


def _said(cues: Sequence[Cue]) -> Element:
    moments, at = [], 0
    for cue in cues:
        end = at + len(cue.text)
        moments.append(Moment(start=at, end=end, start_s=cue.start_s, end_s=cue.end_s))
        at = end + 1
    return Element(
        kind="speech", text=" ".join(cue.text for cue in cues), spans=(), moments=tuple(_fewer(moments))
    )


#: Moments closer than this are kept as one: a word every 0.3 s would double what a chunk takes up.
_MOMENT_S = 1.5


def _fewer(moments: Sequence[Moment]) -> Iterator[Moment]:
    held: Moment | None = None
    for one in moments:
        if held is None or one.end_s - held.start_s > _MOMENT_S:
            if held is not None:
                yield held
            held = one
        else:
            held = Moment(start=held.start, end=one.end, start_s=held.start_s, end_s=one.end_s)
    if held is not None:
        yield held
