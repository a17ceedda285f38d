"""Nothing outside a caller's scope comes out of any door: every route and caller, and houses at random.

The agent here tells whatever the scope that it is handed allows, all of it: what is proven is what the doors
hand on and what they tell themselves. That the index and the registry keep to a scope is proven beside them.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from agent.records import SearchResult, Sentence, Turn
from api.app import create_app
from api.auth import POLICY
from api.house import Incoming
from api.keys import Keys
from api.ledger import Ledger
from api.settings import ApiSettings
from ingest.records import Document, Hit, Scope, document_id, readers_key
from tests.api.test_identity import OWNER
from tests.fakes import FakeAgent, FakeShelf, a_chunk, a_citation, a_document, a_house, an_answer, telling

pytestmark = pytest.mark.anyio

TENANTS, COLLECTIONS, GROUPS = ("acme", "rival"), ("hr", "law"), ("board", "staff", "it")


def word_of(document: Document) -> str:
    """Return the secret that stands in a document and nowhere else."""
    return "canary" + document.id.replace("-", "")


def a_held(number: int, *, tenant: str, collection: str, groups: tuple[str, ...]) -> Document:
    name = f"{number}.pdf"
    made = a_document(name, tenant=tenant, groups=groups)
    key = readers_key(name, groups)
    values = {slot: getattr(made, slot) for slot in made.__slots__}
    fresh = document_id(tenant=tenant, collection=collection, source_key=key)
    return Document(**values | {"id": fresh, "collection": collection, "source_key": key})


class Scoped(FakeAgent):
    """An agent that answers with everything that the scope allows, and nothing that it must not know of.

    It asks the shelf as the library does: what a door passes on as the scope is all that decides.
    """

    def __init__(self, shelf: FakeShelf) -> None:
        super().__init__({})
        self.shelf = shelf

    def _cited(self, scope: Scope) -> tuple[Any, ...]:
        held = [d for d in self.shelf.held.values() if scope.allows(d)]
        return tuple(a_citation(n, document=d, quote=word_of(d)) for n, d in enumerate(held[:8], start=1))

    async def ask(self, question: Any) -> Any:
        """Quote every document of the scope."""
        self.asked.append(question)
        cited = self._cited(question.scope)
        said = [Sentence(text=c.quote, citations=(c.n,)) for c in cited]
        for event in telling(an_answer(*said, citations=cited, text=None if said else "Nothing.")):
            yield event

    async def search(self, query: str, *, scope: Scope, limit: int, channel: str = "") -> SearchResult:
        """Find every document of the scope."""
        cited = self._cited(scope)
        hits = tuple(Hit(chunk=a_chunk(c.quote), document_name=c.name, score=0.5) for c in cited)
        return SearchResult(hits=hits, citations=cited)

    async def page(self, document_id: str, page_no: int, *, scope: Scope, **more: Any) -> bytes | None:
        """Show a page of the scope."""
        held = self.shelf.held.get(document_id)
        return word_of(held).encode() if held is not None and scope.allows(held) else None

    async def passages(
        self, document_id: str, page_no: int, *, scope: Scope, channel: str = ""
    ) -> tuple[str, ...] | None:
        """Read a page of the scope."""
        held = self.shelf.held.get(document_id)
        return (word_of(held),) if held is not None and scope.allows(held) else None


@dataclass
class Town:
    """A house with documents of many owners, and keys of many callers."""

    home: Path
    held: list[Document]
    shelf: FakeShelf = field(init=False)
    agent: Scoped = field(init=False)
    #: By name: the key itself, and what it may read.
    callers: dict[str, tuple[str, Scope]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shelf = FakeShelf(*self.held)
        self.agent = Scoped(self.shelf)
        settings = ApiSettings(home=self.home, api_key=OWNER, tenant="acme", collection="hr")
        app = create_app(a_house(self.agent, self.shelf), settings=settings)
        transport = httpx2.ASGITransport(app=app, client=("10.0.0.7", 5000))
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")
        self.keys = Keys(self.home / "keys.sqlite")

    async def admit(self, name: str, **more: Any) -> None:
        """Make a key."""
        key, token = await self.keys.create(name=name, **more)
        collections = COLLECTIONS if key.collections is None else key.collections
        self.callers[name] = token, Scope(tenant=key.tenant, collections=collections, groups=key.groups)

    async def job_of(self, document: Document) -> str:
        """Add the document once more as a job that is settled; return the job's id."""
        path = self.home / "again.pdf"
        path.write_bytes(document.id.encode())
        file = Incoming(
            path=path,
            name=document.name,
            tenant=document.tenant,
            collection=document.collection,
            groups=document.groups,
        )
        (job,) = await self.shelf.enqueue([file])
        return job.id

    async def call(self, name: str | None, method: str, path: str, **more: Any) -> httpx2.Response:
        """Send one request as somebody."""
        headers = {} if name is None else {"authorization": f"Bearer {self.callers[name][0]}"}
        return await self.http.request(method, path, headers=headers | more.pop("headers", {}), **more)

    def leaked(self, name: str | None, text: str) -> list[str]:
        """Return what a caller must not have read of an answer: words and ids of documents outside."""
        scope = Scope(tenant="", collections=()) if name is None else self.callers[name][1]
        outside = [d for d in self.held if not scope.allows(d)]
        return [d.id for d in outside if word_of(d) in text or d.id in text]


def requests_about(
    document: Document, thread: str, job: str = "0" * 32
) -> list[tuple[str, str, dict[str, Any]]]:
    """Return requests to every route, each naming a document, or its job, wherever it takes an id."""
    one = document.id
    chat = {"model": "pagewarden", "messages": [{"role": "user", "content": f"What is in {document.name}?"}]}
    narrow = {"pagewarden": {"documents": [one], "thread_id": thread}}
    upload = {"files": {"file": ("mine.pdf", b"x")}}
    place = {"data": {"collection": document.collection, "groups": ",".join(document.groups)}}
    rpc = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
    accept = {"headers": {"accept": "application/json, text/event-stream"}}
    tools = {
        "fetch": {"id": f"{one}/1"},
        "read_page": {"document_id": one, "page_no": 1},
        "ask": {"question": "?", "documents": [one]},
    }
    return [
        ("GET", "/v1/models", {}),
        ("GET", f"/v1/models/pagewarden/{document.collection}", {}),
        ("POST", "/v1/chat/completions", {"json": chat | narrow}),
        ("POST", "/v1/chat/completions", {"json": chat | {"stream": True}}),
        ("POST", "/v1/chat/completions", {"json": chat | {"model": f"pagewarden/{document.collection}"}}),
        ("POST", "/v1/responses", {"json": {"model": "pagewarden", "input": "?"} | narrow}),
        ("POST", "/v1/responses", {"json": {"model": "pagewarden", "input": "?", "stream": True} | narrow}),
        ("POST", "/v1/search", {"json": {"query": document.name, "documents": [one], "limit": 50}}),
        ("POST", "/v1/documents", upload | place),
        (
            "POST",
            "/v1/documents",
            {"files": {"file": ("x.txt", b"x")}, "data": {"collection": document.tenant}},
        ),
        ("GET", "/v1/documents", {"params": {"limit": 200}}),
        ("GET", f"/v1/documents/{one}", {}),
        ("GET", f"/v1/documents/{one}/pages/1", {"params": {"boxes": "0,0,1,1", "crop": True}}),
        ("GET", f"/v1/documents/{one}/pages/1/text", {}),
        ("GET", f"/v1/documents/{one}/video", {"headers": {"range": "bytes=0-9"}}),
        ("GET", "/v1/status", {}),
        ("GET", "/metrics", {}),
        ("GET", "/v1/collections", {}),
        ("GET", "/v1/policies", {}),
        ("GET", "/v1/usage", {"params": {"limit": 200}}),
        ("GET", "/v1/audit", {}),
        ("GET", "/v1/feedback", {"params": {"limit": 200}}),
        ("POST", "/v1/feedback", {"json": {"trace_id": "trace-1", "rating": "up"}}),
        ("GET", "/v1/jobs", {"params": {"limit": 1000}}),
        ("GET", f"/v1/jobs/{job}", {}),
        ("GET", "/v1/jobs/events", {"params": {"job": job}}),
        ("POST", f"/v1/jobs/{job}/cancel", {}),
        ("POST", f"/v1/jobs/{job}/retry", {}),
        ("GET", "/v1/threads", {}),
        ("GET", f"/v1/threads/{thread}", {}),
        ("DELETE", f"/v1/threads/{thread}", {}),
        *(
            ("POST", "/mcp", {"json": rpc | {"params": {"name": n, "arguments": a}}} | accept)
            for n, a in tools.items()
        ),
        ("DELETE", f"/v1/documents/{one}", {}),
    ]


def same(answer: httpx2.Response) -> tuple[int, str]:
    """Return what two answers are compared by: all but the id of the request."""
    try:
        told = answer.json()
    except ValueError:
        return answer.status_code, answer.text
    told.pop("request_id", None)
    return answer.status_code, json.dumps(told)


async def test_every_route_and_caller_and_owner_of_a_document(tmp_path: Path) -> None:
    held = [
        a_held(n, tenant=tenant, collection=collection, groups=groups)
        for n, (tenant, collection, groups) in enumerate(
            (t, c, g) for t in TENANTS for c in COLLECTIONS for g in ((), ("board",), ("staff", "it"))
        )
    ]
    town = Town(tmp_path, held)
    await town.admit("owner of all", tenant="acme", role="admin", groups=GROUPS)
    await town.admit("same tenant", tenant="acme", role="editor")
    await town.admit("one group", tenant="acme", role="reader", groups=["staff"])
    await town.admit("one collection", tenant="acme", role="admin", groups=GROUPS, collections=["law"])
    await town.admit("other tenant", tenant="rival", role="admin", groups=GROUPS)
    await town.admit("suspended", tenant="acme", role="admin", groups=GROUPS)
    await town.admit("revoked", tenant="acme", role="admin", groups=GROUPS)
    ids = {key.name: key.id for key in await town.keys.all()}
    await town.keys.suspend(f"key-{ids['suspended']}", suspended=True)
    await town.keys.revoke("revoked")
    shut = (None, "suspended", "revoked")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    cells: Counter[str] = Counter()
    touched: set[tuple[str, str]] = set()
    absent = a_held(999, tenant="acme", collection="hr", groups=())
    jobs = {document.id: await town.job_of(document) for document in held}
    for document in held:
        job = jobs[document.id]
        secret = f"t{word_of(document)[:40]}"
        for name in (*town.callers, None):
            scope = None if name is None else town.callers[name][1]
            mine = scope is not None and name not in shut and scope.allows(document)
            await ledger.rate(document.tenant, "key-x", trace_id="t", rating="up", reason=None, comment=None)
            town.agent.talks = {(f"{document.tenant}/key-x", secret): (Turn(role="user", text=secret),)}
            nothing = requests_about(absent, "t-absent")
            for number, (method, path, more) in enumerate(requests_about(document, secret, job)):
                town.shelf.held = {d.id: d for d in held}
                answer = await town.call(name, method, path, **more)
                where = f"{name} {method} {path}"
                assert answer.status_code < 500, where
                assert secret not in answer.text.replace(path, ""), where
                assert town.leaked(name if name not in shut else None, answer.text) == [], where
                told = answer.text.replace(job, "") if job in path else answer.text
                outside = [jobs[d.id] for d in held if scope is None or not scope.allows(d)]
                assert not any(foreign in told for foreign in outside), where
                if name in shut:
                    assert answer.status_code == 401, where
                elif not mine and (document.id in path or job in path or job in str(more)):
                    other = await town.call(name, *nothing[number][:2], **nothing[number][2])
                    assert same(answer) == same(other), where
                    assert document.id in town.shelf.held, where
                cells[name or "anonymous"] += 1
                touched.add((method, template(path)))
    assert cells.total() >= 2000
    assert touched == {route for route, role in POLICY.items() if role is not None}
    print(f"{cells.total()} cells on {len(touched)} routes, by caller {dict(cells)}: 0 leaks")


def template(path: str) -> str:
    """Return the route that a path belongs to."""
    steps = path.split("/")
    if path.startswith("/v1/documents/"):
        steps[3] = "{document_id}"
        if len(steps) > 5:
            steps[5] = "{page_no}"
    elif path.startswith("/v1/jobs/") and path != "/v1/jobs/events":
        steps[3] = "{job_id}"
    elif path.startswith("/v1/threads/"):
        steps[3] = "{name}"
    elif path.startswith("/v1/models/"):
        steps[3:] = ["{name}"]
    return "/".join(steps)


async def random_town(home: Path, seed: int, *, questions: int) -> Counter[str]:
    """Build a house at random and ask it at random while keys and documents come and go; count it."""
    dice = random.Random(seed)
    held = [
        a_held(
            n,
            tenant=dice.choice(TENANTS),
            collection=dice.choice(COLLECTIONS),
            groups=tuple(sorted(dice.sample(GROUPS, dice.choice((0, 0, 1, 2))))),
        )
        for n in range(dice.randint(3, 12))
    ]
    town = Town(home, held)
    for n in range(4):
        await town.admit(
            f"caller {n}",
            tenant=dice.choice(TENANTS),
            role=dice.choice(("reader", "editor", "admin")),
            groups=dice.sample(GROUPS, dice.randint(0, 3)),
            collections=dice.choice((None, None, ["hr"], ["law"])),
        )
    gone: set[str] = set()
    counted: Counter[str] = Counter()
    for _ in range(questions):
        name = dice.choice(list(town.callers))
        document = dice.choice(held)
        event = dice.random()
        if event < 0.05 and len(gone) < 3 and name not in gone:
            await town.keys.revoke(name)
            gone.add(name)
        elif event < 0.15:
            town.shelf.held.pop(document.id, None)
        elif event < 0.2:
            town.shelf.held[document.id] = document
        method, path, more = dice.choice(requests_about(document, f"t{dice.randint(0, 3)}")[:-1])
        answer = await town.call(name, method, path, **more)
        counted["questions"] += 1
        if name in gone:
            assert answer.status_code == 401, "a revoked key stops at the next request"
            counted["revoked"] += 1
            continue
        assert answer.status_code < 500
        assert town.leaked(name, answer.text) == [], (seed, name, method, path)
        if document.id not in town.shelf.held:
            assert word_of(document) not in answer.text
        counted["quoted"] += "canary" in answer.text
    await town.http.aclose()
    return counted


async def test_random_callers_never_get_what_is_not_theirs(tmp_path: Path) -> None:
    counted = Counter[str]()
    for seed in range(8):
        counted += await random_town(tmp_path / str(seed), seed, questions=40)
    assert counted["quoted"] > 20
    assert counted["revoked"] > 0


@pytest.mark.soak
async def test_random_callers_never_get_what_is_not_theirs_in_many_houses(tmp_path: Path) -> None:
    counted = Counter[str]()
    for seed in range(60):
        counted += await random_town(tmp_path / str(seed), 1000 + seed, questions=50)
    assert counted["questions"] >= 2000
    print(f"{dict(counted)}: 0 leaks")
