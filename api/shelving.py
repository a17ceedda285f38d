"""The shelf behind the doors: files become jobs, a worker in this process runs them, and removals fence both.

An upload belongs to its job and lies in `incoming/` until it is shelved; a file named by its path stays where
it is and is read from there.
"""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio
import anyio.to_thread

from api.house import Incoming
from ingest.jobs import Job, Jobs, NewJob
from ingest.records import Document, Outcome, Scope
from ingest.sources import fingerprint

if TYPE_CHECKING:
    from ingest.pipeline import Pipeline
    from ingest.registry import Registry
    from ingest.worker import Worker

log = logging.getLogger(__name__)

#: Between two looks at a job that somebody waits for.
_LOOK_S = 0.2


class Shelving:
    """The `Shelf` and `Intake` of `house.py`."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        registry: Registry,
        jobs: Jobs,
        worker: Worker,
        incoming: Path,
        work: Literal["inside", "apart"],
    ) -> None:
        self._pipeline, self._registry, self._jobs = pipeline, registry, jobs
        self._worker, self._incoming, self._work = worker, incoming, work
        self._working: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def crew(self) -> AsyncGenerator[None]:
        """Keep a worker ready that starts with the first job that comes, or when told to."""
        try:
            yield
        finally:
            self._worker.stop()
            if self._working is not None:
                await asyncio.gather(self._working, return_exceptions=True)

    def begin(self) -> None:
        """Start the worker: what was left over from before is taken up."""
        if self._working is None:
            self._working = asyncio.create_task(self._worker.run())
            self._working.add_done_callback(_say_if_broken)

    async def _wait(self) -> None:
        """Wait for news. Raises what ended the worker: nobody waits for a job that nobody runs."""
        await self._worker.changed(within_s=_LOOK_S)
        if self._working is not None and self._working.done():
            await self._working

    async def enqueue(self, files: Sequence[Incoming]) -> list[Job]:
        """Take files as jobs, in one commit, and see that somebody works."""
        wanted = [await anyio.to_thread.run_sync(self._wanted, one) for one in files]
        jobs = await self._jobs.enqueue(wanted)
        await anyio.to_thread.run_sync(partial(_drop_doubles, wanted, jobs))
        if self._work == "inside":
            self.begin()
        self._worker.nudge()
        return jobs

    async def settled(self, jobs: Sequence[Job], *, within_s: float) -> list[Job]:
        """Return the jobs as they stand once all are settled, or after so long."""
        with anyio.move_on_after(within_s):
            while not all(job.is_settled for job in jobs):
                await self._wait()
                jobs = await self._now(jobs)
        return list(jobs)

    async def cancel(self, job_id: str, *, tenant: str) -> Job | None:
        """Cancel a job; one whose document is on the shelf already stays as it is."""
        job = await self._jobs.get(job_id, tenant=tenant)
        if job is None or job.is_settled:
            return job
        await self._pipeline.fence_off(job.document_id, fence=await self._jobs.token())
        live = await self._registry.shelved(job.document_id)
        if live and live.document.revision == job.revision and live.document.added_at >= job.created_at:
            return job
        cancelled = await self._jobs.cancel(job_id, tenant=tenant)
        self._worker.nudge()
        return cancelled

    async def retry(self, job_id: str, *, tenant: str) -> Job | None:
        """Queue a job again, and see that somebody works."""
        job = await self._jobs.retry(job_id, tenant=tenant)
        if self._work == "inside":
            self.begin()
        self._worker.nudge()
        return job

    async def add(
        self, path: Path, *, name: str, tenant: str, collection: str, groups: Sequence[str] = ()
    ) -> Outcome:
        """Take one file and wait for what becomes of it."""
        file = Incoming(path=path, name=name, tenant=tenant, collection=collection, groups=tuple(groups))
        (job,) = await self.settled(await self.enqueue([file]), within_s=math.inf)
        return outcome_of(job)

    async def remove(self, document_id: str, *, scope: Scope) -> bool:
        """Take a document off the shelf, and what is under way for it out of the queue."""
        if await self._registry.get(document_id, scope=scope) is None:
            return await self._pipeline.remove(document_id, scope=scope, fence=await self._jobs.token())
        fence = await self._jobs.withdraw(document_id)
        self._worker.nudge()
        return await self._pipeline.remove(document_id, scope=scope, fence=fence)

    async def document(self, document_id: str, *, scope: Scope) -> Document | None:
        """Return a document; None: absent or not allowed."""
        return await self._registry.get(document_id, scope=scope)

    async def page_images(self, document_id: str, *, scope: Scope) -> list[int]:
        """Number the pages that have an image."""
        return [page.no for page in await self._registry.pages(document_id, scope=scope) if page.has_image]

    async def scenes(self, document_id: str, *, scope: Scope) -> dict[int, tuple[float, float]]:
        """Return the seconds at which the scenes of a film begin and end, by page."""
        return {
            page.no: (page.start_s, page.end_s)
            for page in await self._registry.pages(document_id, scope=scope)
            if page.start_s is not None and page.end_s is not None
        }

    async def documents(self, *, scope: Scope) -> list[Document]:
        """List what the scope allows."""
        return list(await self._registry.list(scope=scope))

    async def collections(self, *, tenant: str) -> tuple[str, ...]:
        """Return the collections of a tenant."""
        return await self._registry.collections(tenant=tenant)

    async def stored(self, *, tenant: str) -> int:
        """Return the bytes of a tenant's documents."""
        return await self._registry.stored(tenant=tenant)

    async def _now(self, jobs: Sequence[Job]) -> list[Job]:
        """Look at the jobs again; one that is forgotten meanwhile stays as it was."""
        found = [job if job.is_settled else await self._jobs.get(job.id, tenant=job.tenant) for job in jobs]
        return [now or before for now, before in zip(found, jobs, strict=True)]

    def _wanted(self, file: Incoming) -> NewJob:
        """Make a job of a file; an upload moves to where the job keeps it. Blocks."""
        revision, size = fingerprint(file.path)
        wanted = NewJob(
            tenant=file.tenant,
            collection=file.collection,
            name=file.name,
            path=str(file.path.absolute()),
            revision=revision,
            bytes=size,
            groups=file.groups,
            ours=file.ours,
            key=file.key,
        )
        if not file.ours:
            return wanted
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = self._incoming / f"{wanted.id}{file.path.suffix}"
        shutil.move(file.path, kept)
        return replace(wanted, path=str(kept.absolute()))


def _drop_doubles(wanted: Sequence[NewJob], jobs: Sequence[Job]) -> None:
    """Remove uploads that no job will read: theirs was settled before, by its idempotency key."""
    for new, job in zip(wanted, jobs, strict=True):
        if new.ours and job.is_settled:
            Path(new.path).unlink(missing_ok=True)


def _say_if_broken(working: asyncio.Task[None]) -> None:
    if not working.cancelled() and working.exception() is not None:
        log.error("the worker broke; jobs wait until the next start", exc_info=working.exception())


def outcome_of(job: Job) -> Outcome:
    """Say of a job what became of its file."""
    return Outcome(
        name=job.name,
        outcome=job.outcome or "failed",
        id=job.document_id,
        reason=job.reason,
        page_no=job.page_no,
        detail=job.detail,
        pages=job.pages_done if job.outcome in ("added", "updated", "unchanged") else 0,
        chunks=job.chunks,
    )
