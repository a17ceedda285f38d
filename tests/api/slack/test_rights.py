"""Rights: what the asker may read, what everyone in a place may read, and that no button is a right."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.records import Answer, Citation, Event, Question, SearchResult, Sentence
from api.settings import ApiSettings
from api.slack.directory import FileDirectory, Rights
from guardrails.errors import PolicyError
from ingest.library import WHOLE
from ingest.records import Box, Chunk, Document, Framing, Hit, Scope
from tests.api.slack.conftest import ANN, BOB, DIRECT, EXT, GUS, OPEN, TALK, Bot, idle, until
from tests.fakes import FakeAgent, FakeShelf, a_chunk, a_citation, a_document, a_house, an_answer, telling
from tests.slack_fake import BOT, FakeSlack, everything, shown

pytestmark = pytest.mark.anyio


def held_in(name: str, collection: str = "default", groups: Sequence[str] = ()) -> Document:
    """Make a document of a collection and groups."""
    return replace(a_document(name, tenant="default", groups=tuple(groups)), collection=collection)


class ReadingAgent(FakeAgent):
    """Answers every question with one sentence for each document that the question's scope allows."""

    def __init__(self, shelf: FakeShelf, *, pause_s: float = 0.0) -> None:
        super().__init__({}, pause_s=pause_s)
        self.shelf = shelf

    async def ask(self, question: Question) -> AsyncGenerator[Event, None]:
        """Tell what every readable document says."""
        self.asked.append(question)
        for event in telling(self._answer(await self.shelf.documents(scope=question.scope))):
            await anyio.sleep(self.pause_s)
            yield event

    async def search(self, query: str, *, scope: Scope, limit: int, channel: str = "") -> SearchResult:
        """Find every readable document."""
        self.searched.append((query, scope, limit))
        found = await self.shelf.documents(scope=scope)
        hits = [Hit(chunk=_chunk(one), document_name=one.name, score=1.0) for one in found]
        return SearchResult(hits=tuple(hits))

    async def page(
        self,
        document_id: str,
        page_no: int,
        *,
        scope: Scope,
        marks: Sequence[Box] = (),
        framing: Framing = WHOLE,
        channel: str = "",
    ) -> bytes | None:
        """Draw a page that the scope allows."""
        found = await self.shelf.document(document_id, scope=scope)
        return None if found is None else f"picture of {found.name}".encode()

    def _answer(self, found: list[Document]) -> Answer:
        if not found:
            return an_answer(kind="abstention", text="I found no evidence.", reason="no_evidence")
        cited: list[Citation] = [
            replace(a_citation(n, document=one, quote=f"quote of {one.name}"), n=n)
            for n, one in enumerate(found, start=1)
        ]
        told = [Sentence(text=f"{one.name} says so.", citations=(n,)) for n, one in enumerate(found, start=1)]
        return an_answer(*told, citations=tuple(cited))


def _chunk(document: Document) -> Chunk:
    return a_chunk(f"text of {document.name}", document=document)


PUBLIC, SECRET_, MINE = held_in("handbook"), held_in("salaries", "hr"), held_in("plan", "default", ["board"])
RIGHTS = """
version: 1
members: {collections: [default]}
people:
  - {email: ann@acme.example, collections: [hr], groups: [board]}
guests: {collections: []}
"""


@pytest.fixture
def shelf() -> FakeShelf:
    return FakeShelf(PUBLIC, SECRET_, MINE)


@pytest.fixture
def agent(shelf: FakeShelf) -> ReadingAgent:
    return ReadingAgent(shelf)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "slack.yaml").write_text(RIGHTS)
    return tmp_path


async def test_in_a_direct_message_the_asker_reads_all_of_its_own(slack: FakeSlack, bot: Bot) -> None:
    async with bot() as door:
        asked = await slack.ask(ANN, DIRECT, "All?")
        await idle(door)
    assert {"handbook", "plan", "salaries"} == named(everything(slack.answers(asked)[0]))


@pytest.mark.parametrize("channel", [TALK, OPEN])
async def test_in_a_channel_only_what_all_may_read_is_told_and_the_rest_offered_to_the_asker(
    slack: FakeSlack, bot: Bot, channel: str
) -> None:
    async with bot(crops=3) as door:
        asked = await slack.ask(ANN, channel, f"<@{BOT}> All?")
        await idle(door)
        await until(lambda: slack.ephemeral)
        in_channel = " ".join(map(everything, slack.messages[channel]))
        assert named(in_channel) == {"handbook"}
        assert [picture[3] for picture in slack.pictures] == [b"picture of handbook"]
        ((where, who, offer),) = slack.ephemeral
        assert (where, who, named(everything(offer))) == (channel, ANN, set())
        press = slack.press(ANN, offer, "show_me", key_of(offer))
        await slack.tell(press)
        await idle(door)
        (number,) = slack.responses
        (told,) = slack.responses[number]
        assert named(everything(told)) == {"handbook", "plan", "salaries"}
        assert told["response_type"] == "ephemeral"
        assert named(" ".join(map(everything, slack.messages[channel]))) == {"handbook"}
    assert slack.thread(asked)


def key_of(message: dict[str, Any], action: str = "") -> str:
    """Return the key that a message's first button carries."""
    rows = [block["elements"] for block in message["blocks"] if block["type"] == "actions"]
    return next(one["value"] for row in rows for one in row if action in ("", one["action_id"]))


def named(text: str) -> set[str]:
    """Return the documents that a text names."""
    return {one.name for one in (PUBLIC, SECRET_, MINE) if one.name in text}


async def test_the_offer_is_no_right_for_somebody_else(
    slack: FakeSlack, agent: ReadingAgent, bot: Bot
) -> None:
    async with bot() as door:
        await slack.ask(ANN, TALK, f"<@{BOT}> All?")
        await until(lambda: slack.ephemeral)
        ((_, _, offer),) = slack.ephemeral
        await slack.tell(slack.press(BOB, offer, "show_me", key_of(offer)))
        await idle(door)
    assert len(agent.asked) == 1
    assert not slack.responses


async def test_rights_taken_away_count_for_the_button_too(
    slack: FakeSlack, home: Path, agent: ReadingAgent, bot: Bot
) -> None:
    async with bot() as door:
        await slack.ask(ANN, TALK, f"<@{BOT}> All?")
        await until(lambda: slack.ephemeral)
        ((_, _, offer),) = slack.ephemeral
        (home / "slack.yaml").write_text("version: 1\nmembers: {collections: [default]}\n")
        await slack.tell(slack.press(ANN, offer, "show_me", key_of(offer)))
        await idle(door)
    (number,) = slack.responses
    assert named(everything(slack.responses[number][0])) == {"handbook"}


async def test_a_private_answer_is_shared_only_where_all_may_read_it(slack: FakeSlack, bot: Bot) -> None:
    async with bot() as door:
        await slack.tell(slack.command(ANN, TALK, "/ask", "All?"))
        await idle(door)
        (number,) = slack.responses
        told = slack.responses[number][0] | {"channel": TALK}
        await slack.tell(slack.press(ANN, told, "share", key_of(told, "share")))
        await idle(door)
    assert slack.messages[TALK] == []
    assert any("Not shared" in everything(said) for said in slack.responses[max(slack.responses, key=int)])


async def test_a_private_answer_that_all_may_read_is_shared(slack: FakeSlack, bot: Bot) -> None:
    async with bot() as door:
        await slack.tell(slack.command(BOB, TALK, "/ask", "All?"))
        await idle(door)
        (number,) = slack.responses
        told = slack.responses[number][0] | {"channel": TALK}
        press = slack.press(BOB, told, "share", key_of(told, "share"))
        await slack.tell(press, press)
        await idle(door)
    (shared,) = slack.messages[TALK]
    assert named(everything(shared)) == {"handbook"}
    assert "Shared by" in everything(shared)
    assert not shared.unfurl


async def test_nobody_else_shares_or_looks_into_a_private_answer(slack: FakeSlack, bot: Bot) -> None:
    async with bot() as door:
        await slack.tell(slack.command(ANN, TALK, "/ask", "All?"))
        await idle(door)
        (number,) = slack.responses
        told = slack.responses[number][0] | {"channel": TALK}
        for action in ("share", "show_evidence"):
            await slack.tell(slack.press(BOB, told, action, key_of(told, "share")))
        await slack.tell(slack.press(BOB, told, "show_rest", key_of(told, "share")))
        await idle(door)
    assert slack.messages[TALK] == []
    assert slack.pictures == []
    assert slack.views == []


async def test_evidence_that_not_all_may_see_goes_to_the_asker_directly(slack: FakeSlack, bot: Bot) -> None:
    async with bot() as door:
        await slack.tell(slack.command(ANN, TALK, "/ask", "All?"))
        await idle(door)
        (number,) = slack.responses
        told = slack.responses[number][0] | {"channel": TALK}
        await slack.tell(slack.press(ANN, told, "show_evidence", key_of(told, "show_evidence")))
        await idle(door)
    assert {picture[0] for picture in slack.pictures} == {f"D{ANN}"}
    assert slack.messages[TALK] == []


async def test_whoever_is_not_known_is_told_so_and_where_to_sign_in(
    slack: FakeSlack, home: Path, agent: ReadingAgent, bot: Bot
) -> None:
    (home / "slack.yaml").write_text(
        "version: 1\npeople:\n  - {email: ann@acme.example, collections: [hr]}\n"
    )
    async with bot(sign_in_url="https://id.acme.example/") as door:
        await slack.ask(BOB, TALK, f"<@{BOT}> All?")
        await idle(door)
    ((channel, user, said),) = slack.ephemeral
    assert (channel, user) == (TALK, BOB)
    assert "id.acme.example" in everything(said).replace("\u2060", "")
    assert agent.asked == []
    assert slack.calls("chat.postMessage") == slack.calls("chat.startStream") == []


@pytest.mark.parametrize("who", [GUS, EXT, "U0UNC", "U0GONE"])
async def test_guests_externals_the_unconfirmed_and_the_gone_have_no_members_rights(
    slack: FakeSlack, home: Path, agent: ReadingAgent, bot: Bot, who: str
) -> None:
    (home / "slack.yaml").write_text(
        'version: 1\npeople:\n  - {email: "*@acme.example", collections: [default, hr]}\n'
    )
    slack.user("U0UNC", email="unc@acme.example", confirmed=False)
    slack.user("U0GONE", email="gone@acme.example")
    slack.users["U0GONE"]["deleted"] = True
    slack.channel("D0X", who, im=True)
    async with bot() as door:
        await slack.ask(who, "D0X", "All?")
        await idle(door)
    assert agent.asked == []


async def test_a_guest_has_the_rights_of_its_own_address(
    slack: FakeSlack, home: Path, agent: ReadingAgent, bot: Bot
) -> None:
    (home / "slack.yaml").write_text(
        "version: 1\npeople:\n  - {email: gus@acme.example, collections: [hr]}\n"
    )
    slack.channel("D0GUS", GUS, im=True)
    async with bot() as door:
        asked = await slack.ask(GUS, "D0GUS", "All?")
        await idle(door)
    assert named(everything(slack.answers(asked)[0])) == {"salaries"}


async def test_a_guest_in_the_channel_narrows_the_answer(slack: FakeSlack, bot: Bot) -> None:
    slack.members[TALK].append(GUS)
    async with bot() as door:
        asked = await slack.ask(BOB, TALK, f"<@{BOT}> All?")
        await idle(door)
    assert named(" ".join(map(everything, slack.thread(asked)))) == set()


async def test_whoever_joins_while_it_is_written_sees_no_picture(
    slack: FakeSlack, agent: ReadingAgent, bot: Bot
) -> None:
    agent.pause_s = 0.1
    async with bot(crops=2) as door:
        asked = await slack.ask(BOB, TALK, f"<@{BOT}> All?")
        await until(lambda: agent.asked)
        slack.members[TALK].append(GUS)
        await idle(door)
    assert slack.thread(asked)
    assert slack.pictures == []


async def test_in_a_crowd_only_what_every_kind_of_person_may_read_is_told(slack: FakeSlack, bot: Bot) -> None:
    for n in range(30):
        slack.members[TALK].append(slack.user(f"U1{n:03}", email=f"p{n}@acme.example"))
    async with bot(max_audience=20) as door:
        asked = await slack.ask(BOB, TALK, f"<@{BOT}> All?")
        await idle(door)
    assert named(everything(slack.answers(asked)[0])) == set()


async def test_an_audience_that_slack_does_not_tell_is_not_guessed(
    slack: FakeSlack, agent: ReadingAgent, bot: Bot
) -> None:
    slack.script["conversations.members"].extend(["missing_scope"] * 5)
    async with bot() as door:
        await slack.ask(BOB, TALK, f"<@{BOT}> All?")
        await idle(door)
    assert agent.asked == []


async def test_many_members_are_asked_for_in_pages(slack: FakeSlack, bot: Bot) -> None:
    for n in range(700):
        slack.user(f"U1{n:03}", email=f"p{n}@acme.example")
    slack.members[TALK] += [f"U1{n:03}" for n in range(700)]
    async with bot(max_audience=1000) as door:
        asked = await slack.ask(BOB, TALK, f"<@{BOT}> All?")
        await idle(door)
    assert named(everything(slack.answers(asked)[0])) == {"handbook"}
    assert len(slack.calls("users.list")) == 2
    assert len(slack.calls("users.info")) <= 2


def test_a_wrong_directory_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    path = tmp_path / "slack.yaml"
    path.write_text("version: 1\npeople:\n  - {mail: x}\n")
    with pytest.raises(PolicyError, match=r"slack.yaml is wrong at line 3"):
        FileDirectory(path)
    path.write_text("version: 1\nmanagers: [ann@acme.example]\nmembers: {collections: [default]}\n")
    directory = FileDirectory(path)
    path.write_text("version: 1\nmembers: 7 # broken\n")
    assert not directory.empty
    assert directory.fault is not None
    path.unlink()
    assert directory.empty


def test_rights_of_both_are_never_more_than_of_one() -> None:
    all_, one = Rights(collections=frozenset({"*"})), Rights(collections=frozenset({"a"}))
    assert (all_ & one).collections == (one & all_).collections == {"a"}
    assert (all_ & all_).collections == {"*"}


PEOPLE = [f"U0P{n:02}" for n in range(6)]
COLLECTIONS, GROUPS = ("default", "hr", "eng"), ("g1", "g2", "g3")
some_rights = st.fixed_dictionaries(
    {"collections": st.sets(st.sampled_from(COLLECTIONS)), "groups": st.sets(st.sampled_from(GROUPS))}
)
some_people = st.fixed_dictionaries(
    {
        "rights": st.none() | some_rights,
        "standing": st.sampled_from(["member", "member", "member", "guest", "external"]),
        "confirmed": st.sampled_from([True, True, True, False]),
    }
)
some_documents = st.lists(
    st.tuples(st.sampled_from(COLLECTIONS), st.sets(st.sampled_from(GROUPS), max_size=2)),
    min_size=1,
    max_size=8,
)


#: People of all kinds, some of them in a channel, and documents with readers of all kinds.
any_channel = given(
    people=st.lists(some_people, min_size=6, max_size=6),
    inside=st.sets(st.integers(0, 5), min_size=1),
    base=st.none() | some_rights,
    documents=some_documents,
    private=st.booleans(),
    stream=st.booleans(),
)
few = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@few
@any_channel
async def test_no_word_crop_or_title_of_what_a_member_may_not_see_is_in_the_channel(
    tmp_path: Path, **drawn: Any
) -> None:
    await the_audience_holds(tmp_path, **drawn)


@pytest.mark.soak
@settings(few, max_examples=1000)
@any_channel
async def test_no_word_crop_or_title_of_what_a_member_may_not_see_is_in_the_channel_a_thousand_times(
    tmp_path: Path, **drawn: Any
) -> None:
    await the_audience_holds(tmp_path, **drawn)


async def the_audience_holds(
    tmp_path: Path,
    *,
    people: list[Any],
    inside: set[int],
    base: Any,
    documents: list[Any],
    private: bool,
    stream: bool,
) -> None:
    """Ask in a random channel; compare what stands there with what each reader may read, worked out apart."""
    from api.slack.door import open_slack
    from api.slack.settings import SlackSettings
    from tests.slack_fake import APP_TOKEN, BOT_TOKEN

    slack = FakeSlack()
    lines = ["version: 1"]
    if base is not None:
        lines.append(f"members: {written(base)}")
    lines.append("people:" if any(one["rights"] for one in people) else "people: []")
    for n, one in enumerate(people):
        slack.user(
            PEOPLE[n],
            email=f"p{n}@acme.example",
            confirmed=one["confirmed"],
            guest=one["standing"] == "guest",
            external=one["standing"] == "external",
        )
        if one["rights"] is not None:
            row = written(one["rights"]).removeprefix("{")
            lines.append(f"  - {{email: p{n}@acme.example, {row}")
    if lines[-1] == "people:":
        lines[-1] = "people: []"
    (tmp_path / "slack.yaml").write_text("\n".join(lines) + "\n")
    (tmp_path / "slack.sqlite").unlink(missing_ok=True)
    members = [PEOPLE[n] for n in sorted(inside)]
    slack.channel(TALK, *members, private=private)
    held = [
        held_in(f"paper-{n:02}", collection, sorted(groups))
        for n, (collection, groups) in enumerate(documents)
    ]
    shelf = FakeShelf(*held)
    house = a_house(ReadingAgent(shelf), shelf)
    async with slack.serve():
        door_settings = SlackSettings(
            bot_token=BOT_TOKEN, app_token=APP_TOKEN, api_url=f"{slack.base}/api/", pace_s=0.0, rate=1000,
            stream=stream, crops=5,
        )  # fmt: skip
        async with open_slack(house, api=ApiSettings(home=tmp_path), settings=door_settings) as door:
            await until(lambda: slack.sockets)
            asked = await slack.ask(members[0], TALK, f"<@{BOT}> What do the papers say?")
            await idle(door)
            if slack.ephemeral:
                said = slack.ephemeral[0][2]
                for who in members:
                    if any(block["type"] == "actions" for block in said["blocks"]):
                        await slack.tell(slack.press(who, said, "show_me", key_of(said)))
            for answer in slack.answers(asked):
                for who in members:
                    await slack.tell(slack.press(who, answer, "show_evidence", answer_key(asked)))
            await idle(door)
    seen = " ".join(map(everything, slack.messages[TALK]))
    seen += " ".join(f"{title} {content!r}" for place, _, title, content in slack.pictures if place == TALK)
    for paper in held:
        if paper.name in seen:
            readers = [people[n] for n in inside]
            assert all(may(one, base, paper) for one in readers), paper
            if not private:
                assert may({"rights": None, "standing": "member", "confirmed": True}, base, paper), paper
    for place, _, title, content in slack.pictures:
        if place != TALK:
            owner = people[PEOPLE.index(place.removeprefix("D"))]
            names = [paper for paper in held if paper.name in f"{title} {content!r}"]
            assert all(may(owner, base, paper) for paper in names)
    for _, user, said in slack.ephemeral:
        names = [paper for paper in held if paper.name in everything(said)]
        assert all(may(people[PEOPLE.index(user)], base, paper) for paper in names)


def answer_key(asked: Any) -> str:
    return f"T0TEAM/{asked.channel}/{asked.ts}"


def written(rights: dict[str, set[str]]) -> str:
    """Write rights as YAML."""
    return "{" + ", ".join(f"{name}: [{', '.join(sorted(one))}]" for name, one in rights.items()) + "}"


def may(person: dict[str, Any], base: Any, paper: Document) -> bool:
    """Say whether somebody may read a document: the rule of docs/slack.md, written a second time."""
    rows = [base] if base is not None and person["standing"] == "member" else []
    if person["rights"] is not None and person["confirmed"] and person["standing"] != "external":
        rows.append(person["rights"])
    collections = {one for row in rows for one in row["collections"]}
    groups = {one for row in rows for one in row["groups"]}
    return paper.collection in collections and (not paper.groups or bool(groups & set(paper.groups)))


async def test_the_property_test_can_fail(slack: FakeSlack, agent: ReadingAgent, shelf: FakeShelf) -> None:
    scope = Scope(tenant="default", collections=("default", "hr"), groups=("board",))
    async with aclosing(agent.ask(Question(text="All?", scope=scope))) as events:
        told = [event async for event in events if isinstance(event, Answer)]
    assert named(told[0].text) == {"handbook", "plan", "salaries"}
    assert shown(slack.said(BOT, TALK, "x")) == ""
