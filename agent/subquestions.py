"""A question that asks several things, taken apart into questions that each stand alone.

Comparisons ("which is larger, A or B?"), lists with "respectively", several questions in one breath. Two
periods of one thing are left together: they stand in one row of a table, so one search finds both. English
only; what no rule fits stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from agent import words
from agent.history import POINTER, whole
from agent.phrases import PERIOD

_QUESTION_WORD = r"(?:(?:in|at|on|for|by|to|of)\s+)?(?:what|which|how|when|where|who|why)"
_BREATHS = re.compile(r"(?<=\?)\s+(?=\S)")
_CLAUSES = re.compile(rf",?\s+(?:and|or)\s+(?={_QUESTION_WORD}\b)", re.I)
#: "…and which has B" belongs to what stands before it.
_RELATIVE = re.compile(
    r"^(?:which|who|where|when)\s+(?:is|are|was|were|has|have|had|can|do|does|did|will)\b", re.I
)
_ASKS = re.compile(rf"^{_QUESTION_WORD}\b|^(?:is|are|was|were|do|does|did|has|have|can|could)\b", re.I)
_BETWEEN = re.compile(
    r"(?:the\s+)?differences?\s+(?:(?:in|of)\s+(?:the\s+)?(?P<what>[^,?]+?)\s+)?between\s+(?P<a>[^?,]+?)\s+and\s+"
    r"(?P<b>[^?,.]+)",
    re.I,
)
_COMPARE = re.compile(
    r"\b(?:compare|contrast)\s+(?:(?P<what>[^?.]+?)\s+(?:of|for|in|between)\s+)?(?P<a>[^?.,]+?)\s+"
    r"(?:and|with|to|against|versus|vs\.?)\s+(?P<b>[^?.,]+?)(?:\s+(?:by|in\s+terms\s+of|regarding)\s+(?P<by>[^?.]+))?\s*[?.]*$",
    re.I,
)
_THAN = re.compile(
    r"^(?:is|are|was|were|do|does|did|has|have)\s+(?!there\b)(?P<a>(?:[^\s?(),]+\s+){1,9}?)"
    r"(?P<how>(?:(?P<verb>[a-z]+)\s+)?(?:more|fewer|less)(?:\s+[a-z-]+){1,4}?|[a-z]+er)\s+than\s+"
    r"(?P<b>(?!\d|roughly\b|about\b)(?:[^?,.]|\.(?=\d))+)",
    re.I,
)
_OR = re.compile(
    r"^(?:(?P<before>.*?),\s*)?(?:which|who|what)\s+(?P<rest>[^?]*?)\s*[,:–-]+\s*(?P<a>[^?,:]+?),?\s+or\s+(?P<b>[^?]+)\?",
    re.I,
)
_EXTREMES = re.compile(
    r"^(?P<head>(?:what|how)\b.*?\bthe\s+)(?P<a>\w+)\s+and\s+(?:what\s+(?:is|are)\s+)?(?:the\s+)?(?P<b>\w+)\s+"
    r"(?P<rest>[^?]+)\?",
    re.I,
)
_OF_BOTH = re.compile(
    r"^which\s+of\s+(?P<a>[^?,]+?)\s+(?:and|or)\s+(?P<b>[^?,]+?)\s+(?P<rest>(?:is|are|has|have|was|were)\b[^?]+)",
    re.I,
)
_VERSUS = re.compile(
    r"^(?P<a>[^?,:]+?)\s+(?:vs\.?|versus)\s+(?P<b>[^?,:]+)(?:[:,]\s*(?P<rest>[^?]+))?\??$", re.I
)
_DIFFER = re.compile(
    r"\bhow\s+(?:do|does|did)\s+(?P<a>[^?]+?)\s+(?:differ|compare)\s+(?:from|to|with)\s+(?P<b>[^?]+)", re.I
)
_DIFFER_BOTH = re.compile(
    r"\bhow\s+do\s+(?P<a>[^?]+?)\s+and\s+(?P<b>[^?]+?)\s+(?:differ|compare)(?:\s+in\s+(?P<what>[^?]+))?\b",
    re.I,
)
_HIGHER = re.compile(r"\b(?:higher|lower|larger|smaller|more|fewer|less|bigger)\b", re.I)
_GAP = re.compile(
    r"^(?:and\s+)?(?:what\s+is|by\s+how|how\s+(?:much|large))\b[^?]*\b(?:difference|gap|much)\b", re.I
)
_RESPECTIVELY = re.compile(
    r"^(?P<head>.*\b(?:of|for|in|at|by|to|on)\s+)(?P<list>[^?]+?),?\s+respectively\b(?P<tail>[^?]*)\?", re.I
)
_BOTH = re.compile(
    r"^(?P<head>.*\b(?:of|for)\s+)(?:both\s+)(?P<a>[^?,]+?)\s+and\s+(?P<b>[^?]+?)(?P<tail>\s+(?:in|on|during)\s+[^?]+)?\?",
    re.I,
)
#: What a comparative asks of each side.
_MEASURES = {
    "larg": "How large", "bigg": "How large", "small": "How large", "great": "How large", "long": "How long",
    "short": "How long", "high": "How high", "low": "How high", "old": "How old", "new": "How old",
    "young": "How old", "heavi": "How heavy", "light": "How heavy", "fast": "How fast", "slow": "How fast",
    "wid": "How wide", "narrow": "How wide", "deep": "How deep", "strong": "How strong", "near": "How far",
    "far": "How far", "cheap": "How expensive", "rich": "How rich", "close": "How close",
}  # fmt: skip
_MOST = re.compile(
    r"\b(?:the\s+)?(?:higher|highest|larger|largest|bigger|biggest|lower|lowest|smaller|smallest|greater|greatest|longer|"
    r"longest|better|best)\s+(?P<what>[a-z][\w -]*)",
    re.I,
)
_WHICH_IS = re.compile(
    r"(?P<what>[a-z][\w -]*?)\s+(?:is|was|are|were)\s+(?:the\s+)?[a-z]+er\b(?P<rest>[^?]*)", re.I
)
_MORE = re.compile(r"\b(?:more|fewer|less|the\s+most|the\s+fewest)\s+(?P<what>[a-z][\w -]*)", re.I)
_OPPOSITE = {
    "maximum": "minimum",
    "largest": "smallest",
    "upper": "lower",
    "first": "last",
    "highest": "lowest",
}
_ALIKE = _OPPOSITE | {old: new for new, old in _OPPOSITE.items()}


def apart(question: str) -> list[str]:
    """Return the questions that `question` asks, each self-contained; itself where it asks one thing."""
    asked = " ".join(question.split())
    parts = [part for breath in _BREATHS.split(asked) for part in _clauses(breath)]
    parts = [part for part in parts if part.endswith("?") or not parts.index(part)]
    if len(parts) < 2:
        return _compared(asked) or [asked]
    alone: list[str] = []
    for part in parts:
        rests = bool(alone) and (_compared(alone[-1]) or _HIGHER.search(alone[-1]))
        if rests and (POINTER.search(part) or _GAP.search(part)):
            continue  # "What is the difference?" follows from the sides
        alone.append(whole(part, [(alone[-1], "")]) if alone else part)
    return [side for part in alone for side in (_compared(part) or [part])]


def _clauses(breath: str) -> list[str]:
    """Split "what is A and how large is B?" where each clause asks on its own."""
    found: list[str] = []
    start = 0
    for match in _CLAUSES.finditer(breath):
        left, right = breath[start : match.start()], breath[match.end() :]
        enough = len(words.content(left)) >= 2 and len(words.content(right)) >= 1
        if enough and _ASKS.search(left) and not _RELATIVE.search(right):
            found.append(f"{left.rstrip(' ?')}?")
            start = match.end()
    last = breath[start:]
    if not found:
        return [last]
    place = re.search(r"\s+(?:in|of|for)\s+the\s+[\w' -]+(?=\?)", last)
    alike = last.casefold().split()[:2] == found[-1].casefold().split()[:2]
    if place and alike and not re.search(r"\s(?:in|of|for)\s", found[-1]):
        found[-1] = f"{found[-1].rstrip('?')}{place.group()}?"  # said once, of both
    return [*found, last[:1].upper() + last[1:]]


def _compared(question: str) -> list[str]:
    """Return one question for each side of a comparison; [] where nothing is compared."""
    rules: tuple[Callable[[str], list[str]], ...] = (
        _respectively, _difference, _comparison, _than, _either, _versus, _both, _extremes
    )  # fmt: skip
    for rule in rules:
        sides = list(dict.fromkeys(" ".join(side.split()) for side in rule(question)))
        if len(sides) > 1:
            return sides
    return []


def _extremes(question: str) -> list[str]:
    found = _EXTREMES.search(question)
    if found is None or _ALIKE.get(found["a"].casefold()) != found["b"].casefold():
        return []
    return [f"{found['head']}{side} {found['rest']}?" for side in (found["a"], found["b"])]


def _respectively(question: str) -> list[str]:
    found = _RESPECTIVELY.search(question)
    if found is None:
        return []
    things = [t for t in re.split(r",\s*(?:and\s+)?|\s+and\s+", found["list"]) if t.strip()]
    things = _shared(things)
    if all(PERIOD.search(thing) for thing in things):
        return []
    head = re.sub(r"\bare the ((?:\w+ )*?\w+?)s of\b", r"is the \1 of", found["head"])
    return [f"{head}{thing}{found['tail']}?" for thing in things]


def _difference(question: str) -> list[str]:
    found = _BETWEEN.search(question)
    if found is None:
        return []
    a, b, tail = _pair(found["a"], found["b"])
    if not a:
        return []
    if not found["what"]:
        return [_what(a + tail), _what(b + tail)]
    before = question[: found.start()]
    before = before if re.search(r"\b(?:what|how)\b", before, re.I) else "What is "
    return [f"{before}the {found['what']} of {side}{tail}?" for side in (a, b)]


def _comparison(question: str) -> list[str]:
    found = _COMPARE.search(question) or _DIFFER_BOTH.search(question) or _DIFFER.search(question)
    if found is None:
        return []
    parts = found.groupdict()
    a, b, tail = _pair(found["a"], found["b"])
    what = parts.get("what") or parts.get("by")
    if not a:
        return []
    if not what:
        return [_what(a + tail), _what(b + tail)]
    if re.match(r"the\s+[\w -]+\s+of\s+", b, re.I):
        return [_what(f"{what} of {a}"), _what(b + tail)]  # "the depth of A with the width of B"
    if re.match(r"(?:that|those|the same)\b", b, re.I):
        b = re.sub(r"^(?:that|those|the same)\s+(?:of|for|in)\s+", "", b, flags=re.I)
    what = re.sub(r"^the\s+", "", what.strip(), flags=re.I)
    return [f"What is the {what} of {side}{tail}?" for side in (a, b)]


def _than(question: str) -> list[str]:
    found = _THAN.search(question)
    if found is None:
        return []
    a, b, tail = _pair(found["a"], found["b"])
    if not a or PERIOD.search(b):
        return []
    of = re.match(r"(?P<what>the\s+[\w -]+?\s+of)\s+", a, re.I)
    b = re.sub(r"^(?:that|those)\s+of\b", lambda m: of["what"] if of else m.group(), b, flags=re.I)
    if found["verb"] and (more := _MORE.search(found["how"])):
        return [f"How many {more['what']} does {side} {found['verb']}{tail}?" for side in (a, b)]
    return [_measured(found["how"], side, tail) for side in (a, b)]


def _either(question: str) -> list[str]:
    found = _OR.search(question) or _OF_BOTH.search(question)
    if found is None:
        return []
    a, b, tail = _pair(found["a"], found["b"])
    return [_measured(found["rest"], side, tail) for side in (a, b)] if a else []


def _versus(question: str) -> list[str]:
    found = _VERSUS.search(question)
    if found is None or _ASKS.search(found["a"]):
        return []
    a, b, tail = _pair(found["a"], found["b"])
    if not a:
        return []
    rest = found["rest"] or ""
    return [_measured(rest, side, tail) if rest else _what(side + tail) for side in (a, b)]


def _both(question: str) -> list[str]:
    found = _BOTH.search(question)
    if found is None:
        return []
    a, b, tail = _pair(found["a"], found["b"])
    return [f"{found['head']}{side}{tail}{found['tail'] or ''}?" for side in (a, b)] if a else []


def _pair(a: str, b: str) -> tuple[str, str, str]:
    """Return both sides whole, and what follows them; "" twice for two periods of one thing."""
    a, b = a.strip(" ,;"), b.strip(" ,;?.")
    if PERIOD.fullmatch(a.split()[-1]) and PERIOD.search(b):
        return "", "", ""
    tail = re.search(r"\s+(?:in|during|on|as\s+of)\s+(?:FY\s?)?(?:19|20)\d{2}$|\s+having\s.*$", b)
    b = b[: tail.start()] if tail else b
    a, b = _shared([a, b])
    return a, b, tail.group() if tail else ""


def _shared(things: list[str]) -> list[str]:
    """Give each thing the noun that only the last one carries ("the maximum and the minimum page size")."""
    last = things[-1].strip()
    first, _, noun = re.sub(r"^(?:the|a|an)\s+", "", last).partition(" ")
    bare = [re.sub(r"^(?:the|a|an|both)\s+", "", thing.strip()) for thing in things[:-1]]
    lacking = noun and all(_ALIKE.get(thing.casefold()) == first.casefold() for thing in bare)
    return [
        *(
            f"the {thing} {noun}" if lacking else given.strip()
            for thing, given in zip(bare, things[:-1], strict=True)
        ),
        last,
    ]


def _measured(how: str, side: str, tail: str) -> str:
    """Ask one side for what is compared: "has more columns" → "How many columns does A have?"."""
    side = re.sub(r"^(?:either|the one in)\s+", "", side)
    if found := _MORE.search(how):
        what = re.sub(r"\s+than\b.*$", "", found["what"]).strip()
        return f"How many {what} has {side}{tail}?"
    if found := _WHICH_IS.match(how):
        return f"What is the {found['what']} of {side}{found['rest']}{tail}?"
    if found := _MOST.search(how):
        return f"What is the {found['what'].strip()} of {side}{tail}?"
    comparative = re.search(r"\b([a-z]+?)er\b", how, re.I)
    measure = next(
        (ask for stem, ask in _MEASURES.items() if comparative and comparative[1].startswith(stem)), ""
    )
    if re.match(r"(?:the\s+)?[\w -]+\s+of\s+", side) or not measure:
        return _what(side + tail) if not how.strip() or measure else f"{side}{tail}: {how.strip()}?"
    return f"{measure} is {side}{tail}?"


def _what(thing: str) -> str:
    many = thing.casefold().startswith(("the ", "a ", "an ")) is False and thing.endswith("s")
    return f"What {'are' if many else 'is'} {thing}?"
