"""Our own API: lists in pages, what a client holds already, requests sent twice, feedback, use, audit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from agent.records import Turn
from api.app import create_app
from api.errors import KeyReused, StillRunning
from api.house import House
from api.keys import Keys
from api.ledger import Kept, Ledger
from api.schemas import PolicyOut
from api.settings import ApiSettings
from tests.api.conftest import Client
from tests.api.test_identity import ASK, OWNER, calling
from tests.api.test_schemas import check
from tests.fakes import FakeAgent, FakeShelf, a_document

pytestmark = pytest.mark.anyio


async def pages(http: httpx2.AsyncClient, path: str, name: str, **more: Any) -> list[Any]:
    found: list[Any] = []
    params: dict[str, Any] = {"limit": 2, **more}
    for _ in range(20):
        told = (await http.get(path, params=params)).json()
        found += told[name]
        if not told.get("has_more"):
            assert told.get("next") is None
            return found
        params["after"] = told["next"]
    raise AssertionError("it never ends")


async def test_lists_come_whole_or_page_by_page_without_a_gap(
    client: Client, shelf: FakeShelf, agent: FakeAgent
) -> None:
    held = [a_document(f"{n}.pdf", tenant="default") for n in range(7)]
    twins = [replace(held[0], id=f"00000000-0000-0000-0000-00000000000{n}") for n in range(3)]
    shelf.held = {d.id: d for d in [*held, *twins]}
    agent.talks = {("default", f"t{n}"): (Turn(role="user", text="x"),) for n in range(5)}
    async with client() as http:
        whole = (await http.get("/v1/documents")).json()
        assert set(whole) == {"documents"}
        assert await pages(http, "/v1/documents", "documents") == whole["documents"]
        assert await pages(http, "/v1/threads", "threads") == [f"t{n}" for n in range(5)]
        told = (await http.get("/v1/collections")).json()
        check("collections", told)
        assert [(c["name"], c["documents"], c["pages"]) for c in told["collections"]] == [("default", 10, 30)]


@pytest.mark.parametrize("after", ["x", "é", "W10", "WzFd", "bnVsbA", "////", "eyJhIjoxfQ"])
@pytest.mark.parametrize("path", ["/v1/documents", "/v1/feedback", "/v1/usage"])
async def test_a_made_up_cursor_is_refused(client: Client, shelf: FakeShelf, path: str, after: str) -> None:
    shelf.held = {a_document(tenant="default").id: a_document(tenant="default")}
    async with client() as http:
        told = await http.get(path, params={"after": after, "limit": 2})
    assert (told.status_code, told.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("path", ["/v1/documents", "/v1/collections", "/v1/threads"])
async def test_what_the_client_holds_is_not_sent_again(client: Client, shelf: FakeShelf, path: str) -> None:
    async with client() as http:
        first = await http.get(path)
        again = await http.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        await http.post("/v1/documents", files={"file": ("new.pdf", b"x")})
        changed = await http.get("/v1/documents", headers={"if-none-match": first.headers["etag"]})
        assert changed.status_code == 200


async def test_a_request_sent_twice_is_done_once(client: Client, shelf: FakeShelf) -> None:
    again = {"idempotency-key": "abc"}
    async with client() as http:
        first = await http.post("/v1/documents", files={"file": ("x.pdf", b"1")}, headers=again)
        second = await http.post("/v1/documents", files={"file": ("x.pdf", b"1")}, headers=again)
        assert (first.status_code, first.json()) == (second.status_code, second.json())
        assert second.headers["idempotent-replayed"] == "true"
        assert len(shelf.came) == 1
        other = await http.post("/v1/documents", files={"file": ("x.pdf", b"2")}, headers=again)
        assert (other.status_code, other.json()["code"]) == (422, "key_reused")
        given = {"trace_id": "t", "rating": "up"}
        one = await http.post("/v1/feedback", json=given, headers=again)
        two = await http.post("/v1/feedback", json=given, headers=again)
        assert one.status_code == two.status_code == 201
        assert one.json()["id"] == two.json()["id"]
        strange = await http.post("/v1/feedback", json=given, headers={"idempotency-key": "a b"})
        assert strange.status_code == 400


async def test_what_failed_inside_may_be_sent_again(client: Client, shelf: FakeShelf) -> None:
    again = {"idempotency-key": "abc"}
    shelf.error = RuntimeError("it broke")
    async with client() as http:
        assert (
            await http.post("/v1/documents", files={"file": ("x", b"1")}, headers=again)
        ).status_code == 500
        shelf.error = None
        assert (
            await http.post("/v1/documents", files={"file": ("x", b"1")}, headers=again)
        ).status_code == 200


async def test_a_thousand_races_for_one_key_are_won_once_each(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    won: list[str] = []

    async def run(who: str, n: int) -> None:
        try:
            if await ledger.begin(who, "/v1/x", f"key-{n}", "body") is None:
                won.append(f"{who}/{n}")
        except StillRunning:
            pass

    for n in range(20):
        async with anyio.create_task_group() as group:
            for who in ("key-a", "key-b"):
                for _ in range(5):
                    group.start_soon(run, who, n)
    assert sorted(won) == sorted(f"{who}/{n}" for who in ("key-a", "key-b") for n in range(20))
    await ledger.finish("key-a", "/v1/x", "key-0", Kept(status=200, body=b"a's", media_type="text/plain"))
    assert (await ledger.begin("key-a", "/v1/x", "key-0", "body")) is not None
    with pytest.raises(StillRunning):
        await ledger.begin("key-b", "/v1/x", "key-0", "body")
    with pytest.raises(KeyReused):
        await ledger.begin("key-a", "/v1/x", "key-0", "another")


async def test_what_was_killed_in_the_middle_may_be_sent_again_later(tmp_path: Path) -> None:
    now = 0.0
    ledger = Ledger(tmp_path / "ledger.sqlite", clock=lambda: now)
    assert await ledger.begin("a", "/", "k", "b") is None
    now = 3601.0
    assert await ledger.begin("a", "/", "k", "b") is None


async def test_feedback_is_ones_own_and_an_admins(house: House, tmp_path: Path) -> None:
    settings = ApiSettings(home=tmp_path, api_key=OWNER)
    keys = Keys(tmp_path / "keys.sqlite")
    one = (await keys.create(name="1", tenant="a", role="reader"))[1]
    two = (await keys.create(name="2", tenant="a", role="editor"))[1]
    admin = (await keys.create(name="3", tenant="a", role="admin"))[1]
    foreign = (await keys.create(name="4", tenant="b", role="admin"))[1]
    for n, token in enumerate([one, two, one, foreign]):
        async with calling(house, settings, token) as http:
            given = {"trace_id": f"trace-{n}", "rating": "down", "reason": "wrong_page", "comment": "No."}
            assert (await http.post("/v1/feedback", json=given)).status_code == 201
    seen = {}
    for name, token in (("one", one), ("two", two), ("admin", admin), ("foreign", foreign)):
        async with calling(house, settings, token) as http:
            told = (await http.get("/v1/feedback")).json()
            check("feedback", told)
            assert [r["id"] for r in await pages(http, "/v1/feedback", "feedback")] == [
                r["id"] for r in told["feedback"]
            ]
            seen[name] = [row["trace_id"] for row in told["feedback"]]
    assert seen == {
        "one": ["trace-2", "trace-0"],
        "two": ["trace-1"],
        "admin": ["trace-2", "trace-1", "trace-0"],
        "foreign": ["trace-3"],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"rating": "meh"},
        {"trace_id": "../x"},
        {"reason": "Not a code!"},
        {"comment": ""},
        {"comment": "x" * 4001},
        {"who": "somebody else"},
    ],
)
async def test_feedback_that_does_not_fit_is_refused(client: Client, wrong: dict[str, Any]) -> None:
    async with client() as http:
        told = await http.post("/v1/feedback", json={"trace_id": "t", "rating": "up"} | wrong)
    assert (told.status_code, told.json()["code"]) == (400, "bad_request")


async def test_use_is_told_to_whoever_used_it_and_to_admins(house: House, tmp_path: Path) -> None:
    settings = ApiSettings(home=tmp_path, api_key=OWNER)
    keys = Keys(tmp_path / "keys.sqlite")
    one = (await keys.create(name="1", tenant="a", role="editor"))[1]
    two = (await keys.create(name="2", tenant="a", role="admin"))[1]
    async with calling(house, settings, one) as http:
        await http.post("/v1/chat/completions", json=ASK)
        await http.post("/v1/chat/completions", json=ASK | {"stream": True})
        await http.post("/v1/documents", files={"file": ("x", b"x")})
        told = (await http.get("/v1/usage")).json()
        check("usage", told)
        (row,) = told["usage"]
        assert (row["requests"], row["pages"]) == (3, 3)
        assert row["prompt_tokens"] == 6
        assert (await http.get("/v1/audit")).status_code == 403
    async with calling(house, settings, two) as http:
        await http.post("/v1/search", json={"query": "x"})
        assert len((await http.get("/v1/usage")).json()["usage"]) == 2
        assert len(await pages(http, "/v1/usage", "usage", limit=1)) == 2
    async with calling(house, settings, OWNER) as http:
        assert (await http.get("/v1/usage")).json()["usage"] == []


async def test_the_audit_is_an_admins_and_its_tenants(house: House, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = [{"who": f"{'a' if n % 2 else 'ab'}/http", "sha256": str(n)} for n in range(9)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"who": "a/http", "cut')
    settings = ApiSettings(home=tmp_path, api_key=OWNER)
    token = (await Keys(tmp_path / "keys.sqlite").create(name="1", tenant="a", role="admin"))[1]
    async with calling(replace(house, audit=str(path)), settings, token) as http:
        whole = (await http.get("/v1/audit")).json()
        check("audit", whole)
        assert [row["sha256"] for row in whole["verdicts"]] == ["7", "5", "3", "1"]
        assert await pages(http, "/v1/audit", "verdicts") == whole["verdicts"]
    async with calling(replace(house, audit=str(tmp_path / "none")), settings, token) as http:
        assert (await http.get("/v1/audit")).json()["verdicts"] == []
    async with calling(house, settings, token) as http:
        assert (await http.get("/v1/audit")).status_code == 404


async def test_the_policy_is_told_for_the_callers_place(house: House, settings: ApiSettings) -> None:
    def policy(scope: Any, channel: str) -> PolicyOut:
        return PolicyOut(
            policy="strict@1",
            tenant=scope.tenant,
            collections=list(scope.collections),
            channel=channel,
            fault=None,
            hops={},
            hosted={},
            refusal={},
        )

    app = create_app(replace(house, policy=policy), settings=settings)
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        told = (await http.get("/v1/policies", params={"channel": "ingest", "tenant": "other"})).json()
    assert (told["policy"], told["tenant"], told["channel"]) == ("strict@1", "default", "http")
