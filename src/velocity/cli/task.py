"""`velocity task`: long work."""

from __future__ import annotations

import time

import click

from velocity.cli import connection, progress, resolve, where
from velocity.cli.lazy import Group
from velocity.cli.output import as_json, json_option, listed, listing, show_json
from velocity.cli.paging import Page, paged
from velocity.cli.plan import changing
from velocity.cli.where import GROUP
from velocity.cli.words import clean, program
from velocity.client import Client, ClientError
from velocity.contract.tasks import LIST, ListTasks, TaskInfo, TaskState
from velocity.sizes import size

LOOK = 0.2
"""Seconds between two questions about the progress of a task."""
TASK = click.argument("tid", metavar="TASK", type=resolve.TASK)


@click.group(cls=Group)
def task() -> None:
    """Tasks: fetches, imports, clones, moves, emptying the trash. TASK is the name of its object, or an id (`id:4`)."""


@task.command("list")
@GROUP
@paged()
@listing
def list_tasks(group: int | None, page: Page) -> None:
    """List the tasks of a group, newest first."""
    client = connection.connect()
    listed(
        page.ask(client, LIST, ListTasks(gid=where.here(client, group))),
        "tasks",
        ("TID", "KIND", "NAME", "STATE", "DONE", "MESSAGE"),
        lambda one: (one.tid, one.kind, one.name, one.state.value, _percent(one), one.message or ""),
        empty="no tasks in the last day",
        noun="task",
    )


@task.command()
@TASK
@json_option
def show(tid: int) -> None:
    """Show a task."""
    one = connection.connect().show_task(tid=tid)
    if as_json():
        show_json(one)
        return
    click.echo(f"{clean(called(one))}: {one.state.value} {_percent(one)}")
    if isinstance(one.message, str):
        click.echo(clean(one.message), err=True)


@task.command()
@TASK
@changing
def cancel(tid: int) -> None:
    """Cancel a task and remove what it has made so far."""
    one = connection.connect().cancel_task(tid=tid)
    if as_json():
        show_json(one)
    else:
        click.echo(one.state.value)


@task.command()
@TASK
@json_option
def wait(tid: int) -> None:
    """Wait for a task and show its progress."""
    follow(connection.connect(), tid, detach=False)


def follow(client: Client, tid: int, detach: bool) -> None:
    """Show its progress until it ends, then print the result; if detached, print the task only."""
    if detach:
        if as_json():
            show_json(client.show_task(tid=tid))
        else:
            click.echo(tid)
        return
    one = watch(client, tid)
    if as_json():
        show_json(one)
    elif one.state is TaskState.DONE and (one.mid or one.vmid):
        click.echo(one.mid or one.vmid)
    elif one.state is TaskState.DONE:
        click.echo(clean(one.message or "done"), err=True)
    check_done(one)


def watch(client: Client, tid: int) -> TaskInfo:
    """Show its progress on stderr until it ends. Ctrl-C ends the command, and not the task."""
    try:
        return _watch(client, tid)
    except KeyboardInterrupt:
        at = f"`{program()} task wait id:{tid}`, and `{program()} task cancel id:{tid}` ends it"
        click.echo(f"task {tid} continues on the server: {at}", err=True)
        raise


def _watch(client: Client, tid: int) -> TaskInfo:
    one = client.show_task(tid=tid)
    with progress.bar(unit="" if one.kind == "move_vm" else one.unit) as bar:
        shown = bar.add_task(progress.label(called(one)), total=None, beside="")
        while True:
            bar.update(shown, completed=one.done, total=one.total or None, beside=_beside(one))
            if one.state is not TaskState.RUNNING:
                return one
            time.sleep(LOOK)
            one = client.show_task(tid=tid)


def called(one: TaskInfo) -> str:
    """The task in words."""
    return f"{one.kind.removesuffix('_vm')} {one.name}"


def _beside(one: TaskInfo) -> str:
    """What the bar does not show: the progress of a part. A move of a VM has several parts."""
    if one.total_bytes:
        return f"{size(one.done_bytes or 0)} of {size(one.total_bytes)}"
    if not isinstance(one.phase, str):
        return ""
    moves = one.kind == "move_vm" and one.total > 1
    return f"{one.phase}: {size(one.done)} of {size(one.total)}" if moves else one.phase


def check_done(one: TaskInfo) -> None:
    """Raises `ClientError` unless the task has succeeded."""
    if one.state is not TaskState.DONE:
        raise ClientError(f"{called(one)} {one.state.value}: {one.message or 'by request'}")


def _percent(one: TaskInfo) -> str:
    return f"{one.done * 100 // one.total}%" if one.total else "-"
