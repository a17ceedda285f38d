"""Fit the weights of `agent/calibration.toml` on questions with known answers; say how far they carry.

`python tests/bench/calibrate.py QUESTIONS.jsonl --home HOME --runs FOLDER [--model none] [--write]`

Three runs, each resumable: the questions as they are, some asked of a document that is not theirs, and some
with the pages that hold the answer hidden. The model is logistic with an L2 penalty; what is told of it
is cross-validated by document, so that no document judges itself.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent import scores
from api.startup import prepare

if TYPE_CHECKING:
    from tests.bench.calibration_runs import Row

_FOLDS = 8
_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
_TARGET = Path(__file__).resolve().parents[2] / "agent" / "calibration.toml"
#: The signs that get a weight: of 210 questions any further one lowers the cross-validated AUC (.667). The
#: others are told with their own AUC, for whoever has more questions.
_SIGNS = ("covered_page", "computed")
#: Share of unanswerable questions on which it abstains, for whoever wants a stricter threshold.
_RECALL = 0.9
#: Share of the answerable questions that is answered at least: nobody keeps a house that is mostly silent.
_COVERAGE = 0.6

Floats = NDArray[np.float64]


def _fold(group: str) -> int:
    return int(hashlib.sha256(f"fold/{group}".encode()).hexdigest(), 16) % _FOLDS


def fitted(x: Floats, y: Floats, *, penalty: float) -> Floats:
    """Return bias and weights (k + 1,) of an L2 logistic regression, by Newton's method."""
    design = np.column_stack([np.ones(len(x)), x])
    ridge = penalty * np.eye(design.shape[1])
    ridge[0, 0] = 1e-6
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        slope = design.T @ (p - y) + ridge @ beta
        step = np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design + ridge, slope)
        beta -= step
        if np.abs(step).max() < 1e-8:
            break
    return beta


def predicted(x: Floats, y: Floats, groups: Sequence[str], *, penalty: float) -> Floats:
    """Return out-of-fold probabilities (n,); a document is in one fold only."""
    folds = np.array([_fold(group) for group in groups])
    found = np.zeros(len(y))
    for fold in range(_FOLDS):
        inside = folds == fold
        if inside.any():
            mean, spread = x[~inside].mean(axis=0), x[~inside].std(axis=0) + 1e-6
            beta = fitted((x[~inside] - mean) / spread, y[~inside], penalty=penalty)
            logits = beta[0] + ((x[inside] - mean) / spread) @ beta[1:]
            found[inside] = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return found


def loss(p: Floats, y: Floats) -> float:
    """Return the mean log loss."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def auc(p: Floats, y: Floats) -> float:
    """Return the share of (right, wrong) pairs in the right order."""
    right, wrong = p[y > 0.5], p[y < 0.5]
    above = (right[:, None] > wrong).mean() + 0.5 * (right[:, None] == wrong).mean()
    return float(above)


def at(found: Sequence[Row], p: dict[str, float], threshold: float) -> dict[str, float]:
    """Return what a threshold does: coverage, match among answered, abstention recall and precision."""
    given = [row for row in found if row.signs is not None and p[row.id] >= threshold]
    able = [row for row in found if row.answerable]
    unable = [row for row in found if not row.answerable]
    covered = sum(row.answerable for row in given)
    silent = len(found) - len(given)
    stopped = len(unable) - (len(given) - covered)
    return {
        "threshold": threshold,
        "coverage": covered / max(1, len(able)),
        "match_when_answered": sum(row.right for row in given) / max(1, len(given)),
        "right_kept": sum(row.right for row in given) / max(1, sum(row.right for row in found)),
        "placed_kept": sum(row.placed for row in given) / max(1, sum(row.placed for row in found)),
        "abstention_recall": stopped / max(1, len(unable)),
        "abstention_precision": stopped / max(1, silent),
    }


def tell(found: list[Row], *, label: str, write: bool) -> None:
    """Fit, cross-validate, print the curve, and write the weights where wanted."""
    shown = [row for row in found if row.signs is not None]
    names = list(_SIGNS)
    x = np.array([[row.signs[name] for name in names] for row in shown if row.signs], dtype=np.float64)
    y = np.array([row.right or (label == "page" and row.placed) for row in shown], dtype=np.float64)
    groups = [row.doc for row in shown]
    print(
        f"{len(found)} questions, {len(shown)} answered, {sum(row.right for row in shown)} right, "
        f"{sum(row.placed for row in shown)} on a page that holds the answer"
    )
    trials = {penalty: predicted(x, y, groups, penalty=penalty) for penalty in _PENALTIES}
    for penalty, p in trials.items():
        print(f"penalty {penalty:5}: log loss {loss(p, y):.4f}, AUC {auc(p, y):.3f}")
    penalty = min(_PENALTIES, key=lambda one: loss(trials[one], y))
    p = trials[penalty]
    for name in sorted(shown[0].signs or ()):
        column = np.array([row.signs.get(name, 0.0) for row in shown if row.signs])
        print(f"  {name:16} alone AUC {auc(column, y):.3f}")
    by_id = {row.id: float(one) for row, one in zip(shown, p, strict=True)}
    curve = [at(found, by_id, float(t)) for t in np.quantile(p, np.linspace(0, 0.98, 25))]
    for point in curve:
        print("  ".join(f"{name} {value:.3f}" for name, value in point.items()))
    area = scores.aurc(list(zip(map(float, p), map(bool, y), strict=True)))
    print(f"AURC of the answers given {area:.4f}")
    kept = "right_kept" if label == "right" else "placed_kept"
    strict = next((point for point in curve if point["abstention_recall"] >= _RECALL), curve[-1])
    print(
        f"for abstention recall {_RECALL}:",
        "  ".join(f"{name} {value:.3f}" for name, value in strict.items()),
    )
    # Youden's: what is lost of the good answers weighs as much as what is stopped of the others.
    able = [point for point in curve if point["coverage"] >= _COVERAGE]
    chosen = max(able, key=lambda point: point["abstention_recall"] + point[kept])
    print("chosen:", "  ".join(f"{name} {value:.3f}" for name, value in chosen.items()))
    if write:
        _TARGET.write_text(
            _file(names, x, y, label=label, penalty=penalty, chosen=chosen, n=len(found)), "utf-8"
        )
        print(f"wrote {_TARGET.name}")


def _file(
    names: Sequence[str],
    x: Floats,
    y: Floats,
    *,
    label: str,
    penalty: float,
    chosen: dict[str, float],
    n: int,
) -> str:
    """Return the file's text, its weights for signs as they come (not standardised)."""
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    beta = fitted((x - mean) / spread, y, penalty=penalty)
    weights = beta[1:] / spread
    bias = beta[0] - float(weights @ mean)
    told = ", ".join(f"{name} {value:.2f}" for name, value in chosen.items() if name != "threshold")
    meant = "right" if label == "right" else "right or on a page that holds the answer"
    lines = [
        f"# Weights of agent/confidence.py, made by tests/bench/calibrate.py on {n} questions: {len(y)} were",
        f"# answered, {int(y.sum())} of them {meant}, which is what the confidence tells the chance of.",
        f"# L2 penalty {penalty:g}. Cross-validated by document, at the threshold:",
        f"# {told}.",
        f"threshold = {chosen['threshold']:.4f}",
        f"bias = {bias:.4f}",
        "",
        "[weights]",
        *(f"{name} = {weight:.4f}" for name, weight in zip(names, weights, strict=True)),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Collect what is missing, then fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--home", type=Path, help="ask what was not asked yet; without it, only fit")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--model", default="none")
    parser.add_argument("--most", type=int, default=80)
    parser.add_argument("--label", choices=("right", "page"), default="right")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    prepare()  # before anything that imports LangGraph
    from tests.bench.calibration_runs import collect, rows

    if chosen.home is not None:
        chosen.runs.mkdir(parents=True, exist_ok=True)
        collecting = (chosen.questions, chosen.home, chosen.runs)
        anyio.run(lambda: collect(*collecting, model=chosen.model, most=chosen.most))
    tell(rows(chosen.runs, chosen.questions), label=chosen.label, write=chosen.write)


if __name__ == "__main__":
    main()
