"""How sure is it that a sentence answers the question? One number from what retrieval and the question itself
tell, by a logistic model with a plain weight for each sign.

The weights stand in `calibration.toml`, fitted on questions with known answers (`tests/bench/calibrate.py`
makes the file anew). The answer is judged before it is shown: below the threshold it is an abstention, which
is worth more than a fluent sentence about something else.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from agent import words
from agent.state import Source

_FILE = Path(__file__).with_name("calibration.toml")

_QUOTED = re.compile(r"[\"“”']([^\"“”']{3,80})[\"“”']")
_ACRONYM = re.compile(r"\b[A-Z][A-Z0-9-]{1,}\b")
_YEAR = re.compile(r"\b(?:19|20)\d{2}\b")
_COUNTS = re.compile(r"\bhow many\b|\bnumber of\b|\bhow often\b", re.I)
_NUMERIC = re.compile(
    r"\bhow (?:much|large|long|big|old|high|far|fast|wide|deep|heavy)\b|"
    r"\bwhat (?:is|was|are|were) the (?:\w+ ){0,4}(?:percentage|percent|number|amount|size|rate|ratio|total|"
    r"value|price|cost|share|offset|limit|average|mean|score|accuracy|temperature|margin)\b|"
    r"\bwhat (?:percentage|percent|number|amount|size|proportion|share|temperature|time|page)\b|\bpercent",
    re.I,
)
_WHEN = re.compile(r"\bwhen\b|\bwhat (?:year|date|month|day)\b|\bwhich (?:year|date|month|day)\b", re.I)
_WHO = re.compile(r"\bwho\b|\bwhose\b|\bwhich (?:company|person|agency|country|team|author|city)\b", re.I)
_YES_NO = re.compile(r"^\W*(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)\b", re.I)
_SEVERAL = re.compile(
    r"\b(?:list|all|each|both|compare|respectively|difference|between|and what|top|most|least|highest|lowest|"
    r"largest|smallest|than|enumerate)\b|\?.*\?",
    re.I | re.S,
)
_SEEN = re.compile(
    r"\b(?:picture|photo|image|figure|chart|graph|diagram|plot|logo|icon|colou?r|shape|arrow|line|bar|shown|"
    r"drawn|depicted|left|right|top|bottom|corner|slide)s?\b",
    re.I,
)


class Calibration(BaseModel):
    """The fitted model: a weight a sign, and the confidence below which it abstains."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float
    bias: float
    weights: dict[str, float]

    def confidence(self, found: Mapping[str, float]) -> float:
        """Return the probability in (0, 1) that the sentence answers rightly."""
        logit = self.bias + sum(weight * found[name] for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


@lru_cache(maxsize=1)
def calibration() -> Calibration:
    """Read the shipped weights, once."""
    return Calibration.model_validate(tomllib.loads(_FILE.read_text("utf-8")))


def signs(
    question: str,
    sentence: str,
    *,
    cited: list[Source],
    sources: list[Source],
    pages: str,
    computed: bool,
) -> dict[str, float]:
    """Return the signs by name, each about 0 to 1 and higher where it is rather the answer.

    `pages` are the words of the cited pages. The cross-encoder is not asked again: what it says of a sentence
    or its chunk tells right answers from others hardly better than chance (AUC .54 and .56, 186 answers).
    """
    asked = words.content(question) | words.numbers(question)
    beside = "\n".join(f"{s.title}\n{s.chunk.heading}" for s in cited)
    here = f"{beside}\n{sentence}"
    chunk = "\n".join(s.context for s in cited)
    known = f"{beside}\n{pages}\n{chunk}"
    rank = min(i for i, s in enumerate(sources, start=1) if s in cited)
    return {
        "retrieved": max(s.score for s in cited),
        "first": 1.0 / rank,
        "covered_here": words.cover(asked, _said(here)),
        "covered_chunk": words.cover(asked, _said(chunk)),
        # Of two words that are asked for one is soon said in another way: one is taken as met.
        "covered_page": (len(asked & _said(known)) + 1) / (len(asked) + 1),
        "specifics_page": _specifics(question, known),
        "specifics_chunk": _specifics(question, f"{beside}\n{chunk}"),
        "fits": fits_type(question, sentence),
        "wants_number": float(bool(_NUMERIC.search(question))),
        "counts": float(bool(_COUNTS.search(question))),
        "yes_no": float(bool(_YES_NO.search(question))),
        "several": float(bool(_SEVERAL.search(question))),
        "seen": float(bool(_SEEN.search(question))),
        "long": min(1.0, len(asked) / 20),
        "table": float(any(s.chunk.kind == "table" for s in cited)),
        "computed": float(computed),
    }


def fits_type(question: str, sentence: str) -> float:
    """Say whether the sentence has what is asked for: 1 it has, 0 it has not, .5 where nothing tells."""
    fresh = words.numbers(sentence) - words.numbers(question)
    if _WHEN.search(question):
        return float(bool(_YEAR.search(sentence)) or bool(fresh))
    if _COUNTS.search(question) or _NUMERIC.search(question):
        return float(bool(fresh))
    if _WHO.search(question):
        return float(bool(words.names(f"It says {sentence}") - words.names(question)))
    if _YES_NO.search(question):
        return float(bool(re.match(r"\W*(?:yes|no)\b", sentence, re.I)))
    return 0.5


def _specifics(question: str, known: str) -> float:
    """Return the share of the question's names, acronyms, quoted words and years that `known` holds."""
    apart, together = words.flat(known), words.squashed(known)
    named = {name.casefold() for name in words.names(question)}
    named |= {found.casefold() for found in _ACRONYM.findall(question)}
    wanted = [name in apart or (len(name) > 3 and words.squashed(name) in together) for name in named]
    wanted += [words.squashed(found) in together for found in _QUOTED.findall(question)]
    wanted += [year in known for year in set(_YEAR.findall(question))]
    return sum(wanted) / len(wanted) if wanted else 1.0


def _said(text: str) -> set[str]:
    return words.content(text) | words.numbers(text)


def probability(logit: float) -> float:
    """Return the logistic of a logit, in (0, 1)."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))
