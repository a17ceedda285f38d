"""Text out of bytes whose encoding nobody tells: by mark, by shape, by what is declared, by what looks sane.

charset-normalizer names the script; among the single-byte code pages of one script it guesses by letter
counts and mixes up Cyrillic (KOI8-R for CP1251) and Western text. Those are judged here by what no language
does: capitals inside words, signs inside words, accented letters in a row.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from charset_normalizer import from_bytes

from ingest.errors import Damaged

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(rb"(?:charset\s*=\s*[\"']?|encoding\s*=\s*[\"'])([\w.:-]{2,30})", re.IGNORECASE)
#: Signs that stand beside letters in honest text.
_SIGNS = "°€£¥©®™§"
#: Looked at to tell an encoding; all of it is decoded then.
_SAMPLE = 64 * 1024
_SINGLE_BYTE = ("cp1252", "cp1250", "iso8859_2")
_MORE = ("cp1251", "koi8_r", "cp866", "iso8859_5", "mac_roman", "cp850", "latin_1")
#: What charset-normalizer may say; it also knows code pages that nobody has written text in since 1990.
_KNOWN = re.compile(r"cp125[0-8]|iso8859_\d+|koi8_[ru]|cp86[26]|cp874|tis_620|mac_cyrillic|mac_greek")
_WIDE = re.compile(r"utf|big5|gb|hz|euc|shift|jis|932|949|950|johab|iso2022", re.IGNORECASE)


def decode(content: bytes, *, declared: str | None = None) -> str:
    """Decode text; `declared` (or a declaration inside) is believed where the bytes fit it."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    wide = _unmarked_utf16(content[:_SAMPLE])
    if wide:
        return content.decode(wide, errors="replace")
    found = _DECLARED.search(content[:4096])
    named = [declared] if declared else []
    named += [found[1].decode("ascii")] if found else []
    for encoding in ("utf-8", *named):
        try:
            text = content.decode(encoding)
        except (UnicodeError, LookupError, ValueError):
            continue
        if "\x1b" not in text or "\x1b" not in content[:_SAMPLE].decode("latin-1"):
            return text
        return _escaped(content) or text
    return _guessed(content)


def _unmarked_utf16(head: bytes) -> str | None:
    """Tell UTF-16 without a mark: NULs on one side (ASCII in it), or spaces and signs of two bytes."""
    if len(head) < 4:
        return None
    odd, even = head[1::2].count(0), head[0::2].count(0)
    if odd + even >= 0.02 * len(head) and max(odd, even) > 20 * min(odd, even):
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def _escaped(content: bytes) -> str | None:
    """Decode what switches character sets by escapes (Japanese mail)."""
    for encoding in ("iso2022_jp", "iso2022_kr"):
        try:
            text = content.decode(encoding)
        except UnicodeError:
            continue
        if any(ord(character) > 0x2E7F for character in text):
            return text
    return None


def _guessed(content: bytes) -> str:
    high = sum(byte > 127 for byte in content[:_SAMPLE])
    best = from_bytes(content[:_SAMPLE]).best() if high >= 4 else None
    name = best.encoding if best else None
    if name and _WIDE.search(name) and (len(content) >= 16 or not name.startswith("utf")):
        return content.decode(name, errors="replace")
    order = [*_SINGLE_BYTE, *([name] if name and _KNOWN.fullmatch(name) else []), *_MORE]
    if name == "cp1254":
        order.insert(0, name)
    sample = content[:_SAMPLE]
    choice: tuple[float, str] | None = None
    for encoding in order:
        try:
            oddness = _oddness(sample.decode(encoding))
        except (UnicodeDecodeError, LookupError):
            continue
        if choice is None or oddness < choice[0] - 1e-9:
            choice = (oddness, encoding)
    if choice is None:
        raise Damaged("The text is in no encoding that we know; save it as UTF-8.")
    return content.decode(choice[1], errors="replace")


def _oddness(text: str) -> float:
    """Count, a character outside ASCII, what no language does; 0 is a sane text."""
    odd, foreign = 0.0, 0
    for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if character.isascii():
            continue
        foreign += 1
        category = unicodedata.category(character)
        if category in {"Cc", "Cn", "Co"}:
            odd += 3
        elif category[0] == "S" and character not in _SIGNS:
            odd += before.isalpha() or after.isalpha()
        elif category[0] != "L":
            odd += (before.isalpha() and after.isalpha()) and category not in {"Pi", "Pf", "Pd", "Mn"}
        elif character.isupper() and before.islower():
            odd += 1
        elif "LATIN" not in unicodedata.name(character, ""):
            odd += _is_ascii_letter(before) or _is_ascii_letter(after)
        elif before.isalpha() and not before.isascii():
            odd += 0.4
    return odd / foreign if foreign else 0.0


def _is_ascii_letter(character: str) -> bool:
    return character.isascii() and character.isalpha()
