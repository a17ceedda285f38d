"""A thread as Slack has it: what was said there that no event told us, and our own message after a crash."""

from __future__ import annotations

from typing import Any

from api.slack.book import SqliteBook
from api.slack.reading import MessageShape, asked_of, asks, message_of, question
from api.slack.records import Asked, ChannelWishes, Errand
from api.slack.telling import ANSWER
from api.slack.web import Workspace

_PAGE, _MOST_PAGES = 200, 5


async def messages(workspace: Workspace, asked: Asked, *, since: str = "") -> list[MessageShape]:
    """Return the thread's messages, oldest first. Raises SlackError, Uncertain."""
    found: list[MessageShape] = []
    more: dict[str, Any] = {"oldest": since} if since else {}
    for _ in range(_MOST_PAGES):
        told = await workspace.call(
            "conversations.replies", channel=asked.channel, ts=asked.thread, limit=_PAGE,
            include_all_metadata=True, **more,
        )  # fmt: skip
        found += [shape for one in told["messages"] if (shape := message_of(one)) is not None]
        cursor = (told.get("response_metadata") or {}).get("next_cursor", "")
        if not cursor:
            break
        more["cursor"] = cursor
    return found


async def own_message(workspace: Workspace, book: SqliteBook, errand: Errand) -> str:
    """Return the message that an earlier try at this errand left behind; "" where there is none.

    Known by its metadata; a stream that was only begun has none yet, but it is the only message of ours in
    the thread that the book does not know. Raises SlackError, Uncertain.
    """
    assert isinstance(errand.what, Asked)
    known = await book.posts(errand.conversation)
    begun = ""
    for message in await messages(workspace, errand.what, since=errand.what.ts):
        if message.user != workspace.bot_user:
            continue
        payload = (message.metadata or {}).get("event_payload") or {}
        if (message.metadata or {}).get("event_type") == ANSWER and payload.get("key") == errand.key:
            return message.ts
        if (
            not message.metadata
            and not message.files
            and message.ts > errand.place
            and message.ts not in known
        ):
            begun = begun or message.ts
    return begun


async def catch_up(workspace: Workspace, book: SqliteBook, errand: Errand, *, wishes: ChannelWishes) -> bool:
    """Keep what was said in the thread that no event told us; True where some of it comes before this errand.

    Raises SlackError, Uncertain.
    """
    asked = errand.what
    assert isinstance(asked, Asked)
    starter = ""
    found: list[Errand] = []
    for message in await messages(workspace, asked):
        if not message.by_person:
            continue
        said, calls_us, calls_others = asked_of(
            message, team=asked.team, channel=asked.channel, kind=asked.kind, bot_user=workspace.bot_user
        )
        starter = starter or (said.user if calls_us or asked.kind == "dm" else "")
        if for_us(said, calls_us=calls_us, calls_others=calls_others, starter=starter, wishes=wishes):
            found.append(question(said, revision=message.edited.ts if message.edited else ""))
    known = await book.known([one.key for one in found]) if found else set()
    earlier = False
    for one in found:
        if one.key not in known and await book.take(one):
            earlier = earlier or one.place < errand.place
    return earlier


def for_us(asked: Asked, *, calls_us: bool, calls_others: bool, starter: str, wishes: ChannelWishes) -> bool:
    """Say whether a message is meant for us: called, direct, or a follow-up in a conversation of ours.

    `starter` is who began the conversation with us; "" where there is none.
    """
    if asked.kind == "dm" or calls_us:
        return True
    if not starter or calls_others or wishes.follow == "mention" or asked.thread == asked.ts:
        return False
    return asked.user == starter or asks(asked.text) or bool(asked.files)
