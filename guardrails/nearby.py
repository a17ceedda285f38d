"""What detectors of personal data share: spans, the words around a find, digits and their check digits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: (start, end) of each find in the text as given.
Spans = Iterator[tuple[int, int]]

#: How far before a number a word may name it, and how far behind.
NEAR_CHARS = 48
_BEHIND_CHARS = 24

#: Full-width forms, odd spaces and odd hyphens, one character for one, so that places stay true.
_PLAIN: dict[int, int | str] = {
    **{0xFF01 + i: 0x21 + i for i in range(94)},
    **dict.fromkeys(
        map(ord, "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u202f\u3000"), " "
    ),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212\ufe63"), "-"),
}
#: Capital letters of the Latin, Greek and Cyrillic scripts, for the inside of a character class.
CAPITALS = "".join(
    chr(code)
    for block in (range(0x41, 0x250), range(0x370, 0x530), range(0x1E00, 0x1F00))
    for code in block
    if chr(code).isupper()
)


def plain(text: str) -> str:
    """Return the text with odd digits, blanks and hyphens made plain, each character in its place."""
    return text.translate(_PLAIN)


def put(text: str, pieces: Sequence[tuple[int, int, str]]) -> str:
    """Put each piece in the place of `text[start:end]`, in order; one that overlaps the last is left out."""
    parts: list[str] = []
    at = 0
    for start, end, piece in pieces:
        if start >= at:
            parts += [text[at:start], piece]
        at = max(at, end)
    return "".join([*parts, text[at:]])


def near(word: re.Pattern[str], text: str, match: re.Match[str]) -> bool:
    """Say whether a word that names a number stands close before or right behind it."""
    before = text[max(0, match.start() - NEAR_CHARS) : match.start()]
    return bool(word.search(f"{before} {text[match.end() : match.end() + _BEHIND_CHARS]}"))


def digits(text: str) -> str:
    """Return the digits of a text."""
    return re.sub(r"\D", "", text)


def luhn(number: str) -> bool:
    """Check the last digit (ISO/IEC 7812-1 annex B)."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in number[-2::-2])
    return (sum(map(int, number[-1::-2])) + sum(doubled)) % 10 == 0


def weighted(number: str, weights: tuple[int, ...]) -> int:
    """Return the sum of the digits, each times its weight."""
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))
