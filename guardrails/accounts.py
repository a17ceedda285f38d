"""Account numbers that prove themselves: IBAN and payment cards."""

from __future__ import annotations

import re

from guardrails.nearby import Spans, digits, luhn, near

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


def ibans(text: str) -> Spans:
    """Find account numbers of a country's length whose check digits are right."""
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


def cards(text: str) -> Spans:
    """Find card numbers: check digit right, and a network's range or a word nearby."""
    for match in _CARD.finditer(text):
        number = digits(match.group())
        if not luhn(number) or len(set(number)) < 2:
            continue
        if _issued(number) or (
            (number[0] in "23456" or number[:4] in ("1800",)) and near(_CARD_WORD, text, match)
        ):
            yield match.span()


def _issued(number: str) -> bool:
    """Say whether prefix and length are of a card network (ISO/IEC 7812 ranges as the networks publish them).

    12 and 13 digits (old Maestro and Visa) are too common as plain numbers: they want a word nearby.
    """
    two, four, length = int(number[:2]), int(number[:4]), len(number)
    return (
        (number[0] == "4" and length in (16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and length == 16)
        or (two in (34, 37) and length == 15)
        or ((two in (36, 38, 39) or 300 <= int(number[:3]) <= 305) and length == 14)
        or ((four == 6011 or two in (62, 64, 65)) and 16 <= length <= 19)
        or (3528 <= four <= 3589 and length == 16)
        or (four in (2131, 1800) and length == 15)
        or (two in (50, 56, 57, 58, 63, 67) and length == 16)
    )
