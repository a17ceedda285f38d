"""When a server is asked again, and when it is left alone: budgets, pauses, and one probe at a time."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from ingest.errors import ModelDown
from ingest.patience import Breaker, Patience, Retries

USUAL = Patience()


def down(fault: str = "overloaded", retry_in_s: float | None = None) -> ModelDown:
    return ModelDown("down", fault=fault, retry_in_s=retry_in_s)  # type: ignore[arg-type]


def test_a_server_that_refuses_everything_sees_a_fifth_more_and_no_storm() -> None:
    retries, sent = Retries(USUAL), 0
    for _ in range(1000):
        retries.earn()
        tried = 1
        while retries.pause_s(down(), tried=tried) is not None:
            tried += 1
        sent += tried
    assert 1150 <= sent <= 1210


def test_pauses_double_and_differ() -> None:
    low, high = Retries(USUAL, chance=lambda: 0.0), Retries(USUAL, chance=lambda: 1.0)
    assert [low.pause_s(down(), tried=n) for n in (1, 2)] == [0.125, 0.25]
    assert [high.pause_s(down(), tried=n) for n in (1, 2)] == [0.375, 0.75]


def test_a_server_is_not_asked_before_the_time_it_named() -> None:
    for chance in (0.0, 0.5, 1.0):
        pause = Retries(USUAL, chance=lambda c=chance: c).pause_s(down(retry_in_s=4.0), tried=1)
        assert pause is not None
        assert 4.0 <= pause <= 5.0


def test_a_server_that_asks_for_too_long_is_down_for_this_call() -> None:
    assert Retries(USUAL).pause_s(down(retry_in_s=3600), tried=1) is None


@pytest.mark.parametrize(("fault", "again"), [("unreachable", 2), ("overloaded", 2), ("broken", 1)])
def test_what_is_repeated_and_how_often(fault: str, again: int) -> None:
    retries = Retries(USUAL)
    got = [retries.pause_s(down(fault), tried=n) is not None for n in (1, 2, 3)]
    assert sum(got) == min(again, 2)
    assert got == sorted(got, reverse=True)


@pytest.mark.parametrize("fault", ["silent", "open"])
def test_silence_and_an_open_breaker_are_not_repeated(fault: str) -> None:
    assert Retries(USUAL).pause_s(down(fault), tried=1) is None


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_probe_through() -> None:
    clock = Clock()
    breaker = Breaker(USUAL, clock=clock)
    for _ in range(4):
        breaker.failed()
    breaker.well()
    for _ in range(4):
        breaker.failed()
    assert not breaker.open
    breaker.failed()
    assert breaker.wait_s() == 1.0
    clock.now += 1.0
    assert breaker.wait_s() == 0.0
    breaker.probing()
    assert breaker.wait_s() > 0
    breaker.well()
    assert not breaker.open


def test_failed_probes_leave_the_server_alone_for_longer_each_time() -> None:
    clock = Clock()
    breaker = Breaker(USUAL, clock=clock)
    for _ in range(5):
        breaker.failed()
    waits = []
    for _ in range(7):
        waits.append(breaker.wait_s())
        clock.now += breaker.wait_s()
        breaker.probing()
        breaker.failed()
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_requests_sent_before_it_opened_do_not_keep_it_open() -> None:
    clock = Clock()
    breaker = Breaker(USUAL, clock=clock)
    for _ in range(64):
        breaker.failed()
    assert breaker.wait_s() == 1.0


def test_a_probe_that_was_cancelled_is_forgotten() -> None:
    clock = Clock()
    breaker = Breaker(replace(USUAL, break_after=1), clock=clock)
    breaker.failed()
    clock.now += 1
    breaker.probing()
    breaker.gave_up()
    assert breaker.open
    assert breaker.wait_s() == 0.0


def test_an_error_keeps_its_fault_across_processes() -> None:
    error = pickle.loads(pickle.dumps(down("unreachable", 3.0)))
    assert (error.detail, error.fault, error.retry_in_s) == ("down", "unreachable", 3.0)
