from __future__ import annotations

import pytest

from ingest.charset import decode

TEXTS = {
    "ru": "Это короткий документ на русском языке для проверки кодировки файла.",
    "he": "שלום עולם. זהו מסמך לדוגמה שנכתב בעברית כדי לבדוק את הקידוד של הקובץ.",
    "ja": "これは日本語の文章です。文字コードの判定を試験するための短い文書です。",
    "zh": "这是一个用于测试编码检测的简短中文文档。我们希望它能被正确读取。",
    "ko": "이것은 인코딩 감지를 시험하기 위한 짧은 한국어 문서입니다.",
    "pl": "Zażółć gęślą jaźń. Krótki dokument po polsku do sprawdzenia kodowania.",
    "fr": "Le café est déjà prêt, où êtes-vous allés cet été?",
    "el": "Αυτό είναι ένα σύντομο έγγραφο στα ελληνικά για έλεγχο.",
    "ar": "هذه وثيقة قصيرة باللغة العربية لاختبار الترميز.",
    "tr": "Bu, kodlamayı sınamak için Türkçe yazılmış kısa bir belgedir. Güneş, ışık, çiçek.",
}


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("ru", "koi8-r"),
        ("ru", "cp1251"),
        ("ru", "iso-8859-5"),
        ("ru", "cp866"),
        ("he", "iso-8859-8"),
        ("he", "cp1255"),
        ("ja", "shift_jis"),
        ("ja", "euc_jp"),
        ("ja", "iso2022_jp"),
        ("ja", "utf-16-le"),
        ("zh", "gb18030"),
        ("zh", "utf-16-be"),
        ("ko", "euc_kr"),
        ("pl", "cp1250"),
        ("pl", "iso-8859-2"),
        ("fr", "cp1252"),
        ("fr", "mac_roman"),
        ("fr", "cp850"),
        ("el", "iso-8859-7"),
        ("ar", "cp1256"),
        ("tr", "cp1254"),
    ],
)
def test_text_that_names_no_encoding_is_read(language: str, encoding: str) -> None:
    assert decode(TEXTS[language].encode(encoding)) == TEXTS[language]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("grüße".encode(), "grüße"),
        (b"\xef\xbb\xbfhi", "hi"),
        ("grüße".encode("utf-16"), "grüße"),
        ("wide words".encode("utf-16-be"), "wide words"),
        ("wide words".encode("utf-16-le"), "wide words"),
        ("15 €".encode("cp1252"), "15 €"),
        (b'<meta charset="koi8-r">' + "да".encode("koi8-r"), '<meta charset="koi8-r">да'),
        (b"", ""),
    ],
)
def test_text_is_decoded_by_mark_by_shape_or_as_declared(content: bytes, text: str) -> None:
    assert decode(content) == text


def test_a_declaration_that_lies_is_not_believed() -> None:
    assert decode(b'<?xml encoding="utf-8"?>' + "Größe".encode("cp1252")).endswith("Größe")
    assert decode(b"charset=nonsense " + "Größe".encode("cp1252")).endswith("Größe")
