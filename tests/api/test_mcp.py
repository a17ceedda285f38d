"""The house as an MCP server, spoken to by the SDK's own client: HTTP and stdio, old revision and new."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from agent.errors import WriterDown
from agent.records import SearchResult, Sentence
from api.app import create_app
from api.house import House
from api.keys import Keys
from api.settings import ApiSettings
from ingest.records import Hit
from tests.api.test_identity import OWNER
from tests.fakes import FakeAgent, FakeShelf, a_chunk, a_citation, a_document, an_answer, telling

pytestmark = pytest.mark.anyio

HELD = a_document(tenant="acme")
ANSWER = an_answer(Sentence(text="It was 1,284.", citations=(1,)), citations=(a_citation(1, document=HELD),))
MODES = ["legacy", "2026-07-28"]


@pytest.fixture
def agent() -> FakeAgent:
    made = FakeAgent({"Spending?": telling(ANSWER)})
    made.images = {(HELD.id, 1): b"png"}
    made.texts = {(HELD.id, 1): ("One passage.", "Another.")}
    hit = Hit(chunk=a_chunk("Row 1"), document_name=HELD.name, score=0.8)
    made.found = SearchResult(hits=(hit,), citations=ANSWER.citations)
    return made


@pytest.fixture
def shelf() -> FakeShelf:
    return FakeShelf(HELD)


@asynccontextmanager
async def connected(house: House, home: Path, key: str, *, mode: str = "auto") -> AsyncIterator[Client]:
    app = create_app(house, settings=ApiSettings(home=home, api_key=OWNER))
    transport = httpx2.ASGITransport(app=app, client=("10.0.0.7", 5000))
    async with (
        httpx2.AsyncClient(transport=transport, headers={"authorization": f"Bearer {key}"}) as http,
        Client(streamable_http_client("http://127.0.0.1:8000/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


async def a_key(home: Path, **more: Any) -> str:
    given: dict[str, Any] = {"name": "k", "tenant": "acme", "role": "reader"}
    return (await Keys(home / "keys.sqlite").create(**given | more))[1]


@pytest.mark.parametrize("mode", MODES)
async def test_each_tool_tells_the_same_in_text_and_in_structure(
    house: House, agent: FakeAgent, tmp_path: Path, mode: str
) -> None:
    async with connected(house, tmp_path, await a_key(tmp_path), mode=mode) as client:
        answered = await client.call_tool("ask", {"question": "Spending?"})
        found = await client.call_tool("search", {"query": "Spending?"})
        fetched = await client.call_tool("fetch", {"id": f"{HELD.id}/1"})
        looked = await client.call_tool("read_page", {"document_id": HELD.id, "page_no": 1})
        listed = await client.call_tool("list_documents", {})
    assert agent.asked[0].scope.tenant == "acme"
    assert agent.asked[0].channel == "mcp"
    for result in (answered, found, fetched, looked, listed):
        assert not result.is_error
        text = result.content[0].text  # type: ignore[union-attr]
        for value in leaves(result.structured_content):
            assert value in text, value
    for result in (answered, found):
        links = [block for block in result.content if block.type == "resource_link"]
        assert len(links) == 1
        assert links[0].uri.startswith(f"http://127.0.0.1:8000/v1/documents/{HELD.id}/pages/2?")
        assert "pass=" in links[0].uri
    assert [block.type for block in looked.content] == ["text", "image"]


def leaves(told: Any) -> list[str]:
    """Return the words of a structure that a reader needs; numbers and codes of ours aside."""
    skipped = {"trace_id", "kind", "metadata", "id"}
    if isinstance(told, dict):
        return [leaf for name, value in told.items() if name not in skipped for leaf in leaves(value)]
    if isinstance(told, list):
        return [leaf for value in told for leaf in leaves(value)]
    return [told] if isinstance(told, str) else []


@pytest.mark.parametrize("mode", MODES)
async def test_what_is_foreign_and_what_is_absent_look_the_same(
    house: House, tmp_path: Path, mode: str
) -> None:
    foreign = await a_key(tmp_path, tenant="rival")
    async with connected(house, tmp_path, foreign, mode=mode) as client:
        for tool in ("fetch", "read_page"):
            told = []
            for one in (HELD.id, "00000000-0000-0000-0000-000000000000"):
                more = {"id": one} if tool == "fetch" else {"document_id": one, "page_no": 1}
                result = await client.call_tool(tool, more)
                assert result.is_error
                told.append(result.content[0].text)  # type: ignore[union-attr]
            assert told[0] == told[1]
        assert (await client.call_tool("list_documents", {})).structured_content == {"documents": []}


async def test_without_a_key_no_tool_is_even_listed(house: House, tmp_path: Path) -> None:
    app = create_app(house, settings=ApiSettings(home=tmp_path, api_key=OWNER))
    transport = httpx2.ASGITransport(app=app, client=("10.0.0.7", 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as http:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        assert (await http.post("/mcp", json=body)).status_code == 401
        key = {"authorization": f"Bearer {OWNER}"}
        elsewhere = {"origin": "http://evil.example"} | key
        assert (await http.post("/mcp", json=body, headers=elsewhere)).status_code == 403
        assert (await http.post("/mcp", json=body, headers={"host": "evil.example"} | key)).status_code == 403
        assert (await http.get("/mcp", headers=key)).status_code == 405


async def test_a_revoked_key_stops_at_the_next_call(house: House, tmp_path: Path) -> None:
    key = await a_key(tmp_path)
    async with connected(house, tmp_path, key, mode="2026-07-28") as client:
        assert not (await client.call_tool("list_documents", {})).is_error
        await Keys(tmp_path / "keys.sqlite").revoke("k")
        with pytest.raises(MCPError):
            await client.call_tool("list_documents", {})


async def test_what_goes_wrong_is_a_sentence(house: House, agent: FakeAgent, tmp_path: Path) -> None:
    agent.script["Dead?"] = [WriterDown("The model server does not answer; start it.")]
    agent.script["Broken?"] = [RuntimeError("secret /etc/path")]
    async with connected(house, tmp_path, OWNER) as client:
        dead = await client.call_tool("ask", {"question": "Dead?"})
        broken = await client.call_tool("ask", {"question": "Broken?"})
        wrong = await client.call_tool("ask", {"question": ""})
    assert dead.is_error
    assert broken.is_error
    assert wrong.is_error
    assert "start it" in dead.content[0].text  # type: ignore[union-attr]
    assert "secret" not in broken.content[0].text  # type: ignore[union-attr]


async def test_the_tools_are_as_they_were_approved(house: House, tmp_path: Path) -> None:
    async with connected(house, tmp_path, OWNER) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["search", "fetch", "ask", "read_page", "list_documents"]
    assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
    assert all(tool.output_schema for tool in tools)
    said = hashlib.sha256("\n".join(tool.description or "" for tool in tools).encode()).hexdigest()
    assert said[:16] == "4268a8a3e7ccf88b"


@pytest.mark.weights
@pytest.mark.parametrize("mode", MODES)
async def test_the_command_speaks_over_stdin_and_stdout(weights_dir: Path, tmp_path: Path, mode: str) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PAGEWARDEN_")}
    env |= {"PAGEWARDEN_HOME": str(tmp_path), "PAGEWARDEN_WRITER": "quotes"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = StdioServerParameters(command=sys.executable, args=["-m", "api", "mcp"], env=env)
    async with Client(command, mode=mode) as client:
        listed = await client.call_tool("list_documents", {})
        answered = await client.call_tool("ask", {"question": "How high is it?"})
    assert listed.structured_content == {"documents": []}
    assert answered.structured_content is not None
    assert answered.structured_content["kind"] == "abstention"
    assert json.dumps(answered.structured_content["reason"]) == '"empty_library"'
