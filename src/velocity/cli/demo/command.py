"""`velocity demo`: builds a guest, boots it and shows its console; reports the time of each step."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import click
from rich.console import Console

from velocity.cli import connection, naming, own_server, where
from velocity.cli.demo.guest import READY, Guest, build, cache_directory
from velocity.cli.demo.uki import CannotBuild
from velocity.cli.media import send
from velocity.cli.where import GROUP
from velocity.cli.words import clean, program
from velocity.client import Client
from velocity.config import load
from velocity.contract.machines import Attachment, Display, Nic, State

CONTROL = re.compile(rb"\x1b\[[0-9;=?]*[A-Za-z]")
"""Escape sequences of terminals. ECMA-48"""

QUIET, LONGEST = 120.0, 1800.0
"""Seconds until a silent guest is given up, and any guest: slow hosts need many minutes."""


LOOK = 15.0
"""Seconds for which another image's console is shown."""


class Waiting:
    """Waits for a guest: as long as it writes something, up to a maximum."""

    def __init__(self, quiet: float, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._clock = clock
        self._end = clock() + longest
        self.heard()

    def heard(self) -> None:
        self._last = self._clock()

    def is_over(self) -> bool:
        return self._clock() >= min(self._last + self._quiet, self._end)


class Steps:
    """Reports steps and measures their durations."""

    def __init__(self) -> None:
        self._done: list[tuple[str, float]] = []
        self._begun = time.monotonic()

    def begin(self, text: str) -> None:
        click.secho(f"==> {text}", bold=True, err=True)
        self._begun = time.monotonic()

    def end(self, what: str) -> None:
        self._done.append((what, time.monotonic() - self._begun))

    def show(self) -> None:
        for what, seconds in self._done:
            click.echo(f"  {what.ljust(34)} {seconds:7.2f} s", err=True)


@click.command()
@click.option("--iso", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Boot this image instead.")
@click.option("--name", default="demo", show_default=True, help="The name for the VM and its medium.")
@GROUP
@click.option("--remove", is_flag=True, help="Remove the VM and its medium.")
def demo(iso: Path | None, name: str, group: int | None, remove: bool) -> None:
    """Build a small guest from this distribution's kernel, upload it, boot it, and show its console."""
    client = connection.connect()
    client.show_user()  # fails before the guest is built, if no server responds
    gid = where.here(client, group)
    if remove:
        _remove(client, gid, name)
        return
    steps = Steps()
    image = iso or _build(steps).iso
    mid = _medium(client, steps, gid, image, name)
    vmid = _vm(client, steps, gid, mid, name)
    ready = _watch(client, steps, vmid, wait=iso is None)
    click.echo(err=True)
    steps.show()
    settings = load()
    velocity = own_server.command(settings) if client.server == own_server.address(settings) else program()
    _farewell(velocity, name, vmid, where.option(client, group))
    if not ready:
        raise click.ClickException(
            f"the guest is not ready, and has said nothing for {QUIET:.0f} s: look at its console"
        )


def _build(steps: Steps) -> Guest:
    steps.begin("Building a guest from this distribution's kernel and busybox")
    try:
        with Console(file=sys.stderr).status("looking") as status:
            guest = build(cache_directory(load().data_dir), status.update)
    except CannotBuild as error:
        raise click.ClickException(str(error)) from None
    steps.end(f"guest with Linux {guest.kernel}")
    return guest


def _medium(client: Client, steps: Steps, gid: int, image: Path, name: str) -> UUID:
    for medium in client.list_media(gid=gid).media:
        if medium.name == name:
            click.echo(f"the medium {clean(name)} already exists", err=True)
            return medium.mid
    steps.begin(f"Uploading {image.name}")
    answer = send(client, image, name, "ISO", gid, 1, readonly=True)
    steps.end("upload")
    return answer.mid


def _vm(client: Client, steps: Steps, gid: int, mid: UUID, name: str) -> int:
    for one in client.list_vms(gid=gid).vms:
        if one.name == name:
            click.echo(f"the VM {clean(name)} already exists", err=True)
            return one.vmid
    steps.begin(f"Creating the VM {clean(name)}: 1 CPU, 256 MiB, a display, a NAT NIC")
    answer = client.create_vm(
        name=name,
        gid=gid,
        cpus=1,
        memory_mib=256,
        displays=[Display(name="screen", width=1280, height=720)],
        media=[Attachment(mid=mid, mode="VIRTIO", readonly=True)],
        nics=[Nic(type="NAT")],
    )
    steps.end("create")
    return answer.vmid


def _watch(client: Client, steps: Steps, vmid: int, *, wait: bool) -> bool:
    """Start it if necessary, and show its console until it reports that it is ready. False: it has not."""
    running = client.vm_state(vmid=vmid).state is State.RUNNING
    steps.begin("Its serial console" if running else "Starting it; its serial console")
    client.set_vm_state(vmid=vmid, state="RUNNING")
    if not running:
        steps.end("start, until RUNNING is reported")
    console = client.console(client.open_console(vmid=vmid, kind="serial"))
    seen, shown = b"", 0
    waiting = Waiting(QUIET, LONGEST) if wait else Waiting(LOOK, LOOK)
    while READY not in seen and not waiting.is_over():
        piece = console.receive(timeout=1.0)
        if piece == b"":
            break
        if piece:
            seen += piece
            waiting.heard()
            shown += _show(seen[shown:])
    console.close()
    _show(seen[shown:] + b"\n")
    if READY in seen:
        steps.end("boot, until the guest is ready")
    return READY in seen or not wait


def _show(said: bytes) -> int:
    """Print the complete lines; returns the bytes consumed.

    The firmware's escape sequences, which clear the screen and move the cursor, are removed.
    """
    whole = said.rfind(b"\n") + 1
    for line in CONTROL.sub(b"", said[:whole]).decode("utf-8", "replace").splitlines():
        if line.strip():
            click.echo(f"    {clean(line.rstrip())}")
    return whole


def _remove(client: Client, gid: int, name: str) -> None:
    gone = False
    for one in client.list_vms(gid=gid).vms:
        if one.name == name:
            client.set_vm_state(vmid=one.vmid, state="STOPPED", force=True)
            client.delete_vm(vmid=one.vmid)
            click.echo(f"stopped and removed the VM {clean(name)}", err=True)
            gone = True
    for medium in client.list_media(gid=gid).media:
        if medium.name == name:
            client.delete_medium(mid=medium.mid)
            click.echo(f"removed the medium {clean(name)}", err=True)
            gone = True
    if not gone:
        click.echo(f"there is no VM or medium named {clean(name)}", err=True)


def _farewell(velocity: str, name: str, vmid: int, of: str) -> None:
    """`velocity`: how to call this server's command line; `of`: the option with the group, if one was given."""
    remove = "demo --remove" if name == "demo" else f"demo --name {shlex.quote(name)} --remove"
    word = shlex.quote(name if naming.number(name) is None else f"{naming.PREFIX}{vmid}")
    click.echo(
        f"""
{clean(name)} keeps running. Try these commands:
  {velocity} vm console {word}{of}      open its console; Ctrl-] leaves
  {velocity} vm show {word}{of}         show everything about it
  {velocity} vm pause {word}{of}        pause it; `vm resume` continues
  {velocity} vm stop {word}{of}         press its power button
  {velocity} {remove}{of}        remove it again""",
        err=True,
    )
