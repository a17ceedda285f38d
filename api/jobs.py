"""`/v1/jobs`: what becomes of files on their way, live, with a way to stop them and to try them again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Annotated

import anyio
from fastapi import APIRouter, Query, Request, Response

from api.asking import watch_over
from api.auth import Identity, Who
from api.errors import NotFound
from api.house import House
from api.schemas import JobOut, JobsOut, job_out
from api.settings import ApiSettings
from api.sse import EventStream
from ingest.jobs import Desk, Job, JobState

router = APIRouter(tags=["jobs"])

#: Most jobs told at once.
MAX_JOBS = 1000
#: Between two looks of a stream at the store, which other processes write too.
_LOOK_S = 0.25

States = Annotated[list[JobState] | None, Query(alias="state")]
Since = Annotated[int | None, Query(ge=0, le=2**62)]


@router.get("/v1/jobs")
async def listing(
    request: Request,
    who: Who,
    states: States = None,
    since: Since = None,
    limit: Annotated[int, Query(ge=1, le=MAX_JOBS)] = 100,
) -> JobsOut:
    """List jobs, those that changed last first; with `since`, what changed after it, in that order.

    The counts are of the whole tenant for its admins, for others of what is listed here.
    """
    desk = _desk(request)
    jobs = await desk.listed(tenant=who.scope.tenant, states=states or (), since=since, limit=limit)
    seen = [job for job in jobs if may_see(job, who)]
    whole = who.at_least("admin") and who.anywhere
    counts = await desk.counts(tenant=who.scope.tenant) if whole else Counter(job.state for job in seen)
    return JobsOut(jobs=[job_out(job) for job in seen], counts=dict(counts))


@router.get("/v1/jobs/events")
async def events(request: Request, who: Who, since: Since = None, job: str | None = None) -> Response:
    """Stream each change of a job as it happens; with `job`, of that one, until it is settled."""
    desk = _desk(request)
    settings: ApiSettings = request.app.state.settings
    if job is not None:
        await _found(desk, job, who)
    if since is None:
        last = await desk.listed(tenant=who.scope.tenant, limit=1)
        since = last[0].changed if last and job is None else 0
    changes = _changes(desk, who, since, only=job)
    return EventStream(changes, heartbeat_s=settings.heartbeat_s, watch=watch_over(request, who))


@router.get("/v1/jobs/{job_id}")
async def one(job_id: str, request: Request, who: Who) -> JobOut:
    """Return a job."""
    return job_out(await _found(_desk(request), job_id, who))


@router.post("/v1/jobs/{job_id}/cancel")
async def cancel(job_id: str, request: Request, who: Who) -> JobOut:
    """Cancel a job; one that is settled stays as it is."""
    house: House = request.app.state.house
    await _found(house.jobs, job_id, who)
    cancelled = await house.intake.cancel(job_id, tenant=who.scope.tenant)
    return job_out(_there(cancelled))


@router.post("/v1/jobs/{job_id}/retry")
async def retry(job_id: str, request: Request, who: Who) -> JobOut:
    """Try a job again that failed, was cancelled or was stopped by a rail."""
    house: House = request.app.state.house
    await _found(house.jobs, job_id, who)
    again = await house.intake.retry(job_id, tenant=who.scope.tenant)
    return job_out(_there(again))


def may_see(job: Job, who: Identity) -> bool:
    """Say whether a caller may know of a job: the rule of documents, for a collection that may be new."""
    scope = who.scope
    there = who.anywhere or job.collection in scope.collections
    return job.tenant == scope.tenant and there and (not job.groups or bool({*job.groups} & {*scope.groups}))


async def _found(desk: Desk, job_id: str, who: Identity) -> Job:
    job = await desk.get(job_id[:64], tenant=who.scope.tenant)
    if job is None or not may_see(job, who):
        raise _absent()
    return job


async def _changes(
    desk: Desk, who: Identity, since: int, *, only: str | None
) -> AsyncGenerator[Mapping[str, object], None]:
    while True:
        for job in await desk.listed(tenant=who.scope.tenant, since=since, limit=MAX_JOBS):
            since = job.changed
            if may_see(job, who) and only in (None, job.id):
                yield job_out(job).model_dump(mode="json")
                if only is not None and job.is_settled:
                    return
        await anyio.sleep(_LOOK_S)


def _desk(request: Request) -> Desk:
    house: House = request.app.state.house
    return house.jobs


def _there(job: Job | None) -> Job:
    if job is None:
        raise _absent()
    return job


def _absent() -> NotFound:
    return NotFound("There is no such job here.")
