"""Boots each firmware build once, so that new machines start with the variables that a first boot creates.

A firmware that finds its variables empty writes what is the same for every machine, byte by byte, each of which stops
the CPU. The boot uses a machine without devices. Without its result, machines start with the template as installed.
docs/decisions/0049
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from typing import BinaryIO

from velocity import durable
from velocity.hypervisor.qemu import nvram
from velocity.hypervisor.qemu.command import SANDBOX
from velocity.hypervisor.qemu.firmware import FirmwareBuild
from velocity.uninterrupted import in_thread
from velocity.unprivileged import Bounds, own_uid, running

log = logging.getLogger(__name__)

SETTLED = 60.0
"""Seconds after the server's start, so that guests start first."""
LONGEST = 900.0
"""Seconds until it is given up."""
BEHIND = ("sh", "-c", 'read -r go && exec setpriv --pdeathsig=KILL -- chrt --idle 0 "$@"', "sh")
"""It ends with the server, even if that is killed, and runs at the lowest priority.

It waits until the thread that spawned it has ended, as the kernel would take the end of that for the server's. prctl(2)
"""
GO = b"\n"
BOUNDS = Bounds(file=4 << 20, seconds=240, memory=2 << 30)
DONE = re.compile(rb"BdsDxe: (starting|No bootable)")
"""Output that shows that the firmware has written everything, and is trying its boot options."""
LISTENED = 4096
"""Bytes that are read of its output at a time, and kept."""
EXIT = b"\x01x"
"""The key sequence that makes QEMU quit, after writing back the file."""


class NotBooted(Exception):
    """The boot did not finish; the message says why."""


async def later(
    binary: str, build: FirmwareBuild, worker: int | None, *, settled: float = SETTLED, longest: float = LONGEST
) -> None:
    """Create the template of that build, unless it exists. `worker` as in `unprivileged`. Failures are logged."""
    if build.booted.is_file():
        return
    await asyncio.sleep(settled)
    try:
        async with asyncio.timeout(longest):
            await make(binary, build, worker)
    except TimeoutError:
        log.warning("new VMs begin with empty firmware variables: a first boot took more than %.0f s", longest)
    except (OSError, NotBooted) as error:
        log.warning("new VMs begin with empty firmware variables, and boot more slowly the first time: %s", error)


async def make(binary: str, build: FirmwareBuild, worker: int | None, *, behind: bool = True) -> None:
    """`behind`: at the lowest priority. Raises `NotBooted`, `OSError`: then there is no template, as before."""
    with contextlib.ExitStack() as left:
        # It has no name while QEMU writes to it, so a crash leaves nothing behind.
        draft = left.enter_context(await asyncio.to_thread(_draft, build))
        code = left.enter_context(await asyncio.to_thread(build.code.open, "rb"))
        await _boot(binary, code.fileno(), draft.fileno(), worker, behind=behind)
        await in_thread(_keep, draft, build)


def _draft(build: FirmwareBuild) -> BinaryIO:
    draft = tempfile.TemporaryFile(dir=build.vars.parent)  # noqa: SIM115 - the caller closes it
    with build.vars.open("rb") as template:
        shutil.copyfileobj(template, draft)
    draft.flush()
    return draft


def _keep(draft: BinaryIO, build: FirmwareBuild) -> None:
    try:
        nvram.forget_boots(draft.fileno())
    except nvram.NotChanged:
        raise NotBooted("the variables of the firmware have an unknown layout") from None
    draft.seek(0)
    durable.write(build.booted, draft.read(BOUNDS.file))


async def _boot(binary: str, code: int, variables: int, worker: int | None, *, behind: bool) -> None:
    typed, typing = os.pipe()
    with contextlib.ExitStack() as left:
        for end in (typed, typing):
            left.callback(os.close, end)
        uid = left.enter_context(own_uid(worker))
        command = [*(BEHIND if behind else ()), *_arguments(binary, code, variables)]
        async with running(worker, uid, command, BOUNDS, stdin=typed, files=(code, variables)) as qemu:
            if behind:
                os.write(typing, GO)
            said = b""
            while DONE.search(said) is None:
                more = await qemu.stdout.read(LISTENED)
                if not more:
                    raise NotBooted((await qemu.complaints()).strip() or f"QEMU ended with {await qemu.wait()}")
                said = said[-LISTENED:] + more
            os.write(typing, EXIT)
            if status := await qemu.wait():
                raise NotBooted(f"QEMU ended with {status}")


def _arguments(binary: str, code: int, variables: int) -> Sequence[str]:
    """A machine without disks, NICs and displays, so that the variables name none."""
    return [
        *(binary, "-no-user-config", "-nodefaults", *SANDBOX, "-display", "none", "-serial", "mon:stdio"),
        *("-machine", "q35,vmport=off,hpet=off,smm=off,pflash0=fw,pflash1=vars", "-m", "128M"),
        *("-accel", "tcg,tb-size=32", "-cpu", "max"),
        *("-add-fd", f"fd={code},set=1", "-add-fd", f"fd={variables},set=2"),
        *("-blockdev", "driver=raw,node-name=fw,read-only=on,file.driver=file,file.filename=/dev/fdset/1,"
          "file.read-only=on"),
        *("-blockdev", "driver=qcow2,node-name=vars,file.driver=file,file.filename=/dev/fdset/2"),
    ]  # fmt: skip
