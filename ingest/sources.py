"""A file that somebody wants read: opened, measured, recognised by its content, refused where dangerous.

The suffix is never trusted where the content speaks for itself; only text formats, which all look alike,
are told apart by it. Archives are judged by their directory and then streamed once, before any vendor's
parser sees them. Embedded workbooks below `*/embeddings/` stay (every PowerPoint chart carries one): nothing
here opens them.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

from PIL import Image, UnidentifiedImageError

from ingest.errors import (
    Damaged,
    Empty,
    Encrypted,
    InputError,
    Missing,
    TooLarge,
    UnknownType,
    UnsafeArchive,
    UnsafeMarkup,
)
from ingest.records import content_hash
from ingest.settings import IngestSettings

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HTML = "text/html"
IMAGES = ("image/png", "image/jpeg", "image/tiff", "image/webp")

#: Text formats by suffix: nothing in their bytes tells them apart.
_TEXT_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".html": HTML,
    ".htm": HTML,
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".text": "text/plain",
    ".log": "text/plain",
    ".eml": "message/rfc822",
}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_OFFICE_FOLDERS = (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX))
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ARCHIVES = (".zip", ".7z", ".rar", ".gz", ".bz2", ".xz", ".tar", ".jar")
_XML = (".xml", ".rels", ".vml", ".svg")
SUPPORTED = (
    "PDF, PNG, JPEG, TIFF, WebP, DOCX, PPTX, XLSX, CSV, TSV, HTML, Markdown, plain text and e-mail (.eml)"
)

#: Office XML packs 20 to 60 times; the densest honest workbook of the development set packs 150 times.
_MAX_RATIO = 250
_RATIO_COUNTS_FROM = 16 * 1024 * 1024
_MAX_MEMBERS = 20_000
#: Two A0 sheets at 150 dpi; a picture beyond that is decoded nowhere.
MAX_PIXELS = 80_000_000
_MAX_NAME_BYTES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that passed: what it is, how large, and which content."""

    path: Path
    #: The name shown to people, already safe (see `safe_name`).
    name: str
    media_type: str
    bytes: int
    #: sha256 of the content, hex.
    revision: str


def safe_name(name: str) -> str:
    """Reduce an untrusted name to one plain file name: no folders, controls or tricks, at most 200 bytes.

    The one resolver for names that come from outside; what is stored is stored under minted ids anyway.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name.replace("\x00", "")))[-1]
    kept = "".join(c for c in last if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
    kept = kept.strip().lstrip(".").strip()
    stem, dot, suffix = kept.rpartition(".")
    if not dot or len(suffix) > 16:
        stem, dot, suffix = kept, "", ""
    room = _MAX_NAME_BYTES - len((dot + suffix).encode())
    short = stem.encode()[:room].decode(errors="ignore").rstrip()
    return (short + dot + suffix) or "unnamed"


def open_source(path: Path, *, name: str, settings: IngestSettings) -> Source:
    """Judge the file at `path` and return it as a source; blocking, made to run in a thread.

    Raises the subclasses of InputError, each with a sentence that says what to do.
    """
    content = _read(path, settings)
    shown = safe_name(name)
    media_type = _sniff(content, suffix=PurePosixPath(shown).suffix.lower())
    if media_type in {DOCX, PPTX, XLSX}:
        _judge_archive(content, settings)
    elif media_type in IMAGES:
        _judge_image(content)
    elif media_type == HTML and re.search(r"<!DOCTYPE[^>]*\[|<!ENTITY", decode(content), re.IGNORECASE):
        raise UnsafeMarkup(
            "The page declares XML entities of its own; remove its DOCTYPE subset and add it again."
        )
    return Source(
        path=path, name=shown, media_type=media_type, bytes=len(content), revision=content_hash(content)
    )


def decode(content: bytes) -> str:
    """Decode text by its byte-order mark, by its shape, or as the first encoding that fits."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    return _decode_unmarked(content)


def _decode_unmarked(content: bytes) -> str:
    head = content[:4096]
    if len(head) >= 4 and b"\x00" in head:
        odd, even = head[1::2].count(0), head[0::2].count(0)
        return content.decode("utf-16-le" if odd > even else "utf-16-be", errors="replace")
    declared = re.search(rb"charset=[\"']?([\w-]{2,20})", head, re.IGNORECASE)
    names = ["utf-8", "cp1252", "latin-1"]
    if declared:
        names.insert(1, declared[1].decode("ascii"))
    for encoding in names:
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    raise Damaged("The text is in no encoding that we know; save it as UTF-8.")


def _read(path: Path, settings: IngestSettings) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise Missing(f"There is no file {safe_name(path.name)!r}; check the path.") from error
    except (OSError, ValueError) as error:
        raise Missing(
            f"{safe_name(path.name)!r} cannot be opened as a plain file; links and devices are not followed."
        ) from error
    facts = os.fstat(descriptor)
    if stat.S_ISDIR(facts.st_mode):
        os.close(descriptor)
        raise Missing(f"{safe_name(path.name)!r} is a folder; add the files inside.")
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(facts.st_mode):
            raise Missing(f"{safe_name(path.name)!r} is no plain file; copy it to a folder and add that.")
        if facts.st_size == 0:
            raise Empty("The file is empty (0 bytes); save it again at its source.")
        content = file.read(settings.max_bytes + 1)
    if len(content) > settings.max_bytes:
        raise TooLarge(
            f"The file is over the limit of {settings.max_bytes} bytes; "
            "split it or raise PAGEWARDEN_INGEST_MAX_BYTES."
        )
    return content


def _sniff(content: bytes, *, suffix: str) -> str:
    # Viewers accept junk of up to 1 KiB before the header (Adobe's implementation note 13).
    if b"%PDF-" in content[:1024]:
        return PDF
    for magic, media_type in _MAGIC:
        if content.startswith(magic):
            return media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    if content.startswith(b"PK\x03\x04"):
        return _office_type(content)
    if content.startswith(_OLE):
        raise _ole_error(content)
    return _text_type(content, suffix)


def _ole_error(content: bytes) -> InputError:
    if "EncryptedPackage".encode("utf-16-le") in content:
        return Encrypted("The document is protected by a password; save a copy without one and add that.")
    return UnknownType(
        f"Office files from before 2007 are not read; save it as .docx, .xlsx or .pptx. Read are {SUPPORTED}."
    )


def _text_type(content: bytes, suffix: str) -> str:
    if suffix == ".pdf":
        raise Damaged("The file is named .pdf but holds no PDF; export it again at its source.")
    media_type = _TEXT_TYPES.get(suffix)
    if media_type is None:
        raise UnknownType(f"No reader for {suffix or 'a file without suffix'!r}. Read are {SUPPORTED}.")
    text = decode(content[: 64 * 1024])
    strange = sum(unicodedata.category(c) == "Cc" and c not in "\t\n\r\f\x1b\x0b" for c in text)
    if strange + text.count("�") > 0.02 * len(text) + 4:
        raise UnknownType(f"The file is named {suffix} but does not hold text. Read are {SUPPORTED}.")
    if not text.strip("\ufeff \t\r\n"):
        raise Empty("The file holds nothing but white space.")
    return media_type


def _office_type(content: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Damaged(
            "The file does not open (its directory is broken); save it again at its source."
        ) from error
    if "[Content_Types].xml" in names:
        for folder, media_type in _OFFICE_FOLDERS:
            if any(name.startswith(folder) for name in names):
                return media_type
    raise UnknownType(f"Archives are not unpacked; add the files inside. Read are {SUPPORTED}.")


def _judge_archive(content: bytes, settings: IngestSettings) -> None:
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = archive.infolist()
            _judge_directory(members, len(content), settings)
            _judge_members(archive, members, settings.max_unpacked_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Damaged("The document is broken inside (a part does not unpack); save it again.") from error


def _judge_directory(members: list[zipfile.ZipInfo], size: int, settings: IngestSettings) -> None:
    if len(members) > _MAX_MEMBERS:
        raise UnsafeArchive(f"The document has {len(members)} parts; no honest one has over {_MAX_MEMBERS}.")
    unpacked = sum(member.file_size for member in members)
    if unpacked > settings.max_unpacked_bytes:
        raise UnsafeArchive(
            f"The document unpacks to {unpacked} bytes, over the limit; "
            "split it or raise PAGEWARDEN_INGEST_MAX_UNPACKED_BYTES."
        )
    if unpacked > _RATIO_COUNTS_FROM and unpacked > _MAX_RATIO * size:
        raise UnsafeArchive(
            f"The document unpacks to {unpacked // size} times its size; save it again at its source."
        )
    for member in members:
        _judge_member(member)


def _judge_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = re.split(r"[/\\]", name)
    if ".." in parts or name.startswith(("/", "\\")) or "\x00" in name or re.match(r"[A-Za-z]:", name):
        raise UnsafeArchive(
            "A part of the document has a path that leaves its folder; do not trust this file."
        )
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UnsafeArchive("A part of the document is a link; do not trust this file.")
    if member.flag_bits & 1:
        raise Encrypted("The document is protected by a password; save a copy without one and add that.")
    if name.lower().endswith(_ARCHIVES) and "embeddings" not in parts:
        raise UnsafeArchive("The document holds another archive; take it out and add the files inside.")


def _judge_members(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], limit: int) -> None:
    unpacked = 0
    for member in members:
        is_xml = member.filename.lower().endswith(_XML)
        with archive.open(member) as stream:
            tail = b""
            for piece in _pieces(stream):
                unpacked += len(piece)
                if unpacked > limit:
                    raise UnsafeArchive(
                        "The document unpacks to more than its directory admits; do not trust this file."
                    )
                # NULs go so that UTF-16 hides nothing; Office XML never carries a DTD.
                seen = tail + piece.replace(b"\x00", b"")
                if is_xml and (b"<!DOCTYPE" in seen or b"<!ENTITY" in seen):
                    raise UnsafeMarkup(
                        "The document declares XML entities of its own; save it again with an office program."
                    )
                tail = seen[-16:]


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(1024 * 1024):
        yield piece


def _judge_image(content: bytes) -> None:
    try:
        with warnings.catch_warnings():
            # Pillow warns from 90 million pixels on; our own limit below is an error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(BytesIO(content)) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise TooLarge("The picture has far too many pixels; scale it down and add it again.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise Damaged("The picture does not open; export it again at its source.") from error
    if width * height > MAX_PIXELS:
        raise TooLarge(
            f"The picture has {width} x {height} pixels, over {MAX_PIXELS}; scale it down and add it again."
        )
