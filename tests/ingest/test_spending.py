"""What is counted, for whom, and that nothing said is ever in it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

import pytest

from ingest.sharing import Sharing
from ingest.spending import OTHERS, Spend, Spending

pytestmark = pytest.mark.anyio

ONE = Spend(tenant="a", purpose="read", calls=1, requests=2, prompt_tokens=10, seconds=1.5, images=1)


def test_calls_add_up_by_tenant_and_purpose() -> None:
    held = Spending()
    for spend in (ONE, ONE, replace(ONE, tenant="b"), replace(ONE, purpose="look", failed=1)):
        held.note(spend)
    told = held.snapshot()
    assert [(s.tenant, s.purpose, s.calls) for s in told] == [
        ("a", "look", 1),
        ("a", "read", 2),
        ("b", "read", 1),
    ]
    assert told[1] == replace(ONE, calls=2, requests=4, prompt_tokens=20, seconds=3.0, images=2)


def test_a_snapshot_does_not_change_any_more() -> None:
    held = Spending()
    held.note(ONE)
    before = held.snapshot()
    held.note(ONE)
    assert before[0].calls == 1


def test_it_holds_nothing_but_names_and_numbers() -> None:
    kinds = {name: type(value) for name, value in asdict(ONE).items()}
    assert {name for name, kind in kinds.items() if kind is str} == {"tenant", "purpose"}
    assert set(kinds.values()) == {str, int, float}


def test_tenants_beyond_the_bound_are_counted_together() -> None:
    held = Spending(most_tenants=3)
    for n in range(10):
        held.note(replace(ONE, tenant=f"t{n}"))
    assert [(s.tenant, s.calls) for s in held.snapshot()] == [(OTHERS, 7), ("t0", 1), ("t1", 1), ("t2", 1)]


async def test_the_same_question_at_the_same_time_is_asked_once() -> None:
    sharing: Sharing[int] = Sharing()
    made = 0

    async def make() -> int:
        nonlocal made
        made += 1
        await asyncio.sleep(0.01)
        return made

    assert await asyncio.gather(*(sharing.get("k", make) for _ in range(5))) == [1] * 5
    assert await sharing.get("k", make) == 2


async def test_who_leaves_does_not_take_the_answer_along_but_the_last_does() -> None:
    sharing: Sharing[int] = Sharing()
    ended = asyncio.Event()

    async def make() -> int:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.set()
            raise
        return 1

    first, second = (asyncio.create_task(sharing.get("k", make)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sharing.running("k")
    assert not ended.is_set()
    second.cancel()
    await asyncio.wait_for(ended.wait(), 5)
    assert not sharing.running("k")


async def test_an_error_is_everybodys() -> None:
    sharing: Sharing[int] = Sharing()

    async def make() -> int:
        await asyncio.sleep(0)
        raise ValueError("no")

    got = await asyncio.gather(*(sharing.get("k", make) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in got] == ["no"] * 3
