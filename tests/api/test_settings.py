"""Settings: where the library lives, and what is refused before anything opens."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from api.settings import ApiSettings, is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "127.0.0.1.example.org"])
def test_anything_but_loopback_wants_a_key(host: str) -> None:
    with pytest.raises(ValidationError, match="PAGEWARDEN_API_KEY"):
        ApiSettings(host=host)
    assert ApiSettings(host=host, api_key="a-key-of-enough-length").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "::1", "::ffff:127.0.0.1"])
def test_loopback_wants_none(host: str) -> None:
    assert is_loopback(host)
    assert ApiSettings(host=host).api_key is None


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="16 characters"):
        ApiSettings(api_key="short")


def test_a_writer_asked_for_by_name_needs_its_address() -> None:
    with pytest.raises(ValidationError, match="PAGEWARDEN_MODEL_URL"):
        ApiSettings(writer="served")


def test_the_platform_folders_are_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PAGEWARDEN_HOME", raising=False)
    monkeypatch.delenv("PAGEWARDEN_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = ApiSettings()
    assert settings.home == tmp_path / "data" / "pagewarden"
    assert settings.weights == tmp_path / ".cache" / "pagewarden" / "weights"


def test_a_named_home_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAGEWARDEN_HOME", str(tmp_path))
    assert ApiSettings().home == tmp_path
    assert ApiSettings(home=tmp_path / "other").home == tmp_path / "other"


def test_a_key_is_never_shown() -> None:
    assert "a-key-of-enough-length" not in repr(ApiSettings(api_key="a-key-of-enough-length"))
