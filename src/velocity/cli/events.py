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
from velocity.contract.events import Changed, Event, Gone, InitialState, SetGroup, SetMedium, SetTask, SetUser, SetVm

Names = dict[tuple[str, object], str]
"""Names by kind and id."""


@click.command()
@click.option("--count", type=click.IntRange(1), metavar="NUMBER", help="End after this many events.")
@json_option
def events(count: int | None) -> None:
    """Follow all that you may see: the present state first, then each change, one per line. Ctrl-C ends it."""
    stream = connection.connect().events(patience=math.inf)
    names: Names = {}
    for event in itertools.islice(stream, count):
        if as_json():
            told = {"event": event.event, "data": event}
            click.echo(msgspec.json.encode(told))
        else:
            click.echo(f"{time.strftime('%H:%M:%S')}  {clean(line(event, names))}")
        _learn(names, event)


def _learn(names: Names, event: Event) -> None:
    """Remember names, as later events may contain only ids."""
    match event:
        case InitialState():
            names.clear()
            names.update({("vm", one.vmid): one.name for one in event.vms})
            names.update({("medium", one.mid): one.name for one in event.media})
            names.update({("group", one.gid): one.name for one in event.groups})
            names.update({("task", one.tid): f"{one.kind} {one.name}" for one in event.tasks})
            names.update({("user", one.uid): one.name for one in event.users or []})
        case SetVm(object=vm):
            names["vm", vm.vmid] = vm.name
        case SetMedium(object=medium):
            names["medium", medium.mid] = medium.name
        case SetGroup(object=group):
            names["group", group.gid] = group.name
        case SetTask(object=task):
            names["task", task.tid] = f"{task.kind} {task.name}"
        case SetUser(object=user):
            names["user", user.uid] = user.name


def line(event: Event, names: Names | None = None) -> str:
    """An event as a line of text. `names` are those learnt so far."""
    known = names or {}

    def called(kind: str, one: object) -> str:
        return f"{kind} {one}{f' {known[kind, one]}' if (kind, one) in known else ''}"

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
            return f"group {group.gid} {group.name}: under {called('group', group.parent_gid)}"
        case Gone(kind=kind, id=one):
            return f"{called(kind, one)}: gone"
        case Changed(kind=kind, gid=gid):
            return f"{kind} of {'yours' if isinstance(gid, msgspec.UnsetType) else called('group', gid)}: changed"
        case _:
            return f"user {event.object.uid} {event.object.name}"
