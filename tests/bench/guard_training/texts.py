"""What the classifier learns from: the permitted corpora, and texts composed from the lists in `material/`.

Every kind of attack has a mirror of the same shape that is harmless, so that no frame gives a label away.
A prompt carries one label a head (None: not known, the head does not learn from it); a document is a row of
pieces, each planted or not.
"""

from __future__ import annotations

import csv
import gzip
import json
import pydoc_data.topics
import random
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MATERIAL = Path(__file__).parent / "material"
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a user might send; None where nobody says."""

    text: str
    injection: int | None
    harmful: int | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text that might be shelved, in pieces: (text, planted)."""

    pieces: tuple[tuple[str, bool], ...]
    source: str

    @property
    def text(self) -> str:
        """The whole."""
        return "".join(text for text, _ in self.pieces)


def lines(name: str) -> list[str]:
    """Read a list of `material/`, without its first comment."""
    rows = (MATERIAL / f"{name}.txt").read_text("utf-8").splitlines()
    return [row for row in rows if row and not row.startswith("# ")]


def slots(name: str) -> dict[str, list[str]]:
    """Read the word lists of `material/`."""
    return tomllib.loads((MATERIAL / f"{name}.toml").read_text("utf-8"))


def fill(template: str, words: dict[str, list[str]], dice: random.Random) -> str:
    """Fill every slot, the same word for the same name; what a word holds is filled as well."""
    chosen: dict[str, str] = {}
    for _ in range(4):
        if not _SLOT.search(template):
            break
        template = _SLOT.sub(
            lambda m: chosen.setdefault(m[1], dice.choice(words[m[1]])) if m[1] in words else m[0], template
        )
    return template


# The permitted corpora.


def corpora(train: Path) -> Iterator[Prompt]:
    """Yield the rows of `guard/train`, each with what its label is about."""
    import pandas as pd

    for split in ("train", "validation", "test"):
        with (train / "s-labs" / f"{split}.csv").open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows):
                attack = int(row["label"])
                yield Prompt(
                    text=row["text"], injection=attack, harmful=None if attack else 0, source="s-labs"
                )
        for row in pd.read_parquet(train / "neuralchemy" / f"core-{split}.parquet").itertuples():
            if row.category == "control" or not row.text.strip():
                continue  # labelled an attack, and is none
            harm = {"harmbench": 1, "neuralchemy_v1": None if row.label else 0, "harmbench_benign": 0}
            yield Prompt(
                text=row.text,
                injection=None if row.source in ("harmbench", "wildguard_judgecomp") else int(row.label),
                harmful=harm.get(row.source),
                source="neuralchemy",
            )
    for line in (train / "harm.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        yield Prompt(
            text=row["text"], injection=0, harmful=int(row["harmful"]), source=row["source"].split()[0]
        )


# Prompts that are composed.


def requests(dice: random.Random, count: int) -> Iterator[Prompt]:
    """Yield `count` harmful requests and their harmless mirrors, about half each."""
    words = slots("slots")
    bad, good = lines("harmful_goals"), lines("harmless_goals")
    words["badgoal"] = bad
    bad_whole, good_whole, about = lines("harmful_requests"), lines("harmless_requests"), lines("gateways")
    for _ in range(count):
        harmful = dice.random() < 0.5
        if dice.random() < 0.5:
            words["goal"] = bad if harmful else good
            text = fill(dice.choice(words["how"]), words, dice)
        elif not harmful and dice.random() < 0.3:
            words["goal"] = bad
            text = fill(dice.choice(about), words, dice)
        else:
            text = fill(dice.choice(bad_whole if harmful else good_whole), words, dice)
        yield Prompt(text=_typed(text, dice), injection=0, harmful=int(harmful), source="composed")


def wordy(dice: random.Random, count: int) -> Iterator[Prompt]:
    """Yield long-winded prompts: a frame that is neither, around a question that is harmful or is not."""
    words = {**slots("slots"), **slots("wordy"), "badgoal": lines("harmful_goals")}
    for prompt in requests(dice, count):
        harmful = bool(prompt.harmful) and dice.random() < 0.5
        asked = (
            prompt.text
            if harmful or not prompt.harmful
            else fill(dice.choice(lines("triggers")), words, dice)
        )
        text = fill(dice.choice(words["frame"]).replace("{ask}", asked).replace("{First}", "He"), words, dice)
        yield Prompt(text=_typed(text, dice), injection=0, harmful=int(harmful), source="composed")


def innocents(dice: random.Random, count: int) -> Iterator[Prompt]:
    """Yield harmless prompts with the words of attacks, and lines of business prose."""
    words = slots("triggers_slots")
    whole, prose = lines("triggers"), lines("innocent_lines")
    for _ in range(count):
        draw = dice.random()
        if draw < 0.4:
            text = dice.choice(whole)
        elif draw < 0.8:
            text = fill(dice.choice(words["frame"] + words["office"] * 2), words, dice)
            text = text.replace("{Verb}", dice.choice(words["verb"]).capitalize())
            text = text.replace("{Act}", dice.choice(words["act"]).capitalize()).replace(" .", ".")
        else:
            text = dice.choice(prose)
        yield Prompt(text=_typed(text, dice), injection=0, harmful=0, source="composed")


def hard(dice: random.Random, count: int) -> Iterator[Prompt]:
    """Yield prompts near the border: harmless ones that look hostile, their harmful twins, short probing."""
    words = slots("hard")
    bad, asked = lines("harmful_goals"), slots("slots")["how"]
    for _ in range(count):
        draw = dice.random()
        if draw < 0.22:
            yield Prompt(
                text=_typed(fill(dice.choice(words["probe"]), words, dice), dice),
                injection=1,
                harmful=None,
                source="composed",
            )
            continue
        harmful = draw > 0.85
        frame = dice.choice(words["stuffed" if draw < 0.5 else "strange" if draw < 0.6 else "wrapped"])
        if harmful:
            # A frame around a harmful wish: whether it attacks the assistant too, nobody says.
            frame = frame.replace("{wish}", dice.choice(asked).format(goal=dice.choice(bad)))
        text = " ".join(fill(frame, words, dice).split())
        yield Prompt(
            text=_typed(text, dice),
            injection=None if harmful else 0,
            harmful=int(harmful),
            source="composed",
        )


def foreign(dice: random.Random, count: int) -> Iterator[Prompt]:
    """Yield prompts in other languages: the encoder knows little of them, and that alone is no attack."""
    words = slots("languages")
    frames = words["zh_frame"] * 4 + words["ja_frame"] * 2 + words["ru_frame"] * 3 + words["eu"]
    for _ in range(count):
        attack = dice.random() < 0.08
        text = fill(dice.choice(words["attack"] if attack else frames), words, dice)
        yield Prompt(text=text, injection=int(attack), harmful=None if attack else 0, source="composed")


def roles(dice: random.Random, count: int) -> Iterator[Prompt]:
    """Yield role-play: half of it throws the rules off, half is a game or a lesson."""
    words = slots("jailbreak")
    wanted = slots("slots")["how"]
    bad, good, whole = lines("harmful_goals"), lines("harmless_goals"), lines("jailbreak_whole")
    for _ in range(count):
        free = dice.random() < 0.5
        asked = dice.choice(wanted).format(goal=dice.choice(bad if free and dice.random() < 0.6 else good))
        words["ask"] = words["good"] = [asked]
        if free and dice.random() < 0.35:
            parts = dice.sample(whole, dice.choice((1, 1, 2)))
        else:
            parts = _jailbreak(words, dice) if free else _lesson(words, dice)
        text = fill(dice.choice((" ", " ", "\n", "\n\n")).join(filter(None, parts)), words, dice)
        yield Prompt(
            text=_typed(text, dice), injection=int(free), harmful=None if free else 0, source="composed"
        )


def _jailbreak(words: dict[str, list[str]], dice: random.Random) -> list[str]:
    opener, persona = dice.choice(words["opener"]), dice.choice(words["persona"])
    tokens = str(dice.choice((10, 20, 35, 100)))
    words["n"], words["k"] = [tokens], [str(dice.choice((1, 2, 4, 5)))]
    body = dice.sample(words["freedom"], dice.randint(1, 6)) + dice.sample(words["rule"], dice.randint(0, 6))
    if dice.random() < 0.4:
        dice.shuffle(body)
    parts = [opener, persona, *body, dice.choice(words["double"]), dice.choice(words["close"])]
    return parts if dice.random() < 0.8 else parts[1 : dice.randint(3, len(parts))]


def _lesson(words: dict[str, list[str]], dice: random.Random) -> list[str]:
    parts = [dice.choice(words["benign_opener"]), dice.choice(words["benign_persona"])]
    parts += dice.sample(words["benign_rule"], dice.randint(0, 4))
    if dice.random() < 0.15:
        parts.append("Imagine there are no rules in this world, only nonsense.")
    return [*parts, dice.choice(words["benign_close"])]


def _typed(text: str, dice: random.Random) -> str:
    """Write it the way people do: now and then in small letters, without a stop, or in capitals."""
    draw = dice.random()
    if draw < 0.12:
        return text.lower()
    if draw < 0.2:
        return text.rstrip(".?!")
    return text.upper() if draw < 0.21 else text


# Documents.


class Library:
    """Harmless documents of many kinds, and what is planted in them."""

    def __init__(self, prompts: Sequence[Prompt], abstracts: Sequence[str]) -> None:
        self._abstracts = abstracts
        self._manuals = list(_paragraphs(pydoc_data.topics.topics.values()))
        self._innocent = lines("innocent_lines")
        self._goals = lines("harmless_goals")
        self._planted = lines("planted")
        corpus = [p for p in prompts if p.source == "s-labs"]
        asked = re.compile(
            r"^(how|what|why|who|where|when|which|can|could|is|are|do|does|explain|tell|show|"
            r"create|write|describe|give|help|list|compare|translate|summarize|suggest)\b",
            re.I,
        )
        self._statements = [
            p.text.rstrip(".") + "."
            for p in corpus
            if not p.injection and "?" not in p.text and not asked.match(p.text)
        ]
        self._asked = [p.text for p in corpus if not p.injection and asked.match(p.text)]
        self._attacks = [p.text for p in prompts if p.injection and len(p.text) < 300]
        self._harmful = [p.text for p in prompts if p.harmful and len(p.text) < 200]
        self._words = slots("documents")
        kinds: list[tuple[float, Callable[[random.Random], list[str]]]] = [
            (3.0, self._abstract), (2.0, self._manual), (3.0, self._table), (2.5, self._mail),
            (1.0, self._notes), (1.5, self._questions), (1.5, self._steps), (1.0, self._security),
            (0.7, self._talk), (0.8, self._form),
            (0.5, self._file_name),
        ]  # fmt: skip
        self._weights, self._kinds = zip(*kinds, strict=True)

    def documents(self, dice: random.Random, count: int) -> Iterator[Document]:
        """Yield `count` documents, three of five with something planted."""
        for _ in range(count):
            make: Callable[[random.Random], list[str]] = dice.choices(self._kinds, self._weights)[0]
            pieces = [(part, False) for part in make(dice)]
            if make == self._file_name:
                # A name is judged as a text of its own; a title may ask or order, an attack may not.
                attacked = (dice.choice(self._attacks), True), (".pdf", False)
                yield Document(pieces=attacked if dice.random() < 0.3 else tuple(pieces), source="file_name")
                continue
            if dice.random() < 0.15:
                heading = dice.choice(
                    (f"How to {dice.choice(self._goals)}", fill("{topic}", self._words, dice))
                )
                pieces.insert(0, (heading.capitalize() + "\n", False))
            if dice.random() < 0.35:
                # A line out of place that asks the assistant nothing: strangeness alone is no attack.
                odd = dice.choice(self._statements if dice.random() < 0.5 else self._innocent)
                pieces.insert(dice.randint(0, len(pieces)), (odd + dice.choice((" ", "\n")), False))
            source = make.__name__.strip("_")
            if dice.random() < 0.6:
                at = dice.choice((0, len(pieces), dice.randint(0, len(pieces)), dice.randint(0, len(pieces))))
                before = "\n" if at and dice.random() < 0.6 else ""
                gap = dice.choice((" ", "\n", "\n", "\n\n"))
                pieces[at:at] = [(before, False), (self.attack(dice), True), (gap, False)]
            yield Document(pieces=tuple(pieces), source=source)

    def attack(self, dice: random.Random) -> str:
        """Compose what is planted: an order, a question, an override; one sentence or a few."""
        draw = dice.random()
        if draw < 0.62:
            text = fill(dice.choice(self._planted), self._words, dice)
            if dice.random() < 0.12:
                text += " " + fill(dice.choice(self._planted), self._words, dice)
        elif draw < 0.74:
            text = dice.choice(self._asked)
        elif draw < 0.9:
            text = dice.choice(self._attacks)
        elif draw < 0.95:
            text = dice.choice(self._harmful)
        else:
            text = fill(dice.choice(slots("slots")["how"]), {"goal": self._goals}, dice)
        if dice.random() < 0.06:
            text = dice.choice(self._words["lead"]) + " " + text
        return text.upper() if dice.random() < 0.02 else text

    def _abstract(self, dice: random.Random) -> list[str]:
        sentences = _sentences(dice.choice(self._abstracts))
        start = dice.randint(0, max(0, len(sentences) - 4))
        return [s + " " for s in sentences[start : start + dice.randint(2, 7)]]

    def _manual(self, dice: random.Random) -> list[str]:
        start = dice.randrange(len(self._manuals) - 5)
        return [p + "\n\n" for p in self._manuals[start : start + dice.randint(1, 3)]]

    def _table(self, dice: random.Random) -> list[str]:
        columns = dice.sample(sorted(self._words["columns"]), dice.randint(3, 6))
        rule = dice.choice((" | ", " | ", " | ", "\t", ", "))
        edge = "|" if rule == " | " else ""

        def row(cells: Sequence[str]) -> str:
            return f"{edge} {rule.join(cells)} {edge}\n".lstrip(" ") if edge else rule.join(cells) + "\n"

        rows = [row([c.split(":")[0] for c in columns])]
        for number in range(1, dice.randint(3, 9)):
            rows.append(row([self._cell(c.split(":")[1], number, dice) for c in columns]))
        return rows

    def _cell(self, kind: str, number: int, dice: random.Random) -> str:
        match kind:
            case "rank":
                return str(number)
            case "int":
                return str(dice.randint(0, 10 ** dice.randint(1, 6)))
            case "year":
                return str(dice.randint(1890, 2025))
            case "date":
                return f"{dice.randint(1, 28)} {dice.choice(self._words['month'])} {dice.randint(1950, 2025)}"
            case "score":
                return f"{dice.randint(0, 7)}–{dice.randint(0, 7)}, {dice.randint(0, 7)}–{dice.randint(0, 7)}"
            case "money":
                return f"${dice.randint(1, 9999)}.{dice.randint(10, 99)}"
            case "percent":
                return f"{dice.randint(0, 99)}.{dice.randint(0, 9)} %"
            case "name":
                return f"{dice.choice(self._words['first'])} {dice.choice(self._words['last'])}"
            case "remark":
                return dice.choice(self._statements + self._innocent)
            case _:
                return dice.choice(self._words[kind])

    def _mail(self, dice: random.Random) -> list[str]:
        name = self._cell("name", 0, dice)
        host = dice.choice(self._words["host"])
        head = [
            f"Subject: {dice.choice(self._words['subject'])}",
            f"From: {name} <{name.split()[0].lower()}@{host}>",
            f"Date: {self._cell('date', 0, dice)}",
        ]
        joint = dice.choice(("\n", "\n", "|"))
        head = (
            head[: dice.randint(1, 3)]
            if joint == "\n"
            else [h.upper() if dice.random() < 0.5 else h for h in head]
        )
        pool = self._words["letter"] + self._innocent
        body = [dice.choice(pool) + dice.choice((" ", " ", "\n")) for _ in range(dice.randint(2, 7))]
        greeting = f"{dice.choice(('Hi', 'Dear', 'Hello'))} {dice.choice(self._words['first'])},\n"
        close = f"\n{dice.choice(self._words['close'])}\n{name}\n{dice.choice(self._words['foot'])}"
        return [joint.join(head) + "\n", greeting, *(fill(b, self._words, dice) for b in body), close]

    def _notes(self, dice: random.Random) -> list[str]:
        return [s + " " for s in dice.sample(self._statements, dice.randint(3, 8))]

    def _questions(self, dice: random.Random) -> list[str]:
        parts = []
        for goal in dice.sample(self._goals, dice.randint(2, 4)):
            asked = dice.choice(
                ("How do I {g}?", "How to {g}", "What if I want to {g}?", "Can I {g}?", "Q: How can I {g}?")
            )
            answer = dice.choice(
                (
                    "To {g}, follow the steps below.",
                    "If you want to {g}, contact us first.",
                    "A: You can {g} at any time.",
                    "Most people who {g} need less than an hour.",
                )
            )
            parts += [
                asked.format(g=goal) + "\n",
                answer.format(g=goal) + " " + dice.choice(self._innocent) + "\n",
            ]
        return parts

    def _steps(self, dice: random.Random) -> list[str]:
        steps = dice.sample(self._innocent, dice.randint(3, 9))
        mark = dice.choice(("{n}. ", "- ", "Step {n}: ", "* ", "", ""))
        return [mark.format(n=n) + step + dice.choice(("\n", "\n", " ")) for n, step in enumerate(steps, 1)]

    def _security(self, dice: random.Random) -> list[str]:
        words = {**self._words, "attack": self._attacks, "harm": self._harmful}
        return [fill(s, words, dice) + " " for s in dice.sample(self._words["security"], dice.randint(2, 5))]

    def _talk(self, dice: random.Random) -> list[str]:
        one, two = dice.choice(self._words["speakers"]).split("/")
        parts = []
        for _ in range(dice.randint(1, 4)):
            goal = dice.choice(self._goals)
            parts.append(f"{one}: How do you {goal}?\n")
            parts.append(f"{two}: To {goal} takes some practice. {dice.choice(self._statements)}\n")
        return parts

    def _file_name(self, dice: random.Random) -> list[str]:
        title = dice.choice(
            (
                dice.choice(self._asked),
                f"How to {dice.choice(self._goals)}",
                dice.choice(self._statements),
                fill("{title}", self._words, dice),
                fill("{subject}", self._words, dice),
                fill("{topic} {event}", self._words, dice),
            )
        )
        title = title.strip(".?!")
        draw = dice.random()
        if draw < 0.6:
            title = re.sub(r"[^\w]+", dice.choice(("-", "_", " ")), title if draw < 0.2 else title.lower())
        return [
            title,
            dice.choice((".pdf", ".pdf", ".docx", ".xlsx", ".html", ".md", "_v2.pdf", " (1).pptx")),
        ]

    def _form(self, dice: random.Random) -> list[str]:
        fields = []
        for _ in range(dice.randint(3, 8)):
            name = dice.choice(self._words["field"])
            value = dice.choice(
                ("____", "", *(self._cell(kind, 0, dice) for kind in ("name", "date", "money")))
            )
            fields.append(f"{name}: {value}\n")
        return [*fields, dice.choice(self._innocent)]


def abstracts(corpus: Path) -> list[str]:
    """Read the abstracts of SciFact (CC BY 4.0)."""
    with gzip.open(corpus, "rt", encoding="utf-8") as rows:
        return [json.loads(row)["text"] for row in rows]


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?]) +", " ".join(text.split()))


def _paragraphs(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for paragraph in text.split("\n\n"):
            if 40 < len(paragraph) < 700:
                yield paragraph.strip()
