"""Who is calling: keys, tokens of a provider, roles, groups, collections, and how each of them ends."""

from __future__ import annotations

import hmac
import json
import sqlite3
import stat
import time
from base64 import urlsafe_b64encode
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from pydantic import ValidationError

from agent.records import Sentence, Turn
from api.app import create_app
from api.errors import BadRequest, NotFound, ProviderDown, Unauthorized
from api.house import House
from api.keys import Allowance, Keys
from api.settings import ApiSettings
from api.tokens import Tokens
from tests.api.test_cli import pagewarden
from tests.fakes import FakeAgent, FakeShelf, a_citation, a_document, an_answer, telling

pytestmark = pytest.mark.anyio

ISSUER = "https://login.example.org"
OWNER = "the-key-of-the-owner"
ANSWER = an_answer(Sentence(text="It was 1,284.", citations=(1,)), citations=(a_citation(1),))
ASK: dict[str, Any] = {"model": "pagewarden", "messages": [{"role": "user", "content": "Spending?"}]}


@pytest.fixture
def settings(tmp_path: Path) -> ApiSettings:
    return ApiSettings(home=tmp_path, api_key=OWNER, recheck_s=0.01)


@pytest.fixture
def keys(settings: ApiSettings) -> Keys:
    return Keys(settings.home / "keys.sqlite")


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent({"Spending?": telling(ANSWER)})


@asynccontextmanager
async def calling(house: House, settings: ApiSettings, key: str, *, peer: str = "10.0.0.7") -> Any:
    transport = httpx2.ASGITransport(app=create_app(house, settings=settings), client=(peer, 5000))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", headers={"authorization": f"Bearer {key}"}
    ) as http:
        yield http


# --- keys


async def test_only_a_hash_of_a_key_is_kept_and_its_file_is_this_users_alone(
    keys: Keys, settings: ApiSettings
) -> None:
    key, token = await keys.create(name="open-webui", tenant="acme", role="reader")
    path = settings.home / "keys.sqlite"
    raw = b"".join(one.read_bytes() for one in settings.home.glob("keys.sqlite*"))
    assert token.rpartition("_")[2].encode() not in raw
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (await keys.opened_by(token)) == key


async def test_ten_thousand_keys_have_nothing_in_common(keys: Keys) -> None:
    made = [await keys.create(name=f"k{n}", tenant="acme", role="reader") for n in range(100)]
    secrets = {token for _, token in made}
    assert len(secrets) == len(made)
    # 43 characters of base64 are 258 bits, of which 256 are random.
    assert {len(token.split("_", 2)[2]) for token in secrets} == {43}


@pytest.mark.parametrize(
    "wrong",
    ["", "pw_", "pw_0123456789abcdef_" + "a" * 43, "pw_%s", "' OR 1=1 --", "pw_" + "é" * 60, "x" * 100_000],
)
async def test_what_is_no_key_opens_nothing(keys: Keys, wrong: str) -> None:
    await keys.create(name="one", tenant="acme", role="reader")
    assert await keys.opened_by(wrong) is None


async def test_a_key_with_another_secret_opens_nothing(keys: Keys) -> None:
    _, one = await keys.create(name="one", tenant="acme", role="reader")
    _, two = await keys.create(name="two", tenant="acme", role="reader")
    mixed = one.rpartition("_")[0][: len("pw_") + 16] + "_" + two[-43:]
    assert await keys.opened_by(mixed) is None


async def test_a_key_ends_when_its_time_is_over_or_it_is_revoked(tmp_path: Path) -> None:
    now = 1000.0
    keys = Keys(tmp_path / "keys.sqlite", clock=lambda: now)
    _, short = await keys.create(name="short", tenant="acme", role="reader", lasts_s=10)
    _, long = await keys.create(name="long", tenant="acme", role="reader")
    now = 1009.0
    assert await keys.opened_by(short) is not None
    now = 1010.0
    assert await keys.opened_by(short) is None
    await keys.revoke("long")
    assert await keys.opened_by(long) is None
    with pytest.raises(NotFound):
        await keys.revoke("long")


async def test_a_rotated_key_works_beside_the_new_one_for_a_while(tmp_path: Path) -> None:
    now = 1000.0
    keys = Keys(tmp_path / "keys.sqlite", clock=lambda: now)
    old, first = await keys.create(
        name="one", tenant="acme", role="editor", groups=["hr"], allowance=Allowance(streams=2), lasts_s=500
    )
    now = 1100.0
    new, second = await keys.rotate("one", grace_s=60)
    assert (new.groups, new.role, new.allowance, new.expires_at) == (("hr",), "editor", old.allowance, 1600.0)
    assert new.first == old.id, "what is kept under its name stays its own"
    now = 1159.0
    assert await keys.opened_by(first) is not None
    now = 1160.0
    assert await keys.opened_by(first) is None
    assert await keys.opened_by(second) == new
    third, _ = await keys.rotate("one", grace_s=0)
    assert third.first == old.id


async def test_two_working_keys_have_two_names(keys: Keys) -> None:
    await keys.create(name="one", tenant="acme", role="reader")
    with pytest.raises(BadRequest, match="rotate"):
        await keys.create(name="one", tenant="acme", role="reader")
    await keys.revoke("one")
    await keys.create(name="one", tenant="acme", role="reader")


async def test_what_one_process_revokes_another_refuses_at_once(keys: Keys, settings: ApiSettings) -> None:
    _, token = await keys.create(name="one", tenant="acme", role="reader")
    other = Keys(settings.home / "keys.sqlite")
    assert await other.opened_by(token) is not None
    assert pagewarden("keys", "revoke", "one", home=settings.home).returncode == 0
    assert await other.opened_by(token) is None


def test_the_command_line_makes_lists_rotates_and_ends_keys(tmp_path: Path) -> None:
    made = pagewarden("keys", "create", "one", "--group", "hr", "--days", "1", "--json", home=tmp_path)
    told = json.loads(made.stdout)
    assert (told["role"], told["groups"], told["tenant"]) == ("reader", ["hr"], "default")
    assert pagewarden("keys", "create", "one", home=tmp_path).returncode == 2
    assert pagewarden("keys", "create", "x", "--role", "god", home=tmp_path).returncode == 2
    assert pagewarden("keys", "create", "x", "--tenant", "../y", home=tmp_path).returncode == 2
    rotated = pagewarden("keys", "rotate", "one", home=tmp_path)
    assert rotated.stdout.startswith("pw_")
    assert rotated.stdout.strip() != told["key"]
    listed = pagewarden("keys", "list", "--json", home=tmp_path)
    assert len(json.loads(listed.stdout)["keys"]) == 2
    assert told["key"] not in listed.stdout
    assert pagewarden("keys", "revoke", "nobody", home=tmp_path).returncode == 3
    assert pagewarden("keys", "suspend", "someone", home=tmp_path).returncode == 2


# --- what a key lets its caller do


async def test_a_reader_reads_an_editor_adds(
    house: House, shelf: FakeShelf, settings: ApiSettings, keys: Keys
) -> None:
    _, reader = await keys.create(name="r", tenant="acme", role="reader")
    _, editor = await keys.create(name="e", tenant="acme", role="editor")
    held = a_document()
    shelf.held = {held.id: held}
    async with calling(house, settings, reader) as http:
        assert (await http.get("/v1/documents")).json()["documents"][0]["id"] == held.id
        there = await http.delete(f"/v1/documents/{held.id}")
        absent = await http.delete("/v1/documents/00000000-0000-0000-0000-000000000000")
        assert (there.status_code, absent.status_code) == (403, 403)
        assert there.json()["detail"] == absent.json()["detail"], "a role's no says nothing of what is there"
        assert (await http.post("/v1/documents", files={"file": ("x", b"x")})).status_code == 403
    assert shelf.came == []
    async with calling(house, settings, editor) as http:
        assert (await http.post("/v1/documents", files={"file": ("x", b"x")})).status_code == 200
        assert (await http.delete(f"/v1/documents/{held.id}")).status_code == 200


async def test_a_document_for_a_group_is_absent_for_others(
    house: House, shelf: FakeShelf, settings: ApiSettings, keys: Keys
) -> None:
    _, ours = await keys.create(name="hr", tenant="acme", role="editor", groups=["hr"])
    _, theirs = await keys.create(name="it", tenant="acme", role="editor", groups=["it"])
    async with calling(house, settings, ours) as http:
        told = await http.post("/v1/documents", files={"file": ("pay.pdf", b"x")}, data={"groups": "hr"})
        (added,) = told.json()["documents"]
        refused = await http.post("/v1/documents", files={"file": ("x", b"x")}, data={"groups": "hr,board"})
        assert (refused.status_code, refused.json()["code"]) == (400, "bad_request")
    async with calling(house, settings, theirs) as http:
        assert (await http.get("/v1/documents")).json() == {"documents": []}
        assert (await http.delete(f"/v1/documents/{added['id']}")).status_code == 404
        again = await http.post("/v1/documents", files={"file": ("pay.pdf", b"y")}, data={"groups": "it"})
        assert again.json()["documents"][0]["outcome"] == "added", "one name in two groups: two documents"
        everyone = await http.post("/v1/documents", files={"file": ("pay.pdf", b"z")})
        assert everyone.json()["documents"][0]["outcome"] == "added"
    assert len(shelf.held) == 3


async def test_a_key_of_one_collection_knows_of_no_other(
    house: House, shelf: FakeShelf, agent: FakeAgent, settings: ApiSettings, keys: Keys
) -> None:
    _, token = await keys.create(name="k", tenant="acme", role="editor", collections=["law"])
    async with calling(house, settings, token) as http:
        foreign = await http.post("/v1/documents", files={"file": ("x", b"x")}, data={"collection": "hr"})
        none = await http.post("/v1/documents", files={"file": ("x", b"x")}, data={"collection": "new"})
        assert (foreign.status_code, none.status_code) == (404, 404)
        assert foreign.json()["detail"] == none.json()["detail"]
        await http.post("/v1/chat/completions", json=ASK)
    assert shelf.came == []
    assert agent.asked[0].scope.collections == ("law",)


async def test_callers_of_one_tenant_have_conversations_of_their_own(
    house: House, agent: FakeAgent, settings: ApiSettings, keys: Keys
) -> None:
    one, first = await keys.create(name="one", tenant="acme", role="reader")
    _, second = await keys.create(name="two", tenant="acme", role="admin")
    agent.talks = {(f"acme/key-{one.id}", "t1"): (Turn(role="user", text="Secret?"),)}
    async with calling(house, settings, first) as http:
        assert (await http.get("/v1/threads")).json() == {"threads": ["t1"]}
        assert (await http.get("/v1/threads/t1")).status_code == 200
    async with calling(house, settings, second) as http:
        assert (await http.get("/v1/threads")).json() == {"threads": []}
        assert (await http.get("/v1/threads/t1")).status_code == 404
        assert (await http.delete("/v1/threads/t1")).status_code == 404


async def test_on_loopback_without_a_key_a_wrong_key_is_still_wrong(house: House, tmp_path: Path) -> None:
    keyless = ApiSettings(home=tmp_path)
    async with calling(house, keyless, "pw_0123456789abcdef_" + "a" * 43, peer="127.0.0.1") as http:
        assert (await http.get("/v1/status")).status_code == 401
    async with calling(house, keyless, "none", peer="127.0.0.1") as http:
        assert (await http.get("/v1/status")).status_code == 200


@pytest.mark.parametrize("place", ["query", "cookie", "header", "basic"])
async def test_a_key_counts_in_its_one_header_alone(
    house: House, settings: ApiSettings, keys: Keys, place: str
) -> None:
    _, token = await keys.create(name="one", tenant="acme", role="admin")
    shown: dict[str, Any] = {
        "query": {"params": {"api_key": token, "key": token, "access_token": token, "authorization": token}},
        "cookie": {"headers": {"cookie": f"key={token}; authorization={token}"}},
        "header": {"headers": {"x-api-key": token, "api-key": token, "x-forwarded-authorization": token}},
        "basic": {"headers": {"authorization": f"Basic {token}"}},
    }
    transport = httpx2.ASGITransport(app=create_app(house, settings=settings), client=("10.0.0.7", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        assert (await http.get("/v1/status", **shown[place])).status_code == 401


# --- how it ends


async def test_a_revoked_key_stops_at_the_next_request(
    house: House, settings: ApiSettings, keys: Keys
) -> None:
    key, token = await keys.create(name="one", tenant="acme", role="reader")
    async with calling(house, settings, token) as http:
        assert (await http.get("/v1/status")).status_code == 200
        await keys.suspend(f"key-{key.id}", suspended=True)
        assert (await http.get("/v1/status")).status_code == 401
        await keys.suspend(f"key-{key.id}", suspended=False)
        assert (await http.get("/v1/status")).status_code == 200
        await keys.revoke("one")
        assert (await http.get("/v1/status")).status_code == 401


async def test_an_open_stream_ends_when_its_key_does(
    house: House, agent: FakeAgent, settings: ApiSettings, keys: Keys
) -> None:
    _, token = await keys.create(name="one", tenant="acme", role="reader")
    agent.pause_s = 3600.0
    async with calling(house, settings, token) as http, anyio.create_task_group() as group:

        async def later() -> None:
            while not agent.asked:  # noqa: ASYNC110
                await anyio.sleep(0.001)
            await keys.revoke("one")

        group.start_soon(later)
        with anyio.fail_after(20):
            told = await http.post("/v1/chat/completions", json=ASK | {"stream": True})
    last = json.loads(told.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == "unauthorized"
    assert "[DONE]" not in told.text
    assert agent.cancelled == 1


# --- links that carry a pass


async def link_of(http: httpx2.AsyncClient) -> httpx2.URL:
    told = (await http.post("/v1/chat/completions", json=ASK)).json()
    return httpx2.URL(told["choices"][0]["message"]["annotations"][0]["url_citation"]["url"])


async def test_the_link_of_a_citation_shows_its_page_without_a_key_until_the_key_ends(
    house: House, agent: FakeAgent, settings: ApiSettings, keys: Keys
) -> None:
    _, token = await keys.create(name="one", tenant="acme", role="reader", groups=["hr"])
    agent.images = {(a_citation(1).document_id, 2): b"png", (a_citation(1).document_id, 3): b"other"}
    async with calling(house, settings, token) as http:
        link = await link_of(http)
        del http.headers["authorization"]
        shown = await http.get(link)
        assert (shown.status_code, shown.content) == (200, b"png")
        assert agent.pages[-1][2].groups == ("hr",)
        assert agent.pages[-1][2].documents == (a_citation(1).document_id,)
        given = link.params["pass"]
        other_page = link.copy_with(path=link.path[:-1] + "3")
        forged = given[:-2] + ("AA" if given[-2:] != "AA" else "BB")
        for wrong in (other_page, link.copy_set_param("pass", forged), link.copy_set_param("pass", "é.x")):
            assert (await http.get(wrong)).status_code == 401
        listed = await http.get("/v1/documents", params={"pass": given})
        assert listed.status_code == 401, "it opens its page and nothing else"
        assert (await http.get("/v1/status", headers={"authorization": f"Bearer {given}"})).status_code == 401
        await keys.revoke("one")
        assert (await http.get(link)).status_code == 401


async def test_a_pass_is_over_with_its_time(house: House, agent: FakeAgent, settings: ApiSettings) -> None:
    agent.images = {(a_citation(1).document_id, 2): b"png"}
    brief = settings.model_copy(update={"page_link_s": -1.0})
    async with calling(house, brief, OWNER) as http:
        link = await link_of(http)
        del http.headers["authorization"]
        assert (await http.get(link)).status_code == 401


async def test_the_owners_links_end_with_the_owners_key(
    house: House, agent: FakeAgent, settings: ApiSettings
) -> None:
    agent.images = {(a_citation(1).document_id, 2): b"png"}
    async with calling(house, settings, OWNER) as http:
        link = await link_of(http)
        del http.headers["authorization"]
        assert (await http.get(link)).status_code == 200
    other = settings.model_copy(update={"api_key": ApiSettings(api_key=OWNER + "2").api_key})
    async with calling(house, other, OWNER) as http:
        del http.headers["authorization"]
        assert (await http.get(link)).status_code == 401


# --- tokens of a provider


RSA = RSAKey.generate_key(2048, {"kid": "one"}, private=True)
EC = ECKey.generate_key("P-256", {"kid": "two"}, private=True)


class Provider:
    """Gives its keys, counts how often, and can be down."""

    def __init__(self, *keys: Any) -> None:
        self.keys = list(keys)
        self.down = False
        self.fetched: list[str] = []

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if self.down:
            raise ProviderDown("It is down.")
        if url.endswith("openid-configuration"):
            return json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}).encode()
        return json.dumps(KeySet(self.keys).as_dict(private=False)).encode()


def signed_in(tmp_path: Path, **more: Any) -> ApiSettings:
    given: dict[str, Any] = {"oidc_issuer": ISSUER, "oidc_audience": "pagewarden", "recheck_s": 0.01}
    return ApiSettings(home=tmp_path, api_key=OWNER, **given | more)


def token(key: Any = RSA, alg: str = "RS256", *, kid: str | None = None, **claims: Any) -> str:
    now = int(time.time())
    told = {
        "iss": ISSUER,
        "aud": "pagewarden",
        "sub": "alice",
        "exp": now + 600,
        "iat": now,
        "groups": ["hr"],
    }
    told = {name: value for name, value in (told | claims).items() if value is not None}
    return jwt.encode({"alg": alg, "kid": kid or key.kid}, told, key, algorithms=[alg])


async def test_a_token_of_the_provider_names_its_subject(tmp_path: Path) -> None:
    provider = Provider(RSA, EC)
    tokens = Tokens(signed_in(tmp_path), fetch=provider.fetch)
    told = await tokens.read(token(preferred_username="alice@example.org"))
    assert (told.name, told.groups, told.tenant) == ("alice@example.org", ("hr",), None)
    assert (await tokens.read(token(EC, "ES256"))).id == told.id
    assert (await tokens.read(token(sub="bob"))).id != told.id
    assert provider.fetched == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"aud": ["another", "third"]},
        {"exp": 1},
        {"exp": None},
        {"exp": "never"},
        {"nbf": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
    ],
)
async def test_a_token_for_others_or_past_its_time_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    tokens = Tokens(signed_in(tmp_path), fetch=Provider(RSA).fetch)
    with pytest.raises(Unauthorized):
        await tokens.read(token(**wrong))


async def test_a_token_is_refused_whose_signature_is_not_on_the_list(tmp_path: Path) -> None:
    provider = Provider(RSA, EC)
    tokens = Tokens(signed_in(tmp_path, oidc_algorithms=("RS256",)), fetch=provider.fetch)
    good = token()
    head, body, signature = good.split(".")
    none = "eyJhbGciOiJub25lIiwia2lkIjoib25lIn0"
    # The classic confusion: the provider's public key used as a shared secret.
    shared = urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').decode().rstrip("=")
    mac = hmac.digest(RSA.as_pem(private=False), f"{shared}.{body}".encode(), "sha256")
    confused = f"{shared}.{body}." + urlsafe_b64encode(mac).decode().rstrip("=")
    wrong = [token(EC, "ES256"), f"{none}.{body}.", f"{head}.{body}.", f"{head}.{body}.{signature[:-4]}AAAA"]
    wrong += [confused, "a.b.c", "..", "é.b.c", good + "." + signature, "x" * 20_000]
    for one in wrong:
        with pytest.raises(Unauthorized):
            await tokens.read(one)


async def test_made_up_key_ids_make_nobody_fetch(tmp_path: Path) -> None:
    now = 10_000.0
    provider = Provider(RSA)
    settings = signed_in(tmp_path, oidc_jwks_url=f"{ISSUER}/keys")
    tokens = Tokens(settings, fetch=provider.fetch, clock=lambda: now)
    for n in range(50):
        with pytest.raises(Unauthorized):
            await tokens.read(token(EC, "ES256", kid=f"made-up-{n}", exp=20_000))
    assert len(provider.fetched) == 1
    provider.keys.append(EC)
    now += 61
    assert (await tokens.read(token(EC, "ES256", exp=20_000, iat=10_000))).name == "alice"
    assert len(provider.fetched) == 2


async def test_a_provider_that_is_down_is_told_and_its_last_keys_stay(tmp_path: Path) -> None:
    now = 10_000.0
    provider = Provider(RSA)
    provider.down = True
    tokens = Tokens(signed_in(tmp_path), fetch=provider.fetch, clock=lambda: now)
    with pytest.raises(ProviderDown):
        await tokens.read(token(exp=90_000))
    provider.down, now = False, now + 61
    await tokens.read(token(exp=90_000, iat=10_000))
    provider.down, now = True, now + 7200
    await tokens.read(token(exp=90_000, iat=10_000))


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": ISSUER},
        {"oidc_issuer": "http://login.example.org", "oidc_audience": "x"},
        {"oidc_issuer": ISSUER, "oidc_audience": "x", "oidc_jwks_url": "file:///etc/passwd"},
        {"oidc_issuer": ISSUER, "oidc_audience": "x", "oidc_algorithms": ("HS256",)},
        {"oidc_issuer": ISSUER, "oidc_audience": "x", "oidc_algorithms": ("none",)},
        {"oidc_issuer": ISSUER, "oidc_audience": "x", "oidc_algorithms": ()},
    ],
)
def test_a_provider_that_would_let_anybody_in_is_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="OIDC"):
        ApiSettings(**wrong)


@asynccontextmanager
async def signed(house: House, settings: ApiSettings, shown: str) -> Any:
    app = create_app(house, settings=settings)
    app.state.doorkeeper._tokens = Tokens(settings, fetch=Provider(RSA).fetch)
    transport = httpx2.ASGITransport(app=app, client=("10.0.0.7", 5000))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", headers={"authorization": f"Bearer {shown}"}
    ) as http:
        yield http


async def test_the_providers_groups_are_mapped_to_groups_tenant_and_role(
    house: House, agent: FakeAgent, tmp_path: Path
) -> None:
    settings = signed_in(
        tmp_path,
        oidc_groups={"corp-hr": "hr"},
        oidc_editors=frozenset({"corp-editors"}),
        oidc_tenant_claim="org",
    )
    async with signed(house, settings, token(groups=["corp-hr", "board"], org="acme")) as http:
        await http.post("/v1/chat/completions", json=ASK)
        assert (await http.post("/v1/documents", files={"file": ("x", b"x")})).status_code == 403
    scope = agent.asked[0].scope
    assert (scope.tenant, scope.groups) == ("acme", ("hr",))
    async with signed(house, settings, token(groups=["corp-editors"], org="acme")) as http:
        assert (await http.post("/v1/documents", files={"file": ("x", b"x")})).status_code == 200
    for nowhere in (token(), token(org="../x"), token(org=["acme"])):
        async with signed(house, settings, nowhere) as http:
            assert (await http.get("/v1/status")).status_code == 401


async def test_a_suspended_subject_is_out_and_so_are_its_links(
    house: House, agent: FakeAgent, tmp_path: Path
) -> None:
    settings = signed_in(tmp_path)
    agent.images = {(a_citation(1).document_id, 2): b"png"}
    keys = Keys(tmp_path / "keys.sqlite")
    async with signed(house, settings, token()) as http:
        link = await link_of(http)
        who = agent.asked[0].scope.owner
        assert who.startswith("user-")
        bare = {"authorization": ""}
        assert (await http.get(link, headers=bare)).status_code == 200
        assert agent.pages[-1][2].groups == ("hr",)
        await keys.suspend(who, suspended=True)
        assert (await http.get("/v1/status")).status_code == 401
        assert (await http.get(link, headers=bare)).status_code == 401


async def test_secrets_of_a_home_differ(tmp_path: Path) -> None:
    one, two = Keys(tmp_path / "1.sqlite"), Keys(tmp_path / "2.sqlite")
    assert await one.secret("x") == await one.secret("x")
    assert len({await one.secret("x"), await one.secret("y"), await two.secret("x")}) == 3
    with sqlite3.connect(tmp_path / "1.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (2,)
    connection.close()
