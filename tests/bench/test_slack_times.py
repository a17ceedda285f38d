"""The measuring of Slack's moments: known latencies come out as they are, and every moment in its turn."""

from __future__ import annotations

import pytest

from tests.bench.slack_times import (
    MOMENTS,
    WAYS,
    Latency,
    Way,
    measured,
    percentile,
    table,
    while_all_hang,
)

pytestmark = pytest.mark.anyio
#: Far enough apart that each is a change of its own.
APART = Latency(step_s=0.05, sentence_s=0.15, whole_s=0.25)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_no_moment_comes_before_what_it_shows_was_said(way: Way) -> None:
    runs = await measured(way, questions=2, latency=APART, call_s=0.0, pace_s=0.0)
    assert len(runs) == 2
    for run in runs:
        assert set(run) == set(MOMENTS)
        # What is acknowledged when is Slack's wire; the rest can only come in its turn.
        shown = [run[moment] for moment in MOMENTS[1:]]
        assert shown == sorted(shown)
        assert all(run[moment] >= APART.known(moment) for moment in MOMENTS)


async def test_events_are_acknowledged_and_kept_while_every_answer_hangs() -> None:
    assert len(await while_all_hang(events=4, call_s=0.0)) == 4


def test_the_table_takes_the_known_time_off() -> None:
    run = {"ack": 0.004, "sign": 0.3, "step": 0.3, "sentence": 1.25, "whole": 1.6}
    lines = table({"socket": [run]}, latency=Latency()).splitlines()
    assert lines[-2] == "| socket | sentence | 1000 | 1250 | 1250 | 1250 | 250 |"


def test_percentiles_are_of_values_that_were_measured() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.0
    assert percentile([float(n) for n in range(1, 101)], 95) == 95.0
    assert percentile([7.0], 95) == 7.0
