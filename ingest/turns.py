"""What is asked of a language model: turns of a talk, on whose behalf they are asked, and how hard to think.

Document text is data here too: a server's chat template acts on words like `/think`, `<image>` or its own
turn marks wherever they stand, so they are taken apart in text that is not ours before it is sent.
"""

from __future__ import annotations

import base64
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel

Reply = TypeVar("Reply", bound=BaseModel)

#: "auto": think where the answer is free text; never with a schema (its grammar holds from the first token,
#: which kills the thought) and never with a video (the Nemotron family does not support it).
Reasoning = Literal["off", "on", "auto"]
Purpose = Literal["read", "look", "plan", "write", "verify", "guard", "other"]
#: A person waits for an answer; a batch only has to be done.
Urgency = Literal["person", "batch"]
#: How a model family is told to think: words in the system turn (Nemotron), an argument of the chat template,
#: or not at all.
Switch = Literal["none", "words", "template"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn; images (PNG, JPEG, WebP) and a video (MP4) go as `data:` URLs, before the text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[bytes, ...] = ()
    video: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """On whose behalf the model is asked, what for, and whether somebody waits."""

    tenant: str = ""
    purpose: Purpose = "other"
    urgency: Urgency = "person"
    #: Concurrent identical replies within this scope share one request; "" shares with nobody. The tenant is
    #: always part of the scope.
    share: str = ""


#: Somebody waits, nobody is named.
ANYONE = Call()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a host of the model understands beyond the common protocol; what it does not is never sent."""

    switch: Switch = "none"
    sees_videos: bool = False
    #: Tells the tokens of each piece of a stream (`return_token_ids`, `continuous_usage_stats`): vLLM does.
    counts_pieces: bool = False
    #: Counts the tokens of a prompt at `/tokenize`: vLLM does.
    tokenizes: bool = False
    #: Tells its load at `/metrics`; asked only while a batch runs, and rarely where it does not.
    tells_load: bool = True
    #: Runs with priority scheduling, so that people go first inside it too (`priority`).
    prioritises: bool = False
    #: Salts its prefix cache (`cache_salt`), so that no tenant can time another's prompts.
    salts: bool = False


class LanguageModel(Protocol):
    """A model that writes. `writes_as` is told to the caller: "served" or "local"."""

    name: str
    writes_as: Literal["served", "local"]
    #: Tokens of prompt and answer together.
    context_tokens: int
    sees_images: bool

    def will_reason(self, reasoning: Reasoning | None = None) -> bool:
        """Say whether it would think before it answers in free text; see Reasoning."""
        ...

    def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the answer's text piece by piece, reasoning removed.

        Raises ModelDown where the stream ends without a finish reason (a dead engine says [DONE] too),
        ModelReply where the model says nothing or its request is refused, PromptTooLong.
        """
        ...

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        schema: type[Reply],
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> Reply:
        """Ask by JSON schema and parse; one retry that shows the error, then ModelReply."""
        ...


class OnBehalf:
    """A LanguageModel that asks another on behalf of one call, for parts that know nothing of calls."""

    def __init__(self, model: LanguageModel, call: Call) -> None:
        self._model, self._call = model, call
        self.name, self.writes_as = model.name, model.writes_as
        self.context_tokens, self.sees_images = model.context_tokens, model.sees_images

    def will_reason(self, reasoning: Reasoning | None = None) -> bool:
        """Say whether the other would think; see LanguageModel."""
        return self._model.will_reason(reasoning)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the answer's text; see LanguageModel."""
        return self._model.stream(
            messages, max_tokens=max_tokens, reasoning=reasoning, call=call or self._call
        )

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        schema: type[Reply],
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> Reply:
        """Ask by JSON schema; see LanguageModel."""
        return await self._model.reply(
            messages, schema=schema, max_tokens=max_tokens, reasoning=reasoning, call=call or self._call
        )


#: Words that the Nemotron family's template and tokenizer act on, wherever they stand.
_SLASHED = re.compile(r"/(?=(?:no_)?think)")
_MARKS = re.compile(r"<(?=/?(?:SPECIAL_\d+|think|image|video|img|TOOLCALL|TOOL_RESPONSE|AVAILABLE_TOOLS)\b)")


def with_switch(messages: Sequence[Message], *, thinks: bool) -> list[Message]:
    """Say `/think` or `/no_think` before the system text, and take such words of everybody else apart."""
    switch, system = "/think" if thinks else "/no_think", ""
    if messages and messages[0].role == "system":
        # Our own prompts may say it already; once is enough, and the last word is the switch's.
        system, messages = re.sub(r"^/(?:no_)?think\b\s*", "", messages[0].text), messages[1:]
    first = Message(role="system", text=f"{switch}\n{defused(system)}".strip())
    return [first, *(replace(message, text=defused(message.text)) for message in messages)]


def whole(text: str) -> str:
    """Replace lone surrogates, which JSON may carry and UTF-8 may not."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def defused(text: str) -> str:
    """Take apart the words that a Nemotron template would obey in the middle of a document."""
    return _MARKS.sub("< ", _SLASHED.sub("/ ", text))


_KINDS = (
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"RIFF....WEBP", re.S), "image/webp"),
    (re.compile(rb"....ftyp", re.S), "video/mp4"),
)


class Pictures:
    """`data:` URLs of images and videos, made once each; the oldest are forgotten beyond `most_bytes`."""

    def __init__(self, *, most_bytes: int = 64 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._urls: OrderedDict[bytes, str] = OrderedDict()

    def url(self, picture: bytes) -> str:
        """Return the picture as a `data:` URL."""
        known = self._urls.get(picture)
        if known is not None:
            self._urls.move_to_end(picture)
            return known
        kind = next((kind for magic, kind in _KINDS if magic.match(picture)), "image/png")
        made = f"data:{kind};base64,{base64.b64encode(picture).decode('ascii')}"
        self._urls[picture] = made
        self._bytes += len(picture) + len(made)
        while self._bytes > self._most_bytes and self._urls:
            old, url = self._urls.popitem(last=False)
            self._bytes -= len(old) + len(url)
        return made
