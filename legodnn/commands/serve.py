"""`legodnn serve`: run the models of a workload as a local HTTP service."""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legodnn.addresses import is_loopback
from legodnn.commands.budget import add_budget_flags, budget_from
from legodnn.commands.parser import CommandParser
from legodnn.commands.workload import add_workload, workload_from
from legodnn.errors import ConfigError, DependencyError, LegoError
from legodnn.files import check_writable, read_regular
from legodnn.json_notes import notes_as_json
from legodnn.learned import learned_path
from legodnn.units import parse_memory

if TYPE_CHECKING:
    from legodnn.runtime.runtime import Runtime
    from legodnn.runtime.serving.service import ServiceSettings

log = logging.getLogger("legodnn.commands")

_TOKEN = "LEGODNN_TOKEN"
_HOST, _PORT = "127.0.0.1", 8080
_MOST_TOKEN = 4096
_HEAPS = 2  # inferences allocate next to nothing: threads do not wait for one another


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "serve",
        help=summary,
        description="Run the models of a workload as a local HTTP service: inference, budgets, events, metrics, and a "
        "page to watch it. A governor keeps it within what the device can spare. Ends on Ctrl-C or SIGTERM, once "
        "requests that run are answered; SIGHUP opens the workload anew without losing a request, unless it was "
        "started at a terminal. `legodnn service install` has systemd run it.",
        epilog="examples:\n"
        "  legodnn serve demo/stores/vgg16 demo/stores/resnet18 --port 8080\n"
        "  curl --data-binary @digit.png -H 'Content-Type: image/png' localhost:8080/v1/models/vgg16/infer\n"
        "  curl -X PUT -d '{\"memory_bytes\": 10000000}' localhost:8080/v1/budget\n\n"
        "other machines: a token is then needed, in a file or in LEGODNN_TOKEN\n"
        "  legodnn serve workload.toml --host 0.0.0.0 --token-file /etc/legodnn/token",
    )
    add_serving_arguments(parser, f" (or what {_TOKEN} says)")
    parser.add_argument(
        "--keep-learned",
        action="store_true",
        help="write what the governor learned of latencies beside the profiles at the end, as NAME.learned.json for "
        "`legodnn profile --merge`",
    )
    parser.add_argument("--json", action="store_true", help="log JSON lines on stdout")
    parser.set_defaults(run=run, interrupted="requests that ran were answered, the service has ended")


def add_serving_arguments(parser: CommandParser, or_else: str = "") -> None:
    """Declare the workload, and the flags that say how it is served; `or_else` tells where else a token may be."""
    add_workload(parser)
    add_budget_flags(parser)
    # No defaults here: beside --socket it counts whether they were given.
    parser.add_argument("--host", help=f"address to listen at (default: {_HOST}, this machine)")
    parser.add_argument("--port", type=int, help=f"port to listen at (default: {_PORT})")
    parser.add_argument("--socket", type=Path, metavar="PATH", help="listen at a Unix socket instead of a port")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"clients must send what this file holds as bearer token{or_else}",
    )
    parser.add_argument(
        "--queue", type=int, default=32, metavar="N", help="requests that may wait for a model (default: 32)"
    )
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds that a request may wait (default: 10)"
    )
    parser.add_argument(
        "--max-body",
        default="64MB",
        metavar="SIZE",
        help="the most that a request may hold; pictures are decoded in the room of four of that (default: 64MB)",
    )
    parser.add_argument("--ungoverned", action="store_true", help="keep to the budget alone, whatever the device does")
    parser.add_argument("--isolated", action="store_true", help="run each model in a process of its own")


def run(args: argparse.Namespace) -> int:
    """Serve until the process is told to end."""
    if not args.json:
        _serve(args)
        return 0
    args.interrupted = ""  # what is told is a line of JSON as well
    with notes_as_json("legodnn", "uvicorn"):
        try:
            _serve(args)
        except LegoError as e:
            log.error("%s", e)
            return 1
        finally:
            log.info("the service has ended")
    return 0


def check_service_packages() -> None:
    """Raise DependencyError unless what the service is built on is installed."""
    try:
        import legodnn.runtime.serving.server  # noqa: F401
    except ImportError as e:
        raise DependencyError(f"the service needs {e.name}: pip install 'legodnn[serve]'") from None


def _serve(args: argparse.Namespace) -> None:
    check_service_packages()
    from legodnn.runtime.device.memory import limit_heaps
    from legodnn.runtime.serving.reloading import ReloadableApplication
    from legodnn.runtime.serving.server import address_of, check_port, run_server
    from legodnn.runtime.serving.unix_sockets import check_socket

    if args.keep_learned and args.ungoverned:
        raise ConfigError("--keep-learned keeps what a governor learned; --ungoverned has none: leave one of them out")
    settings = replace(service_settings(args), keep_learned=args.keep_learned)
    host, port = _HOST if args.host is None else args.host, args.port or _PORT
    if args.socket is not None:
        check_socket(args.socket)
    else:
        check_port(host, port)
    if args.keep_learned:
        _check_learned_places(args)
    limit_heaps(_HEAPS)
    app = ReloadableApplication(_open_runtime(args), lambda: _open_runtime(args), settings)
    try:  # nothing here holds the first runtime, which a reload replaces
        models = ", ".join(m.name for m in app.served.runtime.workload.models)
        place = f"http://{address_of(host, port)}" if args.socket is None else f"unix socket {args.socket}"
        log.info("serving %s at %s", models, place)
        if args.socket is not None:
            check_socket(args.socket)  # another service may have begun to listen while the models were opened
        run_server(app, host, port, args.socket)
    finally:
        app.served.runtime.close()


def _check_learned_places(args: argparse.Namespace) -> None:
    """Raise WriteError where what is learned could not be written at the end."""
    for model in workload_from(args).models:
        check_writable(
            learned_path(model.profile_path), "profile = ... in a workload file, or leave --keep-learned out"
        )


def _open_runtime(args: argparse.Namespace) -> Runtime:
    from legodnn.runtime.runtime import Runtime

    workload = workload_from(args)
    return Runtime(workload, budget_from(args, workload), isolated=args.isolated)


def service_settings(args: argparse.Namespace) -> ServiceSettings:
    """Return the settings that flags ask for, checked.

    Raises:
        ConfigError: a flag makes no sense, or the service would let other machines ask without a token.
    """
    from legodnn.runtime.serving.service import ServiceSettings
    from legodnn.runtime.serving.unix_sockets import check_length

    if args.socket is not None:
        if flags := [f"--{name}" for name in ("host", "port") if getattr(args, name) is not None]:
            raise ConfigError(
                f"--socket and {flags[0]} do not go together: a service listens at one place; leave one of them out"
            )
        check_length(args.socket)
    if args.port is not None and not 0 < args.port < 65536:
        raise ConfigError(f"--port must be 1 to 65535, not {args.port}")
    return ServiceSettings(
        token=_token(args),
        governed=not args.ungoverned,
        queue_length=_at_least_one(args.queue, "--queue"),
        queue_timeout_s=_positive(args.timeout, "--timeout"),
        most_body_bytes=_size(args.max_body),
    )


def reaches_out(args: argparse.Namespace) -> bool:
    """Return whether flags let other machines ask."""
    return args.socket is None and args.host is not None and not is_loopback(args.host)


def _token(args: argparse.Namespace) -> str | None:
    """Return the token that clients must send; None for none, which only this machine's own may do without."""
    token, source = os.environ.get(_TOKEN, ""), _TOKEN
    if args.token_file is not None:
        token, source = _read_token(args.token_file), str(args.token_file)
    given, token = token != "" or args.token_file is not None, token.strip()
    if given and not token:
        raise ConfigError(f"{source} is empty; put the token into it")
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(f"{source} holds more than plain letters and digits; a header cannot carry that")
    if not token and reaches_out(args):
        raise ConfigError(f"--host {args.host} lets other machines ask: give --token-file FILE, or stay at 127.0.0.1")
    return token or None


def _read_token(path: Path) -> str:
    token = read_regular(path, _MOST_TOKEN, ConfigError, "put the token into that file")
    return token.decode("utf-8", "replace")


def _at_least_one(value: int, flag: str) -> int:
    if value < 1:
        raise ConfigError(f"{flag} must be at least 1, not {value}")
    return value


def _positive(value: float, flag: str) -> float:
    if not 0 < value < float("inf"):
        raise ConfigError(f"{flag} must be a positive number of seconds, not {value}")
    return value


def _size(text: str) -> int:
    try:
        count = parse_memory(text)
    except ValueError as e:
        raise ConfigError(f"--max-body: {e}") from None
    if count < 1:
        raise ConfigError(f"--max-body must be at least 1 byte, not {text}")
    return count
