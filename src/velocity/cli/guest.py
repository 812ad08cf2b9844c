"""`velocity vm guest`, `exec`, `cp`, `passwd` and `ssh-key`: through the guest agent."""

from __future__ import annotations

import re
import shlex
import sys
import time
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

import click
from msgspec import UNSET

from velocity.cli import connection, password, resolve
from velocity.cli.facts import show_facts
from velocity.cli.lazy import Group
from velocity.cli.output import as_json, done, json_option, planning, show_json
from velocity.cli.output_file import replacing
from velocity.cli.plan import changing
from velocity.cli.waiting import waiting
from velocity.cli.where import GROUP
from velocity.cli.which import which
from velocity.cli.words import clean, isolated, program
from velocity.client import Client
from velocity.sizes import size

if TYPE_CHECKING:
    from velocity.contract.guests import GuestInfo

STILL_RUNNING = 124
"""The exit status after a timeout, as of timeout(1)."""
SIGNALLED = 128
SENT = 512 << 10
"""The API's limit for an input, and for a piece of a file."""
IN_GUEST = re.compile(r"(?P<vm>id:\d+|[^/:]+):(?P<path>.+)", re.DOTALL)


@click.command()
@which
@json_option
def guest(vm_: str, group: int | None) -> None:
    """Show what VM's guest agent reports: system, addresses, file systems and users."""
    client = connection.connect()
    told = client.show_guest(vmid=resolve.vmid(client, group, vm_))
    if as_json():
        show_json(told)
        return
    if isinstance(told.why, str):
        raise click.ClickException(clean(told.why))
    show_facts(_facts(told), isolated)


def _facts(told: GuestInfo) -> list[tuple[str, str]]:
    named = (("host name", told.hostname), ("system", told.os), ("kernel", told.kernel), ("agent", told.agent))
    facts = [(name, value) for name, value in named if isinstance(value, str)]
    for nic in told.nics or []:
        facts.append(("NIC", " ".join([nic.name, *([nic.mac] if isinstance(nic.mac, str) else []), *nic.addresses])))
    for one in told.filesystems or []:
        used = f", {size(one.used)}" if isinstance(one.used, int) else ""
        total = f" of {size(one.total)}" if isinstance(one.total, int) else ""
        facts.append(("file system", f"{one.mountpoint} {one.type}{used}{total}"))
    for user in told.users or []:
        since = f" since {time.strftime('%Y-%m-%d %H:%M', time.localtime(user.since))}" if user.since else ""
        facts.append(("logged in", f"{user.name}{since}"))
    return facts


@click.command("exec", context_settings={"allow_interspersed_args": False})
@which
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--timeout", type=click.IntRange(1, 300), metavar="SECONDS", default=30, show_default=True, help="How long to wait."
)
@changing
def exec_(vm_: str, group: int | None, command: tuple[str, ...], timeout: int) -> None:
    """Run COMMAND inside VM through its guest agent, and exit with its status.

    A pipe is its input, up to 512 KiB. No shell is involved, unless you run one: `vm exec web -- sh -c 'ls *.log'`.
    """
    words = list(command[1:] if command[0] == "--" and len(command) > 1 else command)
    client = connection.connect()
    vmid = resolve.vmid(client, group, vm_)
    given = UNSET if sys.stdin.isatty() else sys.stdin.buffer.read(SENT + 1)
    if isinstance(given, bytes) and len(given) > SENT:
        raise click.ClickException("the input is more than 512 KiB: copy it into the guest with `vm cp`")
    with waiting(f"running in {clean(vm_)}"):
        ended = client.execute_in_guest(vmid=vmid, command=words, input=given or UNSET, timeout=timeout)
    if as_json():
        show_json(ended)
    else:
        for stream, output in ((sys.stdout, ended.stdout), (sys.stderr, ended.stderr)):
            _say(stream, output)
        for name, cut in (("output", ended.stdout_truncated), ("error output", ended.stderr_truncated)):
            if cut:
                click.echo(f"velocity: only the first MiB of its {name} is shown", err=True)
    if ended.running:
        click.echo(f"velocity: it is still running after {timeout} s, and continues in the guest", err=True)
        click.get_current_context().exit(STILL_RUNNING)
    if isinstance(ended.signal, int):
        click.get_current_context().exit(SIGNALLED + ended.signal)
    click.get_current_context().exit(ended.exit_status or 0)


def _say(stream: IO[str], output: bytes) -> None:
    """Write bytes to programs; for terminals, remove escape sequences."""
    if stream.isatty():
        lines = output.decode(errors="replace").replace("\r\n", "\n").split("\n")
        stream.write("\n".join(clean(line.expandtabs()) for line in lines))
    else:
        stream.buffer.write(output)  # type: ignore[attr-defined]
    stream.flush()


@click.command()
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@GROUP
@changing
def cp(source: str, target: str, group: int | None) -> None:
    """Copy a file into or out of a VM. One of SOURCE and TARGET is VM:PATH.

    A local path with a colon is written with a slash before it, as in ./a:b.
    """
    client = connection.connect()
    ours, theirs = IN_GUEST.fullmatch(source), IN_GUEST.fullmatch(target)
    if (ours is None) is (theirs is None):
        raise click.UsageError("SOURCE or TARGET must be in a VM: write VM:PATH")
    if theirs is not None:
        path = theirs["path"] + (Path(source).name if theirs["path"].endswith(("/", "\\")) else "")
        _copy_in(client, Path(source), resolve.vmid(client, group, theirs["vm"]), path)
    elif ours is not None and not planning():
        file = Path(target)
        if file.is_dir():
            file /= PurePosixPath(ours["path"].replace("\\", "/")).name
        _copy_out(client, resolve.vmid(client, group, ours["vm"]), ours["path"], file)


def _copy_in(client: Client, source: Path, vmid: int, path: str) -> None:
    offset = 0
    try:
        with source.open("rb") as file, waiting(f"copying {clean(source)}"):
            while (piece := file.read(SENT)) or not offset:
                client.write_guest_file(vmid=vmid, path=path, content=piece, offset=offset)
                offset += len(piece)
                if not piece:
                    break
    except IsADirectoryError:
        words = f"`tar -cC {shlex.quote(str(source))} . | {program()} vm ssh VM -- tar -xC {shlex.quote(path)}`"
        raise click.ClickException(f"{clean(source)} is a directory: copy it with {clean(words)}") from None
    except OSError as error:
        raise click.ClickException(f"{clean(source)}: {error.strerror}") from None
    except BaseException as error:
        if offset:
            error.add_note(f"only the first {offset} bytes are in the guest's {clean(path)}: copy it again")
        raise
    done(f"copied {size(offset)}")


def _copy_out(client: Client, vmid: int, path: str, target: Path) -> None:
    offset, end = 0, False
    try:
        with replacing(target) as file, waiting(f"copying {clean(path)}"):
            while not end:
                piece = client.read_guest_file(vmid=vmid, path=path, offset=offset)
                file.write(piece.content)
                offset, end = offset + len(piece.content), piece.end
    except OSError as error:
        raise click.ClickException(f"{clean(target)}: {error.strerror}") from None
    done(f"copied {size(offset)}")


@click.command()
@which
@click.argument("user_", metavar="USER")
@password.STDIN
@changing
def passwd(vm_: str, group: int | None, user_: str, password_stdin: bool) -> None:
    """Set the password of USER inside VM."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    prompt = f"New password of {clean(user_)} in {found.label}"
    chosen = password.line() if password_stdin else password.ask(prompt, confirmation_prompt=True)
    client.set_guest_password(vmid=found.id, user=user_, password=chosen)
    done(f"the password of {clean(user_)} in {found.label} is set")


@click.group("ssh-key", cls=Group)
def ssh_key() -> None:
    """SSH keys of users inside VMs."""


@ssh_key.command()
@which
@click.argument("user_", metavar="USER")
@click.argument("file", type=click.File())
@changing
def add(vm_: str, group: int | None, user_: str, file: IO[str]) -> None:
    """Let the public keys in FILE (`-`: standard input) log in as USER of VM."""
    client = connection.connect()
    found = resolve.vm(client, group, vm_)
    keys = [line for one in file if (line := one.strip()) and not line.startswith("#")]
    if not keys:
        raise click.ClickException("there is no key in it")
    if any("PRIVATE KEY" in key for key in keys):
        raise click.ClickException("that is a private key, which stays with its owner: give the file that ends in .pub")
    client.add_guest_keys(vmid=found.id, user=user_, keys=keys)
    done(f"{len(keys)} key{'' if len(keys) == 1 else 's'} may sign in as {clean(user_)} of {found.label}")
