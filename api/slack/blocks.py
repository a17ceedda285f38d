"""Answers as Block Kit: sentences with their markers, numbered sources, and buttons that say only a key.

What comes from documents stands in the plain pieces of rich text, which Slack does not parse; the only links
are to our own page, minted here from a citation's ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote as quoted

from api.slack import plain
from api.slack.records import Cited, Told
from api.slack.words import say

Block = dict[str, object]
#: Slack's own limits, docs.slack.dev/reference/block-kit/blocks, November 2026.
MAX_BLOCKS, MAX_SECTION, MAX_TEXT, MAX_VALUE = 50, 3000, 39_000, 2000
_SOURCES_SHOWN = 5
_QUOTE_CHARS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Dress:
    """How an answer is shown in one place."""

    language: str = "en"
    #: Our own address, for links to pages; None: there is none that people could reach.
    base: str | None = None
    fold_chars: int = 2_800
    brief: bool = False
    #: Whether only the asker sees it.
    private: bool = False

    @property
    def most_chars(self) -> int:
        """Characters that are shown before an answer is folded."""
        return min(self.fold_chars, 400) if self.brief else self.fold_chars


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message as it is sent: its blocks, and its text for notifications and readers aloud."""

    text: str
    #: The words of `body`: what a stream must have said when it ends.
    shown: str
    #: The answer itself.
    body: tuple[Block, ...] = ()
    #: Sources and buttons: what follows below a streamed text.
    tail: tuple[Block, ...] = ()

    @property
    def blocks(self) -> list[Block]:
        """Return all blocks."""
        return [*self.body, *self.tail][:MAX_BLOCKS]


def letter(told: Told, *, key: str, dress: Dress) -> Letter:
    """Lay out an answer, an abstention or a refusal."""
    if told.kind != "answer":
        return _nothing(told, key=key, dress=dress)
    shown, rest = folded(told, dress=dress)
    tail = [*_sources(told, dress=dress)]
    if told.dropped:
        tail.append(_context(say("dropped", dress.language, n=told.dropped)))
    tail += _buttons(told, key=key, dress=dress, rest=bool(rest))
    return Letter(
        text=plain.mrkdwn(told.text)[:MAX_TEXT],
        shown=" ".join(map(_marked, told.sentences[:shown])) or told.text,
        body=(sentences(told, told.sentences[:shown], dress=dress),),
        tail=tuple(tail),
    )


def folded(told: Told, *, dress: Dress) -> tuple[int, str]:
    """Return how many sentences are shown at once, and the text of the rest."""
    length = 0
    for count, sentence in enumerate(told.sentences):
        length += len(_marked(sentence)) + 1
        if count and length > dress.most_chars:
            return count, " ".join(map(_marked, told.sentences[count:]))
    return len(told.sentences), ""


def sentences(told: Told, chosen: Sequence[tuple[str, tuple[int, ...]]], *, dress: Dress) -> Block:
    """Return sentences as one block of rich text, with their markers as links to the pages."""
    cited = {one.n: one for one in told.citations}
    pieces: list[Block] = []
    for number, (text, marks) in enumerate(chosen):
        pieces.append({"type": "text", "text": (" " if number else "") + plain.bare(text)})
        for n in marks:
            pieces.append({"type": "text", "text": " "})
            pieces.append(_link(f"[{n}]", cited.get(n), dress=dress))
    if not pieces:
        pieces = [{"type": "text", "text": plain.bare(told.text)}]
    return _rich(pieces)


def whole(told: Told, *, dress: Dress) -> dict[str, object]:
    """Return a window with the whole answer."""
    blocks = [
        sentences(told, told.sentences[at : at + 20], dress=dress) for at in range(0, len(told.sentences), 20)
    ]
    return {
        "type": "modal",
        "title": _words(say("whole", dress.language)[:24]),
        "close": _words(say("cancel", dress.language)),
        "blocks": [*blocks, *_sources(told, dress=dress, most=30)][:MAX_BLOCKS],
    }


def note(text: str) -> Letter:
    """Return a message of our own words."""
    body = _rich([{"type": "text", "text": plain.bare(text)}])
    return Letter(text=plain.mrkdwn(text)[:MAX_TEXT], shown=text, body=(body,))


def offer(key: str, *, language: str) -> Letter:
    """Offer the asker what not everyone here may read."""
    text = say("rest_for_you", language)
    return Letter(
        text=text,
        shown=text,
        body=(_section(text),),
        tail=(_actions(_button("show_me", say("show_me", language), key)),),
    )


def status(steps: Sequence[str], text: str, *, key: str, language: str) -> Letter:
    """Return an answer under way: what is released of it, the step, and a button that stops it."""
    step = steps[-1] if steps else say("looking", language)
    pieces: list[Block] = [{"type": "text", "text": plain.bare(text) + "\n"}] if text else []
    pieces.append({"type": "text", "text": plain.bare(step), "style": {"italic": True}})
    stop = _actions(_button("stop", say("stop", language), key))
    return Letter(text=plain.mrkdwn(text or step)[:MAX_TEXT], shown=text, body=(_rich(pieces),), tail=(stop,))


def reason_form(key: str, *, language: str) -> dict[str, object]:
    """Return the form that asks why an answer was bad."""
    return _form("feedback_reason", key, say("feedback", language), say("why", language), language=language)


def question_form(memory: str, *, language: str) -> dict[str, object]:
    """Return the form of "Ask about this message"."""
    return _form("ask_about", memory, say("ask", language), say("question", language), language=language)


def _form(callback: str, memory: str, title: str, label: str, *, language: str) -> dict[str, object]:
    words = {"type": "plain_text_input", "action_id": "words", "multiline": True, "max_length": 2000}
    return {
        "type": "modal",
        "callback_id": callback,
        "private_metadata": memory,
        "title": _words(title[:24]),
        "submit": _words(say("send", language)),
        "close": _words(say("cancel", language)),
        "blocks": [{"type": "input", "block_id": "said", "label": _words(label), "element": words}],
    }


def _nothing(told: Told, *, key: str, dress: Dress) -> Letter:
    tail: list[Block] = []
    if told.searched:
        what = ", ".join(f"“{one}”" for one in told.searched[:5])
        tail.append(_context(say("searched", dress.language, what=what)))
    if told.nearest:
        tail.append(
            _rich([{"type": "text", "text": say("nearest", dress.language), "style": {"bold": True}}])
        )
        tail += [_source(one, dress=dress) for one in told.nearest[:3]]
    tail += _feedback(key, dress=dress)
    return Letter(
        text=plain.mrkdwn(told.text)[:MAX_TEXT],
        shown=told.text,
        body=(_rich([{"type": "text", "text": plain.bare(told.text)}]),),
        tail=tuple(tail),
    )


def _sources(told: Told, *, dress: Dress, most: int = _SOURCES_SHOWN) -> list[Block]:
    if not told.citations:
        return []
    shown = [_source(one, dress=dress) for one in told.citations[:most]]
    if len(told.citations) > most:
        shown.append(_context(say("more", dress.language, n=len(told.citations) - most)))
    return [{"type": "divider"}, *shown]


def _source(cited: Cited, *, dress: Dress) -> Block:
    place = say("page", dress.language, n=cited.page_no)
    if cited.start_s is not None:
        place = f"{int(cited.start_s) // 60}:{int(cited.start_s) % 60:02}"
    quote = " ".join(plain.bare(cited.quote).split())
    cut = quote if len(quote) <= _QUOTE_CHARS else quote[: _QUOTE_CHARS - 1] + "…"
    pieces: list[Block] = [
        {"type": "text", "text": f"[{cited.n}] ", "style": {"bold": True}},
        _link(f"{plain.bare(cited.name)}, {place}", cited, dress=dress),
    ]
    if cut:
        pieces.append({"type": "text", "text": f"\n“{cut}”", "style": {"italic": True}})
    return _rich(pieces)


def _link(text: str, cited: Cited | None, *, dress: Dress) -> Block:
    if cited is None or dress.base is None:
        return {"type": "text", "text": text}
    return {"type": "link", "text": text, "url": page_url(cited, base=dress.base)}


def page_url(cited: Cited, *, base: str) -> str:
    """Return the address of our own page with the cited place open."""
    return f"{base.rstrip('/')}/?d={quoted(cited.document_id, safe='')}&page={cited.page_no}"


def _buttons(told: Told, *, key: str, dress: Dress, rest: bool) -> list[Block]:
    language = dress.language
    row: list[Block] = []
    if rest:
        row.append(_button("show_rest", say("rest", language), key))
    if told.citations:
        row.append(_button("show_evidence", say("evidence", language), key))
        if dress.base is not None:
            url = page_url(told.citations[0], base=dress.base)
            row.append(_button("open_page", say("open", language), key) | {"url": url})
    if dress.private:
        row.append(_button("share", say("share", language), key))
    actions = [_actions(*row)] if row else []
    return actions + _feedback(key, dress=dress)


def _feedback(key: str, *, dress: Dress) -> list[Block]:
    buttons = {
        "type": "feedback_buttons",
        "action_id": "feedback",
        "positive_button": {"text": _words(say("good", dress.language)), "value": f"good {key}"},
        "negative_button": {"text": _words(say("bad", dress.language)), "value": f"bad {key}"},
    }
    return [{"type": "context_actions", "elements": [buttons]}]


def _button(action: str, label: str, key: str) -> Block:
    return {"type": "button", "action_id": action, "text": _words(label), "value": key[:MAX_VALUE]}


def _actions(*buttons: Block) -> Block:
    return {"type": "actions", "elements": list(buttons)}


def _marked(sentence: tuple[str, tuple[int, ...]]) -> str:
    return sentence[0] + "".join(f" [{n}]" for n in sentence[1])


def _rich(pieces: Sequence[Block]) -> Block:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(pieces)}]}


def _section(text: str) -> Block:
    # `verbatim`: Slack looks for no address, no channel and no person in it.
    return {
        "type": "section",
        "text": {"type": "mrkdwn", "text": plain.mrkdwn(text)[:MAX_SECTION], "verbatim": True},
    }


def _context(text: str) -> Block:
    return {
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": plain.mrkdwn(text)[:MAX_SECTION], "verbatim": True}],
    }


def _words(text: str) -> dict[str, object]:
    return {"type": "plain_text", "text": text}
