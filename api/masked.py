"""A model of somebody else's, asked without personal data: masked on the way out, put back in its reply.

One vault a request, held by the request alone. What the model sends back is whole again before anything of
ours reads it, so verification and the answer's rails see real values. Our own system turn is not masked: it
holds nobody's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from ingest.errors import ModelReply

if TYPE_CHECKING:
    from guardrails.vault import Vault
    from ingest.served import Call, LanguageModel, Message, Reasoning

Reply = TypeVar("Reply", bound=BaseModel)

#: Said to the model only where something is masked.
COPY_THEM = (
    "\nSome values are withheld from you: a mark in square brackets with a word and a number, such as "
    "[email 1], stands for one. Where you need the value, copy its mark exactly as it is."
)


class Hosting(Protocol):
    """What the policies in force say about models of somebody else's (`guardrails.effective.Effective`)."""

    def vault(self) -> Vault:
        """Return an empty vault."""
        ...

    def sends_pictures(self) -> bool:
        """Say whether such a model may see pictures."""
        ...


class MaskedModel:
    """A LanguageModel that asks another one through a vault."""

    def __init__(self, model: LanguageModel, hosting: Hosting) -> None:
        self._model, self._hosting = model, hosting
        self.name, self.writes_as = model.name, model.writes_as
        self.context_tokens, self.sees_images = model.context_tokens, model.sees_images

    def will_reason(self, reasoning: Reasoning | None = None) -> bool:
        """Say whether the other would think; see LanguageModel."""
        return self._model.will_reason(reasoning)

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the answer's text with the values put back; see LanguageModel."""
        vault = self._hosting.vault()
        masked = await self._masked(messages, vault)
        said = self._model.stream(masked, max_tokens=max_tokens, reasoning=reasoning, call=call)
        async with aclosing(said) as pieces, aclosing(vault.restored(pieces)) as restored:
            async for piece in restored:
                yield piece

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        schema: type[Reply],
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> Reply:
        """Ask by JSON schema and put the values back; ModelReply where they do not fit the schema."""
        vault = self._hosting.vault()
        masked = await self._masked(messages, vault)
        reply = await self._model.reply(
            masked, schema=schema, max_tokens=max_tokens, reasoning=reasoning, call=call
        )
        try:
            return schema.model_validate(_restored(reply.model_dump(), vault))
        except ValidationError:
            # Without its cause, which would quote the values.
            raise ModelReply(f"The reply of {self.name} does not fit once its masks are off.") from None

    async def _masked(self, messages: Sequence[Message], vault: Vault) -> list[Message]:
        """Mask all turns at once, out of the event loop; say so to the model where anything was."""
        if (
            any(message.images or message.video for message in messages)
            and not self._hosting.sends_pictures()
        ):
            raise ModelReply(f"The policy withholds pictures from {self.name}, whose server is not ours.")
        texts = [message.text for message in messages if message.role != "system"]
        masked = iter(await asyncio.to_thread(vault.mask, texts))
        told = [
            message if message.role == "system" else replace(message, text=next(masked))
            for message in messages
        ]
        if not vault:
            return told
        return [
            replace(message, text=message.text + COPY_THEM) if message.role == "system" else message
            for message in told
        ]


def _restored(value: Any, vault: Vault) -> Any:
    """Return a dumped reply with every text restored."""
    match value:
        case str():
            return vault.restore(value)
        case dict():
            return {key: _restored(one, vault) for key, one in value.items()}
        case list() | tuple():
            return [_restored(one, vault) for one in value]
        case _:
            return value
