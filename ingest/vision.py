"""Eyes: read a page image into elements, or look at pages to answer one question about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ingest.records import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A page image (or a crop of it) to be looked at."""

    #: PNG bytes.
    png: bytes
    #: What is already known to stand there, so that a reader of words need not read it twice.
    text: str
    #: The crop, in [0, 1] of the page; None is the whole page.
    box: Box | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What looking said. `cannot_see` is an honest no: this reader has no eyes for what was asked."""

    outcome: Literal["found", "nothing", "cannot_see"]
    text: str = ""


class VisionModel(Protocol):
    """Looks at page images. The name is told to the caller: "ocr-layout" or the served model's id."""

    name: str

    async def look(self, views: Sequence[View], *, question: str) -> list[Finding]:
        """Say for each view what it shows that helps to answer `question`, in the order given."""
        ...
