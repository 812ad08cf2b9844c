"""`velocity vm next-boot`, and the same options in `vm start` and `vm restart`: a choice for the next start."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
from msgspec import UNSET

from velocity.cli import connection, resolve
from velocity.cli.attachments import MediaNames
from velocity.cli.output import as_json, planning, show_json
from velocity.cli.plan import changing
from velocity.cli.which import which
from velocity.client import Client, PlanOnly
from velocity.contract.machines import NextBoot, VmState

Function = TypeVar("Function", bound=Callable[..., Any])
SETUP, NORMAL, NIC = "setup", "normal", "nic:"


@click.command("next-boot")
@which
@click.argument("what", metavar="setup|normal|nic:ID|MEDIUM")
@changing
def next_boot(vm_: str, group: int | None, what: str) -> None:
    """Choose what VM's next start does: show the firmware's setup, or try a NIC or a medium first.

    It applies once; `normal` cancels it.
    """
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    answer = _choose(client, group, found.id, what)
    if as_json():
        show_json(answer)
        return
    words = "as any other" if answer.next_boot is UNSET else words_of(answer.next_boot, str)
    click.echo(f"the next start of {found.label}: {words}")


def choosing(command: Function) -> Function:
    """Adds the options to a command that starts a VM: the choice is made first."""

    @functools.wraps(command)
    def wrapped(*args: Any, vm_: str, group: int | None, firmware_setup: bool, first: str | None, **kwargs: Any) -> Any:
        if firmware_setup and first is not None:
            raise click.UsageError("--firmware-setup and --first do not go together: a start does one of them")
        if firmware_setup or first is not None:
            client = connection.connect()
            with contextlib.suppress(PlanOnly) if planning() else contextlib.nullcontext():
                _choose(client, group, resolve.vm(client, group, vm_).id, first if first is not None else SETUP)
        return command(*args, vm_=vm_, group=group, **kwargs)

    setup = click.option("--firmware-setup", is_flag=True, help="Show the firmware's setup at this start.")
    first = click.option("--first", metavar="MEDIUM|nic:ID", help="Try this medium or NIC first at this start.")
    return setup(first(wrapped))  # type: ignore[return-value]


def words_of(boots: NextBoot, called: MediaNames) -> str:
    """The choice in words."""
    if boots.mid is not UNSET:
        return f"{called(boots.mid)} first, once"
    if boots.nic is not UNSET:
        return f"NIC {boots.nic} first, once"
    return "the firmware's setup, once"


def _choose(client: Client, group: int | None, vmid: int, what: str) -> VmState:
    if what in (SETUP, NORMAL):
        return client.choose_boot(vmid=vmid, firmware_setup=what == SETUP)
    number = what.removeprefix(NIC)
    if number != what:
        if not (number.isascii() and number.isdigit()):
            raise click.BadParameter(f"{what!r} names no NIC: write nic:1, with the id that `vm show` gives")
        return client.choose_boot(vmid=vmid, nic=int(number))
    return client.choose_boot(vmid=vmid, mid=resolve.medium(client, group, what, beyond=True).id)
