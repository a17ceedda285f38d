"""One question from its rights to its answer: to everyone what everyone may read, the rest to the asker."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio

from agent.records import Answer, Citation, Question, Released, Step, Turn
from api.slack.blocks import Dress, Letter, letter, note, offer
from api.slack.branch import Branch, channel_of, same_place
from api.slack.errors import SlackError
from api.slack.pictures import pictures_of
from api.slack.reading import asks
from api.slack.records import Asked, ChannelWishes, Cited, Errand, Told
from api.slack.rights import Readers, dropped_into
from api.slack.telling import Live, whisper
from api.slack.threads import catch_up, own_message
from api.slack.words import say
from api.upload import label
from ingest.records import Scope

#: A message that comes later than this after it was written may have overtaken, or been overtaken by, others.
_LATE_S = 5.0
_TURNS = 10


@dataclass(slots=True)
class Course:
    """How far one question has come: what the end needs, however it comes."""

    errand: Errand
    dress: Dress = field(default_factory=Dress)
    live: Live | None = None
    told: Told | None = None
    #: Done after the errand is closed: pictures, and what is for the asker alone.
    afterwards: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    #: The errand is closed; what fails from here on is only told to the log.
    settled: bool = False
    #: Put back, because something earlier came to light.
    put_back: bool = False


class Asking:
    """Answers questions in one workspace."""

    def __init__(self, branch: Branch, *, on_posted: Callable[[str, str], Awaitable[None]]) -> None:
        self._branch, self._on_posted = branch, on_posted

    async def answer(self, course: Course) -> None:
        """Answer a question. Raises SlackError and what the agent raises."""
        branch, asked = self._branch, _asked(course.errand)
        wishes = await branch.wishes(asked.channel)
        if asked.ts and not asked.private and await self._missed(course.errand, asked, wishes):
            course.put_back = True
            return
        readers = await self._readers(asked, wishes)
        if readers is None:
            if not asked.unasked:
                course.dress = branch.dress(asked, wishes=wishes)
                await whisper(branch.workspace, asked, note(self._unknown(course.dress.language)))
            return
        course.dress = branch.dress(asked, wishes=wishes, language=readers.asker.language)
        course.live = await self._live(course, asked)
        if asked.files and not await self._take_in(course, asked):
            return
        scope = readers.own if asked.private else readers.shared
        if not (asked.unasked or asked.private or asked.files):
            await course.live.open()
        answer = await self._ask(course, asked, scope, wishes)
        if answer is None or (asked.unasked and not _sure(answer, wishes)):
            return
        course.told = told_of(answer)
        final = letter(course.told, key=course.errand.key, dress=course.dress)
        if asked.private:
            await whisper(branch.workspace, asked, final)
            return
        await course.live.close(final)
        self._plan_afterwards(course, asked, readers, wishes)

    def _plan_afterwards(self, course: Course, asked: Asked, readers: Readers, wishes: ChannelWishes) -> None:
        told = course.told
        assert told is not None
        if told.citations and wishes.crops is not False and self._branch.settings.crops:
            course.afterwards.append(lambda: self._show(asked, told, wishes, course.dress))
        if asked.kind != "dm" and readers.differs and told.kind != "refusal" and not asked.unasked:
            course.afterwards.append(lambda: self._offer(course, asked, readers, wishes))

    async def _missed(self, errand: Errand, asked: Asked, wishes: ChannelWishes) -> bool:
        """Look for what Slack did not deliver, or not in order; for a first message only if it comes late."""
        late = errand.arrived_at - float(asked.ts) > _LATE_S
        overheard = await self._branch.book.overheard(errand.conversation)
        if asked.thread == asked.ts and not (late or overheard or errand.attempts > 1):
            return False
        return await catch_up(self._branch.workspace, self._branch.book, errand, wishes=wishes)

    async def _readers(self, asked: Asked, wishes: ChannelWishes) -> Readers | None:
        gate = self._branch.gate
        if not asked.private:
            return await gate.readers(asked.user, asked.place, only=wishes.collections)
        # A command can be given where we are no member and cannot know who else is.
        own = await gate.own(asked.user, place=asked.place)
        if own is None:
            return None
        asker = await self._branch.people.person(asked.user)
        return Readers(asker=asker, own=own, shared=own)

    def _unknown(self, language: str) -> str:
        url = self._branch.settings.sign_in_url
        how = say("sign_in", language, url=url) if url else say("ask_admin", language)
        return say("unknown", language, how=how)

    async def _live(self, course: Course, asked: Asked) -> Live:
        errand = course.errand
        posted = errand.posted
        if not posted and errand.attempts > 1 and not asked.private:
            posted = await own_message(self._branch.workspace, self._branch.book, errand)
            if posted:
                await self._on_posted(errand.key, posted)

        return Live(
            self._branch.workspace,
            asked,
            key=errand.key,
            dress=course.dress,
            pace_s=self._branch.settings.pace_s,
            stream=self._branch.settings.stream,
            posted=posted,
            on_posted=self._on_posted,
        )

    async def _ask(self, course: Course, asked: Asked, scope: Scope, wishes: ChannelWishes) -> Answer | None:
        live = course.live
        assert live is not None
        question = Question(
            text=asked.text,
            scope=scope,
            history=await self._history(course.errand, asked, scope),
            channel=channel_of(asked),
            languages=(wishes.language,) if wishes.language else (),
        )
        answer: Answer | None = None
        async with anyio.create_task_group() as group:
            if live.posted:
                group.start_soon(live.run)
            async with aclosing(self._branch.house.agent.ask(question)) as events:
                async for event in events:
                    match event:
                        case Step():
                            live.step(event.label)
                        case Released():
                            live.sentence(event.sentence.marked)
                        case Answer():
                            answer = event
            group.cancel_scope.cancel()
        return answer

    async def _history(self, errand: Errand, asked: Asked, scope: Scope) -> tuple[Turn, ...]:
        """Return the conversation before this question, as far as it may be read with this scope now."""
        turns: list[Turn] = []
        if asked.quoted:
            turns.append(Turn(role="user", text=asked.quoted))
        for earlier in await self._branch.book.conversation(asked.place.conversation):
            what = earlier.what
            if not isinstance(what, Asked) or earlier.key == errand.key or earlier.place >= errand.place:
                continue
            if what.private and (what.user != asked.user or not asked.private):
                continue
            if earlier.told is None or not what.text:
                continue
            turns.append(Turn(role="user", text=what.text))
            if await self._branch.may_read(earlier.told, scope=scope):
                turns.append(Turn(role="assistant", text=earlier.told.text))
        return tuple(turns[-_TURNS:])

    async def _take_in(self, course: Course, asked: Asked) -> bool:
        """Read the files of a message into its conversation; False where there is no question beside them."""
        live = course.live
        assert live is not None
        await live.open()
        lines = [
            await self._read_file(asked, number, course.dress.language) for number in range(len(asked.files))
        ]
        for line in lines:
            live.step(line)
        if asked.text:
            return True
        await live.close(note("\n".join(lines)))
        course.told = Told(kind="note", text="\n".join(lines))
        return False

    async def _read_file(self, asked: Asked, number: int, language: str) -> str:
        file = asked.files[number]
        name = label(file.name)
        most = self._branch.api.max_upload_bytes
        inbox = self._branch.api.home / "slack-inbox"
        inbox.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=inbox) as folder:
            path = Path(folder) / f"file{Path(name).suffix.lower()[:9]}"
            try:
                await self._branch.workspace.fetch(file.url, path, max_bytes=most)
            except SlackError as error:
                if error.retryable:
                    raise
                return say("not_read", language, name=name, why=error.detail)
            outcome = await self._branch.house.shelf.add(
                path, name=name, tenant=self._branch.api.tenant, collection=dropped_into(asked.place)
            )
        if outcome.outcome in ("failed", "quarantined"):
            return say("not_read", language, name=name, why=outcome.detail or outcome.reason or "")
        return say("read_file", language, name=name, pages=outcome.pages)

    async def _show(self, asked: Asked, told: Told, wishes: ChannelWishes, dress: Dress) -> None:
        """Show the cited regions in the thread, with the rights of everyone who is there by now."""
        gate = self._branch.gate
        if asked.kind == "dm":
            scope = await gate.own(asked.user, place=asked.place)
        else:
            scope = await gate.everyone(asked.place, only=wishes.collections)
        chosen: list[Cited] = []
        for cited in told.citations:
            if len(chosen) < self._branch.settings.crops and not any(
                same_place(cited, one) for one in chosen
            ):
                chosen.append(cited)
        pictures = await pictures_of(
            self._branch.house.agent, chosen, scope=scope, channel=channel_of(asked), language=dress.language
        )
        if pictures:
            await self._branch.workspace.show(pictures, channel=asked.channel, thread=asked.thread, words="")

    async def _offer(self, course: Course, asked: Asked, readers: Readers, wishes: ChannelWishes) -> None:
        """Tell the asker, and nobody else, that there is more for those who may read more."""
        own = readers.own
        if wishes.collections:
            kept = {*wishes.collections, dropped_into(asked.place)}
            own = replace(
                own, collections=tuple(one for one in own.collections if one in kept or "*" in kept)
            )
        found = await self._branch.house.agent.search(
            asked.text, scope=own, limit=5, channel=channel_of(asked)
        )
        shelf = self._branch.house.shelf
        for hit in found.hits:
            if await shelf.document(hit.chunk.document_id, scope=readers.shared) is None:
                text = offer(course.errand.key, language=course.dress.language)
                await whisper(self._branch.workspace, asked, text)
                return


def stopped(live: Live | None, dress: Dress) -> tuple[Told, Letter]:
    """Return what is left of an answer that somebody stopped."""
    text = f"{live.text if live else ''} {say('stopped', dress.language)}".strip()
    return Told(kind="stopped", text=text), note(text)


def apology(why: str, dress: Dress) -> tuple[Told, Letter]:
    """Return what is said of an answer that could not be finished."""
    text = say("sorry", dress.language, why=why)
    return Told(kind="apology", text=text), note(text)


def told_of(answer: Answer) -> Told:
    """Return an answer as it is kept."""
    return Told(
        kind=answer.kind,
        text=answer.text,
        sentences=tuple((one.text, one.citations) for one in answer.sentences),
        citations=tuple(map(_cited, answer.citations)),
        reason=answer.reason,
        searched=answer.searched,
        nearest=tuple(map(_cited, answer.nearest)),
        dropped=answer.dropped,
        confidence=answer.confidence,
        trace_id=answer.trace_id,
    )


def _cited(citation: Citation) -> Cited:
    return Cited(
        n=citation.n,
        document_id=citation.document_id,
        name=citation.name,
        page_no=citation.page_no,
        boxes=tuple((box.x0, box.y0, box.x1, box.y1) for box in citation.boxes),
        quote=citation.quote,
        start_s=citation.start_s,
        end_s=citation.end_s,
    )


def _sure(answer: Answer, wishes: ChannelWishes) -> bool:
    """Say whether an answer is good enough to be told to people who did not call us."""
    if answer.kind != "answer" or wishes.auto is None:
        return False
    return answer.confidence is not None and answer.confidence >= wishes.auto


def worth_asking(asked: Asked, *, wishes: ChannelWishes) -> bool:
    """Say whether a message that calls nobody may be answered by itself."""
    return wishes.auto is not None and asked.thread == asked.ts and asks(asked.text)


def _asked(errand: Errand) -> Asked:
    assert isinstance(errand.what, Asked)
    return errand.what
