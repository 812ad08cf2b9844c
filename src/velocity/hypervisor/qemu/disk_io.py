"""Direct disk I/O: which disks can have it, and through which kernel interface.

Disks with the page cache use QEMU's own threads: docs/decisions/0031. io_uring(7)
"""

from __future__ import annotations

import logging
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from velocity.hypervisor.port import Cache, MachineSpec
from velocity.hypervisor.qemu import cached
from velocity.hypervisor.qemu.command import SANDBOX
from velocity.hypervisor.qemu.probe import kernel_key
from velocity.storage.port import MediaFiles

log = logging.getLogger(__name__)

NATIVE, IO_URING = "native", "io_uring"
"""Linux AIO, which needs O_DIRECT and always works; and io_uring, which is faster where kernel and QEMU permit it."""
PATIENCE = 20.0
"""Seconds for the test of io_uring."""
FORBIDDEN = Path("/proc/sys/kernel/io_uring_disabled")


def direct_aio(binary: str, uids: range | None, cache: Path) -> tuple[str, str]:
    """The interface used here, and if it is not io_uring, why: found by trying it, confined like a guest's process."""
    uid = None if uids is None else uids.start
    key = {**cached.program_key(binary), **kernel_key(Path("/dev/kvm")), **_permitted(), "guest": uid}
    lacks = cached.load(cache, key, str)
    if lacks is None:
        lacks = _io_uring_lacks(binary, uid)
        cached.store(cache, key, lacks)
    return (NATIVE, lacks) if lacks else (IO_URING, "")


def direct(media: MediaFiles, spec: MachineSpec, descriptors: Sequence[int]) -> Iterator[int]:
    """Those of the disks with `cache=none` that can be opened with O_DIRECT. The others use the page cache."""
    for number, (disk, descriptor) in enumerate(zip(spec.disks, descriptors, strict=True)):
        if disk.cache is Cache.NONE:
            if why := media.direct_lacks(disk.media, descriptor, readonly=disk.readonly):
                log.warning("%r: medium %d uses the host's page cache: %s", spec.name, number + 1, why)
            else:
                yield descriptor


def _io_uring_lacks(binary: str, uid: int | None) -> str:
    """Read a file with it, confined as guests are: a sysctl, seccomp or QEMU's build may forbid it."""
    with tempfile.TemporaryFile() as file:
        file.write(bytes(4096))
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
    """What the kernel's permission depends on, besides `kernel_key`."""
    status = Path("/proc/self/status").read_text()
    return {
        "io_uring_disabled": FORBIDDEN.read_text().strip() if FORBIDDEN.exists() else "",
        "seccomp": [line.split()[1] for line in status.splitlines() if line.startswith("Seccomp")],
    }
