"""ONNX models of text on the CPU: tokenizer and session in one place, off the event loop, one run at a time.

Batches are cut by padded tokens, not by texts: sorted by length, 16 texts of 220 tokens and 60 of 64 cost the
same memory. The int8 models quantise activations per batch, so a vector moves by about 0.01 with its
neighbours: compare with a tolerance, never bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import anyio.to_thread
import numpy as np
import onnxruntime as ort
from anyio import CapacityLimiter
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from ingest.errors import WeightsMissing

#: What one text of a batch may take on average, in padded tokens: a batch of 16 is 1,536 tokens. Larger
#: batches are no faster (35 texts/s at 1,024 to 2,048, 31 at 4,096; 2 cores) and take more memory.
_TOKENS_PER_TEXT = 96

_INPUTS = ("input_ids", "attention_mask", "token_type_ids")

#: A text, or a question beside a passage.
Text = str | tuple[str, str]


class OnnxEncoder:
    """A BERT-like model: texts or pairs in, its first output out. Opened on first use."""

    def __init__(self, model: Path, tokenizer: Path, *, threads: int, max_tokens: int) -> None:
        for path in (model, tokenizer):
            if not path.is_file():
                raise WeightsMissing(f"The model file {path.name} is not here; fetch the models first.")
        self._model = model
        self._tokenizer_file = tokenizer
        self._threads = threads
        self._max_tokens = max_tokens
        self._turn = CapacityLimiter(1)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of each text, without the special ones and without a limit."""
        encodings = self._counting.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]

    def clip(self, text: str, *, max_tokens: int) -> str:
        """Cut `text` after `max_tokens` tokens."""
        offsets = self._counting.encode(text, add_special_tokens=False).offsets
        return text if len(offsets) <= max_tokens else text[: offsets[max_tokens - 1][1]]

    def batches(self, texts: Sequence[Text], *, batch: int) -> list[list[int]]:
        """Say which of the texts `run` would put through the model together, by place."""
        lengths = [len(e.ids) for e in self._tokenizer.encode_batch(list(texts))]
        return list(_batches(lengths, budget=batch * _TOKENS_PER_TEXT))

    async def run(
        self, texts: Sequence[Text], *, batch: int, pool: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Run the model over `texts` and `pool` each batch's output to (b, k): (n, k), in the order given.

        What is too long is cut at its end; of a pair the longer one.
        """
        return await anyio.to_thread.run_sync(self._run, texts, batch, pool, limiter=self._turn)

    def _run(
        self, texts: Sequence[Text], batch: int, pool: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch(list(texts))
        pooled: dict[int, NDArray[np.float32]] = {}
        for places in _batches([len(e.ids) for e in encodings], budget=batch * _TOKENS_PER_TEXT):
            rows = pool(self._session.run(None, _padded([encodings[place] for place in places]))[0])
            pooled.update(zip(places, rows, strict=True))
        return np.stack([pooled[place] for place in range(len(texts))])

    @cached_property
    def _session(self) -> ort.InferenceSession:
        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Spinning burns the core that the next reader needs: measured, DESIGN's ratio of ingest to raw model.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return ort.InferenceSession(self._model, options, providers=["CPUExecutionProvider"])

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokenizer = self._open_tokenizer()
        tokenizer.enable_truncation(self._max_tokens, strategy="longest_first")
        return tokenizer

    @cached_property
    def _counting(self) -> Tokenizer:
        return self._open_tokenizer()

    def _open_tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(self._tokenizer_file))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer


def _batches(lengths: Sequence[int], *, budget: int) -> Iterator[list[int]]:
    """Yield places sorted by length, longest first, each batch within `budget` padded tokens."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _padded(encodings: Sequence[Encoding]) -> dict[str, NDArray[np.int64]]:
    """Pad encodings to the longest: what BERT exports take, each (b, tokens) int64."""
    shape = (len(encodings), max(len(encoding.ids) for encoding in encodings))
    feed = {name: np.zeros(shape, dtype=np.int64) for name in _INPUTS}
    for row, encoding in enumerate(encodings):
        tokens = len(encoding.ids)
        feed["input_ids"][row, :tokens] = encoding.ids
        feed["attention_mask"][row, :tokens] = 1
        feed["token_type_ids"][row, :tokens] = encoding.type_ids
    return feed
