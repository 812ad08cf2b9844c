"""How a machine's process is confined: what it is started with, and what is read back from it.

proc_pid_status(5), proc_pid_mountinfo(5)
"""

from __future__ import annotations

import functools
import os
import resource
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from velocity import sandbox, spawning
from velocity.hypervisor.port import Confinement
from velocity.hypervisor.qemu import privileges, scopes
from velocity.hypervisor.qemu.processes import limit
from velocity.hypervisor.qemu.resolver import RESOLV_CONF
from velocity.sandbox import Lent, View

KVM = Path("/dev/kvm")
EARLIER = "it was started by an earlier version: stop it and start it again"
NAMESPACES = {"mnt": "mount", "ipc": "ipc", "pid": "pid"}
"""The namespaces that a process should have to itself, by their names in /proc."""
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")
"""The capability sets in /proc/PID/status, besides the bounding set."""


def is_open_to_all(device: Path) -> bool:
    """Whether every uid may read and write it."""
    return device.stat().st_mode & 0o006 == 0o006


def view(uid: int, own: Path, binary: str, resolver: Path | None, *, kvm: bool) -> View:
    """What QEMU sees of the host: /usr, its own directory, /dev/kvm if needed, and for NAT the resolver configuration.

    `resolver` is a directory with a resolv.conf, which QEMU reads again whenever it has changed. Without user-mode NAT
    there is no network: taps are passed as descriptors.
    """
    return View(
        shown=(*_beside_usr(binary), *([resolver] if resolver else [])),
        writable=(own,),
        lent=(Lent(KVM, None if is_open_to_all(KVM) else uid),) if kvm else (),
        links=((RESOLV_CONF, resolver / RESOLV_CONF.name),) if resolver else (),
        network=resolver is not None,
    )


@functools.cache
def _beside_usr(binary: str) -> list[Path]:
    """The directories of the program that are not below /usr."""
    found = Path(shutil.which(binary) or binary)
    return sorted({path.parent for path in (found, found.resolve()) if not path.is_relative_to("/usr")})


def begin(seen: View | None, uid: int | None, largest: int, command: Sequence[str], **how: Any) -> int:
    """Start the program as that uid, with that view; returns its pid. `how` is `spawning.spawn`'s. Raises `OSError`.

    `seen` None: it sees what the server does; `uid` None: it runs as the server's account. `largest` is the maximum
    size in bytes of files that it writes. When memory is short, the kernel kills it before the server.
    """

    def begun() -> int:
        privileges.drop(uid)
        pid = spawning.spawn(command, session=True, **how)
        try:
            _bound(pid, uid, largest)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        return pid

    pid = sandbox.inside(seen, begun)
    sandbox.end_sooner(pid)
    return pid


def _bound(pid: int, uid: int | None, largest: int) -> None:
    """Set its limits, before the guest's first instruction; only root could raise them. prlimit(2)

    The calling thread has that process's uid, so it needs no capability.
    """
    bounds = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: largest}
    if uid is not None:  # threads are counted per uid: only a uid of its own can have a limit
        bounds[resource.RLIMIT_NPROC] = scopes.THREADS
    for kind, most in bounds.items():
        resource.prlimit(pid, kind, (most, most))


def status(pid: int) -> dict[str, str]:
    """/proc/PID/status, and other facts. Raises `OSError` when the process is gone. proc(5)"""
    process = Path(f"/proc/{pid}")
    lines = (process / "status").read_text().splitlines()
    facts = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    own = [name for kind, name in NAMESPACES.items() if _is_own(process, kind)]
    bounds = scopes.read_bounds(pid)
    root = [line.split() for line in (process / "mountinfo").read_text().splitlines() if line.split()[4] == "/"]
    return {
        **facts,
        "Namespaces": " ".join(own),
        "Root": " ".join(one[5] + " " + " ".join(one[one.index("-") + 1 :][:2]) for one in root),
        "Network": "own" if _is_own(process, "net") else "host",
        "OomScoreAdj": (process / "oom_score_adj").read_text().strip(),
        "ServerOomScoreAdj": Path("/proc/self/oom_score_adj").read_text().strip(),
        "FileMax": limit(pid, "Max file size"),
        "CoreMax": limit(pid, "Max core file size"),
        "ProcessesMax": limit(pid, "Max processes"),
        "MemoryMax": str(bounds.memory or ""),
        "ThreadsMax": str(bounds.threads or ""),
        "CpuWeight": str(bounds.weight or ""),
    }


def _is_own(process: Path, kind: str) -> bool:
    return (process / "ns" / kind).stat().st_ino != (Path("/proc/self/ns") / kind).stat().st_ino


def sees_host(root: str) -> bool:
    """Whether its root is not the sandbox's, to which nobody can write."""
    options, _, kind = root.partition(" ")
    return kind != "tmpfs velocity" or "ro" not in options.split(",")


def read_back(
    facts: Mapping[str, str],
    *,
    server_uid: int,
    nat: bool,
    nat_reaches_loopback: bool,
    unfiltered_nics: Iterable[int] = (),
) -> Confinement:
    """What these facts mean for isolation."""
    uids = {int(uid) for uid in facts["Uid"].split()}
    uid = int(facts["Uid"].split()[0])
    own = len(uids) == 1 and uid not in (0, server_uid)
    memory, weight = (int(facts[name]) if facts[name] else None for name in ("MemoryMax", "CpuWeight"))
    # Threads are counted per uid, so this is a limit only with a uid of its own.
    threads = [facts["ThreadsMax"], facts["ProcessesMax"] if own else ""]
    holds = Confinement(
        uid=uid,
        own_uid=own,
        groups=tuple(int(gid) for gid in facts["Groups"].split()),
        bounding_set=facts["CapBnd"],
        no_new_privileges=facts["NoNewPrivs"] == "1",
        seccomp=facts["Seccomp"] == "2",
        namespaces=tuple(facts["Namespaces"].split()),
        sees_host_files=sees_host(facts["Root"]),
        oom_score_adj=int(facts["OomScoreAdj"]),
        memory_limit=memory,
        thread_limit=min((int(most) for most in threads if most.isdigit()), default=None),
        cpu_weight=weight,
        core_dumps=facts["CoreMax"] != "0",
        nat_reaches_loopback=nat_reaches_loopback,
        unfiltered_nics=tuple(unfiltered_nics),
        gaps=(),
    )
    sight = _sight(holds, host_network=facts["Network"] == "host" and not nat)
    return replace(holds, gaps=(*_privileges(holds, facts), *sight, *_bounds(holds, facts)))


def _privileges(holds: Confinement, facts: Mapping[str, str]) -> Iterator[str]:
    """Privileges that it should not have, with the cure."""
    if not holds.own_uid:
        yield "it runs with the server's uid: run the server as root to give each VM its own"
    elif set(facts["Gid"].split()) != {str(holds.uid)} or holds.groups:
        yield "it has supplementary groups"
    if int(holds.bounding_set, 16):
        yield "its capability bounding set is not empty: run the server as root to empty it"
    if any(int(facts[kind], 16) for kind in CAPABILITIES):
        yield "it has capabilities"
    if not holds.no_new_privileges:
        yield "it can gain new privileges"
    if not holds.seccomp:
        yield "it has no system call filter: QEMU was built without seccomp"


def _sight(holds: Confinement, *, host_network: bool) -> Iterator[str]:
    """What it sees or reaches and should not, with the cure."""
    if holds.sees_host_files or set(holds.namespaces) != set(NAMESPACES.values()):
        yield f"it sees the host's files, shared memory or processes: {sandbox.missing() or EARLIER}"
    if host_network:
        yield f"it can use this host's network, which it does not need: {sandbox.missing() or EARLIER}"
    if holds.nat_reaches_loopback:
        yield (
            "its NAT reaches the host's own 127.0.0.1 and link-local addresses, such as a cloud's metadata service: "
            "run the server as root, with nftables, to prevent that"
        )
    if holds.unfiltered_nics:
        numbers = " and ".join(str(nic) for nic in holds.unfiltered_nics)
        yield f"no packet filter keeps its NIC {numbers} from posing as others: stop it and start it again"


def _bounds(holds: Confinement, facts: Mapping[str, str]) -> Iterator[str]:
    """Resources that are not limited, with the cure."""
    if holds.oom_score_adj <= int(facts["ServerOomScoreAdj"]):
        yield "when memory is short, the kernel may kill the server before it: its oom_score_adj is not higher"
    if holds.memory_limit is None:
        cure = scopes.lacking() or f"systemd gave it no scope, as the server's log says, or {EARLIER}"
        yield f"its memory is not limited: {cure}"
    if holds.thread_limit is None:
        yield f"the number of its threads is not limited: {EARLIER if holds.own_uid else 'run the server as root'}"
    if not facts["FileMax"].isdigit():
        yield f"the size of its media and other files is not limited: {EARLIER}"
    if holds.core_dumps:
        yield f"a crash may write what it has in memory to the host's disk: {EARLIER}"
