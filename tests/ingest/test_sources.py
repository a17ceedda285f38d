from __future__ import annotations

import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ingest.errors import (
    Damaged,
    Empty,
    IngestError,
    Missing,
    TooLarge,
    UnknownType,
    UnsafeArchive,
    UnsafeMarkup,
)
from ingest.settings import IngestSettings
from ingest.sources import (
    CSV,
    DOC,
    DOCX,
    EPUB,
    HTML,
    LOCKED,
    MSG,
    ODT,
    PDF,
    PPTX,
    RTF,
    TEXT,
    XLSX,
    XML,
    ZIP,
    Source,
    open_source,
    safe_name,
)
from tests.ingest.odd_files import picture
from tests.ingest.tiny_pdf import Sheet, Text, tiny_pdf

SETTINGS = IngestSettings(max_bytes=4_000_000, max_unpacked_bytes=40_000_000)
OLE = bytes.fromhex("d0cf11e0a1b11ae1")
TYPES = b'<?xml version="1.0"?><Types/>'


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def opened(path: Path, name: str | None = None) -> Source:
    return open_source(path, name=name or path.name, settings=SETTINGS)


def archive(members: dict[str, bytes], *, pack: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", pack) as out:
        for name, content in members.items():
            out.writestr(zipfile.ZipInfo(name), content, compress_type=pack)
    return buffer.getvalue()


def docx(**members: bytes) -> bytes:
    parts = {"[Content_Types].xml": TYPES, "word/document.xml": b"<w/>"}
    return archive(parts | {name.replace("__", "/"): content for name, content in members.items()})


def png(width: int = 4, height: int = 4) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "PNG")
    return buffer.getvalue()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="nowhere"):
        opened(tmp_path / "nowhere.pdf")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Empty):
        opened(put(tmp_path, "a.pdf", b""))
    with pytest.raises(Empty):
        opened(put(tmp_path, "a.txt", b" \n\t "))


def test_a_file_over_the_limit_is_refused_and_says_which_setting_helps(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="PAGEWARDEN_INGEST_MAX_BYTES"):
        opened(put(tmp_path, "a.txt", b"x" * 4_000_001))


def test_links_folders_and_devices_are_not_followed(tmp_path: Path) -> None:
    target = put(tmp_path, "target.txt", b"secret")
    (tmp_path / "link.txt").symlink_to(target)
    os.mkfifo(tmp_path / "pipe.txt")
    for name in ("link.txt", "pipe.txt"):
        with pytest.raises(Missing):
            opened(tmp_path / name)
    with pytest.raises(IngestError):
        opened(tmp_path)


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    assert opened(put(tmp_path, "a.pdf", png())).media_type == "image/png"
    pdf = tiny_pdf([Sheet(texts=[Text(x=50, y=700, text="hello")])])
    assert opened(put(tmp_path, "a.txt", pdf)).media_type == PDF
    for folder, media_type in (("word", DOCX), ("ppt", PPTX), ("xl", XLSX)):
        content = archive({"[Content_Types].xml": TYPES, f"{folder}/part.xml": b"<x/>"})
        assert opened(put(tmp_path, "a.bin", content)).media_type == media_type


def test_what_is_not_read_says_what_is(tmp_path: Path) -> None:
    for name, content in (
        ("a.doc", OLE + b"\x00" * 600),
        ("a.txt", bytes(range(256)) * 20),
        ("noname", b"\x00\x01\x02" * 50),
    ):
        with pytest.raises(UnknownType, match="Read are PDF"):
            opened(put(tmp_path, name, content))


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("noname", b"plain words", TEXT),
        ("settings.yaml", b"key: value\n", TEXT),
        ("a.docx", b"{\\rtf1 words}", RTF),
        ("a.xls", b"<html><table><tr><td>a</td></tr></table></html>", HTML),
        ("a.xls", b"name\tprice\nNut\t3\n", CSV),
        ("a.weird", b"<?xml version='1.0'?><a>b</a>", XML),
        ("a.zip", b"PK\x05\x06" + b"\x00" * 18, ZIP),
        ("a.doc", OLE + b"\x00" * 512 + "WordDocument".encode("utf-16-le"), DOC),
        ("a.msg", OLE + b"\x00" * 512 + "__properties_version1.0".encode("utf-16-le"), MSG),
        ("a.xlsx", OLE + b"\x00" * 512 + "EncryptedPackage".encode("utf-16-le"), LOCKED),
        ("a.heic", b"\x00\x00\x00\x18ftypheic" + b"\x00" * 20, "image/heic"),
        ("a.bin", picture("GIF"), "image/gif"),
    ],
)
def test_other_formats_are_known_by_their_content(
    tmp_path: Path, name: str, content: bytes, media_type: str
) -> None:
    assert opened(put(tmp_path, name, content)).media_type == media_type


def test_packages_are_told_apart_by_what_they_say_they_are(tmp_path: Path) -> None:
    for media_type in (ODT, EPUB):
        content = archive({"mimetype": media_type.encode(), "content.xml": b"<x/>"})
        assert opened(put(tmp_path, "a.bin", content)).media_type == media_type
    assert opened(put(tmp_path, "a.bin", archive({"a.txt": b"hello"}))).media_type == ZIP


def test_what_is_named_after_a_format_and_is_another_is_damaged(tmp_path: Path) -> None:
    for name in ("a.pdf", "a.docx", "a.png"):
        with pytest.raises(Damaged):
            opened(put(tmp_path, name, b"hello there"))


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchive):
        opened(put(tmp_path, "big.docx", docx(word__big=b"\x00" * 41_000_000)))
    with pytest.raises(UnsafeArchive, match="times its size"):
        opened(put(tmp_path, "dense.docx", docx(word__big=b"\x00" * 30_000_000)))


def test_a_directory_that_lies_about_sizes_is_caught(tmp_path: Path) -> None:
    content = bytearray(docx(word__big=b"\x00" * 3_000_000))
    honest = (3_000_000).to_bytes(4, "little")
    assert content.count(honest) == 2
    content = bytearray(bytes(content).replace(honest, (10).to_bytes(4, "little")))
    with pytest.raises((UnsafeArchive, Damaged)):
        opened(put(tmp_path, "liar.docx", bytes(content)))


def test_a_nested_archive_is_refused_but_a_charts_workbook_is_not(tmp_path: Path) -> None:
    with pytest.raises(UnsafeArchive):
        opened(put(tmp_path, "a.docx", docx(**{"word__inner.zip": archive({"x": b"y"})})))
    chart = {"ppt__slide.xml": b"<x/>", "ppt__embeddings__book.xlsx": archive({"x": b"y"})}
    assert opened(put(tmp_path, "b.docx", docx(**chart))).media_type == DOCX


@pytest.mark.parametrize("name", ["../evil.xml", "/etc/passwd", "word/../../x.xml", "..\\x.xml", "C:\\x.xml"])
def test_parts_that_leave_their_folder_are_refused(tmp_path: Path, name: str) -> None:
    content = archive({"[Content_Types].xml": TYPES, "word/document.xml": b"<w/>", name: b"<x/>"})
    with pytest.raises(UnsafeArchive):
        opened(put(tmp_path, "a.docx", content))


def test_a_link_inside_an_archive_is_refused(tmp_path: Path) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("[Content_Types].xml", TYPES)
        out.writestr("word/document.xml", b"<w/>")
        link = zipfile.ZipInfo("word/link.xml")
        link.external_attr = 0o120777 << 16
        out.writestr(link, "/etc/passwd")
    with pytest.raises(UnsafeArchive):
        opened(put(tmp_path, "a.docx", buffer.getvalue()))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_in_office_xml_are_refused_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    laughs = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>'.encode(
        encoding
    )
    padding = ("<!--" + "x" * 1_048_570 + "-->").encode()
    for content in (laughs, padding + laughs):
        with pytest.raises(UnsafeMarkup, match="entities"):
            opened(put(tmp_path, "a.docx", docx(**{"word__document.xml": content})))


def test_entities_in_html_are_refused(tmp_path: Path) -> None:
    page = b'<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>&x;</p>'
    with pytest.raises(UnsafeMarkup):
        opened(put(tmp_path, "a.html", page))
    assert opened(put(tmp_path, "b.html", b"<!DOCTYPE html><p>fine</p>")).media_type == "text/html"


def test_a_picture_of_absurd_size_is_refused_unread(tmp_path: Path) -> None:
    small = bytearray(png())
    small[16:24] = (100_000).to_bytes(4, "big") * 2
    with pytest.raises((TooLarge, Damaged)):
        opened(put(tmp_path, "a.png", bytes(small)))


def test_a_broken_archive_and_a_broken_picture_are_damaged(tmp_path: Path) -> None:
    whole = docx(word__text=os.urandom(5000))
    with pytest.raises(Damaged):
        opened(put(tmp_path, "a.docx", whole[:-300]))
    broken = bytearray(whole)
    broken[600:900] = b"\xff" * 300
    with pytest.raises(IngestError):
        opened(put(tmp_path, "b.docx", bytes(broken)))
    with pytest.raises(Damaged):
        opened(put(tmp_path, "c.png", b"\x89PNG\r\n\x1a\n" + b"\x00" * 30))


def test_the_revision_is_the_contents_hash(tmp_path: Path) -> None:
    a, b = opened(put(tmp_path, "a.txt", b"same words")), opened(put(tmp_path, "b.txt", b"same words"))
    assert a.revision == b.revision != opened(put(tmp_path, "c.txt", b"other words")).revision
    assert (a.bytes, a.media_type) == (10, "text/plain")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\x00b.pdf", "ab.pdf"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("a/", "unnamed"),
        (".hidden", "hidden"),
        ("re\u202eport.fdp", "report.fdp"),
        ("tab\there\n.txt", "tabhere.txt"),
        ("Übersicht 2023.pdf", "Übersicht 2023.pdf"),
    ],
)
def test_names_from_outside_become_plain_file_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@given(st.text(max_size=5000))
def test_no_name_leaves_its_folder(name: str) -> None:
    safe = safe_name(name)
    assert safe not in {"", ".", ".."}
    assert not set(safe) & set("/\\\x00\n\r")
    assert len(safe.encode()) <= 200
    assert (Path("/root") / safe).parent == Path("/root")
