"""The rows of providers: each holds, each address is known, and what a row lacks is named."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from api.settings import ApiSettings
from ingest.providers import OTHER, Provider, is_elsewhere, name_of, providers, switched_off

NAMED = {"vllm", "nim", "nim-container", "nemo", "huggingface", "fireworks", "nebius"}
OPEN = {"ollama", "llama-cpp", "sglang", "tgi", "openrouter", "other"}


def test_every_row_holds_and_says_where_it_is_from() -> None:
    assert set(providers()) == NAMED | OPEN
    for name, row in providers().items():
        assert row.source, name
        assert date(2026, 1, 1) < row.as_of, name
        assert row.base_url.rstrip("/").endswith("/v1"), name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://integrate.api.nvidia.com/v1", "nim"),
        ("https://api.fireworks.ai/inference/v1", "fireworks"),
        ("https://abc.us-east-1.aws.endpoints.huggingface.cloud/v1", "huggingface"),
        ("http://localhost:11434/v1", "ollama"),
        ("http://10.0.0.7:11434/v1", OTHER),
        ("http://vision:8000/v1", OTHER),
        ("https://integrate.api.nvidia.com.evil.example/v1", OTHER),
        ("https://eviloperouter.ai/v1", OTHER),
    ],
)
def test_an_address_gives_its_provider_away(url: str, name: str) -> None:
    assert name_of(url) == name


@pytest.mark.parametrize(
    ("url", "name", "elsewhere"),
    [
        ("http://127.0.0.1:8000/v1", "vllm", False),
        ("http://localhost:8000/v1", "vllm", False),
        ("http://192.168.1.9:8000/v1", "vllm", False),
        ("http://[fd00::7]:8000/v1", OTHER, False),
        ("http://vision:8000/v1", "vllm", False),
        ("http://gpu.lan/v1", OTHER, False),
        ("http://8.8.8.8:8000/v1", "vllm", True),
        ("http://[2606:4700::1]/v1", OTHER, True),
        ("https://llm.example.org/v1", OTHER, True),
        ("https://localhost.example.org/v1", OTHER, True),
        ("https://evil.lan.example.org/v1", OTHER, True),
        ("http:///v1", OTHER, True),
        ("http://127.0.0.1:8000/v1", "nim", True),
        *((providers()[name].base_url, name, True) for name in ("nim", "fireworks", "nebius", "openrouter")),
    ],
)
def test_a_server_is_ours_only_where_its_row_and_its_address_say_so(
    url: str, name: str, elsewhere: bool
) -> None:
    assert is_elsewhere(url, name) is elsewhere


def test_what_a_provider_lacks_is_named() -> None:
    assert [off.what for off in switched_off("vllm")] == []
    assert [off.what for off in switched_off("fireworks")] == ["video"]
    assert "images beside a video" in [off.what for off in switched_off("nim")]
    assert all(off.why for name in providers() for off in switched_off(name))


def test_a_row_with_an_unknown_word_is_refused() -> None:
    row = providers()["vllm"].model_dump(by_alias=True)
    for wrong in (
        {"schema": "guided_json"},
        {"colour": "red"},
        {"base_url": "vision:8000"},
        {"max_images": -1},
    ):
        with pytest.raises(ValidationError):
            Provider.model_validate(row | wrong)


def test_the_setting_goes_before_the_address() -> None:
    assert ApiSettings(model_url="http://vision:8000/v1", provider="vllm").served_by == "vllm"
    assert ApiSettings(model_url="https://integrate.api.nvidia.com/v1").served_by == "nim"
    assert ApiSettings().served_by is None
    with pytest.raises(ValidationError, match="none of"):
        ApiSettings(provider="vlm")
