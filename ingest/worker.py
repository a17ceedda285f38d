"""A worker: claims jobs, runs each through the pipeline, and says how it ended.

Leases are renewed from a thread of its own, so that a busy event loop loses no job; what the store says is no
longer ours is cancelled here, and what it still writes is fenced off there. Tenants take turns at the readers
and at the embedder page by page (`fair.py`), and a tenant who has nothing under way gets a place of its own
beside the usual ones, so that nobody's one page waits for another's five thousand.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from ingest.errors import IngestError
from ingest.fair import on_behalf_of
from ingest.jobs import USUAL, Job, Jobs, Progress, Retry, Settlement
from ingest.pipeline import OnProgress, Stage
from ingest.records import Outcome, readers_key
from ingest.registry import Unsettled

log = logging.getLogger(__name__)

#: What is told of a job that something unplanned ended.
_BROKEN = "Something broke inside while it was read; the log of the worker says what."


class Adds(Protocol):
    """What shelves a file (`pipeline.Pipeline`)."""

    async def add(
        self,
        path: Path,
        *,
        name: str,
        tenant: str,
        collection: str,
        groups: Sequence[str] = (),
        key: str | None = None,
        on_progress: OnProgress | None = None,
        fence: int | None = None,
    ) -> Outcome:
        """Shelve one file."""
        ...

    async def leftovers(self) -> list[Unsettled]:
        """Return what was begun and never settled."""
        ...

    async def sweep(self, document_id: str, *, fence: int) -> None:
        """Clear such a thing away."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a worker works; times are seconds."""

    #: Jobs at once: two that are read, one that is embedded.
    side_by_side: int = 3
    #: Places beside those, each for a tenant who has nothing under way here.
    newcomers: int = 5
    #: Between two renewals of the leases; a third of a lease at most.
    beat_s: float = 3.0
    #: Between two looks for work that another process brought.
    idle_s: float = 0.5
    #: Between two notes of how far jobs are.
    report_s: float = 0.25
    #: Between two looks for what was left behind.
    sweep_s: float = 30.0
    #: What a stop allows jobs to end by themselves.
    grace_s: float = 2.0
    #: How long a settled job is remembered, and a failed one's file kept for another try.
    keep_s: float = 7 * 86_400.0


@dataclass(slots=True)
class _Held:
    """A job in hand."""

    job: Job
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    progress: Progress = field(default_factory=lambda: Progress(state="reading"))
    told: Progress | None = None
    #: Whether it is somebody else's by now.
    lost: bool = False

    def moved(self, stage: Stage, done: int, total: int) -> None:
        """Note how far it is; told to the store now and then."""
        now = replace(self.progress, waits_for=None)
        match stage:
            case "wait":
                now = replace(now, waits_for=None if done else "the model server")
            case "read":
                now = replace(now, state="reading", pages_done=done, pages_total=total)
            case "embed":
                now = replace(now, state="embedding", chunks_done=done, chunks_total=total)
            case "screen" | "shelve":
                now = replace(now, state="embedding")
        self.progress = now


class Worker:
    """Runs the jobs of one library until it is told to stop."""

    def __init__(
        self, *, jobs: Jobs, pipeline: Adds, pace: Pace | None = None, retry: Retry = USUAL, name: str = ""
    ) -> None:
        self._jobs = jobs
        self._pipeline = pipeline
        self._pace = pace or Pace()
        self._retry = retry
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._held: dict[str, _Held] = {}
        self._news = anyio.Event()
        self._look = threading.Event()
        self._stopping = False
        self._swept = 0.0

    async def run(self) -> None:
        """Work until `stop`, or until this task is cancelled; what is in hand then goes back to the queue."""
        beating = threading.Thread(target=self._beat, args=(asyncio.get_running_loop(),), daemon=True)
        beating.start()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._report)
                await self._claim_on(group)
                with anyio.move_on_after(self._pace.grace_s):
                    while self._held:
                        await self._wait(self._pace.idle_s)
                group.cancel_scope.cancel()
        finally:
            self._stopping = True
            self._look.set()
            await anyio.to_thread.run_sync(beating.join, abandon_on_cancel=False)

    def stop(self) -> None:
        """Claim nothing more, let jobs end that are about to, and give the others back."""
        self._stopping = True
        self.nudge()

    def nudge(self) -> None:
        """Look at once: there is work, or something was cancelled."""
        self._news.set()
        self._look.set()

    async def changed(self, *, within_s: float) -> None:
        """Wait until a job ended here, or for so long."""
        await self._wait(within_s)

    async def _wait(self, seconds: float) -> None:
        news = self._news
        with anyio.move_on_after(seconds):
            await news.wait()
        if self._news is news and news.is_set():
            self._news = anyio.Event()

    async def _claim_on(self, group: TaskGroup) -> None:
        while not self._stopping:
            try:
                job = await self._claim()
                if job is None:
                    await self._sweep_now_and_then()
            except IngestError as error:
                log.warning("no job could be claimed: %s", error.detail)
                job = None
            if job is None:
                await self._wait(self._pace.idle_s)
                continue
            held = self._held[job.id] = _Held(job)
            group.start_soon(self._run, held)

    async def _claim(self) -> Job | None:
        tenants = [held.job.tenant for held in self._held.values()]
        if any(held.job.deaths for held in self._held.values()):
            return None  # a suspect runs alone
        if len(tenants) < self._pace.side_by_side:
            return await self._jobs.claim(self.name, busy_with=tenants)
        if len(tenants) < self._pace.side_by_side + self._pace.newcomers:
            return await self._jobs.claim(self.name, busy_with=tenants, newcomer=True)
        return None

    async def _run(self, held: _Held) -> None:
        """Run one job to its end, whatever that is."""
        ended: Settlement | None = None
        try:
            with held.scope:
                ended = await self._add(held)
        finally:
            with anyio.CancelScope(shield=True):
                await self._end(held, ended)
            del self._held[held.job.id]
            self.nudge()

    async def _add(self, held: _Held) -> Settlement:
        job = held.job
        try:
            with on_behalf_of(job.tenant):
                outcome = await self._pipeline.add(
                    Path(job.path),
                    name=job.name,
                    tenant=job.tenant,
                    collection=job.collection,
                    groups=job.groups,
                    key=readers_key(job.name, job.groups),
                    on_progress=held.moved,
                    fence=job.token,
                )
        except Exception:  # the edge of the worker: one file's surprise ends no other's job
            log.exception("job %s broke", job.id)
            return Settlement(state="failed", outcome="failed", reason="internal", detail=_BROKEN)
        return settlement_of(outcome)

    async def _end(self, held: _Held, ended: Settlement | None) -> None:
        """Say how a job ended; None: it was cut off, because we stop or because it is no longer ours."""
        if held.lost:
            return
        try:
            if ended is None or ended.reason == "fenced":
                await self._jobs.give_back(held.job)
            elif not await self._again(held.job, ended):
                await self._jobs.settle(held.job, ended)
                await self._discard(held.job, ended)
        except IngestError as error:
            log.warning("job %s: its end could not be noted, it runs again: %s", held.job.id, error.detail)

    async def _again(self, job: Job, ended: Settlement) -> bool:
        """Queue a job again whose failure may pass."""
        if ended.state != "failed":
            return False
        reason = ended.reason or "internal"
        if reason in self._retry.waits:
            pause_s = self._retry.pause_s(job.tries)
            await self._jobs.give_back(job, pause_s=pause_s, waits_for=self._retry.waits[reason])
            return True
        if reason in self._retry.passing and job.tries + 1 < self._retry.tries:
            await self._jobs.give_back(job, pause_s=self._retry.pause_s(job.tries), error=ended)
            return True
        return False

    async def _discard(self, job: Job, ended: Settlement) -> None:
        """Remove an upload that is on the shelf; a failed one stays for another try."""
        if job.ours and ended.state != "failed":
            await anyio.Path(job.path).unlink(missing_ok=True)

    async def _report(self) -> None:
        while True:
            await anyio.sleep(self._pace.report_s)
            for held in list(self._held.values()):
                if held.progress != held.told:
                    told = held.progress
                    try:
                        if not await self._jobs.progress(held.job, told):
                            self._drop({held.job.id: held.job.token})
                        held.told = told
                    except IngestError as error:
                        log.warning("job %s: progress is not noted: %s", held.job.id, error.detail)

    async def _sweep_now_and_then(self) -> None:
        """Clear away what overtaken and cancelled jobs left, and forget what settled long ago."""
        if time.monotonic() - self._swept < self._pace.sweep_s:
            return
        self._swept = time.monotonic()
        mine = {held.job.document_id for held in self._held.values()}
        for one in await self._pipeline.leftovers():
            if one.document_id not in mine and not await self._jobs.holds(one.token):
                await self._pipeline.sweep(one.document_id, fence=await self._jobs.token())
        for job in await self._jobs.purge(settled_before=time.time() - self._pace.keep_s):
            if job.ours:
                await anyio.Path(job.path).unlink(missing_ok=True)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Renew the leases, in a thread: a loop that is busy for a minute has not died."""
        while True:
            self._look.wait(self._pace.beat_s)
            self._look.clear()
            if self._stopping and not self._held:
                return
            tokens = {held.job.id: held.job.token for held in list(self._held.values())}
            try:
                lost = self._jobs.beat(tokens) if tokens else frozenset[str]()
            except IngestError as error:
                log.warning("leases are not renewed: %s", error.detail)
                continue
            if lost and not loop.is_closed():
                loop.call_soon_threadsafe(self._drop, {one: tokens[one] for one in lost})

    def _drop(self, lost: dict[str, int]) -> None:
        """Let go of what is no longer ours."""
        for job_id, token in lost.items():
            held = self._held.get(job_id)
            if held is not None and held.job.token == token:
                held.lost = True
                held.scope.cancel()


def settlement_of(outcome: Outcome) -> Settlement:
    """Say as the end of a job what became of its file."""
    kind = outcome.outcome
    return Settlement(
        state=kind if kind == "failed" or kind == "quarantined" else "shelved",
        outcome=outcome.outcome,
        reason=outcome.reason,
        page_no=outcome.page_no,
        detail=outcome.detail,
        pages=outcome.pages,
        chunks=outcome.chunks,
    )
