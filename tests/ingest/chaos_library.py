"""A library that is killed: run as a program it takes up what is queued and works until nothing is left.

Index, registry, jobs and checkpoints are the real ones; pages and vectors take a fixed time each. Each page
that is begun is noted in `read.log`, each document that is seen half in `half.log`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from ingest.checkpoints import Checkpoint, Checkpoints
from ingest.child import Draft
from ingest.index_edge import EdgeIndex
from ingest.jobs import NewJob
from ingest.jobs_sql import SqlJobs, open_jobs
from ingest.pipeline import Pipeline
from ingest.records import Element, Page, Reading, Scope
from ingest.registry import Registry
from ingest.settings import IngestSettings
from ingest.sources import Source, fingerprint
from ingest.worker import Pace, Worker
from tests.ingest.shelf_fakes import FakeEmbedder, FakeReader, FakeScreen

SCOPE = Scope(tenant="acme", collections=("hr",))
PAGE_S, TEXT_S = 0.004, 0.004


def note(path: Path, line: str) -> None:
    """Append a line that a kill cannot tear."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


class Reader(FakeReader):
    """Reads a page at a time, and none twice that is kept. "poison" ends the process."""

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.log = log

    async def read_alone(
        self,
        source: Source,
        *,
        pages_dir: Path,
        on_page: Callable[[int, int], None],
        on_wait: Callable[[bool], None] | None = None,
        kept: Checkpoint | None = None,
    ) -> Reading:
        assert kept is not None
        sheets = (await anyio.Path(source.path).read_text()).split("\f")
        pages = []
        for no, text in enumerate(sheets, start=1):
            if kept.page("page", no) is None:
                note(self.log, f"{source.revision} {no}")
                if "poison" in text:
                    os.kill(os.getpid(), 9)
                await anyio.sleep(PAGE_S)
                draft = Draft(no=no, width_pt=1, height_pt=1, read_by="file", reason="text")
                await kept.keep_pages("page", [draft])
            element = Element(kind="paragraph", text=text, spans=())
            pages.append(
                Page(no=no, width_pt=1, height_pt=1, read_by="file", reason="text", elements=(element,))
            )
            on_page(no, len(sheets))
        return Reading(name=source.name, outcome="ok", pages=tuple(pages))


class Embedder(FakeEmbedder):
    """Embeds a few texts at a time, each in a fixed time."""

    def batches(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(range(at, min(at + 2, len(texts)))) for at in range(0, len(texts), 2)]

    async def embed(self, texts: Sequence[str]):  # type: ignore[no-untyped-def]
        await anyio.sleep(TEXT_S * len(texts))
        return await super().embed(texts)


def documents(count: int) -> dict[str, str]:
    """Write the batch: one to five pages each, the same every time."""
    return {
        f"{n:02}.txt": "\f".join(f"Page {p} of file {n}." for p in range(n % 5 + 1)) for n in range(count)
    }


async def enqueue(home: Path, texts: dict[str, str]) -> None:
    """Queue the batch."""
    jobs = open_jobs(home / "jobs.sqlite")
    new = []
    for name, text in texts.items():
        path = home / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        revision, size = fingerprint(path)
        new.append(
            NewJob(tenant="acme", collection="hr", name=name, path=str(path), revision=revision, bytes=size)
        )
    await jobs.enqueue(new)
    await jobs.close()


async def shelved(index: EdgeIndex, registry: Registry) -> list[str]:
    """Name what can be found: a line a chunk, with its id and text."""
    found = []
    for document in await registry.list(scope=SCOPE):
        chunks = await index.chunks(document_id=document.id, revision=document.revision)
        found += [f"{document.name} {document.pages} {c.page_no} {c.id} {c.text}" for c in chunks]
    return sorted(found)


async def look(home: Path, index: EdgeIndex, registry: Registry) -> None:
    """Look again and again for a document that is half there."""
    while True:
        for document in await registry.list(scope=SCOPE):
            chunks = await index.chunks(document_id=document.id, revision=document.revision)
            if len(chunks) != document.chunks:
                note(home / "half.log", f"{document.name} {len(chunks)} of {document.chunks}")
        await anyio.sleep(0.1)


async def work(home: Path) -> None:
    """Take up what is queued, until nothing is left; then say what can be found."""
    index = EdgeIndex.open(home / "index", vector_name="fake", dimensions=32)
    registry = Registry.open(home / "registry.sqlite")
    jobs: SqlJobs = open_jobs(home / "jobs.sqlite")
    pipeline = Pipeline(
        reader=Reader(home / "read.log"),
        embedder=Embedder(),
        index=index,
        registry=registry,
        files=home / "files",
        screen=FakeScreen(),
        settings=IngestSettings(),
        checkpoints=Checkpoints(home / "checkpoints"),
    )
    await jobs.expire()
    await pipeline.recover()
    worker = Worker(jobs=jobs, pipeline=pipeline, pace=Pace(idle_s=0.02, report_s=0.02))
    working = asyncio.create_task(worker.run())
    looking = asyncio.create_task(look(home, index, registry))
    note(home / "ready.log", "ready")
    while set(await jobs.counts(tenant="acme")) & {"queued", "reading", "embedding"}:  # noqa: ASYNC110
        await anyio.sleep(0.02)
    worker.stop()
    await working
    looking.cancel()
    lines = await shelved(index, registry)
    told = [f"points {await index.count()}", f"jobs {dict(await jobs.counts(tenant='acme'))}", *lines]
    text = "\n".join(told)
    # Anew, where a kill came after the end.
    (home / "end.log").unlink(missing_ok=True)
    note(home / "end.log", text)
    await index.close()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))
