"""Files of records: CSV, TSV, JSON, JSON lines and XML, said as tables and `key: value` lines.

The standard library reads them. Nothing nests deeper than an honest file does, no XML entity is declared, and
what only claims to be JSON is read as the text that it is.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from xml.parsers import expat

from ingest.errors import Damaged, TooLarge, UnsafeMarkup
from ingest.sections import Piece, table_of

#: Honest files nest to about a dozen.
_MAX_DEPTH = 64
_MAX_CELLS = 1_000_000
#: Records of more fields are said one by one, not as a table.
_MAX_COLUMNS = 40
_NESTS = "The file nests deeper than {} levels; no honest one does."
Json = None | bool | str | list["Json"] | dict[str, "Json"]


def read_csv(text: str) -> list[list[Piece]]:
    """Read a table of texts; the delimiter is the one that cuts every line alike."""
    csv.field_size_limit(16 * 1024 * 1024)
    try:
        lines = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text))
        rows = [[" ".join(cell.split()) for cell in row] for row in lines if any(map(str.strip, row))]
    except csv.Error as error:
        raise Damaged(f"The table does not open ({error}); save it again at its source.") from error
    if sum(map(len, rows)) > _MAX_CELLS:
        raise TooLarge(f"The table has over {_MAX_CELLS} cells; split it and add the parts.")
    return [[table_of(rows, heads=guessed_heads(rows))]] if rows else []


def _delimiter(text: str) -> str:
    lines = text[: 64 * 1024].splitlines()[:20]
    return max(
        ",;\t|", key=lambda mark: (min((line.count(mark) for line in lines if line), default=0), mark == ",")
    )


def guessed_heads(rows: Sequence[Sequence[str]]) -> int:
    """Say whether the first row heads the columns: words (or years) above, all of them short."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return 0
    first = [cell for cell in rows[0] if cell]
    wordy = all(not _is_number(cell) and len(cell) <= 60 for cell in first)
    return int(wordy and len(first) >= max(2, len(rows[0]) - 1))


def _is_number(text: str) -> bool:
    plain = re.sub(r"[\s,.$€£%()+-]", "", text)
    return plain.isdigit() and not re.fullmatch(r"(?:19|20)\d\d", text.strip())


def read_json(text: str) -> list[list[Piece]]:
    """Read one JSON value: a list of records becomes a table, an object a section a key."""
    try:
        value = _parsed(text)
    except ValueError:
        # Settings files carry comments, and downloads are cut off: their text is text all the same.
        return [[Piece(kind="paragraph", text=text.strip())]]
    if isinstance(value, dict) and any(isinstance(inner, dict | list) for inner in value.values()):
        return _object_sections(value)
    return [list(_said(value, "", 1))]


def read_json_lines(text: str) -> list[list[Piece]]:
    """Read one record a line; a line that is no JSON stays as it is."""
    records: list[Json] = []
    strays: list[Piece] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        try:
            records.append(_parsed(line))
        except ValueError:
            strays.append(Piece(kind="paragraph", text=line))
    return [[*_said(records, "", 1), *strays]]


def _parsed(text: str) -> Json:
    try:
        value: Json = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError as error:
        raise UnsafeMarkup(_NESTS.format(_MAX_DEPTH)) from error
    return value


def _object_sections(value: Mapping[str, Json]) -> list[list[Piece]]:
    flat: dict[str, Json] = {key: inner for key, inner in value.items() if not isinstance(inner, dict | list)}
    sections = [list(_said(flat, "", 1))] if flat else []
    for key, inner in value.items():
        if isinstance(inner, dict | list):
            sections.append([Piece(kind="title", text=key, level=1), *_said(inner, key, 2)])
    return sections


def _said(value: Json, name: str, depth: int) -> Iterator[Piece]:
    if depth > _MAX_DEPTH:
        raise UnsafeMarkup(_NESTS.format(_MAX_DEPTH))
    if isinstance(value, list):
        yield from _list_said(value, name, depth)
    elif isinstance(value, dict):
        lines = [
            f"{key}: {_word(inner)}" for key, inner in value.items() if not isinstance(inner, dict | list)
        ]
        if lines:
            yield Piece(kind="list", text="\n".join(lines))
        for key, inner in value.items():
            if isinstance(inner, dict | list) and inner:
                yield Piece(kind="title", text=key, level=min(6, depth))
                yield from _said(inner, key, depth + 1)
    elif _word(value):
        yield Piece(kind="paragraph", text=f"{name}: {_word(value)}" if name else _word(value))


def _list_said(values: Sequence[Json], name: str, depth: int) -> Iterator[Piece]:
    records = [dict(_flat(value, "", depth)) for value in values if isinstance(value, dict)]
    if records:
        columns = list(dict.fromkeys(key for record in records for key in record))
        if len(records) * len(columns) > 4 * _MAX_CELLS:
            raise TooLarge(f"The file has over {_MAX_CELLS} values; split it and add the parts.")
        if len(records) > 1 and len(columns) <= _MAX_COLUMNS:
            yield table_of([columns, *([r.get(c, "") for c in columns] for r in records)], heads=1)
        else:
            for record in records:
                yield Piece(kind="list", text="\n".join(f"{k}: {v}" for k, v in record.items() if v))
    plain = [value for value in values if not isinstance(value, dict | list)]
    if plain:
        yield Piece(kind="list", text="\n".join(filter(None, map(_word, plain))))
    rows = [[_joined(cell, depth) for cell in value] for value in values if isinstance(value, list)]
    if rows:
        yield table_of(rows, heads=guessed_heads(rows))


def _flat(value: Json, key: str, depth: int) -> Iterator[tuple[str, str]]:
    """Name every value of a record by its path: `address.city`."""
    if depth > _MAX_DEPTH:
        raise UnsafeMarkup(_NESTS.format(_MAX_DEPTH))
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name, depth + 1)
    else:
        yield key, _joined(value, depth)


def _joined(value: Json, depth: int) -> str:
    if isinstance(value, list):
        if depth > _MAX_DEPTH:
            raise UnsafeMarkup(_NESTS.format(_MAX_DEPTH))
        return ", ".join(filter(None, (_joined(inner, depth + 1) for inner in value)))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {text}" for name, text in _flat(value, "", depth + 1) if text)
    return _word(value)


def _word(value: Json) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return " ".join(str(value).split())


class _Leaves:
    """Collects the text of an XML file: each leaf as `tag: text`, running text as it runs."""

    def __init__(self, *, attributes: bool) -> None:
        self.attributes = attributes
        self.depth = 0
        self.sections: list[list[Piece]] = []
        self.lines: list[str] = []
        self.buffer: list[str] = []
        self.is_leaf = False

    def open(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self.depth >= 4 * _MAX_DEPTH:
            raise UnsafeMarkup(_NESTS.format(4 * _MAX_DEPTH))
        self.flush("")
        self.depth += 1
        self.is_leaf = True
        for name, value in attributes.items() if self.attributes else ():
            if not name.startswith(("xmlns", "xsi:", "xml:")) and value.strip():
                self.lines.append(f"{_local(name)}: {' '.join(value.split())}")

    def close(self, tag: str) -> None:
        self.flush(_local(tag) if self.is_leaf else "")
        self.is_leaf = False
        self.depth -= 1
        if self.depth <= 1 and self.lines:
            self.sections.append([Piece(kind="list", text="\n".join(self.lines))])
            self.lines = []

    def flush(self, name: str) -> None:
        text = " ".join("".join(self.buffer).split())
        self.buffer = []
        if text:
            self.lines.append(f"{name}: {text}" if name else text)


def read_xml(text: str, *, attributes: bool = True) -> list[list[Piece]]:
    """Read an XML file as the text of its leaves, what belongs to one child of the root together."""
    leaves = _Leaves(attributes=attributes)
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = leaves.open
    parser.EndElementHandler = leaves.close
    parser.CharacterDataHandler = lambda piece: leaves.buffer.append(piece)
    parser.EntityDeclHandler = _refused
    try:
        parser.Parse(text.lstrip("\ufeff \r\n\t").encode(errors="replace"), True)
    except expat.ExpatError as error:
        raise Damaged(f"The XML does not open ({error}); save it again at its source.") from error
    merged = [piece for section in leaves.sections for piece in section]
    return [merged] if merged else []


def _refused(*declaration: object) -> None:
    raise UnsafeMarkup("The file declares XML entities of its own; remove its DOCTYPE and add it again.")


def _local(tag: str) -> str:
    return tag.rpartition(":")[2]
