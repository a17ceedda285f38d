"""The fixed words of answers that code takes from tables; `proof.py` reads them back."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from decimal import Decimal

from agent.figures import decimals_of
from agent.periods import Period, of_head
from agent.sheets import Spot
from agent.state import Drafted, Sum
from agent.statements import Worked

YES_NO = re.compile(
    r"^(?:\W|in \w+,|as of [^,]+,)*\s*(?:has|have|had|is|are|was|were|did|does|do)\b", re.IGNORECASE
)
UP = r"improv|increas|\bgrow|grew|rise|rose|risen|higher|expand"
DOWN = r"declin|decreas|drop|fall|fell|shrink|shrank|lower|worse|reduc"
MOVES = re.compile(rf"{UP}|{DOWN}|chang|differen|compar", re.IGNORECASE)
MEAN = re.compile(r"\b(?:average|mean)\b", re.IGNORECASE)


def drafted(text: str, spots: Sequence[Spot], sums: list[Sum]) -> Drafted:
    cited = list(dict.fromkeys(spot.sheet.n for spot in spots))
    return {"text": f"{text.rstrip('.')}.", "evidence": cited, "sums": sums}


def as_printed(spot: Spot) -> Sum:
    return {"op": "value", "operands": [spot.operand()], "result": spot.cell.text}


def with_head(spot: Spot) -> str:
    return f"{spot.cell.text} ({spot.cell.head})" if spot.cell.head else spot.cell.text


def with_time(spot: Spot, period: Period, question: str) -> str:
    """Give a figure with its time in the question's words; the citation shows the head itself."""
    if of_head(spot.cell.head) is None:
        return with_head(spot)
    return f"{spot.cell.text} in {time_told(period, question)}"


def time_told(period: Period, question: str) -> str:
    says_so = re.search(rf"\bFY\s*'?{period.year}|fiscal(?: year)? {period.year}", question, re.IGNORECASE)
    fiscal = "FY" if says_so else ""
    return f"Q{period.quarter} {fiscal}{period.year}" if period.quarter else f"{fiscal}{period.year}"


def scale_note(spot: Spot) -> str:
    """Name the scale of the table, for amounts that stand in it without one."""
    figure = spot.cell.figure
    plain_amount = figure is not None and not spot.cell.text.endswith("%") and not figure.scale
    per_unit = re.search(r"\bper\b|%|ratio|shares?\b|number|stores|employees", spot.row.label, re.IGNORECASE)
    scale = spot.sheet.table.scale if plain_amount and not per_unit else ""
    return f" (in {scale})" if scale else ""


def spelled(found: Worked) -> str:
    """Write a formula with its figures in place: "Net sales 5 (2023) / mean of …"."""
    text = re.sub(r"\*100$", "", found.op[1:])
    text = re.sub(r"abs\((\w)\)", r"\1", text)
    if text.count("(") == 1 and text.startswith("(") and text.endswith(")"):
        text = text[1:-1]
    text = re.sub(r"\(\((\w)\+(\w)\)/2\)", r"mean(\1; \2)", text)
    text = re.sub(r"\((mean\(\w; \w\))\)", r"\1", text)
    pieces = re.split(r"(\b[a-z]\b)", text)
    spelled = [
        f"{found.spots[ord(piece) - 97].label} {with_head(found.spots[ord(piece) - 97])}"
        if len(piece) == 1 and piece in string.ascii_lowercase
        else re.sub(r"([-+*/])", r" \1 ", piece)
        for piece in pieces
    ]
    return "".join(spelled).replace("  ", " ")


def shifted(op: str, by: int) -> str:
    """Move a formula's letters on, so that two can be joined."""
    return re.sub(r"\b[a-z]\b", lambda m: chr(ord(m.group()) + by), op)


def direction(change: Decimal, size: str) -> str:
    if re.fullmatch(r"\D*0(?:\.0+)?\D*", size):
        return "no change"
    return f"{'an increase' if change > 0 else 'a decrease'} of {size}"


def went(change: Decimal) -> str:
    return "increased" if change > 0 else "decreased" if change < 0 else "stayed the same"


def lead(question: str, change: Decimal) -> str:
    """Return "Yes: " or "No: " where the question asks whether something went one way."""
    if not YES_NO.match(question):
        return ""
    up, down = bool(re.search(UP, question, re.I)), bool(re.search(DOWN, question, re.I))
    if up == down:
        return ("Yes: " if change else "No: ") if not up and re.search("chang", question, re.I) else ""
    return "Yes: " if (change > 0 if up else change < 0) else "No: "


def said(period: Period) -> str:
    return f"Q{period.quarter} {period.year}" if period.quarter else str(period.year)


def first_head(spots: Sequence[Spot]) -> str:
    return next((spot.cell.head for spot in spots if spot.cell.head), "as printed")


def scale_word(spots: Sequence[Spot]) -> str:
    return next((spot.sheet.table.scale.removesuffix("s") for spot in spots if spot.sheet.table.scale), "")


def money_sign(spots: Sequence[Spot]) -> str:
    signs = {spot.cell.figure.money for spot in spots if spot.cell.figure and spot.cell.figure.money}
    return signs.pop() if len(signs) == 1 else ""


def printed_decimals(spot: Spot) -> int:
    return decimals_of(spot.cell.text)


def most_decimals(*spots: Spot) -> int:
    return max(printed_decimals(spot) for spot in spots)


def worked_decimals(found: Worked) -> int:
    return max(printed_decimals(spot) for spot in found.spots)


def decimals_asked(question: str, *, default: int) -> int:
    match = re.search(r"\b(one|two|three|1|2|3)\s+decimals?(?:\s+places?)?", question, re.IGNORECASE)
    if match is None:
        return default
    return {"one": 1, "two": 2, "three": 3}.get(match[1].casefold(), 0) or int(match[1])
