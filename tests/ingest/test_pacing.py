"""Who goes when: people before batches, batches as wide as the server, and never a turn lost.

The clock of these tests is their own: time passes when everybody waits, so that minutes cost nothing and no
assertion depends on this machine's speed.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from ingest.pacing import Load, Pace, Turn, read_load


class PatientSelector(selectors.SelectSelector):
    """Waits for nothing: where nothing is ready, the time has come."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for ever"
            self.now += max(timeout, 0.0)
        return ready


class PatientLoop(asyncio.SelectorEventLoop):
    """A loop whose time passes as fast as it can."""

    def __init__(self) -> None:
        self._patient = PatientSelector()
        super().__init__(self._patient)

    def time(self) -> float:
        return self._patient.now


@pytest.fixture
def loop() -> Iterator[PatientLoop]:
    made = PatientLoop()
    yield made
    made.close()


class Slots:
    """A server that works on so many at once; the others queue inside it, first come first served."""

    def __init__(self, slots: int, *, seed: int = 1, mean_s: float = 4.0, spread: float = 0.25) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._random = random.Random(seed)
        self._mean_s, self._spread = mean_s, spread
        self.slots = slots
        self.worked_s = 0.0
        self.running = self.inside = self.deepest = 0

    async def work(self) -> None:
        self.inside += 1
        self.deepest = max(self.deepest, self.inside)
        async with self._slots:
            spent = self._mean_s * math.exp(self._random.gauss(-(self._spread**2) / 2, self._spread))
            self.running += 1
            await asyncio.sleep(spent)
            self.running -= 1
            self.worked_s += spent
        self.inside -= 1

    async def load(self) -> Load:
        return Load(running=self.running, waiting=self.inside - self.running)


def now() -> float:
    return asyncio.get_running_loop().time()


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[int(0.95 * len(seconds))]


async def batch(pace: Pace, server: Slots, count: int) -> float:
    """Send a batch and return which share of the server it used."""

    async def page() -> None:
        async with pace.turn("batch") as turn:
            await server.work()
            turn.outcome = "well"

    start = now()
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(page())
    return server.worked_s / ((now() - start) * server.slots)


async def person(pace: Pace, server: Slots, waited: list[float], *, pause_s: float) -> None:
    while True:
        start = now()
        async with pace.turn("person") as turn:
            await server.work()
            turn.outcome = "well"
        waited.append(now() - start)
        await asyncio.sleep(pause_s)


async def mixed(pace: Pace, server: Slots, *, pages: int, people: int) -> tuple[float, list[float]]:
    waited: list[float] = []
    talking = [
        asyncio.create_task(person(pace, server, waited, pause_s=1.0 + n / people)) for n in range(people)
    ]
    used = await batch(pace, server, pages)
    for task in talking:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return used, waited


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_batch_fills_a_server_of_unknown_width(loop: PatientLoop, seed: int) -> None:
    async def story() -> float:
        return await batch(Pace(), Slots(16, seed=seed), 1000)

    assert loop.run_until_complete(story()) >= 0.95


@pytest.mark.parametrize("slots", [1, 4, 48])
def test_servers_of_other_widths_are_found_too(loop: PatientLoop, slots: int) -> None:
    pace = Pace(most=96)

    async def story() -> float:
        return await batch(pace, Slots(slots), 60 * slots + 400)

    assert loop.run_until_complete(story()) >= 0.9
    assert pace.width.width <= 1.6 * slots + 4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_people_hardly_notice_a_batch(loop: PatientLoop, seed: int) -> None:
    async def lonely() -> list[float]:
        waited: list[float] = []
        pace, server = Pace(), Slots(16, seed=seed)
        with suppress(TimeoutError):
            async with asyncio.timeout(400), asyncio.TaskGroup() as group:
                for n in range(8):
                    group.create_task(person(pace, server, waited, pause_s=1.0 + n / 8))
        return waited

    unloaded = p95(loop.run_until_complete(lonely()))
    used, waited = loop.run_until_complete(mixed(Pace(), Slots(16, seed=seed), pages=1000, people=8))
    assert used >= 0.9
    assert p95(waited) <= 1.25 * unloaded


def test_a_server_that_tells_its_queue_is_filled_and_not_overfilled(loop: PatientLoop) -> None:
    async def story() -> tuple[float, int]:
        server = Slots(40)
        return await batch(Pace(first=4, look=server.load), server, 1500), server.deepest

    used, deepest = loop.run_until_complete(story())
    assert used >= 0.9
    assert deepest <= 60


def test_a_person_goes_before_every_waiting_batch(loop: PatientLoop) -> None:
    order: list[str] = []

    async def ask(pace: Pace, urgency: Any, name: str) -> None:
        async with pace.turn(urgency):
            order.append(name)
            await asyncio.sleep(1)

    async def story() -> None:
        pace = Pace(first=1, most=1)
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(pace, "person", "first"))
            await asyncio.sleep(0)
            for n in range(3):
                group.create_task(ask(pace, "batch", f"page {n}"))
            await asyncio.sleep(0.5)
            group.create_task(ask(pace, "person", "question"))

    loop.run_until_complete(story())
    assert order == ["first", "question", "page 0", "page 1", "page 2"]


def test_a_person_is_sent_at_once_where_batches_fill_the_width(loop: PatientLoop) -> None:
    async def story() -> float:
        pace = Pace(first=4, most=8)

        async def page() -> None:
            async with pace.turn("batch"):
                await asyncio.sleep(60)

        pages = [asyncio.create_task(page()) for _ in range(20)]
        await asyncio.sleep(1)
        assert pace.busy == 4
        start = now()
        async with pace.turn("person"):
            waited = now() - start
        for task in pages:
            task.cancel()
        await asyncio.gather(*pages, return_exceptions=True)
        assert pace.busy == 0
        return waited

    assert loop.run_until_complete(story()) == 0


def test_cancelled_waiters_lose_no_turn(loop: PatientLoop) -> None:
    chance = random.Random(7)

    async def story() -> tuple[int, int]:
        pace = Pace(first=2, most=3)

        async def ask(n: int) -> None:
            async with pace.turn("person" if n % 3 else "batch"):
                await asyncio.sleep(chance.random())

        asking = [asyncio.create_task(ask(n)) for n in range(300)]
        while not all(task.done() for task in asking):
            await asyncio.sleep(chance.random() / 4)
            chance.choice(asking).cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        return pace.busy, pace.waiting

    assert loop.run_until_complete(story()) == (0, 0)


def test_a_refusal_narrows_the_width_once_for_all_that_were_sent_together(loop: PatientLoop) -> None:
    pace = Pace(first=20)

    async def refused() -> None:
        async with pace.turn("batch") as turn:
            await asyncio.sleep(1)
            turn.outcome = "overloaded"

    async def story() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(refused())

    loop.run_until_complete(story())
    assert pace.width.width == pytest.approx(14)


def test_batches_keep_still_for_as_long_as_the_server_asks(loop: PatientLoop) -> None:
    async def story() -> tuple[float, float]:
        pace = Pace()
        async with pace.turn("batch") as turn:
            turn.outcome, turn.pause_s = "overloaded", 9.0
        start = now()
        async with pace.turn("person"):
            person = now() - start
        async with pace.turn("batch"):
            return person, now() - start

    assert loop.run_until_complete(story()) == (0, pytest.approx(9))


def test_a_thrashing_server_gets_less(loop: PatientLoop) -> None:
    width = Pace(first=20).width
    width.told(Load(running=20, waiting=0, preempted=3), busy=10)
    width.told(Load(running=20, waiting=0, preempted=8), busy=20)
    assert width.width == pytest.approx(14)


def test_vllms_metrics_are_read_and_others_are_not() -> None:
    told = (
        "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
        "# TYPE vllm:num_requests_running gauge\n"
        'vllm:num_requests_running{engine="0",model_name="nano"} 12.0\n'
        'vllm:num_requests_running{engine="1",model_name="nano"} 3.0\n'
        'vllm:num_requests_waiting{engine="0",model_name="nano"} 2.0\n'
        'vllm:num_preemptions_total{engine="0",model_name="nano"} 1e+01\n'
    )
    assert read_load(told) == Load(running=15, waiting=2, preempted=10)
    assert read_load("llamacpp:requests_processing 1\n") is None
    assert read_load("<html>") is None


def test_a_turn_that_nobody_judged_teaches_nothing(loop: PatientLoop) -> None:
    async def story() -> tuple[Turn, int]:
        pace = Pace()
        async with pace.turn("batch") as turn:
            pass
        return turn, pace.width.epoch

    turn, epoch = loop.run_until_complete(story())
    assert (turn.outcome, epoch) == ("lost", 0)
