"""Jobs over HTTP: at once or after a while, one list a tenant, and the same 404 for all that is not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from api.settings import ApiSettings
from ingest.jobs import NewJob
from ingest.records import Outcome
from tests.api.conftest import Client
from tests.api.test_schemas import check
from tests.fakes import FakeShelf

pytestmark = pytest.mark.anyio

ENCRYPTED = Outcome(
    name="x.pdf", outcome="failed", reason="encrypted", page_no=None, detail="Remove the password."
)


async def upload(http: httpx2.AsyncClient, name: str = "x.pdf", **headers: str) -> httpx2.Response:
    return await http.post("/v1/documents", files={"file": (name, b"%PDF")}, headers=headers)


@pytest.fixture
def slow(shelf: FakeShelf) -> FakeShelf:
    shelf.slow = True
    return shelf


@pytest.mark.parametrize("how", ["?wait=0", "prefer"])
async def test_who_does_not_wait_gets_the_job(client: Client, slow: FakeShelf, how: str) -> None:
    async with client() as http:
        headers = {"prefer": "respond-async"} if how == "prefer" else {}
        path = "/v1/documents" + (how if how != "prefer" else "")
        told = await http.post(path, files={"file": ("x.pdf", b"%PDF")}, headers=headers)
        assert told.status_code == 202
        check("jobs", told.json())
        (job,) = told.json()["jobs"]
        assert (job["state"], job["name"], told.headers["location"]) == (
            "queued",
            "x.pdf",
            f"/v1/jobs/{job['id']}",
        )
        one = await http.get(told.headers["location"])
    check("job", one.json())
    assert slow.waited == [0.0]


async def test_who_waits_long_enough_gets_the_job_too(
    client: Client, slow: FakeShelf, settings: ApiSettings
) -> None:
    async with client() as http:
        assert (await upload(http)).status_code == 202
        assert (await http.post("/v1/documents?wait=3000", files={"file": ("y", b"y")})).status_code == 202
    assert slow.waited == [settings.upload_wait_s] * 2


async def test_a_failed_job_tells_why_and_is_tried_again(client: Client, shelf: FakeShelf) -> None:
    shelf.refusals["x.pdf"] = ENCRYPTED
    async with client() as http:
        assert (await upload(http)).status_code == 422
        told = (await http.get("/v1/jobs?state=failed")).json()
        check("jobs", told)
        (job,) = told["jobs"]
        assert (job["reason"], job["detail"], told["counts"]) == (
            "encrypted",
            "Remove the password.",
            {"failed": 1},
        )
        again = await http.post(f"/v1/jobs/{job['id']}/retry")
    assert (again.status_code, again.json()["state"]) == (200, "queued")


async def test_a_job_that_waits_is_cancelled_and_one_that_is_done_stays(
    client: Client, slow: FakeShelf
) -> None:
    async with client() as http:
        job = (await upload(http)).json()["jobs"][0]
        assert (await http.post(f"/v1/jobs/{job['id']}/cancel")).json()["state"] == "cancelled"
        other = (await upload(http, "y.pdf")).json()["jobs"][0]
        await slow.work(Outcome(name="y.pdf", outcome="added", pages=3, chunks=4))
        assert (await http.post(f"/v1/jobs/{other['id']}/cancel")).json()["state"] == "shelved"
        assert (await http.get("/v1/jobs")).json()["counts"] == {"shelved": 1, "cancelled": 1}


async def test_what_changed_since_the_last_look_comes_in_order(client: Client, slow: FakeShelf) -> None:
    async with client() as http:
        for name in ("a", "b", "c"):
            await upload(http, name)
        jobs = (await http.get("/v1/jobs?since=0")).json()["jobs"]
        assert [job["name"] for job in jobs] == ["a", "b", "c"]
        assert (await http.get(f"/v1/jobs?since={jobs[-1]['changed']}")).json()["jobs"] == []
        assert [job["name"] for job in (await http.get("/v1/jobs?limit=1")).json()["jobs"]] == ["c"]


@pytest.mark.parametrize("job_id", ["x", "00000000-0000-0000-0000-000000000000", "%00", "a" * 5000, "*"])
@pytest.mark.parametrize("method", ["GET", "cancel", "retry", "events"])
async def test_foreign_absent_and_odd_jobs_look_the_same(
    client: Client, shelf: FakeShelf, tmp_path: Path, job_id: str, method: str
) -> None:
    foreign = NewJob(tenant="other", collection="c", name="secret.pdf", path="/x", revision="r", bytes=1)
    (theirs,) = await shelf.jobs.enqueue([foreign])
    answers = []
    async with client() as http:
        for one in (job_id, theirs.id):
            if method == "GET":
                answers.append(await http.get(f"/v1/jobs/{one}"))
            elif method == "events":
                answers.append(await http.get(f"/v1/jobs/events?job={one}"))
            else:
                answers.append(await http.post(f"/v1/jobs/{one}/{method}"))
        listed = (await http.get("/v1/jobs")).json()
    assert {(told.status_code, told.json()["detail"]) for told in answers} == {
        (404, "There is no such job here.")
    }
    assert listed == {"jobs": [], "counts": {}}


async def lines(told: httpx2.Response) -> AsyncIterator[dict[str, object]]:
    async for line in told.aiter_lines():
        if line.startswith("data: {"):
            yield json.loads(line.removeprefix("data: "))


async def test_the_events_of_a_job_end_with_it(client: Client, slow: FakeShelf) -> None:
    async with client() as http:
        job = (await upload(http)).json()["jobs"][0]
        await slow.work(Outcome(name="x.pdf", outcome="added", pages=3, chunks=4))
        async with http.stream("GET", f"/v1/jobs/events?job={job['id']}") as told:
            seen = [one async for one in lines(told)]
    assert [one["state"] for one in seen] == ["shelved"]
    check("job", seen[-1])


@pytest.mark.parametrize("query", ["state=nonsense", "since=-1", "limit=0", "limit=1001"])
async def test_what_does_not_fit_is_refused(client: Client, query: str) -> None:
    async with client() as http:
        assert (await http.get(f"/v1/jobs?{query}")).status_code in (400, 422)
