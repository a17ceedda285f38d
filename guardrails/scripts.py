"""The scripts of a text, by the names that Unicode gives its letters.

Languages of one script are not told apart: a detector that is small, kept and repeatable on one short
question was not found. A script is certain, and it stops what an English library cannot read.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Literal, get_args

from guardrails.rails import ALLOW, Passage, Ruling

Script = Literal[
    "Latin",
    "Cyrillic",
    "Greek",
    "Arabic",
    "Hebrew",
    "Devanagari",
    "Bengali",
    "Tamil",
    "Thai",
    "Hangul",
    "Han",
    "Kana",
    "Armenian",
    "Georgian",
]
#: The first word of a letter's name, where it is not the script's own.
_NAMED = {"CJK": "Han", "IDEOGRAPHIC": "Han", "HIRAGANA": "Kana", "KATAKANA": "Kana"}
_KNOWN = {script.upper(): script for script in get_args(Script)} | _NAMED


class Scripts:
    """Rail: stops a text of which too many letters belong to a script that is not allowed."""

    name = "scripts"
    codes = frozenset({"language"})
    rewrites = False

    def __init__(self, *, allowed: tuple[Script, ...], max_foreign: float) -> None:
        self._allowed = frozenset(allowed)
        self._max_foreign = max_foreign

    def look(self, passage: Passage) -> Ruling:
        """Rule on the text itself; signs and digits belong to every script."""
        share = self._foreign(passage.text)
        if share > self._max_foreign:
            return Ruling(decision="block", code="language", score=share)
        return Ruling(decision="allow", score=share) if share else ALLOW

    def _foreign(self, text: str) -> float:
        """Return the share of letters that are of no allowed script, in [0, 1]."""
        counts = Counter(map(_script, filter(str.isalpha, text)))
        foreign = sum(count for script, count in counts.items() if script not in self._allowed)
        return foreign / counts.total() if counts else 0.0


def _script(letter: str) -> str:
    if letter.isascii():
        return "Latin"
    # Full-width and mathematical letters are Latin ones in disguise.
    name = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "")
    script: str = _KNOWN.get(name.partition(" ")[0].partition("-")[0], "")
    return script
