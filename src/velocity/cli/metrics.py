"""`velocity vm metrics` and `velocity vm command`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click
from msgspec import UnsetType

from velocity.cli import connection, resolve
from velocity.cli.output import as_json, json_option, show_json
from velocity.cli.which import which
from velocity.cli.words import clean, plain
from velocity.contract.metrics import Span, VmMetrics
from velocity.sizes import size

if TYPE_CHECKING:
    from rich.table import Table

BARS = "▁▂▃▄▅▆▇█"
GAP = " "
Values = Sequence[float | None]


@click.command()
@which
@click.option("--day", "span", flag_value="day", help="The past day, as averages over two minutes.")
@click.option("--week", "span", flag_value="week", help="The past week, over 20 minutes.")
@click.option("--month", "span", flag_value="month", help="The past 31 days, over two hours.")
@click.option("--year", "span", flag_value="year", help="The past year, over a day.")
@json_option
def metrics(vm_: str, group: int | None, span: Span | None) -> None:
    """Show VM's use of CPU, memory, disks and network in the past hour."""
    client = connection.connect()
    taken = client.vm_metrics(vmid=resolve.vmid(client, group, vm_), span=span or "hour")
    if as_json():
        show_json(taken)
        return
    if not taken.at:
        click.echo(
            f"there are no measurements of {clean(vm_)} for that time: it was not running, or has just started",
            err=True,
        )
        return
    from rich.console import Console

    console = Console(highlight=False, color_system=None if plain() else "auto")
    console.print(_table(taken, max(10, console.width - 76)))


def _table(taken: VmMetrics, width: int) -> Table:
    form = "%H:%M" if taken.at[-1] - taken.at[0] < 2 * 86_400 else "%d %b"
    times = (time.strftime(form, time.localtime(at)) for at in (taken.at[0], taken.at[-1]))
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for heading in ("", " to ".join(times), "LAST", "MEAN", "MAX"):
        shown.add_column(heading, justify="left" if len(shown.columns) < 2 else "right", no_wrap=True)
    rows: tuple[tuple[str, Values | UnsetType, Callable[[float], str]], ...] = (
        ("cpu", taken.cpu, lambda value: f"{value:.1f} %"),
        (f"memory, of {size(taken.given_mib << 20)} given", taken.memory_mib, lambda value: size(value * (1 << 20))),
        ("disk read", taken.disk_read, _rate),
        ("disk written", taken.disk_written, _rate),
        ("net received", taken.net_received, _rate),
        ("net sent", taken.net_sent, _rate),
    )
    for name, values, text in rows:
        if isinstance(values, UnsetType):
            continue
        known = [value for value in values if value is not None]
        numbers = (values[-1], sum(known) / len(known) if known else None, max(known, default=None))
        shown.add_row(name, sparkline(values, width), *("-" if one is None else text(one) for one in numbers))
    return shown


def sparkline(values: Values, width: int) -> str:
    """One character for each value, from zero to the maximum; for several values if there are many. Gaps are blank."""
    most = max((value for value in values if value is not None), default=0)
    each = -(-len(values) // width)
    line = ""
    for begin in range(0, len(values), each):
        known = [value for value in values[begin : begin + each] if value is not None]
        line += GAP if not known else BARS[round(max(known) / most * (len(BARS) - 1)) if most else 0]
    return line


def _rate(value: float) -> str:
    return f"{size(value)}/s"


@click.command()
@which
@json_option
def command(vm_: str, group: int | None) -> None:
    """Show the command line of VM's QEMU."""
    client = connection.connect()
    shown = client.vm_command(vmid=resolve.vmid(client, group, vm_))
    if as_json():
        show_json(shown)
        return
    line = ""
    for word in shown.argv:  # each option with its value on a line
        if line and word.startswith("-"):
            click.echo(f"{line} \\")
            line = " "
        line += f"{' ' if line.strip() else ''}{clean(shlex.quote(word))}"
    click.echo(line)
