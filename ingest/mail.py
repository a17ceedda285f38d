"""E-mail: its head and body as pieces, and the files that hang on it; EML (also MHT) and Outlook's MSG.

The standard library takes an EML apart, python-oxmsg an MSG. Of the bodies the one with markup is read (its
tables and lists are there), without what nobody sees of it. What cannot be decoded as declared is decoded by
its looks: mail programs lie about charsets.
"""

from __future__ import annotations

import email
import email.errors
import email.header
import email.message
import email.policy
import mimetypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from ingest.charset import decode
from ingest.errors import Damaged, UnsafeMarkup
from ingest.sections import Piece

#: Turns a page of HTML into pieces.
ReadHtml = Callable[[str], list[Piece]]
_MAX_PARTS = 2000
_MAX_NESTING = 30
#: Parts with parts in one mail: the parser takes quadratic time over them.
_MAX_BOUNDARIES = 300
_HEADS = ("From", "To", "Cc", "Date")


def read_eml(path: Path, read_html: ReadHtml) -> list[list[Piece]]:
    """Read a mail's head and body as one section."""
    message = _parsed(path)
    heads = [(name, _head(message, name)) for name in _HEADS]
    bodies = [part for part in _parts(message) if _is_body(part)]
    pages = [part for part in bodies if part.get_content_type() == "text/html"]
    body: list[Piece] = []
    for part in pages or bodies:
        text = decode(_payload(part), declared=part.get_content_charset())
        body += read_html(text) if part in pages else plain_pieces(text)
    return [[*_headed(_head(message, "Subject"), heads), *body]]


def eml_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what hangs on a mail: (name, content), pictures inside the text too."""
    for no, part in enumerate(_parts(_parsed(path)), start=1):
        if _is_body(part):
            continue
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload(0) if part.is_multipart() else part
            assert isinstance(inner, email.message.Message)
            yield f"{_head(inner, 'Subject') or f'message {no}'}.eml", inner.as_bytes()
            continue
        if part.is_multipart():
            continue
        suffix = mimetypes.guess_extension(part.get_content_type()) or ""
        yield _decoded(part.get_filename() or "") or f"part {no}{suffix}", _payload(part)


def _parsed(path: Path) -> email.message.Message:
    content = path.read_bytes()
    if content[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\x00" in content[:200]:
        content = decode(content).encode()
    if content.count(b"boundary=") > _MAX_BOUNDARIES:
        raise UnsafeMarkup("The mail nests its parts deeper than any honest one; do not trust this file.")
    try:
        return email.message_from_bytes(content.lstrip(b"\xef\xbb\xbf\r\n "), policy=email.policy.compat32)
    except RecursionError as error:
        raise UnsafeMarkup("The mail nests its parts without end; do not trust this file.") from error


def _parts(message: email.message.Message) -> Iterator[email.message.Message]:
    """Yield a mail's parts in order; mails that are attached come whole."""
    stack, count = [(message, 0)], 0
    while stack:
        part, depth = stack.pop()
        count += 1
        if count > _MAX_PARTS or depth > _MAX_NESTING:
            raise UnsafeMarkup(
                f"The mail has over {_MAX_PARTS} parts, or nests them deeper than any honest one."
            )
        if part.is_multipart() and (part.get_content_maintype() == "multipart" or not depth):
            inner = part.get_payload()
            mails = [one for one in inner if isinstance(one, email.message.Message)]
            stack += [(one, depth + 1) for one in reversed(mails)]
        else:
            yield part


def _is_body(part: email.message.Message) -> bool:
    if part.get_filename() or part.is_multipart():
        return False
    attached = (part.get("Content-Disposition") or "").lower().startswith("attachment")
    return part.get_content_type() in {"text/plain", "text/html"} and not attached


def _payload(part: email.message.Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _head(message: email.message.Message, name: str) -> str:
    return _decoded(str(message.get(name) or ""))


def _decoded(value: str) -> str:
    """Decode an encoded word (RFC 2047), or leave a broken one as it is."""
    try:
        parts = email.header.decode_header(value)
    except (email.errors.HeaderParseError, ValueError):
        return _plain(value)
    return _plain(
        "".join(decode(one, declared=charset) if isinstance(one, bytes) else one for one, charset in parts)
    )


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _headed(subject: str, heads: list[tuple[str, str]]) -> list[Piece]:
    pieces = [Piece(kind="title", text=subject, level=1)] if subject else []
    lines = [f"{name}: {value}" for name, value in heads if value]
    return [*pieces, Piece(kind="paragraph", text="\n".join(lines))] if lines else pieces


def plain_pieces(text: str) -> list[Piece]:
    """Cut plain text at its empty lines; line breaks stay, which mail means."""
    blocks = re.split(r"\n\s*\n", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = (
        "".join(c for c in block if c == "\n" or c == "\t" or c.isprintable()).strip() for block in blocks
    )
    return [Piece(kind="paragraph", text=block) for block in kept if block]


def read_msg(path: Path, read_html: ReadHtml) -> list[list[Piece]]:
    """Read an Outlook message's head and body as one section."""
    from oxmsg import Message

    message = Message.load(str(path))
    to = ", ".join(filter(None, (one.email_address or one.name for one in message.recipients)))
    sent = message.sent_date
    heads = [
        ("From", message.sender or ""),
        ("To", to),
        ("Date", sent.isoformat(" ", "minutes") if sent else ""),
    ]
    body = plain_pieces(message.body or "")
    if not body and message.html_body:
        body = read_html(message.html_body)
    return [[*_headed(_plain(message.subject or ""), heads), *body]]


def msg_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what hangs on an Outlook message: (name, content)."""
    from oxmsg import Message

    for no, one in enumerate(Message.load(str(path)).attachments, start=1):
        if no > _MAX_PARTS:
            raise Damaged(f"The message has over {_MAX_PARTS} attachments; split it.")
        if one.file_bytes is not None:
            yield one.file_name or f"attachment {no}", one.file_bytes
