"""No damaged stream is taken for whole: the quick part of `tests/bench/stream_truth.py`."""

from __future__ import annotations

from itertools import chain

import pytest

from tests.stream_damage import WHOLE_EVENTS, Recording, cuts, damages, dressings, flips, outcomes, recordings

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.name)
async def test_no_cut_or_damaged_stream_counts_as_whole(recording: Recording) -> None:
    cases = chain(cuts(recording, step=131), damages(recording), flips(recording, count=20))
    told = await outcomes(recording, cases)
    beyond_telling = frozenset() if recording.counted else WHOLE_EVENTS
    assert {kind: n for kind, n in told.wrong.items() if kind not in beyond_telling} == {}
    assert told.refused.total() > 100
    assert told.lost == {}


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.name)
async def test_the_same_stream_in_other_dress_is_heard_whole(recording: Recording) -> None:
    told = await outcomes(recording, dressings(recording))
    assert (told.wrong, told.lost) == ({}, {})
    assert told.complete.total() == len(list(dressings(recording)))
