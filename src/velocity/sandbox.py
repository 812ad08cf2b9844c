"""Processes in mount, IPC and PID namespaces of their own: of the host's files they see /usr and what they are given.

A thread enters the namespaces, builds a root directory and starts the program, so that the program is our own child,
without a process in between. docs/decisions/0023; namespaces(7), pivot_root(2)
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from velocity import spawning
from velocity.system_calls import call, libc, system_call

T = TypeVar("T")

CLONE_FS, CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x200, 0x20000, 0x08000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = (
    0x1, 0x2, 0x4, 0x8, 0x20, 0x1000, 0x4000, 0x40000,
)  # fmt: skip
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
STAGE = "/sys"
"""Where the root is built: a directory that exists everywhere, and in which nothing is needed meanwhile."""
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Top-level directories that are links into /usr, or are shown themselves if they are not."""
SHOWN = ("/etc/ld.so.cache", "/etc/alternatives")
"""What programs in /usr need besides: the cache of libraries, and the alternatives."""
DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
"""Minor numbers of memory devices. https://www.kernel.org/doc/html/latest/admin-guide/devices.html"""
REFUSED = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS)
"""The errors if namespaces are not allowed, as in a container, or the kernel lacks something."""
OOM_MORE, OOM_MOST = 200, 1000
"""How much sooner than the server the kernel should kill it; the maximum."""
SIZE = "mode=0755,size=64k,nr_inodes=256"


@dataclass(frozen=True)
class Lent:
    """A device for which the program gets a node. `uid` is the only one that may open it; None: all may."""

    device: Path
    uid: int | None


@dataclass(frozen=True)
class View:
    """What a program sees besides /usr, at the same paths as outside. `shown` is read-only."""

    shown: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    lent: tuple[Lent, ...] = ()
    links: tuple[tuple[Path, Path], ...] = ()
    """Symbolic links and their targets."""
    network: bool = False
    """Whether it has the host's network; otherwise none, and no abstract sockets of the host either. unix(7)"""


def spawn(view: View | None, command: Sequence[str], **how: Any) -> int:
    """Start a program as PID 1 of its namespace, as root; returns its pid here. Raises `OSError`.

    `view` None: without namespaces. `how` is passed to `spawning.spawn`. PID 1 of a namespace gets only those signals
    from the host that it handles, and SIGKILL and SIGSTOP.
    """

    def begin() -> int:
        enter(view)
        return spawning.spawn(command, **how)

    return aside(begin)


def end_sooner(pid: int) -> None:
    """If memory runs out, have the kernel kill it before the server. proc_pid_oom_score_adj(5)"""
    with contextlib.suppress(OSError, ValueError):  # it may have ended already
        ours = int(Path("/proc/self/oom_score_adj").read_text())
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(min(OOM_MOST, max(0, ours) + OOM_MORE)))


@functools.cache
def missing() -> str | None:
    """Why there is no sandbox here, with the cure; None if there is. Raises `OSError` if that is not known now."""
    if os.geteuid() != 0:
        return "only root can make namespaces for it: run the server as root"
    try:
        with Path(os.devnull).open("r+b") as null:
            nothing = null.fileno()
            pid = spawn(View(), ["true"], stdin=nothing, stdout=nothing, stderr=nothing, env=os.environ)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return f"this host allows no namespaces ({error.strerror}): the server needs CAP_SYS_ADMIN and CAP_MKNOD"
    return None if os.waitpid(pid, 0)[1] == 0 else "programs do not run in it: /usr alone is not enough for them"


def aside(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own, which may enter namespaces and drop privileges, as it ends afterwards.

    Raises `BlockingIOError` if no thread can be started, like `OSError` for processes.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def whole() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=whole, name="sandbox")
    try:
        thread.start()
    except RuntimeError as none_left:
        raise BlockingIOError(errno.EAGAIN, str(none_left)) from None
    thread.join()
    for error in failed:
        raise error
    return done[0]


@functools.cache
def _no_network() -> int:
    """A descriptor of an empty network namespace, shared by all programs without a network, as making one is slow."""

    def make() -> int:
        call(libc().unshare, CLONE_NEWNET)
        return os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    return aside(make)


def enter(view: View | None) -> None:
    """Move the calling thread, and what it starts, into namespaces with this view. Raises `OSError`.

    None: no namespaces. The working directory becomes the root in any case.
    """
    if view is None:
        call(libc().unshare, CLONE_FS)
        os.chdir("/")
        return
    if not view.network:
        call(libc().setns, _no_network(), CLONE_NEWNET)
    call(libc().unshare, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID)
    umask = os.umask(0)  # the thread's own: it has unshared it; all that is built is readable
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _mount("velocity", STAGE, "tmpfs", MS_NOSUID | MS_NOEXEC, SIZE)
    _lay_system()
    _lay_devices(view.lent)
    for path in (*map(Path, SHOWN), *view.shown):
        if path.exists():
            _show(path, MS_RDONLY | MS_NOSUID | MS_NODEV)
    for path in view.writable:
        _show(path, MS_NOSUID | MS_NODEV | MS_NOEXEC)
    for link, leads in view.links:
        _directory(Path(STAGE + str(link.parent)))
        Path(STAGE + str(link)).symlink_to(leads)
    os.umask(umask)
    os.chdir(STAGE)
    system_call("pivot_root", b".", b".")
    call(libc().umount2, b".", MNT_DETACH)
    os.chdir("/")
    _mount(None, "/", None, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC)


def _lay_system() -> None:
    _show(Path("/usr"), MS_RDONLY | MS_NOSUID | MS_NODEV)
    for name in SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            Path(STAGE, name).symlink_to(path.readlink())
        elif path.is_dir():
            _show(path, MS_RDONLY | MS_NOSUID | MS_NODEV)
    _directory(Path(STAGE, "proc"))


def _lay_devices(lent: Sequence[Lent]) -> None:
    devices = Path(STAGE, "dev")
    _directory(devices)
    for name, minor in DEVICES.items():
        os.mknod(devices / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
    for one in lent:
        node = devices / one.device.name
        os.mknod(node, stat.S_IFCHR | (0o666 if one.uid is None else 0o600), one.device.stat().st_rdev)
        if one.uid is not None:
            os.chown(node, one.uid, one.uid)


def _show(path: Path, attributes: int) -> None:
    """Bind-mount the path at the same place, with everything mounted below it."""
    at = Path(STAGE + str(path))
    if path.is_dir():
        _directory(at)
    else:
        _directory(at.parent)
        at.touch()
    _mount(str(path), str(at), None, MS_BIND | MS_REC)
    # struct mount_attr: set, clear, propagation, user namespace. mount_setattr(2)
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    where = os.fsencode(at)
    system_call("mount_setattr", AT_FDCWD, where, AT_RECURSIVE, wanted, ctypes.c_size_t(ctypes.sizeof(wanted)))


def _directory(path: Path) -> None:
    """Create it with its parents."""
    if not path.is_dir():
        _directory(path.parent)
        path.mkdir(0o755)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, options)]
    call(libc().mount, *words[:3], ctypes.c_ulong(flags), words[3])
