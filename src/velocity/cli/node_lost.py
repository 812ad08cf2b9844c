"""`velocity node confirm-dead` and `fence`: lost hosts."""

from __future__ import annotations

import shlex
import sys

import click
from msgspec import UNSET, UnsetType

from velocity.cli import connection, naming, seen
from velocity.cli.node_verbs import NODE
from velocity.cli.output import answerable, as_json, confirm, done, planning, show_json
from velocity.cli.plan import changing
from velocity.cli.words import clean, moment, names, program
from velocity.client import Client
from velocity.contract.lost_hosts import BLOCKLIST, CONFIRM, FENCE, BlocklistNode, ConfirmDead, FenceNode
from velocity.contract.nodes import NodeInfo

YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


@click.command("confirm-dead")
@NODE
@YES
@changing
def confirm_dead(host: int, yes: bool) -> None:
    """Confirm that a HOST that does not answer is off. Its VMs can then be started elsewhere.

    If it does run VMs, they are ended when it answers again; until then, they may run twice, and destroy their disks.
    """
    client = connection.connect()
    now = client.show_node(host=host)
    if not yes and not planning() and now.dead is UNSET:
        stakes = client.plan(CONFIRM, ConfirmDead(host=host, name=now.name))
        _tell([one.name for one in stakes.steps if one.kind == "vm"], now)
        confirm(f"Is the machine {clean(now.name)} off, or cut from its disks and networks?")
        _type_name(now)
    after = client.confirm_dead(host=host, name=now.name)
    _done(after, f"{clean(now.name)} is confirmed dead; its VMs can be started elsewhere, if their media are there")


def _tell(vms: list[str], now: NodeInfo, which: str = "these VMs ran on it", none: str = "no VM ran on it") -> None:
    ran = f"{which}: {names(vms)}" if vms else none
    when = "" if isinstance(now.since, UnsetType) else f" ({moment(now.since)})"
    click.echo(f"when {clean(now.name)} last responded{when}, {ran}", err=True)


def _type_name(now: NodeInfo) -> None:
    with answerable("--yes answers it"):
        typed = click.prompt("Type the name of the host", err=True)
    if typed != now.name:
        click.echo("the name differs: nothing was changed", err=True)
        raise click.Abort


@click.command()
@NODE
@click.option("--agent", metavar="AGENT", help="Power it off with this fence agent, such as fence_ipmilan.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="An option of the agent, such as ip=192.0.2.9; NAME alone asks for its value.",
)
@click.option("--test", is_flag=True, help="Ask the agent whether the machine is on.")
@click.option("--remove", is_flag=True, help="Forget the agent and its options.")
@click.option("--now", is_flag=True, help="Power the machine off; its VMs can then be started elsewhere.")
@click.option("--blocklist", is_flag=True, help="Blocklist it on Ceph; VMs that write only to RBD are freed.")
@YES
@changing
def fence(
    host: int,
    agent: str | None,
    options: tuple[str, ...],
    test: bool,
    remove: bool,
    now: bool,
    blocklist: bool,
    yes: bool,
) -> None:
    """Show, set, test or use the way to fence HOST when it is lost.

    A host that has VMs with --ha restart is fenced automatically when it is silent for `fence_after` seconds: by its
    agent, or, without one, by the blocklist of the Ceph cluster, if such a VM writes only to RBD.
    """
    if sum((agent is not None, test, remove, now, blocklist)) > 1:
        raise click.UsageError("--agent, --test, --remove, --now and --blocklist are given one at a time")
    if options and agent is None:
        raise click.UsageError("--option goes with --agent")
    client = connection.connect()
    if agent is not None:
        client.set_fence(host=host, agent=agent, options=dict(map(_option, options)))
        done(f"set; test it: {program()} node fence {_word(client, host)} --test")
    elif test:
        _test(client, host)
    elif remove:
        client.remove_fence(host=host)
        done("its fence agent is forgotten")
    elif now:
        _power_off(client, host, yes=yes)
    elif blocklist:
        _blocklist(client, host, yes=yes)
    else:
        _show(client.show_node(host=host))


def _word(client: Client, host: int) -> str:
    """A word for this host on a command line."""
    hosts = seen.hosts(client)
    return shlex.quote(clean(naming.unique(hosts.get(host, f"id:{host}"), host, naming.number, hosts)))


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if not sys.stdin.isatty():
        return name, sys.stdin.readline().rstrip("\n")
    return name, str(click.prompt(clean(name), hide_input=True, err=True))


def _test(client: Client, host: int) -> None:
    said = client.test_fence(host=host)
    if as_json():
        show_json(said)
    else:
        click.echo(f"its fence agent says that the machine is {said.power}")


def _power_off(client: Client, host: int, *, yes: bool) -> None:
    now = client.show_node(host=host)
    if not yes and not planning():
        stakes = client.plan(FENCE, FenceNode(host=host, name=now.name))
        _tell([one.name for one in stakes.steps if one.kind == "vm"], now)
        confirm(f"Power {clean(now.name)} off, with all that runs on it?")
        _type_name(now)
    after = client.fence_node(host=host, name=now.name)
    _done(after, f"{clean(now.name)} is off and confirmed dead; its VMs can be started elsewhere")


def _blocklist(client: Client, host: int, *, yes: bool) -> None:
    now = client.show_node(host=host)
    if not yes and not planning():
        stakes = client.plan(BLOCKLIST, BlocklistNode(host=host, name=now.name))
        _tell(
            [one.name for one in stakes.steps if one.kind == "vm"],
            now,
            "these of its VMs wrote only to RBD",
            "none of its VMs wrote only to RBD",
        )
        confirm(f"Blocklist {clean(now.name)} on Ceph, so that it cannot write to RBD until it answers again?")
        _type_name(now)
    after = client.blocklist_node(host=host, name=now.name)
    _done(after, f"{clean(now.name)} is blocklisted; VMs that write only to RBD can be started elsewhere")


def _done(after: NodeInfo, words: str) -> None:
    if as_json() and not planning():
        show_json(after)
    else:
        done(words)


def _show(now: NodeInfo) -> None:
    if as_json():
        show_json(now)
    elif now.fence is UNSET:
        click.echo(f"no fence agent is set for {clean(now.name)}")
    else:
        click.echo(clean(now.fence.agent))
        for name, value in sorted(now.fence.options.items()):
            click.echo(f"  {clean(name)}={clean(value)}")
        for name in now.fence.secrets:
            click.echo(f"  {clean(name)}  (not shown)")
