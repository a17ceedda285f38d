"""Finds a model's words again among the words that a parser placed on the page.

Both sides become tokens (letters and digits between signs; of writing without spaces, characters). Long equal
runs are anchors, longest first; what lies between two anchors of a unit (a block, or a cell of a table) is
compared loosely, so that a misread letter, a joined word and a broken one still find their place; what the
model left out between two anchors is put back. Within a unit places only go forwards, the units may stand in
any order. A unit of which less than half is found is not on the page.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import groupby, pairwise, takewhile
from typing import NamedTuple

from ingest.structure import Rect, Word

#: Ideographs and kana: written without spaces, so each is a token of its own.
_LONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CORE = re.compile(rf"\d+(?:[.,]\d+)+|[{_LONE}]|(?:(?![{_LONE}])[^\W_])+")
_BULLETS = "•●○▪■◦‣➢➤✓❖·\uf0b7"

#: A norm that stands this often on a page begins no run: it would pair with everything.
_COMMON = 40
#: Loosely compared stretches, in pairs of tokens.
_MAX_PAIRS = 3_000
#: Page tokens that a model may have left out between two that it has.
_MAX_ABSORBED = 8
#: Share of a unit's letters to be found for the unit to count as standing on the page.
LEAST_FOUND = 0.5
_ALIKE, _JOINED_ALIKE = 0.6, 0.8


class Token(NamedTuple):
    """A word or a part of one, with its share of the word's rectangle in points."""

    norm: str
    #: As written, with the signs around it.
    text: str
    rect: Rect
    #: Which word of the page it is (part of).
    word: int
    #: Counts up where the writing goes to another line.
    line: int
    #: Whether it follows the token before it without a space.
    glued: bool


class Mark(NamedTuple):
    """A token of what the model said."""

    norm: str
    text: str
    #: Block or cell; marks of a unit are consecutive.
    unit: int
    glued: bool
    #: Whether a line of the model's text begins with it.
    breaks: bool


class Writing(NamedTuple):
    """How the model writes the page tokens of a unit."""

    #: Tokens with which the model begins a line.
    breaks: set[int]
    #: Tokens that go on with the word before them: the page broke it at a line's end.
    joined: set[int]
    #: Tokens that the model writes without a space before them.
    glued: set[int]
    #: What the model reads where the parser's norm is another.
    read: dict[int, str]


def tokens_of(words: Sequence[Word]) -> list[Token]:
    """Cut the words of a page, in the parser's order, into tokens."""
    tokens: list[Token] = []
    line = -1
    for place, word in enumerate(words):
        if not place or _leaves_line(words[place - 1], word):
            line += 1
        for text, start, end, glued in _cut(word.text):
            rect = _slice(word, start, end)
            tokens.append(Token(normal(text), text, rect, place, line, glued))
    return tokens


def marks_of(text: str, unit: int) -> list[Mark]:
    """Cut what the model said of one unit into marks."""
    marks: list[Mark] = []
    for number, line in enumerate(text.split("\n")):
        first = True
        for part, _, _, glued in _cut(line):
            marks.append(Mark(normal(part), part, unit, glued, first and number > 0))
            first = False
    return marks


@lru_cache(maxsize=50_000)
def normal(text: str) -> str:
    """Return what two ways to write the same have in common: case, ligatures, signs and bullets aside."""
    text = unicodedata.normalize("NFKC", text).casefold()
    core = "".join(_CORE.findall(text))
    if core:
        return core
    return "•" if text in _BULLETS or text in {"-", "*", "–"} else text


@lru_cache(maxsize=50_000)
def is_word(norm: str) -> bool:
    """Say whether a norm has letters or digits: signs alone are no evidence."""
    return any(character.isalnum() for character in norm)


def is_number(text: str) -> bool:
    """Say whether a token is a figure: then what the parser read stands."""
    return re.fullmatch(r"[^\w]*\d[\d.,]*[^\w]*", text) is not None


def _cut(text: str) -> Iterator[tuple[str, int, int, bool]]:
    """Yield (text, start, end, glued) of a text's tokens; signs go with the token before them."""
    for part in re.finditer(r"\S+", text):
        cores = list(_CORE.finditer(part[0]))
        edges = [0, *(core.start() for core in cores[1:]), len(part[0])]
        for place in range(len(edges) - 1):
            start, end = part.start() + edges[place], part.start() + edges[place + 1]
            yield text[start:end], start, end, place > 0


def _slice(word: Word, start: int, end: int) -> Rect:
    """Return the share of a word's rectangle that characters `start` to `end` take up."""
    whole = max(1, len(word.text))
    a, b = start / whole, end / whole
    wide, tall = word.x1 - word.x0, word.y1 - word.y0
    if word.turn == 90:
        return Rect(word.x0, word.y0 + a * tall, word.x1, word.y0 + b * tall)
    if word.turn == 270:
        return Rect(word.x0, word.y1 - b * tall, word.x1, word.y1 - a * tall)
    if word.turn == 180:
        return Rect(word.x1 - b * wide, word.y0, word.x1 - a * wide, word.y1)
    return Rect(word.x0 + a * wide, word.y0, word.x0 + b * wide, word.y1)


def _leaves_line(last: Word, word: Word) -> bool:
    if last.turn != word.turn:
        return True
    if word.turn in {90, 270}:
        overlap = min(last.x1, word.x1) - max(last.x0, word.x0)
        height = min(last.x1 - last.x0, word.x1 - word.x0)
        gap = word.y0 - last.y1 if word.turn == 90 else last.y0 - word.y1
    else:
        overlap = min(last.y1, word.y1) - max(last.y0, word.y0)
        height = min(last.y1 - last.y0, word.y1 - word.y0)
        gap = word.x0 - last.x1 if word.turn == 0 else last.x0 - word.x1
    return overlap < 0.5 * height or not -0.5 * height <= gap <= 3 * max(height, 1.0)


class Aligner:
    """One page's tokens being shared out among the units of a transcript."""

    def __init__(self, page: Sequence[Token], marks: Sequence[Mark]) -> None:
        self.page = page
        self.marks = marks
        #: The unit that each page token belongs to.
        self.owner: list[int | None] = [None] * len(page)
        #: Page tokens of a mark: usually one, two where the page breaks the word.
        self.found: dict[int, tuple[int, ...]] = {}
        self._held: dict[int, set[int]] = defaultdict(set)
        self._gone: set[int] = set()
        self._units = dict(_grouped(marks))
        self._times = Counter(mark.norm for mark in marks)
        self._index: dict[str, list[int]] = defaultdict(list)
        for j, token in enumerate(page):
            self._index[token.norm].append(j)

    def run(self) -> None:
        """Find every unit that stands on the page."""
        for run in self._anchors():
            self._accept(*run)
        self.run_again()

    def run_again(self) -> None:
        """Compare what is still free on both sides."""
        sought = [unit for unit in self._units if unit not in self._gone]
        for unit in sought:
            self._fill(unit)
        for unit in sought:
            if not self._held[unit]:
                self._search(unit)
        for unit in sought:
            self._absorb(unit)

    def held(self, unit: int) -> list[int]:
        """Return the page tokens of a unit, rising."""
        return sorted(self._held[unit])

    def letters(self, unit: int) -> tuple[int, int]:
        """Return how many of a unit's letters and digits were found, and how many it has."""
        sizes = [(i, len(self.marks[i].norm)) for i in self._units.get(unit, ()) if self._counts(i)]
        return sum(size for i, size in sizes if i in self.found), sum(size for _, size in sizes)

    def give_up(self, unit: int) -> None:
        """Give a unit's tokens back: it is not on the page."""
        self._gone.add(unit)
        for i in self._units.get(unit, ()):
            self.found.pop(i, None)
        for j in self._held.pop(unit, ()):
            self.owner[j] = None

    def claim(self, unit: int, js: Iterable[int]) -> None:
        """Give page tokens to a unit, whatever the model called them."""
        for j in js:
            self.owner[j] = unit
            self._held[unit].add(j)

    def written(self, unit: int) -> Writing:
        """Say how the model writes what it shares with the page."""
        writing = Writing(breaks=set(), joined=set(), glued=set(), read={})
        breaks, last = False, -1
        for i in self._units.get(unit, ()):
            mark, js = self.marks[i], self.found.get(i, ())
            breaks = breaks or mark.breaks
            if not js:
                continue
            if breaks:
                writing.breaks.add(js[0])
            if len(js) == 2 or (last == i - 1 and self.marks[last].text.endswith("-") and not mark.glued):
                writing.joined.add(js[-1])
            if last == i - 1 and mark.glued:
                writing.glued.add(js[0])
            if len(js) == 1 and mark.norm != self.page[js[0]].norm:
                space = "" if mark.glued else " "
                writing.read[js[0]] = f"{writing.read.get(js[0], '')}{space}{mark.text}".strip()
            breaks, last = False, i
        return writing

    def _absorb(self, unit: int) -> None:
        """Take in what the model left out between two tokens of a unit: the parser read it there."""
        for a, b in pairwise(self.held(unit)):
            between = range(a + 1, b)
            if 0 < len(between) <= _MAX_ABSORBED and all(self.owner[j] is None for j in between):
                self.claim(unit, between)
        group = self._units[unit]
        anchors = [i for i in group if i in self.found]
        if anchors:
            self._absorb_edge(unit, self.found[anchors[-1]][-1], 1, group.stop - 1 - anchors[-1])
            self._absorb_edge(unit, self.found[anchors[0]][0], -1, anchors[0] - group.start)

    def _absorb_edge(self, unit: int, j: int, step: int, most: int) -> None:
        """Take in what the parser reads at a unit's edge, on its line, where the model reads otherwise."""
        line = self.page[j].line
        for k in range(j + step, j + step * (most + 1), step):
            if not 0 <= k < len(self.page) or self.page[k].line != line or self.owner[k] is not None:
                return
            self.claim(unit, (k,))

    def _counts(self, i: int) -> bool:
        return is_word(self.marks[i].norm)

    def _anchors(self) -> Iterator[tuple[int, int, int]]:
        """Yield equal runs (mark, token, length): those that hold a word that stands once, then the others.

        The longest first. Of equals the one that goes on where its neighbours were found: rows of a table and
        refrains say the same in many places.
        """
        runs = [run for run in self._runs() if self._is_anchor(run[0], run[2])]
        lone = {run for run in runs if self._is_lone(run[0], run[2])}
        yield from sorted(lone, key=lambda run: (-self._weight(run[0], run[2]), run))
        known = sorted(self.found)
        shift = [self.found[i][0] - i for i in known]

        def apart(run: tuple[int, int, int]) -> int:
            at = min(bisect_left(known, run[0]), len(known) - 1)
            near = shift[max(0, at - 1) : at + 1] or [0]
            return min(abs(run[1] - run[0] - there) for there in near)

        rest = [run for run in runs if run not in lone]
        yield from sorted(rest, key=lambda run: (-self._weight(run[0], run[2]), apart(run), run))

    def _weight(self, i: int, length: int) -> int:
        return sum(len(mark.norm) for mark in self.marks[i : i + length] if is_word(mark.norm))

    def _is_anchor(self, i: int, length: int) -> bool:
        """Say whether a run is long enough, or has a word that stands once on either side."""
        return length >= 4 or (length >= 2 and self._weight(i, length) >= 8) or self._is_lone(i, length)

    def _is_lone(self, i: int, length: int) -> bool:
        norms = [mark.norm for mark in self.marks[i : i + length]]
        return any(self._times[n] == 1 and len(self._index[n]) == 1 and len(n) > 2 for n in norms)

    def _runs(self) -> Iterator[tuple[int, int, int]]:
        """Yield every longest run of equal norms."""
        before: dict[int, int] = {}
        for i, mark in enumerate(self.marks):
            here = self._index.get(mark.norm, ())
            # What is everywhere goes on with a run, but begins none.
            begins = len(here) <= _COMMON
            now = {j: before.get(j - 1, 0) + 1 for j in here if begins or j - 1 in before}
            yield from ((i - n, j - n + 1, n) for j, n in before.items() if j + 1 not in now)
            before = now
        end = len(self.marks)
        yield from ((end - n, j - n + 1, n) for j, n in before.items())

    def _accept(self, i: int, j: int, length: int) -> None:
        """Take of a run what is still free and in order, as far as that is an anchor by itself."""
        free = [k for k in range(length) if i + k not in self.found and self._fits(i + k, (j + k,))]
        for _, part in groupby(enumerate(free), key=lambda one: one[1] - one[0]):
            ks = [k for _, k in part]
            if self._is_anchor(i + ks[0], len(ks)):
                for k in ks:
                    self._take(i + k, (j + k,))

    def _fits(self, i: int, js: tuple[int, ...]) -> bool:
        """Say whether tokens are free and lie between the places of the marks around `i` in its unit."""
        if any(self.owner[j] is not None for j in js):
            return False
        unit = self._units[self.marks[i].unit]
        before = next((self.found[k][-1] for k in range(i - 1, unit.start - 1, -1) if k in self.found), -1)
        after = next((self.found[k][0] for k in range(i + 1, unit.stop) if k in self.found), len(self.page))
        return before < js[0] and js[-1] < after

    def _take(self, i: int, js: tuple[int, ...]) -> None:
        self.found[i] = js
        self.claim(self.marks[i].unit, js)

    def _fill(self, unit: int) -> None:
        """Compare loosely what lies between the anchors of a unit."""
        group = self._units[unit]
        anchors = [i for i in group if i in self.found]
        if not anchors:
            return
        for a, b in zip([group.start - 1, *anchors], [*anchors, group.stop], strict=True):
            gap = [i for i in range(a + 1, b) if i not in self.found]
            if gap:
                self._compare(gap, self._between(a, b, len(gap), group))

    def _between(self, a: int, b: int, size: int, group: range) -> list[int]:
        """Return the free page tokens where the marks between `a` and `b` may stand.

        At an edge of the unit no further than the next token that is somebody's: beyond it other units begin.
        """
        reach = size + 4
        left = self.found[a][-1] + 1 if a >= group.start else None
        right = self.found[b][0] if b < group.stop else None
        if left is None and right is not None:
            window = [*reversed(self._free(range(right - 1, max(-1, right - 1 - reach), -1)))]
        elif right is None and left is not None:
            window = self._free(range(left, min(len(self.page), left + reach)))
        elif left is not None and right is not None:
            window = list(range(left, right))
            if len(window) > 2 * reach:
                window = [*window[:reach], *window[-reach:]]
        else:
            window = []
        return [j for j in window if self.owner[j] is None]

    def _free(self, js: range) -> list[int]:
        """Return the tokens of `js` up to the first that is taken."""
        return list(takewhile(lambda j: self.owner[j] is None, js))

    def _compare(self, gap: Sequence[int], window: Sequence[int]) -> float:
        """Align marks and tokens loosely and take the pairs; return the letters that were found."""
        pairs = list(self._pairs(gap, window))
        for marks, js in pairs:
            self._take(marks[0], js)
            for i in marks[1:]:
                # Two marks, one token: the second is found where the first is.
                self.found[i] = js
        return sum(len(self.marks[i].norm) for marks, _ in pairs for i in marks)

    def _pairs(
        self, gap: Sequence[int], window: Sequence[int]
    ) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Yield (marks, tokens) of the best loose alignment (Needleman-Wunsch, with joins of two)."""
        if not gap or not window or len(gap) * len(window) > _MAX_PAIRS:
            return
        said = [self.marks[i].norm for i in gap]
        stands = [self.page[j].norm for j in window]
        best = [[0.0] * (len(stands) + 1) for _ in range(len(said) + 1)]
        step = [[(1, 0)] * (len(stands) + 1) for _ in range(len(said) + 1)]
        for m in range(1, len(said) + 1):
            for n in range(1, len(stands) + 1):
                best[m][n], step[m][n] = max(
                    (best[m - 1][n], (1, 0)),
                    (best[m][n - 1], (0, 1)),
                    *(
                        (best[m - p][n - q] + gain, (p, q))
                        for p, q in ((1, 1), (1, 2), (2, 1))
                        if m >= p
                        and n >= q
                        and (gain := _likeness("".join(said[m - p : m]), "".join(stands[n - q : n]), p + q))
                    ),
                )
        m, n = len(said), len(stands)
        while m and n:
            p, q = step[m][n]
            if p and q:
                yield tuple(gap[m - p : m]), tuple(window[n - q : n])
            m, n = m - p, n - q

    def _search(self, unit: int) -> None:
        """Look for a unit without an anchor among the free tokens, nearest to its neighbours first."""
        group = [i for i in self._units[unit] if self._counts(i)]
        if not group or len(group) > 40:
            return
        expected = self._expected(group[0])
        whole = sum(len(self.marks[i].norm) for i in group)
        tried: list[tuple[float, float, list[int]]] = []
        for start in self._starts(group):
            window = [j for j in range(start, min(len(self.page), start + len(group) + 2))]
            window = window[: next((k for k, j in enumerate(window) if self.owner[j] is not None), None)]
            letters = sum(len(self.marks[i].norm) for marks, _ in self._pairs(group, window) for i in marks)
            if letters >= 0.7 * whole:
                tried.append((-letters, abs(start - expected), window))
        if tried:
            self._compare(group, min(tried)[2])

    def _starts(self, group: Sequence[int]) -> list[int]:
        """Return free tokens that one of the unit's first two marks may be."""
        starts = [
            j
            for j, token in enumerate(self.page)
            if self.owner[j] is None and any(_likeness(self.marks[i].norm, token.norm, 2) for i in group[:2])
        ]
        return starts[:60]

    def _expected(self, i: int) -> float:
        """Return where a mark would stand if the page were in the model's order."""
        known = sorted(self.found)
        at = bisect_left(known, i)
        if at:
            return self.found[known[at - 1]][-1] + 1
        return self.found[known[0]][0] - 1 if known else 0


def _grouped(marks: Sequence[Mark]) -> Iterator[tuple[int, range]]:
    start = 0
    for i in range(1, len(marks) + 1):
        if i == len(marks) or marks[i].unit != marks[start].unit:
            yield marks[start].unit, range(start, i)
            start = i


@lru_cache(maxsize=50_000)
def _likeness(a: str, b: str, parts: int) -> float:
    """Return the letters that two norms share, 0 where they are not the same word; numbers are or are not."""
    if a == b:
        return len(a) + 0.5
    if any(c.isdigit() for c in a) or any(c.isdigit() for c in b) or min(len(a), len(b)) < 3:
        return 0.0
    alike = SequenceMatcher(None, a, b, autojunk=False).ratio()
    return len(a) * alike if alike >= (_ALIKE if parts == 2 else _JOINED_ALIKE) else 0.0
