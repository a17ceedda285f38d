"""Numbers and dates that a state gave a person: identity and tax numbers, passports, licences, birth dates.

A number plan whose check digits leave little to chance, or whose shape nothing else has, proves itself; the
others want a word that names them nearby: one of ten plain figures has a right check digit. The rules are
those that the issuing authorities publish.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from guardrails.nearby import Spans, digits, luhn, near, weighted

_BEFORE, _AFTER = r"(?<![\w.,/$€£¥+-])", r"(?![\w%€£¥]|[.,/-]\d)"


@dataclass(frozen=True, slots=True)
class _Plan:
    """One country's number: its shape, its check digits, the word that it wants nearby; None: has none."""

    shape: str
    checked: Callable[[str], bool] | None
    word: str | None = None


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _dated(number: str, *, order: str = "ymd") -> bool:
    """Say whether six digits are a day of some year ending in those two."""
    parts = dict(zip(order, (number[0:2], number[2:4], number[4:6]), strict=True))
    return _is_date(2000 + int(parts["y"]), int(parts["m"]), int(parts["d"]))


def _nhs(text: str) -> bool:
    number = digits(text)
    return (11 - weighted(number, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11) % 11 == int(number[9])


def _french(text: str) -> bool:
    body, key = text.replace(" ", "")[:13], int(text.replace(" ", "")[13:])
    month = int(body[3:5])
    corsican = body.replace("2A", "19").replace("2B", "18")
    return (1 <= month <= 12 or 20 <= month <= 42) and 97 - int(corsican) % 97 == key


def _spanish(text: str) -> bool:
    number = re.sub(r"[ .-]", "", text).upper()
    value = int(number[:-1].translate(str.maketrans("XYZ", "012")))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[value % 23] == number[-1]


#: What a character counts for in an odd place of a codice fiscale (DM 23/12/1976); digits count like A to J.
_ODD = dict(
    zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14,
                                      16, 10, 22, 25, 24, 23), strict=True)
)  # fmt: skip


def _italian(text: str) -> bool:
    letters = [chr(ord("A") + int(char)) if char.isdigit() else char for char in text.upper()]
    total = sum(_ODD[char] for char in letters[0:15:2]) + sum(ord(char) - 65 for char in letters[1:15:2])
    return chr(65 + total % 26) == letters[15]


def _dutch(text: str) -> bool:
    number = digits(text)
    return number != "000000000" and weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _polish(text: str) -> bool:
    month = int(text[2:4]) % 20
    checked = (10 - weighted(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == int(text[10])
    return checked and 1 <= month <= 12 and 1 <= int(text[4:6]) <= 31


def _swedish(text: str) -> bool:
    number = digits(text)[-10:]
    # A co-ordination number has 60 added to the day.
    day = int(number[4:6]) % 60
    return luhn(number) and _dated(f"{number[:4]}{day:02}")


def _finnish(text: str) -> bool:
    number = text[:6] + text[7:10]
    return (
        _dated(number, order="dmy")
        and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number) % 31] == text[10].upper()
    )


def _norwegian(text: str) -> bool:
    number = digits(text)
    first = (11 - weighted(number, (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11) % 11
    second = (11 - weighted(number, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    return first == int(number[9]) and second == int(number[10])


def _belgian(text: str) -> bool:
    number = digits(text)
    return int(number[9:]) in (97 - int(number[:9]) % 97, 97 - int("2" + number[:9]) % 97)


def _swiss(text: str) -> bool:
    number = digits(text)
    return (10 - weighted(number, (1, 3) * 6) % 10) % 10 == int(number[12])


def _german(text: str) -> bool:
    """Check a tax number (ISO/IEC 7064 MOD 11,10)."""
    number, product = digits(text), 10
    for digit in number[:10]:
        product = 2 * ((product + int(digit)) % 10 or 10) % 11
    return (11 - product) % 10 == int(number[10])


#: The dihedral group of ten and its permutation (Verhoeff, 1969).
_TIMES = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
          "5987604321", "6598710432", "7659821043", "8765932104", "9876543210")  # fmt: skip
_MOVED = ("0123456789", "1576283094", "5803796142", "8916043527",
          "9453126870", "4286573901", "2793806415", "7046913258")  # fmt: skip


def verhoeff(number: str) -> bool:
    """Check the last digit of an Aadhaar number."""
    kept = 0
    for place, digit in enumerate(reversed(number)):
        kept = int(_TIMES[kept][int(_MOVED[place % 8][int(digit)])])
    return kept == 0


def _aadhaar(text: str) -> bool:
    return verhoeff(digits(text))


def _brazilian(text: str) -> bool:
    number = digits(text)
    first = weighted(number, tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = weighted(number, tuple(range(11, 1, -1))) * 10 % 11 % 10
    return len(set(number)) > 1 and (first, second) == (int(number[9]), int(number[10]))


def _chinese(text: str) -> bool:
    total = weighted(text, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
    dated = _is_date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    return dated and "10X98765432"[total % 11] == text[17].upper()


def _canadian(text: str) -> bool:
    return luhn(digits(text))


def _australian(text: str) -> bool:
    return weighted(digits(text), (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


_PLANS = (
    # United Kingdom: National Insurance (spaced as printed, or named) and NHS.
    _Plan(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] \d\d \d\d \d\d [A-D]", None),
    _Plan(
        r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
        None,
        r"\b(?:national insurance|ni (?:number|no)|nino)\b",
    ),
    _Plan(r"\d{3}[ -]?\d{3}[ -]?\d{4}", _nhs, r"\bnhs\b"),
    # France: NIR, the number of the carte Vitale.
    _Plan(r"[1-478] ?\d\d ?\d\d ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d", _french),
    # Spain: DNI and NIE.
    _Plan(r"(?:\d{8}|\d\d\.\d{3}\.\d{3}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]", _spanish),
    # Italy: codice fiscale, with the letters that stand for digits where two would be alike.
    _Plan(
        r"(?i:[A-Z]{6}[\dLMNPQRSTUV]{2}[ABCDEHLMPRST][\dLMNPQRSTUV]{2}[A-Z][\dLMNPQRSTUV]{3}[A-Z])", _italian
    ),
    # The Netherlands: BSN.
    _Plan(r"\d{9}|\d{4}\.\d{2}\.\d{3}", _dutch, r"\b(?:bsn|burgerservice\w*|sofi)\b"),
    # Poland: PESEL.
    _Plan(r"\d{11}", _polish, r"\bpesel\b"),
    # Sweden: personnummer with its sign, or named.
    _Plan(r"(?:19|20)?\d{6}[-+]\d{4}", _swedish),
    _Plan(r"(?:19|20)?\d{10}", _swedish, r"\b(?:person(?:al identity )?(?:nummer|number)|pnr)\b"),
    # Finland: henkilötunnus.
    _Plan(r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _finnish),
    # Norway: fødselsnummer. Denmark: CPR.
    _Plan(r"\d{6} ?\d{5}", _norwegian, r"\b(?:f(?:ø|oe?)dsels?n\w*|personnummer|d-nummer)\b"),
    _Plan(r"\d{6}-?\d{4}", lambda text: _dated(text, order="dmy"), r"\bcpr\b"),
    # Belgium: rijksregisternummer. Switzerland: AHV.
    _Plan(r"\d\d\.\d\d\.\d\d-\d{3}\.\d\d", _belgian),
    _Plan(r"756[ .]?\d{4}[ .]?\d{4}[ .]?\d\d", _swiss),
    # Germany: Steuer-Identifikationsnummer.
    _Plan(r"\d\d ?\d{3} ?\d{3} ?\d{3}", _german, r"\b(?:steuer\w*|tax id\w*|idnr|tin)\b"),
    # India: Aadhaar, and the PAN that taxes are paid under.
    _Plan(r"[2-9]\d{3}([ -]?)\d{4}\1\d{4}", _aadhaar, r"\b(?:aadha+r|uidai|uid)\b"),
    _Plan(r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", None, r"\b(?:pan|permanent account)\b"),
    # Brazil: CPF as printed, or named.
    _Plan(r"\d{3}\.\d{3}\.\d{3}-\d\d", _brazilian),
    _Plan(r"\d{11}", _brazilian, r"\bcpf\b"),
    # China: resident identity number.
    _Plan(r"[1-8]\d{5}(?:18|19|20)\d{9}[\dXx]", _chinese),
    # Canada and Australia, named.
    _Plan(r"\d{3}[ -]?\d{3}[ -]?\d{3}", _canadian, r"\b(?:sin|social insurance|nas)\b"),
    _Plan(r"\d{3}[ -]?\d{3}[ -]?\d{3}", _australian, r"\b(?:tfn|tax file)\b"),
    # United States: taxpayers without a social security number.
    _Plan(r"9\d\d-(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])-\d{4}", None),
)
_SCHEMES = tuple(
    (
        re.compile(f"{_BEFORE}(?:{plan.shape}){_AFTER}"),
        plan.checked,
        re.compile(plan.word, re.I) if plan.word else None,
    )
    for plan in _PLANS
)


#: What every plan has, so that most sentences cost one look: six digits on one breath, or an Italian code.
_SOME = re.compile(r"\d(?:[ .-]?\d){5}|[A-Z]{6}\d\d[A-Z]|[A-Z]{5}\d{4}", re.I)


def national_ids(text: str) -> Spans:
    """Find identity and tax numbers of the countries above."""
    if not _SOME.search(text):
        return
    for shape, checked, word in _SCHEMES:
        if word is not None and not word.search(text):
            continue
        for match in shape.finditer(text):
            if (checked is None or checked(match.group())) and (word is None or near(word, text, match)):
                yield match.span()


_SSN = re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}([- ]?)(?!00)\d{2}\1(?!0000)\d{4}(?![\w-]|[.,]\d)")
_SSN_WORD = re.compile(r"\b(?:ssn|social security|soc\. ?sec|social insurance|tax(?:payer)? id)", re.I)


def ssns(text: str) -> Spans:
    """Find US social security numbers: hyphened as printed, or named."""
    for match in _SSN.finditer(text):
        if match.group(1) == "-" or near(_SSN_WORD, text, match):
            yield match.span()


#: What may stand between a word and the number that it names.
_NAMES_IT = (
    r"(?i:[\s:.#()'\"-]{0,3}(?:\b(?:number|numbers|no|nr|num|card|id|is|was|has|the|of|my|his|her|as|ending|n°|№)\b"
    r"[\s:.#()'\"-]{0,3}){0,4})"
)
_PASSPORT = re.compile(
    rf"\b(?i:pass-?port|reisepass|passeport|pasaporte|passaporto){_NAMES_IT}"
    r"(?P<number>(?=(?:[A-Z]*\d){5})[A-Z\d]{6,9})(?![\w-])"
)
#: The second line of a passport's machine-readable zone (ICAO 9303 part 4).
_MRZ = re.compile(r"(?<![\w<])[A-Z0-9<]{9}\d[A-Z<]{3}\d{7}[MFX<]\d{7}[A-Z0-9<]{14}[\d<]\d(?![\w<])")
_LICENCE = re.compile(
    rf"\b(?i:driv(?:er'?s?'?|ing)[ -]?(?:licen[cs]e|permit)|licen[cs]e (?:number|no)\b|dl ?(?:number|no|#))"
    rf"{_NAMES_IT}(?P<number>(?=[A-Z\d -]*\d(?:[ -]?\d){{4}})[A-Z\d](?:[ -]?[A-Z\d]){{4,17}})(?![\w-])"
)


def _holds(text: str, *words: str) -> bool:
    """Say whether a part of a word stands in the text: quicker than to look for the word at each letter."""
    low = text.lower()
    return any(word in low for word in words)


def passports(text: str) -> Spans:
    """Find passport numbers that are called so, and machine-readable zones with right check digits."""
    if _holds(text, "pass", "pasap"):
        yield from (match.span("number") for match in _PASSPORT.finditer(text))
    for match in _MRZ.finditer(text) if "<" in text else ():
        line = match.group()
        if _mrz_digit(line[:9]) == line[9] and _mrz_digit(line[13:19]) == line[19]:
            yield match.span()


def _mrz_digit(field: str) -> str:
    values = (0 if char == "<" else int(char, 36) for char in field)
    return str(sum(value * (7, 3, 1)[place % 3] for place, value in enumerate(values)) % 10)


def licences(text: str) -> Spans:
    """Find driving licence numbers that are called so: every state has a shape of its own."""
    if _holds(text, "licen", "permit", "dl"):
        yield from (match.span("number") for match in _LICENCE.finditer(text))


_MONTH = r"(?i:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre|januar|februar|märz|juni|juli|oktober|dezember|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre)"  # fmt: skip  # noqa: E501
_YEAR = r"(?:18|19|20)\d\d"
_DAY = rf"(?:{_YEAR}[-./]\d{{1,2}}[-./]\d{{1,2}}|\d{{1,2}}[-./ ]\d{{1,2}}[-./ ](?:{_YEAR}|\d\d)|\d{{1,2}}(?:st|nd|rd|th|\.)? (?:of |de )?{_MONTH}\.?,? (?:de )?{_YEAR}|{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?,? {_YEAR})"  # fmt: skip  # noqa: E501
_BORN = re.compile(
    r"\b(?i:born|birth|birthday|birthdate|date of birth|d\.?o\.?b\.?|geboren|geb\.|née? le|nacid[oa]"
    r"|nacimiento|nat[oa] il|naissance|geburtsdatum|geburtstag)(?![^\W\d_])"
    r"[\s:.,()=-]{0,4}(?:\b(?:is|was|on|at|am|el|le|il|in|the|date)\b[\s:.,(-]{0,3}){0,3}"
    rf"(?P<day>{_DAY})(?!\d)"
)


def birth_dates(text: str) -> Spans:
    """Find days that are called somebody's birth; a year alone is nobody's secret."""
    if _holds(text, "born", "birth", "dob", "d.o.b", "o.b", "geb", "naci", "naiss", "né", "nato", "nata"):
        yield from (match.span("day") for match in _BORN.finditer(text))
