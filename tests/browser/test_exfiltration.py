"""Hostile answers in a real browser: nothing is fetched from elsewhere, no link stands but ours."""

from __future__ import annotations

import asyncio
import html
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import markdown
import pytest
import uvicorn

from agent.records import Sentence, Step
from api.app import create_app
from api.settings import ApiSettings
from guardrails.nemo import Rails
from guardrails.policy import load
from tests.agent.crossings import PlainEngine
from tests.browser.conftest import HELD, Tab
from tests.browser.hostile_answers import answer, cut
from tests.fakes import FakeAgent, FakeShelf, a_citation, a_house, an_answer, telling

pytestmark = pytest.mark.browser

DONE = "document.querySelectorAll('.turn.done').length === {n}"
#: Everything in the page that can point or fetch, with where to.
POINTING = """
[...document.querySelectorAll('*')].flatMap(e => [...e.attributes]
  .filter(a => e.closest('#talk, #viewer, #peek')
    && /^(href|src|srcset|srcdoc|data|poster|action|formaction|background|ping|xlink:href)$/.test(a.name))
  .map(a => e.tagName.toLowerCase() + ' ' + a.value))
"""
FETCHING = (
    "#talk :is(img, iframe, object, embed, script, svg, video, audio, link, style, meta, form, a, base)"
)
A_BATCH, BATCHES_A_LOAD = 100, 10
#: What an address without a scheme is joined to; nobody answers there.
BASE = "<base href='http://127.0.0.1:9/'>"
ANSWERS = [300, pytest.param(20_000, marks=[pytest.mark.soak])]


@pytest.fixture
def house_of_answers(tmp_path: Path) -> Iterator[tuple[FakeAgent, str]]:
    """Serve scripted answers on loopback, with no rails before them."""
    agent = FakeAgent({})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(a_house(agent, FakeShelf(HELD)), settings=ApiSettings(home=tmp_path))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield agent, f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def script(agent: FakeAgent, batch: int, texts: list[str]) -> None:
    """Tell every text in every place: sentences, half sentences, quotes, names, steps, a refusal's words."""
    hostile = tuple(
        replace(a_citation(n, page_no=1), document_id=HELD.id, name=text[:200], quote=text)
        for n, text in enumerate(texts[:20], start=1)
    )
    sentences = [
        Sentence(text=piece, citations=(place % len(hostile) + 1,))
        for place, text in enumerate(texts)
        for piece in (cut(text, place) if place % 4 == 0 else [text])
    ]
    steps = [
        Step(node="plan", label=text, ms=1.0, facts={"standalone": text, "queries": [text], "leans": True})
        for text in texts[20:30]
    ]
    told = replace(an_answer(*sentences, citations=hostile), steps=tuple(steps))
    agent.script[f"batch {batch}"] = telling(told, *steps)
    nothing = an_answer(kind="abstention", text=texts[0], reason="no_evidence")
    agent.script[f"nothing {batch}"] = telling(replace(nothing, nearest=hostile, searched=tuple(texts[:5])))
    agent.script[f"refused {batch}"] = telling(an_answer(kind="refusal", text=texts[1], reason=texts[2]))


@pytest.mark.parametrize("answers", ANSWERS)
def test_the_page_alone_fetches_nothing_and_links_nowhere(
    answers: int, tab: Tab, house_of_answers: tuple[FakeAgent, str]
) -> None:
    agent, address = house_of_answers
    foreign: list[str] = []
    loads = 0
    for batch in range(answers // A_BATCH):
        turn = batch % BATCHES_A_LOAD
        if turn == 0:
            tab.open(address)
            tab.run("sessionStorage.clear()")
            tab.open(address)
            loads += 1
        script(agent, batch, [answer(batch * A_BATCH + n) for n in range(A_BATCH)])
        for place, kind in enumerate(("batch", "nothing", "refused")):
            tab.ask(f"{kind} {batch}")
            tab.wait(DONE.format(n=turn * 3 + place + 1))
        tab.run("document.querySelectorAll('.chip').forEach(c => c.dispatchEvent(new Event('mouseenter')))")
        tab.run("[...document.querySelectorAll('.chip')].slice(-3).forEach(c => c.click())")
        tab.run("[...document.querySelectorAll('details')].forEach(d => d.open = true)")
        assert tab.run(f"document.querySelectorAll(`{FETCHING}`).length") == 0
        pointing = [p for p in tab.run(POINTING) if not p.startswith(("img blob:", "img /v1/documents/"))]
        assert [p for p in pointing if "example" in p or "192.0.2" in p] == []
        assert tab.run("window.owned === undefined && location.origin") == address
        foreign += [u for u in tab.requests if urlsplit(u).netloc != urlsplit(address).netloc]
        foreign = [u for u in foreign if not u.startswith(f"blob:{address}")]
        asked = len(tab.requests)
        tab.requests.clear()
    print(f"{answers} answers in {loads} loads of the page, without rails: {len(foreign)} requests elsewhere")
    assert asked, "requests were seen at all"
    assert foreign == []


def lenient(texts: list[str]) -> str:
    """Render as a careless client does: Markdown with raw HTML let through, each answer a page of its own."""
    pages = (BASE + markdown.markdown(text, extensions=["tables"]) for text in texts)
    return "\n".join(f'<iframe srcdoc="{html.escape(page)}"></iframe>' for page in pages)


def shown(tab: Tab, page: str) -> list[str]:
    """Render markup without any policy of content, and return what it asked for."""
    tab.call("Page.navigate", url="about:blank")
    tab.wait("document.readyState === 'complete'")
    tab.requests.clear()
    frame = tab.call("Page.getFrameTree")["frameTree"]["frame"]["id"]
    tab.call("Page.setDocumentContent", frameId=frame, html=page)
    tab.run("new Promise(done => setTimeout(done, 600))")
    return [u for u in tab.requests if urlsplit(u).scheme in ("http", "https", "ftp", "file", "ws", "wss")]


@pytest.mark.parametrize("answers", ANSWERS)
def test_what_the_rails_let_pass_fetches_nothing_even_in_a_careless_renderer(answers: int, tab: Tab) -> None:
    rails = Rails(load("default"), engine=PlainEngine, rail_timeout_s=60)

    async def passed(texts: list[str]) -> list[str]:
        verdicts = await rails.screen("answer", texts)
        return [verdict.text for verdict in verdicts if verdict.allowed]

    asked, let = [], 0
    for start in range(0, answers, A_BATCH):
        texts = [answer(n) for n in range(start, start + A_BATCH)]
        through = asyncio.run(passed(texts))
        let += len(through)
        asked += shown(tab, lenient(through)) if through else []
    print(f"{answers} answers, {let} let pass by the rails; rendered without a policy: {len(asked)} requests")
    assert let < 0.25 * answers
    assert asked == []


def test_without_rails_a_careless_renderer_is_seen_to_fetch(tab: Tab) -> None:
    asked = shown(tab, lenient([answer(n) for n in range(110)]))
    print(f"110 answers without rails, rendered without a policy: {len(asked)} requests")
    assert len(asked) > 20
