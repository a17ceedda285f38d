"""Backup and restore: hostile archives write nothing, flipped bits are named, kills mix no homes."""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ingest.backup import Filed, Manifest, is_unsettled, recover, restore, stage_home, verify, write
from ingest.errors import Damaged, IngestError, LibraryError, Missing, UnsafeArchive

ROOT = Path(__file__).parents[2]


def a_home(path: Path, mark: str, *, files: int = 5) -> Path:
    (path / "files" / "d1").mkdir(parents=True)
    for n in range(files):
        (path / "files" / "d1" / f"{n}.bin").write_bytes(f"{mark} {n}".encode() * 200)
    with closing(sqlite3.connect(path / "registry.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (mark TEXT)")
        database.execute("INSERT INTO t VALUES (?)", (mark,))
        database.commit()
    (path / "policies.yaml").write_text(mark)
    return path


def content(home: Path) -> dict[str, str]:
    return {
        path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm")) and path.name != "lock"
    }


def backed_up(home: Path, target: Path) -> Path:
    stage = target.with_name("stage")
    stage_home(home, stage)
    write(stage, target)
    return target


def test_what_was_backed_up_is_there_after_a_restore_and_the_rest_is_not(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home", "old")
    (home / "lock").touch()
    (home / "server.json").write_text("{}")
    archive = backed_up(home, tmp_path / "backup.tar")
    before = content(tmp_path / "stage")
    (home / "files/d1/later.bin").write_text("later")
    (home / "policies.yaml").write_text("changed")
    restore(archive, home)
    assert content(home) == before
    assert not is_unsettled(home)
    assert archive.stat().st_mode & 0o077 == 0
    restore(archive, tmp_path / "elsewhere")
    assert content(tmp_path / "elsewhere") == before


def test_databases_are_whole_while_somebody_writes_them(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home", "old")
    stop = threading.Event()

    def write_on() -> None:
        with closing(sqlite3.connect(home / "registry.sqlite", timeout=10)) as database:
            n = 0
            while not stop.is_set():
                database.execute("BEGIN")
                database.executemany("INSERT INTO t VALUES (?)", [(f"pair {n}",), (f"pair {n}",)])
                database.commit()
                n += 1

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for n in range(5):
            stage_home(home, tmp_path / f"stage-{n}")
    finally:
        stop.set()
        writer.join()
    for n in range(5):
        with closing(sqlite3.connect(tmp_path / f"stage-{n}" / "registry.sqlite")) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            pairs = "SELECT 1 FROM t WHERE mark <> 'old' GROUP BY mark HAVING count(*) <> 2"
            odd = f"SELECT count(*) FROM ({pairs})"
            assert copy.execute(odd).fetchone() == (0,)


Change = Callable[[tarfile.TarInfo], None]


def hostile(path: Path, name: str, change: Change, *, listed: bool = True) -> Path:
    body = b"root::0:0"
    filed = {name: Filed(bytes=len(body), sha256=hashlib.sha256(body).hexdigest())} if listed else {}
    filed["fine.txt"] = Filed(bytes=4, sha256=hashlib.sha256(b"fine").hexdigest())
    told = Manifest(version=1, at=0, files=filed).model_dump_json().encode()
    with tarfile.open(path, "w") as archive:
        for member_name, data in (("manifest.json", told), ("home/fine.txt", b"fine")):
            member = tarfile.TarInfo(member_name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        member = tarfile.TarInfo(f"home/{name}")
        member.size = len(body)
        change(member)
        archive.addfile(member, io.BytesIO(body) if member.isreg() else None)
    return path


def kind(flag: bytes, target: str = "") -> Change:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname, member.size = flag, target, 0

    return change


def named(name: str) -> Change:
    def change(member: tarfile.TarInfo) -> None:
        member.name = name

    return change


def as_it_is(member: tarfile.TarInfo) -> None:
    """Leave a member alone."""


HOSTILE = {
    "symlink": ("a", kind(tarfile.SYMTYPE, "/etc/passwd"), True),
    "symlink inside": ("a", kind(tarfile.SYMTYPE, "fine.txt"), True),
    "hard link": ("a", kind(tarfile.LNKTYPE, "/etc/passwd"), True),
    "hard link inside": ("a", kind(tarfile.LNKTYPE, "home/fine.txt"), True),
    "character device": ("a", kind(tarfile.CHRTYPE), True),
    "block device": ("a", kind(tarfile.BLKTYPE), True),
    "fifo": ("a", kind(tarfile.FIFOTYPE), True),
    "folder": ("a", kind(tarfile.DIRTYPE), True),
    "sparse": ("a", kind(tarfile.GNUTYPE_SPARSE), True),
    "climbs": ("../a", as_it_is, True),
    "climbs deep": ("b/../../../a", as_it_is, True),
    "absolute": ("/etc/a", as_it_is, True),
    "backslashes": ("..\\a", as_it_is, True),
    "dots": ("./a", as_it_is, True),
    "two slashes": ("b//a", as_it_is, True),
    "outside": ("a", named("a"), True),
    "not listed": ("a", as_it_is, False),
    "twice": ("fine.txt", as_it_is, True),
    "manifest twice": ("a", named("manifest.json"), True),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_before_anything_is_written(tmp_path: Path, case: str) -> None:
    home = a_home(tmp_path / "place" / "home", "old")
    before = content(home)
    archive = hostile(tmp_path / "bad.tar", *HOSTILE[case][:2], listed=HOSTILE[case][2])
    written: list[str] = []
    sys.addaudithook(lambda event, args: written.append(str(args[0])) if event == "os.mkdir" else None)
    with pytest.raises((UnsafeArchive, Damaged)):
        restore(archive, home)
    assert [path for path in written if "restoring" in path] == []
    assert (content(home), os.listdir(tmp_path / "place")) == (before, ["home"])


def test_a_million_members_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    # Each is one header of 512 zero-padded bytes; only the first is listed, and the second ends it.
    home = a_home(tmp_path / "home", "old")
    member = tarfile.TarInfo("home/many")
    told = (
        Manifest(version=1, at=0, files={"many": Filed(bytes=0, sha256="0" * 64)}).model_dump_json().encode()
    )
    first = tarfile.TarInfo("manifest.json")
    first.size = len(told)
    with (tmp_path / "many.tar").open("wb") as file:
        file.write(first.tobuf() + told + b"\0" * (-len(told) % 512))
        block = member.tobuf() * 10_000
        for _ in range(100):
            file.write(block)
    with pytest.raises(UnsafeArchive):
        restore(tmp_path / "many.tar", home)
    assert (home / "policies.yaml").read_text() == "old"


def test_a_flipped_bit_in_any_file_is_found_named_and_not_restored(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home", "old")
    archive = backed_up(home, tmp_path / "backup.tar")
    before, whole = content(home), archive.read_bytes()
    with tarfile.open(archive) as tar:
        places = {m.name.removeprefix("home/"): (m.offset_data, m.size) for m in tar.getmembers()}
    assert len(places) == 8
    for name, (start, size) in places.items():
        for at in {start, start + size // 2, start + size - 1}:
            flipped = bytearray(whole)
            flipped[at] ^= 0x10
            archive.write_bytes(flipped)
            with pytest.raises(IngestError) as failure:
                restore(archive, home)
            assert isinstance(failure.value, Damaged | UnsafeArchive)
            assert name in failure.value.detail or name == "manifest.json"
            with pytest.raises(IngestError):
                verify(archive)
            assert content(home) == before


def test_an_archive_cut_anywhere_is_refused(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home", "old")
    archive = backed_up(home, tmp_path / "backup.tar")
    before, whole = content(home), archive.read_bytes()
    # The last 8 KiB are tar's own padding.
    for at in range(0, len(whole) - 10_240, max(1, len(whole) // 40)):
        archive.write_bytes(whole[:at])
        with pytest.raises(IngestError):
            restore(archive, home)
        assert content(home) == before
    with pytest.raises(Missing):
        restore(tmp_path / "absent.tar", home)


def test_a_home_that_took_the_place_meanwhile_is_not_thrown_away(tmp_path: Path) -> None:
    a_home(tmp_path / "home.replaced", "old")
    a_home(tmp_path / "home", "somebody's")
    with pytest.raises(LibraryError, match="keep the one that counts"):
        recover(tmp_path / "home")
    assert (tmp_path / "home.replaced/policies.yaml").read_text() == "old"


RESTORE = """
import sys
from pathlib import Path
from ingest.backup import restore
restore(*map(Path, sys.argv[1:]))
"""
#: Dies at the n-th of the calls that change a file system.
DYING = """
import os, signal, sys
calls, at = 0, int(sys.argv.pop())
def watch(event, args):
    global calls
    new = event == "open" and isinstance(args[1], str) and "x" in args[1]
    if new or event in ("os.mkdir", "os.rename", "os.rmdir", "os.remove"):
        if any("home" in str(one) for one in args[:2]):
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
"""


def killed(tmp_path: Path, kills: range) -> int:
    old = a_home(tmp_path / "old", "old")
    archive = backed_up(a_home(tmp_path / "new", "new"), tmp_path / "backup.tar")
    wanted = content(tmp_path / "stage")
    done = 0
    for at in kills:
        home = tmp_path / f"run-{at}" / "home"
        home.parent.mkdir()
        stage_home(old, home)
        before = content(home)
        command = [sys.executable, "-c", DYING + RESTORE, str(archive), str(home), str(at)]
        ended = subprocess.run(command, cwd=ROOT, check=False).returncode
        recover(home)
        assert content(home) in (before, wanted), at
        assert set(os.listdir(home.parent)) == {"home"}
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        done += 1
    return done


def test_a_kill_at_some_steps_of_a_restore_leaves_one_home_or_the_other(tmp_path: Path) -> None:
    assert killed(tmp_path, range(1, 60, 6)) >= 3


@pytest.mark.soak
def test_a_hundred_kills_in_a_restore_leave_one_home_or_the_other(tmp_path: Path) -> None:
    """At every step that changes a file system, and then at random moments, 100 in all."""
    steps = killed(tmp_path / "steps", range(1, 200))
    draw = random.Random(5)
    old = a_home(tmp_path / "old", "old")
    archive = backed_up(a_home(tmp_path / "new", "new", files=400), tmp_path / "backup.tar")
    wanted = content(tmp_path / "stage")
    for n in range(max(0, 100 - steps)):
        home = tmp_path / f"run-{n}" / "home"
        home.parent.mkdir()
        stage_home(old, home)
        before = content(home)
        child = subprocess.Popen([sys.executable, "-c", RESTORE, str(archive), str(home)], cwd=ROOT)
        try:
            child.wait(timeout=0.3 + draw.random())
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        recover(home)
        assert content(home) in (before, wanted)
    print(f"{max(100, steps)} kills, {steps} of them at each step of a restore: 0 mixed (below 3 %)")
