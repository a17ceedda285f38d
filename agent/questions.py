"""Questions with known answers and pages, as files: JSON Lines of our own, and BEIR folders."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import AgentError

_UNANSWERABLE = "Not answerable"

SearchedIn = Literal["document", "corpus"]
#: A page as ranked and as known to be right: the document's name and the page number.
Place = tuple[str, int]


class Gold(BaseModel):
    """A question with its known answer, one line of a JSON Lines file."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    question: str
    answer: str = ""
    #: The document's name, as added; several where the question is about all of them.
    doc: str | tuple[str, ...] | None = None
    #: Pages that hold the answer, from 1; empty where none does or where it is not known.
    evidence_pages: tuple[int, ...] = ()
    type: str = "text"
    answer_format: str = "Str"
    #: "document" asks with that document selected, "corpus" over everything.
    scope: SearchedIn = "corpus"
    #: Words that stand in the cited region.
    cell: str | None = None
    #: More documents whose first page is relevant (BEIR judges documents).
    relevant: tuple[str, ...] = ()

    @property
    def answerable(self) -> bool:
        """Whether the documents answer it."""
        return self.type != "unanswerable" and self.answer != _UNANSWERABLE

    @property
    def docs(self) -> tuple[str, ...]:
        """The names of its documents; none where it is not said."""
        return (self.doc,) if isinstance(self.doc, str) else self.doc or ()

    @property
    def places(self) -> frozenset[Place]:
        """The pages that hold the answer; with several documents their numbers say nothing."""
        own = {(self.doc, no) for no in self.evidence_pages} if isinstance(self.doc, str) else set()
        return frozenset(own | {(name, 1) for name in self.relevant})

    def without_answer(self) -> Gold:
        """Return the same question as one that nothing answers."""
        return self.model_copy(update={"answer": _UNANSWERABLE, "answer_format": "None"})


def load(path: Path) -> list[Gold]:
    """Read questions from a JSON Lines file. Raises AgentError naming the line that does not fit."""
    return [_gold(path.name, no, line) for no, line in _lines(path)]


def chosen(golds: list[Gold], ids: Path) -> list[Gold]:
    """Keep the questions that a file names, one id a line (# opens a comment), in the order of `golds`.

    Raises AgentError for an id that no question has: a subset that shrank in silence is another subset.
    """
    wanted = {row for _, line in _lines(ids) if (row := line.partition("#")[0].strip())}
    missing = sorted(wanted - {gold.id for gold in golds})
    if missing:
        raise AgentError(f"{ids.name} names {len(missing)} unknown questions, {missing[0]!r} among them.")
    return [gold for gold in golds if gold.id in wanted]


def load_beir(folder: Path, *, split: str | None = None) -> tuple[list[Gold], dict[str, str]]:
    """Read a BEIR folder: its judged queries, and its documents' texts by the name they are added under.

    `split` names a file below `qrels/`; None takes the only one, else `test`. Raises AgentError.
    """
    corpus = next(
        (folder / name for name in ("corpus.jsonl", "corpus.jsonl.gz") if (folder / name).exists()), None
    )
    if corpus is None:
        raise AgentError(f"{folder.name} is no BEIR folder: there is no corpus.jsonl in it.")
    judged = _judgements(folder / "qrels", split)
    golds = []
    for no, line in _lines(folder / "queries.jsonl"):
        row = _Row.parse(f"{folder.name}/queries.jsonl", no, line)
        if row.id in judged:
            names = tuple(_beir_name(one) for one in judged[row.id])
            golds.append(Gold(id=row.id, question=row.text, relevant=names))
    texts = {}
    for no, line in _lines(corpus):
        row = _Row.parse(corpus.name, no, line)
        texts[_beir_name(row.id)] = f"{row.title}\n\n{row.text}".strip()
    return golds, texts


class _Row(BaseModel):
    """A line of BEIR's `corpus.jsonl` or `queries.jsonl`."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(alias="_id")
    title: str = ""
    text: str

    @staticmethod
    def parse(name: str, no: int, line: str) -> _Row:
        try:
            return _Row.model_validate_json(line)
        except ValidationError as error:
            raise AgentError(f"{name}, line {no} is no BEIR row: {error}") from error


def _gold(name: str, no: int, line: str) -> Gold:
    try:
        return Gold.model_validate_json(line)
    except ValidationError as error:
        raise AgentError(f"{name}, line {no} is no question: {error}") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    if not path.is_file():
        raise AgentError(f"There is no file {path.name} in {path.parent.name}.")
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for no, line in enumerate(file, start=1):
            if line.strip():
                yield no, line


def _judgements(folder: Path, split: str | None) -> dict[str, list[str]]:
    files = sorted(folder.glob("*.tsv"))
    named = [file for file in files if file.stem == (split or "test")]
    chosen = named[0] if named else files[0] if len(files) == 1 and split is None else None
    if chosen is None:
        have = ", ".join(file.stem for file in files) or "none"
        raise AgentError(f"No judgements {split or 'test'!r} below qrels/; there are: {have}.")
    found: dict[str, list[str]] = {}
    for no, line in _lines(chosen):
        cells = line.rstrip("\n").split("\t")
        if no == 1 and len(cells) == 3 and not cells[2].lstrip("-").isdigit():
            continue
        if len(cells) != 3 or not cells[2].lstrip("-").isdigit():
            raise AgentError(
                f"{chosen.name}, line {no}: query, document and score, parted by tabs, were expected."
            )
        if int(cells[2]) > 0:
            found.setdefault(cells[0], []).append(cells[1])
    return found


def _beir_name(id_: str) -> str:
    return f"{id_}.txt"
