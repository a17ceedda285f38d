"""The embedder, on its real model: prefix, pooling, order, length, and what it does without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ingest.embed import OnnxEmbedder
from ingest.errors import WeightsMissing
from ingest.onnx import _batches

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def embedder(weights_dir: Path) -> OnnxEmbedder:
    folder = weights_dir / "bge-small-en-v1.5-int8"
    return OnnxEmbedder(folder / "model.onnx", folder / "tokenizer.json", threads=2, batch=16)


def test_without_its_model_file_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="fetch the models"):
        OnnxEmbedder(tmp_path / "model.onnx", tmp_path / "tokenizer.json", threads=1, batch=1)


@pytest.mark.weights
async def test_vectors_are_unit_rows_in_the_order_given(embedder: OnnxEmbedder) -> None:
    texts = ["A cat sat on the mat.", "Quarterly revenue rose by 4 percent. " * 20, "cats", "", "é" * 3]
    together = await embedder.embed(texts)
    assert together.shape == (5, embedder.dimensions)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    alone = np.concatenate([await embedder.embed([text]) for text in texts])
    assert (together * alone).sum(axis=1).min() > 0.97


@pytest.mark.weights
async def test_no_texts_make_no_vectors(embedder: OnnxEmbedder) -> None:
    assert (await embedder.embed([])).shape == (0, embedder.dimensions)


@pytest.mark.weights
async def test_a_question_finds_its_passage_and_is_embedded_unlike_a_passage(embedder: OnnxEmbedder) -> None:
    passages = ["Employees get 25 days of annual leave.", "The pump needs oil.", "Paris is in France."]
    vectors = await embedder.embed(passages)
    question = await embedder.embed_query("How many vacation days do I have?")
    assert int(np.argmax(vectors @ question)) == 0
    as_passage = (await embedder.embed(["How many vacation days do I have?"]))[0]
    assert float(question @ as_passage) < 0.999


@pytest.mark.weights
async def test_a_question_asked_again_is_remembered(embedder: OnnxEmbedder) -> None:
    assert await embedder.embed_query("again?") is not await embedder.embed_query("other?")
    first, second = await embedder.embed_query("again?"), await embedder.embed_query("again?")
    assert np.shares_memory(first, second)
    assert not second.flags.writeable


@pytest.mark.weights
async def test_what_lies_beyond_512_tokens_changes_nothing(embedder: OnnxEmbedder) -> None:
    long = "word " * 600
    one, other = await embedder.embed([long + "cat"]), await embedder.embed([long + "revenue"])
    assert float((one @ other.T)[0, 0]) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.weights
def test_tokens_are_counted_without_special_ones_and_without_a_limit(embedder: OnnxEmbedder) -> None:
    assert embedder.count(["", "cat", "a cat sat", "word " * 600]) == [0, 1, 3, 600]


def test_batches_hold_every_text_once_within_the_budget() -> None:
    lengths = [3, 512, 40, 40, 7, 300, 1, 0]
    batches = list(_batches(lengths, budget=600))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(len(batch) * max(lengths[place] for place in batch) <= 600 for batch in batches)
    assert list(_batches([900], budget=600)) == [[0]]
    assert list(_batches([], budget=600)) == []
