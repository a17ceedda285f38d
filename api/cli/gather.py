"""What somebody names on the command line becomes files with names: paths, folders, URLs, objects of stores.

A sidecar says where files go and who may read them: `report.pdf.pagewarden.yaml` beside a file, or one
`pagewarden.yaml` in a folder for all below it; the nearest counts, and before it what the command line says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from api.cli.options import Usage
from api.settings import NAME

if TYPE_CHECKING:
    from api.schemas import OutcomeOut
    from ingest.fetch import Fetcher
    from ingest.settings import IngestSettings

SIDECAR = "pagewarden.yaml"
_SIDE_BY_SIDE = 4


class Sidecar(BaseModel):
    """What a sidecar may say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    collection: str | None = Field(default=None, pattern=NAME)
    #: Who may read; empty: everyone of the tenant; None: not said here.
    groups: tuple[str, ...] | None = Field(default=None, max_length=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A file to shelve: under which name, where, and for whom."""

    path: Path
    name: str
    collection: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """What the command line says of all files; None: a sidecar may, else the settings do."""

    collection: str | None = None
    groups: tuple[str, ...] | None = None

    def of(self, path: Path, name: str, sidecar: Sidecar) -> Given:
        """Place one file."""
        groups = self.groups if self.groups is not None else sidecar.groups or ()
        return Given(
            path=path,
            name=name,
            collection=self.collection or sidecar.collection,
            groups=tuple(sorted(set(groups))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The files, and an outcome for each that could not be fetched."""

    files: list[Given]
    failed: list[OutcomeOut]


def listed(paths: Sequence[Path], *, apart: Path) -> list[tuple[Path, str]]:
    """Return (file, name) pairs: a name is the path below the folder that was given, or the file's own.

    Hidden files, sidecars and the library's own folder are left out. A path that is not there stays in, to be
    told.
    """
    pairs: list[tuple[Path, str]] = []
    for path in paths:
        if not path.is_dir():
            pairs.append((path, path.name))
            continue
        for file in sorted(path.rglob("*")):
            below = file.relative_to(path)
            hidden = any(step.startswith(".") for step in below.parts)
            ours = file.absolute().is_relative_to(apart) or is_sidecar(file)
            if file.is_file() and not hidden and not ours:
                pairs.append((file, below.as_posix()))
    return pairs


def is_sidecar(path: Path) -> bool:
    """Say whether a file speaks of others rather than for itself."""
    return path.name == SIDECAR or path.name.endswith(f".{SIDECAR}")


def placed(paths: Sequence[Path], *, apart: Path, placing: Placing) -> list[Given]:
    """List the files below `paths` with what their sidecars say. Raises PolicyError for one that is wrong."""
    found = []
    for path in paths:
        top = path if path.is_dir() else path.parent
        found += [
            placing.of(file, name, sidecar_of(file, top=top)) for file, name in listed([path], apart=apart)
        ]
    return found


def sidecar_of(file: Path, *, top: Path) -> Sidecar:
    """Read the nearest sidecar: the file's own, its folder's, and on up to `top`. Raises PolicyError."""
    from guardrails.yaml_files import read_as

    said: dict[str, object] = {}
    for place in _places(file, top):
        if place.is_file():
            told = read_as(Sidecar, place, what="sidecar").model_dump(exclude_none=True)
            said = told | said
    return Sidecar.model_validate(said)


def _places(file: Path, top: Path) -> Iterator[Path]:
    yield file.with_name(f"{file.name}.{SIDECAR}")
    for folder in file.parents:
        yield folder / SIDECAR
        if folder == top:
            return


async def gathered(
    sources: Sequence[str],
    *,
    apart: Path,
    placing: Placing,
    folder: Path,
    allowed: frozenset[str] = frozenset(),
    fetcher: Fetcher | None = None,
) -> Gathered:
    """List paths and fetch what lies elsewhere into `folder`. Raises AddressRefused, Missing for a prefix."""
    from ingest.fetch import is_url
    from ingest.objects import is_uri

    paths = [Path(one) for one in sources if not is_url(one) and not is_uri(one)]
    urls = [one for one in sources if is_url(one)]
    stores = [one for one in sources if is_uri(one) and not is_url(one)]
    found = Gathered(files=placed(paths, apart=apart, placing=placing), failed=[])
    if urls or stores:
        from ingest.settings import IngestSettings

        reading = IngestSettings()
        await _fetch_all(
            found, urls, stores, placing, folder, allowed, reading, fetcher or fetcher_of(reading)
        )
    return found


def fetcher_of(reading: IngestSettings) -> Fetcher:
    """Make the one fetcher with the limits of the settings."""
    from ingest.fetch import Fetcher

    return Fetcher(max_bytes=reading.max_bytes, timeout_s=reading.fetch_timeout_s)


async def _fetch_all(
    found: Gathered,
    urls: Sequence[str],
    stores: Sequence[str],
    placing: Placing,
    folder: Path,
    allowed: frozenset[str],
    reading: IngestSettings,
    fetcher: Fetcher,
) -> None:
    import asyncio

    from ingest.errors import IngestError
    from ingest.objects import fetched, listed, name_of

    gate = asyncio.Semaphore(_SIDE_BY_SIDE)
    objects = [o for uri in stores for o in await asyncio.to_thread(partial(listed, uri, allowed=allowed))]

    async def one(address: str) -> None:
        try:
            async with gate:
                if address in urls:
                    got = await fetcher.fetch(address, folder=folder)
                    path, name = got.path, got.name
                else:
                    copy = partial(
                        fetched, address, folder=folder, max_bytes=reading.max_bytes, allowed=allowed
                    )
                    path, name = await asyncio.to_thread(copy), name_of(address)
            found.files.append(placing.of(path, name, Sidecar()))
        except IngestError as error:
            found.failed.append(_failed(address, error))

    async with asyncio.TaskGroup() as group:
        for address in dict.fromkeys([*urls, *objects]):
            group.create_task(one(address))
    found.files.sort(key=lambda one: one.name)


def _failed(name: str, error: object) -> OutcomeOut:
    from api.schemas import OutcomeOut

    return OutcomeOut(
        id=None,
        name=name,
        outcome="failed",
        reason=getattr(error, "code", "internal"),
        detail=getattr(error, "detail", None),
        pages=0,
        chunks=0,
    )


def groups_of(text: str | None) -> tuple[str, ...] | None:
    """Read `--groups a,b`; an empty text says everyone. Raises Usage."""
    if text is None:
        return None
    groups = tuple(sorted({name.strip() for name in text.split(",") if name.strip()}))
    if any(len(name) > 128 or not name.isprintable() for name in groups):
        raise Usage("A group's name has at most 128 printable characters.")
    return groups
