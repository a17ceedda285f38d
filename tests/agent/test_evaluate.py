"""Evaluation: what counts as found and as right, what files hold, and what a gate says."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.errors import AgentError
from agent.evaluate import evaluate, evaluate_without_gold
from agent.questions import Gold, chosen, load, load_beir
from agent.records import Question
from agent.report import Evaluation, evaluation, values
from agent.resume import Kept
from agent.run import GuardedAgent
from agent.settings import AgentSettings
from tests.fakes import SCOPE, FakeLibrary, FakeModel, FakeRails, a_chunk, a_document

pytestmark = pytest.mark.anyio

REPORT, OTHER = a_document("report.pdf"), a_document("other.pdf")
PLANT = a_chunk("The plant in Marlow opened in 1987.", document=REPORT, page_no=4)
NOISE = a_chunk("Nothing about it.", document=OTHER, page_no=1)


def a_gold(**changes: object) -> Gold:
    fields: dict[str, object] = {
        "id": "1",
        "question": "When did the plant in Marlow open?",
        "answer": "1987",
        "doc": "report.pdf",
        "evidence_pages": (4,),
        "answer_format": "Int",
        "cell": "1987",
    }
    return Gold.model_validate(fields | changes)


async def scored(
    *golds: Gold, says: str = "The plant in Marlow opened in 1987 [1].", ask: bool = True
) -> Evaluation:
    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PLANT]), (OTHER, [NOISE])]),
        rails=FakeRails(),
        model=FakeModel(says=[says]),
        settings=AgentSettings(),
    )
    held = {"report.pdf": REPORT, "other.pdf": OTHER}
    return evaluation([s async for s in evaluate(agent, golds, held, scope=SCOPE, ask=ask)])


def test_a_bad_line_is_named_with_its_file_and_number(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps({"id": "1"}) + "\n")
    with pytest.raises(AgentError, match=r"questions\.jsonl, line 1"):
        load(file)
    with pytest.raises(AgentError, match=r"no file none\.jsonl"):
        load(tmp_path / "none.jsonl")


async def test_a_right_answer_on_the_right_page_and_cell_scores() -> None:
    done = await scored(a_gold())
    answers = done.answers["all"]
    assert (answers.n, answers.match, answers.match_when_answered, answers.abstained) == (1, 1.0, 1.0, 0.0)
    assert (answers.citation_precision, answers.citation_recall, answers.support) == (1.0, 1.0, 1.0)
    assert answers.cited_cell == 1.0
    assert done.answers["text"] == answers


async def test_a_wrong_page_and_a_wrong_answer_do_not() -> None:
    done = await scored(a_gold(evidence_pages=(9,), answer="1988"))
    assert done.retrieval["corpus"]["all"].hit_5 == 0.0
    assert (done.answers["all"].match, done.answers["all"].citation_precision) == (0.0, 0.0)
    assert done.questions[0].page_rank == {"document": None, "corpus": None}


async def test_a_question_is_searched_in_its_document_and_only_if_meant_so_over_everything() -> None:
    done = await scored(a_gold(id="1", scope="corpus"), a_gold(id="2", scope="document"), ask=False)
    assert {where: found["all"].n for where, found in done.retrieval.items()} == {"document": 2, "corpus": 1}
    assert done.answers == {}
    assert done.abstention is None
    assert set(done.latency_ms) == {"search_p50", "search_p95"}


async def test_an_unanswerable_question_wants_an_abstention() -> None:
    gold = a_gold(type="unanswerable", answer="Not answerable", doc=None, evidence_pages=(), cell=None)
    for says, recall in (("NOT FOUND", 1.0), ("The plant in Marlow opened in 1987 [1].", 0.0)):
        done = await scored(gold, says=says)
        assert done.abstention is not None
        assert (done.abstention.recall, done.abstention.coverage) == (recall, None)
        assert done.retrieval == {}


async def test_the_report_is_written_with_the_names_of_the_field_and_read_back() -> None:
    done = await scored(a_gold())
    told = json.loads(done.model_dump_json(by_alias=True))
    ranking = told["retrieval"]["document"]["all"]
    assert {"n", "hit@1", "hit@5", "recall@10", "ndcg@10"} <= set(ranking)
    again = Evaluation.model_validate(told)
    assert again == done
    assert values(again, "hit@5") == {"document/1": 1.0, "corpus/1": 1.0}
    assert values(again, "match") == {"1": 1.0}


def a_beir_folder(folder: Path) -> Path:
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": "a", "title": "Plants", "text": "One opened."}, {"_id": "b", "text": "Noise."}]
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    queries = [{"_id": "q1", "text": "Which opened?"}, {"_id": "q2", "text": "Not judged"}]
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\nq1\tb\t0\n")
    return folder


def test_a_beir_folder_is_judged_queries_and_texts(tmp_path: Path) -> None:
    golds, texts = load_beir(a_beir_folder(tmp_path / "beir"))
    assert [(gold.id, gold.places) for gold in golds] == [("q1", {("a.txt", 1)})]
    assert texts == {"a.txt": "Plants\n\nOne opened.", "b.txt": "Noise."}


def test_what_is_missing_from_a_beir_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="no corpus"):
        load_beir(tmp_path)
    folder = a_beir_folder(tmp_path / "beir")
    with pytest.raises(AgentError, match="there are: test"):
        load_beir(folder, split="dev")
    (folder / "qrels" / "test.tsv").write_text("q1 a 1\n")
    with pytest.raises(AgentError, match="line 1"):
        load_beir(folder)


def an_agent(*, says: str = "The plant in Marlow opened in 1987 [1].") -> GuardedAgent:
    return GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PLANT]), (OTHER, [NOISE])]),
        rails=FakeRails(),
        model=FakeModel(says=[says]),
        settings=AgentSettings(),
    )


HELD = {"report.pdf": REPORT, "other.pdf": OTHER}


async def test_with_the_gold_pages_hidden_only_an_abstention_is_right() -> None:
    agent = an_agent()
    golds = [a_gold(), a_gold(id="2", evidence_pages=()), a_gold(id="3", type="unanswerable")]
    found = [s async for s in evaluate_without_gold(agent, golds, HELD, scope=SCOPE)]
    assert [score.gold.id for score in found] == ["1"]
    assert found[0].answer is not None
    assert (found[0].answer.kind, found[0].right) == ("abstention", True)
    told = evaluation(found).abstention
    assert told is not None
    assert (told.recall, told.coverage) == (1.0, None)
    assert (await agent.answer(Question(text=a_gold().question, scope=SCOPE))).kind == "answer"


async def test_a_broken_off_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file, run = tmp_path / "run.jsonl", {"model": "fake"}
    golds = [a_gold(), a_gold(id="2")]
    kept = Kept(file, run=run)
    async for score in evaluate(an_agent(), golds[:1], HELD, scope=SCOPE, ask=True):
        kept.add(score)
    with file.open("a") as torn:
        torn.write('{"gold": {"id": "2"')
    again = Kept(file, run=run)
    assert again.scores == kept.scores
    silent = an_agent(says="NOT FOUND")
    found = []
    async for score in evaluate(silent, golds, HELD, scope=SCOPE, ask=True, known=again.scores):
        found.append(score)
        again.add(score)
    assert [(s.gold.id, s.right) for s in found] == [("1", True), ("2", False)]
    assert list(Kept(file, run=run).scores.values()) == found


async def test_a_file_of_another_run_is_refused(tmp_path: Path) -> None:
    Kept(tmp_path / "run.jsonl", run={"model": "fake"})
    with pytest.raises(AgentError, match="another run"):
        Kept(tmp_path / "run.jsonl", run={"model": "other"})


def test_a_subset_is_named_by_ids_and_none_is_lost_in_silence(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("# two of them\n3\n1  # the first\n")
    golds = [a_gold(id=str(n)) for n in (1, 2, 3)]
    assert [gold.id for gold in chosen(golds, ids)] == ["1", "3"]
    ids.write_text("1\n4\n")
    with pytest.raises(AgentError, match="'4'"):
        chosen(golds, ids)


async def test_a_question_about_several_documents_is_asked_with_them_selected() -> None:
    third = a_document("third.pdf")
    agent = GuardedAgent(
        library=FakeLibrary(
            shelf=[(d, [a_chunk("The plant opened.", document=d)]) for d in (REPORT, OTHER, third)]
        ),
        rails=FakeRails(),
        model=None,
        settings=AgentSettings(),
    )
    gold = Gold(id="1", question="When did the plants open?", doc=("report.pdf", "third.pdf"))
    held = {d.name: d for d in (REPORT, OTHER, third)}
    found = [s async for s in evaluate(agent, [gold], held, scope=SCOPE, ask=True)]
    assert found[0].ranked == {}
    searched = agent.library.searched  # type: ignore[attr-defined]
    assert {scope.documents for _, scope in searched} == {(REPORT.id, third.id)}


async def test_tokens_are_told_where_the_model_counts_them() -> None:
    class Counting(FakeModel):
        @property
        def spending(self) -> Counting:
            return self

        def snapshot(self) -> list[SimpleNamespace]:
            return [
                SimpleNamespace(prompt_tokens=100 * len(self.asked), completion_tokens=7 * len(self.asked))
            ]

    agent = GuardedAgent(
        library=FakeLibrary(shelf=[(REPORT, [PLANT])]),
        rails=FakeRails(),
        model=Counting(says=["The plant in Marlow opened in 1987 [1]."]),
        settings=AgentSettings(),
    )
    found = [s async for s in evaluate(agent, [a_gold()], HELD, scope=SCOPE, ask=True)]
    assert (found[0].tokens_in, found[0].tokens_out) == (100, 7)
    line = evaluation(found).questions[0]
    assert (line.tokens_in, line.tokens_out) == (100, 7)


async def test_the_names_of_the_report_are_fixed() -> None:
    told = json.loads((await scored(a_gold())).model_dump_json(by_alias=True))
    assert {"retrieval", "answers", "latency_ms", "config"} <= set(told)
    assert set(told["retrieval"]) == {"document", "corpus"}
    for by_type in told["retrieval"].values():
        assert {"all", "text"} == set(by_type)
        assert {"n", "hit@1", "hit@5", "recall@10", "ndcg@10"} <= set(by_type["all"])
    answers = {"n", "match", "abstained", "citation_precision", "citation_recall", "support"}
    assert answers <= set(told["answers"]["all"])
    assert {"search_p50", "answer_p95"} <= set(told["latency_ms"])


async def test_what_is_judged_by_the_document_is_found_on_any_of_its_pages() -> None:
    long = a_document("long.txt")
    second = replace(a_chunk("Zeolites adsorb water.", document=long), page_no=2)
    library = FakeLibrary(shelf=[(long, [second])])
    agent = GuardedAgent(library=library, rails=FakeRails(), model=None, settings=AgentSettings())
    gold = Gold(id="1", question="Zeolites adsorb water.", relevant=("long.txt",))
    (score,) = [s async for s in evaluate(agent, [gold], {"long.txt": long}, scope=SCOPE, ask=False)]
    assert list(score.ranked.values()) == [(("long.txt", 1),)]
