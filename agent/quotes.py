"""Which of the sources' own words answer: a title, a whole list, a row or a sentence, verbatim.

How well a sentence or row fits is in `fitting.py`; here is which of them can be an answer at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent import words
from agent.cells import read_table
from agent.charts import is_chart
from agent.citations import parts
from agent.fitting import WANTS_NUMBER, fits
from agent.lookup import NOISE, understood, worded
from agent.state import Drafted, Run, Source

#: A second quote is given where it fits nearly as well as the first: of 140 questions 17 are answered by
#: the first alone, 22 with a second that is at most so far below (given for 84), 24 with one always.
_NEARLY = 0.4
_TITLE = re.compile(
    r"\btitle of (?:the|this) (?:slides?|documents?|papers?|reports?|presentation|deck|book(?:let)?|brochure|"
    r"article|file|manual|guide(?:book)?)\b",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"^\W*(?:(?:what|which|who) (?:\w+\s+){0,5}?(?:are|were)\b|list\b|name (?:the|all)\b|mention\b|"
    r"enumerate\b|what are the names? of\b)|"
    r"\bwhat (?:\w+ ){1,4}(?:are|were) (?:associated|listed|mentioned|used|included)",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s*(?:[•▪◦●○■□»›*·\u2013\u2014-]|\(?\d{1,2}[.)]|\(?[a-z]\))\s+(?=\S)")
_ITEM_CHARS, _LIST_CHARS = 160, 900
_LEAD_COVER = 0.75
#: Share of the question's words that a row's label alone must be, for the row to be the answer.
_ROW_COVER = 0.6
_ONE_THING = re.compile(r"\b(?:what|which|where|when|who)\b", re.IGNORECASE)
_COMPARES = re.compile(r"\b(?:more|less|fewer|most|least|higher|lower|than|or|both)\b", re.IGNORECASE)
_INLINE = re.compile(r"\s[•●◦▪■]\s")


async def quoted(run: Run, question: str, sources: list[Source], *, least: float = 0.0) -> list[Drafted]:
    """Return the quotes that answer best, at most two, or one whole list.

    `least` is the share of the question's words that a quote's source must hold; how sure a quote is, is
    judged by `verify` with all that is known.
    """
    whole = asked_for(question, sources)
    if whole is not None:
        return [whole]
    able = [(s, text) for s in sources for text in quotable(s) if answers(question, s, text, least=least)]
    scores = await fits(run, question, able)
    ranked = sorted(zip(scores, able, strict=True), key=lambda pair: -pair[0])
    return [
        {"text": text, "evidence": [source.n]}
        for score, (source, text) in ranked[:2]
        if score >= ranked[0][0] - _NEARLY
    ]


def asked_for(question: str, sources: list[Source]) -> Drafted | None:
    """Return the title, the whole list or the row that a question asks for by its kind or its very words."""
    return _title(question, sources) or _list(question, sources) or _row(question, sources)


def _title(question: str, sources: list[Source]) -> Drafted | None:
    """Return a document's title where that is asked for: the first line of its first page."""
    first = [s for s in sources if s.chunk.page_no == 1 and not s.chunk.heading]
    if not _TITLE.search(question) or not first:
        return None
    top = min(first, key=lambda s: min((span.box.y0 for span in s.chunk.spans), default=0.0))
    line = next((line.strip() for line in top.text.splitlines() if words.content(line)), "")
    return {"text": line, "evidence": [top.n]} if line and " | " not in line else None


def _row(question: str, sources: list[Source]) -> Drafted | None:
    """Return the row that a question names word for word, section and all, where only one is so named."""
    if not _ONE_THING.search(question) or _COMPARES.search(question):
        return None
    asked = understood(question, [])
    found: dict[str, int] = {}
    for source in sources:
        if source.text != source.chunk.text or source.chunk.kind != "table":
            continue
        for row in read_table(source.text).rows:
            label = worded(row.label)
            named = len(label) > 1 and label <= asked.said
            if named and len(label & asked.wanted) >= _ROW_COVER * len(asked.wanted):
                found.setdefault(row.line, source.n)
    (line, n), *others = found.items() or [("", 0)]
    return {"text": line, "evidence": [n]} if line and not others else None


def _list(question: str, sources: list[Source]) -> Drafted | None:
    """Return a whole list whose lead or heading says what the question asks for; None where two do."""
    if not _LIST.search(question):
        return None
    wanted = words.content(question) - NOISE
    scored = [
        (words.cover(wanted, words.content(f"{lead}\n{source.heading}")), source, items)
        for source in sources
        if source.text == source.chunk.text
        for lead, items in lists_in(source)
    ]
    best = sorted((one for one in scored if one[0] >= _LEAD_COVER), key=lambda one: -one[0])
    if not wanted or not best or (len(best) > 1 and best[1][0] == best[0][0]):
        return None
    _, source, items = best[0]
    single = [one for item in items for one in _INLINE.split(_BULLET.sub("", item))]
    text = "; ".join(one.strip(" ;,.") for one in single)
    return {"text": f"{text}.", "evidence": [source.n]} if len(text) <= _LIST_CHARS else None


def lists_in(source: Source) -> Iterator[tuple[str, list[str]]]:
    """Yield the lists of a source: what leads to them, and their items."""
    if source.chunk.kind == "table":
        return
    lead, items = "", list[str]()
    lines = source.chunk.text.splitlines()
    last_bullet = max((i for i, line in enumerate(lines) if _BULLET.match(line)), default=-1)
    for place, line in enumerate([*lines, ""]):
        if _BULLET.match(line) or (
            items and line.strip() and not _BULLET.match(items[-1]) and _is_item(line)
        ):
            items.append(line.strip())
        elif items and line.strip() and (line[:1].islower() or (place < last_bullet and _is_item(line))):
            items[-1] = f"{items[-1]} {line.strip()}"
        elif lead.rstrip().endswith(":") and not items and _is_item(line):
            items.append(line.strip())
        else:
            if len(items) > 1:
                yield lead, items
            lead, items = line, []


def _is_item(line: str) -> bool:
    return bool(line.strip()) and len(line) <= _ITEM_CHARS and not line.rstrip().endswith((".", ":"))


def quotable(source: Source) -> list[str]:
    """Return the rows or sentences of a source that may be quoted (those the rails let pass unchanged).

    A chart's lines are code's own account of it: they are cited, and quoted to nobody.
    """
    if is_chart(source.chunk):
        return []
    if source.text != source.chunk.text:
        return [line for line in words.sentences(source.text) if line]
    return [source.chunk.text[start:end] for start, end in parts(source.chunk)]


def answers(question: str, source: Source, text: str, *, least: float) -> bool:
    """Say whether `text` can be the answer.

    Its source covers the question, it says more than that, and it has a number where one is asked for.
    """
    if words.cover(words.content(question), words.content(source.context)) < least:
        return False
    if WANTS_NUMBER.search(question) and not words.numbers(text) - words.numbers(question):
        return False
    if text.rstrip().endswith(":") or _heads_columns(source, text):
        return False
    told = words.content(text) | words.numbers(text)
    if told <= words.content(question) | words.numbers(question):
        return False
    return len(words.content(text)) >= 2 or bool(words.numbers(text))


def _heads_columns(source: Source, text: str) -> bool:
    """Say whether `text` is a table's row of headers: its first, without a figure, and no cell has a head."""
    first = next((line for line in source.text.splitlines() if " | " in line), "")
    return text == first and ": " not in text and not words.numbers(text)
