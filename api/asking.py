"""A question on its way through a door: limits before it, the answer told as it is released, use noted after.

Chat, Responses and MCP ask through here and only differ in how they write down what they hear.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio
from fastapi import Request

from agent.records import Answer, Event, Question, Released
from api.answers import Cut, Links, Telling
from api.auth import Doorkeeper, Identity
from api.errors import NotFound
from api.limits import Limits, Slot, tokens_of
from api.passes import sealer
from api.settings import ApiSettings
from api.sse import Watch
from ingest.records import Scope

if TYPE_CHECKING:
    from agent.run import Agent

logger = logging.getLogger(__name__)

#: What the house is called as a model; "pagewarden/COLLECTION" is one collection alone.
MODEL = "pagewarden"


def scope_of(model: str, scope: Scope) -> Scope:
    """Return what a model's name stands for. Raises NotFound, the same for absent and not allowed."""
    name, _, collection = model.partition("/")
    if name == MODEL and not collection and model == name:
        return scope
    if name != MODEL or collection not in scope.collections:
        raise NotFound("There is no such model here; `/v1/models` lists them.", param="model")
    return replace(scope, collections=(collection,))


@dataclass(slots=True, kw_only=True)
class Asking:
    """One question being answered."""

    agent: Agent
    limits: Limits
    who: Identity
    question: Question
    telling: Telling
    slot: Slot
    #: As asked: the question and what was said before it.
    prompt_tokens: int
    request_id: str = ""
    answer: Answer | None = field(default=None, init=False)

    async def events(self) -> AsyncGenerator[tuple[Event, str], None]:
        """Yield each event with the text to send for it; the use is noted however it ends."""
        try:
            async with aclosing(self.agent.ask(self.question)) as events:
                async for event in events:
                    piece = ""
                    if isinstance(event, Released):
                        piece = self.telling.add(event)
                    elif isinstance(event, Answer):
                        piece = self.telling.finish(event)
                        self.answer = self.telling.told_of(event)
                    yield event, piece
        finally:
            self._log()
            with anyio.CancelScope(shield=True):
                await self.limits.answered(
                    self.who, prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens
                )

    async def whole(self) -> Answer:
        """Wait for the answer and give the place back."""
        try:
            async with aclosing(self.events()) as events:
                async for _ in events:
                    pass
        finally:
            self.slot.release()
        assert self.answer is not None, "the agent ends with exactly one answer"
        return self.answer

    def _log(self) -> None:
        """Name the answer beside its request; who hung up got none."""
        answer = self.answer
        told: dict[str, object] = {"request_id": self.request_id, "who": self.who.id}
        if answer is not None:
            told |= {"trace_id": answer.trace_id, "kind": answer.kind, "reason": answer.reason}
            told |= {"sentences": len(answer.sentences), "dropped": answer.dropped}
        logger.info("answered" if answer is not None else "not answered", extra=told)

    @property
    def completion_tokens(self) -> int:
        """Tokens told so far."""
        return tokens_of(self.telling.text)


async def begin(
    request: Request, who: Identity, question: Question, *, cut: Cut, markdown: bool, user: str | None
) -> Asking:
    """Let a question in. Raises RateLimited, Busy; afterwards the slot is the caller's to release."""
    limits: Limits = request.app.state.limits
    links = await links_of(request, who)
    texts = [turn.text for turn in question.history]
    return Asking(
        agent=request.app.state.house.agent,
        limits=limits,
        who=who,
        question=question,
        telling=Telling(links, cut=cut, markdown=markdown),
        prompt_tokens=tokens_of(question.text, *texts),
        request_id=getattr(request.state, "request_id", ""),
        slot=await limits.question(who, user=user),
    )


async def links_of(request: Request, who: Identity) -> Links:
    """Return what mints links for a caller: with passes, unless this machine needs no key."""
    settings: ApiSettings = request.app.state.settings
    base = settings.public_url or str(request.base_url)
    return await links_for(request.app.state.doorkeeper, who, base=base, lasts_s=settings.page_link_s)


async def links_for(door: Doorkeeper, who: Identity, *, base: str, lasts_s: float) -> Links:
    """Return what mints links below `base` for a caller."""
    if who.id == "owner" and door.keyless:
        return Links(base=base)
    return Links(base=base, seal=await sealer(door, who, lasts_s=lasts_s))


def watch_over(request: Request, who: Identity) -> Watch:
    """Return the watch over a caller's open stream."""
    door: Doorkeeper = request.app.state.doorkeeper
    settings: ApiSettings = request.app.state.settings
    return Watch(still=lambda: door.still(who), every_s=settings.recheck_s)
