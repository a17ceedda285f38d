"""Our own classifier as a rail: is this prompt an attack or a harmful request, was something planted here?

Trained by `tests/bench/guard_training`, described in `docs/guard-model.md`; its files lie in `model/`, pinned
by `classifier.toml`. A file that is missing or altered, or an install without onnxruntime, closes the rail:
every text is blocked as undecided and the log says what to mend.
"""

from __future__ import annotations

import asyncio
import logging
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Annotated, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from guardrails.errors import ClassifierUnfit
from guardrails.onnx import OnnxModel
from guardrails.rails import Passage, Ruling
from guardrails.sieve import Sieve

_LOG = logging.getLogger(__name__)
_FOLDER = Path(__file__).parent / "model"
_PINS = Path(__file__).parent / "classifier.toml"

_NUMBERS = re.compile(r"[-/._ ]?[0-9]{2,}")
#: A prompt of fewer letters says nothing that could be an attack.
_FEWEST_LETTERS = 9

#: injection: a prompt that attacks the assistant (override, probing, jailbreak); harmful: a request that is
#: to be declined; planted: an instruction to the assistant inside a document. In the order of the logits.
Head = Literal["injection", "harmful", "planted"]
HEADS: tuple[Head, ...] = get_args(Head)


class Model(Protocol):
    """Reads windows of token ids."""

    def windows(self, text: str, *, tokens: int, overlap: int) -> list[list[int]]:
        """Cut a text into windows that together hold all of it."""
        ...

    def logits(self, windows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return (windows, heads) logits, in order."""
        ...


class Scores(Protocol):
    """Scores texts; raises ClassifierUnfit when it cannot."""

    def score(self, texts: Sequence[str], heads: Sequence[Head]) -> NDArray[np.float64]:
        """Return (texts, heads) probabilities, in order."""
        ...


class FirstLook(Protocol):
    """Says which texts the model need not read; raises ClassifierUnfit when it cannot."""

    def look(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return (n,) probabilities that something is planted, in order."""
        ...


class _Pins(BaseModel):
    """`classifier.toml`: the only files that are accepted, and how long a text it learnt to read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=1)]
    prompt_tokens: Annotated[int, Field(ge=16, le=512)]
    document_tokens: Annotated[int, Field(ge=16, le=512)]
    overlap: Annotated[int, Field(ge=1)]
    #: By file name.
    sha256: dict[str, str]


class Shipped:
    """The model that lies in the package, opened on first use and once."""

    def __init__(self, folder: Path = _FOLDER, *, pins: Path = _PINS) -> None:
        self._folder = folder
        self._pins_file = pins
        self._opening = Lock()

    @property
    def version(self) -> str:
        """Name the model as stored verdicts do, "classifier-2". Raises ClassifierUnfit."""
        return f"classifier-{self._pins.version}"

    def look(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return (n,) probabilities of the sieve that something is planted. Raises ClassifierUnfit."""
        with self._opening:
            sieve = self._sieve
        return sieve.look(texts)

    def score(self, texts: Sequence[str], heads: Sequence[Head]) -> NDArray[np.float64]:
        """Return (texts, heads) probabilities, the highest of each text's windows. Raises ClassifierUnfit."""
        with self._opening:
            model, pins = self._opened, self._pins
        scores = np.zeros((len(texts), len(HEADS)))
        for prompt in (True, False):
            asked = [HEADS.index(head) for head in heads if (head != "planted") == prompt]
            tokens = pins.prompt_tokens if prompt else pins.document_tokens
            if asked:
                read = list(map(_without_codes, texts)) if prompt else texts
                scores[:, asked] = _highest(model, read, tokens=tokens, overlap=pins.overlap)[:, asked]
        return scores[:, [HEADS.index(head) for head in heads]]

    @cached_property
    def _pins(self) -> _Pins:
        try:
            return _Pins.model_validate(tomllib.loads(self._pins_file.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise ClassifierUnfit(
                f"The pins of the classifier cannot be read: {self._pins_file.name}."
            ) from error

    @cached_property
    def _opened(self) -> Model:
        return OnnxModel(self._folder, sha256=self._pins.sha256)

    @cached_property
    def _sieve(self) -> Sieve:
        return Sieve(self._folder / "sieve.npz", sha256=self._pins.sha256.get("sieve.npz", ""))


def _without_codes(text: str) -> str:
    """Return a prompt without its numbers, "" where hardly a letter is left.

    The model takes a part number for a pass word: of 150 questions about part numbers it stopped 23 with
    their digits and 2 without. Letters all stay, so no word of an attack is hidden by it.
    """
    bare = _NUMBERS.sub("", text)
    return bare if sum(map(str.isalpha, bare)) >= _FEWEST_LETTERS else ""


def _highest(model: Model, texts: Sequence[str], *, tokens: int, overlap: int) -> NDArray[np.float64]:
    """Return (texts, all heads) probabilities: what is worst in a text decides about it."""
    cut = [model.windows(text, tokens=tokens, overlap=overlap) for text in texts]
    logits = model.logits([window for windows in cut for window in windows])
    ends = np.cumsum([len(windows) for windows in cut])
    best = np.stack([part.max(axis=0) for part in np.split(logits, ends[:-1])])
    probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-best.astype(np.float64)))
    return probabilities


class Classifier:
    """Rail: blocks what scores at or above a head's threshold; the code is the head's name.

    With a sieve the head `planted` reads only what the sieve holds back; all else scores 0 there.
    """

    name = "classifier"
    codes: frozenset[str] = frozenset(HEADS)
    rewrites = False

    def __init__(
        self,
        scores: Scores,
        *,
        thresholds: Mapping[Head, float],
        sieve: FirstLook | None = None,
        held_from: float = 0.0,
    ) -> None:
        self._scores = scores
        self._thresholds = dict(thresholds)
        self._sieve = sieve
        self._held_from = held_from

    async def judge(self, passages: Sequence[Passage]) -> Sequence[Ruling]:
        """Return one ruling for each passage, in order, with its score. Raises ClassifierUnfit."""
        try:
            return await asyncio.to_thread(self._judge, passages)
        except ClassifierUnfit as error:
            _LOG.error("The classifier rail is closed: %s", error.detail)
            raise

    def _judge(self, passages: Sequence[Passage]) -> Sequence[Ruling]:
        views = [list(passage.views()) for passage in passages]
        scores = self._scored([view for some in views for view in some])
        ends = np.cumsum([len(some) for some in views])
        return [self._rule(part.max(axis=0)) for part in np.split(scores, ends[:-1])]

    def _scored(self, texts: Sequence[str]) -> NDArray[np.float64]:
        heads = list(self._thresholds)
        if self._sieve is None or "planted" not in heads:
            return self._scores.score(texts, heads)
        scores = np.zeros((len(texts), len(heads)))
        # What is no number is held back.
        held = np.flatnonzero(~(self._sieve.look(texts) < self._held_from)).tolist()
        if held:
            read = self._scores.score([texts[place] for place in held], ["planted"])
            scores[held, heads.index("planted")] = read[:, 0]
        others: list[Head] = [head for head in heads if head != "planted"]
        if others:
            scores[:, [heads.index(head) for head in others]] = self._scores.score(texts, others)
        return scores

    def _rule(self, scores: NDArray[np.float64]) -> Ruling:
        """Rule by the head that is furthest above its threshold; not a number is above any."""
        each = dict(zip(self._thresholds, map(float, scores), strict=True))
        over = [head for head, score in each.items() if not score < self._thresholds[head]]
        if not over:
            return Ruling(decision="allow", score=max(each.values()))
        worst = max(over, key=lambda head: each[head] - self._thresholds[head])
        return Ruling(decision="block", code=worst, score=each[worst])
