"""Questions beside passages: a cross-encoder that orders hits and never decides relevance alone.

On 10 right pairs 2 scored like wrong ones (logit about -11), hence order only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ingest.onnx import OnnxEncoder

_MAX_TOKENS = 512
#: A question is cut here, so that of a pair only the passage is ever cut to fit.
_MAX_QUERY_TOKENS = 128
_BATCH = 16


class Reranker(Protocol):
    """A cross-encoder."""

    name: str

    async def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Score each passage against `query`: (n,) float32 logits, higher is better, in the order given."""
        ...


class OnnxReranker:
    """ms-marco-MiniLM-L-12-v2, int8, on ONNX Runtime."""

    name = "ms-marco-minilm-l12-int8"

    def __init__(self, model: Path, tokenizer: Path, *, threads: int) -> None:
        self._encoder = OnnxEncoder(model, tokenizer, threads=threads, max_tokens=_MAX_TOKENS)

    async def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Score each passage against `query`: (n,) float32 logits, in the order given."""
        if not passages:
            return np.empty(0, dtype=np.float32)
        asked = self._encoder.clip(query, max_tokens=_MAX_QUERY_TOKENS)
        pairs = [(asked, passage) for passage in passages]
        logits = await self._encoder.run(pairs, batch=_BATCH, pool=_as_it_is)
        return logits[:, 0]


def _as_it_is(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take the logits, (b, 1), as they are."""
    return output
