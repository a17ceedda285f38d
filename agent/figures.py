"""Figures as documents print them: `(1,234)`, `$ 5.2`, `(2 )%`, `—`; and the scale that a table names once.

A figure is an exact decimal; nothing here is ever a float, so that what is computed from printed figures can
be computed again to the last digit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, localcontext

_FIGURE = re.compile(
    r"(?P<open>\()?\s*(?P<sign>[-+\u2212\u2013])?\s*(?P<money>US\$|[$€£¥])?\s*(?P<inner>[-\u2212(])?\s*"
    r"(?P<digits>\d[\d,]*(?:\.\d+)?|\.\d+)\s*(?P<close>\))?\s*(?P<percent>%)?\s*\)?"
    r"(?:\s*(?P<scale>thousand|million|billion|trillion|mn|bn|m|k)\b)?",
    re.IGNORECASE,
)
#: What a table prints for nothing: it is zero in a sum and no answer to a look-up.
NONE = frozenset({"—", "-", "–", "\u2212", "$ —", "$ -", "$—", "— %", "—%", "- %", "nil"})
#: What may stand behind a figure and is none of it: footnote marks.
_NOTES = re.compile(r"\s*(?:\((?:\d{1,2}|[a-z])\)|[*†‡§#]+|\[\d{1,2}\])+\s*$")
_SCALES = {
    "thousand": 3,
    "k": 3,
    "million": 6,
    "mn": 6,
    "m": 6,
    "billion": 9,
    "bn": 9,
    "trillion": 12,
}
_IN_SCALE = re.compile(
    r"\(?\s*(?:\bin\s+)?(?:US\s*)?[$€£]?\s*(?:in\s+)?(?:US\s+|U\.S\.\s+)?(?:dollars\s+in\s+|amounts\s+in\s+)?"
    r"\b(thousand|million|billion)s\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number as printed; `amount` of "12 %" is 12, of "(5)" -5."""

    amount: Decimal
    percent: bool = False
    #: "$", "€", …; "" where none is printed.
    money: str = ""
    #: Power of ten of a scale word beside it ("1.2 billion": 9); 0 for none.
    scale: int = 0


def figure(text: str) -> Figure | None:
    """Read a cell that is one figure, footnote marks aside; None for words, ranges, versions and dates."""
    text = text.strip()
    if text in NONE:
        return Figure(amount=Decimal(0))
    match = _FIGURE.fullmatch(text) or _FIGURE.fullmatch(_NOTES.sub("", text))
    if match is None or not _grouped(match["digits"]):
        return None
    amount = Decimal(match["digits"].replace(",", ""))
    negative = bool(match["open"] or match["inner"] or (match["sign"] and match["sign"] != "+"))
    return Figure(
        amount=-amount if negative else amount,
        percent=bool(match["percent"]),
        money=match["money"] or "",
        scale=_SCALES.get((match["scale"] or "").casefold(), 0),
    )


def scale_of(text: str) -> str:
    """Return the scale that a caption or heading names for a whole table ("millions"), or ""."""
    found = {match[1].casefold() for match in _IN_SCALE.finditer(text)}
    return f"{found.pop()}s" if len(found) == 1 else ""


def plain(amount: Decimal, *, decimals: int) -> str:
    """Write an amount with thousands separators and that many decimals, half away from zero."""
    rounded = rounded_to(amount, decimals)
    return f"{rounded:,}" if rounded else f"{abs(rounded):,}"


def rounded_to(amount: Decimal, decimals: int) -> Decimal:
    """Round half away from zero, as people do."""
    with localcontext() as exact:
        exact.prec = 60
        return amount.quantize(Decimal(1).scaleb(-decimals), rounding="ROUND_HALF_UP")


def decimals_of(text: str) -> int:
    """Return how many decimals a printed figure has."""
    match = re.search(r"\d\.(\d+)|(?<!\d)\.(\d+)", text)
    return len(match[1] or match[2]) if match else 0


def _grouped(digits: str) -> bool:
    """Say whether commas, if any, part thousands: "1,2" is a list and no number."""
    whole = digits.partition(".")[0]
    return "," not in whole or re.fullmatch(r"\d{1,3}(?:,\d{3})+", whole) is not None
