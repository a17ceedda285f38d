"""Bolt: signatures, envelopes and acknowledgements of Slack, over Socket Mode and over HTTP alike.

`process_before_response` is what keeps events safe: without it Bolt acknowledges an event before its listener
has run, and whatever dies in between is lost for good. Our listeners only write a row, in a few milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from api.slack.book import SqliteBook
from api.slack.desk import Branches
from api.slack.errors import SlackError
from api.slack.reception import Reception
from api.slack.settings import SlackSettings

_ANY = re.compile(r".*", re.S)
#: Where nothing is signed (Socket Mode alone), Bolt still wants a word.
_UNUSED = "unused"


class SlackApp:
    """The Bolt app around a reception."""

    def __init__(
        self, reception: Reception, branches: Branches, book: SqliteBook, *, settings: SlackSettings
    ) -> None:
        self._book, self._settings = book, settings
        self._secret = settings.signing_secret.get_secret_value() if settings.signing_secret else ""
        self._socket: AsyncSocketModeHandler | None = None
        self._app = AsyncApp(
            name="pagewarden",
            client=AsyncWebClient(base_url=settings.api_url, retry_handlers=[]),
            signing_secret=self._secret or _UNUSED,
            authorize=_authorizing(branches),  # type: ignore[arg-type]
            process_before_response=True,
            attaching_conversation_kwargs_enabled=False,
        )
        for listen in (
            self._app.event,
            self._app.action,
            self._app.command,
            self._app.view,
            self._app.shortcut,
        ):
            listen(_ANY)(_taking(reception))

    async def connected(self) -> bool:
        """Say whether the socket is up; True where none is wanted."""
        return self._socket is None or await self._socket.client.is_connected()

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        """Take in a request of Slack's over HTTP; return status, headers and body.

        401: unsigned, signed by another, older than five minutes, changed, or seen before. A retry of Slack's
        own may carry the signature of its first try, whose answer was lost: it is taken in, and changes
        nothing.
        """
        lower = {name.lower(): value for name, value in headers.items()}
        signature = lower.get("x-slack-signature", "")
        if not self._signed(body, lower.get("x-slack-request-timestamp", ""), signature):
            return 401, {}, ""
        first = await self._book.first_time(signature)
        if not first and "x-slack-retry-num" not in lower:
            return 401, {}, ""
        request = AsyncBoltRequest(body=body.decode(), headers=dict(lower), mode="http")
        told = await self._app.async_dispatch(request)
        if told.status >= 500:
            await self._book.forget_signature(signature)
        return told.status, {name: values[0] for name, values in told.headers.items()}, told.body or ""

    def _signed(self, body: bytes, timestamp: str, signature: str) -> bool:
        if not self._secret or not re.fullmatch(r"\d{1,12}", timestamp):
            return False
        try:
            return SignatureVerifier(self._secret).is_valid(body, timestamp, signature)
        except (UnicodeDecodeError, TypeError):
            return False

    @asynccontextmanager
    async def socket(self) -> AsyncGenerator[None]:
        """Hold a socket to Slack open, where there is a token for it; it connects again by itself."""
        if self._settings.app_token is None:
            yield
            return
        self._socket = AsyncSocketModeHandler(self._app, self._settings.app_token.get_secret_value())
        try:
            await self._socket.connect_async()  # type: ignore[no-untyped-call]
            yield
        finally:
            with anyio.CancelScope(shield=True):
                client = self._socket.client
                await self._socket.close_async()  # type: ignore[no-untyped-call]
                for task in (
                    client.message_processor,
                    client.current_session_monitor,
                    client.message_receiver,
                ):
                    if task is not None:
                        with suppress(anyio.get_cancelled_exc_class()):
                            await task


def _authorizing(branches: Branches) -> Callable[..., Awaitable[AuthorizeResult | None]]:
    # A function, because Bolt fills arguments by their names, and `self` would be one.
    async def authorize(team_id: str | None, enterprise_id: str | None) -> AuthorizeResult | None:
        try:
            branch = await branches(team_id or "")
        except SlackError:
            return None
        workspace = branch.workspace
        return AuthorizeResult(
            enterprise_id=enterprise_id, team_id=workspace.team, bot_user_id=workspace.bot_user
        )

    return authorize


def _taking(reception: Reception) -> Callable[..., Awaitable[None]]:
    async def take(body: dict[str, Any], ack: Any) -> None:
        reply = await reception.receive(body)
        if reply.text:
            await ack(text=reply.text, response_type="ephemeral")
        else:
            await ack()

    return take
