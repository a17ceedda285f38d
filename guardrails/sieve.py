"""The first look at a text that is to be shelved: could anything in it be an order to the assistant?

A linear head over the hashed words and pairs of words of running windows; the worst window counts. It costs
.3 ms a passage where the encoder takes 15 to 60, so the encoder is asked about what is held back only.
Windows run over words and know no sentences: line breaks and full stops would else cut an order to pieces.
A head on the passage's own embedding was measured beside it and finds far less (docs/guard-model.md).
Trained by `tests/bench/guard_training/sieve.py`.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from guardrails.onnx import checked

#: Words of a window, and how many begin between two windows.
WINDOW, STRIDE = 16, 8
#: Places of the hashed weights.
BUCKETS = 2**16
#: A word, or a word with what is known of it.
Word = TypeVar("Word")
#: The encoder's tokenizer parts words at underscores, and drops accents and what has no width.
_WORD = re.compile(r"[^\W_]+|[?!]")
_DROPPED = re.compile(
    "[\u0300-\u036f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e01ef]"
)


def windows(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """Cut words into windows that overlap by half; the last may be shorter, none is left out."""
    for start in range(0, max(1, len(words) - (WINDOW - STRIDE)), STRIDE):
        yield words[start : start + WINDOW]


def words_of(text: str) -> list[str]:
    """Return the words of a text as the sieve reads them."""
    return _WORD.findall(_DROPPED.sub("", unicodedata.normalize("NFKD", text)).casefold())


def places(window: Sequence[str]) -> list[int]:
    """Return the places of a window's words and pairs of words among the weights, each once."""
    pairs = (f"{one} {two}" for one, two in pairwise(window))
    # A lone surrogate, as some PDFs have them, is no text that can be encoded.
    return sorted({zlib.crc32(part.encode("utf-8", "replace")) % BUCKETS for part in (*window, *pairs)})


class Sieve:
    """Weights of one file, checked before they are opened."""

    def __init__(self, path: Path, *, sha256: str) -> None:
        """Check and open it. Raises ClassifierUnfit for what is missing or altered."""
        content = checked(path, {path.name: sha256})
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            self._weights = held["weights"].astype(np.float32)
            self._bias = float(held["bias"])

    def look(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return (n,) probabilities that a text has something planted, of its worst window, in order."""
        logits = np.array([max(map(self._logit, windows(words_of(text)))) for text in texts])
        probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
        return probabilities

    def _logit(self, window: Sequence[str]) -> float:
        found = places(window)
        return float(self._weights[found].sum() / max(1, len(found)) ** 0.5) + self._bias
