"""A Slack on this machine: its Web API, Socket Mode, signatures, rates, streams, files, windows and retries.

The real SDK and the real Bolt talk to it by base URL. It keeps Slack's own rules where they bite: a stream
can only be written as a stream, blocks have limits, a method has a rate, and whoever ignores `Retry-After` is
counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import re
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType, web

TEAM, BOT, SECRET = "T0TEAM", "U0BOT", "a-signing-secret"
BOT_TOKEN, APP_TOKEN = "xoxb-fake", "xapp-fake"
_NO_LIMIT = 1_000_000


@dataclass
class Message:
    """A message as it stands in a channel."""

    channel: str
    ts: str
    user: str
    text: str = ""
    thread_ts: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    #: What a stream wrote, in Markdown; None for a message that is no stream.
    streamed: str | None = None
    streaming: bool = False
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    edited: str = ""
    #: How often it was written to after it was posted.
    edits: int = 0
    unfurl: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return it as conversations.replies does."""
        told: dict[str, Any] = {"type": "message", "user": self.user, "text": self.text, "ts": self.ts}
        if self.user == BOT:
            told["bot_id"] = "B0BOT"
        if self.thread_ts:
            told["thread_ts"] = self.thread_ts
        if self.metadata:
            told["metadata"] = self.metadata
        if self.files:
            told["files"] = self.files
        if self.edited:
            told["edited"] = {"user": self.user, "ts": self.edited}
        return told


@dataclass
class Delivery:
    """What became of one event on its way to the app."""

    key: str
    acked_after_s: float | None
    payload: Any = None


class FakeSlack:
    """The workspace and everything in it."""

    def __init__(self) -> None:
        self.base = ""
        self.users: dict[str, dict[str, Any]] = {}
        self.channels: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = defaultdict(list)
        self.messages: dict[str, list[Message]] = defaultdict(list)
        self.deleted: list[Message] = []
        #: (channel, user, message) that only one person sees.
        self.ephemeral: list[tuple[str, str, dict[str, Any]]] = []
        #: What came to a response_url, by its number.
        self.responses: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.views: list[dict[str, Any]] = []
        #: (channel, thread, title, content) of each picture.
        self.pictures: list[tuple[str, str, str, bytes]] = []
        self.downloads: dict[str, bytes] = {}
        self.requests: list[tuple[float, str, dict[str, Any]]] = []
        self.sockets: list[web.WebSocketResponse] = []
        #: Requests a minute, by method.
        self.limits: dict[str, int] = {}
        #: Requests that came while Slack had said to wait, and those over a rate.
        self.impatient: list[str] = []
        self.refused = 0
        #: Errors to answer with, by method; "429:2" wants two seconds, "lost" does it and hangs up.
        self.script: dict[str, deque[str]] = defaultdict(deque)
        #: Methods that this workspace does not have.
        self.lacks: set[str] = set()
        self.window_s = 60.0
        self._calls: dict[str, deque[float]] = defaultdict(deque)
        self._silent: dict[str, float] = {}
        self._acks: dict[str, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._uploads: dict[str, tuple[str, bytes]] = {}
        self._last_ts = 0.0
        self._turn = 0
        self.user(BOT, bot=True)

    # --- the people and the places

    def user(
        self,
        user: str,
        *,
        email: str | None = None,
        confirmed: bool = True,
        guest: bool = False,
        external: bool = False,
        bot: bool = False,
        admin: bool = False,
        locale: str = "en-US",
    ) -> str:
        """Add somebody."""
        self.users[user] = {
            "id": user,
            "name": user.lower(),
            "team_id": "T0OTHER" if external else TEAM,
            "is_bot": bot,
            "is_restricted": guest,
            "is_admin": admin,
            "is_stranger": external,
            "is_email_confirmed": confirmed,
            "locale": locale,
            "profile": {"email": email, "display_name": user.title()},
        }
        return user

    def channel(
        self,
        channel: str,
        *members: str,
        private: bool = True,
        im: bool = False,
        shared: bool = False,
        creator: str = "",
    ) -> str:
        """Add a channel, with the bot in it."""
        self.channels[channel] = {
            "id": channel,
            "is_private": private,
            "is_im": im,
            "is_ext_shared": shared,
            "creator": creator,
        }
        self.members[channel] = [*members, BOT]
        return channel

    def now(self) -> str:
        """Return a fresh timestamp."""
        self._last_ts = max(time.time(), self._last_ts + 0.000_001)
        return f"{self._last_ts:.6f}"

    def said(self, user: str, channel: str, text: str, *, thread: str = "", **more: Any) -> Message:
        """Let somebody say something, without telling the app."""
        message = Message(channel=channel, ts=more.pop("ts", "") or self.now(), user=user, text=text, **more)
        message.thread_ts = thread
        self.messages[channel].append(message)
        return message

    # --- events

    def events(self, message: Message) -> list[dict[str, Any]]:
        """Return the events that Slack makes of a message: a mention comes twice, with two ids."""
        kind = self._kind(message.channel)
        told = message.as_json() | {"channel": message.channel, "team": TEAM}
        made = [told | {"channel_type": kind}]
        if message.files:
            made[0]["subtype"] = "file_share"
        if f"<@{BOT}>" in message.text and kind != "im":
            made.insert(0, told | {"type": "app_mention"})
        return [self.event(one) for one in made]

    def edit(self, message: Message, text: str) -> dict[str, Any]:
        """Let somebody edit a message; return its event."""
        old = message.as_json()
        message.text, message.edited = text, self.now()
        return self.event(
            {
                "type": "message",
                "subtype": "message_changed",
                "channel": message.channel,
                "channel_type": self._kind(message.channel),
                "ts": self.now(),
                "message": message.as_json(),
                "previous_message": old,
            }
        )

    def delete(self, message: Message) -> dict[str, Any]:
        """Let somebody delete a message; return its event."""
        self.messages[message.channel].remove(message)
        return self.event(
            {
                "type": "message",
                "subtype": "message_deleted",
                "channel": message.channel,
                "channel_type": self._kind(message.channel),
                "ts": self.now(),
                "deleted_ts": message.ts,
                "previous_message": message.as_json(),
            }
        )

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Wrap an event as the Events API does."""
        return {
            "type": "event_callback",
            "team_id": TEAM,
            "api_app_id": "A0APP",
            "event": dict(event),
            "event_id": f"Ev{next(self._numbers):08}",
            "event_time": int(time.time()),
        }

    def press(self, user: str, message: Message | dict[str, Any], action: str, value: str) -> dict[str, Any]:
        """Let somebody press a button; return the payload."""
        channel = message.channel if isinstance(message, Message) else message["channel"]
        number = str(next(self._numbers))
        return {
            "type": "block_actions",
            "team": {"id": TEAM},
            "user": {"id": user, "team_id": TEAM},
            "channel": {"id": channel},
            "container": {"type": "message", "channel_id": channel},
            "actions": [{"type": "button", "action_id": action, "value": value, "action_ts": self.now()}],
            "trigger_id": f"trigger-{number}",
            "response_url": f"{self.base}/hooks/{number}",
        }

    def command(self, user: str, channel: str, command: str, text: str) -> dict[str, Any]:
        """Let somebody give a command; return the payload."""
        number = str(next(self._numbers))
        return {
            "command": command,
            "text": text,
            "team_id": TEAM,
            "channel_id": channel,
            "user_id": user,
            "trigger_id": f"trigger-{number}",
            "response_url": f"{self.base}/hooks/{number}",
        }

    def shortcut(self, user: str, message: Message) -> dict[str, Any]:
        """Let somebody choose "Ask about this message"; return the payload."""
        number = str(next(self._numbers))
        return {
            "type": "message_action",
            "callback_id": "ask_about",
            "team": {"id": TEAM},
            "user": {"id": user},
            "channel": {"id": message.channel},
            "message": message.as_json(),
            "trigger_id": f"trigger-{number}",
            "response_url": f"{self.base}/hooks/{number}",
        }

    def submit(self, user: str, view: Mapping[str, Any], words: str) -> dict[str, Any]:
        """Let somebody send a form; return the payload."""
        return {
            "type": "view_submission",
            "team": {"id": TEAM},
            "user": {"id": user},
            "view": {
                **view,
                "id": f"V{next(self._numbers)}",
                "state": {"values": {"said": {"words": {"type": "plain_text_input", "value": words}}}},
            },
        }

    async def deliver(
        self, body: Mapping[str, Any], *, retry: int = 0, wait_s: float = 3.0, socket: int | None = None
    ) -> Delivery:
        """Send an envelope over one of the sockets, as Slack chooses one; wait for its acknowledgement."""
        kind = "events_api" if body.get("type") == "event_callback" else "interactive"
        kind = "slash_commands" if "command" in body else kind
        envelope = f"envelope-{next(self._numbers)}"
        told: dict[str, Any] = {"type": kind, "envelope_id": envelope, "payload": body}
        told |= {"accepts_response_payload": kind != "events_api"}
        if retry:
            told |= {"retry_attempt": retry, "retry_reason": "timeout"}
        began = time.perf_counter()
        key = str(body.get("event_id", envelope))
        open_ones = [one for one in self.sockets if not one.closed]
        if not open_ones:
            return Delivery(key=key, acked_after_s=None)
        self._turn += 1
        chosen = open_ones[(self._turn if socket is None else socket) % len(open_ones)]
        self._acks[envelope] = asyncio.get_running_loop().create_future()
        try:
            await chosen.send_str(json.dumps(told))
            payload = await asyncio.wait_for(self._acks[envelope], wait_s)
        except (TimeoutError, ConnectionError, aiohttp.ClientError):
            return Delivery(key=key, acked_after_s=None)
        finally:
            self._acks.pop(envelope, None)
        return Delivery(key=key, acked_after_s=time.perf_counter() - began, payload=payload)

    async def tell(self, *bodies: Mapping[str, Any]) -> list[Delivery]:
        """Deliver one after the other; each must be acknowledged."""
        found = [await self.deliver(body) for body in bodies]
        assert all(one.acked_after_s is not None for one in found), "an event was not acknowledged"
        return found

    async def ask(self, user: str, channel: str, text: str, *, thread: str = "", **more: Any) -> Message:
        """Let somebody say something and tell the app."""
        message = self.said(user, channel, text, thread=thread, **more)
        await self.tell(*self.events(message))
        return message

    # --- what is to be seen

    def thread(self, message: Message) -> list[Message]:
        """Return our own messages in a thread, oldest first."""
        root = message.thread_ts or message.ts
        return [one for one in self.messages[message.channel] if one.user == BOT and one.thread_ts == root]

    def answers(self, message: Message) -> list[Message]:
        """Return our answers in a thread: no notes, no pictures."""
        notes = "pagewarden_note"
        return [
            m for m in self.thread(message) if not m.files and (m.metadata or {}).get("event_type") != notes
        ]

    def calls(self, method: str) -> list[dict[str, Any]]:
        """Return the arguments of every call of a method."""
        return [arguments for _, name, arguments in self.requests if name == method]

    def _kind(self, channel: str) -> str:
        told = self.channels[channel]
        return "im" if told["is_im"] else "group" if told["is_private"] else "channel"

    # --- the server

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[FakeSlack]:
        """Listen on a free port of this machine."""
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/link", self._socket)
        app.router.add_post("/hooks/{number}", self._hook)
        app.router.add_post("/upload/{number}", self._upload)
        app.router.add_get("/files/{name}", self._download)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self.base = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            for socket in self.sockets:
                await socket.close()
            await runner.cleanup()

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments = await _arguments(request)
        now = time.monotonic()
        self.requests.append((now, method, arguments))
        token = APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN
        if request.headers.get("authorization") != f"Bearer {token}":
            return _no("invalid_auth")
        if (wait_s := self._over(method, now)) > 0:
            self.refused += 1
            headers = {"retry-after": str(max(1, int(wait_s + 0.999)))}
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
        scripted = self.script[method].popleft() if self.script[method] else ""
        if scripted.startswith("429:"):
            self._silent[method] = now + float(scripted[4:])
            headers = {"retry-after": scripted[4:]}
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
        if scripted == "500":
            return web.Response(status=500, text="<html>oops</html>", content_type="text/html")
        if scripted and scripted != "lost":
            return _no(scripted)
        if method in self.lacks:
            return _no("unknown_method")
        act = getattr(self, "_" + method.replace(".", "_"), None)
        if act is None:
            return _no("unknown_method")
        told = act(arguments)
        if scripted == "lost":
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if isinstance(told, str):
            return _no(told)
        return web.json_response({"ok": True} | told, headers={"x-oauth-scopes": "chat:write,users:read"})

    def _over(self, method: str, now: float) -> float:
        """Return how long this method must wait; a request that comes before that was impatient."""
        if (left := self._silent.get(method, 0.0) - now) > 0:
            self.impatient.append(method)
            return left
        calls, limit = self._calls[method], self.limits.get(method, _NO_LIMIT)
        while calls and calls[0] <= now - self.window_s:
            calls.popleft()
        if len(calls) >= limit:
            wait_s = calls[0] + self.window_s - now
            self._silent[method] = now + wait_s
            return wait_s
        calls.append(now)
        return 0.0

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        await socket.send_str(json.dumps({"type": "hello", "num_connections": len(self.sockets) + 1}))
        self.sockets.append(socket)
        try:
            async for frame in socket:
                if frame.type != WSMsgType.TEXT:
                    continue
                told = json.loads(frame.data)
                waiting = self._acks.get(told.get("envelope_id", ""))
                if waiting is not None and not waiting.done():
                    waiting.set_result(told.get("payload"))
        finally:
            self.sockets.remove(socket)
        return socket

    async def _hook(self, request: web.Request) -> web.Response:
        self.responses[request.match_info["number"]].append(await request.json())
        return web.Response(text="ok")

    async def _upload(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        name, _ = self._uploads[number]
        self._uploads[number] = (name, await request.read())
        return web.Response(text="OK")

    async def _download(self, request: web.Request) -> web.Response:
        if request.headers.get("authorization") != f"Bearer {BOT_TOKEN}":
            return web.Response(status=302, headers={"location": "https://slack.example/login"})
        content = self.downloads.get(request.match_info["name"])
        return web.Response(status=404) if content is None else web.Response(body=content)

    # --- methods

    def _auth_test(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"team_id": TEAM, "team": "Acme", "user_id": BOT, "bot_id": "B0BOT", "url": self.base}

    def _apps_connections_open(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"url": self.base.replace("http", "ws", 1) + "/link"}

    def _users_info(self, given: dict[str, Any]) -> dict[str, Any] | str:
        user = self.users.get(given["user"])
        return {"user": user} if user else "user_not_found"

    def _users_list(self, given: dict[str, Any]) -> dict[str, Any]:
        found, cursor = _page(list(self.users.values()), given)
        return {"members": found, "response_metadata": {"next_cursor": cursor}}

    def _conversations_info(self, given: dict[str, Any]) -> dict[str, Any] | str:
        channel = self.channels.get(given["channel"])
        return {"channel": channel} if channel else "channel_not_found"

    def _conversations_members(self, given: dict[str, Any]) -> dict[str, Any] | str:
        if given["channel"] not in self.channels:
            return "channel_not_found"
        found, cursor = _page(self.members[given["channel"]], given)
        return {"members": found, "response_metadata": {"next_cursor": cursor}}

    def _conversations_open(self, given: dict[str, Any]) -> dict[str, Any]:
        channel = f"D{given['users']}"
        if channel not in self.channels:
            self.channel(channel, given["users"], im=True)
        return {"channel": {"id": channel}}

    def _conversations_replies(self, given: dict[str, Any]) -> dict[str, Any] | str:
        root, since = given["ts"], str(given.get("oldest", ""))
        all_ = [m for m in self.messages[given["channel"]] if root in (m.ts, m.thread_ts)]
        if not all_:
            return "thread_not_found"
        chosen = [m for m in sorted(all_, key=lambda m: m.ts) if m.ts == root or m.ts > since]
        found, cursor = _page([m.as_json() for m in chosen], given)
        return {"messages": found, "response_metadata": {"next_cursor": cursor}}

    def _chat_postMessage(self, given: dict[str, Any]) -> dict[str, Any] | str:
        if given["channel"] not in self.channels:
            return "channel_not_found"
        if wrong := _wrong(given):
            return wrong
        message = Message(
            channel=given["channel"],
            ts=self.now(),
            user=BOT,
            text=given.get("text", ""),
            thread_ts=given.get("thread_ts", ""),
            blocks=given.get("blocks") or [],
            metadata=given.get("metadata"),
            unfurl=given.get("unfurl_links", True) or given.get("unfurl_media", True),
        )
        self.messages[message.channel].append(message)
        return {"ts": message.ts, "channel": message.channel}

    def _chat_postEphemeral(self, given: dict[str, Any]) -> dict[str, Any] | str:
        if given["channel"] not in self.channels or BOT not in self.members[given["channel"]]:
            return "not_in_channel"
        if wrong := _wrong(given):
            return wrong
        self.ephemeral.append((given["channel"], given["user"], given))
        return {"message_ts": self.now()}

    def _chat_update(self, given: dict[str, Any]) -> dict[str, Any] | str:
        message = self._find(given)
        if message is None or message.user != BOT:
            return "message_not_found"
        if message.streaming:
            return "streaming_state_conflict"
        if wrong := _wrong(given):
            return wrong
        message.text, message.blocks = given.get("text", ""), given.get("blocks") or []
        message.metadata = given.get("metadata", message.metadata)
        message.streamed, message.tasks = None, {}
        message.edits += 1
        return {"ts": message.ts}

    def _chat_delete(self, given: dict[str, Any]) -> dict[str, Any] | str:
        message = self._find(given)
        if message is None:
            return "message_not_found"
        self.messages[message.channel].remove(message)
        self.deleted.append(message)
        return {"ts": message.ts}

    def _chat_startStream(self, given: dict[str, Any]) -> dict[str, Any] | str:
        if not given.get("thread_ts"):
            return "missing_thread_ts"
        if not self.channels[given["channel"]]["is_im"] and not given.get("recipient_user_id"):
            return "missing_recipient_user_id"
        message = Message(
            channel=given["channel"], ts=self.now(), user=BOT, thread_ts=given["thread_ts"], unfurl=False
        )
        message.streamed, message.streaming = "", True
        self.messages[message.channel].append(message)
        return self._append(message, given) or {"ts": message.ts, "channel": message.channel}

    def _chat_appendStream(self, given: dict[str, Any]) -> dict[str, Any] | str:
        message = self._find(given)
        if message is None or not message.streaming:
            return "message_not_in_streaming_state"
        message.edits += 1
        return self._append(message, given) or {"ts": message.ts}

    def _chat_stopStream(self, given: dict[str, Any]) -> dict[str, Any] | str:
        message = self._find(given)
        if message is None or not message.streaming:
            return "message_not_in_streaming_state"
        if wrong := _wrong(given) or self._append(message, given):
            return wrong
        message.streaming = False
        message.blocks = given.get("blocks") or []
        message.metadata = given.get("metadata")
        return {"ts": message.ts}

    def _append(self, message: Message, given: dict[str, Any]) -> str:
        for chunk in given.get("chunks") or []:
            match chunk["type"]:
                case "task_update":
                    message.tasks[chunk["id"]] = chunk
                case "markdown_text":
                    assert message.streamed is not None
                    if len(chunk["text"]) > 12_000:
                        return "msg_too_long"
                    message.streamed += chunk["text"]
                case _:
                    return "invalid_arguments"
        return ""

    def _views_open(self, given: dict[str, Any]) -> dict[str, Any] | str:
        view = given["view"]
        if len(view["title"]["text"]) > 24 or len(view.get("private_metadata", "")) > 3000:
            return "invalid_arguments"
        if wrong := _wrong(view):
            return wrong
        self.views.append(view)
        return {"view": {"id": f"V{len(self.views)}"}}

    def _files_getUploadURLExternal(self, given: dict[str, Any]) -> dict[str, Any]:
        number = str(next(self._numbers))
        self._uploads[number] = (given["filename"], b"")
        return {"upload_url": f"{self.base}/upload/{number}", "file_id": f"F{number}"}

    def _files_completeUploadExternal(self, given: dict[str, Any]) -> dict[str, Any]:
        files = given["files"] if isinstance(given["files"], list) else json.loads(given["files"])
        channel, thread = given.get("channel_id", ""), given.get("thread_ts", "")
        for one in files:
            _, content = self._uploads[one["id"][1:]]
            self.pictures.append((channel, thread, one["title"], content))
        if channel:
            text = given.get("initial_comment", "")
            kept = Message(channel=channel, ts=self.now(), user=BOT, text=text, thread_ts=thread, files=files)
            self.messages[channel].append(kept)
        return {"files": files}

    def _find(self, given: dict[str, Any]) -> Message | None:
        return next((m for m in self.messages[given["channel"]] if m.ts == given["ts"]), None)


def signed(body: bytes, *, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    """Return the headers with which Slack signs a request."""
    stamp = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256)
    return {"x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={mac.hexdigest()}"}


def posted(body: Mapping[str, Any]) -> tuple[bytes, str]:
    """Return a payload as Slack posts it over HTTP, and its content type."""
    if body.get("type") == "event_callback":
        return json.dumps(body).encode(), "application/json"
    form = dict(body) if "command" in body else {"payload": json.dumps(body)}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def shown(message: Message | Mapping[str, Any]) -> str:
    """Return the answer's own words as people see them: the stream, else the first block of rich text."""
    if isinstance(message, Message) and message.streamed is not None:
        return _seen(re.sub(r"\\([\\`*_~\[\]()#>|!+-])", r"\1", message.streamed))
    blocks = message.blocks if isinstance(message, Message) else message.get("blocks", [])
    rich = next((block for block in blocks if block["type"] == "rich_text"), None)
    return "" if rich is None else plain_of(rich)


def plain_of(block: Mapping[str, Any]) -> str:
    """Return the words of a block of rich text."""
    return "".join(piece["text"] for part in block["elements"] for piece in part["elements"])


def everything(message: Message | Mapping[str, Any]) -> str:
    """Return every string of a message, seen or not."""
    if isinstance(message, Message):
        parts = (message.text, message.streamed or "", message.blocks, message.tasks, message.files)
        return json.dumps(parts, ensure_ascii=False)
    return json.dumps(message, ensure_ascii=False)


def alarms(message: Message | Mapping[str, Any]) -> list[str]:
    """Return what Slack would make of the text fields: people called, and addresses linked."""
    found: list[str] = []
    for text, kind in _texts(message):
        found += re.findall(r"<!(?:channel|here|everyone)[^>]*>|<@[A-Z0-9]+>|<https?://[^>]*>", text)
        found += re.findall(r"(?<![\w\\])@(?:channel|here|everyone)\b", text)
        found += re.findall(r"https?://[^\s>]+", text)
        if kind == "markdown":
            found += re.findall(r"(?<!\\)\[[^\]]*\]\([^)]*\)|(?<!\\)!\[", text)
    return found


def links(message: Message | Mapping[str, Any]) -> list[str]:
    """Return the addresses that a message really links to."""
    return re.findall(r'"url": "([^"]*)"', everything(message))


def _texts(message: Message | Mapping[str, Any]) -> list[tuple[str, str]]:
    text = message.text if isinstance(message, Message) else str(message.get("text", ""))
    blocks = message.blocks if isinstance(message, Message) else message.get("blocks", [])
    found = [(text, "mrkdwn")]
    if isinstance(message, Message) and message.streamed:
        found.append((message.streamed, "markdown"))
    for block in blocks:
        inner = [block.get("text"), *(block.get("elements") or [])]
        found += [
            (one["text"], "mrkdwn") for one in inner if isinstance(one, dict) and one.get("type") == "mrkdwn"
        ]
    return found


def _seen(text: str) -> str:
    return text.replace("\u2060", "").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _wrong(given: Mapping[str, Any]) -> str:
    """Return Slack's word for blocks that it would not take; "" where it takes them."""
    blocks = given.get("blocks") or []
    if len(blocks) > 50:
        return "invalid_blocks"
    for block in blocks:
        match block["type"]:
            case "section":
                fits = 0 < len(block["text"]["text"]) <= 3000
            case "actions":
                fits = 0 < len(block["elements"]) <= 25
            case "context":
                fits = 0 < len(block["elements"]) <= 10
            case "rich_text":
                fits = all(piece["text"] for part in block["elements"] for piece in part["elements"])
            case "context_actions":
                fits = 0 < len(block["elements"]) <= 5
            case "divider" | "input":
                fits = True
            case _:
                fits = False
        if not fits:
            return "invalid_blocks"
    return "msg_too_long" if len(given.get("text") or "") > 40_000 else ""


def _page(items: list[Any], given: Mapping[str, Any]) -> tuple[list[Any], str]:
    start, size = int(given.get("cursor") or 0), int(given.get("limit") or 100)
    rest = start + size
    return items[start:rest], str(rest) if rest < len(items) else ""


def _no(word: str) -> web.Response:
    return web.json_response({"ok": False, "error": word})


async def _arguments(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        told = await request.json()
        return dict(told)
    form = await request.post()
    return dict(request.query) | {key: value for key, value in form.items()}
