"""The page in a real browser: asked, watched, cited region shown, stopped, attacked."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tests.browser.conftest import HELD, Tab
from tests.fakes import FakeAgent, FakeShelf

pytestmark = pytest.mark.browser

#: Chooses a file, as a person does.
PUT = (
    "(() => { const files = new DataTransfer(); files.items.add(new File(['x'], 'new.txt'));"
    " const input = document.getElementById('files'); input.files = files.files;"
    " input.dispatchEvent(new Event('change')) })()"
)
DONE = "document.querySelector('.turn.done') !== null"


def test_a_finished_answer_tells_how_it_came_about(tab: Tab, page: str) -> None:
    tab.open(page)
    tab.ask("story")
    tab.wait(DONE)
    assert tab.run("document.querySelector('.steps').open") is False
    tab.run("document.querySelector('.steps summary').click()")
    told = tab.run("document.querySelector('.steps ol').innerText")
    assert "means: Spending in 2023?" in told
    assert "report.pdf, page 2 1.50" in told
    assert "meaning 0.81 · reread -3.25" in told
    assert "Left out a sentence: figures" in told


def test_an_answer_shows_its_steps_chips_sources_and_the_cited_region(tab: Tab, page: str) -> None:
    tab.open(page)
    tab.ask("spending")
    tab.wait(DONE)
    assert tab.run("[...document.querySelectorAll('.answer p')].map(p => p.innerText)") == [
        "It was 1,284.1",
        "It grew.2",
    ]
    assert "Searched “spending”" in tab.run("document.querySelector('.steps ol').textContent")
    assert tab.run("document.querySelectorAll('.source').length") == 2
    assert "left out" in tab.run("document.querySelector('.dropped').innerText")
    mark = tab.wait("document.querySelector('.mark')?.style.cssText")
    assert "left: 10%" in mark
    assert "top: 30%" in mark
    tab.wait("document.getElementById('v-image').naturalWidth === 600")
    tab.run("new Promise(done => setTimeout(done, 700))")
    spot = tab.run(
        "(({x, y, width, height}) => [x + width / 2, y + height / 2])"
        "(document.querySelector('.mark').getBoundingClientRect())"
    )
    colour = Image.open(io.BytesIO(tab.screenshot())).convert("RGB").getpixel((int(spot[0]), int(spot[1])))
    assert isinstance(colour, tuple)
    assert colour[2] < colour[0] - 40, "the region is tinted on the screen"
    assert tab.complaints == []


def test_brackets_walk_the_citations_without_loading_a_page_again(
    tab: Tab, page: str, agent: FakeAgent
) -> None:
    tab.open(page)
    tab.ask("spending")
    tab.wait(f"{DONE} && document.querySelectorAll('.thumb').length > 2")
    tab.wait("[...document.querySelectorAll('.thumb img')].every(i => i.naturalWidth)")
    tab.run("document.activeElement.blur()")
    asked = len(agent.pages)
    tab.key("]")
    tab.wait("document.getElementById('v-page').textContent.startsWith('page 3')")
    assert tab.run("document.querySelector('.source[data-cite=\"2\"]').ariaPressed") == "true"
    tab.key("[")
    tab.wait("document.getElementById('v-page').textContent.startsWith('page 2')")
    seen = [(page[:2], framing.size) for page, framing in zip(agent.pages, agent.framings, strict=True)]
    assert len(seen) == len(set(seen)), "no page is loaded twice in the same size"
    assert {framing.form for framing in agent.framings} == {"webp"}
    assert asked <= len(seen)


@pytest.mark.parametrize(
    ("question", "kind", "words"),
    [("nothing", "abstention", "Not in your documents"), ("forbidden", "refusal", "stopped by a rail")],
)
def test_a_no_is_said_plainly_with_its_code(
    tab: Tab, page: str, question: str, kind: str, words: str
) -> None:
    tab.open(page)
    tab.ask(question)
    tab.wait(DONE)
    assert words in tab.run(f"document.querySelector('.notice.{kind}').innerText")
    assert tab.run("document.getElementById('viewer').hidden")


def test_what_a_model_says_is_text_and_loads_nothing(tab: Tab, page: str) -> None:
    tab.open(page)
    tab.ask("attack")
    tab.wait(DONE)
    assert "<img src=x" in tab.run("document.querySelector('.answer p').textContent")
    assert tab.run("document.querySelectorAll('.answer img, .answer b, .answer a').length") == 0
    assert tab.run("window.owned === undefined")
    origins = tab.run("performance.getEntriesByType('resource').map(e => new URL(e.name).origin)")
    assert set(origins) <= {page, "null"}


def test_escape_stops_the_work_on_the_server(tab: Tab, page: str, agent: FakeAgent) -> None:
    tab.open(page)
    tab.ask("forever")
    tab.wait("document.querySelectorAll('.steps li').length > 2")
    tab.key("Escape")
    tab.wait("document.querySelector('.notice.stopped') !== null")
    tab.wait("!document.getElementById('send').hidden")
    for _ in range(100):
        if agent.cancelled:
            break
        tab.run("new Promise(done => setTimeout(done, 50))")
    assert agent.cancelled == 1


def test_a_page_without_an_image_is_shown_as_text_with_the_quote_marked(tab: Tab, page: str) -> None:
    tab.open(page)
    tab.ask("notes")
    tab.wait(DONE)
    marked = tab.wait("document.querySelector('#v-text mark')?.innerText")
    assert marked.split() == ["1Capital", "spending", "was", "1,284", "(in", "millions)."]
    assert tab.run("document.querySelectorAll('#v-text p').length") == 3
    assert tab.run("document.querySelectorAll('#v-text img, #v-text script').length") == 0
    assert tab.run("document.getElementById('v-paper').checkVisibility()") is False
    assert tab.run("document.getElementById('v-quote').hidden"), "the quote is in the text already"
    tab.wait("document.querySelectorAll('.thumb').length > 0")
    assert tab.run("document.querySelectorAll('.thumb img').length") == 0
    assert tab.run("window.owned === undefined")
    assert tab.complaints == []


def test_a_link_leads_to_a_page(tab: Tab, page: str) -> None:
    tab.open(f"{page}/?d={HELD.id}&page=4")
    tab.wait("document.getElementById('v-page').textContent === 'page 4 of 5'")
    tab.run("document.activeElement.blur()")
    tab.key("ArrowRight")
    tab.wait("document.getElementById('v-page').textContent === 'page 5 of 5'")


def test_a_document_is_added_and_removed(tab: Tab, page: str) -> None:
    tab.open(page)
    tab.run("document.getElementById('tab-library').click()")
    tab.run(PUT)
    tab.wait("document.querySelector('#uploads .added') !== null")
    tab.wait("document.querySelectorAll('#documents tr').length === 3")
    tab.run("document.querySelector('[aria-label=\"Remove new.txt\"]').click()")
    tab.run("[...document.querySelectorAll('.danger')].find(b => !b.hidden).click()")
    tab.wait("document.querySelectorAll('#documents tr').length === 2")


def test_a_file_on_its_way_is_stopped_tried_again_and_found_again_after_a_reload(
    tab: Tab, page: str, shelf: FakeShelf
) -> None:
    shelf.slow = True
    state = "document.querySelector('#uploads .state')?.textContent"
    button = "document.querySelector('#uploads button:not([hidden])')"
    tab.open(page)
    tab.run("document.getElementById('tab-library').click()")
    tab.run(PUT)
    tab.wait(f"{state} === 'waits for its turn'")
    assert tab.run(f"{button}.getAttribute('aria-label')") == "Stop: new.txt"
    tab.run(f"{button}.click()")
    tab.wait(f"{state} === 'stopped'")
    tab.run(f"{button}.click()")
    tab.wait(f"{state} === 'waits for its turn'")
    tab.open(page)
    tab.run("document.getElementById('tab-library').click()")
    tab.wait(f"{state} === 'waits for its turn'")
    assert tab.complaints == []


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_has_no_sideways_scroll_and_the_page_is_a_sheet(tab: Tab, page: str, width: int) -> None:
    tab.open(page, width=width, height=844)
    tab.ask("spending")
    tab.wait(DONE)
    assert tab.run("document.getElementById('viewer').hidden"), "the answer comes first on a phone"
    tab.run("document.querySelector('.chip').click()")
    tab.wait("document.querySelector('.mark') !== null")
    assert tab.run("document.documentElement.scrollWidth") == width
    assert tab.run("document.getElementById('viewer').getBoundingClientRect().top") > 844 * 0.3


def test_every_control_has_a_name_and_the_words_are_not_in_the_live_region(tab: Tab, page: str) -> None:
    tab.open(page)
    tab.ask("spending")
    tab.wait(DONE)
    nameless = (
        "[...document.querySelectorAll('button, input, textarea, img')].filter(e => !(e.ariaLabel || e.title"
        " || e.innerText?.trim() || e.labels?.length || e.hasAttribute('alt') || e.textContent.trim()))"
        ".map(e => e.outerHTML)"
    )
    assert tab.run(nameless) == []
    assert tab.run("document.querySelector('.answer').closest('[aria-live]')") is None
    assert "2 sources" in tab.wait("document.getElementById('live').textContent")
