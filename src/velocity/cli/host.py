"""`velocity host`."""

from __future__ import annotations

import click
from msgspec import UNSET

from velocity.cli import connection, resolve
from velocity.cli.facts import show_facts
from velocity.cli.lazy import Group
from velocity.cli.output import as_json, json_option, show_json, table, warn
from velocity.contract.hosts import HostPool, HostSummary, UnknownGuest
from velocity.sizes import duration, size


@click.group(cls=Group)
def host() -> None:
    """The hosts that run the VMs. HOST is a name, or an id (`id:2`)."""


@host.command()
@click.argument("which", metavar="[HOST]", type=resolve.HOST, required=False)
@json_option
def show(which: int | None) -> None:
    """Show HOST, or the server's own, with its load, memory, pools and hypervisor."""
    now = connection.connect().show_host(host=UNSET if which is None else which)
    if as_json():
        show_json(now)
        return
    facts = (
        ("name", now.name),
        ("velocity", now.version),
        ("hypervisor", now.hypervisor),
        ("accelerator", f"{now.accelerator}: {now.accelerator_reason}"),
        ("cpus", now.cpus),
        ("load", ", ".join(f"{mean:.2f}" for mean in now.load) + " on average over 1, 5 and 15 minutes"),
        ("memory", f"{size(now.memory_mib << 20)}, {size(now.memory_free_mib << 20)} of it free"),
        ("up for", duration(now.uptime)),
        ("vms", f"{now.vms.total}, {now.vms.running} of them running"),
    )
    show_facts(facts)
    click.echo()
    rows = [
        (one.mpid, one.name, size(one.size), size(one.free), size(one.declared), size(one.allocated), _state(one))
        for one in now.pools
    ]
    columns = ("MPID", "POOL", "SIZE", "FREE", "DECLARED", "ALLOCATED", "STATE")
    table(columns, rows, "no pools: see the setting `pools`")
    if now.hosts:
        click.echo()
        table(("ID", "HOST", "DUTY", "RUNNING", "CPU", "MEMORY", "GIVEN"), map(_row, now.hosts), "")
    warn(one.message for one in now.pools)
    warn(unknown(one) for one in now.unknown_guests)


def _state(pool: HostPool) -> str:
    return f"{pool.state}, shared" if pool.shared else pool.state


def _row(one: HostSummary) -> tuple[object, ...]:
    lost = ", does not respond" if one.dead_since is UNSET else ", confirmed dead"
    duty = one.duty if one.unreachable_since is UNSET else f"{one.duty}{lost}"
    running = f"{one.vms.running} of {one.vms.total} VMs"
    cpu = "-" if one.cpu_use is UNSET else f"{one.cpu_use:.0f}%"
    return one.id, one.name, duty, running, cpu, size(one.memory_mib << 20), size(one.memory_given_mib << 20)


def unknown(guest: UnknownGuest) -> str:
    """The text about a guest that belongs to no VM."""
    return (
        f"the guest {guest.uuid} is running, but belongs to no VM here, as after restoring an older database: "
        "`velocity doctor` on the host names its process"
    )
