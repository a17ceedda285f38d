"""Traces and metrics of a house, by wrapping its agent and its model: what they did, never what was said.

Spans carry the names of OpenTelemetry's GenAI conventions (in development: opted in by naming an address to
send to) and OpenInference's kinds. Nodes tell of themselves by the steps of an answer, so no node knows of
this file. Labels of metrics are bounded: no caller, no document, no text.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel

from agent.records import Answer, Event, Question, SearchResult, Step
from ingest.records import Scope
from ingest.served import Call, LanguageModel, Message, Reasoning

if TYPE_CHECKING:
    from agent.run import Agent

Reply = TypeVar("Reply", bound=BaseModel)

#: Seconds, as the conventions have them for model calls: 0.01 doubled up to 81.92.
_SECONDS = tuple(0.01 * 2**n for n in range(14))
_NODE_SECONDS = (0.001, 0.0025, 0.005, *_SECONDS)
#: What each node is to the conventions, and to OpenInference.
_NODES: Mapping[str, tuple[str, str]] = {
    "screen_question": ("run_guardrail", "GUARDRAIL"),
    "screen_evidence": ("run_guardrail", "GUARDRAIL"),
    "screen_answer": ("run_guardrail", "GUARDRAIL"),
    "plan": ("plan", "CHAIN"),
    "retrieve": ("retrieval", "RETRIEVER"),
}
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Meters:
    """The metrics of one house."""

    registry: CollectorRegistry
    answers: Counter
    seconds: Histogram
    nodes: Histogram
    verdicts: Counter
    dropped: Counter
    models: Histogram
    first: Histogram
    failures: Counter


def _meters() -> _Meters:
    registry = CollectorRegistry()
    answers = ("kind", "reason", "written_by")
    return _Meters(
        registry=registry,
        answers=Counter("pagewarden_answers", "Answers, abstentions, refusals.", answers, registry=registry),
        seconds=Histogram(
            "pagewarden_answer_seconds", "Whole questions.", ["kind"], registry=registry, buckets=_SECONDS
        ),
        nodes=Histogram(
            "pagewarden_node_seconds", "Nodes.", ["node"], registry=registry, buckets=_NODE_SECONDS
        ),
        verdicts=Counter(
            "pagewarden_verdicts",
            "What the rails said of texts.",
            ["hop", "rail", "decision", "mode"],
            registry=registry,
        ),
        dropped=Counter("pagewarden_dropped_sentences", "Sentences left out.", registry=registry),
        models=Histogram(
            "pagewarden_model_seconds", "Calls.", ["purpose"], registry=registry, buckets=_SECONDS
        ),
        first=Histogram(
            "pagewarden_model_first_chunk_seconds",
            "Until a model says its first word.",
            registry=registry,
            buckets=_SECONDS,
        ),
        failures=Counter(
            "pagewarden_model_failures", "Calls without an answer.", ["purpose"], registry=registry
        ),
    )


class Telemetry:
    """Traces and metrics of one house."""

    def __init__(self, *, endpoint: str | None = None, exporter: SpanExporter | None = None) -> None:
        """Send spans to `endpoint` (".../v1/traces") or `exporter`; with neither there are metrics only."""
        self._meters = _meters()
        self._provider: TracerProvider | None = None
        if endpoint is not None or exporter is not None:
            self._provider = TracerProvider(resource=Resource.create({"service.name": "pagewarden"}))
            sending = exporter or OTLPSpanExporter(endpoint=endpoint)
            self._provider.add_span_processor(BatchSpanProcessor(sending))
        self._tracer = (
            trace.NoOpTracer() if self._provider is None else self._provider.get_tracer("pagewarden")
        )

    def agent(self, agent: Agent) -> Agent:
        """Return the agent, watched."""
        return cast("Agent", _WatchedAgent(agent, self._tracer, self._meters))

    def model(self, model: LanguageModel) -> LanguageModel:
        """Return the model, watched."""
        return _WatchedModel(model, self._tracer, self._meters)

    def gauge(self, name: str, told: str, read: Callable[[], float]) -> None:
        """Tell a number that is read when it is asked for."""
        Gauge(name, told, registry=self._meters.registry).set_function(read)

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus' text form."""
        return bytes(generate_latest(self._meters.registry))

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()


class _WatchedAgent:
    """An Agent that is watched while it answers and searches; all else is the agent's own."""

    def __init__(self, agent: Agent, tracer: trace.Tracer, meters: _Meters) -> None:
        self._agent, self._tracer, self._meters = agent, tracer, meters

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    async def ask(self, question: Question) -> AsyncGenerator[Event, None]:
        """Yield what the agent tells; see Agent."""
        span = self._begun("invoke_agent", "AGENT", channel=question.channel)
        start = time.perf_counter()
        inside = trace.set_span_in_context(span)
        try:
            async with aclosing(self._agent.ask(question)) as events:
                while True:
                    # What the agent starts while it is asked for its next event belongs to this span.
                    token = context.attach(inside)
                    try:
                        event = await anext(events)
                    except StopAsyncIteration:
                        break
                    finally:
                        context.detach(token)
                    if isinstance(event, Step):
                        self._step(event, inside)
                    elif isinstance(event, Answer):
                        self._answer(event, span, time.perf_counter() - start)
                    yield event
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            span.end()

    async def search(self, query: str, *, scope: Scope, limit: int, channel: str = "") -> SearchResult:
        """Search; see Agent."""
        span = self._begun("retrieval", "RETRIEVER", channel=channel)
        with trace.use_span(span, end_on_exit=True, record_exception=False):
            found = await self._agent.search(query, scope=scope, limit=limit, channel=channel)
            span.set_attribute("gen_ai.request.top_k", limit)
            span.set_attribute("pagewarden.hits", len(found.hits))
        return found

    def _begun(self, operation: str, kind: str, *, channel: str) -> Span:
        span = self._tracer.start_span(f"{operation} pagewarden", kind=SpanKind.INTERNAL)
        span.set_attributes(
            {
                "gen_ai.operation.name": operation,
                "gen_ai.agent.name": "pagewarden",
                "openinference.span.kind": kind,
                "pagewarden.channel": channel,
            }
        )
        return span

    def _step(self, step: Step, inside: context.Context) -> None:
        """Draw a node's span from what it told when it was done."""
        self._meters.nodes.labels(step.node).observe(step.ms / 1000)
        operation, kind = _NODES.get(step.node, ("execute_node", "CHAIN"))
        end = time.time_ns()
        span = self._tracer.start_span(
            f"{operation} {step.node}", context=inside, start_time=end - int(step.ms / 1000 * _NS)
        )
        span.set_attributes({"gen_ai.operation.name": operation, "openinference.span.kind": kind})
        for said in _rails(step):
            names = ("hop", "rail", "decision", "mode")
            told = {name: str(said.get(name, "")) for name in names}
            self._meters.verdicts.labels(**told).inc(float(cast("int", said.get("texts", 1))))
            span.add_event("verdict", {f"gen_ai.guardrail.{n}": v for n, v in told.items()})
        span.end(end_time=end)

    def _answer(self, answer: Answer, span: Span, seconds: float) -> None:
        self._meters.answers.labels(answer.kind, answer.reason or "", answer.written_by).inc()
        self._meters.seconds.labels(answer.kind).observe(seconds)
        self._meters.dropped.inc(answer.dropped)
        span.set_attributes(
            {
                "pagewarden.trace_id": answer.trace_id,
                "pagewarden.kind": answer.kind,
                "pagewarden.reason": answer.reason or "",
                "pagewarden.sentences": len(answer.sentences),
                "pagewarden.citations": len(answer.citations),
                "pagewarden.dropped": answer.dropped,
            }
        )


def _rails(step: Step) -> Iterator[Mapping[str, object]]:
    said = step.facts.get("rails", ())
    yield from said if isinstance(said, list) else ()


class _WatchedModel:
    """A LanguageModel that is watched while it is asked."""

    def __init__(self, model: LanguageModel, tracer: trace.Tracer, meters: _Meters) -> None:
        self._model, self._tracer, self._meters = model, tracer, meters
        self.name, self.writes_as = model.name, model.writes_as
        self.context_tokens, self.sees_images = model.context_tokens, model.sees_images

    def will_reason(self, reasoning: Reasoning | None = None) -> bool:
        """Say whether it would think; see LanguageModel."""
        return self._model.will_reason(reasoning)

    async def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> AsyncGenerator[str, None]:
        """Yield the answer's text; see LanguageModel."""
        with self._call(call, max_tokens, streams=True) as span:
            start, first = time.perf_counter(), True
            said = self._model.stream(messages, max_tokens=max_tokens, reasoning=reasoning, call=call)
            async with aclosing(said) as pieces:
                async for piece in pieces:
                    if first:
                        first, waited = False, time.perf_counter() - start
                        self._meters.first.observe(waited)
                        span.set_attribute("gen_ai.response.time_to_first_chunk", waited)
                    yield piece

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        schema: type[Reply],
        max_tokens: int,
        reasoning: Reasoning | None = None,
        call: Call | None = None,
    ) -> Reply:
        """Ask by JSON schema; see LanguageModel."""
        with self._call(call, max_tokens, streams=False):
            return await self._model.reply(
                messages, schema=schema, max_tokens=max_tokens, reasoning=reasoning, call=call
            )

    @contextmanager
    def _call(self, call: Call | None, max_tokens: int, *, streams: bool) -> Iterator[Span]:
        purpose = "other" if call is None else call.purpose
        span = self._tracer.start_span(f"chat {self.name}", kind=SpanKind.CLIENT)
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": self.name,
                "gen_ai.request.max_tokens": max_tokens,
                "gen_ai.request.stream": streams,
                "openinference.span.kind": "LLM",
                "pagewarden.purpose": purpose,
            }
        )
        start = time.perf_counter()
        try:
            yield span
        except Exception as error:
            self._meters.failures.labels(purpose).inc()
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            self._meters.models.labels(purpose).observe(time.perf_counter() - start)
            span.end()
