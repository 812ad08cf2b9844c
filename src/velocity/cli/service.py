"""`velocity service`: under systemd. systemd.service(5), systemd.kill(5)"""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import click

from velocity.cli import connection, where
from velocity.cli.words import clean
from velocity.client import ApiError, Client
from velocity.config import ConfigError, load
from velocity.contract.machines import State, VmSummary

SERVER, GUESTS = "velocity.service", "velocity-guests.service"

SERVER_UNIT = """\
[Unit]
Description=Velocity, virtual machines
Wants=network-online.target
After=network-online.target local-fs.target

[Service]
Type=exec
ExecStart={command} serve{option}
ExecReload=/bin/kill -HUP $MAINPID
{environment}
# Guests are separate processes and keep running when the server ends.
KillMode=process
# A guest that the out-of-memory killer ends is not a failure of the server.
OOMPolicy=continue
{hardening}Restart=on-failure
RestartSec=1
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
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN CAP_SYS_NICE
CapabilityBoundingSet=CAP_SYS_PTRACE
LockPersonality=yes
PrivateMounts=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=full
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=ipc mnt net pid
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=~@clock @cpu-emulation @debug @module @obsolete @raw-io @reboot @swap
UMask=0066
"""
"""For the system's manager: a user's has no privileges to take away. systemd.exec(5)"""

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
"""It only asks the server."""

GUESTS_UNIT = """\
[Unit]
Description=Guests of Velocity, shut down before the host
# Units stop in the opposite order, so this one stops while the server still runs. Wants, and nothing stronger:
# otherwise a restart of the server would restart this unit, and so stop all guests.
After={server}
Wants={server}

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


@click.group()
def service() -> None:
    """The server as a systemd service."""


@service.command()
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The settings file.")
@click.option("--user", is_flag=True, help="For this account only, without root.")
@click.option("--timeout", type=int, default=90, show_default=True, help="Seconds that guests have to shut down.")
@click.option("--print", "only_print", is_flag=True, help="Print the units, and write nothing.")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), help="The directory for the units.")
def install(config: Path | None, user: bool, timeout: int, only_print: bool, directory: Path | None) -> None:
    """Write the systemd units of the server and its guests, and print how to start them."""
    try:
        settings = load(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    named = config or os.environ.get("VELOCITY_CONFIG")
    file = Path(named).absolute() if named else None
    environment = [_word(f"VELOCITY_DATA_DIR={settings.data_dir}")]
    if file:
        environment.append(_word(f"VELOCITY_CONFIG={file}"))
    words = {
        "command": _word(str(Path(sys.argv[0]).absolute())),
        "option": f" --config {_word(str(file))}" if file else "",
        "environment": "\n".join(f"Environment={one}" for one in environment),
        "target": "default.target" if user else "multi-user.target",
        "hardening": "" if user else HARDENING,
        "guests_hardening": "" if user else GUESTS_HARDENING,
        "server": SERVER,
        "timeout": timeout,
        "most": timeout + 30,
    }
    units = {SERVER: SERVER_UNIT.format(**words), GUESTS: GUESTS_UNIT.format(**words)}
    if only_print:
        click.echo("\n".join(f"# {name}\n{text}" for name, text in units.items()))
        return
    place = directory or _place(user)
    for name, text in units.items():
        try:
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text)
        except OSError as error:
            raise click.ClickException(
                f"{place / name} cannot be written ({error.strerror}): run this as root, or with --user"
            ) from None
        click.echo(f"wrote {place / name}", err=True)
    systemctl = "systemctl --user" if user else "systemctl"
    click.echo(f"{systemctl} daemon-reload && {systemctl} enable --now {SERVER} {GUESTS}")
    if user:
        click.echo("loginctl enable-linger   (to keep it running after you sign out)")


def _word(text: str) -> str:
    """One word of a unit, whatever is in it. systemd.syntax(7)"""
    text = text.replace("%", "%%")
    if re.fullmatch(r"[\w./=:@%+,-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@service.command()
@click.option("--user", is_flag=True, help="The units of this account.")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), help="The directory of the units.")
def uninstall(user: bool, directory: Path | None) -> None:
    """Remove the units. Guests and data remain."""
    for name in (SERVER, GUESTS):
        file = (directory or _place(user)) / name
        if file.exists():
            file.unlink()
            click.echo(f"removed {file}", err=True)


@service.command("stop-guests")
@click.option(
    "--timeout",
    type=float,
    default=90,
    show_default=True,
    help="Seconds until guests that are still running are ended.",
)
def stop_guests(timeout: float) -> None:
    """Press the power button of every guest, the youngest first, and wait; end those that do not hear it.

    The guests of this host's own server, as its settings tell it, whatever server one is signed in to.
    """
    client = connection.connect(own=True)
    running = _running(client)
    for _, vm in running:
        client.set_vm_state(vmid=vm.vmid, state="STOPPED")
        click.echo(f"asked {clean(vm.name)} to shut down", err=True)
    end = time.monotonic() + timeout
    while (running := _running(client)) and time.monotonic() < end:
        time.sleep(0.5)
    for _, vm in running:
        client.set_vm_state(vmid=vm.vmid, state="STOPPED", force=True)
        click.echo(f"ended {clean(vm.name)}, which did not shut down within {timeout:.0f} s", err=True)


def _running(client: Client) -> list[tuple[int, VmSummary]]:
    found: list[tuple[int, VmSummary]] = []
    for gid in where.paths(client):
        try:
            found += [(vm.vmid, vm) for vm in client.list_vms(gid=gid).vms if vm.state is not State.STOPPED]
        except ApiError as error:
            if error.status != 401:
                raise
    return sorted(found, key=lambda one: one[0], reverse=True)


def _place(user: bool) -> Path:
    if user:
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    return Path("/etc/systemd/system")
