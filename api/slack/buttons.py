"""What buttons, forms and commands do. Each works out anew who may read what: a button is no right."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from api.settings import NAME
from api.slack.blocks import MAX_BLOCKS, Dress, Letter, letter, note, whole
from api.slack.branch import Branch, channel_of
from api.slack.errors import SlackError
from api.slack.pictures import pictures_of
from api.slack.records import Asked, ChannelWishes, Errand, Pressed, Rating, Told
from api.slack.telling import NOTE, marked, whisper
from api.slack.words import say

_HELP = (
    "/pagewarden show · collections NAME[,NAME]|all · language CODE · tone full|brief · "
    "auto CONFIDENCE|off · follow questions|mention · crops on|off · reset"
)


class Buttons:
    """Does what was pressed, in one workspace."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch

    async def do(self, pressed: Pressed) -> None:
        """Do what was pressed. Raises SlackError."""
        if pressed.action == "arrange":
            await self._arrange(pressed)
            return
        errand = await self._branch.book.errand(pressed.value.partition(" ")[0])
        if errand is None or errand.told is None or not isinstance(errand.what, Asked):
            await self._tell(pressed, None, say("gone"))
            return
        language = await self._language(pressed)
        if errand.what.private and pressed.user != errand.what.user:
            await self._tell(pressed, errand.what, say("not_yours", language))
            return
        match pressed.action:
            case "feedback" | "feedback_reason":
                await self._rate(pressed, errand, language)
            case "show_evidence":
                await self._evidence(pressed, errand.what, errand.told, language)
            case "share":
                await self._share(pressed, errand, errand.what, errand.told, language)

    async def whole(self, pressed: Pressed) -> Mapping[str, object] | None:
        """Return a window with the whole answer; None where whoever pressed may not read all of it now."""
        errand = await self._branch.book.errand(pressed.value)
        if errand is None or errand.told is None or not isinstance(errand.what, Asked):
            return None
        if errand.what.private and pressed.user != errand.what.user:
            return None
        own = await self._branch.gate.own(pressed.user, place=errand.what.place)
        if own is None or not await self._branch.may_read(errand.told, scope=own):
            return None
        return whole(errand.told, dress=self._dress(await self._language(pressed)))

    async def _rate(self, pressed: Pressed, errand: Errand, language: str) -> None:
        assert isinstance(errand.what, Asked)
        assert errand.told is not None
        good = pressed.action == "feedback" and pressed.text == "good"
        rating = Rating(
            key=errand.key, team=pressed.team, user=pressed.user, good=good,
            reason=pressed.text if pressed.action == "feedback_reason" else "",
            question=errand.what.text, answer=errand.told.text, cited=errand.told.citations,
        )  # fmt: skip
        await self._branch.book.rate(rating)
        if good or pressed.action == "feedback_reason":
            await self._tell(pressed, errand.what, say("thanks", language))

    async def _evidence(self, pressed: Pressed, asked: Asked, told: Told, language: str) -> None:
        """Show the cited regions to everyone, where everyone may see them all, else to whoever pressed."""
        agent, gate = self._branch.house.agent, self._branch.gate
        wishes = await self._branch.wishes(asked.channel)
        cited = told.citations[:5]
        own = await gate.own(pressed.user, place=asked.place)
        shared = own
        if asked.kind != "dm" and not asked.private:
            shared = await gate.everyone(asked.place, only=wishes.collections)
        if own is None or not await self._branch.may_read(told, scope=own):
            await self._tell(pressed, asked, say("not_yours", language))
            return
        for_all = not asked.private and shared is not None and await self._branch.may_read(told, scope=shared)
        scope = shared if for_all else own
        drawn = await pictures_of(agent, cited, scope=scope, channel=channel_of(asked), language=language)
        if not drawn:
            await self._tell(pressed, asked, say("no_picture", language))
        elif for_all:
            await self._branch.workspace.show(drawn, channel=asked.channel, thread=asked.thread, words="")
        else:
            talk = await self._branch.workspace.call("conversations.open", users=pressed.user)
            channel = str(talk["channel"]["id"])
            await self._branch.workspace.show(drawn, channel=channel, thread="", words="")
            await self._tell(pressed, asked, say("evidence_sent", language))

    async def _share(self, pressed: Pressed, errand: Errand, asked: Asked, told: Told, language: str) -> None:
        """Post a private answer where it was asked, if everyone there may read all that it stands on."""
        wishes = await self._branch.wishes(asked.channel)
        try:
            scope = await self._branch.gate.everyone(asked.place, only=wishes.collections)
        except SlackError as error:
            if error.retryable:
                raise
            await self._tell(pressed, asked, say("cannot_share", language))
            return
        if told.kind != "answer" or not await self._branch.may_read(told, scope=scope):
            await self._tell(pressed, asked, say("cannot_share", language))
            return
        shown = letter(told, key=errand.key, dress=self._dress(language))
        asker = await self._branch.people.person(pressed.user)
        head = note(f"{say('shared_by', language, who=asker.name)}: {asked.text}")
        where: dict[str, Any] = {"thread_ts": asked.thread} if asked.thread else {}
        await self._branch.workspace.call(
            "chat.postMessage", channel=asked.channel, text=shown.text,
            blocks=[*head.blocks, *shown.blocks][:MAX_BLOCKS], unfurl_links=False, unfurl_media=False,
            metadata=marked(NOTE, errand.key), **where,
        )  # fmt: skip

    async def _arrange(self, pressed: Pressed) -> None:
        """Do what `/pagewarden` says: show, or set how this channel is answered."""
        branch = self._branch
        person = await branch.people.person(pressed.user)
        held = await branch.book.wishes(pressed.team, pressed.channel)
        word, _, rest = pressed.text.strip().partition(" ")
        if word in ("", "help"):
            await self._tell(pressed, None, _HELP)
            return
        if word == "show":
            await self._tell(pressed, None, shown(await branch.wishes(pressed.channel)))
            return
        if not (branch.directory.manages(person) or await branch.people.may_arrange(person, pressed.channel)):
            await self._tell(pressed, None, "Only who runs this channel may arrange how it is answered.")
            return
        wanted = arranged(held, word, rest.strip())
        if isinstance(wanted, str):
            await self._tell(pressed, None, wanted)
            return
        await branch.book.wish(pressed.team, pressed.channel, wanted)
        await self._tell(pressed, None, shown(await branch.wishes(pressed.channel)))

    async def _language(self, pressed: Pressed) -> str:
        wishes = await self._branch.wishes(pressed.channel)
        person = await self._branch.people.person(pressed.user)
        return wishes.language or person.language or "en"

    def _dress(self, language: str) -> Dress:
        return Dress(
            language=language, base=self._branch.api.public_url, fold_chars=self._branch.settings.fold_chars
        )

    async def _tell(self, pressed: Pressed, asked: Asked | None, text: str) -> None:
        """Tell whoever pressed, and nobody else."""
        told: Letter = note(text)
        if pressed.action == "arrange" and pressed.response_url:
            message: dict[str, object] = {"text": told.text, "blocks": told.blocks}
            await self._branch.workspace.respond(
                pressed.response_url, message | {"response_type": "ephemeral"}
            )
            return
        channel = pressed.channel or (asked.channel if asked else "")
        if asked is not None and asked.response_url and asked.private:
            message = {"text": told.text, "blocks": told.blocks, "response_type": "ephemeral"}
            url = pressed.response_url or asked.response_url
            await self._branch.workspace.respond(url, message | {"replace_original": False})
            return
        here = Asked(
            team=pressed.team, channel=channel, kind="dm" if channel.startswith("D") else "public",
            thread=asked.thread if asked else "", ts="", user=pressed.user, text="",
        )  # fmt: skip
        await whisper(self._branch.workspace, here, told)


def arranged(held: ChannelWishes, word: str, rest: str) -> ChannelWishes | str:
    """Return a channel's wishes with one of them changed, or what is wrong with the words."""
    match word, rest.lower():
        case "reset", "":
            return ChannelWishes()
        case "collections", "all":
            return replace(held, collections=())
        case "collections", names if names:
            chosen = tuple(part for part in re.split(r"[,\s]+", names) if part)
            wrong = [name for name in chosen if not re.fullmatch(NAME, name)]
            return f"{wrong[0]!r} is no name of a collection." if wrong else replace(held, collections=chosen)
        case "language", code if re.fullmatch(r"[a-z]{2,3}", code):
            return replace(held, language=code)
        case "tone", ("full" | "brief") as tone:
            return replace(held, tone=tone)
        case "follow", ("questions" | "mention") as follow:
            return replace(held, follow=follow)
        case "crops", ("on" | "off") as crops:
            return replace(held, crops=crops == "on")
        case "auto", "off":
            return replace(held, auto=None)
        case "auto", share if re.fullmatch(r"0?\.\d{1,3}|1(\.0+)?", share) and float(share) > 0:
            return replace(held, auto=float(share))
        case _:
            return _HELP


def shown(wishes: ChannelWishes) -> str:
    """Return a channel's wishes for people."""
    told = {name: value for name, value in asdict(wishes).items() if value not in (None, (), [])}
    return f"Here: {json.dumps(told)}" if told else "Here: nothing of its own is set."
