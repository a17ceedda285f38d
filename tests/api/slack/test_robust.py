"""Robust: duplicates, retries, restarts, kills, signatures, hanging models, lost connections."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from agent.errors import WriterDown
from api.app import create_app
from api.settings import ApiSettings
from api.slack.book import SqliteBook
from api.slack.errors import Busy, LeaseLost, SlackError
from api.slack.http import router_of
from api.slack.pace import RATES, Pace
from api.slack.reading import question
from api.slack.records import Asked, Errand
from api.slack.settings import SlackSettings
from tests.api.slack.conftest import ANN, BOB, DIRECT, EVERYBODY, TALK, Bot, answering, idle, until
from tests.api.slack.replica import told
from tests.fakes import DOWN, FakeAgent, a_house
from tests.slack_fake import BOT, TEAM, FakeSlack, Message, everything, posted, shown, signed

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[3]


def an_errand(n: int = 1, *, thread: str = "", team: str = "T1", user: str = ANN) -> Errand:
    """Make a question: the n-th message of its thread."""
    stamp = f"170000000{n}.000000"
    asked = Asked(
        team=team,
        channel=TALK,
        kind="private",
        thread=thread or stamp,
        ts=stamp,
        user=user,
        text=f"Question {n}?",
    )
    return question(asked)


# --- deliveries


async def test_an_event_that_comes_four_times_is_answered_once(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "Pumps?", "There are 12 pumps.")
    async with bot() as door:
        asked = slack.said(ANN, TALK, f"<@{BOT}> Pumps?")
        events = slack.events(asked)
        await asyncio.gather(*(slack.deliver(one, retry=n) for n in range(4) for one in events))
        await idle(door)
        await slack.tell(*events)
        await idle(door)
    assert len(slack.answers(asked)) == len(agent.asked) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_restarts_between_deliveries_leave_one_answer(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, stream: bool
) -> None:
    answering(agent, "Pumps?", "There are 12 pumps.")
    asked = slack.said(ANN, TALK, f"<@{BOT}> Pumps?")
    events = slack.events(asked)
    for retry in range(4):
        async with bot(stream=stream) as one, bot(stream=stream):
            await slack.tell(*events)
            await idle(one)
        await until(lambda: not slack.sockets)
        assert len(slack.answers(asked)) == 1, retry
    assert len(agent.asked) == 1


async def test_a_retry_whose_first_delivery_died_is_answered(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    text = answering(agent, "Pumps?", "There are 12 pumps.")
    asked = slack.said(ANN, TALK, f"<@{BOT}> Pumps?")
    (first, second) = slack.events(asked)
    assert (await slack.deliver(first)).acked_after_s is None  # nobody is there
    async with bot() as door:
        assert (await slack.deliver(first, retry=1)).acked_after_s is not None
        await slack.deliver(second, retry=1)
        await idle(door)
    assert [shown(one) for one in slack.answers(asked)] == [text]


async def test_what_cannot_be_kept_is_not_acknowledged_and_its_retry_is_answered(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, home: Path
) -> None:
    text = answering(agent, "Pumps?", "There are 12 pumps.")
    async with bot() as door:
        asked = slack.said(ANN, DIRECT, "Pumps?")
        (event,) = slack.events(asked)
        door.book._connection.execute("ALTER TABLE errands RENAME TO away")
        assert (await slack.deliver(event, wait_s=1.0)).acked_after_s is None
        door.book._connection.execute("ALTER TABLE away RENAME TO errands")
        assert (await slack.deliver(event, retry=1)).acked_after_s is not None
        await idle(door)
    assert [shown(one) for one in slack.answers(asked)] == [text]


async def test_an_event_is_acknowledged_while_the_model_hangs(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "Pumps?", "There are 12 pumps.")
    agent.pause_s = 60.0
    async with bot(at_once=1) as door:
        for n in range(10):
            asked = slack.said(ANN, TALK, f"<@{BOT}> Pumps? {n}")
            for event in slack.events(asked):
                assert (await slack.deliver(event)).acked_after_s is not None
        assert await door.book.open_errands() == 10


async def test_a_model_that_never_answers_ends_in_an_apology(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "Pumps?", "There are 12 pumps.")
    agent.pause_s = 60.0
    async with bot(answer_s=0.3) as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> Pumps?")
        await idle(door)
    (answer,) = slack.answers(asked)
    assert "I am sorry" in shown(answer)
    assert agent.cancelled == 1


@pytest.mark.parametrize("error", [DOWN, WriterDown("The model broke off."), RuntimeError("secret")])
async def test_a_failing_model_ends_in_an_apology_that_tells_no_secret(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, error: Exception
) -> None:
    agent.script["Pumps?"] = [error]
    async with bot(attempts=1) as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> Pumps?")
        await idle(door)
    (answer,) = slack.answers(asked)
    assert "I am sorry" in shown(answer)
    assert "secret" not in everything(answer)


async def test_a_model_that_comes_back_answers_in_the_same_message(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    agent.script["Pumps?"] = [DOWN]
    async with bot() as door:
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> Pumps?")
        await until(lambda: agent.asked)
        text = answering(agent, "Pumps?", "There are 12 pumps.")
        await idle(door)
    assert [shown(one) for one in slack.answers(asked)] == [text]


async def test_a_channel_that_is_gone_is_given_up(slack: FakeSlack, agent: FakeAgent, bot: Bot) -> None:
    slack.lacks.add("chat.startStream")
    slack.script["chat.postMessage"].extend(["is_archived"] * 9)
    answering(agent, "Pumps?", "There are 12 pumps.")
    async with bot() as door:
        await slack.ask(ANN, TALK, f"<@{BOT}> Pumps?")
        await idle(door)
    assert len(slack.calls("chat.postMessage")) <= 2


async def test_a_connection_that_slack_closes_is_opened_again(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    text = answering(agent, "Pumps?", "There are 12 pumps.")
    async with bot() as door:
        old = slack.sockets[0]
        await old.send_str(json.dumps({"type": "disconnect", "reason": "refresh_requested"}))
        await until(lambda: slack.sockets and slack.sockets[0] is not old)
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> Pumps?")
        await idle(door)
        assert (await door.tell()).ok
    assert [shown(one) for one in slack.answers(asked)] == [text]


@pytest.mark.parametrize("streams", [(True, True), (True, False), (False, True)])
async def test_an_ended_process_leaves_its_question_to_the_next(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, streams: tuple[bool, bool]
) -> None:
    text = answering(agent, "Pumps?", "There are 12 pumps.", "Two are spare.")
    agent.pause_s = 0.3
    async with bot(lease_s=1000.0, stream=streams[0]):
        asked = await slack.ask(ANN, TALK, f"<@{BOT}> Pumps?")
        await until(lambda: slack.answers(asked))
    agent.pause_s = 0.0
    async with bot(lease_s=1000.0, stream=streams[1]) as door:
        await idle(door)
    assert [shown(one) for one in slack.answers(asked)] == [text]


async def test_a_question_that_kills_every_process_is_closed_with_an_apology(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, home: Path
) -> None:
    asked = slack.said(ANN, TALK, f"<@{BOT}> Pumps?")
    book = SqliteBook.open(home / "slack.sqlite")
    (event, *_) = slack.events(asked)
    words = Asked(
        team=TEAM, channel=TALK, kind="private", thread=asked.ts, ts=asked.ts, user=ANN, text="Pumps?"
    )
    await book.take(question(words))
    for n in range(3):
        assert await book.claim(f"dead-{n}", lease_s=-1.0, per_workspace=9) is not None
    await book.close()
    async with bot(attempts=3) as door:
        await idle(door)
    assert event["event"]["ts"] == asked.ts
    (answer,) = slack.answers(asked)
    assert "I am sorry" in shown(answer)
    assert agent.asked == []


# --- signatures


async def test_only_what_slack_signed_just_now_is_taken_in_over_http(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    text = answering(agent, "Pumps?", "There are 12 pumps.")
    asked = slack.said(ANN, DIRECT, "Pumps?")
    body, kind = posted(slack.events(asked)[0])
    other, _ = posted(slack.events(slack.said(ANN, DIRECT, "Valves?"))[0])
    good = signed(body)
    wrong: list[tuple[bytes, dict[str, str]]] = [
        (body, signed(body, secret="another")),
        (body, signed(body, at=time.time() - 301)),
        (body, signed(body, at=time.time() + 301)),
        (other, good),
        (body, {}),
        (body, {"x-slack-signature": good["x-slack-signature"]}),
        (body, {"x-slack-request-timestamp": good["x-slack-request-timestamp"]}),
        (body, good | {"x-slack-request-timestamp": "soon"}),
        (body, good | {"x-slack-signature": "v0=é"}),
        (b"\xff\xfe", signed(b"\xff\xfe".decode("latin-1").encode())),
    ]
    async with bot() as door, http(door) as client:
        for content, headers in wrong:
            reply = await sent(client, content, kind, headers)
            assert reply.status_code == 401, headers
        assert await door.book.open_errands() == 0
        assert (await sent(client, body, kind, good)).status_code == 200
        assert (await sent(client, body, kind, good)).status_code == 401
        retry = good | {"x-slack-retry-num": "1", "x-slack-retry-reason": "http_timeout"}
        assert (await sent(client, body, kind, retry)).status_code == 200
        fresh = signed(body, at=time.time() + 2) | {"x-slack-retry-num": "2"}
        assert (await sent(client, body, kind, fresh)).status_code == 200
        await idle(door)
    assert [shown(one) for one in slack.answers(asked)] == [text]
    assert len(agent.asked) == 1


async def test_over_http_a_first_delivery_that_died_leaves_the_retry_answered(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    text = answering(agent, "Pumps?", "There are 12 pumps.")
    asked = slack.said(ANN, DIRECT, "Pumps?")
    body, kind = posted(slack.events(asked)[0])
    headers = signed(body)
    async with bot() as door, http(door) as client:
        door.book._connection.execute("ALTER TABLE errands RENAME TO away")
        assert (await sent(client, body, kind, headers)).status_code == 500
        door.book._connection.execute("ALTER TABLE away RENAME TO errands")
        retry = headers | {"x-slack-retry-num": "1"}
        assert (await sent(client, body, kind, retry)).status_code == 200
        await idle(door)
    assert [shown(one) for one in slack.answers(asked)] == [text]


async def test_commands_and_challenges_come_over_http_too(
    slack: FakeSlack, agent: FakeAgent, bot: Bot
) -> None:
    answering(agent, "Pumps?", "There are 12 pumps.")
    async with bot() as door, http(door) as client:
        body, kind = posted(slack.command(ANN, TALK, "/ask", "Pumps?"))
        reply = await sent(client, body, kind, signed(body))
        assert reply.json() == {"text": "I am on it …", "response_type": "ephemeral"}
        body = json.dumps({"type": "url_verification", "challenge": "c1"}).encode()
        reply = await sent(client, body, "application/json", signed(body))
        assert "c1" in reply.text
        await idle(door)
    (number,) = slack.responses
    assert "There are 12 pumps." in everything(slack.responses[number][0])


async def test_without_a_secret_nothing_is_taken_in_over_http(slack: FakeSlack, bot: Bot) -> None:
    body, kind = posted(slack.events(slack.said(ANN, DIRECT, "Pumps?"))[0])
    async with bot(signing_secret=None) as door, http(door) as client:
        for secret in ("unused", "", "a-signing-secret"):
            headers = signed(body, secret=secret)
            assert (await sent(client, body, kind, headers)).status_code == 401


def http(door: Any) -> httpx2.AsyncClient:
    """Return a client of the app with the one route for Slack."""
    app = create_app(a_house(), settings=ApiSettings(), doors=[router_of(door.app)])
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 5000), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


async def sent(
    client: httpx2.AsyncClient, body: bytes, kind: str, headers: dict[str, str]
) -> httpx2.Response:
    """Post a body as Slack does."""
    raw = {name: value.encode() for name, value in headers.items()} | {"content-type": kind.encode()}
    return await client.post("/slack/events", content=body, headers=raw)


# --- the book


async def test_a_conversation_is_answered_in_order_and_one_at_a_time(tmp_path: Path) -> None:
    book = SqliteBook.open(tmp_path / "book")
    first, second, other = an_errand(1, thread="t"), an_errand(2, thread="t"), an_errand(3)
    for one in (second, first, other):
        assert await book.take(one)
        assert not await book.take(one)
    claims = [await book.claim("a", lease_s=9, per_workspace=9) for _ in range(3)]
    assert [one.key if one else None for one in claims] == [first.key, other.key, None]
    await book.settle(claims[0], "a")  # type: ignore[arg-type]
    await book.close()


async def test_workspaces_take_turns(tmp_path: Path) -> None:
    book = SqliteBook.open(tmp_path / "book")
    for n in range(5):
        await book.take(an_errand(n, team="T1"))
    await book.take(an_errand(9, team="T2"))
    claims = [await book.claim("a", lease_s=9, per_workspace=2) for _ in range(4)]
    assert [one.team if one else None for one in claims] == ["T1", "T2", "T1", None]
    await book.close()


async def test_whoever_lost_a_lease_can_change_nothing(tmp_path: Path) -> None:
    book = SqliteBook.open(tmp_path / "book")
    await book.take(an_errand(1))
    slow = await book.claim("slow", lease_s=-1, per_workspace=9)
    quick = await book.claim("quick", lease_s=9, per_workspace=9)
    assert slow is not None
    assert quick is not None
    assert quick.attempts == 2
    for act in (
        lambda: book.renew(slow.key, "slow", lease_s=9),
        lambda: book.place(slow.key, "slow", "1"),
        lambda: book.settle(slow, "slow"),
    ):
        with pytest.raises(LeaseLost):
            await act()
    await book.release(slow.key, "slow")
    assert await book.claim("third", lease_s=9, per_workspace=9) is None
    await book.close()


async def test_an_edit_during_the_last_word_is_not_lost(tmp_path: Path) -> None:
    book = SqliteBook.open(tmp_path / "book")
    errand = an_errand(1)
    await book.take(errand)
    held = await book.claim("a", lease_s=9, per_workspace=9)
    assert held is not None
    edited = question(Asked(**{**vars_of(errand), "text": "Other?"}), revision="1700000009.0")
    await book.amend(edited)
    await book.settle(held, "a")
    again = await book.claim("a", lease_s=9, per_workspace=9)
    assert again is not None
    assert isinstance(again.what, Asked)
    assert again.what.text == "Other?"
    await book.close()


def vars_of(errand: Errand) -> dict[str, Any]:
    """Return the fields of what was asked."""
    assert isinstance(errand.what, Asked)
    return {name: getattr(errand.what, name) for name in errand.what.__slots__}


async def test_a_book_of_another_version_is_refused(tmp_path: Path) -> None:
    book = SqliteBook.open(tmp_path / "book")
    book._connection.execute("PRAGMA user_version = 99")
    await book.close()
    with pytest.raises(SlackError, match="another version"):
        SqliteBook.open(tmp_path / "book")


async def test_old_questions_are_forgotten_and_open_ones_are_not(tmp_path: Path) -> None:
    now = [1_000_000_000.0]
    book = SqliteBook.open(tmp_path / "book", clock=lambda: now[0])
    await book.take(an_errand(1))
    done = await book.claim("a", lease_s=9, per_workspace=9)
    assert done is not None
    await book.settle(question_done(done), "a")
    await book.take(an_errand(2))
    now[0] += 31 * 86_400
    await book.sweep(keep_days=30)
    assert await book.errand(an_errand(1).key) is None
    assert await book.errand(an_errand(2).key) is not None
    await book.close()


def question_done(errand: Errand) -> Errand:
    """Return an errand as it is closed."""
    return replace(errand, state="done")


# --- rates


async def test_no_method_is_called_more_often_than_its_rate_in_any_minute() -> None:
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    for method in ("chat.update", *RATES):
        pace = Pace(clock=lambda: now[0], sleep=sleep)
        times = []
        for _ in range(300):
            await pace.turn(method, patient=True)
            times.append(now[0])
        rate = RATES.get(method, 50)
        assert all(b - a >= 60 for a, b in zip(times, times[rate:], strict=False)), method
        pace.silence(method, for_s=500)
        with pytest.raises(Busy):
            await pace.turn(method, patient=False)
        before = now[0]
        await pace.turn(method, patient=True)
        assert now[0] >= before + 500


@pytest.mark.soak
async def test_forty_answers_at_once_stay_below_slacks_real_rates(
    slack: FakeSlack, agent: FakeAgent, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published limits, in a minute that passes six times as fast."""
    factor = 6
    slack.window_s = 60 / factor
    for name, quick in (
        ("clock", lambda: time.monotonic() * factor),
        ("sleep", lambda seconds: anyio.sleep(seconds / factor)),
    ):
        monkeypatch.setitem(Pace.__init__.__kwdefaults__, name, quick)
    slack.limits = {method: rate for method, rate in RATES.items()} | {"chat.update": 50}
    texts = [answering(agent, f"Question {n}?", *[f"Part {m} of {n}." for m in range(5)]) for n in range(40)]
    agent.pause_s = 0.02
    async with bot(rate=1, at_once=16, per_workspace=16) as door:
        asked = [await slack.ask(ANN, TALK, f"<@{BOT}> Question {n}?") for n in range(40)]
        await idle(door, patience_s=120)
    assert [[shown(one) for one in slack.answers(message)] for message in asked] == [[text] for text in texts]
    assert (slack.impatient, slack.refused) == ([], 0)


# --- kills


async def test_two_replicas_and_a_killer_leave_one_answer_each(tmp_path: Path) -> None:
    await the_killer_loses(tmp_path, messages=40, kills=3, seed=1)


@pytest.mark.soak
async def test_two_replicas_and_a_killer_leave_one_answer_to_each_of_500(tmp_path: Path) -> None:
    await the_killer_loses(tmp_path, messages=500, kills=20, seed=int(os.environ.get("SEED", "7")))


async def the_killer_loses(home: Path, *, messages: int, kills: int, seed: int) -> None:
    """Deliver duplicated, delayed and retried events to two processes, one of which dies at random."""
    dice = random.Random(seed)
    print(f"seed {seed}")
    (home / "slack.yaml").write_text(EVERYBODY)
    slack = FakeSlack()
    slack.user(ANN, email="ann@acme.example")
    slack.user(BOB, email="bob@acme.example")
    slack.channel(TALK, ANN, BOB)
    slack.channel(DIRECT, ANN, im=True)
    async with slack.serve():
        replicas = [await a_replica(home, slack, stream=True), await a_replica(home, slack, stream=False)]
        roots: dict[str, Message] = {}
        asked: list[Message] = []
        plan: list[tuple[float, Message]] = []
        for n in range(messages):
            thread = f"thread-{dice.randrange(max(1, messages // 5))}"
            root = roots.get(thread)
            text = f"<@{BOT}> Question {n}?" if root is None or dice.random() < 0.3 else f"Question {n}?"
            message = slack.said(ANN, TALK, text, thread=root.ts if root else "")
            roots.setdefault(thread, message)
            asked.append(message)
            plan.append((n * 0.03 + dice.choice([0, 0, 0, dice.random() * 2]), message))
        async with anyio.create_task_group() as group:
            for delay, message in plan:
                for event in slack.events(message):
                    group.start_soon(
                        deliver_until_heard, slack, event, delay, dice.randrange(1, 4), dice.random()
                    )
            await kill(replicas, home, slack, kills=kills, dice=dice, over_s=messages * 0.03 + 2)
        book = SqliteBook.open(home / "slack.sqlite")
        end = time.monotonic() + 120
        while await book.open_errands() or await unseen(book, asked):
            assert time.monotonic() < end, (
                f"{await book.open_errands()} left, {await unseen(book, asked)} unseen"
            )
            await anyio.sleep(0.1)
        await book.close()
        for one in replicas:
            one.kill()
            await one.wait()
    wrong = []
    by_thread: dict[str, list[str]] = defaultdict(list)
    for message in asked:
        by_thread[message.thread_ts or message.ts].append(told(message.text.replace(f"<@{BOT}> ", "")))
    for root, expected in by_thread.items():
        own = [one for one in slack.messages[TALK] if one.user == BOT and one.thread_ts == root]
        if [shown(one) for one in sorted(own, key=lambda one: one.ts)] != expected:
            wrong.append((root, len(own), len(expected)))
    assert wrong == []


async def unseen(book: SqliteBook, asked: list[Message]) -> int:
    keys = [f"{TEAM}/{message.channel}/{message.ts}" for message in asked]
    return len(keys) - len(await book.known(keys))


async def a_replica(home: Path, slack: FakeSlack, *, stream: bool) -> asyncio.subprocess.Process:
    """Start a replica and wait until it is up."""
    arguments = [str(home), f"{slack.base}/api/", "2.0", "1" if stream else "0", "0.05"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.api.slack.replica", *arguments,
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    return process


async def kill(
    replicas: list[asyncio.subprocess.Process],
    home: Path,
    slack: FakeSlack,
    *,
    kills: int,
    dice: random.Random,
    over_s: float,
) -> None:
    """Kill one of the replicas at random moments; another one of its kind takes its place."""
    for _ in range(kills):
        await anyio.sleep(dice.random() * 2 * over_s / kills)
        number = dice.randrange(2)
        replicas[number].send_signal(signal.SIGKILL)
        await replicas[number].wait()
        replicas[number] = await a_replica(home, slack, stream=number == 0)


async def deliver_until_heard(
    slack: FakeSlack, event: dict[str, Any], delay_s: float, times: int, chance: float
) -> None:
    """Deliver as Slack does: again after a delivery that was not acknowledged, and sometimes all the same."""
    await anyio.sleep(delay_s)
    heard = False
    for retry in range(40):
        done = await slack.deliver(event, retry=retry, wait_s=1.0)
        heard = heard or done.acked_after_s is not None
        if heard and retry + 1 >= times:
            return
        await anyio.sleep(0.1 + chance)
    raise AssertionError("an event was never acknowledged")


async def test_settings_name_what_is_missing() -> None:
    with pytest.raises(ValueError, match="PAGEWARDEN_SLACK_APP_TOKEN"):
        SlackSettings(bot_token="xoxb-1")
    with pytest.raises(ValueError, match="PAGEWARDEN_SLACK_BOT_TOKEN"):
        SlackSettings(app_token="xapp-1")
    settings = SlackSettings(bot_token="xoxb-1", signing_secret="s")
    assert settings.is_slacks("https://hooks.slack.com/x")
    assert settings.is_slacks("https://files.slack.com/x")
    for url in (
        "http://hooks.slack.com/x",
        "https://slack.com.evil.example/",
        "https://evil.example/.slack.com",
    ):
        assert not settings.is_slacks(url)
