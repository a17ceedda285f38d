"""The desk: takes errands out of the book, sees each to its end, and leaves none without a word.

An errand is held on a lease. Whoever dies loses it, and the next desk goes on with the same message; whoever
finds out that it lost a lease touches nothing any more.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import anyio

from api.errors import alone, problem_of
from api.slack.asking import Asking, Course, apology, stopped
from api.slack.blocks import Letter
from api.slack.book import SqliteBook
from api.slack.branch import Branch
from api.slack.buttons import Buttons
from api.slack.errors import LeaseLost, SlackError
from api.slack.records import Asked, Errand, Pressed, Told, Wish
from api.slack.settings import SlackSettings
from api.slack.telling import Live, whisper

logger = logging.getLogger(__name__)

#: Between two looks into the book when nothing arrives here: another process may have left something.
_IDLE_S = 0.5
_SWEEP_S = 3600.0
#: Before the book is tried again that could not be written.
_FAULT_S = 1.0
#: Further tries where Slack itself does not answer: an hour or so.
_PATIENCE = 60
Branches = Callable[[str], Awaitable[Branch]]


class Desk:
    """Does what the book holds, several errands at a time."""

    def __init__(self, book: SqliteBook, branches: Branches, *, settings: SlackSettings) -> None:
        self._book, self._branches, self._settings = book, branches, settings
        self._owner = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._news = anyio.Event()

    def wake(self) -> None:
        """Say that something arrived."""
        self._news.set()
        self._news = anyio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as group:
            for _ in range(self._settings.at_once):
                group.start_soon(self._work)
            while True:
                await self._despite_faults(lambda: self._book.sweep(keep_days=self._settings.keep_days))
                await anyio.sleep(_SWEEP_S)

    async def _work(self) -> None:
        while True:
            await self._despite_faults(self._next)

    async def _despite_faults(self, act: Callable[[], Awaitable[None]]) -> None:
        # A full disk is no reason to end: what was claimed is claimed again when its lease has run out.
        try:
            await act()
        except sqlite3.Error:
            logger.exception("the book of questions cannot be written")
            await anyio.sleep(_FAULT_S)

    async def _next(self) -> None:
        news = self._news
        errand = await self._book.claim(
            self._owner, lease_s=self._settings.lease_s, per_workspace=self._settings.per_workspace
        )
        if errand is None:
            with anyio.move_on_after(_IDLE_S):
                await news.wait()
            return
        await self._see_to(errand)
        self.wake()

    async def _see_to(self, errand: Errand) -> None:
        course = Course(errand=errand)
        try:
            branch = await self._branches(errand.team)
            if isinstance(errand.what, Pressed):
                await Buttons(branch).do(errand.what)
                await self._book.settle(replace(errand, state="done"), self._owner)
                return
            await self._question(branch, errand, errand.what, course)
        except LeaseLost:
            logger.info("errand %s was taken over", errand.key)
        except anyio.get_cancelled_exc_class():
            # We are asked to end: whoever comes next goes on at once, with the same message.
            with anyio.CancelScope(shield=True):
                await self._book.release(errand.key, self._owner, count=False)
            raise
        except Exception as error:
            await self._failed(errand, course, alone(error))

    async def _question(self, branch: Branch, errand: Errand, asked: Asked, course: Course) -> None:
        if errand.wish == "withdraw":
            await self._withdraw(branch, errand, asked)
            return
        if errand.attempts > self._settings.attempts:
            await self._sorry(branch, course, "")
            return
        asking = Asking(branch, on_posted=self._placed)
        wish: Wish | str = errand.wish
        if wish != "stop":
            wish = await self._attended(errand, lambda: asking.answer(course))
        match wish:
            case "withdraw":
                await self._withdraw(branch, await self._fresh(errand), asked)
            case "again":
                await self._book.release(errand.key, self._owner, count=False)
            case "stop":
                await self._close(branch, course, *stopped(course.live, course.dress))
            case "late":
                await self._sorry(branch, course, "")
            case _ if course.put_back:
                await self._book.release(errand.key, self._owner, count=False)
            case _:
                await self._settle(course)
                for then in course.afterwards:
                    await then()

    async def _attended(self, errand: Errand, work: Callable[[], Awaitable[None]]) -> Wish | str:
        """Work while holding the lease; return what cut it short: a wish, "late", or "". Raises LeaseLost."""
        cut = ""
        lost = False

        async def hold(scope: anyio.CancelScope) -> None:
            nonlocal cut, lost
            while True:
                await anyio.sleep(min(1.0, self._settings.lease_s / 4))
                try:
                    cut = await self._book.renew(errand.key, self._owner, lease_s=self._settings.lease_s)
                except LeaseLost:
                    lost = True
                if cut or lost:
                    scope.cancel()
                    return

        async with anyio.create_task_group() as group:
            group.start_soon(hold, group.cancel_scope)
            with anyio.move_on_after(self._settings.answer_s) as time:
                await work()
            if time.cancelled_caught:
                cut = "late"
            group.cancel_scope.cancel()
        if lost:
            raise LeaseLost("Another process has taken this question over.")
        return cut

    async def _placed(self, key: str, ts: str) -> None:
        with anyio.CancelScope(shield=True):
            await self._book.place(key, self._owner, ts)

    async def _fresh(self, errand: Errand) -> Errand:
        return await self._book.errand(errand.key) or errand

    async def _settle(self, course: Course) -> None:
        errand = course.errand
        posted = course.live.posted if course.live else errand.posted
        done = replace(errand, state="done", told=course.told, posted=posted)
        with anyio.CancelScope(shield=True):
            await self._book.settle(done, self._owner)
        course.settled = True

    async def _withdraw(self, branch: Branch, errand: Errand, asked: Asked) -> None:
        live = self._live(branch, asked, Course(errand=errand))
        await live.remove()
        await self._book.settle(replace(errand, state="withdrawn", told=None, posted=""), self._owner)

    async def _close(self, branch: Branch, course: Course, told: Told, letter: Letter) -> None:
        asked = course.errand.what
        assert isinstance(asked, Asked)
        course.told = told
        if asked.private:
            await whisper(branch.workspace, asked, letter)
        elif not asked.unasked or (course.live and course.live.posted):
            course.live = course.live or self._live(branch, asked, course)
            await course.live.close(letter)
        await self._settle(course)

    async def _sorry(self, branch: Branch, course: Course, why: str) -> None:
        await self._close(branch, course, *apology(why, course.dress))

    def _live(self, branch: Branch, asked: Asked, course: Course) -> Live:
        return Live(
            branch.workspace, asked, key=course.errand.key, dress=course.dress,
            pace_s=self._settings.pace_s, stream=False, posted=course.errand.posted, on_posted=self._placed,
        )  # fmt: skip

    async def _failed(self, errand: Errand, course: Course, error: BaseException) -> None:
        """Try again later, or close the errand with an apology."""
        problem = problem_of(error)
        if problem.code == "internal":
            logger.error("errand %s failed", errand.key, exc_info=error)
        else:
            logger.warning("errand %s failed: %s", errand.key, problem.detail)
        if course.settled:
            return
        most = self._settings.attempts + (_PATIENCE if isinstance(error, SlackError) else 0)
        try:
            if getattr(error, "retryable", False) and errand.attempts < most:
                await self._book.release(errand.key, self._owner, after_s=min(60.0, 2.0**errand.attempts))
            elif isinstance(errand.what, Pressed) or isinstance(error, SlackError):
                # Slack will not have it: the channel is gone, or we were taken out of it.
                await self._book.settle(replace(errand, state="done"), self._owner)
            else:
                await self._sorry(await self._branches(errand.team), course, problem.detail)
        except LeaseLost:
            return
        except SlackError as worse:
            await self._failed(replace(errand, attempts=max(errand.attempts, 1)), course, worse)


def branches_of(held: Mapping[str, Branch]) -> Branches:
    """Return a finder of workspaces among those given."""

    async def find(team: str) -> Branch:
        if team not in held:
            raise SlackError(f"The workspace {team} has not installed us.", word="not_installed")
        return held[team]

    return find
