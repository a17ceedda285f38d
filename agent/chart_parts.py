"""A question about charts taken apart: its parts, what each asks in one sentence, its options, which charts.

How to answer ("round it", "omit the unit") is left out; a part that says more than one sentence beside that
asks more than code understands, and then nothing of the question is answered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBERED = re.compile(r"^\s*(\d)\s*\.\s*(?=[A-Z])", re.M)
_OPTION = re.compile(r"^\s*([A-H])\s*[.)]\s*(.+?)\s*$", re.M)
_PLACEHOLDER = re.compile(r"[^.?!\n]*<image>[^.?!\n]*[.?!]?|^\s*Question:", re.M)
_LABEL = re.compile(r"^\s*Question:\s*", re.I)
#: How to answer: from such a word on a line (or the rest of it) asks nothing.
_INSTRUCTS = re.compile(
    r"\bNote that\b.*$|^\s*(?:Your answer|Answer\s*:|Please (?:answer|give|write)).*$", re.M
)
#: What is done with the parts' answers besides giving them: nothing that code does.
_COMBINES = re.compile(
    r"\bfinal answer is\b|^\s*(?:First(?:ly)?,?|Then,?|Assume|Suppose|Conclude)\b|\bafter that\b", re.I | re.M
)
_GIVES_ALL = re.compile(r"Now that you have got the answers? for the (?:\w+ )?(?:questions?|above)[^\n]*")
_ORDINALS = {
    name: place
    for place, names in enumerate(
        (("first", "1st"), ("second", "2nd"), ("third", "3rd"), ("fourth", "4th"), ("fifth", "5th")), start=1
    )
    for name in names
}
_PLACE = re.compile(rf"\b({'|'.join(_ORDINALS)})\s+(?:chart|graph|plot|figure|image|picture)s?\b", re.I)
_PLACES = re.compile(
    rf"\b({'|'.join(_ORDINALS)})\s+(?:chart\s+)?and\s+(?:the\s+)?({'|'.join(_ORDINALS)})\s+(?:chart|graph|plot)s?\b",
    re.I,
)
_BOTH = re.compile(r"\b(?:both|two|all)(?: (?:of )?(?:the|these))? (?:charts|graphs|plots|figures)\b", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One thing asked: the sentence, and the options to choose from by letter."""

    text: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def places(self) -> tuple[int, ...]:
        """Which charts it names, from 1, in its order; () where it names none."""
        found = [_ORDINALS[one.casefold()] for match in _PLACES.finditer(self.text) for one in match.groups()]
        found += [_ORDINALS[match[1].casefold()] for match in _PLACE.finditer(self.text)]
        return tuple(dict.fromkeys(found))

    @property
    def of_both(self) -> bool:
        """Whether it asks of all charts at once without naming them."""
        return bool(_BOTH.search(self.text))


def names_a_chart(question: str) -> bool:
    """Say whether a question speaks of a chart by its place ("the second chart")."""
    return bool(_PLACE.search(question))


def parts_of(question: str) -> list[Part]:
    """Return the parts of a question, in order; [] where one is more than a single sentence."""
    text = _GIVES_ALL.sub("", _PLACEHOLDER.sub("", question))
    if _COMBINES.search(text):
        return []
    text = _LABEL.sub("", _INSTRUCTS.sub("", text))
    starts = [match for match in _NUMBERED.finditer(text)]
    numbered = [int(match[1]) for match in starts] == list(range(1, len(starts) + 1))
    if starts and (not numbered or text[: starts[0].start()].strip()):
        return []
    bounds = [match.end() for match in starts] or [0]
    ends = [*(match.start() for match in starts[1:]), len(text)]
    parts = [_part(text[begin:end]) for begin, end in zip(bounds, ends, strict=True)]
    return [part for part in parts if part is not None] if all(parts) else []


def _part(text: str) -> Part | None:
    options = tuple((match[1], match[2]) for match in _OPTION.finditer(text))
    asked = " ".join(_OPTION.sub("", text).split())
    sentence, mark, rest = asked.partition("?")
    rest = re.sub(r"^\s*\([^)]*\)", "", rest).strip(" .")
    if not sentence or (mark and rest) or (not mark and ". " in sentence):
        return None
    return Part(text=sentence.strip(" ."), options=options)
