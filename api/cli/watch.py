"""`pagewarden add DIR --watch`: a folder and the shelf kept alike, by looking again and again.

Polling, because it works on every file system (network drives tell nobody of changes) and wants no package.
What was shelved from a folder is remembered in the home, so that what vanishes while nobody watches is taken
off too. A folder that is not there or suddenly empty is taken for a drive that is not mounted: nothing goes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from api.cli.gather import Given, Placing, placed
from ingest.shards import replace_text

if TYPE_CHECKING:
    from api.cli.door import Door
    from api.schemas import OutcomeOut


class Seen(BaseModel):
    """A file as it was shelved."""

    model_config = ConfigDict(frozen=True)

    #: Size, time of change, collection and groups, as one text: another text, another look.
    mark: str
    #: Its document; None where it was not taken, which is not tried again before the file changes.
    id: str | None


class Memory(BaseModel):
    """What a watch remembers of one folder, by name."""

    seen: dict[str, Seen] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one look at the folder led to."""

    outcomes: list[OutcomeOut]
    removed: list[str]
    #: Why nothing was done, for people.
    waiting: str | None = None


class Watch:
    """One folder, kept alike with the shelf."""

    def __init__(self, folder: Path, door: Door, *, home: Path, placing: Placing) -> None:
        self._folder, self._door, self._home, self._placing = folder.absolute(), door, home, placing
        key = hashlib.sha256(str(self._folder).encode()).hexdigest()[:16]
        self._file = home / "watched" / f"{key}.json"
        self._memory = _remembered(self._file)
        #: What the last look saw of files that are new or changed: shelved once two looks see the same.
        self._unsettled: dict[str, str] = {}

    async def look(self) -> Round:
        """Shelve what is new or changed and at rest, and take off what is gone. Raises PolicyError."""
        files = await asyncio.to_thread(self._marked)
        if not files and self._memory.seen:
            return Round(
                outcomes=[],
                removed=[],
                waiting=f"{self._folder} is empty or not there: nothing is taken off the shelf for that.",
            )
        changed = {
            name: (given, mark)
            for name, (given, mark) in files.items()
            if name not in self._memory.seen or self._memory.seen[name].mark != mark
        }
        resting = [name for name, (_, mark) in changed.items() if self._unsettled.get(name) == mark]
        self._unsettled = {name: mark for name, (_, mark) in changed.items()}
        outcomes = [await self._shelve(name, *changed[name]) for name in resting]
        gone = [name for name in self._memory.seen if name not in files]
        removed = [name for name in gone if await self._take_off(name)]
        return Round(outcomes=outcomes, removed=removed)

    async def _shelve(self, name: str, given: Given, mark: str) -> OutcomeOut:
        from api.cli.add import shelve

        (outcome,) = await shelve(self._door, [given], progress=False)
        before = self._memory.seen.get(name)
        if before is not None and before.id and outcome.id and before.id != outcome.id:
            # A sidecar moved it to another collection, where it is another document.
            await self._door.remove(before.id)
        taken = outcome.outcome not in ("failed", "quarantined")
        kept = outcome.id if taken else (before.id if before else None)
        self._remember(name, Seen(mark=mark, id=kept))
        return outcome

    async def _take_off(self, name: str) -> bool:
        document = self._memory.seen[name].id
        removed = document is not None and await self._door.remove(document)
        self._remember(name, None)
        return removed

    def _remember(self, name: str, seen: Seen | None) -> None:
        rest = {other: one for other, one in self._memory.seen.items() if other != name}
        self._memory = Memory(seen=rest if seen is None else rest | {name: seen})
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_text(self._file, self._memory.model_dump_json())

    def _marked(self) -> dict[str, tuple[Given, str]]:
        if not self._folder.is_dir():
            return {}
        found = {}
        for given in placed([self._folder], apart=self._home, placing=self._placing):
            try:
                facts = given.path.stat()
            except FileNotFoundError:
                continue
            mark = f"{facts.st_size} {facts.st_mtime_ns} {given.collection} {','.join(given.groups)}"
            found[given.name] = (given, mark)
        return found


def _remembered(file: Path) -> Memory:
    """Read what was shelved; a damaged memory is none: files are looked at again, and none is taken off."""
    try:
        return Memory.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return Memory()


async def keep_watching(watches: Sequence[Watch], *, every_s: float, told: Callable[[Round], None]) -> None:
    """Look again and again, until cancelled."""
    while True:
        for watch in watches:
            told(await watch.look())
        await asyncio.sleep(every_s)
