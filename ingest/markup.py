"""The marks that models write: Markdown and LaTeX taken off the words, tables as grids.

What comes in is a model's, so nothing in it is believed: markup that is not understood stays text, and a
table is bounded whatever its spans claim.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape, unescape

#: A grid larger than this is no page's table.
_MAX_ROWS, _MAX_COLUMNS = 400, 64
_MAX_CELLS = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GridText:
    """A cell as a model wrote it; rows and columns count from 0."""

    row: int
    col: int
    rowspan: int = 1
    colspan: int = 1
    text: str
    header: bool = False


def plain(text: str) -> str:
    """Take the marks of Markdown off, line by line; the words and line breaks stay."""
    lines = (_plain_line(line) for line in text.replace("\r\n", "\n").split("\n"))
    return "\n".join(line for line in lines if line).strip()


#: Signs that a backslash took the meaning from stand in private use while marks are taken off.
_SHIFT = 0xF0000
_ESCAPED = re.compile(f"[{chr(_SHIFT + 33)}-{chr(_SHIFT + 126)}]")


def _plain_line(line: str) -> str:
    line = re.sub(r"\\([*_#`|~%$\[\]])", lambda match: chr(ord(match[1]) + _SHIFT), line.strip())
    if re.fullmatch(r"[-*_=`~]{3,}\w*", line):
        return ""
    line = re.sub(r"^(?:#{1,6}|>+)\s+", "", line)
    line = re.sub(r"^[-*+]\s+", "• ", line)
    line = re.sub(r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1", line)
    line = re.sub(r"(\*\*|__|~~)(?=\S)(.+?)(?<=\S)\1", r"\2", line)
    line = re.sub(r"(?<![\w*])\*(?=[^\s*])([^*]+?)(?<=\S)\*(?![\w*])", r"\1", line)
    line = re.sub(r"(?<!\w)_(?=[^\s_])([^_]+?)(?<=\S)_(?!\w)", r"\1", line)
    line = re.sub(r"`([^`]+)`", r"\1", line)
    line = re.sub(r"</?(?:b|i|u|em|strong|sup|sub|br|span|p|code)\s*/?>", " ", line)
    return " ".join(unescape(_ESCAPED.sub(lambda match: chr(ord(match[0]) - _SHIFT), line)).split())


def grid_of(text: str) -> list[GridText]:
    """Read a table written in HTML, Markdown or LaTeX; empty where it is none."""
    if re.search(r"<(table|tr|td|th)\b", text, re.IGNORECASE):
        return _html_grid(text)
    if r"\begin{tabular}" in text or re.search(r"&.*\\\\", text):
        return _latex_grid(text)
    return _markdown_grid(text)


def grid_html(cells: Sequence[GridText]) -> str:
    """Write a grid as a plain HTML table, spans kept."""
    rows: dict[int, list[str]] = {}
    for cell in sorted(cells, key=lambda cell: (cell.row, cell.col)):
        tag = "th" if cell.header else "td"
        spans = f' rowspan="{cell.rowspan}"' if cell.rowspan > 1 else ""
        spans += f' colspan="{cell.colspan}"' if cell.colspan > 1 else ""
        rows.setdefault(cell.row, []).append(f"<{tag}{spans}>{escape(cell.text)}</{tag}>")
    return "<table>" + "".join(f"<tr>{''.join(rows[row])}</tr>" for row in sorted(rows)) + "</table>"


def symbols(latex: str) -> str:
    """Return what of a formula can be seen on a page: letters, digits and signs, commands resolved."""
    latex = re.sub(r"\\(?:begin|end|label|tag)\{[^}]*\}", " ", latex)
    latex = re.sub(r"\\([A-Za-z]+)", lambda match: _GREEK.get(match[1], " "), latex)
    return re.sub(r"[\\{}$^_&\s]+", "", latex)


_LETTERS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi"
)
_GREEK = dict(zip(_LETTERS.split(), "αβγδεζηθικλμνξπρστφχψ", strict=True)) | {"omega": "ω", "upsilon": "υ"}
_GREEK |= {name.capitalize(): sign.upper() for name, sign in list(_GREEK.items())}
_GREEK |= {"sum": "∑", "int": "∫", "prod": "∏", "infty": "∞", "times": "×", "cdot": "·", "pm": "±"}
# Functions are written out.
_GREEK |= {name: name for name in ("log", "ln", "exp", "sin", "cos", "tan", "max", "min", "lim", "det")}


_MARKUP = re.compile(r"<(/?)([a-z]+\d?)\b([^<>]*)>|([^<]+|<)", re.IGNORECASE)


def _html_rows(text: str) -> Iterator[list[GridText]]:
    """Yield the rows of all tables in `text`; a table within a cell is cells of its own."""
    row: list[GridText] = []
    cell: GridText | None = None
    words = ""
    in_head = False
    for closing, tag, attributes, said in _MARKUP.findall(text):
        tag = tag.lower()
        if tag in {"td", "th", "tr", "table"}:
            if cell is not None:
                row.append(replace(cell, text=plain(" ".join(unescape(words).split()))))
            cell, words = None, ""
            if tag in {"tr", "table"}:
                yield row
                row = []
        if tag in {"td", "th"} and not closing:
            cell = GridText(
                row=0,
                col=0,
                rowspan=_span(_attribute(attributes, "rowspan")),
                colspan=_span(_attribute(attributes, "colspan")),
                text="",
                header=tag == "th" or in_head,
            )
        elif tag == "thead":
            in_head = not closing
        else:
            words += said or " "
    if cell is not None:
        row.append(replace(cell, text=plain(" ".join(unescape(words).split()))))
    yield row


def _attribute(attributes: str, name: str) -> str | None:
    found = re.search(rf"\b{name}\s*=\s*[\"']?(\d+)", attributes, re.IGNORECASE)
    return found[1] if found else None


def _span(value: str | None) -> int:
    return min(_MAX_COLUMNS, max(1, int(value))) if value and re.fullmatch(r"\d{1,3}", value) else 1


def _html_grid(text: str) -> list[GridText]:
    return _placed([row for row in _html_rows(text) if row])


def _placed(rows: Sequence[Sequence[GridText]]) -> list[GridText]:
    """Give each cell its row and column: those that a spanning cell covers are taken."""
    taken: set[tuple[int, int]] = set()
    cells: list[GridText] = []
    for row, line in enumerate(rows[:_MAX_ROWS]):
        col = 0
        for cell in line:
            while (row, col) in taken:
                col += 1
            rowspan = min(cell.rowspan, len(rows) - row)
            if col + cell.colspan > _MAX_COLUMNS or len(taken) + rowspan * cell.colspan > _MAX_CELLS:
                break
            taken.update((row + i, col + j) for i in range(rowspan) for j in range(cell.colspan))
            cells.append(replace(cell, row=row, col=col, rowspan=rowspan))
            col += cell.colspan
    return cells


def _markdown_grid(text: str) -> list[GridText]:
    lines = [line.strip() for line in text.split("\n") if line.strip().startswith("|")]
    rule = next((at for at, line in enumerate(lines) if re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", line)), 0)
    rows = [
        [
            GridText(row=0, col=0, text=plain(part), header=at < rule)
            for part in re.split(r"(?<!\\)\|", line.strip("|"))
        ]
        for at, line in enumerate(lines)
        if not (rule and at == rule)
    ]
    return _placed(rows)


def _latex_grid(text: str) -> list[GridText]:
    body = re.sub(r"\\begin\{tabular\}(\{(?:[^{}]|\{[^{}]*\})*\})?|\\end\{tabular\}", " ", text)
    ruled = [part for part in re.split(r"\\\\", body) if _unruled(part)]
    # The rows above the first rule that is not the table's own top are its head.
    head = next((at for at, part in enumerate(ruled) if at and re.match(r"\s*\\(hline|midrule)", part)), 0)
    rows = [list(_latex_cells(_unruled(part), header=at < head)) for at, part in enumerate(ruled)]
    return _placed(rows)


def _unruled(part: str) -> str:
    return re.sub(r"\\(hline|toprule|midrule|bottomrule|cline\{[^}]*\})", " ", part).strip()


def _latex_cells(line: str, *, header: bool) -> Iterator[GridText]:
    for part in re.split(r"(?<!\\)&", line):
        rowspan = colspan = 1
        if match := re.match(r"\s*\\multicolumn\{(\d+)\}\{[^}]*\}\{(.*)\}\s*$", part, re.DOTALL):
            colspan, part = _span(match[1]), match[2]
        if match := re.match(r"\s*\\multirow\{(\d+)\}\{[^}]*\}\{(.*)\}\s*$", part, re.DOTALL):
            rowspan, part = _span(match[1]), match[2]
        words = re.sub(r"\\(?:textbf|textit|mathbf|text|emph)\{([^{}]*)\}", r"\1", part)
        words = re.sub(r"\\([%$&#_])", r"\1", words)
        yield GridText(
            row=0, col=0, rowspan=rowspan, colspan=colspan, text=" ".join(words.split()), header=header
        )
