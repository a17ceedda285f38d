"""Names of colours in a question against colours as drawn."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence

#: Hues in degrees that people call so without thinking, and those that they may.
_HUES = {
    "red": ((340, 372), (330, 380)),
    "orange": ((15, 42), (8, 48)),
    "brown": ((15, 42), (5, 50)),
    "gold": ((38, 58), (30, 65)),
    "yellow": ((43, 62), (36, 70)),
    "green": ((75, 165), (58, 185)),
    "teal": ((165, 190), (155, 200)),
    "turquoise": ((165, 190), (155, 200)),
    "cyan": ((175, 200), (165, 205)),
    "blue": ((195, 255), (185, 265)),
    "navy": ((205, 255), (195, 265)),
    "purple": ((258, 305), (250, 320)),
    "violet": ((258, 305), (250, 320)),
    "pink": ((305, 345), (295, 365)),
    "magenta": ((290, 340), (280, 350)),
}
_GREYS = ("black", "grey", "gray", "white")
_NAMED = re.compile(rf"\b(?:(dark|deep|light|pale|bright)[ -])?({'|'.join([*_HUES, *_GREYS])})\b", re.I)
#: Least difference in lightness between the darkest and the next.
_CLEARLY = 0.08


def named_in(text: str) -> tuple[str, str] | None:
    """Return shade ("" for none) and name of the one colour that a text names; None for none or several."""
    found = {(match[1] or "", match[2]) for match in _NAMED.finditer(text.casefold())}
    return found.pop() if len(found) == 1 else None


def labels_in(colour: tuple[str, str], keys: Sequence[tuple[str, str]]) -> str | None:
    """Return the one label of (label, "#rrggbb") in a named colour; None where it is not one alone."""
    shade, name = colour
    clear = [key for key in keys if _is_called(name, key[1], 0)]
    likely = [key for key in keys if _is_called(name, key[1], 1)]
    found = clear if len(clear) == 1 and not shade else likely
    if shade and len(found) > 1:
        light = shade in ("light", "pale", "bright")
        if light and len(found) > 2:
            return None  # light green, or paler still?
        found.sort(key=lambda key: _lightness(key[1]), reverse=light)
        if abs(_lightness(found[0][1]) - _lightness(found[1][1])) < _CLEARLY:
            return None
        return found[0][0]
    return found[0][0] if len(found) == 1 else None


def _is_called(name: str, colour: str, loosely: int) -> bool:
    hue, _, saturation = colorsys.rgb_to_hls(*_channels(colour))
    lightness, spread = _lightness(colour), max(_channels(colour)) - min(_channels(colour))
    if name in _GREYS:
        if spread > 0.12:
            return False
        low, high = {"black": (0, 0.25), "white": (0.93, 1.01)}.get(name, (0.2, 0.93))
        return low <= lightness < high
    if spread < 0.05 or saturation < 0.08:
        return False
    begin, end = _HUES[name][loosely]
    turned = [360 * hue, 360 * hue + 360]
    if name == "brown" and lightness > 0.45:
        return False
    return any(begin <= degrees <= end for degrees in turned)


def _channels(colour: str) -> tuple[float, float, float]:
    return int(colour[1:3], 16) / 255, int(colour[3:5], 16) / 255, int(colour[5:7], 16) / 255


def _lightness(colour: str) -> float:
    return (max(_channels(colour)) + min(_channels(colour))) / 2
