"""A cross-encoder that remembers on disk: scoring is most of a run, and runs repeat their pairs."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.rerank import Reranker


class Remembered:
    """A Reranker over another and a file of logits by (model, query, passage)."""

    def __init__(self, reranker: Reranker, path: Path) -> None:
        self.name = reranker.name
        self._reranker = reranker
        self._held = sqlite3.connect(path, isolation_level=None)
        self._held.execute("pragma journal_mode = wal")
        self._held.execute("pragma synchronous = off")
        self._held.execute(
            "create table if not exists logit (pair blob primary key, value real) without rowid"
        )

    async def score(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Score the pairs not seen before, and read the others: (n,) float32 logits, in the order given."""
        keys = [self._key(query, passage) for passage in passages]
        known = {key: value for key in keys if (value := self._read(key)) is not None}
        fresh = {key: passage for key, passage in zip(keys, passages, strict=True) if key not in known}
        if fresh:
            logits = await self._reranker.score(query, list(fresh.values()))
            made = dict(zip(fresh, map(float, logits), strict=True))
            self._held.executemany("insert or replace into logit values (?, ?)", list(made.items()))
            known |= made
        return np.array([known[key] for key in keys], dtype=np.float32)

    def _key(self, query: str, passage: str) -> bytes:
        return hashlib.sha256(f"{self.name}\0{query}\0{passage}".encode()).digest()[:16]

    def _read(self, key: bytes) -> float | None:
        row = self._held.execute("select value from logit where pair = ?", (key,)).fetchone()
        return None if row is None else float(row[0])
