"""A batch goes on where it was: its manifest holds whole lines; what changed or failed is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.batch import Line, Manifest
from ingest.errors import Damaged


def line(name: str, *, mark: str = "1", outcome: str = "added") -> Line:
    return Line(name=name, mark=mark, outcome=outcome)


def test_what_is_settled_is_not_done_again_and_what_failed_or_changed_is(tmp_path: Path) -> None:
    first = Manifest(tmp_path / "m.jsonl")
    for outcome in ("added", "updated", "unchanged", "quarantined", "failed"):
        first.add(line(outcome, outcome=outcome))
    again = Manifest(tmp_path / "m.jsonl")
    assert [
        name for name in ("added", "updated", "unchanged", "quarantined") if not again.is_done(name, "1")
    ] == []
    assert not again.is_done("failed", "1")
    assert not again.is_done("added", "2")
    assert not again.is_done("never", "1")


def test_the_last_outcome_of_a_file_counts(tmp_path: Path) -> None:
    first = Manifest(tmp_path / "m.jsonl")
    first.add(line("a", outcome="failed"))
    first.add(line("a"))
    assert Manifest(tmp_path / "m.jsonl").is_done("a", "1")


def test_a_manifest_cut_at_any_byte_keeps_its_whole_lines_and_takes_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    first = Manifest(path)
    first.add(line("a"))
    start = path.stat().st_size
    first.add(line("b ü"))
    whole = path.read_bytes()
    for at in range(start, len(whole)):
        path.write_bytes(whole[:at])
        cut = Manifest(path)
        assert (cut.is_done("a", "1"), cut.is_done("b ü", "1")) == (True, False)
        cut.add(line("c"))
        assert Manifest(path).is_done("c", "1")


def test_a_file_of_other_lines_is_no_manifest_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"question": "?"}\n')
    with pytest.raises(Damaged, match="Line 1"):
        Manifest(path)
    assert path.read_text() == '{"question": "?"}\n'
