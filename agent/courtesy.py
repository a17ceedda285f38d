"""Greetings, thanks and "who are you?": answered in code, without a fact and so without a citation.

Only a message that is nothing but a courtesy counts: "Hello, how many bytes has the header?" is a question.
"""

from __future__ import annotations

import re
from typing import Literal

Courtesy = Literal["greeting", "thanks", "farewell", "self"]

#: All that is ever said without evidence; `verify` lets exactly these pass.
SAID: dict[Courtesy, str] = {
    "greeting": "Hello! Ask me something about your documents, and I will look it up.",
    "thanks": "You are welcome.",
    "farewell": "Goodbye!",
    "self": (
        "I am Pagewarden: I answer from the documents in this library, show the page that every sentence "
        "stands on, and say so where they hold no answer; you can also ask which documents I have."
    ),
}

_HELLO = (
    r"(?:hello|hi|hey|greetings|howdy|good\s+(?:morning|afternoon|evening|day))"
    r"(?:\s+(?:there|again|pagewarden|everyone|all))?"
)
_THANKS = (
    r"(?:(?:ok(?:ay)?|great|perfect|nice|good|cool|super|wonderful|excellent|alright|got\s+it|understood)"
    r"|(?:many\s+)?thanks?(?:\s+(?:you|a\s+lot|so\s+much|very\s+much|again))*|thx|cheers|much\s+appreciated"
    r"|that(?:'s|\s+is|\s+was)\s+(?:all|it|great|perfect|very\s+helpful|helpful|good|clear|what\s+i\s+needed)"
    r"|(?:very\s+)?helpful|well\s+done)"
)
_BYE = r"(?:(?:good)?bye|bye\s+bye|see\s+you(?:\s+\w+)?|good\s+night|farewell)"
_SELF = (
    r"(?:who|what)\s+are\s+you|what(?:'s|\s+is)\s+your\s+name|what\s+can\s+(?:you|i)\s+(?:do|ask(?:\s+you)?)(?:\s+here|\s+for\s+me)?"
    r"|what\s+do\s+you\s+do|how\s+(?:do|can)\s+(?:you\s+work|i\s+use\s+(?:you|this))|(?:can|could)\s+you\s+help(?:\s+me)?|help(?:\s+me)?"
    r"|how\s+are\s+you(?:\s+(?:doing|today))*|are\s+you\s+(?:a\s+)?(?:bot|robot|human|an?\s+ai)"
)
_BETWEEN = r"[\s,.!;:–-]*"
_KINDS: tuple[tuple[Courtesy, re.Pattern[str]], ...] = (
    ("self", re.compile(rf"(?:{_HELLO}{_BETWEEN})?(?:and\s+)?(?:{_SELF})[\s?.!]*", re.I)),
    ("farewell", re.compile(rf"(?:(?:{_THANKS}){_BETWEEN}(?:and\s+)?)*{_BYE}{_BETWEEN}", re.I)),
    ("thanks", re.compile(rf"(?:(?:{_THANKS}){_BETWEEN}(?:and\s+)?)+", re.I)),
    ("greeting", re.compile(rf"(?:{_HELLO}{_BETWEEN})+", re.I)),
)
_OPENING = re.compile(
    rf"^(?:{_HELLO}|thanks(?:\s+a\s+lot)?|thank\s+you(?:\s+very\s+much)?)[\s,.!;:–-]+(?=\S)", re.I
)


def courtesy(message: str) -> Courtesy | None:
    """Return what courtesy a message is, None where it asks for something."""
    text = message.strip()
    if len(text) > 80:
        return None
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(text)), None)


def asked(message: str) -> str:
    """Return a message without the greeting that opens it."""
    text = _OPENING.sub("", message.strip())
    return text if text == message.strip() else text[:1].upper() + text[1:]
