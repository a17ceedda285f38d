"""A batch over many files: pages read by Ray actors, outcomes kept in a manifest to go on from.

The pipeline is the very same; only who reads pages changes (`RayReader` satisfies its `PageReader`). An actor
gets the file's bytes and returns pages and pictures, so that machines share no disk; what is packed in files,
films and page images for people stay with the process that owns the index. Starting Ray costs seconds and
half a gigabyte (docs/scale.md): on one machine the reader's own child processes do the same work.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from ingest.errors import Damaged, Incompatible, IngestError, NeedsProgram, NotFetched
from ingest.records import Reading
from ingest.settings import IngestSettings
from ingest.sources import VIDEOS, Source

if TYPE_CHECKING:
    from ingest.packed import Packed, Room
    from ingest.reading import Reader

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


class RayReader:
    """Reads pages on the actors of a Ray cluster; open it with `RayReader.open`."""

    def __init__(self, ray: Any, own: Reader, actors: list[Any]) -> None:
        self._ray, self._own = ray, own
        self._idle: asyncio.Queue[Any] = asyncio.Queue()
        for actor in actors:
            self._idle.put_nowait(actor)

    @classmethod
    async def open(cls, address: str, *, own: Reader, settings: IngestSettings) -> RayReader:
        """Join the cluster at `address` ("local" starts one on this machine), an actor a processor.

        Raises NeedsProgram without the extra, NotFetched where no cluster answers, Incompatible where the
        machines there read in another way than this one.
        """
        try:
            import ray as installed
        except ImportError as error:
            raise NeedsProgram("A Ray batch wants Ray: pip install 'pagewarden[ray]'.") from error
        ray: Any = installed
        # A cluster's dashboard is not ours to start; one on this machine would listen for nobody.
        joined: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        try:
            await asyncio.to_thread(
                ray.init, address=address, log_to_driver=False, configure_logging=False, **joined
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise NotFetched(f"There is no Ray cluster at {address!r}; check the address.") from error
        remote = ray.remote(num_cpus=1, max_restarts=3, max_task_retries=3)(_Actor)
        at_once = max(1, int(ray.cluster_resources().get("CPU", 1)))
        actors = [remote.remote(settings.model_dump()) for _ in range(at_once)]
        for there in await asyncio.gather(*(actor.version.remote() for actor in actors)):
            if there != own.version:
                ray.shutdown()
                raise Incompatible(
                    f"The cluster reads as {there}, this machine as {own.version}: install the same on all."
                )
        return cls(ray, own, actors)

    def version_of(self, source: Source) -> str:
        """Name how this file is read: as this machine would."""
        return self._own.version_of(source)

    async def read_alone(
        self,
        source: Source,
        *,
        pages_dir: Path,
        on_page: Callable[[int, int], None],
        on_wait: Callable[[bool], None] | None = None,
    ) -> Reading:
        """Read every page of the file on an actor; its pictures are written to `pages_dir`."""
        if source.media_type in VIDEOS:
            return await self._own.read_alone(source, pages_dir=pages_dir, on_page=on_page, on_wait=on_wait)
        content = await asyncio.to_thread(source.path.read_bytes)
        actor = await self._idle.get()
        try:
            read: tuple[Reading, dict[str, bytes]] | IngestError = await actor.read.remote(source, content)
        except self._ray.exceptions.RayError as error:
            raise NotFetched(
                f"The Ray cluster lost a reader ({type(error).__name__}); go on later."
            ) from error
        finally:
            self._idle.put_nowait(actor)
        if isinstance(read, IngestError):
            raise read
        reading, pictures = read
        await asyncio.to_thread(_written, pages_dir, pictures)
        on_page(len(reading.pages), len(reading.pages))
        return reading

    async def unpack(self, source: Source, *, folder: Path, room: Room, depth: int) -> list[Packed]:
        """Unpack here: the parts become documents of their own, each of which an actor reads."""
        return await self._own.unpack(source, folder=folder, room=room, depth=depth)

    async def close(self) -> None:
        """Leave the cluster."""
        await asyncio.to_thread(self._ray.shutdown)


class _Actor:
    """Runs on a processor of the cluster: a reader of its own, with its own killable children."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from ingest.reading import Reader

        self._reader = Reader(IngestSettings(**settings | {"readers": 1}))

    async def version(self) -> str:
        """Name how files are read here."""
        return self._reader.version

    async def read(self, source: Source, content: bytes) -> tuple[Reading, dict[str, bytes]] | IngestError:
        """Read a file from its bytes; an error of ours is a value, because Ray wraps what is raised."""
        from dataclasses import replace

        with tempfile.TemporaryDirectory() as folder:
            path, pages = Path(folder) / source.path.name, Path(folder) / "pages"
            _written(Path(folder), {path.name: content})
            pages.mkdir()
            try:
                reading = await self._reader.read_alone(
                    replace(source, path=path), pages_dir=pages, on_page=_tell_nobody
                )
            except IngestError as error:
                return error
            return reading, {one.name: one.read_bytes() for one in pages.iterdir()}


def _written(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _tell_nobody(done: int, total: int) -> None:
    """Progress stays on the cluster."""
