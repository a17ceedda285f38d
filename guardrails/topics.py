"""Rail: a question that is not about what this library is for is declined.

What is near is told by the library's own embedder, which a caller hands in, because a question is near to a
topic's examples in meaning and rarely in words. A question of one or two words says no topic ("And 2023?"):
it comes again once it has been made whole from the turns before it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from guardrails.rails import ALLOW, Passage, Ruling

#: Fewer words than this name no topic.
_LEAST_WORDS = 3
_WORD = re.compile(r"\w+")
#: What is read of a question, characters: the embedder reads no more.
_READ = 2_000


class Embedder(Protocol):
    """Texts to vectors; raises what it likes when that fails."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, d) float32, unit rows, in order."""
        ...


class Topics:
    """Rail: off topic where nothing that is allowed is near, or something that is refused is."""

    name = "topics"
    codes = frozenset({"off_topic"})
    rewrites = False

    def __init__(
        self,
        embedder: Embedder | None,
        *,
        allowed: tuple[tuple[str, ...], ...],
        refused: tuple[str, ...],
        refused_words: tuple[str, ...],
        near: float,
        near_refused: float,
    ) -> None:
        self._embedder = embedder
        self._groups = (*allowed, refused) if refused else allowed
        self._has_refused = bool(refused)
        self._near, self._near_refused = near, near_refused
        words = "|".join(re.escape(" ".join(_WORD.findall(word.casefold()))) for word in refused_words)
        self._words = re.compile(rf"(?<!\w)(?:{words})(?!\w)") if words else None
        self._examples: list[NDArray[np.float32]] = []
        self._learning = asyncio.Lock()

    async def judge(self, passages: Sequence[Passage]) -> Sequence[Ruling]:
        """Return one ruling for each passage, in order. Raises what the embedder raises."""
        said = [" ".join(_WORD.findall(passage.text.casefold())) for passage in passages]
        rulings = [_refused(1.0) if self._words and self._words.search(text) else ALLOW for text in said]
        left = [
            place
            for place, text in enumerate(said)
            if rulings[place] is ALLOW and len(text.split()) >= _LEAST_WORDS
        ]
        if not left or not self._groups or self._embedder is None:
            return rulings
        examples = await self._learned(self._embedder)
        vectors = await self._embedder.embed([passages[place].text[:_READ] for place in left])
        for place, vector in zip(left, vectors, strict=True):
            rulings[place] = self._ruling([float((group @ vector).max()) for group in examples])
        return rulings

    def _ruling(self, nearest: list[float]) -> Ruling:
        """Rule on how near the nearest example of each group is (cosines)."""
        *allowed, refused = nearest if self._has_refused else (*nearest, 0.0)
        on_topic = min(allowed, default=1.0)
        if allowed and on_topic < self._near:
            return _refused(1.0 - on_topic)
        if self._has_refused and refused >= self._near_refused:
            return _refused(refused)
        return Ruling(decision="allow", score=1.0 - on_topic if allowed else refused)

    async def _learned(self, embedder: Embedder) -> list[NDArray[np.float32]]:
        """Return the examples' vectors, a matrix each group; embedded once."""
        async with self._learning:
            if not self._examples:
                self._examples = [await embedder.embed(list(group)) for group in self._groups]
            return self._examples


def _refused(score: float) -> Ruling:
    return Ruling(decision="block", code="off_topic", score=score)
