"""Which documents a question means: by the names, years and quarters that it says.

To an embedder the filings of one company look alike, and those of two companies nearly so; what tells them
apart stands in their names. Matching is by whole names, written apart or together ("Best Buy" means
`BESTBUY_2023_10K.pdf`), and only ever lifts documents: what it does not name is still found. It looks at the
caller's documents alone, so a name that is not among them changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import PurePosixPath

from ingest.records import Document

_KIND_WORDS = """
    10k 10q 8k 20f 6k annual quarterly monthly weekly interim earnings results release report reports filing
    statement statements form prospectus brochure manual guide handbook presentation slides deck paper
    article letter memo minutes notice policy agenda invoice contract agreement spec datasheet catalog
    catalogue
"""
_EMPTY_WORDS = """
    the and for with from that this what which who how does did are was were has have had its final draft
    copy new old version rev dated en eng english pdf doc docx ppt pptx xls xlsx txt html scan page pages
    file document untitled image data test sample example user inc corp ltd llc plc group company us uk eu
    when where why were will would could should there these those between during about among
"""
#: What kind of paper something is; no company, person or thing: a question's "report" means none of them.
_KINDS = frozenset(_KIND_WORDS.split())
#: Words in file names that say nothing at all.
_EMPTY = frozenset(_EMPTY_WORDS.split())
_MIN_NAME = 3
_SHORT_NAME = re.compile(r"[^\W\d_]{2}|\d{1,2}[^\W\d_]+")
#: Letters of a name's beginning that mean the name.
_MIN_BEGINNING = 4
#: How sure a name in small letters, or the beginning of one, is.
_HALF = 0.5
#: Words of a question that may be one word of a file name: "American Express Company".
_MAX_RUN = 4
#: A checksum or key for a name.
_NUMBERED = re.compile(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{12,}\b", re.IGNORECASE)
_POSSESSIVE = re.compile(r"['’]s\b")
_PARTS = re.compile(r"[^\W_]+")
#: "ReportQ32015", "BestBuy2023": where a word ends without a space.
_SEAMS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
#: No part of an amount, of a longer number or of a version; a date may follow it.
_YEAR = r"(?<![\d.,$€£#])(?:FY|CY)?['’]?((?:19|20)\d\d)(?![\d%]|[.,]\d(?!\d?[.]\d))"
_SHORT_YEAR = r"\b(?:FY|CY)\s?['’]?(\d\d)(?!\d)"
_WHEN = re.compile(rf"{_YEAR}|{_SHORT_YEAR}", re.IGNORECASE)
_QUARTER = re.compile(
    r"(?<![^\W\d_])Q([1-4])(?!\d(?!\d{3}))|\b(first|second|third|fourth)[ -]quarter\b", re.IGNORECASE
)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4}
#: How far a quarter may stand from the year that it belongs to, in characters: "Q2 of fiscal 2024".
_NEAR = 16


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A year, or a quarter of it (0: the whole year)."""

    year: int
    quarter: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a document's name says."""

    names: frozenset[str]
    periods: frozenset[Period]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a question says of the documents that it means."""

    #: Each run of up to four words written together → whether it looks like a name (a capital, or several).
    runs: dict[str, bool]
    periods: frozenset[Period]

    @property
    def latest(self) -> Period | None:
        """The latest period named: its report tells of those before, too."""
        return max(self.periods, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well a document fits what a question names, each in [0, 1]."""

    name: float
    period: float


class Cards:
    """The cards of the documents that one scope allows, found by what a question names."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._cards = {one.id: card(one.name) for one in documents}
        self._named: dict[str, list[str]] = defaultdict(list)
        self._dated: dict[int, list[str]] = defaultdict(list)
        for document_id, one in self._cards.items():
            for name in one.names:
                self._named[name].append(document_id)
            for year in {period.year for period in one.periods}:
                self._dated[year].append(document_id)
        self._sorted = sorted(self._named)

    def fits(self, question: str) -> dict[str, Fit]:
        """Say what each document has of what a question names, by id; those that have nothing are left out.

        {} too where all documents have the same: that tells none of them apart.
        """
        asked = read(question)
        said = self._said(asked)
        named = (self._named[name] for name in said)
        dated = (self._dated.get(period.year, ()) for period in asked.periods)
        met = dict.fromkeys(chain.from_iterable((*named, *dated)))
        found = {one: _fit(asked, said, self._cards[one]) for one in met}
        alike = len(found) == len(self._cards) and len(set(found.values())) < 2
        return {} if alike else found

    def _said(self, asked: Asked) -> dict[str, float]:
        """Return the names on the cards that a question says → how surely: whole, in small letters, begun."""
        said: dict[str, float] = {}
        for run, sure in asked.runs.items():
            if sure and len(run) >= _MIN_BEGINNING and run not in _KINDS | _EMPTY:
                # "Activision" is what people say of ACTIVISIONBLIZZARD.
                for name in self._begun_with(run):
                    said.setdefault(name, _HALF)
            if run in self._named and (sure or len(run) >= _MIN_NAME):
                said[run] = 1.0 if sure else max(_HALF, said.get(run, 0.0))
        return said

    def _begun_with(self, beginning: str) -> Iterator[str]:
        for place in range(bisect_left(self._sorted, beginning), len(self._sorted)):
            name = self._sorted[place]
            if not name.startswith(beginning):
                return
            if len(name) >= len(beginning) + _MIN_NAME:
                yield name


def _fit(asked: Asked, said: Mapping[str, float], one: Card) -> Fit:
    """Compare a question with a document's card."""
    return Fit(
        name=max((said[name] for name in one.names & said.keys()), default=0.0),
        period=_period_fit(asked, one.periods),
    )


def _period_fit(asked: Asked, periods: Iterable[Period]) -> float:
    """Full for the latest period named, half for its year or for an earlier period, none for the rest.

    A report of the fourth quarter tells of the whole year.
    """
    latest = asked.latest
    if latest is None:
        return 0.0
    best = 0.0
    for one in periods:
        whole = latest.quarter == 0 and one.year == latest.year and one.quarter in (0, 4)
        if one == latest or whole:
            best = 1.0
        elif one in asked.periods or one.year == latest.year:
            best = max(best, 0.5)
    return best


def read(question: str) -> Asked:
    """Take out of a question what may name a document."""
    plain = unicodedata.normalize("NFKC", question)
    parts = _PARTS.findall(_POSSESSIVE.sub("", plain))
    runs: dict[str, bool] = {}
    for start in range(len(parts)):
        for length in range(1, _MAX_RUN + 1):
            run = parts[start : start + length]
            if len(run) < length:
                break
            squashed = "".join(run).casefold()
            # A run of several words that is one word of a file name is no accident, whatever its case.
            sure = length > 1 or any(letter.isupper() for letter in run[0])
            runs[squashed] = runs.get(squashed, False) or sure
    return Asked(runs=runs, periods=frozenset(_periods(plain)))


@lru_cache(maxsize=65_536)
def card(name: str) -> Card:
    """Read a document's name: "BESTBUY_2024Q2_10Q.pdf" is bestbuy, second quarter of 2024, 10q."""
    plain = _NUMBERED.sub(" ", unicodedata.normalize("NFKC", PurePosixPath(name).stem))
    parts = _PARTS.findall(plain)
    pieces = (piece for part in parts for piece in _SEAMS.split(part))
    words = {word.casefold() for word in (*parts, *pieces, *_joined(parts)) if word.isalpha()}
    names = {word for word in words if len(word) >= _MIN_NAME}
    # Short names stand first ("HP 2022"), those with a figure begin with it ("3M", "7Eleven").
    names |= {part.casefold() for part in parts[:1] if _SHORT_NAME.fullmatch(part)}
    return Card(
        names=frozenset(names - _KINDS - _EMPTY), periods=frozenset(_periods(plain.replace("_", " ")))
    )


def _joined(parts: Sequence[str]) -> Iterator[str]:
    """Yield neighbouring words of a name written together: "best_buy" is "BestBuy" in a question."""
    words = [part for part in parts if part.isalpha()]
    for first, second in pairwise(words):
        yield first + second


def _periods(text: str) -> Iterator[Period]:
    """Yield the years of a text, each with its quarter where one stands beside it."""
    years = [(match.start(), match.end(), _year(match)) for match in _WHEN.finditer(text)]
    taken: set[int] = set()
    for match in _QUARTER.finditer(text):
        quarter = int(match[1]) if match[1] else _ORDINALS[match[2].casefold()]
        near = [
            (max(start - match.end(), match.start() - end), place)
            for place, (start, end, _) in enumerate(years)
            if max(start - match.end(), match.start() - end) <= _NEAR
        ]
        if near:
            place = min(near)[1]
            taken.add(place)
            yield Period(years[place][2], quarter)
    yield from (Period(year) for place, (_, _, year) in enumerate(years) if place not in taken)


def _year(match: re.Match[str]) -> int:
    return int(match[1]) if match[1] else 2000 + int(match[2])
