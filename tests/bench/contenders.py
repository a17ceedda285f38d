"""Ways to read a PDF, each in a process of its own: `contenders.py NAME WARM_UP FILE` prints what it took.

A file of its own because other programs' contenders run in their own environments, where ours is not
installed: nothing is imported before a contender is chosen. CPU time and memory are those of the process and
of all children that it has.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

#: Resolution of the pages that are rendered: that of our page images.
DPI = 120
#: What a contender opened; closed at the end.
OPEN = ExitStack()


def pagewarden(file: Path, readers: int) -> Callable[[Path], int]:
    """Warm our reader's children with a file and return what reads another."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    import tempfile
    from functools import partial

    from anyio.from_thread import start_blocking_portal

    from ingest.reading import Reader
    from ingest.settings import IngestSettings
    from ingest.sources import open_source

    settings = IngestSettings(readers=readers, threads=readers)
    # One loop for all of it: the children end with it.
    reader, portal = Reader(settings), OPEN.enter_context(start_blocking_portal())

    def read(path: Path) -> int:
        source = open_source(path, name=path.name, settings=settings)
        with tempfile.TemporaryDirectory() as folder:
            call = partial(reader.read, source, pages_dir=Path(folder), on_page=lambda done, total: None)
            reading = portal.call(call)
        # Pages of which eyes read something: it costs a hundred times what a text layer does.
        read.by_eye = sum("OCR" in page.reason for page in reading.pages)  # type: ignore[attr-defined]
        return len(reading.pages)

    for _ in range(readers):
        read(file)
    return read


def pdfium(file: Path, *, render: bool) -> Callable[[Path], int]:
    """Read the bare text with pypdfium2, and render every page where asked for."""
    import pypdfium2

    def read(path: Path) -> int:
        document = pypdfium2.PdfDocument(path)
        for index in range(len(document)):
            page = document[index]
            text = page.get_textpage()
            text.get_text_range()
            if render:
                page.render(scale=DPI / 72)
            text.close()
            page.close()
        pages = len(document)
        document.close()
        return pages

    read(file)
    return read


def unstructured(file: Path) -> Callable[[Path], int]:
    """Partition with unstructured's `fast` strategy.

    Without its spaCy model, which it fetches when it is first used, it returns no element and no error; a
    blank pipeline with sentences stands in then, which is quicker than the model.
    """
    os.environ.setdefault("DO_NOT_TRACK", "true")
    import spacy
    import unstructured.nlp.tokenize as tokenize
    from unstructured.partition.pdf import partition_pdf

    if not spacy.util.is_package("en_core_web_sm"):
        blank = spacy.blank("en")
        blank.add_pipe("sentencizer")
        tokenize._get_nlp = lambda: blank

    def read(path: Path) -> int:
        elements = partition_pdf(str(path), strategy="fast")
        assert elements, "no element came back"
        return max(element.metadata.page_number or 0 for element in elements)

    read(file)
    return read


CONTENDERS: dict[str, Callable[[Path], Callable[[Path], int]]] = {
    "pagewarden": lambda file: pagewarden(file, 1),
    "pagewarden, 2 readers": lambda file: pagewarden(file, 2),
    "pypdfium2 text": lambda file: pdfium(file, render=False),
    "pypdfium2 text + render": lambda file: pdfium(file, render=True),
    "unstructured fast": unstructured,
}


class Meter:
    """CPU seconds, and the most memory, of this process and its children."""

    def __init__(self) -> None:
        self.peak_mb: dict[str, float] = {"own": 0.0, "children": 0.0}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Meter:
        self._cpu = cpu_s()
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self.cpu = cpu_s() - self._cpu
        self._look()
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self._look()

    def _look(self) -> None:
        own, children = resident_mb(os.getpid()), sum(map(resident_mb, children_of(os.getpid())))
        self.peak_mb["own"] = max(self.peak_mb["own"], own)
        self.peak_mb["children"] = max(self.peak_mb["children"], children)


def children_of(pid: int) -> list[int]:
    """Return the processes below `pid`."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        direct = [int(one) for task in tasks for one in (task / "children").read_text().split()]
    except OSError:
        return []
    return direct + [below for child in direct for below in children_of(child)]


def cpu_s() -> float:
    """Return the CPU seconds used so far by this process and those below it."""
    ticks = 0
    for pid in (os.getpid(), *children_of(os.getpid())):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(fields[at]) for at in (11, 12, 13, 14))
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return a process's resident memory, MB."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Run one contender on one file."""
    name, warm_up, file = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    read = CONTENDERS[name](warm_up)
    with OPEN, Meter() as meter:
        pages = read(file)
    package = name.split()[0].rstrip(",")
    told = {
        "pages": pages,
        "by_eye": getattr(read, "by_eye", 0),
        "seconds": meter.seconds,
        "cpu_s": meter.cpu,
        "peak_mb": meter.peak_mb,
        "version": "" if package == "pagewarden" else importlib.metadata.version(package),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
