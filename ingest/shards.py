"""The folders of the embedded index: which one is live, copies that keep their holes, and what is left over.

The file `current` names the live folder and is replaced in one rename, so that a kill leaves the old shard or
the new one. Edge allocates its files in advance (338 MB at 20,000 points, 96 in use): a copy that fills the
holes would cost three times the disk.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_POINTER = "current"
_FIRST = "shard"
_COPIED_AT_ONCE = 1024 * 1024


def current(path: Path) -> Path:
    """Return the live shard's folder; what a kill left of another one is removed."""
    live = path / _pointed(path)[0]
    for folder in path.glob(f"{_FIRST}*"):
        if folder != live and folder.is_dir():
            shutil.rmtree(folder)
    return live


def successor(live: Path) -> Path:
    """Return a folder for the next shard, not made yet."""
    _, _, number = live.name.partition("-")
    return live.with_name(f"{_FIRST}-{int(number or 0) + 1}")


def make_current(folder: Path, *, graphed: int) -> None:
    """Make `folder`, with a graph over so many points, the live shard; a power cut leaves it or the old."""
    replace_text(folder.parent / _POINTER, f"{folder.name} {graphed}\n")


def graphed(path: Path) -> int:
    """Return how many points the live shard had when its graph was built (Edge counts sparse ones too)."""
    return _pointed(path)[1]


def _pointed(path: Path) -> tuple[str, int]:
    pointer = path / _POINTER
    if not pointer.exists():
        return _FIRST, 0
    name, points = pointer.read_text("utf-8").split()
    return name, int(points)


def replace_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all, through a power cut too."""
    unborn = path.with_name(f"{path.name}.new")
    with unborn.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unborn.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a folder, holes as holes. Links are no part of an index, and refused."""
    target.mkdir(parents=True)
    for entry in list(os.scandir(source)):
        if entry.is_symlink():
            raise OSError(f"{entry.name} is a link")
        if entry.is_dir():
            copy_sparse(Path(entry.path), target / entry.name)
        else:
            _copy_file(Path(entry.path), target / entry.name)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("wb") as new:
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        at = 0
        while at < size:
            at, end = _next_part(old.fileno(), at, size)
            while at < end:
                piece = os.pread(old.fileno(), min(_COPIED_AT_ONCE, end - at), at)
                if not piece:
                    return
                os.pwrite(new.fileno(), piece, at)
                at += len(piece)


def _next_part(descriptor: int, at: int, size: int) -> tuple[int, int]:
    """Return where the next bytes that were ever written begin and end; (size, size): there are none."""
    try:
        start = os.lseek(descriptor, at, os.SEEK_DATA)
        return start, os.lseek(descriptor, start, os.SEEK_HOLE)
    except OSError:
        return size, size


def allocated(folder: Path) -> int:
    """Return how many bytes of disk a folder takes up, holes not counted."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
