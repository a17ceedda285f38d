"""What comes in from Slack, over either way: understood, kept in the book, and only then acknowledged."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError

from api.slack.asking import worth_asking
from api.slack.blocks import note, question_form, reason_form
from api.slack.book import SqliteBook
from api.slack.branch import Branch
from api.slack.buttons import Buttons
from api.slack.desk import Branches
from api.slack.errors import SlackError
from api.slack.plain import heard
from api.slack.reading import MAX_TEXT, MessageShape, asked_of, kind_of, message_of, question
from api.slack.records import Asked, Errand, ErrandKind, Pressed, Reply
from api.slack.telling import whisper
from api.slack.threads import for_us
from api.slack.words import say

logger = logging.getLogger(__name__)

#: A trigger is good for three seconds; what takes longer is not worth opening.
_OPEN_S = 2.0


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Ref(_Shape):
    id: str = ""


class _Action(_Shape):
    action_id: str = ""
    value: str = ""


class _State(_Shape):
    values: dict[str, dict[str, dict[str, Any]]] = {}


class _View(_Shape):
    id: str = ""
    callback_id: str = ""
    private_metadata: str = ""
    state: _State = _State()


class _Interaction(_Shape):
    type: str
    team: _Ref = _Ref()
    user: _Ref = _Ref()
    channel: _Ref = _Ref()
    actions: list[_Action] = []
    view: _View = _View()
    callback_id: str = ""
    message: dict[str, Any] = {}
    trigger_id: str = ""
    response_url: str = ""


class Reception:
    """Takes in one delivery after the other."""

    def __init__(self, book: SqliteBook, branches: Branches, *, wake: Callable[[], None]) -> None:
        self._book, self._branches, self._wake = book, branches, wake

    async def receive(self, body: Mapping[str, Any]) -> Reply:
        """Keep what a delivery asks for; return what is said at once. What it raises is not acknowledged."""
        if body.get("type") == "event_callback":
            await self._event(body)
            return Reply()
        if isinstance(body.get("command"), str):
            return await self._command(body)
        try:
            told = _Interaction.model_validate(body)
        except ValidationError:
            return Reply()
        match told.type:
            case "block_actions":
                return await self._pressed(told)
            case "view_submission":
                return await self._form(told)
            case "message_action" if told.callback_id == "ask_about":
                return await self._shortcut(told)
        return Reply()

    async def _event(self, body: Mapping[str, Any]) -> None:
        event, team = body.get("event"), body.get("team_id")
        if not isinstance(event, Mapping) or not isinstance(team, str):
            return
        branch = await self._branches(team)
        match event.get("type"):
            case "app_mention" | "message":
                message = message_of(event)
                if message is not None:
                    await self._message(branch, message)
            case "agent_session_stopped":
                channel, thread = str(event.get("channel", "")), str(event.get("thread_ts", ""))
                await self._book.stop(f"{team}/{channel}/{thread}")
            case "user_change":
                branch.people.forget(str((event.get("user") or {}).get("id", "")))
            case "app_rate_limited":
                logger.warning("Slack holds events back: more than 30,000 an hour")

    async def _message(self, branch: Branch, message: MessageShape) -> None:
        match message.subtype:
            case "message_changed":
                new, old = message.message, message.previous_message
                if new is None or new.edited is None or (old is not None and old.text == new.text):
                    return
                await self._said(branch, new, channel=message.channel, kind=message.channel_type, edited=True)
            case "message_deleted":
                old = message.previous_message
                if old is not None and old.by_person and message.deleted_ts:
                    told = old.model_copy(update={"ts": message.deleted_ts})
                    await self._deleted(branch, told, message.channel, message.channel_type)
            case _:
                await self._said(branch, message, channel=message.channel, kind=message.channel_type)

    async def _said(
        self, branch: Branch, message: MessageShape, *, channel: str, kind: str, edited: bool = False
    ) -> None:
        """Keep a message that is meant for us; an edited one takes the place of what it was."""
        bot_user = branch.workspace.bot_user
        if not message.by_person or message.user == bot_user or not channel:
            return
        asked, calls_us, calls_others = asked_of(
            message,
            team=branch.workspace.team,
            channel=channel,
            kind=kind_of(channel, kind),
            bot_user=bot_user,
        )
        wishes = await branch.wishes(channel)
        starter = ""
        if not calls_us and asked.kind != "dm" and asked.thread != asked.ts:
            starter = await self._book.starter(asked.place.conversation)
        errand = question(asked, revision=message.edited.ts if message.edited and edited else "")
        if for_us(asked, calls_us=calls_us, calls_others=calls_others, starter=starter, wishes=wishes):
            pass
        elif not calls_others and worth_asking(asked, wishes=wishes):
            errand = replace(errand, what=replace(asked, unasked=True))
        elif not (edited and await self._book.known([errand.key])):
            return
        if edited:
            await self._book.amend(errand)
        elif not asked.text and not asked.files:
            await whisper(branch.workspace, asked, note(say("empty", wishes.language or "en")))
            return
        else:
            await self._book.take(errand)
        self._wake()

    async def _deleted(self, branch: Branch, message: MessageShape, channel: str, kind: str) -> None:
        asked, _, _ = asked_of(
            message, team=branch.workspace.team, channel=channel, kind=kind_of(channel, kind),
            bot_user=branch.workspace.bot_user,
        )  # fmt: skip
        errand = question(asked)
        direct = asked.kind == "dm" or heard(message.text, bot_user=branch.workspace.bot_user)[1]
        if direct or await self._book.known([errand.key]):
            await self._book.withdraw(errand)
            self._wake()

    async def _command(self, body: Mapping[str, Any]) -> Reply:
        team, channel, user = (str(body.get(name, "")) for name in ("team_id", "channel_id", "user_id"))
        text, url, trigger = (str(body.get(name, "")) for name in ("text", "response_url", "trigger_id"))
        branch = await self._branches(team)
        if body["command"] == "/ask":
            words, _, _ = heard(text, bot_user=branch.workspace.bot_user)
            if not words:
                return Reply(text=say("empty"))
            asked = Asked(
                team=team, channel=channel, kind=kind_of(channel, ""), thread="", ts="", user=user,
                text=words[:MAX_TEXT], private=True, response_url=url,
            )  # fmt: skip
            await self._keep(_private(asked, f"ask:{team}/{trigger}"))
            return Reply(text=say("queued"))
        pressed = Pressed(
            team=team,
            channel=channel,
            user=user,
            action="arrange",
            value="",
            response_url=url,
            text=text[:500],
        )
        await self._keep(_press(pressed, f"arrange:{team}/{trigger}", "command"))
        return Reply()

    async def _pressed(self, told: _Interaction) -> Reply:
        if not told.actions:
            return Reply()
        action = told.actions[0]
        pressed = Pressed(
            team=told.team.id, channel=told.channel.id, user=told.user.id, action=action.action_id,
            value=action.value, response_url=told.response_url,
        )  # fmt: skip
        branch = await self._branches(pressed.team)
        match action.action_id:
            case "feedback":
                verdict, _, key = action.value.partition(" ")
                rated = replace(pressed, value=key, text=verdict)
                await self._keep(_press(rated, f"rate:{key}/{pressed.user}/{told.trigger_id}"))
                if verdict == "bad":
                    await self._open(branch, told.trigger_id, reason_form(key, language="en"))
            case "show_rest":
                await self._open_whole(branch, pressed, told.trigger_id)
            case "stop":
                errand = await self._book.errand(action.value)
                if errand is not None:
                    await self._book.stop(errand.conversation)
            case "show_me":
                await self._ask_privately(pressed)
            case "share":
                await self._keep(_press(pressed, f"share:{action.value}/{pressed.user}/{told.trigger_id}"))
            case "show_evidence":
                await self._keep(_press(pressed, f"evidence:{action.value}/{pressed.user}/{told.trigger_id}"))
        return Reply()

    async def _ask_privately(self, pressed: Pressed) -> None:
        """Ask once more, for whoever asked alone; the offer is no right, so rights are worked out anew."""
        errand = await self._book.errand(pressed.value)
        if errand is None or not isinstance(errand.what, Asked) or errand.what.user != pressed.user:
            return
        asked = replace(errand.what, private=True, files=(), response_url=pressed.response_url)
        await self._keep(_private(asked, f"own:{errand.key}/{pressed.user}"))

    async def _form(self, told: _Interaction) -> Reply:
        values = told.view.state.values.get("said", {}).get("words", {})
        words = str(values.get("value") or "")[:2000]
        if told.view.callback_id == "feedback_reason":
            pressed = Pressed(
                team=told.team.id, channel="", user=told.user.id, action="feedback_reason",
                value=told.view.private_metadata, text=words,
            )  # fmt: skip
            await self._keep(_press(pressed, f"reason:{told.view.id}"))
        elif told.view.callback_id == "ask_about" and words:
            asked = _remembered(told, words)
            if asked is not None:
                await self._keep(_private(asked, f"about:{asked.team}/{told.view.id}"))
        return Reply()

    async def _shortcut(self, told: _Interaction) -> Reply:
        """Open the form of "Ask about this message"."""
        message = message_of(told.message)
        branch = await self._branches(told.team.id)
        said = str(told.message.get("text", ""))
        words, _, _ = heard(said, bot_user=branch.workspace.bot_user)
        thread = message.thread_ts or message.ts if message else ""
        memory = json.dumps(
            {"c": told.channel.id, "t": thread, "q": words[:1500], "r": told.response_url}, ensure_ascii=False
        )
        await self._open(branch, told.trigger_id, question_form(memory[:3000], language="en"))
        return Reply()

    async def _open_whole(self, branch: Branch, pressed: Pressed, trigger: str) -> None:
        window = await Buttons(branch).whole(pressed)
        if window is not None:
            await self._open(branch, trigger, window)
            return
        asked = Asked(
            team=pressed.team, channel=pressed.channel, kind=kind_of(pressed.channel, ""), thread="", ts="",
            user=pressed.user, text="",
        )  # fmt: skip
        await whisper(branch.workspace, asked, note(say("not_yours")))

    async def _open(self, branch: Branch, trigger: str, view: Mapping[str, object]) -> None:
        """Open a window while the trigger is fresh; one that does not open is pressed again."""
        try:
            with anyio.move_on_after(_OPEN_S):
                await branch.workspace.call("views.open", patient=False, trigger_id=trigger, view=view)
        except SlackError as error:
            logger.warning("a window did not open: %s", error.detail)

    async def _keep(self, errand: Errand) -> None:
        await self._book.take(errand)
        self._wake()


def _press(pressed: Pressed, key: str, kind: ErrandKind = "button") -> Errand:
    return Errand(
        key=key, kind=kind, team=pressed.team, conversation=key,
        place="", what=pressed,
    )  # fmt: skip


def _private(asked: Asked, key: str) -> Errand:
    """Return the errand of a private question: it waits for nothing that is said in the thread."""
    return Errand(
        key=key, kind="question", team=asked.team, conversation=key, place=asked.ts or "9", what=asked
    )


def _remembered(told: _Interaction, words: str) -> Asked | None:
    try:
        memory = json.loads(told.view.private_metadata)
        channel, thread, quoted, url = (str(memory[name]) for name in "ctqr")
    except (ValueError, KeyError, TypeError):
        return None
    return Asked(
        team=told.team.id, channel=channel, kind=kind_of(channel, ""), thread=thread, ts="",
        user=told.user.id, text=words, private=True, response_url=url, quoted=quoted,
    )  # fmt: skip
