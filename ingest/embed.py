"""Texts to vectors: the dense embedder names its own vector, so that the index's schema cannot drift.

bge-small-en-v1.5 (model card): the first token's output, unit length, 512 tokens, and a prefix for questions
only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ingest.onnx import OnnxEncoder

_QUERY_PREFIX = "Represent this sentence for searching relevant passages: "
_MAX_TOKENS = 512
#: Questions remembered: a question is embedded again by each retry, page of results and verify step.
_REMEMBERED = 256


class Embedder(Protocol):
    """A dense text embedder."""

    #: Names the vector in the index, e.g. "bge-small-en-v1.5-int8".
    name: str
    dimensions: int
    languages: tuple[str, ...]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, so that chunks are cut to what this embedder reads."""
        ...

    def batches(self, texts: Sequence[str]) -> list[list[int]]:
        """Say which of the texts (by place) go through the model together: each place once. Blocks."""
        ...

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed passages: (n, d) float32, unit rows, in the order given."""
        ...

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed one question: (d,) float32, unit length."""
        ...


class OnnxEmbedder:
    """bge-small-en-v1.5, int8, on ONNX Runtime."""

    name = "bge-small-en-v1.5-int8"
    dimensions = 384
    languages: tuple[str, ...] = ("en",)

    def __init__(self, model: Path, tokenizer: Path, *, threads: int, batch: int) -> None:
        self._encoder = OnnxEncoder(model, tokenizer, threads=threads, max_tokens=_MAX_TOKENS)
        self._batch = batch
        self._queries: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, without the special ones."""
        return self._encoder.count(texts)

    def batches(self, texts: Sequence[str]) -> list[list[int]]:
        """Say which of the texts go through the model together: those of a length."""
        return self._encoder.batches(texts, batch=self._batch)

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed passages: (n, 384) float32, unit rows, in the order given."""
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return await self._encoder.run(list(texts), batch=self._batch, pool=_unit_first_token)

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed one question: (384,) float32, unit length; the last few hundred are remembered."""
        if text not in self._queries:
            vectors = await self._encoder.run([_QUERY_PREFIX + text], batch=1, pool=_unit_first_token)
            vectors.flags.writeable = False
            self._queries[text] = vectors[0]
        self._queries.move_to_end(text)
        vector = self._queries[text]
        while len(self._queries) > _REMEMBERED:
            self._queries.popitem(last=False)
        return vector


def _unit_first_token(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pool (b, tokens, d) to (b, d) unit rows: the first token stands for the text (model card)."""
    first = output[:, 0]
    unit: NDArray[np.float32] = (first / np.linalg.norm(first, axis=1, keepdims=True)).astype(np.float32)
    return unit
