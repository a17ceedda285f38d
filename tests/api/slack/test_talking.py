"""Talking: mentions, direct messages, threads, edits, deletions, and what is nobody's question."""

from __future__ import annotations

import pytest

from tests.api.slack.conftest import ANN, BOB, DIRECT, OPEN, TALK, Bot, answering, idle, until
from tests.fakes import FakeAgent, FakeShelf, a_document
from tests.slack_fake import BOT, FakeSlack, shown

pytestmark = pytest.mark.anyio


async def test_a_mention_is_answered_once_in_its_thread(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    text = answering(agent, "How many pumps?", "There are 12 pumps.")
    async with bot() as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> How many pumps?")
        await idle(door)
    (answer,) = slack.answers(asked)
    assert shown(answer) == text
    assert [one.text for one in agent.asked] == ["How many pumps?"]


async def test_a_direct_message_is_answered(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    text = answering(agent, "How many pumps?", "There are 12 pumps.")
    async with bot() as door:
        asked = await slack.ask(ANN, DIRECT, "How many pumps?")
        await idle(door)
    (answer,) = slack.answers(asked)
    assert shown(answer) == text


async def test_a_thread_is_the_conversation(
    slack: FakeSlack, agent: FakeAgent, shelf: FakeShelf, bot: Bot
) -> None:
    shelf.held[a_document(tenant="default").id] = a_document(tenant="default")
    first = answering(agent, "How many pumps?", "There are 12 pumps.")
    second = answering(agent, "And valves?", "There are 7 valves.")
    async with bot() as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> How many pumps?")
        await idle(door)
        await slack.ask(ANN, TALK, "And valves?", thread=asked.ts)
        await idle(door)
    assert [shown(one) for one in slack.answers(asked)] == [first, second]
    assert [(turn.role, turn.text) for turn in agent.asked[1].history] == [
        ("user", "How many pumps?"),
        ("assistant", first),
    ]


async def test_what_others_say_to_each_other_in_a_thread_is_not_answered(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "How many pumps?", "There are 12 pumps.")
    async with bot() as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> How many pumps?")
        await idle(door)
        await slack.ask(BOB, TALK, "thanks, good to know", thread=asked.ts)
        await slack.ask(ANN, TALK, f"<@{BOB}> what do you think?", thread=asked.ts)
        await slack.ask(BOB, TALK, "Where do the pumps stand?", thread=asked.ts)
        await idle(door)
    assert [one.text for one in agent.asked] == ["How many pumps?", "Where do the pumps stand?"]


async def test_a_channels_talk_is_not_answered(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    async with bot() as door:
        await slack.ask(BOB, TALK, "What is for lunch today?")
        root = await slack.ask(BOB, TALK, "lunch")
        await slack.ask(ANN, TALK, "What is for lunch today?", thread=root.ts)
        await idle(door)
    assert agent.asked == []
    assert slack.calls("chat.postMessage") == []


async def test_robots_and_our_own_words_are_not_answered(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    slack.user("U0ROBOT", bot=True)
    async with bot() as door:
        own = slack.said(BOT, TALK, f"<@{BOT}> How many pumps?")
        other = slack.event(
            slack.said("U0ROBOT", TALK, f"<@{BOT}> hello?").as_json()
            | {"channel": TALK, "bot_id": "B0OTHER", "type": "app_mention"}
        )
        await slack.tell(*slack.events(own), other)
        await idle(door)
    assert agent.asked == []


async def test_a_mention_without_a_question_is_told_so_quietly(slack: FakeSlack, bot: Bot) -> None:
    async with bot() as door:
        await slack.ask(ANN, TALK, f"<@{BOT}>")
        await idle(door)
    assert {(channel, user) for channel, user, _ in slack.ephemeral} == {(TALK, ANN)}
    assert slack.calls("chat.postMessage") == []


async def test_an_edited_question_is_answered_anew_in_the_same_place(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "How many pumps?", "There are 12 pumps.")
    text = answering(agent, "How many valves?", "There are 7 valves.")
    async with bot() as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> How many pumps?")
        await idle(door)
        edit = slack.edit(asked, f"<@{BOT}> How many valves?")
        await slack.tell(edit, edit)
        await idle(door)
    (answer,) = slack.answers(asked)
    assert shown(answer) == text
    assert len(agent.asked) == 2


@pytest.mark.parametrize("stream", [True, False])
async def test_an_edit_while_it_is_answered_breaks_off_and_begins_again(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, stream: bool
) -> None:
    answering(agent, "How many pumps?", *[f"There are {n} pumps." for n in range(200)])
    text = answering(agent, "How many valves?", "There are 7 valves.")
    agent.pause_s = 0.05
    async with bot(stream=stream) as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> How many pumps?")
        await until(lambda: slack.answers(asked))
        await slack.tell(slack.edit(asked, f"<@{BOT}> How many valves?"))
        await idle(door)
    (answer,) = slack.answers(asked)
    assert shown(answer) == text
    assert agent.cancelled == 1


async def test_an_edit_that_arrives_before_its_message_counts_and_the_message_does_not(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "How many valves?", "There are 7 valves.")
    async with bot() as door:
        asked = slack.said(ANN, DIRECT, "How many pumps?")
        late = slack.events(asked)
        await slack.tell(slack.edit(asked, "How many valves?"), *late)
        await idle(door)
    assert [one.text for one in agent.asked] == ["How many valves?"]


async def test_an_unfurled_message_is_no_edit(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    answering(agent, "How many pumps?", "There are 12 pumps.")
    async with bot() as door:
        asked = await slack.ask(ANN, DIRECT, "How many pumps?")
        await idle(door)
        await slack.tell(slack.edit(asked, asked.text))
        await idle(door)
    assert len(agent.asked) == 1


async def test_with_the_question_its_answer_is_deleted(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    answering(agent, "How many pumps?", "There are 12 pumps.")
    answering(agent, "And valves?", "There are 7 valves.")
    async with bot() as door:
        asked = await slack.ask(ANN, DIRECT, "How many pumps?")
        await idle(door)
        await slack.tell(slack.delete(asked))
        await idle(door)
        assert slack.answers(asked) == []
        await slack.ask(ANN, DIRECT, "And valves?", thread=asked.ts)
        await idle(door)
    assert agent.asked[-1].history == ()


async def test_a_deletion_while_it_is_answered_leaves_nothing(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "How many pumps?", *[f"There are {n} pumps." for n in range(200)])
    agent.pause_s = 0.05
    async with bot() as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> How many pumps?")
        await until(lambda: slack.answers(asked))
        await slack.tell(slack.delete(asked))
        await idle(door)
    assert slack.answers(asked) == []
    assert agent.cancelled == 1


async def test_a_deletion_that_arrives_first_leaves_the_message_unanswered(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    async with bot() as door:
        asked = slack.said(ANN, TALK, f"<@{BOT}> How many pumps?")
        late = slack.events(asked)
        await slack.tell(slack.delete(asked), *late)
        await idle(door)
    assert agent.asked == []


async def test_a_follow_up_that_overtakes_its_question_is_answered_after_it(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    texts = [answering(agent, f"Question {n}?", f"Answer {n}.") for n in range(3)]
    async with bot() as door:
        first = slack.said(ANN, OPEN, f"<@{BOT}> Question 0?")
        second = slack.said(ANN, OPEN, "Question 1?", thread=first.ts)
        third = slack.said(ANN, OPEN, "Question 2?", thread=first.ts)
        await slack.tell(*slack.events(third))
        await slack.tell(*slack.events(first))
        await idle(door)
        await slack.tell(*slack.events(second))
        await idle(door)
    assert [shown(one) for one in slack.answers(first)] == texts
    assert len(agent.asked) == 3
