"""Rows of text for `pagewarden policy check`: all are read, then they are screened in batches."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.errors import BadRow
from api.schemas import CheckedOut
from guardrails.records import Hop, Verdict

if TYPE_CHECKING:
    from agent.state import Rails

As = Literal["prompt", "document", "answer"]
HOPS: dict[As, Hop] = {"prompt": "question", "document": "document", "answer": "answer"}
#: Rows, and characters, that are screened in one call: a rail's time limit is for the whole call.
_ROWS, _CHARS = 32, 60_000


class Row(BaseModel):
    """One line of the file; fields that are not named here are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    id: str | int
    text: str
    as_: As = Field(alias="as")


def read_rows(path: Path) -> list[Row]:
    """Read JSON Lines from a file, or from stdin for `-`. Raises BadRow, with the line and what to do."""
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise BadRow(f"{path} does not open: {error.strerror}.") from error
    return [_row(line, number) for number, line in _lines(raw)]


def _lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if line.strip():
            yield number, line


def _row(line: bytes, number: int) -> Row:
    try:
        return Row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        told = f"{place}: {first['msg']}" if place else first["msg"]
        raise BadRow(
            f'Line {number}: {told}. A row is {{"id": "1", "text": "...", "as": "prompt"}}; '
            '"as" is "prompt", "document" or "answer". Nothing was checked.'
        ) from error


async def checked(
    rails: Mapping[As, Rails], rows: Sequence[Row], *, on_done: Callable[[int], None]
) -> AsyncGenerator[tuple[Row, CheckedOut], None]:
    """Screen the rows in batches of one kind each, and yield what became of them in their order."""
    at = 0
    while at < len(rows):
        window = _window(rows, at)
        told: dict[int, CheckedOut] = {}
        for as_ in dict.fromkeys(row.as_ for row in window):
            places = [place for place, row in enumerate(window) if row.as_ == as_]
            found = await _screened(rails[as_], HOPS[as_], [window[place].text for place in places])
            told |= {
                place: outcome(window[place].id, verdict, ms=ms)
                for place, (verdict, ms) in zip(places, found, strict=True)
            }
        for place, row in enumerate(window):
            yield row, told[place]
        at += len(window)
        on_done(at)


def outcome(id_: str | int, verdict: Verdict, *, ms: float) -> CheckedOut:
    """Tell a verdict as an action."""
    blocked: Literal["refuse", "quarantine"] = "quarantine" if verdict.hop == "document" else "refuse"
    match verdict.decision:
        case "allow":
            return CheckedOut(id=id_, action="allow", rail=None, score=None, text=verdict.text, ms=ms)
        case "mask":
            action: Literal["redact", "refuse", "quarantine"] = "redact"
        case "block":
            action = blocked
    rail = verdict.rail or "undecided"
    return CheckedOut(id=id_, action=action, rail=rail, score=verdict.score, text=verdict.text, ms=ms)


@dataclass(frozen=True, slots=True)
class _Timed:
    verdicts: tuple[Verdict, ...]
    ms_each: float


async def _screened(rails: Rails, hop: Hop, texts: Sequence[str]) -> list[tuple[Verdict, float]]:
    """Screen texts of one hop in one call; what ran out of time there is asked again alone."""
    timed = await _timed(rails, hop, texts)
    found = [(verdict, timed.ms_each) for verdict in timed.verdicts]
    if len(texts) > 1:
        for place, verdict in enumerate(timed.verdicts):
            if verdict.code == "undecided":
                again = await _timed(rails, hop, [texts[place]])
                found[place] = (again.verdicts[0], round(timed.ms_each + again.ms_each, 3))
    return found


async def _timed(rails: Rails, hop: Hop, texts: Sequence[str]) -> _Timed:
    start = time.perf_counter()
    verdicts = await rails.screen(hop, list(texts))
    return _Timed(verdicts, round((time.perf_counter() - start) * 1000 / len(texts), 3))


def _window(rows: Sequence[Row], at: int) -> Sequence[Row]:
    """Return the next rows that make one batch: one at least, however long."""
    chars = 0
    for count, row in enumerate(rows[at : at + _ROWS]):
        chars += len(row.text)
        if count and chars > _CHARS:
            return rows[at : at + count]
    return rows[at : at + _ROWS]
