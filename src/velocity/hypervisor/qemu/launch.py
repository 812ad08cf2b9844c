"""Starts a QEMU process step by step, each with its undo: directory, uid, files, sockets, NICs. In a thread."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from velocity import sandbox
from velocity.contract.problems import Refused
from velocity.hypervisor.port import HypervisorError, Incarnation, MachineSpec, NatSpec
from velocity.hypervisor.qemu import (
    confine,
    disk_io,
    filesizes,
    hardware,
    nvram,
    qemu_log,
    resolver,
    scopes,
    seed,
    spool,
)
from velocity.hypervisor.qemu.command import (
    Files,
    LaunchSpec,
    ListeningSockets,
    TapDevice,
    arguments,
    room_for_code,
)
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.firmware import MissingFirmware, kept, layout
from velocity.hypervisor.qemu.layout import Layout, nodes
from velocity.hypervisor.qemu.nic_links import connect_nics, disconnect, has_link, with_links
from velocity.hypervisor.qemu.processes import start_time
from velocity.hypervisor.qemu.qemu_log import QemuLog
from velocity.hypervisor.qemu.run_note import Between, Run
from velocity.hypervisor.qemu.serial_input import INPUT
from velocity.hypervisor.qemu.seriallog import copy
from velocity.hypervisor.qemu.spool import SpooledConsole
from velocity.hypervisor.waits import OLDER_RUN
from velocity.network import taps
from velocity.sandbox import View
from velocity.storage.port import variables

log = logging.getLogger(__name__)

OVERTAKEN = "a stop was requested during its start"
Clear = Callable[[Run], object]


def launch(
    place: HostDirectories,
    who: Incarnation,
    spec: MachineSpec,
    clear: Clear,
    overtaken: threading.Event,
    *,
    there: Layout | None = None,
) -> Run:
    """Start QEMU, stopped before the guest's first instruction. Raises `HypervisorError` and leaves nothing behind.

    `there`: its guest comes from another host, with devices in this layout. `clear` removes what a failed start left,
    and comes back to what it cannot remove. `overtaken` is set when the start is no longer wanted.
    """
    try:
        left = place.runs.left(who.machine)
        if left is not None:
            cleared(place, msgspec.structs.replace(left, end=None))
        with contextlib.ExitStack() as undo:
            run = _launch(place, who, spec, undo, clear, overtaken, there=there)
            undo.pop_all()
            return run
    except (OSError, Refused, taps.CannotConnect, MissingFirmware) as error:
        raise HypervisorError(_words(error)) from error


def cleared(place: HostDirectories, run: Run) -> None:
    """Remove what a run has left whose process is gone: links, directory, uid. Idempotent.

    If how it ended is given, that is recorded first: from there on no crash of the server changes it. Raises `OSError`
    and `CannotConnect`: call it again.
    """
    if run.end is not None:
        place.runs.note_end(run)
    for link in run.links:
        disconnect(place, run, link)
    if run.between is Between.INCOMING:
        place.forget(run.machine)  # half of what another host has
    place.runs.end(run)


def recovered(place: HostDirectories, who: Incarnation, run: Run) -> None:
    """Copy the output of a run that ended while there was no server. Raises `OSError`."""
    if run.spool is not None:
        directory = place.runs.directory(who.machine)
        with contextlib.closing(SpooledConsole(directory, run.spool)) as console:
            copy(place.serial_log(who.machine), run.first_epoch, console)
        with contextlib.closing(QemuLog(directory, run.spool, run.first_epoch, place.qemu_log(who))) as own_words:
            own_words.copy()


def end(pid: int) -> None:
    """Kill a process of ours that nobody watches yet, and wait for its end."""
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _launch(
    place: HostDirectories,
    who: Incarnation,
    spec: MachineSpec,
    undo: contextlib.ExitStack,
    clear: Clear,
    overtaken: threading.Event,
    *,
    there: Layout | None,
) -> Run:
    # Our copies are closed with this block: a lock or a listening socket lives as long as any copy.
    with contextlib.ExitStack() as copies:
        files = _open_files(place, spec, prepare_state(place, who, spec), copies)
        writable = [file for file, disk in zip(files.disks, spec.disks, strict=True) if not disk.readonly]
        largest = filesizes.largest(writable)
        nat = any(isinstance(nic, NatSpec) and not nic.place for nic in spec.nics)
        try:
            bounds, between = spool.below(largest, place.bounds), Between.INCOMING if there else None
            run = place.runs.begin(who.machine, who.epoch, nat=nat, spool=bounds, between=between)
        except FileExistsError:
            raise  # another run's
        except OSError:
            clear(Run(machine=who.machine, epoch=who.epoch, boot=""))
            raise
        undo.callback(clear, run)
        has_agent = hardware.profile(spec.hardware).agent
        sockets = ListeningSockets(
            qmp=_listen(place.qmp(who), copies), agent=_listen(place.agent(who), copies) if has_agent else None
        )
        if any(map(has_link, spec.nics)):
            # Noted before they are made: after a crash in between, what is not there needs no removing.
            run = with_links(place, run, spec.nics)
            place.runs.write(run)
            undo.callback(clear, run)
        plan = LaunchSpec(
            binary=place.binary,
            uuid=who.machine,
            epoch=who.epoch,
            accelerator=_accelerator(place, spec),
            spec=spec,
            files=files,
            sockets=sockets,
            nics=connect_nics(place, run, spec, copies, {} if there is None else there.queues),
            own=str(place.runs.own(who.machine)),
            direct_aio=place.direct_aio,
            there=there,
        )
        _check(overtaken)
        pid = _spawn(place, who, plan, run, largest, copies)
        undo.callback(end, pid)
        in_memory = filesizes.in_memory(writable) >> 20
    run = msgspec.structs.replace(
        _made(run, spec, plan.layout), pid=pid, disks_in_memory=in_memory, started=start_time(pid) or 0
    )
    place.runs.write(run)
    scopes.enter(pid, who, scopes.most_memory(spec) + in_memory)
    _check(overtaken)
    return run


def _accelerator(place: HostDirectories, spec: MachineSpec) -> str:
    translates = place.accelerator.startswith("tcg")
    return f"{place.accelerator},tb-size={room_for_code(spec.memory)}" if translates else place.accelerator


def _made(run: Run, spec: MachineSpec, layout: Layout) -> Run:
    """The note of a run: what it is made of, and QEMU's ids for that."""
    return msgspec.structs.replace(
        run,
        made=msgspec.structs.replace(spec, held=False, seed=None, setup=False),
        drives=layout.drives,
        order=layout.order,
        nodes=nodes(layout, spec),
        usb=layout.usb,
        plugged=layout.plugged,
    )


def _check(overtaken: threading.Event) -> None:
    if overtaken.is_set():
        raise HypervisorError(OVERTAKEN)


def prepare_state(place: HostDirectories, who: Incarnation, spec: MachineSpec) -> int:
    """A descriptor of its firmware's variables, which are made if it has none yet that fit."""
    hardware.profile(spec.hardware)
    if place.machine_types and spec.machine_type not in place.machine_types:
        raise HypervisorError(
            f"this host's QEMU does not have the machine type {spec.machine_type} of this VM: install one that does, "
            "or give the VM the newest type of this host: `velocity vm set VM --machine latest`"
        )
    if spec.cpu not in ("best", "host") and (lacks := place.cpu_models.get(spec.cpu, "this model")):
        raise HypervisorError(
            f"this host does not support the CPU model {spec.cpu} of this VM: it lacks {lacks}: give the VM another, "
            "as in `velocity vm set VM --cpu best`"
        )
    (place.state / str(who.machine)).mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = variables(who.machine)
    with kept(spec.firmware, place.firmware).template.open("rb") as template, contextlib.ExitStack() as undo:

        def opened() -> int:
            place.media.provide(ours, template.fileno())
            descriptor = place.media.open(ours, readonly=False)
            undo.callback(os.close, descriptor)
            return descriptor

        has = opened()
        if layout(has) != layout(template.fileno()):
            log.warning("the firmware variables of %s are reset: its firmware build has another layout", spec.name)
            undo.close()
            place.media.remove(ours)
            has = opened()
        if spec.setup:
            _ask_for_setup(has)
        undo.pop_all()
    return has


def _ask_for_setup(has: int) -> None:
    try:
        nvram.ask_for_setup(has)
    except nvram.NotChanged:
        words = "the setup of its firmware cannot be requested: its variables have an unknown layout"
        raise HypervisorError(f"{words}: start it without") from None


def _open_files(place: HostDirectories, spec: MachineSpec, own: int, copies: contextlib.ExitStack) -> Files:
    """`own` are its firmware's variables."""

    def ours(descriptor: int) -> int:
        copies.callback(os.close, descriptor)
        return descriptor

    def opened(path: Path, flags: int) -> int:
        return ours(os.open(path, flags | os.O_CLOEXEC, 0o600))

    ours(own)
    disks = [ours(place.media.open(disk.media, readonly=disk.readonly)) for disk in spec.disks]
    return Files(
        code=opened(kept(spec.firmware, place.firmware).code, os.O_RDONLY),
        variables=own,
        disks=disks,
        direct=list(disk_io.direct(place.media, spec, disks)),
        shared=[file for file, disk in zip(disks, spec.disks, strict=True) if place.media.is_shared(disk.media)],
        seed=None if spec.seed is None else ours(seed.opened(spec.seed)),
    )


def _listen(path: Path, copies: contextlib.ExitStack) -> int:
    listener = copies.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(1)
    return listener.fileno()


def _spawn(
    place: HostDirectories,
    who: Incarnation,
    plan: LaunchSpec,
    run: Run,
    largest: int,
    copies: contextlib.ExitStack,
) -> int:
    def held(descriptor: int) -> int:
        copies.callback(os.close, descriptor)
        return descriptor

    directory = place.runs.directory(who.machine)
    os.mkfifo(directory / INPUT, 0o600)
    qemu_log.begin(place.qemu_log(who), who.epoch)
    # QEMU has the pipe open for writing, too, so that it never reads an end of file.
    typed = held(os.open(directory / INPUT, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    assert run.spool is not None
    said = held(spool.create(directory / "serial.0", run.spool))
    own_words = held(spool.create(directory / qemu_log.NAME, run.spool))
    descriptors = [plan.files.code, plan.files.variables, *plan.files.disks, plan.sockets.qmp]
    if plan.files.seed is not None:
        descriptors.append(plan.files.seed)
    if plan.sockets.agent is not None:
        descriptors.append(plan.sockets.agent)
    for nic in plan.nics:
        if isinstance(nic, TapDevice):
            descriptors += [*nic.fds, *nic.vhost]
    return confine.begin(
        _view(place, plan, run),
        run.uid if place.privileged else None,
        largest,
        arguments(plan),
        stdin=typed,
        stdout=said,
        stderr=own_words,
        files=descriptors,
        reset=(),  # Python's ignoring of SIGXFSZ stays: it is QEMU's, too
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
    )


def _view(place: HostDirectories, plan: LaunchSpec, run: Run) -> View | None:
    """What QEMU sees of the host; None: whatever the server sees, because namespaces are not available."""
    if not place.privileged or sandbox.missing():
        return None
    kvm = plan.accelerator.startswith("kvm")
    names = resolver.copy(place.resolver) if run.nat else None
    return confine.view(run.uid, Path(plan.own), plan.binary, names, kvm=kvm)


def _words(error: Exception) -> str:
    """What failed, without paths of the host."""
    if isinstance(error, FileNotFoundError):
        return "a file that this VM needs is missing: one of its media, or a program of QEMU's (see `velocity doctor`)"
    if isinstance(error, FileExistsError):
        return error.strerror or OLDER_RUN
    if isinstance(error, OSError):
        return f"the host refused to start it: {error.strerror or error}"
    return str(error)
