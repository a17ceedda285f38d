"""Every shape that leaves the house fits its JSON Schema in `docs/schemas/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agent.records import SearchResult, Sentence
from api.schemas import PUBLISHED, published
from ingest.records import Hit
from tests.api.conftest import Client
from tests.fakes import FakeAgent, FakeShelf, a_chunk, a_citation, a_document, an_answer, telling

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"


def check(name: str, told: Any) -> None:
    schema = json.loads((FOLDER / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(told)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_published_schema_is_the_one_in_use(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == published(name), "run: python -m api.schemas docs/schemas"


def test_the_answer_has_exactly_the_fields_that_were_promised() -> None:
    schema = json.loads((FOLDER / "answer.json").read_text())
    assert list(schema["properties"]) == sorted(
        [
            "kind",
            "text",
            "sentences",
            "citations",
            "reason",
            "dropped",
            "written_by",
            "reasoned",
            "vision",
            "languages",
            "trace_id",
            "confidence",
            "searched",
            "nearest",
            "steps",
        ]
    )
    assert sorted(schema["$defs"]["CitationOut"]["properties"]) == sorted(
        ["n", "document_id", "name", "page_no", "boxes", "start_s", "end_s", "quote", "score", "url"]
    )


@pytest.mark.parametrize("kind", ["answer", "abstention", "refusal"])
async def test_the_chat_field_fits(client: Client, agent: FakeAgent, kind: Any) -> None:
    sentences = (Sentence(text="It is 20.", citations=(1,)),) if kind == "answer" else ()
    answer = an_answer(
        *sentences, citations=(a_citation(),) if sentences else (), kind=kind, text="x", reason="y"
    )
    agent.script["q"] = telling(answer)
    body = {"model": "pagewarden", "messages": [{"role": "user", "content": "q"}]}
    async with client() as http:
        check("answer", (await http.post("/v1/chat/completions", json=body)).json()["pagewarden"])


async def test_what_search_tells_fits(client: Client, agent: FakeAgent) -> None:
    hit = Hit(chunk=a_chunk("Row 1"), document_name="report.pdf", score=0.5)
    agent.found = SearchResult(hits=(hit,), citations=(a_citation(),))
    async with client() as http:
        found = (await http.post("/v1/search", json={"query": "row"})).json()
        agent.found = SearchResult(hits=(), refusal="override")
        refused = (await http.post("/v1/search", json={"query": "row"})).json()
    assert found["hits"][0]["text"] == "Row 1"
    assert refused == {"hits": [], "reason": "override"}
    check("search", found)
    check("search", refused)


async def test_what_documents_tell_fits(client: Client, shelf: FakeShelf) -> None:
    held = a_document("report.pdf", tenant="default")
    async with client() as http:
        check("add", (await http.post("/v1/documents", files={"file": ("report.pdf", b"x")})).json())
        check("documents", (await http.get("/v1/documents")).json())
        check("document", (await http.get(f"/v1/documents/{held.id}")).json())
        check("status", (await http.get("/v1/status")).json())
        check("ready", (await http.get("/readyz")).json())
        check("removed", (await http.delete(f"/v1/documents/{held.id}")).json())
        check("problem", (await http.get(f"/v1/documents/{held.id}")).json())
