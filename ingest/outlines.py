"""A page's image with everything that was read drawn on it: each element's box, kind and place in the order.

For people who want to see what reading saw. Pillow draws it; a legend of the kinds on the page stands below.
"""

from __future__ import annotations

from io import BytesIO
from types import MappingProxyType

from PIL import Image, ImageDraw, ImageFont

from ingest.drawing import encode
from ingest.records import Box, Element, ElementKind, Page, PictureFormat

_Colour = tuple[int, int, int]
#: Told apart on white paper and from each other; figures and tables, which enclose others, are the darkest.
COLOURS: MappingProxyType[ElementKind, _Colour] = MappingProxyType(
    {
        "title": (200, 30, 45),
        "paragraph": (30, 110, 210),
        "list": (10, 140, 90),
        "table": (125, 50, 165),
        "figure": (190, 120, 0),
        "caption": (220, 90, 20),
        "formula": (0, 130, 150),
        "footnote": (110, 110, 110),
        "speech": (60, 60, 90),
    }
)
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def outline(image: bytes, page: Page, *, form: PictureFormat = "png") -> bytes:
    """Draw the elements of `page` on its image; elements without a box are only counted in the legend."""
    with Image.open(BytesIO(image)) as opened:
        picture = opened.convert("RGB")
    scale = max(picture.size) / 1400
    pen = ImageDraw.Draw(picture, "RGBA")
    boxes = [(no, one, one.box) for no, one in enumerate(page.elements, start=1) if one.box is not None]
    for _, element, box in boxes:
        _frame(pen, element, box, picture.size, scale)
    # Tags come last, so that no box lies over a number.
    taken = [box for _, _, box in boxes]
    for no, element, box in boxes:
        spot = _spot(pen, f"{no} {_name(element)}", box, taken, picture.size, scale)
        _tag(pen, no, element, spot, picture.size, scale)
    return encode(_with_legend(picture, page, scale), form)


def _frame(pen: ImageDraw.ImageDraw, element: Element, box: Box, size: tuple[int, int], scale: float) -> None:
    colour = COLOURS[element.kind]
    for cell in element.cells:
        if cell.box is not None:
            fill = (*colour, 40) if cell.header else None
            pen.rectangle(_corners(cell.box, size), outline=(*colour, 200), width=1, fill=fill)
    shade = None if element.cells else (*colour, 22)
    pen.rectangle(_corners(box, size), outline=(*colour, 255), width=max(2, round(2 * scale)), fill=shade)


def _tag(
    pen: ImageDraw.ImageDraw, no: int, element: Element, spot: Box, size: tuple[int, int], scale: float
) -> None:
    """Write the element's number and kind into its spot."""
    font = _font(scale)
    x0, y0, x1, y1 = _corners(spot, size)
    pen.rectangle((x0, y0, x1, y1), fill=(*COLOURS[element.kind], 235))
    pen.text(((x0 + x1) / 2, (y0 + y1) / 2), f"{no} {_name(element)}", font=font, fill=_PAPER, anchor="mm")


def _spot(
    pen: ImageDraw.ImageDraw, text: str, box: Box, others: list[Box], size: tuple[int, int], scale: float
) -> Box:
    """Find a place for a tag: beside the box where nothing stands, else above its upper left corner."""
    font = _font(scale)
    wide = (pen.textlength(text, font=font) + 8 * scale) / size[0]
    tall = 18 * scale / size[1]
    for x0 in (box.x0 - wide, box.x1):
        beside = Box(x0=x0, y0=box.y0, x1=x0 + wide, y1=box.y0 + tall)
        if beside.x0 >= 0 and beside.x1 <= 1 and not any(_meet(beside, other) for other in others):
            return beside
    left = min(box.x0, 1 - wide)
    top = box.y0 - tall if box.y0 >= tall else box.y0
    return Box(x0=left, y0=top, x1=left + wide, y1=top + tall)


def _meet(one: Box, other: Box) -> bool:
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


def _name(element: Element) -> str:
    if element.kind == "title" and element.level is not None:
        return f"title {element.level}"
    return f"{element.kind}, by model" if element.by_model else element.kind


def _with_legend(picture: Image.Image, page: Page, scale: float) -> Image.Image:
    font = _font(scale)
    line = round(24 * scale)
    swatches = _swatches(page)
    told = f"Page {page.no}, read by {page.read_by}. {page.reason}"
    flags = f"  [{', '.join(page.flags)}]" if page.flags else ""
    sheet = Image.new("RGB", (picture.width, picture.height + round(2.6 * line)), _PAPER)
    sheet.paste(picture)
    pen = ImageDraw.Draw(sheet)
    pen.line((0, picture.height, picture.width, picture.height), fill=_INK)
    x, y = round(12 * scale), picture.height + round(0.35 * line)
    for text, colour in swatches:
        pen.rectangle((x, y + 3, x + 0.6 * line, y + 3 + 0.6 * line), outline=colour, width=3)
        pen.text((x + 0.8 * line, y), text, font=font, fill=_INK)
        x += round(pen.textlength(text, font=font) + 1.6 * line)
    pen.text((round(12 * scale), y + line), told + flags, font=font, fill=_INK)
    return sheet


def _swatches(page: Page) -> list[tuple[str, _Colour]]:
    counts = {kind: sum(one.kind == kind for one in page.elements) for kind in COLOURS}
    return [(f"{kind} ({n})", COLOURS[kind]) for kind, n in counts.items() if n]


def _font(scale: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(10, round(15 * scale)))


def _corners(box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    width, height = size
    x0, x1 = sorted((box.x0 * width, box.x1 * width))
    y0, y1 = sorted((box.y0 * height, box.y1 * height))
    return min(x0, width - 1), min(y0, height - 1), min(x1, width - 1), min(y1, height - 1)
