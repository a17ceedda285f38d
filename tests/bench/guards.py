"""What the shipped policy's rails catch and what they stop for nothing, by kind, with their curves.

    python tests/bench/guards.py [--beside PYTHON] [--roc docs/benchmarks/guards.svg] [--library]

Reads `guard/prompts.jsonl` of the measuring data. Thresholds were chosen on the rows whose id has an even
sha256 (`int(sha256(id), 16) % 2 == 0`), so the figures that count are those of the odd ones. `--beside`
names a Python that has securevector-guardian-model: a packaged detector reads the same rows.
`--library` cuts the sample library and the documents of the measuring data into windows of about 220 tokens
and counts what would be quarantined. Nothing of the data is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pypdfium2
from numpy.typing import NDArray

from api.startup import prepare

prepare()

from guardrails.classifier import HEADS, Head, Shipped  # noqa: E402
from guardrails.nemo import Rails  # noqa: E402
from guardrails.policy import ClassifierRule, Policy, load  # noqa: E402
from guardrails.records import Hop  # noqa: E402

SAMPLE = Path(__file__).parents[2] / "docs" / "sample"
KINDS = ("jailbreak", "inject_direct", "inject_document", "harm", "benign_prompt", "benign_document")
#: At the question a few hundred milliseconds are spent; in one call the rails' time would run out.
_AT_ONCE = 16
_CHUNK_WORDS = 165
_GUARDIAN = """
import json, sys
from svguardian import resolve_runtime
from svguardian.model.pure_infer import PureGuardian
from svguardian.serve import analyze
guardian = PureGuardian.load(resolve_runtime())
print(json.dumps([bool(analyze(text, guardian)["is_threat"]) for text in json.load(sys.stdin)]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the measuring data."""

    id: str
    text: str
    kind: str
    source: str

    @property
    def even(self) -> bool:
        """Whether thresholds may look at it."""
        return int(hashlib.sha256(self.id.encode()).hexdigest(), 16) % 2 == 0

    @property
    def hop(self) -> Hop:
        """Where such a text crosses."""
        return "document" if "document" in self.kind else "question"


def read_rows(path: Path) -> list[Row]:
    """Read the measuring rows."""
    fields = ("id", "text", "kind", "source")
    lines = path.read_text("utf-8").splitlines()
    return [Row(**{name: json.loads(line)[name] for name in fields}) for line in lines]


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson's)."""
    if not n:
        return 0.0, 1.0
    z, share = 1.96, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


async def stopped(rails: Rails, rows: Sequence[Row]) -> list[str | None]:
    """Return for each row the rail that said no, or None."""
    said: list[str | None] = []
    for row in rows:
        (verdict,) = await rails.screen(row.hop, [row.text])
        said.append(None if verdict.allowed else verdict.rail or "undecided")
    return said


def without_classifier(policy: Policy) -> Policy:
    """Return the policy with its deterministic rails only."""
    hops = {
        hop: tuple(r for r in rules if not isinstance(r, ClassifierRule))
        for hop, rules in policy.hops.items()
    }
    return policy.model_copy(update={"hops": hops})


def table(title: str, rows: Sequence[Row], hit: Sequence[bool]) -> dict[str, dict[str, list[float]]]:
    """Print and return the share stopped by kind and half, each with its interval."""
    print(f"\n{title}")
    found: dict[str, dict[str, list[float]]] = {}
    for kind in KINDS:
        cells = {}
        for half in ("even", "odd"):
            mine = [
                h
                for row, h in zip(rows, hit, strict=True)
                if row.kind == kind and row.even == (half == "even")
            ]
            cells[half] = [sum(mine) / max(1, len(mine)), *wilson(sum(mine), len(mine)), len(mine)]
        found[kind] = cells
        print(
            f"  {kind:16}"
            + "".join(
                f"  {half} {c[0]:.3f} [{c[1]:.2f}, {c[2]:.2f}] n={c[3]:<4.0f}" for half, c in cells.items()
            )
        )
    return found


def by_source(rows: Sequence[Row], hit: Sequence[bool]) -> None:
    """Print the share stopped by source, on the odd rows."""
    shares: dict[str, list[bool]] = defaultdict(list)
    for row, h in zip(rows, hit, strict=True):
        if not row.even:
            shares[row.source].append(h)
    print("  odd, by source: " + ", ".join(f"{s} {sum(v) / len(v):.2f}" for s, v in sorted(shares.items())))


def curve(good: NDArray[np.float64], bad: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return the points (false positives, recall) over all thresholds, from (0, 0) to (1, 1)."""
    cuts = np.unique(np.concatenate([good, bad]))[::-1]
    return [(0.0, 0.0), *((float((good >= c).mean()), float((bad >= c).mean())) for c in cuts), (1.0, 1.0)]


def area(points: Sequence[tuple[float, float]]) -> float:
    """Return the area under the curve."""
    x, y = np.array(points).T
    return float(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2))


def guardian(python: str, rows: Sequence[Row]) -> list[bool]:
    """Ask the packaged detector, in its own environment, about every row."""
    texts = json.dumps([row.text for row in rows])
    reply = subprocess.run(
        [python, "-c", _GUARDIAN], input=texts, capture_output=True, text=True, check=True, timeout=600
    )
    threats: list[bool] = json.loads(reply.stdout)
    return threats


#: What is drawn: kind of attack, kind of benign text, the head that scores.
_CURVES: tuple[tuple[str, str, Head, str], ...] = (
    ("jailbreak", "benign_prompt", "injection", "#1b6ca8"),
    ("inject_direct", "benign_prompt", "injection", "#d1495b"),
    ("inject_document", "benign_document", "planted", "#66a182"),
    ("harm", "benign_prompt", "harmful", "#edae49"),
)


def draw(rows: Sequence[Row], scores: NDArray[np.float64], path: Path | None) -> dict[str, float]:
    """Print the areas under the classifier's own curves on the odd rows, and draw them."""
    odd = np.array([not row.even for row in rows])
    kinds = np.array([row.kind for row in rows])
    areas, drawn = {}, list(_axes())
    for number, (attack, benign, head, colour) in enumerate(_CURVES):
        score = scores[:, HEADS.index(head)]
        points = curve(score[odd & (kinds == benign)], score[odd & (kinds == attack)])
        areas[attack] = area(points)
        line = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
        told = f"{attack} {areas[attack]:.3f}"
        drawn.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(f'<text x="300" y="{330 + 20 * number}" fill="{colour}">{told}</text>')
    print("\nareas under the curves, odd rows: " + ", ".join(f"{k} {v:.3f}" for k, v in areas.items()))
    if path:
        head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 490 470" font-family="sans-serif" '
        parts = [head + 'font-size="12"><rect width="490" height="470" fill="#fff"/>', *drawn, "</svg>"]
        path.write_text("\n".join(parts) + "\n", "utf-8")
    return areas


def _x(share: float) -> float:
    """Place a share of false positives; the left is what matters, so it is stretched by the square root."""
    return 60 + 400 * math.sqrt(share)


def _y(share: float) -> float:
    return 420 - 400 * share


def _axes() -> Iterator[str]:
    for share in (0.01, 0.05, 0.2, 0.5, 1.0):
        yield f'<line x1="{_x(share)}" y1="20" x2="{_x(share)}" y2="420" stroke="#ddd"/>'
        yield f'<text x="{_x(share) - 10}" y="438">{share:g}</text>'
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1.0):
        yield f'<line x1="60" y1="{_y(share)}" x2="460" y2="{_y(share)}" stroke="#ddd"/>'
        yield f'<text x="34" y="{_y(share) + 4}">{share:g}</text>'
    yield '<text x="150" y="460">false positives (square root scale)</text>'
    yield '<text x="18" y="250" transform="rotate(-90 18 250)">recall</text>'


def documents(data: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the documents of the sample library and of the measuring data, cut into windows of words."""
    folders = (SAMPLE, data / "e2e-docqa" / "documents")
    for path in sorted(path for folder in folders for path in folder.rglob("*.pdf")):
        with pypdfium2.PdfDocument(path) as pdf:
            words = " \n".join(page.get_textpage().get_text_bounded() for page in pdf).split(" ")
        yield (
            path.name,
            [" ".join(words[at : at + _CHUNK_WORDS]) for at in range(0, len(words), _CHUNK_WORDS)],
        )


async def quarantined(rails: Rails, data: Path) -> dict[str, float]:
    """Count the windows and documents of harmless files that the rails would quarantine."""
    chunks, hits, hit_documents, n, begun = 0, defaultdict(int), 0, 0, time.perf_counter()
    for name, texts in documents(data):
        said = []
        for at in range(0, len(texts), _AT_ONCE):
            verdicts = await rails.screen("document", texts[at : at + _AT_ONCE])
            said += [v.rail or "undecided" for v in verdicts if not v.allowed]
        chunks, n, hit_documents = chunks + len(texts), n + 1, hit_documents + bool(said)
        for rail in said:
            hits[rail] += 1
        if said:
            print(f"  {name}: {len(said)} of {len(texts)} windows ({', '.join(sorted(set(said)))})")
    share = sum(hits.values()) / max(1, chunks)
    print(
        f"\nharmless files: {sum(hits.values())} of {chunks} windows ({share:.2%}; {dict(hits)}), "
        f"{hit_documents} of {n} documents, {time.perf_counter() - begun:.0f} s"
    )
    return {
        "windows": chunks,
        "stopped": sum(hits.values()),
        "documents": n,
        "documents_stopped": hit_documents,
    }


async def measure(args: argparse.Namespace) -> None:
    """Run everything that was asked for."""
    data = Path(os.environ["PAGEWARDEN_DATA"])
    rows, policy = read_rows(data / "guard" / "prompts.jsonl"), load(args.policy)
    rails = Rails(policy, rail_timeout_s=60)
    said = await stopped(rails, rows)
    hit = [rail is not None for rail in said]
    result: dict[str, object] = {"policy": policy.label}
    result["rails"] = table(f"{policy.label}: all rails", rows, hit)
    by_source(rows, hit)
    floor = await stopped(Rails(without_classifier(policy)), rows)
    result["deterministic"] = table(
        "its deterministic rails alone", rows, [rail is not None for rail in floor]
    )
    begun = time.perf_counter()
    scores = np.array([_MODEL.score([row.text], HEADS)[0] for row in rows])
    print(f"\nclassifier: {1000 * (time.perf_counter() - begun) / len(rows):.1f} ms a row, all heads")
    result["areas"] = draw(rows, scores, args.roc)
    if args.beside:
        threats = await asyncio.to_thread(guardian, args.beside, rows)
        result["guardian"] = table("securevector-guardian-model 1.4.0, its defaults", rows, threats)
    if args.library:
        result["library"] = await quarantined(rails, data)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


_MODEL = Shipped()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policy", default="default")
    parser.add_argument("--beside", help="a Python with securevector-guardian-model")
    parser.add_argument("--roc", type=Path, help="draw the curves into this SVG file")
    parser.add_argument("--library", action="store_true")
    parser.add_argument("--json", type=Path)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
