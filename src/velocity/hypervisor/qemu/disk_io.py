"""How disks are read and written past the host's page cache: by what, and whether their files can be.

Through the page cache it is by QEMU's own threads: docs/decisions/0031. io_uring(7), open(2) (O_DIRECT)
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from velocity.hypervisor.port import Cache, DiskSpec, MachineSpec
from velocity.hypervisor.qemu import cached
from velocity.hypervisor.qemu.command import SANDBOX
from velocity.hypervisor.qemu.probe import kernel_key

log = logging.getLogger(__name__)

NATIVE, IO_URING = "native", "io_uring"
"""Linux AIO, which needs O_DIRECT and is always there, and what is faster where kernel and QEMU permit it."""
PATIENCE = 20.0
ALIGNMENTS = (512, 4096)
"""What a file system may want of offsets and lengths, as QEMU tries them."""
FORBIDDEN = Path("/proc/sys/kernel/io_uring_disabled")


def direct_aio(binary: str, uids: range | None, cache: Path) -> tuple[str, str]:
    """What is used here, and why it is not io_uring, if so: found by using it, as a guest's process would."""
    uid = None if uids is None else uids.start
    key = {**cached.program_key(binary), **kernel_key(Path("/dev/kvm")), **_permitted(), "guest": uid}
    lacks = cached.load(cache, key, str)
    if lacks is None:
        lacks = _io_uring_lacks(binary, uid)
        cached.store(cache, key, lacks)
    return (NATIVE, lacks) if lacks else (IO_URING, "")


def direct(spec: MachineSpec, descriptors: Sequence[int]) -> Iterator[int]:
    """The disks, of those that are to be, that can be read and written past the page cache. The others go by it."""
    for number, (disk, descriptor) in enumerate(zip(spec.disks, descriptors, strict=True)):
        if disk.cache is Cache.NONE:
            if why := lacks(descriptor, grows=not _has_whole_sectors(disk)):
                log.warning("%r: medium %d goes by the host's page cache: %s", spec.name, number + 1, why)
            else:
                yield descriptor


def lacks(descriptor: int, *, grows: bool = True) -> str:
    """Why an open file cannot be read past the page cache; empty: it can. Found by reading so.

    Unless it `grows`, QEMU wants it to end where an aligned block does.
    """
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        alignment = next((one for one in ALIGNMENTS if _reads(descriptor, one)), None)
    except OSError:
        alignment = None
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    if alignment is None:
        return "its file system has no direct I/O"
    if not grows and os.fstat(descriptor).st_size % alignment:
        return f"its size is no multiple of {alignment:,} bytes"
    return ""


def pool_lacks(directory: Path) -> str:
    """The same of new files there; nothing remains of the one that is tried. Raises `OSError`."""
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(bytes(ALIGNMENTS[-1]))
        file.flush()
        return lacks(file.fileno())


def _has_whole_sectors(disk: DiskSpec) -> bool:
    """A qcow2 file grows with what is written; one that is only read may end anywhere."""
    return disk.media.format == "raw" and not disk.readonly


def _reads(descriptor: int, length: int) -> bool:
    """Whether so few bytes can be read at its begin; mmap(2) gives memory that is aligned."""
    with mmap.mmap(-1, ALIGNMENTS[-1]) as page, memoryview(page) as memory, memory[:length] as part:
        try:
            os.preadv(descriptor, [part], 0)
        except OSError:
            return False
    return True


def _io_uring_lacks(binary: str, uid: int | None) -> str:
    """Read a file by it, confined as guests are: a sysctl, seccomp or the build of QEMU may forbid it."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(ALIGNMENTS[-1]))
        file.flush()
        command = [binary, "-no-user-config", "-nodefaults", "-machine", "none", "-display", "none", *SANDBOX]
        command += ["-add-fd", f"fd={file.fileno()},set=1", "-monitor", "stdio"]
        command += ["-blockdev", f"driver=file,node-name=disk,filename=/dev/fdset/1,aio={IO_URING}"]
        try:
            done = subprocess.run(
                command, input=b'qemu-io disk "read 0 512"\nquit\n', capture_output=True, timeout=PATIENCE, check=False,
                pass_fds=(file.fileno(),), user=uid, group=uid, extra_groups=None if uid is None else [],
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "a test of it did not end in time"
        except OSError as error:
            return f"{binary} cannot be run for a test of it: {error.strerror}"
    if done.returncode == 0 and b"read 512/512 bytes" in done.stdout and not done.stderr.strip():
        return ""
    words = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return words[0].rpartition(": ")[2][:200] if words else "a test of it could not read"


def _permitted() -> dict[str, Any]:
    """What else the kernel goes by, beside what `kernel_key` says."""
    status = Path("/proc/self/status").read_text()
    return {
        "io_uring_disabled": FORBIDDEN.read_text().strip() if FORBIDDEN.exists() else "",
        "seccomp": [line.split()[1] for line in status.splitlines() if line.startswith("Seccomp")],
    }
