"""The OpenAPI document: what FastAPI reads from the routes, plus the key that each needs and how it fails."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.auth import POLICY
from api.edge import OPENAI
from api.schemas import ProblemOut

_REF = "#/components/schemas/"
_OPENAI_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_UPLOAD = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1},
                    "collection": {"type": "string"},
                    "groups": {"type": "string", "description": "Names, separated by commas."},
                },
            }
        }
    },
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the document of an app; made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version="1", routes=app.routes, summary="Cited answers.")
        schemas = document["components"]["schemas"]
        for gone in ("HTTPValidationError", "ValidationError"):
            schemas.pop(gone, None)
        schemas["Problem"] = ProblemOut.model_json_schema(ref_template=_REF + "{model}")
        schemas["OpenAIError"] = _OPENAI_ERROR
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                _complete(operation, method.upper(), path)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any], method: str, path: str) -> None:
    """Say of one operation who may call it and how it fails."""
    guarded = POLICY.get((method, path)) is not None
    if guarded:
        operation["security"] = [{"key": []}]
    operation["responses"].pop("422", None)
    name, kind = (
        ("OpenAIError", "application/json")
        if path.startswith(OPENAI)
        else ("Problem", "application/problem+json")
    )
    problem = {"description": "Why not.", "content": {kind: {"schema": {"$ref": _REF + name}}}}
    if guarded:
        operation["responses"]["default"] = problem
    if (method, path) == ("POST", "/v1/documents"):
        operation["requestBody"] = _UPLOAD
        queued = {"application/json": {"schema": {"$ref": f"{_REF}JobsOut"}}}
        operation["responses"]["202"] = {"description": "The jobs, which go on.", "content": queued}
    if path.endswith("/events"):
        stream = {"text/event-stream": {"schema": {"type": "string"}}}
        operation["responses"]["200"] = {"description": "Changes as they happen.", "content": stream}
    if path.endswith("/pages/{page_no}"):
        binary = {"schema": {"type": "string", "format": "binary"}}
        pictures = {f"image/{form}": binary for form in ("png", "webp")}
        operation["responses"]["200"] = {"description": "The page.", "content": pictures}
