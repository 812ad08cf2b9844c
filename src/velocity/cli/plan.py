"""`--plan` of every command that changes something: what it would do and use."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
from msgspec import UNSET

from velocity.cli import connection, seen, where
from velocity.cli.output import as_json, json_option, show_json
from velocity.cli.words import clean
from velocity.client import Client, PlanOnly
from velocity.sizes import size

if TYPE_CHECKING:
    from velocity.contract.plan import Consumption, FieldChange, Plan, Step

Function = TypeVar("Function", bound=Callable[..., Any])
MEDIA = ("media", "next_boot")
"""Fields that name media by their ids."""
LONG = 48
"""The most characters of a value that are shown."""
GROUPS = ("gid", "home")
"""Fields that name a group by its id."""
LABELS = {
    "memory_mib": "memory",
    "forward_ports": "ports of the host",
    "allocated": "the space that it takes",
    "gid": "group",
    "mpid": "pool",
}
BYTES = {"memory_mib": 1 << 20, "quota": 1}
"""Fields that are shown as sizes -> bytes in one unit of the field."""


def changing(command: Function) -> Function:
    """Adds `--plan` and `--json` to a command that changes something."""

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
    """Show `known` plans of what follows, with a warning that the rest cannot be planned in advance."""
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
    client = connection.connect()
    for step in _with_names(client, steps):
        click.echo(_said(client, step))
    for one in consumes:
        click.echo(_taken(client, one))
    for warning in warnings:
        click.secho(f"warning: {clean(warning)}", fg="yellow", err=True)
    click.echo("nothing was changed" if steps else "nothing would change", err=True)


def _with_names(client: Client, steps: list[Step]) -> Iterator[Step]:
    """With the names of media, groups and pools instead of their ids, as far as the caller sees them."""
    known: dict[str, str] = {}
    if any(change.field in MEDIA for step in steps for change in step.changes or []):
        known = {str(mid): name for mid, name in seen.media(client).items()}

    def named(field: str, value: object) -> object:
        if isinstance(value, list):
            return [named(field, one) for one in value]
        if isinstance(value, dict) and "mid" in value and field in MEDIA:
            return value | {"mid": known.get(value["mid"], value["mid"])}
        if isinstance(value, int) and field in GROUPS:
            return where.path(client, value)
        if isinstance(value, int) and field == "mpid":
            return _pool(client, value)
        return value

    replace = msgspec.structs.replace
    for step in steps:
        changes = [
            replace(one, old=named(one.field, one.old), new=named(one.field, one.new)) for one in step.changes or []
        ]
        yield replace(step, changes=changes or UNSET)


def _pool(client: Client, mpid: int) -> str:
    return seen.pools(client).get(mpid, str(mpid))


def _said(client: Client, step: Step) -> str:
    name = f" {clean(step.name)}" if step.name else ""
    one = f"{step.kind}{name}{'' if step.id is UNSET else f' ({step.id})'}"
    group = "" if step.gid is UNSET else where.path(client, step.gid)
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
    """On which host it would be, and which changes a running VM gets at once or later, with the reasons."""
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


def _taken(client: Client, one: Consumption) -> str:
    taken: list[str] = []
    given: list[str] = []
    pool = "" if one.mpid is UNSET else clean(_pool(client, one.mpid))
    for amount, unit in ((one.cpus, "CPU"), (one.memory_mib, "MiB"), (one.vms, "VM"), (one.bytes, "bytes")):
        if isinstance(amount, int):
            (taken if amount > 0 else given).append(_amount(abs(amount), unit, pool))
    said = [f"take {', '.join(taken)}"] * bool(taken) + [f"give back {', '.join(given)}"] * bool(given)
    return f"would {' and '.join(said)} in {where.path(client, one.gid)}"


def _amount(amount: int, unit: str, pool: str) -> str:
    if unit == "MiB":
        return size(amount << 20)
    if unit == "bytes":
        return f"{size(amount)} of pool {pool}"
    return f"{amount} {unit}{'' if amount == 1 else 's'}"
