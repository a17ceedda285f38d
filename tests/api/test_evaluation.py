"""The gate, the comparison and the choices of `pagewarden eval`, without models."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import cast

import pytest

from agent.report import Evaluation
from agent.run import GuardedAgent
from api.cli.evaluate import _chosen, _floors, _gated
from api.cli.evaluation_page import page_of
from api.cli.options import Usage
from api.settings import ApiSettings
from tests.api.test_cli import pagewarden
from tests.fakes import SCOPE, FakeAgent

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


def test_the_page_draws_risk_over_coverage_and_lists_every_question_with_its_confidence() -> None:
    answered = {
        "id": "q<1>",
        "type": "text",
        "scope": "corpus",
        "question": "How many?",
        "gold": "20",
        "page_rank": {},
        "kind": "answer",
        "answer": "20",
        "reason": None,
        "dropped": 0,
        "cited": [],
        "right": True,
        "confidence": 0.875,
        "tokens_in": 410,
        "tokens_out": 12,
        "seconds": 1.0,
    }
    silent = answered | {"id": "q2", "kind": "abstention", "reason": "no_evidence", "right": False}
    answers = {name: None for name in ("match", "match_interval", "abstained", "match_when_answered")}
    answers |= {name: None for name in ("citation_precision", "citation_recall", "support")}
    run = Evaluation.model_validate(
        RUN.model_dump(by_alias=True)
        | {
            "answers": {"all": answers | {"n": 2, "dropped": 0}},
            "abstention": {
                "precision": 0.0,
                "recall": None,
                "coverage": 0.5,
                "aurc": 0.25,
                "risk_coverage": [(0.5, 0.0), (1.0, 0.5)],
            },
            "questions": [silent, answered],
        }
    )
    agent = cast(GuardedAgent, FakeAgent({}))
    page = asyncio.run(page_of(run, [], agent=agent, scope=SCOPE))
    assert 'points="276.0,276.0 516.0,156.0"' in page
    assert page.index("q&lt;1&gt;") < page.index("abstention, no_evidence: wrong")
    assert "<td>0.875</td>" in page
    assert "<td>410</td><td>12</td>" in page
    assert "<script" not in page


@pytest.mark.weights
def test_a_library_that_is_watched_is_scored_all_the_same(weights_dir: Path, tmp_path: Path) -> None:
    files, asked = tmp_path / "files", tmp_path / "questions.jsonl"
    files.mkdir()
    (files / "plant.md").write_text("# Plant\n\nThe plant has 12 pumps, and it opened in 1998.\n")
    gold = {"id": "one", "question": "How many pumps does the plant have?", "answer": "12", "doc": "plant.md"}
    asked.write_text(
        json.dumps(gold | {"evidence_pages": [1], "type": "text", "answer_format": "Int"}) + "\n"
    )
    words = ("eval", str(asked), "--documents", str(files), "--json", str(tmp_path / "report.json"))
    env = {
        "PAGEWARDEN_WEIGHTS": str(weights_dir),
        "PAGEWARDEN_WRITER": "quotes",
        "PAGEWARDEN_METRICS": "true",
    }
    done = pagewarden(*words, home=tmp_path / "library", **env)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["answers"]["all"]["n"] == 1
