"""How well a few examples tell questions of one topic from others: python -m tests.bench.topics DATA WEIGHTS.

On topic: questions about companies' filings; off topic: what people ask an assistant, and claims of science.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path

import numpy as np

from ingest.embed import OnnxEmbedder

EXAMPLES = (
    "annual reports and quarterly filings of companies: revenue, costs, profit, cash flow, balance sheet",
    "What was the capital expenditure of the company in 2022?",
    "How did net income change from one year to the next?",
    "Which risks, segments, products and acquisitions does a company report?",
    "financial ratios: margins, turnover, working capital, return on assets",
    "dividends, debt, shares and equity of a company",
)
_FILING = re.compile(r"10[-_]?K|10Q|8K|annual|earnings", re.I)


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


async def main(data: Path, weights: Path) -> None:
    """Print the shares kept and declined at each threshold."""
    asked = rows(data / "e2e-docqa" / "questions.jsonl")
    texts = {
        "filings": [str(q["question"]) for q in asked if _FILING.search(str(q["doc"]))],
        "assistant": [
            str(r["text"]) for r in rows(data / "guard" / "prompts.jsonl") if r["kind"] == "benign_prompt"
        ],
        "science": [str(r["text"]) for r in rows(data / "retrieval-scifact" / "queries.jsonl")][:300],
    }
    model = weights / OnnxEmbedder.name
    embedder = OnnxEmbedder(model / "model.onnx", model / "tokenizer.json", threads=1, batch=16)
    examples = await embedder.embed(EXAMPLES)
    nearest = {
        name: (await embedder.embed([one[:2000] for one in some]) @ examples.T).max(axis=1)
        for name, some in texts.items()
    }
    for near in np.arange(0.50, 0.681, 0.02):
        kept = ", ".join(
            f"{name} {(found >= near).mean():.3f} of {len(found)}" for name, found in nearest.items()
        )
        print(f"near {near:.2f} keeps {kept}")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
