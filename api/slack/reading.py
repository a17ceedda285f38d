"""From Slack's JSON to what was said, by whom and where. What does not fit is nobody's question."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from api.slack.plain import heard
from api.slack.records import Asked, DroppedFile, Errand, PlaceKind

#: Longer messages are cut: nobody asks in so many words.
MAX_TEXT = 8000
_MAX_FILES = 10
#: What people start questions with, in the languages that the bot speaks.
_ASKS = re.compile(
    r"^(?:who|what|when|where|which|why|how|is|are|was|were|do|does|did|can|could|should|would|has|have|will|"
    r"wer|was|wann|wo|welche[rsnm]?|warum|wieso|wie|ist|sind|gibt|kann|darf|hat|muss)\b.{6,}",
    re.I | re.S,
)


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FileShape(_Shape):
    """A file as it hangs on a message."""

    id: str
    name: str = "unnamed"
    url_private: str = ""
    url_private_download: str = ""
    size: int = 0
    mode: str = ""


class EditShape(_Shape):
    """When a message was edited."""

    ts: str


class MessageShape(_Shape):
    """A message, in an event or in a thread's history."""

    type: str = "message"
    subtype: str | None = None
    channel: str = ""
    channel_type: str = ""
    user: str = ""
    bot_id: str | None = None
    text: str = ""
    ts: str = ""
    thread_ts: str = ""
    team: str = ""
    files: list[FileShape] = []
    edited: EditShape | None = None
    message: MessageShape | None = None
    previous_message: MessageShape | None = None
    deleted_ts: str = ""
    metadata: dict[str, Any] | None = None

    @property
    def by_person(self) -> bool:
        """Whether a person said it."""
        return (
            not self.bot_id and bool(self.user) and self.subtype in (None, "file_share", "thread_broadcast")
        )


def message_of(told: Mapping[str, Any]) -> MessageShape | None:
    """Read a message; None where it does not have the shape of one."""
    try:
        message = MessageShape.model_validate(told)
    except ValidationError:
        return None
    whole = re.fullmatch(r"\d{1,12}\.\d{1,9}", message.ts) and re.fullmatch(r"[A-Z0-9]{2,32}", message.user)
    return message if whole or message.subtype in ("message_changed", "message_deleted") else None


def asked_of(
    message: MessageShape, *, team: str, channel: str, kind: PlaceKind, bot_user: str
) -> tuple[Asked, bool, bool]:
    """Return what was said, whether it calls us, and whether it calls somebody else."""
    words, calls_us, calls_others = heard(message.text, bot_user=bot_user)
    files = tuple(
        DroppedFile(
            id=file.id, name=file.name, url=file.url_private_download or file.url_private, bytes=file.size
        )
        for file in message.files[:_MAX_FILES]
        if file.mode not in ("tombstone", "hidden_by_limit")
    )
    asked = Asked(
        team=team,
        channel=channel,
        kind=kind,
        thread=message.thread_ts or message.ts,
        ts=message.ts,
        user=message.user,
        text=words[:MAX_TEXT],
        files=files,
    )
    return asked, calls_us, calls_others


def question(asked: Asked, *, revision: str = "") -> Errand:
    """Return the errand of a message: one, however often and in however many events it comes."""
    return Errand(
        key=f"{asked.team}/{asked.channel}/{asked.ts}",
        kind="question",
        team=asked.team,
        conversation=asked.place.conversation,
        place=asked.ts,
        what=asked,
        revision=revision,
    )


def asks(text: str) -> bool:
    """Say whether a text looks like a question."""
    bare = text.strip()
    return len(bare) > 7 and (bare.rstrip(")\"'”").endswith("?") or _ASKS.match(bare) is not None)


def kind_of(channel: str, channel_type: str) -> PlaceKind:
    """Say who reads a channel as far as an event tells; asked of Slack again before anything is told."""
    if channel_type == "im" or (not channel_type and channel.startswith("D")):
        return "dm"
    return "private" if channel_type in ("group", "mpim") or channel.startswith("G") else "public"
