"""`velocity vm ssh`: logs in to a guest as cloud-init's user, at its address or through a port forward."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from velocity.cli import connection, resolve
from velocity.cli.amounts import SECONDS
from velocity.cli.waiting import waiting
from velocity.cli.which import which
from velocity.cli.words import clean, program
from velocity.client import Client
from velocity.contract.machines import State, VmInfo
from velocity.contract.vm_settings import NatKind, NicType

PORT = 22
FORWARDED = 22
"""The guest's port that a usable forward leads to."""
TRY = 2.0
"""Seconds for one attempt to connect, and the longest pause."""
LOOK = 1.0
"""Seconds between checks for an address."""


@click.command(context_settings={"ignore_unknown_options": True})
@which
@click.option("--user", metavar="NAME", help="Log in as this user (default: the one set for cloud-init).")
@click.option("-i", "--identity", type=click.Path(dir_okay=False), metavar="FILE", help="The private key to use.")
@click.option("--new-key", is_flag=True, help="Accept a new host key of the guest, as after `--new-instance`.")
@click.option("--timeout", type=SECONDS, default=60, show_default=True, help="How long to wait for a bridged address.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(
    vm_: str,
    group: int | None,
    user: str | None,
    identity: str | None,
    new_key: bool,
    timeout: float,
    command: tuple[str, ...],
) -> None:
    """Log in to VM by ssh; with COMMAND, run that there.

    The connection goes to the VM's address, from the host that it runs on, or through a port of the host that is
    forwarded to its port 22. The guest's host key is accepted the first time, and kept in a file for the VM's id, which
    no other VM is ever given.
    """
    client = connection.connect()
    info, found = awaited(client, client.show_vm(vmid=resolve.vmid(client, group, vm_)), timeout)
    if found is None or info.state in (State.STOPPED, State.PAUSED):
        raise click.ClickException(unreachable(info))
    if shutil.which("ssh") is None:
        raise click.ClickException("there is no `ssh` here: install OpenSSH's client")
    words = line(client, info, user, new_key=new_key)
    words += ["-i", identity] if identity else []
    os.execvp(words[0], [*words, *found.option, "--", found.address, *command])  # noqa: S606 - no shell is in between


def line(client: Client, info: VmInfo, user: str | None, *, new_key: bool = False) -> list[str]:
    """The command that logs in, without the address."""
    login, called = user or info.cloud_init.user, _called(client, info)
    known = _known_hosts() / called
    if new_key:
        known.unlink(missing_ok=True)
    return [
        "ssh",
        *("-o", f"HostKeyAlias={called}"),  # whatever its address by then
        *("-o", f'UserKnownHostsFile="{str(known).replace("%", "%%")}"'),
        *("-o", "StrictHostKeyChecking=accept-new"),
        *(("-l", login) if login else ()),
    ]


def _called(client: Client, info: VmInfo) -> str:
    """A name for this VM that no VM of any server will ever have again, as ids are not reused."""
    server = client.server.partition("//")[2]
    return f"vm-{info.vmid}.{''.join(one if one.isalnum() or one in '.-' else '-' for one in server)}"


def _known_hosts() -> Path:
    """The directory with the guests' keys, one file each."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "velocity" / "known_hosts"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return state


@dataclass(frozen=True)
class Target:
    """Where ssh reaches the guest. `port` None: the usual one."""

    address: str
    port: int | None = None

    @property
    def option(self) -> tuple[str, ...]:
        return () if self.port is None else ("-p", str(self.port))

    def __str__(self) -> str:
        return self.address if self.port is None else f"{self.address}, port {self.port}"


def target(client: Client, info: VmInfo) -> Target | None:
    """Where ssh reaches the guest: on the host its own address, if known; otherwise a forward."""
    own, here = address(info), is_here(client)
    if own is not None and here:
        return Target(own)
    for one in () if "forwards" in info.waiting else info.forwards:
        local = one.host_address and one.host_address.startswith("127.")
        if (one.guest_port, one.protocol) == (FORWARDED, "tcp") and (here or not local):
            return Target(one.host_address or urlsplit(client.server).hostname or "127.0.0.1", one.host_port)
    return None if own is None else Target(own)


def awaited(client: Client, info: VmInfo, seconds: float) -> tuple[VmInfo, Target | None]:
    """Where ssh reaches the guest. Waits for a bridged address, which is known once the guest has sent something."""
    end, found = time.monotonic() + seconds, target(client, info)
    if found is not None or not _may_tell(info):
        return info, found
    with waiting(f"waiting until an address of VM {clean(info.name)} is known"):
        while found is None and _may_tell(info) and time.monotonic() < end:
            time.sleep(LOOK)
            info = client.show_vm(vmid=info.vmid)
            found = target(client, info)
    return info, found


def _may_tell(info: VmInfo) -> bool:
    """Whether an address may become known later."""
    return info.state is State.RUNNING and any(nic.type == NicType.BRIDGE.value for nic in info.nics)


def is_here(client: Client) -> bool:
    """Whether the server runs on this machine, judging by its name."""
    host = urlsplit(client.server).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def address(info: VmInfo) -> str | None:
    """The first known address of a NIC that the host can reach."""
    reached = [one for one in info.interfaces if one.nat is not NatKind.USER]
    return next((known.address for one in reached for known in one.known_addresses or ()), None)


def unreachable(info: VmInfo) -> str:
    """Why ssh cannot reach it, and what to do."""
    name = clean(info.name)
    if not info.nics:
        return f"VM {name} has no NIC: `{program()} vm set id:{info.vmid} --nic nat`, then start it"
    if info.state is State.STOPPED:
        return f"VM {name} is STOPPED: `{program()} vm start id:{info.vmid}`"
    if info.state is State.PAUSED:
        return f"VM {name} is PAUSED: `{program()} vm resume id:{info.vmid}`"
    if all(nic.type == NicType.BRIDGE.value for nic in info.nics):
        return (
            f"no address of VM {name} is known: its guest agent does not respond, and the host has seen none; "
            f"log in on its console: `{program()} vm console id:{info.vmid}`"
        )
    return (
        f"no address of VM {name} is known: the host gives addresses to NAT NICs only where the server runs as root; "
        f"forward a port of the host to it, `{program()} vm set id:{info.vmid} --forward 2222:22`, or log in on its "
        f"console: `{program()} vm console id:{info.vmid}`"
    )


def answers(found: Target, seconds: float) -> bool:
    """Wait until something responds with the greeting of ssh; returns whether it has in so many seconds."""
    end = time.monotonic() + seconds
    with waiting(f"waiting until ssh answers at {found}"):
        while True:
            begun = time.monotonic()
            if _speaks(found):
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(max(0.1, min(TRY - (time.monotonic() - begun), end - time.monotonic())))


def _speaks(found: Target) -> bool:
    there = found.address, found.port or PORT
    with contextlib.suppress(OSError), socket.create_connection(there, timeout=TRY) as connected:
        connected.settimeout(TRY)
        return connected.recv(4) == b"SSH-"
    return False
