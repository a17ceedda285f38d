"""Text of documents and people made harmless for Slack: nobody is called, nothing is linked or unfurled.

Slack has three readers of text: mrkdwn (`<!channel>`, `<url|label>`), Markdown (streams), and rich text,
whose plain pieces are never parsed. Answers stand in rich text; the other two are for fallbacks and streams.
"""

from __future__ import annotations

import re

#: Shows nothing and joins nothing: a link or a call with this inside is none.
BREAK = "\u2060"
_BIDI = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CALLS = re.compile(r"@(?=channel\b|here\b|everyone\b|[A-Za-z0-9._-])", re.I)
_ADDRESS = re.compile(r"(?<=[A-Za-z0-9]):(?=//)|(?<=mailto):|(?<=tel):")
_DOMAIN = re.compile(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z]{2,24}(?:[/:?#]|\b))")
_MARKS = re.compile(r"([\\`*_~\[\]()#>|!+-])")
_MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")


def bare(text: str) -> str:
    """Return text without control characters and without signs that turn its direction."""
    return _BIDI.sub("", text)


def inert(text: str) -> str:
    """Break every call and every address in a text; what is seen stays as it was."""
    broken = _CALLS.sub("@" + BREAK, bare(text))
    broken = _ADDRESS.sub(":" + BREAK, broken)
    return _DOMAIN.sub("." + BREAK, broken)


def mrkdwn(text: str) -> str:
    """Return text for a mrkdwn field or a message's `text`."""
    return inert(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown(text: str) -> str:
    """Return text for a Markdown field or stream: every mark of the language is escaped."""
    escaped = _MARKS.sub(r"\\\1", inert(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def seen(text: str) -> str:
    """Return what people see of text that went through `mrkdwn` or `inert`."""
    shown = text.replace(BREAK, "").replace("&lt;", "<").replace("&gt;", ">")
    return shown.replace("&amp;", "&")


def heard(text: str, *, bot_user: str) -> tuple[str, bool, bool]:
    """Return a message's words, whether it calls us, and whether it calls somebody else."""
    called = _MENTION.findall(text)
    words = _MENTION.sub(lambda found: "" if found[1] == bot_user else f"@{found[1]}", text)
    words = re.sub(r"<(?:https?://|mailto:)[^|>]*\|([^>]*)>", r"\1", words)
    words = re.sub(r"<(https?://[^>]*)>", r"\1", words)
    words = re.sub(r"<[#!]([^>|]*)\|([^>]*)>", r"\2", words)
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        words = words.replace(entity, sign)
    return words.strip(" \n:,"), bot_user in called, any(one != bot_user for one in called)
