"""The commands of `velocity node` that use the server."""

from __future__ import annotations

import click
from msgspec import UNSET, UnsetType

from velocity.cli import connection, naming, resolve, seen
from velocity.cli.facts import show_facts
from velocity.cli.output import SizeCell, as_json, done, json_option, listed, listing, made, show_json, warn
from velocity.cli.paging import Page, paged
from velocity.cli.plan import changing
from velocity.cli.task import follow
from velocity.cli.words import clean, moment, program
from velocity.contract.nodes import LIST, ListNodes, NodeInfo
from velocity.sizes import size

NODE = click.argument("host", metavar="HOST", type=naming.NumberedType("host", resolve.host, seen.hosts))


@click.command("list")
@paged()
@listing
def list_nodes(page: Page) -> None:
    """List the hosts, with the one that the server runs on."""
    answer = page.ask(connection.connect(), LIST, ListNodes())
    listed(
        answer,
        "nodes",
        ("HOST", "NAME", "STATE", "DUTY", "ADDRESS", "VERSION", "VMS", "MEMORY", "MESSAGE"),
        lambda one: (
            one.host,
            one.name,
            one.state,
            one.duty,
            "-" if one.address is UNSET else one.address,
            "-" if one.version is UNSET else one.version,
            one.vms,
            "-" if isinstance(one.memory_mib, UnsetType) else SizeCell(one.memory_mib << 20),
            "" if one.message is UNSET else one.message,
        ),
        empty="there are no hosts",
        noun="host",
        spare=("VERSION", "MEMORY", "ADDRESS"),
    )


@click.command()
@NODE
@json_option
def show(host: int) -> None:
    """Show HOST as the server knows it."""
    now = connection.connect().show_node(host=host)
    if as_json():
        show_json(now)
        return
    show_facts((name, value) for name, value in _facts(now) if value is not UNSET)
    warn([now.message, now.missing])


def _facts(now: NodeInfo) -> list[tuple[str, object]]:
    return [
        ("name", f"{now.name} (id:{now.host}){', the server runs on it' if now.own else ''}"),
        ("state", _state(now)),
        (
            "dead",
            UNSET
            if isinstance(now.dead, UnsetType)
            else f"since {moment(now.dead.at)}, by {now.dead.by}: its VMs can start elsewhere",
        ),
        ("blocklisted", _blocklisted(now)),
        ("fence", UNSET if isinstance(now.fence, UnsetType) else now.fence.agent),
        ("duty", now.duty),
        ("labels", ", ".join(f"{key}={value}" for key, value in now.labels.items()) or "none"),
        ("address", now.address),
        ("hostname", now.hostname),
        ("velocity", now.version),
        ("clock", _clock(now)),
        ("hypervisor", now.hypervisor),
        ("accelerator", now.accelerator),
        ("cpus", _cpus(now)),
        ("memory", UNSET if isinstance(now.memory_mib, UnsetType) else _memory(now.memory_mib, now.memory_given_mib)),
        ("vms", now.vms),
        ("pools", ", ".join(f"{one.name} ({one.mpid})" for one in now.pools) or "none"),
        ("nics", ", ".join(f"{one.identifier} ({one.nicid})" for one in now.nics) or "none"),
        ("joined", UNSET if isinstance(now.joined, UnsetType) else moment(now.joined)),
        ("copy", _copy(now)),
        ("certificate", UNSET if isinstance(now.certificate_expires, UnsetType) else _until(now.certificate_expires)),
    ]


def _state(now: NodeInfo) -> str:
    """With the time since when it is silent; since when it counts as dead, stands by itself."""
    if isinstance(now.since, UnsetType):
        return now.state
    return f"{now.state}{', silent' if now.state == 'dead' else ''} since {moment(now.since)}"


def _blocklisted(now: NodeInfo) -> object:
    """Since when it is blocklisted, and why it still is."""
    listed = now.blocklisted
    if isinstance(listed, UnsetType):
        return UNSET
    why = "" if listed.message is UNSET else f"; {listed.message}"
    return f"on Ceph since {moment(listed.at)}, by {listed.by} ({', '.join(listed.addresses)}){why}"


def _copy(now: NodeInfo) -> object:
    """How old its copy of the database is."""
    if now.keeps_copy is not True:
        return UNSET
    kept = "none yet" if isinstance(now.copied, UnsetType) else f"of {moment(now.copied)}"
    return kept if now.copy_message is UNSET else f"{kept}; {now.copy_message}"


def _clock(now: NodeInfo) -> object:
    """How far its clock is off."""
    if isinstance(now.clock_ahead, UnsetType):
        return UNSET
    return f"{abs(now.clock_ahead)} s {'ahead of' if now.clock_ahead > 0 else 'behind'} the server's"


def _cpus(now: NodeInfo) -> str | UnsetType:
    if isinstance(now.max_vm_cpus, UnsetType):
        return UNSET
    own = "" if isinstance(now.cpus, UnsetType) else f"{now.cpus}, "
    return f"{own}{now.cpus_given} given to VMs; one VM can have {now.max_vm_cpus}"


def _memory(mib: int, given: int) -> str:
    return f"{size(mib << 20)}, {size(given << 20)} given to VMs"


def _until(at: int) -> str:
    return f"until {moment(at)}, renewed automatically before then"


@click.command()
@click.option("--again", "host", metavar="HOST", help="Let this known host join again.")
@click.option(
    "--url", "urls", multiple=True, metavar="URL", help="The address by which the other machine reaches this server."
)
@changing
def token(host: str | None, urls: tuple[str, ...]) -> None:
    """Make a token by which one machine can join within an hour (`velocity node join`)."""
    client = connection.connect()
    known = UNSET if host is None else resolve.host(client, host)
    answer = client.make_node_token(host=known, urls=list(urls) or UNSET)
    made(
        answer,
        answer.token,
        "on the machine that is to join: velocity node join   (within an hour; it asks for the token)",
    )
    if not as_json():
        warn(answer.warnings or [])


@click.command("set")
@NODE
@click.option("--name", metavar="NAME", help="A new name.")
@click.option("--address", metavar="HOST:PORT", help="The address by which the server reaches it.")
@click.option("--keeps-copy/--no-keeps-copy", "copy", default=None, help="Whether it keeps a copy of the database.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="A label; `KEY=` removes it.")
@changing
def set_(host: int, name: str | None, address: str | None, copy: bool | None, labels: tuple[str, ...]) -> None:
    """Change HOST. Settings that are not given stay."""
    client = connection.connect()
    client.set_node(
        host=host,
        name=UNSET if name is None else name,
        address=UNSET if address is None else address,
        keeps_copy=UNSET if copy is None else copy,
        labels=_labels(client.show_node(host=host).labels, labels) if labels else UNSET,
    )
    done(f"changed host {seen.host_label(client, host)}")


def _labels(now: dict[str, str], given: tuple[str, ...]) -> dict[str, str]:
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{clean(one)!r}: write KEY=VALUE, or KEY= to remove it", param_hint="--label")
        now = {**{at: said for at, said in now.items() if at != key}, **({key: value} if value else {})}
    return now


@click.command()
@NODE
@click.option("--move", is_flag=True, help="Move its VMs to other hosts, two at a time, running or not.")
@click.option("--detach", is_flag=True, help="With --move: do not wait, print the task.")
@changing
def drain(host: int, move: bool, detach: bool) -> None:
    """Place no more VMs on HOST. Those that are there keep running, or move away with --move."""
    if detach and not move:
        raise click.UsageError("--detach goes with --move")
    client = connection.connect()
    if move:
        follow(client, client.drain_node(host=host).tid, detach)
        return
    client.set_node(host=host, duty="draining")
    done(f"{seen.host_label(client, host)} accepts no new VMs; `{program()} node activate` ends that")


@click.command()
@NODE
@changing
def maintenance(host: int) -> None:
    """Start no more VMs on HOST, not even its own. Those that run keep running."""
    client = connection.connect()
    client.set_node(host=host, duty="maintenance")
    done(f"{seen.host_label(client, host)} starts no VMs; `{program()} node activate` ends that")


@click.command()
@NODE
@changing
def activate(host: int) -> None:
    """End the draining or maintenance of HOST."""
    client = connection.connect()
    client.set_node(host=host, duty="active")
    done(f"{seen.host_label(client, host)} takes and starts VMs")


@click.command()
@NODE
@changing
def rm(host: int) -> None:
    """Remove HOST, which must have no VMs. Its certificate becomes invalid."""
    client = connection.connect()
    label, listed = seen.host_label(client, host), client.show_node(host=host).blocklisted
    client.remove_node(host=host)
    done(f"removed host {label}; on that machine, stop and disable velocity-node.service")
    if listed is not UNSET:
        warn(
            f"the Ceph cluster still refuses all requests from {one}: once no guest runs on that machine any more, "
            f"run `ceph osd blocklist rm {one}:0/0`"
            for one in listed.addresses
        )
