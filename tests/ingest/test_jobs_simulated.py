"""Random lives of the job store on a turned clock: workers die, freeze and wake, and no promise breaks.

One seed is one life, and lives again the same: `lived(seed)` returns its trace.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from ingest.jobs import ACTIVE, RUNNING, Job, NewJob, Progress, Settlement
from ingest.jobs_sql import SqliteDatabase, SqlJobs

SHELVED = Settlement(state="shelved", outcome="added", pages=1)
FAILED = Settlement(state="failed", outcome="failed", reason="damaged")
LEASE_S = 12.0


class Clock:
    """Turned by the simulation, also back."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Life:
    """One run: a store, workers that remember what they hold, and what must be true after each step."""

    seed: int
    clock: Clock = field(default_factory=Clock)
    trace: list[str] = field(default_factory=list)
    #: What workers believe that they hold, rightly or not.
    believed: list[Job] = field(default_factory=list)
    #: Document → fence, as the registry keeps it, and which contents were committed.
    fences: dict[str, int] = field(default_factory=dict)
    committed: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    wanted: dict[str, NewJob] = field(default_factory=dict)

    async def live(self, steps: int = 60) -> list[str]:
        self.chance = random.Random(self.seed)
        database = SqliteDatabase.open(":memory:", clock=self.clock)
        self.jobs = SqlJobs(database, lease_s=LEASE_S)
        moves = [self.come, self.claim, self.claim, self.work, self.end, self.end, self.beat, self.wait]
        moves += [self.cancel, self.retry, self.die, self.back]
        try:
            for _ in range(steps):
                await self.chance.choice(moves)()
                await self.check()
            await self.finish()
        finally:
            await self.jobs.close()
        return self.trace

    def note(self, what: str, job: Job | None = None, result: object = None) -> None:
        self.trace.append(f"{what} {job and job.id[:8]} {job and job.token} {result}")

    async def come(self) -> None:
        tenant = self.chance.choice(["a", "b", "c"])
        name, revision = f"{self.chance.randrange(4)}.pdf", f"r{self.chance.randrange(3)}"
        new = NewJob(
            tenant=tenant, collection="c", name=name, path=f"/{name}", revision=revision, bytes=self.size()
        )
        (job,) = await self.jobs.enqueue([new])
        assert job.id == new.id
        assert job.state in ACTIVE
        self.wanted[new.document_id] = new
        self.note("come", job)

    def size(self) -> int:
        return self.chance.choice([1_000, 50_000_000])

    async def claim(self) -> None:
        busy = [job.tenant for job in self.believed[:2]] if self.chance.random() < 0.3 else []
        job = await self.jobs.claim("w", busy_with=busy, newcomer=bool(busy))
        self.note("claim", job)
        if job is not None:
            assert job.tenant not in busy
            assert not (job.deaths and busy)
            assert job.token > self.fences.get(job.document_id, 0)
            self.believed.append(job)
            self.fences[job.document_id] = job.token

    def one(self) -> Job | None:
        return self.chance.choice(self.believed) if self.believed else None

    async def work(self) -> None:
        if (job := self.one()) is not None:
            told = Progress(state="reading", pages_done=self.chance.randrange(9), pages_total=9)
            held = await self.jobs.progress(job, told)
            assert held == await self.is_held(job) or not held
            self.note("work", job, held)

    async def is_held(self, job: Job) -> bool:
        now = await self.jobs.get(job.id, tenant=job.tenant)
        return now is not None and now.token == job.token and now.state in RUNNING

    async def end(self) -> None:
        """End a job as a worker does: the registry first, under its fence, then the store."""
        if (job := self.one()) is None:
            return
        self.believed.remove(job)
        held = await self.is_held(job)
        passes = self.fences.get(job.document_id, 0) == job.token
        if passes and self.chance.random() < 0.7:
            self.committed.setdefault(job.document_id, []).append((job.token, job.revision))
            settled = await self.jobs.settle(job, SHELVED)
        elif self.chance.random() < 0.5:
            settled = await self.jobs.give_back(job, waits_for="the model server")
        else:
            settled = await self.jobs.settle(job, FAILED)
        assert settled == held
        self.note("end", job, settled)

    async def beat(self) -> None:
        if (job := self.one()) is not None:
            held = await self.is_held(job)
            lost = self.jobs.beat({job.id: job.token})
            assert lost == (set() if held else {job.id})
            self.note("beat", job, sorted(lost))

    async def die(self) -> None:
        if (job := self.one()) is not None:
            self.believed.remove(job)
            self.note("die", job)

    async def wait(self) -> None:
        self.clock.now += self.chance.choice([0.1, 1.0, 5.0, LEASE_S + 1])
        self.note("wait")

    async def back(self) -> None:
        """Set the clock back, as an operator or a time server does."""
        self.clock.now -= self.chance.choice([1.0, 3600.0]) if self.chance.random() < 0.2 else 0.0
        self.note("back")

    async def cancel(self) -> None:
        if (new := self.some()) is not None:
            self.fences[new.document_id] = await self.jobs.token()
            self.note("cancel", await self.jobs.cancel(new.id, tenant=new.tenant))

    async def retry(self) -> None:
        if (new := self.some()) is not None:
            self.note("retry", await self.jobs.retry(new.id, tenant=new.tenant))

    def some(self) -> NewJob | None:
        return self.chance.choice(sorted(self.wanted.values(), key=lambda n: n.id)) if self.wanted else None

    async def all(self) -> list[Job]:
        return [job for tenant in "abc" for job in await self.jobs.listed(tenant=tenant, limit=1000)]

    async def check(self) -> None:
        jobs = await self.all()
        running = [job.document_id for job in jobs if job.state in RUNNING]
        assert len(running) == len(set(running)), "two workers at one document"
        queued = [job.document_id for job in jobs if job.state == "queued"]
        # One that was given back, and a newer one that came meanwhile; the older goes first.
        assert all(queued.count(one) <= 2 for one in queued), "an older wish waits beside newer ones"
        for job in jobs:
            assert job.deaths <= 3
            assert job.is_settled == (job.settled_at is not None)
        for tokens in self.committed.values():
            assert tokens == sorted(tokens), "who was overtaken committed later"

    async def finish(self) -> None:
        """Let one worker that never fails take what is left: nothing stays behind."""
        self.clock.now += 10_000.0
        await self.jobs.expire()
        for _ in range(200):
            job = await self.jobs.claim("last")
            if job is None:
                break
            assert await self.jobs.settle(job, SHELVED)
        assert [job for job in await self.all() if not job.is_settled] == []


def lived(seed: int) -> list[str]:
    return asyncio.run(Life(seed).live())


@pytest.mark.parametrize("block", range(5))
def test_no_life_breaks_a_promise(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        lived(seed)


@pytest.mark.soak
@pytest.mark.parametrize("block", range(20))
def test_no_life_of_twenty_thousand_breaks_a_promise(block: int) -> None:
    for seed in range(block * 1000, block * 1000 + 1000):
        lived(seed)


@pytest.mark.parametrize("seed", [1, 7, 4242])
def test_a_seed_lives_again_the_same(seed: int) -> None:
    assert lived(seed) == lived(seed)
