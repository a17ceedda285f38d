"""Train the classifier of `guardrails/classifier.py` and write the file that is shipped.

    python tests/bench/guard_training/train.py --start MODEL_FOLDER --out FOLDER [--leave-out SOURCE]

`PAGEWARDEN_DATA` names the measuring data; the start is the folder of all-MiniLM-L6-v2 (Apache-2.0). Needs
torch, transformers, pandas and pyarrow: an environment of its own, the product has none of them. Texts of
`guard/prompts.jsonl` are never learnt from: what is in it as well is dropped from the training set.

One encoder, two heads. Prompts: the mean and the maximum of the token states to two logits (injection,
harmful). Documents: a logit a token (is this token part of an instruction that somebody planted?), because
what is planted shows against its surroundings and one pass a window is all that ingestion can afford; the
window's logit is the highest mean of seven neighbouring tokens.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

sys.path.insert(0, str(Path(__file__).parent))
import texts

SEED = 20261125
SPAN = 7
PROMPT_TOKENS, DOCUMENT_TOKENS = 128, 192
FAR = -20.0


class Classifier(nn.Module):
    """The encoder and its heads: (b, t) token ids to (b, 3) logits injection, harmful, planted."""

    def __init__(self, start: str) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(start, add_pooling_layer=False)
        width = self.encoder.config.hidden_size
        self.prompt = nn.Linear(2 * width, 2)
        self.token = nn.Linear(width, 1)

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run the encoder."""
        return self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state

    def prompts(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return (b, 2) logits: injection, harmful."""
        weight = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weight).sum(1) / weight.sum(1)
        highest = (states + (weight - 1) * 1e4).amax(1)
        return self.prompt(torch.cat([mean, highest], -1))

    def tokens(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return (b, t) logits; FAR where there is no token."""
        return self.token(states).squeeze(-1) * mask + FAR * (1 - mask)

    @staticmethod
    def planted(tokens: Tensor) -> Tensor:
        """Return (b,) the highest mean of `SPAN` neighbours."""
        padded = functional.pad(tokens, (0, SPAN - 1), value=FAR)
        return functional.avg_pool1d(padded.unsqueeze(1), SPAN, 1).squeeze(1).amax(-1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return all three, as exported."""
        mask = attention_mask.to(torch.float32)
        states = self.states(input_ids, attention_mask)
        planted = self.planted(self.tokens(states, mask)).unsqueeze(-1)
        return torch.cat([self.prompts(states, mask), planted], -1)


def held_out(model: Classifier, data: Path, tokenizer: object, source: str) -> None:
    """Print how the prompts of a source that was left out are told apart."""
    dice = random.Random(SEED)
    rows = [p for p in texts.corpora(data / "guard" / "train") if p.source.lower() == source.lower()]
    calm = [p for p in texts.innocents(dice, 1000)] + [p for p in texts.requests(dice, 2000) if not p.harmful]
    for column, head in enumerate(("injection", "harmful")):
        labels = [getattr(p, head) for p in rows]
        bad = [p for p, label in zip(rows, labels, strict=True) if label == 1]
        good = [p for p, label in zip(rows, labels, strict=True) if label == 0]
        if len(bad) < 20:
            continue
        own = len(good) >= 100
        low, high = (scored(model, some, tokenizer)[:, column] for some in (good if own else calm, bad))
        cut = low.quantile(0.98)
        auc = (high.unsqueeze(1) > low.unsqueeze(0)).float().mean()
        against = "its own benign rows" if own else "composed benign prompts"
        print(
            f"{source} left out, {head}: {len(bad)} attacks against {len(low)} {against}: "
            f"AUC {auc:.3f}, recall {(high > cut).float().mean():.3f} at 2 % false positives, "
            f"{(high > 0).float().mean():.3f} at probability 0.5 with {(low > 0).float().mean():.3f}"
        )


def scored(model: Classifier, prompts: Sequence[texts.Prompt], tokenizer: object) -> Tensor:
    """Return (n, 3) logits of the prompts' first windows."""
    model.eval()
    examples = prompt_examples(prompts, tokenizer, random.Random(SEED))
    rows = []
    with torch.inference_mode():
        for at in range(0, len(examples), 32):
            ids, mask, _ = padded(examples[at : at + 32], per_token=False)
            rows.append(model(ids, mask))
    return torch.cat(rows)


def gather(
    data: Path,
    dice: random.Random,
    *,
    leave_out: str,
    scale: float,
    share: float = 1.0,
    documents: int = 9_000,
    hard: int = 0,
) -> tuple[list[texts.Prompt], list[texts.Document]]:
    """Read and compose everything, without what is measured on and without the source left out."""
    measured = {
        _key(json.loads(row)["text"])
        for row in (data / "guard" / "prompts.jsonl").read_text("utf-8").splitlines()
    }
    corpus = [p for p in texts.corpora(data / "guard" / "train") if _key(p.text) not in measured]
    corpus = list({_key(p.text): p for p in corpus}.values())
    kept = [p for p in corpus if p.source.lower() != leave_out.lower()]
    kept = dice.sample(kept, int(len(kept) * share))
    library = texts.Library(kept, texts.abstracts(data / "retrieval-scifact" / "corpus.jsonl.gz"))
    composed = [
        *texts.requests(dice, int(14_000 * scale)),
        *texts.innocents(dice, int(6_000 * scale)),
        *texts.roles(dice, int(3_500 * scale)),
        *texts.foreign(dice, int(1_500 * scale)),
        *texts.wordy(dice, int(3_000 * scale)),
        *texts.hard(dice, hard),
    ]
    if leave_out == "composed":
        composed = []
    composed = [p for p in {_key(p.text): p for p in composed}.values() if _key(p.text) not in measured]
    # Few real harmful prompts, many composed: the real ones come twice.
    real = [p for p in kept if p.harmful == 1]
    read = [] if leave_out else list(library.documents(dice, documents))
    return [*kept, *real, *composed], read


def _key(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


Example = tuple[list[int], list[float]]


def prompt_examples(prompts: Sequence[texts.Prompt], tokenizer: object, dice: random.Random) -> list[Example]:
    """Tokenise; of a long prompt a window, the first one half of the time. Labels: -1 not known."""
    examples = []
    for prompt in prompts:
        ids = tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
        room = PROMPT_TOKENS - 2
        if len(ids) > room:
            start = 0 if dice.random() < 0.5 else dice.randint(0, len(ids) - room)
            ids = ids[start : start + room]
        if not ids:
            continue
        labels = [-1.0 if v is None else float(v) for v in (prompt.injection, prompt.harmful)]
        examples.append(([tokenizer.cls_token_id, *ids, tokenizer.sep_token_id], labels))
    return examples


def document_examples(
    documents: Sequence[texts.Document], tokenizer: object, dice: random.Random
) -> list[Example]:
    """Tokenise piece by piece, a label a token; a long document gives the window where the plant is."""
    examples = []
    for document in documents:
        ids: list[int] = []
        labels: list[float] = []
        for text, planted in document.pieces:
            piece = tokenizer(text, add_special_tokens=False)["input_ids"]
            ids += piece
            labels += [float(planted)] * len(piece)
        room = DOCUMENT_TOKENS - 2
        if len(ids) > room:
            first = labels.index(1.0) if 1.0 in labels else dice.randint(0, len(ids) - room)
            start = max(0, min(first - dice.randint(0, room // 2), len(ids) - room))
            ids, labels = ids[start : start + room], labels[start : start + room]
        if not ids:
            continue
        examples.append(([tokenizer.cls_token_id, *ids, tokenizer.sep_token_id], [-1.0, *labels, -1.0]))
    return examples


def batches(examples: Sequence[Example], budget: int, dice: random.Random) -> Iterator[list[Example]]:
    """Cut into batches of like length, each within `budget` padded tokens, in a random order."""
    order = sorted(examples, key=lambda e: (len(e[0]) + dice.randint(0, 6), dice.random()))
    made: list[list[Example]] = [[]]
    for example in order:
        if made[-1] and (len(made[-1]) + 1) * max(len(example[0]), len(made[-1][-1][0]) + 6) > budget:
            made.append([])
        made[-1].append(example)
    dice.shuffle(made)
    yield from filter(None, made)


def padded(batch: Sequence[Example], *, per_token: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Pad ids, mask and labels."""
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    labels = torch.full((len(batch), longest if per_token else 2), -1.0)
    for row, (tokens, targets) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, : len(targets)] = torch.tensor(targets)
    return ids, mask, labels


def loss(model: Classifier, batch: Sequence[Example], *, per_token: bool, smooth: float = 0.02) -> Tensor:
    """Binary cross-entropy where a label is known; of documents the window's besides the tokens'."""
    ids, mask, labels = padded(batch, per_token=per_token)
    with torch.autocast("cpu", torch.bfloat16):
        states = model.states(ids, mask)
    states, real = states.float(), mask.float()
    known = labels >= 0
    logits = model.tokens(states, real) if per_token else model.prompts(states, real)
    # A little smoothing: the corpora have rows that are labelled wrong.
    targets = labels * (1 - 2 * smooth) + smooth
    total = functional.binary_cross_entropy_with_logits(logits[known], targets[known])
    if per_token:
        whole = (labels == 1).any(-1).float()
        total = total + functional.binary_cross_entropy_with_logits(
            model.planted(logits), whole * (1 - 2 * smooth) + smooth
        )
    return total


def train(
    model: Classifier,
    prompts: list[Example],
    documents: list[Example],
    dice: random.Random,
    *,
    rate: float,
    budget: int,
    smooth: float = 0.02,
) -> None:
    """One pass over everything, prompts and documents in turn as they come."""
    work = [(b, False) for b in batches(prompts, budget, dice)] + [
        (b, True) for b in batches(documents, budget, dice)
    ]
    dice.shuffle(work)
    model.encoder.embeddings.requires_grad_(False)
    heads = [*model.prompt.parameters(), *model.token.parameters()]
    body = [p for p in model.encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": rate}, {"params": heads, "lr": rate * 10}], weight_decay=0.01
    )
    steps = len(work)
    shape = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min(1.0, (s + 1) / (0.06 * steps)) * max(0.02, 0.5 * (1 + math.cos(math.pi * s / steps))),
    )
    model.train()
    begun, seen = time.monotonic(), 0
    running: dict[bool, list[float]] = {False: [], True: []}
    for step, (batch, per_token) in enumerate(work):
        value = loss(model, batch, per_token=per_token, smooth=smooth)
        value.backward()
        nn.utils.clip_grad_norm_([*body, *heads], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        shape.step()
        seen += sum(len(ids) for ids, _ in batch)
        running[per_token].append(value.item())
        if step % 50 == 0:
            spent = time.monotonic() - begun
            means = [sum(r[-50:]) / max(1, len(r[-50:])) for r in running.values()]
            told = f"prompts {means[0]:.3f} documents {means[1]:.3f} {seen / spent:.0f} tokens/s"
            print(f"{step}/{steps} {told} {spent:.0f} s", flush=True)


def main() -> None:
    """Train, save the weights, say what was learnt from."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--leave-out",
        default="",
        help="a source: s-labs, neuralchemy, AdvBench, HarmBench, Aegis, SimpleSafetyTests, composed",
    )
    parser.add_argument("--weights", type=Path, help="go on from these")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the composed prompts")
    parser.add_argument("--share", type=float, default=1.0, help="share of the rows of the corpora")
    parser.add_argument("--documents", type=int, default=9_000, help="composed documents")
    parser.add_argument("--hard", type=int, default=0, help="composed prompts near the border")
    parser.add_argument("--smooth", type=float, default=0.02, help="how far labels are from 0 and 1")
    parser.add_argument("--rate", type=float, default=1.2e-4)
    parser.add_argument("--budget", type=int, default=1024, help="padded tokens a batch")
    parser.add_argument("--seed", type=int, default=0, help="another draw of what is composed")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(SEED + args.seed)
    torch.set_num_threads(args.threads)
    dice = random.Random(SEED + args.seed)
    data = Path(os.environ["PAGEWARDEN_DATA"])
    prompts, documents = gather(
        data,
        dice,
        leave_out=args.leave_out,
        scale=args.scale,
        share=args.share,
        documents=args.documents,
        hard=args.hard,
    )
    print(Counter((p.source, p.injection, p.harmful) for p in prompts))
    print(Counter((d.source, any(planted for _, planted in d.pieces)) for d in documents))
    tokenizer = AutoTokenizer.from_pretrained(args.start)
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    told, read = prompt_examples(prompts, tokenizer, dice), document_examples(documents, tokenizer, dice)
    print(len(told), sum(len(i) for i, _ in told), len(read), sum(len(i) for i, _ in read), flush=True)
    model = Classifier(args.start)
    if args.weights:
        model.load_state_dict(torch.load(args.weights / "weights.pt", weights_only=True))
    train(model, told, read, dice, rate=args.rate, budget=args.budget, smooth=args.smooth)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), args.out / "weights.pt")
    if args.leave_out:
        held_out(model, data, tokenizer, args.leave_out)


if __name__ == "__main__":
    main()
