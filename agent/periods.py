"""Times as questions and tables name them: "FY2022", "Q2 of FY2024", "Six Months Ended July 29, 2023".

A fiscal year is not a calendar year: where a document says which quarter its newest column is, the others
follow by counting months. Where nothing tells two columns of one year apart, no column is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = rf"(?:{'|'.join(MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?"
_YEAR = r"(?:19|20)\d{2}"
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4}
_QUARTER = re.compile(
    rf"\b(?:(?:FY|CY)?\s*'?(?P<y1>{_YEAR})\s*Q(?P<q1>[1-4])|Q(?P<q2>[1-4])(?:[\s,]*(?:of|for|in)?\s*"
    rf"(?:the\s+)?(?:fiscal(?:\s+year)?|FY|CY)?\s*'?(?P<y2>{_YEAR}|\d{{2}}\b))?|"
    rf"(?P<q3>first|second|third|fourth)[\s-]+quarters?(?:\s+(?:of|for|in))?(?:\s+the)?"
    rf"(?:\s+(?:fiscal|year|FY|CY))*\s*(?P<y3>{_YEAR})?)",
    re.IGNORECASE,
)
_RANGE = re.compile(
    rf"\b(?:FY|CY)?\s*({_YEAR})\s*(?:-|–|—|to|through|until)\s*(?:FY|CY)?\s*({_YEAR})\b", re.IGNORECASE
)
_FULL_YEAR = re.compile(
    rf"(?<![\d.,$])(?:FY|CY|fiscal(?:\s+year)?)?\s*'?({_YEAR})(?![\d,]*\d|\.\d)", re.IGNORECASE
)
_SHORT_YEAR = re.compile(r"\b(?:FY|CY)\s*'?(\d{2})\b(?!\d)", re.IGNORECASE)
_SPAN = re.compile(r"\b(three|six|nine|twelve|3|6|9|12)\s+months\b", re.IGNORECASE)
_SPANS = {"three": 3, "six": 6, "nine": 9, "twelve": 12}
_WEEKS = re.compile(r"\b(1[234]|2[567]|39|40|5[123])\s+weeks\b", re.IGNORECASE)
_CHANGES = re.compile(
    r"\b(?:change|vs\.?|versus|increase|decrease|variance|growth)\b|%\s*change|[△Δ]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch or point of time; what is not said is None."""

    year: int
    quarter: int | None = None
    #: Months that it lasts: 3, 6, 9, 12; None for a point or where it is not said.
    months: int | None = None
    #: Month that it ends in, from 1.
    month: int | None = None

    @property
    def at(self) -> int | None:
        """Its end as a count of months."""
        return None if self.month is None else self.year * 12 + self.month


def asked(text: str) -> list[Period]:
    """Return the periods that a question names, in order; a range names every year within."""
    found: dict[tuple[int, int | None], tuple[int, Period]] = {}
    rest = text
    for match in _QUARTER.finditer(text):
        year = match["y1"] or match["y2"] or match["y3"]
        quarter = int(match["q1"] or match["q2"] or _ORDINALS[(match["q3"] or "first").lower()])
        if year is not None:
            whole = int(year) if len(year) == 4 else 2000 + int(year)
            found.setdefault((whole, quarter), (match.start(), Period(year=whole, quarter=quarter)))
            rest = rest[: match.start()] + " " * (match.end() - match.start()) + rest[match.end() :]
    for match in _RANGE.finditer(rest):
        first, last = sorted((int(match[1]), int(match[2])))
        for year in range(first, last + 1) if last - first <= 12 else ():
            found.setdefault((year, None), (match.start(), Period(year=year)))
    for match in _FULL_YEAR.finditer(rest):
        month = _month_of(rest[max(0, match.start() - 18) : match.start()])
        found.setdefault((int(match[1]), None), (match.start(), Period(year=int(match[1]), month=month)))
    for match in _SHORT_YEAR.finditer(rest):
        found.setdefault((2000 + int(match[1]), None), (match.start(), Period(year=2000 + int(match[1]))))
    return [period for _, period in sorted(found.values(), key=lambda pair: pair[0])]


def of_head(head: str) -> Period | None:
    """Return the one period that a column's head names; None for none, and for a change between two."""
    quarter = next(iter(_QUARTER.finditer(head)), None)
    years = {int(y) for y in re.findall(rf"(?<!\d)({_YEAR})(?!\d)", head)}
    years |= {2000 + int(y) for y in _SHORT_YEAR.findall(head)} if not years else set()
    if len(years) != 1 or (_CHANGES.search(head) and re.search(r"\bvs\b|versus|change", head, re.I)):
        return None
    number = None
    if quarter is not None:
        number = int(quarter["q1"] or quarter["q2"] or _ORDINALS[(quarter["q3"] or "first").lower()])
    return Period(year=years.pop(), quarter=number, months=_months(head), month=_month_of(head))


def _months(head: str) -> int | None:
    span = _SPAN.search(head)
    if span:
        return _SPANS.get(span[1].lower()) or int(span[1])
    weeks = _WEEKS.search(head)
    if weeks:
        return round(int(weeks[1]) / 13) * 3
    if re.search(r"\b(?:years?|fiscal|twelve)\b[^|]{0,20}\bended\b|\bFY\b|\bfiscal\b", head, re.IGNORECASE):
        return 12
    return 3 if re.search(r"\bquarters?\s+ended\b", head, re.IGNORECASE) else None


def _month_of(text: str) -> int | None:
    found = re.findall(rf"\b({_MONTH})\s+\d{{1,2}}\b|\b({_MONTH})(?=\s|$)", text, re.IGNORECASE)
    if not found:
        return None
    name = (found[-1][0] or found[-1][1])[:3].casefold()
    return next(i for i, month in enumerate(MONTHS, start=1) if month.startswith(name))


def heads_in(line: str, *, columns: int) -> list[str]:
    """Return the heads that a line above a table names for its `columns` value columns, or [].

    "As of June 30, 2023 2022" heads two columns; "2022 2021 2020 2022 vs. 2021" three and a change.
    """
    found = [
        match.group()
        for match in re.finditer(
            rf"(?:FY\s*)?\b{_YEAR}\s*(?:vs\.?|versus|[-–])\s*{_YEAR}\b|"
            rf"{_MONTH}\s+\d{{1,2}},?\s+{_YEAR}|\bQ[1-4]\s*'?(?:{_YEAR}|\d{{2}})|(?:FY\s*)?\b{_YEAR}\b",
            line,
            re.IGNORECASE,
        )
    ]
    plain = [head for head in found if of_head(head) is not None]
    if len(found) == columns or (len(plain) == columns and found[:columns] == plain):
        heads = found[:columns]
    elif (
        len(plain) > columns
        and len(found) == len(plain)
        and all(re.fullmatch(_YEAR, head) for head in plain[-columns:])
        and {head[-4:] for head in plain[:-columns]} <= set(plain[-columns:])
    ):
        # A date before the years themselves: "December 31, 2022 and 2021  2022 2021".
        heads = plain[-columns:]
    elif plain and found[: len(plain)] == plain and (changes := found[len(plain) :]):
        # A change has an amount and a percentage: two columns below one head.
        each, left = divmod(columns - len(plain), len(changes))
        heads = [*plain, *(change for change in changes for _ in range(each))] if each and not left else []
    else:
        heads = []
    if not heads:
        return []
    prefix = line[: line.find(heads[0])].strip()
    whole = re.match(rf"({_MONTH}\s+\d{{1,2}}),?\s+{_YEAR}$", heads[0], re.IGNORECASE)
    month = whole or re.search(rf"({_MONTH}\s+\d{{1,2}})\s*,?\s*$", prefix, re.IGNORECASE)
    if month:
        heads = [f"{month[1]}, {head}" if re.fullmatch(_YEAR, head) else head for head in heads]
    named = [head for head in heads if of_head(head) is not None]
    return heads if len(set(named)) == len(named) else []


def column_for(
    wanted: Period, heads: Sequence[str], *, anchor: tuple[Period, int] | None = None
) -> int | None:
    """Return which of `heads` is `wanted`; None where none is, or more than one may be.

    `anchor`: a quarter and the month count it ended at, from which fiscal periods are counted.
    """
    known = [(i, period) for i, head in enumerate(heads) if (period := of_head(head)) is not None]
    if anchor is not None and any(period.at is not None for _, period in known):
        ended = _ends(wanted, anchor)
        near = [(i, p) for i, p in known if p.at is not None and abs(p.at - ended) <= 1]
        lasting = 3 if wanted.quarter else 12
        right = [(i, p) for i, p in near if p.months == lasting] or [
            (i, p) for i, p in near if p.months is None
        ]
        return right[0][0] if len(right) == 1 else None
    same = [(i, p) for i, p in known if p.year == wanted.year]
    if wanted.month is not None:
        same = [(i, p) for i, p in same if p.month in (None, wanted.month)]
    if wanted.quarter is not None:
        right = [(i, p) for i, p in same if p.quarter == wanted.quarter]
    else:
        right = [(i, p) for i, p in same if p.quarter is None]
        right = [(i, p) for i, p in right if p.months == 12] or [
            (i, p) for i, p in right if p.months in (None, 12)
        ]
    return right[0][0] if len(right) == 1 else None


def _ends(wanted: Period, anchor: tuple[Period, int]) -> int:
    known, at = anchor
    quarter = wanted.quarter or 4
    return at + 3 * (quarter - (known.quarter or 4)) + 12 * (wanted.year - known.year)
