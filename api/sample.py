"""The sample library that ships with the project, and the questions that it can and cannot answer."""

from __future__ import annotations

from collections.abc import Set
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

#: Beside the packages in a clone, inside them when installed.
_PLACES = (
    Path(__file__).resolve().parent.parent / "docs" / "sample",
    Path(__file__).resolve().parent / "sample",
)
QUESTIONS = "questions.jsonl"
#: What is shelved: the folder also holds words about the sample.
_NOT_SAMPLE = {"readme.md", "notice", "license", "sources.md", QUESTIONS}


class SampleQuestion(BaseModel):
    """A question about the sample; `demo` marks those that `serve --sample` asks."""

    model_config = ConfigDict(extra="ignore")

    question: str
    demo: bool = False


@cache
def sample_folder() -> Path | None:
    """Return the sample library's folder, or None where it was not installed."""
    return next((place for place in _PLACES if (place / QUESTIONS).is_file()), None)


def sample_files(folder: Path) -> list[Path]:
    """Return the documents of a sample folder, by name."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.name.lower() not in _NOT_SAMPLE
    )


def questions(folder: Path) -> list[SampleQuestion]:
    """Read the questions of a sample folder; none where it has none."""
    listed = folder / QUESTIONS
    if not listed.is_file():
        return []
    lines = listed.read_text(encoding="utf-8").splitlines()
    return [SampleQuestion.model_validate_json(line) for line in lines if line.strip()]


def demo_questions(*, held: Set[str], limit: int = 3) -> list[str]:
    """Return questions to try, demonstrations first, where the library holds the sample."""
    folder = sample_folder()
    if folder is None or not held & {path.name for path in sample_files(folder)}:
        return []
    ordered = sorted(questions(folder), key=lambda asked: not asked.demo)
    return [asked.question for asked in ordered[:limit]]
