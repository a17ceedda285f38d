"""An app around a scripted house, and clients that speak to it in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from api.app import create_app
from api.house import House
from api.settings import ApiSettings
from tests.fakes import FakeAgent, FakeShelf, a_house

Client = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent({})


@pytest.fixture
def shelf() -> FakeShelf:
    return FakeShelf()


@pytest.fixture
def house(agent: FakeAgent, shelf: FakeShelf) -> House:
    return a_house(agent, shelf)


@pytest.fixture
def settings(tmp_path: Path) -> ApiSettings:
    return ApiSettings(home=tmp_path / "home", max_upload_bytes=10_000)


@pytest.fixture
def client(house: House, settings: ApiSettings) -> Client:
    """Return a maker of clients: `client(settings=…, peer=…)`."""

    @asynccontextmanager
    async def make(
        *,
        settings: ApiSettings = settings,
        peer: str = "127.0.0.1",
        base_url: str = "http://127.0.0.1:8000",
        **options: object,
    ) -> AsyncIterator[httpx2.AsyncClient]:
        app = create_app(house, settings=settings, instance="one")
        transport = httpx2.ASGITransport(app=app, client=(peer, 5000))
        async with httpx2.AsyncClient(transport=transport, base_url=base_url, **options) as made:  # type: ignore[arg-type]
            yield made

    return make
