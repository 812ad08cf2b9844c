"""The named points at which a server is killed: seams that it passes, in one table, each with a before and an after.

`install` runs inside the server, before it begins, and wraps each seam. A seam that is not there ends the server at
once: the table is to be mended then. Nothing of this is in the product.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTROL, PASSED = "CRASH_CONTROL", "CRASH_PASSED"
"""Environment: the file that arms a point (`record`, or `<n> <point>`), and the one that notes what was passed."""


def paths(*arguments: Any, **_named: Any) -> str:
    """`a -> b` of a call with paths, or with a descriptor."""
    shown = [f"/proc/self/fd/{one}" if isinstance(one, int) else os.fspath(one) for one in arguments[:2]]
    return " -> ".join(os.path.realpath(one) if one.startswith("/proc/self/fd/") else one for one in map(str, shown))


def descriptor(number: int, *_more: Any, **_named: Any) -> str:
    return paths(number)


def words(*arguments: Any, **_named: Any) -> str:
    """The words of a command line, whole or one by one, or the command that a monitor is told."""
    return " ".join(
        " ".join(map(str, one)) if isinstance(one, list) else one for one in arguments if isinstance(one, str | list)
    )


def path(one: Any, *_more: Any, **_named: Any) -> str:
    return str(os.fspath(one))


def kind(name: str, *_more: Any, **_named: Any) -> str:
    return name


def nothing(*_arguments: Any, **_named: Any) -> str:
    return ""


ANY, MEMORY, QEMU = "any", "memory", "qemu"


@dataclass(frozen=True)
class Seam:
    """A call that is passed. `where` is `module:attribute`; of its calls, those count whose text has `pattern`."""

    name: str
    where: str
    shown: Callable[..., str] = nothing
    pattern: str = ""
    with_: str = ANY
    """The hypervisor with which it is passed."""
    behind: float = 0.0
    """Seconds within which it is passed after the answer, if it is then."""

    @property
    def points(self) -> tuple[str, str]:
        return f"before {self.name}", f"after {self.name}"


COMMIT = "the database commits"
SEAMS = (
    Seam(COMMIT, "sqlalchemy.engine.default:DefaultDialect.do_commit"),
    Seam("an answer is sent", "tests.crash.points:deliver", kind, "response.body"),
    Seam("the local key is moved into place", "os:rename", paths, r"root\.key$"),
    Seam("a pool's mark is moved into place", "os:rename", paths, r"/\.velocity/pool$"),
    Seam("a pool's record is moved into place", "os:rename", paths, r"/pools/\d+$"),
    Seam("a medium's file gets its size", "os:ftruncate", descriptor, r"/\.moving/"),
    Seam("a medium's file grows", "os:ftruncate", descriptor, r"(?<!\.moving)/[0-9a-f-]{36}\.raw$"),
    Seam("a qcow2 file is made", "subprocess:run", words, r"qemu-img create"),
    Seam("bytes of an upload are written", "os:writev", descriptor, r"/\.moving/"),
    Seam("a medium's bytes are flushed", "os:fdatasync", descriptor, r"/\.moving/"),
    Seam("a made medium is flushed", "os:fsync", descriptor, r"/\.moving/."),
    Seam("an image is read or converted", "velocity.spawning:spawn", words, r"qemu-img"),
    Seam("a medium is moved into place", "os:rename", paths, r"/\.moving/\S+ -> \S+/media/[^/]+$"),
    Seam("a medium is moved out of place", "os:rename", paths, r"/media/[^/]+ -> \S+/\.moving/"),
    Seam("a medium is moved into the trash", "os:rename", paths, r" -> \S+/\.trash/"),
    Seam("a medium is moved out of the trash", "os:rename", paths, r"/\.trash/\S+ -> "),
    Seam("a pool's directory is flushed", "os:fsync", descriptor, r"/media(/\.\w+)?$"),
    Seam("a medium is removed for good", "os:unlink", paths, r"/media/\.(moving|trash)/"),
    Seam("a machine in memory is started", "velocity.hypervisor.fake:FakeMachines.start", with_=MEMORY),
    Seam("a machine in memory is paused", "velocity.hypervisor.fake:FakeMachines.pause", with_=MEMORY),
    Seam("a machine in memory is resumed", "velocity.hypervisor.fake:FakeMachines.resume", with_=MEMORY),
    Seam("a machine in memory is reset", "velocity.hypervisor.fake:FakeMachines.reset", with_=MEMORY),
    Seam("a machine in memory is stopped", "velocity.hypervisor.fake:FakeMachines.stop", with_=MEMORY),
    Seam("a machine in memory is forgotten", "velocity.hypervisor.fake:FakeMachines.forget", with_=MEMORY),
    Seam("a machine in memory is altered", "velocity.hypervisor.fake:FakeMachines.alter", with_=MEMORY),
    Seam("a copy of a disk in memory begins", "velocity.hypervisor.fake.mirrors:FakeMirrors.begin", with_=MEMORY),
    Seam("a disk in memory is held", "velocity.hypervisor.fake.mirrors:FakeMirrors.hold", with_=MEMORY),
    Seam("a disk in memory is settled", "velocity.hypervisor.fake.mirrors:FakeMirrors.settle", with_=MEMORY),
    Seam("the firmware is kept", "os:rename", paths, r"/firmware/", with_=QEMU),
    Seam("a machine's directory is made", "os:mkdir", path, r"/machines/[^/]+$", with_=QEMU),
    Seam("firmware variables are moved into place", "os:rename", paths, r"/vars\.qcow2$", with_=QEMU),
    Seam("a run's directory is made", "os:mkdir", path, r"/runs/\w{8}/[-\w]{36}$", with_=QEMU),
    Seam("a uid is claimed", "os:symlink", paths, r"/uids/\d+$", with_=QEMU),
    Seam("a run is noted", "os:rename", paths, r"/run\.json$", with_=QEMU),
    Seam("the console's pipe is made", "os:mkfifo", path, r"/runs/", with_=QEMU),
    Seam("QEMU is spawned", "velocity.spawning:spawn", words, r" -uuid ", with_=QEMU),
    Seam("QEMU's monitor is connected", "qemu.qmp:QMPClient.connect", with_=QEMU),
    Seam("QEMU is told to go on", "qemu.qmp:QMPClient.execute", words, r"^cont$", with_=QEMU),
    Seam("QEMU is told to pause", "qemu.qmp:QMPClient.execute", words, r"^stop$", with_=QEMU),
    Seam("QEMU is told to reset", "qemu.qmp:QMPClient.execute", words, r"^system_reset$", with_=QEMU),
    Seam("the power button is pressed", "qemu.qmp:QMPClient.execute", words, r"^system_powerdown$", with_=QEMU),
    Seam("QEMU is told to copy a disk", "qemu.qmp:QMPClient.execute", words, r"^blockdev-mirror$", with_=QEMU),
    Seam("QEMU is told to hold a disk", "qemu.qmp:QMPClient.execute", words, r"^job-complete$", with_=QEMU),
    Seam("QEMU is told to take a copy", "qemu.qmp:QMPClient.execute", words, r"^job-finalize$", with_=QEMU),
    Seam("QEMU is told to plug a device", "qemu.qmp:QMPClient.execute", words, r"^device_add$", with_=QEMU),
    Seam("QEMU is told to unplug a device", "qemu.qmp:QMPClient.execute", words, r"^device_del$", with_=QEMU),
    Seam("QEMU is told of a port", "qemu.qmp:QMPClient.execute", words, r"^human-monitor-command$", with_=QEMU),
    Seam("QEMU is told to quit", "qemu.qmp:QMPClient.execute", words, r"^quit$", with_=QEMU),
    Seam("a run's note is removed", "os:unlink", paths, r"/run\.json$", with_=QEMU, behind=30.0),
    Seam("a uid is given back", "os:unlink", paths, r"/uids/\d+$", with_=QEMU, behind=30.0),
    Seam("a run's directory is removed", "os:rmdir", path, r"/runs/\w{8}/[-\w]{36}$", with_=QEMU, behind=30.0),
)
BRIDGED = Seam("a link is made", "velocity.network.taps:connect_nic", with_=QEMU)
"""Passed where the tests have a network namespace, and so a bridge, of their own."""


class Armed:
    """What the control file says now, and how often its point was passed since."""

    def __init__(self, control: Path, passed: Path) -> None:
        self._directory = os.open(control.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._control = control.name
        self._passed = os.open(passed, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._turn = threading.Lock()
        self._order = ""
        self._count = 0

    def _read(self) -> str:
        """By the directory's descriptor: the thread that begins a program may see the host's files no more."""
        with os.fdopen(os.open(self._control, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)) as file:
            return file.read()

    def passes(self, point: str) -> None:
        with self._turn:
            order = self._read()
            if order != self._order:
                self._order, self._count = order, 0
            number, _, wanted = order.partition(" ")
            if order == "record":
                os.write(self._passed, f"{point}\n".encode())
            elif wanted == point:
                self._count += 1
                if self._count == int(number):
                    os.write(self._passed, f"{point}\n".encode())
                    os.kill(os.getpid(), signal.SIGKILL)
                    signal.pause()


class SeamIsGone(Exception):
    """The table names a seam that the code has no more."""


def find(where: str) -> tuple[Any, str, Any]:
    """What has the seam, its name there, and the seam itself. Raises `SeamIsGone`."""
    module, _, dotted = where.partition(":")
    *way, last = dotted.split(".")
    try:
        holder: Any = importlib.import_module(module)
        for name in way:
            holder = getattr(holder, name)
        return holder, last, getattr(holder, last)
    except (ImportError, AttributeError) as error:
        raise SeamIsGone(f"{where}: {error}; mend the table in tests/crash/points.py") from error


def install(seams: tuple[Seam, ...], armed: Armed) -> None:
    """Wrap them all. Raises `SeamIsGone`."""
    for where in dict.fromkeys(seam.where for seam in seams):
        holder, last, original = find(where)
        setattr(holder, last, _wrapped(original, [seam for seam in seams if seam.where == where], armed))


def _wrapped(original: Any, seams: list[Seam], armed: Armed) -> Any:
    def passed(arguments: tuple[Any, ...], named: dict[str, Any]) -> list[Seam]:
        return [seam for seam in seams if re.search(seam.pattern, seam.shown(*arguments, **named))]

    def plain(*arguments: Any, **named: Any) -> Any:
        here = passed(arguments, named)
        for seam in here:
            armed.passes(seam.points[0])
        result = original(*arguments, **named)
        for seam in here:
            armed.passes(seam.points[1])
        return result

    async def waiting(*arguments: Any, **named: Any) -> Any:
        here = passed(arguments, named)
        for seam in here:
            armed.passes(seam.points[0])
        result = await original(*arguments, **named)
        for seam in here:
            armed.passes(seam.points[1])
        return result

    return waiting if inspect.iscoroutinefunction(original) else plain


Send = Callable[[dict[str, Any]], Any]


async def deliver(_kind: str, message: dict[str, Any], send: Send) -> None:
    """Hand a part of an answer to the connection."""
    await send(message)


def answering(application: Any) -> Any:
    """The ASGI application, whose answers pass `deliver`."""

    async def serve(scope: Any, receive: Any, send: Send) -> None:
        async def sent(message: dict[str, Any]) -> None:
            await deliver(message["type"], message, send)

        await application(scope, receive, sent)

    return serve
