"""The manifest of a batch: an outcome a file, kept so that a batch that was killed goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ingest.errors import Damaged

#: Outcomes that are not tried again when a batch goes on.
_DONE = frozenset({"added", "updated", "unchanged", "quarantined"})


class Line(BaseModel):
    """What became of one file of a batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    #: Size and time of change of the file, or its address: another mark, another try.
    mark: str
    outcome: str
    id: str | None = None
    reason: str | None = None
    detail: str | None = None
    pages: int = 0
    chunks: int = 0


class Manifest:
    """The outcomes of a batch in a JSON Lines file: a line is there or not, whatever kills the batch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: dict[str, Line] = {}
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                told = Line.model_validate_json(line)
            except ValidationError as error:
                raise Damaged(
                    f"Line {number} of {path.name} is no outcome: name another manifest."
                ) from error
            self._done[told.name] = told
        if len(whole) < len(content):
            # The line that a kill cut short.
            os.truncate(path, len(whole))

    def is_done(self, name: str, mark: str) -> bool:
        """Say whether this very file was settled."""
        line = self._done.get(name)
        return line is not None and line.mark == mark and line.outcome in _DONE

    def add(self, line: Line) -> None:
        """Append an outcome, so that it outlives a power cut."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line.model_dump(), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._done[line.name] = line
