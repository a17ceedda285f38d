"""Is what code computed true of the evidence? Asked of every sentence with sums, from the cited text anew.

The operands must stand in the cited tables under the label and head that they claim, every sum must come out
again, and the sentence may say no figure, time, scale or word besides. So a changed operand, a changed
result, a swapped period, a wrong scale and an operand from a page that is not cited all fail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent import words
from agent.cells import Table
from agent.lookup import Asked, Match, in_period, understood
from agent.periods import asked
from agent.sheets import Sheet, label_in, read_sheets
from agent.state import Drafted, Operand, Run, Source, Sum
from agent.sums import again

#: Words that a sentence of code's own may use beside the evidence's and the question's.
_OWN = frozenset(
    words.stem(w)
    for w in [
        "yes",
        "increased",
        "decreased",
        "stayed",
        "increase",
        "decrease",
        "change",
        "percentage",
        "points",
        "million",
        "millions",
        "thousand",
        "thousands",
        "billion",
        "billions",
        "average",
        "mean",
        "abs",
        "highest",
        "lowest",
        "largest",
        "smallest",
        "biggest",
        "greatest",
        "fewest",
        "maximum",
        "minimum",
        "rows",
        "row",
        "against",
        "result",
        "less",
        "as",
        "share",
        "margin",
        "ratio",
        "rate",
        "turnover",
        "coverage",
        "payout",
        "return",
        "debt",
        "equity",
        "cost",
        "sales",
        "revenue",
        "gross",
        "net",
        "profit",
        "operating",
        "effective",
        "tax",
        "quick",
        "current",
        "cash",
        "working",
        "capital",
        "free",
        "flow",
        "fixed",
        "asset",
        "assets",
        "inventory",
        "interest",
        "dividend",
        "expenditures",
        "ebitda",
        "printed",
    ]
)
_SCALE = re.compile(r"\b(thousand|million|billion)s?\b", re.IGNORECASE)


async def proven(draft: Drafted, cited: Sequence[Source], *, run: Run, question: str) -> bool:
    """Say whether a sentence with sums follows from the tables it cites."""
    sums = draft.get("sums", [])
    sheets = {sheet.n: sheet for sheet in await read_sheets(run, cited)}
    tables = {n: sheet.table for n, sheet in sheets.items()}
    claim = understood(question, list(sheets.values()))
    operands = [operand for made in sums for operand in made["operands"]]
    if not operands or not all(_stands(operand, tables) for operand in operands):
        return False
    text = draft["text"]
    used = [operand for made in sums for operand in _used(made)]
    return (
        all(again(made) and made["result"] in text for made in sums)
        and all(_placed(operand, text, sheets[operand["evidence"]], claim) for operand in used)
        and _says_nothing_else(text, sums, used, tables, question, cited)
    )


def _stands(operand: Operand, tables: dict[int, Table]) -> bool:
    """Say whether a cited table has this cell, under this label and this head."""
    table = tables.get(operand["evidence"])
    return table is not None and any(
        label_in(table, row) == operand["label"]
        and cell.head == operand["head"]
        and cell.text == operand["value"]
        for row in table.rows
        for cell in row.cells
    )


def _used(made: Sum) -> list[Operand]:
    """Return the operands that a sentence has to name: of a maximum only the one that it is."""
    if made["op"] == "count":
        return []
    if made["op"] in ("max", "min"):
        return [operand for operand in made["operands"] if operand["value"] == made["result"]]
    return made["operands"]


def _placed(operand: Operand, text: str, sheet: Sheet, claim: Asked) -> bool:
    """Say whether the sentence gives an operand with its label, and under its own head or in its time."""
    if operand["label"] not in text or operand["value"] not in text:
        return False
    head, value = operand["head"], operand["value"]
    if not head or f"{value} ({head})" in text or f"{head}: {value}" in text:
        return True
    named = re.findall(rf"(?<![\d,.]){re.escape(value)} in ((?:Q[1-4] )?(?:FY)?\d{{4}})", text)
    return any(_same_time(one, operand, sheet, claim) for one in named)


def _same_time(named: str, operand: Operand, sheet: Sheet, claim: Asked) -> bool:
    """Say whether a time that the sentence names is the operand's column, as a look-up would find it."""
    return any(
        (spot := in_period(Match(score=0.0, sheet=sheet, row=row), period, question=claim)) is not None
        and spot.cell.head == operand["head"]
        for period in asked(named)
        for row in sheet.table.rows
        if label_in(sheet.table, row) == operand["label"]
    )


def _says_nothing_else(
    text: str,
    sums: Sequence[Sum],
    used: Sequence[Operand],
    tables: dict[int, Table],
    question: str,
    cited: Sequence[Source],
) -> bool:
    """Say whether every figure, scale and word of the sentence comes from somewhere."""
    rest = text
    for phrase in sorted(
        {
            part
            for o in used
            for part in (f"{o['value']} ({o['head']})", f"{o['head']}: {o['value']}", o["label"], o["value"])
        }
        | {made["result"] for made in sums},
        key=len,
        reverse=True,
    ):
        rest = rest.replace(phrase, " ") if phrase.strip() else rest
    times = {str(period.year) for period in asked(question)}
    times |= {str(int(year) - 1) for year in times} | {"2"}
    times |= {number for o in used for number in words.numbers(o["head"])}
    if not words.numbers(rest) <= times | {"100"}:
        return False
    scales = {match.casefold() for match in _SCALE.findall(rest)}
    scales |= {match.casefold() for made in sums for match in _SCALE.findall(made["result"])}
    held = {table.scale.removesuffix("s") for table in tables.values()}
    if not scales <= held | {
        m.casefold() for o in used for m in _SCALE.findall(f"{o['value']} {o['label']}")
    }:
        return False
    known = words.content("\n".join([question, *(source.context for source in cited)]))
    known |= words.content("\n".join(table.about for table in tables.values()))
    return words.content(rest) <= known | _OWN
