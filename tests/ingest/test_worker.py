"""The worker over a real store, registry and pipeline: frozen, busy, starved, and told to stop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ingest.checkpoints import Checkpoints
from ingest.errors import Fenced, ModelDown
from ingest.fair import Turns, on_behalf_of
from ingest.index import Index
from ingest.jobs import Job, JobState, NewJob, Retry
from ingest.jobs_sql import SqliteDatabase, SqlJobs
from ingest.pipeline import Pipeline
from ingest.records import Reading, Scope
from ingest.registry import Registry
from ingest.settings import IngestSettings
from ingest.sources import Source, fingerprint
from ingest.worker import Pace, Worker
from tests.ingest.shelf_fakes import (
    LOCAL_INDEX_WARNING,
    FakeEmbedder,
    FakeReader,
    FakeScreen,
    an_index_in_memory,
)

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings(LOCAL_INDEX_WARNING)]

QUICK = Pace(beat_s=0.02, idle_s=0.01, report_s=0.01, sweep_s=0.05, grace_s=0.0)
SOON = Retry(
    waits={"model_down": "the model server"},
    passing=frozenset({"unscreened", "internal", "library"}),
    first_s=0.001,
    longest_s=0.002,
)
SCOPE = Scope(tenant="acme", collections=("hr",))


@dataclass
class House:
    """A library with jobs, in a folder."""

    folder: Path
    index: Index
    registry: Registry
    jobs: SqlJobs
    reader: Any = field(default_factory=FakeReader)
    embedder: Any = field(default_factory=FakeEmbedder)
    screen: Any = field(default_factory=FakeScreen)

    def pipeline(self) -> Pipeline:
        return Pipeline(
            reader=self.reader,
            embedder=self.embedder,
            index=self.index,
            registry=self.registry,
            files=self.folder / "files",
            screen=self.screen,
            settings=IngestSettings(),
            checkpoints=Checkpoints(self.folder / "checkpoints"),
        )

    def worker(self, pace: Pace = QUICK, retry: Retry = SOON) -> Worker:
        return Worker(jobs=self.jobs, pipeline=self.pipeline(), pace=pace, retry=retry)

    async def enqueue(self, name: str, text: str, tenant: str = "acme") -> Job:
        path = self.folder / "in" / tenant / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        revision, size = fingerprint(path)
        new = NewJob(tenant=tenant, collection="hr", name=name, path=str(path), revision=revision, bytes=size)
        return (await self.jobs.enqueue([new]))[0]

    async def job(self, job: Job) -> Job:
        found = await self.jobs.get(job.id, tenant=job.tenant)
        assert found is not None
        return found

    async def until(self, job: Job, *states: JobState) -> Job:
        with anyio.fail_after(20):
            while (now := await self.job(job)).state not in states:  # noqa: ASYNC110
                await anyio.sleep(0.005)
        return now

    @asynccontextmanager
    async def working(self, worker: Worker | None = None) -> AsyncIterator[Worker]:
        worker = worker or self.worker()
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    index = await an_index_in_memory()
    registry = Registry.open(tmp_path / "registry.sqlite")
    jobs = SqlJobs(SqliteDatabase.open(tmp_path / "jobs.sqlite"), lease_s=0.3)
    yield House(tmp_path, index, registry, jobs)
    await jobs.close()
    await registry.close()
    await index.close()


@dataclass
class Gated(FakeReader):
    """Waits at each file until it is let through."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    async def read_alone(self, source: Source, **more: Any) -> Reading:
        self.came.set()
        await self.gate.wait()
        return await super().read_alone(source, **more)


async def test_jobs_end_where_their_files_belong(house: House) -> None:
    good = await house.enqueue("good.txt", "Leave is 25 days.\fSick leave is paid.")
    broken = await house.enqueue("broken.txt", "broken")
    stopped = await house.enqueue("stopped.txt", "Fine.\fThis is forbidden.")
    async with house.working():
        shelved = await house.until(good, "shelved", "failed")
        failed = await house.until(broken, "shelved", "failed")
        kept_off = await house.until(stopped, "shelved", "failed", "quarantined")
    assert (shelved.state, shelved.outcome, shelved.pages_done, shelved.chunks) == ("shelved", "added", 2, 2)
    assert (failed.state, failed.reason) == ("failed", "damaged")
    assert failed.detail
    assert (kept_off.state, kept_off.reason, kept_off.page_no) == ("quarantined", "override", 2)
    assert not list((house.folder / "checkpoints").iterdir())


async def test_a_model_server_that_is_down_costs_no_attempt_and_is_named(house: House) -> None:
    class Down(FakeEmbedder):
        left = 20

        async def embed(self, texts: Any) -> Any:
            self.left -= 1
            if self.left > 0:
                raise ModelDown("The server does not answer.")
            return await super().embed(texts)

    house.embedder = Down()
    job = await house.enqueue("a.txt", "Text.")
    seen: set[str | None] = set()
    async with house.working():
        with anyio.fail_after(20):
            while not (now := await house.job(job)).is_settled:
                seen.add(now.waits_for)
                assert now.tries == 0
                await anyio.sleep(0.001)
    assert (now.state, now.tries) == ("shelved", 0)
    assert "the model server" in seen


async def test_an_error_that_nobody_planned_is_tried_three_times_and_told(house: House) -> None:
    class Odd(FakeEmbedder):
        calls = 0

        async def embed(self, texts: Any) -> Any:
            self.calls += 1
            raise ZeroDivisionError

    house.embedder = Odd()
    job = await house.enqueue("a.txt", "Text.")
    async with house.working():
        now = await house.until(job, "failed", "shelved")
    assert (now.state, now.reason, house.embedder.calls) == ("failed", "internal", 3)
    assert await house.index.count() == 0


async def test_a_stop_gives_back_what_is_in_hand_and_costs_nothing(house: House) -> None:
    house.reader = Gated()
    job = await house.enqueue("a.txt", "Text.")
    async with house.working():
        await house.reader.came.wait()
    now = await house.job(job)
    assert (now.state, now.tries, now.deaths) == ("queued", 0, 0)
    house.reader.gate.set()
    async with house.working():
        assert (await house.until(job, "shelved", "failed")).state == "shelved"


async def test_a_cancelled_job_stops_and_leaves_nothing(house: House) -> None:
    house.reader = Gated()
    job = await house.enqueue("a.txt", "Text.")
    async with house.working() as worker:
        await house.reader.came.wait()
        await house.pipeline().fence_off(job.document_id, fence=await house.jobs.token())
        await house.jobs.cancel(job.id, tenant="acme")
        worker.nudge()
        with anyio.fail_after(20):
            while await house.registry.unsettled():  # noqa: ASYNC110
                await anyio.sleep(0.01)
    assert (await house.job(job)).state == "cancelled"
    assert await house.registry.list(scope=SCOPE) == []
    assert not (house.folder / "files" / job.document_id).exists()


async def test_a_frozen_worker_that_wakes_writes_nothing(house: House) -> None:
    frozen = Gated()
    house.reader = frozen
    asleep = Worker(
        jobs=house.jobs, pipeline=house.pipeline(), pace=Pace(beat_s=3600, idle_s=0.01, report_s=3600)
    )
    job = await house.enqueue("a.txt", "Old text.")
    task = asyncio.create_task(asleep.run())
    await frozen.came.wait()
    house.reader = FakeReader()
    async with house.working():
        done = await house.until(job, "shelved")
        newer = await house.enqueue("a.txt", "New text.")
        await house.until(newer, "shelved")
        frozen.gate.set()
        asleep.stop()
        await task
    assert done.worker is None
    (document,) = await house.registry.list(scope=SCOPE)
    chunks = await house.index.chunks(document_id=document.id, revision=document.revision)
    assert [chunk.text for chunk in chunks] == ["New text."]
    assert await house.index.count() == 1
    assert (await house.job(job)).state == "shelved"


async def test_a_late_fence_is_refused_in_the_transaction_of_the_commit(house: House) -> None:
    old = await house.registry.begin("d", fence=5)
    await house.registry.begin("d", fence=9)
    for late in (house.registry.hold("d", fence=old), house.registry.remove("d", fence=old)):
        with pytest.raises(Fenced):
            await late
    with pytest.raises(Fenced):
        await house.registry.begin("d", fence=8)


async def test_a_busy_loop_loses_no_lease(house: House) -> None:
    class Busy(FakeReader):
        async def read_alone(self, source: Source, **more: Any) -> Reading:
            end = time.monotonic() + 1.0
            while time.monotonic() < end:  # three leases long, and the loop does not turn once
                pass
            return await super().read_alone(source, **more)

    house.reader = Busy()
    job = await house.enqueue("a.txt", "Text.")
    stolen: list[Job] = []
    over = threading.Event()

    def steal() -> None:
        other = SqlJobs(SqliteDatabase.open(house.folder / "jobs.sqlite"), lease_s=0.3)

        async def look() -> None:
            while not over.is_set():
                found = await other.claim("thief")
                if found is not None:
                    stolen.append(found)
                await anyio.sleep(0.02)
            await other.close()

        asyncio.run(look())

    async with house.working():
        await house.until(job, "reading")
        thief = threading.Thread(target=steal)
        thief.start()
        now = await house.until(job, "shelved", "failed")
        over.set()
        await asyncio.to_thread(thief.join)
    assert now.state == "shelved"
    assert stolen == []


async def test_what_is_kept_is_not_embedded_again(house: House) -> None:
    class Dies(FakeEmbedder):
        calls = 0

        def batches(self, texts: Any) -> list[list[int]]:
            return [[place] for place in range(len(texts))]

        async def embed(self, texts: Any) -> Any:
            self.calls += 1
            if self.calls == 6:
                raise ModelDown("The server does not answer.")
            return await super().embed(texts)

    house.embedder = Dies()
    job = await house.enqueue("a.txt", "\f".join(f"Page {n} of it." for n in range(9)))
    async with house.working():
        await house.until(job, "shelved")
    assert len(house.embedder.embedded) == 9
    assert await house.index.count() == 9


async def turns_taken(*owners: str) -> list[str]:
    turns, order = Turns(1), []

    async def take(owner: str) -> None:
        with on_behalf_of(owner):
            async with turns:
                order.append(owner)
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for owner in owners:
            group.start_soon(take, owner)
    return order


async def test_one_page_waits_for_no_more_than_the_pages_at_hand() -> None:
    order = await turns_taken(*["big"] * 5000, "small")
    assert order.index("small") <= 2


async def test_a_turn_that_is_given_to_somebody_who_left_goes_on() -> None:
    turns = Turns(1)
    await turns.acquire()
    with anyio.move_on_after(0.01):
        await turns.acquire()
    turns.release()
    with anyio.fail_after(1):
        await turns.acquire()


async def test_five_thousand_pages_delay_anothers_page_by_two_at_most(house: House) -> None:
    shown: list[str] = []
    began: list[int] = []

    class Paged(FakeReader):
        turns = Turns(1)

        async def read_alone(self, source: Source, **more: Any) -> Reading:
            pages = source.path.read_text().count("\f") + 1
            if source.name == "small.txt":
                began.append(len(shown))

            async def page() -> None:
                async with self.turns:
                    shown.append(source.name)
                    if len(shown) == 100:
                        await house.enqueue("small.txt", "One page.", tenant="rival")
                        worker.nudge()
                    await anyio.sleep(0.002)

            async with anyio.create_task_group() as group:
                for _ in range(pages):
                    group.start_soon(page)
            return Reading(name=source.name, outcome="ok")

    house.reader = Paged()
    worker = house.worker()
    for n in range(4):
        await house.enqueue(f"big{n}.txt", "\f".join("x" for _ in range(1250)) + f"{n}")
    async with house.working(worker):
        with anyio.fail_after(20):
            while "small.txt" not in shown:  # noqa: ASYNC110
                await anyio.sleep(0.002)
    (asked,) = began
    assert shown.index("small.txt") - asked <= 2
