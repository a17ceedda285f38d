"""Hostile names, paths, ids and headers at every door: refused or inert; never a path, header or script."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

from api.settings import ApiSettings
from tests.api.conftest import Client
from tests.fakes import FakeAgent, FakeShelf

pytestmark = pytest.mark.anyio

_TARGETS = ("etc/passwd", "keys.sqlite", "..\\windows\\win.ini")
_CLIMBS = (
    "../" * 6,
    "..\\" * 6,
    "/",
    "//",
    "C:\\",
    "\\\\host\\share\\",
    "....//" * 4,
    "..;/" * 4,
    "./../" * 4,
    "%2e%2e%2f" * 4,
    "%252e%252e%252f" * 4,
    "..%c0%af" * 4,
    "..%5c" * 4,
    "\u2025/" * 4,
    "file:///",
    "~/",
)
TRAVERSALS = [climb + target for climb in _CLIMBS for target in _TARGETS]
SCRIPTS = [
    "<script>alert(1)</script>.pdf",
    "<img src=x onerror=alert(1)>.pdf",
    '"><svg/onload=alert(1)>.html',
    "javascript:alert(1).pdf",
    "data:text/html,<script>1</script>",
    "';alert(1);//.pdf",
    "{{7*7}}.docx",
    "${7*7}.docx",
    "#{7*7}.docx",
    "=cmd|' /C calc'!A0.csv",
    "@SUM(1+1).csv",
    "[x](javascript:alert(1)).md",
    "![x](//collect.example).md",
    "<iframe srcdoc=x>.pdf",
    "\u202egpj.exe.pdf",
    "a\u200bb.pdf",
    "a" * 4096 + ".pdf",
    "CON.pdf",
    "NUL",
    ".htaccess",
    ".",
    "..",
    "a\tb.pdf",
    "a\x00b.pdf",
    "-rf",
    "$(reboot).pdf",
    "`reboot`.pdf",
    "a;b|c&d.pdf",
    "' OR 1=1 --.pdf",
    "%s%n%x.pdf",
    "<!--#exec cmd=ls-->.pdf",
    "<?php 1 ?>.pdf",
]
HEADERS = [
    "a\r\nset-cookie: x=1",
    "a\nx-evil: 1",
    "a\r\n\r\n<script>alert(1)</script>",
    "a\u2028b",
    "a%0d%0aset-cookie:x=1",
    "a\x0bb",
    "é" * 40,
    "x" * 5000,
    "../../x",
    "<script>",
]
PATHS = [
    "/v1/documents/{x}",
    "/v1/documents/{x}/pages/1",
    "/v1/documents/{x}/pages/1/text",
    "/v1/threads/{x}",
    "/v1/models/{x}",
    "/web/{x}",
]
ODD_IDS = [
    "..%2f..%2fetc%2fpasswd",
    "..%5c..%5cwin.ini",
    "%2e%2e",
    "%00",
    "*",
    "00000000-0000-0000-0000-00000000000%2f",
    "<script>alert(1)</script>",
    "' OR '1'='1",
    "$ne",
    "__proto__",
    "-1",
    "1e9",
    "%F0%9F%98%80",
    "a" * 3000,
]
CASES = len(TRAVERSALS) + len(SCRIPTS) + len(HEADERS) + len(PATHS) * len(ODD_IDS)


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert CASES >= 150
    assert len({*TRAVERSALS, *SCRIPTS}) == len(TRAVERSALS) + len(SCRIPTS)


def inert(answer: httpx2.Response) -> None:
    """Check that no browser would run anything of an answer, and that nothing of ours stands in it."""
    kind = answer.headers["content-type"]
    assert kind.startswith(("application/json", "application/problem+json")), kind
    json.loads(answer.text)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "set-cookie" not in answer.headers
    assert "root:" not in answer.text


@pytest.mark.parametrize("name", [*TRAVERSALS, *SCRIPTS])
async def test_a_hostile_file_name_is_a_label_and_never_a_path(
    client: Client, shelf: FakeShelf, settings: ApiSettings, name: str
) -> None:
    before = set(settings.home.parent.rglob("*"))
    async with client() as http:
        told = await http.post("/v1/documents", files={"file": (name, b"x")})
        inert(told)
        assert told.status_code in (200, 400)
        inert(await http.get("/v1/documents"))
    if told.status_code == 200:
        (label, _, stored, _) = shelf.came[0]
        assert not {"", ".", ".."} & set(label.replace("\\", "/").split("/"))
        assert not label.startswith(("/", "\\"))
        assert not any(ord(char) < 32 for char in label)
        assert "\u202e" not in label
        assert len(label) <= 300
        assert Path(stored).name == stored
        assert stored.partition(".")[0] == "0", "it lies under a name of ours"
    made = set(settings.home.parent.rglob("*")) - before
    assert {path.relative_to(settings.home).parts[0] for path in made if path != settings.home} <= {
        "inbox",
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "ledger.sqlite-shm",
    }


@pytest.mark.parametrize("odd", ODD_IDS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_hostile_id_is_not_found(
    client: Client, agent: FakeAgent, shelf: FakeShelf, path: str, odd: str
) -> None:
    async with client() as http:
        told = await http.get(path.replace("{x}", odd))
    assert told.status_code in (307, 400, 404), told.status_code
    inert(told)
    assert agent.pages == []


@pytest.mark.parametrize("value", HEADERS)
async def test_nothing_of_a_request_becomes_a_header(client: Client, value: str) -> None:
    async with client() as http:
        found = []
        sent = value.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
        found.append(await http.get("/v1/status", headers={"x-request-id": sent}))
        found.append(await http.get("/v1/documents", params={"after": value}))
        found.append(await http.post("/v1/search", json={"query": value, "limit": 1}))
        found.append(
            await http.post("/v1/documents", files={"file": ("x", b"x")}, data={"collection": value})
        )
        found.append(await http.get(f"/v1/models/{value}" if value.isprintable() else "/v1/models"))
    for told in found:
        inert(told)
        assert "x-evil" not in told.headers
        assert len(told.headers["x-request-id"]) <= 64
