"""From a person and a place to scopes: what the asker may read, and what everyone there may read.

Both are worked out anew for every question and every button; nothing that a message or a button says takes
part.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from api.slack.directory import ALL, NOTHING, Directory, Rights
from api.slack.people import People
from api.slack.records import Person, Place
from ingest.records import Scope

#: Collections of what people dropped into conversations: no right names them, a conversation has its own.
_DROPPED = "slack."


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Who asks, and the two scopes that follow."""

    asker: Person
    #: What the asker may read, here: with what was dropped into this conversation.
    own: Scope
    #: What everyone may read who can read this place.
    shared: Scope

    @property
    def differs(self) -> bool:
        """Whether the asker may read more than everyone here."""
        return self.own != self.shared


class Gate:
    """Works out who may read what in one workspace."""

    def __init__(
        self,
        *,
        people: People,
        directory: Directory,
        tenant: str,
        collections: Callable[[], Awaitable[tuple[str, ...]]],
        whole_workspace: Callable[[], bool] = lambda: True,
        max_audience: int = 500,
    ) -> None:
        self._people, self._directory, self._tenant = people, directory, tenant
        self._collections, self._whole_workspace = collections, whole_workspace
        self._max_audience = max_audience

    async def readers(self, user: str, place: Place, *, only: tuple[str, ...] = ()) -> Readers | None:
        """Return who reads, within the collections `only` (() for all); None: the asker is not known.

        Raises SlackError: an audience that cannot be told is nobody's to guess.
        """
        asker = await self._people.person(user)
        own = await self._directory.rights(asker)
        if own is None:
            return None
        shared = own if place.kind == "dm" else own & await self._audience(place)
        return Readers(
            asker=asker,
            own=await self._scope(own, place, only=only),
            shared=await self._scope(shared, place, only=only),
        )

    async def own(self, user: str, *, place: Place | None = None) -> Scope | None:
        """Return what somebody may read; None: not known. Raises SlackError."""
        rights = await self._directory.rights(await self._people.person(user))
        if rights is None:
            return None
        here = place or Place(team="", channel="", kind="dm")
        return await self._scope(rights, here, only=())

    async def everyone(self, place: Place, *, only: tuple[str, ...] = ()) -> Scope:
        """Return what everyone may read who can read a place. Raises SlackError."""
        return await self._scope(await self._audience(place), place, only=only)

    async def _audience(self, place: Place) -> Rights:
        members = await self._people.members(place.channel, most=self._max_audience)
        if members is None:
            return await self._directory.least(outsiders=True)
        # What Slack says now counts, not what the event said: a channel can be made public.
        kind, outsiders = await self._people.reach(place.channel)
        found: Rights | None = None
        if kind == "public" and self._whole_workspace():
            found = await self._directory.least(outsiders=outsiders)
        for person in members:
            if person.standing in ("bot", "gone"):
                continue
            rights = await self._directory.rights(person) or NOTHING
            found = rights if found is None else found & rights
        return NOTHING if found is None else found

    async def _scope(self, rights: Rights, place: Place, *, only: tuple[str, ...]) -> Scope:
        collections = {one for one in rights.collections if one != ALL}
        if ALL in rights.collections:
            collections |= set(await self._collections())
        collections = {one for one in collections if not one.startswith(_DROPPED)}
        if only and ALL not in only:
            collections &= set(only)
        if place.thread:
            collections.add(dropped_into(place))
        return Scope(
            tenant=self._tenant, collections=tuple(sorted(collections)), groups=tuple(sorted(rights.groups))
        )


def dropped_into(place: Place) -> str:
    """Name the collection of what was dropped into a conversation: its readers can see the files anyway."""
    parts = (place.team, place.channel, place.thread)
    return _DROPPED + ".".join(re.sub(r"[^a-z0-9]", "-", part.lower()) for part in parts)
