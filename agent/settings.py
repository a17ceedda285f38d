"""Budgets and thresholds of answering: read once at an entry point and passed down."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

#: Which model is asked by a check that costs a call: none, a served one that writes, or the local one too.
ModelChecks = Literal["off", "served", "all"]


class AgentSettings(BaseSettings):
    """Every field has a laptop default; each is an environment variable `PAGEWARDEN_AGENT_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="PAGEWARDEN_AGENT_", frozen=True, extra="ignore")

    budget_s: Annotated[float, Field(gt=0, le=3600)] = 180.0
    """Longest that one answer may take; what was released by then is the answer."""
    max_rounds: Annotated[int, Field(ge=1, le=5)] = 2
    """Searches for one question: a further round asks wider when nothing of the first stood up."""
    local_rounds: Annotated[int, Field(ge=1, le=5)] = 1
    """The same for the local model, which takes about 3 s a source to find nothing."""
    max_queries: Annotated[int, Field(ge=1, le=3)] = 3
    """Sub-questions that one question is split into."""
    evidence: Annotated[int, Field(ge=1, le=50)] = 8
    """Hits kept as evidence for one question."""
    served_sources: Annotated[int, Field(ge=1, le=50)] = 8
    """Evidence shown to a served model."""
    local_sources: Annotated[int, Field(ge=1, le=20)] = 3
    """Evidence that the local model is asked about, one piece at a time."""
    local_chars: Annotated[int, Field(ge=200)] = 600
    """Characters shown of each piece: the local model reads about 90 tokens a second on two cores."""
    looks: Annotated[int, Field(ge=0, le=20)] = 2
    """Regions of page images looked at for one question."""
    look_tokens: Annotated[int, Field(ge=0)] = 8000
    """Prompt tokens that looking may take: four A4 pages on the tiles of Nemotron Nano 2 VL."""
    look_s: Annotated[float, Field(gt=0)] = 45.0
    """Longest that looking may take, seconds; then the answer goes on without."""
    max_tokens: Annotated[int, Field(ge=32, le=8192)] = 320
    """Longest answer, tokens."""
    max_sentences: Annotated[int, Field(ge=1, le=100)] = 8
    """Longest answer, sentences."""
    max_sentence_chars: Annotated[int, Field(ge=80, le=4000)] = 600
    """A longer sentence is cut by the release gate."""
    history_turns: Annotated[int, Field(ge=0, le=50)] = 6
    """Earlier turns that the plan reads."""
    min_word_support: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Share of a sentence's content words that its cited evidence must hold. Of 49 sentences of a small model
    read by hand .6 keeps 46, of which 31 stand; .8 keeps 37 and 27; 1.0 keeps 35 and 27."""
    min_short_support: Annotated[float, Field(ge=0, le=1)] = 0.7
    """The same for a sentence so short that it leans on the question's words ("20 bytes")."""
    local_rows: Annotated[int, Field(ge=1, le=50)] = 2
    """Rows of one table shown to the local model: with more it answers from a neighbour of the right one."""
    min_quote_cover: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Share of the question's content words that evidence must hold to be quoted where a model was asked
    first and nothing of what it said stood."""
    min_confidence: Annotated[float | None, Field(ge=0, le=1)] = None
    """A sentence less sure than this is not shown; unset takes the calibrated threshold, 0 shows all."""
    nearest: Annotated[int, Field(ge=0, le=10)] = 3
    """Pages named with an abstention, those that came nearest."""
    entailment: ModelChecks = "served"
    """Whether a model judges that the evidence says what the sentence says; undecided does not stand."""
    rewrite: ModelChecks = "served"
    """Whether a sentence that does not stand is written anew once."""
