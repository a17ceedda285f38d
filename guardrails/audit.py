"""The record of what was decided: JSON Lines, one line a verdict, never a word of the text.

A text is named by its sha256, so that who holds the text can find the verdict and nobody can go back.
A line that cannot be written is an OSError for the caller, who closes the rail: no verdict without a record.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from guardrails.records import Verdict


class Audit:
    """An append-only file; lines of one hop are written in one call, so that processes may share it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def record(self, texts: Sequence[str], verdicts: Sequence[Verdict], *, who: str, trace: str = "") -> None:
        """Append a line a text, and one a rail in shadow that would have acted. Raises OSError."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = "".join(
            json.dumps({"time": now, "who": who, "trace": trace} | line | {"sha256": digest}) + "\n"
            for digest, verdict in zip(map(_digest, texts), verdicts, strict=True)
            for line in verdict.told()
        )
        lines = told.encode()
        while lines:
            lines = lines[os.write(self._file, lines) :]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
