"""The one client of OpenAI-compatible model servers: vLLM, NIM, hosted, or llama.cpp on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel

Reply = TypeVar("Reply", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn; images are PNG bytes and go as `data:` URLs only, before the text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[bytes, ...] = ()


class LanguageModel(Protocol):
    """A model that writes. `writes_as` is told to the caller: "served" or "local"."""

    name: str
    writes_as: Literal["served", "local"]
    #: Tokens of prompt and answer together.
    context_tokens: int
    sees_images: bool

    def stream(self, messages: Sequence[Message], *, max_tokens: int) -> AsyncIterator[str]:
        """Yield the answer's text piece by piece, reasoning removed.

        Raises ModelDown where the stream ends without a finish reason (a dead engine says [DONE] too).
        """
        ...

    async def reply(self, messages: Sequence[Message], *, schema: type[Reply], max_tokens: int) -> Reply:
        """Ask by JSON schema and parse; one retry that shows the error, then ModelReply."""
        ...


#: Request fields that differ by host (thinking switches and the like), merged into each request.
Extra = Mapping[str, object]
