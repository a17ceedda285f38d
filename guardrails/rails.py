"""The deterministic rails: each a small class that looks at one text and rules.

They are pure: no clock, no network, no state. A rail sees a passage in every way it can be put together
(`Passage.views`), because an answer leaves sentence by sentence and a link may be cut in two.
"""

from __future__ import annotations

import asyncio
import html
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from math import log2
from types import MappingProxyType
from typing import Literal, Protocol

from guardrails import injection, personal
from guardrails.names import Names, by_rules
from guardrails.personal import Kind, Treatment
from guardrails.records import Decision

#: Texts of a hop that together are shorter run on the event loop: a thread costs more than they do
#: (0.1 ms against about 1 ms per 10,000 characters, measured on 2 cores).
_INLINE_CHARS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One text of a hop; `released` is what the reader already has before it (answers only)."""

    text: str
    released: str = ""
    #: Groups of whoever will read it; () for nobody in particular.
    groups: frozenset[str] = frozenset()

    def views(self) -> Iterator[str]:
        """Yield the text as it will stand before the reader, joined with and without a space."""
        if not self.released:
            yield self.text
            return
        yield self.released + self.text
        if not self.released[-1].isspace() and not self.text[:1].isspace():
            yield f"{self.released} {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one rail says about one passage; `text` is set for a mask only."""

    decision: Decision
    code: str = ""
    text: str = ""
    #: How much the text looked like what the rail is for, higher is worse; None for rails that do not score.
    score: float | None = None


ALLOW = Ruling(decision="allow")


class Rail(Protocol):
    """Judges all passages of a hop at once."""

    name: str
    #: Every code that it may give beside "undecided".
    codes: frozenset[str]
    #: A rail that rewrites runs after all that only block, on what is left.
    rewrites: bool

    async def judge(self, passages: Sequence[Passage]) -> Sequence[Ruling]:
        """Return one ruling for each passage, in order."""
        ...


class Check(Protocol):
    """A deterministic rail's mind: one passage, one ruling."""

    name: str
    codes: frozenset[str]
    rewrites: bool

    def look(self, passage: Passage) -> Ruling:
        """Rule on one passage."""
        ...


class Deterministic:
    """Makes a Rail of a Check: short lists at once, long ones in a thread."""

    def __init__(self, check: Check, *, inline_chars: int = _INLINE_CHARS) -> None:
        self.name = check.name
        self.codes = check.codes
        self.rewrites = check.rewrites
        self._check = check
        self._inline_chars = inline_chars

    async def judge(self, passages: Sequence[Passage]) -> Sequence[Ruling]:
        """Return one ruling for each passage, in order."""
        if sum(len(p.text) + len(p.released) for p in passages) <= self._inline_chars:
            return self._look(passages)
        return await asyncio.to_thread(self._look, passages)

    def _look(self, passages: Sequence[Passage]) -> Sequence[Ruling]:
        return [self._check.look(passage) for passage in passages]


def _block(code: str) -> Ruling:
    return Ruling(decision="block", code=code)


# One character over and over, or very many lines: cheap to send, dear to tokenise and to embed.
class Size:
    """Too long, or a bomb of repeated characters or lines."""

    name = "size"
    codes = frozenset({"too_long", "repetition", "too_many_lines"})
    rewrites = False

    def __init__(self, *, max_chars: int, max_run: int, max_lines: int) -> None:
        self._max_chars = max_chars
        self._max_lines = max_lines
        # Rulers and leader dots of real documents (----, ....., ____) are runs too: they may be longer.
        self._run = re.compile(
            rf"([^\s\W_])\1{{{max_run},}}|(\S)\2{{{4 * max_run},}}|(\s)\3{{{8 * max_run},}}"
        )

    def look(self, passage: Passage) -> Ruling:
        """Rule on the text itself; what was released was judged before."""
        if len(passage.text) > self._max_chars:
            return _block("too_long")
        if passage.text.count("\n") >= self._max_lines:
            return _block("too_many_lines")
        if self._run.search(passage.text):
            return _block("repetition")
        return ALLOW


_TAGS = re.compile("[\U000e0000-\U000e007f]+")
#: Flags of England, Scotland and Wales: a black flag, tag letters, a cancel tag. The only tags in real text.
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_OVERRIDES = re.compile("[\u202d\u202e]")
#: Embeddings and isolates are proper in right-to-left text and are counted, not forbidden.
_EMBEDDINGS = re.compile("[\u202a\u202b\u2066-\u2068]")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
#: Two in a row never occur in text: one selector chooses one glyph.
_SELECTOR_RUN = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff\u180e\u034f"
_ZERO_WIDTH_RUN = re.compile(f"[{_ZERO_WIDTH}]{{3,}}")
#: Between two Latin letters or digits nothing invisible belongs but the soft hyphen (not in this class).
_BETWEEN_LATIN = re.compile(f"(?<=[A-Za-z0-9])[{_ZERO_WIDTH}]+(?=[A-Za-z0-9])")
_HANGUL_FILLERS = re.compile("[\u115f\u1160\u3164\uffa0]{3,}")


class HiddenUnicode:
    """Characters that people do not see and models do."""

    name = "hidden_unicode"
    codes = frozenset({"hidden_text"})
    rewrites = False

    def __init__(self, *, max_interleaved: int) -> None:
        self._max_interleaved = max_interleaved

    def look(self, passage: Passage) -> Ruling:
        """Rule on every way the text is put together."""
        return _block("hidden_text") if any(map(self._hides, passage.views())) else ALLOW

    def _hides(self, text: str) -> bool:
        if text.isascii():
            return False
        if _TAGS.search(_FLAG.sub("", text)) or _SELECTOR_RUN.search(text) or _HANGUL_FILLERS.search(text):
            return True
        if _ZERO_WIDTH_RUN.search(text) or len(_BETWEEN_LATIN.findall(text)) > self._max_interleaved:
            return True
        if _OVERRIDES.search(text) or (_EMBEDDINGS.search(text) and not _has_right_to_left(text)):
            return True
        return len(_SELECTORS.findall(text)) > 64 and _selectors_without_emoji(text) > 16


def _has_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)


def _selectors_without_emoji(text: str) -> int:
    """Count selectors that follow a letter or a digit without being a keycap: smuggled bytes, one a word."""
    return sum(
        1
        for before, selector, after in zip(text, text[1:], (*text[2:], ""), strict=False)
        if _SELECTORS.match(selector) and before.isascii() and before.isalnum() and after != "\u20e3"
    )


class Override:
    """Known phrases that try to replace the instructions, change the role or read the prompt."""

    name = "override"
    codes = injection.CODES
    rewrites = False

    def __init__(self, *, threshold: float) -> None:
        self._threshold = threshold

    def look(self, passage: Passage) -> Ruling:
        """Rule on the strongest reading of the text."""
        score = 0.0
        for view in passage.views():
            finding = injection.inspect(view)
            if finding.score >= self._threshold:
                return Ruling(decision="block", code=finding.code, score=finding.score)
            score = max(score, finding.score)
        return Ruling(decision="allow", score=score)


BareUrls = Literal["allow", "plain", "block"]
_IMAGE = re.compile(r"!\s?\[[^\]]{0,2000}\]\s?[(\[]")
#: A link's target that can leave the house; `[1](b)` and `f[0](x)` cannot.
_LINK = re.compile(r"\]\(\s{0,20}<?[^)\s]{0,2000}?(?:[:/.?#&%\\]|$)")
_REFERENCE = re.compile(r"(?m)^[ \t>]{0,8}\[[^\]\n]{1,999}\]:\s*\S*(?:[:/.?#&%\\]|$)")
_AUTOLINK = re.compile(r"<\s*(?:[a-z][a-z0-9+.-]{1,30}:(?!:)[^\s>]|[^\s<>@]+@[\w-]+\.[\w.-]+\s*>)", re.I)
_MENTION = re.compile(r"<(?:!(?:here|channel|everyone|subteam|date)\b|[@#][UWCS][A-Z0-9]{4,})")
_FETCHING = (
    "script|img|image|iframe|frame|frameset|object|embed|applet|link|meta|base|form|svg|math|video|audio"
    "|source|track"
    "|picture|style|portal|input|button|textarea|select|isindex|bgsound|marquee|dialog|template|slot"
    "|noscript|a|area|use"
)
_TAG = re.compile(rf"<\s*/?\s*(?:{_FETCHING})(?:[\s/>\"']|$)", re.I)
_ATTRIBUTE = re.compile(
    r"<[a-z][^<>]{0,2000}?[\s/\"'](?:on[a-z]{3,20}|src|srcset|srcdoc|href|style|action|formaction|data"
    r"|poster|background)"
    r"\s*=",
    re.I,
)
_SCHEME = re.compile(
    r"\b(?:javascript|vbscript|livescript)\s*:\s?(?=[^\s,;.])(?=[\w(/'\"%&\\]+\s*[(=.;:\[/])"
    r"|\bdata\s?:\s?[a-z]{2,20}/[a-z0-9.+-]{1,60}\s?[;,]|\b(?:file|blob|ftp|smb|gopher|ldap)://"
    r"|\\\\[\w.-]+\\",
    re.I,
)
_URL = re.compile(r"(?:\bhttps?:[/\\]{2}|(?<![\w:/.])//(?=[\w-]+\.)|\bwww\.)[^\s<>\"'`\]]+", re.I)
_CSS = re.compile(r"url\(\s*[\"']?\s*(?:https?:|//|data:)|@import\s", re.I)


class Exfiltration:
    """Active content of an answer: whatever makes a reader's program fetch, run or call somebody."""

    name = "exfiltration"
    codes = frozenset({"active_content", "link"})
    rewrites = False

    def __init__(self, *, bare_urls: BareUrls) -> None:
        self._bare_urls = bare_urls

    def look(self, passage: Passage) -> Ruling:
        """Rule on the text as written and as a lenient renderer reads it."""
        for view in passage.views():
            for text in dict.fromkeys((view, _as_rendered(view))):
                if code := self._code(text):
                    return _block(code)
        return ALLOW

    def _code(self, text: str) -> str:
        if "[" in text and (_IMAGE.search(text) or _LINK.search(text) or _REFERENCE.search(text)):
            return "link"
        if "<" in text and any(p.search(text) for p in (_AUTOLINK, _MENTION, _TAG, _ATTRIBUTE)):
            return "active_content"
        if _SCHEME.search(text) or _CSS.search(text):
            return "active_content"
        if self._bare_urls == "allow":
            return ""
        urls = (match.group().rstrip(".,;:!?)") for match in _URL.finditer(text))
        return "link" if any(self._bare_urls == "block" or _carries(url) for url in urls) else ""


def _as_rendered(text: str) -> str:
    """Undo what hides markup from a pattern: entities, compatibility forms, invisible characters."""
    if text.isascii() and "&" not in text and "\\" not in text:
        return text
    plain = unicodedata.normalize("NFKC", html.unescape(html.unescape(text)))
    plain = re.sub(r"\\(?=[!\[\]()<>:])", "", plain)
    return "".join(c for c in plain if unicodedata.category(c) not in ("Cf", "Mn") and c != "\x00")


def _carries(url: str) -> bool:
    """Say whether a bare address has room for stolen words: a query, a user, a long or random part."""
    rest = re.sub(r"^\w*:?[/\\]*", "", url)
    host, _, path = rest.partition("/")
    if "?" in url or "@" in rest or "\\" in url or url.count("%") > 3 or re.match(r"[\d.:\[]+$", host):
        return True
    # A label of a host name may carry data as well (x.evil.example): long or random ones count.
    parts = [*re.split(r"[.:]", host), *re.split(r"[/#;]", path)]
    return any(len(part) > 80 or (len(part) >= 24 and _looks_random(part)) for part in parts)


_KEY_SHAPES = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    r"|PuTTY-User-Key-File-\d"
    r"|\b(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ABIA|ACCA)[A-Z2-7]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}\b|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{20,}"
    r"|hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,}"
    r"|\bsk-(?:proj-|ant-(?:api\d\d-|admin\d\d-)?|or-v1-|svcacct-)?[A-Za-z0-9_-]{20,}"
    r"|\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9+/=]{24,}"
    r"|\bAIza[A-Za-z0-9_-]{35}|\bya29\.[A-Za-z0-9_-]{20,}|\bGOCSPX-[A-Za-z0-9_-]{20,}"
    r"|\bhf_[A-Za-z]{30,}\b|\bnvapi-[A-Za-z0-9_-]{40,}|\bgsk_[A-Za-z0-9]{40,}\b|\br8_[A-Za-z0-9]{30,}\b"
    r"|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{30,}|\bkey-[0-9a-f]{32}\b|\bSK[0-9a-f]{32}\b"
    r"|\bAC[0-9a-f]{32}\b"
    r"|\bnpm_[A-Za-z0-9]{36}\b|\bpypi-[A-Za-z0-9_-]{50,}|\bdop_v1_[0-9a-f]{64}\b|\bshp(?:at|ss|ca"
    r"|pa)_[0-9a-fA-F]{32}\b"
    r"|\bdckr_pat_[A-Za-z0-9_-]{20,}|\blin_api_[A-Za-z0-9]{30,}|\bAGE-SECRET-KEY-1[A-Z0-9]{50,}"
    r"|\bAccountKey=[A-Za-z0-9+/=]{40,}|\b[a-z][a-z0-9+]{2,20}://[^\s:/@]{1,64}:[^\s:/@]{3,128}@[\w.-]+"
)
_ASSIGNED = re.compile(
    r"(?i)\b[\w.-]{0,40}(?:secret|token|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|client[_-]?key"
    r"|auth[_-]?key|credential)[\w-]{0,20}[\"']?\s*(?:=>|:=|=|:|\bis\b)\s*[\"'`]?([^\s\"'`,;]{8,200})"
    r"|\b(?:bearer|basic)\s+([A-Za-z0-9+/._~=-]{20,400})|\baws_secret\S*\s*=\s*(\S+)"
)


class Secrets:
    """Keys of known shapes, private keys, tokens named as such, and the policy's canaries."""

    name = "secrets"
    codes = frozenset({"secret", "canary"})
    rewrites = False

    def __init__(self, *, canaries: Sequence[str], min_entropy: float) -> None:
        self._canaries = tuple(_squeezed(canary) for canary in canaries)
        self._min_entropy = min_entropy

    def look(self, passage: Passage) -> Ruling:
        """Rule on every way the text is put together."""
        for view in passage.views():
            if any(canary in _squeezed(view) for canary in self._canaries):
                return _block("canary")
            text = _as_rendered(view)
            if _KEY_SHAPES.search(text) or any(map(self._is_secret, _ASSIGNED.finditer(text))):
                return _block("secret")
        return ALLOW

    def _is_secret(self, match: re.Match[str]) -> bool:
        value = next(group for group in match.groups() if group).rstrip(".)]}>")
        return len(value) >= 12 and _entropy(value) >= self._min_entropy and _looks_random(value)


def _squeezed(text: str) -> str:
    """Fold case and drop all but letters and digits: a canary is found however it is spaced or cased."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _entropy(text: str) -> float:
    """Return Shannon entropy of the characters, bits each."""
    return -sum(n / len(text) * log2(n / len(text)) for n in map(text.count, set(text)))


def _looks_random(text: str) -> bool:
    """Say whether letters and digits alternate as no word, path or date does."""
    if re.fullmatch(r"[0-9a-fA-F]{16,}", text) and not text.isdigit():
        return True
    if len(text) >= 32 and _entropy(text) >= 4.3 and not text.islower() and re.fullmatch(r"[\w/+=-]+", text):
        return any(map(str.isdigit, text))
    bare = "".join(filter(str.isalnum, text))
    turns = sum(_sort(a) != _sort(b) for a, b in pairwise(bare))
    digits = sum(c.isdigit() for c in bare)
    return digits >= 2 and any(c.isalpha() for c in bare) and turns >= len(text) / 4


def _sort(char: str) -> str:
    if char.isdigit():
        return "digit"
    return "upper" if char.isupper() else "lower"


#: How much of what was released is looked at again with a new sentence; no find is longer.
_JOINED_CHARS = 400


class Personal:
    """Personal data by kind: let pass, masked by a typed placeholder, or blocked; some groups may read it."""

    name = "personal"
    codes = frozenset({"personal_data"})
    rewrites = True

    def __init__(
        self,
        kinds: Mapping[Kind, Treatment],
        *,
        groups: Mapping[Kind, Sequence[str]] = MappingProxyType({}),
        names: Names = by_rules,
    ) -> None:
        self._treated = {kind: treatment for kind, treatment in kinds.items() if treatment != "allow"}
        self._readers = {kind: frozenset(allowed) for kind, allowed in groups.items()}
        self._names = names

    def look(self, passage: Passage) -> Ruling:
        """Mask the new text; what was released cannot be taken back."""
        kinds = {kind for kind in self._treated if not passage.groups & self._readers.get(kind, frozenset())}
        blocked = {kind for kind in kinds if self._treated[kind] == "block"}
        # Asked alone, so that no kind that is masked claims a find of theirs.
        if self._find(passage, blocked):
            return _block("personal_data")
        found = self._find(passage, kinds)
        if not found:
            return ALLOW
        return Ruling(decision="mask", code="personal_data", text=personal.mask(passage.text, found))

    def _find(self, passage: Passage, kinds: AbstractSet[Kind]) -> list[tuple[int, int, Kind]]:
        """Find what stands in the new text alone, and what only ends in it."""
        if not kinds:
            return []
        before = passage.released[-_JOINED_CHARS:]
        found = [
            (span.start, span.end, span.kind)
            for span in personal.find(passage.text, kinds, names=self._names)
        ]
        if before:
            found += [
                (max(span.start - len(before), 0), span.end - len(before), span.kind)
                for span in personal.find(before + passage.text, kinds, names=self._names)
                if span.end > len(before)
            ]
        return found
