"""How little a machine's process may do: what it is started with, and what holds of it when one looks.

setpriv(1); https://www.kernel.org/doc/html/latest/userspace-api/no_new_privs.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from velocity.hypervisor.port import Confinement

KVM = Path("/dev/kvm")


def prefix(uid: int | None) -> list[str]:
    """The command that gives privileges up and becomes QEMU. None: an ordinary user, who has none to give up."""
    if uid is None:
        return ["setpriv", "--no-new-privs", "--"]
    return [
        "setpriv",
        f"--reuid={uid}",
        f"--regid={uid}",
        "--clear-groups",
        "--no-new-privs",
        "--inh-caps=-all",
        "--ambient-caps=-all",
        "--bounding-set=-all",
        "--",
    ]


LEND_KVM = """
set -e
mount -t tmpfs -o mode=0755,size=64k velocity "$1"
mknod -m 0600 "$1/kvm" c "$3" "$4"
chown "$2" "$1/kvm"
mount --bind "$1/kvm" /dev/kvm
umount -l "$1"
shift 4
exec "$@"
"""


def is_open_to_all(device: Path) -> bool:
    """Whether every uid may read and write it."""
    return device.stat().st_mode & 0o006 == 0o006


def lend_kvm(uid: int, directory: str) -> list[str]:
    """The command before `prefix` where /dev/kvm is not open to all: the machine sees one that is its own.

    QEMU opens /dev/kvm by its path. In a mount namespace of the machine's own a second node of the same device, which
    belongs to its uid, lies over it; it ends with the process. `directory` is covered for a moment. mount_namespaces(7)
    """
    device = KVM.stat().st_rdev
    numbers = [str(os.major(device)), str(os.minor(device))]
    unshare = ["unshare", "--mount", "--propagation", "private", "--"]
    return [*unshare, "sh", "-c", LEND_KVM, "sh", directory, str(uid), *numbers]


def status(pid: int) -> dict[str, str]:
    """/proc/PID/status as it stands. Raises `OSError` when the process is gone. proc(5)"""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def read_back(facts: Mapping[str, str], *, server_uid: int, nat_reaches_loopback: bool) -> Confinement:
    """What those facts mean."""
    uids = {int(uid) for uid in facts["Uid"].split()}
    uid = int(facts["Uid"].split()[0])
    groups = tuple(int(gid) for gid in facts["Groups"].split())
    own = len(uids) == 1 and uid not in (0, server_uid)
    bounding = facts["CapBnd"]
    privileges = facts["NoNewPrivs"] == "1"
    seccomp = facts["Seccomp"] == "2"
    gaps = []
    if not own:
        gaps.append("it runs with the server's uid: run the server as root to give each VM its own")
    if own and groups:
        gaps.append("it has supplementary groups")
    if int(bounding, 16):
        gaps.append("its capability bounding set is not empty: run the server as root to empty it")
    if not privileges:
        gaps.append("it can gain new privileges")
    if not seccomp:
        gaps.append("it has no system call filter: QEMU was built without seccomp")
    if nat_reaches_loopback:
        gaps.append("its NAT reaches the host's own 127.0.0.1: run the server as root, with nftables, to prevent that")
    return Confinement(
        uid=uid,
        own_uid=own,
        groups=groups,
        bounding_set=bounding,
        no_new_privileges=privileges,
        seccomp=seccomp,
        nat_reaches_loopback=nat_reaches_loopback,
        gaps=tuple(gaps),
    )
