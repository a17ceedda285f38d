"""Files on their way in over HTTP: streamed to the library's own disk, counted as they come.

Starlette's form parser would spool whole bodies to the system's temporary folder before anything is judged.
A file's name is a label and never a path: the file is stored under a name of ours.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.errors import BadRequest, Oversized

#: Files in one request.
MAX_FILES = 1000
#: Form fields beside the files, and how long each may be, bytes.
MAX_FIELDS = 8
MAX_FIELD_BYTES = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that arrived: where it lies for now, and what its sender calls it."""

    path: Path
    name: str


def label(name: str) -> str:
    """Return what a sender calls a file as a relative label: no root, no `..`, no control characters."""
    steps = re.split(r"[/\\]+", _CONTROL.sub("", name))
    kept = [step.strip() for step in steps if step.strip() not in ("", ".", "..") and not step.endswith(":")]
    return "/".join(kept)[-300:] or "unnamed"


class Inbox:
    """The receiving end of one multipart request."""

    def __init__(self, folder: Path, *, content_type: str, max_bytes: int) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise BadRequest("Send the files as multipart/form-data, each in a field named 'file'.")
        self.uploads: list[Upload] = []
        self.fields: dict[str, str] = {}
        self._folder, self._max_bytes = folder, max_bytes
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._open,
                "on_part_data": self._write,
                "on_part_end": self._close,
                "on_end": self._end,
            },
        )
        self._file: BinaryIO | None = None
        self._complete = False
        self._begin()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the body. Raises BadRequest, Oversized."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise BadRequest("The upload is not well-formed multipart/form-data.") from error

    def finish(self) -> None:
        """Check that the body was whole."""
        if not self._complete:
            raise BadRequest("The upload ended before its last part.")

    def discard(self) -> None:
        """Remove what arrived."""
        if self._file is not None:
            self._file.close()
        for upload in self.uploads:
            with suppress(FileNotFoundError):
                upload.path.unlink()

    def _begin(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = bytearray(), bytearray()
        self._field, self._size = "", 0

    def _header_name(self, piece: bytes, start: int, end: int) -> None:
        self._name += piece[start:end]

    def _header_value(self, piece: bytes, start: int, end: int) -> None:
        self._value += piece[start:end]

    def _header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            if len(self.fields) >= MAX_FIELDS:
                raise BadRequest(f"More than {MAX_FIELDS} form fields.")
            self.fields[self._field] = ""
            return
        if len(self.uploads) >= MAX_FILES:
            raise Oversized(f"More than {MAX_FILES} files in one request; send them in several.")
        name = label(options[b"filename"].decode("utf-8", "replace"))
        suffix = PurePosixPath(name).suffix.lower()
        path = self._folder / f"{len(self.uploads)}{suffix if _SUFFIX.fullmatch(suffix) else ''}"
        self.uploads.append(Upload(path=path, name=name))
        self._file = path.open("xb")

    def _write(self, piece: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._file is None:
            if self._size > MAX_FIELD_BYTES:
                raise Oversized(f"The form field '{self._field[:40]}' is too long.")
            self.fields[self._field] += piece[start:end].decode("utf-8", "replace")
            return
        if self._size > self._max_bytes:
            raise Oversized(
                f"{self.uploads[-1].name} is larger than {self._max_bytes // 1024**2} MiB, the most that is "
                "taken over HTTP (PAGEWARDEN_MAX_UPLOAD_BYTES)."
            )
        self._file.write(piece[start:end])

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        self._complete = True


async def receive(request: Request, folder: Path, *, max_bytes: int) -> Inbox:
    """Receive all files of a request into `folder`. Raises BadRequest, Oversized."""
    inbox = Inbox(folder, content_type=request.headers.get("content-type", ""), max_bytes=max_bytes)
    try:
        async for piece in request.stream():
            if piece:
                inbox.feed(piece)
        inbox.finish()
    except BaseException:
        inbox.discard()
        raise
    return inbox
