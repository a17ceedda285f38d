"""One search of the plan; the plan sends off one for each of its questions, side by side.

Their hits are merged by turns, the best of each first and no chunk twice, so that no side of a comparison
starves.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import zip_longest

from langgraph.runtime import Runtime

from agent.state import Found, Kept, Run, State
from ingest.records import Chunk, Hit, Scope

#: Evidence that each of several questions gets at least.
_EACH = 5
#: Tables kept for each statement that a measure is computed from, and where they stand among what is found.
_TABLES, _BESIDE = 2, 5


async def retrieve(state: State, runtime: Runtime[Run]) -> State:
    """Search for one question within the caller's scope, or within the documents that it names."""
    run = runtime.context
    (query,) = state["queries"]
    scope = run.question.scope
    narrow = state.get("narrow", [])
    hits = await run.library.search(query, scope=narrowed(scope, narrow), limit=run.limit)
    fresh = [hit for hit in hits if hit.chunk.id not in run.shown]
    evidence = [kept(hit) for hit in fresh]
    if query not in run.searched:
        run.searched.append(query)
    run.seen |= {one["chunk_id"]: one for one in evidence}
    found: list[Found] = [{"place": state.get("place", 0), "hits": evidence}]
    told = f"Searched “{_short(query)}”" + (f" in {len(narrow)} documents" if narrow else "")
    if statements := state.get("statements", []):
        found.append({"place": _BESIDE, "hits": await _tables(statements, evidence, run)})
        told += " and the statements that it is computed from"
    return {"found": found, "told": told, "facts": {"query": query, "hits": [_told(hit) for hit in fresh]}}


async def _tables(statements: list[str], evidence: list[Kept], run: Run) -> list[Kept]:
    """Find the tables that a measure is computed from, in the document that was found first."""
    if not evidence:
        return []
    own = replace(run.question.scope, documents=(evidence[0]["document_id"],))
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(run.library.search(statement, scope=own, limit=run.limit))
            for statement in statements
        ]
    tables = [[kept(hit) for hit in task.result() if hit.chunk.kind == "table"][:_TABLES] for task in tasks]
    return [hit for turn in zip_longest(*tables) for hit in turn if hit is not None]


def narrowed(scope: Scope, documents: list[str]) -> Scope:
    """Narrow a scope to documents that were listed within it; [] leaves it as it is."""
    return replace(scope, documents=tuple(documents)) if documents else scope


def merge(found: list[Found], *, limit: int) -> list[Kept]:
    """Take hits by turns, best first, each chunk once, `limit` at most and more where there are several."""
    merged: dict[str, Kept] = {}
    for hit in (h for turn in zip_longest(*(one["hits"] for one in found)) for h in turn if h is not None):
        merged.setdefault(hit["chunk_id"], hit)
    return list(merged.values())[: max(limit, _EACH * len(found)) if len(found) > 1 else limit]


def kept(hit: Hit) -> Kept:
    """Keep a hit as plain values."""
    return kept_of(hit.chunk, name=hit.document_name, score=hit.score)


def kept_of(chunk: Chunk, *, name: str, score: float) -> Kept:
    """Keep a chunk as plain values."""
    return {
        "chunk_id": chunk.id,
        "document_id": chunk.document_id,
        "name": name,
        "page_no": chunk.page_no,
        "kind": chunk.kind,
        "score": round(score, 4),
    }


def _told(hit: Hit) -> dict[str, object]:
    """Tell a hit for the trace: where it stands and what each leg gave it."""
    legs = {leg: round(score, 4) for leg, score in hit.legs.items()}
    return {"name": hit.document_name, "page_no": hit.chunk.page_no, "score": round(hit.score, 4), **legs}


def _short(query: str) -> str:
    return query if len(query) <= 70 else query[:67] + "…"
