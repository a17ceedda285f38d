from __future__ import annotations

import json

import pytest

from ingest.errors import Damaged, UnsafeMarkup
from ingest.listings import read_csv, read_json, read_json_lines, read_xml
from ingest.sections import Piece, paged


def said(sections: list[list[Piece]]) -> list[str]:
    return [element.text for page in paged(sections, max_pages=99) for element in page.elements]


def test_a_csv_is_a_table_with_its_header() -> None:
    assert said(read_csv("name,price\nNut,3\nBolt,4\n")) == ["name | price\nNut | price: 3\nBolt | price: 4"]


def test_records_of_json_are_rows() -> None:
    text = json.dumps([{"name": "Nut", "size": {"mm": 3}}, {"name": "Bolt", "tags": ["new", "steel"]}])
    assert said(read_json(text)) == ["name | size.mm | tags\nNut | size.mm: 3\nBolt | tags: new, steel"]


def test_an_object_of_json_is_a_section_a_key() -> None:
    sections = read_json('{"title": "Plan", "steps": ["one", "two"], "owner": {"name": "Ada", "age": 36}}')
    assert said(sections) == ["title: Plan", "steps", "one\ntwo", "owner", "name: Ada\nage: 36"]


def test_what_only_claims_to_be_json_is_read_as_text() -> None:
    assert said(read_json('{\n // a comment\n "a": 1}')) == ['{\n // a comment\n "a": 1}']


def test_lines_of_json_are_rows_and_strays_stay() -> None:
    assert said(read_json_lines('{"a": 1}\n\n{"a": 2}\nnot json\n')) == ["a\na: 1\na: 2", "not json"]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "[" * 90 + "]" * 90]
)
def test_json_that_nests_without_end_is_refused(text: str) -> None:
    if text.endswith("["):
        # Cut off: no JSON at all, so it is text; reading it ends all the same.
        with pytest.raises(UnsafeMarkup):
            read_json(text)
        return
    with pytest.raises(UnsafeMarkup):
        read_json(text)


def test_xml_is_read_as_its_leaves() -> None:
    first = "<row id='7'><name>Nut</name><price>3</price></row>"
    second = "<row><note>mixed <b>words</b> here</note></row>"
    assert said(read_xml(f"<list>{first}{second}</list>")) == [
        "id: 7\nname: Nut\nprice: 3",
        "mixed\nb: words\nhere",
    ]


def test_entities_of_xml_are_refused_and_broken_xml_is_damaged() -> None:
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    with pytest.raises(UnsafeMarkup):
        read_xml(laughs)
    with pytest.raises(UnsafeMarkup):
        read_xml("<a>" * 100_000)
    with pytest.raises(Damaged):
        read_xml("<a><b></a>")
