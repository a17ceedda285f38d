"""Embedding and reranking servers with the project's own templates: shapes, order, limits."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

import httpx2
import pytest
from PIL import Image

from tests.contract.vllm_cpu.server import Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]


def post(server: Running, path: str, body: dict[str, Any]) -> httpx2.Response:
    return httpx2.post(server.base_url + path, json={"model": server.name, **body}, timeout=120.0)


def picture() -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((64, 64)).convert("RGB").save(buffer, "PNG")
    url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"type": "image_url", "image_url": {"url": url}}


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def vector(server: Running, role: str, *parts: dict[str, Any]) -> list[float]:
    reply = post(server, "/embeddings", {"messages": [{"role": role, "content": list(parts)}]})
    assert reply.status_code == 200, reply.text
    return list(reply.json()["data"][0]["embedding"])


def test_a_vector_has_length_one_and_depends_on_who_asks(embed: Running) -> None:
    question, passage = vector(embed, "query", words("pier")), vector(embed, "document", words("pier"))
    assert len(question) == len(passage) == 128
    assert math.isclose(sum(x * x for x in question), 1.0, abs_tol=1e-2)
    assert question != passage
    assert question == vector(embed, "query", words("pier"))


def test_the_template_writes_the_prefix_that_plain_input_spells_out(embed: Running) -> None:
    plain = post(embed, "/embeddings", {"input": "query: pier"}).json()["data"][0]["embedding"]
    asked = vector(embed, "query", words("pier"))
    assert sum(a * b for a, b in zip(plain, asked, strict=True)) > 0.999


def test_a_picture_is_part_of_its_vector(embed: Running) -> None:
    alone, shown = vector(embed, "document", words("x")), vector(embed, "document", picture(), words("x"))
    assert alone != shown
    two = {"messages": [{"role": "document", "content": [picture(), picture()]}]}
    assert post(embed, "/embeddings", two).status_code == 400


def test_what_the_embedding_server_does_not_do_it_refuses(embed: Running) -> None:
    assert post(embed, "/embeddings", {"input": "x", "dimensions": 16}).status_code == 400
    assert post(embed, "/embeddings", {"input": "x" * 20_000}).status_code == 400
    fetched = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/a.png"}}
    asked = {"messages": [{"role": "document", "content": [fetched]}]}
    assert post(embed, "/embeddings", asked).status_code >= 400
    assert len(vector(embed, "query", words("still there"))) == 128


def test_every_passage_gets_one_score_best_first(rerank: Running) -> None:
    passages = [words("A pier."), words("A quay."), words("A harbour.")]
    documents = [{"content": [passage]} for passage in passages]
    reply = post(rerank, "/rerank", {"query": "pier?", "documents": documents})
    assert reply.status_code == 200, reply.text
    results = reply.json()["results"]
    assert sorted(result["index"] for result in results) == [0, 1, 2]
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)


def test_a_page_image_is_ranked_like_a_passage(rerank: Running) -> None:
    documents = [{"content": [picture(), words("A pier.")]}, {"content": [words("A pier.")]}]
    reply = post(rerank, "/rerank", {"query": "pier?", "documents": documents})
    assert reply.status_code == 200, reply.text
    one, other = (result["relevance_score"] for result in reply.json()["results"])
    assert one != other
