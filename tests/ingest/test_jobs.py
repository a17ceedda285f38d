"""The store of jobs: one suite for SQLite and PostgreSQL, on a clock that the tests turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.errors import Incompatible, KeyReused, LibraryError
from ingest.jobs import NewJob, Progress, Retry, Settlement
from ingest.jobs_sql import Database, SqliteDatabase, SqlJobs

pytestmark = pytest.mark.anyio

LEASE_S = 12.0
SHELVED = Settlement(state="shelved", outcome="added", pages=3, chunks=7)
FAILED = Settlement(state="failed", outcome="failed", reason="damaged", page_no=2, detail="Export it again.")


class Clock:
    """Stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Database]:
    made = SqliteDatabase.open(tmp_path / "jobs.sqlite", clock=clock)
    yield made
    made.close()


@pytest.fixture
def jobs(database: Database) -> SqlJobs:
    return SqlJobs(database, lease_s=LEASE_S)


def wanted(name: str = "a.pdf", *, tenant: str = "acme", revision: str = "r1", size: int = 0) -> NewJob:
    return NewJob(
        tenant=tenant, collection="hr", name=name, path=f"/in/{name}", revision=revision, bytes=size
    )


async def taken(jobs: SqlJobs, *new: NewJob) -> list[str]:
    return [job.id for job in await jobs.enqueue(new or [wanted()])]


async def test_a_job_is_queued_at_once_and_known_by_its_id(jobs: SqlJobs) -> None:
    (job,) = await jobs.enqueue([replace(wanted(), groups=("b", "a"), ours=True)])
    assert (job.state, job.groups, job.ours, job.share, job.is_settled) == (
        "queued",
        ("a", "b"),
        True,
        0.0,
        False,
    )
    assert await jobs.get(job.id, tenant="acme") == job
    assert await jobs.get(job.id, tenant="rival") is None
    assert await jobs.listed(tenant="rival") == []
    assert await jobs.counts(tenant="acme") == {"queued": 1}


async def test_the_same_content_under_the_same_name_is_the_same_job(jobs: SqlJobs) -> None:
    (first,) = await taken(jobs)
    (again,) = await taken(jobs)
    others = await taken(
        jobs, wanted("b.pdf"), wanted(tenant="rival"), replace(wanted("c.pdf"), collection="it")
    )
    assert first == again
    assert len({first, *others}) == 4
    assert len(await jobs.listed(tenant="acme")) == 3


async def test_a_newer_file_takes_the_place_of_one_that_still_waits(jobs: SqlJobs) -> None:
    old, other, new = await taken(jobs, wanted(), wanted("b.pdf"), wanted(revision="r2"))
    replaced = await jobs.get(old, tenant="acme")
    assert replaced is not None
    assert (replaced.state, replaced.reason) == ("cancelled", "superseded")
    claimed = [await jobs.claim("w"), await jobs.claim("w"), await jobs.claim("w")]
    assert [job and job.id for job in claimed] == [other, new, None]


async def test_a_newer_file_waits_for_the_one_that_is_read(jobs: SqlJobs) -> None:
    await taken(jobs)
    first = await jobs.claim("w")
    assert first is not None
    (new,) = await taken(jobs, wanted(revision="r2"))
    assert await jobs.claim("w") is None
    assert await jobs.settle(first, SHELVED)
    second = await jobs.claim("w")
    assert second is not None
    assert second.id == new


async def test_a_settled_job_that_comes_again_runs_again_under_its_id(jobs: SqlJobs) -> None:
    (job_id,) = await taken(jobs)
    job = await jobs.claim("w")
    assert job is not None
    assert await jobs.settle(job, FAILED)
    assert await taken(jobs) == [job_id]
    again = await jobs.claim("w")
    assert again is not None
    assert (again.id, again.tries, again.reason) == (job_id, 0, None)
    assert again.token > job.token


async def test_an_idempotency_key_is_one_job_for_good_and_for_one_file(jobs: SqlJobs) -> None:
    keyed = replace(wanted(), key="k1")
    (first,) = await taken(jobs, keyed)
    job = await jobs.claim("w")
    assert job is not None
    await jobs.settle(job, SHELVED)
    (again,) = await jobs.enqueue([keyed])
    assert (again.id, again.state) == (first, "shelved")
    with pytest.raises(KeyReused):
        await jobs.enqueue([wanted("z.pdf"), replace(wanted("b.pdf"), key="k1")])
    assert len(await jobs.listed(tenant="acme")) == 1
    assert len(await taken(jobs, replace(wanted(tenant="rival"), key="k1"))) == 1


async def test_a_claim_is_one_workers_until_its_lease_ends(jobs: SqlJobs, clock: Clock) -> None:
    await taken(jobs)
    first = await jobs.claim("one")
    assert first is not None
    assert (first.state, first.worker, first.started_at) == ("reading", "one", clock.now)
    assert await jobs.claim("two") is None
    clock.now += LEASE_S - 1
    assert jobs.beat({first.id: first.token}) == set()
    clock.now += LEASE_S - 1
    assert await jobs.claim("two") is None
    clock.now += 2
    second = await jobs.claim("two")
    assert second is not None
    assert (second.id, second.deaths) == (first.id, 1)
    assert second.token > first.token


async def test_a_worker_that_was_overtaken_changes_nothing(jobs: SqlJobs, clock: Clock) -> None:
    await taken(jobs)
    zombie = await jobs.claim("one")
    assert zombie is not None
    clock.now += LEASE_S + 1
    job = await jobs.claim("two")
    assert job is not None
    assert jobs.beat({zombie.id: zombie.token}) == {zombie.id}
    assert not await jobs.progress(zombie, Progress(state="reading", pages_done=9, pages_total=9))
    assert not await jobs.settle(zombie, FAILED)
    assert not await jobs.give_back(zombie)
    assert await jobs.get(job.id, tenant="acme") == job
    assert await jobs.settle(job, SHELVED)
    assert not await jobs.settle(job, FAILED)


async def test_progress_tells_pages_rate_and_what_is_left(jobs: SqlJobs, clock: Clock) -> None:
    await taken(jobs)
    job = await jobs.claim("w")
    assert job is not None
    assert (job.eta_s(clock.now), job.pages_per_s(clock.now)) == (None, None)
    clock.now += 10
    assert await jobs.progress(job, Progress(state="reading", pages_done=5, pages_total=10))
    now = await jobs.get(job.id, tenant="acme")
    assert now is not None
    assert (now.pages_done, now.pages_total, now.share) == (5, 10, 0.25)
    assert now.pages_per_s(clock.now) == 0.5
    assert now.eta_s(clock.now) == 30.0
    await jobs.progress(
        job, Progress(state="embedding", pages_done=10, pages_total=10, chunks_done=4, chunks_total=4)
    )
    await jobs.settle(job, SHELVED)
    ended = await jobs.get(job.id, tenant="acme")
    assert ended is not None
    assert (ended.state, ended.outcome, ended.chunks, ended.share) == ("shelved", "added", 7, 1.0)


async def test_a_job_that_kills_its_worker_is_given_up_by_name(jobs: SqlJobs, clock: Clock) -> None:
    (poison, good) = await taken(jobs, wanted("poison.pdf"), wanted("good.pdf"))
    claims: list[str] = []
    for _ in range(20):
        job = await jobs.claim("w")
        if job is None:
            break
        claims.append(job.id)
        if job.id == poison:
            clock.now += LEASE_S + 1
        else:
            await jobs.settle(job, SHELVED)
    assert (claims.count(poison), claims.count(good)) == (3, 1)
    dead = await jobs.get(poison, tenant="acme")
    assert dead is not None
    assert (dead.state, dead.reason, dead.deaths) == ("failed", "worker_died", 3)
    assert "Export the file again" in (dead.detail or "")


async def test_headway_forgives_a_dead_worker(jobs: SqlJobs, clock: Clock) -> None:
    await taken(jobs)
    for page in range(1, 9):
        job = await jobs.claim("w")
        assert job is not None
        assert await jobs.progress(job, Progress(state="reading", pages_done=page, pages_total=8))
        clock.now += LEASE_S + 1
    job = await jobs.claim("w")
    assert job is not None
    assert job.deaths == 1


async def test_a_suspect_is_given_to_an_idle_worker_only(jobs: SqlJobs, clock: Clock) -> None:
    await taken(jobs)
    assert await jobs.claim("w") is not None
    clock.now += LEASE_S + 1
    assert await jobs.claim("w", busy_with=["acme"]) is None
    assert await jobs.claim("w") is not None


async def test_what_is_down_costs_no_attempt_and_is_named(jobs: SqlJobs, clock: Clock) -> None:
    await taken(jobs)
    for _ in range(50):
        job = await jobs.claim("w")
        assert job is not None
        assert job.tries == 0
        assert await jobs.give_back(job, pause_s=5.0, waits_for="the model server")
        waiting = await jobs.get(job.id, tenant="acme")
        assert waiting is not None
        assert (waiting.state, waiting.waits_for) == ("queued", "the model server")
        assert await jobs.claim("w") is None
        clock.now += 5.1


async def test_an_error_that_may_pass_costs_an_attempt(jobs: SqlJobs) -> None:
    await taken(jobs)
    for tried in range(3):
        job = await jobs.claim("w")
        assert job is not None
        assert job.tries == tried
        assert await jobs.give_back(job, error=FAILED)


async def test_cancelling_takes_the_job_from_its_worker(jobs: SqlJobs) -> None:
    (job_id,) = await taken(jobs)
    job = await jobs.claim("w")
    assert job is not None
    assert await jobs.cancel(job_id, tenant="rival") is None
    cancelled = await jobs.cancel(job_id, tenant="acme")
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert jobs.beat({job_id: job.token}) == {job_id}
    assert not await jobs.settle(job, SHELVED)
    assert await jobs.claim("w") is None


@pytest.mark.parametrize("how", [SHELVED, FAILED])
async def test_a_retry_takes_up_what_failed_and_leaves_what_is_shelved(
    jobs: SqlJobs, how: Settlement
) -> None:
    (job_id,) = await taken(jobs)
    job = await jobs.claim("w")
    assert job is not None
    await jobs.settle(job, how)
    assert await jobs.retry(job_id, tenant="rival") is None
    again = await jobs.retry(job_id, tenant="acme")
    assert again is not None
    assert again.state == ("queued" if how is FAILED else "shelved")
    assert (await jobs.claim("w") is not None) == (how is FAILED)


async def test_a_document_that_is_removed_takes_its_jobs_along(jobs: SqlJobs) -> None:
    await taken(jobs)
    job = await jobs.claim("w")
    assert job is not None
    token = await jobs.withdraw(job.document_id)
    assert token > job.token
    assert not await jobs.settle(job, SHELVED)
    assert await jobs.counts(tenant="acme") == {"cancelled": 1}


async def test_tenants_take_turns_by_the_pages_that_were_read_for_them(jobs: SqlJobs) -> None:
    await taken(jobs, *(wanted(f"{n}.pdf", tenant="big") for n in range(20)))
    await taken(jobs, *(wanted(f"{n}.pdf", tenant="small") for n in range(20)))
    pages = {"big": 0, "small": 0}
    for _ in range(12):
        job = await jobs.claim("w")
        assert job is not None
        read = 10 if job.tenant == "big" else 2
        await jobs.progress(job, Progress(state="reading", pages_done=read, pages_total=read))
        await jobs.settle(job, SHELVED)
        pages[job.tenant] += read
    assert pages == {"big": 20, "small": 20}


async def test_who_comes_back_after_a_pause_starts_level(jobs: SqlJobs) -> None:
    await taken(jobs, *(wanted(f"{n}.pdf", tenant="busy") for n in range(9)))
    for _ in range(5):
        job = await jobs.claim("w")
        assert job is not None
        await jobs.progress(job, Progress(state="reading", pages_done=100, pages_total=100))
        await jobs.settle(job, SHELVED)
    await taken(jobs, *(wanted(f"{n}.pdf", tenant="fresh") for n in range(9)))
    order = []
    for _ in range(4):
        job = await jobs.claim("w")
        assert job is not None
        await jobs.progress(job, Progress(state="reading", pages_done=10, pages_total=10))
        await jobs.settle(job, SHELVED)
        order.append(job.tenant)
    assert sorted(order) == ["busy", "busy", "fresh", "fresh"]


async def test_a_newcomer_is_of_a_tenant_who_has_nothing_under_way(jobs: SqlJobs) -> None:
    await taken(jobs, wanted("1.pdf"), wanted("2.pdf"))
    assert await jobs.claim("w") is not None
    assert await jobs.claim("w", busy_with=["acme"], newcomer=True) is None
    await taken(jobs, wanted(tenant="rival"))
    job = await jobs.claim("w", busy_with=["acme"], newcomer=True)
    assert job is not None
    assert job.tenant == "rival"


async def test_small_comes_before_huge_and_huge_comes_all_the_same(jobs: SqlJobs, clock: Clock) -> None:
    huge, small = await taken(jobs, wanted("huge.pdf", size=100_000_000), wanted("small.pdf", size=9_000))
    clock.now += 200
    (late,) = await taken(jobs, wanted("late.pdf", size=9_000))
    claimed = [await jobs.claim("w") for _ in range(3)]
    assert [job and job.id for job in claimed] == [small, huge, late]


async def test_changes_are_told_since_the_last_look(jobs: SqlJobs) -> None:
    ids = await taken(jobs, *(wanted(f"{n}.pdf") for n in range(5)))
    seen = max(job.changed for job in await jobs.listed(tenant="acme"))
    assert await jobs.listed(tenant="acme", since=seen) == []
    job = await jobs.claim("w")
    assert job is not None
    assert [one.id for one in await jobs.listed(tenant="acme", since=seen)] == [job.id]
    assert [one.id for one in await jobs.listed(tenant="acme", states=["reading"])] == [job.id]
    assert len(await jobs.listed(tenant="acme", limit=2)) == 2
    assert set(ids) == {one.id for one in await jobs.listed(tenant="acme")}


async def test_what_settled_long_ago_is_forgotten(jobs: SqlJobs, clock: Clock) -> None:
    await taken(jobs)
    job = await jobs.claim("w")
    assert job is not None
    await jobs.settle(job, FAILED)
    assert await jobs.purge(settled_before=clock.now) == []
    assert [one.id for one in await jobs.purge(settled_before=clock.now + 1)] == [job.id]
    assert await jobs.get(job.id, tenant="acme") is None


async def test_the_one_owner_of_a_library_need_not_wait_for_leases(jobs: SqlJobs) -> None:
    await taken(jobs)
    assert await jobs.claim("w") is not None
    assert await jobs.expire() == 1
    again = await jobs.claim("w")
    assert again is not None
    assert again.deaths == 1


async def test_a_change_that_no_job_makes_is_fenced_in_the_same_row(jobs: SqlJobs) -> None:
    await taken(jobs)
    job = await jobs.claim("w")
    assert job is not None
    assert await jobs.holds(job.token)
    assert await jobs.token() > job.token
    await jobs.settle(job, SHELVED)
    assert not await jobs.holds(job.token)


def test_pauses_double_up_to_the_longest() -> None:
    retry = Retry(waits={}, passing=frozenset(), first_s=1.0, longest_s=8.0)
    assert [retry.pause_s(n, chance=0.5) for n in range(6)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


async def test_tokens_go_up_even_where_the_store_was_lost_and_the_clock_stands(
    tmp_path: Path, clock: Clock
) -> None:
    last = 0
    for name in ("first.sqlite", "second.sqlite"):
        clock.now += 1
        jobs = SqlJobs(SqliteDatabase.open(tmp_path / name, clock=clock))
        tokens = [await jobs.token() for _ in range(100)]
        assert tokens == sorted(set(tokens))
        assert tokens[0] > last
        last = tokens[-1]
        await jobs.close()


async def test_jobs_outlive_their_process_and_another_versions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    jobs = SqlJobs(SqliteDatabase.open(path))
    (job_id,) = await taken(jobs)
    await jobs.close()
    jobs = SqlJobs(SqliteDatabase.open(path))
    assert await jobs.get(job_id, tenant="acme") is not None
    await jobs.close()
    database = SqliteDatabase.open(path)
    database._connection.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(Incompatible):
        SqliteDatabase.open(path)
    path.write_bytes(b"no database")
    for side in (path.with_name("jobs.sqlite-wal"), path.with_name("jobs.sqlite-shm")):
        side.unlink(missing_ok=True)
    with pytest.raises(LibraryError):
        SqliteDatabase.open(path)
