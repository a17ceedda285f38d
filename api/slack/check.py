"""Whether the door would work: every step that an answer needs, really made, and taken back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from api.slack.blocks import note
from api.slack.errors import SlackError
from api.slack.settings import SlackSettings
from api.slack.telling import NOTE, marked
from api.slack.web import open_workspace

#: What each scope is for; docs/slack.md explains them, docs/ops/slack-manifest.yaml asks for them.
SCOPES = {
    "app_mentions:read": "to hear when it is mentioned",
    "chat:write": "to answer",
    "im:history": "to read direct messages to it",
    "channels:history": "to follow a thread in public channels",
    "groups:history": "to follow a thread in private channels",
    "channels:read": "to know who is in a public channel",
    "groups:read": "to know who is in a private channel",
    "im:write": "to send evidence to one person",
    "users:read": "to tell members from guests and externals",
    "users:read.email": "to know what somebody may read",
    "commands": "for /ask, /pagewarden and the shortcut",
    "files:read": "to read files dropped into a conversation",
    "files:write": "to show cited regions as pictures",
    "assistant:write": "to stream answers and show steps",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One step and how it went."""

    what: str
    ok: bool
    detail: str


async def findings(settings: SlackSettings, place: str) -> AsyncGenerator[Finding]:
    """Yield how each step goes; `place` is a channel or a person to post to."""
    assert settings.bot_token is not None
    try:
        async with open_workspace(settings, token=settings.bot_token.get_secret_value()) as workspace:
            yield Finding(what="token", ok=True, detail=f"{workspace.name} ({workspace.team})")
            lacks = [scope for scope in SCOPES if scope not in workspace.scopes]
            told = "; ".join(f"{scope} ({SCOPES[scope]})" for scope in lacks)
            yield Finding(what="scopes", ok=not lacks, detail=f"missing: {told}" if lacks else "all granted")
            channel = place
            if place.startswith(("U", "W")):
                talk = await workspace.call("conversations.open", users=place)
                channel = str(talk["channel"]["id"])
            letter = note("Pagewarden can post here. This message goes away by itself.")
            there: dict[str, Any] = {"text": letter.text, "blocks": letter.blocks}
            sent = await workspace.call(
                "chat.postMessage", channel=channel, unfurl_links=False, metadata=marked(NOTE, ""), **there
            )
            yield Finding(what="post", ok=True, detail=f"posted to {place}")
            await workspace.call("chat.delete", channel=channel, ts=sent["ts"])
            yield Finding(what="delete", ok=True, detail="and taken back")
        if settings.app_token is not None:
            async with open_workspace(
                settings, token=settings.app_token.get_secret_value(), known=False
            ) as app:
                await app.call("apps.connections.open")
                yield Finding(what="socket", ok=True, detail="Socket Mode is open")
    except SlackError as error:
        yield Finding(what="failed", ok=False, detail=error.detail)
