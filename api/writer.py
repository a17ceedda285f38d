"""The local model, started when it is first needed: adding and searching never load it.

It satisfies LanguageModel, so that the agent does not know. A child that died is started anew with the next
question.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio
from pydantic import BaseModel

from ingest.spending import Spending

if TYPE_CHECKING:
    from ingest.local_llm import LocalLlm
    from ingest.served import Call, Message, Reasoning, ServedModel

Reply = TypeVar("Reply", bound=BaseModel)


class LocalModel:
    """A LanguageModel over a child process of our own."""

    writes_as: Literal["served", "local"] = "local"
    sees_images = False

    def __init__(self, gguf: Path, *, threads: int, context_tokens: int, timeout_s: float) -> None:
        self.name = gguf.stem
        self.context_tokens = context_tokens
        self._gguf, self._threads, self._timeout_s = gguf, threads, timeout_s
        #: Outlives the child: what was counted before it died still counts.
        self.spending = Spending()
        self._turn = anyio.Lock()
        self._child: LocalLlm | None = None
        self._client: ServedModel | None = None

    def will_reason(self, reasoning: Reasoning | None = None) -> bool:
        """Say no: the small model does not think."""
        return False

    @property
    def running(self) -> bool:
        """Whether the child is up."""
        return self._child is not None and self._child.running

    async def start(self) -> ServedModel:
        """Start the child unless it runs. Raises WeightsMissing, ModelDown."""
        from ingest.local_llm import LocalLlm
        from ingest.served import ServedModel

        async with self._turn:
            if self._client is not None and self.running:
                return self._client
            await self._stop()
            child = LocalLlm(self._gguf, threads=self._threads, context_tokens=self.context_tokens)
            await child.__aenter__()
            self._child = child
            self._client = ServedModel(
                base_url=child.base_url,
                model=child.model,
                api_key=child.api_key,
                writes_as="local",
                context_tokens=self.context_tokens,
                timeout_s=self._timeout_s,
                ledger=self.spending,
            )
            return self._client

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the answer piece by piece."""
        model = await self.start()
        said = model.stream(messages, max_tokens=max_tokens, reasoning=reasoning, call=call)
        async with aclosing(said) as pieces:
            async for piece in pieces:
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
        """Ask by JSON schema."""
        model = await self.start()
        return await model.reply(
            messages, schema=schema, max_tokens=max_tokens, reasoning=reasoning, call=call
        )

    async def close(self) -> None:
        """End the child."""
        async with self._turn:
            await self._stop()

    async def _stop(self) -> None:
        client, child = self._client, self._child
        self._client = self._child = None
        if client is not None:
            await client.close()
        if child is not None:
            await child.__aexit__(None, None, None)
