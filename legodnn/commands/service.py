"""`legodnn service`: have systemd run `legodnn serve` from every start of the machine on."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import legodnn
from legodnn.commands.budget import budget_from
from legodnn.commands.serve import add_serving_arguments, check_service_packages, reaches_out, service_settings
from legodnn.commands.unit import MARK, ServiceUnit, check_name, check_readable, memory_max_bytes
from legodnn.commands.workload import workload_from
from legodnn.console import say, text_table
from legodnn.errors import ConfigError
from legodnn.files import write_atomic
from legodnn.units import size
from legodnn.workload import Workload

log = logging.getLogger("legodnn.commands")

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")  # of a unit, and of the user that systemd makes for it
# Flags of `legodnn serve` that take a value, and those that do not; workload, token and socket are handled apart.
_VALUED = ("memory", "latency", "quantile", "cores", "host", "port", "queue", "timeout", "max_body")
_SWITCHES = ("ungoverned", "isolated", "streaming")
_PASSED_ON = ("LEGODNN_EXECUTOR", "LEGODNN_CACHE_LIMIT")  # variables of this environment that the service gets
_SHOWN = {
    "ActiveState": "state",
    "UnitFileState": "enabled",
    "StatusText": "status",
    "MainPID": "pid",
    "NRestarts": "restarts",
    "MemoryCurrent": "memory_bytes",
    "ActiveEnterTimestamp": "since",
}


def add_parser(subparsers: Any, summary: str) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "service",
        help=summary,
        description="Have systemd run `legodnn serve` from every start of the machine on, under a user of its own, "
        "shut in, bounded in memory, and restarted when it fails or a model does not answer any more. `systemctl "
        "reload` opens the workload anew without losing a request.",
        epilog="examples:\n"
        "  sudo legodnn service install /srv/legodnn/workload.toml --memory 200MB\n"
        "  legodnn service install workload.toml --user        # for this user alone\n"
        "  legodnn service install workload.toml --print       # show the unit, change nothing\n"
        "  legodnn service status\n"
        "  sudo legodnn service remove",
    )
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    install = verbs.add_parser(
        "install",
        help="write the unit, enable and start it; or replace it",
        description="Check that the workload can be served, write a systemd unit for it, enable and start it. The "
        "flags of `legodnn serve` go into the unit. If it does not start, everything is put back.",
        epilog="example:\n  sudo legodnn service install /srv/legodnn/workload.toml --host 0.0.0.0 --token-file "
        "/etc/legodnn/token",
    )
    add_serving_arguments(install)
    install.add_argument("--print", action="store_true", dest="only_print", help="print the unit and change nothing")
    remove = verbs.add_parser(
        "remove",
        help="stop the service and remove its unit",
        description="Stop the service, and remove its unit. Stores, profiles and the workload stay.",
        epilog="example:\n  sudo legodnn service remove",
    )
    status = verbs.add_parser(
        "status",
        help="show whether the service runs",
        description="Show whether the service runs, what it says of itself, and what it takes. The exit status is 0 if "
        "it runs, 3 if not.",
        epilog="example:\n  legodnn service status --json",
    )
    status.add_argument("--json", action="store_true", help="print JSON")
    for verb in (install, remove, status):
        verb.add_argument("--user", action="store_true", help="a service of this user, not of the machine")
        verb.add_argument("--name", default="legodnn", help="name of the service (default: legodnn)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    return {"install": _install, "remove": _remove, "status": _status}[args.verb](args)


def _install(args: argparse.Namespace) -> int:
    path, workload = _unit_path(args), workload_from(args)
    check_name(args.name, args.user)
    unit = _unit(args, workload)
    if args.only_print:
        say(unit.text().rstrip())
        return 0
    before = _own_text(path)
    _need_systemd(args.user)
    if not args.user:
        _need_root()
        check_readable(_needed_files(args, workload))
    write_atomic(path, unit.text())
    try:
        _systemctl(args, "daemon-reload")
        _systemctl(args, "enable", args.name)
        _systemctl(args, "restart", args.name)  # returns when the service says that it is ready
    except ConfigError as e:
        why = _last_error(args) or str(e)
        _put_back(args, path, before)
        raise ConfigError(f"{args.name} does not start, and nothing was changed: {why}") from None
    except BaseException:
        _put_back(args, path, before)
        raise
    systemctl = "systemctl --user" if args.user else "sudo systemctl"
    say(f"{path} is written, and {args.name} runs.")
    say(f"  {systemctl} reload {args.name}   # after a change of the workload or its stores")
    say(f"  journalctl{' --user' if args.user else ''} -u {args.name} -f -o cat   # what it does")
    if args.user:
        say("  loginctl enable-linger                # so that it starts with the machine, and not when you log in")
    return 0


def _remove(args: argparse.Namespace) -> int:
    path = _unit_path(args)
    if _own_text(path) is None:
        raise ConfigError(f"there is no {path}: nothing to remove")
    _need_systemd(args.user)
    if not args.user:
        _need_root()
    _systemctl(args, "disable", "--now", args.name)
    path.unlink()
    _systemctl(args, "daemon-reload")
    say(f"{args.name} has ended, and {path} is gone; stores, profiles and the workload are where they were")
    return 0


def _status(args: argparse.Namespace) -> int:
    _unit_path(args)
    _need_systemd(args.user)
    answer = _systemctl(args, "show", args.name, f"--property={','.join(_SHOWN)}")
    told = dict(line.partition("=")[::2] for line in answer.splitlines())
    found: dict[str, str | int | None] = {}
    for key, name in _SHOWN.items():
        value = told.get(key, "")
        number = name in ("pid", "restarts", "memory_bytes")
        found[name] = (int(value) if value.isdigit() else None) if number else value
    found["pid"] = found["pid"] or None  # 0 where nothing runs
    if args.json:
        print(json.dumps({"name": args.name, **found}))
    else:
        memory = found.pop("memory_bytes")
        rows = [(k, v) for k, v in {**found, "memory": size(memory) if isinstance(memory, int) else ""}.items() if v]
        say(text_table(rows, header=(args.name, "")))
    return 0 if found["state"] in ("active", "reloading") else 3


def _unit(args: argparse.Namespace, workload: Workload) -> ServiceUnit:
    """Return the unit for a workload, after a look whether it can be served here."""
    if os.environ.get("LEGODNN_TOKEN") and args.token_file is None:
        raise ConfigError("a service has no LEGODNN_TOKEN: put the token into a file, and give --token-file FILE")
    check_service_packages()
    settings = service_settings(args)
    from legodnn.runtime.governing.governor import demand_of
    from legodnn.runtime.governing.policy import Policy
    from legodnn.runtime.open_models import open_measured_stores
    from legodnn.runtime.planning.scheduler import Scheduler
    from legodnn.runtime.planning.workload_tables import workload_tables
    from legodnn.runtime.serving.guards import MOST_BODIES

    budget = budget_from(args, workload)
    measured = open_measured_stores(workload, None)
    tables = workload_tables(workload, list(measured.values()), args.isolated)
    scheduler = Scheduler(tables, workload.switch_charge)
    scheduler.plan(budget)
    most = demand_of(scheduler, budget).most_memory_bytes
    limit = memory_max_bytes(
        plan_bytes=most if budget.memory_bytes is None else min(most, budget.memory_bytes),
        body_bytes=2 * MOST_BODIES * settings.most_body_bytes,
        models=len(workload.models),
        isolated=args.isolated,
        reserve=Policy().reserve,
    )
    return ServiceUnit(
        name=args.name,
        models=tuple(model.name for model in workload.models),
        command=(sys.executable, "-m", "legodnn", "serve", *_serving_words(args), "--json"),
        memory_max_bytes=limit,
        environment={name: os.environ[name] for name in _PASSED_ON if os.environ.get(name)},
        user=args.user,
        token_file=None if args.token_file is None else args.token_file.absolute(),
        reaches_out=reaches_out(args),
    )


def _serving_words(args: argparse.Namespace) -> list[str]:
    """Return the words of `legodnn serve` that say what was asked for, but for the token."""
    words = [str(Path(place).absolute()) for place in args.workload]
    for name in _VALUED:
        value = getattr(args, name)
        if value is not None and value != []:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    words += [f"--{name}" for name in _SWITCHES if getattr(args, name)]
    if args.socket is not None:
        folder = _runtime_folder(args.user) / args.name
        if args.socket.absolute().parent != folder:
            raise ConfigError(f"a service has its socket in its own folder: --socket {folder / args.socket.name}")
        words += ["--socket", str(args.socket.absolute())]
    return words


def _needed_files(args: argparse.Namespace, workload: Workload) -> list[Path]:
    """Return what the service reads: Python, this package, the workload, stores and profiles."""
    packages = [Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix), Path(legodnn.__file__).parent]
    stores = [Path(place) for model in workload.models for place in (model.store, model.profile_path)]
    return [*packages, *map(Path, args.workload), *stores]


def _unit_path(args: argparse.Namespace) -> Path:
    if not _NAME.fullmatch(args.name):
        raise ConfigError(f"--name {args.name!r} is no name of a service: small letters, digits, - and _, at most 31")
    if not args.user:
        return Path("/etc/systemd/system", f"{args.name}.service")
    settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(settings, "systemd", "user", f"{args.name}.service")


def _runtime_folder(user: bool) -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") if user else Path("/run")


def _own_text(path: Path) -> str | None:
    """Return the unit that is installed, None for none; ConfigError if somebody else wrote it."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except OSError as e:
        raise ConfigError(f"{path} cannot be read ({e.strerror})") from None
    if not text.startswith(MARK):
        raise ConfigError(
            f"{path} was not written by `legodnn service install`: use another --name, or remove it yourself"
        )
    return text


def _need_systemd(user: bool) -> None:
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        raise ConfigError("systemd does not run here; `legodnn service install --print` shows the unit for elsewhere")
    if user and not (_runtime_folder(True) / "systemd").is_dir():
        raise ConfigError("this user has no systemd of its own here: log in as that user (not by su or sudo)")


def _need_root() -> None:
    if os.geteuid() != 0:
        raise ConfigError("only root may do this to a service of the machine: sudo, or --user for one of your own")


def _systemctl(args: argparse.Namespace, *words: str) -> str:
    """Run systemctl, and return what it prints; ConfigError with its last words if it fails."""
    command = ["systemctl", *(["--user"] if args.user else []), "--no-pager", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConfigError(f"{' '.join(command)}: {' '.join(done.stderr.split()) or f'status {done.returncode}'}")
    return done.stdout


def _last_error(args: argparse.Namespace) -> str:
    """Return the last error that the service has logged; empty if it is not known."""
    if shutil.which("journalctl") is None:
        return ""
    command = ["journalctl", *(["--user"] if args.user else []), "-u", args.name, "-n", "20", "-o", "cat", "--no-pager"]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    for line in reversed(lines):
        with suppress(ValueError):
            if line.startswith("{") and (told := json.loads(line)).get("level") == "error":
                return str(told.get("message", ""))
    return ""


def _put_back(args: argparse.Namespace, path: Path, before: str | None) -> None:
    """Undo an installation that failed."""
    try:
        if before is None:
            _systemctl(args, "disable", "--now", args.name)
            path.unlink()
            _systemctl(args, "daemon-reload")
        else:
            write_atomic(path, before)
            _systemctl(args, "daemon-reload")
            _systemctl(args, "restart", args.name)
    except ConfigError as e:
        log.warning("what was installed before could not be put back: %s", e)
