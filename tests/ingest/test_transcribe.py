"""What a model writes becomes words, grids and charts; what it writes wrong stays text and is bounded."""

from __future__ import annotations

import re

import pytest

from ingest.errors import ModelReply, ReplyCut
from ingest.markup import grid_html, grid_of, plain, symbols
from ingest.nemotron_parse import FIELDS, NemotronParse, called_pieces, tagged_pieces
from ingest.served import Message
from ingest.transcribe import PageReply, pieces_of


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("## **Results** of _2021_", "Results of 2021"),
        ("- one\n* two\n+ three", "• one\n• two\n• three"),
        ("see [the log](https://example.org/x) and `code`", "see the log and code"),
        ("snake_case_name, 2*3*4 and 5 * 6", "snake_case_name, 2*3*4 and 5 * 6"),
        ("> quoted<br>text\n---\n```python", "quoted text"),
        (r"50 \% of \*this\* &amp; that", "50 % of *this* & that"),
    ],
)
def test_marks_of_markdown_are_taken_off_and_words_are_left(markdown: str, text: str) -> None:
    assert plain(markdown) == text


SPANNING = (
    "<table><thead><tr><td rowspan='2'>Port</td><td colspan=2>Ships</td></tr>"
    "<tr><td>in</td><td>out</td></tr></thead><tr><td>Oslo &amp; Moss</td><td>3</td><td></td></tr></table>"
)


def test_a_table_of_html_keeps_its_spans() -> None:
    cells = {(c.row, c.col): c for c in grid_of(SPANNING)}
    assert [(at, c.text) for at, c in cells.items()] == [
        ((0, 0), "Port"),
        ((0, 1), "Ships"),
        ((1, 1), "in"),
        ((1, 2), "out"),
        ((2, 0), "Oslo & Moss"),
        ((2, 1), "3"),
        ((2, 2), ""),
    ]
    assert (cells[0, 0].rowspan, cells[0, 1].colspan, cells[0, 0].header) == (2, 2, True)
    assert grid_of(grid_html(list(cells.values()))) == list(cells.values())


@pytest.mark.parametrize(
    "table",
    [
        "| a | b |\n|---|:-:|\n| **1** | 2 |",
        r"\begin{tabular}{l|r} a & b \\ \hline \textbf{1} & 2 \\ \end{tabular}",
        "<table><tr><th>a<th>b<tr><td>1<td>2",
    ],
)
def test_a_table_is_the_same_however_it_is_written(table: str) -> None:
    assert [(c.row, c.col, c.text, c.header) for c in grid_of(table)] == [
        (0, 0, "a", True),
        (0, 1, "b", True),
        (1, 0, "1", False),
        (1, 1, "2", False),
    ]


def test_latex_spans_and_signs_are_read() -> None:
    rows = r"\multicolumn{2}{c}{Costs \& gains}\\\hline \multirow{2}{*}{x} & 5\%\\ & 7\\"
    cells = grid_of(rf"\begin{{tabular}}{{ll}}{rows} \end{{tabular}}")
    assert [(c.row, c.col, c.rowspan, c.colspan, c.text) for c in cells][:3] == [
        (0, 0, 1, 2, "Costs & gains"),
        (1, 0, 2, 1, "x"),
        (1, 1, 1, 1, "5%"),
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        "<table>" + "<tr><td colspan=999 rowspan=999>x</td></tr>" * 500,
        "<td>" * 5000,
        "<table><tr>" * 3000,
        "|" * 20_000,
        "<" * 20_000,
    ],
)
def test_a_table_without_end_is_bounded(hostile: str) -> None:
    cells = grid_of(hostile)
    assert len(cells) <= 8_000
    assert all(c.col + c.colspan <= 64 and c.row + c.rowspan <= 500 for c in cells)


def test_a_formula_is_seen_as_its_signs() -> None:
    assert symbols(r"\frac{\alpha}{2} \le \sum_{i} x_i^2 \log(n)") == "α2∑ixi2log(n)"


def test_a_chart_is_written_so_that_it_is_found() -> None:
    points = [{"label": "2021", "value": "4"}, {"label": "2022", "value": "8"}]
    sales = {
        "title": "Sales",
        "x_axis": "year",
        "y_axis": "",
        "series": [{"name": "North", "points": points}],
    }
    blocks: list[dict[str, object]] = [
        {"kind": "chart", "text": "Sales **double**.", "chart": sales},
        {"kind": "figure", "text": ""},
        {"kind": "formula", "text": "$$a$$"},
    ]
    reply = PageReply.model_validate({"blocks": blocks})
    chart, formula = pieces_of(reply.blocks)
    assert chart.text == "Chart: Sales\nx axis: year\nNorth: 2021 4; 2022 8\nSales double."
    assert (formula.kind, formula.text) == ("formula", "a")


def test_the_schema_asks_for_no_place() -> None:
    schema = str(PageReply.model_json_schema())
    assert "additionalProperties': False" in schema
    assert not [word for word in ("bbox", "box", "x0", "coordinate") if word in schema]


TAGGED = (
    "<x_0.1445><y_0.1086>## TITLE<x_0.2666><y_0.1258><class_Section-header>\n\n"
    "<x_0.1><y_0.2>Some **text**<x_0.9><y_0.3><class_Text>"
    "<x_0.1><y_0.3>- one<x_0.9><y_0.32><class_List-item><x_0.1><y_0.33>- two<x_0.9><y_0.35><class_List-item>"
    r"<x_0.1><y_0.4>\begin{tabular}{cc}a & b\\\hline 1 & 2\\\end{tabular}<x_0.9><y_0.5><class_Table>"
    r"<x_0.1><y_0.52>\[E = mc^2\]<x_0.9><y_0.55><class_Formula>"
    "<x_0.1><y_0.6>Sales 2021<x_0.9><y_0.8><class_Picture>"
)


def test_tagged_text_of_nemotron_parse_becomes_pieces() -> None:
    pieces = tagged_pieces(TAGGED)
    assert [(p.kind, p.text) for p in pieces] == [
        ("title", "TITLE"),
        ("paragraph", "Some text"),
        ("list", "• one\n• two"),
        ("table", "a\nb\n1\n2"),
        ("formula", "E = mc^2"),
        ("figure", "Picture."),
    ]
    assert (pieces[-1].printed, pieces[-1].hint) == (("Sales 2021",), (0.1, 0.6, 0.9, 0.8))


def test_tagged_text_cut_within_a_block_is_never_taken_for_whole() -> None:
    between = re.compile(r"<class_[^>]*>\s*$")
    for cut in (cut for cut in range(1, len(TAGGED)) if not between.search(TAGGED[:cut])):
        with pytest.raises(ReplyCut):
            tagged_pieces(TAGGED[:cut])


def test_a_tool_call_of_nim_becomes_pieces_and_anything_else_is_told() -> None:
    called = (
        '[[{"type": "Title", "text": "# A", "bbox": {"xmin": 0.1, "ymin": 0.1, "xmax": 0.2, "ymax": 0.2}},'
        '{"type": "Picture", "text": "", "bbox": {"xmin": 0, "ymin": 0.5, "xmax": 1, "ymax": 0.7}}]]'
    )
    assert [(p.kind, p.text, p.hint) for p in called_pieces(called)] == [
        ("title", "A", None),
        ("figure", "Picture.", (0.0, 0.5, 1.0, 0.7)),
    ]
    with pytest.raises(ModelReply, match="markdown_bbox"):
        called_pieces('{"pages": []}')


class Teller:
    """A client that gives one answer and keeps what it was asked."""

    name = "parse"

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[Message] = []

    async def tell(self, messages: list[Message], *, max_tokens: int) -> str:
        self.asked += messages
        return self.answer

    async def ready(self) -> None:
        """Always."""


@pytest.mark.anyio
async def test_nemotron_parse_is_sent_one_image_and_not_a_word() -> None:
    teller = Teller(TAGGED)
    pieces = await NemotronParse(teller, form="vllm").transcribe(b"png")  # type: ignore[arg-type]
    assert len(pieces) == 6
    assert teller.asked == [Message(role="user", text="", images=(b"png",))]
    assert FIELDS["nim"] == {"tools": [{"type": "function", "function": {"name": "markdown_bbox"}}]}
