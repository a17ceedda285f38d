"""Pages made for pictures and measurements: difficult ones to look at, documents of any length, by a seed.

Written with the PDF writer of the tests (Helvetica, lines and rectangles), so that they come out the same on
every machine and belong to nobody else. `python tests/bench/made_pages.py FOLDER` reads the five difficult
pages as `pagewarden read` does and writes each with its elements drawn on it.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import anyio
import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ingest.outlines import outline
from ingest.pages import render_pdf
from ingest.reading import Reader
from ingest.settings import IngestSettings
from ingest.sources import open_source
from tests.ingest.tiny_pdf import Sheet, Text, tiny_pdf

SEED = 7
WIDTH, HEIGHT = 595.0, 842.0
#: Largest a picture in `docs/` may be, bytes.
MAX_PICTURE = 250_000
#: Advance widths of Helvetica, thousandths of the size, from space to tilde.
_ADVANCES = [
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
]


def advance(text: str, size: float) -> float:
    """Return how wide a text is set in Helvetica, points."""
    return sum(_ADVANCES[ord(c) - 32] if 32 <= ord(c) < 127 else 556 for c in text) * size / 1000


@dataclass(kw_only=True)
class Canvas:
    """A page in the making; y counts from the top as shown, points."""

    width: float = WIDTH
    height: float = HEIGHT
    texts: list[Text] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)

    def write(self, x: float, y: float, text: str, *, size: float = 10, bold: bool = False) -> None:
        """Set one line with its baseline at y."""
        self.texts.append(Text(x=x, y=self.height - y, text=text, size=size, bold=bold))

    def flow(
        self, x: float, y: float, width: float, text: str, *, size: float = 10, bold: bool = False
    ) -> float:
        """Set a paragraph; return the baseline below it."""
        for line in lines(text, width, size):
            self.write(x, y, line, size=size, bold=bold)
            y += 1.3 * size
        return y

    def line(self, x0: float, y0: float, x1: float, y1: float, *, width: float = 0.7) -> None:
        """Draw a line."""
        self.operators.append(f"{width} w {x0} {self.height - y0} m {x1} {self.height - y1} l S")

    def box(self, x0: float, y0: float, x1: float, y1: float, *, grey: float | None = None) -> None:
        """Draw a rectangle, outlined, or filled with a grey."""
        place = f"{x0} {self.height - y1} {x1 - x0} {y1 - y0} re"
        self.operators.append(f"0.7 w {place} S" if grey is None else f"{grey} g {place} f 0 g")

    def sheet(self) -> Sheet:
        """Return the page as the PDF writer takes it."""
        media_box = (0.0, 0.0, self.width, self.height)
        return Sheet(texts=self.texts, under="\n".join(self.operators), media_box=media_box)

    def turned_sheet(self) -> Sheet:
        """Return a landscape page as printers make it: set on its side and turned by the viewer."""
        texts = [
            Text(x=self.height - t.y, y=t.x, text=t.text, size=t.size, bold=t.bold, turn=90)
            for t in self.texts
        ]
        # Turn the user space of the drawing likewise: (x, y) goes to (height - y, x).
        operators = "\n".join(["q", f"0 1 -1 0 {self.height} 0 cm", *self.operators, "Q"])
        media_box = (0.0, 0.0, self.height, self.width)
        return Sheet(texts=texts, under=operators, media_box=media_box, rotate=90)


def lines(text: str, width: float, size: float) -> Iterator[str]:
    """Break a text into lines; words longer than a third of the column are hyphenated where they must be."""
    line = ""
    for word in text.split():
        wider = f"{line} {word}".strip()
        if advance(wider, size) <= width:
            line = wider
            continue
        cut = len(word) // 2
        if len(word) > 9 and word.isalpha() and advance(f"{line} {word[:cut]}-", size) <= width:
            yield f"{line} {word[:cut]}-".strip()
            line = word[cut:]
            continue
        yield line
        line = word
    if line:
        yield line


# --- the five difficult pages


TIDES = (
    "The gauge at the outer mole records the level of the water every six minutes and has done so since the "
    "spring of 1931. Before that year the harbour master read a painted staff twice a day and entered the "
    "figure in a ledger, which survives."
)
SILT = (
    "Sedimentation in the approach channel follows the river, not the sea. In wet winters the deposit tops "
    "forty centimetres, and the dredger works for nine weeks; in dry ones three are enough. The records of "
    "both places show that the discharge of the preceding ninety days explains most of the variation."
)


def columns() -> Sheet:
    """Make a paper in two columns: abstract across, a figure with its caption, footnotes, running head."""
    page = Canvas()
    page.write(60, 40, "Proceedings of the Harbour Society, vol. 12", size=8)
    page.write(515, 40, "117", size=8)
    page.write(60, 90, "Ninety Years of Silt in the Approach Channel", size=20, bold=True)
    page.write(60, 112, "E. Marlow and T. Ashby", size=11)
    page.write(60, 140, "Abstract", size=11, bold=True)
    page.flow(60, 156, 475, f"{TIDES} {SILT}", size=9.5)
    y = page_column(page, 60, 250, ("1 Introduction", f"{TIDES} {TIDES}"), ("2 Measurements", SILT))
    chart(page, 60, y + 6, 225, 120)
    page.flow(60, y + 144, 225, "Figure 1: Deposit in the channel by winter, in centimetres.", size=8.5)
    page_column(page, 310, 250, ("3 Results", f"{SILT} {SILT}"), ("4 Discussion", f"{TIDES} {SILT}"))
    page.line(60, 745, 150, 745)
    page.flow(60, 757, 225, "1 Levels are given above the lowest astronomical tide.", size=7.5)
    page.flow(60, 770, 225, "2 The ledger is kept in the town archive, shelf 44.", size=7.5)
    return page.sheet()


def page_column(page: Canvas, x: float, y: float, *sections: tuple[str, str]) -> float:
    """Set sections below each other in a column of 225 points."""
    for title, text in sections:
        page.write(x, y, title, size=12, bold=True)
        y = page.flow(x, y + 17, 225, text) + 10
    return y


def chart(page: Canvas, x: float, y: float, width: float, height: float) -> None:
    """Draw a bar chart with its axis labels."""
    page.line(x + 24, y, x + 24, y + height - 14)
    page.line(x + 24, y + height - 14, x + width, y + height - 14)
    for place, value in enumerate((31, 44, 18, 52, 27, 39)):
        left = x + 36 + place * 31
        page.box(left, y + height - 14 - 1.8 * value, left + 19, y + height - 14, grey=0.55)
        page.write(left, y + height - 3, f"'{place + 17}", size=7)
    for value in (0, 20, 40):
        page.write(x + 6, y + height - 12 - 1.8 * value, str(value), size=7)


def spans() -> Sheet:
    """Make a ruled table with cells over several rows and columns, some of them in two lines."""
    page = Canvas()
    page.write(60, 80, "Schedule of dues", size=18, bold=True)
    y = page.flow(
        60, 104, 475, "Dues are paid before the ship leaves. All amounts are in crowns for one day."
    )
    page.write(60, y + 16, "Table 3: Berths, by length of the ship and by season", size=9)
    top = y + 26
    xs, ys = [60, 150, 235, 320, 405, 535], [top + 24 * n for n in range(8)]
    grid = [
        (0, 0, 2, 1, "Quay"),
        (0, 1, 1, 2, "Summer"),
        (0, 3, 1, 2, "Winter"),
        (1, 1, 1, 1, "to 24 m"),
        (1, 2, 1, 1, "over 24 m"),
        (1, 3, 1, 1, "to 24 m"),
        (1, 4, 1, 1, "over 24 m"),
        (2, 0, 2, 1, "North quay"),
        (2, 1, 1, 1, "41"),
        (2, 2, 1, 1, "63"),
        (2, 3, 1, 1, "29"),
        (2, 4, 1, 1, "44"),
        (3, 1, 1, 2, "closed at low water"),
        (3, 3, 1, 1, "25"),
        (3, 4, 1, 1, "not let"),
        (4, 0, 1, 1, "East quay"),
        (4, 1, 1, 1, "38"),
        (4, 2, 1, 1, "58"),
        (4, 3, 1, 1, "26"),
        (4, 4, 1, 1, "40"),
        (5, 0, 2, 1, "Fish quay"),
        (5, 1, 2, 4, "free of charge for boats that land a catch; others pay the dues of the north quay"),
    ]
    for row, col, down, across, text in grid:
        x0, x1, y0, y1 = xs[col], xs[col + across], ys[row], ys[row + down]
        page.box(x0, y0, x1, y1)
        page.flow(x0 + 6, y0 + 15, x1 - x0 - 12, text, size=9, bold=row < 2)
    page.flow(
        60,
        ys[7] + 20,
        475,
        "a) Ships of the pilots and of the lifeboat service pay nothing at any quay.",
        size=8,
    )
    return page.sheet()


def landscape() -> Sheet:
    """Make a landscape page that the viewer turns: a wide table without rules, told apart by alignment."""
    page = Canvas(width=HEIGHT, height=WIDTH)
    page.write(50, 60, "Traffic by month", size=18, bold=True)
    page.write(50, 84, "Arrivals and goods landed, all quays; goods in tonnes.", size=10)
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    dice = random.Random(SEED)
    rows = [("Quay", *months)]
    rows += [(name, *(f"{dice.randint(90, 4000):,}" for _ in months)) for name in QUAYS]
    for place, row in enumerate(rows):
        y = 130 + 27 * place
        page.write(50, y, row[0], size=9, bold=place == 0)
        for column, text in enumerate(row[1:]):
            right = 190 + 53 * column
            page.write(right - advance(text, 9), y, text, size=9, bold=place == 0)
    page.write(50, 430, "Figures of the fish quay are estimates from May on.", size=8)
    return page.turned_sheet()


QUAYS = (
    "North quay",
    "East quay",
    "Fish quay",
    "Coal pier",
    "Ferry berth",
    "Dry dock",
    "Outer mole",
    "Marina",
)


def form() -> Sheet:
    """Make a form that was filled in: boxed fields, tick boxes, small print."""
    page = Canvas()
    page.write(60, 76, "Application for a berth", size=18, bold=True)
    page.write(60, 96, "Form H-12. Please fill in block letters.", size=9)
    fields = [
        (60, 120, 235, "Name of the ship", "MARY ANN"),
        (310, 120, 225, "Port of registry", "ASHBY"),
        (60, 172, 150, "Length over all (m)", "23.40"),
        (225, 172, 150, "Draught (m)", "2.15"),
        (390, 172, 145, "Year built", "1987"),
        (60, 224, 475, "Owner, with address", "E. MARLOW, 4 MOLE ROAD, ASHBY"),
    ]
    for x, y, width, label, value in fields:
        page.box(x, y, x + width, y + 42)
        page.write(x + 5, y + 11, label, size=7.5)
        page.write(x + 8, y + 31, value, size=12)
    page.write(60, 296, "Quay wanted (tick one)", size=11, bold=True)
    for place, name in enumerate(("North quay", "East quay", "Fish quay", "No preference")):
        y = 312 + 20 * place
        page.box(60, y, 70, y + 10)
        if place == 1:
            page.line(61, y + 1, 69, y + 9, width=1.4)
            page.line(69, y + 1, 61, y + 9, width=1.4)
        page.write(78, y + 9, name)
    page.write(60, 424, "Conditions", size=11, bold=True)
    page.flow(60, 440, 475, f"1. The berth is let by the day. 2. {TIDES} 3. {SILT}", size=7.5)
    page.line(330, 560, 535, 560)
    page.write(330, 572, "Place, date and signature", size=7.5)
    return page.sheet()


def letter() -> Sheet:
    """Make a letter with a small table: the page that is printed and scanned."""
    page = Canvas()
    page.write(60, 90, "Harbour Office", size=16, bold=True)
    page.write(400, 90, "Ashby, 4 March 1968", size=11)
    y = page.flow(60, 150, 475, f"Dear Mr Marlow, {TIDES}", size=12)
    page.write(60, y + 20, "What was dredged", size=14, bold=True)
    top = y + 36
    table = [
        ("Winter", "Weeks", "Depth (cm)"),
        ("1965/66", "9", "44"),
        ("1966/67", "3", "18"),
        ("1967/68", "7", "31"),
    ]
    for row, cells in enumerate(table):
        for column, text in enumerate(cells):
            x0, y0 = 60 + 130 * column, top + 26 * row
            page.box(x0, y0, x0 + 130, y0 + 26)
            page.write(x0 + 8, y0 + 18, text, size=12, bold=row == 0)
    y = page.flow(60, top + 140, 475, SILT, size=12)
    page.flow(60, y + 20, 475, "Yours faithfully, T. Ashby, harbour master", size=12)
    return page.sheet()


def scan(sheet: Sheet) -> bytes:
    """Print a page to pixels and scan it badly: skewed, blurred, uneven light, noise, JPEG."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.pdf"
        path.write_bytes(tiny_pdf([sheet]))
        clean = Image.open(BytesIO(render_pdf(path, 1, dpi=150))).convert("L")
    skewed = clean.rotate(1.3, Image.Resampling.BICUBIC, fillcolor=255).filter(ImageFilter.GaussianBlur(0.7))
    grain = np.random.default_rng(SEED)
    light = np.linspace(0, 26, skewed.width)[None, :]
    noisy = np.asarray(skewed, np.float32) - light + grain.normal(0, 9, (skewed.height, skewed.width))
    specks = grain.random(noisy.shape) < 0.0006
    noisy[specks] = 40
    out = BytesIO()
    picture = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    picture.save(out, "PDF", resolution=150, quality=60)
    return out.getvalue()


#: The pages for `docs/reading/`: name → the file of one page.
DIFFICULT: dict[str, Callable[[], bytes]] = {
    "two-columns": lambda: tiny_pdf([columns()]),
    "table-with-spans": lambda: tiny_pdf([spans()]),
    "turned-table": lambda: tiny_pdf([landscape()]),
    "noisy-scan": lambda: scan(letter()),
    "form": lambda: tiny_pdf([form()]),
}


# --- documents of any length


WORDS = [
    "harbour",
    "channel",
    "gauge",
    "winter",
    "deposit",
    "river",
    "ledger",
    "quay",
    "vessel",
    "tide",
    "current",
    "survey",
    "record",
    "measure",
    "depth",
    "season",
    "dredger",
    "staff",
    "level",
    "mole",
    "berth",
    "pilot",
    "signal",
    "lantern",
    "weather",
    "pressure",
    "discharge",
    "variation",
    "estimate",
    "the",
    "of",
    "and",
    "in",
    "to",
    "by",
    "for",
    "with",
    "from",
    "on",
    "at",
    "over",
    "under",
    "between",
    "before",
    "after",
    "during",
    "without",
    "within",
]


def a_page_of_text(no: int, dice: random.Random) -> Sheet:
    """Make an ordinary page: heading, paragraphs, running head, page number; every fifth carries a table."""
    page = Canvas()
    page.write(60, 40, "Yearbook of the harbour", size=8)
    page.write(520, 810, str(no), size=8)
    page.write(60, 80, f"{no} {sentence(dice, 4)[:-1]}", size=14, bold=True)
    y = 104.0
    if no % 5 == 0:
        y = a_table(page, y, dice) + 24
    while y < 730:
        y = page.flow(60, y, 475, " ".join(sentence(dice, dice.randint(8, 18)) for _ in range(4))) + 8
    return page.sheet()


def a_table(page: Canvas, top: float, dice: random.Random) -> float:
    """Rule a table of seven rows and five columns; return its lower edge."""
    for row in range(7):
        for column in range(5):
            x0, y0 = 60 + 95 * column, top + 20 * row
            page.box(x0, y0, x0 + 95, y0 + 20)
            text = dice.choice(WORDS) if row == 0 or column == 0 else f"{dice.randint(1, 9999):,}"
            page.write(x0 + 5, y0 + 14, text, size=9, bold=row == 0)
    return top + 140


def sentence(dice: random.Random, words: int) -> str:
    """Say nothing in so many words."""
    return " ".join(dice.choices(WORDS, k=words)).capitalize() + "."


def a_document(pages: int) -> bytes:
    """Make a document of so many pages, all different."""
    dice = random.Random(SEED)
    return tiny_pdf([a_page_of_text(no, dice) for no in range(1, pages + 1)])


# --- pictures


async def picture(name: str, content: bytes, folder: Path) -> Path:
    """Read a page and write it with its elements drawn on it, small enough for `docs/`."""
    settings = IngestSettings(page_timeout_s=900)  # nobody waits for it, and the machine may be busy
    path = folder / f"{name}.pdf"
    await anyio.Path(path).write_bytes(content)
    source = open_source(path, name=path.name, settings=settings)
    reader = Reader(settings)
    reading = await reader.read(source, pages_dir=folder, on_page=lambda done, total: None)
    for longest in (1400, 1200, 1000, 800):
        image = await reader.render(path, source.media_type, 1, pages_dir=folder, dpi=150, longest=longest)
        drawn = outline(image, reading.pages[0], form="webp")
        if len(drawn) < MAX_PICTURE:
            break
    target = folder / f"{name}.webp"
    await anyio.Path(target).write_bytes(drawn)
    return target


async def pictures(into: Path, names: Sequence[str]) -> None:
    """Write the pictures of the difficult pages into a folder."""
    into.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            made = await picture(name, DIFFICULT[name](), Path(folder))
            target = into / made.name
            target.write_bytes(made.read_bytes())
            print(f"{target} ({target.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    anyio.run(pictures, Path(sys.argv[1]), list(DIFFICULT))
