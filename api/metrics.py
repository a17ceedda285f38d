"""`GET /metrics`: for a Prometheus on this machine, or for whoever shows an admin's key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.auth import authorize, peer_of
from api.errors import NotFound
from api.house import House
from api.settings import is_loopback

router = APIRouter(tags=["status"])

#: A request that a proxy passed on is not this machine's, whatever its socket says.
_PASSED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


async def _scraper(request: Request) -> None:
    direct = is_loopback(peer_of(request)) and not any(name in request.headers for name in _PASSED_ON)
    if not direct or "authorization" in request.headers:
        await authorize(request)


@router.get("/metrics", response_class=Response, include_in_schema=False)
async def metrics(request: Request, admitted: Annotated[None, Depends(_scraper)]) -> Response:
    """Return the metrics in Prometheus' text form."""
    house: House = request.app.state.house
    if house.telemetry is None:
        raise NotFound("Nothing is counted here: set PAGEWARDEN_METRICS=true.")
    return Response(house.telemetry.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
