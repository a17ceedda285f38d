"""An answer while it is told: one message that shows the step, then each released sentence, then all of it.

Changes are gathered: what comes while Slack wants us to wait is sent together when it is time. The last state
is never left out. Slack's streaming is used where the workspace has it; a message that may have been heard
twice, or that Slack took out of streaming, is written over as a whole.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from api.slack import plain
from api.slack.blocks import Dress, Letter, status
from api.slack.errors import Busy, SlackError, Uncertain
from api.slack.records import Asked
from api.slack.web import Workspace
from api.slack.words import say

#: What marks our messages for whoever takes an errand over.
ANSWER, NOTE = "pagewarden_answer", "pagewarden_note"
#: Slack's words for a message that is not there to be changed.
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
#: Slack's word for a message that somebody is still streaming.
_STREAMED = "streaming_state_conflict"
_NO_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "invalid_arguments"})
_TRIES = 4


def marked(kind: str, key: str) -> dict[str, object]:
    """Return the metadata by which a message of ours is known again."""
    return {"event_type": kind, "event_payload": {"key": key}}


class Live:
    """One answer's message."""

    def __init__(
        self,
        workspace: Workspace,
        asked: Asked,
        *,
        key: str,
        dress: Dress,
        pace_s: float,
        stream: bool,
        posted: str = "",
        on_posted: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._workspace, self._asked, self._key, self._dress = workspace, asked, key, dress
        self._pace_s, self._streams, self._on_posted = pace_s, stream, on_posted
        self.posted = posted
        self.text = ""
        self._streaming = self._torn = False
        self._steps: list[str] = []
        self._folded = False
        self._changed = anyio.Event()
        #: What Slack has: characters of the text, and steps.
        self._sent_chars = self._sent_steps = 0
        self._last = ""

    async def open(self) -> None:
        """Show that the question is being worked on. Raises Uncertain, SlackError."""
        # Broken off half-way, a message would stand there that the book does not know.
        with anyio.CancelScope(shield=True):
            if self.posted:
                # Another process wrote this message and died: whatever it was streaming ends here.
                if self._streams:
                    await self._end_stream()
            elif not (self._streams and await self._open_stream()):
                await self._post(status((), "", key=self._key, language=self._dress.language))

    def step(self, label: str) -> None:
        """Show a step."""
        self._steps.append(label)
        self._changed.set()

    def sentence(self, text: str) -> None:
        """Show a released sentence with its markers, unless the answer is folded by now."""
        whole = f"{self.text} {text}" if self.text else text
        # `folded` counts a space after the last sentence too.
        if self._folded or (self.text and len(whole) + 1 > self._dress.most_chars):
            self._folded = True
            return
        self.text = whole
        self._changed.set()

    async def run(self) -> None:
        """Send changes as they come, gathered, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            pause_s = self._pace_s
            try:
                # Never broken off half-way: nobody would know what Slack has heard.
                with anyio.CancelScope(shield=True):
                    await self._write()
            except Busy as busy:
                self._changed.set()
                pause_s = max(pause_s, busy.retry_after_s)
            except SlackError:
                # The end writes the message as a whole; until then it stays as it is.
                self._torn = True
            await anyio.sleep(pause_s)

    async def close(self, letter: Letter) -> None:
        """Write the message as it shall stay. Raises SlackError, Uncertain."""
        if not self.posted:
            await self._post(letter)
        elif not self._streaming or self._torn or not await self._close_stream(letter):
            await self._rewrite(letter)

    async def remove(self) -> None:
        """Delete the message. Raises SlackError, Uncertain."""
        if not self.posted:
            return
        if self._streams:
            await self._end_stream()
        try:
            await self._workspace.call("chat.delete", channel=self._asked.channel, ts=self.posted)
        except SlackError as error:
            if error.word != "message_not_found":
                raise

    async def _open_stream(self) -> bool:
        asked = self._asked
        to: dict[str, Any] = (
            {"recipient_user_id": asked.user, "recipient_team_id": asked.team} if asked.kind != "dm" else {}
        )
        first = _task(0, say("looking", self._dress.language), "in_progress")
        try:
            told = await self._workspace.call(
                "chat.startStream", patient=False, channel=asked.channel, thread_ts=asked.thread,
                task_display_mode="timeline", chunks=[first], **to,
            )  # fmt: skip
        except Uncertain:
            raise
        except SlackError:
            # Not every workspace, plan and kind of channel has it; Busy: it is not worth waiting for.
            return False
        self._streaming = True
        await self._put(str(told["ts"]))
        return True

    async def _post(self, letter: Letter) -> None:
        told = await self._say(
            "chat.postMessage", letter, thread_ts=self._asked.thread, unfurl_links=False, unfurl_media=False
        )
        await self._put(str(told["ts"]))

    async def _put(self, ts: str) -> None:
        self.posted = ts
        await self._on_posted(self._key, ts)

    async def _write(self) -> None:
        if self._torn:
            return
        if self._streaming:
            chunks = self._fresh(done=False)
            if chunks:
                steps, chars = len(self._steps), len(self.text)
                await self._workspace.call(
                    "chat.appendStream",
                    patient=False,
                    channel=self._asked.channel,
                    ts=self.posted,
                    chunks=chunks,
                )
                self._sent_steps, self._sent_chars = steps, chars
            return
        letter = status(self._steps, self.text, key=self._key, language=self._dress.language)
        shown = repr(letter.blocks)
        if shown != self._last:
            await self._say("chat.update", letter, patient=False, ts=self.posted)
            self._last = shown

    def _fresh(self, *, done: bool) -> list[dict[str, object]]:
        """Return the chunks that Slack has not seen: steps, each complete once the next began, and text."""
        chunks: list[dict[str, object]] = []
        steps = [say("looking", self._dress.language), *self._steps]
        fresh = len(steps) > self._sent_steps + 1 or done
        for number in range(self._sent_steps, len(steps) if fresh else self._sent_steps):
            last = number == len(steps) - 1
            chunks.append(_task(number, steps[number], "in_progress" if last and not done else "complete"))
        if text := self.text[self._sent_chars :]:
            chunks.append({"type": "markdown_text", "text": plain.markdown(text)})
        return chunks

    async def _close_stream(self, letter: Letter) -> bool:
        if not letter.shown.startswith(self.text):
            return False
        self.text = letter.shown
        chunks = self._fresh(done=True)
        try:
            await self._workspace.call(
                "chat.stopStream", channel=self._asked.channel, ts=self.posted, chunks=chunks,
                blocks=list(letter.tail), metadata=marked(ANSWER, self._key),
            )  # fmt: skip
        except SlackError:
            return False
        return True

    async def _rewrite(self, letter: Letter) -> None:
        if self._streaming:
            await self._end_stream()
        for left in reversed(range(_TRIES)):
            try:
                await self._say("chat.update", letter, ts=self.posted)
                return
            except Uncertain:
                # The same words once more change nothing.
                if left == 0:
                    raise
                await anyio.sleep(self._pace_s)
            except SlackError as error:
                if error.word == _STREAMED and left:
                    # Whoever had this message before us streamed it.
                    await self._end_stream()
                    continue
                if error.word not in _GONE:
                    raise
                await self._post(letter)
                return

    async def _end_stream(self) -> None:
        self._streaming = False
        try:
            await self._workspace.call("chat.stopStream", channel=self._asked.channel, ts=self.posted)
        except SlackError:
            # It was no stream, or is none any more.
            return

    async def _say(
        self, method: str, letter: Letter, *, patient: bool = True, **more: object
    ) -> dict[str, object]:
        arguments: dict[str, Any] = {
            "channel": self._asked.channel,
            "text": letter.text,
            "metadata": marked(ANSWER, self._key),
        }
        arguments |= more
        try:
            told = await self._workspace.call(method, patient=patient, blocks=letter.blocks, **arguments)
        except SlackError as error:
            if error.word not in _NO_BLOCKS:
                raise
            told = await self._workspace.call(method, patient=patient, blocks=[], **arguments)
        return dict(told)


def _task(number: int, title: str, state: str) -> dict[str, object]:
    return {"type": "task_update", "id": f"step-{number}", "title": plain.inert(title)[:200], "status": state}


async def whisper(workspace: Workspace, asked: Asked, letter: Letter) -> None:
    """Tell the asker alone. Raises SlackError, Uncertain."""
    message: dict[str, Any] = {"text": letter.text, "blocks": letter.blocks}
    if asked.response_url:
        await workspace.respond(
            asked.response_url, message | {"response_type": "ephemeral", "replace_original": True}
        )
        return
    where: dict[str, Any] = {"thread_ts": asked.thread} if asked.thread else {}
    quiet: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False}
    if asked.kind == "dm":
        note: dict[str, Any] = {"metadata": marked(NOTE, "")}
        await workspace.call("chat.postMessage", channel=asked.channel, **message, **where, **quiet, **note)
        return
    await workspace.call("chat.postEphemeral", channel=asked.channel, user=asked.user, **message, **where)
