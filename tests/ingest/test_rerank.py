"""The reranker, on its real model: it orders, and cuts only passages."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.errors import WeightsMissing
from ingest.rerank import OnnxReranker

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def reranker(weights_dir: Path) -> OnnxReranker:
    folder = weights_dir / "ms-marco-minilm-l12-int8"
    return OnnxReranker(folder / "model.onnx", folder / "tokenizer.json", threads=2)


def test_without_its_model_file_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="fetch the models"):
        OnnxReranker(tmp_path / "model.onnx", tmp_path / "tokenizer.json", threads=1)


@pytest.mark.weights
async def test_the_passage_that_answers_scores_best_in_the_order_given(reranker: OnnxReranker) -> None:
    passages = ["Paris is in France.", "Employees get 25 days of annual leave a year.", "The pump needs oil."]
    scores = await reranker.score("How many days of leave do employees get?", passages)
    assert scores.shape == (3,)
    assert int(scores.argmax()) == 1


@pytest.mark.weights
async def test_no_passages_make_no_scores(reranker: OnnxReranker) -> None:
    assert (await reranker.score("anything", [])).shape == (0,)


@pytest.mark.weights
async def test_a_question_of_any_length_leaves_room_for_the_passage(reranker: OnnxReranker) -> None:
    question = "How many days of annual leave do employees get? " * 200
    right, wrong = await reranker.score(question, ["Employees get 25 days of annual leave.", "Oil."])
    assert right > wrong


@pytest.mark.weights
async def test_a_long_passage_is_cut_at_its_end(reranker: OnnxReranker) -> None:
    long = "Employees get 25 days of annual leave. " + "word " * 600
    one, other = await reranker.score("annual leave", [long + "cat", long + "dog"])
    assert one == pytest.approx(other, abs=1e-3)
