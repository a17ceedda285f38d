"""The gate, the comparison and the choices of `pagewarden eval`, without models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.report import Evaluation
from api.cli.evaluate import _chosen, _floors, _gated
from api.cli.options import Usage
from api.settings import ApiSettings

RUN = Evaluation.model_validate(
    {
        "retrieval": {
            "document": {
                "all": {
                    "n": 10,
                    "hit@1": 0.5,
                    "hit@5": 0.9,
                    "recall@10": 0.9,
                    "recall@100": None,
                    "ndcg@10": 0.7,
                    "hit@5_interval": [0.7, 1.0],
                    "ndcg@10_interval": None,
                }
            }
        },
        "answers": {},
        "abstention": None,
        "latency_ms": {"search_p95": 900.0},
        "config": {},
        "questions": [],
    }
)


def a_gate(folder: Path, text: str) -> dict[str, float]:
    (folder / "gate.toml").write_text(text)
    return _floors(folder / "gate.toml")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('"retrieval.document.all.hit@5" = 0.9', 0),
        ('"retrieval.document.all.hit@5" = 0.91', 1),
        ('[most]\n"latency_ms.search_p95" = 1000', 0),
        ('[most]\n"latency_ms.search_p95" = 800', 1),
        ('"answers.all.match" = 0.1', 1),
        ('"retrieval.document.all.recall@100" = 0.1', 1),
    ],
)
def test_a_gate_closes_below_its_floors_above_its_ceilings_and_on_what_was_not_measured(
    tmp_path: Path, text: str, left: int
) -> None:
    assert _gated(RUN, a_gate(tmp_path, text)) == left


@pytest.mark.parametrize("text", ["", "[most]", "x = true", "retrieval.document = 'high'", "= 3"])
def test_a_gate_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(Usage, match="gate"):
        a_gate(tmp_path, text)


def test_documents_get_a_library_of_their_own_unless_a_home_is_named(tmp_path: Path) -> None:
    settings = ApiSettings(home=tmp_path / "home")
    (tmp_path / "reports").mkdir()
    chosen = _chosen(settings, tmp_path / "reports", model=None, own_home=False)
    assert chosen.home.parent == tmp_path / "home" / "evaluations"
    assert chosen.home == _chosen(settings, tmp_path / "reports", model=None, own_home=False).home
    assert _chosen(settings, tmp_path / "reports", model=None, own_home=True).home == tmp_path / "home"
    assert _chosen(settings, None, model=None, own_home=False).home == tmp_path / "home"
    with pytest.raises(Usage, match="no folder"):
        _chosen(settings, tmp_path / "none", model=None, own_home=False)


def test_who_writes_is_chosen_by_name(tmp_path: Path) -> None:
    settings = ApiSettings(home=tmp_path)
    assert _chosen(settings, None, model="none", own_home=False).writer == "quotes"
    assert _chosen(settings, None, model="local", own_home=False).writer == "local"
    with pytest.raises(Usage, match="PAGEWARDEN_MODEL_URL"):
        _chosen(settings, None, model="some/model", own_home=False)
    served = settings.model_copy(update={"model_url": "http://127.0.0.1:1/v1"})
    chosen = _chosen(served, None, model="some/model", own_home=False)
    assert (chosen.writer, chosen.model) == ("served", "some/model")


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    told = json.loads(RUN.model_dump_json(by_alias=True))
    assert Evaluation.model_validate(told) == RUN
