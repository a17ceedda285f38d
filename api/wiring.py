"""The one composition root: opens every part of the house, hands each what it needs, closes them in reverse.

Imports are inside, so that `--help`, `models` and `doctor` pay for none of them, and so that the switches of
`startup.py` stand before anything that reads them.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import filelock

from api.house import Capabilities, House, OnProgress, Part
from api.settings import ApiSettings
from api.startup import confirm, prepare
from ingest.errors import IngestError, Locked, Unscreened
from ingest.records import Document, Outcome, Scope, readers_key

if TYPE_CHECKING:
    from api.masked import Hosting
    from api.schemas import PolicyOut
    from api.writer import LocalModel
    from guardrails.effective import Bound, Effective
    from guardrails.topics import Embedder
    from ingest.embed import OnnxEmbedder
    from ingest.eyes import Eyes
    from ingest.index import Index
    from ingest.library import Library
    from ingest.pipeline import Pipeline
    from ingest.registry import Registry
    from ingest.scenes import Ears
    from ingest.served import LanguageModel, ServedModel
    from ingest.settings import IngestSettings
    from ingest.vision import VisionModel
    from ingest.watching import Watcher
    from ingest.weights import Weights

log = logging.getLogger(__name__)

WRITER = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
EMBEDDER = "bge-small-en-v1.5-int8"
RERANKER = "ms-marco-minilm-l12-int8"
#: How often the embedded index is asked whether it has grown enough for a graph.
_LOOKS_EVERY_S = 60.0


@asynccontextmanager
async def open_house(settings: ApiSettings) -> AsyncGenerator[House]:
    """Open the library at `settings.home`, ready to add, search and ask.

    Raises Locked where another process owns it, WeightsMissing, Incompatible, PolicyError.
    """
    prepare()
    from ingest.weights import Weights

    # First what is most often missing and cheapest to look for, then seconds of imports.
    weights = Weights(settings.weights)
    models = _onnx(weights, EMBEDDER), _onnx(weights, RERANKER)

    from agent.run import GuardedAgent
    from agent.settings import AgentSettings
    from agent.threads import Threads
    from ingest.embed import OnnxEmbedder
    from ingest.settings import IngestSettings

    confirm()
    reading = IngestSettings()
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as closing:
        closing.enter_context(_owned(settings))
        embedder = OnnxEmbedder(*models[0], threads=reading.threads, batch=reading.embed_batch)
        policies = _policies(settings, closing, embedder=lambda: embedder)
        writer = _writer(settings, weights, reading)
        if writer is not None:
            closing.push_async_callback(writer.close)
        model = _asked(settings, writer, policies)
        stock = await _stock(
            settings, closing, models[1], embedder=embedder, policies=policies, writer=model, reading=reading
        )
        threads = await closing.enter_async_context(Threads.open(settings.home / "threads.sqlite"))
        agent = GuardedAgent(
            library=stock.library, rails=policies, model=model, settings=AgentSettings(), threads=threads
        )
        has = Capabilities(
            profile="served" if settings.qdrant_url else "embedded",
            vision=stock.library.vision,
            languages=tuple(stock.library.languages),
            reasoning="quotes" if writer is None else writer.writes_as,
            model=None if writer is None else writer.name,
        )
        parts = _Readiness(index=stock.index, writer=writer, policies=policies, vision=has.vision)
        yield House(
            agent=agent,
            shelf=_Shelf(stock.pipeline, stock.registry),
            capabilities=has,
            readiness=parts.tell,
            warm=parts.warm,
            policy_fault=lambda: policies.fault,
            policy=partial(_policy_out, policies),
            audit=_audit_file(),
        )


def _audit_file() -> str | None:
    from guardrails.settings import GuardrailsSettings

    audit = GuardrailsSettings().audit
    return None if audit is None else str(audit)


def _policy_out(policies: Effective, scope: Scope, channel: str) -> PolicyOut:
    """Show the policy in force for a caller; what is added to its collections is judged as it comes in."""
    from api.schemas import PolicyOut
    from guardrails.effective import Place

    asked = policies.policy(Place(tenant=scope.tenant, collections=scope.collections, channel=channel))
    added = policies.policy(Place(tenant=scope.tenant, collections=scope.collections, channel="ingest"))
    content = asked.model_dump(mode="json")
    content["hops"]["document"] = added.model_dump(mode="json")["hops"]["document"]
    return PolicyOut(
        policy=asked.label,
        tenant=scope.tenant,
        collections=list(scope.collections),
        channel=channel,
        fault=policies.fault,
        hops=content["hops"],
        hosted=content["hosted"],
        refusal=content["refusal"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stock:
    """The ingest side of the house."""

    index: Index
    registry: Registry
    library: Library
    pipeline: Pipeline


async def _stock(
    settings: ApiSettings,
    closing: AsyncExitStack,
    reranking: tuple[Path, Path],
    *,
    embedder: OnnxEmbedder,
    policies: Effective,
    writer: LanguageModel | None,
    reading: IngestSettings,
) -> _Stock:
    """Open index, registry and reader, and put library and pipeline over them."""
    from ingest.library import Shelves
    from ingest.pipeline import Pipeline
    from ingest.reading import Reader
    from ingest.registry import Registry
    from ingest.rerank import OnnxReranker

    index = await _index(settings, vector_name=embedder.name, dimensions=embedder.dimensions)
    closing.push_async_callback(index.close)
    await closing.enter_async_context(_kept_fast(index))
    registry = Registry.open(settings.home / "registry.sqlite")
    closing.push_async_callback(registry.close)
    if settings.qdrant_url is None:
        # We own the home, so what lies in the inbox was left by a crash.
        shutil.rmtree(settings.home / "inbox", ignore_errors=True)
    reader = Reader(
        reading,
        eyes=page_eyes(settings, writer, reading, closing),
        ears=film_ears(settings, reading),
        watcher=film_watcher(settings, writer, reading),
    )
    closing.push_async_callback(reader.close)
    files = settings.home / "files"
    library = Shelves(
        index=index,
        embedder=embedder,
        reranker=OnnxReranker(*reranking, threads=reading.threads) if reading.reranked else None,
        vision=_eyes(settings, writer, reader),
        registry=registry,
        reader=reader,
        files=files,
        settings=reading,
    )
    pipeline = Pipeline(
        reader=reader,
        embedder=embedder,
        index=index,
        registry=registry,
        files=files,
        screen=DocumentScreen(policies),
        settings=reading,
    )
    await pipeline.recover()
    return _Stock(index=index, registry=registry, library=library, pipeline=pipeline)


def _policies(
    settings: ApiSettings, closing: AsyncExitStack, *, embedder: Callable[[], Embedder]
) -> Effective:
    from guardrails.audit import Audit
    from guardrails.effective import Effective
    from guardrails.errors import PolicyError
    from guardrails.nemo import Rails
    from guardrails.settings import GuardrailsSettings

    guarding = GuardrailsSettings()
    if guarding.policies is not None and not guarding.policies.is_file():
        raise PolicyError(
            f"PAGEWARDEN_GUARDRAILS_POLICIES names {guarding.policies}, and there is no such file."
        )
    audit = Audit(guarding.audit) if guarding.audit else None
    if audit is not None:
        closing.callback(audit.close)
    return Effective(
        settings.policy,
        guarding.policies or settings.home / "policies.yaml",
        rails=partial(Rails, audit=audit, rail_timeout_s=guarding.rail_timeout_s, embedder=embedder),
    )


@asynccontextmanager
async def open_policies(settings: ApiSettings) -> AsyncGenerator[Effective]:
    """Open the rails as the house has them, without its library. Raises PolicyError, WeightsMissing."""
    prepare()
    from ingest.embed import OnnxEmbedder
    from ingest.settings import IngestSettings
    from ingest.weights import Weights

    reading = IngestSettings()

    @cache
    def embedder() -> Embedder:
        files = _onnx(Weights(settings.weights), EMBEDDER)
        return OnnxEmbedder(*files, threads=reading.threads, batch=reading.embed_batch)

    async with AsyncExitStack() as closing:
        yield _policies(settings, closing, embedder=embedder)


async def held_collections(settings: ApiSettings) -> tuple[str, ...]:
    """Return the collections that a caller of the house may read, without opening its index."""
    from ingest.registry import Registry

    held: tuple[str, ...] = ()
    if (settings.home / "registry.sqlite").is_file():
        registry = Registry.open(settings.home / "registry.sqlite")
        try:
            held = await registry.collections(tenant=settings.tenant)
        finally:
            await registry.close()
    return tuple(sorted({settings.collection, *held}))


async def try_library(settings: ApiSettings) -> None:
    """Open the index and close it again. Raises Locked, Incompatible, IndexDown."""
    prepare()
    from ingest.embed import OnnxEmbedder

    with _owned(settings):
        index = await _index(settings, vector_name=OnnxEmbedder.name, dimensions=OnnxEmbedder.dimensions)
        await index.close()


class DocumentScreen:
    """The rails as ingestion knows them: a code for each text that may not be shelved."""

    def __init__(self, policies: Effective) -> None:
        self._policies = policies

    async def screen(self, texts: Sequence[str], *, tenant: str, collection: str) -> list[str | None]:
        """Return None for what may be shelved, else the rail's code. Masking happens on the way out.

        Raises Unscreened for what is still undecided when asked alone: a rail that ran out of time says
        nothing about the file.
        """
        rails = self._policies.rails_for(tenant=tenant, collections=(collection,), channel="ingest")
        codes = await _codes(rails, texts)
        for place, code in enumerate(codes):
            if code == "undecided":
                (codes[place],) = await _codes(rails, [texts[place]])
            if codes[place] == "undecided":
                raise Unscreened("The rails came to no decision, so nothing was shelved. Add the file again.")
        return codes


async def _codes(rails: Bound, texts: Sequence[str]) -> list[str | None]:
    verdicts = await rails.screen("document", texts)
    return [None if verdict.allowed else verdict.code for verdict in verdicts]


class _Shelf:
    """The shelf of `house.py` over pipeline and registry."""

    def __init__(self, pipeline: Pipeline, registry: Registry) -> None:
        self._pipeline, self._registry = pipeline, registry

    async def add(
        self,
        path: Path,
        *,
        name: str,
        tenant: str,
        collection: str,
        groups: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> Outcome:
        return await self._pipeline.add(
            path,
            name=name,
            key=readers_key(name, groups),
            tenant=tenant,
            collection=collection,
            groups=groups,
            on_progress=on_progress,
        )

    async def remove(self, document_id: str, *, scope: Scope) -> bool:
        return await self._pipeline.remove(document_id, scope=scope)

    async def document(self, document_id: str, *, scope: Scope) -> Document | None:
        return await self._registry.get(document_id, scope=scope)

    async def page_images(self, document_id: str, *, scope: Scope) -> list[int]:
        return [page.no for page in await self._registry.pages(document_id, scope=scope) if page.has_image]

    async def scenes(self, document_id: str, *, scope: Scope) -> dict[int, tuple[float, float]]:
        return {
            page.no: (page.start_s, page.end_s)
            for page in await self._registry.pages(document_id, scope=scope)
            if page.start_s is not None and page.end_s is not None
        }

    async def documents(self, *, scope: Scope) -> list[Document]:
        return list(await self._registry.list(scope=scope))

    async def collections(self, *, tenant: str) -> tuple[str, ...]:
        return await self._registry.collections(tenant=tenant)

    async def stored(self, *, tenant: str) -> int:
        return await self._registry.stored(tenant=tenant)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readiness:
    index: Index
    writer: LocalModel | ServedModel | None
    policies: Effective
    vision: str

    async def tell(self) -> list[Part]:
        """Look at each part; a part at fault says why."""
        return [
            await self._library(),
            self._rails(),
            Part(name="eyes", ok=True, detail=self.vision),
            self._writer(),
        ]

    async def _library(self) -> Part:
        try:
            return Part(name="library", ok=True, detail=f"{await self.index.count()} chunks")
        except IngestError as error:
            return Part(name="library", ok=False, detail=error.detail)

    def _rails(self) -> Part:
        """Tell of changed policies that are wrong and not used; those before them stand, so it is ready."""
        fault = self.policies.fault
        told = (
            f"{self.policies.label}; changed files are not in force: {fault}"
            if fault
            else self.policies.label
        )
        return Part(name="rails", ok=True, detail=told)

    def _writer(self) -> Part:
        if self.writer is None:
            return Part(name="writer", ok=True, detail="quotes, no model")
        if self.writer.writes_as == "local" and not getattr(self.writer, "running", False):
            return Part(name="writer", ok=True, detail=f"{self.writer.name}, starts with the first question")
        return Part(name="writer", ok=True, detail=self.writer.name)

    async def warm(self) -> None:
        """Start the local model, if that is who writes."""
        start = getattr(self.writer, "start", None)
        if start is not None:
            await start()


@contextmanager
def _owned(settings: ApiSettings) -> Iterator[None]:
    """Own the home for as long as the index in it is open. Raises Locked.

    Edge (0.9.0) has a lock of its own and looks at it too late: a second `EdgeShard.load` first cuts journals
    that the owner has open, and the owner's next flush fails ("Tracker journal … is shorter than expected").
    """
    if settings.qdrant_url is not None:
        yield
        return
    lock = filelock.FileLock(settings.home / "lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise Locked(
            f"Another process owns the library in {settings.home}: end it, or ask through its server."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _onnx(weights: Weights, name: str) -> tuple[Path, Path]:
    return weights.path(f"{name}/model.onnx"), weights.path(f"{name}/tokenizer.json")


async def _index(settings: ApiSettings, *, vector_name: str, dimensions: int) -> Index:
    if settings.qdrant_url is None:
        from ingest.index_edge import EdgeIndex

        return EdgeIndex.open(settings.home / "index", vector_name=vector_name, dimensions=dimensions)
    from ingest.index_edge import edge_sparse_encoder
    from ingest.index_server import ServerIndex

    return await ServerIndex.open(
        settings.qdrant_url,
        api_key=settings.qdrant_key.get_secret_value() if settings.qdrant_key else None,
        collection="pagewarden",
        vector_name=vector_name,
        dimensions=dimensions,
        sparse=edge_sparse_encoder(),
    )


@asynccontextmanager
async def _kept_fast(index: Index) -> AsyncGenerator[None]:
    """Let the embedded index build its graph once one is due, for as long as it is open."""
    from ingest.index_edge import EdgeIndex

    if not isinstance(index, EdgeIndex):
        yield
        return

    async def look() -> None:
        while True:
            await asyncio.sleep(_LOOKS_EVERY_S)
            try:
                if await index.optimise():
                    log.info("the index has a graph over all of its points")
            except IngestError as error:
                log.warning("the graph of the index was not built: %s", error.detail)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def _writer(
    settings: ApiSettings, weights: Weights, reading: IngestSettings
) -> LocalModel | ServedModel | None:
    """Choose who writes; what is asked for by name is never replaced by something else."""
    match _chosen(settings, weights):
        case "served":
            return served_writer(settings)
        case "local":
            from api.writer import LocalModel

            return LocalModel(
                weights.path(WRITER),
                threads=reading.threads,
                context_tokens=settings.local_context_tokens,
                timeout_s=settings.model_timeout_s,
            )
        case "quotes":
            return None


def served_writer(settings: ApiSettings) -> ServedModel:
    """Make the client of the served model, with what its provider understands and the settings allow."""
    from ingest.providers import OTHER, providers
    from ingest.served import ServedModel, Traits
    from ingest.tiles import png_tokens

    provider, model = providers()[settings.served_by or OTHER], settings.model or ""
    sees_images = settings.model_sees_images and provider.images is not False
    switch = settings.model_switch
    return ServedModel(
        base_url=settings.model_url or "",
        model=model,
        api_key=settings.model_key.get_secret_value() if settings.model_key else "",
        context_tokens=settings.model_context_tokens,
        sees_images=sees_images,
        timeout_s=settings.model_timeout_s,
        traits=Traits(
            switch=provider.switch_of(model) if switch == "auto" else switch,
            sees_videos=sees_images and bool(provider.video),
            counts_pieces=provider.pieces,
            tokenizes=provider.image_tokens == "tokenize",
            tells_load=provider.metrics,
            prioritises=settings.model_prioritises,
            salts=settings.model_salts,
        ),
        reasoning=settings.model_reasoning,
        thought_tokens=settings.model_thought_tokens,
        most_at_once=settings.model_most_at_once,
        # Where tiles tell, the server is not asked for what a picture costs: it would cut it up twice.
        image_tokens=png_tokens if provider.counts_tiles(model) else None,
    )


def _asked(
    settings: ApiSettings, writer: LocalModel | ServedModel | None, policies: Hosting
) -> LanguageModel | None:
    """Return the writer as everybody asks it: without personal data, where its server is not ours.

    Raises PolicyError where pictures are to go to such a server and a policy withholds them.
    """
    from api.masked import MaskedModel
    from guardrails.errors import PolicyError
    from ingest.providers import is_elsewhere, name_of

    parser = settings.parser_url
    seers = {"PAGEWARDEN_PARSER_URL": parser is not None and is_elsewhere(parser, name_of(parser))}
    elsewhere = writer is not None and writer.writes_as == "served" and settings.model_elsewhere
    seers["PAGEWARDEN_MODEL_SEES_IMAGES"] = elsewhere and settings.model_sees_images
    named = [name for name, sees in seers.items() if sees]
    if named and not policies.sends_pictures():
        raise PolicyError(
            f"A policy withholds pictures from servers that are not ours: unset {' and '.join(named)}, or "
            "serve the model yourself (PAGEWARDEN_MODEL_IS_OURS=true where its address does not tell)."
        )
    return MaskedModel(writer, policies) if writer is not None and elsewhere else writer


def _chosen(settings: ApiSettings, weights: Weights) -> Literal["served", "local", "quotes"]:
    if settings.writer != "auto":
        return settings.writer
    if settings.model_url and settings.model:
        return "served"
    return "quotes" if weights.missing([WRITER]) else "local"


def page_eyes(
    settings: ApiSettings, writer: LanguageModel | None, reading: IngestSettings, closing: AsyncExitStack
) -> Eyes | None:
    """Choose who reads pages that want eyes: Nemotron Parse where it is served, else the model that looks."""
    from ingest.eyes import Eyes
    from ingest.vision import ServedVision

    if reading.eyes == "off":
        return None
    if settings.parser_url:
        from ingest.nemotron_parse import FIELDS, NemotronParse
        from ingest.served import ServedModel

        client = ServedModel(
            base_url=settings.parser_url,
            model=settings.parser_model,
            api_key=settings.parser_key.get_secret_value() if settings.parser_key else "",
            context_tokens=settings.model_context_tokens,
            sees_images=True,
            timeout_s=settings.model_timeout_s,
            extra=FIELDS[settings.parser_form],
        )
        closing.push_async_callback(client.close)
        return Eyes(
            NemotronParse(client, form=settings.parser_form, transcript_tokens=reading.transcript_tokens),
            reading,
        )
    if writer is not None and settings.model_sees_images and writer.writes_as == "served":
        from ingest.served import Call, OnBehalf

        # A batch waits for people who ask.
        model = OnBehalf(writer, Call(purpose="read", urgency="batch"))
        return Eyes(ServedVision(model, transcript_tokens=reading.transcript_tokens), reading)
    return None


def film_ears(settings: ApiSettings, reading: IngestSettings) -> Ears | None:
    """Choose who writes down what is said in films: a server where one is named, else the local weights."""
    from ingest.scenes import Ears
    from ingest.speech import FILES, MODEL
    from ingest.weights import Weights

    if reading.speech == "off":
        return None
    weights = Weights(settings.weights)
    if weights.missing(FILES) or find_spec("faster_whisper") is None:
        return None
    return Ears(name=MODEL, folder=weights.path(FILES[0]).parent)


def film_watcher(
    settings: ApiSettings, writer: LanguageModel | None, reading: IngestSettings
) -> Watcher | None:
    """Choose who watches films: the served model that sees, by clips where its server prunes these."""
    from ingest.providers import OTHER, providers
    from ingest.served import Call, OnBehalf
    from ingest.serving import PRUNING_RATE
    from ingest.watching import Watcher

    if writer is None or writer.writes_as != "served" or not writer.sees_images or reading.watch == "off":
        return None
    provider, rate = providers()[settings.served_by or OTHER], reading.video_pruning
    if rate is None:
        # A server that is ours was started with the flags of `serving.py`.
        rate = PRUNING_RATE if settings.served_by == "vllm" and not settings.model_elsewhere else 0.0
    return Watcher(
        # A batch waits for people who ask.
        OnBehalf(writer, Call(purpose="read", urgency="batch")),
        clips=bool(provider.video) and rate > 0,
        pruning_rate=rate,
        slots=reading.eyes_slots,
        wait_s=reading.model_wait_s,
    )


def _eyes(settings: ApiSettings, writer: LanguageModel | None, reader: object) -> VisionModel:
    from ingest.vision import OcrLayout, ServedVision

    if writer is not None and settings.model_sees_images and writer.writes_as == "served":
        return ServedVision(writer)
    return OcrLayout(reader)  # type: ignore[arg-type]
