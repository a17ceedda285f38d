"""The Slack door, whole: book, workspace, rights, reception and desk, opened around a house."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from api.house import House, Part
from api.settings import ApiSettings
from api.slack.app import SlackApp
from api.slack.book import SqliteBook
from api.slack.branch import Branch
from api.slack.desk import Desk, branches_of
from api.slack.directory import FileDirectory
from api.slack.errors import SlackError
from api.slack.names import BOOK, DIRECTORY
from api.slack.people import People
from api.slack.reception import Reception
from api.slack.rights import Gate
from api.slack.settings import SlackSettings
from api.slack.web import Workspace, open_workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackDoor:
    """The open door."""

    app: SlackApp
    book: SqliteBook
    directory: FileDirectory
    branches: Mapping[str, Branch]

    async def tell(self) -> Part:
        """Say how the door is, for `/readyz`."""
        if not await self.app.connected():
            return Part(
                name="slack", ok=False, detail="the socket to Slack is down; it connects again by itself"
            )
        try:
            waiting = await self.book.open_errands()
        except sqlite3.Error as error:
            return Part(name="slack", ok=False, detail=f"the book of questions cannot be read: {error}")
        fault = f"; {self.directory.fault}" if self.directory.fault else ""
        return Part(name="slack", ok=True, detail=f"{waiting} questions open{fault}")


@asynccontextmanager
async def open_slack(house: House, *, api: ApiSettings, settings: SlackSettings) -> AsyncGenerator[SlackDoor]:
    """Open the door and work until it is left. Raises SlackError, PolicyError (of `slack.yaml`)."""
    if settings.bot_token is None:
        raise SlackError("PAGEWARDEN_SLACK_BOT_TOKEN is not set: see docs/slack.md.")
    directory = FileDirectory(api.home / DIRECTORY)
    book = SqliteBook.open(api.home / BOOK)
    try:
        async with open_workspace(settings, token=settings.bot_token.get_secret_value()) as workspace:
            branch = branch_of(
                workspace, house=house, api=api, settings=settings, directory=directory, book=book
            )
            held = {workspace.team: branch}
            desk = Desk(book, branches_of(held), settings=settings)
            reception = Reception(book, branches_of(held), wake=desk.wake)
            app = SlackApp(reception, branches_of(held), book, settings=settings)
            async with anyio.create_task_group() as group, app.socket():
                group.start_soon(desk.run)
                yield SlackDoor(app=app, book=book, directory=directory, branches=held)
                group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await book.close()


def branch_of(
    workspace: Workspace,
    *,
    house: House,
    api: ApiSettings,
    settings: SlackSettings,
    directory: FileDirectory,
    book: SqliteBook,
) -> Branch:
    """Bring together what answers one workspace."""
    people = People(workspace)

    async def collections() -> tuple[str, ...]:
        return (api.collection, *await house.shelf.collections(tenant=api.tenant))

    gate = Gate(
        people=people, directory=directory, tenant=api.tenant, collections=collections,
        whole_workspace=lambda: directory.public == "workspace", max_audience=settings.max_audience,
    )  # fmt: skip
    return Branch(
        workspace=workspace, people=people, gate=gate, book=book, house=house, directory=directory,
        settings=settings, api=api,
    )  # fmt: skip
