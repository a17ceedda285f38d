"""Limits: what a caller may have is told before it is refused, and what is given back is free again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest

from agent.records import Sentence
from api.app import create_app
from api.edge import Edge
from api.house import House
from api.keys import Allowance, Keys
from api.ledger import Ledger, Used
from api.limits import tokens_of
from api.settings import ApiSettings
from api.sse import EventStream
from tests.api.conftest import Client
from tests.api.test_identity import ASK, OWNER, calling
from tests.fakes import FakeAgent, FakeShelf, a_document, an_answer, telling

pytestmark = pytest.mark.anyio

SAID = an_answer(Sentence(text="It was 1,284 in 2024.", citations=()))


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent({"Spending?": telling(SAID)})


def limited(tmp_path: Path, **limits: Any) -> ApiSettings:
    return ApiSettings(home=tmp_path, api_key=OWNER, **limits)


async def test_every_answer_tells_what_is_left_and_the_next_is_refused(house: House, tmp_path: Path) -> None:
    async with calling(house, limited(tmp_path, requests_a_minute=2), OWNER) as http:
        first, second = await http.get("/v1/status"), await http.get("/v1/documents")
        assert first.headers["ratelimit-policy"] == '"requests";q=2;w=60'
        assert first.headers["ratelimit"].startswith('"requests";r=1;t=')
        assert second.headers["x-ratelimit-remaining-requests"] == "0"
        third = await http.get("/v1/status")
        assert (third.status_code, third.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(third.headers["retry-after"]) <= 60
        assert third.headers["ratelimit"].startswith('"requests";r=0;t=')
        openai = await http.post("/v1/chat/completions", json=ASK)
        assert (openai.status_code, openai.json()["error"]["type"]) == (429, "rate_limit_error")


async def test_without_limits_nothing_is_told(client: Client) -> None:
    async with client() as http:
        assert "ratelimit" not in (await http.get("/v1/status")).headers


async def test_a_key_has_a_limit_of_its_own_and_the_tenant_one_for_all(house: House, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.sqlite")
    one = await keys.create(name="1", tenant="a", role="reader", allowance=Allowance(requests_a_minute=1))
    two = await keys.create(name="2", tenant="a", role="reader")
    other = await keys.create(name="3", tenant="b", role="reader")
    app = create_app(house, settings=limited(tmp_path, tenant_requests_a_minute=3))
    transport = httpx2.ASGITransport(app=app, client=("10.0.0.7", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:

        async def status(token: str) -> int:
            return (await http.get("/v1/status", headers={"authorization": f"Bearer {token}"})).status_code

        assert [await status(one[1]), await status(one[1])] == [200, 429]
        assert [await status(two[1]) for _ in range(3)] == [200, 200, 429]
        assert await status(other[1]) == 200


async def test_a_user_that_a_client_names_has_a_limit_under_that_client(house: House, tmp_path: Path) -> None:
    async with calling(house, limited(tmp_path, user_requests_a_minute=1), OWNER) as http:
        codes = [
            (await http.post("/v1/chat/completions", json=ASK | {"user": user})).status_code
            for user in ("alice", "alice", "bob")
        ]
    assert codes == [200, 429, 200]


async def test_tokens_of_a_day_are_counted_and_end(house: House, tmp_path: Path) -> None:
    spent = tokens_of("Spending?", SAID.text)
    async with calling(house, limited(tmp_path, tokens_a_day=spent), OWNER) as http:
        told = await http.post("/v1/chat/completions", json=ASK)
        assert told.json()["usage"]["total_tokens"] == spent
        refused = await http.post("/v1/chat/completions", json=ASK | {"stream": True})
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 86_400
        assert (await http.get("/v1/documents")).status_code == 200, "what costs no tokens goes on"


async def test_pages_of_a_day_and_bytes_on_the_shelf_have_an_end(
    house: House, shelf: FakeShelf, tmp_path: Path
) -> None:
    async with calling(house, limited(tmp_path, pages_a_day=4), OWNER) as http:
        codes = [
            (await http.post("/v1/documents", files={"file": (f"{n}", b"x")})).status_code for n in range(3)
        ]
    assert codes == [200, 200, 429], "three pages a document: the second began while there was one left"
    shelf.held = {d.id: d for d in (a_document("1", tenant="default"), a_document("2", tenant="default"))}
    async with calling(house, limited(tmp_path, tenant_storage_bytes=10), OWNER) as http:
        assert (await http.post("/v1/documents", files={"file": ("x", b"12345678")})).status_code == 200
        full = await http.post("/v1/documents", files={"file": ("y", b"123456789")})
    assert (full.status_code, "retry-after" in full.headers) == (429, False), "waiting does not help"


async def test_answers_at_once_are_bounded_and_a_place_is_given_back(
    house: House, agent: FakeAgent, tmp_path: Path
) -> None:
    agent.pause_s = 3600.0
    app = create_app(house, settings=limited(tmp_path, streams_each=1, max_streams=2))
    limits = app.state.limits
    door = app.state.doorkeeper
    owner = await door.owner()
    first = await limits.question(owner)
    transport = httpx2.ASGITransport(app=app, client=("10.0.0.7", 1))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", headers={"authorization": f"Bearer {OWNER}"}
    ) as http:
        refused = await http.post("/v1/chat/completions", json=ASK | {"stream": True})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    first.release()
    first.release()
    assert limits.open == 0
    agent.pause_s = 0.0
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", headers={"authorization": f"Bearer {OWNER}"}
    ) as http:
        for stream in (True, False):
            assert (await http.post("/v1/chat/completions", json=ASK | {"stream": stream})).status_code == 200
        assert (await http.post("/v1/search", json={"query": "x"})).status_code == 200
    assert limits.open == 0


async def test_a_full_server_says_when_to_come_again(house: House, tmp_path: Path) -> None:
    app = create_app(house, settings=limited(tmp_path, max_streams=1))
    slot = await app.state.limits.question(await app.state.doorkeeper.owner())
    transport = httpx2.ASGITransport(app=app, client=("10.0.0.7", 1))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", headers={"authorization": f"Bearer {OWNER}"}
    ) as http:
        told = await http.post("/v1/chat/completions", json=ASK)
    slot.release()
    assert (told.status_code, told.json()["error"]["code"], told.headers["retry-after"]) == (503, "busy", "2")


async def test_whoever_hangs_up_gives_its_place_back(house: House, agent: FakeAgent, tmp_path: Path) -> None:
    app = create_app(house, settings=limited(tmp_path))
    limits = app.state.limits
    gone = anyio.Event()

    async def forever() -> Any:
        while True:
            yield {"choices": []}
            await anyio.lowlevel.checkpoint()

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        gone.set()

    slot = await limits.question(await app.state.doorkeeper.owner())
    assert limits.open == 1
    with anyio.fail_after(5):
        await EventStream(forever(), heartbeat_s=60, slot=slot)({"type": "http"}, receive, send)
    assert limits.open == 0


async def test_a_body_that_trickles_in_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, settings: ApiSettings
) -> None:
    monkeypatch.setattr("api.edge.BODY_TIMEOUT_S", 0.05)
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it never came")

    async def receive() -> Any:
        await anyio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/search",
        "headers": [(b"host", b"127.0.0.1")],
    }
    with anyio.fail_after(10):
        await Edge(app, settings=settings)(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_the_ledger_adds_up_by_day_caller_and_tenant(tmp_path: Path) -> None:
    now = 0.0
    ledger = Ledger(tmp_path / "ledger.sqlite", clock=lambda: now)
    assert (await ledger.used_today("a", None)).tokens == 0
    assert not (tmp_path / "ledger.sqlite").exists(), "looking makes no file"
    for who, tokens in (("key-1", 3), ("key-1", 4), ("key-2", 5)):
        await ledger.note("a", Used(day=ledger.today, who=who, requests=1, prompt_tokens=tokens))
    await ledger.note("b", Used(day=ledger.today, who="key-1", completion_tokens=100))
    assert (await ledger.used_today("a", "key-1")).tokens == 7
    assert (await ledger.used_today("a", None)).tokens == 12
    now = 86_400.0
    assert (await ledger.used_today("a", None)).tokens == 0
    await ledger.note("a", Used(day=ledger.today, who="key-2", pages=9))
    listed = await ledger.used("a", who=None, after=None, limit=2)
    assert [(one.day, one.who) for one in listed] == [("1970-01-02", "key-2"), ("1970-01-01", "key-1")]
    rest = await ledger.used("a", who=None, after="1970-01-01/key-1", limit=9)
    assert [(one.who, one.prompt_tokens) for one in rest] == [("key-2", 5)]
    assert [one.who for one in await ledger.used("a", who="key-1", after=None, limit=9)] == ["key-1"]
