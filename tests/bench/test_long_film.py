"""A long film: cuts are found, memory stays bounded, and a kill half-way costs nothing that was done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.long_film import f1, measure


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [2, pytest.param(60, marks=pytest.mark.soak)])
def test_a_long_film_is_read_in_bounded_memory_and_once(minutes: int, tmp_path: Path) -> None:
    told = measure(tmp_path, minutes=minutes)
    print(told, f"{told.times_realtime:.1f} x realtime")
    assert told.f1 >= 0.95
    assert told.peak_mb <= 1024
    assert told.kept > 2
    assert told.remade == 0


def test_a_cut_counts_once_and_where_it_is() -> None:
    assert f1([4.0, 9.0], [4.1, 9.0]) == 1.0
    assert f1([4.0, 4.2], [4.1]) == pytest.approx(2 / 3)
    assert f1([5.0], [4.1]) == 0.0
    assert f1([], [4.1]) == 0.0
