"""What a page image costs: made (cold), kept (warm), marked, cut; in both sizes, in time, CPU time and bytes.

`python tests/bench/page_images.py [PDF]`; without one, pages of the sample library. The reading child is
warmed up apart. CPU time is of this process and its children.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ingest.drawing import draw
from ingest.page_images import PageFiles, PageImages
from ingest.pages import count_pages
from ingest.reading import Reader
from ingest.records import Box, Framing, PictureSize
from ingest.settings import IngestSettings
from tests.bench.contenders import cpu_s
from tests.fakes import a_document

_SAMPLE = Path(__file__).resolve().parents[2] / "docs" / "sample"
_PAGES = 10
_MARK = Box(x0=0.1, y0=0.4, x1=0.9, y1=0.45)


async def costs(pdf: Path) -> None:
    """Print a line for each way to get a page."""
    settings = IngestSettings()
    pages = range(1, min(_PAGES, count_pages(pdf)) + 1)
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        document = replace(a_document(pdf.name), media_type="application/pdf")
        original = files / document.id / document.revision / "original.pdf"
        original.parent.mkdir(parents=True)
        original.write_bytes(await anyio.Path(pdf).read_bytes())
        source = PageFiles(original=original, pages_dir=original.parent)
        reader = Reader(settings)
        images = PageImages(reader, files=files, dpi=settings.image_dpi, max_bytes=settings.image_cache_bytes)
        await reader.render(original, "application/pdf", 1, pages_dir=files, dpi=36)

        def plain(size: PictureSize) -> Callable[[int], Awaitable[bytes]]:
            return lambda no: images.plain(document, no, source=source, size=size)

        async def drawn(no: int, framing: Framing) -> bytes:
            image = await images.plain(document, no, source=source, size="large")
            return await anyio.to_thread.run_sync(
                lambda: draw(image, marks=[_MARK], veils=[], framing=framing)
            )

        print(f"{pdf.name}, {len(pages)} pages: median ms, CPU ms, kB a page")
        for size in ("small", "large"):
            for state in ("cold", "warm"):
                await measure(f"{size}, {state}", pages, plain(size))
        webp, png = Framing(form="webp"), Framing(form="png")
        await measure("large, warm, marked, as WebP", pages, lambda no: drawn(no, webp))
        await measure("large, warm, marked, as PNG", pages, lambda no: drawn(no, png))
        cut = Framing(form="png", cut="marks")
        await measure("region cut from warm, as PNG", pages, lambda no: drawn(no, cut))


async def measure(name: str, pages: range, get: Callable[[int], Awaitable[bytes]]) -> None:
    """Get every page once and print what it took."""
    taken, sizes, cpu = [], [], cpu_s()
    for no in pages:
        began = time.perf_counter()
        sizes.append(len(await get(no)))
        taken.append(1000 * (time.perf_counter() - began))
    spent = 1000 * (cpu_s() - cpu) / len(pages)
    print(f"  {name:30} {median(taken):7.1f} {spent:7.1f} {median(sizes) / 1000:7.1f}")


if __name__ == "__main__":
    asked = [Path(word) for word in sys.argv[1:]]
    for one in asked or [_SAMPLE / "sqlite-file-format.pdf", _SAMPLE / "sqlite-deployment-scan.pdf"]:
        anyio.run(costs, one)
