"""The public face of the agent: ask, search, page. Content leaves the house only through here."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

from agent.citations import cite
from agent.graph import ask_graph, search_graph
from agent.records import Answer, Event, Question, Released, SearchResult, Step, Turn
from agent.release import answer_of
from agent.settings import AgentSettings
from agent.state import Policies, Rails, Run, State
from agent.threads import WITHHELD, Threads, readable
from agent.write import writer_for
from guardrails.records import Verdict
from ingest.library import WHOLE, Library
from ingest.records import Box, Chunk, Film, Framing, Hit, Scope
from ingest.served import LanguageModel


class Agent(Protocol):
    """Asks, searches and shows pages, always within a scope and through the rails."""

    def ask(self, question: Question) -> AsyncGenerator[Event, None]:
        """Yield steps and released sentences, then exactly one Answer. Close it to cancel (aclosing)."""
        ...

    async def search(self, query: str, *, scope: Scope, limit: int, channel: str = "") -> SearchResult:
        """Run the first half of the graph: screen the question, retrieve, screen the evidence."""
        ...

    async def threads(self, *, scope: Scope) -> list[str]:
        """List the conversations of the caller."""
        ...

    async def thread(self, thread_id: str, *, scope: Scope) -> tuple[Turn, ...]:
        """Return a conversation's turns as the caller may read them now, () where there is none."""
        ...

    async def forget(self, thread_id: str, *, scope: Scope) -> bool:
        """Delete a conversation; False where there is none."""
        ...

    async def page(
        self,
        document_id: str,
        page_no: int,
        *,
        scope: Scope,
        marks: Sequence[Box] = (),
        framing: Framing = WHOLE,
        channel: str = "",
    ) -> bytes | None:
        """Return a page's image with `marks` highlighted; None where absent or not allowed."""
        ...

    async def passages(
        self, document_id: str, page_no: int, *, scope: Scope, channel: str = ""
    ) -> tuple[str, ...] | None:
        """Return a page as text; None where absent or not allowed."""
        ...

    async def film(self, document_id: str, *, scope: Scope, channel: str = "") -> Film | None:
        """Return a film to be played; None where absent, not allowed, or no film."""
        ...


#: How long a film that the rails let pass is played on without asking them again, seconds.
_PLAYED_S = 20.0


class GuardedAgent:
    """The agent: a graph over a library, a writer, and rails (the same for all, or by who chooses them)."""

    def __init__(
        self,
        *,
        library: Library,
        rails: Rails | Policies,
        model: LanguageModel | None,
        settings: AgentSettings,
        threads: Threads | None = None,
    ) -> None:
        self._library, self._rails, self._model, self._settings = library, rails, model, settings
        self._threads = threads
        #: Until when which film is played to whom without asking the rails again.
        self._played: dict[tuple[str, Scope, str], float] = {}
        self._writer = writer_for(model)
        self._asking = ask_graph()
        self._conversing = ask_graph(threads.saver) if threads is not None else None
        self._searching = search_graph()

    @property
    def library(self) -> Library:
        """What it reads."""
        return self._library

    @property
    def model(self) -> LanguageModel | None:
        """Who writes; None where it quotes."""
        return self._model

    def over(self, library: Library) -> GuardedAgent:
        """Return the same agent over another library; it keeps no threads."""
        return GuardedAgent(library=library, rails=self._rails, model=self._model, settings=self._settings)

    async def ask(self, question: Question) -> AsyncGenerator[Event, None]:
        """Yield steps and released sentences, then exactly one Answer. Close it to cancel (aclosing).

        Raises WriterDown where the model fails mid-answer, ThreadCorrupt for a stored thread that is not
        plain.
        """
        run = self._run(question, limit=self._settings.evidence)
        graph, config = self._asking, None
        if question.thread_id is not None and self._threads is not None and self._conversing is not None:
            thread_id = _owned(question.thread_id, question.scope)
            await self._threads.turns(thread_id)  # raises for a forged row before anything of it is used
            graph, config = self._conversing, {"configurable": {"thread_id": thread_id}}
        steps: list[Step] = []
        state: State = {}
        fresh: State = {
            "question": question.text,
            "round": 0,
            "evidence": [],
            "draft": None,
            "sentences": [],
            "dropped": 0,
            "refused": "",
            "reason": "",
            "stopped": "",
            "found": [],
            "about": "",
        }
        stream = graph.astream(
            fresh,
            config,  # type: ignore[arg-type]
            context=run,
            stream_mode=["custom", "values"],
            durability="exit" if config else None,
        )
        try:
            async with aclosing(stream) as events:  # type: ignore[type-var]
                async for mode, event in events:
                    if mode == "values":
                        state = event  # type: ignore[assignment]
                        continue
                    if isinstance(event, Step):
                        steps.append(event)
                    assert isinstance(event, Step | Released)
                    yield event
        finally:
            await run.close()
        if config is not None and self._threads is not None:
            await self._threads.tidy(thread_id)
        yield answer_of(state, run, steps=tuple(steps))

    async def answer(self, question: Question) -> Answer:
        """Ask and wait for the whole answer."""
        async with aclosing(self.ask(question)) as events:
            async for event in events:
                if isinstance(event, Answer):
                    return event
        raise AssertionError("ask yields exactly one Answer")

    async def search(self, query: str, *, scope: Scope, limit: int, channel: str = "") -> SearchResult:
        """Run the first half of the graph: screen the question, retrieve, screen the evidence."""
        run = self._run(Question(text=query, scope=scope, channel=channel), limit=limit)
        state: State = await self._searching.ainvoke({"question": query}, context=run)  # type: ignore[assignment]
        if state.get("refused"):
            return SearchResult(hits=(), refusal=state["refused"])
        sources = await run.sources(state)
        hits = tuple(
            Hit(
                chunk=replace(s.chunk, text=s.text) if s.text != s.chunk.text else s.chunk,
                document_name=s.name,
                score=s.score,
            )
            for s in sources
        )
        citations = tuple(cite(query, s, n=n) for n, s in enumerate(sources, start=1))
        return SearchResult(hits=hits, citations=citations)

    async def threads(self, *, scope: Scope) -> list[str]:
        """List the conversations of the caller."""
        if self._threads is None:
            return []
        return await self._threads.names(tenant=scope.tenant, owner=scope.owner)

    async def thread(self, thread_id: str, *, scope: Scope) -> tuple[Turn, ...]:
        """Return a conversation's turns as the caller may read them now, () where there is none.

        Raises ThreadCorrupt.
        """
        if self._threads is None:
            return ()
        turns = await self._threads.turns(_owned(thread_id, scope))
        shown = await readable(turns, library=self._library, scope=scope)
        # An answer was let out to whoever asked; somebody else of the tenant may be in other groups.
        answers = [turn["text"] for turn in shown if turn["role"] != "user"]
        rails = self._rails_for(scope, channel="", trace="", heard=[])
        verdicts = iter(await rails.screen("answer", answers) if answers else ())
        return tuple(
            Turn(role="user", text=turn["text"])
            if turn["role"] == "user"
            else Turn(role="assistant", text=next(verdicts).text or WITHHELD)
            for turn in shown
        )

    async def forget(self, thread_id: str, *, scope: Scope) -> bool:
        """Delete a conversation; False where there is none."""
        known = thread_id in await self.threads(scope=scope)
        if known and self._threads is not None:
            await self._threads.delete(_owned(thread_id, scope))
        return known

    async def page(
        self,
        document_id: str,
        page_no: int,
        *,
        scope: Scope,
        marks: Sequence[Box] = (),
        framing: Framing = WHOLE,
        channel: str = "",
    ) -> bytes | None:
        """Return a page's image with `marks` highlighted.

        What the rails stop is painted over. None: absent or not allowed. Raises NoPageImage.
        """
        judged = await self._judged(document_id, page_no, scope=scope, channel=channel)
        veils = [span.box for chunk, verdict in judged if not verdict.allowed for span in chunk.spans]
        return await self._library.page_image(
            document_id, page_no, scope=scope, marks=marks, veils=veils, framing=framing
        )

    async def passages(
        self, document_id: str, page_no: int, *, scope: Scope, channel: str = ""
    ) -> tuple[str, ...] | None:
        """Return a page as text, passage by passage in reading order.

        What the rails stop is left out. None: absent or not allowed.
        """
        document = await self._library.document(document_id, scope=scope)
        if document is None or not 1 <= page_no <= document.pages:
            return None
        judged = await self._judged(document_id, page_no, scope=scope, channel=channel)
        return tuple(verdict.text for _, verdict in judged if verdict.allowed)

    async def film(self, document_id: str, *, scope: Scope, channel: str = "") -> Film | None:
        """Return a film to be played; None where absent, not allowed, or no film.

        Nothing can be painted over in a film: where the rails stop or mask any passage of it, none of it is
        played. Players ask for it piece by piece, so a yes holds for some seconds.
        """
        found = await self._library.film(document_id, scope=scope)
        if found is None:
            return None
        film, chunks = found
        key = (f"{document_id}/{film.revision}", scope, channel)
        if self._played.get(key, 0.0) > time.monotonic():
            return film
        rails = self._rails_for(scope, channel=channel, trace="", heard=[])
        texts = [chunk.text for chunk in chunks]
        verdicts = await rails.screen("evidence", texts) if texts else ()
        if any(not v.allowed or v.text != text for v, text in zip(verdicts, texts, strict=True)):
            return None
        self._played = {k: until for k, until in self._played.items() if until > time.monotonic()}
        self._played[key] = time.monotonic() + _PLAYED_S
        return film

    async def _judged(
        self, document_id: str, page_no: int, *, scope: Scope, channel: str
    ) -> list[tuple[Chunk, Verdict]]:
        """Read a page's chunks through the scope and let the rails judge each."""
        chunks = await self._library.on_page(document_id, page_no, scope=scope)
        rails = self._rails_for(scope, channel=channel, trace="", heard=[])
        verdicts = await rails.screen("evidence", [chunk.text for chunk in chunks]) if chunks else ()
        return list(zip(chunks, verdicts, strict=True))

    def _rails_for(self, scope: Scope, *, channel: str, trace: str, heard: list[Verdict]) -> Rails:
        """Return the rails in force for one request: they stay the same until it ends."""
        if not isinstance(self._rails, Policies):
            return self._rails
        return self._rails.rails_for(
            tenant=scope.tenant,
            collections=scope.collections,
            channel=channel,
            trace=trace,
            heard=heard.extend,
            groups=scope.groups,
        )

    def _run(self, question: Question, *, limit: int) -> Run:
        trace_id = uuid.uuid4().hex
        heard: list[Verdict] = []
        return Run(
            question=question,
            library=self._library,
            rails=self._rails_for(question.scope, channel=question.channel, trace=trace_id, heard=heard),
            verdicts=heard,
            writer=self._writer,
            model=self._model,
            settings=self._settings,
            trace_id=trace_id,
            limit=limit,
            deadline=time.monotonic() + self._settings.budget_s,
        )


def _owned(thread_id: str, scope: Scope) -> str:
    """Return the stored name of a thread: tenants and callers share the store, never a thread."""
    return "/".join(filter(None, (scope.tenant, scope.owner, thread_id)))
