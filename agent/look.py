"""Look at the page where words alone are thin: figures, scans and pictures among the evidence.

Findings are text, so they pass the rails like any other. A library whose eyes only read words says
`cannot_see` for a photograph, and the answer says so instead of guessing.
"""

from __future__ import annotations

from langgraph.runtime import Runtime

from agent.state import Run, State


async def look(state: State, runtime: Runtime[Run]) -> State:
    """Look at the first few regions of the evidence that words alone do not tell."""
    run = runtime.context
    sees = run.model is not None and run.model.sees_images
    wanted = ("figure", "table", "formula") if sees else ("figure",)
    sources = [
        s for s in await run.sources(state) if s.chunk.kind in wanted and s.chunk.id not in run.findings
    ]
    sources = sources[: run.settings.looks]
    if not sources:
        return {"told": ""}
    question = state.get("standalone", state["question"])
    findings = await run.library.look([s.chunk for s in sources], question=question, scope=run.question.scope)
    found = [(s, f.text) for s, f in zip(sources, findings, strict=False) if f.outcome == "found"]
    verdicts = await run.rails.screen("finding", [text for _, text in found]) if found else ()
    for (source, _), verdict in zip(found, verdicts, strict=True):
        if verdict.allowed:
            run.findings[source.chunk.id] = verdict.text
    run.blind = run.blind or any(f.outcome == "cannot_see" for f in findings)
    pages = ", ".join(sorted({f"{s.name} p. {s.chunk.page_no}" for s in sources}))
    seen = len(found)
    return {"told": f"Looked at {pages}: " + (f"{seen} findings" if seen else "nothing new to see")}
