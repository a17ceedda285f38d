"""Searches side by side, hits merged by turns: the best of each query first, no chunk twice."""

from __future__ import annotations

import asyncio
from itertools import zip_longest

from langgraph.runtime import Runtime

from agent.state import Kept, Run, State
from ingest.records import Hit


async def retrieve(state: State, runtime: Runtime[Run]) -> State:
    """Search for each query of the plan within the caller's scope."""
    run = runtime.context
    queries = state["queries"]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(run.library.search(q, scope=run.question.scope, limit=run.limit))
            for q in queries
        ]
    found = [[hit for hit in task.result() if hit.chunk.id not in run.shown] for task in tasks]
    evidence = merge(found, limit=run.limit)
    empty = not any(task.result() for task in tasks) and not await run.library.documents(
        scope=run.question.scope
    )
    run.searched += [q for q in queries if q not in run.searched]
    run.seen |= {one["chunk_id"]: one for one in evidence}
    told = "Searched " + ", ".join(f"“{_short(q)}”" for q in queries)
    return {"evidence": evidence, "reason": "empty_library" if empty else "", "told": told}


def merge(found: list[list[Hit]], *, limit: int) -> list[Kept]:
    """Take hits by turns, best first, each chunk once, `limit` at most."""
    kept: dict[str, Kept] = {}
    for hit in (h for turn in zip_longest(*found) for h in turn if h is not None):
        kept.setdefault(
            hit.chunk.id,
            {
                "chunk_id": hit.chunk.id,
                "document_id": hit.chunk.document_id,
                "name": hit.document_name,
                "page_no": hit.chunk.page_no,
                "kind": hit.chunk.kind,
                "score": round(hit.score, 4),
            },
        )
    return list(kept.values())[:limit]


def _short(query: str) -> str:
    return query if len(query) <= 70 else query[:67] + "…"
