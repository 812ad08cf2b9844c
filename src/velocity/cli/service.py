"""`velocity service`: under systemd. systemd.service(5), systemd.kill(5)"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import click

from velocity.cli.lazy import Group
from velocity.cli.nat_removal import remove_nat
from velocity.cli.stop_guests import MARGIN, stop_guests
from velocity.config import ConfigError, PoolSetting, Settings, is_setting, load
from velocity.hypervisor.qemu.options import options
from velocity.pool_settings import OF_RBD
from velocity.store import engine
from velocity.store.errors import DatabaseError

SERVER, GUESTS, NODE = "velocity.service", "velocity-guests.service", "velocity-node.service"

SERVER_UNIT = """\
[Unit]
Description={description}
Wants=network-online.target{guests}
After=network-online.target local-fs.target remote-fs.target postgresql.service{guests}
# Start it again as often as it takes, for example until its database is there.
StartLimitIntervalSec=0

[Service]
# It reports to systemd when it serves.
Type=notify
TimeoutStartSec=10min
# A server that hangs is ended and started again; if another one stands by, that one leads.
WatchdogSec=2min
ExecStart={command} {serve}{option}
ExecReload=/bin/kill -HUP $MAINPID
{environment}
# Guests are separate processes and keep running when the server ends.
KillMode=process
# A guest that the out-of-memory killer ends is not a failure of the server.
OOMPolicy=continue
{hardening}Restart=on-failure
RestartSec=2
# 78: another server has replaced this one; its last message says what to do.
RestartPreventExitStatus=78
LimitNOFILE=65536
TasksMax=infinity

[Install]
WantedBy={target}
"""

HARDENING = """\
OOMScoreAdjust=-250
# What the server and the guests' processes never need. docs/security.md says why other lines are not here.
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_MKNOD
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_NET_RAW CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN
CapabilityBoundingSet=CAP_SYS_NICE CAP_SYS_PTRACE CAP_SYS_RESOURCE
LockPersonality=yes
PrivateMounts=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=full
ReadWritePaths=-/proc/sys/net
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=ipc mnt net pid
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot @swap
UMask=0066
"""
"""For system units only: a user's manager cannot drop privileges. systemd.exec(5)"""

GUESTS_HARDENING = """\
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
UMask=0077
"""
"""This unit only asks the server."""

GUESTS_UNIT = """\
[Unit]
Description=Guests of Velocity, shut down before the host
{order}
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop={command} service stop-guests --timeout {timeout}
{environment}
TimeoutStopSec={most}
{guests_hardening}
[Install]
WantedBy={target}
"""

BESIDE_A_SERVER = f"""\
# Units stop in the opposite order, so this one stops while the server still runs. Wants, and nothing stronger:
# otherwise a restart of the server would restart this unit, and so stop all guests.
After={SERVER}
Wants={SERVER}
"""
BESIDE_A_NODE = """\
# The node starts after this unit, and so ends before it: then nobody else controls the guests, and the server sees a
# host that does not respond, not guests that have ended. So VMs with autostart are started again when the host is back.
After=network-online.target local-fs.target remote-fs.target
"""


@click.group(cls=Group)
def service() -> None:
    """The server as a systemd service."""


service.add_command(stop_guests)


@service.command()
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The settings file.")
@click.option("--user", is_flag=True, help="For this account only, without root.")
@click.option("--node", is_flag=True, help="For a node (`velocity node serve`) instead of a server.")
@click.option(
    "--timeout", type=int, metavar="SECONDS", default=90, show_default=True, help="How long guests have to shut down."
)
@click.option("--print", "only_print", is_flag=True, help="Print the units, and write nothing.")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), help="The directory for the units.")
def install(
    config: Path | None, user: bool, node: bool, timeout: int, only_print: bool, directory: Path | None
) -> None:
    """Write the systemd units of the server or a node, and of its guests, and print how to start them."""
    try:
        settings = load(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    named = config or os.environ.get("VELOCITY_CONFIG")
    file = Path(named).absolute() if named else None
    inside = _read_only(settings)
    option = f" --config {_word(str(file))}" if file else ""
    words = {
        "command": _command(option),
        "option": option,
        "environment": "\n".join(f"Environment={_word(one)}" for one in _environment(settings, file)),
        "target": "default.target" if user else "multi-user.target",
        "hardening": "" if user else HARDENING + "".join(f"ReadWritePaths={_word(str(one))}\n" for one in inside),
        "guests_hardening": "" if user else GUESTS_HARDENING,
        "description": "Velocity, a host of another machine's server" if node else "Velocity, virtual machines",
        "serve": "node serve" if node else "serve",
        "guests": f" {GUESTS}" if node else "",
        "order": BESIDE_A_NODE if node else BESIDE_A_SERVER,
        "timeout": timeout,
        "most": timeout + MARGIN,
    }
    units = {NODE if node else SERVER: SERVER_UNIT.format(**words), GUESTS: GUESTS_UNIT.format(**words)}
    if only_print:
        click.echo("\n".join(f"# {name}\n{text}" for name, text in units.items()))
        return
    place = directory or _place(user)
    for name, text in units.items():
        try:
            for one in inside:
                one.mkdir(mode=0o700, parents=True, exist_ok=True)  # systemd can make only existing paths writable
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text, "utf-8")
        except UnicodeEncodeError:
            raise click.ClickException("units are UTF-8, and one of the paths is not: rename it") from None
        except OSError as error:
            raise click.ClickException(
                f"{place / name} cannot be written ({error.strerror}): run this as root, or with --user"
            ) from None
        click.echo(f"wrote {place / name}", err=True)
    systemctl = "systemctl --user" if user else "systemctl"
    enabled = NODE if node else " ".join(units)  # a node's unit pulls in the unit of its guests
    click.echo(f"{systemctl} daemon-reload && {systemctl} enable --now {enabled}")
    if user:
        click.echo("loginctl enable-linger   (to keep it running after you sign out)")


def _command(option: str) -> str:
    """The command that runs us, with absolute paths; systemd substitutes nothing in it. systemd.service(5), `:`"""
    called = Path(sys.argv[0]).absolute()
    module = called.name == "__main__.py"
    program = sys.executable if module else str(called)
    if re.search(r"[\"'\\\x00-\x1f]", program):
        raise click.ClickException(f"systemd runs no program whose path has quotes or backslashes: {program}: move it")
    command = _word(program) + (" -m velocity" if module else "")
    return f":{command}" if "$" in command + option else command


def _has_password(database: str) -> bool:
    try:
        url = engine.parse(database)
    except DatabaseError as error:
        raise click.ClickException(str(error)) from None
    return any(name in url.query for name in ("password", "sslpassword"))


def _environment(settings: Settings, file: Path | None) -> list[str]:
    """All present settings except secrets: units are readable to everybody."""
    own = {name: value for name, value in os.environ.items() if is_setting(name)}
    if own.pop("VELOCITY_ROOT_PASSWORD", ""):
        click.echo("VELOCITY_ROOT_PASSWORD is left out: everybody can read units; set it for the first start", err=True)
    if own.get("VELOCITY_DATABASE") and _has_password(own["VELOCITY_DATABASE"]):
        raise click.ClickException(
            "VELOCITY_DATABASE has a password, and everybody can read units: write `database` into a settings file "
            "that only the server's account can read, and name it with --config"
        )
    for name in ("VELOCITY_TLS_CERT", "VELOCITY_TLS_KEY", "VELOCITY_RUNTIME_DIR"):
        if own.get(name):
            own[name] = getattr(settings, name.removeprefix("VELOCITY_").lower())
    if "VELOCITY_POOLS" in own:
        own["VELOCITY_POOLS"] = _toml(settings.pools)
    own |= {"VELOCITY_DATA_DIR": str(settings.data_dir)} | ({"VELOCITY_CONFIG": str(file)} if file else {})
    return [f"{name}={value}" for name, value in sorted(own.items())]


def _read_only(settings: Settings) -> list[Path]:
    """Our paths that ProtectSystem makes read-only."""
    ours = [settings.data_dir, *(pool.path for pool in settings.media_pools if pool.kind == "directory")]
    ours += [Path(settings.runtime_dir)] if settings.runtime_dir else []
    return [one for one in ours if any(one.is_relative_to(root) for root in ("/usr", "/boot", "/efi", "/etc"))]


def _word(text: str) -> str:
    """A word quoted for a unit. systemd.syntax(7)"""
    text = text.replace("%", "%%")
    if re.fullmatch(r"[\w./=:@%+,-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one >= " " else f"\\x{ord(one):02x}" for one in escaped) + '"'


@service.command()
@click.option("--user", is_flag=True, help="The units of this account.")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), help="The directory of the units.")
def uninstall(user: bool, directory: Path | None) -> None:
    """Remove the units, and print how to stop what still runs. Guests and data remain."""
    place = (directory or _place(user)).absolute()
    server = NODE if (place / NODE).is_file() else SERVER
    _remove_nat_of(place / server)
    found = False
    for name in (SERVER, GUESTS, NODE):
        enabled = [one for one in _place(user).glob(f"*.wants/{name}") if one.readlink() == place / name]
        for file in (place / name, *enabled):
            if file.is_symlink() or file.exists():
                try:
                    file.unlink()
                except OSError as error:
                    raise click.ClickException(
                        f"{file} cannot be removed ({error.strerror}): run this as root"
                    ) from None
                click.echo(f"removed {file}", err=True)
                found = True
    if not found:
        click.echo(f"there are no units of Velocity in {place}", err=True)
        return
    systemctl = "systemctl --user" if user else "systemctl"
    first = GUESTS if server == SERVER else f"{server} {GUESTS}"
    click.echo(f"{systemctl} stop {first}  # only if the guests are to be shut down, too")
    click.echo(f"{systemctl} stop {server}; {systemctl} daemon-reload")


def _remove_nat_of(unit: Path) -> None:
    """Remove what the server has made for NAT and has not removed, for instance because it was killed.

    That is the server of the unit; without a unit, that of the present settings, as in a checkout.
    """
    try:
        settings = load(environ=_set_in(unit) if unit.is_file() else os.environ)
    except (ConfigError, ValueError):
        return
    remove_nat(options(settings))


def _set_in(unit: Path) -> dict[str, str]:
    """The environment variables in a unit. Raises `ValueError`."""
    text = unit.read_text(encoding="utf-8", errors="replace").replace("%%", "%")
    lines = [line.partition("=")[2] for line in text.splitlines() if line.startswith("Environment=")]
    return dict(word.split("=", 1) for line in lines for word in shlex.split(line))


def _place(user: bool) -> Path:
    if user:
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    return Path("/etc/systemd/system")


def _toml(pools: list[PoolSetting]) -> str:
    """The value in TOML, as VELOCITY_POOLS expects."""
    return "[" + ", ".join(map(_toml_of, pools)) + "]"


def _toml_of(pool: PoolSetting) -> str:
    default = PoolSetting(pool.mpid, pool.name)
    texts = ["name", *(one for one in ("path", "kind", *OF_RBD) if getattr(pool, one) != getattr(default, one))]
    words = [f"{one}={json.dumps(str(getattr(pool, one)), ensure_ascii=False)}" for one in texts]
    return f"{{mpid={pool.mpid}, {', '.join(words)}{', shared=true' if pool.shared else ''}}}"
