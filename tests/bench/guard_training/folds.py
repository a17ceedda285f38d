"""Train on a part of the corpora and tell apart the rest: by thirds, and with a whole source left out.

    python tests/bench/guard_training/folds.py --start MODEL_FOLDER [--only thirds …] [--json FILE]

A shortened schedule, so that all of it takes under half an hour of one core: a share of the rows, a quarter
of the composed prompts, no documents, one pass. The figures say how the method carries over, not how good
the shipped model is. A third holds rows of sources that were learnt from; a source left out does not, and
the gap between the two is what a measuring set that shares sources with the training set flatters by. Recall
is at 2 % false positives on the harmless rows of the same part, on composed ones where it has too few.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer

sys.path.insert(0, str(Path(__file__).parent))
import texts
from train import SEED, Classifier, gather, prompt_examples, scored, train

THIRDS = 3
SOURCES = ("s-labs", "neuralchemy", "AdvBench", "HarmBench")
#: At most so many rows of either label are scored: more would say the same to a point.
MOST = 1_500
LEAST_HARMLESS = 100


def third(text: str) -> int:
    """Say in which third a text is, by its letters and digits, so that twins are together."""
    letters = "".join(filter(str.isalnum, text.lower()))
    return int(hashlib.sha256(letters.encode()).hexdigest(), 16) % THIRDS


def learnt(prompts: Sequence[texts.Prompt], args: argparse.Namespace, seed: int) -> Classifier:
    """Train one model from the start on these prompts."""
    torch.manual_seed(SEED + seed)
    dice = random.Random(SEED + seed)
    tokenizer = AutoTokenizer.from_pretrained(args.start)
    model = Classifier(args.start)
    examples = prompt_examples(prompts, tokenizer, dice)
    train(model, examples, [], dice, rate=1.2e-4, budget=1024)
    return model


def told_apart(
    model: Classifier, rows: Sequence[texts.Prompt], calm: Sequence[texts.Prompt], args: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Return for each head how its attacks among `rows` stand against the harmless ones."""
    tokenizer, found = AutoTokenizer.from_pretrained(args.start), {}
    for column, head in enumerate(("injection", "harmful")):
        bad = [p for p in rows if getattr(p, head) == 1][:MOST]
        own = [p for p in rows if getattr(p, head) == 0][:MOST]
        good = own if len(own) >= LEAST_HARMLESS else list(calm)
        if len(bad) < 20:
            continue
        low, high = (scored(model, some, tokenizer)[:, column] for some in (good, bad))
        cut = low.quantile(0.98)
        found[head] = {
            "attacks": len(bad),
            "harmless": len(good),
            "composed": float(good is not own),
            "auc": float((high.unsqueeze(1) > low.unsqueeze(0)).float().mean()),
            "recall": float((high > cut).float().mean()),
        }
    return found


def main() -> None:
    """Run each part, print a row a head."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", required=True)
    parser.add_argument("--only", action="append", help="thirds, or a source")
    parser.add_argument("--share", type=float, default=0.4, help="share of the rows of the corpora")
    parser.add_argument("--scale", type=float, default=0.25, help="share of the composed prompts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = Path(os.environ["PAGEWARDEN_DATA"])
    asked = args.only or ["thirds", *SOURCES]
    parts = [("third", str(n)) for n in range(THIRDS)] if "thirds" in asked else []
    parts += [("source", source) for source in asked if source != "thirds"]
    result = {}
    for number, (sort, name) in enumerate(parts):
        begun, dice = time.monotonic(), random.Random(SEED)
        out = name if sort == "source" else ""
        prompts, _ = gather(data, dice, leave_out=out, scale=args.scale, share=args.share, documents=0)
        every, _ = gather(data, random.Random(SEED), leave_out="", scale=args.scale, documents=0)
        if sort == "source":
            rows = [p for p in every if p.source.lower() == name.lower()]
        else:
            # Composed prompts stand in every third: their templates are ours, and no row of theirs is asked.
            prompts = [p for p in prompts if p.source == "composed" or third(p.text) != int(name)]
            rows = [p for p in every if p.source != "composed" and third(p.text) == int(name)]
        rows = list({p.text: p for p in rows}.values())
        random.Random(SEED).shuffle(rows)
        calm = [p for p in texts.innocents(dice, 800)] + [
            p for p in texts.requests(dice, 1600) if not p.harmful
        ]
        heads = told_apart(learnt(prompts, args, number), rows, calm, args)
        result[f"{sort} {name}"] = heads
        for head, cell in heads.items():
            against = "composed harmless prompts" if cell["composed"] else "its own harmless rows"
            print(
                f"{sort} {name} left out, {head}: {cell['attacks']:.0f} attacks against "
                f"{cell['harmless']:.0f} ({against}): AUC {cell['auc']:.3f}, recall "
                f"{cell['recall']:.3f} at 2 % ({len(prompts)} learnt, {time.monotonic() - begun:.0f} s)",
                flush=True,
            )
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
