"""What the service answers to what it cannot do: `{"error": "..."}`, with a status that says why.

400 what the request asks makes no sense, 404 and 405 no such model or address, 409 no plan holds that budget (with the
report of what would), 429 the model's queue is full, 503 the model is suspended or could not be run this time. 429 and
503 say when to try again. 401, 403, 408, 413 and 415 come before that: the token is missing, the host that is named is
not this one, the body is too slow, too large or compressed (`guards`); 413 is a picture that is too large as well
(`picture_room`). 500 is a fault of the service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from legodnn.errors import (
    ClosedError,
    ExecutionError,
    InfeasibleError,
    LegoError,
    OverloadedError,
    StoreError,
    SuspendedError,
    TooLargeError,
)

_RETRY_S = 5  # after a request that could not be served now; a governor has looked again by then


async def _refused(_: Request, error: Exception) -> Response:
    content: dict[str, Any] = {"error": str(error)}
    headers = {}
    if isinstance(error, OverloadedError):
        status, headers = 429, {"Retry-After": str(error.retry_after_s)}
    elif isinstance(error, InfeasibleError):
        status, content["report"] = 409, error.report.model_dump(mode="json", by_alias=True)
    elif isinstance(error, SuspendedError | ClosedError | ExecutionError | StoreError):
        status, headers = 503, {"Retry-After": str(_RETRY_S)}
    else:
        status = 413 if isinstance(error, TooLargeError) else 400
    return JSONResponse(content, status_code=status, headers=headers)


async def _not_found(request: Request, error: Exception) -> Response:
    """Answer to an address that is not there (404), or that does not take this method (405)."""
    assert isinstance(error, HTTPException)
    headers = error.headers or {}
    takes = f"; it takes {headers['Allow']}" if "Allow" in headers else ""
    problem = f"there is no {request.method} {request.url.path}{takes}: GET /openapi.json tells every address"
    return JSONResponse({"error": problem}, status_code=error.status_code, headers=headers)


async def _failed(_: Request, error: Exception) -> Response:
    """Answer to a request at which the service failed; what is raised goes on to the server, which logs it."""
    problem = f"the service failed at this request ({type(error).__name__}); its log says where"
    return JSONResponse({"error": problem}, status_code=500)


async def _gone(_: Request, __: Exception) -> Response:
    """Return what nobody reads: the client went away."""
    return JSONResponse({"error": "the client went away"}, status_code=408)


# What is answered to each kind of error, as starlette takes it.
REFUSALS: Mapping[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    LegoError: _refused,
    HTTPException: _not_found,
    ClientDisconnect: _gone,
    Exception: _failed,
}
