"""The vision model as a page reader: which pages it reads, and what becomes of each.

Pages are drawn in reading children ahead of the requests, at most twice as many as the model reads at once.
While the model reads, OCR reads the same page where it has no text layer: its words are where the boxes come
from, and its page stands where the model fails. One bad page costs that page, with the reason; a server that
is down costs only time.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

import anyio

from ingest import views
from ingest.child import Draft
from ingest.errors import IngestError, ModelDown, ModelReply, ReplyCut, Unreadable
from ingest.outage import Outage
from ingest.placing import Placed, Sight
from ingest.settings import IngestSettings
from ingest.structure import Rect
from ingest.transcribe import Piece
from ingest.views import Shown

_log = logging.getLogger(__name__)
#: A transcript of which less than this stands on the page is of another page.
_LEAST_FOUND = 0.5

T = TypeVar("T")
OnWait = Callable[[bool], None]


class PageModel(Protocol):
    """Reads one page image."""

    name: str
    #: Whether it is shown every page on the largest raster.
    fine: bool

    async def transcribe(self, png: bytes) -> list[Piece]:
        """Return the blocks of a page in reading order; raises ModelDown, ModelReply, ReplyCut."""
        ...

    async def answers(self) -> None:
        """Ask something cheap; raises ModelDown where nobody is there."""
        ...


class InChild(Protocol):
    """Runs a call in a reading child; raises Unreadable where the child dies or runs out of time."""

    async def __call__(self, call: Callable[[], T], /) -> T: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What reading one page needs from whoever reads the file."""

    in_child: InChild
    #: Draws the page, finely or as the model's tiles want it; called in a child.
    show: Callable[[bool], Shown]
    #: Reads it without the model.
    otherwise: Callable[[], Awaitable[Draft]]
    on_wait: OnWait


class Eyes:
    """A vision model reading pages, many at once."""

    def __init__(self, model: PageModel, settings: IngestSettings, *, outage: Outage | None = None) -> None:
        self.name = model.name
        self._model = model
        self._settings = settings
        self._outage = outage or Outage(model.answers, wait_s=settings.model_wait_s)
        self._slots = anyio.Semaphore(settings.eyes_slots)
        self._ahead = anyio.Semaphore(2 * settings.eyes_slots)

    @property
    def version(self) -> str:
        """Name how pages are read, for the ids of what is made of them."""
        return f"{self.name}-{self._settings.eyes}"

    def why(self, raw: Draft) -> str | None:
        """Say why the model should read a page; None: it need not."""
        if raw.lost:
            return None
        if self._settings.eyes == "all":
            return "The model reads every page."
        return why_eyes(raw) if self._settings.eyes == "auto" else None

    async def read(self, raw: Draft, desk: Desk) -> Draft:
        """Read a page with the model, or without it where the model fails, and say which and why.

        Raises ModelDown where the server stays down longer than the settings wait.
        """
        async with self._ahead:
            try:
                shown = await desk.in_child(partial(desk.show, self._model.fine))
            except IngestError as error:
                return self._without(await desk.otherwise(), error)
            first: list[Draft] = []

            async def look() -> None:
                first.append(await desk.otherwise())

            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(look)
                    said = await self._said(shown.png, desk)
            except* ModelDown as errors:
                raise _one(errors) from None
        if isinstance(said, ModelReply):
            return self._without(first[0], said)
        return await self._placed(raw, first[0], shown, said, desk)

    async def _said(self, png: bytes, desk: Desk) -> list[Piece] | ModelReply:
        """Ask for the page; where the reply is too long, for its halves, once. Both or none."""
        try:
            return await self._ask(png, desk)
        except ReplyCut:
            pass
        except ModelReply as error:
            return error
        try:
            upper, lower = await desk.in_child(partial(views.halves, png, self._settings))
            return [*await self._ask(upper, desk), *await self._ask(lower, desk)]
        except ModelReply as error:
            return error
        except Unreadable as error:
            return ModelReply(error.detail)

    async def _ask(self, png: bytes, desk: Desk) -> list[Piece]:
        async def once() -> list[Piece]:
            async with self._slots:
                return await self._model.transcribe(png)

        return await self._outage.through(once, on_wait=desk.on_wait)

    async def _placed(
        self, raw: Draft, otherwise: Draft, shown: Shown, said: list[Piece], desk: Desk
    ) -> Draft:
        by_ocr = bool(otherwise.words) and not raw.known and not raw.pictures
        sight = Sight(
            width_pt=raw.width_pt,
            height_pt=raw.height_pt,
            words=otherwise.words or shown.words,
            figures=_apart([*shown.figures, *otherwise.figures]),
            by_ocr=by_ocr,
        )
        if raw.known is not None and not sight.words:
            # Eyes were wanted and OCR found no word: the page is one picture.
            sight = replace(sight, figures=(Rect(0, 0, raw.width_pt, raw.height_pt),))
        try:
            placed = await desk.in_child(partial(views.place_on, said, sight, self._settings))
        except Unreadable as error:
            return self._without(otherwise, error)
        if placed.found is not None and placed.found < _LEAST_FOUND and sight.words:
            share = f"only {placed.found:.0%} of its words stand on the page"
            return self._without(otherwise, ModelReply(f"Its transcript is of something else: {share}."))
        if otherwise.blocks and not said:
            return self._without(otherwise, ModelReply("It saw nothing there."))
        reason = f"{raw.reason} {self.why(raw) or ''} {self.name} read it: {_agreement(placed)}"
        return replace(
            otherwise,
            blocks=placed.blocks,
            read_by="vision-model",
            reason=" ".join(reason.split()),
            known=None,
            pictures=(),
            words=(),
            figures=(),
        )

    def _without(self, draft: Draft, error: IngestError) -> Draft:
        """Keep what was read without the model, and say so."""
        _log.warning("page %s was not read by %s: %s", draft.no, self.name, error.code)
        reason = f"{draft.reason} {self.name} could not read it, so it was read without: {error.detail}"
        return replace(draft, reason=reason, words=(), figures=())


class Waiting:
    """Tells when the first page of a file begins to wait for the model, and when the last one ends to."""

    def __init__(self, tell: OnWait | None) -> None:
        self._tell = tell or _tell_nobody
        self._count = 0

    def __call__(self, begins: bool) -> None:
        self._count += 1 if begins else -1
        if self._count == int(begins):
            self._tell(begins)


def _tell_nobody(waits: bool) -> None:
    """Nobody asked."""


def why_eyes(raw: Draft) -> str | None:
    """Say what of a page its text layer cannot tell; None: it tells all."""
    if raw.known is not None and not raw.pictures:
        return "It wants eyes."
    if raw.pictures:
        return "It has pictures."
    kinds = [block.element.kind for block in raw.blocks]
    if any(
        block.element.kind == "caption" and block.element.text.lower().startswith(("fig", "chart", "exhibit"))
        for block in raw.blocks
    ):
        return "It has a figure."
    if "table" in kinds and any(_is_intricate(block.element.html or "") for block in raw.blocks):
        return "It has a table with spanning cells."
    return None


def _is_intricate(html: str) -> bool:
    return "rowspan=" in html or "colspan=" in html


def _agreement(placed: Placed) -> str:
    """Say how well the model and the parser agree."""
    found = "it wrote no words" if placed.found is None else f"{placed.found:.0%} of its words stand there"
    left = f", {placed.left_out} of its blocks do not and were left out" if placed.left_out else ""
    return f"{found}, it named {placed.named:.0%} of the page's words{left}."


def _apart(rects: list[Rect]) -> tuple[Rect, ...]:
    """Drop regions that lie mostly in one already there: the file's picture and the layout's are one."""
    kept: list[Rect] = []
    for rect in rects:
        area = max(1e-6, (rect.x1 - rect.x0) * (rect.y1 - rect.y0))
        if all(_shared(rect, other) < 0.5 * area for other in kept):
            kept.append(rect)
    return tuple(kept)


def _shared(a: Rect, b: Rect) -> float:
    wide, tall = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    return max(0.0, wide) * max(0.0, tall)


def _one(errors: BaseExceptionGroup[ModelDown]) -> ModelDown:
    error = errors.exceptions[0]
    return _one(error) if isinstance(error, BaseExceptionGroup) else error
