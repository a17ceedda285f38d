"""Write what `train.py` learnt as the files that are shipped: `model.onnx` (int8) and `tokenizer.json`.

    python tests/bench/guard_training/export.py --start MODEL_FOLDER --weights FOLDER --out guardrails/model

Tokens that none of the training texts and none of the abstracts use are dropped from the vocabulary, a third
of the file; such a word is spelt from shorter pieces then. One window a run, so the export has no batch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))
import texts
from train import SEED, Classifier, gather


def kept_tokens(start: Path, data: Path) -> list[str]:
    """Return the tokens to keep, in the order of their old ids: special ones, single letters, what occurs."""
    tokenizer = Tokenizer.from_file(str(start / "tokenizer.json"))
    tokenizer.no_truncation()
    prompts, documents = gather(data, random.Random(SEED), leave_out="", scale=1.0)
    seen: set[int] = set()
    corpus = [p.text for p in prompts] + [d.text for d in documents]
    corpus += texts.abstracts(data / "retrieval-scifact" / "corpus.jsonl.gz")
    for encoding in tokenizer.encode_batch_fast(corpus):
        seen.update(encoding.ids)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    # Single letters and short pieces stay: any word can be spelt from them.
    return [
        token
        for token, number in vocabulary
        if number in seen or token in special or (len(token.removeprefix("##")) <= 2 and token.isascii())
    ]


def main() -> None:
    """Prune, export, quantise, hash."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--second", type=Path, help="average with the weights of a later pass")
    parser.add_argument("--share", type=float, default=0.35, help="how much the later pass counts")
    parser.add_argument("--keep", type=Path, help="write the averaged weights there, for a pass that goes on")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tokens = kept_tokens(args.start, Path(os.environ["PAGEWARDEN_DATA"]))
    whole = json.loads((args.start / "tokenizer.json").read_text("utf-8"))
    old = whole["model"]["vocab"]
    print(f"{len(tokens)} of {len(old)} tokens kept")
    new = {token: number for number, token in enumerate(tokens)}
    whole["model"]["vocab"] = new
    for added in whole["added_tokens"]:
        added["id"] = new[added["content"]]
    for special in whole["post_processor"]["special_tokens"].values():
        special["ids"] = [new[token] for token in special["tokens"]]
    whole["truncation"] = whole["padding"] = None
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False, indent=None), "utf-8")

    model = Classifier(str(args.start))
    weights = torch.load(args.weights / "weights.pt", weights_only=True)
    if args.second:
        later = torch.load(args.second / "weights.pt", weights_only=True)
        weights = {name: (1 - args.share) * weights[name] + args.share * later[name] for name in weights}
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        torch.save(weights, args.keep / "weights.pt")
    model.load_state_dict(weights)
    table = model.encoder.embeddings.word_embeddings
    rows = table.weight.detach()[[old[token] for token in tokens]]
    model.encoder.embeddings.word_embeddings = torch.nn.Embedding.from_pretrained(rows)
    model.eval()
    floating = args.weights / "model.fp32.onnx"
    ids = torch.tensor([[new["[CLS]"], *range(100, 140), new["[SEP]"]]])
    torch.onnx.export(
        model, (ids, torch.ones_like(ids)), str(floating), dynamo=False, opset_version=17,
        input_names=["input_ids", "attention_mask"], output_names=["logits"],
        dynamic_axes={"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"}},
    )  # fmt: skip
    prepared = args.weights / "model.prepared.onnx"
    quant_pre_process(str(floating), str(prepared), skip_symbolic_shape=True)
    quantize_dynamic(
        str(prepared),
        str(args.out / "model.onnx"),
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=False,
    )
    for name in ("model.onnx", "tokenizer.json"):
        content = (args.out / name).read_bytes()
        print(f'"{name}" = "{hashlib.sha256(content).hexdigest()}"  # {len(content)} bytes')


if __name__ == "__main__":
    main()
