"""The classifier's model on the CPU: token ids in, one logit a head out.

One window a run, never a padded batch: the int8 export quantises activations over all that is run together,
so that a text's score would depend on its neighbours, and whoever chose those would choose the verdict.
onnxruntime and tokenizers come with the extra `local`, so they are imported when a model is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from guardrails.errors import ClassifierUnfit


class OnnxModel:
    """`model.onnx` and `tokenizer.json` of a folder, checked before they are opened. Safe from threads."""

    def __init__(self, folder: Path, *, sha256: Mapping[str, str]) -> None:
        """Check and open both. Raises ClassifierUnfit for what is missing, altered or not installed."""
        model, tokenizer = (checked(folder / name, sha256) for name in ("model.onnx", "tokenizer.json"))
        try:
            import onnxruntime as ort
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ClassifierUnfit(f"It needs the extra `local`; {error.name} is not installed.") from error
        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_str(tokenizer.decode("utf-8"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._turn = Lock()

    def windows(self, text: str, *, tokens: int, overlap: int) -> list[list[int]]:
        """Cut `text` into windows of at most `tokens` ids, neighbours sharing `overlap`; none is left out."""
        # A lone surrogate, as some PDFs have them, is no text that can be encoded.
        writable = text.encode("utf-8", "replace").decode("utf-8")
        first, *inner, last = self._tokenizer.encode(writable).ids
        room = tokens - 2
        starts = range(0, max(1, len(inner) - overlap), room - overlap)
        return [[first, *inner[start : start + room], last] for start in starts]

    def logits(self, windows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return (windows, heads) logits, in order."""
        # One at a time: rails of many questions would else take every core from the readers.
        with self._turn:
            return np.concatenate([self._run(window) for window in windows])

    def _run(self, window: Sequence[int]) -> NDArray[np.float32]:
        ids = np.array([window], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        logits: NDArray[np.float32] = self._session.run(None, feed)[0]
        return logits


def checked(path: Path, sha256: Mapping[str, str]) -> bytes:
    """Return a file's bytes. Raises ClassifierUnfit unless it is the one that is pinned under its name."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ClassifierUnfit(f"Its file {path.name} cannot be read; install the package again.") from error
    if hashlib.sha256(content).hexdigest() != sha256.get(path.name):
        raise ClassifierUnfit(
            f"Its file {path.name} is not the one that is pinned; install the package again."
        )
    return content
