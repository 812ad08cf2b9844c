"""DHCP, DNS and router advertisements of NAT: one dnsmasq, which survives the server and is adopted by the next.

It has a uid of its own, sees what `velocity.sandbox` shows of the host, and keeps the three capabilities without which
it does not start. Its configuration has a file for each NIC. dnsmasq(8)
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from velocity import sandbox
from velocity.network.nat_networks import CannotNat, NatNetworks
from velocity.sandbox import View

PROGRAM = "dnsmasq"
CAPABILITIES = "-all,+net_admin,+net_raw,+net_bind_service"
LEASE = "1h"
BOUNDS = ("--core=0", "--fsize=4194304", "--nproc=64", "--as=536870912")
"""Limits of its files, of its processes for TCP, and of its memory: guests make it write and remember. prlimit(1)"""
PATIENCE = 5.0
"""Seconds that it gets to start, or to end."""
LOOK = 0.005
"""Seconds between two looks whether it has started or ended."""
WORDS = 2000
"""Bytes of its log in which its last message is looked for."""


def missing() -> str | None:
    """None if it is installed, otherwise the cure."""
    return None if shutil.which(PROGRAM) else "install dnsmasq-base (Fedora: dnsmasq)"


class Found(Struct, frozen=True):
    """A running dnsmasq. As long as `pidfd` is open, its pid is not reused. pidfd_open(2)"""

    pid: int
    pidfd: int
    command: tuple[str, ...]

    def ended(self) -> bool:
        """Whether it has ended; then releases what we had of it."""
        look = select.poll()
        look.register(self.pidfd, select.POLLIN)
        return bool(look.poll(0))


class Dnsmasq:
    """The dnsmasq of one server.

    `directory` has everything of its own; nothing else has its `uid`. `resolvers` is a directory with a copy of the
    host's resolv.conf, which `resolve` updates.
    """

    def __init__(
        self, directory: Path, bridge: str, uid: int, resolvers: Path, resolve: Callable[[], object] = lambda: None
    ) -> None:
        self.directory = directory
        self._bridge = bridge
        self._uid = uid
        self._resolvers = resolvers
        self._resolve = resolve
        self._found: Found | None = None

    @property
    def _own(self) -> Path:
        return self.directory / "own"

    @property
    def _hosts(self) -> Path:
        return self.directory / "hosts"

    @property
    def _names(self) -> Path:
        """The directory with the copy of the host's resolv.conf."""
        return Path("/etc/resolv.conf") if sandbox.missing() else self._resolvers / "resolv.conf"

    def make(self) -> None:
        """Create its directories; their content stays. Raises `OSError`."""
        self.directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.directory.chmod(0o711)
        for path, uid, mode in ((self._own, self._uid, 0o700), (self._hosts, 0, 0o755)):
            path.mkdir(exist_ok=True)
            os.chown(path, uid, uid)
            path.chmod(mode)

    def reserve(self, mac: str, addresses: Sequence[str]) -> None:
        """Reserve these addresses for that NIC; it notices the file by itself. Raises `CannotNat`, `OSError`."""
        if self._holder(addresses[0]) not in (None, mac):
            raise CannotNat(f"another running VM has its address {addresses[0]}: stop it, or make a new NAT NIC")
        words = [mac, *(f"[{one}]" if ":" in one else one for one in addresses), LEASE]
        draft = self._hosts / f".{addresses[0]}"  # dnsmasq ignores files with such a name
        draft.write_text(",".join(words) + "\n")
        draft.chmod(0o644)
        draft.rename(self._hosts / addresses[0])

    def release(self, mac: str, addresses: Sequence[str]) -> None:
        """Release them. Idempotent."""
        if self._holder(addresses[0]) == mac:
            (self._hosts / addresses[0]).unlink(missing_ok=True)
            if self.runs() and self._found is not None:  # only SIGHUP tells it about removed files
                signal.pidfd_send_signal(self._found.pidfd, signal.SIGHUP)

    def _holder(self, address: str) -> str | None:
        try:
            return (self._hosts / address).read_text().partition(",")[0]
        except OSError:
            return None

    def given(self, mac: str) -> tuple[str, ...]:
        """The addresses reserved for the NIC with that MAC address, if any."""
        for address in self.reserved():
            with contextlib.suppress(OSError):
                holder, *words = (self._hosts / address).read_text().split(",")
                if holder == mac:
                    return tuple(word.strip("[]") for word in words[:-1])
        return ()

    def reserved(self) -> set[str]:
        """The first address of each NIC that has some."""
        with contextlib.suppress(OSError):
            return {path.name for path in self._hosts.iterdir() if not path.name.startswith(".")}
        return set()

    def runs(self) -> bool:
        """Whether it runs, as far as is known without looking."""
        if self._found is not None and self._found.ended():
            self._forget()
        return self._found is not None

    def ensure(self, networks: NatNetworks) -> bool:
        """Make it run with these networks; returns whether it had to be started. Raises `CannotNat`, `OSError`."""
        command = self._command(networks)
        if not self.runs():
            self._adopt(command)
        if self.runs():
            return False
        self.make()
        self._resolve()
        self._begin(command)
        return True

    def end(self) -> None:
        """End it, and whatever else runs with its uid; removes its directory. Idempotent."""
        self._adopt(())
        shutil.rmtree(self.directory, ignore_errors=True)

    def _command(self, networks: NatNetworks) -> tuple[str, ...]:
        v4, v6 = networks.v4, networks.v6
        six = [] if v6 is None else [f"--dhcp-range={v6[0]},static,{v6.prefixlen},{LEASE}", "--enable-ra"]
        return (
            *(PROGRAM, "--keep-in-foreground", "--conf-file=", "--user=", "--group=", "--log-facility=-"),
            *("--bind-interfaces", f"--interface={self._bridge}", "--except-interface=lo"),
            *(f"--dhcp-range={v4[0]},static,{v4.netmask},{LEASE}", *six),
            *("--dhcp-authoritative", "--no-ping", f"--dhcp-lease-max={v4.num_addresses}"),
            *(f"--dhcp-hostsdir={self._hosts}", f"--dhcp-leasefile={self._own}/leases", f"--pid-file={self._own}/pid"),
            # Ignore names that guests claim, and do not serve the host's own.
            *("--dhcp-ignore-names", "--no-hosts", "--quiet-dhcp", "--quiet-dhcp6", "--quiet-ra"),
            *(f"--resolv-file={self._names}", "--dns-forward-max=1500", "--cache-size=1000"),
        )

    def _adopt(self, command: Sequence[str]) -> None:
        """Find the one that runs with that command; any other with our pid file is ended. Raises `CannotNat`."""
        self._forget()
        for found in self._running():
            if found.command == tuple(command) and self._found is None:
                self._found = found
                continue
            try:
                _end(found)
            finally:
                os.close(found.pidfd)

    def _running(self) -> list[Found]:
        """Processes with our pid file and uid: anybody may start a process with such arguments."""
        mark = f"--pid-file={self._own}/pid"
        found = []
        for name in os.listdir("/proc"):  # noqa: PTH208 (names are all that is needed)
            if name.isdigit() and mark in _words(name):
                with contextlib.suppress(OSError):
                    pidfd = os.pidfd_open(int(name))
                    if Path(f"/proc/{name}").stat().st_uid in (self._uid, 0) and (words := _words(name)):
                        found.append(Found(int(name), pidfd, words))
                    else:
                        os.close(pidfd)
        return found

    def _begin(self, command: Sequence[str]) -> None:
        """Return when it listens. Raises `CannotNat` with its last message."""
        ready, log = self._own / "pid", self.directory / "log"
        ready.unlink(missing_ok=True)
        as_it = [f"--reuid={self._uid}", f"--regid={self._uid}", "--clear-groups", "--no-new-privs"]
        as_it += [f"{kind}={CAPABILITIES}" for kind in ("--inh-caps", "--ambient-caps", "--bounding-set")]
        view = View(shown=(self._hosts, self._resolvers), writable=(self._own,), network=True)
        with log.open("wb") as said, Path(os.devnull).open("rb") as nothing:
            pid = sandbox.spawn(
                None if sandbox.missing() else view,
                ["setpriv", *as_it, "--", "prlimit", *BOUNDS, "--", *command],
                stdin=nothing.fileno(), stdout=said.fileno(), stderr=said.fileno(), session=True, reset=(),
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            )  # fmt: skip
        self._found = Found(pid, os.pidfd_open(pid), tuple(command))
        end = time.monotonic() + PATIENCE
        while not ready.exists():
            if self._found.ended() or time.monotonic() > end:
                words = log.read_bytes()[-WORDS:].decode(errors="replace").strip().splitlines()
                _end(self._found)
                self._forget()
                raise CannotNat(f"dnsmasq does not start: {words[-1].strip() if words else 'it says nothing'}")
            time.sleep(LOOK)

    def _forget(self) -> None:
        if self._found is not None:
            _reap(self._found.pid)
            os.close(self._found.pidfd)
            self._found = None


def _words(pid: str) -> tuple[str, ...]:
    try:
        said = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(said.decode(errors="replace").split("\0")[:-1])


def _end(found: Found) -> None:
    """Raises `CannotNat` if it does not end."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(found.pidfd, number)
        look = select.poll()
        look.register(found.pidfd, select.POLLIN)
        if look.poll(PATIENCE * 1000):
            _reap(found.pid)
            return
    raise CannotNat(f"dnsmasq (process {found.pid}) does not end: kill -9 {found.pid}")


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):  # an earlier server's
        os.waitpid(pid, os.WNOHANG)
