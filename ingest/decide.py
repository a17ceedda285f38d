"""The decision per page: who reads it, and why, from signals that cost next to nothing.

`decide` is a function of a few numbers; whoever adds a reader adds an outcome there. Thresholds are those of
the development set: hand-made PDFs pass, scans and broken encodings do not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ingest.pages import Sheet
from ingest.records import PageFlag, ReadBy
from ingest.structure import Word

#: Fewer words than this beside a picture over half of the page: the picture is the page.
_MIN_WORDS, _PICTURE_SHARE = 25, 0.5
#: Share of the Latin words that could be words; text measured .80 and more, tables of codes .5, soup .2.
_SANE_SCAN, _SANE_TEXT = 0.75, 0.35
#: Characters of hidden text that are kept for whoever screens it.
_MAX_HIDDEN = 20_000
#: Hidden letters that can say something: less is a page number, a code, a mark of the printer's.
_TELLING = 8
#: A scan's own layer has specks of dust for words; so many words without a place in the picture are no dust.
_DUST = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What a page looks like from its file alone."""

    #: Words that are painted, those whose characters mean something.
    words: int
    #: Words whose characters mean nothing: private use, no Unicode at all.
    broken: int
    #: Share of the painted Latin words that could be words.
    sane: float
    #: Words of a scan's own OCR layer, and the share of them that could be words.
    beneath: int
    beneath_sane: float
    #: Words that are not to be seen, and the letters and digits in them.
    unseen: int
    unseen_letters: int
    #: Share of the page under pictures.
    picture_share: float
    #: Drawing objects of any kind.
    objects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Who reads a page, and what of its text layer is believed."""

    reader: ReadBy
    #: A sentence for people.
    why: str
    believed: Literal["painted", "beneath", "nothing"] = "painted"
    flags: tuple[PageFlag, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A decision, with the words that it believes and those that it does not show."""

    reader: ReadBy
    reason: str
    words: tuple[Word, ...] = ()
    flags: tuple[PageFlag, ...] = ()
    #: What is in the file and not to be seen, for whoever screens it; bounded.
    hidden: str = ""
    #: The words are a scan's own layer: to be compared with its picture before they are believed.
    doubted: bool = False

    @property
    def needs_eyes(self) -> bool:
        """Whether the page has to be drawn and looked at as a whole."""
        return self.reader == "ocr-layout"


def judge(sheet: Sheet) -> Verdict:
    """Decide who reads a page."""
    sound = tuple(word for word in sheet.words if not _is_broken(word.text))
    decision = decide(_signals(sheet, sound))
    words = {"painted": sound, "beneath": sheet.beneath, "nothing": ()}[decision.believed]
    hidden = sheet.unseen if decision.believed == "beneath" else (*sheet.unseen, *sheet.beneath)
    note = (
        ""
        if sheet.compared
        else " Its text could not be compared with its picture, which is too large to draw."
    )
    return Verdict(
        reader=decision.reader,
        reason=decision.why + note,
        words=words if decision.believed != "beneath" else (*sound, *sheet.beneath),
        flags=decision.flags,
        hidden=" ".join(word.text for word in hidden)[:_MAX_HIDDEN] if decision.flags else "",
        doubted=decision.believed == "beneath",
    )


def decide(page: Signals) -> Decision:
    """Choose the reader of a page from its signals."""
    scan_layer = page.beneath > 0 and page.beneath > page.words
    hides = page.unseen_letters >= _TELLING and not (scan_layer and page.unseen <= _DUST * page.beneath)
    note = f" {page.unseen} words that are not to be seen were left out." if page.unseen else ""
    flags: tuple[PageFlag, ...] = ("hidden_text",) if hides else ()
    text = partial(Decision, reader="text-layer", flags=flags)
    eyes = partial(Decision, reader="ocr-layout", flags=flags)
    if not page.objects and not page.words + page.broken:
        return text(why=f"The page is blank.{note}")
    if scan_layer:
        if page.beneath_sane < _SANE_SCAN:
            return eyes(why=f"A scan whose own text layer is garbled.{note}", believed="nothing")
        why = f"A scan that carries its own text layer ({page.beneath} words).{note}"
        return text(why=why, believed="beneath")
    if not page.words + page.broken:
        return eyes(
            why=f"The page has no text layer that shows.{note}" if note else "The page has no text layer."
        )
    if page.broken > max(2, 0.05 * (page.words + page.broken)):
        why = f"The text layer is unreadable in {page.broken} of {page.words + page.broken} words.{note}"
        return eyes(why=why)
    if page.picture_share >= _PICTURE_SHARE:
        share = f"{page.picture_share:.0%}"
        if page.words < _MIN_WORDS:
            return eyes(
                why=f"{page.words} words in the text layer, pictures cover {share} of the page.{note}"
            )
        if page.picture_share >= 0.85 and page.sane < _SANE_SCAN:
            return eyes(why=f"A scan whose own text layer is garbled.{note}", believed="nothing")
    if page.words >= _MIN_WORDS and page.sane < _SANE_TEXT:
        why = f"The text layer spells hardly any word ({page.sane:.0%} could be one).{note}"
        return eyes(why=why, believed="nothing")
    return text(why=f"{page.words} words in the text layer.{note}")


def _signals(sheet: Sheet, sound: Sequence[Word]) -> Signals:
    return Signals(
        words=len(sound),
        broken=len(sheet.words) - len(sound),
        sane=_sane_share(sound),
        beneath=len(sheet.beneath),
        beneath_sane=_sane_share(sheet.beneath),
        unseen=len(sheet.unseen),
        unseen_letters=sum(char.isalnum() for word in sheet.unseen for char in word.text),
        picture_share=sheet.picture_share,
        objects=sheet.objects,
    )


def _is_broken(text: str) -> bool:
    """Say whether a word's characters mean nothing; a single sign of a symbol font is a bullet."""
    if text.isascii():
        return not text.isprintable()
    lost = sum(unicodedata.category(c) in {"Co", "Cc", "Cn", "Cs"} or c == "\ufffd" for c in text)
    return len(text) > 1 and 2 * lost >= len(text)


def _sane_share(words: Sequence[Word]) -> float:
    """Share of the Latin words that could be words: vowels in them, letters not mixed with signs."""
    latin = [re.sub(r"^\W+|\W+$", "", word.text) for word in words]
    latin = [
        word
        for word in latin
        if word.isascii() and len(word) > 2 and not re.fullmatch(r"[\d.,:/$%()-]+", word)
    ]
    if len(latin) < 5:
        # Other scripts, or figures: sane where a good part of the words is longer than a speck of dust.
        long = sum(
            len(word.text) >= 4 or any(c.isalpha() and not c.isascii() for c in word.text) for word in words
        )
        return 1.0 if long > 0.3 * len(words) else 0.0
    sane = sum(
        bool(re.fullmatch(r"[A-Za-z]+(['’-][A-Za-z]+)*", w) and re.search("[aeiouyAEIOUY]", w)) for w in latin
    )
    return sane / len(latin)
