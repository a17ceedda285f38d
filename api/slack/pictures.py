"""Cited regions as pictures, drawn for whoever shall see them: what a scope does not allow is not drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from api.slack.plain import bare
from api.slack.records import Cited
from api.slack.web import Picture
from api.slack.words import say
from ingest.errors import NoPageImage
from ingest.records import Box, Framing, Scope

if TYPE_CHECKING:
    from agent.run import Agent


async def pictures_of(
    agent: Agent, cited: Sequence[Cited], *, scope: Scope | None, channel: str, language: str
) -> list[Picture]:
    """Return a picture of each cited region that `scope` may see; none for who is not known."""
    if scope is None:
        return []
    drawn = [await _picture(agent, one, scope=scope, channel=channel, language=language) for one in cited]
    return [picture for picture in drawn if picture is not None]


async def _picture(
    agent: Agent, cited: Cited, *, scope: Scope, channel: str, language: str
) -> Picture | None:
    marks = [Box(x0=x0, y0=y0, x1=x1, y1=y1) for x0, y0, x1, y1 in cited.boxes]
    framing = Framing(size="large", form="png", cut="marks" if marks else "page")
    try:
        image = await agent.page(
            cited.document_id, cited.page_no, scope=scope, marks=marks, framing=framing, channel=channel
        )
    except NoPageImage:
        return None
    if image is None:
        return None
    place = say("page", language, n=cited.page_no)
    return Picture(
        content=image, name=f"evidence-{cited.n}.png", title=f"[{cited.n}] {bare(cited.name)}, {place}"
    )
