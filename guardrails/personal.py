"""Personal data in a text: found by shape, proved by checksum where there is one, masked by kind.

An answer is full of numbers that are nobody's: figures, dates, versions, part numbers. So every kind needs
proof beyond its shape: a checksum (IBAN, cards, national ids), a number plan (phones with a country or area
code), or a word nearby that names it. Shapes without proof are left alone.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, get_args

from guardrails import accounts, addresses, contacts, identities
from guardrails.names import Names, by_rules
from guardrails.nearby import Spans, plain, put

Kind = Literal[
    "email",
    "phone",
    "iban",
    "card",
    "us_ssn",
    "ip",
    "national_id",
    "passport",
    "driving_licence",
    "birth_date",
    "address",
    "person",
    "organisation",
]
Treatment = Literal["allow", "mask", "block"]
#: How people and organisations are found: by the rules of `names.py`, or by the model of `ner.py` as well.
NamesBy = Literal["rules", "model"]
KINDS: tuple[Kind, ...] = get_args(Kind)
#: The kinds that have no shape of their own.
NAMED: tuple[Kind, ...] = ("person", "organisation")

PLACEHOLDERS: dict[Kind, str] = {
    "email": "[e-mail]",
    "phone": "[phone number]",
    "iban": "[IBAN]",
    "card": "[card number]",
    "us_ssn": "[social security number]",
    "ip": "[IP address]",
    "national_id": "[identity number]",
    "passport": "[passport number]",
    "driving_licence": "[driving licence]",
    "birth_date": "[date of birth]",
    "address": "[address]",
    "person": "[person]",
    "organisation": "[organisation]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`text[start:end]` is personal data."""

    kind: Kind
    start: int
    end: int


def find(text: str, kinds: AbstractSet[Kind], *, names: Names = by_rules) -> list[Found]:
    """Return what is found of `kinds`, in order of place, none overlapping.

    What two kinds claim goes to the earlier one of the list; the later keeps what is left of its find, so
    that asking for more kinds never finds less. `names` is asked only for people and organisations.
    """
    flat = plain(text)
    taken: list[Found] = []
    for kind, start, end in _candidates(flat, kinds, names):
        for left, right in _left_of(taken, start, end):
            bare = flat[left:right].strip()
            if any(map(str.isalnum, bare)):
                left += flat[left:right].index(bare)
                insort(taken, Found(kind=kind, start=left, end=left + len(bare)), key=_start)
    return [found for found in taken if found.kind in kinds]


def _start(found: Found) -> int:
    return found.start


def _left_of(taken: Sequence[Found], start: int, end: int) -> list[tuple[int, int]]:
    """Return the pieces of a span that nobody has taken; `taken` is in order of place."""
    pieces, at = [], start
    for found in taken[bisect_right(taken, start, key=lambda found: found.end) :]:
        if found.start >= end:
            break
        pieces.append((at, found.start))
        at = found.end
    return [(left, right) for left, right in [*pieces, (at, end)] if left < right]


def _candidates(text: str, kinds: AbstractSet[Kind], names: Names) -> Iterator[tuple[Kind, int, int]]:
    named = not kinds.isdisjoint(NAMED)
    for kind, search in _SEARCHES.items():
        # A street is no name, whether or not anybody asks for streets.
        if kind in kinds or (named and kind == "address"):
            for start, end in search(text):
                yield kind, start, end
    if named:
        for name in names(text):
            if name.kind in kinds:
                yield name.kind, name.start, name.end


def mask(text: str, spans: Sequence[tuple[int, int, Kind]]) -> str:
    """Put a typed placeholder in the place of each span; overlapping spans share the first one's."""
    return put(text, [(start, end, PLACEHOLDERS[kind]) for start, end, kind in sorted(spans)])


#: In this order: a proof by checksum comes before a shape.
_SEARCHES: dict[Kind, Callable[[str], Spans]] = {
    "email": contacts.emails,
    "iban": accounts.ibans,
    "driving_licence": identities.licences,
    "passport": identities.passports,
    "card": accounts.cards,
    "us_ssn": identities.ssns,
    "national_id": identities.national_ids,
    "ip": contacts.ip_addresses,
    "birth_date": identities.birth_dates,
    "phone": contacts.phones,
    "address": addresses.addresses,
}
