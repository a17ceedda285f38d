"""The tables among the evidence, read into rows and cells, with what stands above each on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent import words
from agent.cells import Cell, Row, Table, read_table
from agent.screen import screen_chunks
from agent.state import Operand, Run, Source

#: Chunks looked back over, and characters kept, for what heads a table.
_PARTS, _ABOVE_CHARS = 4, 400


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

    @property
    def label(self) -> str:
        """The row's name; with its section where the table has another row of that name."""
        return label_in(self.sheet.table, self.row)

    def operand(self) -> Operand:
        """Return it as what a sum stands on."""
        return {
            "evidence": self.sheet.n,
            "label": self.label,
            "head": self.cell.head,
            "value": self.cell.text,
        }


def label_in(table: Table, row: Row) -> str:
    """Return what names a row in its table, and no other."""
    return row.label if any(one.name == row.name and one is not row for one in table.rows) else row.name


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
    """Return the lines above a table on its page, as far as the rails let them pass; "" for none.

    A long table is several chunks: its own earlier parts lend only what stands before their first row.
    """
    page = await run.library.on_page(source.chunk.document_id, source.chunk.page_no, scope=run.question.scope)
    place = next((i for i, chunk in enumerate(page) if chunk.id == source.chunk.id), 0)
    before = page[max(0, place - _PARTS) : place]
    await screen_chunks(before, [], run)
    return above([run.passed.get(chunk.id, "") for chunk in before])


def above(parts: Sequence[str]) -> str:
    """Return what heads a table, from the texts before it in reading order."""
    lines: list[str] = []
    for text in reversed(parts):
        own = text.splitlines()
        first = next((i for i, line in enumerate(own) if " | " in line), None)
        lines = [*own[:first], *lines]
        if first is None:
            break
    return "\n".join(lines)[-_ABOVE_CHARS:]


def one_document(question: str, sources: Sequence[Source]) -> list[Source]:
    """Return the sources of the one document that a question is about: named in it, else of the best hit."""
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
