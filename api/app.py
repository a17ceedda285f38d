"""The HTTP app around a house: routes, the page, and how errors are told."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.routing import Route

from api import chat, documents, feedback, insight, jobs, metrics, responses, search, status, threads
from api.auth import authorize, open_doorkeeper
from api.edge import Edge, error_body, error_headers
from api.errors import Problem
from api.house import House
from api.ledger import Ledger
from api.limits import Limits
from api.mcp_door import McpDoor
from api.openapi import describe
from api.settings import ApiSettings

WEB = Path(__file__).resolve().parent / "web"
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def create_app(
    house: House, *, settings: ApiSettings, instance: str = "", doors: Sequence[APIRouter] = ()
) -> FastAPI:
    """Build the app; it owns nothing and closes nothing. `doors` are ways in that are open only at times."""
    # The bundled documentation pages load scripts from a CDN; the OpenAPI document itself stays.
    app = FastAPI(title="Pagewarden", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.house, app.state.settings, app.state.instance = house, settings, instance
    app.state.ledger = Ledger(settings.home / "ledger.sqlite")
    app.state.limits = Limits(settings, app.state.ledger, house.shelf)
    if house.telemetry is not None:
        limits: Limits = app.state.limits
        house.telemetry.gauge("pagewarden_answers_open", "Answers under way.", lambda: limits.open)
    app.state.doorkeeper = open_doorkeeper(settings, house.shelf)
    for part in (chat, documents, feedback, insight, jobs, metrics, responses, search, status, threads):
        app.include_router(part.router)
    for door in doors:
        app.include_router(door)
    app.add_api_route("/", _page, include_in_schema=False)
    app.router.routes.append(Route("/mcp", endpoint=McpDoor(app), methods=["POST"]))
    app.mount("/web", StaticFiles(directory=WEB))
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _plain)  # type: ignore[arg-type]
    app.add_middleware(Edge, settings=settings)
    return app


async def _page() -> FileResponse:
    return FileResponse(WEB / "index.html", headers={"cache-control": "no-cache"})


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    await _known(request)
    first = error.errors()[0]
    place = ".".join(str(step) for step in first["loc"] if step != "body")
    if first["loc"][0] == "path":
        return _respond(request, Problem(code="not_found", detail="There is no such document or page here."))
    detail = f"{place}: {first['msg']}." if place else f"{first['msg']}."
    return _respond(request, Problem(code="bad_request", detail=detail, param=place or None))


async def _known(request: Request) -> None:
    """Judge the caller, if nobody did: a body that does not parse is found before. Raises Unauthorized."""
    if not hasattr(request.state, "identity"):
        await authorize(request)


async def _plain(request: Request, error: HTTPException) -> Response:
    if error.status_code == HTTPStatus.BAD_REQUEST:
        await _known(request)
    code = _CODES.get(error.status_code, "bad_request" if error.status_code < 500 else "internal")
    return _respond(request, Problem(code=code, detail=HTTPStatus(error.status_code).description + "."))


def _respond(request: Request, problem: Problem) -> Response:
    told = Problem(
        code=problem.code, detail=problem.detail, param=problem.param, request_id=request.state.request_id
    )
    body, media_type = error_body(request.url.path, told)
    return Response(body, told.kind.status, error_headers(told), media_type)
