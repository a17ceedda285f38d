"""How a file comes onto the shelf: read → chunk → embed → screen → shelve | quarantine, and off it again.

A document becomes visible by one row (`registry.commit`), written last. Until then its points belong to a
revision that nobody may see; whatever happens on the way, `_clear` leaves only what is live, and what a kill
interrupts is cleared by `recover` at the next start. What was read and embedded stays in a checkpoint until
the document is settled. An update that fails or is quarantined leaves the version before it on the shelf.
Whoever adds holds a fence, and who lost it to a later one writes nothing more.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, Protocol
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from ingest.checkpoints import Checkpoint, Checkpoints
from ingest.chunk import chunk_pages, indexed_text
from ingest.errors import Damaged, Fenced, IngestError, InputError, LibraryError
from ingest.fair import Turns
from ingest.index import Index, Point
from ingest.packed import Packed, Room
from ingest.records import Chunk, Document, Outcome, Page, Reading, Scope, document_id, without_readers
from ingest.registry import Quarantined, Registry, Shelved, Unsettled
from ingest.scenes import VERSION as FILM
from ingest.screenings import Screening, Screenings
from ingest.settings import IngestSettings
from ingest.sources import CONTAINERS, PDF, Source, open_source
from ingest.subtitles import beside

if TYPE_CHECKING:
    # For types only: it opens ONNX Runtime, which a served profile does without.
    from ingest.embed import Embedder

log = logging.getLogger(__name__)

#: A rail's time is per call: a whole book in one call ran out of it on a busy machine. The classifier takes
#: 25 to 60 ms a chunk (one core, idle and busy), so this many take a fifth of the 5 s that a rail has.
_SCREENED_AT_ONCE = 16
#: Codes that speak of a passage and not of its document: the classifier takes about one honest passage in 300
#: for an order to the assistant, and a book has a thousand. Such a passage is not shelved, its document is.
_PASSAGE_CODES = frozenset({"planted"})
#: Pages named of those from which passages are withheld.
_PLACES_TOLD = 5
Stage = Literal["read", "wait", "embed", "screen", "shelve"]
#: Called with a stage and how much of it is done: pages for "read", else chunks. "wait" says that reading
#: waits for a vision model that is down (0 of 1), or does so no more (1 of 1).
OnProgress = Callable[[Stage, int, int], None]

#: Version of how chunks are cut and named: raise it, and documents added again are cut anew.
_CHUNKER = 1
#: Chunks embedded between two reports of progress; batches are cut inside (see `onnx.py`).
_EMBEDDED_AT_ONCE = 128
_COPIED_AT_ONCE = 1024 * 1024
#: How long scenes of a film that a kill interrupted wait for somebody to add it again, seconds.
_KEPT_FOR_S = 7 * 86_400.0


class PageReader(Protocol):
    """What reads pages (`reading.Reader`)."""

    def version_of(self, source: Source) -> str:
        """Name how this file is read: another version, other chunk ids."""
        ...

    async def read_alone(
        self,
        source: Source,
        *,
        pages_dir: Path,
        on_page: Callable[[int, int], None],
        on_wait: Callable[[bool], None] | None = None,
        kept: Checkpoint | None = None,
    ) -> Reading:
        """Read every page of the file itself that `kept` does not hold yet, and keep it there.

        Images that the file cannot show itself go to `pages_dir`.
        """
        ...

    async def unpack(self, source: Source, *, folder: Path, room: Room, depth: int) -> list[Packed]:
        """Write what is packed in the file into `folder`."""
        ...


class Screen(Protocol):
    """A rail at the door of the library."""

    async def screen(self, texts: Sequence[str], *, tenant: str, collection: str) -> list[str | None]:
        """Say for each text None (fine) or the code of the rail that said no. Raises Unscreened."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What the rails say of a document: a code and its page, or the places of chunks that stay off."""

    code: str | None = None
    page_no: int | None = None
    withheld: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What somebody asked to add, and where."""

    name: str
    tenant: str
    collection: str
    groups: tuple[str, ...]
    tell: OnProgress
    #: What names it at its source: its id is made of it.
    key: str
    #: What may still be unpacked, and how deep the file itself was packed.
    room: Room
    depth: int = 0
    #: The token of the job; None where nobody else can be at the same document.
    fence: int | None = None

    @property
    def document_id(self) -> str:
        return document_id(tenant=self.tenant, collection=self.collection, source_key=self.key)


def original(files: Path, document: Document) -> Path:
    """Return where the file of a live document is kept."""
    return _folder(files, document.id, document.revision) / _original_name(document.name)


def page_pictures(files: Path, document: Document) -> Path:
    """Return the folder with the page images (`<n>.png`) that a live document's file cannot show itself."""
    return _folder(files, document.id, document.revision) / "pages"


class Pipeline:
    """Adds files to one library and removes them."""

    def __init__(
        self,
        *,
        reader: PageReader,
        embedder: Embedder,
        index: Index,
        registry: Registry,
        files: Path,
        screen: Screen,
        settings: IngestSettings,
        screenings: Screenings | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._reader = reader
        self._embedder = embedder
        self._index = index
        self._registry = registry
        self._files = files
        self._screen = screen
        self._screenings = screenings
        self._settings = settings
        self._recipe = f"chunks-{_CHUNKER}-{settings.chunk_tokens}/{embedder.name}"
        self._checkpoints = checkpoints
        self._embedding = Turns(1)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def recover(self) -> int:
        """Clear away what a killed process left half done; return of how many documents.

        For the start of the one process that owns the library: checkpoints stay, for the jobs that go on.
        """
        unsettled = await self._registry.unsettled()
        for one in unsettled:
            fence = await self._registry.begin(one.document_id)
            if await anyio.to_thread.run_sync(_is_worth_keeping, self._files / one.document_id):
                # A film half read: reading it again goes on from there. Its points may go.
                live = await self._registry.shelved(one.document_id)
                revision = live.document.revision if live else None
                await self._index.delete(document_id=one.document_id, keep_revision=revision)
            else:
                await self._clear(one.document_id, fence)
        return len(unsettled)

    async def fence_off(self, document_id: str, *, fence: int) -> None:
        """Let nobody who holds an earlier fence change the document; what they left is swept later."""
        await self._registry.begin(document_id, fence=fence)

    async def leftovers(self) -> list[Unsettled]:
        """Return what was begun and never settled."""
        return await self._registry.unsettled()

    async def sweep(self, document_id: str, *, fence: int) -> None:
        """Clear away what a worker left that was overtaken, given up or cancelled."""
        async with self._turn(document_id):
            unsettled = await self._registry.unsettled()
            kept = await anyio.to_thread.run_sync(_is_worth_keeping, self._files / document_id)
            if not kept and any(one.document_id == document_id for one in unsettled):
                await self._clear(document_id, await self._registry.begin(document_id, fence=fence))
                await self._forget(document_id)

    async def add(
        self,
        path: Path,
        *,
        name: str,
        tenant: str,
        collection: str,
        groups: Sequence[str] = (),
        key: str | None = None,
        on_progress: OnProgress | None = None,
        fence: int | None = None,
    ) -> Outcome:
        """Put the file at `path` on the shelf under `name`, which is its key unless one is given.

        The same key replaces. A file at fault, a rail's no and a model server that is down are outcomes, not
        exceptions; so is that somebody with a later `fence` took the document over.
        """
        order = _Order(
            name=name,
            tenant=tenant,
            collection=collection,
            groups=tuple(sorted(set(groups))),
            tell=on_progress or _tell_nobody,
            key=name if key is None else key,
            room=Room.of(self._settings),
            fence=fence,
        )
        return await self._added(path, order)

    async def _added(self, path: Path, order: _Order) -> Outcome:
        async with self._turn(order.document_id):
            try:
                return await self._add(path, order)
            except IngestError as error:
                log.info("document %s failed: %s", order.document_id, error.code)
                if isinstance(error, InputError):
                    await self._forget(order.document_id)
                return _failed(order, error)

    async def remove(self, document_id: str, *, scope: Scope, fence: int | None = None) -> bool:
        """Take a document off the shelf (or the quarantine list); False: absent or not allowed."""
        async with self._turn(document_id):
            if await self._registry.get(document_id, scope=scope) is None:
                kept_off = await self._registry.quarantined(scope=scope)
                listed = any(row.document_id == document_id for row in kept_off)
                return listed and await self._registry.release(document_id)
            document = await self._registry.get(document_id, scope=scope)
            removed = await self._take_off(document_id, fence)
        if document is not None and document.media_type in CONTAINERS:
            order = _Order(
                name=document.name,
                key=document.source_key,
                tenant=document.tenant,
                collection=document.collection,
                groups=(),
                tell=_tell_nobody,
                room=Room.of(self._settings),
                fence=fence,
            )
            await self._take_off_packed(order, keep=())
        return removed

    async def _take_off(self, document_id: str, fence: int | None) -> bool:
        fence = await self._registry.begin(document_id, fence=fence)
        removed = await self._registry.remove(document_id, fence=fence)
        await self._registry.release(document_id)
        await self._clear(document_id, fence)
        await self._forget(document_id)
        return removed

    async def _take_off_packed(self, order: _Order, *, keep: Sequence[str]) -> None:
        """Take off what was packed in a file and is no longer: all but `keep` and what is packed in those."""
        tenant, collection, source_key = order.tenant, order.collection, order.key
        inside = await self._registry.packed_in(tenant=tenant, collection=collection, source_key=source_key)
        for key, inner in inside.items():
            if not any(key == kept or key.startswith(f"{kept}/") for kept in keep):
                async with self._turn(inner):
                    await self._take_off(inner, order.fence)

    async def _add(self, path: Path, order: _Order) -> Outcome:
        source = await anyio.to_thread.run_sync(
            partial(open_source, path, name=order.name, settings=self._settings)
        )
        before = await self._registry.shelved(order.document_id)
        unchanged = before is not None and self._is_unchanged(before, source, order)
        if before and unchanged and (source.media_type == PDF or source.media_type not in CONTAINERS):
            return _outcome("unchanged", before.document)
        fence = await self._registry.begin(order.document_id, fence=order.fence)
        order = replace(order, fence=fence)
        try:
            # What is packed in it comes first: once its own row is there, nothing of it is missing.
            attachments = await self._add_packed(source, order) if source.media_type in CONTAINERS else ()
            if before and unchanged:
                return _with(_outcome("unchanged", before.document), attachments)
            return _with(await self._shelve(source, order, before), attachments)
        finally:
            with anyio.CancelScope(shield=True):
                await self._clear(order.document_id, fence)

    async def _add_packed(self, source: Source, order: _Order) -> tuple[Outcome, ...]:
        """Add each file that is packed in a file as a document of its own, and take off what is gone.

        Trouble that passes (a model server down) is raised: the whole file is then tried again.
        """
        folder = _folder(self._files, order.document_id, source.revision) / "packed"
        try:
            found = await self._unpacked(source, order, folder)
            outcomes = [await self._add_one(one, order) for one in found]
            keys = [f"{order.key}/{one.name}" for one in found]
            await self._take_off_packed(order, keep=keys)
            return tuple(outcomes)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(partial(shutil.rmtree, folder, ignore_errors=True))

    async def _unpacked(self, source: Source, order: _Order, folder: Path) -> list[Packed]:
        try:
            return await self._reader.unpack(source, folder=folder, room=order.room, depth=order.depth)
        except InputError as error:
            if source.media_type != PDF:
                raise
            # Its pages may read all the same; if they do not, that is what is told.
            return [Packed(name="embedded files", path=None, error=error)]

    async def _add_one(self, one: Packed, outer: _Order) -> Outcome:
        order = replace(
            outer,
            name=f"{outer.name}/{one.name}",
            key=f"{outer.key}/{one.name}",
            depth=outer.depth + 1,
        )
        if one.path is None:
            return _failed(order, one.error or Damaged("The file does not unpack."))
        async with self._turn(order.document_id):
            try:
                return await self._add(one.path, order)
            except InputError as error:
                log.info("document %s failed: %s", order.document_id, error.code)
                await self._forget(order.document_id)
                return _failed(order, error)

    async def _shelve(self, source: Source, order: _Order, before: Shelved | None) -> Outcome:
        """Run the whole story for one file, up to the row that makes it visible."""
        kept = await self._checkpoint(source, order)
        try:
            pages = (await self._read(source, order, kept)).pages
            chunks = await self._chunk(source, order, pages)
            texts = [indexed_text(chunk, document_name=source.name) for chunk in chunks]
            vectors = await self._embed(texts, order, kept)
        finally:
            with anyio.CancelScope(shield=True):
                await kept.close()
        # Before, so that a policy that changes meanwhile leaves the document behind, not ahead.
        stamp = self._screenings.stamp(order.tenant, order.collection) if self._screenings else ""
        judged = await self._judge(source, order, pages, chunks)
        fence = order.fence or 0
        if before is not None and before.document.revision == source.revision:
            # Same content, other recipe or groups: its points are not told apart by revision, so the old
            # ones go first. The document is away until the commit, and stays away if anything fails.
            await self._registry.remove(order.document_id, fence=fence)
            await self._index.delete(document_id=order.document_id)
        if judged.code is not None:
            return await self._quarantine(source, order, code=judged.code, page_no=judged.page_no)
        left = [i for i in range(len(chunks)) if i not in judged.withheld]
        points = _points([chunks[i] for i in left], [texts[i] for i in left], vectors[left], order)
        await self._registry.hold(order.document_id, fence=fence)
        await self._index.upsert(points)
        await self._index.flush()
        document = _document(source, order, pages=len(pages), chunks=len(left))
        places = sorted({chunks[i].page_no for i in judged.withheld})
        recipe = self._recipe_of(source)
        await self._registry.commit(document, _flagged(pages, places), recipe=recipe, fence=fence)
        if self._screenings:
            off = tuple(chunks[i].id for i in sorted(judged.withheld))
            await self._screenings.keep(
                Screening(
                    document_id=document.id,
                    revision=document.revision,
                    stamp=stamp,
                    passages=len(chunks),
                    withheld=off,
                )
            )
        await self._forget(order.document_id)
        order.tell("shelve", len(left), len(left))
        return _withholding(_outcome("updated" if before else "added", document), judged.withheld, places)

    async def _read(self, source: Source, order: _Order, kept: Checkpoint) -> Reading:
        folder = _folder(self._files, order.document_id, source.revision)
        copy = await anyio.to_thread.run_sync(_keep, source, folder)
        return await self._reader.read_alone(
            copy,
            pages_dir=folder / "pages",
            on_page=partial(order.tell, "read"),
            on_wait=lambda waits: order.tell("wait", int(not waits), 1),
            kept=kept,
        )

    async def _chunk(self, source: Source, order: _Order, pages: Sequence[Page]) -> list[Chunk]:
        cut = partial(
            chunk_pages,
            pages,
            document_id=order.document_id,
            revision=source.revision,
            recipe=self._recipe_of(source),
            max_tokens=self._settings.chunk_tokens,
            count=self._embedder.count,
        )
        return await anyio.to_thread.run_sync(cut)

    async def _embed(self, texts: Sequence[str], order: _Order, kept: Checkpoint) -> NDArray[np.float32]:
        """Embed what is not kept yet: a window of texts at a time, batch by batch, tenants by turns.

        Windows and batches depend on the document alone: int8 activations are scaled by batch, so that other
        neighbours would make other vectors.
        """
        vectors = np.empty((len(texts), self._embedder.dimensions), dtype=np.float32)
        for at in range(0, len(texts), _EMBEDDED_AT_ONCE):
            window = texts[at : at + _EMBEDDED_AT_ONCE]
            done = 0
            for batch in await anyio.to_thread.run_sync(self._embedder.batches, window):
                some = [window[place] for place in batch]
                found = kept.vectors(some)
                if found is None:
                    async with self._embedding:
                        found = await self._embedder.embed(some)
                    await kept.keep_vectors(some, found)
                vectors[[at + place for place in batch]] = found
                done += len(batch)
                order.tell("embed", at + done, len(texts))
        return vectors

    async def _judge(
        self, source: Source, order: _Order, pages: Sequence[Page], chunks: Sequence[Chunk]
    ) -> _Judged:
        """Let the rails judge all that would be shelved, or stands beside it; the first no ends it.

        The name is judged too, because it stands beside every quote of the document, and so are headings.
        So is what pages hide: it is never found, and tells what kind of document this is.
        """
        headings = {c.heading: c.page_no for c in reversed(chunks) if c.heading}
        texts = [
            source.name,
            *(page.hidden for page in pages if page.hidden),
            *headings,
            *(chunk.text for chunk in chunks),
        ]
        places = [None, *(p.no for p in pages if p.hidden), *headings.values(), *(c.page_no for c in chunks)]
        passages = len(texts) - len(headings) - len(chunks)
        bad: set[str] = set()
        for at in range(0, len(texts), _SCREENED_AT_ONCE):
            verdicts = await self._screen.screen(
                texts[at : at + _SCREENED_AT_ONCE], tenant=order.tenant, collection=order.collection
            )
            for place, code in enumerate(verdicts, start=at):
                if code in _PASSAGE_CODES and place >= passages:
                    bad.add(texts[place])
                elif code is not None:
                    return _Judged(code=code, page_no=places[place])
            order.tell("screen", min(at + _SCREENED_AT_ONCE, len(texts)), len(texts))
        withheld = frozenset(i for i, chunk in enumerate(chunks) if {chunk.text, chunk.heading} & bad)
        if withheld and len(withheld) == len(chunks):
            return _Judged(code=next(iter(_PASSAGE_CODES)), page_no=chunks[0].page_no)
        return _Judged(withheld=withheld)

    async def _quarantine(self, source: Source, order: _Order, *, code: str, page_no: int | None) -> Outcome:
        await self._registry.quarantine(
            Quarantined(
                document_id=order.document_id,
                tenant=order.tenant,
                collection=order.collection,
                groups=order.groups,
                name=source.name,
                revision=source.revision,
                page_no=page_no,
                code=code,
                at=time.time(),
            ),
            fence=order.fence,
        )
        await self._forget(order.document_id)
        where = "its name" if page_no is None else f"page {page_no}"
        log.warning("document %s quarantined: %s", order.document_id, code)
        return Outcome(
            name=order.name,
            outcome="quarantined",
            id=order.document_id,
            reason=code,
            page_no=page_no,
            detail=f"A rail stopped {where} ({code}); nothing of this file can be found. "
            "Have somebody look at it, and add it again once it is clean.",
        )

    async def _clear(self, document_id: str, fence: int) -> None:
        """Leave of a document only what is live; what cannot be cleared now is cleared at the next start."""
        try:
            live = await self._registry.shelved(document_id)
            await self._registry.hold(document_id, fence=fence)
            revision = live.document.revision if live else None
            await self._index.delete(document_id=document_id, keep_revision=revision)
            await anyio.to_thread.run_sync(_clear_files, self._files / document_id, revision)
            await self._registry.settle(document_id, fence=fence)
        except Fenced:
            log.warning("document %s was taken over: its leftovers are the other's", document_id)
        except IngestError as error:
            log.warning("document %s: leftovers stay until the next start: %s", document_id, error.detail)

    async def _checkpoint(self, source: Source, order: _Order) -> Checkpoint:
        if self._checkpoints is None:
            return Checkpoint()
        path = self._checkpoints.path(order.document_id, source.revision)
        return await Checkpoint.open(path, recipe=self._recipe_of(source))

    async def _forget(self, document_id: str) -> None:
        if self._checkpoints is not None:
            await self._checkpoints.forget(document_id)

    def _is_unchanged(self, before: Shelved, source: Source, order: _Order) -> bool:
        document = before.document
        return (document.revision, document.groups, before.recipe) == (
            source.revision,
            order.groups,
            self._recipe_of(source),
        )

    def _recipe_of(self, source: Source) -> str:
        """Name what makes the chunks of this file: a new reader or embedder makes them anew."""
        return f"{self._reader.version_of(source)}/{self._recipe}"

    def _turn(self, document_id: str) -> asyncio.Lock:
        """Return the lock of a document: the same file twice at once is one after the other."""
        return self._turns.setdefault(document_id, asyncio.Lock())


def _failed(order: _Order, error: IngestError) -> Outcome:
    return Outcome(
        name=order.name, outcome="failed", id=order.document_id, reason=error.code, detail=error.detail
    )


def _with(outcome: Outcome, attachments: tuple[Outcome, ...]) -> Outcome:
    """Tell with a file what became of those packed in it, the ones that failed by name and reason."""
    if not attachments:
        return outcome
    everyone = [inner for one in attachments for inner in (one, *one.attachments)]
    counts = Counter(one.outcome for one in everyone)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    lost = [f"{one.name} ({one.reason})" for one in everyone if one.outcome in {"failed", "quarantined"}]
    parts = [outcome.detail, f"Packed in it: {told}."]
    parts += [f"Not on the shelf: {'; '.join(lost[:10])}{' …' if len(lost) > 10 else ''}."] if lost else []
    return replace(outcome, detail=" ".join(filter(None, parts)), attachments=attachments)


def _tell_nobody(stage: Stage, done: int, total: int) -> None:
    """Progress that nobody asked for."""


def _folder(files: Path, document_id: str, revision: str) -> Path:
    return files / document_id / revision


def _original_name(name: str) -> str:
    return f"original{PurePosixPath(name).suffix}"


def _keep(source: Source, folder: Path) -> Source:
    """Copy the file into the library, so that pages are read and shown from the very same bytes."""
    copy = folder / _original_name(source.name)
    unfinished = copy.with_name(f"{copy.name}.new")
    digest = hashlib.sha256()
    try:
        (folder / "pages").mkdir(parents=True, exist_ok=True)
        with source.path.open("rb") as incoming, unfinished.open("wb") as kept:
            while piece := incoming.read(_COPIED_AT_ONCE):
                digest.update(piece)
                kept.write(piece)
        subtitles = beside(source.path)
        if subtitles is not None and source.path != copy:
            ending = subtitles.name.removeprefix(source.path.stem)
            shutil.copyfile(subtitles, folder / f"{copy.stem}{ending}")
        unfinished.replace(copy)
    except OSError as error:
        raise LibraryError(f"The file could not be copied into the library: {error.strerror}.") from error
    if digest.hexdigest() != source.revision:
        raise Damaged("The file changed while it was being read; add it again.")
    return replace(source, path=copy)


def _is_worth_keeping(folder: Path) -> bool:
    """Say whether a kill left scenes of a film, not long ago: they are kept for whoever adds it again."""
    oldest = time.time() - _KEPT_FOR_S
    return any(found.stat().st_mtime > oldest for found in folder.glob(f"*/pages/{FILM}"))


def _clear_files(folder: Path, keep_revision: str | None) -> None:
    """Remove the kept files of a document, all of them or all but one revision's."""
    try:
        if keep_revision is None:
            shutil.rmtree(folder, ignore_errors=not folder.exists())
            return
        for revision in folder.iterdir():
            if revision.name != keep_revision:
                shutil.rmtree(revision)
    except OSError as error:
        raise LibraryError(f"Old files could not be removed: {error.strerror}.") from error


def _points(
    chunks: Sequence[Chunk], texts: Sequence[str], vectors: NDArray[np.float32], order: _Order
) -> list[Point]:
    return [
        Point(
            chunk=chunk,
            vector=vector,
            words=text,
            place=place,
            tenant=order.tenant,
            collection=order.collection,
            groups=order.groups,
        )
        for place, (chunk, text, vector) in enumerate(zip(chunks, texts, vectors, strict=True))
    ]


def _flagged(pages: Sequence[Page], places: Sequence[int]) -> list[Page]:
    """Return the pages, those from which something is withheld flagged so."""
    return [replace(p, flags=(*p.flags, "withheld")) if p.no in places else p for p in pages]


def _withholding(outcome: Outcome, withheld: Collection[int], places: Sequence[int]) -> Outcome:
    """Tell of passages that were not shelved, where there are any."""
    if not withheld:
        return outcome
    passages = "1 passage" if len(withheld) == 1 else f"{len(withheld)} passages"
    on = ", ".join(map(str, places[:_PLACES_TOLD])) + (", …" if len(places) > _PLACES_TOLD else "")
    page = "page" if len(places) == 1 else "pages"
    told = f"{passages} on {page} {on} withheld: what stands there may be an order to the assistant."
    return replace(outcome, detail=" ".join(filter(None, (outcome.detail, told))))


def _document(source: Source, order: _Order, *, pages: int, chunks: int) -> Document:
    return Document(
        id=order.document_id,
        tenant=order.tenant,
        collection=order.collection,
        groups=order.groups,
        source_key=order.key,
        name=source.name,
        media_type=source.media_type,
        revision=source.revision,
        bytes=source.bytes,
        pages=pages,
        chunks=chunks,
        added_at=time.time(),
    )


def _outcome(outcome: Literal["added", "updated", "unchanged"], document: Document) -> Outcome:
    """Say what became of a document on the shelf; one without text is added, with a word of warning."""
    pages = "1 page" if document.pages == 1 else f"{document.pages} pages"
    return Outcome(
        name=without_readers(document.source_key),
        outcome=outcome,
        id=document.id,
        detail=None if document.chunks else f"No text was found on {pages}; nothing can be found in it.",
        pages=document.pages,
        chunks=document.chunks,
    )
