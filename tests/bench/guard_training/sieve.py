"""Train the sieve of `guardrails/sieve.py` on composed documents and write the file that is shipped.

    python tests/bench/guard_training/sieve.py --out guardrails/model [--documents 24000]

Logistic regression over hashed words; a window counts as planted where four of its words are. Needs pandas,
pyarrow, torch (for `gather`) and scikit-learn, and the project on the path. A fifth of the documents is held
back; what is printed of it is the share of the planted ones that are held back at shares of the harmless.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from guardrails.sieve import BUCKETS, Sieve, places, windows, words_of

sys.path.insert(0, str(Path(__file__).parent))
import texts
from train import SEED, gather

_LEAST = 4


def rows(documents: Sequence[texts.Document]) -> tuple[list[list[int]], list[int]]:
    """Return the places of every window, and whether something was planted there; doubtful ones left out."""
    found: list[list[int]] = []
    labels: list[int] = []
    for document in documents:
        pieces = [(word, planted) for text, planted in document.pieces for word in words_of(text)]
        for window in windows(pieces):
            planted = sum(mark for _, mark in window)
            if not window or 0 < planted < min(_LEAST, len(window)):
                continue
            found.append(places([word for word, _ in window]))
            labels.append(int(planted > 0))
    return found, labels


def matrix(found: Sequence[Sequence[int]]) -> csr_matrix:
    """Return (windows, buckets), rows of unit length."""
    ends = np.cumsum([0, *map(len, found)])
    values = np.concatenate([np.full(len(row), len(row) ** -0.5) for row in found])
    return csr_matrix((values, np.concatenate(found), ends), shape=(len(found), BUCKETS))


def main() -> None:
    """Compose, learn, write, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=24_000)
    args = parser.parse_args()
    data, dice = Path(os.environ["PAGEWARDEN_DATA"]), random.Random(SEED)
    prompts, _ = gather(data, dice, leave_out="", scale=0.01, documents=0)
    library = texts.Library(prompts, texts.abstracts(data / "retrieval-scifact" / "corpus.jsonl.gz"))
    documents = list(library.documents(dice, args.documents))
    held, learnt = documents[::5], [d for n, d in enumerate(documents) if n % 5]
    found, labels = rows(learnt)
    print(f"{len(found)} windows of {len(learnt)} documents, {np.mean(labels):.3f} planted", flush=True)
    head = LogisticRegression(C=20, max_iter=200).fit(matrix(found), labels)
    content = io.BytesIO()
    # Half precision moves no probability by more than .001.
    np.savez_compressed(
        content, weights=head.coef_[0].astype(np.float16), bias=np.float32(head.intercept_[0])
    )
    path = args.out / "sieve.npz"
    path.write_bytes(content.getvalue())
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    print(f'"{path.name}" = "{digest}"  # {len(content.getvalue())} bytes')
    scores = Sieve(path, sha256=digest).look([d.text for d in held])
    planted = np.array([any(mark for _, mark in d.pieces) for d in held])
    for share in (0.02, 0.05, 0.1, 0.2, 0.3):
        cut = np.quantile(scores[~planted], 1 - share)
        kept = (scores[planted] >= cut).mean()
        print(
            f"  {share:.2f} of the harmless held back: {kept:.3f} of the planted, from {cut:.4f}", flush=True
        )


if __name__ == "__main__":
    main()
