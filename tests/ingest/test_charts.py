"""Charts drawn here, of known truth: what is read of them is right, and what leaves a doubt is left out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.chart_axes import value_of
from ingest.charts import Chart, Place, chart_element, charted, read_chart
from ingest.words import Rect, Word
from tests.ingest.made_charts import Sheet, column, legend, row

GREEN, BLUE, RED, SAND = (44, 132, 80), (40, 80, 170), (200, 40, 45), (230, 215, 160)
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=25)


def read(sheet: Sheet) -> Chart | None:
    return read_chart(sheet.words, sheet.pixels)


def lines(sheet: Sheet) -> list[str]:
    chart = read(sheet)
    place = Place(x0=0, y0=0, width=sheet.width, height=sheet.height)
    return chart_element(chart, place).text.splitlines() if chart else []


def line_chart() -> Sheet:
    sheet = Sheet()
    sheet.write("Rainfall in two valleys", 40, 30, size=26)
    column(sheet, ["80", "60", "40", "20", "0"])
    places = row(sheet, ["2010", "2012", "2014", "2016", "2018"])
    sheet.pen.line([(x, 300 - 20 * i) for i, x in enumerate(places)], fill=RED, width=3)
    return sheet


def stacked_bars(values: Sequence[tuple[int, int]], labels: Sequence[str]) -> Sheet:
    sheet = Sheet()
    sheet.write("Who drinks what", 40, 24, size=26)
    legend(sheet, [("Coffee", GREEN), ("Plain tea", SAND)])
    for place, ((first, second), label) in enumerate(zip(values, labels, strict=True)):
        top = 120 + 70 * place
        sheet.write(label, 190, top + 20, anchor="rm")
        x = 200
        for value, colour, ink in ((first, GREEN, (255, 255, 255)), (second, SAND, (0, 0, 0))):
            sheet.pen.rectangle([x, top, x + 6 * value, top + 40], fill=colour)
            sheet.write(str(value), x + 3 * value, top + 20, anchor="mm", fill=ink)
            x += 6 * value + 1
    return sheet


def test_a_line_chart_gives_title_and_both_axes() -> None:
    assert lines(line_chart()) == [
        "Chart: Rainfall in two valleys",
        "Vertical axis, left, numbers: 80 · 60 · 40 · 20 · 0",
        "Horizontal axis, bottom, numbers: 2010 · 2012 · 2014 · 2016 · 2018",
    ]


def test_every_tick_is_cited_where_it_stands() -> None:
    sheet = line_chart()
    chart = read(sheet)
    assert chart is not None
    element = chart_element(chart, Place(x0=0, y0=0, width=sheet.width, height=sheet.height))
    for span in element.spans:
        text = element.text[span.start : span.end]
        found = [w for w in sheet.words if w.text == text.split()[0]]
        assert any(
            abs(span.box.x0 * sheet.width - w.x0) < 3 and abs(span.box.y0 * sheet.height - w.y0) < 3
            for w in found
        )


def test_a_tick_that_is_printed_and_unread_leaves_no_axis() -> None:
    sheet = line_chart()
    sheet.words = [w for w in sheet.words if w.text != "40"]
    assert not any(line.startswith("Vertical") for line in lines(sheet))


def test_a_tick_that_is_read_again_completes_the_axis() -> None:
    sheet = line_chart()
    sheet.words = [w for w in sheet.words if w.text != "40"]
    chart = read_chart(sheet.words, sheet.pixels, again=lambda *box: ("40", 0.99))
    assert chart is not None
    assert [tick.text for axis in chart.axes if axis.way == "vertical" for tick in axis.ticks][2] == "40"


def test_a_misread_tick_is_mended_only_by_one_letter_and_the_scale() -> None:
    for misread, whole in (("2O0", True), ("B00", True), ("BO0", False), ("700", False)):
        sheet = Sheet()
        column(sheet, ["400", "300", "200", "100", "0"])
        sheet.words = [w._replace(text=misread) if w.text == "200" else w for w in sheet.words]
        found = lines(sheet)
        assert any("400 · 300 · 200 · 100 · 0" in line for line in found) is whole, misread


@SLOW
@given(
    first=st.integers(-40, 40),
    step=st.sampled_from([1, 2, 5, 10, 25, 50]),
    count=st.integers(4, 8),
    decimals=st.sampled_from([0, 1]),
    unit=st.sampled_from(["", "%", " t"]),
    misread=st.integers(0, 7),
    wrong=st.sampled_from(["", "7", "93", "1x", "·"]),
)
def test_no_scale_is_ever_read_wrong(
    first: int, step: int, count: int, decimals: int, unit: str, misread: int, wrong: str
) -> None:
    texts = [f"{(first + step * i) / 10**decimals:.{decimals}f}{unit}" for i in reversed(range(count))]
    sheet = Sheet()
    column(sheet, texts)
    if wrong and misread < count:
        head = texts[misread].split()[0]
        sheet.words = [w._replace(text=wrong) if w.text == head else w for w in sheet.words]
    chart = read(sheet)
    for axis in chart.axes if chart else ():
        assert [value_of(tick.text) for tick in axis.ticks] == [value_of(text) for text in texts]
    if not wrong:
        assert chart is not None


@SLOW
@given(seed=st.integers(0, 10_000), count=st.integers(3, 40))
def test_words_strewn_about_are_no_chart(seed: int, count: int) -> None:
    chance = random.Random(seed)
    sheet = Sheet()
    for _ in range(count):
        text = chance.choice(["12", "7%", "1999", "alpha", "beta gamma", "300", "4.5"])
        sheet.write(text, chance.randrange(20, 800), chance.randrange(20, 580))
    chart = read(sheet)
    for axis in chart.axes if chart else ():
        values = [value_of(tick.text) or 0.0 for tick in axis.ticks]
        steps = {round(b - a, 6) for a, b in pairwise(values)}
        assert axis.kind == "numbers"
        assert len(steps) == 1, "what looks like a scale is one"


@SLOW
@given(
    values=st.lists(st.tuples(st.integers(12, 50), st.integers(12, 50)), min_size=2, max_size=5),
    data=st.data(),
)
def test_values_of_stacked_bars_stand_with_label_and_series(
    values: list[tuple[int, int]], data: st.DataObject
) -> None:
    names = ["Oslo", "Rome city", "Lima", "Quito", "Cairo"]
    labels = data.draw(st.permutations(names))[: len(values)]
    found = [line for line in lines(stacked_bars(values, labels)) if line.startswith("Bar: ")]
    assert found == [
        f"Bar: {label} · Coffee = {a} · Plain tea = {b}" for label, (a, b) in zip(labels, values, strict=True)
    ]


def test_values_at_the_ends_of_bars_stand_with_their_labels() -> None:
    sheet = Sheet()
    for place, (label, value) in enumerate([("Oslo", 64), ("Rome", 41), ("Lima", 12)]):
        top = 60 + 60 * place
        sheet.write(label, 190, top + 18, anchor="rm")
        sheet.pen.rectangle([200, top, 200 + 8 * value, top + 36], fill=BLUE)
        sheet.write(f"{value}%", 208 + 8 * value, top + 18)
    assert lines(sheet)[1:] == ["Bar: Oslo · 64%", "Bar: Rome · 41%", "Bar: Lima · 12%"]


def test_labels_at_the_ends_of_lines_are_known_by_their_colour() -> None:
    sheet = line_chart()
    sheet.write("North valley", 700, 180, fill=RED)
    sheet.write("South valley", 700, 240, fill=BLUE)
    assert any(line.startswith("Written in colour: North valley = #c8") for line in lines(sheet))


def test_slanted_labels_are_an_axis_only_while_none_is_missing() -> None:
    names = ["Korea", "Norway", "Japan", "Israel", "Mexico", "Chile"]
    sheet = Sheet()
    column(sheet, ["3", "2", "1", "0"])
    for place, name in enumerate(names):
        sheet.slanted(name, 180 + 90 * place, 500)
    assert f"Horizontal axis, bottom, labels: {' · '.join(names)}" in lines(sheet)
    sheet.words = [w for w in sheet.words if w.text != "Japan"]
    assert not any(line.startswith("Horizontal") for line in lines(sheet))


def test_a_label_that_is_printed_and_unread_at_an_end_leaves_no_axis() -> None:
    for unread in ("2010", "2018"):
        sheet = line_chart()
        sheet.words = [w for w in sheet.words if w.text != unread]
        assert not any(line.startswith("Horizontal") for line in lines(sheet)), unread
    names = ["Korea", "Norway", "Japan", "Israel", "Mexico", "Chile"]
    sheet = Sheet()
    column(sheet, ["3", "2", "1", "0"])
    for place, name in enumerate(names):
        sheet.slanted(name, 180 + 90 * place, 500)
    sheet.words = [w for w in sheet.words if w.text != "Korea"]
    assert not any(line.startswith("Horizontal") for line in lines(sheet))


def test_an_entry_of_the_legend_whose_sample_was_not_found_leaves_no_legend() -> None:
    sheet = line_chart()
    legend(sheet, [("Coffee", GREEN), ("Tea", SAND), ("Milk", (255, 255, 255))])
    assert not any(line.startswith("Legend") for line in lines(sheet))


def test_repeated_labels_below_charts_side_by_side_are_told_apart() -> None:
    sheet = Sheet()
    column(sheet, ["3", "2", "1", "0"])
    row(sheet, ["FP", "TP", "SP"], left=150, right=330)
    row(sheet, ["FP", "TP", "SP"], left=480, right=660)
    assert lines(sheet).count("Horizontal axis, bottom, labels: FP · TP · SP") == 2


@pytest.mark.parametrize("drawn", [True, False])
def test_a_page_of_text_alone_is_no_chart(drawn: bool) -> None:
    sheet = Sheet()
    column(sheet, ["3", "2", "1", "0"]) if drawn else None
    for place in range(4):
        if not drawn:
            sheet.write(f"{4 - place}", 60, 80 + 40 * place)
    region = Rect(0, 0, sheet.width, sheet.height)
    element = charted(
        sheet.png(),
        sheet.words,
        region,
        width=sheet.width,
        height=sheet.height,
        again=lambda piece: ("", 0.0),
    )
    assert (element is not None) is drawn


def test_a_region_of_a_page_is_read_in_the_places_of_the_page() -> None:
    sheet = Sheet()
    column(sheet, ["3", "2", "1", "0"])
    half = [Word(w.text, w.x0 / 2, w.y0 / 2, w.x1 / 2, w.y1 / 2, w.size / 2) for w in sheet.words]
    element = charted(
        sheet.png(), half, Rect(20, 30, 440, 290), width=450, height=300, again=lambda piece: ("", 0.0)
    )
    assert element is not None
    first = element.spans[0]
    assert element.text[first.start : first.end] == "3"
    assert abs(first.box.y0 - sheet.words[0].y0 / sheet.height) < 0.01
