"""A home in one file, and back: every file with its sha256, restored beside the home and renamed.

The archive is a plain tar whose first member is the manifest. Nothing is written before every member is
judged against it: plain files only, under plain relative names, each once, with the size that it says. Then
each is hashed while it is written to a folder beside the home, synced, and renamed; the home before goes only
after that. A kill leaves the old home or the new one; `recover` settles what lies beside it.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest.errors import Damaged, Incompatible, LibraryError, Missing, UnsafeArchive
from ingest.shards import sync_folder

_MANIFEST = "manifest.json"
_VERSION = 1
_MAX_FILES = 1_000_000
_MAX_MANIFEST_BYTES = 512 * 1024 * 1024
_AT_ONCE = 1024 * 1024
#: What is of the moment and of no use in another home.
_LEFT_OUT = frozenset({"lock", "server.json", "inbox", ".restored"})
#: Beside a database while it is open; `sqlite3`'s own backup has them in.
_BESIDE_DATABASES = ("-wal", "-shm", "-journal")
_NEW, _OLD = ".restoring", ".replaced"
#: Lies in a home that was restored until the one before it is gone.
_MARK = ".restored"


class Filed(BaseModel):
    """A file of the archive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What a backup holds, by path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    #: Seconds since the epoch, UTC.
    at: float
    files: dict[str, Filed]


def write(stage: Path, target: Path) -> Manifest:
    """Pack the folder `stage` into the file `target`, whole or not at all; blocking."""
    files = {path.relative_to(stage).as_posix(): path for path in sorted(_plain(stage))}
    filed = {name: Filed(bytes=path.stat().st_size, sha256=_digest(path)) for name, path in files.items()}
    manifest = Manifest(version=_VERSION, at=time.time(), files=filed)
    unborn = target.with_name(f"{target.name}.new")
    try:
        with unborn.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                told = manifest.model_dump_json().encode()
                archive.addfile(_member(_MANIFEST, len(told)), io.BytesIO(told))
                for name, path in files.items():
                    with path.open("rb") as content:
                        archive.addfile(_member(f"home/{name}", filed[name].bytes), content)
            file.flush()
            os.fsync(file.fileno())
        unborn.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        unborn.unlink(missing_ok=True)
        raise LibraryError(
            f"The backup was not written ({error.strerror}): make room and try again."
        ) from error
    return manifest


def stage_home(home: Path, stage: Path, *, without: frozenset[str] = frozenset()) -> None:
    """Copy what lies in a home to `stage`, databases through SQLite's own backup; blocking.

    Databases first: a file that a row speaks of was written before its row. `without`: top names left out.
    """
    stage.mkdir(parents=True, exist_ok=True)
    tops = [top for top in sorted(home.iterdir()) if top.name not in _LEFT_OUT | without]
    for top in tops:
        if top.is_file() and top.suffix == ".sqlite":
            _copy_database(top, stage / top.name)
    for top in tops:
        if top.is_dir() and not top.is_symlink():
            _copy_living(top, stage / top.name)
        elif top.is_file() and top.suffix != ".sqlite" and not top.name.endswith(_BESIDE_DATABASES):
            shutil.copyfile(top, stage / top.name)


def verify(source: Path) -> Manifest:
    """Judge an archive and read all of it. Raises Missing, UnsafeArchive, Damaged, Incompatible; blocking."""
    with _opened(source) as file:
        manifest, archive = _judged(file)
        for name, content in _contents(archive, manifest):
            _checked(name, manifest.files[name], content, None)
    return manifest


def restore(source: Path, home: Path) -> Manifest:
    """Put the home that `source` holds in the place of `home`; blocking, and the caller owns the home.

    Raises Missing, UnsafeArchive, Damaged (naming the file), Incompatible, LibraryError; the home is then as
    it was.
    """
    recover(home)
    fresh, before = home.with_name(home.name + _NEW), home.with_name(home.name + _OLD)
    with _opened(source) as file:
        manifest, archive = _judged(file)
        try:
            fresh.mkdir(parents=True, mode=0o700)
            for name, content in _contents(archive, manifest):
                target = fresh / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as kept:
                    _checked(name, manifest.files[name], content, kept)
                    kept.flush()
                    os.fsync(kept.fileno())
            (fresh / _MARK).touch()
            sync_folder(fresh)
            if home.exists():
                home.rename(before)
            fresh.rename(home)
            sync_folder(home.parent)
        except OSError as error:
            raise LibraryError(
                f"The home was not restored ({error.strerror}): make room, try again."
            ) from error
        finally:
            recover(home)
    return manifest


def recover(home: Path) -> None:
    """Settle what a killed restore left: the old home comes back where no new one stands.

    Call it before the home is made or opened, and never beside a restore that runs. Raises LibraryError where
    a home that is not the restored one took the place meanwhile: which of the two counts is not ours to say.
    """
    fresh, before = home.with_name(home.name + _NEW), home.with_name(home.name + _OLD)
    if before.exists() and not home.exists():
        before.rename(home)
        sync_folder(home.parent)
    if before.exists() and not (home / _MARK).exists():
        raise LibraryError(
            f"{before.name} beside {home} is the home before a restore: keep the one that counts."
        )
    for left in (fresh, before):
        if left.exists():
            shutil.rmtree(left)
    (home / _MARK).unlink(missing_ok=True)


def is_unsettled(home: Path) -> bool:
    """Say whether a restore was begun and not ended."""
    return any(home.with_name(home.name + left).exists() for left in (_NEW, _OLD))


def _plain(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def _copy_living(source: Path, target: Path) -> None:
    """Copy a folder that others write to; a file that goes meanwhile is of no revision that lives."""
    target.mkdir(exist_ok=True)
    for path in sorted(source.rglob("*")):
        if path.is_symlink():
            continue
        into = target / path.relative_to(source)
        try:
            if path.is_dir():
                into.mkdir(parents=True, exist_ok=True)
            elif path.is_file():
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, into)
        except FileNotFoundError:
            continue


def _copy_database(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise LibraryError(f"{source.name} could not be backed up: {error}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


@contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    try:
        with source.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise Missing(f"There is no backup {source.name!r}; check the path.") from error
    except (tarfile.TarError, EOFError) as error:
        raise Damaged(f"{source.name} is no whole backup: take another.") from error


def _judged(file: BinaryIO) -> tuple[Manifest, tarfile.TarFile]:
    """Read the manifest and judge every member, before anything is written."""
    archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 (the file is closed by who opened it)
    first = archive.next()
    if first is None or first.name != _MANIFEST or not first.isreg() or first.size > _MAX_MANIFEST_BYTES:
        raise Damaged("The file does not begin as a backup does: take another.")
    content = archive.extractfile(first)
    assert content is not None
    try:
        manifest = Manifest.model_validate_json(content.read())
    except ValidationError as error:
        raise Damaged(f"{_MANIFEST} is damaged: take another backup.") from error
    if manifest.version != _VERSION:
        raise Incompatible(f"The backup is of version {manifest.version}, this program reads {_VERSION}.")
    found: set[str] = set()
    while (member := archive.next()) is not None:
        _judge(member, manifest, found)
        # tarfile keeps every header: a million of them would fill the memory before they are counted.
        archive.members = []  # type: ignore[attr-defined]
    for name in manifest.files.keys() - found:
        raise Damaged(f"{name} is missing from the backup: take another.")
    file.seek(0)
    return manifest, tarfile.open(fileobj=file, mode="r:")


def _judge(member: tarfile.TarInfo, manifest: Manifest, found: set[str]) -> None:
    if len(found) >= _MAX_FILES:
        raise UnsafeArchive(f"The backup holds more than {_MAX_FILES} files.")
    name = member.name.removeprefix("home/")
    path = PurePosixPath(name)
    plain = member.isreg() and not member.issparse() and member.name == f"home/{path.as_posix()}"
    if not plain or path.is_absolute() or ".." in path.parts or "\x00" in name or "\\" in name:
        raise UnsafeArchive(
            f"{member.name[:80]!r} is no plain file below the home: this is no backup of ours."
        )
    if name not in manifest.files or name in found or manifest.files[name].bytes != member.size:
        raise UnsafeArchive(f"{member.name[:80]!r} is not what the manifest says: this is no backup of ours.")
    found.add(name)


def _contents(archive: tarfile.TarFile, manifest: Manifest) -> Iterator[tuple[str, BinaryIO]]:
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]
        if member.name != _MANIFEST:
            content = archive.extractfile(member)
            assert content is not None
            yield member.name.removeprefix("home/"), content  # type: ignore[misc]


def _checked(name: str, filed: Filed, content: BinaryIO, kept: BinaryIO | None) -> None:
    digest = hashlib.sha256()
    while piece := content.read(_AT_ONCE):
        digest.update(piece)
        if kept is not None:
            kept.write(piece)
    if digest.hexdigest() != filed.sha256:
        raise Damaged(f"{name} is damaged in the backup (its sha256 differs): take another.")
