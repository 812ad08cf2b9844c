"""`velocity events`."""

from __future__ import annotations

import itertools
import math
import time

import click
import msgspec

from velocity.cli import connection
from velocity.cli.output import as_json, json_option
from velocity.cli.words import clean
from velocity.contract.events import Changed, Event, Gone, InitialState, SetGroup, SetMedium, SetTask, SetVm


@click.command()
@click.option("--count", type=click.IntRange(1), metavar="NUMBER", help="End after this many events.")
@json_option
def events(count: int | None) -> None:
    """Follow everything that you may see: first its present state, then each change, one line each. Ctrl-C ends it."""
    stream = connection.connect().events(patience=math.inf)
    for event in itertools.islice(stream, count):
        if as_json():
            told = {"event": event.event, "data": event}
            click.echo(msgspec.json.encode(told).decode())
        else:
            click.echo(f"{time.strftime('%H:%M:%S')}  {clean(line(event))}")


def line(event: Event) -> str:
    """An event in a line, for people."""
    match event:
        case InitialState(vms=vms, media=media, groups=groups, tasks=tasks):
            return f"you see {len(groups)} groups, {len(vms)} VMs, {len(media)} media, {len(tasks)} tasks"
        case SetVm(object=vm):
            reason = "" if isinstance(vm.reason, msgspec.UnsetType) else f" ({vm.reason.message})"
            return f"vm {vm.vmid} {vm.name}: {vm.state.value}{reason}"
        case SetMedium(object=medium):
            users = ", ".join(f"{one.name}{' (writing)' if one.writing else ''}" for one in medium.used_by)
            return f"medium {medium.mid} {medium.name}: {f'used by {users}' if users else 'not in use'}"
        case SetTask(object=task):
            return f"task {task.tid} {task.kind} {task.name}: {task.state.value} {task.done}/{task.total} {task.unit}"
        case SetGroup(object=group):
            return f"group {group.gid} {group.name}: under group {group.parent_gid}"
        case Gone(kind=kind, id=one):
            return f"{kind} {one}: gone"
        case Changed(kind=kind, gid=gid):
            return f"{kind} of {'yours' if isinstance(gid, msgspec.UnsetType) else f'group {gid}'}: changed"
        case _:
            return f"user {event.object.uid} {event.object.name}"
