"""What is packed in files: mails, archives, e-books; names, bounds and passwords."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.elements import read_sections
from ingest.errors import Encrypted, UnsafeArchive, UnsafeMarkup
from ingest.mail import eml_files
from ingest.packed import Room, clean_path, unpack
from ingest.sections import Piece
from ingest.sources import EML, EPUB, ZIP
from tests.ingest.odd_files import WORDS, archive, book, mail


def room(files: int = 100, size: int = 1_000_000) -> Room:
    return Room(files=files, bytes=size)


def put(folder: Path, content: bytes) -> Path:
    path = folder / "outer"
    path.write_bytes(content)
    return path


def said(sections: list[list[Piece]]) -> str:
    return " ".join(piece.text for section in sections for piece in section)


def test_a_mail_says_its_head_and_body_and_gives_its_files(tmp_path: Path) -> None:
    path = put(tmp_path, mail({"fees.csv": b"a,b\n", "../../fees.csv": b"c,d\n"}))
    words = said(read_sections(path, EML, None))
    assert "Permits" in words
    assert "From: ada@example.org" in words
    assert WORDS in words
    found = unpack(path, EML, tmp_path / "in", room(), None)
    assert [one.name for one in found] == ["fees.csv", "fees (2).csv"]
    assert [one.path and one.path.read_bytes() for one in found] == [b"a,b\n", b"c,d\n"]


def test_a_mail_in_a_mail_and_odd_charsets_are_read(tmp_path: Path) -> None:
    inner = b"Subject: =?koi8-r?B?8NLJ18XU?=\nContent-Type: text/plain; charset=nonsense\n\nplain"
    outer = (
        b"Content-Type: multipart/mixed; boundary=x\nSubject: outer\n\n--x\nContent-Type: message/rfc822\n\n"
        + inner
        + b"\n--x--\n"
    )
    ((name, content),) = eml_files(put(tmp_path, outer))
    assert name == "Привет.eml"
    assert b"plain" in content


def test_a_mail_that_nests_without_end_is_refused(tmp_path: Path) -> None:
    parts = b"".join(
        b"Content-Type: multipart/mixed; boundary=x%d\n\n--x%d\n" % (no, no) for no in range(3000)
    )
    with pytest.raises(UnsafeMarkup):
        read_sections(put(tmp_path, b"Subject: deep\n" + parts + b"\nend\n"), EML, None)


def test_an_e_book_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    first, second = read_sections(put(tmp_path, book()), EPUB, None)
    assert [piece.text for piece in first] == ["First", "It begins here."]
    assert [piece.text for piece in second] == ["Second", WORDS]


def test_names_inside_an_archive_never_leave_the_folder(tmp_path: Path) -> None:
    names = ["a.txt", "deep/er/b.txt", "a b/c..txt", "x" * 4000 + ".txt", "re\u202eport.txt", "__MACOSX/._a"]
    found = unpack(put(tmp_path, archive(dict.fromkeys(names, b"x"))), ZIP, tmp_path / "in", room(), None)
    assert len(found) == 5
    for one in found:
        assert one.path is not None
        assert one.path.parent == tmp_path / "in"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "outer"]


@given(st.text(max_size=300))
def test_no_path_of_a_packed_file_is_a_path_of_ours(name: str) -> None:
    parts = clean_path(name).split("/")
    assert 0 < len(parts) <= 6
    assert not set(parts) & {"", ".", ".."}


def test_what_unpacks_to_too_much_or_to_too_many_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, archive({f"{no}.txt": b"x" * 1000 for no in range(20)}))
    with pytest.raises(UnsafeArchive, match="Too many"):
        unpack(path, ZIP, tmp_path / "in", room(files=19), None)
    with pytest.raises(UnsafeArchive, match="too much"):
        unpack(path, ZIP, tmp_path / "in", room(size=19_999), None)


def test_a_broken_member_costs_itself_alone(tmp_path: Path) -> None:
    content = bytearray(archive({"a.txt": b"good " * 99, "b.txt": b"bad " * 99}, pack=0))
    at = bytes(content).index(b"bad ")
    content[at : at + 9] = b"#########"
    good, bad = unpack(put(tmp_path, bytes(content)), ZIP, tmp_path / "in", room(), None)
    assert good.path is not None
    assert bad.path is None
    assert bad.error is not None
    assert bad.error.code == "damaged"


def test_a_zip_with_a_password_opens_with_it_alone(tmp_path: Path) -> None:
    if subprocess.run(["which", "zip"], capture_output=True, check=False).returncode:
        pytest.skip("the program `zip` is not installed: nothing here writes encrypted archives")
    (tmp_path / "a.txt").write_text(WORDS)
    path = tmp_path / "a.zip"
    subprocess.run(["zip", "-q", "-j", "-P", "open sesame", path, tmp_path / "a.txt"], check=True)
    for password in (None, "wrong"):
        with pytest.raises(Encrypted):
            unpack(path, ZIP, tmp_path / "in", room(), password)
    (one,) = unpack(path, ZIP, tmp_path / "in", room(), "open sesame")
    assert one.path is not None
    assert one.path.read_text() == WORDS
