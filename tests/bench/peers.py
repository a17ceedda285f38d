"""Other readers on the same files: run by `rules.py` with a Python that has them; we need none of them.

`python peers.py NAME FILE...` prints one JSON object a line: the file's name and its text, or why there is
none.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path


def pdfium(path: Path) -> str:
    import pypdfium2

    if path.suffix != ".pdf":
        raise ValueError("reads PDF only")
    document = pypdfium2.PdfDocument(path)
    return "\n\n".join(page.get_textpage().get_text_range() for page in document)


def markitdown(path: Path) -> str:
    from markitdown import MarkItDown

    return str(MarkItDown(enable_plugins=False).convert(str(path)).text_content)


def pymupdf4llm(path: Path) -> str:
    import pymupdf4llm

    return str(pymupdf4llm.to_markdown(str(path), show_progress=False))


def unstructured(path: Path) -> str:
    from unstructured.partition.auto import partition

    elements = partition(str(path), strategy="fast")
    return "\n\n".join(getattr(e.metadata, "text_as_html", None) or e.text for e in elements)


def docling(path: Path) -> str:
    from docling.document_converter import DocumentConverter

    return str(DocumentConverter().convert(str(path)).document.export_to_markdown())


PEERS: dict[str, Callable[[Path], str]] = {
    "pdfium": pdfium,
    "markitdown": markitdown,
    "pymupdf4llm": pymupdf4llm,
    "unstructured": unstructured,
    "docling": docling,
}


def main() -> None:
    name, *files = sys.argv[1:]
    for file in map(Path, files):
        begun = time.perf_counter()
        try:
            answer = {"text": PEERS[name](file)}
        except Exception as error:  # the edge of a process: whatever a peer raises is what it says
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps({"file": file.name, "seconds": time.perf_counter() - begun, **answer}), flush=True)


if __name__ == "__main__":
    main()
