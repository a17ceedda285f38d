"""The edge: foreign names and pages stay out, bodies have an end, and browsers are told what they may do."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.edge import MAX_BODY_BYTES
from api.settings import ApiSettings
from ingest.errors import IndexDown
from tests.api.conftest import Client
from tests.fakes import FakeShelf

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8000", "", "[::2]", "::::"]
)
async def test_a_foreign_host_name_is_refused_on_loopback(client: Client, host: str) -> None:
    async with client() as http:
        told = await http.get("/healthz", headers={"host": host})
    assert (told.status_code, told.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:1", "[::1]:8000", "LOCALHOST"])
async def test_the_names_of_this_machine_are_answered(client: Client, host: str) -> None:
    async with client() as http:
        assert (await http.get("/healthz", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "https://[", "file://"]
)
async def test_a_page_of_another_origin_may_not_upload(client: Client, shelf: FakeShelf, origin: str) -> None:
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": ("x", b"x")}, headers={"origin": origin})
    assert told.status_code == 403
    assert shelf.came == []
    assert "access-control-allow-origin" not in told.headers


async def test_our_own_page_may(client: Client) -> None:
    async with client() as http:
        told = await http.post(
            "/v1/documents", files={"file": ("x", b"x")}, headers={"origin": "http://127.0.0.1:8000"}
        )
    assert told.status_code == 200


async def test_a_body_without_end_is_cut_off(client: Client) -> None:
    async with client() as http:
        told = await http.post("/v1/chat/completions", content=b"x" * (MAX_BODY_BYTES + 1))
    assert (told.status_code, told.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["/", "/healthz", "/web/main.js", "/nowhere", "/v1/documents"])
async def test_every_answer_tells_browsers_what_they_may_do(client: Client, path: str) -> None:
    async with client() as http:
        told = await http.get(path)
    policy = told.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert told.headers["x-content-type-options"] == "nosniff"
    assert told.headers["x-request-id"]


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/v1/nothing", "/web/../api/wiring.py", "/web/%2e%2e/app.py", "/v1/documents/", "/docs"],
)
async def test_what_is_not_there_is_a_problem(client: Client, path: str) -> None:
    async with client() as http:
        told = await http.get(path)
    assert told.status_code == 404
    assert told.json()["code"] == "not_found"


async def test_a_wrong_method_is_a_problem(client: Client) -> None:
    async with client() as http:
        told = await http.put("/v1/search")
    assert (told.status_code, told.headers["content-type"]) == (405, "application/problem+json")


async def test_a_request_id_is_kept_when_it_is_plain(client: Client) -> None:
    async with client() as http:
        kept = await http.get("/healthz", headers={"x-request-id": "abc-1"})
        replaced = await http.get("/healthz", headers={"x-request-id": "a b<script>"})
    assert kept.headers["x-request-id"] == "abc-1"
    assert "script" not in replaced.headers["x-request-id"]


async def test_an_index_server_that_is_down_is_told(client: Client, shelf: FakeShelf) -> None:
    shelf.error = IndexDown("The index server does not answer; start it.")
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": ("x", b"x")})
    assert (told.status_code, told.json()["code"]) == (503, "index_down")


async def test_an_unknown_error_is_a_problem_without_its_text(client: Client, shelf: FakeShelf) -> None:
    shelf.error = RuntimeError("secret in /etc")
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": ("x", b"x")})
    assert (told.status_code, told.json()["code"]) == (500, "internal")
    assert "secret" not in told.text
    assert told.json()["request_id"] == told.headers["x-request-id"]


async def test_the_page_loads_nothing_from_elsewhere(client: Client, tmp_path: Path) -> None:
    async with client(settings=ApiSettings(home=tmp_path)) as http:
        page = await http.get("/")
    assert "http://" not in page.text
    assert "https://" not in page.text
    for module in (Path(__file__).parents[2] / "api" / "web").glob("*.js"):
        assert "innerHTML" not in module.read_text()
        assert "https://" not in module.read_text()
