"""Guards around the service: who may ask, how much a request may hold, and how long it may take to arrive.

They are ASGI middleware, and see requests before anything else does.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse

from legodnn.addresses import is_loopback
from legodnn.printable import shown

AsgiScope = MutableMapping[str, Any]
AsgiReceive = Callable[[], Awaitable[MutableMapping[str, Any]]]
AsgiSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApplication = Callable[[AsgiScope, AsgiReceive, AsgiSend], Awaitable[None]]

# What a watchdog or a load balancer asks, and the page, which asks for the token itself.
OPEN_PATHS = ("/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")

_READING = ("GET", "HEAD")  # methods whose requests have no body

# The bodies of all requests that are worked on take the room of at most so many of the largest that is taken.
MOST_BODIES = 4


class TokenGuard:
    """Answers 401 to requests without the service's token (`Authorization: Bearer TOKEN`)."""

    def __init__(self, app: AsgiApplication, token: str) -> None:
        self._app, self._wanted = app, token.encode()

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and not (scope["path"] in OPEN_PATHS and scope["method"] in _READING):
            given = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
            scheme, _, token = given.partition(b" ")
            # Compared in constant time, so that answers do not tell how much of a guess was right.
            if not (hmac.compare_digest(token.strip(), self._wanted) and scheme.lower() == b"bearer"):
                refusal = JSONResponse(
                    {"error": "this service asks for its token: Authorization: Bearer TOKEN"},
                    status_code=401,
                    headers={"WWW-Authenticate": "Bearer"},
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class HostGuard:
    """Answers 403 to requests that came to this machine's loopback under a name that is not its own.

    A page from elsewhere, open in a browser on this machine, has its own name lead to 127.0.0.1 (DNS rebinding), and
    then may ask whatever it likes. The browser names that host, which no program of this machine would.
    """

    def __init__(self, app: AsgiApplication) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and is_loopback((scope.get("server") or ("",))[0]):
            named = next((value for key, value in scope["headers"] if key == b"host"), b"localhost").decode("latin-1")
            if not is_loopback(re.sub(r":\d*$", "", named).strip("[]")):
                problem = f"without a token this service answers to localhost and 127.0.0.1, not to {shown(named)}"
                await JSONResponse({"error": problem}, status_code=403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class BodyGuard:
    """Reads a request's whole body before it is passed on.

    It answers 413 where the body is too large, 415 where it is compressed, 408 where it takes too long, and 503 where
    the bodies of all requests together are more than `MOST_BODIES` of the largest that is taken.
    """

    def __init__(self, app: AsgiApplication, most_bytes: int, timeout_s: float) -> None:
        self._app, self._most_bytes, self._timeout_s = app, most_bytes, timeout_s
        self._held = 0  # bytes of bodies that arrive or are worked on

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Pass a request on with its body, or refuse it."""
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        parts: list[bytes] = []
        body = b""
        try:
            if (refusal := await self._read(scope, receive, parts)) is not None:
                # The rest of the body is on its way still, so the connection ends with the answer.
                status, problem = refusal
                more = {"Retry-After": "1"} if status == 503 else {}
                answer = JSONResponse({"error": problem}, status_code=status, headers={"Connection": "close", **more})
                await answer(scope, receive, send)
                return
            body = b"".join(parts)
            parts.clear()
            await self._pass_on(body, scope, receive, send)
        finally:
            self._held -= len(body) + sum(map(len, parts))

    async def _pass_on(self, body: bytes, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        held = [body]

        async def replay() -> MutableMapping[str, Any]:
            if held:
                return {"type": "http.request", "body": held.pop(), "more_body": False}
            return await receive()  # tells when the client goes away

        await self._app(scope, replay, send)

    async def _read(self, scope: AsgiScope, receive: AsgiReceive, parts: list[bytes]) -> tuple[int, str] | None:
        """Append the body to `parts`, piece by piece; return a status and what is wrong where it cannot be taken."""
        headers = dict(scope["headers"])
        encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
        if encoding.lower() != "identity":
            return 415, f"the body is compressed (Content-Encoding: {shown(encoding)}); send it as it is"
        too_large = 413, f"the body has more than {self._most_bytes} bytes; send less, or raise --max-body"
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._most_bytes:
            return too_large
        size, deadline = 0, time.monotonic() + self._timeout_s
        while True:
            try:
                message = await asyncio.wait_for(receive(), max(0.0, deadline - time.monotonic()))
            except asyncio.TimeoutError:
                return 408, f"the body did not arrive within {self._timeout_s:g} s"
            if message["type"] == "http.disconnect":
                return 408, "the client went away"
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self._held += len(parts[-1])
            if size > self._most_bytes:
                return too_large
            if self._held > MOST_BODIES * self._most_bytes:
                return 503, "the bodies of other requests take all the room that there is; try again"
            if not message.get("more_body", False):
                return None
