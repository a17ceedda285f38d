"""Words with boxes: where they stand on the page, which way they read, and how they are put together.

Everything after this file reads from left to right and top down: sideways writing is turned, and the page of
a script that runs from right to left is looked at in a mirror. Boxes are turned back at the end.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from ingest.records import Box


class Rect(NamedTuple):
    """A rectangle in points as shown, origin top left."""

    x0: float
    y0: float
    x1: float
    y1: float


class Word(NamedTuple):
    """What stands between two spaces (or, from OCR, a line of it), in points as shown."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    size: float
    bold: bool = False
    #: Clockwise turn of the writing against the page as shown: 0, 90, 180 or 270 degrees.
    turn: int = 0
    #: How sure OCR was of its line, in [0, 1]; a text layer is.
    sure: float = 1.0


class Frame(NamedTuple):
    """The sheet on which words stand upright, and the way back to the page."""

    width: float
    height: float
    box: Callable[[float, float, float, float], Box]


_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_LEFT_TO_RIGHT = re.compile("[A-Za-z\u00c0-\u024f\u0370-\u052f]")
#: Scripts written without blanks: Han, kana and their signs; Korean has blanks.
_UNSPACED = re.compile(
    "[\u2e80-\u2fdf\u3000-\u30ff\u31c0-\u9fff\uf900-\ufaff\uff00-\uff65\U00020000-\U0003ffff]"
)
#: Thai, Lao, Khmer and Burmese: blanks are real ones, but a line's end is none.
_RUNS_ON = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")


def stands_in(word: Word, rect: Rect) -> bool:
    """Say whether the middle of `word` lies in `rect`."""
    x, y = (word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2
    return rect.x0 <= x <= rect.x1 and rect.y0 <= y <= rect.y1


def page_box(rect: Rect, width: float, height: float) -> Box:
    """Return a rectangle in points as a share of the page."""
    return Box(
        x0=unit(rect.x0 / width),
        y0=unit(rect.y0 / height),
        x1=unit(rect.x1 / width),
        y1=unit(rect.y1 / height),
    )


def unit(value: float) -> float:
    """Keep a share of the page in [0, 1]."""
    return round(min(1.0, max(0.0, value)), 5)


def upright(words: Sequence[Word], turn: int, width: float, height: float) -> tuple[list[Word], Frame]:
    """Turn words so that they stand upright, with the way back for their boxes."""

    def box(x0: float, y0: float, x1: float, y1: float) -> Box:
        return page_box(Rect(x0, y0, x1, y1), width, height)

    if turn == 90:  # reads downwards: x runs down the page, y runs to the left
        moved = [w._replace(x0=w.y0, y0=width - w.x1, x1=w.y1, y1=width - w.x0) for w in words]
        return moved, Frame(height, width, lambda a, b, c, d: box(width - d, a, width - b, c))
    if turn == 180:
        moved = [
            w._replace(x0=width - w.x1, y0=height - w.y1, x1=width - w.x0, y1=height - w.y0) for w in words
        ]
        return moved, Frame(
            width, height, lambda a, b, c, d: box(width - c, height - d, width - a, height - b)
        )
    if turn == 270:  # reads upwards
        moved = [w._replace(x0=height - w.y1, y0=w.x0, x1=height - w.y0, y1=w.x1) for w in words]
        return moved, Frame(height, width, lambda a, b, c, d: box(b, height - c, d, height - a))
    return list(words), Frame(width, height, box)


def reads_from_right(words: Sequence[Word]) -> bool:
    """Say whether most of the words are of a script that runs from right to left."""
    text = "".join(word.text for word in words)
    if text.isascii() or not _RIGHT_TO_LEFT.search(text):
        return False
    return len(_RIGHT_TO_LEFT.findall(text)) > len(_LEFT_TO_RIGHT.findall(text))


def mirrored(words: Sequence[Word], width: float) -> list[Word]:
    """Show words in a mirror, so that they read from left to right.

    Latin names stay the right way round: a run of them is mirrored as a whole (Unicode's rules L and W7).
    """
    turned = [w._replace(x0=width - w.x1, x1=width - w.x0) for w in words]
    order = sorted(range(len(words)), key=lambda i: (round(words[i].y0 + words[i].y1), words[i].x0))
    run: list[int] = []
    for place in order:
        word = words[place]
        if run and _goes_on(words[run[-1]], word):
            run.append(place)
            continue
        _turn_back(turned, run)
        run = [place] if _LEFT_TO_RIGHT.search(word.text) and not _RIGHT_TO_LEFT.search(word.text) else []
    _turn_back(turned, run)
    return turned


def _goes_on(last: Word, word: Word) -> bool:
    near = abs(last.y0 + last.y1 - word.y0 - word.y1) < last.size and -2 < word.x0 - last.x1 < last.size
    return near and not _RIGHT_TO_LEFT.search(word.text) and any(c.isalnum() for c in word.text)


def _turn_back(words: list[Word], run: Sequence[int]) -> None:
    if len(run) < 2:
        return
    both = min(words[i].x0 for i in run) + max(words[i].x1 for i in run)
    for i in run:
        words[i] = words[i]._replace(x0=both - words[i].x1, x1=both - words[i].x0)


def mirrored_rect(rect: Rect, width: float) -> Rect:
    """Show a rectangle in the mirror."""
    return Rect(width - rect.x1, rect.y0, width - rect.x0, rect.y1)


def mirrored_box(box: Box) -> Box:
    """Bring a box back from the mirror."""
    return Box(x0=round(1 - box.x1, 5), y0=box.y0, x1=round(1 - box.x0, 5), y1=box.y1)


def blank(left: str, right: str, *, gap: float = 0.0, line_ends: bool = False) -> str:
    """Return what stands between two words: a blank, or nothing in scripts that know none.

    `gap` is the room between them in ems, where it is known.
    """
    if left.isascii() or right.isascii():
        return " "
    if _UNSPACED.match(left[-1:]) and _UNSPACED.match(right[:1]):
        return "" if gap < 0.35 else " "
    runs_on = line_ends and _RUNS_ON.match(left[-1:]) and _RUNS_ON.match(right[:1])
    return "" if runs_on else " "


def glued(words: Sequence[Word]) -> str:
    """Join the words of a line."""
    text = " ".join(word.text for word in words)
    if text.isascii():
        return text
    text = words[0].text
    for last, word in pairwise(words):
        gap = (word.x0 - last.x1) / max(1.0, min(last.size, word.size))
        text += blank(last.text, word.text, gap=gap) + word.text
    return text


def weight(text: str) -> int:
    """Count characters, those that are whole words twice."""
    return len(text) if text.isascii() else len(text) + len(_UNSPACED.findall(text))


def is_unspaced(text: str) -> bool:
    """Say whether a text is written without blanks."""
    return not text.isascii() and 2 * len(_UNSPACED.findall(text)) > len(text)


def lowered(words: Sequence[Word]) -> list[Word]:
    """Put a paragraph's large initial on the line that it begins: it would tie several lines together."""
    sizes = [word.size for word in words]
    usual = median(sizes) if sizes else 0.0
    if not sizes or max(sizes) <= 1.8 * usual:
        return list(words)
    done: list[Word] = []
    for place, word in enumerate(words):
        after = words[place + 1] if place + 1 < len(words) else None
        if after and word.size > 1.8 * usual and after.size < 0.6 * word.size and _initial(word, after):
            word = word._replace(y0=after.y0, y1=after.y1, size=after.size, bold=after.bold)
        done.append(word)
    return done


def _initial(word: Word, after: Word) -> bool:
    beside = -1 < after.x0 - word.x1 < 2 * after.size
    reaches_below = word.y1 > after.y1 + 0.5 * after.size and word.y0 < after.y1
    return word.text[:1].isupper() and len(word.text) < 20 and beside and reaches_below


def composed(text: str) -> str:
    """Spell letters one way: accents put on, ligatures and presentation forms taken apart, soft hyphens gone,
    quotes made of two strokes put together.

    Only letters that look the same are touched: a superscript two stays one.
    """
    if text.isascii():
        return text
    text = _FORMS.sub(lambda form: unicodedata.normalize("NFKC", form.group()), text)
    text = _UNSEEN.sub("", text).replace("‘‘", "“").replace("’’", "”")
    # A ligature of lam and alef that was taken apart the wrong way round; no Arabic word has alef twice.
    text = re.sub("\u0627([\u0622\u0623\u0625\u0627])\u0644", "\u0627\u0644\\1", text)
    return unicodedata.normalize("NFC", text)


#: Latin and Armenian ligatures, Hebrew and Arabic presentation forms.
_FORMS = re.compile("[\ufb00-\ufdfb\ufe70-\ufefc]+")
#: Soft hyphens inside a word, zero-width blanks and joiners, byte order marks; the joiners of Persian and the
#: Indic scripts (U+200C, U+200D) mean something and stay.
_UNSEEN = re.compile("\u00ad(?=.)|[\u200b\u2060\ufeff]")
