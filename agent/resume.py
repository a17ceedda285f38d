"""Scores kept in a file as they are made, so that a long evaluation goes on where it was broken off.

The first line says what was run (who wrote, what was hidden); a file of another run is refused, because a
report over two of them would be of neither. A line cut short by a kill is made again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.errors import AgentError
from agent.evaluate import Score

_SCORE: TypeAdapter[Score] = TypeAdapter(Score)


class Kept:
    """The scores of one run in one file; opens what is there, appends what comes."""

    def __init__(self, path: Path, *, run: Mapping[str, object]) -> None:
        """Read the file. Raises AgentError where it holds another run, or a line that is no score."""
        self._path = path
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        head = json.dumps({"run": dict(run)}, sort_keys=True) + "\n"
        if whole and whole[0] != head:
            raise AgentError(f"{path.name} holds another run: {whole[0].strip()[:200]}")
        self.scores = {score.gold.id: score for score in map(self._read, whole[1:])}
        if whole != lines or not whole:
            path.write_text("".join(whole) or head, encoding="utf-8")

    def add(self, score: Score) -> None:
        """Append one score; it stands when this returns."""
        if score.gold.id in self.scores:
            return
        self.scores[score.gold.id] = score
        with self._path.open("ab") as file:
            file.write(_SCORE.dump_json(score) + b"\n")

    def _read(self, line: str) -> Score:
        try:
            return _SCORE.validate_json(line)
        except ValidationError as error:
            raise AgentError(f"{self._path.name} holds a line that is no score: {error}") from error
