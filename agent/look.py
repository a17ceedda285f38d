"""Look at the page where words alone are thin: figures, tables and scans among the evidence.

Findings are text, so they pass the rails like any other. A library whose eyes only read words says
`cannot_see` for a photograph, and the answer says so instead of guessing. Eyes that are down cost the answer
what only they could add, never the rest: words still answer.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter

from langgraph.runtime import Runtime

from agent import words
from agent.chart_parts import names_a_chart
from agent.charts import is_about_charts, more_charts
from agent.state import Run, Source, State
from ingest.errors import ModelError
from ingest.vision import Finding

#: What only eyes can tell: nothing of it stands in words, however well these were read.
_VISUAL = re.compile(
    r"\b(?:colou?r(?:s|ed)?|shapes?|(?:photo(?:graph)?|picture|image|logo|icon|drawing|illustration)s?"
    r"|shown|depict\w*|looks? like|wear(?:s|ing)?|blue|red|green|yellow|purple|orange|grey|gray"
    r"|(?:bottom|top|upper|lower)[- ](?:left|right))\b",
    re.I,
)
#: Kinds whose words a look may complete: by eyes that see, and by eyes that only read.
_SEEING = ("figure", "table", "formula")
_READING = ("figure",)
#: Words of the question that the evidence lacks; more are no longer a hint.
_MISSING = 6


async def look(state: State, runtime: Runtime[Run]) -> State:
    """Look at the first few regions of the evidence that words alone do not tell."""
    run = runtime.context
    question = state.get("standalone", state["question"])
    charts = await more_charts(run, state) if is_about_charts(state["question"]) else []
    # Of a chart more may be asked than its words and colours tell.
    drawn = any(one["kind"] == "figure" for one in state.get("evidence", []))
    asks = names_a_chart(state["question"]) or (drawn and is_about_charts(state["question"]))
    sees = run.model is not None and run.model.sees_images
    run.blind = run.blind or (not sees and (bool(charts) or asks))
    seen: State = {"evidence": [*state.get("evidence", []), *charts]} if charts else {}
    return seen | await _looked(run, state, question)


async def _looked(run: Run, state: State, question: str) -> State:
    """Look with whatever eyes there are."""
    visual = bool(_VISUAL.search(question))
    sees = run.model is not None and run.model.sees_images
    sources = await _worth_a_look(run, state, visual=visual, sees=sees)
    if visual and not sees and any(one["kind"] == "figure" for one in state.get("evidence", [])):
        run.blind = True
    if not sources:
        return {"told": ""}
    settings = run.settings
    try:
        async with asyncio.timeout(min(settings.look_s, run.left_s)):
            findings = await run.library.look(
                [s.chunk for s in sources],
                question=asked(question, sources),
                scope=run.question.scope,
                max_tokens=settings.look_tokens,
            )
    except TimeoutError:
        return {"told": f"Looking took longer than {settings.look_s:g} s: going on without"}
    except ModelError as error:
        run.blind = run.blind or visual
        return {"told": f"The eyes failed ({error.code}): going on with words alone"}
    kept = await _screened(run, sources, findings)
    run.blind = run.blind or any(f.outcome == "cannot_see" for f in findings)
    pages = [f"{s.name} p. {s.chunk.page_no}: {f.outcome}" for s, f in zip(sources, findings, strict=True)]
    return {"told": _told(sources, findings, kept), "facts": {"looked_at": pages}}


def asked(question: str, sources: list[Source]) -> str:
    """Ask of the picture what the words around it do not say."""
    known = words.content("\n".join(s.context for s in sources))
    missing = [w for w in dict.fromkeys(re.findall(r"[\w'-]{3,}", question)) if words.content(w) - known]
    if not missing or len(missing) > _MISSING:
        return question
    return f"{question}\nThe text beside it says nothing of: {', '.join(missing)}."


async def _worth_a_look(run: Run, state: State, *, visual: bool, sees: bool) -> list[Source]:
    """Return the regions to look at, best evidence first, each place of a page once."""
    wanted = _SEEING if sees else _READING
    found: dict[tuple[str, int, str], Source] = {}
    for source in await run.sources(state):
        chunk = source.chunk
        if chunk.id not in run.findings and (chunk.kind in wanted or (sees and visual)):
            found.setdefault((chunk.document_id, chunk.page_no, chunk.text), source)
    pictures_first = sorted(found.values(), key=lambda s: visual and s.chunk.kind != "figure")
    return pictures_first[: run.settings.looks]


async def _screened(run: Run, sources: list[Source], findings: list[Finding]) -> int:
    """Keep the findings that the rails let pass; say how many."""
    found = [(s, f.text) for s, f in zip(sources, findings, strict=True) if f.outcome == "found"]
    verdicts = await run.rails.screen("finding", [text for _, text in found]) if found else ()
    for (source, _), verdict in zip(found, verdicts, strict=True):
        if verdict.allowed:
            run.findings[source.chunk.id] = verdict.text
    return sum(verdict.allowed for verdict in verdicts)


def _told(sources: list[Source], findings: list[Finding], kept: int) -> str:
    pages = ", ".join(sorted({f"{s.name} p. {s.chunk.page_no}" for s in sources}))
    outcomes = Counter(f.outcome for f in findings)
    parts = [f"{kept} finding{'s' * (kept != 1)}"] if kept else []
    parts += [f"{outcomes['found'] - kept} stopped by the rails"] if outcomes["found"] > kept else []
    parts += [f"{outcomes['cannot_see']} that only eyes could tell"] if outcomes["cannot_see"] else []
    parts += [f"{outcomes['misread']} misread"] if outcomes["misread"] else []
    parts += [f"{outcomes['unlooked']} left out, beyond the budget"] if outcomes["unlooked"] else []
    return f"Looked at {pages}: " + (", ".join(parts) or "nothing new to see")
