"""What is packed in a file: an archive's members, a mail's attachments, the files embedded in a PDF.

Each is written under a minted name into one folder and told with the path it had inside, cleaned; nothing
that a file calls itself reaches the file system. What is unpacked in one reading, over all levels, is bounded
in files and bytes.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ingest.archives import WANTS_PASSWORD, WRONG_PASSWORD, opened, pieces, translated
from ingest.errors import Damaged, Encrypted, IngestError, UnsafeArchive
from ingest.settings import IngestSettings
from ingest.sources import EML, MSG, PDF, ZIP, safe_name

#: Archives in archives: a ZIP of mails with attachments is honest, a fourth level is not.
MAX_DEPTH = 3
_JUNK = re.compile(r"(?:^|/)(?:__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A file that was packed in another one."""

    #: The path that it had inside, cleaned: what it is called to people, one name for each.
    name: str
    #: Where it lies now; None where it could not be unpacked.
    path: Path | None
    error: IngestError | None = None


@dataclass(slots=True, kw_only=True)
class Room:
    """What may still be unpacked in one reading, over all levels: it is used up as files come."""

    files: int
    bytes: int

    @classmethod
    def of(cls, settings: IngestSettings) -> Room:
        return cls(files=settings.max_packed_files, bytes=settings.max_unpacked_bytes)

    def take(self, found: Sequence[Packed]) -> None:
        """Count what was unpacked."""
        self.files -= len(found)
        self.bytes -= sum(one.path.stat().st_size for one in found if one.path)


def unpack(path: Path, media_type: str, folder: Path, room: Room, password: str | None) -> list[Packed]:
    """Write what is packed in the file at `path` into `folder`; raises InputError's subclasses."""
    folder.mkdir(parents=True, exist_ok=True)
    shelf = _Shelf(folder, room)
    if media_type == ZIP:
        _unpack_zip(path, shelf, password)
    elif media_type == PDF:
        from ingest.pages import embedded_files

        for name, content in embedded_files(path):
            shelf.put(name, (content,))
    elif media_type in {EML, MSG}:
        from ingest.mail import eml_files, msg_files

        for name, content in (eml_files if media_type == EML else msg_files)(path):
            shelf.put(name, (content,))
    return shelf.found


class _Shelf:
    """The folder that packed files are put into, and how much may still come."""

    def __init__(self, folder: Path, room: Room) -> None:
        self.folder = folder
        self.files = room.files
        self.left = room.bytes
        self.found: list[Packed] = []
        self.names: dict[str, int] = {}

    def put(self, inner: str, content: Iterable[bytes]) -> None:
        """Write one file, or keep why it could not be."""
        no = len(self.found) + 1
        if no > self.files:
            raise UnsafeArchive("Too many files are packed in it; unpack it and add the files inside.")
        name = _apart(clean_path(inner), self.names)
        place = self.folder / f"{no}{PurePosixPath(name).suffix[:12]}"
        try:
            self._write(place, content)
        except (Damaged, Encrypted) as error:
            self.found.append(Packed(name=name, path=None, error=error))
            return
        self.found.append(Packed(name=name, path=place))

    def _write(self, place: Path, content: Iterable[bytes]) -> None:
        with place.open("wb") as file:
            for piece in content:
                self.left -= len(piece)
                if self.left < 0:
                    raise UnsafeArchive(
                        "What is packed in it unpacks to too much; unpack it and add the files, "
                        "or raise PAGEWARDEN_INGEST_MAX_UNPACKED_BYTES."
                    )
                file.write(piece)


def _unpack_zip(path: Path, shelf: _Shelf, password: str | None) -> None:
    with path.open("rb") as file, opened(file) as archive:
        members = [one for one in archive.infolist() if not one.is_dir() and not _JUNK.search(one.filename)]
        locked = [one for one in members if one.flag_bits & 1]
        if locked and (password is None or not _opens(archive, locked[0], password)):
            raise Encrypted(WRONG_PASSWORD if password is not None else WANTS_PASSWORD)
        for member in members:
            shelf.put(member.filename, _content(archive, member))


def _opens(archive: zipfile.ZipFile, member: zipfile.ZipInfo, password: str) -> bool:
    archive.setpassword(password.encode())
    with translated():
        try:
            archive.open(member).close()
        except RuntimeError as error:
            if "password" not in str(error).lower():
                raise
            return False
    return True


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    with translated(), archive.open(member) as stream:
        yield from pieces(stream)


def listing(path: Path) -> list[str]:
    """Name the files in an archive."""
    with path.open("rb") as file, opened(file) as archive:
        names = [one.filename for one in archive.infolist() if not one.is_dir()]
    return [clean_path(name) for name in names if not _JUNK.search(name)]


def clean_path(name: str) -> str:
    """Reduce the path of a packed file to at most six plain names."""
    parts = [safe_name(part) for part in re.split(r"[/\\]", name) if part.strip(". ")]
    return "/".join(parts[-6:]) or "unnamed"


def _apart(name: str, names: dict[str, int]) -> str:
    """Tell files of the same name apart: `image (2).png`."""
    names[name] = names.get(name, 0) + 1
    if names[name] == 1:
        return name
    path = PurePosixPath(name)
    return _apart(str(path.with_name(f"{path.stem} ({names[name]}){path.suffix}")), names)


def too_deep() -> IngestError:
    """Say that archives lie in archives without end."""
    return UnsafeArchive(
        f"Files are packed in files more than {MAX_DEPTH} deep; unpack them and add those inside."
    )
