"""The parts of a question, found by words and order: what it is about, and what a fragment replaces in it.

There is no tagger: closed classes of words (auxiliaries, prepositions, determiners) mark where phrases begin
and end. That is enough for the short questions that people ask in a row, and wrong for some; then both
questions stand side by side.
"""

from __future__ import annotations

import re

from agent import words

#: Stands between two questions that no rule could make one.
SIDE_BY_SIDE = " – "
AUXILIARY = r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|must|might)"
ASKS = re.compile(
    rf"^(?:(?:at|in|on|for|since|until)\s+(?:which|what)|who|whom|whose|what|which|when|where|why|how|{AUXILIARY}|list|name|give|tell|show|compare|explain|describe)\b",
    re.I,
)
SUBJECT = re.compile(rf"\b{AUXILIARY}\s+(?P<rest>(?:the|a|an|this|each|every|all)?\b.+)$", re.I)
_STOPS = frozenset(
    [
        "in",
        "on",
        "at",
        "of",
        "for",
        "to",
        "from",
        "by",
        "with",
        "without",
        "within",
        "between",
        "during",
        "before",
        "after",
        "about",
        "into",
        "per",
        "than",
        "as",
        "if",
        "when",
        "while",
        "that",
        "which",
        "who",
        "where",
        "whose",
        "and",
        "or",
        "but",
        "not",
        "is",
        "are",
        "was",
        "were",
        "do",
        "does",
        "did",
        "has",
        "have",
        "had",
        "can",
        "could",
        "will",
        "would",
        "should",
        "may",
        "must",
        "might",
        "be",
        "been",
        "the",
        "a",
        "an",
    ]
)
_JOINING = frozenset({"of", "in", "for", "and", "the", "a", "an"})
PREPOSITIONS = ("in", "for", "of", "on", "at", "with", "by", "from", "during", "under")
PERIOD = re.compile(r"\b(?:FY\s?'?\d{2,4}|Q[1-4](?:\s+(?:of\s+)?(?:FY\s?)?\d{4})?|(?:19|20)\d{2})\b", re.I)
_OPPOSITES = (
    ("minimum", "maximum"), ("smallest", "largest"), ("lowest", "highest"), ("lower", "upper"),
    ("first", "last"), ("least", "most"), ("shortest", "longest"), ("oldest", "newest"), ("oldest", "latest"),
    ("before", "after"), ("min", "max"), ("assets", "liabilities"), ("increase", "decrease"),
    ("start", "end"),
    ("advantages", "disadvantages"), ("benefits", "drawbacks"), ("read", "write"), ("input", "output"),
)  # fmt: skip
_DETERMINER = re.compile(r"^(?:the|a|an|its|their|this|that|these|those)\s+", re.I)
#: Names by shape: SQLITE_MAX_COLUMN, WAL, PRAGMA; serial numbers; capitalised words.
_SHAPES = (
    re.compile(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b"),
    re.compile(r"\b[a-z0-9]+(?:[-_.][A-Za-z0-9]+)+\b"),
    re.compile(r"\b[A-Z]{2,}[0-9]*\b"),
    re.compile(r"(?<!^)(?<![.?!] )\b[A-Z][a-z]+(?:\s+(?:&\s+)?[A-Z][\w&.-]+)*"),
    re.compile(r"(?<![\w.-])\d+(?![\w.-])"),
)


def topic(last: str) -> str:
    """Return a question without the words that ask."""
    return re.sub(
        r"^(?:(?:at|in|on|what|which|how|who|when|where|why|many|much|is|are|was|were|do|does|did|the)\s+)+",
        "", last.rstrip(" ?.!"), flags=re.I,
    )  # fmt: skip


def _stops(word: str) -> bool:
    """Say whether a word ends a phrase; the A of "Pump A" does not."""
    return word.lower() in _STOPS and not (len(word) == 1 and word.isupper())


def replaced(last: str, fragment: str) -> str:
    """Put `fragment` in the place of what it replaces in the question `last`."""
    for rule in (
        _same_period,
        _whole_phrase,
        _shared_words,
        _opposite,
        _same_preposition,
        _same_shape,
        _last_owner,
        _property,
    ):
        if changed := rule(last, fragment):
            return ended(" ".join(changed.split()))
    joint = " " if fragment.split()[0].lower() in PREPOSITIONS else SIDE_BY_SIDE
    return ended(f"{last.rstrip(' ?.!')}{joint}{fragment}")


def _same_period(last: str, fragment: str) -> str:
    new, old = PERIOD.findall(fragment), PERIOD.findall(last)
    if len(new) != 1 or not old:
        return ""
    rest = words.content(PERIOD.sub(" ", fragment))
    if rest - words.content(last):
        return ""
    return last.replace(old[-1], new[0])


def _shared_words(last: str, fragment: str) -> str:
    """Replace the phrase of `last` that has a word in common: "the WAL header" for "the database header"."""
    new = [w for w in re.findall(r"[\w'&.-]+", fragment) if not _stops(w)]
    shared = words.content(fragment) & words.content(last)
    if not shared or len(new) < 2:
        return ""
    found = [m for m in re.finditer(r"[\w'&.-]+", last) if words.content(m.group()) & shared]
    start, end = found[0].start(), found[-1].end()
    start, end = _grown_left(last, start, new), _grown_right(last, end, new)
    more = re.match(r"\s+(of|in|for)\s+\w", last[end:])
    if more and (re.search(rf"\b{more[1]}\b", fragment) or (more[1] == "of" and len(new) > 1)):
        # "the page size" leaves nothing of "the size of a sector", "the plant in Ashby" none of "in Marlow".
        end = _before_verb(last, start, end + _phrase_end(last[end:]))
    put = _DETERMINER.sub("", re.sub(rf"^(?:{'|'.join(PREPOSITIONS)})\s+", "", fragment, flags=re.I))
    return f"{last[:start]}{put}{last[end:]}"


def _before_verb(last: str, start: int, end: int) -> int:
    """Return `end`, or the end of the subject where the phrase from `start` lies in it: the verb stays."""
    subject = phrase(last)
    at = last.find(subject) if subject else -1
    return at + len(subject) if at >= 0 and at <= start < at + len(subject) < end else end


def _phrase_end(text: str) -> int:
    """Return where the prepositional phrase that opens `text` ends."""
    first = re.match(r"\s+\w+\s+", text)
    assert first is not None, "called only where a preposition follows"
    for match in re.finditer(r"[\w'&.-]+|[,;?.!]", text[first.end() :]):
        word = match.group().lower()
        if word in PREPOSITIONS or word in ",;?.!" or re.fullmatch(AUXILIARY, word):
            return first.end() + len(text[first.end() : first.end() + match.start()].rstrip())
    return len(text.rstrip())


def _grown_left(last: str, start: int, new: list[str]) -> int:
    """Take the words before the shared ones along, up to a determiner, if `new` has some there."""
    if words.content(new[0]) & words.content(last):
        return start
    for match in reversed(list(re.finditer(r"[\w'&.-]+", last[:start]))):
        if _stops(match.group()) or ASKS.search(match.group()):
            break
        start = match.start()
    return start


def _grown_right(last: str, end: int, new: list[str]) -> int:
    """Take one word or number after the shared ones along if `new` ends with its own ("serial type 6")."""
    if words.content(new[-1]) & words.content(last):
        return end
    after = re.match(r"\s+([\w'&.-]+)", last[end:])
    if after is None or _stops(after.group(1)):
        return end
    same = new[-1][0].isdigit() == after.group(1)[0].isdigit()
    return end + after.end() if same else end


def _opposite(last: str, fragment: str) -> str:
    said = set(re.findall(r"[a-z]+", fragment.lower()))
    for one, other in _OPPOSITES:
        for new, old in ((one, other), (other, one)):
            if new in said and re.search(rf"\b{old}\b", last, re.I):
                if words.content(fragment) - words.content(f"{last} {new}"):
                    return ""
                return re.sub(rf"\b{old}\b", new, last, flags=re.I)
    return ""


def _same_preposition(last: str, fragment: str) -> str:
    first, _, rest = fragment.partition(" ")
    if first.lower() not in PREPOSITIONS or not rest:
        return ""
    places = list(re.finditer(rf"\b{first}\b\s+", last, re.I))
    if not places:
        return ""
    start = places[-1].start()
    end = len(last.rstrip(" ?.!"))
    for match in re.finditer(r"[\w'&.-]+", last[places[-1].end() :]):
        word = match.group().lower()
        if word in PREPOSITIONS or re.fullmatch(AUXILIARY, word):
            end = places[-1].end() + match.start() - 1
            break
    return f"{last[:start]}{fragment}{last[_before_verb(last, start, end) :]}"


def _same_shape(last: str, fragment: str) -> str:
    bare = _DETERMINER.sub("", re.sub(rf"^(?:{'|'.join(PREPOSITIONS)})\s+", "", fragment, flags=re.I))
    for shape in _SHAPES:
        if shape.fullmatch(bare) or shape.fullmatch(f"x {bare}", 2):
            old = [m for m in shape.finditer(last) if not PERIOD.fullmatch(m.group())]
            if old:
                return f"{last[: old[-1].start()]}{bare}{last[old[-1].end() :]}"
    return ""


def _whole_phrase(last: str, fragment: str) -> str:
    """Ask for a phrase that needs nothing of the question before ("the offset of the page size")."""
    return f"What is {fragment}" if re.match(r"the\s+[\w -]+\s+of\s+\w", fragment, re.I) else ""


def _property(last: str, fragment: str) -> str:
    """Replace what is asked of a thing: "the revenue of Amcor" and "the net income?"."""
    bare = _DETERMINER.sub("", fragment)
    found = re.search(
        r"(?:^(?:what|how\s+\w+)\s+(?:is|was|are|were)\s+|^.*\bthe\s+)(?:the\s+)?(?P<old>[\w'& -]+?)"
        r"(?=\s+(?:of|in|for|at|on)\b|\s*[?.!]*$)",
        last, re.I,
    )  # fmt: skip
    if found is None or len(words.content(bare)) > 4 or fragment.split()[0].lower() in PREPOSITIONS:
        return ""
    return f"{last[: found.start('old')]}{bare}{last[found.end('old') :]}"


def _last_owner(last: str, fragment: str) -> str:
    """Replace what the asked property belongs to: "the size of the WAL header" and "what about a page?"."""
    bare = _DETERMINER.sub("", fragment)
    if fragment.split()[0].lower() in PREPOSITIONS:
        return ""
    found = re.search(
        r"\bof\s+((?:the|an?)\s+)?([\w'&. -]+?)(?=\s*(?:\b(?:in|for|on|at|stand)\b|[?.!,]|$))", last, re.I
    )
    if found is None or words.content(bare) & words.content(last[: found.start()]):
        return ""
    if fragment.lower().startswith("the ") and not (found.group(1) or "").lower().startswith("the"):
        return ""
    end = _before_verb(last, found.start(), found.end())
    return f"{last[: found.start()]}of {found.group(1) or ''}{bare}{last[end:]}"


def phrase(last: str) -> str:
    """Return the noun phrase that a question is about, with what belongs to it ("the plant in Marlow")."""
    text = last.rstrip(" ?.!")
    found = SUBJECT.search(text)
    if found is None:
        return re.sub(
            r"^(?:(?:what|which|how|who|many|much|list|name|tell|me|give|show)\s+)+", "", text, flags=re.I
        )
    counted = re.match(
        rf"^how\s+(?:many|much)\s+(?:\w+\s+of\s+)?(?P<what>.+?)\s+{AUXILIARY}\s+(?:\w+ed|[a-z]+en)\b",
        text,
        re.I,
    )
    if counted:
        return counted["what"]  # "How many bytes of the header are reserved?"
    rest = found["rest"]
    if re.match(r"(?:do|does|did|has|have|had)\b", found.group(), re.I):
        rest = re.sub(rf"\s+(?:in|during|for|as of)\s+{PERIOD.pattern}$", "", rest, flags=re.I)
    be = re.match(r"(?:is|are|was|were)\b", found.group(), re.I) is not None
    taken = _noun_phrase(rest)
    after = rest[len(taken) :].strip()
    tokens = taken.split()
    last_word = tokens[-1] if tokens else ""
    helps = bool(after) and re.fullmatch(AUXILIARY + "|be|been", after.split()[0].lower()) is not None
    verbal = (not be and not helps) or re.search(r"(?:ed|en|ing)$", last_word)
    if len(tokens) >= 2 and verbal and (not after or after.split()[0].lower() not in ("of",)):
        tokens = tokens[:-1]
    while tokens and _stops(tokens[-1]):
        tokens.pop()
    return " ".join(tokens)


def _noun_phrase(rest: str) -> str:
    """Take words from the left while they can belong to one phrase; places and parts join it."""
    tokens = rest.split()
    end = 0
    for i, token in enumerate(tokens):
        word = token.lower().strip(",;:")
        joins = word in _JOINING and (i == 0 or i == end)
        if _stops(token.strip(",;:")) and not joins:
            break
        if word in ("the", "a", "an") and _stops(token) and i and not _stops(tokens[i - 1]):
            break
        end = i + 1
        if token[-1] in ",;:":
            break
    return " ".join(tokens[:end]).rstrip(",;:")


def ended(text: str) -> str:
    return text if text.endswith(("?", ".", "!")) else f"{text}?"
