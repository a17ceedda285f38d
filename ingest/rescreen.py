"""The shelf judged again, where policy or model are not those that its documents were judged by.

What lies on the shelf is judged as it lies there. Only where the outcome could be another one (a passage is
stopped now, one was withheld then, a page hides text that only the file tells) is the document added again
from its kept file, which is the one way on and off the shelf. What fails stays behind and is tried again.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from ingest.errors import IngestError, LibraryError
from ingest.index import Index
from ingest.pipeline import Pipeline, Screen, original
from ingest.records import Document, Scope, without_readers
from ingest.registry import Registry
from ingest.screenings import Screening, Screenings

log = logging.getLogger(__name__)
#: A rail's time is per call.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescreened:
    """What became of the documents that were behind."""

    #: Judged again and left as they are.
    passed: int = 0
    #: Added again, with other passages than before or the same.
    added: int = 0
    quarantined: int = 0
    #: Still behind: the next run tries again.
    failed: int = 0


class Rescreening:
    """Brings the verdicts of one library up to date."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        registry: Registry,
        index: Index,
        screen: Screen,
        screenings: Screenings,
        files: Path,
    ) -> None:
        self._pipeline, self._registry, self._index = pipeline, registry, index
        self._screen, self._screenings, self._files = screen, screenings, files

    async def behind(self) -> list[Document]:
        """Return the documents that another policy or model judged, or nobody knows which."""
        documents = await self._registry.everything()
        await self._screenings.keep_only([document.id for document in documents])
        held = await self._screenings.stamps()
        # Once a collection: a stamp hashes the rules in force there.
        places = {(one.tenant, one.collection) for one in documents}
        now = {place: self._screenings.stamp(*place) for place in places}
        return [
            one for one in documents if held.get(one.id) != (one.revision, now[one.tenant, one.collection])
        ]

    async def run(
        self,
        *,
        on_document: Callable[[Document, str], object] = lambda document, became: None,
    ) -> Rescreened:
        """Judge everything that is behind; what fails is logged and left for the next run."""
        counts = dict.fromkeys(Rescreened.__dataclass_fields__, 0)
        for document in await self.behind():
            try:
                became = await self._one(document)
            except IngestError as error:
                log.warning("document %s is not judged again yet: %s", document.id, error.code)
                became = "failed"
            counts[became] += 1
            on_document(document, became)
        return Rescreened(**counts)

    async def _one(self, document: Document) -> str:
        stamp, before = self._stamp(document), await self._screenings.of(document.id)
        flags = await self._flags(document)
        # What was withheld under the same rules as now need not be read again for it.
        same = before is not None and (before.revision, before.stamp) == (document.revision, stamp)
        if (flags & {"withheld", "hidden_text"} and not same) or await self._stopped(document):
            return await self._again(document)
        await self._screenings.keep(
            Screening(
                document_id=document.id,
                revision=document.revision,
                stamp=stamp,
                passages=document.chunks,
            )
        )
        return "passed"

    async def _flags(self, document: Document) -> set[str]:
        scope = Scope(tenant=document.tenant, collections=(document.collection,), groups=document.groups)
        return {flag for page in await self._registry.pages(document.id, scope=scope) for flag in page.flags}

    async def _stopped(self, document: Document) -> bool:
        """Say whether a rail stops anything of it that lies on the shelf."""
        chunks = await self._index.chunks(document_id=document.id, revision=document.revision)
        headings = dict.fromkeys(chunk.heading for chunk in chunks if chunk.heading)
        return await self._any([document.name, *headings, *(chunk.text for chunk in chunks)], document)

    async def _any(self, texts: Sequence[str], document: Document) -> bool:
        for at in range(0, len(texts), _AT_ONCE):
            codes = await self._screen.screen(
                texts[at : at + _AT_ONCE], tenant=document.tenant, collection=document.collection
            )
            if any(code is not None for code in codes):
                return True
        return False

    async def _again(self, document: Document) -> str:
        """Add a document from a copy of its kept file, and of what lies beside it."""
        kept = original(self._files, document)
        with tempfile.TemporaryDirectory() as folder:
            try:
                for path in await anyio.to_thread.run_sync(lambda: list(kept.parent.glob(f"{kept.stem}*"))):
                    await anyio.to_thread.run_sync(shutil.copy, path, folder)
            except OSError as error:
                raise LibraryError(f"Its kept file cannot be read: {error.strerror}.") from error
            await self._registry.outdate(document.id)
            outcome = await self._pipeline.add(
                Path(folder) / kept.name,
                name=without_readers(document.source_key),
                key=document.source_key,
                tenant=document.tenant,
                collection=document.collection,
                groups=document.groups,
            )
        if outcome.outcome == "quarantined":
            return "quarantined"
        return "failed" if outcome.outcome == "failed" else "added"

    def _stamp(self, document: Document) -> str:
        return self._screenings.stamp(document.tenant, document.collection)
