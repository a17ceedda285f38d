"""What a model server's answer is made of, and whether it is whole.

A stream counts as whole only with a finish reason: an engine killed mid-answer still ends its stream with a
clean `[DONE]` (measured on vLLM 0.32). Where the server tells the tokens of each piece and their running
total, the two must agree at every piece, which finds pieces that were lost, doubled or swapped on the way.
Reasoning is cut off here, not by the server: its parsers put plain answers into the wrong field.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ingest.errors import ModelDown, ModelReply, NoWords
from ingest.turns import whole

FINISHED = frozenset({"stop", "length"})


Text = Annotated[str | None, BeforeValidator(lambda said: whole(said) if isinstance(said, str) else said)]
Count = Annotated[int, Field(ge=0)]


class _Function(BaseModel):
    model_config = ConfigDict(extra="ignore")

    arguments: Text = None


class _ToolCall(BaseModel):
    model_config = ConfigDict(extra="ignore")

    function: _Function = _Function()


class Said(BaseModel):
    """What a message or a piece of one says; the reasoning field has two names among servers."""

    model_config = ConfigDict(extra="ignore")

    content: Text = None
    reasoning: Text = None
    reasoning_content: Text = None
    tool_calls: list[_ToolCall] | None = None

    @property
    def thought(self) -> str:
        """The reasoning, whatever its field is called."""
        return self.reasoning or self.reasoning_content or ""

    @property
    def called(self) -> str:
        """The arguments of the tool call that it is, "" where it is none."""
        return (self.tool_calls[0].function.arguments or "") if self.tool_calls else ""


class Choice(BaseModel):
    """An answer or a piece of one."""

    model_config = ConfigDict(extra="ignore")

    #: `delta` in a stream, `message` otherwise.
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    #: The tokens of this piece, where the server was asked for them and knows how.
    token_ids: list[int] | None = None


class Usage(BaseModel):
    """Token counts; in a stream, those so far."""

    model_config = ConfigDict(extra="ignore")

    prompt_tokens: Count = 0
    completion_tokens: Count = 0


class Completion(BaseModel):
    """A completion or a chunk of one; a chunk that only counts tokens has no choices."""

    model_config = ConfigDict(extra="ignore")

    choices: Annotated[list[Choice], Field(max_length=1)]
    usage: Usage | None = None
    error: object = None


class Telling:
    """One stream, heard chunk by chunk up to the proof that it is whole.

    `counted` demands that every piece tells its tokens; `thinks` says that the answer begins with a thought,
    of at most `thought_tokens`.
    """

    def __init__(
        self, *, where: str, thinks: bool = False, thought_tokens: int = 0, counted: bool = False
    ) -> None:
        self.usage: Usage | None = None
        self._where = where
        self._thinks = thinks
        self._thought_tokens = thought_tokens
        self._counted = counted
        self._speech = Speech(thinks=thinks)
        self._thought = ""
        self._pieces = 0
        self._tokens = 0
        self._spoke = False
        self._finish: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the finish reason has come; counts and `[DONE]` may follow."""
        return self._finish is not None

    def hear(self, chunk: Completion) -> str:
        """Return what may be shown of a chunk. Raises ModelDown where it cannot belong to a whole answer."""
        if chunk.error is not None:
            raise self._broken("failed mid-answer")
        shown = "".join(map(self._hear, chunk.choices))
        if chunk.usage is not None:
            self.usage = chunk.usage
        self._compare(chunk)
        return shown

    def end(self) -> None:
        """Raise ModelDown unless the answer came whole, and ModelReply where it says nothing."""
        if not self.finished:
            raise self._broken("broke off mid-answer")
        if not self._spoke:
            raise NoWords(
                f"The model {self._where} finished without a word; ask in other words, or allow more tokens."
            )

    def _hear(self, choice: Choice) -> str:
        said = choice.delta or Said()
        if self.finished and (said.content or said.thought):
            raise self._broken("went on after it had finished")
        self._count(choice, said)
        shown = self._speech.feed(said.content or "")
        if choice.finish_reason and not self.finished:
            self._finish = judged(choice.finish_reason, where=self._where)
            shown += self._speech.rest()
            if not shown and not self._spoke and not self._thinks and self._finish == "stop":
                shown = self._thought
        self._spoke = self._spoke or bool(shown.strip())
        return shown

    def _count(self, choice: Choice, said: Said) -> None:
        self._thought += said.thought if not self._thinks else ""
        if said.thought:
            self._speech.thought_is_filed()
        self._pieces += bool(said.content or said.thought)
        self._tokens += len(choice.token_ids or ())
        if self._thinks and self._speech.thinking and self._pieces > self._thought_tokens:
            raise ModelReply(
                f"The model {self._where} used up its {self._thought_tokens} tokens of reasoning; "
                "allow more, or switch reasoning off."
            )

    def _compare(self, chunk: Completion) -> None:
        """Compare what came with what the server says that it sent."""
        told = chunk.usage.completion_tokens if chunk.usage else None
        if self._counted:
            uncounted = any(choice.token_ids is None and choice.delta for choice in chunk.choices)
            if told != self._tokens or (uncounted and self._spoken(chunk)):
                raise self._broken("lost or doubled a piece of its answer")
        elif told is not None and self.finished and not chunk.choices and 0 < told < self._pieces:
            # Without the tokens of each piece: no server sends more pieces than tokens.
            raise self._broken("doubled a piece of its answer")

    def _spoken(self, chunk: Completion) -> bool:
        return any(choice.delta and choice.delta.content for choice in chunk.choices)

    def _broken(self, how: str) -> ModelDown:
        return ModelDown(f"The model server {self._where} {how}; ask again.", fault="broken")


def judged(reason: str, *, where: str) -> str:
    """Return a finish reason that is one of an answer, else raise ModelReply."""
    if reason not in FINISHED:
        raise ModelReply(f"The model {where} stopped with {reason!r} instead of an answer.")
    return reason


class Speech:
    """Cuts the reasoning off a stream of pieces; a tag may be split over any of them."""

    _OPEN, _CLOSE = "<think>", "</think>"

    def __init__(self, *, thinks: bool = False) -> None:
        self._held = ""
        # A template that opens the thought itself leaves only the closing tag in the answer.
        self._state: Literal["start", "thinking", "speaking"] = "thinking" if thinks else "start"

    @property
    def thinking(self) -> bool:
        """Whether the thought has not ended yet."""
        return self._state == "thinking"

    def thought_is_filed(self) -> None:
        """Note that the server keeps the thought in a field of its own, so that the text is the answer."""
        if self._state == "thinking" and not self._held:
            self._state = "start"

    def feed(self, piece: str) -> str:
        """Take a piece, return what may be shown of all that came so far."""
        self._held += piece
        if self._state == "start":
            self._begin()
        if self._state == "thinking":
            self._skip_thought()
        return self._speak() if self._state == "speaking" else ""

    def rest(self) -> str:
        """Return what was held back, at the end. Raises ModelReply where the thought never ended."""
        if self._state == "thinking":
            if self._CLOSE in self._held:
                return ""
            raise ModelReply(
                "The model used up its tokens on reasoning; allow more tokens or switch reasoning off."
            )
        return self._held if self._state == "speaking" else self._held.strip()

    def _begin(self) -> None:
        text = self._held.lstrip()
        if text.startswith(self._OPEN):
            self._state, self._held = "thinking", text[len(self._OPEN) :]
        elif text and not self._OPEN.startswith(text):
            self._state, self._held = "speaking", text

    def _skip_thought(self) -> None:
        _, closed, after = self._held.partition(self._CLOSE)
        if not closed:
            self._held = self._held[-len(self._CLOSE) :]
        elif after.strip():
            self._state, self._held = "speaking", after.lstrip()

    def _speak(self) -> str:
        if self._CLOSE in self._held:
            # The server's template opened the thought itself, so it was taken for the answer until now.
            raise ModelReply(
                "The model reasons aloud before it answers; switch its reasoning off (no_think)."
            )
        keep = _overlap(self._held, self._CLOSE)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown


def _overlap(text: str, tag: str) -> int:
    """Return how many characters at the end of `text` begin `tag`."""
    return next((n for n in range(min(len(text), len(tag) - 1), 0, -1) if text.endswith(tag[:n])), 0)


class Limits:
    """Bounds on the bytes of one answer: a line of a stream without end would fill the memory.

    The vendor's decoder has no bound of its own (its docstring says so).
    """

    def __init__(self, *, line_bytes: int, total_bytes: int) -> None:
        self._line_bytes, self._total_bytes = line_bytes, total_bytes
        self._line = self._total = 0

    def feed(self, piece: bytes) -> None:
        """Count a piece. Raises ValueError where a bound is passed."""
        self._total += len(piece)
        last = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        self._line = len(piece) - last - 1 if last >= 0 else self._line + len(piece)
        if self._line > self._line_bytes:
            raise ValueError(f"a line of more than {self._line_bytes} bytes")
        if self._total > self._total_bytes:
            raise ValueError(f"an answer of more than {self._total_bytes} bytes")
