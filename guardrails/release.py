"""The streaming gate's first half: a model's stream of pieces becomes whole sentences.

A sentence ends where the text says so, wherever the pieces end: a decision is taken only when everything it
looks at has arrived, so the same text gives the same sentences however it was cut. Citation markers belong
to the sentence that they follow.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator

#: How far past a full stop the decision looks; beyond it, what has arrived decides.
_LOOKAHEAD = 48
_STOP = re.compile(r"[.!?…]+|[。！？]+|\n")
_MARKER = r"\[\d{1,4}(?:\s?[,;–-]\s?\d{1,4})*\]"
#: Closing quotes and brackets, then markers with blanks before them (on the same line).
_TAIL = re.compile(rf"[\"'”’»)*_`]*(?:[ \t]*{_MARKER}(?:[.!?…](?!\w))?)*[\"'”’»)*_`]*")
#: Markers, blanks and a whole word behind a stop: nothing that comes later changes its fate.
_SETTLED = re.compile(rf"{_TAIL.pattern}\s+[^\s\[]\S*\s")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[\"'“])(?:mr|mrs|ms|dr|prof|rev|hon|st|sr|jr|gen|col|lt|sgt|capt|gov|sen|rep|messrs|vs|v"
    r"|cf|al|approx|ca|est|incl|excl"
    r"|inc|ltd|co|corp|bros|e\.g|i\.e|viz|resp|dept|univ|assn|ave|blvd|jan|feb|mar|apr|jun|jul|aug|sept?"
    r"|oct|nov|dec|etc|a\.m|p\.m|z\.b|d\.h|u\.a|bzw)$",
    re.I,
)
#: May end a sentence as well: they hold only before a lower-case word, a number or a name's likely go-on.
_MAY_END = re.compile(
    r"(?:^|\s|\()(?:inc|ltd|co|corp|bros|etc|a\.m|p\.m|jr|sr|(?:[A-Za-z]\.)+[A-Za-z])$", re.I
)
_NUMBERED = re.compile(
    r"(?:^|[\s(\[])(?:nos?|figs?|eqs?|secs?|sects?|arts?|vols?|pp?|chs?|chap|paras?|tabs?|refs?|app|ver"
    r"|item|nr|abb|kap)$",
    re.I,
)
_ACRONYM = re.compile(r"(?:^|[\s(\[\"'“])(?:[A-Za-z]\.)+[A-Za-z]$")
_INITIAL = re.compile(r"(?:^|[\s(\[\"'“.])[A-Z]$")
_LIST_NUMBER = re.compile(r"^\W*(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})$")
_STARTER = re.compile(
    r"[\"'“(]?(?:the|a|an|it|its|this|that|these|those|in|on|at|for|from|by|as|with|we|they|he|she|he|our"
    r"|their|there|but|and|however|if|when|while|after"
    r"|before|since|no|not|all|both|each|most|some|such|according|total|net)(?!\w)",
    re.I,
)


async def sentences(stream: AsyncIterator[str], *, max_chars: int) -> AsyncGenerator[str, None]:
    """Yield whole sentences of `stream`, stripped; none is longer than `max_chars`.

    A line's end ends a sentence. What runs on past `max_chars` is cut at the last blank before it.
    """
    waiting = ""
    async for piece in stream:
        waiting += piece
        while (end := _end(waiting, max_chars=max_chars, is_all=False)) is not None:
            if sentence := waiting[:end].strip():
                yield sentence
            waiting = waiting[end:].lstrip()
    while waiting := waiting.lstrip():
        end = _end(waiting, max_chars=max_chars, is_all=True) or len(waiting)
        if sentence := waiting[:end].strip():
            yield sentence
        waiting = waiting[end:]


def _end(text: str, *, max_chars: int, is_all: bool) -> int | None:
    """Return where the first sentence ends, or None where that is not known yet."""
    lead = len(text) - len(text.lstrip())
    for stop in _STOP.finditer(text, lead):
        if stop.start() >= lead + max_chars:
            break
        if stop.group() == "\n":
            return stop.end()
        if not is_all and len(text) < stop.end() + _LOOKAHEAD and not _is_settled(text, stop.end()):
            return None
        end = _boundary(text, stop)
        if end is not None and end <= lead + max_chars:
            return end
    if len(text) - lead > max_chars:
        return _cut(text, lead + max_chars)
    return None


def _is_settled(text: str, at: int) -> bool:
    """Say whether a stop's fate is settled by what is here: a line's end, a letter, a whole word."""
    after = text[at : at + 1]
    return after == "\n" or after.isalnum() or bool(_SETTLED.match(text[at : at + _LOOKAHEAD]))


def _boundary(text: str, stop: re.Match[str]) -> int | None:
    """Return the end of the sentence that this stop ends, markers included; None if it ends none."""
    window = text[stop.end() : stop.end() + _LOOKAHEAD]
    tail = _TAIL.match(window)
    length = tail.end() if tail else 0
    end, rest = stop.end() + length, window[length:]
    if stop.group()[0] in "。！？":
        return end
    if rest and not rest[0].isspace():
        return None
    following = rest.lstrip()
    if rest[: len(rest) - len(following)].count("\n"):
        return end
    if stop.group() == "." and _goes_on(text[: stop.start()], following, marked="[" in window[:length]):
        return None
    return end


def _goes_on(before: str, following: str, *, marked: bool) -> bool:
    """Say whether a single full stop belongs to what stands before it."""
    before = before[-80:].rpartition("\n")[2] if "\n" in before[-80:] else before
    if _LIST_NUMBER.match(before):
        return True
    if marked or not following:
        return False
    if following[0].islower():
        return True
    before = before[-40:]
    if _NUMBERED.search(before):
        return following[0].isdigit() or following[0] in "(#"
    if _MAY_END.search(before) or _ACRONYM.search(before):
        return not _STARTER.match(following)
    return bool(_ABBREVIATION.search(before) or (_INITIAL.search(before) and not _STARTER.match(following)))


def _cut(text: str, limit: int) -> int:
    """Return where to cut a run that is too long: at the last blank outside a marker, else at the limit."""
    for blank in re.finditer(r"\s", text[:limit][::-1]):
        at = limit - blank.end()
        if at <= 0:
            break
        if not re.search(r"\[[\d\s,;–-]*$", text[:at]):
            return at
    return limit
