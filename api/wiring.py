"""The one composition root: opens every part of the house, hands each what it needs, closes them in reverse.

Imports are inside, so that `--help`, `models` and `doctor` pay for none of them, and so that the switches of
`startup.py` stand before anything that reads them.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import filelock

from api.house import Capabilities, House, Part
from api.settings import ApiSettings
from api.startup import StartupError, confirm, prepare
from ingest.errors import IngestError, Locked, Missing, Unscreened
from ingest.records import Scope

if TYPE_CHECKING:
    from agent.run import Agent
    from api.masked import Hosting
    from api.schemas import PolicyOut
    from api.shelving import Shelving
    from api.telemetry import Telemetry
    from api.writer import LocalModel
    from guardrails.effective import Bound, Effective
    from guardrails.topics import Embedder
    from ingest.embed import OnnxEmbedder
    from ingest.eyes import Eyes
    from ingest.index import Index
    from ingest.jobs import Jobs
    from ingest.library import Library
    from ingest.rescreen import Rescreened, Rescreening
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
    _settle(settings)
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with AsyncExitStack() as closing:
        closing.enter_context(_owned(settings))
        embedder = OnnxEmbedder(*models[0], threads=reading.threads, batch=reading.embed_batch)
        policies = _policies(settings, closing, embedder=lambda: embedder)
        writer = _writer(settings, weights, reading)
        if writer is not None:
            closing.push_async_callback(writer.close)
        model = _asked(settings, writer, policies)
        telemetry = _telemetry(settings)
        if telemetry is not None:
            closing.callback(telemetry.close)
            model = None if model is None else telemetry.model(model)
        stock = await _stock(
            settings,
            closing,
            models[1],
            embedder=embedder,
            policies=policies,
            writer=model,
            reading=reading,
        )
        threads = await closing.enter_async_context(Threads.open(settings.home / "threads.sqlite"))
        agent: Agent = GuardedAgent(
            library=stock.library, rails=policies, model=model, settings=AgentSettings(), threads=threads
        )
        if telemetry is not None:
            agent = telemetry.agent(agent)
        has = Capabilities(
            profile="served" if settings.qdrant_url else "embedded",
            vision=stock.library.vision,
            languages=tuple(stock.library.languages),
            reasoning="quotes" if writer is None else writer.writes_as,
            model=None if writer is None else writer.name,
        )
        catching_up = _CatchingUp(stock.rescreening, policies)
        await catching_up.look()
        parts = _Readiness(index=stock.index, writer=writer, policies=policies, vision=has.vision)
        yield House(
            agent=agent,
            shelf=stock.shelving,
            intake=stock.shelving,
            jobs=stock.jobs,
            work=stock.shelving.begin,
            capabilities=has,
            readiness=parts.tell,
            warm=parts.warm,
            policy_fault=lambda: policies.fault,
            policy=partial(_policy_out, policies),
            audit=_audit_file(),
            rescreen=catching_up.run,
            telemetry=telemetry,
        )


def _telemetry(settings: ApiSettings) -> Telemetry | None:
    """Return what counts and traces, where either is asked for. Raises StartupError without its extra."""
    if not settings.metrics and settings.otlp_url is None:
        return None
    try:
        from api.telemetry import Telemetry
    except ModuleNotFoundError as error:
        raise StartupError("Metrics and traces want an extra: pip install 'pagewarden[otel]'.") from error
    return Telemetry(endpoint=settings.otlp_url)


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
    library: Library
    jobs: Jobs
    shelving: Shelving
    rescreening: Rescreening


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
    from api.shelving import Shelving
    from ingest.checkpoints import Checkpoints
    from ingest.jobs_sql import open_jobs
    from ingest.library import Shelves
    from ingest.pipeline import Pipeline
    from ingest.reading import Reader
    from ingest.registry import Registry
    from ingest.rerank import OnnxReranker
    from ingest.rescreen import Rescreening
    from ingest.screenings import Screenings
    from ingest.worker import Worker

    index = await _index(settings, vector_name=embedder.name, dimensions=embedder.dimensions)
    closing.push_async_callback(index.close)
    await closing.enter_async_context(_kept_fast(index))
    registry = Registry.open(settings.home / "registry.sqlite")
    closing.push_async_callback(registry.close)
    jobs = open_jobs(settings.home / "jobs.sqlite")
    closing.push_async_callback(jobs.close)
    if settings.qdrant_url is None:
        # We own the home: what lies in the inbox was left by a crash, and so was every lease.
        shutil.rmtree(settings.home / "inbox", ignore_errors=True)
        await jobs.expire()
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
    screen = DocumentScreen(policies)
    screenings = Screenings.open(settings.home / "screenings.sqlite", stamp=screen.stamp)
    closing.push_async_callback(screenings.close)
    pipeline = Pipeline(
        reader=reader,
        embedder=embedder,
        index=index,
        registry=registry,
        files=files,
        screen=screen,
        settings=reading,
        screenings=screenings,
        checkpoints=Checkpoints(settings.home / "checkpoints"),
    )
    if settings.qdrant_url is None:
        await pipeline.recover()
    rescreening = Rescreening(
        pipeline=pipeline,
        registry=registry,
        index=index,
        screen=screen,
        screenings=screenings,
        files=files,
    )
    shelving = Shelving(
        pipeline=pipeline,
        registry=registry,
        jobs=jobs,
        worker=Worker(jobs=jobs, pipeline=pipeline),
        incoming=settings.home / "incoming",
        work=settings.work,
    )
    await closing.enter_async_context(shelving.crew())
    return _Stock(index=index, library=library, jobs=jobs, shelving=shelving, rescreening=rescreening)


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


class _CatchingUp:
    """Judges the shelf again; meanwhile evidence is read by the document's classifier too."""

    def __init__(self, rescreening: Rescreening, policies: Effective) -> None:
        self._rescreening, self._policies = rescreening, policies

    async def look(self) -> None:
        """See whether anything is behind."""
        self._policies.is_behind = bool(await self._rescreening.behind())

    async def run(self, tell: Callable[[str, str], object]) -> Rescreened:
        """Judge what is behind."""
        from ingest.rescreen import Rescreened

        await self.look()
        if not self._policies.is_behind:
            return Rescreened()
        try:
            return await self._rescreening.run(on_document=lambda one, became: tell(one.name, became))
        finally:
            await self.look()


class DocumentScreen:
    """The rails as ingestion knows them: a code for each text that may not be shelved."""

    def __init__(self, policies: Effective) -> None:
        self._policies = policies

    def stamp(self, tenant: str, collection: str) -> str:
        """Name what a verdict rests on now: policy, rules and model."""
        from guardrails.errors import ClassifierUnfit

        try:
            return self._bound(tenant, collection).rails.stamp("document")
        except ClassifierUnfit as error:
            return f"none: {error.detail}"

    def _bound(self, tenant: str, collection: str) -> Bound:
        return self._policies.rails_for(tenant=tenant, collections=(collection,), channel="ingest")

    async def screen(self, texts: Sequence[str], *, tenant: str, collection: str) -> list[str | None]:
        """Return None for what may be shelved, else the rail's code. Masking happens on the way out.

        Raises Unscreened for what is still undecided when asked alone: a rail that ran out of time says
        nothing about the file.
        """
        rails = self._bound(tenant, collection)
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
    owner = f"Another process owns the library in {settings.home}: end it, or ask through its server."
    with _locked(settings.home / "lock", owner):
        yield


@contextmanager
def _alone(settings: ApiSettings) -> Iterator[None]:
    """Keep other processes from settling a restore while this one is at it. Raises Locked."""
    settings.home.parent.mkdir(parents=True, exist_ok=True)
    restoring = f"A backup is being restored to {settings.home}: wait until it is."
    with _locked(settings.home.with_name(f"{settings.home.name}.restore-lock"), restoring):
        yield


@contextmanager
def _locked(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a lock file. Raises Locked, which says `otherwise`, where another process holds it."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise Locked(otherwise) from None
    try:
        yield
    finally:
        lock.release()


def _settle(settings: ApiSettings) -> None:
    from ingest.backup import is_unsettled, recover

    if is_unsettled(settings.home):
        with _alone(settings):
            recover(settings.home)


async def back_up(settings: ApiSettings, target: Path) -> int:
    """Write the home to the file `target`; returns how many files it holds. Raises Locked, LibraryError.

    The home is owned meanwhile, so that index, registry and files are of one moment. A Qdrant server's points
    are its own to keep (a snapshot of the collection); everything else is in.
    """
    from ingest.backup import stage_home, write

    _settle(settings)
    if not (settings.home / "registry.sqlite").is_file():
        raise Missing(f"There is no library in {settings.home}; name its folder with --home.")
    with _owned(settings), TemporaryDirectory(prefix=".backup-", dir=target.parent) as folder:
        stage = Path(folder)
        await asyncio.to_thread(stage_home, settings.home, stage, without=frozenset({"index"}))
        if (settings.home / "index").is_dir():
            from ingest.shards import copy_sparse

            await asyncio.to_thread(copy_sparse, settings.home / "index", stage / "index")
        return len((await asyncio.to_thread(write, stage, target)).files)


async def restore_home(settings: ApiSettings, source: Path) -> int:
    """Put the home that `source` holds in the place of this one; returns how many files it holds."""
    from ingest.backup import recover, restore

    with _alone(settings):
        recover(settings.home)
        with _owned(settings) if settings.home.is_dir() else nullcontext():
            return len((await asyncio.to_thread(restore, source, settings.home)).files)


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
    """Return the local weights that write down what is said in films; None where they are not there."""
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
