"""The words of a chart as it shows them: phrases of one line, upright or slanted, each with its colours.

OCR gives words. What a chart says in one breath (a tick, a label) is put together again here, by the gaps
between words, and told from its surroundings by the colours of its ink and of what it stands on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ingest.words import Word

#: (height, width, 3) uint8, red green blue.
Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
T = TypeVar("T", np.uint8, np.bool_)
#: Words of one phrase stand nearer than this, in heights of their line.
_GAP = 0.62
#: Colours differ to the eye from about this on (largest difference of a channel).
DIFFERENT = 48
#: A slanted word is this much taller than its line.
_SLANTED = 1.5
#: Signs that OCR makes of markers and lines.
_STROKE = re.compile(r"^[^\w$€£+−–(\[\"'“‘%.-]+(?=\w)|^[一●•○](?=\w)")
_NO_WORD = re.compile(r"[^\w%]+|[Xx×○●◆■▲oOφ]")
_YEARS = re.compile(r"((?:19|20)\d\d)(?=(?:19|20)\d\d$)")
_DATES = re.compile(r"(?<=\b(?:19|20)\d\d)(?=[A-Z])|(?<=,(?:19|20)\d\d)(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A phrase as it stands in the picture, in pixels."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    #: Height of its letters' line.
    size: float
    #: Whether it runs upwards to the right; `turned`: whether it runs up or down.
    slanted: bool = False
    turned: bool = False
    #: How sure the reader was of its least sure word.
    sure: float = 1.0
    ink: Colour = (0, 0, 0)
    ground: Colour = (255, 255, 255)

    @property
    def upright(self) -> bool:
        """Whether it runs from left to right."""
        return not self.slanted and not self.turned

    @property
    def x(self) -> float:
        """The middle across."""
        return (self.x0 + self.x1) / 2

    @property
    def y(self) -> float:
        """The middle down."""
        return (self.y0 + self.y1) / 2


def marks_of(words: Sequence[Word], pixels: Pixels) -> list[Mark]:
    """Put words (in pixels) together to phrases with their colours, in reading order."""
    upright = [_mark(w) for w in _parted(words) if not w.turn and not _leans(w)]
    leaning = [replace(_mark(w), slanted=True) for w in words if not w.turn and _leans(w)]
    turned = [replace(_mark(w), turned=True) for w in words if w.turn in (90, 270)]
    found = [*_rows(upright), *_slants(leaning), *turned]
    return [_coloured(mark, pixels) for mark in found]


def singles_of(words: Sequence[Word], pixels: Pixels) -> list[Mark]:
    """Return the upright words each as a mark of its own."""
    upright = [_mark(w) for w in words if not w.turn and not _leans(w) and not _NO_WORD.fullmatch(w.text)]
    return [_coloured(mark, pixels) for mark in upright]


def plain_of(marks: Sequence[Mark], ground: Colour) -> list[Mark]:
    """Return the upright phrases that stand on the picture's own ground."""
    return [mark for mark in marks if mark.upright and distance(mark.ground, ground) < DIFFERENT]


def ground_of(pixels: Pixels) -> Colour:
    """Return the colour that most of a picture has."""
    coarse = (pixels[::4, ::4].reshape(-1, 3) >> 3).astype(np.int32)
    codes = (coarse[:, 0] << 10) | (coarse[:, 1] << 5) | coarse[:, 2]
    common = np.bincount(codes).argmax()
    return _tuple(np.median(pixels[::4, ::4].reshape(-1, 3)[codes == common], axis=0))


def distance(a: Colour, b: Colour) -> int:
    """Return by how much two colours differ: the largest difference of a channel."""
    return max(abs(one - other) for one, other in zip(a, b, strict=True))


def away(pixels: Pixels, colour: Colour) -> NDArray[np.int16]:
    """Return each pixel's distance from a colour."""
    return np.asarray(np.abs(pixels.astype(np.int16) - np.array(colour, np.int16)).max(axis=2))


def cut(pixels: NDArray[T], x0: float, y0: float, x1: float, y1: float) -> NDArray[T]:
    """Cut a region out, as far as it lies in the picture."""
    height, width = pixels.shape[:2]
    left, top = max(0, round(x0)), max(0, round(y0))
    return pixels[top : max(top, min(height, round(y1))), left : max(left, min(width, round(x1)))]


def _tuple(channels: NDArray[np.floating] | NDArray[np.integer]) -> Colour:
    red, green, blue = (round(float(channel)) for channel in channels)
    return red, green, blue


def _mark(word: Word) -> Mark:
    text = _STROKE.sub("", word.text)
    # Of upright words the box says it: sizes that come along were evened out to tell headings.
    size = word.size if word.turn or _leans(word) else 0.8 * (word.y1 - word.y0)
    return Mark(text=text, x0=word.x0, y0=word.y0, x1=word.x1, y1=word.y1, size=size, sure=word.sure)


def _leans(word: Word) -> bool:
    """Say whether a word runs slantwise: its box is then about as tall as it is wide."""
    tall, wide = word.y1 - word.y0, word.x1 - word.x0
    return len(word.text) >= 3 and tall > _SLANTED * word.size / 0.8 and 0.5 < tall / max(wide, 1) < 2


def _parted(words: Sequence[Word]) -> list[Word]:
    """Part what OCR ran together: "20202023", "2020Apr"."""
    parted: list[Word] = []
    for word in words:
        cuts = [match.end() for match in _YEARS.finditer(word.text)] if word.text.isdigit() else []
        cuts += [match.start() for match in _DATES.finditer(word.text)]
        step = (word.x1 - word.x0) / max(1, len(word.text))
        for begin, end in zip([0, *cuts], [*cuts, len(word.text)], strict=True):
            gap = 0.35 * word.size if begin else 0.0
            parted.append(
                word._replace(
                    text=word.text[begin:end], x0=word.x0 + begin * step + gap, x1=word.x0 + end * step
                )
            )
    return parted


def _rows(marks: Sequence[Mark]) -> list[Mark]:
    """Join upright words of one line that stand near each other."""
    found: list[Mark] = []
    for mark in sorted((m for m in marks if not _NO_WORD.fullmatch(m.text)), key=lambda m: m.x0):
        before = next((m for m in reversed(found) if _goes_on(m, mark)), None)
        if before is None:
            found.append(mark)
        else:
            found[found.index(before)] = joined(before, mark)
    return sorted(found, key=lambda m: (m.y0, m.x0))


def _goes_on(before: Mark, mark: Mark) -> bool:
    if _is_date_end(before.text) or (_is_figure(before.text) and _is_figure(mark.text)):
        return False
    same_line = abs(before.y - mark.y) < 0.3 * max(before.size, mark.size)
    alike = max(before.size, mark.size) < 1.5 * min(before.size, mark.size)
    gap = mark.x0 - before.x1
    return same_line and alike and -0.3 * mark.size < gap < _GAP * max(before.size, mark.size) / 0.8


def _is_figure(text: str) -> bool:
    return re.fullmatch(r"[-−–+]?[$€£]?\d[\d,.]*[%A-Za-z]?", text) is not None


def _is_date_end(text: str) -> bool:
    return re.search(r"[A-Za-z]{3}\.? ?\d{1,2}, ?\d{4}$", text) is not None


def joined(before: Mark, mark: Mark) -> Mark:
    return replace(
        before,
        text=f"{before.text} {mark.text}",
        y0=min(before.y0, mark.y0),
        x1=max(before.x1, mark.x1),
        y1=max(before.y1, mark.y1),
        x0=min(before.x0, mark.x0),
        sure=min(before.sure, mark.sure),
    )


def _slants(marks: Sequence[Mark]) -> list[Mark]:
    """Join slanted words that follow each other upwards to the right."""
    found: list[Mark] = []
    for mark in sorted(marks, key=lambda m: m.x0):
        before = next((m for m in found if _climbs(m, mark)), None)
        if before is None:
            found.append(mark)
        else:
            found[found.index(before)] = joined(before, mark)
    return found


def _climbs(before: Mark, mark: Mark) -> bool:
    """Say whether a slanted word begins where another ends: their corners meet, less their thickness."""
    thick = 0.75 * mark.size
    return (
        abs(mark.x0 + thick - before.x1) < 0.8 * mark.size
        and abs(mark.y1 - thick - before.y0) < 0.8 * mark.size
    )


def _coloured(mark: Mark, pixels: Pixels) -> Mark:
    """Find the colours of a phrase: what it stands on, and its ink, which is what differs most from it."""
    inside = cut(pixels, mark.x0, mark.y0, mark.x1, mark.y1)
    if inside.size == 0:
        return mark
    ground = ground_near(inside)
    far = away(inside, ground)
    # Not the very strongest: the edge of something else may reach into a long line's box.
    strong = far >= max(DIFFERENT, 0.8 * float(np.percentile(far, 97)))
    if not strong.any():
        return replace(mark, ground=ground, ink=ground)
    return replace(mark, ground=ground, ink=_tuple(np.median(inside[strong], axis=0)))


def ground_near(inside: Pixels) -> Colour:
    """Return the most common colour of a small region."""
    flat = inside.reshape(-1, 3)
    codes = (flat >> 4).astype(np.int32)
    keys = (codes[:, 0] << 8) | (codes[:, 1] << 4) | codes[:, 2]
    return _tuple(np.median(flat[keys == np.bincount(keys).argmax()], axis=0))
