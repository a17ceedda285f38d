"""What the command line names: paths with their sidecars, addresses, stores; and a folder that is watched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from api.cli.gather import Gathered, Given, Placing, gathered, groups_of, listed, sidecar_of
from api.cli.options import Usage
from api.cli.watch import Round, Watch
from api.schemas import OutcomeOut
from guardrails.errors import PolicyError
from ingest.errors import AddressRefused, Missing
from tests.ingest.test_fetch import FORMS, PUBLIC, SOCKETS, Recorder, fetcher, reply

pytestmark = pytest.mark.anyio


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def found(*sources: str, folder: Path, **changes: object) -> Gathered:
    given = {"apart": folder / "home", "placing": Placing(), "folder": folder} | changes
    return await gathered(sources, **given)  # type: ignore[arg-type]


def test_the_nearest_sidecar_counts_field_by_field_and_none_is_a_document(tmp_path: Path) -> None:
    put(tmp_path / "pagewarden.yaml", "collection: hr\ngroups: [staff]\n")
    put(tmp_path / "board/pagewarden.yaml", "groups: [board, law]\n")
    put(tmp_path / "board/pay.txt", "x")
    put(tmp_path / "board/open.txt", "x")
    put(tmp_path / "board/open.txt.pagewarden.yaml", "groups: []\ncollection: press\n")
    put(tmp_path / "leave.txt", "x")
    told = {
        name: sidecar_of(path, top=tmp_path) for path, name in listed([tmp_path], apart=tmp_path / "home")
    }
    assert {name: (one.collection, one.groups) for name, one in told.items()} == {
        "board/open.txt": ("press", ()),
        "board/pay.txt": ("hr", ("board", "law")),
        "leave.txt": ("hr", ("staff",)),
    }


async def test_what_the_command_line_says_counts_before_a_sidecar(tmp_path: Path) -> None:
    put(tmp_path / "in/a.txt", "x")
    put(tmp_path / "in/pagewarden.yaml", "collection: hr\ngroups: [staff]\n")
    said = Placing(collection="law", groups=())
    assert (await found(str(tmp_path / "in"), folder=tmp_path, placing=said)).files == [
        Given(path=tmp_path / "in/a.txt", name="a.txt", collection="law", groups=())
    ]
    (alone,) = (await found(str(tmp_path / "in/a.txt"), folder=tmp_path)).files
    assert (alone.collection, alone.groups) == ("hr", ("staff",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("collection: ../x\n", "line 1, collection"),
        ("groups: board\n", "line 1, groups"),
        ("collection: hr\nreaders: [a]\n", "line 2, readers"),
        ("groups: [a]\ngroups: [b]\n", "line 2"),
        ("groups: [a", "cannot be read"),
        ("- a\n", "line 1"),
    ],
)
async def test_a_sidecar_that_is_wrong_stops_everything_with_its_line(
    tmp_path: Path, text: str, told: str
) -> None:
    put(tmp_path / "in/a.txt", "x")
    put(tmp_path / "in/pagewarden.yaml", text)
    with pytest.raises(PolicyError, match=told):
        await found(str(tmp_path / "in"), folder=tmp_path)


def test_groups_are_read_once_each_and_none_is_not_nobody() -> None:
    assert groups_of(None) is None
    assert groups_of(" b, a,b ,") == ("a", "b")
    assert groups_of("") == ()
    with pytest.raises(Usage):
        groups_of("a\x00b")


async def test_no_form_of_an_inner_address_opens_a_socket_from_the_command_line(tmp_path: Path) -> None:
    recorder = Recorder()
    SOCKETS.clear()
    urls = [url for url in FORMS if url.lower().startswith(("http://", "https://"))]
    gone = await found(*urls, folder=tmp_path, fetcher=fetcher(recorder))
    assert len(gone.failed) == len(urls) >= 300
    assert (gone.files, set(recorder.connected) - {PUBLIC}, SOCKETS) == ([], set(), [])


async def test_an_address_becomes_a_file_and_one_that_fails_is_told_beside_it(tmp_path: Path) -> None:
    recorder = Recorder(replies={PUBLIC: [reply(200, b"fees")]})
    told = await found(
        "https://public.example/fees.txt", "http://localhost/x", folder=tmp_path, fetcher=fetcher(recorder)
    )
    assert [(one.name, one.path.read_bytes()) for one in told.files] == [("public.example/fees.txt", b"fees")]
    assert [(one.name, one.reason) for one in told.failed] == [("http://localhost/x", "address_refused")]


@pytest.fixture
def bucket() -> Iterator[str]:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name in ("a.txt", "deep/b.txt"):
        store.pipe(f"/bucket/{name}", name.encode())
    yield "memory://bucket"
    store.rm("/bucket", recursive=True)


async def test_objects_of_a_store_become_files_under_their_own_names(tmp_path: Path, bucket: str) -> None:
    allowed = frozenset({"memory"})
    told = await found(bucket, folder=tmp_path, allowed=allowed)
    assert {one.name: one.path.read_text() for one in told.files} == {
        "memory/bucket/a.txt": "a.txt",
        "memory/bucket/deep/b.txt": "deep/b.txt",
    }
    with pytest.raises(Missing):
        await found("memory://bucket/absent", folder=tmp_path, allowed=allowed)


@pytest.mark.parametrize(
    "uri",
    [
        "memory://bucket",
        "file:///etc/passwd",
        "local:///etc/passwd",
        "simplecache::file:///etc/passwd",
        "zip://x::s3://bucket/a.zip",
        "filecache::s3://bucket",
        "s3://bucket::file:///etc",
        "ftp://example.org/a",
        "sftp://example.org/a",
        "smb://server/share",
        "dask://worker/file",
        "data://x",
        "reference://x",
        "s3://key:secret@bucket/a",
        "s3://bucket/../other/a",
        "s3://bucket/a\nb",
    ],
)
async def test_what_is_no_store_is_refused_unless_it_was_asked_for(tmp_path: Path, uri: str) -> None:
    SOCKETS.clear()
    with pytest.raises(AddressRefused):
        await found(uri, folder=tmp_path)
    assert SOCKETS == []


class RecordingDoor:
    """A door that shelves names and remembers them; names in `bad` are not taken."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[str, str | None, tuple[str, ...]]] = {}
        self.bad: set[str] = set()
        self.added: list[str] = []

    batch = 1
    url = None

    async def enqueue(self, files: Sequence[Given]) -> list[OutcomeOut]:
        return [self._added(one) for one in files]

    def _added(self, given: Given) -> OutcomeOut:
        self.added.append(given.name)
        if given.name in self.bad:
            return outcome(given.name, None)
        document = f"{given.collection}/{given.name}"
        self.held[document] = (given.path.read_text(), given.collection, given.groups)
        return outcome(given.name, document)

    async def remove(self, document_id: str) -> bool:
        return self.held.pop(document_id, None) is not None


def outcome(name: str, document: str | None) -> OutcomeOut:
    kind = "added" if document else "failed"
    return OutcomeOut(id=document, name=name, outcome=kind, reason=None, detail=None, pages=1, chunks=1)  # type: ignore[arg-type]


def watching(tmp_path: Path, door: RecordingDoor) -> Watch:
    return Watch(tmp_path / "in", door, home=tmp_path / "home", placing=Placing())  # type: ignore[arg-type]


async def settled(watch: Watch) -> Round:
    await watch.look()
    return await watch.look()


async def test_what_is_new_changed_and_gone_in_a_watched_folder_is_so_on_the_shelf(tmp_path: Path) -> None:
    door = RecordingDoor()
    watch = watching(tmp_path, door)
    put(tmp_path / "in/a.txt", "one")
    put(tmp_path / "in/b.txt", "one")
    await settled(watch)
    assert set(door.held) == {"None/a.txt", "None/b.txt"}
    put(tmp_path / "in/a.txt", "two!")
    os.unlink(tmp_path / "in/b.txt")
    assert (await watch.look()).removed == ["b.txt"]
    await watch.look()
    assert door.held == {"None/a.txt": ("two!", None, ())}
    await settled(watch)
    assert door.added == ["a.txt", "b.txt", "a.txt"]


async def test_a_file_that_is_still_written_is_left_until_it_rests(tmp_path: Path) -> None:
    door = RecordingDoor()
    watch = watching(tmp_path, door)
    for n in range(4):
        put(tmp_path / "in/a.txt", "x" * (n + 1))
        await watch.look()
    assert door.added == []
    await watch.look()
    assert door.held["None/a.txt"][0] == "xxxx"


async def test_what_vanished_while_nobody_watched_is_taken_off_and_strangers_stay(tmp_path: Path) -> None:
    door = RecordingDoor()
    put(tmp_path / "in/a.txt", "one")
    put(tmp_path / "in/b.txt", "one")
    await settled(watching(tmp_path, door))
    door.held["None/stranger.txt"] = ("", None, ())
    os.unlink(tmp_path / "in/a.txt")
    told = await watching(tmp_path, door).look()
    assert (told.removed, set(door.held)) == (["a.txt"], {"None/b.txt", "None/stranger.txt"})


@pytest.mark.parametrize("missing", [True, False])
async def test_a_drive_that_is_not_mounted_takes_nothing_off_the_shelf(tmp_path: Path, missing: bool) -> None:
    door = RecordingDoor()
    watch = watching(tmp_path, door)
    put(tmp_path / "in/a.txt", "one")
    await settled(watch)
    shutil.rmtree(tmp_path / "in")
    if not missing:
        os.mkdir(tmp_path / "in")
    told = await settled(watch)
    assert (told.removed, set(door.held)) == ([], {"None/a.txt"})
    assert "nothing is taken off" in (told.waiting or "")


async def test_a_sidecar_that_changes_moves_its_file_and_a_bad_file_is_tried_once(tmp_path: Path) -> None:
    door = RecordingDoor()
    door.bad = {"bad.txt"}
    watch = watching(tmp_path, door)
    put(tmp_path / "in/a.txt", "one")
    put(tmp_path / "in/bad.txt", "one")
    await settled(watch)
    put(tmp_path / "in/a.txt.pagewarden.yaml", "collection: hr\ngroups: [board]\n")
    await settled(watch)
    assert door.held == {"hr/a.txt": ("one", "hr", ("board",))}
    assert door.added.count("bad.txt") == 1


async def test_a_damaged_memory_takes_nothing_off(tmp_path: Path) -> None:
    door = RecordingDoor()
    put(tmp_path / "in/a.txt", "one")
    put(tmp_path / "in/b.txt", "one")
    await settled(watching(tmp_path, door))
    for name in os.listdir(tmp_path / "home/watched"):
        put(tmp_path / "home/watched" / name, "{")
    os.unlink(tmp_path / "in/a.txt")
    await settled(watching(tmp_path, door))
    assert set(door.held) == {"None/a.txt", "None/b.txt"}
