"""What the numbers of a text amount to: value, scale and unit, and its dates, so that two ways to say one
amount compare equal and one number with two scales does not.

"$1.2 billion" is "1,200 million", 5 % is 0.05, 64 KiB is 65,536 bytes, "May 3, 2023" is 2023-05-03. What
depends on a convention is taken both ways (a kB is 1,000 or 1,024 bytes; 05/03 is a day in March or May):
the question is whether a source *can* mean what the sentence says, never which of them is usual.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from agent import words

_SCALES = {
    "hundred": Decimal(100),
    "thousand": Decimal(10**3),
    "million": Decimal(10**6),
    "mn": Decimal(10**6),
    "billion": Decimal(10**9),
    "bn": Decimal(10**9),
    "trillion": Decimal(10**12),
}
#: Letters that scale an amount of money ("$300M"); elsewhere they may be anything.
_MONEY_LETTERS = {"k": "thousand", "m": "million", "b": "billion", "t": "trillion"}
#: Unit → what it measures, and how many of the smallest of that it may be.
_UNITS: dict[str, tuple[str, tuple[int, ...]]] = {
    "%": ("share", (1,)),
    "percent": ("share", (1,)),
    "bit": ("bits", (1,)),
    "byte": ("bytes", (1,)),
    "kb": ("bytes", (1000, 1024)),
    "kilobyte": ("bytes", (1000, 1024)),
    "kib": ("bytes", (1024,)),
    "mb": ("bytes", (1000**2, 1024**2)),
    "megabyte": ("bytes", (1000**2, 1024**2)),
    "mib": ("bytes", (1024**2,)),
    "gb": ("bytes", (1000**3, 1024**3)),
    "gigabyte": ("bytes", (1000**3, 1024**3)),
    "gib": ("bytes", (1024**3,)),
    "tb": ("bytes", (1000**4, 1024**4)),
    "terabyte": ("bytes", (1000**4, 1024**4)),
    "millisecond": ("time", (1,)),
    "ms": ("time", (1,)),
    "second": ("time", (1000,)),
    "sec": ("time", (1000,)),
    "minute": ("time", (60_000,)),
    "min": ("time", (60_000,)),
    "hour": ("time", (3_600_000,)),
    "mm": ("length", (1,)),
    "cm": ("length", (10,)),
    "meter": ("length", (1000,)),
    "metre": ("length", (1000,)),
    "km": ("length", (1_000_000,)),
    "kilometer": ("length", (1_000_000,)),
    "mg": ("mass", (1,)),
    "gram": ("mass", (1000,)),
    "kg": ("mass", (1_000_000,)),
    "kilogram": ("mass", (1_000_000,)),
}
_CURRENCIES = {"$": "$", "usd": "$", "us$": "$", "€": "€", "eur": "€", "£": "£", "gbp": "£", "¥": "¥"}
_AMOUNT = re.compile(
    r"(?<![\w.])(?P<before>US\$|USD\s?|EUR\s?|GBP\s?|[$€£¥]\s?)?(?P<number>\d[\d,]*(?:\.\d+)?)(?![\d.]*\.\d)"
    r"(?P<letter>[kKmMbBtT](?![\w]))?(?P<after>\s?%|(?:\s|-)?(?P<word>[A-Za-z]+)(?:\s(?P<second>[A-Za-z]+))?)?"
)
_MONTHS = {
    name: n
    for n, names in enumerate(
        (
            "january jan",
            "february feb",
            "march mar",
            "april apr",
            "may",
            "june jun",
            "july jul",
            "august aug",
            "september sept sep",
            "october oct",
            "november nov",
            "december dec",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = "(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + ")"
_DATES = (
    re.compile(rf"\b(?P<m>{_MONTH})\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?:,?\s+(?P<y>\d{{4}}))?\b", re.I),
    re.compile(rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s+(?P<m>{_MONTH})\.?(?:,?\s+(?P<y>\d{{4}}))?\b", re.I),
    re.compile(r"(?<![\w-])(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})(?![\w-])"),
    re.compile(r"(?<![\w/])(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})(?![\w/])"),
    re.compile(r"(?<![\w/])(?P<d>\d{1,2})/(?P<m>\d{1,2})/(?P<y>\d{4})(?![\w/])"),
    re.compile(r"(?<![\w.])(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})(?![\w])"),
)
_SPELLING = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty
"""
_SPELLED = _SPELLING.split()
_WORD = re.compile(r"[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number as it stands in a text, with what it counts."""

    #: As `words.numbers` tells it: no grouping, no currency.
    number: str
    #: "" or the word that multiplies it.
    scale: str
    #: What is measured ("share", "bytes", a currency), "" where nothing that is known stands there.
    measure: str
    #: What it may amount to, in the smallest unit of its measure.
    values: frozenset[Decimal]


@dataclass(frozen=True, slots=True, order=True)
class Date:
    """A day; the year may be left open (0)."""

    year: int
    month: int
    day: int


def quantities(text: str) -> list[Quantity]:
    """Return every amount of `text`, in order."""
    return [_quantity(match) for match in _AMOUNT.finditer(_plain(text))]


def _quantity(match: re.Match[str]) -> Quantity:
    before, word = (match["before"] or "").strip().casefold(), (match["word"] or "").casefold()
    second, letter = (match["second"] or "").casefold(), (match["letter"] or "").casefold()
    currency = _CURRENCIES.get(before, "")
    scale = word if word in _SCALES else ""
    if letter and currency:
        scale = _MONEY_LETTERS[letter]
    named = "%" if (match["after"] or "").strip() == "%" else second if word in _SCALES else word
    measure, factors = _UNITS.get(named) or _UNITS.get(named.removesuffix("s")) or (currency, (1,))
    value = Decimal(match["number"].replace(",", "")) * _SCALES.get(scale, 1)
    (number,) = words.numbers(match["number"]) or {match["number"]}
    return Quantity(
        number=number,
        scale=scale,
        measure=measure or currency,
        values=frozenset(value * factor for factor in factors),
    )


def dates(text: str) -> set[Date]:
    """Return the days that `text` may name."""
    return {date for form in _DATES for match in form.finditer(_plain(text)) for date in _date(match)}


def _date(match: re.Match[str]) -> Iterator[Date]:
    name = match["m"].casefold()
    month = _MONTHS.get(name) or (int(name) if name.isdigit() else 0)
    day = int(match["d"])
    if 1 <= month <= 12 and 1 <= day <= 31:
        yield Date(int(match["y"] or 0), month, day)


def spelled(text: str) -> set[str]:
    """Return the numbers up to twenty that `text` writes as words, as digits."""
    found = set(_WORD.findall(text.casefold()))
    return {str(n) for n, word in enumerate(_SPELLED) if word in found and n > 1}


def missing(sentence: str, held: str, figures: set[str], *, context: str = "") -> set[str]:
    """Return the figures of `sentence` that `held` does not hold in any way of saying them.

    `context` is what else speaks of the held words: "(in millions)" over a table scales its cells.
    """
    literal, spoken = words.numbers(held), spelled(held)
    there = quantities(held)
    days = _day_figures(sentence, held)
    own = {q.number: q for q in quantities(sentence)}
    return {
        figure
        for figure in figures
        if figure not in literal | spoken | days
        and not any(_same_amount(own[figure], one) for one in there if figure in own)
    }


def misread(sentence: str, held: str, figures: set[str], *, context: str) -> set[str]:
    """Return the figures that `held` holds with another scale, measure or day than `sentence` gives them."""
    there = quantities(held)
    wrong = set()
    for own in (q for q in quantities(sentence) if q.number in figures):
        alike = [one for one in there if one.number == own.number]
        rest = [one for one in there if one.number != own.number]
        if not alike or any(_same_amount(own, one) for one in rest if own.measure and one.measure):
            continue
        if not any(_fits(own, one, context) for one in alike):
            wrong.add(own.number)
    return wrong | _wrong_days(sentence, held, figures)


def measured(text: str) -> set[str]:
    """Return the numbers of `text` that stand with a unit or a scale known here."""
    return {q.number for q in quantities(text) if q.measure or q.scale}


def _same_amount(ours: Quantity, theirs: Quantity) -> bool:
    if ours.measure == theirs.measure or not (ours.measure and theirs.measure):
        if ours.values & theirs.values and (ours.scale or theirs.scale or ours.measure == theirs.measure):
            return True
        # "5 %" against 0.05: a bare share.
        shares = {v * 100 for v in theirs.values} if ours.measure == "share" else set()
        parts = {v * 100 for v in ours.values} if theirs.measure == "share" else set()
        return bool(ours.values & shares or theirs.values & parts)
    return False


def _fits(own: Quantity, one: Quantity, context: str) -> bool:
    """Say whether a source's number can have the scale and measure that the sentence gives it."""
    spoken = set(_WORD.findall(context.casefold()))
    scales = own.scale == one.scale or (not one.scale and bool({own.scale, own.scale + "s"} & spoken))
    if not own.measure or not one.measure:
        return scales
    # "64 KiB" and "64 bytes" share measure and number; a scale that the context brings is judged above.
    return scales and own.measure == one.measure and bool(own.scale != one.scale or own.values & one.values)


def _day_figures(sentence: str, held: str) -> set[str]:
    """Return the figures of the sentence's days that `held` names too, however it writes them."""
    there = dates(held)
    return {
        str(part)
        for ours in dates(sentence)
        for theirs in there
        if _same_day(ours, theirs)
        for part in (ours.year, ours.month, ours.day)
    } | {f"{part:02d}" for ours in dates(sentence) if ours in there for part in (ours.month, ours.day)}


def _wrong_days(sentence: str, held: str, figures: set[str]) -> set[str]:
    """Return the days of the month that the sentence names and `held` gives to other months or years only."""
    there, ours = dates(held), dates(sentence)
    if not there or any(_same_day(a, b) for a in ours for b in there):
        return set()
    return {str(day.day) for day in ours} & figures


def _same_day(ours: Date, theirs: Date) -> bool:
    years = ours.year == theirs.year or not (ours.year and theirs.year)
    return years and (ours.month, ours.day) == (theirs.month, theirs.day)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
