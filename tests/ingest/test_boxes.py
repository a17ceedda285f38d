"""The way of a box: from how a word was written, through rotation and crop, to the box that is cited."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest.boxed_pdf import boxed_pdf, round_trip


@pytest.mark.parametrize("seed", range(24))
def test_boxes_come_back_where_the_words_were_written(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "a.pdf"
    pdf, known = boxed_pdf(seed)
    path.write_bytes(pdf)
    trip = round_trip(path, known)
    assert trip.words == sum(map(len, known))
    assert min(trip.overlaps) >= 0.9
    assert trip.cited >= len(known)
    assert trip.misread == []
