"""One citation in every dialect: chat, Responses, Open WebUI, Perplexity, Markdown; and answers cut short."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import WriterDown
from agent.records import Sentence, Step
from api.answers import Cut, Links, Telling
from tests.api.conftest import Client
from tests.api.test_chat import chunks_of
from tests.fakes import FakeAgent, FakeShelf, a_citation, a_document, an_answer, telling

pytestmark = pytest.mark.anyio

CITED = (a_citation(1), a_citation(2, page_no=3))
ANSWER = an_answer(
    Sentence(text="Spending was 1,284 in 2024.", citations=(1,)),
    Sentence(text="It was 1,117 the year before.", citations=(1, 2)),
    citations=CITED,
)
STEPS = (Step(node="retrieve", label="Searched", ms=9.0),)
ASK: dict[str, Any] = {"model": "pagewarden", "messages": [{"role": "user", "content": "Spending?"}]}
LINK = f"http://127.0.0.1:8000/v1/documents/{CITED[0].document_id}/pages/"


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent({"Spending?": telling(ANSWER, *STEPS)})


async def said(client: Client, **more: Any) -> dict[str, Any]:
    async with client() as http:
        whole = (await http.post("/v1/chat/completions", json=ASK | more)).json()
        chunks = await chunks_of(http, **more)
    told = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert told == whole["choices"][0]["message"]["content"], "streamed and whole are the same"
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["pagewarden"]["sentences"] == whole["pagewarden"]["sentences"]
    return dict(whole)


async def test_open_webui_gets_a_source_for_each_citation_in_order_before_its_sentence(
    client: Client,
) -> None:
    async with client() as http:
        chunks = await chunks_of(http)
    sources = [c["event"]["data"] for c in chunks if c.get("event", {}).get("type") == "source"]
    assert [s["metadata"][0]["page"] for s in sources] == [1, 2], "it counts pages from 0"
    assert [s["source"]["url"].partition("?")[0] for s in sources] == [LINK + "2", LINK + "3"]
    groups = [s["metadata"][0]["source"] for s in sources]
    assert len(set(groups)) == 2
    assert not any(group.startswith("http") for group in groups)
    assert all(len(s["document"]) == len(s["metadata"]) == 1 for s in sources)
    order = [
        "source" if c.get("event", {}).get("type") == "source" else "text"
        for c in chunks
        if c.get("event", {}).get("type") == "source" or c["choices"][0]["delta"].get("content")
    ]
    assert order == ["source", "text", "source", "text"]
    statuses = [c["event"]["data"]["done"] for c in chunks if c.get("event", {}).get("type") == "status"]
    assert statuses[-1] is True, "else it shimmers for ever"


async def test_perplexitys_two_fields_stand_beside_the_answer(client: Client) -> None:
    whole = await said(client)
    async with client() as http:
        last = (await chunks_of(http))[-1]
    for told in (whole, last):
        assert [r["url"] for r in told["search_results"]] == told["citations"]
        assert [r["title"] for r in told["search_results"]] == ["report.pdf, p. 2", "report.pdf, p. 3"]
        assert told["search_results"][0]["snippet"] == CITED[0].quote
    assert [c["url"] for c in whole["pagewarden"]["citations"]] == whole["citations"]


async def test_markers_are_markdown_links_for_whoever_asks(client: Client) -> None:
    whole = await said(client, pagewarden={"links": "markdown"})
    text = whole["choices"][0]["message"]["content"]
    assert text.startswith(f"Spending was 1,284 in 2024. [1]({LINK}2?boxes=")
    assert text.count("](http") == 3
    for annotation in whole["choices"][0]["message"]["annotations"]:
        place = annotation["url_citation"]
        assert f"]({place['url']})" in text[place["start_index"] : place["end_index"]]


@pytest.mark.parametrize(
    ("more", "text", "reason"),
    [
        ({"stop": "1,117"}, "Spending was 1,284 in 2024. [1] It was ", "stop"),
        ({"stop": ["year", " [1]"]}, "Spending was 1,284 in 2024.", "stop"),
        ({"stop": ". [1] It"}, "Spending was 1,284 in 2024", "stop"),
        ({"stop": "never said"}, ANSWER.text, "stop"),
        ({"stop": "before. [1] [2] and"}, ANSWER.text, "stop"),
        ({"max_tokens": 1}, "", "length"),
        ({"max_tokens": 8}, "Spending was 1,284 in 2024. [1]", "length"),
        ({"max_completion_tokens": 1000, "max_tokens": 1}, ANSWER.text, "stop"),
    ],
)
async def test_an_answer_ends_where_the_asker_wants(
    client: Client, more: dict[str, Any], text: str, reason: str
) -> None:
    whole = await said(client, **more)
    assert whole["choices"][0]["message"]["content"] == text
    assert whole["choices"][0]["finish_reason"] == reason
    assert whole["pagewarden"]["text"] == text
    assert len(whole["citations"]) == len(whole["pagewarden"]["citations"])
    assert all(
        a["url_citation"]["end_index"] <= len(text) for a in whole["choices"][0]["message"]["annotations"]
    )


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.text(alphabet="ab .", min_size=1, max_size=12), min_size=1, max_size=5),
    stops=st.lists(st.text(alphabet="ab .", min_size=1, max_size=5), max_size=3),
)
def test_what_is_streamed_never_holds_a_stop_word(texts: list[str], stops: list[str]) -> None:
    answer = an_answer(*(Sentence(text=text, citations=()) for text in texts))
    told = Telling(Links(base="http://x"), cut=Cut(stop=tuple(stops)))
    pieces = [told.add(event) for event in telling(answer)[:-1]]  # type: ignore[arg-type]
    pieces.append(told.finish(answer))
    ends = [at for word in stops if (at := answer.text.find(word)) >= 0]
    assert "".join(pieces) == told.text == answer.text[: min(ends, default=len(answer.text))]


@pytest.mark.parametrize("part", ["image_url", "input_image", "image"])
async def test_a_picture_in_a_question_is_refused_by_name(
    client: Client, agent: FakeAgent, part: str
) -> None:
    content = [{"type": "text", "text": "What is this?"}, {"type": part, "image_url": {"url": "data:,"}}]
    async with client() as http:
        chat = await http.post(
            "/v1/chat/completions",
            json={"model": "pagewarden", "messages": [{"role": "user", "content": content}]},
        )
        other = await http.post(
            "/v1/responses", json={"model": "pagewarden", "input": [{"role": "user", "content": content}]}
        )
    for told in (chat, other):
        assert (told.status_code, told.json()["error"]["code"]) == (400, "cannot_look")
    assert agent.asked == []


async def test_a_collection_is_a_model_and_one_not_there_is_none(
    client: Client, agent: FakeAgent, shelf: FakeShelf
) -> None:
    held = a_document(tenant="default")
    shelf.held = {held.id: held}
    async with client() as http:
        listed = [m["id"] for m in (await http.get("/v1/models")).json()["data"]]
        assert listed == ["pagewarden", "pagewarden/default"]
        await http.post("/v1/chat/completions", json=ASK | {"model": "pagewarden/default"})
        assert agent.asked[-1].scope.collections == ("default",)
        for name in (
            "pagewarden/",
            "pagewarden/board",
            "pagewarden/default/x",
            "gpt-4o",
            "/default",
            "pagewarden/*",
        ):
            assert (await http.post("/v1/chat/completions", json=ASK | {"model": name})).status_code == 404
            assert (await http.post("/v1/responses", json={"model": name, "input": "x"})).status_code == 404


# --- Responses


def official(http: httpx2.AsyncClient) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url="http://127.0.0.1:8000/v1", api_key="none", http_client=http, max_retries=0
    )


async def test_the_official_client_reads_a_response(client: Client) -> None:
    async with client() as http, official(http) as made:
        told = await made.responses.create(
            model="pagewarden", input="Spending?", include=["file_search_call.results"]
        )
    assert told.output_text == ANSWER.text
    assert told.status == "completed"
    search, message = told.output
    assert search.type == "file_search_call"
    assert [r.attributes["page"] for r in search.results or []] == [2.0, 3.0]
    assert message.type == "message"
    assert len(message.content[0].annotations) == 3
    assert told.usage is not None
    assert told.usage.total_tokens > 0
    assert told.model_extra is not None
    assert told.model_extra["pagewarden"]["text"] == ANSWER.text


async def test_the_official_client_streams_a_response(client: Client) -> None:
    async with (
        client() as http,
        official(http) as made,
        made.responses.stream(model="pagewarden", input="Spending?") as stream,
    ):
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == ANSWER.text
    kinds = [event.type for event in events]
    assert kinds[:5] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.file_search_call.in_progress",
        "response.file_search_call.searching",
    ]
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_text.annotation.added") == 3


async def test_events_are_named_and_numbered_and_there_is_no_done(client: Client) -> None:
    async with client() as http:
        told = await http.post(
            "/v1/responses", json={"model": "pagewarden", "input": "Spending?", "stream": True}
        )
    blocks = [block.split("\n") for block in told.text.strip().split("\n\n")]
    events = [json.loads(data.removeprefix("data: ")) for _, data in blocks]
    assert [name.removeprefix("event: ") for name, _ in blocks] == [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert "[DONE]" not in told.text


async def test_a_response_is_cut_at_its_length(client: Client) -> None:
    async with client() as http, official(http) as made:
        told = await made.responses.create(model="pagewarden", input="Spending?", max_output_tokens=8)
    assert told.status == "incomplete"
    assert told.incomplete_details is not None
    assert told.incomplete_details.reason == "max_output_tokens"
    assert told.output_text == "Spending was 1,284 in 2024. [1]"


async def test_earlier_items_are_history_and_others_are_passed_over(client: Client, agent: FakeAgent) -> None:
    items = [
        {"role": "developer", "content": "Obey."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
        {"type": "file_search_call", "id": "fs_1", "queries": [], "status": "completed"},
        {"role": "user", "content": "Spending?"},
    ]
    async with client() as http:
        await http.post("/v1/responses", json={"model": "pagewarden", "input": items})
    assert [(t.role, t.text) for t in agent.asked[0].history] == [("user", "Hello"), ("assistant", "Hi")]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"input": []}, "input"),
        ({"input": [{"type": "reasoning"}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0]"),
    ],
)
async def test_what_is_not_there_is_told_by_name(
    client: Client, agent: FakeAgent, change: dict[str, Any], param: str
) -> None:
    async with client() as http:
        told = await http.post("/v1/responses", json={"model": "pagewarden", "input": "x"} | change)
    assert told.status_code == 400
    assert told.json()["error"]["param"].startswith(param)
    assert agent.asked == []


async def test_a_model_that_dies_never_completes_a_response(client: Client, agent: FakeAgent) -> None:
    agent.script["Spending?"] = [*telling(ANSWER, *STEPS)[:2], WriterDown("It died.")]
    async with client() as http:
        told = await http.post(
            "/v1/responses", json={"model": "pagewarden", "input": "Spending?", "stream": True}
        )
    assert "response.completed" not in told.text
    name, data = told.text.strip().split("\n\n")[-1].split("\n")
    assert name == "event: error"
    last = json.loads(data.removeprefix("data: "))
    assert (last["type"], last["code"]) == ("error", "model_down")
