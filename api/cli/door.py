"""The way to a library: through the running server of its home when there is one, else by opening it here.

The index belongs to one process at a time: while `pagewarden serve` runs, every other verb goes through it.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.records import Question, Released, Step
from api.errors import KINDS, ApiError
from api.house import House, Incoming
from api.schemas import (
    AnswerOut,
    CitationOut,
    DocumentOut,
    DocumentsOut,
    HitsOut,
    JobOut,
    JobsOut,
    OutcomeOut,
    OutcomesOut,
    RemovedOut,
    StatusOut,
    ThreadOut,
    ThreadsOut,
    answer_out,
    citation_out,
    document_out,
    hits_out,
    job_out,
    thread_out,
)
from api.settings import ApiSettings
from api.status import status_of
from ingest.jobs import JobState
from ingest.records import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from api.cli.gather import Given
    from ingest.turns import Reasoning

SERVER_FILE = "server.json"
#: The channel of a library opened here, as policies name it; through a server it is "http".
CLI = "cli"
#: A server that is alive answers /healthz at once; a busy one is given time.
_HEALTH_TIMEOUT_S = 3.0
#: Reading and embedding a large file takes its time; the server's own limits end it.
_WORK_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True)
class StepTold:
    """A step of an answer."""

    label: str
    ms: float


@dataclass(frozen=True, slots=True)
class SentenceTold:
    """A released sentence and the citations that are new with it."""

    text: str
    citations: tuple[int, ...]
    fresh: tuple[CitationOut, ...]


Told = StepTold | SentenceTold | AnswerOut


class Running(BaseModel):
    """What a server writes into its home, so that others find it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    pid: int
    instance: str


class ServerDown(ApiError):
    """The running server broke off, or said no in a way of its own."""

    code = "server_down"


class ServerSays(ApiError):
    """The running server told a problem; it is told on as it is."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code if code in KINDS else "internal"


class Door(Protocol):
    """What a verb can do with a library, wherever it is open."""

    #: Where pages can be looked at; None while no server runs.
    url: str | None
    #: Files that are best enqueued at once.
    batch: int

    def ask(
        self,
        question: str,
        *,
        documents: Sequence[str] | None,
        thread: str | None,
        reasoning: Reasoning | None,
    ) -> AsyncGenerator[Told, None]:
        """Yield steps and sentences, then the answer."""
        ...

    async def search(self, query: str, *, limit: int, documents: Sequence[str] | None) -> HitsOut:
        """Find passages."""
        ...

    async def enqueue(self, files: Sequence[Given]) -> list[JobOut | OutcomeOut]:
        """Take files as jobs; the outcome of one that ended on the way."""
        ...

    async def jobs(
        self, *, states: Sequence[JobState] = (), since: int | None = None, limit: int = 1000
    ) -> JobsOut:
        """List jobs, those that changed last first; with `since`, what changed after it, in that order."""
        ...

    async def job(self, job_id: str) -> JobOut | None:
        """Return a job; None: there is none."""
        ...

    async def change_job(self, job_id: str, how: Literal["cancel", "retry"]) -> JobOut | None:
        """Cancel a job or try it again; None: there is none."""
        ...

    async def remove(self, document_id: str) -> bool:
        """Take a document off the shelf; False: there is none."""
        ...

    async def documents(self) -> list[DocumentOut]:
        """List the documents."""
        ...

    async def threads(self) -> list[str]:
        """List the conversations that are kept."""
        ...

    async def thread(self, name: str) -> ThreadOut:
        """Return a conversation; without turns where there is none."""
        ...

    async def forget(self, name: str) -> bool:
        """Delete a conversation; False: there is none."""
        ...

    async def status(self) -> StatusOut:
        """Say what the house has, holds and lacks."""
        ...


@asynccontextmanager
async def open_door(settings: ApiSettings) -> AsyncGenerator[Door]:
    """Go through the running server of this home, or open the library here. Raises Locked, WeightsMissing."""
    running = await find_server(settings)
    if running is not None:
        async with _client(settings, running.url) as client:
            yield RemoteDoor(client, running.url)
        return
    from api.wiring import open_house

    async with open_house(settings) as house:
        yield LocalDoor(house, settings)


async def find_server(settings: ApiSettings) -> Running | None:
    """Return the server of this home if it answers as the very one that wrote the file."""
    try:
        running = Running.model_validate_json((settings.home / SERVER_FILE).read_bytes())
        async with httpx2.AsyncClient(timeout=_HEALTH_TIMEOUT_S, trust_env=False) as client:
            told = (await client.get(f"{running.url}/healthz")).json()
    except (OSError, ValidationError, ValueError, httpx2.HTTPError):
        return None
    return running if told.get("instance") == running.instance else None


def announce(home: Path, running: Running) -> None:
    """Write the server's address into its home, readable by this user only."""
    home.mkdir(parents=True, exist_ok=True)
    path = home / SERVER_FILE
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(running.model_dump_json())


def withdraw(home: Path, running: Running) -> None:
    """Remove the address, unless another server has written its own since."""
    path = home / SERVER_FILE
    with suppress(FileNotFoundError, ValidationError):
        if Running.model_validate_json(path.read_bytes()).instance == running.instance:
            path.unlink()


class LocalDoor:
    """A library opened in this process."""

    url: str | None = None
    batch = 100

    def __init__(self, house: House, settings: ApiSettings) -> None:
        self.house = house
        self._settings = settings

    async def scope(self, documents: Sequence[str] | None = None) -> Scope:
        """Return the owner's scope, narrowed to `documents`."""
        tenant = self._settings.tenant
        held = await self.house.shelf.collections(tenant=tenant)
        collections = tuple(sorted({self._settings.collection, *held}))
        narrowed = None if documents is None else tuple(documents)
        return Scope(tenant=tenant, collections=collections, documents=narrowed)

    async def ask(
        self,
        question: str,
        *,
        documents: Sequence[str] | None,
        thread: str | None,
        reasoning: Reasoning | None,
    ) -> AsyncGenerator[Told, None]:
        scope = await self.scope(documents)
        asked = Question(text=question, scope=scope, thread_id=thread, channel=CLI, reasoning=reasoning)
        async with aclosing(self.house.agent.ask(asked)) as events:
            async for event in events:
                if isinstance(event, Step):
                    yield StepTold(event.label, event.ms)
                elif isinstance(event, Released):
                    fresh = tuple(citation_out(c) for c in event.new_citations)
                    yield SentenceTold(event.sentence.text, event.sentence.citations, fresh)
                else:
                    yield answer_out(event)

    async def search(self, query: str, *, limit: int, documents: Sequence[str] | None) -> HitsOut:
        found = await self.house.agent.search(
            query, scope=await self.scope(documents), limit=limit, channel=CLI
        )
        return hits_out(found)

    async def enqueue(self, files: Sequence[Given]) -> list[JobOut | OutcomeOut]:
        tenant, usual = self._settings.tenant, self._settings.collection
        taken = await self.house.intake.enqueue(
            [
                Incoming(
                    path=one.path,
                    name=one.name,
                    tenant=tenant,
                    collection=one.collection or usual,
                    groups=one.groups,
                )
                for one in files
            ]
        )
        return [job_out(job) for job in taken]

    async def jobs(
        self, *, states: Sequence[JobState] = (), since: int | None = None, limit: int = 1000
    ) -> JobsOut:
        tenant = self._settings.tenant
        jobs = await self.house.jobs.listed(tenant=tenant, states=states, since=since, limit=limit)
        counts = await self.house.jobs.counts(tenant=tenant)
        return JobsOut(jobs=[job_out(job) for job in jobs], counts=dict(counts))

    async def job(self, job_id: str) -> JobOut | None:
        job = await self.house.jobs.get(job_id, tenant=self._settings.tenant)
        return None if job is None else job_out(job)

    async def change_job(self, job_id: str, how: Literal["cancel", "retry"]) -> JobOut | None:
        # Nobody works on in here: a job that is tried again waits for `serve` or `add`.
        change = self.house.intake.cancel if how == "cancel" else self.house.jobs.retry
        job = await change(job_id, tenant=self._settings.tenant)
        return None if job is None else job_out(job)

    async def remove(self, document_id: str) -> bool:
        return await self.house.shelf.remove(document_id, scope=await self.scope())

    async def documents(self) -> list[DocumentOut]:
        return [document_out(d) for d in await self.house.shelf.documents(scope=await self.scope())]

    async def threads(self) -> list[str]:
        return await self.house.agent.threads(scope=await self.scope())

    async def thread(self, name: str) -> ThreadOut:
        return thread_out(name, await self.house.agent.thread(name, scope=await self.scope()))

    async def forget(self, name: str) -> bool:
        return await self.house.agent.forget(name, scope=await self.scope())

    async def status(self) -> StatusOut:
        return await status_of(self.house, scope=await self.scope())


class RemoteDoor:
    """A library that a running server holds open."""

    batch = 4

    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        self.url: str | None = url
        self._client = client

    async def ask(
        self,
        question: str,
        *,
        documents: Sequence[str] | None,
        thread: str | None,
        reasoning: Reasoning | None,
    ) -> AsyncGenerator[Told, None]:
        own = {"documents": documents, "thread_id": thread, "reasoning": reasoning}
        body = {
            "model": "pagewarden",
            "stream": True,
            "messages": [{"role": "user", "content": question}],
            "pagewarden": own,
        }
        async with aclosing(self._chunks(body)) as chunks:
            async for chunk in chunks:
                if "event" in chunk and chunk["event"]["data"].get("done") is False:
                    yield StepTold(chunk["event"]["data"]["description"], chunk["event"]["data"]["ms"])
                if "released" in chunk:
                    told = chunk["released"]
                    fresh = tuple(CitationOut.model_validate(c) for c in told["new_citations"])
                    yield SentenceTold(told["text"], tuple(told["citations"]), fresh)
                if "pagewarden" in chunk:
                    yield AnswerOut.model_validate(chunk["pagewarden"])
                    return
        raise ServerDown("The server broke the answer off; its own output says why.")

    async def search(self, query: str, *, limit: int, documents: Sequence[str] | None) -> HitsOut:
        body = {"query": query, "limit": limit, "documents": documents}
        return HitsOut.model_validate(await self._call("POST", "/v1/search", json=body))

    async def enqueue(self, files: Sequence[Given]) -> list[JobOut | OutcomeOut]:
        return [await self._upload(one) for one in files]

    async def jobs(
        self, *, states: Sequence[JobState] = (), since: int | None = None, limit: int = 1000
    ) -> JobsOut:
        asked: dict[str, object] = {"limit": limit, "state": list(states)}
        asked |= {} if since is None else {"since": since}
        return JobsOut.model_validate(await self._call("GET", "/v1/jobs", params=asked))

    async def job(self, job_id: str) -> JobOut | None:
        return await self._job("GET", f"/v1/jobs/{job_id}")

    async def change_job(self, job_id: str, how: Literal["cancel", "retry"]) -> JobOut | None:
        return await self._job("POST", f"/v1/jobs/{job_id}/{how}")

    async def _job(self, method: str, path: str) -> JobOut | None:
        try:
            return JobOut.model_validate(await self._call(method, path))
        except ServerSays as error:
            if error.code == "not_found":
                return None
            raise

    async def _upload(self, given: Given) -> JobOut | OutcomeOut:
        path, name, collection, groups = given.path, given.name, given.collection, given.groups
        fields = {} if collection is None else {"collection": collection}
        if groups:
            fields["groups"] = ",".join(groups)
        try:
            with path.open("rb") as file:
                files = {"file": (name, file, "application/octet-stream")}
                told = await self._call("POST", "/v1/documents?wait=0", data=fields, files=files)
        except OSError as error:
            return OutcomeOut(
                id=None,
                name=name,
                outcome="failed",
                reason="missing",
                detail=f"{path} does not open: {error.strerror}.",
                pages=0,
                chunks=0,
            )
        if "jobs" in told:
            return JobsOut.model_validate(told).jobs[0]
        return OutcomesOut.model_validate({"documents": told["documents"]}).documents[0]

    async def remove(self, document_id: str) -> bool:
        return await self._removed(f"/v1/documents/{document_id}")

    async def documents(self) -> list[DocumentOut]:
        return DocumentsOut.model_validate(await self._call("GET", "/v1/documents")).documents

    async def threads(self) -> list[str]:
        return ThreadsOut.model_validate(await self._call("GET", "/v1/threads")).threads

    async def thread(self, name: str) -> ThreadOut:
        try:
            return ThreadOut.model_validate(await self._call("GET", f"/v1/threads/{name}"))
        except ServerSays as error:
            if error.code == "not_found":
                return ThreadOut(id=name, turns=[])
            raise

    async def forget(self, name: str) -> bool:
        return await self._removed(f"/v1/threads/{name}")

    async def _removed(self, path: str) -> bool:
        try:
            told = await self._call("DELETE", path)
        except ServerSays as error:
            if error.code == "not_found":
                return False
            raise
        return bool(RemovedOut.model_validate(told).removed)

    async def status(self) -> StatusOut:
        return StatusOut.model_validate(await self._call("GET", "/v1/status"))

    async def _call(self, method: str, path: str, **body: Any) -> Any:
        try:
            response = await self._client.request(method, path, **body)
            told = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise ServerDown("The running server does not answer as it should; restart it.") from error
        if response.is_error and "documents" not in told:
            raise ServerSays(told.get("code", "internal"), told.get("detail", "The server failed."))
        return told

    async def _chunks(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        try:
            async with self._client.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.is_error:
                    raise _openai_problem(json.loads(await response.aread()))
                lines: AsyncIterator[str] = response.aiter_lines()
                async for line in lines:
                    if not line.startswith("data: ") or line == "data: [DONE]":
                        continue
                    chunk = json.loads(line.removeprefix("data: "))
                    if "error" in chunk:
                        raise _openai_problem(chunk)
                    yield chunk
        except (httpx2.HTTPError, ValueError) as error:
            raise ServerDown("The running server broke off; its own output says why.") from error


def _openai_problem(told: dict[str, Any]) -> ServerSays:
    return ServerSays(told["error"]["code"], told["error"]["message"])


def _client(settings: ApiSettings, url: str) -> httpx2.AsyncClient:
    headers = {}
    if settings.api_key is not None:
        headers["authorization"] = f"Bearer {settings.api_key.get_secret_value()}"
    return httpx2.AsyncClient(base_url=url, headers=headers, timeout=_WORK_TIMEOUT_S, trust_env=False)
