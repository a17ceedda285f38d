"""Which documents a question means: by the names, years, quarters and kinds of paper that it says.

To an embedder the filings of one company look alike, and those of two companies nearly so; what tells them
apart stands in their names. Matching is by whole names, written apart or together ("Best Buy" means
`BESTBUY_2023_10K.pdf`), and only ever lifts documents: what it does not name is still found. It looks at the
caller's documents alone, so a name that is not among them changes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
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
    file document untitled image data test sample example user inc corp ltd llc plc group company
"""
#: What kind of paper something is; no company, person or thing.
_KINDS = frozenset(_KIND_WORDS.split())
#: Words in file names that say nothing at all.
_EMPTY = frozenset(_EMPTY_WORDS.split())
_MIN_NAME = 3
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
    """What a document's name says: names, kinds of paper, periods."""

    names: frozenset[str]
    kinds: frozenset[str]
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
    kind: float


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

    def fits(self, question: str) -> dict[str, Fit]:
        """Say what each document has of what a question names, by id; those that have nothing are left out.

        {} too where all documents have the same: that tells none of them apart.
        """
        asked = read(question)
        named = (self._named.get(run, ()) for run in asked.runs)
        dated = (self._dated.get(period.year, ()) for period in asked.periods)
        met = dict.fromkeys(chain.from_iterable((*named, *dated)))
        found = {one: fit(asked, self._cards[one]) for one in met}
        alike = len(found) == len(self._cards) and len(set(found.values())) < 2
        return {} if alike else found


def fit(asked: Asked, one: Card) -> Fit:
    """Compare a question with a document's card."""
    name = max((1.0 if asked.runs[word] else 0.5 for word in one.names & asked.runs.keys()), default=0.0)
    return Fit(
        name=name,
        period=_period_fit(asked, one.periods),
        kind=1.0 if one.kinds & asked.runs.keys() else 0.0,
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
    whole = [part.casefold() for part in _PARTS.findall(plain)]
    pieces = [piece.casefold() for part in _PARTS.findall(plain) for piece in _SEAMS.split(part)]
    words = {word for word in (*whole, *pieces, *_joined(plain)) if not word.isdigit()}
    return Card(
        names=frozenset(w for w in words if len(w) >= _MIN_NAME and w not in _KINDS | _EMPTY and w.isalpha()),
        kinds=frozenset(words & _KINDS),
        periods=frozenset(_periods(plain.replace("_", " "))),
    )


def _joined(name: str) -> Iterator[str]:
    """Yield neighbouring words of a name written together: "best_buy" is "BestBuy" in a question."""
    parts = [part.casefold() for part in _PARTS.findall(name) if part.isalpha()]
    for first, second in pairwise(parts):
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
