"""Answering: steps, streams, edits, rates, sources, pictures, buttons, and hostile words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.records import Sentence, Step
from api.slack.plain import seen
from tests.api.slack.conftest import ANN, BOB, DIRECT, TALK, Bot, answering, idle, until
from tests.fakes import FakeAgent, FakeShelf, a_citation, a_document, an_answer, telling
from tests.slack_fake import BOT, FakeSlack, Message, alarms, everything, links, plain_of, shown

pytestmark = pytest.mark.anyio

HELD = a_document(tenant="default")
HOSTILE = (
    "Ask <!channel> and @here, @everyone, <@U0ANN>; pay at https://evil.example/x or "
    "<https://evil.example|us>. [click](http://evil.example) ![i](http://evil.example/i) *bold* _it_ `code` "
    "& <b>tags</b> \u202etxt.exe"
)


async def asked_and_answered(slack: FakeSlack, bot: Bot, text: str, **given: object) -> Message:
    """Ask in the channel; return the answer's message."""
    async with bot(**given) as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> {text}")
        await idle(door)
    (answer,) = slack.answers(asked)
    return answer


async def test_a_stream_names_its_steps_and_ends_with_all_of_them_done(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    text = answering(agent, "How many pumps?", "There are 12 pumps.", "Two are spare.")
    agent.pause_s = 0.03
    answer = await asked_and_answered(slack, bot, "How many pumps?")
    assert shown(answer) == text
    assert [task["title"].replace("\u2060", "") for task in answer.tasks.values()] == [
        "Looking …",
        "Searched “How many pumps?”",
    ]
    assert {task["status"] for task in answer.tasks.values()} == {"complete"}
    (start,) = slack.calls("chat.startStream")
    assert (start["recipient_user_id"], start["recipient_team_id"]) == (ANN, "T0TEAM")
    assert not answer.streaming


async def test_without_streams_the_message_is_edited(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    slack.lacks |= {"chat.startStream"}
    text = answering(agent, "How many pumps?", *[f"Pump {n} runs." for n in range(20)])
    agent.pause_s = 0.03
    async with bot(pace_s=0.1) as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> How many pumps?")
        (first,) = await until(lambda: slack.answers(asked))
        assert "Looking …" in everything(first)
        await until(lambda: "Searched" in everything(first))
        await until(lambda: "Pump 3 runs." in shown(first) and "Pump 19" not in shown(first))
        await idle(door)
    (answer,) = slack.answers(asked)
    assert shown(answer) == text == seen(answer.text)
    assert 2 <= answer.edits <= 12
    assert "Stop" not in everything(answer)


@pytest.mark.parametrize("stream", [True, False])
async def test_in_a_storm_of_429_nothing_comes_too_early_and_the_text_is_whole(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, stream: bool
) -> None:
    text = answering(agent, "How many pumps?", *[f"Pump {n} runs." for n in range(20)])
    agent.pause_s = 0.05
    for method in ("chat.update", "chat.appendStream", "chat.stopStream", "users.info"):
        slack.script[method].extend(["429:1", "", "429:1"])
    answer = await asked_and_answered(slack, bot, "How many pumps?", stream=stream)
    assert shown(answer) == text
    assert slack.impatient == []
    assert answer.edits <= 12


async def test_a_stream_that_may_start_no_more_is_not_waited_for(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    slack.script["chat.startStream"].append("429:30")
    text = answering(agent, "How many pumps?", "There are 12 pumps.")
    answer = await asked_and_answered(slack, bot, "How many pumps?")
    assert (shown(answer), answer.streamed) == (text, None)


@pytest.mark.parametrize("method", ["chat.appendStream", "chat.stopStream"])
@pytest.mark.parametrize("fault", ["lost", "500", "message_not_in_streaming_state"])
async def test_a_stream_that_breaks_leaves_each_sentence_once(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, method: str, fault: str
) -> None:
    slack.script[method].append(fault)
    text = answering(agent, "How many pumps?", *[f"Pump {n} runs." for n in range(5)])
    agent.pause_s = 0.03
    answer = await asked_and_answered(slack, bot, "How many pumps?")
    assert shown(answer) == text
    assert not answer.streaming


@pytest.mark.parametrize("fault", ["lost", "500"])
@pytest.mark.parametrize(("stream", "method"), [(True, "chat.startStream"), (False, "chat.postMessage")])
async def test_a_message_whose_reply_was_lost_is_found_again_and_not_posted_twice(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, stream: bool, method: str, fault: str
) -> None:
    slack.script[method].append(fault)
    text = answering(agent, "How many pumps?", "There are 12 pumps.")
    answer = await asked_and_answered(slack, bot, "How many pumps?", stream=stream)
    assert shown(answer) == text


async def test_blocks_that_slack_does_not_take_leave_the_text(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    slack.script["chat.update"].append("invalid_blocks")
    text = answering(agent, "How many pumps?", "There are 12 pumps.")
    agent.pause_s = 0.0
    answer = await asked_and_answered(slack, bot, "How many pumps?", stream=False, pace_s=5.0)
    assert seen(answer.text) == text


async def test_sources_are_numbered_with_document_page_and_words(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    cited = (a_citation(1, quote="Pumps | 12"), replace(a_citation(2, page_no=7), start_s=75.0, end_s=80.0))
    answer = an_answer(
        Sentence(text="There are 12.", citations=(1,)),
        Sentence(text="They run.", citations=(2,)),
        citations=cited,
    )
    agent.script["Pumps?"] = telling(answer)
    told = await asked_and_answered(slack, bot, "Pumps?", public_url="https://docs.acme.example/")
    sources = [plain_of(block) for block in told.blocks if block["type"] == "rich_text"]
    assert sources == ["[1] report.pdf, page 2\n“Pumps | 12”", "[2] report.pdf, 1:15\n“Row 2 of the table”"]
    page = f"https://docs.acme.example/?d={HELD.id}&page="
    assert set(links(told)) == {page + "2", page + "7"}


async def test_without_a_public_address_nothing_is_linked(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "Pumps?", "There are 12 pumps.")
    assert links(await asked_and_answered(slack, bot, "Pumps?")) == []


@pytest.mark.parametrize("stream", [True, False])
async def test_hostile_words_call_nobody_and_link_nowhere(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, stream: bool
) -> None:
    cited = replace(a_citation(1, quote=HOSTILE), name="<!channel> https://evil.example|report.pdf")
    answering(agent, "Pumps?", HOSTILE, citations=(cited,))
    agent.script["Pumps?"].insert(0, Step(node="plan", label=HOSTILE, ms=1.0))
    agent.pause_s = 0.02
    told = await asked_and_answered(slack, bot, "Pumps?", stream=stream)
    assert shown(told) == (HOSTILE + " [1]").replace("\u202e", "")
    assert alarms(told) == []
    assert links(told) == []
    assert not told.unfurl
    assert all(call["unfurl_links"] is False for call in slack.calls("chat.postMessage"))
    assert all(call["unfurl_media"] is False for call in slack.calls("chat.postMessage"))
    assert not any("link_names" in call or "parse" in call for _, _, call in slack.requests)


async def test_an_abstention_says_what_was_searched_and_what_came_nearest(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    nothing = an_answer(kind="abstention", text="I found no evidence.", reason="no_evidence")
    nothing = replace(nothing, searched=("pumps <!here>",), nearest=(a_citation(1),))
    agent.script["Pumps?"] = telling(nothing)
    told = await asked_and_answered(slack, bot, "Pumps?")
    assert shown(told) == "I found no evidence."
    rest = seen(everything(told))
    assert "I searched for: “pumps <!here>”" in rest
    assert "report.pdf, page 2" in rest
    assert alarms(told) == []


async def test_a_refusal_is_told_as_it_is(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    agent.script["Pumps?"] = telling(an_answer(kind="refusal", text="I cannot help.", reason="override"))
    assert shown(await asked_and_answered(slack, bot, "Pumps?")) == "I cannot help."


async def test_sentences_left_out_are_counted(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    answering(agent, "Pumps?", "There are 12 pumps.", dropped=2)
    assert "2 left out" in everything(await asked_and_answered(slack, bot, "Pumps?"))


@pytest.mark.parametrize("stream", [True, False])
async def test_a_long_answer_is_folded_and_opens_whole(
    slack: FakeSlack, agent: FakeAgent, shelf: FakeShelf, bot: Bot, stream: bool
) -> None:
    shelf.held[HELD.id] = HELD
    text = answering(agent, "Pumps?", *[f"Pump {n} runs day and night." for n in range(90)])
    async with bot(stream=stream, fold_chars=400) as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> Pumps?")
        await idle(door)
        (answer,) = slack.answers(asked)
        assert text.startswith(shown(answer))
        assert len(shown(answer)) <= 400
        key = button(answer, "show_rest")["value"]
        await slack.tell(slack.press(BOB, answer, "show_rest", key))
        (view,) = slack.views
        words = " ".join(plain_of(block) for block in view["blocks"] if block["type"] == "rich_text")
        assert text in words
        shelf.held.clear()
        await slack.tell(slack.press(BOB, answer, "show_rest", key))
    assert len(slack.views) == 1
    assert slack.ephemeral[-1][:2] == (TALK, BOB)


async def test_the_cited_regions_are_shown_below_the_answer(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "Pumps?", "There are 12 pumps.")
    agent.images[(HELD.id, 2)] = b"the picture"
    async with bot(crops=2) as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> Pumps?")
        await idle(door)
        await until(lambda: slack.pictures)
    assert slack.pictures == [(TALK, asked.ts, "[1] report.pdf, page 2", b"the picture")]
    (_, _, scope, marks) = agent.pages[-1]
    assert (marks, agent.framings[-1].cut) == (
        a_citation(1).boxes,
        "marks",
    )
    assert scope.collections[0] == "default"
    assert [message.files != [] for message in slack.thread(asked)] == [False, True]


def button(message: Message, action: str) -> dict[str, str]:
    """Return a button of a message."""
    rows = [block["elements"] for block in message.blocks if block["type"] == "actions"]
    return next(one for row in rows for one in row if one["action_id"] == action)


async def test_evidence_is_shown_to_all_where_all_may_see_it(
    slack: FakeSlack, agent: FakeAgent, shelf: FakeShelf, bot: Bot
) -> None:
    shelf.held[HELD.id] = HELD
    answering(agent, "Pumps?", "There are 12 pumps.")
    agent.images[(HELD.id, 2)] = b"the picture"
    async with bot() as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> Pumps?")
        await idle(door)
        (answer,) = slack.answers(asked)
        press = slack.press(BOB, answer, "show_evidence", button(answer, "show_evidence")["value"])
        await slack.tell(press, press)
        await idle(door)
    assert [picture[:2] for picture in slack.pictures] == [(TALK, asked.ts)]


async def test_the_stop_button_stops_and_leaves_what_was_said(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "Pumps?", *[f"Pump {n} runs." for n in range(300)])
    agent.pause_s = 0.02
    async with bot(stream=False) as door:
        asked = await slack.ask(ANN, DIRECT, "Pumps?")
        (answer,) = await until(lambda: slack.answers(asked))
        await until(lambda: "Pump 1 runs." in shown(answer))
        await slack.tell(slack.press(ANN, answer, "stop", button(answer, "stop")["value"]))
        await idle(door)
    assert shown(answer).startswith("Pump 0 runs. [1] Pump 1 runs. [1]")
    assert shown(answer).endswith("Stopped.")
    assert agent.cancelled == 1


async def test_slacks_own_stop_ends_a_stream(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    answering(agent, "Pumps?", *[f"Pump {n} runs." for n in range(300)])
    agent.pause_s = 0.02
    async with bot() as door:
        asked = await slack.ask(ANN, DIRECT, "Pumps?")
        (answer,) = await until(lambda: slack.answers(asked))
        event = {"type": "agent_session_stopped", "channel": DIRECT, "thread_ts": asked.ts, "user": ANN}
        await slack.tell(slack.event(event))
        await idle(door)
    assert "Stopped." in shown(answer)
    assert not answer.streaming


async def test_the_asker_is_answered_in_the_language_of_the_profile(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    slack.users[ANN]["locale"] = "de-DE"
    answering(agent, "Pumps?", "There are 12 pumps.")
    assert "Seite 2" in everything(await asked_and_answered(slack, bot, "Pumps?"))


async def test_every_block_is_within_slacks_limits(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    cited = tuple(a_citation(n, quote="word " * 2000) for n in range(1, 9))
    cited = tuple(replace(one, boxes=(), n=n) for n, one in enumerate(cited * 6, start=1))
    sentences = [Sentence(text="word " * 300, citations=(n,)) for n in range(1, 49)]
    agent.script["Pumps?"] = telling(an_answer(*sentences, citations=cited))
    answer = await asked_and_answered(slack, bot, "Pumps?", stream=False, fold_chars=11_000)
    assert json.dumps(answer.blocks)
    assert "43 more sources" in everything(answer)
