"""Who may call what: every route of the app, for every kind of caller; a new route without an entry fails."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from api.app import create_app
from api.auth import POLICY, Caller
from api.house import House
from api.settings import ApiSettings
from tests.api.conftest import Client
from tests.fakes import FakeAgent, a_house

pytestmark = pytest.mark.anyio

KEY = "a-key-of-enough-length"
OPEN = {route for route, role in POLICY.items() if role is None}
#: Told to this machine without a key; who else may ask for it is tried in `test_telemetry.py`.
METRICS = ("GET", "/metrics")
GUARDED = set(POLICY) - OPEN - {METRICS}


def routes() -> set[tuple[str, str]]:
    app = create_app(a_house(), settings=ApiSettings())
    spec = app.openapi()
    return {(method.upper(), path) for path, methods in spec["paths"].items() for method in methods}


def test_every_route_has_an_entry_in_the_policy_and_only_these_are_open() -> None:
    assert routes() == set(POLICY) - {("GET", "/"), ("POST", "/mcp"), METRICS}
    assert {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/")} == OPEN


async def test_a_route_without_an_entry_opens_for_nobody(house: House, settings: ApiSettings) -> None:
    app = create_app(house, settings=settings)

    async def forgotten(caller: Caller) -> dict[str, str]:
        raise AssertionError("it was let in")

    app.add_api_route("/v1/forgotten", forgotten)
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        assert (await http.get("/v1/forgotten")).status_code == 403


def filled(path: str) -> str:
    if path.endswith("/events"):
        path += "?job=x"
    return (
        path.replace("{job_id}", "x")
        .replace("{name}", "pagewarden")
        .replace("{document_id}", "x")
        .replace("{page_no}", "1")
    )


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer é"]
)
@pytest.mark.parametrize(("method", "path"), sorted(GUARDED))
async def test_no_route_opens_without_the_key(
    client: Client, agent: FakeAgent, tmp_path: Path, method: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"authorization": header.encode()}
    async with client(settings=ApiSettings(api_key=KEY, home=tmp_path)) as http:
        told = await http.request(method, filled(path), headers=headers)
    assert told.status_code == 401
    assert told.headers["www-authenticate"] == "Bearer"
    assert agent.asked == agent.searched == agent.pages == []


@pytest.mark.parametrize("body", [b"{", b"[" * 10_000, b"\xff", b"null", b'{"n": 1e999}'])
@pytest.mark.parametrize("path", ["/v1/search", "/v1/chat/completions", "/v1/responses", "/v1/feedback"])
async def test_a_body_that_does_not_parse_is_told_to_callers_alone(
    client: Client, tmp_path: Path, path: str, body: bytes
) -> None:
    kind = {"content-type": "application/json"}
    async with client(settings=ApiSettings(api_key=KEY, home=tmp_path)) as http:
        assert (await http.post(path, content=body, headers=kind)).status_code == 401
        told = await http.post(path, content=body, headers=kind | {"authorization": f"Bearer {KEY}"})
    assert told.status_code == 400


@pytest.mark.parametrize(("method", "path"), sorted(GUARDED))
async def test_with_the_key_every_route_opens(client: Client, tmp_path: Path, method: str, path: str) -> None:
    headers = {"authorization": f"bearer {KEY}"}
    async with client(
        settings=ApiSettings(api_key=KEY, home=tmp_path, host="0.0.0.0"), peer="10.0.0.7"
    ) as http:
        assert (await http.request(method, filled(path), headers=headers)).status_code not in (401, 403, 500)


@pytest.mark.parametrize(("method", "path"), sorted(GUARDED))
async def test_without_a_key_other_machines_stay_out(client: Client, method: str, path: str) -> None:
    forged = {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "forwarded": "for=127.0.0.1"}
    async with client(peer="10.0.0.7") as http:
        assert (await http.request(method, filled(path), headers=forged)).status_code == 401


@pytest.mark.parametrize(("method", "path"), sorted(OPEN))
async def test_open_routes_tell_nothing_of_the_library(
    client: Client, tmp_path: Path, method: str, path: str
) -> None:
    async with client(settings=ApiSettings(api_key=KEY, home=tmp_path)) as http:
        told = await http.request(method, path)
    assert told.status_code == 200
    assert str(tmp_path) not in told.text
    assert KEY not in told.text
