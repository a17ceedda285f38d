"""Questions beside passages: a cross-encoder that orders hits and never decides relevance alone.

On 10 right pairs 2 scored like wrong ones (logit about -11), hence order only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Reranker(Protocol):
    """A cross-encoder."""

    name: str

    async def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Score each passage against `query`: (n,) float32 logits, higher is better, in the order given."""
        ...
