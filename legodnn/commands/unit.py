"""The systemd unit that runs `legodnn serve`: restarted when it fails or hangs, bounded in memory, and shut in."""

from __future__ import annotations

import pwd
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from legodnn.errors import ConfigError
from legodnn.printable import shown

# The first line of units that this writes. Units without it are somebody else's, and are left alone.
MARK = "# Written by `legodnn service install`. Change it by `systemctl edit`, or install it again.\n"

# What the service holds besides models: Python, libraries and the HTTP server; and each model's own process.
_PROCESS_BYTES = 250_000_000
_ISOLATED_BYTES = 150_000_000
# While the workload is opened anew the models of before and those that follow are there.
_GENERATIONS = 2
# Where packages and administrators put units, beside /etc, where the unit is written.
_UNIT_FOLDERS = tuple(map(Path, ("/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd")))
_DYNAMIC_USERS = range(61184, 65520)  # the numbers of the users that systemd makes for services that run
# Places that a service with a user of its own does not see.
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108  named, not written to

_CONFINED = """\
NoNewPrivileges=yes
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077
"""


@dataclass(frozen=True)
class ServiceUnit:
    """What a unit is made of.

    Attributes:
        name: the unit's name, without .service.
        models: the names of the models, for people.
        command: the program and its arguments.
        memory_max_bytes: the most memory that the service may take.
        environment: variables that it gets.
        user: whether it is a unit of the user's own systemd, and not of the machine's.
        token_file: the file with the clients' token; None for none.
        reaches_out: whether other machines may ask.
    """

    name: str
    models: tuple[str, ...]
    command: tuple[str, ...]
    memory_max_bytes: int
    environment: Mapping[str, str] = field(default_factory=dict)
    user: bool = False
    token_file: Path | None = None
    reaches_out: bool = False

    def text(self) -> str:
        """Return the unit's file."""
        return "".join(f"{line}\n" if not line.endswith("\n") else line for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield MARK
        yield "[Unit]"
        yield f"Description=LegoDNN: {_escaped(', '.join(self.models))}"
        if not self.user:
            yield "After=network.target"
        yield "StartLimitIntervalSec=5min"
        yield "StartLimitBurst=5"
        yield "\n[Service]"
        yield "Type=notify"
        if self.token_file is not None and not self.user:
            # systemd reads it as root, and the service sees its content alone.
            yield f"LoadCredential=token:{_escaped(str(self.token_file))}"
        yield "ExecStart=" + " ".join(map(quoted, self.command)) + self._token_words()
        yield "ExecReload=/bin/kill -HUP $MAINPID"
        yield "WorkingDirectory=/"
        yield "Restart=on-failure"
        yield "RestartSec=5s"
        yield "RestartPreventExitStatus=2"  # a wrong command line stays wrong
        yield "SuccessExitStatus=143"  # it was told to end, and did
        yield "WatchdogSec=2min"
        yield "TimeoutStartSec=10min"  # weights are packed at the first start
        yield "TimeoutStopSec=20s"
        yield f"MemoryMax={self.memory_max_bytes}"
        yield f"CacheDirectory={self.name}"
        yield "CacheDirectoryMode=0700"
        yield f"Environment=LEGODNN_CACHE=%C/{self.name}"
        for name, value in self.environment.items():
            yield f"Environment={quoted(f'{name}={value}', command=False)}"
        yield f"RuntimeDirectory={self.name}"
        yield "RuntimeDirectoryMode=0755"
        yield _CONFINED
        if self.user:
            yield "PrivateUsers=yes"  # what lets a user's systemd confine
            yield "ProtectHome=read-only"
        else:
            yield "DynamicUser=yes"
            yield f"User={self.name}"
            yield "ProtectHome=yes"
            yield "CapabilityBoundingSet="
            yield "DevicePolicy=closed"
            if not self.reaches_out:
                yield "IPAddressDeny=any"
                yield "IPAddressAllow=localhost"
        yield "\n[Install]"
        yield f"WantedBy={'default.target' if self.user else 'multi-user.target'}"

    def _token_words(self) -> str:
        if self.token_file is None:
            return ""
        return " --token-file " + (quoted(str(self.token_file)) if self.user else "%d/token")


def quoted(word: str, command: bool = True) -> str:
    """Return a word as a unit has it, where systemd would read quotes and % in it, and $ in a command line.

    Raises:
        ConfigError: the word holds a control character.
    """
    escaped = _escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped.replace("$", "$$") if command else escaped}"'


def _escaped(text: str) -> str:
    if not text.isprintable():
        raise ConfigError(f"{shown(text)} holds a control character, which a unit cannot")
    return text.replace("%", "%%")


def memory_max_bytes(plan_bytes: int, body_bytes: int, models: int, isolated: bool, reserve: float) -> int:
    """Return the most memory that a service may take, so that its governor never has to give way to that limit alone.

    Args:
        plan_bytes: the most memory that the models are planned to hold.
        body_bytes: the room for the bodies of requests, and what is made of them.
        models: the number of models.
        isolated: whether each model has a process of its own.
        reserve: the share of all memory that the governor leaves free.
    """
    processes = _PROCESS_BYTES + (models * _ISOLATED_BYTES if isolated else 0)
    return int((processes + _GENERATIONS * plan_bytes + body_bytes) / (1 - reserve))


def check_name(name: str, user: bool) -> None:
    """Check that neither a user of this machine nor somebody else's service has a name.

    systemd has a service run as a user of its name who is there already, with that user's rights; and a unit in
    /etc replaces those of its name that packages have installed.

    Args:
        name: the name of the service.
        user: whether it is to be one of the user's own systemd, which makes no users.

    Raises:
        ConfigError: one has it.
    """
    units = (folder / ("user" if user else "system") / f"{name}.service" for folder in _UNIT_FOLDERS)
    if other := next((unit for unit in units if unit.exists()), None):
        raise ConfigError(f"--name {name} is another service's, {other}, in whose place this would run; use another")
    if user:
        return
    with suppress(KeyError):
        if pwd.getpwnam(name).pw_uid not in _DYNAMIC_USERS:
            raise ConfigError(
                f"--name {name} is a user of this machine, as whom the service would run instead of as one of its own; "
                "use another"
            )


def check_readable(paths: Sequence[Path]) -> None:
    """Check that a service with a user of its own can read files and folders.

    Raises:
        ConfigError: it cannot read one of them.
    """
    for path in paths:
        if hidden := next((place for place in _HIDDEN if path.resolve().is_relative_to(place)), None):
            raise ConfigError(
                f"a service does not see {hidden}, where {path} is: move it to a place such as /srv, or use --user"
            )
        place = path.resolve()
        for part in (place, *place.parents):
            mode = "x" if part != place else "rx" if part.is_dir() else "r"
            wanted = stat.S_IXOTH * ("x" in mode) | stat.S_IROTH * ("r" in mode)
            if part.stat().st_mode & wanted != wanted:
                raise ConfigError(f"the service's own user cannot read {part}: chmod o+{mode} it, or use --user")
