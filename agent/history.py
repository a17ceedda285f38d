"""A follow-up made self-contained by rules: what it leaves out stands in the question before.

A follow-up replaces one part of the last question ("and in 2021?", "no, I meant the WAL header") or points at
a part of it (a pronoun). Which part is found by shape, in this order: the same kind of period, words that
both share, the same preposition, an opposite, the same kind of name. Where no rule is sure, both questions
stand side by side: a search then has the words of both. English only, like the rest of the house's rules.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent import words
from agent.phrases import ASKS, AUXILIARY, SIDE_BY_SIDE, ended, phrase, replaced, topic
from agent.state import StoredTurn

_OPENERS = re.compile(
    r"^(?:(?:and|or|but|so|ok(?:ay)?|then|also|now|well|hm+|ah|oh|right|great|thanks|thank you)\b"
    r"[\s,.!:-]*)+",
    re.I,
)
_ABOUT = re.compile(r"^(?:what|how)\s+about\s+|^what\s+of\s+|^same\s+(?:question\s+)?(?:for|with)\s+", re.I)
_CORRECTS = re.compile(
    r"^(?:(?:no|nope|sorry|wait|actually|oops)\b[\s,.!:-]*)+(?:not\b[^,;.]*[,;.]\s*)?(?:but\s+)?"
    r"(?:I\s+(?:meant|mean|was\s+asking\s+about|am\s+asking\s+about)\s+)?|^I\s+mean(?:t)?\s+",
    re.I,
)
_BACK = re.compile(
    r"^(?:(?:going\s+|let'?s\s+go\s+)?back\s+to|returning\s+to|coming\s+back\s+to|as\s+for|regarding|about)\s+"
    r"(?P<topic>[^:,?]+?)(?:\s+(?:again|once more))?\s*(?:[:,]\s*(?P<rest>.+)|[?.!]*$)",
    re.I | re.S,
)
#: Asks for the place of what was just said, or doubts it: the question before, once more.
_AGAIN = re.compile(
    r"^(?:(?:and\s+)?(?:where|on\s+(?:which|what)\s+page|in\s+(?:which|what)\s+(?:document|file|section)|"
    r"(?:which|what)\s+(?:page|document|file|section|source))\b.{0,24}\b"
    r"(?:(?:say|said|stated?|written|find|found|from|stand|stands|read|mention(?:ed)?|come)\b.*|that|this|it)"
    r"|(?:what(?:'s| is)\s+(?:the|your)\s+)?(?:source|reference|evidence)|are\s+you\s+sure|really|"
    r"(?:can|could)\s+you\s+(?:repeat|show)\s+(?:me\s+)?(?:that|it)|says\s+who|"
    r"(?:please\s+)?(?:tell\s+me\s+more|say\s+more|go\s+on|more\s+details?|elaborate))\s*[?.!]*$",
    re.I,
)
_POSSESSIVE = re.compile(r"\b(?:its|their|his|her)\s+(?P<rest>(?:[\w-]+\s*){1,4})", re.I)
POINTER = re.compile(r"\b(?:it|they|them|he|she|him)\b", re.I)
_POINTS = re.compile(
    r"\b(?:that|this|those|these)\b(?=\s*(?:[?.!,]|$|\b(?:is|are|was|were|do|does|did|mean|called|in|be)\b))",
    re.I,
)
_THERE = re.compile(r"\bthere\b(?=\s*[?.!]*$)", re.I)
_THAT = re.compile(r"(?<=\b(?:is|as) )(?:that|this)\b|(?<=\bwas )(?:that|this)\b", re.I)
_CLAUSE = re.compile(r",|\b(?:and|or|if|when|while|after|before|because|since|that|which|who)\b", re.I)
_FIRST_WORDS = re.compile(r"^(?:(?:at|in|on|for|by)\s+)?(?:which|who|what|when)\b", re.I)
#: The last two things at once.
_TWO = re.compile(
    r"\b(?:difference\s+between|compare|which\s+of)\s+(?:the\s+two|them|both|these|those)\b"
    r"|^which\s+(?:one\s+)?is\s+(?:the\s+)?\w+er[?.!]*$",
    re.I,
)
#: "This limit", "the other affinities": a noun that only the question before explains, unless it is the
#: document itself.
_SUCH = re.compile(
    r"\b(?:this|these|those|such|the\s+others?|another|the\s+same)\s+"
    r"(?!documents?\b|papers?\b|reports?\b|slides?\b|figures?\b|tables?\b|chapters?\b|sections?\b|surveys?\b|"
    r"guides?\b|manuals?\b|companies\b|company\b|years?\b|pages?\b|book\b|library\b|files?\b)[a-z]\w+",
    re.I,
)
#: "Is it possible", "does it say", "how many are there in": these point at nothing.
_EMPTY_IT = re.compile(
    r"\b(?:is|was|does|did|would|can)\s+it\s+(?:possible|necessary|true|safe|better|say|matter|take|mean|recommended)\b",
    re.I,
)
#: What is done to a property and not to what has it: "can it be changed?"
_DONE_TO_PROPERTY = re.compile(
    r"\b(?:(?:did|does|has|have|do)\s+(?:it|they)\s+(?:chang|grow|ris|fall|increas|decreas|develop|compar)|"
    r"be(?:en)?\s+(?:\w+ly\s+)?(?:chang|rais|lower|increas|decreas|reduc|set\b|exceed|overrid|configur|adjust|alter|measur))",
    re.I,
)
_OBJECT = re.compile(r"^(?:which|what)\s+(?P<rest>\w[\w' -]*?)\s+(?:do|does|did)\b", re.I)


def leans(question: str) -> bool:
    """Say whether a question is understood only with the one before it."""
    asked = question.strip()
    if _AGAIN.search(asked) or _CORRECTS.match(asked) or _ABOUT.search(_OPENERS.sub("", asked)):
        return True
    if _BACK.search(asked) and not asked.lower().startswith("about"):
        return True
    bare = _OPENERS.sub("", asked)
    if not _asks(bare) and len(words.content(bare) | words.numbers(bare)) <= 5 and bare.endswith("?"):
        return True
    if len(words.content(bare) | words.numbers(bare)) <= 1 and len(bare.split()) <= 4:
        return True  # "Why?", "In 2021?", "How so?"
    if not re.search(rf"\b{AUXILIARY}\b", bare, re.I) and re.match(
        r"(?:at |in )?(?:which|what|how)\b", bare, re.I
    ):
        return len(bare.split()) <= 4  # "Which setting?", "At which offset?"
    return _pointer(bare) is not None or _TWO.search(bare) is not None or _SUCH.search(bare) is not None


def _asks(text: str) -> bool:
    """Say whether a text is a question of its own and not a fragment of one."""
    return re.search(r"\b(?:what|which|who|how|when|where|why)\b", text, re.I) is not None or bool(
        ASKS.search(text)
    )


def standalone(question: str, history: Sequence[StoredTurn]) -> str:
    """Return the question with what it takes from earlier ones; as it is where it takes nothing."""
    before: list[tuple[str, str]] = []  # each question as understood, with its answer
    for turn in history:
        if turn["role"] == "user":
            text = turn.get("standalone") or whole(turn["text"], before)
            before.append((text, ""))
        elif before:
            before[-1] = (before[-1][0], turn["text"])
    return whole(question, before)


def whole(question: str, before: Sequence[tuple[str, str]]) -> str:
    """Make `question` whole from questions (self-contained) and answers before it."""
    asked = " ".join(question.split())
    if not before:
        return asked
    last, answer = before[-1]
    if not leans(asked):
        return _full_name(_plain(asked), last)
    if len(before) > 1 and _TWO.search(asked):
        return f"What is the difference between {phrase(before[-2][0])} and {phrase(last)}?"
    if _AGAIN.search(asked):
        return last
    if back := _BACK.search(asked):
        base = max(before, key=lambda pair: (len(words.content(back["topic"]) & words.content(pair[0])), 0))[
            0
        ]
        rest = (back["rest"] or "").strip()
        if not rest:
            return base
        return (
            _pointed(rest, back["topic"], back["topic"])
            if _pointer(rest)
            else f"{_plain(rest)} ({back['topic']})"
        )
    corrected = _CORRECTS.match(asked)
    bare = _OPENERS.sub("", asked[corrected.end() :] if corrected else asked).strip()
    bare = _OPENERS.sub("", bare)
    fragment = _ABOUT.sub("", bare).strip(" ?.!")
    if _asks(fragment):
        return bare if corrected else _asked_anew(bare, last, answer)
    if not fragment:
        return last
    if _pointer(fragment):
        thing, owner = entity(last, answer, asked)
        pointed = _pointed(fragment, thing, owner)
        return ended(f"What is {pointed[:1].lower()}{pointed[1:]}")
    return replaced(last, fragment)


def _asked_anew(asked: str, last: str, answer: str) -> str:
    """Return a question with a verb or a question word of its own, with the thing that it points at."""
    if _pointer(asked):
        thing, owner = entity(last, answer, asked)
        if thing:
            if len(POINTER.findall(asked)) == 2 and (object_ := _OBJECT.match(last)):
                # "Why do they recommend it?": the subject of the last question, then what it asked for.
                second = list(POINTER.finditer(asked))[1]
                asked = f"{asked[: second.start()]}the {object_['rest']}{asked[second.end() :]}"
            return _pointed(asked, thing, owner)
    kind = re.compile(rf"^((?:\w+\s+)?(?:which|what|how)\b.*?)(?=\s+{AUXILIARY}\b)", re.I)
    old, new = kind.match(last), re.match(r"(?:which|what)\s+\w+(?:\s+\w+)?$", asked.rstrip(" ?.!"), re.I)
    if old and new:
        return last.replace(old.group(1), asked.rstrip(" ?.!"), 1)
    return ended(f"{asked.rstrip(' ?.!')}{SIDE_BY_SIDE}{topic(last)}")


def _full_name(asked: str, last: str) -> str:
    """Return a short question with "the header" as the last one called it: "the WAL header"."""
    thing = re.split(r"\s(?:of|in|on|for|at)\s", phrase(last))[-1]
    head = thing.split()[-1] if thing else ""
    if len(words.content(asked)) > 3 or len(thing.split()) < 3 or not head.islower():
        return asked
    return re.sub(rf"\bthe {re.escape(head)}\b", lambda match: thing, asked, count=1)


def entity(last: str, answer: str, asked: str) -> tuple[str, str]:
    """Return what a pronoun after `last` means: the thing that was asked about, and what it belongs to."""
    if re.match(r"^(?:who|(?:which|what)\s+(?!is\b|are\b|was\b|were\b|do\b|does\b|did\b))", last, re.I):
        named = _named(answer, besides=last)
        if named and not re.search(r"\b(?:do|does|did)\b", last, re.I):
            return named, named
    thing = phrase(last)
    within = re.search(r"\b(?:in|on)\s+((?:the|an?)\s+[\w' -]+)$", thing)
    if within and re.search(r"\b(?:in|on|of|within)\s+(?:it|them)\b", asked, re.I):
        return within[1], within[1]
    _, of, owner = thing.partition(" of ")
    if not of:
        return thing, thing
    owned = thing if _DONE_TO_PROPERTY.search(asked) else owner
    return owned, owner


def _pointer(text: str) -> re.Match[str] | None:
    """Return the pronoun that points outside of `text`; a later clause has its own to point at."""
    if _EMPTY_IT.search(text):
        return None
    found = [m for rule in (_POSSESSIVE, POINTER, _POINTS, _THERE, _THAT) if (m := rule.search(text))]
    first = min(found, key=lambda match: match.start(), default=None)
    if first is None:
        return None
    before = text[: first.start()]
    settled = len(words.content(before) | words.numbers(before)) >= 2 and _CLAUSE.search(
        _FIRST_WORDS.sub("", before)
    )
    return None if settled else first


def _pointed(text: str, thing: str, owner: str) -> str:
    """Put the thing itself in the place of the pronouns in `text`."""
    if not thing:
        return text

    def owned(match: re.Match[str]) -> str:
        property_ = re.split(
            rf"\s+(?={AUXILIARY}\b|(?:in|for|on|at|by|of)\b)", match["rest"].strip(), maxsplit=1
        )
        tail = f" {property_[1]}" if len(property_) > 1 else ""
        space = " " if match.group().endswith(" ") else ""
        return f"the {property_[0]} of {owner}{tail}{space}"

    text = _POSSESSIVE.sub(owned, text, count=1)
    text = _EMPTY_IT.sub(lambda m: m.group().replace(" it ", " \0 "), text)
    text = POINTER.sub(lambda m: thing, text, count=2)
    text = _POINTS.sub(lambda m: thing, text, count=1)
    text = _THAT.sub(lambda m: thing, text, count=1)
    text = _THERE.sub(f"at {thing}", text)
    return _plain(text.replace("\0", "it"))


def _named(answer: str, *, besides: str) -> str:
    """Return the one name that an answer brings, "" where there is none or several."""
    first = words.sentences(answer)[0] if answer else ""
    runs = re.findall(r"\b[A-Z][\w-]*(?:\s+[A-Z][\w-]*)*", re.sub(r"\[\d+\]", "", first))
    fresh = [
        run
        for run in dict.fromkeys(runs)
        if not words.flat(run) & words.flat(besides) and run.lower() not in words.STOPWORDS
    ]
    return fresh[0] if len(fresh) == 1 else ""


def _plain(text: str) -> str:
    text = _OPENERS.sub("", " ".join(text.split()))
    return text[:1].upper() + text[1:]
