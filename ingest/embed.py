"""Texts to vectors: the dense embedder names its own vector, so that the index's schema cannot drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """A dense text embedder."""

    #: Names the vector in the index, e.g. "bge-small-en-v1.5-int8".
    name: str
    dimensions: int
    languages: tuple[str, ...]

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed passages: (n, d) float32, unit rows, in the order given."""
        ...

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Embed one question: (d,) float32, unit length."""
        ...
