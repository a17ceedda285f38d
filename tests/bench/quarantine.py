"""How much of honest documents the rails would quarantine: chunks that are stopped, by document set and rail.

    python tests/bench/quarantine.py [--policy default] [--home FOLDER …] [--folder FOLDER …] [--list]

`--home` names a shelved library (of `pagewarden serve`, closed), whose chunks are screened again as they are;
`--folder` documents that are read, cut and screened, by default five about security that are kept with the
tests: they name attacks, quote them and give orders to people. Names, headings and what pages hide are
screened too, as ingestion does. At most one chunk in two hundred may be stopped in each set.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.startup import prepare

prepare()

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from api.settings import ApiSettings  # noqa: E402
from api.wiring import EMBEDDER, open_house  # noqa: E402
from guardrails.classifier import Head, Shipped  # noqa: E402
from guardrails.nemo import Rails  # noqa: E402
from guardrails.policy import load  # noqa: E402
from ingest.chunk import chunk_pages  # noqa: E402
from ingest.embed import OnnxEmbedder  # noqa: E402
from ingest.reading import Reader  # noqa: E402
from ingest.records import Scope  # noqa: E402
from ingest.settings import IngestSettings  # noqa: E402
from ingest.sources import open_source  # noqa: E402
from ingest.weights import Weights  # noqa: E402

SECURITY = Path(__file__).parents[1] / "guardrails" / "security_documents"
MOST = 0.005
AT_ONCE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text as ingestion screens it; `is_chunk` for what is retrieved."""

    document: str
    page_no: int
    text: str
    is_chunk: bool = True


class Counted:
    """The shipped classifier; counts the texts that its encoder reads."""

    def __init__(self) -> None:
        self._shipped = Shipped()
        self.read = 0

    def score(self, texts: Sequence[str], heads: Sequence[Head]) -> NDArray[np.float64]:
        """Score, and count."""
        self.read += len(texts)
        return self._shipped.score(texts, heads)


async def shelved(home: Path) -> AsyncIterator[Text]:
    """Yield the chunks of a library and their headings, each once."""
    settings = ApiSettings(home=home, writer="quotes")
    scope = Scope(tenant=settings.tenant, collections=(settings.collection,))
    async with open_house(settings) as house:
        library: Any = house.agent.library  # type: ignore[attr-defined]
        for document in await library.documents(scope=scope):
            yield Text(document=document.name, page_no=0, text=document.name, is_chunk=False)
            headings: set[str] = set()
            for page_no in range(1, document.pages + 1):
                for chunk in await library.on_page(document.id, page_no, scope=scope):
                    yield Text(document=document.name, page_no=page_no, text=chunk.text)
                    if chunk.heading and chunk.heading not in headings:
                        headings.add(chunk.heading)
                        yield Text(
                            document=document.name, page_no=page_no, text=chunk.heading, is_chunk=False
                        )


async def read(folder: Path) -> AsyncIterator[Text]:
    """Read the documents of a folder, cut them as ingestion does, and yield their texts."""
    files = sorted(folder.iterdir())  # noqa: ASYNC240
    settings = IngestSettings()
    weights = Weights(ApiSettings().weights)
    embedder = OnnxEmbedder(
        weights.path(f"{EMBEDDER}/model.onnx"),
        weights.path(f"{EMBEDDER}/tokenizer.json"),
        threads=1,
        batch=settings.embed_batch,
    )
    async with AsyncExitStack() as closing:
        pictures = Path(closing.enter_context(tempfile.TemporaryDirectory()))
        reader = Reader(settings)
        closing.push_async_callback(reader.close)
        for path in files:
            source = open_source(path, name=path.name, settings=settings)
            reading = await reader.read(source, pages_dir=pictures, on_page=lambda *at: None)
            yield Text(document=path.name, page_no=0, text=path.name, is_chunk=False)
            for page in reading.pages:
                if page.hidden:
                    yield Text(document=path.name, page_no=page.no, text=page.hidden, is_chunk=False)
            chunks = chunk_pages(
                reading.pages,
                document_id=path.name,
                revision="0",
                recipe="bench",
                max_tokens=settings.chunk_tokens,
                count=embedder.count,
            )
            for chunk in chunks:
                yield Text(document=path.name, page_no=chunk.page_no, text=chunk.text)
            for heading in dict.fromkeys(chunk.heading for chunk in chunks if chunk.heading):
                yield Text(document=path.name, page_no=0, text=heading, is_chunk=False)


async def screened(rails: Rails, name: str, texts: list[Text], *, counted: Counted, tell: bool) -> bool:
    """Print how much of a set is stopped and by which rail; False where it is too much."""
    by: Counter[str] = Counter()
    stopped = beside = 0
    documents: set[str] = set()
    begun, counted.read = time.perf_counter(), 0
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
        verdicts = await rails.screen("document", [one.text for one in part])
        for one, verdict in zip(part, verdicts, strict=True):
            if verdict.allowed:
                continue
            by[f"{verdict.rail}: {verdict.code}"] += 1
            stopped += one.is_chunk
            beside += not one.is_chunk
            documents.add(one.document)
            if tell:
                print(
                    f"   {one.document} p. {one.page_no}, {verdict.rail} {verdict.code}: {one.text[:300]!r}"
                )
    chunks = sum(one.is_chunk for one in texts)
    cells = (
        name,
        len({one.document for one in texts}),
        chunks,
        f"{stopped} ({stopped / chunks:.2%})",
        f"{beside} of {len(texts) - chunks}",
        len(documents),
        dict(by),
        f"{counted.read / len(texts):.3f}",
        f"{1000 * (time.perf_counter() - begun) / len(texts):.1f}",
    )
    print("| " + " | ".join(map(str, cells)) + " |")
    return stopped <= MOST * chunks


async def measure(policy: str, *, homes: list[Path], folders: list[Path], tell: bool) -> bool:
    """Print the table; False where a set has too much stopped."""
    counted = Counted()
    rails = Rails(load(policy), scores=counted, rail_timeout_s=120.0)
    beside = "names, headings and hidden text stopped"
    print(f"| set | documents | chunks | stopped | {beside} | documents | by | encoder reads | ms a text |")
    print("|---|---|---|---|---|---|---|---|---|")
    fine = True
    for folder in folders:
        fine &= await screened(
            rails, folder.name, [one async for one in read(folder)], counted=counted, tell=tell
        )
    for home in homes:
        fine &= await screened(
            rails, home.name, [one async for one in shelved(home)], counted=counted, tell=tell
        )
    return fine


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--policy", default="default")
    parser.add_argument("--home", type=Path, action="append", default=[])
    parser.add_argument("--folder", type=Path, action="append", default=[])
    parser.add_argument("--list", action="store_true")
    chosen = parser.parse_args()
    run = measure(chosen.policy, homes=chosen.home, folders=chosen.folder or [SECURITY], tell=chosen.list)
    raise SystemExit(0 if asyncio.run(run) else 1)
