"""A definition that a question brings, read as a formula: "FY2019 revenue / (average PP&E of two years)".

In a formula `[x]` is a figure of the asked period, `[x@2018]` of that year, `{x}` the mean of the asked year
and the one before, `{x@2018,2019}` of these two.
"""

from __future__ import annotations

import re

from agent.periods import asked

_DEFINES = re.compile(
    r"(?:\b(?:is|are|as)?\s*defined as|\bdefine\b[^.:]{1,60}?\bas|\bcalculated? (?:it )?as|\bcomputed as)"
    r"\s*:?\s*(?P<body>.+)",
    re.IGNORECASE | re.DOTALL,
)
_END = re.compile(r"\.(?=\s+[A-Z]|\s*$)|\?|;")
_TOKEN = re.compile(
    r"(?P<op>[()+*/×÷−]|\s[-–]\s|\b(?:plus|minus|less|divided by|multiplied by|times|over)\b)", re.IGNORECASE
)
_OPERATORS = {
    "plus": "+",
    "minus": "-",
    "less": "-",
    "divided by": "/",
    "multiplied by": "*",
    "times": "*",
    "over": "/",
    "×": "*",
    "÷": "/",
    "−": "-",
    "-": "-",
    "–": "-",
}
_FILLERS = re.compile(
    r"^(?:the|its|their|of|total amount of)\s+|\b(?:FY|CY|fiscal(?: year)?)?\s*'?(?:19|20)\d{2}(?:'s)?\b|"
    r"\bFY\s*'?\d{2}\b",
    re.IGNORECASE,
)


def defined(question: str) -> str | None:
    """Return the formula of a definition in `question`; None where there is none or it is not understood."""
    match = _DEFINES.search(question)
    if match is None:
        return None
    body = re.sub(r"\[[^\]]*\]", " ", match["body"])
    end = _END.search(body)
    body = body[: end.start()] if end else body
    parts: list[str] = []
    at = 0
    for token in _TOKEN.finditer(body):
        parts += [_term(body[at : token.start()]), _operator(token.group())]
        at = token.end()
    parts = [part for part in [*parts, _term(body[at:])] if part]
    formula = "".join(parts)
    return formula if _well_formed(parts) else None


#: "X less capex … Define X as …": what is asked for is more than what is defined.
_DEFINED_TERM = re.compile(r"\bdefine\s+(?P<term>[^.:?]{2,60}?)\s+as\b", re.IGNORECASE)
_MORE = re.compile(
    r"\s+(?P<op>less|minus|plus)\s+(?P<other>[\w&-]+(?:\s+(?!for\b|in\b|of\b|at\b|as\b)[\w&-]+)*)",
    re.IGNORECASE,
)


def asked_for(question: str, formula: str) -> str | None:
    """Return the formula of what is asked where a definition names only a part of it.

    "X less capex" with X defined is (X) - [capex]; None where what stands beside X is not understood.
    """
    found = _DEFINED_TERM.search(question)
    if found is None:
        return formula
    head = question[: found.start()]
    place = head.casefold().find(found["term"].casefold())
    rest = head[place + len(found["term"]) :] if place >= 0 else ""
    if more := _MORE.match(rest):
        other = _named(more["other"])
        return f"({formula}){_operator(more['op'])}[{other}]" if other else None
    beside = re.match(r"\s*(?:%|margins?|ratio|per\b|growth|as an?\b|divided|to\b)", rest, re.IGNORECASE)
    return None if place < 0 or beside else formula


def _operator(token: str) -> str:
    low = token.strip().casefold()
    return _OPERATORS.get(low, low)


def _term(text: str) -> str:
    phrase = " ".join(text.split()).strip(" ,.:'\"")
    if not phrase:
        return ""
    if re.fullmatch(r"\d+(?:,\d{3})*", phrase):
        return phrase.replace(",", "")
    mean = re.match(r"(?:the\s+)?(?:two[- ]year\s+)?average\s+(?:of\s+)?(?P<what>.+)", phrase, re.IGNORECASE)
    change = re.match(r"(?:the\s+)?change in\s+(?P<what>.+)", phrase, re.IGNORECASE)
    what = (mean or change)["what"] if (mean or change) else phrase  # type: ignore[index]
    years = [str(period.year) for period in asked(phrase)]
    name = _named(re.sub(r"\s+(?:between|from|for|in|over|across)\b.*$", "", what) if years else what)
    if not name:
        return ""
    if mean:
        return "{" + name + (f"@{','.join(years)}" if len(years) == 2 else "") + "}"
    if change:
        return f"([{name}@{years[1]}]-[{name}@{years[0]}])" if len(years) == 2 else "?"
    return f"[{name}@{years[0]}]" if len(years) == 1 else f"[{name}]"


def _named(phrase: str) -> str:
    bare = phrase
    for _ in range(3):
        bare = " ".join(_FILLERS.sub(" ", bare).split())
    return bare.strip(" ,.:'\"").casefold()


def _well_formed(parts: list[str]) -> bool:
    """Say whether terms and operators take turns and something is computed at all."""
    depth, wants_term, operators = 0, True, 0
    for part in parts:
        if part == "(":
            if not wants_term:
                return False
            depth += 1
        elif part == ")":
            if wants_term or depth == 0:
                return False
            depth -= 1
        elif part in "+-*/":
            if wants_term:
                return False
            wants_term, operators = True, operators + 1
        elif part == "?" or not wants_term:
            return False
        else:
            wants_term = False
    return depth == 0 and not wants_term and operators > 0
