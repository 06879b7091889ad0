"""Guards around the service: who may ask, how much a request may hold, and how long it may take to arrive.

They are ASGI middleware, and see requests before anything else does.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

AsgiScope = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
AsgiSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApplication = Callable[[AsgiScope, AsgiReceive, AsgiSend], Awaitable[None]]

# What a watchdog or a load balancer asks, and the page, which asks for the token itself.
OPEN_PATHS = ("/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")


class TokenGuard:
    """Answers 401 to requests without the service's token (`Authorization: Bearer TOKEN`)."""

    def __init__(self, app: AsgiApplication, token: str) -> None:
        self._app, self._wanted = app, f"Bearer {token}".encode()

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            given = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
            # Compared in constant time, so that answers do not tell how much of a guess was right.
            if not hmac.compare_digest(given, self._wanted):
                refusal = JSONResponse(
                    {"error": "this service asks for its token: Authorization: Bearer TOKEN"},
                    status_code=401,
                    headers={"WWW-Authenticate": "Bearer"},
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyGuard:
    """Reads a request's whole body before it is passed on: 413 where it is too large, 408 where it takes too long."""

    def __init__(self, app: AsgiApplication, most_bytes: int, timeout_s: float) -> None:
        self._app, self._most_bytes, self._timeout_s = app, most_bytes, timeout_s

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Pass a request on with its body, or refuse it."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body, problem = await self._body(scope, receive)
        if body is None:
            # The rest of the body is on its way still, so the connection ends with the answer.
            status = 413 if "bytes" in problem else 408
            refusal = JSONResponse({"error": problem}, status_code=status, headers={"Connection": "close"})
            await refusal(scope, receive, send)
            return
        held: list[bytes] = [body]

        async def replay() -> MutableMapping[str, Any]:
            if held:
                return {"type": "http.request", "body": held.pop(), "more_body": False}
            return await receive()  # tells when the client goes away

        await self._app(scope, replay, send)

    async def _body(self, scope: AsgiScope, receive: AsgiReceive) -> tuple[bytes | None, str]:
        """Return the body, or None and what is wrong with it."""
        too_large = f"the body has more than {self._most_bytes} bytes, the most that this service takes"
        length = next((value for key, value in scope["headers"] if key == b"content-length"), b"0")
        if length.isdigit() and int(length) > self._most_bytes:
            return None, too_large
        parts, size, deadline = [], 0, time.monotonic() + self._timeout_s
        while True:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                return None, f"the body did not arrive within {self._timeout_s:g} s"
            if message["type"] == "http.disconnect":
                return None, "the client went away"
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._most_bytes:
                return None, too_large
            if not message.get("more_body", False):
                return b"".join(parts), ""
