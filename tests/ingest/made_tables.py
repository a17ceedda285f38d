"""PDF pages with tables whose grids are known, drawn by seed: every kind of table that documents have.

Contents, sizes, gaps and places vary with the seed: a rule that holds here is no rule of one page.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ingest.records import GridCell
from tests.ingest.tiny_pdf import Sheet, Text, tiny_pdf

_WIDTHS = dict(
    zip(
        map(chr, range(32, 127)),
        [278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278]
        + [556] * 10
        + [
            278,
            278,
            584,
            584,
            584,
            556,
            1015,
            667,
            667,
            722,
            722,
            667,
            611,
            778,
            722,
            278,
            500,
            667,
            556,
            833,
        ]
        + [722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333]
        + [556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278]
        + [556, 500, 722, 500, 500, 500, 334, 260, 334, 584],
        strict=True,
    )
)
_NOUNS = [
    "revenue",
    "income",
    "cost",
    "product",
    "service",
    "equipment",
    "tax",
    "interest",
    "cash",
    "debt",
    "equity",
    "inventory",
    "lease",
    "pension",
    "share",
    "segment",
    "market",
    "region",
    "customer",
    "supplier",
    "office",
    "plant",
    "project",
    "license",
    "patent",
    "contract",
    "energy",
    "water",
    "steel",
    "paper",
    "timber",
    "cotton",
    "copper",
    "sensor",
    "engine",
    "filter",
    "valve",
    "pump",
    "motor",
    "cable",
    "frame",
    "panel",
    "module",
    "server",
    "network",
    "storage",
]
_ADJECTIVES = [
    "net",
    "total",
    "other",
    "deferred",
    "accrued",
    "current",
    "long-term",
    "annual",
    "average",
    "fixed",
    "open",
    "direct",
    "gross",
]
_SENTENCES = (
    "The board reviews the figures of each quarter before they are published",
    "Most of the change came from lower prices and a weaker demand in the second half of the year",
    "Readers who compare the periods should bear in mind that two plants were sold in the spring",
    "The method was tested on three sites and gave the same answer within the error of the instrument",
    "A longer series would be needed before anything can be said about the trend of the last decade",
    "The committee asked for a second opinion, which is given in the appendix together with the data",
)


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Width of a line of Helvetica, points."""
    return sum(_WIDTHS.get(c, 556) for c in text) * size / 1000 * (1.06 if bold else 1.0)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A cell of a table to draw."""

    text: str
    rowspan: int = 1
    colspan: int = 1
    header: bool = False
    #: "l", "r", "c", or "$": right with a currency sign at the left edge of the column.
    align: str = "l"
    indent: float = 0.0
    bold: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A table to draw: each row's slots stand at their columns; missing ones are empty."""

    rows: Sequence[dict[int, Slot]]
    heads: int
    #: "grid", "book" (top, middle, bottom), "rows" (a line under each), "shade" (every other), "none".
    rules: str
    #: Most points a column's text may take before it wraps.
    widest: float = 400.0
    gap: float = 18.0
    valign: str = "top"
    #: Least width of each column: the parts of one table stand in the same columns.
    floors: Sequence[float] = ()

    @property
    def cells(self) -> list[GridCell]:
        return [
            GridCell(
                row=row,
                col=col,
                rowspan=slot.rowspan,
                colspan=slot.colspan,
                text=slot.text,
                header=row < self.heads,
            )
            for row, line in enumerate(self.rows)
            for col, slot in sorted(line.items())
            if slot.text
        ]


@dataclass
class Canvas:
    """What is drawn on a page so far."""

    texts: list[Text] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)

    def line(self, x0: float, y0: float, x1: float, y1: float, width: float = 0.5) -> None:
        self.operators.append(f"{width} w {x0:.2f} {y0:.2f} m {x1:.2f} {y1:.2f} l S")

    def shade(self, x0: float, y0: float, x1: float, y1: float) -> None:
        self.operators.append(f"0.9 g {x0:.2f} {y0:.2f} {x1 - x0:.2f} {y1 - y0:.2f} re f 0 g")

    def text(self, x: float, y: float, text: str, size: float, *, bold: bool = False) -> None:
        self.texts.append(Text(x=round(x, 2), y=round(y, 2), text=text, size=size, bold=bold))


def wrapped(text: str, width: float, size: float, *, bold: bool = False) -> list[str]:
    """Break a text into lines of at most `width` points."""
    lines: list[str] = []
    for word in text.split():
        if lines and width_of(f"{lines[-1]} {word}", size, bold=bold) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def prose(
    canvas: Canvas, rng: random.Random, x: float, y: float, width: float, size: float, lines: int
) -> float:
    """Draw a paragraph of about `lines` lines below `y`; returns where it ends."""
    text = ". ".join(rng.choice(_SENTENCES) for _ in range(lines)) + "."
    for line in wrapped(text, width, size)[:lines]:
        y -= 1.2 * size
        canvas.text(x, y, line, size)
    return y


def draw(canvas: Canvas, plan: Plan, x: float, y: float, size: float) -> tuple[float, float]:
    """Draw a table with its top left corner at (x, y); returns (right edge, lower edge)."""
    pad = plan.gap / 2
    widths = _column_widths(plan, size)
    edges = [x]
    for width in widths:
        edges.append(edges[-1] + width + plan.gap)
    heights = _row_heights(plan, widths, size)
    levels = [y]
    for height in heights:
        levels.append(levels[-1] - height)
    for row, line in enumerate(plan.rows):
        if plan.rules == "shade" and row % 2:
            canvas.shade(x, levels[row + 1], edges[-1], levels[row])
        for col, slot in line.items():
            if slot.text:
                box = (
                    edges[col] + pad,
                    levels[row],
                    edges[col + slot.colspan] - pad,
                    levels[row + slot.rowspan],
                )
                _draw_slot(canvas, plan, slot, box, size)
    _draw_rules(canvas, plan, edges, levels)
    return edges[-1], levels[-1]


def _column_widths(plan: Plan, size: float) -> list[float]:
    count = max(col + slot.colspan for line in plan.rows for col, slot in line.items())
    widths = list(plan.floors) or [2 * size] * count
    for line in plan.rows:
        for col, slot in line.items():
            if slot.colspan == 1:
                extra = slot.indent + (1.4 * size if slot.align == "$" else 0.0)
                natural = width_of(slot.text, size, bold=slot.bold) + extra
                longest = (
                    max(width_of(word, size, bold=slot.bold) for word in slot.text.split() or [""]) + extra
                )
                widths[col] = max(widths[col], min(natural, plan.widest), longest)
    for line in plan.rows:
        for col, slot in line.items():
            if slot.colspan > 1:
                room = sum(widths[col : col + slot.colspan]) + plan.gap * (slot.colspan - 1)
                missing = min(width_of(slot.text, size, bold=slot.bold), plan.widest) - room
                for place in range(col, col + slot.colspan):
                    widths[place] += max(0.0, missing) / slot.colspan
    return widths


def _row_heights(plan: Plan, widths: Sequence[float], size: float) -> list[float]:
    ruled = plan.rules in {"grid", "rows"}
    heights = []
    for line in plan.rows:
        counts = [
            len(_slot_lines(plan, slot, widths, col, size)) for col, slot in line.items() if slot.rowspan == 1
        ]
        heights.append((max(counts, default=1)) * 1.15 * size + (0.8 if ruled else 0.35) * size)
    for row, line in enumerate(plan.rows):
        for col, slot in line.items():
            if slot.rowspan > 1:
                need = len(_slot_lines(plan, slot, widths, col, size)) * 1.15 * size + 0.8 * size
                missing = need - sum(heights[row : row + slot.rowspan])
                heights[row + slot.rowspan - 1] += max(0.0, missing)
    return heights


def _slot_lines(plan: Plan, slot: Slot, widths: Sequence[float], col: int, size: float) -> list[str]:
    room = sum(widths[col : col + slot.colspan]) + plan.gap * (slot.colspan - 1) - slot.indent + 0.1
    return wrapped(slot.text, room, size, bold=slot.bold)


def _draw_slot(
    canvas: Canvas, plan: Plan, slot: Slot, box: tuple[float, float, float, float], size: float
) -> None:
    x0, top, x1, bottom = box
    lines = wrapped(slot.text, x1 - x0 - slot.indent + 0.1, size, bold=slot.bold)
    block = len(lines) * 1.15 * size
    slack = {
        "top": 0.2 * size,
        "middle": (top - bottom - block) / 2,
        "bottom": top - bottom - block - 0.2 * size,
    }
    y = top - max(0.15 * size, slack[plan.valign])
    for line in lines:
        y -= size
        width = width_of(line, size, bold=slot.bold)
        if slot.align == "$":
            canvas.text(x0, y, "$", size, bold=slot.bold)
            line = line.removeprefix("$ ")
            width = width_of(line, size, bold=slot.bold)
        x = {"l": x0 + slot.indent, "c": (x0 + x1 - width) / 2}.get(slot.align, x1 - width)
        canvas.text(x, y, line, size, bold=slot.bold)
        y -= 0.15 * size


def _draw_rules(canvas: Canvas, plan: Plan, edges: Sequence[float], levels: Sequence[float]) -> None:
    left, right = edges[0], edges[-1]
    if plan.rules == "book":
        canvas.line(left, levels[0], right, levels[0], 1.0)
        canvas.line(left, levels[plan.heads], right, levels[plan.heads])
        canvas.line(left, levels[-1], right, levels[-1], 1.0)
        for row in range(plan.heads - 1):
            for col, slot in plan.rows[row].items():
                if slot.colspan > 1 and slot.text:
                    canvas.line(
                        edges[col] + 4, levels[row + 1], edges[col + slot.colspan] - 4, levels[row + 1], 0.4
                    )
    if plan.rules == "rows":
        for level in levels:
            canvas.line(left, level, right, level)
    if plan.rules == "grid":
        owner = _owners(plan)
        rows, columns = len(levels) - 1, len(edges) - 1
        for row in range(rows + 1):
            for col in range(columns):
                if row in {0, rows} or owner.get((row, col), (row, col)) != owner.get(
                    (row - 1, col), (row - 1, col)
                ):
                    canvas.line(edges[col], levels[row], edges[col + 1], levels[row])
        for col in range(columns + 1):
            for row in range(rows):
                if col in {0, columns} or owner.get((row, col), (row, col)) != owner.get(
                    (row, col - 1), (row, col - 1)
                ):
                    canvas.line(edges[col], levels[row], edges[col], levels[row + 1])


def _owners(plan: Plan) -> dict[tuple[int, int], tuple[int, int]]:
    return {
        (row + down, col + across): (row, col)
        for row, line in enumerate(plan.rows)
        for col, slot in line.items()
        for down in range(slot.rowspan)
        for across in range(slot.colspan)
    }


# --- contents


def label(rng: random.Random, words: int = 2) -> str:
    return " ".join([rng.choice(_ADJECTIVES), *rng.sample(_NOUNS, words - 1)]).capitalize()


def amount(rng: random.Random) -> str:
    value = rng.choice([rng.randint(1, 99), rng.randint(100, 9999), rng.randint(10_000, 999_999)])
    return rng.choice(
        [f"{value:,}", f"{value:,}", f"({value:,})", f"{value / 10:,.1f}", f"{value % 100}%", "-"]
    )


def heading(rng: random.Random) -> str:
    return rng.choice(_NOUNS).capitalize()


def years(count: int, rng: random.Random) -> list[str]:
    last = rng.randint(2012, 2024)
    return [str(last - i) for i in range(count)]


def figures(rng: random.Random, *, rules: str, empty: float = 0.0) -> Plan:
    """Labels and right-aligned figures below one line of headers."""
    columns = rng.randint(2, 5)
    names = years(columns, rng) if rng.random() < 0.5 else [heading(rng) for _ in range(columns)]
    bold = rng.random() < 0.5
    head = {0: Slot(text=heading(rng) if rng.random() < 0.6 else "", bold=bold)}
    head |= {i + 1: Slot(text=name, align="r", bold=bold) for i, name in enumerate(names)}
    rows = [head]
    for _ in range(rng.randint(4, 12)):
        values = {
            i + 1: Slot(text="" if rng.random() < empty else amount(rng), align="r") for i in range(columns)
        }
        rows.append({0: Slot(text=label(rng, rng.randint(2, 3))), **values})
    return Plan(rows=rows, heads=1, rules=rules, gap=rng.uniform(10, 30))


def spanning(rng: random.Random, *, rules: str) -> Plan:
    """Two lines of headers, the upper ones over several columns each."""
    groups = rng.randint(2, 3)
    each = rng.randint(2, 3) if groups == 2 else 2
    top = {0: Slot(text="Segment", rowspan=2, bold=True)} if rng.random() < 0.5 else {}
    second: dict[int, Slot] = {}
    for group in range(groups):
        top[1 + group * each] = Slot(text=label(rng), colspan=each, align="c", bold=True)
        for i, year in enumerate(years(each, rng)):
            second[1 + group * each + i] = Slot(text=year, align="r", bold=True)
    rows: list[dict[int, Slot]] = [top, second]
    for _ in range(rng.randint(4, 9)):
        values = {i + 1: Slot(text=amount(rng), align="r") for i in range(groups * each)}
        rows.append({0: Slot(text=label(rng)), **values})
    return Plan(rows=rows, heads=2, rules=rules, gap=rng.uniform(12, 24))


def grouped(rng: random.Random) -> Plan:
    """Ruled, with labels over several rows and section rows over all columns."""
    rows: list[dict[int, Slot]] = [{i: Slot(text=heading(rng), bold=True) for i in range(4)}]
    for _ in range(rng.randint(2, 4)):
        if rng.random() < 0.4:
            rows.append({0: Slot(text=label(rng, 3), colspan=4)})
        count = rng.randint(2, 3)
        for i in range(count):
            first = {0: Slot(text=label(rng), rowspan=count)} if i == 0 else {}
            rest = {1: Slot(text=label(rng))} | {c: Slot(text=amount(rng), align="r") for c in (2, 3)}
            rows.append(first | rest)
    return Plan(
        rows=rows, heads=1, rules="grid", valign=rng.choice(["top", "middle"]), gap=rng.uniform(8, 16)
    )


def wordy(rng: random.Random, *, rules: str) -> Plan:
    """Columns of words, the last of them prose that wraps."""
    names = rng.sample(["Name", "Type", "Status", "Owner", "Description"], 4)
    rows: list[dict[int, Slot]] = [{i: Slot(text=name, bold=True) for i, name in enumerate(names)}]
    for _ in range(rng.randint(3, 7)):
        rows.append(
            {
                0: Slot(text=label(rng)),
                1: Slot(text=rng.choice(_NOUNS)),
                2: Slot(text=rng.choice(["open", "closed", "in review", "not planned"])),
                3: Slot(text=rng.choice(_SENTENCES)),
            }
        )
    return Plan(rows=rows, heads=1, rules=rules, widest=rng.uniform(130, 170), gap=rng.uniform(10, 22))


def short_words(rng: random.Random, *, rules: str) -> Plan:
    """Columns of a word or two, nothing wraps."""
    columns = rng.randint(3, 5)
    rows: list[dict[int, Slot]] = [{i: Slot(text=heading(rng), bold=True) for i in range(columns)}]
    for _ in range(rng.randint(4, 9)):
        rows.append(
            {i: Slot(text=label(rng, rng.randint(2, 3)) if i else label(rng)) for i in range(columns)}
        )
    return Plan(rows=rows, heads=1, rules=rules, gap=rng.uniform(12, 26))


def filing(rng: random.Random) -> Plan:
    """A statement of a filing: a time over all years, sections, indents, currency signs apart, totals."""
    columns = rng.randint(2, 3)
    over = rng.choice(["Years ended December 31,", "Fiscal years ended June 30,", "As of December 31,"])
    rows: list[dict[int, Slot]] = [
        {1: Slot(text=over, colspan=columns, align="c", bold=True)},
        {i + 1: Slot(text=year, align="r", bold=True) for i, year in enumerate(years(columns, rng))},
    ]
    for _ in range(rng.randint(2, 3)):
        rows.append({0: Slot(text=label(rng) + ":")})
        for place in range(rng.randint(2, 5)):
            align = "$" if place == 0 else "r"
            values = [
                f"{'(' if place and rng.random() < 0.3 else ''}{rng.randint(10, 99_999):,}"
                for _ in range(columns)
            ]
            values = [v + ")" if v.startswith("(") else v for v in values]
            sign = "$ " if align == "$" else ""
            rows.append(
                {0: Slot(text=label(rng, rng.choice([2, 3, 7])), indent=8)}
                | {i + 1: Slot(text=sign + v, align=align) for i, v in enumerate(values)}
            )
        total = {i + 1: Slot(text=f"{rng.randint(1000, 99_999):,}", align="r") for i in range(columns)}
        rows.append({0: Slot(text="Total " + rng.choice(_NOUNS))} | total)
    return Plan(rows=rows, heads=2, rules="none", widest=190, gap=rng.uniform(14, 30), valign="bottom")


def pairs(rng: random.Random, *, rules: str) -> Plan:
    """Keys and values, as on the first page of a form."""
    keys = rng.sample(
        ["Name", "Date of issue", "Reference", "Contact", "Order number", "Place", "Valid until"], 5
    )
    values = [label(rng, 3), "12 March 2021", f"AB-{rng.randint(100, 999)}", "Office " + heading(rng)]
    values.append(str(rng.randint(10_000, 99_999)))
    rows = [{0: Slot(text=key), 1: Slot(text=value)} for key, value in zip(keys, values, strict=True)]
    return Plan(rows=rows, heads=0, rules=rules, gap=rng.uniform(14, 40))


def two_line_heads(rng: random.Random, *, rules: str) -> Plan:
    """Headers that wrap over two lines above figures."""
    columns = rng.randint(3, 4)
    rows: list[dict[int, Slot]] = [
        {0: Slot(text="Item", bold=True)}
        | {i + 1: Slot(text=label(rng, 3), align=rng.choice("rc"), bold=True) for i in range(columns)}
    ]
    for _ in range(rng.randint(4, 9)):
        rows.append(
            {0: Slot(text=label(rng))} | {i + 1: Slot(text=amount(rng), align="r") for i in range(columns)}
        )
    return Plan(rows=rows, heads=1, rules=rules, widest=72, gap=rng.uniform(12, 24), valign="bottom")


# --- pages


@dataclass(frozen=True, kw_only=True)
class Made:
    """A PDF and the grids that its pages hold, in reading order: (page number, cells)."""

    pdf: bytes
    grids: list[tuple[int, list[GridCell]]]


Maker = Callable[[random.Random], Plan]
KINDS: dict[str, Maker] = {
    "ruled": lambda rng: figures(rng, rules="grid", empty=0.1),
    "ruled spans": lambda rng: spanning(rng, rules="grid"),
    "ruled groups": grouped,
    "ruled wrapped": lambda rng: wordy(rng, rules="grid"),
    "row lines": lambda rng: figures(rng, rules="rows", empty=0.1),
    "row lines wrapped": lambda rng: wordy(rng, rules="rows"),
    "booktabs": lambda rng: figures(rng, rules="book", empty=0.1),
    "booktabs words": lambda rng: short_words(rng, rules="book"),
    "booktabs spans": lambda rng: spanning(rng, rules="book"),
    "booktabs wrapped": lambda rng: wordy(rng, rules="book"),
    "shaded": lambda rng: figures(rng, rules="shade"),
    "bare figures": lambda rng: figures(rng, rules="none", empty=0.1),
    "bare words": lambda rng: short_words(rng, rules="none"),
    "bare spans": lambda rng: spanning(rng, rules="none"),
    "bare wrapped": lambda rng: wordy(rng, rules="none"),
    "two-line heads": lambda rng: two_line_heads(rng, rules=rng.choice(["none", "book", "grid"])),
    "filing": filing,
    "pairs": lambda rng: pairs(rng, rules=rng.choice(["none", "grid", "rows"])),
}


def page(kind: str, seed: int) -> Made:
    """Draw a page: prose, a table of `kind`, prose."""
    rng = random.Random(f"{kind} {seed}")
    canvas, size = Canvas(), rng.choice([8.0, 9.0, 10.0])
    x, width = rng.uniform(50, 80), 470.0
    y = prose(canvas, rng, x, 790, width, 10, rng.randint(2, 6))
    plan = KINDS[kind](rng)
    if rng.random() < 0.5:
        y -= 24
        canvas.text(x, y, f"Table {rng.randint(1, 9)}: {label(rng, 3)}.", 10)
    right, y = draw(canvas, plan, x, y - rng.uniform(14, 24), size)
    prose(canvas, rng, x, y - rng.uniform(14, 30), width, 10, rng.randint(2, 6))
    sheet = on_sheet(canvas, width=max(595.0, right + 40))
    return Made(pdf=tiny_pdf([sheet]), grids=[(1, plan.cells)])


def on_sheet(canvas: Canvas, *, width: float = 595.0, height: float = 842.0) -> Sheet:
    return Sheet(
        texts=canvas.texts, media_box=(0, 0, round(width), height), under="\n".join(canvas.operators)
    )


def lying(kind: str, seed: int) -> Made:
    """Draw the page of `page` on its side: a landscape table on an upright sheet."""
    rng = random.Random(f"lying {kind} {seed}")
    canvas = Canvas()
    plan = KINDS[kind](rng)
    draw(canvas, plan, 60, 500, 9.0)
    turned = [replace(t, x=595 - t.y, y=t.x, turn=90) for t in canvas.texts]
    operators = "q 0 1 -1 0 595 0 cm\n" + "\n".join(canvas.operators) + "\nQ"
    return Made(pdf=tiny_pdf([Sheet(texts=turned, under=operators)]), grids=[(1, plan.cells)])


def beside(seed: int) -> Made:
    """Draw two tables side by side."""
    rng = random.Random(f"beside {seed}")
    canvas = Canvas()
    y = prose(canvas, rng, 60, 790, 470, 10, 4)
    plans = [replace(KINDS[rng.choice(["booktabs", "ruled"])](rng), gap=9.0) for _ in range(2)]
    plans = [_narrow(plan, 4) for plan in plans]
    right, _ = draw(canvas, plans[0], 50, y - 20, 8.0)
    draw(canvas, plans[1], max(310.0, right + 30), y - 20, 8.0)
    prose(canvas, rng, 60, 400, 470, 10, 4)
    return Made(pdf=tiny_pdf([on_sheet(canvas, width=760)]), grids=[(1, plan.cells) for plan in plans])


def _narrow(plan: Plan, columns: int) -> Plan:
    return replace(plan, rows=[{c: s for c, s in row.items() if c < columns} for row in plan.rows])


def in_a_column(seed: int) -> Made:
    """Draw a page of two columns of prose with a table in one of them."""
    rng = random.Random(f"column {seed}")
    canvas = Canvas()
    plan = _narrow(KINDS[rng.choice(["booktabs", "ruled", "bare figures"])](rng), 3)
    plan = replace(plan, gap=10.0)
    side = rng.randint(0, 1)
    for column, x in enumerate((50.0, 312.0)):
        y = prose(canvas, rng, x, 790, 235, 9, 22)
        if column == side:
            _, y = draw(canvas, plan, x, y - 18, 8.0)
        prose(canvas, rng, x, y - 14, 235, 9, 20)
    return Made(pdf=tiny_pdf([on_sheet(canvas)]), grids=[(1, plan.cells)])


def over_pages(seed: int, *, pages: int = 3, repeat: bool = False, rules: str = "book") -> Made:
    """Draw a table that goes on over pages, its header repeated or not; the grids are the pages' own."""
    rng = random.Random(f"over {seed}")
    plan = replace(figures(rng, rules=rules), widest=150.0)
    rows = list(plan.rows)
    while len(rows) < 40 * pages:
        rows.append(
            {c: replace(slot, text=amount(rng) if c else label(rng, 3)) for c, slot in rows[1].items()}
        )
    plan = replace(plan, floors=_column_widths(replace(plan, rows=rows), 9.0))
    sheets, grids, at = [], [], 1
    for no in range(1, pages + 1):
        canvas = Canvas()
        y = prose(canvas, rng, 60, 790, 470, 10, 4) - 16 if no == 1 else 780.0
        count = int((y - 90) / (9.0 * (1.95 if rules in {"grid", "rows"} else 1.5))) - 1 if no < pages else 9
        head = [rows[0]] if no == 1 or repeat else []
        part = replace(plan, rows=[*head, *rows[at : at + count]], heads=len(head))
        at += count
        _, y = draw(canvas, part, 60, y, 9.0)
        if no == pages:
            prose(canvas, rng, 60, y - 20, 470, 10, 4)
        canvas.text(290, 30, str(no), 9)
        sheets.append(on_sheet(canvas, width=700))
        grids.append((no, part.cells))
    return Made(pdf=tiny_pdf(sheets), grids=grids)
