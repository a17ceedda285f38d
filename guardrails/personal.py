"""Personal data in a text: found by shape, proved by checksum where there is one, masked by kind.

An answer is full of numbers that are nobody's: figures, dates, versions, part numbers. So every kind needs
proof beyond its shape: a checksum (IBAN, cards), a number plan (phones with a country or area code), or a
word nearby that names it. Shapes without proof are left alone.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Kind = Literal["email", "phone", "iban", "card", "us_ssn", "ip"]
Treatment = Literal["allow", "mask", "block"]

PLACEHOLDERS: dict[Kind, str] = {
    "email": "[e-mail]",
    "phone": "[phone number]",
    "iban": "[IBAN]",
    "card": "[card number]",
    "us_ssn": "[social security number]",
    "ip": "[IP address]",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`text[start:end]` is personal data."""

    kind: Kind
    start: int
    end: int


#: Full-width forms, odd spaces and odd hyphens, one character for one, so that places stay true.
_PLAIN: dict[int, int | str] = {
    **{0xFF01 + i: 0x21 + i for i in range(94)},
    **dict.fromkeys(
        map(ord, "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u202f\u3000"), " "
    ),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212\ufe63"), "-"),
}
#: How far before a number a word may name it.
_NEAR_CHARS = 48


def find(text: str, kinds: AbstractSet[Kind]) -> list[Found]:
    """Return what is found of `kinds`, in order of place; overlaps go to the earlier kind of the list."""
    plain = text.translate(_PLAIN)
    taken: list[Found] = []
    for kind, search in _SEARCHES.items():
        if kind not in kinds:
            continue
        for start, end in search(plain):
            if all(end <= other.start or start >= other.end for other in taken):
                taken.append(Found(kind=kind, start=start, end=end))
    return sorted(taken, key=lambda found: found.start)


def mask(text: str, spans: Sequence[tuple[int, int, Kind]]) -> str:
    """Put a typed placeholder in the place of each span; overlapping spans share the first one's."""
    parts: list[str] = []
    at = 0
    for start, end, kind in sorted(spans):
        if start >= at:
            parts += [text[at:start], PLACEHOLDERS[kind]]
        at = max(at, end)
    return "".join([*parts, text[at:]])


_EMAIL = re.compile(
    r"(?<![\w.+%-])[^\W_][\w.+%'-]{0,63}\s?(?:@|[(\[{]\s?at\s?[)\]}])\s?"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.|\s?[(\[{]\s?dot\s?[)\]}]\s?)){1,6}[^\W\d_]{2,24}(?![\w@])",
    re.I,
)


def _emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" not in text and not re.search(r"[(\[{]\s?at\s?[)\]}]", text, re.I):
        return
    for match in _EMAIL.finditer(text):
        # "at 5 @ example.com" is no address: a space is allowed only around a spelt-out at.
        if "@" not in match.group() or not re.search(r"\s@|@\s", match.group()):
            yield match.span()


#: Length by country, SWIFT IBAN registry (release 99).
_IBAN_LENGTHS = {
    **dict.fromkeys(("NO",), 15), **dict.fromkeys(("BE", "BI"), 16),
    **dict.fromkeys(("DK", "FI", "FK", "FO", "GL", "NL", "SD"), 18), **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "OM", "SO", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25), **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("BF", "BJ", "CI", "CM", "CV", "DZ", "FR", "GR", "IT",
                     "MC", "MG", "ML", "MR", "MZ", "SM", "SN"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29), **dict.fromkeys(("JO", "KW", "MU", "YE"), 30),
    **dict.fromkeys(("MT", "SC"), 31), **dict.fromkeys(("LC",), 32), **dict.fromkeys(("RU",), 33),
}  # fmt: skip
_IBAN_HEAD = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[ -]?\d{2}(?=[ -]?[A-Za-z0-9])")


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for head in _IBAN_HEAD.finditer(text):
        wanted = _IBAN_LENGTHS.get(head.group()[:2].upper())
        if not wanted:
            continue
        letters, end = "", head.start()
        while end < len(text) and len(letters) < wanted:
            char = text[end]
            if char.isascii() and char.isalnum():
                letters += char
            elif char not in " -" or text[end - 1] in " -":
                break
            end += 1
        whole = len(letters) == wanted and not text[end : end + 1].isalnum()
        if whole and _mod_97(letters) == 1:
            yield head.start(), end


def _mod_97(iban: str) -> int:
    """Return ISO 7064 MOD 97-10 of an IBAN; 1 is right."""
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97


_CARD = re.compile(
    r"(?<![\w.,:/#$€£+-])(?:\d{12,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?"
    r"|\d{4}([ -])\d{6}\2\d{4,5})(?![\w%€]|[.,]\d|-\d| \d)"
)
_CARD_WORD = re.compile(
    r"\b(?:card|visa|master ?card|amex|american express|maestro|discover|diners|jcb|cc|pan|debit|credit)",
    re.I,
)


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if not _luhn(digits) or len(set(digits)) < 2:
            continue
        if _issued(digits) or (
            (digits[0] in "23456" or digits[:4] in ("1800",)) and _near(_CARD_WORD, text, match)
        ):
            yield match.span()


def _issued(digits: str) -> bool:
    """Say whether prefix and length are of a card network (ISO/IEC 7812 ranges as the networks publish them).

    12 and 13 digits (old Maestro and Visa) are too common as plain numbers: they want a word nearby.
    """
    two, four, length = int(digits[:2]), int(digits[:4]), len(digits)
    return (
        (digits[0] == "4" and length in (16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and length == 16)
        or (two in (34, 37) and length == 15)
        or ((two in (36, 38, 39) or 300 <= int(digits[:3]) <= 305) and length == 14)
        or ((four == 6011 or two in (62, 64, 65)) and 16 <= length <= 19)
        or (3528 <= four <= 3589 and length == 16)
        or (four in (2131, 1800) and length == 15)
        or (two in (50, 56, 57, 58, 63, 67) and length == 16)
    )


def _luhn(digits: str) -> bool:
    """Check the last digit (ISO/IEC 7812-1 annex B)."""
    doubled = (sum(divmod(2 * int(d), 10)) for d in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


_SSN = re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}([- ]?)(?!00)\d{2}\1(?!0000)\d{4}(?![\w-]|[.,]\d)")
_SSN_WORD = re.compile(r"\b(?:ssn|social security|soc\. ?sec|social insurance|tax(?:payer)? id)", re.I)


def _ssns(text: str) -> Iterator[tuple[int, int]]:
    for match in _SSN.finditer(text):
        if match.group(1) == "-" or _near(_SSN_WORD, text, match):
            yield match.span()


_IPV4 = re.compile(
    r"(?<![\w.:/@-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d|/\d{1,2}\.)|(?<=[/@])(?:\d{1,3}\.){3}\d{1,3}(?![\w.-])"
)
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:]|\.\d)")
#: What has four numbers and dots and is no address.
_VERSION_WORD = re.compile(
    r"(?:\b(?:v|ver|version|release|rev|revision|build|firmware|driver|update|section|sec|chapter|clause"
    r"|article|§"
    r"|table|figure|fig|step|item|appendix|annex|rule|schema|sdk|kernel|windows|chrome|edge"
    r"|oid)s?\.?\s*[:=]?\s*|§\s*)$",
    re.I,
)
_IP_WORD = re.compile(
    r"\b(?:ip(?:v[46])?|address|host|server|gateway|dns|subnet|router|client|peer|ping|from|login|connect"
    r"|logged|endpoint)\b",
    re.I,
)


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    for match in _IPV4.finditer(text):
        octets = [int(part) for part in match.group().split(".")]
        # 0/8, loopback, netmasks and multicast belong to nobody.
        if max(octets) > 255 or octets[0] in (0, 127) or octets[0] >= 224:
            continue
        if _VERSION_WORD.search(text[max(0, match.start() - 24) : match.start()]):
            continue
        # Section and product numbers are small; an address with four small numbers wants a word nearby.
        if max(octets) >= 100 or octets[0] == 10 or _near(_IP_WORD, text, match):
            yield match.span()
    for match in _IPV6.finditer(text):
        if _is_ipv6(match.group()):
            yield match.span()


def _is_ipv6(text: str) -> bool:
    groups = [group for group in text.split(":") if group]
    if len(groups) < 3 or not any(map(str.isdigit, text)) or all(len(group) < 3 for group in groups):
        return False
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


_PHONE_WORD = re.compile(
    r"(?:\b(?:(?:tele|smart)?phone|tel|tél|téléphone|telefon[oe]?|mobil[e]?|cell(?:ular)?|fax|whats ?app"
    r"|sms|hotline|helpline"
    r"|landline|switchboard|handy|desk|answer(?:s|ed|ing)?|call(?:s|ed|ing)?|dial|text|ring|(?:reach"
    r"|contact)(?:ed)? (?:me|us|him|her|them|you)?"
    r"|contact number|his number|her number|my number|your number"
    r"|their number|voice ?mail|pager)\b|[☎☏📞📱✆])",
    re.I,
)
_EXTENSION = r"(?:\s?(?:x|ext\.?|extension)\s?\d{1,6})?"
_EDGE_BEFORE = r"(?<![\w.,:/#$€£¥%+=-])(?<!\d )"
_EDGE_AFTER = r"(?!\w|[.,:/]\d|-\d|\s?[%€£¥]| \d)"
#: +CC and 7 to 14 more digits, grouped in any way (ITU-T E.164).
_INTERNATIONAL = re.compile(
    rf"(?<![\w.+])(?:\+\s?"
    rf"|\b00)(?=[1-9])\d{{1,3}}(?:[ .-]?\(0?\d{{0,4}}\))?(?:[ ./-]{{0,2}}\d{{1,12}}){{1,6}}"
    rf"{_EXTENSION}(?!\w|[.,]\d)"
)
#: Area code and seven digits of the North American plan; spaces alone are a row of figures.
_AMERICAN = re.compile(
    rf"{_EDGE_BEFORE}(?:1[-. ])?(?:\(\d{{3}}\)[ -]?\d{{3}}[-. ]\d{{4}}|\d{{3}}([-.])\d{{3}}\1\d{{4}}"
    rf"|\d{{3}}[ /]\d{{3}}-\d{{4}})"
    rf"{_EXTENSION}{_EDGE_AFTER}"
)
#: A trunk zero and groups under one separator (United Kingdom, France, Italy, Germany, Australia, Brazil, …).
_TRUNK = re.compile(
    rf"{_EDGE_BEFORE}(?:\(0[1-9]\d{{0,4}}\)|0[1-9]\d{{0,4}})(?:([ .-])\d{{2,5}}(?:\1\d{{2,5}}){{0,4}}"
    rf"|[ /-]\d{{5,8}})(?!\w|[.,:/]\d|-\d|\s?[%€£¥])"
)
#: Any groups at all, where a word just before says that it is a phone.
_NAMED = re.compile(
    rf"{_EDGE_BEFORE}\(?\d[\d]{{0,11}}\)?(?:[ ./-]{{1,2}}\(?\d{{1,8}}\)?){{0,6}}"
    rf"{_EXTENSION}(?!\w|[.,]\d|\s?[%€£¥])"
)
_DATE = re.compile(
    r"\b(?:(?:19|20)\d\d[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12]\d|3[01])|(?:0?[1-9]|[12]\d"
    r"|3[01])[-./ ](?:0?[1-9]|[12]\d|3[01])[-./ ](?:19|20)?\d\d)(?!\d)"
)
_MONEY_BEFORE = re.compile(r"(?:[$€£¥]|\b(?:usd|eur|gbp|chf|jpy|cad|aud|inr|sek|nok|dkk|us\$))\s?$", re.I)
_UNIT_AFTER = re.compile(
    r"\s?(?:%|€|£|¥|\b(?:usd|eur|gbp|chf|jpy|percent|million|billion|thousand|mn|bn|kg|km|mm|cm|ms|mb|gb"
    r"|kb|tb|units?|shares|tons?|tonnes"
    r"|pages?|items?|rows?|people|employees|users|dollars|euros|pts?|bps|basis)\b)",
    re.I,
)
_THOUSANDS = re.compile(r"\+?\s?\d{1,3}(?: \d{3})+$")


def _phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _INTERNATIONAL.finditer(text):
        digits = _digits(match.group())
        named = _near(_PHONE_WORD, text, match)
        if 8 <= len(digits) <= 19 and not _is_figure(text, match) and (named or _shaped(match.group())):
            yield match.span()
    for match in _AMERICAN.finditer(text):
        if not _is_figure(text, match):
            yield match.span()
    for match in _TRUNK.finditer(text):
        if 9 <= len(_digits(match.group())) <= 12 and not (
            _counts_up(match.group()) or _is_date(match.group()) or _is_figure(text, match)
        ):
            yield match.span()
    for match in _NAMED.finditer(text):
        digits = _digits(match.group())
        fits = 7 <= len(digits) <= 15 and not _is_date(match.group()) and not _is_figure(text, match)
        if fits and (
            _named_just_before(text, match) or _LABEL_AFTER.match(text[match.end() : match.end() + 16])
        ):
            yield match.span()


def _shaped(number: str) -> bool:
    """Say whether a +number without a word nearby is a phone: long enough and not a figure with a sign."""
    digits = _digits(number)
    return (
        len(digits) >= 9 and not (_THOUSANDS.match(number) and len(digits) < 11) and number.lstrip()[0] == "+"
    )


def _is_figure(text: str, match: re.Match[str]) -> bool:
    before, after = text[max(0, match.start() - 5) : match.start()], text[match.end() : match.end() + 12]
    round_thousands = _THOUSANDS.match(match.group()) and match.group().endswith(" 000")
    return bool(round_thousands or _MONEY_BEFORE.search(before) or _UNIT_AFTER.match(after))


def _is_date(number: str) -> bool:
    """Say whether it holds a date or is a row of years."""
    return bool(_DATE.search(number)) or all(
        re.fullmatch(r"(?:19|20)\d\d", group) for group in re.findall(r"\d+", number)
    )


def _counts_up(number: str) -> bool:
    """Say whether the groups are 03 04 05 …: a list, a calendar, a row of page numbers."""
    groups = [int(group) for group in re.findall(r"\d+", number)]
    return len(groups) > 2 and all(0 < b - a <= 5 for a, b in pairwise(groups))


#: "555 0199 (fax)", "555 0199-Office", "555 0199 home" at the end of a line, as in signatures.
_LABEL_AFTER = re.compile(
    r"\s?[-(–]\s?(?:office|fax|mobile|home|work|cell|phone|tel|desk)\b|\s(?:fax|cell|mobile|phone)\b"
    r"|[ ](?:office|home|work)\s*(?:\n|$)",
    re.I,
)
_SAYS_NUMBER = re.compile(r"^[\s:.()\-–—|*#'\"]*(?:(?:is|at|on|no|nr|number|numbers|us|me|him|her|them|the|my|your|our|or|to|via|a|office|work|home|direct|line|toll|free|for|support|help|message|it's|now|please|back|via|1)\b[\s:.()\-–—|*#'\"]*){0,6}$", re.I)  # fmt: skip  # noqa: E501


def _named_just_before(text: str, match: re.Match[str]) -> bool:
    """Say whether a phone word stands before the number with nothing but small words in between."""
    before = text[max(0, match.start() - _NEAR_CHARS) : match.start()]
    words = list(_PHONE_WORD.finditer(before))
    return bool(words) and bool(_SAYS_NUMBER.match(before[words[-1].end() :]))


def _near(word: re.Pattern[str], text: str, match: re.Match[str]) -> bool:
    around = (
        text[max(0, match.start() - _NEAR_CHARS) : match.start()] + " " + text[match.end() : match.end() + 24]
    )
    return bool(word.search(around))


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


#: In this order: a proof by checksum comes before a shape.
_SEARCHES: dict[Kind, Callable[[str], Iterator[tuple[int, int]]]] = {
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "us_ssn": _ssns,
    "ip": _addresses,
    "phone": _phones,
}
