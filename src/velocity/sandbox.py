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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from msgspec import Struct

from velocity import spawning
from velocity.system_calls import call, libc, system_call

T = TypeVar("T")

CLONE_FS, CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x200, 0x20000, 0x08000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_REC, MS_PRIVATE = (
    0x1, 0x2, 0x4, 0x8, 0x20, 0x4000, 0x40000,
)  # fmt: skip
MNT_DETACH = 2
READONLY, WRITABLE = MS_RDONLY | MS_NOSUID | MS_NODEV, MS_NOSUID | MS_NODEV | MS_NOEXEC
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH = 1, 4
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
QUIET = 0.1
"""Seconds after a start before the next namespaces are prepared: the program that was started is not slowed down."""
SIZE = "mode=0755,size=64k,nr_inodes=256"


class Lent(Struct, frozen=True):
    """A device for which the program gets a node. `uid` is the only one that may open it; None: all may."""

    device: Path
    uid: int | None


class View(Struct, frozen=True):
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
    return inside(view, lambda: spawning.spawn(command, **how))


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


def inside(view: View | None, work: Callable[[], T]) -> T:
    """Run `work` in a thread that is in namespaces with this view, as is what it starts. Raises `OSError`.

    None: no namespaces. The working directory is the root in any case.
    """
    if view is None:

        def at_the_root() -> T:
            call(libc().unshare, CLONE_FS)
            os.chdir("/")
            return work()

        return aside(at_the_root)
    with contextlib.ExitStack() as ours:
        mount_all = _mounts_of(view, ours)

        def prepared() -> T:
            mount_all()
            return work()

        done = _spare.take().run(prepared)
    _spare.prepare()
    return done


class _Namespaces:
    """A thread in namespaces of its own, with a root that has what all programs see. It runs one task, and ends."""

    def __init__(self) -> None:
        """Returns at once. Raises `BlockingIOError`, as `aside` does."""
        self.failed = False
        self._task: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._result: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        thread = threading.Thread(target=self._main, name="sandbox", daemon=True)
        try:
            thread.start()
        except RuntimeError as none_left:
            raise BlockingIOError(errno.EAGAIN, str(none_left)) from None

    def run(self, task: Callable[[], T]) -> T:
        """Raises `OSError` also if the namespaces could not be made."""
        self._task.put(task)
        result, error = self._result.get()
        if error is not None:
            raise error
        return cast("T", result)

    def _main(self) -> None:
        try:
            task = None
            with contextlib.suppress(Empty):
                task = self._task.get(timeout=QUIET)
            _lay_root()
            result = (task or self._task.get())()
        except BaseException as error:
            self.failed = True
            self._result.put((None, error))
        else:
            self._result.put((result, None))


class _Spare:
    """Namespaces that are made before they are needed, as that takes the kernel a while, on a busy host a long one."""

    def __init__(self) -> None:
        self._next: _Namespaces | None = None
        self._lock = threading.Lock()

    def take(self) -> _Namespaces:
        """Those that are prepared, or new ones. Raises `OSError` if none can be made."""
        with self._lock:
            found, self._next = self._next, None
        return _Namespaces() if found is None or found.failed else found

    def prepare(self) -> None:
        with self._lock, contextlib.suppress(OSError):  # then they are made when they are needed
            if self._next is None:
                self._next = _Namespaces()


_spare = _Spare()


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """What is built is readable for all. The umask is the thread's own, as it has unshared it."""
    umask = os.umask(0)
    try:
        yield
    finally:
        os.umask(umask)


def _lay_root() -> None:
    """Move the calling thread into namespaces, with a root that has what all programs see."""
    call(libc().unshare, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID)
    with _readable():
        _mount(None, "/", None, MS_REC | MS_PRIVATE)
        _mount("velocity", STAGE, "tmpfs", MS_NOSUID | MS_NOEXEC, SIZE)
        for path in (Path("/usr"), *(Path("/", name) for name in SYSTEM)):
            if path.is_symlink():
                Path(STAGE, path.name).symlink_to(path.readlink())
            elif path.is_dir():
                with _tree(path, READONLY) as tree:
                    _show(tree, Path(STAGE, path.name))
        for directory in ("proc", "dev"):
            Path(STAGE, directory).mkdir(0o755)
        for name, minor in DEVICES.items():
            os.mknod(f"{STAGE}/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(1, minor))
    os.chdir(STAGE)
    system_call("pivot_root", b".", b".")
    call(libc().umount2, b".", MNT_DETACH)
    os.chdir("/")


def _mounts_of(view: View, ours: contextlib.ExitStack) -> Callable[[], None]:
    """Open what this view alone has, among the host's files. What is returned mounts it, in the namespaces."""
    shown = [path for path in (*map(Path, SHOWN), *view.shown) if path.exists()]
    wanted = [*((path, READONLY) for path in shown), *((path, WRITABLE) for path in view.writable)]
    trees = [(path, ours.enter_context(_tree(path, attributes))) for path, attributes in wanted]
    nodes = [(Path("/dev", one.device.name), one.device.stat().st_rdev, one.uid) for one in view.lent]
    network = None if view.network else _no_network()

    def mount_all() -> None:
        if network is not None:
            call(libc().setns, network, CLONE_NEWNET)
        with _readable():
            for path, tree in trees:
                _show(tree, path)
            for node, device, uid in nodes:
                os.mknod(node, stat.S_IFCHR | (0o666 if uid is None else 0o600), device)
                if uid is not None:
                    os.chown(node, uid, uid)
            for link, leads in view.links:
                _directory(link.parent)
                link.symlink_to(leads)
        _mount(None, "/", None, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOEXEC)

    return mount_all


@contextlib.contextmanager
def _tree(path: Path, attributes: int) -> Iterator[int]:
    """A copy of the path with everything mounted below it, which nobody sees yet. open_tree(2), mount_setattr(2)"""
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE
    tree = system_call("open_tree", AT_FDCWD, os.fsencode(path), ctypes.c_uint(flags))
    try:
        # struct mount_attr: set, clear, propagation, user namespace
        wanted = (ctypes.c_uint64 * 4)(attributes, 0, MS_PRIVATE, 0)
        size = ctypes.c_size_t(ctypes.sizeof(wanted))
        system_call("mount_setattr", tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, wanted, size)
        yield tree
    finally:
        os.close(tree)


def _show(tree: int, at: Path) -> None:
    """Mount it there. move_mount(2)"""
    if stat.S_ISDIR(os.fstat(tree).st_mode):
        _directory(at)
    else:
        _directory(at.parent)
        # Never opened: a program that another thread begins just then has a copy of the descriptor until it is
        # executed, and a file system on which a file is open for writing cannot become read-only.
        os.mknod(at, stat.S_IFREG | 0o644)
    system_call("move_mount", tree, b"", AT_FDCWD, os.fsencode(at), MOVE_MOUNT_F_EMPTY_PATH)


def _directory(path: Path) -> None:
    """Create it with its parents."""
    for one in (*reversed(path.parents), path):
        with contextlib.suppress(FileExistsError):
            one.mkdir(0o755)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, options)]
    call(libc().mount, *words[:3], ctypes.c_ulong(flags), words[3])
