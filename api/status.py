"""What the house has, holds and lacks: `/v1/status`, `/healthz`, `/readyz`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api.auth import Caller
from api.house import Capabilities, House
from api.sample import demo_questions
from api.schemas import OffOut, PartOut, ReadyOut, StatusOut
from ingest.records import Document, Scope

router = APIRouter(tags=["status"])


@router.get("/healthz")
async def healthz(request: Request) -> dict[str, str]:
    """Say that the process answers; `instance` tells one server from another."""
    return {"status": "ok", "instance": request.app.state.instance}


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Say part by part what is ready; 503 while one is not."""
    house: House = request.app.state.house
    parts = [PartOut(name=p.name, ok=p.ok, detail=p.detail) for p in await house.readiness()]
    ready = all(part.ok for part in parts)
    return JSONResponse(ReadyOut(ready=ready, parts=parts).model_dump(), status_code=200 if ready else 503)


@router.get("/v1/status")
async def status(request: Request, caller: Caller) -> StatusOut:
    """Say what the house has, holds and lacks."""
    return await status_of(request.app.state.house, scope=caller)


async def status_of(house: House, *, scope: Scope) -> StatusOut:
    """Count what the scope allows, and name what is off."""
    documents = await house.shelf.documents(scope=scope)
    has = house.capabilities
    return StatusOut(
        version=house_version(),
        profile=has.profile,
        vision=has.vision,
        languages=list(has.languages),
        reasoning=has.reasoning,
        model=has.model,
        documents=len(documents),
        pages=sum(d.pages for d in documents),
        chunks=sum(d.chunks for d in documents),
        samples=_samples(documents),
        off=[*off(has), *_refused_policies(house)],
    )


def house_version() -> str:
    """Return the installed version; a clone that was never installed says so."""
    try:
        return version("pagewarden")
    except PackageNotFoundError:
        return "not installed"


def off(has: Capabilities) -> list[OffOut]:
    """Name what this house lacks, and the command that turns it on."""
    lacks = []
    if has.reasoning == "quotes":
        lacks.append(
            OffOut(
                what="Composed answers: without a model, answers are the documents' own sentences.",
                how="pagewarden models pull    (or PAGEWARDEN_MODEL_URL and PAGEWARDEN_MODEL)",
            )
        )
    if has.vision == "ocr-layout":
        lacks.append(
            OffOut(
                what="Looking at pictures: words in scans are read, photographs and drawings are not.",
                how="PAGEWARDEN_MODEL_URL, PAGEWARDEN_MODEL, PAGEWARDEN_MODEL_SEES_IMAGES=true",
            )
        )
    if list(has.languages) == ["en"]:
        lacks.append(
            OffOut(
                what="Languages beyond English.",
                how="a multilingual embedding model; this version ships the English one",
            )
        )
    return lacks


def _refused_policies(house: House) -> list[OffOut]:
    fault = house.policy_fault()
    if fault is None:
        return []
    told = "The changed policies: what is wrong in them leaves those before in force."
    return [OffOut(what=f"{told} {fault}", how="pagewarden doctor    (looks at the files as they are now)")]


def _samples(documents: Sequence[Document]) -> list[str]:
    return demo_questions(held={document.name for document in documents})
