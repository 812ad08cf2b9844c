"""`velocity service stop-guests`: shuts down every guest, through the server or, if none runs, directly.

A server that was stopped leaves its guests running, and the host is shut down all the same. On a host of another
machine's server they are asked directly, once its node has ended. QMP:
https://www.qemu.org/docs/master/interop/qmp-spec.html
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
from msgspec import UNSET

from velocity.cli import connection, where
from velocity.cli.amounts import SECONDS
from velocity.cli.nat_removal import remove_nat
from velocity.cli.words import clean
from velocity.client import ApiError, Client, Unreachable, Untrusted
from velocity.config import ConfigError, Settings, is_setting, load
from velocity.contract.machines import State, VmSummary
from velocity.hypervisor.qemu.options import options
from velocity.hypervisor.qemu.run_note import Run
from velocity.hypervisor.qemu.runs import Runs
from velocity.node import places

AT_ONCE = 32
"""Guests that are stopped at a time, so that one that hangs does not delay the others."""
PAUSE = 0.5
"""Seconds between two looks."""
ANSWER = 5.0
"""Seconds that a monitor has to respond."""
ENDING = 20.0
"""Seconds for the end of guests that are killed: the kernel frees their memory first."""
MARGIN = 60
"""Seconds by which all of this may pass `--timeout`: an end is waited for before a guest is killed, and after."""


@click.command("stop-guests")
@click.option(
    "--timeout",
    type=SECONDS,
    default=90,
    show_default=True,
    help="Seconds until guests that are still running are ended.",
)
def stop_guests(timeout: float) -> None:
    """Shut down every guest, the youngest first. Those that do not react are ended.

    These are the guests of the server in this host's settings, whichever server you are signed in to. If that server
    does not run, its guests are asked directly; those of a node are asked once the node has ended.
    """
    settings = _settings()
    end = time.monotonic() + timeout
    if places.identity(settings.data_dir).exists():
        _after_the_node(settings, end)
        return
    while True:
        with _nobody_works_on(settings) as free:  # otherwise another server responds at its address
            if free:
                _directly(settings, end)
                return
        try:
            _through_server(connection.connect(own=settings), end, timeout)
            return
        except (Unreachable, Untrusted) as error:
            if time.monotonic() > end:
                raise
            click.echo(f"waiting for the server: {clean(error)}", err=True)
            time.sleep(PAUSE)


def _after_the_node(settings: Settings, end: float) -> None:
    """Wait for the node's end: a monitor serves one client, which is the node while it runs."""
    while True:
        with _nobody_works_on(settings) as free:
            if free:
                _directly(settings, end)
                return
        if time.monotonic() > end:
            raise click.ClickException(
                f"a node runs on {settings.data_dir}, and its guests are asked when it has ended: stop it first "
                "(systemctl stop velocity-node)"
            )
        time.sleep(PAUSE)


def _settings() -> Settings:
    """The settings that the server was started with. If they are wrong by now, the location of the data is enough."""
    try:
        return load()
    except ConfigError as error:
        click.echo(f"warning: {clean(error)}", err=True)
    own = {name: value for name, value in os.environ.items() if is_setting(name)}
    with contextlib.suppress(ConfigError):
        return load(environ=own)
    return load(environ={name: value for name, value in own.items() if name == "VELOCITY_DATA_DIR"})


@contextlib.contextmanager
def _nobody_works_on(settings: Settings) -> Iterator[bool]:
    """Within, whether no server or node uses the data; if so, none can start. Reading is enough for that: flock(2)"""
    try:
        lock = os.open(settings.data_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield True
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(lock)


def _through_server(client: Client, end: float, timeout: float) -> None:
    def ask(vm: VmSummary) -> str:
        client.set_vm_state(vmid=vm.vmid, state="STOPPED")
        return f"asked {clean(vm.name)} to shut down"

    def kill(vm: VmSummary) -> str:
        client.set_vm_state(vmid=vm.vmid, state="STOPPED", force=True)
        return f"ended {clean(vm.name)}, which did not shut down within {timeout:.0f} s"

    _each(ask, _running(client))
    while (running := _running(client)) and time.monotonic() < end:
        time.sleep(PAUSE)
    _each(kill, running)
    last = time.monotonic() + ENDING
    while (running := _running(client)) and time.monotonic() < last:
        time.sleep(PAUSE)
    _check_none([clean(vm.name) for vm in running])


def _check_none(left: list[str]) -> None:
    """Raises `ClickException` for guests that still run: whoever shuts the host down has to know."""
    if left:
        raise click.ClickException(f"still running: {', '.join(left)}")


def _each(deed: Callable[[VmSummary], str], vms: list[VmSummary]) -> None:
    """Run `work` for all at once, started in that order. A failure does not affect the others."""

    def tried(vm: VmSummary) -> str:
        try:
            return deed(vm)
        except ApiError as error:
            return f"{clean(vm.name)}: {clean(error.message)}"

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for said in threads.map(tried, vms):
            click.echo(said, err=True)


def _running(client: Client) -> list[VmSummary]:
    """The running guests of this host, the youngest first; guests of other hosts keep running."""
    found: list[VmSummary] = []
    own = next(one.host for one in client.list_nodes().nodes if one.own)
    for gid in where.paths(client):
        try:
            found += [vm for vm in client.list_vms(gid=gid).vms if vm.state is not State.STOPPED and _is_on(own, vm)]
        except ApiError as error:
            if error.status not in (401, 404):
                raise
    return sorted(found, key=lambda vm: vm.vmid, reverse=True)


def _is_on(own: int, vm: VmSummary) -> bool:
    return vm.host is UNSET or vm.host.id == own


def _directly(settings: Settings, end: float) -> None:
    chosen = options(settings)
    runs = Runs(chosen.runtime_dir, chosen.instance, chosen.uids, former=chosen.guests_in)
    found = [run for run, _ in runs.look().runs if run.end is None]
    found.sort(key=lambda run: run.started, reverse=True)
    guests = [_Guest(runs, run) for run in found]
    with ThreadPoolExecutor(max(1, len(guests))) as threads:
        for said in threads.map(lambda guest: guest.stop(end), guests):
            if said:
                click.echo(said, err=True)
    _check_none([f"machine {guest.run.machine}" for guest in guests if guest.lives])
    remove_nat(chosen)  # which the server does where it runs


class _Guest:
    """A guest whose server does not run."""

    def __init__(self, runs: Runs, run: Run) -> None:
        self.run = run
        self._runs = runs
        self._said = ""
        """What was done, in words, if it has ended by that."""

    @property
    def lives(self) -> bool:
        return self._runs.process(self.run) is not None

    def stop(self, end: float) -> str:
        """Shut it down; returns what was done, empty if it did not run. What does not respond by then is killed."""
        while not (self._shut_down(end) and self._ends(ENDING)) and self.lives:
            if time.monotonic() >= end:
                self._ends(ENDING, by=signal.SIGKILL)
                self._said = f"ended machine {self.run.machine}, which did not respond"
                break
            time.sleep(PAUSE)
        return self._said

    def _shut_down(self, end: float) -> bool:
        """Ask its monitor for that; returns whether it has ended by it."""
        machine = self.run.machine
        with (
            contextlib.suppress(OSError),
            contextlib.closing(_Monitor(self._runs.directory(machine) / "qmp.sock")) as monitor,
        ):
            if monitor.execute("query-status").get("status") == "prelaunch":
                self._said = f"ended machine {machine}, which had not begun to run"
                monitor.execute("quit")
            else:
                self._said = f"asked machine {machine} to shut down"
                monitor.execute("system_powerdown")
                monitor.execute("cont")
                if not monitor.ends(max(0.0, end - time.monotonic())):
                    self._said = f"ended machine {machine}, which did not shut down"
                    monitor.execute("quit")
            return monitor.ends(ANSWER)
        return False

    def _ends(self, seconds: float, *, by: signal.Signals | None = None) -> bool:
        """Send its process that signal, if any; returns whether the process ends within `seconds`.

        Its monitor ends earlier: the kernel frees the memory of a guest before its process is gone. The pid is not
        reused between the look and the signal. pidfd_open(2)
        """
        pid = self._runs.process(self.run)
        with contextlib.suppress(OSError), os.fdopen(os.pidfd_open(pid or 0), "rb") as process:
            if self._runs.process(self.run) == pid:
                if by is not None:
                    signal.pidfd_send_signal(process.fileno(), by)
                select.select([process], [], [], seconds)
        return not self.lives


class _Monitor:
    """A client of one QEMU monitor, which serves one client at a time: no server runs."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(ANSWER)
            self._socket.connect(str(path))
            self._lines = self._socket.makefile("rb")
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def execute(self, command: str) -> dict[str, Any]:
        """The command's result; empty if it was refused. Raises `OSError`."""
        self._socket.settimeout(ANSWER)
        self._socket.sendall(json.dumps({"execute": command}).encode() + b"\n")
        while line := self._lines.readline():
            answer = json.loads(line)
            if "return" in answer or "error" in answer:
                found = answer.get("return", {})
                return found if isinstance(found, dict) else {}
        raise ConnectionResetError

    def ends(self, seconds: float) -> bool:
        """Whether it ends within `seconds`."""
        end = time.monotonic() + seconds
        with contextlib.suppress(ConnectionError):
            while True:
                self._socket.settimeout(max(0.01, end - time.monotonic()))
                try:
                    if not self._socket.recv(1 << 16):
                        break
                except TimeoutError:
                    return False
        return True

    def close(self) -> None:
        self._socket.close()
