"""One request to a model server: made once of what is asked, sent as often as it takes.

What a host does not understand is not put in (`Traits`), and what this model cannot do is refused before
anything is sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel

from ingest.errors import ModelReply
from ingest.turns import ANYONE, Call, Message, Pictures, Reasoning, Traits, whole, with_switch

#: One turn as it is sent.
Wire = dict[str, object]
#: Request fields that differ by host, merged into each request.
Extra = Mapping[str, object]

#: How the Nemotron family is sampled when it thinks (NVIDIA's own examples); greedy, it runs in circles.
_THINKING_TEMPERATURE, _THINKING_TOP_P = 0.6, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One request."""

    wire: list[Wire]
    #: Of the answer, and of the thought before it.
    max_tokens: int
    thinks: bool
    call: Call
    extra: dict[str, object]
    text_bytes: int
    images: tuple[bytes, ...]
    videos: int = 0
    schema: type[BaseModel] | None = None
    #: The answer is wanted as it came, were it the arguments of a tool call.
    verbatim: bool = False


class Orders:
    """Makes the requests to one model on one host."""

    def __init__(
        self,
        *,
        name: str,
        key: str,
        sees_images: bool,
        traits: Traits,
        extra: Extra,
        reasoning: Reasoning,
        thought_tokens: int,
    ) -> None:
        self._name, self._key, self._sees_images = name, key, sees_images
        self._traits, self._extra = traits, dict(extra)
        self._reasoning, self._thought_tokens = reasoning, thought_tokens
        self._pictures = Pictures()

    def will_reason(self, reasoning: Reasoning | None, *, schema: bool, video: bool) -> bool:
        """Say whether a request would think; see Reasoning."""
        asked = reasoning or self._reasoning
        return asked != "off" and self._traits.switch != "none" and not schema and not video

    def make(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call = ANYONE,
        schema: type[BaseModel] | None = None,
    ) -> Order:
        """Make a request. Raises ModelReply for pictures or videos that the model does not see."""
        images = tuple(image for message in messages for image in message.images)
        videos = sum(bool(message.video) for message in messages)
        if images and not self._sees_images:
            raise ModelReply(
                f"The model {self._name} does not see images; serve a vision model to look at pages."
            )
        if videos and not self._traits.sees_videos:
            raise ModelReply(f"The model {self._name} does not see videos here; send it single frames.")
        messages = [replace(message, text=whole(message.text)) for message in messages]
        thinks = self.will_reason(reasoning, schema=schema is not None, video=bool(videos))
        said = with_switch(messages, thinks=thinks) if self._traits.switch == "words" else messages
        return Order(
            wire=[self._wire(message) for message in said],
            max_tokens=max_tokens + (self._thought_tokens if thinks else 0),
            thinks=thinks,
            call=call,
            extra=self._fields(call, thinks=thinks),
            text_bytes=sum(len(message.text.encode()) for message in said),
            images=images,
            videos=videos,
            schema=schema,
        )

    def _fields(self, call: Call, *, thinks: bool) -> dict[str, object]:
        """Return the request fields that this host understands beyond the common ones."""
        fields = dict(self._extra)
        if self._traits.switch == "template":
            given = fields.get("chat_template_kwargs")
            known = given if isinstance(given, Mapping) else {}
            fields["chat_template_kwargs"] = {**known, "enable_thinking": thinks}
        if thinks:
            fields |= {"temperature": _THINKING_TEMPERATURE, "top_p": _THINKING_TOP_P}
        if self._traits.prioritises:
            fields["priority"] = 0 if call.urgency == "person" else 1
        if self._traits.salts:
            fields["cache_salt"] = hmac.digest(self._key.encode(), call.tenant.encode(), "sha256").hex()
        return fields

    def _wire(self, message: Message) -> Wire:
        if message.role == "system":
            return {"role": "system", "content": message.text}
        if message.role == "assistant":
            return {"role": "assistant", "content": message.text}
        parts: list[Wire] = [
            {"type": "image_url", "image_url": {"url": self._pictures.url(image)}} for image in message.images
        ]
        if message.video:
            # As vLLM and NIM take them.
            parts.append({"type": "video_url", "video_url": {"url": self._pictures.url(message.video)}})
        if not parts:
            return {"role": "user", "content": message.text}
        if not message.text:
            # Nemotron Parse takes an image and not a word.
            return {"role": "user", "content": parts}
        return {"role": "user", "content": [*parts, {"type": "text", "text": message.text}]}


def fingerprint(
    messages: Sequence[Message],
    *,
    schema: type[BaseModel],
    max_tokens: int,
    reasoning: Reasoning | None,
    call: Call,
) -> str:
    """Return what two requests have in common only if they are the same, for the same people."""
    told = hashlib.sha256()

    def tell(*parts: object) -> None:
        for part in parts:
            raw = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass")
            told.update(len(raw).to_bytes(8) + raw)

    tell(call.tenant, call.share, call.urgency, call.purpose, max_tokens, reasoning)
    tell(schema.__module__, schema.__qualname__, schema.model_json_schema())
    for message in messages:
        tell(message.role, message.text, message.video, len(message.images), *message.images)
    return told.hexdigest()
