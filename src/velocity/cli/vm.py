"""`velocity vm`."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import click
from msgspec import UNSET, UnsetType
from rich.console import Console

from velocity.cli import metrics, resolve, session, where
from velocity.cli.media import to_bytes
from velocity.cli.output import Bytes, as_json, done, json_option, listed, listing, made, planning, show_json
from velocity.cli.plan import changing, unplanned
from velocity.cli.screen import find, log, screen
from velocity.cli.where import GROUP
from velocity.cli.which import which
from velocity.cli.words import clean, program
from velocity.client import ApiError, Client, Planned
from velocity.contract.machines import Attachment, Display, Nic, State, VmInfo, Vms, VmState, VmSummary
from velocity.sizes import size

T = TypeVar("T")
VMS_REFUSED = 17100


@click.group()
def vm() -> None:
    """Virtual machines. VM is an id, or a name: in the group, or wherever you see one of that name."""


for _verb in (screen, log, find):
    vm.add_command(_verb)


@vm.command("list")
@GROUP
@click.option("--all", "everywhere", is_flag=True, help="Of every group that you see.")
@click.option(
    "--state",
    type=click.Choice([one.value for one in State], case_sensitive=False),
    metavar="STATE",
    help="Only those in that state.",
)
@listing
def list_(group: int | None, everywhere: bool, state: str | None) -> None:
    """List the VMs of a group."""
    client = session.connect()
    found = [(path, vm) for path, gid in _groups(client, group, everywhere) for vm in _vms(client, gid, everywhere)]
    paths = {vm.vmid: path for path, vm in found}
    there = f"no VMs: `{program()} vm create NAME{where.option(client, group)}`, or `{program()} demo`"
    listed(
        Vms(vms=[vm for _, vm in found if state is None or vm.state.value == state]),
        "vms",
        ("VMID", "NAME", "GROUP", "STATE", "CPUS", "MEMORY"),
        lambda one: (
            one.vmid, one.name, paths[one.vmid], one.state.value, one.cpus, Bytes(one.memory_mib << 20),
        ),
        empty=f"no VM is {state}" if found else there,
        noun="VM",
    )  # fmt: skip


def _groups(client: Client, group: int | None, everywhere: bool) -> list[tuple[str, int]]:
    """The groups to be listed, with what stands in the column."""
    if everywhere:
        return [(path, one) for one, path in where.paths(client).items()]
    gid = where.here(client, group)
    return [(where.path(client, gid), gid)]


def _vms(client: Client, gid: int, everywhere: bool) -> list[VmSummary]:
    try:
        return client.list_vms(gid=gid).vms
    except ApiError as error:
        if everywhere and error.status == 401 and error.code == VMS_REFUSED:
            return []  # a group that one sees for other reasons
        raise


@vm.command()
@click.argument("name")
@click.option("--cpus", type=int, default=1, show_default=True)
@click.option("--memory", default="1G", show_default=True, metavar="SIZE", help="Such as 512M or 4G.")
@click.option(
    "--display", "displays", multiple=True, metavar="[NAME=]WxH", help="A display; may be given several times."
)
@click.option(
    "--media",
    multiple=True,
    metavar="MEDIUM[:MODE][:ro]",
    help="A medium, in boot order; MODE is usb, block or virtio.",
)
@click.option("--nic", "nics", multiple=True, metavar="nat|bridge:NICID", help="A NIC.")
@click.option("--autostart", is_flag=True, help="Start it with the server.")
@click.option("--rosetta", is_flag=True, help="Ask for the translation layer, where the host has one.")
@GROUP
@changing
def create(
    name: str, cpus: int, memory: str, displays: tuple[str, ...], media: tuple[str, ...], nics: tuple[str, ...],
    autostart: bool, rosetta: bool, group: int | None,
) -> None:  # fmt: skip
    """Create the VM NAME."""
    client = session.connect()
    gid = where.here(client, group)
    answer = client.create_vm(
        name=name,
        gid=gid,
        cpus=cpus,
        memory_mib=to_bytes(memory) >> 20,
        displays=[to_display(number, text) for number, text in enumerate(displays)],
        media=[to_attachment(client, gid, text, beyond=True) for text in media],
        nics=[to_nic(text) for text in nics],
        autostart=autostart,
        rosetta=rosetta,
    )
    made(answer, answer.vmid, f"created VM {clean(name)} (vmid {answer.vmid}) in {where.path(client, gid)}")
    if as_json():
        return
    for warning in answer.warnings or []:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)


@vm.command("set")
@which
@click.option("--name", help="Another name.")
@click.option("--cpus", type=int)
@click.option("--memory", metavar="SIZE", help="Such as 512M or 4G.")
@click.option("--display", "displays", multiple=True, metavar="[NAME=]WxH", help="These displays; `none` for none.")
@click.option("--media", multiple=True, metavar="MEDIUM[:MODE][:ro]", help="These media; `none` for none.")
@click.option("--nic", "nics", multiple=True, metavar="nat|bridge:NICID", help="These NICs; `none` for none.")
@click.option("--autostart/--no-autostart", default=None, help="Start it with the server.")
@changing
def set_(
    vm_: str, group: int | None, name: str | None, cpus: int | None, memory: str | None, displays: tuple[str, ...],
    media: tuple[str, ...], nics: tuple[str, ...], autostart: bool | None,
) -> None:  # fmt: skip
    """Change VM; what is not named stays. Lists are given whole."""
    client = session.connect()
    found = resolve.vm(client, group, vm_)
    gid = client.show_vm(vmid=found.id).gid if found.gid is None and media else found.gid
    answer = client.alter_vm(
        vmid=found.id,
        name=UNSET if name is None else name,
        cpus=UNSET if cpus is None else cpus,
        memory_mib=UNSET if memory is None else to_bytes(memory) >> 20,
        displays=_list(displays, lambda number, text: to_display(number, text)),
        media=_list(media, lambda _, text: to_attachment(client, gid, text, beyond=True)),
        nics=_list(nics, lambda _, text: to_nic(text)),
        autostart=UNSET if autostart is None else autostart,
    )
    if as_json():
        show_json(answer)
        return
    for warning in answer.warnings or []:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)
    click.echo(f"at its next start: {', '.join(answer.waiting)}" if answer.waiting else f"{found.label} is changed")


def _list(words: tuple[str, ...], make: Callable[[int, str], T]) -> list[T] | UnsetType:
    """Nothing given: it stays; `none`: empty."""
    if not words:
        return UNSET
    return [] if words == ("none",) else [make(number, word) for number, word in enumerate(words)]


@vm.command()
@which
@json_option
def show(vm_: str, group: int | None) -> None:
    """Show everything about VM."""
    client = session.connect()
    info = client.show_vm(vmid=resolve.vmid(client, group, vm_))
    if as_json():
        show_json(info)
        return
    for name, value in _facts(info, where.path(client, info.gid)):
        click.echo(f"{click.style(name.ljust(14), bold=True)}{clean(value)}")


@vm.command()
@which
@click.option("--paused", is_flag=True, help="Load it and hold it before its first instruction.")
@changing
def start(vm_: str, group: int | None, paused: bool) -> None:
    """Start VM, or resume it."""
    _request(vm_, group, "PAUSED" if paused else "RUNNING")


@vm.command()
@which
@changing
def pause(vm_: str, group: int | None) -> None:
    """Pause VM."""
    _request(vm_, group, "PAUSED")


@vm.command()
@which
@changing
def resume(vm_: str, group: int | None) -> None:
    """Resume VM."""
    _request(vm_, group, "RUNNING")


@vm.command()
@which
@click.option("--force", is_flag=True, help="End it now, as if its power were cut.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is STOPPED.")
@click.option("--timeout", type=float, default=60, show_default=True, help="Seconds to wait.")
@changing
def stop(vm_: str, group: int | None, force: bool, wait: bool, timeout: float) -> None:
    """Press VM's power button and wait until it is STOPPED."""
    client = session.connect()
    found = resolve.vm(client, group, vm_)
    state = client.set_vm_state(vmid=found.id, state="STOPPED", force=force)
    if wait and state.state is not State.STOPPED:
        state = _wait(client, found.id, timeout)
    _said(found.label, state)
    if wait and state.state is not State.STOPPED:
        hint = f"`{program()} vm stop {vm_}{where.option(client, group)} --force` ends it now"
        raise click.ClickException(f"{found.label} is still {state.state.value} after {timeout:.0f} s: {hint}")


@vm.command()
@which
@click.option("--force", is_flag=True, help="Stop it first, with force.")
@click.option("--purge", is_flag=True, help="For good, past the trash.")
@changing
def rm(vm_: str, group: int | None, force: bool, purge: bool) -> None:
    """Remove VM into the trash; its media stay."""
    client = session.connect()
    found = resolve.vm(client, group, vm_)
    if force:
        with contextlib.suppress(Planned):
            client.set_vm_state(vmid=found.id, state="STOPPED", force=True)
    if planning() and force and client.vm_state(vmid=found.id).state is not State.STOPPED:
        unplanned(f"{found.label} would be removed once it is stopped: what refuses that is not seen before")
        return
    client.delete_vm(vmid=found.id, purge=purge)
    done(f"removed {found.label}")


@vm.command()
@which
def console(vm_: str, group: int | None) -> None:
    """Open the serial console of VM; Ctrl-] leaves it, Ctrl-^ asks for the keyboard or gives it."""
    from velocity.cli.terminal import converse

    client = session.connect()
    ticket = client.open_console(vmid=resolve.vmid(client, group, vm_), kind="serial")
    converse(client.console(ticket, control=True))


vm.add_command(metrics.metrics)
vm.add_command(metrics.command)


def to_display(number: int, text: str) -> Display:
    match = re.fullmatch(r"(?:(.+)=)?(\d+)x(\d+)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no display: write 1280x720, or NAME=1280x720")
    return Display(name=match[1] or f"display{number}", width=int(match[2]), height=int(match[3]))


def to_attachment(client: Client, gid: int | None, text: str, *, beyond: bool = False) -> Attachment:
    """`beyond`: a medium of another group will do, where the group has none of that name."""
    word, *rest = text.split(":")
    options = [option.upper() for option in rest]
    readonly = "RO" in options
    modes = [option for option in options if option != "RO"] or ["VIRTIO"]
    return Attachment(mid=resolve.medium(client, gid, word, beyond=beyond).id, mode=modes[0], readonly=readonly)


def to_nic(text: str) -> Nic:
    kind, _, host = text.partition(":")
    if not host:
        return Nic(type=kind.upper())
    if not host.isdigit():
        raise click.BadParameter(f"{text!r} is no NIC: write nat, or bridge:NICID")
    return Nic(type=kind.upper(), host=int(host))


def _request(word: str, group: int | None, state: str) -> None:
    client = session.connect()
    found = resolve.vm(client, group, word)
    with Console(file=sys.stderr).status(f"{found.label}: asking for {state}"):
        answer = client.set_vm_state(vmid=found.id, state=state)
    _said(found.label, answer)


def _said(label: str, answer: VmState) -> None:
    if as_json():
        show_json(answer)
        return
    click.echo(f"{label} is {answer.state.value}")
    if answer.reason:
        click.echo(f"  {clean(answer.reason.message)}", err=True)
    if answer.unreachable_since:
        click.echo("  it does not answer: this is the last state that was known", err=True)


def _wait(client: Client, vmid: int, timeout: float) -> VmState:
    """Ask until it is STOPPED or the time is over; the API has no longer answer than the state."""
    begun = time.monotonic()
    with Console(file=sys.stderr).status("STOPPING") as status:
        while True:
            state = client.vm_state(vmid=vmid)
            passed = time.monotonic() - begun
            if state.state is State.STOPPED or passed > timeout:
                return state
            since = (
                f" since {time.strftime('%H:%M:%S', time.localtime(state.stopping_since))}"
                if state.stopping_since
                else ""
            )
            status.update(f"{state.state.value}{since}: the power button is pressed until the guest hears it")
            time.sleep(0.2)


def _facts(info: VmInfo, path: str) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = [
        ("name", info.name),
        ("vmid", info.vmid),
        ("group", path),
        ("state", info.state.value + (f" (wanted: {info.wanted.value})" if info.wanted is not info.state else "")),
    ]
    if info.unreachable_since:
        facts.append(("", "it does not answer: this is the last state that was known"))
    if info.reason:
        facts.append(("reason", f"{info.reason.message} ({info.reason.cause})"))
    facts += [("cpus", info.cpus), ("memory", size(info.memory_mib << 20))]
    facts += [("display", f"{one.name} {one.width}x{one.height}, {one.ppi} ppi") for one in info.displays]
    facts += [("medium", f"{one.mid} {one.mode}{' readonly' if one.readonly else ''}") for one in info.media]
    facts += [
        ("nic", one.type + (f" on host NIC {one.host}" if isinstance(one.host, int) else "")) for one in info.nics
    ]
    if info.waiting:
        facts.append(("next start", f"changes {', '.join(info.waiting)}"))
    facts += [
        ("autostart", "yes" if info.autostart else "no"),
        ("machine", info.machine_type),
        ("firmware", info.firmware),
    ]
    if info.isolation:
        facts.append(("isolation", f"uid {info.isolation.uid}, seccomp {'on' if info.isolation.seccomp else 'off'}"))
        facts += [("", f"gap: {gap}") for gap in info.isolation.gaps]
    return facts
