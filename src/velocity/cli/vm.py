"""`velocity vm`."""

from __future__ import annotations

import contextlib
import functools
import shlex
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from msgspec import UNSET

from velocity.cli import connection, resolve, seen, where
from velocity.cli.amounts import SECONDS
from velocity.cli.facts import show_facts
from velocity.cli.lazy import LazyGroup
from velocity.cli.output import (
    SizeCell,
    UptimeCell,
    as_json,
    done,
    json_option,
    listed,
    listing,
    planning,
    show_json,
    warn,
)
from velocity.cli.paging import Page, paged
from velocity.cli.plan import changing, unplanned
from velocity.cli.vm_boot import choosing, words_of
from velocity.cli.waiting import waiting
from velocity.cli.where import GROUP
from velocity.cli.which import which
from velocity.cli.words import clean, names, program
from velocity.client import ApiError, Client, PlanOnly
from velocity.contract.machines import LIST, ListVms, State, VmInfo, Vms, VmState, VmSummary

if TYPE_CHECKING:
    from velocity.cli.attachments import MediaNames

VMS_REFUSED = 17100


VERBS = {
    "create": "velocity.cli.vm_change:create",
    "cd": "velocity.cli.cd:cd",
    "set": "velocity.cli.vm_change:set_",
    "attach": "velocity.cli.vm_disks:attach",
    "detach": "velocity.cli.vm_disks:detach",
    "clone": "velocity.cli.vm_change:clone",
    "move": "velocity.cli.vm_move:move",
    "hosts": "velocity.cli.vm_move:hosts",
    "next-boot": "velocity.cli.vm_boot:next_boot",
    "nic": "velocity.cli.vm_nics:nic",
    "link": "velocity.cli.vm_link:link",
    "screen": "velocity.cli.screen:screen",
    "log": "velocity.cli.screen:log",
    "find": "velocity.cli.screen:find",
    "guest": "velocity.cli.guest:guest",
    "exec": "velocity.cli.guest:exec_",
    "cp": "velocity.cli.guest:cp",
    "passwd": "velocity.cli.guest:passwd",
    "ssh-key": "velocity.cli.guest:ssh_key",
    "freeze": "velocity.cli.freezing:freeze",
    "thaw": "velocity.cli.freezing:thaw",
    "metrics": "velocity.cli.metrics:metrics",
    "command": "velocity.cli.metrics:command",
    "ssh": "velocity.cli.ssh:ssh",
}
"""Verbs in other modules."""


@click.group(cls=LazyGroup, verbs=VERBS)
def vm() -> None:
    """Virtual machines. VM is a name, in the group or else anywhere if it is unique, or an id (`id:7`)."""


@vm.command("list")
@GROUP
@click.option("--all", "everywhere", is_flag=True, help="VMs of all groups that you see.")
@click.option(
    "--state",
    type=click.Choice([one.value for one in State], case_sensitive=False),
    metavar="STATE",
    help="Only VMs in this state.",
)
@paged()
@listing
def list_(group: int | None, everywhere: bool, state: str | None, page: Page) -> None:
    """List the VMs of a group."""
    client = connection.connect()
    groups = _groups(client, group, everywhere)
    every = [(path, vm) for path, gid in groups for vm in _vms(client, gid, everywhere, page)]
    found = page.cut(every, key=lambda one: one[1].vmid)
    paths = {vm.vmid: path for path, vm in found}
    hosts = ("HOST",) if any(vm.host for _, vm in found) else ()
    runs = any(vm.state is not State.STOPPED for _, vm in found)
    since = functools.cache(lambda: _since(client) if runs else {})
    there = f"no VMs: `{program()} vm create NAME{where.option(client, group)}`, or `{program()} demo`"
    listed(
        Vms(vms=[vm for _, vm in found if state is None or vm.state.value == state]),
        "vms",
        ("VMID", "NAME", "GROUP", "STATE", "CPUS", "MEMORY", "ADDRESS", "MAC", "UPTIME", *hosts),
        lambda one: (
            one.vmid, one.name, paths[one.vmid], one.state.value, one.cpus, SizeCell(one.memory_mib << 20),
            one.address or "", one.mac or "", _up(since().get(one.vmid)),
            *((one.host.name if one.host else "",) if hosts else ()),
        ),
        empty=f"no VM is {state}" if found else there,
        noun="VM",
        spare=("MAC", "UPTIME"),
    )  # fmt: skip
    silent = [vm.name for _, vm in found if vm.unreachable_since is not UNSET]
    if silent and not as_json():
        warn([f"shown in their last known state, as they do not respond: {names(silent)}"])


def _since(client: Client) -> dict[int, int]:
    """For each running VM, when it was started; unknown in its first seconds."""
    usage = client.vms_usage()
    return dict(zip(usage.vmids, usage.running_since, strict=True))


def _up(since: int | None) -> UptimeCell | str:
    return "" if since is None else UptimeCell(max(0, int(time.time()) - since))


def _groups(client: Client, group: int | None, everywhere: bool) -> list[tuple[str, int]]:
    """The groups to list, with the text for the column."""
    if everywhere:
        return [(path, one) for one, path in where.paths(client).items()]
    gid = where.here(client, group)
    return [(where.path(client, gid), gid)]


def _vms(client: Client, gid: int, everywhere: bool, page: Page) -> list[VmSummary]:
    try:
        return page.ask(client, LIST, ListVms(gid=gid)).vms
    except ApiError as error:
        if everywhere and error.status == 401 and error.code == VMS_REFUSED:
            return []  # a group that is visible for other reasons
        raise


@vm.command()
@which
@json_option
def show(vm_: str, group: int | None) -> None:
    """Show everything about VM."""
    client = connection.connect()
    info = client.show_vm(vmid=resolve.vmid(client, group, vm_))
    if as_json():
        show_json(info)
        return
    called = seen.media_names(client, info.gid, [one.mid for one in info.media])
    show_facts(_facts(info, where.path(client, info.gid), called))


@vm.command()
@which
@click.option("--paused", is_flag=True, help="Load it, but do not execute it yet.")
@changing
@choosing
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
@click.option("--force", is_flag=True, help="Power it off immediately.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is STOPPED.")
@click.option("--timeout", type=SECONDS, default=60, show_default=True, help="How long to wait.")
@changing
def stop(vm_: str, group: int | None, force: bool, wait: bool, timeout: float) -> None:
    """Press VM's power button, and wait until VM is STOPPED."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    state = client.set_vm_state(vmid=found.id, state="STOPPED", force=force)
    if wait and state.state is not State.STOPPED:
        state = wait_stopped(client, found.id, timeout)
    _said(found.label, state)
    if wait and state.state is not State.STOPPED:
        hint = f"`{program()} vm stop {shlex.quote(clean(vm_))}{where.option(client, group)} --force`"
        words = f"{found.label} is still {state.state.value} after {timeout:.0f} s"
        raise click.ClickException(f"{words}; to power it off: {hint}")


@vm.command()
@which
@click.option("--force", is_flag=True, help="Power it off immediately, instead of asking the guest.")
@click.option("--wait/--no-wait", default=True, help="Wait until it is RUNNING; the server restarts it in any case.")
@click.option("--timeout", type=SECONDS, default=60, show_default=True, help="How long to wait.")
@changing
@choosing
def restart(vm_: str, group: int | None, force: bool, wait: bool, timeout: float) -> None:
    """Press VM's power button, and start VM again once it is STOPPED."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    state = client.restart_vm(vmid=found.id, force=force)
    if wait and state.restarting:
        state = wait_for(client, found.id, timeout, lambda one: not one.restarting)
    _said(found.label, state)
    if wait and state.restarting:
        hint = f"`{program()} vm restart {shlex.quote(clean(vm_))}{where.option(client, group)} --force`"
        words = f"{found.label} is still {state.state.value} after {timeout:.0f} s, and is started once it has stopped"
        raise click.ClickException(f"{words}; to power it off now: {hint}")
    if wait and state.state is State.STOPPED:
        raise click.ClickException(f"{found.label} was not started again")


@vm.command()
@which
@changing
def reset(vm_: str, group: int | None) -> None:
    """Reset VM at once, without asking its guest. What has not reached its disks is lost."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    _said(found.label, client.reset_vm(vmid=found.id))


@vm.command()
@which
@click.option("--force", is_flag=True, help="Power it off first.")
@click.option("--purge", is_flag=True, help="Delete permanently, without the trash.")
@click.option("--with-disks", "disks", is_flag=True, help="Its disks too; refused if another VM has one of them.")
@click.option("--leave", multiple=True, metavar="DISK", help="With --with-disks: a disk that remains; repeatable.")
@changing
def rm(vm_: str, group: int | None, force: bool, purge: bool, disks: bool, leave: tuple[str, ...]) -> None:
    """Move VM to the trash; its media remain, unless its disks go with it. ISOs always remain."""
    if leave and not disks:
        raise click.UsageError("--leave is for --with-disks: without it, all disks remain")
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    left = [resolve.medium(client, found.gid, one, beyond=True).id for one in leave]
    if force:
        with contextlib.suppress(PlanOnly):
            client.set_vm_state(vmid=found.id, state="STOPPED", force=True)
    if planning() and force and client.vm_state(vmid=found.id).state is not State.STOPPED:
        unplanned(
            f"{found.label} would be removed after it has stopped; whatever might refuse the removal is not "
            "checked in advance"
        )
        return
    client.delete_vm(vmid=found.id, purge=purge, disks=disks, leave=left)
    done(f"deleted VM {found.label}{' with its disks' if disks else ''}{' permanently' if purge else ''}")


@vm.command()
@which
@click.option("--escape", metavar="KEY", help="The key that leaves it: ^] and the like, or none (`console_escape`).")
@click.option("--until", metavar="TEXT", help="Leave when TEXT appears; exit status 1 if it does not.")
@click.option("--wait", type=SECONDS, default=5, show_default=True, help="How long to stay after the end of the input.")
@click.option("--timeout", type=SECONDS, help="Leave after this time, with exit status 1. [with --until: 60]")
def console(
    vm_: str, group: int | None, escape: str | None, until: str | None, wait: float, timeout: float | None
) -> None:  # fmt: skip
    """Open the serial console of VM. Ctrl-] leaves it; Ctrl-^ asks for the keyboard, or gives it.

    Input from a pipe is typed into the guest. With --until, only output after the first input counts; without input,
    earlier output counts, too.
    """
    from velocity.cli.terminal import Terms, converse, key

    if until == "":
        raise click.BadParameter("the text must have a character", param_hint="--until")
    terms = Terms(key(escape), wait, (until or "").encode(), 60 if until and timeout is None else timeout)
    client = connection.connect()
    ticket = client.open_console(vmid=resolve.vmid(client, group, vm_), kind="serial")
    converse(client.console(ticket, control=True), terms)


def _request(word: str, group: int | None, state: str) -> None:
    client = connection.connect()
    found = resolve.vm(client, group, word)
    with waiting(f"{found.label}: asking for {state}"):
        answer = client.set_vm_state(vmid=found.id, state=state)
    _said(found.label, answer)


def _said(label: str, answer: VmState) -> None:
    if as_json():
        show_json(answer)
        return
    click.echo(f"{label} is {answer.state.value}")
    if answer.reason:
        click.echo(f"  {clean(answer.reason.message)}", err=True)
    for warning in answer.warnings or []:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)
    if answer.next_boot is not UNSET:
        click.echo(f"  at its next start: {words_of(answer.next_boot, str)}", err=True)
    if answer.unreachable_since:
        click.echo("  it does not respond: this is its last known state", err=True)


def wait_stopped(client: Client, vmid: int, timeout: float) -> VmState:
    return wait_for(client, vmid, timeout, lambda one: one.state is State.STOPPED)


def wait_for(client: Client, vmid: int, timeout: float, ended: Callable[[VmState], bool]) -> VmState:
    """Poll until the VM has `ended` or the time is over: the API has no longer wait."""
    begun = time.monotonic()
    with waiting("STOPPING") as status:
        while True:
            state = client.vm_state(vmid=vmid)
            passed = time.monotonic() - begun
            if ended(state) or passed > timeout:
                return state
            since = (
                f" since {time.strftime('%H:%M:%S', time.localtime(state.stopping_since))}"
                if state.stopping_since
                else ""
            )
            status.update(f"{state.state.value}{since}: the power button is pressed again until the guest reacts")
            time.sleep(0.2)


def _requested(info: VmInfo) -> str:
    if info.restarting:
        return " (restarting)"
    return f" (requested: {info.wanted.value})" if info.wanted is not info.state else ""


def _times(info: VmInfo) -> list[tuple[str, object]]:
    since = [("up for", _up(info.running_since))] if info.running_since else []
    made = [("created", time.strftime("%Y-%m-%d %H:%M", time.localtime(info.created)))] if info.created else []
    return [*since, *made]


def _facts(info: VmInfo, path: str, called: MediaNames) -> list[tuple[str, object]]:
    from velocity.cli.attachments import with_names
    from velocity.cli.vm_settings import lines

    facts: list[tuple[str, object]] = [
        ("name", info.name),
        ("vmid", info.vmid),
        ("group", path),
        ("state", info.state.value + _requested(info)),
    ]
    facts += _times(info)
    if info.unreachable_since:
        facts.append(("", "it does not respond: this is its last known state"))
    if info.host:
        facts.append(("host", info.host.name))
    if info.moving:
        task = "" if info.moving.tid is UNSET else f" (task {info.moving.tid})"
        facts.append(("moving to", f"{info.moving.host.name}{task}"))
    if info.frozen_until:
        at = time.strftime("%H:%M:%S", time.localtime(info.frozen_until))
        facts.append(("file systems", f"frozen until {at}: `velocity vm thaw` thaws them"))
    if info.reason:
        facts.append(("reason", f"{with_names(info.reason.message, called)} ({info.reason.cause})"))
    facts += lines(info, called, waiting=True)
    facts += [("warning", warning) for warning in info.warnings or []]
    if info.waiting:
        facts.append(("next start", f"changes {', '.join(info.waiting)}"))
        facts += [("", f"{field}: {with_names(why, called)}") for field, why in (info.waits or {}).items()]
    if info.next_boot is not UNSET:
        facts.append(("next start", words_of(info.next_boot, called)))
    facts += [*lines(info, called, waiting=False), ("machine", info.machine_type), ("firmware", info.firmware)]
    facts.append(("hardware", info.hardware))
    if info.isolation:
        holds = info.isolation
        own = f"namespaces {' '.join(holds.namespaces) or 'none'}"
        facts.append(("isolation", f"uid {holds.uid}, {own}, seccomp {'on' if holds.seccomp else 'off'}"))
        if holds.memory_limit_mib:
            facts.append(("", f"at most {holds.memory_limit_mib} MiB of memory and {holds.thread_limit} threads"))
        facts += [("", f"gap: {gap}") for gap in holds.gaps]
    return facts
