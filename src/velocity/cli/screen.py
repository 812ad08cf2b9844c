"""`velocity vm screen`, `log` and `find`: displays and serial output."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from msgspec import UNSET

from velocity.cli import connection, resolve, seen, viewer
from velocity.cli.amounts import to_bytes
from velocity.cli.output import as_json, json_option, listed, listing, show_json
from velocity.cli.output_file import replacing
from velocity.cli.which import which
from velocity.cli.words import clean


@click.command()
@which
@click.option("--display", metavar="NAME", help="Which display (default: the first).")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file for the PNG.")
@click.option("--text", is_flag=True, help="Print the text on it instead (needs tesseract on the server).")
@click.option(
    "--vnc",
    type=click.IntRange(0, 65535),
    is_flag=False,
    flag_value=0,
    metavar="[PORT]",
    help="Open a local port for a VNC viewer until Ctrl-C; without PORT, any free port.",
)
@json_option
def screen(vm_: str, group: int | None, display: str | None, output: Path | None, text: bool, vnc: int | None) -> None:
    """Show the display of VM: as PNG, as text, or to a VNC viewer."""
    client = connection.connect()
    vmid = resolve.vmid(client, group, vm_)
    chosen = UNSET if display is None else display
    if vnc is not None:
        with viewer.listen(vnc) as listener:
            click.echo(f"127.0.0.1:{listener.getsockname()[1]}")
            click.echo("open it with a VNC viewer; Ctrl-C ends", err=True)
            try:
                viewer.serve(
                    listener, lambda: client.console(client.open_console(vmid=vmid, kind="display", display=chosen))
                )
            except KeyboardInterrupt:
                return
    if output is None and not text and not as_json() and sys.stdout.isatty():
        raise click.UsageError("a picture cannot be shown in a terminal: give a file with --output, or use --text")
    picture = client.show_screen(vmid=vmid, display=chosen, text=text)
    if output is not None:
        with replacing(output) as file:
            file.write(picture.png)
    if as_json():
        show_json(picture)
    elif isinstance(picture.text, str):
        for line in picture.text.splitlines():
            click.echo(clean(line))
    elif output is None:
        sys.stdout.buffer.write(picture.png)
        sys.stdout.buffer.flush()


@click.command()
@which
@click.option(
    "--bytes",
    "size",
    default="64K",
    show_default=True,
    metavar="SIZE",
    help="How much to print, counted from the end; up to 1M. A bare number is bytes.",
)
@json_option
def log(vm_: str, group: int | None, size: str) -> None:
    """Print the end of VM's serial output, also of a VM that is STOPPED."""
    client = connection.connect()
    answer = client.read_log(vmid=resolve.vmid(client, group, vm_), bytes=to_bytes(size))
    if as_json():
        show_json(answer)
        return
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(answer.text.encode())
        sys.stdout.buffer.flush()
        return
    for line in answer.text.replace("\r", "").split("\n"):
        click.echo(clean(line))  # escape sequences of a guest must not reach the terminal


@click.command()
@click.argument("text")
@listing
def find(text: str) -> None:
    """Find TEXT on screens. Only those of running VMs that you may interact with are searched."""
    client = connection.connect()
    answer = client.search_screens(text=text)
    names = seen.vms(client) if answer.hits else {}
    listed(
        answer,
        "hits",
        ("VMID", "NAME", "DISPLAY", "LINE"),
        lambda hit: (hit.vmid, names.get(hit.vmid, ""), hit.display, hit.line),
        empty="the text was not found on any screen",
        noun="line",
    )
    if not answer.complete and not as_json():
        click.echo("not every screen could be read: try again", err=True)
