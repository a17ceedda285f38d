"""Slack's Web API: one method to call any of its methods, with its errors and its rates made ours.

The SDK's own retry is off: it repeats a request whose reply was lost, and a message would stand there twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from api.slack.errors import Busy, SlackError, Uncertain
from api.slack.pace import Pace
from api.slack.settings import SlackSettings

#: These take no JSON.
_READS = frozenset(
    {
        "auth.test",
        "conversations.info",
        "conversations.members",
        "conversations.replies",
        "users.info",
        "users.list",
    }
)
_TIMEOUT_S = 30
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture on its way to Slack."""

    content: bytes
    name: str
    title: str


class Workspace(Protocol):
    """One workspace, as our bot may use it."""

    @property
    def team(self) -> str:
        """Its id."""
        ...

    @property
    def bot_user(self) -> str:
        """Our own user id there."""
        ...

    async def call(self, method: str, *, patient: bool = True, **arguments: object) -> Mapping[str, Any]:
        """Call a method. Raises Busy (only if not patient, or Slack says so), Uncertain, SlackError."""
        ...

    async def respond(self, url: str, message: Mapping[str, object]) -> None:
        """Answer a command or a button through its own address. Raises SlackError, Uncertain."""
        ...

    async def fetch(self, url: str, into: Path, *, max_bytes: int) -> None:
        """Download a file that somebody dropped. Raises SlackError, Uncertain."""
        ...

    async def show(self, pictures: Sequence[Picture], *, channel: str, thread: str, words: str) -> None:
        """Upload pictures into a thread. Raises SlackError, Uncertain."""
        ...


class WebWorkspace:
    """A workspace over the SDK."""

    def __init__(
        self, client: AsyncWebClient, session: aiohttp.ClientSession, *, settings: SlackSettings, pace: Pace
    ) -> None:
        self._client, self._session, self._settings, self._pace = client, session, settings, pace
        self.team = ""
        self.bot_user = ""
        self.name = ""
        self.scopes: tuple[str, ...] = ()

    async def introduce(self) -> None:
        """Ask Slack who we are there. Raises SlackError, Uncertain."""
        told = await self.call("auth.test")
        self.team, self.bot_user, self.name = told["team_id"], told["user_id"], told.get("team", "")
        self.scopes = tuple(part.strip() for part in told.get("x-oauth-scopes", "").split(",") if part)

    async def call(self, method: str, *, patient: bool = True, **arguments: object) -> Mapping[str, Any]:
        """Call a method. Raises Busy (only if not patient, or Slack says so twice), Uncertain, SlackError."""
        while True:
            await self._pace.turn(method, patient=patient)
            try:
                return await self._once(method, arguments)
            except Busy as busy:
                self._pace.silence(method, for_s=busy.retry_after_s)
                if not patient:
                    raise

    async def _once(self, method: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
        with _translated(method):
            if method in _READS:
                plain = {k: str(v).lower() if isinstance(v, bool) else v for k, v in arguments.items()}
                reply = await self._client.api_call(method, http_verb="GET", params=plain)
            else:
                reply = await self._client.api_call(method, json=dict(arguments))
            told: dict[str, Any] = dict(reply.data) if isinstance(reply.data, dict) else {}
            scopes = {key.lower(): value for key, value in reply.headers.items()}.get("x-oauth-scopes", "")
            return told | {"x-oauth-scopes": scopes}

    async def respond(self, url: str, message: Mapping[str, object]) -> None:
        """Answer a command or a button through its own address. Raises SlackError, Uncertain."""
        if not self._settings.is_slacks(url):
            raise SlackError("The address for the answer is not Slack's; nothing was sent to it.")
        with _translated("response_url"):
            async with self._session.post(url, json=dict(message), allow_redirects=False) as reply:
                if reply.status >= 500:
                    raise Uncertain(f"Slack answered {reply.status}.")
                if reply.status != 200:
                    raise SlackError(f"Slack answered {reply.status}.", word=(await reply.text())[:80])

    async def fetch(self, url: str, into: Path, *, max_bytes: int) -> None:
        """Download a file that somebody dropped. Raises SlackError, Uncertain."""
        if not self._settings.is_slacks(url):
            raise SlackError("The file does not lie with Slack; it was not fetched.")
        headers = {"authorization": f"Bearer {self._client.token}"}
        with _translated("the file"):
            # A redirect would carry our token to wherever it points.
            async with self._session.get(url, headers=headers, allow_redirects=False) as reply:
                if reply.status != 200 or (reply.content_type == "text/html" and "login" in str(reply.url)):
                    raise SlackError(f"Slack kept the file ({reply.status}); is files:read granted?")
                taken = 0
                with into.open("xb") as file:
                    async for piece in reply.content.iter_chunked(_PIECE_BYTES):
                        taken += len(piece)
                        if taken > max_bytes:
                            raise SlackError(f"The file is larger than {max_bytes // 1024**2} MiB.")
                        file.write(piece)

    async def show(self, pictures: Sequence[Picture], *, channel: str, thread: str, words: str) -> None:
        """Upload pictures into a thread. Raises SlackError, Uncertain."""
        await self._pace.turn("files.completeUploadExternal", patient=True)
        with _translated("files.upload"):
            await self._client.files_upload_v2(
                file_uploads=[
                    {"content": one.content, "filename": one.name, "title": one.title} for one in pictures
                ],
                channel=channel,
                thread_ts=thread or None,
                initial_comment=words or None,
            )


class _translated:
    """The SDK's errors as ours."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case SlackApiError():
                raise _told(self._what, error) from error
            case aiohttp.ClientError() | asyncio.TimeoutError() | SlackClientError():
                raise Uncertain(f"No answer from Slack to {self._what}: {type(error).__name__}.") from error


def _told(what: str, error: SlackApiError) -> SlackError:
    response: Any = error.response
    status = getattr(response, "status_code", 0)
    headers = {key.lower(): value for key, value in (getattr(response, "headers", None) or {}).items()}
    data = getattr(response, "data", None)
    word = data.get("error") or "" if isinstance(data, dict) else ""
    if status == 429 or word == "ratelimited":
        return Busy(f"Slack wants fewer of {what}.", retry_after_s=_seconds(headers.get("retry-after")))
    if status >= 500 or word in ("", "internal_error", "fatal_error", "service_unavailable"):
        return Uncertain(f"Slack failed at {what} ({status} {word}).")
    lacks = (
        f"; the app lacks the scope {data['needed']}" if isinstance(data, dict) and data.get("needed") else ""
    )
    return SlackError(f"Slack refused {what}: {word}{lacks}.", word=word)


def _seconds(header: object) -> float:
    try:
        return max(1.0, float(str(header)))
    except ValueError:
        return 30.0


@asynccontextmanager
async def open_workspace(
    settings: SlackSettings, *, token: str, known: bool = True
) -> AsyncGenerator[WebWorkspace]:
    """Open a workspace by its bot token; an app's own is not `known` there. Raises SlackError."""
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        client = AsyncWebClient(
            token=token, base_url=settings.api_url, timeout=_TIMEOUT_S, session=session, retry_handlers=[]
        )
        workspace = WebWorkspace(client, session, settings=settings, pace=Pace(share=settings.rate))
        if known:
            await workspace.introduce()
        yield workspace
