"""Accents that are drawn as glyphs of their own: put on the letters over which they stand.

TeX's old fonts have no letter with an accent: they draw the accent, then the letter, and the file says them
one after the other ("Min´aˇc"), or lines apart. Only where an accent stands tells whose it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

#: Fills the place of what is gone, so that a page's characters keep their numbers; stripped from words.
FILL = "\ufeff"
#: (left, bottom, right, top) of the glyph at a place of the text, y upwards; None where it has none.
BoxOf = Callable[[int], tuple[float, float, float, float] | None]

_COMBINING = {
    "´": "\u0301",
    "¨": "\u0308",
    "ˆ": "\u0302",
    "˜": "\u0303",
    "¯": "\u0304",
    "˘": "\u0306",
    "˙": "\u0307",
    "˚": "\u030a",
    "˝": "\u030b",
    "ˇ": "\u030c",
    "¸": "\u0327",
    "˛": "\u0328",
}
_ACCENT = re.compile(f"[{''.join(_COMBINING)}]|(?<![^\\W\\d_])[\u0300-\u0328]")
#: How many characters before and after an accent its letter is looked for: a line's.
_REACH = 60


def with_accents(text: str, box_of: BoxOf) -> str:
    """Put accents on their letters; the text keeps its length."""
    if text.isascii() or not _ACCENT.search(text):
        return text
    signs = list(text)
    for match in _ACCENT.finditer(text):
        place = match.start()
        letter = _letter_below(signs, place, box_of)
        accent = _COMBINING.get(match.group(), match.group())
        if letter is None:
            continue
        base = {"ı": "i", "ȷ": "j"}.get(signs[letter], signs[letter])
        whole = unicodedata.normalize("NFC", base + accent)
        if len(whole) == 1:
            signs[letter], signs[place] = whole, FILL
            _close(signs, place, box_of)
    return "".join(signs)


def _letter_below(signs: list[str], place: int, box_of: BoxOf) -> int | None:
    """Return the place of the letter over (or under) which an accent stands."""
    accent = box_of(place)
    if accent is None:
        return None
    middle = (accent[0] + accent[2]) / 2
    best, best_off = None, 1.0
    for other in range(max(0, place - _REACH), min(len(signs), place + _REACH)):
        box = box_of(other) if other != place and signs[other].isalpha() else None
        if box is None or box[1] > accent[3] or box[3] < accent[1] - 0.6 * (box[3] - box[1]):
            continue
        off = abs(middle - (box[0] + box[2]) / 2) / max(0.1, box[2] - box[0])
        if off < min(0.5, best_off):
            best, best_off = other, off
    return best


def _close(signs: list[str], place: int, box_of: BoxOf) -> None:
    """Take the blanks around a place out if the letters at both sides touch."""
    left, right = place - 1, place + 1
    while left >= 0 and signs[left] in (" ", FILL):
        left -= 1
    while right < len(signs) and signs[right] in (" ", FILL):
        right += 1
    before = box_of(left) if left >= 0 else None
    after = box_of(right) if right < len(signs) else None
    if before is None or after is None:
        return
    height = max(before[3] - before[1], after[3] - after[1])
    level = min(before[3], after[3]) > max(before[1], after[1])
    if level and -height < after[0] - before[2] < 0.16 * height:
        signs[left + 1 : right] = [FILL] * (right - left - 1)
