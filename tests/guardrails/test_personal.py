"""Personal data in answers: what is somebody's is masked, and no other number is touched."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails import personal
from guardrails.nearby import luhn
from guardrails.rails import Passage, Personal

ALL = frozenset(personal.PLACEHOLDERS)

NOT_PERSONAL = """
Revenue was $383,285 million in 2023 and $394,328 million in 2022.
Capital expenditures | 2022: 10,708 | 2023: 10,959 | 2024: 9,447
The release 3.45.1 of 2024-01-30 fixed 12 issues; see version 10.0.19.45 and build 10.0.22621.2428.
Chrome/120.0.6099.109 and Firefox 115.0.2
See section 3.2.1.4 and chapter 1.2.3.4 of the manual.
ISBN 978-3-16-148410-0 and ISBN 0-306-40615-2
DOI 10.1145/3411764.3445005 and arXiv 2005.11401
From 12:30:45 to 14:05:00 on 09.11.2023 14.30
Years 2019 2020 2021 2022 2023 2024
100 200 3000 400 500 6000
1 234 567 and 12 345 678 and 123 456 789 012
The 95% CI is 0.123-0.456; p = 0.001
UUID 550e8400-e29b-41d4-a716-446655440000
sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
03 04 05 06 07 08
Pages 101-102, 203-204, 1001-1002
Growth of +12 345 678 EUR and +1.5 %, +3,400 units
CIK 0000320193, file number 001-36743, EIN 94-2404110
Plant 95014 and 10115 Berlin
Temperature -12.5 to +37.5 degrees
std::vector<int> a::b 12:34:56 ::1
mac 00:1A:2B:3C:4D:5E
epoch 1700000000000 and 1700000000
port 127.0.0.1:8000 and mask 255.255.255.0 and 0.0.0.0
order 4111 units, 5022 6033 7044 8055 1066
2023-2024-2025 and 2020-12-31 and 12/31/2020
Call 3 of 5: sum of 1,234,567
RFC 2822, ISO 8601-2004, EN 50128:2011, IEC 61508-3
Part number 123-4567-89 and 74-1234-5678
The phone sold 12,345,678 units in 2023, 1234567 in 2022.
The mobile segment earned 4,500,300 and 1 200 300
0.12 0.34 0.56 0.78 0.90
0-100 in 3.2 s; 1990-2000; 20.5 x 30.5 x 40.5
Nasdaq: AAPL at 189.95, 52-week 124.17-199.62
latitude 52.520008, longitude 13.404954
The call option has a strike of 1500000 shares
text 2500000 rows
fax machines sold 1200000 in 1995
decorators use @property and @app.route; user@host
npm @types/node@20.1.0 and pkg@1.2.3
Phone models 3310 and 8210; the phone 2024 2025
Table 4. 2011 2012 2013 | 1,111 2,222 3,333
mobile phones: 2019 2020 2021
Contact hours: 09.00-17.00, 08.30-12.30
Net sales 391035 383285 394328
Item 0700 063 966 kg
x = 3.14159265358979323846 y=2.718281828459045
Phone revenue was 205489000 in 2022
telephone 2 000 000 subscribers
A4 210 297 mm, call 1-2
Capex was $10,959 million [1] and R&D $29,915 million [2][3].
""".strip().splitlines()

SOMEBODYS = [
    ("email", "Write to jane.doe+x@example.co.uk."),
    ("email", "Jane (at) example (dot) com"),
    ("email", "jane@münchen.de"),
    ("email", "mailto:jane@example.com"),
    ("email", "<jane@example.com>"),
    ("email", "ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
    ("phone", "call +49 30 901820"),
    ("phone", "tel 030-90182012"),
    ("phone", "(212) 555-0198"),
    ("phone", "212-555-0198 ext. 12"),
    ("phone", "1-800-555-0199"),
    ("phone", "212.555.0198"),
    ("phone", "01 42 68 53 00"),
    ("phone", "020 7946 0958"),
    ("phone", "+1 (415) 555-2671"),
    ("phone", "+442079460958"),
    ("phone", "my number is 5550198"),
    ("phone", "Phone: 9876543210"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "DE89370400440532013000"),
    ("iban", "fr14 2004 1010 0505 0001 3m02 606"),
    ("iban", "BE68 5390 0754 7034."),
    ("card", "4111 1111 1111 1111"),
    ("card", "4111-1111-1111-1111"),
    ("card", "378282246310005"),
    ("card", "3782 822463 10005"),
    ("card", "card 4222222222222"),
    ("us_ssn", "123-45-6789"),
    ("us_ssn", "SSN 123456789"),
    ("ip", "IP 8.8.8.8"),
    ("ip", "192.168.1.20"),
    ("ip", "2001:db8:85a3::8a2e:370:7334"),
    ("ip", "from host 93.184.216.34 today"),
    ("address", "She lives at 12 Elm Street, Springfield, IL 62701."),
    ("address", "221B Baker Street, London NW1 6XE"),
    ("address", "350 Fifth Avenue, Suite 300\nNew York, NY 10118"),
    ("address", "Hauptstraße 5, 10115 Berlin"),
    ("address", "Musterweg 12, 80331 München, Germany"),
    ("address", "15 rue de la Paix, 75002 Paris"),
    ("address", "Via Garibaldi 7, 20121 Milano"),
    ("address", "ul. Miła 53, 00-001 Warszawa"),
    ("address", "> 91215 Harjukuja 54\n> Suite 318\n> Helsinki\n> Finland 00100"),
    ("address", "PSC 3294, Box 9168\nAPO AA 61487"),
    ("address", "P.O. Box 4021"),
    ("address", "My zip code is 76400"),
    ("birth_date", "born on 3 March 1961"),
    ("birth_date", "DOB: 1961-03-03"),
    ("birth_date", "Date of birth 03/03/1961"),
    ("birth_date", "geboren am 3. März 1961"),
    ("passport", "Passport No. C01X00T47"),
    ("passport", "passport number: 533380006"),
    ("passport", "L898902C36UTO7408122F1204159ZE184226B<<<<<10"),
    ("driving_licence", "driver's license number is F162823540116"),
    ("driving_licence", "Driving licence: MORGA657054SM9IJ"),
]

#: Specimens that the authorities or their handbooks publish.
IDENTITIES = [
    "AB 12 34 56 C",
    "National Insurance number AB123456C",
    "NHS number 943 476 5919",
    "2 55 08 14 168 025 38",
    "255081416802538",
    "12345678Z",
    "X1234567L",
    "RSSMRA85T10A562S",
    "BSN 111222333",
    "PESEL: 44051401359",
    "811218-9876",
    "personnummer 8112189876",
    "131052-308T",
    "fødselsnummer 15076500565",
    "85.07.30-033.28",
    "756.9217.0769.85",
    "Steuer-ID 86 095 742 719",
    "Aadhaar 2341 2341 2346",
    "PAN: ABCPE1234F",
    "529.982.247-25",
    "CPF 52998224725",
    "11010519491231002X",
    "SIN 046 454 286",
    "TFN 123 456 782",
    "912-70-1234",
]


def _other_digit(text: str) -> str:
    """Change the last digit: what a check digit is there to find."""
    at = max(i for i, char in enumerate(text) if char.isdigit())
    return text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]


@pytest.mark.parametrize("text", NOT_PERSONAL)
def test_figures_dates_versions_and_tables_stay_as_they_are(text: str) -> None:
    assert personal.find(text, ALL) == []


@pytest.mark.parametrize(("kind", "text"), SOMEBODYS)
def test_what_is_somebodys_is_found_by_its_kind(kind: str, text: str) -> None:
    assert [found.kind for found in personal.find(text, ALL)] == [kind]


@pytest.mark.parametrize("text", IDENTITIES)
def test_an_identity_number_is_found(text: str) -> None:
    assert [found.kind for found in personal.find(text, ALL)] == ["national_id"]


@pytest.mark.parametrize(
    "text", [one for one in IDENTITIES if not one.startswith(("AB ", "National", "PAN", "912"))]
)
def test_one_wrong_digit_makes_an_identity_number_nobodys(text: str) -> None:
    assert "national_id" not in {found.kind for found in personal.find(_other_digit(text), ALL)}


@pytest.mark.parametrize(
    "text",
    [
        "943 476 5919",
        "111222333",
        "44051401359",
        "8112189876",
        "2341 2341 2346",
        "52998224725",
        "046 454 286",
    ],
)
def test_a_plain_number_with_a_right_check_digit_wants_a_word_that_names_it(text: str) -> None:
    assert personal.find(f"Net sales were {text} in all", frozenset({"national_id"})) == []


@pytest.mark.parametrize(
    "text",
    [
        "The company was born on the web.",
        "Founded in 1961, listed since 3 March 1992.",
        "Sales on Main Street rose by 12 percent.",
        "In May 2021 Brazil Supreme Court decided.",
        "A passport is wanted; 533380006 units were sold.",
        "Drivers' hours: 12345 in all.",
        "22 Apple Macs and 30 Dell Pcs",
        "Chapter 12 Drive",
    ],
)
def test_what_only_looks_like_somebodys_stays(text: str) -> None:
    assert personal.find(text, ALL - {"person", "organisation"}) == []


@pytest.mark.parametrize(
    "text", ["DE89 3704 0044 0532 0130 01", "4111 1111 1111 1112", "666-45-6789", "999.1.1.1"]
)
def test_a_wrong_checksum_or_range_is_nobodys(text: str) -> None:
    assert personal.find(text, ALL) == []


def test_a_policy_decides_by_kind() -> None:
    rail = Personal({"email": "mask", "card": "block", "phone": "allow"})
    assert rail.look(Passage(text="Mail jane@example.com [1].")).text == "Mail [e-mail] [1]."
    assert rail.look(Passage(text="Card 4111 1111 1111 1111")).decision == "block"
    assert rail.look(Passage(text="Call +49 30 901820")).decision == "allow"


def test_markers_and_the_words_around_stay_untouched() -> None:
    rail = Personal(dict.fromkeys(personal.PLACEHOLDERS, "mask"))
    ruling = rail.look(Passage(text="Ring 212-555-0198 [1][2] or mail a@b.org [3]; it was $4,500 in 2023."))
    assert ruling.text == "Ring [phone number] [1][2] or mail [e-mail] [3]; it was $4,500 in 2023."


def test_the_rest_of_an_address_cut_in_two_is_masked() -> None:
    rail = Personal({"email": "mask"})
    ruling = rail.look(Passage(released="Mail jane.doe@exam", text="ple.com now."))
    assert (ruling.decision, ruling.text) == ("mask", "[e-mail] now.")


PARTS = st.sampled_from(
    [
        *(text for _, text in SOMEBODYS),
        *IDENTITIES,
        "Mr. John Smith",
        "𝒳\U0001f600é",
        "\u202fa\u00a0b",
        "ß\n",
        "Revenue was 12,345.",
        "[1]",
    ]
)


@given(st.lists(PARTS, max_size=6).map("; ".join))
def test_places_stay_true_whatever_else_stands_in_the_text(text: str) -> None:
    found = personal.find(text, ALL)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    kept = [
        text[a:b] for a, b in pairwise([0, *(place for f in found for place in (f.start, f.end)), len(text)])
    ]
    shown = [personal.PLACEHOLDERS[one.kind] for one in found]
    masked = personal.mask(text, [(one.start, one.end, one.kind) for one in found])
    assert masked == "".join(a + b for a, b in zip(kept[::2], [*shown, ""], strict=True))


@given(st.lists(PARTS, max_size=5).map("; ".join), st.sets(st.sampled_from(sorted(ALL))))
def test_asking_for_more_kinds_never_finds_less(text: str, kinds: set[personal.Kind]) -> None:
    fewer, more = personal.find(text, kinds), personal.find(text, ALL)
    covered = {place for one in more for place in range(one.start, one.end)}
    assert all(
        place in covered or not text[place].isalnum() for one in fewer for place in range(one.start, one.end)
    )


@given(st.lists(PARTS, min_size=1, max_size=5).map("; ".join))
def test_no_masked_value_is_left_in_the_text(text: str) -> None:
    rail = Personal(dict.fromkeys(personal.PLACEHOLDERS, "mask"))
    ruling = rail.look(Passage(text=text))
    left = text if ruling.decision == "allow" else ruling.text
    assert not any(f.kind in ("card", "iban", "us_ssn", "email") for f in personal.find(left, ALL))


@pytest.mark.parametrize(
    "piece", ["AAAAAA11A", "Aa-", "A.", "A-a'", "12 ", "0 0 ", "Aa ", "1 Aa ", "a@b.", "\n", "é"]
)
def test_an_endless_word_or_row_is_read_in_one_go(piece: str) -> None:
    # Twenty minutes and more where a pattern is tried anew from each letter to the end.
    found = personal.find(piece * (60_000 // len(piece)), ALL)
    assert all(one.end - one.start < 400 for one in found)


@given(st.text(alphabet="0123456789 .,|:\n%$-", max_size=120))
def test_spans_are_ordered_apart_and_inside_the_text(text: str) -> None:
    found = personal.find(text, ALL)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


@given(st.lists(st.decimals(min_value=0, max_value=10**9, places=2), min_size=1, max_size=12))
def test_a_table_row_of_any_figures_is_never_masked(figures: list[object]) -> None:
    row = "Net sales | " + " | ".join(f"20{10 + i}: {figure:,}" for i, figure in enumerate(figures))
    assert personal.find(row, ALL) == []


@given(st.randoms(use_true_random=False))
def test_every_luhn_number_of_a_network_is_masked_however_it_is_grouped(rng: random.Random) -> None:
    body = "4" + "".join(rng.choice("0123456789") for _ in range(14))
    check = next(d for d in "0123456789" if luhn(body + d))
    digits = body + check
    grouped = " ".join(digits[i : i + 4] for i in range(0, 16, 4))
    assert {f.kind for text in (digits, grouped) for f in personal.find(text, ALL)} <= {"card"}
    assert all(personal.find(text, ALL) for text in (digits, grouped))
