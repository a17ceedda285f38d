"""The ways in which a text can be read: as it looks, and under the disguises that models see through.

The twelve disguises are those on which guard models fail (Hackett et al. 2025): tags, variation selectors,
zero-width characters, homoglyphs, bidi, leet, base64, full width, combining marks, splitting, reversing,
emoji.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

#: Letters that look Latin (Cyrillic, Greek, Armenian, Cherokee, small capitals). NFKC does the mathematical
#: and full-width alphabets; this is the rest, from the shapes, not from Unicode's confusables file.
_LOOKALIKES = (
    "аa вb еe ѕs іi јj кk мm нh оo рp сc тt уy хx ԁd ԛq ԝw ѡw һh ӏl ьb зz гr пn ёe ґr ғf ԍg ѵv "
    "αa βb εe ζz ηn ιi κk νv οo ρp τt υu χx γy σo ωw δd θo λl μu πn ϲc ϳj ϱp "
    "օo ոn սu հh ցg ղn զq ե't աw ſs ıi ȷj ɑa ɡg ɩi ɪi ʀr ʙb ᴀa ᴄc ᴅd ᴇe ꜰf ɢg ʜh ᴊj ᴋk "
    "ʐz ʑz ƶz ȥz ʟl ᴍm ɴn ᴏo ᴘp ꞯq ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz "
    "ɐa ǝe ɹr ʇt ʌv ʍw ʎy ᴉi ɥh ɯm ᖯb ɔc ɟf ƃg "
    "ʞk łl øo đd ħh ŧt ɨi ƅb ɗd ɓb ƙk ƥp ƭt ʋv ƴy ɠg ɦh ꓐb ꓑp ꓒd ꓓd ꓔt ꓖg ꓗk ꓙj ꓚc ꓜz ꓝf "
    "ꓟm ꓠn ꓡl ꓢs ꓣr ꓦv ꓧh ꓪw ꓫx ꓬy ꓮa ꓰe ꓲi ꓳo ꓴu"
)
_FOLD = {ord(pair[0]): pair[1] for pair in _LOOKALIKES.split() if len(pair) == 2}
_FOLD |= {base + i: chr(97 + i) for base in (0x1F1E6, 0x1F170, 0x1F150) for i in range(26)}
_FOLD |= {0xE0020 + i: chr(0x20 + i) for i in range(95)}
_ROT13 = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")
_LEET = str.maketrans("0134579@$!|+8", "oieastgasiitb")
#: The same without the signs that also end a sentence; a 1 is an i or an l.
_LEET_TEXTS = tuple(str.maketrans("0134579@$8", f"o{one}eastgasb") for one in "il")
#: A word with digits or signs inside, as leet has them and prose has not.
_LEET_WORD = re.compile(r"(?<!\w)(?=\S{0,40}[a-z])(?=\S{0,40}[01345789@$!|])[a-z0-9@$!|+]{4,}", re.I)
#: Of a text in leet this share of its words has them; of a parts list, less.
_LEET_SHARE = 0.3
#: Letters parted by one sign and its like ("i-g-n-o-r-e", "i g n o r e").
_PARTED = re.compile(r"(?<![a-z0-9])[a-z0-9](?:([ .*_|/-])[a-z0-9](?:\1[a-z0-9])*)(?![a-z0-9])")
_LEAST_PARTED = 7
_PICTURES = re.compile("[\u2190-\u2bff\U0001f000-\U0001faff]")
_PICTURE_INSIDE = re.compile(f"(?<=[a-z]){_PICTURES.pattern}+(?=[a-z])")
#: Words that no forward text has.
_BACKWARDS = re.compile(
    r"\b(?:eht|uoy|ruoy|siht|taht|htiw|era|lliw|tpmorp|metsys|erongi|laever|snoitcurtsni|suoiverp|selur)\b"
)
_LONG_TOKEN = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
#: base64 wrapped into lines.
_WRAPPED = re.compile(r"(?<=[A-Za-z0-9+/]{16})\r?\n(?=[A-Za-z0-9+/=])")
_HEX_RUN = re.compile(r"(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[\s,:;-]?){12,}")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|&#?\w{2,8};)")
_BINARY = re.compile(r"(?:[01]{8}\s?){8,}")
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0001\U000e007f\U000e0100-\U000e01ef]")  # fmt: skip  # noqa: E501
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
#: Encoded parts looked at in one text, and characters of each.
_MAX_PARTS = 24
_MAX_PART_CHARS = 8_000


def folded(text: str) -> str:
    """Return the text as it looks to a reader: one alphabet, no marks, nothing invisible, lower case."""
    if text.isascii():
        return text.lower()
    visible = _INVISIBLE.sub("", text.translate(_FOLD))
    bare = "".join(c for c in unicodedata.normalize("NFKD", visible) if not unicodedata.combining(c))
    return bare.casefold().translate(_FOLD)


def letters(text: str) -> str:
    """Return nothing but the letters a to z of a folded text."""
    return re.sub(r"[^a-z]+", "", text)


def worded(plain: str) -> Iterator[str]:
    """Yield readings of a folded text that keep its words apart: leet, parted letters, pictures, reversed."""
    if _BACKWARDS.search(plain):
        yield plain[::-1]
    if _PICTURE_INSIDE.search(plain):
        yield _PICTURES.sub("", plain)
    parted = [match.group() for match in _PARTED.finditer(plain)]
    if sum(len(run) >= _LEAST_PARTED for run in parted) >= 2:
        yield re.sub(r"\s{2,}", " ", _PARTED.sub(lambda run: run.group()[::2], plain))
    if len(_LEET_WORD.findall(plain)) >= max(1, _LEET_SHARE * len(plain.split())):
        for letters_for in _LEET_TEXTS:
            yield plain.translate(letters_for)


def disguised(text: str) -> Iterator[str]:
    """Yield the hidden readings of `text`, as bare letters."""
    plain = folded(text)
    if payload := _selector_payload(text):
        yield letters(folded(payload))
    if _LEET_WORD.search(plain):
        yield letters(plain.translate(_LEET))
    bare = letters(plain)
    yield bare[::-1]
    yield bare.translate(_ROT13)
    for part in decoded(text):
        yield letters(folded(part))
        for inner in decoded(part):
            yield letters(folded(inner))


def decoded(text: str) -> Iterator[str]:
    """Yield what base64, hex, binary and escapes in `text` say, where they say something readable."""
    if len(_ESCAPES.findall(text)) >= 4:
        yield _unescaped(text)
    for match in _first(_LONG_TOKEN, _WRAPPED.sub("", text) if "\n" in text else text):
        yield from _readable(_base64(match))
    for match in _first(_HEX_RUN, text):
        yield from _readable(_hex(re.sub(r"0x|\\x|[^0-9A-Fa-f]", "", match)))
    for match in _first(_BINARY, text):
        bits = re.sub(r"\s", "", match)
        yield from _readable(bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8)))


def _first(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    for count, match in enumerate(pattern.finditer(text)):
        if count >= _MAX_PARTS:
            return
        yield match.group()[:_MAX_PART_CHARS]


def _unescaped(text: str) -> str:
    text = re.sub(r"\\[ux]([0-9A-Fa-f]{4}|[0-9A-Fa-f]{2})", lambda m: chr(int(m.group(1), 16)), text)
    return html.unescape(unquote(text))


def _base64(token: str) -> bytes:
    body = token.rstrip("=").replace("-", "+").replace("_", "/")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4))
    except binascii.Error:
        return b""


def _hex(digits: str) -> bytes:
    return bytes.fromhex(digits[: len(digits) // 2 * 2])


def _readable(raw: bytes) -> Iterator[str]:
    """Yield the bytes as text if nearly all of it is letters and blanks: random bytes are not."""
    text = raw.decode("utf-8", errors="ignore")
    wordy = sum(c.isalpha() or c.isspace() for c in text)
    if len(text) >= 8 and wordy >= 0.8 * len(raw):
        yield text


def _selector_payload(text: str) -> str:
    """Read bytes hidden as variation selectors (16 in the BMP, 240 in plane 14), one byte each."""
    selectors = "" if text.isascii() else "".join(_SELECTORS.findall(text))
    raw = bytes(ord(c) - 0xFE00 if c <= "\ufe0f" else ord(c) - 0xE0100 + 16 for c in selectors)
    return raw.decode("utf-8", errors="ignore") if len(raw) >= 8 else ""
