"""Ways to reach somebody, by shape and number plan: e-mail, phone, IP address."""

from __future__ import annotations

import ipaddress
import re
from itertools import pairwise

from guardrails.nearby import NEAR_CHARS, Spans, digits, near

_EMAIL = re.compile(
    r"(?<![\w.+%-])[^\W_][\w.+%'-]{0,63}\s?(?:@|[(\[{]\s?at\s?[)\]}])\s?"
    r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?(?:\.|\s?[(\[{]\s?dot\s?[)\]}]\s?)){1,6}[^\W\d_]{2,24}(?![\w@])",
    re.I,
)


def emails(text: str) -> Spans:
    """Find e-mail addresses, also with "at" and "dot" spelt out in brackets."""
    if "@" not in text and not re.search(r"[(\[{]\s?at\s?[)\]}]", text, re.I):
        return
    for match in _EMAIL.finditer(text):
        # "at 5 @ example.com" is no address: a space is allowed only around a spelt-out at.
        if "@" not in match.group() or not re.search(r"\s@|@\s", match.group()):
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


def ip_addresses(text: str) -> Spans:
    """Find addresses of machines; versions, netmasks and section numbers are none."""
    for match in _IPV4.finditer(text):
        octets = [int(part) for part in match.group().split(".")]
        # 0/8, loopback, netmasks and multicast belong to nobody.
        if max(octets) > 255 or octets[0] in (0, 127) or octets[0] >= 224:
            continue
        if _VERSION_WORD.search(text[max(0, match.start() - 24) : match.start()]):
            continue
        # Section and product numbers are small; an address with four small numbers wants a word nearby.
        if max(octets) >= 100 or octets[0] == 10 or near(_IP_WORD, text, match):
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


def phones(text: str) -> Spans:
    """Find phone numbers: by a country's or an area's code, or by a word that names them."""
    for match in _INTERNATIONAL.finditer(text):
        named = near(_PHONE_WORD, text, match)
        if (
            8 <= len(digits(match.group())) <= 19
            and not _is_figure(text, match)
            and (named or _shaped(match.group()))
        ):
            yield match.span()
    for match in _AMERICAN.finditer(text):
        if not _is_figure(text, match):
            yield match.span()
    for match in _TRUNK.finditer(text):
        if 9 <= len(digits(match.group())) <= 12 and not (
            _counts_up(match.group()) or _is_date(match.group()) or _is_figure(text, match)
        ):
            yield match.span()
    for match in _NAMED.finditer(text):
        fits = (
            7 <= len(digits(match.group())) <= 15
            and not _is_date(match.group())
            and not _is_figure(text, match)
        )
        if fits and (
            _named_just_before(text, match) or _LABEL_AFTER.match(text[match.end() : match.end() + 16])
        ):
            yield match.span()


def _shaped(number: str) -> bool:
    """Say whether a +number without a word nearby is a phone: long enough and not a figure with a sign."""
    count = len(digits(number))
    return count >= 9 and not (_THOUSANDS.match(number) and count < 11) and number.lstrip()[0] == "+"


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
    r"\s?[-(–]\s?(?:office|fax|mobile|home|work|cell|phone|tel|desk)\b|[ ](?:fax|cell|mobile|phone)\b"
    r"|[ ](?:office|home|work)\s*(?:\n|$)",
    re.I,
)
_SAYS_NUMBER = re.compile(r"^[\s:.()\-–—|*#'\"]*(?:(?:is|at|on|no|nr|number|numbers|us|me|him|her|them|the|my|your|our|or|to|via|a|office|work|home|direct|line|toll|free|for|support|help|message|it's|now|please|back|via|1)\b[\s:.()\-–—|*#'\"]*){0,6}$", re.I)  # fmt: skip  # noqa: E501


def _named_just_before(text: str, match: re.Match[str]) -> bool:
    """Say whether a phone word stands before the number with nothing but small words in between."""
    before = text[max(0, match.start() - NEAR_CHARS) : match.start()]
    words = list(_PHONE_WORD.finditer(before))
    return bool(words) and bool(_SAYS_NUMBER.match(before[words[-1].end() :]))
