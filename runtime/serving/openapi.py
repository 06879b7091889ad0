"""The service's OpenAPI document: every address, what it takes and what it answers."""

from __future__ import annotations

from typing import Any, get_args

from legodnn import __version__
from legodnn.plan import Infeasible, Limit, ModelPlan, Plan
from legodnn.runtime.serving.bodies import JSON_TYPE, NPY, RAW
from legodnn.runtime.serving.guards import OPEN_PATHS
from legodnn.tensor_spec import ElementType
from legodnn.workload import Budget

_NUMBERS = {"description": "numbers, nested by axis", "type": "array", "items": {}}
_BY_NAME = {"type": "object", "additionalProperties": _NUMBERS}
_BUDGETS = {
    "type": "object",
    "properties": {
        "asked": {"$ref": "#/components/schemas/Budget"},
        "running": {"$ref": "#/components/schemas/Budget"},
    },
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def openapi_document() -> dict[str, Any]:
    """Return the document, of OpenAPI 3.1."""
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    raw = [
        {"name": "dtype", "in": "query", "schema": {"enum": list(get_args(ElementType))}, "description": f"of {RAW}"},
        {"name": "shape", "in": "query", "schema": {"type": "string"}, "description": f"of {RAW}, as 32,32,3"},
    ]
    arrays = {
        JSON_TYPE: {"schema": {"type": "object", "properties": {"inputs": _BY_NAME}}},
        NPY: _BINARY,
        RAW: _BINARY,
        "image/*": _BINARY,
    }
    outputs = {JSON_TYPE: {"schema": {"type": "object", "properties": {"outputs": _BY_NAME}}}, NPY: _BINARY}
    v2 = {JSON_TYPE: {"schema": {"type": "object"}}, RAW: _BINARY}
    plan, budget = _json("#/components/schemas/Plan"), _json("#/components/schemas/Budget")
    served = [404, 408, 413, 415, 429, 503]
    paths: dict[str, dict[str, Any]] = {
        "/": {"get": _answer("A page that shows the running service.", {"text/html": {}})},
        "/healthz": {"get": _answer("Whether the service answers.")},
        "/readyz": {"get": _answer("Whether all critical models run.", errors=[503])},
        "/openapi.json": {"get": _answer("This document.")},
        "/metrics": {"get": _answer("Figures for Prometheus.", {"text/plain": {}})},
        "/v1/plan": {"get": _answer("The running plan.", plan)},
        "/v1/budget": {
            "get": _answer("The budget that was asked for, and that of the running plan.", _inline(_BUDGETS)),
            "put": {
                **_answer("Ask for another budget.", _inline(_BUDGETS), [400, 408, 409, 413, 415, 503]),
                "requestBody": {"required": True, "content": budget},
            },
        },
        "/v1/models": {"get": _answer("The models: inputs, outputs, labels, blocks and their options.")},
        "/v1/models/{name}/infer": {
            "parameters": [name],
            "post": {
                **_answer("Run one inference.", outputs, [400, *served]),
                "parameters": raw,
                "requestBody": {"required": True, "content": arrays},
            },
        },
        "/v1/events": {
            "get": _answer("Samples and decisions as they come, the last ten minutes first.", {"text/event-stream": {}})
        },
        "/v2": {"get": _answer("The server, by the Open Inference Protocol.")},
        "/v2/health/live": {"get": _answer("Whether the service answers.")},
        "/v2/health/ready": {"get": _answer("Whether all critical models run.", errors=[503])},
        "/v2/models/{name}": {"parameters": [name], "get": _answer("A model's tensors.", errors=[404])},
        "/v2/models/{name}/ready": {"parameters": [name], "get": _answer("Whether it runs.", errors=[404, 503])},
        "/v2/models/{name}/infer": {
            "parameters": [name],
            "post": {
                **_answer("Run one inference, by the Open Inference Protocol.", v2, [400, *served]),
                "requestBody": {"required": True, "content": v2},
            },
        },
    }
    for path, operations in paths.items():
        refused = [403] if path in OPEN_PATHS else [401, 403]
        for method in ("get", "put", "post"):
            if method in operations:
                operations[method]["responses"] |= _errors(refused)
    return {
        "openapi": "3.1.0",
        "info": {"title": "LegoDNN", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {model.__name__: _schema(model) for model in (Budget, ModelPlan, Plan, Limit, Infeasible)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _schema(model: Any) -> Any:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema


def _json(reference: str) -> dict[str, Any]:
    return {JSON_TYPE: {"schema": {"$ref": reference}}}


def _inline(schema: dict[str, Any]) -> dict[str, Any]:
    return {JSON_TYPE: {"schema": schema}}


_MEANINGS = {
    400: "the request makes no sense",
    401: "the token is missing or wrong",
    403: "there is no token, and the request names another host than this machine",
    404: "no such model",
    408: "the body did not arrive in time",
    409: "no plan holds this budget",
    413: "the body is too large, or the picture takes too much to decode",
    415: "the body is compressed",
    429: "the model's queue is full",
    503: "the model is suspended, could not be run this time, or too many bodies arrive at a time",
}


def _answer(summary: str, content: dict[str, Any] | None = None, errors: list[int] | None = None) -> dict[str, Any]:
    found = {JSON_TYPE: {"schema": {"type": "object"}}} if content is None else content
    responses = {"200": {"description": "the answer", "content": found}, **_errors(errors or [])}
    return {"summary": summary, "responses": responses}


def _errors(statuses: list[int]) -> dict[str, Any]:
    error = {"error": {"type": "string"}}
    infeasible = {**error, "report": {"$ref": "#/components/schemas/Infeasible"}}
    return {
        str(status): {
            "description": _MEANINGS[status],
            "content": _inline({"type": "object", "properties": infeasible if status == 409 else error}),
        }
        for status in statuses
    }
