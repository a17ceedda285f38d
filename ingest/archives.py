"""Zip archives, judged before anything trusts them: members, sizes, names, links, markup inside.

The directory is judged first, then every part is streamed once: what it unpacks to is what counts, not what
the directory says. Office files, e-books and plain archives come through here alike.
"""

from __future__ import annotations

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO

from ingest.errors import Damaged, Encrypted, UnsafeArchive, UnsafeMarkup
from ingest.settings import IngestSettings

_NESTED = (".zip", ".7z", ".rar", ".gz", ".bz2", ".xz", ".tar", ".jar")
_XML = (".xml", ".rels", ".vml", ".svg", ".opf", ".ncx", ".xhtml", ".html", ".htm")
#: Office XML packs 20 to 60 times; the densest honest workbook of the development set packs 150 times.
_MAX_RATIO = 250
_RATIO_COUNTS_FROM = 16 * 1024 * 1024
_MAX_MEMBERS = 20_000
_OWN_ENTITIES = re.compile(rb"<!ENTITY|<!DOCTYPE[^>\[]{0,400}\[", re.IGNORECASE)
WANTS_PASSWORD = (
    "The file is protected by a password; save a copy without one and add that, "
    "or look at it with `pagewarden read --password`."
)
WRONG_PASSWORD = "The password does not open the file; check it and try again."


@contextmanager
def translated() -> Iterator[None]:
    """Turn what zipfile raises into Damaged or Encrypted."""
    try:
        yield
    except NotImplementedError as error:
        raise Damaged("A part is packed in a way that is not read; pack it again as a plain ZIP.") from error
    except RuntimeError as error:
        if "password" in str(error).lower():
            raise Encrypted(WANTS_PASSWORD) from error
        raise Damaged("The file is broken inside (a part does not unpack); save it again.") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        IndexError,
        lzma.LZMAError,
    ) as error:
        raise Damaged("The file is broken inside (a part does not unpack); save it again.") from error


@contextmanager
def opened(content: bytes | IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive; raises Damaged for whatever is broken in it."""
    with (
        translated(),
        zipfile.ZipFile(BytesIO(content) if isinstance(content, bytes) else content) as archive,
    ):
        yield archive


def judge_directory(members: list[zipfile.ZipInfo], size: int, settings: IngestSettings) -> None:
    """Judge an archive by what its directory says; raises UnsafeArchive."""
    if len(members) > _MAX_MEMBERS:
        raise UnsafeArchive(f"The file has {len(members)} parts; no honest one has over {_MAX_MEMBERS}.")
    unpacked = sum(member.file_size for member in members)
    if unpacked > settings.max_unpacked_bytes:
        raise UnsafeArchive(
            f"The file unpacks to {unpacked} bytes, over the limit; "
            "split it or raise PAGEWARDEN_INGEST_MAX_UNPACKED_BYTES."
        )
    if unpacked > _RATIO_COUNTS_FROM and unpacked > _MAX_RATIO * size:
        raise UnsafeArchive(
            f"The file unpacks to {unpacked // size} times its size; save it again at its source."
        )
    for member in members:
        _judge_member(member)


def _judge_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = re.split(r"[/\\]", name)
    if ".." in parts or name.startswith(("/", "\\")) or "\x00" in name or re.match(r"[A-Za-z]:", name):
        raise UnsafeArchive("A part of the file has a path that leaves its folder; do not trust this file.")
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode):
        raise UnsafeArchive("A part of the file is a link or a device; do not trust this file.")


def judge_document(content: bytes, settings: IngestSettings) -> None:
    """Judge an office file or e-book, every part of it.

    Raises UnsafeArchive, UnsafeMarkup, Encrypted or Damaged.
    """
    with opened(content) as archive:
        members = archive.infolist()
        judge_directory(members, len(content), settings)
        for member in members:
            if member.flag_bits & 1:
                raise Encrypted(WANTS_PASSWORD)
            parts = re.split(r"[/\\]", member.filename)
            if member.filename.lower().endswith(_NESTED) and "embeddings" not in parts:
                raise UnsafeArchive(
                    "The document holds another archive; take it out and add the files inside."
                )
        _judge_parts(archive, members, settings.max_unpacked_bytes)


def _judge_parts(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], limit: int) -> None:
    unpacked = 0
    strict = any(member.filename == "[Content_Types].xml" for member in members)
    for member in members:
        is_xml = member.filename.lower().endswith(_XML)
        with archive.open(member) as stream:
            tail = b""
            for piece in pieces(stream):
                unpacked += len(piece)
                if unpacked > limit:
                    raise UnsafeArchive(
                        "The document unpacks to more than its directory admits; do not trust this file."
                    )
                if not is_xml:
                    continue
                # NULs go so that UTF-16 hides nothing; Office XML never carries a DTD, e-books a plain one.
                seen = tail + piece.replace(b"\x00", b"")
                if _OWN_ENTITIES.search(seen) or (strict and b"<!DOCTYPE" in seen):
                    raise UnsafeMarkup(
                        "The document declares XML entities of its own; save it again with an office program."
                    )
                tail = seen[-512:]


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a stream in pieces of a megabyte."""
    while piece := stream.read(1024 * 1024):
        yield piece
