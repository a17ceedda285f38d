"""The tables among the evidence, each read into rows and cells once, with what stands above it on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent import words
from agent.cells import Cell, Row, Table, read_table
from agent.state import Operand, Run, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A table of the evidence: its number, and its rows."""

    source: Source
    table: Table

    @property
    def n(self) -> int:
        """The evidence number."""
        return self.source.n


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A cell with where it stands."""

    sheet: Sheet
    row: Row
    cell: Cell

    def operand(self) -> Operand:
        """Return it as what a sum stands on."""
        return {
            "evidence": self.sheet.n,
            "label": self.row.name,
            "head": self.cell.head,
            "value": self.cell.text,
        }


async def read_sheets(run: Run, sources: Sequence[Source]) -> list[Sheet]:
    """Read every source that is a table; those whose rows have no heads learn them from what stands above."""
    found: list[Sheet] = []
    for source in sources:
        if " | " not in source.text:
            continue
        table = read_table(source.text, heading=source.chunk.heading)
        if table.rows and not (table.heads and table.scale):
            above = await _above(run, source)
            table = read_table(source.text, heading=source.chunk.heading, above=above) if above else table
        if table.rows:
            found.append(Sheet(source=source, table=table))
    return found


async def _above(run: Run, source: Source) -> str:
    """Return the text right above a table on its page, as far as the rails let it pass; "" for none."""
    page = await run.library.on_page(source.chunk.document_id, source.chunk.page_no, scope=run.question.scope)
    place = next((i for i, chunk in enumerate(page) if chunk.id == source.chunk.id), 0)
    if place == 0:
        return ""
    before = page[place - 1]
    if before.id not in run.passed:
        (verdict,) = await run.rails.screen("evidence", [before.text])
        if not verdict.allowed:
            return ""
        run.passed[before.id] = verdict.text
    lines = run.passed[before.id].splitlines()
    return "\n".join(line for line in lines if " | " not in line)[-400:]


def one_document(question: str, sources: Sequence[Source]) -> list[Source]:
    """Return the sources of the one document that the question is about: named in it, else of the best hit."""
    if not sources:
        return []
    asked = [name for name in words.names(question) if len(name) > 2]

    def named(source: Source) -> int:
        title = words.squashed(source.title)
        return sum(words.squashed(name) in title for name in asked) + sum(
            year in source.title for year in words.numbers(question) if len(year) == 4
        ) * bool(asked)

    best = max(sources, key=lambda s: (named(s), s.score))
    return [s for s in sources if s.chunk.document_id == best.chunk.document_id]
