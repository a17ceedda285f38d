"""The library: all that the agent reads. Search, rerank, look, and page images, always within a scope.

It hides index, embedder, reranker, vision and registry; every read checks the scope again, so that a
deleted or revoked document is gone from old answers too.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from ingest.chunk import indexed_text
from ingest.drawing import cut_out, draw, widened
from ingest.errors import NoPageImage
from ingest.fusion import best_first, by_page, fused
from ingest.index import Found, Index
from ingest.page_images import PageFiles, PageImages, PageRenderer
from ingest.pipeline import original, page_pictures
from ingest.records import Box, Chunk, Document, Film, Framing, Hit, Scope
from ingest.references import Pointed, is_meant, pointed
from ingest.registry import Registry
from ingest.routing import Cards
from ingest.settings import IngestSettings
from ingest.sources import VIDEOS
from ingest.surroundings import around
from ingest.vision import Finding, View, VisionModel
from ingest.wording import focused, underlying

if TYPE_CHECKING:
    # For types only: they open ONNX Runtime, which a served profile does without.
    from ingest.embed import Embedder
    from ingest.rerank import Reranker

#: Scopes of which the documents' cards are remembered.
_SCOPES_KEPT = 32
#: Passages that the reranker reads between two looks at the clock: a full batch and no more.
_READ_AT_ONCE = 8
#: Most pages of one question that are brought by their numbers.
_PAGES_NAMED = 10
#: A page as PNG, whole, to be read.
WHOLE = Framing()


class Library(Protocol):
    """What the agent reads (the class below satisfies it; tests bring their own)."""

    vision: str
    languages: tuple[str, ...]

    async def search(self, query: str, *, scope: Scope, limit: int) -> list[Hit]:
        """Dense + BM25, fused, reranked; only live revisions; best first."""
        ...

    async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
        """Score passages against `query` with the cross-encoder (order only), in the order given."""
        ...

    async def chunks(self, chunk_ids: Sequence[str], *, scope: Scope) -> list[Chunk]:
        """Read chunks again through the caller's scope; those gone or out of scope are left out."""
        ...

    async def on_page(self, document_id: str, page_no: int, *, scope: Scope) -> list[Chunk]:
        """Return the chunks of a page, in reading order; [] where it is absent or not allowed."""
        ...

    async def around(self, chunk_ids: Sequence[str], *, scope: Scope) -> dict[str, list[Chunk]]:
        """Return what belongs to each chunk, in reading order and itself included.

        Of a table that is every part, over page borders, and of all chunks the passage before and after it on
        its page. Ids that are gone or out of scope are left out.
        """
        ...

    async def look(
        self, chunks: Sequence[Chunk], *, question: str, scope: Scope, max_tokens: int
    ) -> list[Finding]:
        """Look at the regions of `chunks` on their page images, as far as `max_tokens` of a prompt reach."""
        ...

    async def page_image(
        self,
        document_id: str,
        page_no: int,
        *,
        scope: Scope,
        marks: Sequence[Box] = (),
        veils: Sequence[Box] = (),
        framing: Framing = WHOLE,
    ) -> bytes | None:
        """Show a page, `marks` highlighted, `veils` painted over; None: absent or not allowed.

        Raises NoPageImage for a page that has no image.
        """
        ...

    async def film(self, document_id: str, *, scope: Scope) -> tuple[Film, list[Chunk]] | None:
        """Return a film's file and all of its chunks; None: absent, not allowed, or no film."""
        ...

    async def document(self, document_id: str, *, scope: Scope) -> Document | None:
        """Return a live document, or None: absent and not allowed look the same."""
        ...

    async def documents(self, *, scope: Scope) -> list[Document]:
        """List the live documents that the scope allows, by name."""
        ...


class Shelves:
    """The library over an index, a registry and the models."""

    def __init__(
        self,
        *,
        index: Index,
        embedder: Embedder,
        reranker: Reranker | None,
        vision: VisionModel,
        registry: Registry,
        reader: PageRenderer,
        files: Path,
        settings: IngestSettings,
    ) -> None:
        self.vision = vision.name
        self.languages = embedder.languages
        self._index = index
        self._embedder = embedder
        self._reranker = reranker
        self._vision = vision
        self._registry = registry
        self._reader = reader
        self._files = files
        self._settings = settings
        self._cards = _CardsKept(registry)
        self._images = PageImages(
            reader, files=files, dpi=settings.image_dpi, max_bytes=settings.image_cache_bytes
        )

    async def search(self, query: str, *, scope: Scope, limit: int) -> list[Hit]:
        """Dense + BM25, fused, reranked; what is named is lifted; only live revisions; best first."""
        asked = query if self._settings.wording == "asked" else focused(query)
        named = await self._named(asked, scope=scope)
        # A page number means something where one document is asked, and nothing among many.
        at = pointed(asked) if scope.documents is not None and len(scope.documents) == 1 else Pointed()
        found = await self._on_pages(at.pages, scope=scope)
        found += await self._found(asked, named, scope=scope, limit=max(limit, self._settings.candidates))
        found = list({one.chunk.id: one for one in found}.values())
        live = await self._registry.live(list({one.chunk.document_id for one in found}), scope=scope)
        visible = [one for one in found if _is_live(one.chunk, live)]
        hits = fused(
            visible,
            live,
            sparse_weight=self._settings.sparse_weight,
            lifts={
                one.chunk.id: named.get(one.chunk.document_id, 0.0)
                + self._settings.reference_weight * is_meant(at, one.chunk)
                for one in visible
            },
        )
        hits = by_page(hits, weight=self._settings.page_weight)
        return (await self._reranked(asked, hits))[:limit]

    async def _found(
        self, asked: str, named: Mapping[str, float], *, scope: Scope, limit: int
    ) -> list[Found]:
        """Search everything in `scope` and, apart, the documents named: a big library must not hide these."""
        find = partial(
            self._index.search,
            text=f"{asked} {underlying(asked)}" if self._settings.wording == "measures" else asked,
            vector=await self._embedder.embed_query(asked),
            limit=limit,
        )
        found = await find(scope=scope)
        if named:
            found += await find(scope=replace(scope, documents=tuple(named)))
        return found

    async def _on_pages(self, pages: Iterable[int], *, scope: Scope) -> list[Found]:
        """Bring the pages that are asked for by number: no leg finds these by their words."""
        found: list[Found] = []
        for page_no in sorted(pages)[:_PAGES_NAMED]:
            for document_id in scope.documents or ():
                chunks = await self.on_page(document_id, page_no, scope=scope)
                found += [Found(chunk=chunk, dense=None, sparse=None) for chunk in chunks]
        return found

    async def _named(self, question: str, *, scope: Scope) -> dict[str, float]:
        """Return what is added to the score of each document that the question names, by id."""
        if scope.documents is not None and len(scope.documents) < 2:
            return {}
        fits = (await self._cards.within(scope)).fits(question)
        name, period = self._settings.name_weight, self._settings.period_weight
        return {one: name * fit.name + period * fit.period for one, fit in fits.items() if fit.name}

    async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
        """Score passages against `query` with the cross-encoder (order only), in the order given.

        Without a cross-encoder the embedder's cosine orders them.
        """
        if self._reranker is not None:
            return [float(score) for score in await self._reranker.score(query, passages)]
        vectors = await self._embedder.embed(passages)
        return [float(score) for score in vectors @ await self._embedder.embed_query(query)]

    async def chunks(self, chunk_ids: Sequence[str], *, scope: Scope) -> list[Chunk]:
        """Read chunks again through the caller's scope; those gone or out of scope are left out."""
        found = await self._index.get(chunk_ids)
        live = await self._registry.live(list({chunk.document_id for chunk in found}), scope=scope)
        return [chunk for chunk in found if _is_live(chunk, live)]

    async def on_page(self, document_id: str, page_no: int, *, scope: Scope) -> list[Chunk]:
        """Return the chunks of a page, in reading order; [] where it is absent or not allowed."""
        document = await self._registry.get(document_id, scope=scope)
        if document is None:
            return []
        return await self._index.chunks(document_id=document_id, revision=document.revision, page_no=page_no)

    async def around(self, chunk_ids: Sequence[str], *, scope: Scope) -> dict[str, list[Chunk]]:
        """Return what belongs to each chunk, in reading order and itself included (`surroundings.around`)."""
        found: dict[str, list[Chunk]] = {}
        pages: dict[tuple[str, int], list[Chunk]] = {}
        for chunk in await self.chunks(chunk_ids, scope=scope):
            near: list[Chunk] = []
            for page_no in range(max(1, chunk.page_no - 1), chunk.page_no + 2):
                key = (chunk.document_id, page_no)
                if key not in pages:
                    pages[key] = await self.on_page(chunk.document_id, page_no, scope=scope)
                near += pages[key]
            found[chunk.id] = around(near, chunk.id)
        return {chunk_id: near for chunk_id, near in found.items() if near}

    async def look(
        self, chunks: Sequence[Chunk], *, question: str, scope: Scope, max_tokens: int
    ) -> list[Finding]:
        """Look at the regions of `chunks` on their page images, in their order while `max_tokens` reach.

        What may not be seen shows nothing. Raises ModelDown, ModelReply.
        """
        findings = [Finding(outcome="nothing")] * len(chunks)
        views: dict[int, View] = {}
        left = max_tokens
        for place, chunk in enumerate(chunks):
            view = await self._view(chunk, scope=scope)
            if view is None:
                continue
            left -= self._vision.tokens(view.png)
            if left < 0:
                findings[place:] = [Finding(outcome="unlooked")] * (len(chunks) - place)
                break
            views[place] = view
        if views:
            seen = await self._vision.look(list(views.values()), question=question, tenant=scope.tenant)
            for place, finding in zip(views, seen, strict=True):
                findings[place] = finding
        return findings

    async def page_image(
        self,
        document_id: str,
        page_no: int,
        *,
        scope: Scope,
        marks: Sequence[Box] = (),
        veils: Sequence[Box] = (),
        framing: Framing = WHOLE,
    ) -> bytes | None:
        """Show a page with `marks` highlighted and `veils` painted over.

        None where it is absent or not allowed: the two look the same. Raises NoPageImage for a page that has
        no image, and only to who may read the document.
        """
        document = await self._with_image(document_id, page_no, scope=scope)
        if document is None:
            return None
        image = await self._images.plain(
            document, page_no, source=self._page_files(document), size=framing.size
        )
        drawn = partial(draw, image, marks=marks, veils=veils, framing=framing)
        return await anyio.to_thread.run_sync(drawn)

    async def film(self, document_id: str, *, scope: Scope) -> tuple[Film, list[Chunk]] | None:
        """Return a film's file and all of its chunks; None: absent, not allowed, or no film."""
        document = await self._registry.get(document_id, scope=scope)
        if document is None or document.media_type not in VIDEOS:
            return None
        chunks = await self._index.chunks(document_id=document.id, revision=document.revision)
        path = original(self._files, document)
        return Film(path=path, media_type=document.media_type, revision=document.revision), chunks

    async def document(self, document_id: str, *, scope: Scope) -> Document | None:
        """Return a live document, or None: absent and not allowed look the same."""
        return await self._registry.get(document_id, scope=scope)

    async def documents(self, *, scope: Scope) -> list[Document]:
        """List the live documents that the scope allows, by name."""
        return await self._registry.list(scope=scope)

    async def _reranked(self, query: str, hits: list[Hit]) -> list[Hit]:
        """Add the reranker's probability to the best hits; where it has no time to read all, to none.

        Added, not put in its place: alone it is worse than what it reorders (SciFact nDCG@10 .789 against
        .797 before it and .814 blended), and for some right passages it says 0.
        """
        best = hits[: self._settings.reranked]
        if self._reranker is None or not best:
            return hits
        logits = await self._logits(query, best)
        if len(logits) < len(best):
            # Some raised and others not is worse than none: SciFact nDCG@10 .740 on a machine that was too
            # busy to read all, .768 without the reranker.
            return [replace(hit, legs=hit.legs | {"unread": 1.0}) for hit in best] + hits[len(best) :]
        weight = self._settings.rerank_weight
        reread = [
            replace(
                hit,
                score=hit.score + weight * float(probability),
                legs=hit.legs | {"rerank": float(logit)},
            )
            for hit, logit, probability in zip(best, logits, _sigmoid(logits), strict=True)
        ]
        return best_first([*reread, *hits[len(best) :]])

    async def _logits(self, query: str, hits: Sequence[Hit]) -> NDArray[np.float32]:
        """Score the best of `hits`, as many as the time for it allows: (n,) float32, n <= len(hits)."""
        assert self._reranker is not None
        deadline = time.monotonic() + self._settings.rerank_budget_s
        read = [np.empty(0, dtype=np.float32)]
        for at in range(0, len(hits), _READ_AT_ONCE):
            if time.monotonic() >= deadline:
                break
            part = hits[at : at + _READ_AT_ONCE]
            passages = [indexed_text(hit.chunk, document_name=hit.document_name) for hit in part]
            read.append(await self._reranker.score(query, passages))
        return np.concatenate(read)

    async def _view(self, chunk: Chunk, *, scope: Scope) -> View | None:
        """Crop a chunk's region from its page, with the scope judged again; None where it may not be seen.

        Of a scan the whole page is shown: what OCR took for a paragraph may be half of something.
        """
        if not await self.chunks([chunk.id], scope=scope):
            return None
        try:
            document = await self._with_image(chunk.document_id, chunk.page_no, scope=scope)
        except NoPageImage:
            return None
        if document is None:
            return None
        # Not from the cache: its pictures are packed for people, and eyes get every pixel.
        source = self._page_files(document)
        png = await self._reader.render(
            source.original,
            document.media_type,
            chunk.page_no,
            pages_dir=source.pages_dir,
            dpi=self._settings.image_dpi,
        )
        read_by = await self._registry.read_by(document.id, chunk.page_no)
        scanned = read_by in ("ocr-layout", "vision-model")
        if not chunk.spans or (scanned and chunk.kind not in ("figure", "table")):
            return View(png=png, text=chunk.text)
        region = widened(Box.around([span.box for span in chunk.spans]))
        return View(
            png=await anyio.to_thread.run_sync(cut_out, png, region),
            text=chunk.text,
            box=region,
            exact=read_by == "text-layer" and chunk.kind != "figure",
        )

    async def _with_image(self, document_id: str, page_no: int, *, scope: Scope) -> Document | None:
        """Return a document of which this page can be shown; None: absent or not allowed."""
        document = await self._registry.get(document_id, scope=scope)
        if document is None or not 1 <= page_no <= document.pages:
            return None
        if not await self._registry.has_image(document_id, page_no):
            raise NoPageImage(f"{document.name} has no page images; its text is at /text below this address.")
        return document

    def _page_files(self, document: Document) -> PageFiles:
        return PageFiles(
            original=original(self._files, document), pages_dir=page_pictures(self._files, document)
        )


class _CardsKept:
    """The cards of each scope that searched lately, made anew when the registry changes."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kept: OrderedDict[Scope, tuple[tuple[int, int], Cards]] = OrderedDict()

    async def within(self, scope: Scope) -> Cards:
        version = await self._registry.version()
        kept = self._kept.get(scope)
        if kept is None or kept[0] != version:
            kept = self._kept[scope] = (version, Cards(await self._registry.list(scope=scope)))
        self._kept.move_to_end(scope)
        while len(self._kept) > _SCOPES_KEPT:
            self._kept.popitem(last=False)
        return kept[1]


def _is_live(chunk: Chunk, live: dict[str, Document]) -> bool:
    document = live.get(chunk.document_id)
    return document is not None and document.revision == chunk.revision


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
