"""`--plan` of every command that changes something: what it would do and take."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
from msgspec import UNSET

from velocity.cli import connection, resolve
from velocity.cli.output import as_json, json_option, show_json
from velocity.cli.words import clean
from velocity.client import PlanOnly
from velocity.sizes import size

if TYPE_CHECKING:
    from velocity.contract.plan import Consumption, FieldChange, Plan, Step

Function = TypeVar("Function", bound=Callable[..., Any])
MEDIA = ("media", "next_boot")
"""Fields that name media by their ids."""
LONG = 48
"""Characters of a value that are shown."""
LABELS = {"memory_mib": "memory", "forward_ports": "ports of the host", "allocated": "the space that it takes"}
BYTES = {"memory_mib": 1 << 20, "quota": 1}
"""What is shown as a size, and how many bytes one of it is."""


def changing(command: Function) -> Function:
    """A verb that changes something: it takes `--plan`, and `--json`."""

    @functools.wraps(command)
    def wrapped(*args: Any, plan: bool, **kwargs: Any) -> Any:
        if not plan:
            return command(*args, **kwargs)
        plans: list[Plan] = click.get_current_context().find_root().obj.setdefault("plans", [])
        with contextlib.suppress(PlanOnly):
            command(*args, **kwargs)
        _show(plans)
        return None

    option = click.option("--plan", is_flag=True, help="Change nothing: show what would be done and taken.")
    return json_option(option(wrapped))  # type: ignore[return-value]


def unplanned(what: str, known: Iterable[Plan] = ()) -> None:
    """Say what follows, and cannot be planned before the rest is done, but for what is `known` of it."""
    from velocity.contract.plan import Plan

    plans = click.get_current_context().find_root().obj["plans"]
    plans += known
    plans.append(Plan(plan=True, steps=[], consumes=[], warnings=[what]))


def _show(plans: Iterable[Plan]) -> None:
    from velocity.contract.plan import Plan

    steps = [step for plan in plans for step in plan.steps]
    consumes = [one for plan in plans for one in plan.consumes]
    warnings = [warning for plan in plans for warning in plan.warnings or []]
    if as_json():
        show_json(Plan(plan=True, steps=steps, consumes=consumes, warnings=warnings or UNSET))
        return
    for step in _with_names(steps):
        click.echo(_said(step))
    for one in consumes:
        click.echo(_taken(one))
    for warning in warnings:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)
    click.echo("nothing was changed" if steps else "nothing would change", err=True)


def _with_names(steps: list[Step]) -> Iterator[Step]:
    """With the names of media in place of their ids, as far as one sees them."""
    known: dict[str, str] = {}
    if any(change.field in MEDIA for step in steps for change in step.changes or []):
        known = {str(mid): name for mid, name in resolve.seen_media(connection.connect()).items()}

    def named(media: object) -> object:
        if isinstance(media, list):
            return [named(one) for one in media]
        return (
            media | {"mid": known.get(media["mid"], media["mid"])}
            if isinstance(media, dict) and "mid" in media
            else media
        )

    replace = msgspec.structs.replace
    for step in steps:
        changes = [
            replace(one, old=named(one.old), new=named(one.new)) if one.field in MEDIA else one
            for one in step.changes or []
        ]
        yield replace(step, changes=changes or UNSET)


def _said(step: Step) -> str:
    name = f" {clean(step.name)}" if step.name else ""
    one = f"{step.kind}{name}{'' if step.id is UNSET else f' ({step.id})'}"
    group = "" if step.gid is UNSET else f"group {step.gid}"
    changes = step.changes or []
    match step.do:
        case "grant" | "revoke" if step.kind == "user":
            held = ", ".join(_permissions(change) for change in changes)
            return f"would {step.do} {held} {'to' if step.do == 'grant' else 'from'} {one} on {group}"
        case "assign" | "revoke":
            line = f"would {step.do} {one} {'to' if step.do == 'assign' else 'from'} {group}"
        case _:
            line = f"would {step.do} {one}{f' in {group}' if group else ''}"
    if changes:
        line += f": {', '.join(map(_changed, changes))}"
    return "".join([line, *_when(step)])


def _when(step: Step) -> Iterator[str]:
    """Where it would be, which of its changes a VM that runs gets at once, and which wait; and why."""
    if step.host:
        yield f"\n  on host {clean(step.host.name)}: {clean(step.because or '')}"
    if step.live:
        yield f"\n  at once, while it runs: {', '.join(LABELS.get(field, field) for field in step.live)}"
    for field, why in (step.waits or {}).items():
        yield f"\n  at its next start: {LABELS.get(field, field)}{f' ({clean(why)})' if why else ''}"


def _permissions(change: FieldChange) -> str:
    names = change.old if change.new is UNSET else change.new
    return ", ".join(clean(one).removeprefix("velocity.") for one in names) if isinstance(names, list) else "nothing"


def _changed(change: FieldChange) -> str:
    name = LABELS.get(change.field, change.field)
    old, new = (None if value is UNSET else _value(change.field, value) for value in (change.old, change.new))
    if old is None and new is None:
        return name
    if old is None:
        return f"{name} {new}"
    return f"{name} {old} -> {'none' if new is None else new}"


def _value(field: str, value: object) -> str:
    if isinstance(value, list):
        text = ", ".join(_value("", one) for one in value) or "none"
    elif isinstance(value, dict) and field == "next_boot":
        text = ", ".join(name if one is True else f"{name} {one}" for name, one in value.items())
    elif isinstance(value, dict) and field == "host":
        text = str(value["name"])
    elif isinstance(value, dict):
        text = "/".join(_value("", one) for one in value.values())
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, int) and field in BYTES:
        text = size(value * BYTES[field]) if value or field != "quota" else "none"
    else:
        text = str(value)
    text = clean(text)
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"


def _taken(one: Consumption) -> str:
    taken: list[str] = []
    given: list[str] = []
    for amount, unit in ((one.cpus, "CPU"), (one.memory_mib, "MiB"), (one.vms, "VM"), (one.bytes, "bytes")):
        if isinstance(amount, int):
            (taken if amount > 0 else given).append(_amount(abs(amount), unit, one.mpid))
    said = [f"take {', '.join(taken)}"] * bool(taken) + [f"give back {', '.join(given)}"] * bool(given)
    return f"would {' and '.join(said)} (group {one.gid})"


def _amount(amount: int, unit: str, mpid: object) -> str:
    if unit == "MiB":
        return size(amount << 20)
    if unit == "bytes":
        return f"{size(amount)} of pool {mpid}"
    return f"{amount} {unit}{'' if amount == 1 else 's'}"
