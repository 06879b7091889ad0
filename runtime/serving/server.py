"""Running the service by uvicorn, on a port or a Unix socket: connections may not idle, and refusals arrive.

SIGHUP has the models opened anew, SIGTERM and Ctrl-C end the service; systemd is told of both.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from pathlib import Path
from socket import gaierror
from socket import socket as Socket
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from legodnn.errors import ConfigError, ExecutionError
from legodnn.runtime.serving.notify import tell_systemd
from legodnn.runtime.serving.reloading import ReloadableApplication

_HEADERS_S = 10.0  # the longest that a request's headers may take to arrive
_IDLE_S = 10  # the longest that a connection may wait for its next request
_LINGER_S = 5.0  # the longest that a connection stays after an answer to a request that is on its way still
_END_S = 10  # the longest that requests that run may take when the service is told to end
_MOST_CONNECTIONS = 512
_JOINED_BYTES = 65_536  # bodies up to this size are copied behind their heads; larger ones are not worth a copy


class _Transport:
    """A transport that sends an answer's head together with what follows it, and that lingers.

    Where the other side is still sending, it closes in two steps: first for writing, later for reading. Closed at once,
    it would reset the connection, and a client that first sends its whole request would find that instead of the answer
    (RFC 9112, section 9.6).
    """

    def __init__(self, transport: asyncio.Transport, conn: h11.Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._conn, self._loop = transport, conn, loop
        self.lingers = False
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write; an answer's head not before its body comes, or the event loop has nothing else to do."""
        if self._head:
            head, self._head = self._head, b""
            if len(data) <= _JOINED_BYTES:
                data = head + data
            else:
                self._transport.write(head)
        elif data.startswith(b"HTTP/"):
            self._head = data
            self._loop.call_soon(self._send_head)
            return
        self._transport.write(data)

    def _send_head(self) -> None:
        if self._head:
            self.write(b"")

    def is_closing(self) -> bool:
        """Return whether nothing more can be written."""
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Close, but go on reading for a while if a request was answered before it had arrived."""
        self._send_head()
        if self.is_closing() or self._conn.their_state not in (h11.SEND_BODY, h11.ERROR):
            self._transport.close()
            return
        self.lingers = True
        self._transport.write_eof()
        self._transport.resume_reading()
        self._loop.call_later(_LINGER_S, self._transport.close)


class PunctualProtocol(H11Protocol):
    """HTTP/1.1, where a request whose headers do not arrive in time loses its connection, and no other its answer."""

    transport: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(_Transport(transport, self.conn, self.loop))  # type: ignore[arg-type]
        self._watch()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.transport.lingers:
            return
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Start the clock where headers are awaited, or the rest of a request that is answered; else stop it."""
        awaited = self._waits()
        if awaited and self._patience is None:
            self._patience = self.loop.call_later(_HEADERS_S, self._give_up)
        elif not awaited and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self._waits():
            self.transport.close()

    def _waits(self) -> bool:
        """Whether nothing is done here until the client sends something."""
        ours, theirs = self.conn.our_state, self.conn.their_state
        return ours is theirs is h11.IDLE or (ours in (h11.DONE, h11.MUST_CLOSE) and theirs is h11.SEND_BODY)


class _Server(uvicorn.Server):
    """A server that tells systemd when it is ready and when it ends, and that reloads on SIGHUP."""

    def __init__(self, config: uvicorn.Config, app: ReloadableApplication, place: str) -> None:
        super().__init__(config)
        self._app, self._place = app, place

    async def startup(self, sockets: list[Socket] | None = None) -> None:
        """Listen; ConfigError if that fails at a Unix socket, or at a host whose name is none."""
        try:
            await super().startup(sockets)
        except (OSError, ValueError) as e:
            # Uvicorn ends the application where a port is taken, and not here. An event loop that ends around a running
            # application has it log a traceback.
            await self.lifespan.shutdown()
            raise _cannot_listen(self._place, e) from None
        if self.started:
            # A terminal sends SIGHUP when it is closed, and then a service that was started there is to end.
            at_terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
            if not at_terminal and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._app.ask_reload)
            tell_systemd("READY=1", f"STATUS={self._app.served.status}")

    async def shutdown(self, sockets: list[Socket] | None = None) -> None:
        """Answer the requests that are there, and end."""
        tell_systemd("STOPPING=1", "STATUS=answering the last requests")
        self._app.served.history.end()  # or else those who watch would be waited for
        await super().shutdown(sockets)


def address_of(host: str, port: int) -> str:
    """Return how addresses (URLs) name a host and a port.

    Example:

        >>> address_of("localhost", 8080), address_of("::1", 8080)
        ('localhost:8080', '[::1]:8080')
    """
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_port(host: str, port: int) -> None:
    """Check that a service can listen at a port, before its models are opened.

    Raises:
        ConfigError: something else listens there, or this machine has no such address.
    """

    async def bind() -> None:  # as uvicorn does it, down to the addresses that a name has
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
        server.close()

    try:
        asyncio.run(bind())
    except (OSError, ValueError) as e:
        raise _cannot_listen(address_of(host, port), e) from None


def _cannot_listen(place: str, problem: OSError | ValueError) -> ConfigError:
    if isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE:
        return ConfigError(f"cannot listen at {place}: something else listens there; end it, or name another --port")
    # Of a failure to bind asyncio's text repeats the address; of a name that is none the number is no errno.
    known = isinstance(problem, OSError) and not isinstance(problem, gaierror) and problem.errno
    reason = os.strerror(known) if known else getattr(problem, "strerror", None) or problem
    return ConfigError(f"cannot listen at {place}: {reason}; name another place")


def run_server(app: ReloadableApplication, host: str, port: int, socket: Path | None = None) -> None:
    """Serve an application until SIGTERM or Ctrl-C; then requests that run are answered.

    Args:
        app: the application. SIGHUP has it reload, unless the process was started at a terminal.
        host: the address to listen at.
        port: the port.
        socket: a Unix socket to listen at instead.

    Raises:
        ConfigError: the address cannot be listened at.
        ExecutionError: the application could not start.
    """
    where: dict[str, Any] = {"host": host, "port": port} if socket is None else {"uds": str(socket)}
    config = uvicorn.Config(
        app,
        **where,
        http=PunctualProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=_END_S,
        limit_concurrency=_MOST_CONNECTIONS,
        server_header=False,
    )
    place = address_of(host, port) if socket is None else str(socket)
    server = _Server(config, app, place)
    try:
        server.run()
    except SystemExit as e:  # uvicorn has logged why, such as that the port is taken
        if e.code:
            raise ConfigError(f"cannot listen at {place}: is something else running there?") from None
    if not server.started:
        raise ExecutionError("the service could not start; what was logged before says why")
