"""What a text says in words that can be compared: its numbers, its names, its content words.

English only, on purpose simple: a sentence that shares its numbers, names and most of its words with a source
was rarely made up; what this cannot see (a swapped subject, a wrong column) is said in the README's limits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

_NUMBER = re.compile(r"(?<![\w.])[-+(]?\$?\d[\d,]*(?:\.\d+)*%?")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|No|Nos|Fig|Figs|Eq|Sec|vs|etc|Inc|Co|Corp|Ltd|cf|approx)|\b[A-Z])\.$"
)
_WORD = re.compile(r"[^\W\d_][\w'’&.-]*", re.UNICODE)
_SENTENCE_END = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"')\]]))\s+(?=[\"'(\[]?[A-Z0-9])")
#: Endings stripped to compare words, longest first (after Porter's first steps, without their conditions).
_ENDINGS = (
    "ations",
    "ation",
    "ings",
    "ing",
    "ments",
    "ment",
    "edly",
    "ies",
    "ied",
    "ers",
    "ed",
    "es",
    "ly",
    "er",
    "s",
    "e",
    "y",
)
#: "FY2023" and "Q1 2023" are times: their year is a number, and they are no names.
_FISCAL = re.compile(r"\b(FY|CY)(?='?\d)", re.I)
_PERIOD = re.compile(r"(?:FY|CY)?'?(?:\d{2,4})?(?:Q[1-4]|H[12])?'?(?:\d{2,4})?", re.I)
_LOCATORS = frozenset(
    {"slide", "figure", "fig", "table", "section", "chapter", "appendix", "exhibit", "unit", "item"}
)
#: Numbers and words, for what stands beside what.
_TOKEN = re.compile(r"[-+(]?\$?\d[\d,]*(?:\.\d+)*%?|[^\W\d_]+")
_SCALES = frozenset({"percent", "million", "billion", "thousand", "trillion", "hundred"})
_NEGATIONS = frozenset(
    {"not", "no", "never", "none", "neither", "nor", "without", "cannot", "n't", "nothing", "unable"}
)
_STOPWORDS = """
    a about above according after again against all also am an and any are as at be because been before
    being below between both but by can could did do does doing down during each either few for from
    further had has have having he her here hers him his how however i if in into is it its itself just
    let many may me might more most much must my no nor not now of off on once only or other our ours
    out over own per same shall she should so some such than that the their theirs them then there these
    they this those through to too under until up us very was we were what when where whether which
    while who whom whose why will with would you your yours please tell give show find list name
    document documents page pages file files source sources answer question say says said state stated
    mention mentioned described following according based write format
"""
STOPWORDS = frozenset(_STOPWORDS.split())


def numbers(text: str) -> set[str]:
    """Return the numbers of `text`, comparable: no signs, brackets, currency, grouping or trailing zeros."""
    found: set[str] = set()
    if text.isalpha():
        return found  # most of what is asked word by word
    for match in _NUMBER.finditer(_FISCAL.sub(r"\1 ", _plain(text))):
        digits = match.group().strip("+-($%").replace(",", "").replace("$", "").rstrip("%")
        if digits.count(".") > 1:  # a version or a section, not an amount
            found.add(digits)
            continue
        whole, _, fraction = digits.partition(".")
        fraction = fraction.rstrip("0")
        found.add((whole.lstrip("0") or "0") + (f".{fraction}" if fraction else ""))
    return found


def names(text: str) -> set[str]:
    """Return the capitalised words of `text` that open no sentence, casefolded."""
    found = set()
    for sentence in sentences(text):
        for match in list(_WORD.finditer(sentence))[1:]:
            word = match.group().strip(".'’-")
            named = word[:1].isupper() and len(word) > 1 and not _PERIOD.fullmatch(word)
            if named and word.casefold() not in STOPWORDS | _LOCATORS:
                found.add(_bare(word))
    return found


def content(text: str) -> set[str]:
    """Return the stems of the content words of `text`."""
    return {stem(w) for w in _words(text) if w not in STOPWORDS and len(w) > 1}


def cover(part: Iterable[str], whole: set[str]) -> float:
    """Return the share of `part` that `whole` holds, in [0, 1]; 1.0 where `part` is empty."""
    wanted = set(part)
    return len(wanted & whole) / len(wanted) if wanted else 1.0


def counted(text: str) -> dict[str, str]:
    """Return number → stem of the word after it: what the numbers of `text` count; years count nothing."""
    found: dict[str, str] = {}
    tokens = _TOKEN.findall(_plain(text).casefold())
    for token, following in pairwise([*tokens, ""]):
        for number in numbers(token):
            year = len(number) == 4 and number.isdigit() and number[:2] in ("18", "19", "20")
            if following.isalpha() and following not in STOPWORDS | _SCALES and not year:
                found[number] = stem(following)
    return found


def beside(text: str) -> dict[str, set[str]]:
    """Return for each number of `text` the stems of the words within two places of it."""
    found: dict[str, set[str]] = {}
    tokens = _TOKEN.findall(_plain(text).casefold())
    for i, token in enumerate(tokens):
        for number in numbers(token):
            near = tokens[max(0, i - 2) : i] + tokens[i + 1 : i + 3]
            found.setdefault(number, set()).update(stem(word) for word in near)
    return found


def negates(text: str) -> bool:
    """Say whether `text` denies something."""
    low = _plain(text).casefold()
    return "n't" in low or bool(_NEGATIONS & set(_words(text)))


def sentences(text: str) -> list[str]:
    """Split running text into sentences, and lists and tables into their lines."""
    found: list[str] = []
    for line in text.splitlines():
        start = 0
        for end in _SENTENCE_END.finditer(line):
            if not _ABBREVIATION.search(line[: end.start()]):
                found.append(line[start : end.start()])
                start = end.end()
        found.append(line[start:])
    return [stripped for piece in found if (stripped := piece.strip())]


def flat(text: str) -> set[str]:
    """Return every word of `text` bare and casefolded, for looking names up."""
    return {_bare(w) for w in _WORD.findall(_plain(text))} | {
        _bare(w) for w in re.findall(r"\w+", _plain(text))
    }


def squashed(text: str) -> str:
    """Return `text` as one casefolded run of letters and digits, for names written together."""
    return re.sub(r"[\W_]+", "", _plain(text)).casefold()


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Strip the endings of `word`, keeping three letters: "employees" and "employed" come out the same."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return stem(word[: -len(ending)])
    return word


def _words(text: str) -> list[str]:
    return [
        w.strip(".'’-").removesuffix("'s").removesuffix("’s")
        for w in (m.casefold() for m in _WORD.findall(_plain(text)))
    ]


def _bare(word: str) -> str:
    return word.casefold().strip(".'’-").removesuffix("'s").removesuffix("’s")


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
