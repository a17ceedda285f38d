"""A file that somebody wants read: opened, measured, recognised by its content, refused where dangerous.

The suffix is never trusted where the content speaks for itself; only text formats, which all look alike,
are told apart by it, and text of no known suffix is read as text. Archives are judged by their directory and
then streamed once, before any vendor's parser sees them. Embedded workbooks below `*/embeddings/` stay (every
PowerPoint chart carries one): nothing here opens them.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from ingest.archives import judge_directory, judge_document, opened
from ingest.charset import decode
from ingest.errors import Damaged, Empty, Missing, TooLarge, UnknownType, UnsafeMarkup
from ingest.records import content_hash
from ingest.settings import IngestSettings

PDF = "application/pdf"
_OPEN_XML = "application/vnd.openxmlformats-officedocument."
DOCX = f"{_OPEN_XML}wordprocessingml.document"
PPTX = f"{_OPEN_XML}presentationml.presentation"
XLSX = f"{_OPEN_XML}spreadsheetml.sheet"
_ODF = "application/vnd.oasis.opendocument."
ODT, ODP, ODS = f"{_ODF}text", f"{_ODF}presentation", f"{_ODF}spreadsheet"
DOC, PPT, XLS = "application/msword", "application/vnd.ms-powerpoint", "application/vnd.ms-excel"
RTF = "application/rtf"
#: An office file in its envelope of encryption; what is inside shows once it is unlocked.
LOCKED = "application/x-ole-encrypted"
EML, MSG = "message/rfc822", "application/vnd.ms-outlook"
EPUB, ZIP = "application/epub+zip", "application/zip"
HTML, XML, TEXT, CSV = "text/html", "application/xml", "text/plain", "text/csv"
MARKDOWN, RST = "text/markdown", "text/x-rst"
JSON, JSON_LINES, SVG = "application/json", "application/jsonl", "image/svg+xml"
IMAGES = (
    "image/png",
    "image/jpeg",
    "image/tiff",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/heic",
    "image/avif",
)
#: Films, by what their first bytes say; FFmpeg reads all of them.
VIDEOS = (
    "video/mp4",
    "video/quicktime",
    "video/webm",
    "video/x-matroska",
    "video/x-msvideo",
    "video/x-flv",
    "video/mp2t",
    "video/mpeg",
    "video/ogg",
    "video/x-ms-wmv",
)
#: Pictures whose header Python itself reads; the others are opened in a child only.
_PLAIN_IMAGES = ("image/png", "image/jpeg", "image/tiff", "image/gif", "image/bmp")
#: What other files are packed in, each a document of its own.
CONTAINERS = (EML, MSG, ZIP, PDF)

#: Text formats by suffix: nothing in their bytes tells them apart.
_TEXT_TYPES = {
    ".csv": CSV,
    ".tsv": "text/tab-separated-values",
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".rst": RST,
    ".rest": RST,
    ".json": JSON,
    ".geojson": JSON,
    ".ipynb": JSON,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".xml": XML,
    ".svg": SVG,
    ".eml": EML,
    ".mht": EML,
    ".mhtml": EML,
}
#: Suffixes of formats that are not text: text below such a name is told by its content or is damaged.
_NOT_TEXT = re.compile(
    r"\.(?:pdf|docx?|docm|pptx?|pptm|xlsx?|xlsm|od[tps]|rtf|msg|epub|zip|png|jpe?g|tiff?|webp|gif|bmp|heic|avif"
    r"|mp4|m4v|mov|mkv|webm|avi|flv|mpe?g|ogv|wmv)"
)
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"{\\rtf", RTF),
    (b"FLV\x01", "video/x-flv"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
    (b"OggS", "video/ogg"),
    (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "video/x-ms-wmv"),
)
_OFFICE_FOLDERS = (("word/", DOCX), ("ppt/", PPTX), ("xl/", XLSX))
_BY_MIMETYPE = (ODT, ODP, ODS, EPUB)
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_OLE_STREAMS = (
    ("EncryptedPackage", LOCKED),
    ("__properties_version1.0", MSG),
    ("WordDocument", DOC),
    ("PowerPoint Document", PPT),
    ("Workbook", XLS),
    ("Book", XLS),
)
SUPPORTED = (
    "PDF, PNG, JPEG, TIFF, WebP, GIF, BMP, HEIC, AVIF, DOCX, PPTX, XLSX, XLS, with LibreOffice DOC, PPT, "
    "ODT, ODP, ODS and RTF, HTML, XML, Markdown, reStructuredText, EPUB, CSV, TSV, JSON, plain text in any "
    "encoding, e-mail (.eml, .msg), films (MP4, MOV, WebM, MKV, AVI, MPEG, FLV, OGV, WMV) and ZIP of these"
)

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


def fingerprint(path: Path) -> tuple[str, int]:
    """Return (sha256 in hex, bytes) of a plain file; ("", 0) of anything else, which `open_source` judges."""
    digest, size = hashlib.sha256(), 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return "", 0
            while piece := file.read(1024 * 1024):
                digest.update(piece)
                size += len(piece)
    except (OSError, ValueError):
        return "", 0
    return digest.hexdigest(), size


def open_source(path: Path, *, name: str, settings: IngestSettings) -> Source:
    """Judge the file at `path` and return it as a source; blocking, made to run in a thread.

    Raises the subclasses of InputError, each with a sentence that says what to do.
    """
    content = _read(path, settings)
    shown = safe_name(name)
    media_type = _sniff(content, suffix=PurePosixPath(shown).suffix.lower())
    if media_type in {DOCX, PPTX, XLSX, ODT, ODP, ODS, EPUB}:
        judge_document(content, settings)
    elif media_type == ZIP:
        with opened(content) as archive:
            judge_directory(archive.infolist(), len(content), settings)
    elif media_type in _PLAIN_IMAGES:
        _judge_image(content)
    elif media_type in {HTML, XML, SVG} and _declares_entities(content):
        raise UnsafeMarkup(
            "The file declares XML entities of its own; remove its DOCTYPE subset and add it again."
        )
    return Source(
        path=path, name=shown, media_type=media_type, bytes=len(content), revision=content_hash(content)
    )


def _declares_entities(content: bytes) -> bool:
    text = decode(content)
    return re.search(r"<!ENTITY|<!DOCTYPE[^>\[]{0,400}\[", text, re.IGNORECASE) is not None


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
    if content[4:8] == b"ftyp" and (brand := _image_brand(content)):
        return brand
    if film := _film_type(content):
        return film
    if content.startswith(b"BM") and suffix == ".bmp":
        return "image/bmp"
    if content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip_type(content)
    if content.startswith(_OLE):
        return _ole_type(content)
    return _text_type(content, suffix)


def _film_type(content: bytes) -> str | None:
    if content[4:8] == b"ftyp":
        return "video/quicktime" if content[8:12] == b"qt  " else "video/mp4"
    if content[4:8] in (b"moov", b"mdat", b"wide") and content[:2] == b"\x00\x00":
        return "video/quicktime"
    if content.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm" if b"webm" in content[:64] else "video/x-matroska"
    if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
        return "video/x-msvideo"
    packets = content[: 188 * 5 : 188]
    return "video/mp2t" if len(packets) == 5 and set(packets) == {0x47} else None


def _image_brand(content: bytes) -> str | None:
    brands = content[8 : min(64, int.from_bytes(content[:4], "big"))]
    if b"avif" in brands or b"avis" in brands:
        return "image/avif"
    return "image/heic" if re.search(rb"hei[cxms]|hev[cx]|mif1|msf1", brands) else None


def _ole_type(content: bytes) -> str:
    for stream, media_type in _OLE_STREAMS:
        if stream.encode("utf-16-le") in content:
            return media_type
    raise UnknownType(f"No reader for what this OLE file holds. Read are {SUPPORTED}.")


def _text_type(content: bytes, suffix: str) -> str:
    text = decode(content[: 64 * 1024])
    strange = sum(unicodedata.category(c) == "Cc" and c not in "\t\n\r\f\x1b\x0b" for c in text)
    media_type = _TEXT_TYPES.get(suffix)
    known = media_type is not None or suffix in {".txt", ".text", ".log"}
    if strange + text.count("\ufffd") > (0.02 * len(text) + 4 if known else 0):
        kind = f"The file is named {suffix} but does not hold text" if known else "No reader for this file"
        raise UnknownType(f"{kind}. Read are {SUPPORTED}.")
    if not text.strip("\ufeff \t\r\n\x00"):
        raise Empty("The file holds nothing but white space.")
    looks = _looks_like(text)
    if _NOT_TEXT.fullmatch(suffix):
        if looks is None and suffix not in {".xls", ".doc"}:
            what = suffix.removeprefix(".").upper()
            raise Damaged(f"The file is named {suffix} but holds no {what}; export it again at its source.")
        return looks or (CSV if suffix == ".xls" else TEXT)
    return media_type or looks or TEXT


def _looks_like(text: str) -> str | None:
    """Tell markup by how it begins."""
    start = text.lstrip("\ufeff \t\r\n")[:1000].lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<table")) or re.match(
        r"<\?xml.{0,300}<html", start, re.DOTALL
    ):
        return HTML
    if start.startswith("<?xml"):
        return SVG if "<svg" in start else XML
    return SVG if start.startswith("<svg") else None


def _zip_type(content: bytes) -> str:
    with opened(content) as archive:
        names = set(archive.namelist()[:20_000])
        if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
            named = archive.read("mimetype").decode("ascii", "replace").strip()
            if named in _BY_MIMETYPE:
                return named
    if "[Content_Types].xml" in names:
        for folder, media_type in _OFFICE_FOLDERS:
            if any(name.startswith(folder) for name in names):
                return media_type
    if "META-INF/container.xml" in names:
        return EPUB
    return ZIP


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
    judge_size(width, height)


def judge_size(width: int, height: int) -> None:
    """Refuse a picture that would fill the memory; raises TooLarge."""
    if width * height > MAX_PIXELS:
        raise TooLarge(
            f"The picture has {width} x {height} pixels, over {MAX_PIXELS}; scale it down and add it again."
        )
