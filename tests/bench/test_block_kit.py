"""The drawing of messages: what is said is drawn and no more, and hostile words stay words."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from api.slack.blocks import Dress, letter, offer, question_form, reason_form, status, whole
from api.slack.records import Cited, Told
from tests.bench.block_kit import Said, page
from tests.slack_fake import Message

HOSTILE = '<script>alert(1)</script> <!channel> "><img src=x> & [a](http://evil.example)'
CITED = Cited(
    n=1, document_id="d1", name="report.pdf", page_no=2, boxes=(), quote="12 pumps", start_s=None, end_s=None
)
TOLD = Told(kind="answer", text="There are 12. [1]", sentences=(("There are 12.", (1,)),), citations=(CITED,))
DRESS = Dress(base="https://docs.example/", private=True)


def drawn(*blocks: dict[str, object], **more: object) -> str:
    message = Message(channel="C", ts="1", user="U", blocks=list(blocks), **more)  # type: ignore[arg-type]
    return page([Said(who="Pagewarden", app=True, message=message)])


def words(html: str) -> str:
    """Return what is to be read on a page."""
    return unescape(re.sub(r"<[^>]*>", "", html.partition("<body>")[2]))


def test_an_answer_is_drawn_with_its_source_its_link_and_its_buttons() -> None:
    html = drawn(*letter(TOLD, key="k", dress=DRESS).blocks)
    for said in ("There are 12. [1]", "report.pdf, page 2", "“12 pumps”", "Share to channel", "Good answer"):
        assert said in words(html)
    assert 'href="https://docs.example/?d=d1&amp;page=2"' in html


def test_hostile_words_stay_words() -> None:
    told = replace(
        TOLD,
        sentences=((HOSTILE, (1,)),),
        citations=(replace(CITED, name=HOSTILE, quote=HOSTILE),),
    )
    html = drawn(*letter(told, key="k", dress=DRESS).blocks)
    assert "<script" not in html
    assert "<img" not in html
    assert words(html).count("<!channel>") == 3


@pytest.mark.parametrize(
    "blocks",
    [
        status(["Searching"], "There", key="k", language="en").blocks,
        offer("k", language="en").blocks,
        letter(replace(TOLD, kind="abstention", searched=("pumps",)), key="k", dress=DRESS).blocks,
    ],
)
def test_whatever_the_bot_says_can_be_drawn(blocks: list[dict[str, object]]) -> None:
    assert words(drawn(*blocks)).startswith("PPagewarden APP")


def test_windows_are_drawn() -> None:
    views = [reason_form("k", language="en"), question_form("m", language="en"), whole(TOLD, dress=DRESS)]
    told = words(page([], windows=views))
    for said in ("What was wrong?", "Your question", "The whole answer", "There are 12."):
        assert said in told


def test_a_stream_is_drawn_without_its_escapes_and_with_its_steps() -> None:
    task = {"title": "Looked", "status": "complete"}
    html = drawn(streamed=r"There are 12. \[1\] &lt;b>", tasks={"0": task})
    assert "✓Looked" in words(html)
    assert "There are 12. [1] <b>" in words(html)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "image_url": "https://evil.example/x"},
        {"type": "rich_text", "elements": [{"elements": [{"type": "emoji", "text": "x"}]}]},
        {"type": "context_actions", "elements": [{"type": "icon_button"}]},
    ],
)
def test_what_the_bot_never_sends_is_refused(block: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not known to send"):
        drawn(block)
