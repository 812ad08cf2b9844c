"""What all tests share."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from tests.ceph import Ceph, lacking
from tests.host import host as host
from tests.postgres import Postgres
from tests.samples import choose_by_seed_alone
from tests.statements import compile_once
from velocity import node as node  # before any test loads gRPC
from velocity.cli.demo.guest import Guest, build
from velocity.system_calls import call, libc

hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")


CLONE_NEWNS, MS_REC, MS_SLAVE = 0x20000, 0x4000, 0x80000
"""sched.h, sys/mount.h"""
SAID = "said"
MEMORY = Path("/dev/shm")
ROOM = 2 << 30
"""Bytes that all workers together never need."""


def pytest_configure() -> None:
    """What tests write lies in memory: a fifth of their computing, and most of their waiting, is a disk's flushes."""
    keep_mounts()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background jobs ignore it: POSIX sh, "Asynchronous Lists"
    if "TMPDIR" not in os.environ and serves_as_a_disk(MEMORY):
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None
    compile_once()
    choose_by_seed_alone()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """No collection of garbage looks at the modules, which stay: each would take a seventh of a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def keep_mounts() -> None:
    """What tests mount is mounted for this process and those that it starts: a run that is killed leaves none.

    mount_namespaces(7), under "Shared subtrees"
    """
    with contextlib.suppress(OSError):  # not permitted: then there are no tests that mount
        call(libc().unshare, CLONE_NEWNS)
        call(libc().mount, None, b"/", None, ctypes.c_ulong(MS_REC | MS_SLAVE), None)


def serves_as_a_disk(place: Path) -> bool:
    """Whether there is room for all, programs may be run from there, and QEMU may pass the page cache."""
    try:
        there = os.statvfs(place)
        os.close(os.open(place, os.O_TMPFILE | os.O_RDWR | os.O_DIRECT, 0o600))
    except OSError:
        return False
    return there.f_bavail * there.f_frsize >= ROOM and not there.f_flag & os.ST_NOEXEC


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="long matrices as a whole, not in their short form")
    parser.addoption("--hosts", action="store_true", help="the long shows of several hosts, as root")
    parser.addoption("--pictures", type=Path, metavar="DIRECTORY", help="write the documents' pictures there")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Ceph]:
    """A Ceph cluster for everybody."""
    if why := lacking():
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="vel-ceph-") as path:
        made = Ceph(Path(path))
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.hookimpl(tryfirst=True)  # before xdist looks for groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no worker begins it when the others have nothing left to do.

    Guests are in two groups, and so with two of the workers; one has those with a browser. Shows of several hosts are
    left out unless they are asked for.
    """
    if not config.getoption("--hosts"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("hosts")])
        items[:] = [item for item in items if not item.get_closest_marker("hosts")]
    for item in items:
        if item.get_closest_marker("guest") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("guests and browsers" if "web" in item.path.parts else "guests"))
    items.sort(key=precedence)


def precedence(item: pytest.Item) -> int:
    """Guests, long tests, files whose tests share what takes long to make, other tests with a browser, all others."""
    marks = ("guest", "long", "xdist_group")
    for number, mark in enumerate(marks):
        if item.get_closest_marker(mark):
            return number
    return len(marks) + ("web" not in item.path.parts)


@pytest.fixture(autouse=True)
def room_for_guests(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No more than two tests boot guests at a time, in all workers together. The one that journeys keep up idles."""
    marker = request.node.get_closest_marker("guest")
    if marker is None:
        yield
        return
    assert "PYTEST_XDIST_WORKER" not in os.environ or "@" in request.node.nodeid, "xdist has formed no groups"
    places = tmp_path_factory.getbasetemp().parent  # the workers share it
    with a_place(places):
        yield


@contextmanager
def a_place(places: Path) -> Iterator[None]:
    while True:
        for place in "10":
            with (places / f"guest.{place}").open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                yield
                return
        time.sleep(0.2)


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """For what a test has measured or counted: it stands at the end of the report."""
    return lambda line: record_property(SAID, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    numbers_unknown = config.getoption("numprocesses", None)  # workers do not tell what they leave out
    left_out = numbers_unknown or terminalreporter.stats.get("deselected")
    if left_out and not config.getoption("--hosts"):
        terminalreporter.write_line("Without the shows of several hosts: they need --hosts (make hosts).")
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, line in report.user_properties if report.when == "call" else ():
            if name == SAID:
                terminalreporter.write_line(str(line))


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> bool:
    """Whether a long matrix is wanted as a whole."""
    return bool(request.config.getoption("--whole"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A short directory for sockets: a unix socket's path has at most 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="vel-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each of the two databases, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/v.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture(scope="session")
def guest() -> Guest:
    """The demo guest, built once and kept between runs."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return build(caches / "velocity-tests")
