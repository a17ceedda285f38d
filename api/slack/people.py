"""Who is there: people and the members of places, as Slack tells them, remembered for a short while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from api.slack.errors import SlackError
from api.slack.records import Person, PlaceKind, Standing
from api.slack.web import Workspace

#: How long Slack's word on a person is believed. Whoever loses rights in `slack.yaml` loses them at once.
_PERSON_S = 60.0
#: From this many unknown members on, the whole list is fetched instead of one by one.
_ONE_BY_ONE = 20
_PAGE = 500


class People:
    """The people of one workspace."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._workspace, self._clock = workspace, clock
        self._known: dict[str, tuple[float, Person]] = {}

    async def person(self, user: str) -> Person:
        """Return somebody. Raises SlackError."""
        held = self._held(user)
        if held is not None:
            return held
        told = await self._workspace.call("users.info", user=user)
        return self._keep(told["user"])

    async def members(self, channel: str, *, most: int) -> list[Person] | None:
        """Return who is in a channel now; None where they are more than `most`. Raises SlackError."""
        ids: list[str] = []
        cursor = ""
        while True:
            told = await self._workspace.call(
                "conversations.members", channel=channel, limit=_PAGE, cursor=cursor
            )
            ids += told["members"]
            cursor = (told.get("response_metadata") or {}).get("next_cursor", "")
            if len(ids) > most:
                return None
            if not cursor:
                break
        if sum(self._held(one) is None for one in ids) > _ONE_BY_ONE:
            await self._fetch_all()
        return [await self.person(one) for one in ids]

    async def reach(self, channel: str) -> tuple[PlaceKind, bool]:
        """Say who can read a channel (in doubt everyone), and whether other organisations' people can join.

        Raises SlackError.
        """
        told = (await self._workspace.call("conversations.info", channel=channel))["channel"]
        shared = bool(told.get("is_ext_shared") or told.get("is_pending_ext_shared") or told.get("is_shared"))
        if told.get("is_im"):
            return "dm", shared
        return ("private" if told.get("is_private") or told.get("is_mpim") else "public"), shared

    async def may_arrange(self, person: Person, channel: str) -> bool:
        """Say whether somebody runs a channel: an administrator, or who made it. Raises SlackError."""
        if person.standing != "member":
            return False
        if person.admin:
            return True
        told = (await self._workspace.call("conversations.info", channel=channel))["channel"]
        return bool(told.get("creator") == person.id)

    def forget(self, user: str) -> None:
        """Ask Slack again about somebody."""
        self._known.pop(user, None)

    async def _fetch_all(self) -> None:
        cursor = ""
        while True:
            told = await self._workspace.call("users.list", limit=_PAGE, cursor=cursor)
            for one in told["members"]:
                self._keep(one)
            cursor = (told.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return

    def _held(self, user: str) -> Person | None:
        at, person = self._known.get(user, (0.0, None))
        return person if person is not None and self._clock() - at < _PERSON_S else None

    def _keep(self, told: Mapping[str, Any]) -> Person:
        person = person_of(told, team=self._workspace.team)
        self._known[person.id] = (self._clock(), person)
        return person


def person_of(told: Mapping[str, Any], *, team: str) -> Person:
    """Read Slack's `user`; an address that Slack has not confirmed is none. Raises SlackError."""
    if not isinstance(told.get("id"), str):
        raise SlackError("Slack told of a person without an id.")
    profile = told.get("profile") or {}
    email = profile.get("email") if told.get("is_email_confirmed") is True else None
    return Person(
        team=team,
        id=told["id"],
        name=profile.get("display_name") or profile.get("real_name") or told.get("name", ""),
        email=email.strip().casefold() if isinstance(email, str) and "@" in email else None,
        standing=_standing(told, team=team),
        admin=bool(told.get("is_admin") or told.get("is_owner")),
        language=str(told.get("locale") or "").partition("-")[0].lower(),
    )


def _standing(told: Mapping[str, Any], *, team: str) -> Standing:
    if told.get("deleted"):
        return "gone"
    if told.get("is_bot") or told["id"] == "USLACKBOT":
        return "bot"
    enterprise = told.get("enterprise_user") or {}
    elsewhere = told.get("team_id", team) != team and team not in enterprise.get("teams", ())
    if told.get("is_stranger") or elsewhere:
        return "external"
    if told.get("is_restricted") or told.get("is_ultra_restricted"):
        return "guest"
    return "member"
