"""What one workspace brings together: its API, its people, who may read what, how channels want answers."""

from __future__ import annotations

from dataclasses import dataclass, fields

from api.house import House
from api.settings import ApiSettings
from api.slack.blocks import Dress
from api.slack.book import SqliteBook
from api.slack.directory import FileDirectory
from api.slack.people import People
from api.slack.records import Asked, ChannelWishes, Cited, Told
from api.slack.rights import Gate
from api.slack.settings import SlackSettings
from api.slack.web import Workspace
from ingest.records import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One workspace, ready to be answered."""

    workspace: Workspace
    people: People
    gate: Gate
    book: SqliteBook
    house: House
    directory: FileDirectory
    settings: SlackSettings
    api: ApiSettings

    async def wishes(self, channel: str) -> ChannelWishes:
        """Return how a channel wants answers: collections as the file and `/pagewarden` both allow."""
        filed = self.directory.channel(channel)
        said = await self.book.wishes(self.workspace.team, channel)
        chosen = {
            one.name: value
            if (value := getattr(said, one.name)) not in (None, ())
            else getattr(filed, one.name)
            for one in fields(ChannelWishes)
        }
        if filed.collections and "*" not in filed.collections and said.collections:
            both = tuple(one for one in said.collections if one in filed.collections)
            # Nothing in common is nothing, never all.
            chosen["collections"] = both or ("slack.none",)
        return ChannelWishes(**chosen)

    def dress(self, asked: Asked, *, wishes: ChannelWishes, language: str = "") -> Dress:
        """Return how an answer is shown."""
        return Dress(
            language=wishes.language or language or "en",
            base=self.api.public_url,
            fold_chars=self.settings.fold_chars,
            brief=wishes.tone == "brief",
            private=asked.private,
        )

    async def may_read(self, told: Told | None, *, scope: Scope) -> bool:
        """Say whether all that an answer stands on may be read with this scope, now."""
        if told is None:
            return False
        documents = {one.document_id for one in (*told.citations, *told.nearest)}
        for document in documents:
            if await self.house.shelf.document(document, scope=scope) is None:
                return False
        return True


def channel_of(asked: Asked) -> str:
    """Name the door as policies know it; only Slack's own ids take part."""
    return f"slack:{asked.channel}"


def same_place(one: Cited, other: Cited) -> bool:
    """Say whether two citations point at the same place of a page."""
    return (one.document_id, one.page_no, one.boxes) == (other.document_id, other.page_no, other.boxes)
