"""Becomes a guest's process, as whoever broke out of QEMU would be, and tries what that must not do.

Run by root: `python intruder.py PID UID`, with what there is to be tried as JSON on standard input. It says as JSON
what it could do. Its uid, namespaces and limits are the process's, its system calls are not filtered: it may try more.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
CAPABILITIES = 41
"""The last one's number, and one more. capability.h"""
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CLONE = {"user": 0x10000000, "mnt": 0x20000, "net": 0x40000000, "pid": 0x20000000, "ipc": 0x8000000, "uts": 0x4000000}
LIMITS = {
    "Max open files": resource.RLIMIT_NOFILE,
    "Max core file size": resource.RLIMIT_CORE,
    "Max file size": resource.RLIMIT_FSIZE,
    "Max locked memory": resource.RLIMIT_MEMLOCK,
    "Max processes": resource.RLIMIT_NPROC,
}
Attempt = tuple[str, Callable[[], object]]


def called(name: str, *arguments: Any) -> int:
    result = int(getattr(LIBC, name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def become(pid: int, uid: int) -> None:
    """In this process; what it begins is in the pid namespace, too."""
    with Path(f"/proc/{pid}/limits").open() as said:
        limits = {LIMITS[line[:26].strip()]: line[26:].split()[:2] for line in said if line[:26].strip() in LIMITS}
    kept = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("ipc", "net", "pid", "mnt")]
    root = os.open(f"/proc/{pid}/root", os.O_PATH)
    for namespace in kept:
        called("setns", namespace, 0)
    os.fchdir(root)
    os.chroot(".")
    for kind, (soft, hard) in limits.items():
        resource.setrlimit(kind, (number(soft), number(hard)))
    for one in [*kept, root]:
        os.close(one)
    for capability in range(CAPABILITIES):
        called("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    called("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def number(limit: str) -> int:
    return resource.RLIM_INFINITY if limit == "unlimited" else int(limit)


def files(told: dict[str, Any]) -> Iterator[Attempt]:
    for path in told["hidden"]:
        yield f"see {path}", Path(path).stat
    for path in told["unwritable"]:
        yield f"write into {path}", partial(created, Path(path, "intruder"))
    for path in told["sockets"]:
        yield f"connect to {path}", partial(connected, socket.AF_UNIX, path)
    own = Path(told["own"])
    yield "remove its own directory", own.rmdir
    yield "rename its own directory", partial(own.rename, own.with_suffix(".other"))
    yield "write a file of a terabyte", partial(vast, own / "vast", 1 << 40)
    yield "make a file of a terabyte", lambda: os.truncate(created(own / "vast"), 1 << 40)
    yield "give a file away", lambda: os.chown(created(own / "given"), 0, 0)
    yield "make a device", lambda: os.mknod(own / "sda", stat.S_IFBLK | 0o600, os.makedev(8, 0))
    yield "run a program of its own", lambda: called("execve", program(own), None, None)


def vast(path: Path, size: int) -> None:
    """Nothing but its last byte."""
    with path.open("wb") as file:
        file.seek(size)
        file.write(b"x")


def created(path: Path) -> Path:
    path.write_text("x")
    return path


def program(own: Path) -> bytes:
    path = created(own / "program")
    path.chmod(0o700)
    return bytes(path)


def processes(told: dict[str, Any]) -> Iterator[Attempt]:
    for who in ("server", "other"):
        pid = told[who]
        yield f"signal the {who}", partial(os.kill, pid, 0)
        yield f"hold the {who}", partial(os.pidfd_open, pid)
        yield f"trace the {who}", partial(called, "ptrace", 16, pid, None, None)
        yield f"limit the {who}", partial(resource.prlimit, pid, resource.RLIMIT_NOFILE)
        yield f"read the {who}'s memory", partial(memory, pid)
        yield f"bind the {who} to a processor", partial(os.sched_setaffinity, pid, {0})
        yield f"slow the {who} down", partial(os.setpriority, os.PRIO_PROCESS, pid, 19)
    yield "signal the group of the server", lambda: os.killpg(told["server"], 0)
    yield "have real-time priority", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    yield "go before others", lambda: os.nice(-5)


def memory(pid: int) -> int:
    room = ctypes.create_string_buffer(8)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(room), 8)
    return called("process_vm_readv", pid, local, 1, local, 1, 0)


def privileges(_told: dict[str, Any]) -> Iterator[Attempt]:
    yield "become root", lambda: os.setuid(0)
    yield "join root's group", lambda: os.setgid(0)
    yield "join a group", lambda: os.setgroups([27])
    for kind, flag in CLONE.items():
        yield f"make a {kind} namespace", partial(called, "unshare", flag)
    yield "mount", lambda: called("mount", b"x", b"/dev", b"tmpfs", 0, None)
    yield "mount it to be written to", lambda: called("mount", None, b"/usr", None, 0x1020, None)
    yield "unmount", lambda: called("umount2", b"/usr", 2)
    yield "change its root", lambda: os.chroot("/usr")
    yield "rename the host", lambda: socket.sethostname("x")
    yield "set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
    yield "account processes", lambda: called("acct", None)
    yield "have the processor's ports", lambda: called("iopl", 3)
    yield "restart the host", lambda: called("reboot", 0)  # CAD off, if it could
    yield "use swap", lambda: called("swapon", b"/usr", 0)
    yield "open more files than it may", lambda: raised("NOFILE")
    yield "have a core written", lambda: raised("CORE")
    yield "have larger files", lambda: raised("FSIZE")
    yield "raise the bound of its threads", lambda: raised("NPROC")
    yield "begin more threads than it may", crowd
    yield "open a file by its handle", lambda: called("open_by_handle_at", 0, ctypes.create_string_buffer(64), 0)


def raised(name: str) -> None:
    kind = getattr(resource, f"RLIMIT_{name}")
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (hard, hard + 1))


def crowd() -> None:
    """More than any bound that a guest's process has."""
    over = threading.Event()
    begun: list[threading.Thread] = []
    try:
        for _ in range(1100):
            one = threading.Thread(target=over.wait, daemon=True)
            one.start()
            begun.append(one)
    except RuntimeError as error:
        raise OSError(str(error)) from None
    finally:
        over.set()
        for one in begun:
            one.join()


def network(told: dict[str, Any]) -> Iterator[Attempt]:
    for address, port in told["tcp"]:
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        yield f"connect to {address}", partial(connected, kind, (address, port))
    for address, port in told["udp"]:
        yield f"send to {address}", partial(sent, (address, port))
    for name in told["abstract"]:
        yield "connect to the host's abstract socket", partial(connected, socket.AF_UNIX, "\0" + name)
    yield "send raw packets", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    yield "read packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    yield "turn an interface off", lambda: interface(0x8914, struct.pack("16sH14x", b"lo", 0))
    yield "make a bridge", lambda: interface(0x89A0, b"intruder\0")


def connected(kind: int, to: Any) -> None:
    with socket.socket(kind, socket.SOCK_STREAM) as plug:
        plug.settimeout(2)
        plug.connect(to)


def sent(to: tuple[str, int]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        plug.connect(to)
        plug.send(b"x")


def interface(request: int, argument: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        fcntl.ioctl(plug, request, argument)


def memories(told: dict[str, Any]) -> Iterator[Attempt]:
    yield "attach the host's shared memory", lambda: called("shmget", told["shm"], 0, 0)
    yield "open the host's message queue", lambda: called("mq_open", told["queue"].encode(), 0)


def may(told: dict[str, Any]) -> Iterator[Attempt]:
    """What it needs: else all would fail because the intruder is no more than broken."""
    yield "write into its own directory", lambda: created(Path(told["own"], "scratch"))
    yield "read a program", Path("/usr/bin/env").stat
    yield "write to /dev/null", lambda: created(Path("/dev/null"))
    yield "signal itself", lambda: os.kill(os.getpid(), 0)
    yield "connect to its own display", lambda: connected(socket.AF_UNIX, told["own"] + "/display0.sock")


def outcome(attempts: Iterator[Attempt]) -> dict[str, str]:
    """What was refused, with the refusal, and what was not, with an empty one."""
    found = {}
    for name, attempt in attempts:
        try:
            attempt()
            found[name] = ""
        except (OSError, ValueError) as error:  # a limit that is none is refused before the kernel hears of it
            found[name] = str(error) or type(error).__name__
    return found


def main() -> None:
    told = json.load(sys.stdin)
    become(int(sys.argv[1]), int(sys.argv[2]))
    if child := os.fork():  # as pid_namespaces(7) has it: only a child is inside
        os.waitpid(child, 0)
        return
    signal.alarm(60)
    # QEMU has many threads; a process with more than one cannot enter a user namespace.
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    tried: dict[str, str] = {}
    for table in (files, processes, privileges, network, memories):
        tried |= outcome(table(told))
    json.dump({"forbidden": tried, "may": outcome(may(told))}, sys.stdout)


if __name__ == "__main__":
    main()
