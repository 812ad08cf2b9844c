"""What is seen of a VM while something happens to it: on its console, in the API, in processes, on the wire."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from tests.hosts.namespaces import RealHost, RealHosts
from tests.patience import PATIENCE, at_last
from velocity.client.console import Console

TICK = re.compile(rb"<(\d+)>")
RUNS = 2_000_000
"""Nanoseconds of its CPU between two looks, from which on a guest that computes is taken to run."""
LOOK = 0.05


@contextmanager
def meanwhile(work: Callable[[], None], every: float = LOOK) -> Iterator[None]:
    """Again and again in a thread, until the end; what it raises is raised then."""
    ended, failures = threading.Event(), []

    def go() -> None:
        try:
            while not ended.wait(every):
                work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE)
    if failures:
        raise failures[0]


class Shell:
    """The demo guest's, on one console that stays open. Of its ticks, each comes once and in order, with its time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = b""
        self._count = 0
        self.ticks: list[tuple[int, float]] = []
        self.ended = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while data := self._console.receive():
            self._said += data
            now = time.monotonic()
            for found in TICK.findall(self._said, len(self._said) - len(data) - 12 if self.ticks else 0):
                if not self.ticks or int(found) > self.ticks[-1][0]:
                    self.ticks.append((int(found), now))
        self.ended = True

    def close(self) -> None:
        self._console.close()

    def until(self, marker: str, begin: int = 0, seconds: float = PATIENCE) -> str:
        end = time.monotonic() + seconds
        while marker not in (said := self.text(begin)):
            assert not self.ended, "the console has ended"
            assert time.monotonic() < end, (marker, said[-2000:])
            time.sleep(0.02)
        return said

    def text(self, begin: int = 0) -> str:
        """Without its ticks."""
        return TICK.sub(b"", self._said[begin:]).decode(errors="replace").replace("\r", "")

    def run(self, command: str, seconds: float = PATIENCE) -> str:
        begin, self._count = len(self._said), self._count + 1
        self._console.send(f"{command}; echo EN''D{self._count}.\n".encode())
        return self.until(f"END{self._count}.", begin, seconds)

    def type(self, command: str) -> None:
        """Begin it, and do not wait for its end."""
        self._console.send(command.encode() + b"\n")

    def boot(self) -> None:
        self.until("GUEST READY", seconds=5 * PATIENCE)
        at_last(lambda: "# " in self.text().partition("GUEST READY")[2], "the prompt")

    def begin_ticks(self, each: int = 1000) -> None:
        """It computes without a pause, and says so."""
        loop = 'n=0; while :; do n=$((n+1)); [ $((n%{0})) = 0 ] && echo -n "<$((n/{0}))>"; done'
        self.run(f"({loop.format(each)}) & true")
        self.goes_on()

    def goes_on(self) -> None:
        """It ticks, after now."""
        last, end = len(self.ticks), time.monotonic() + PATIENCE
        while len(self.ticks) < last + 2:
            assert not self.ended, "the console has ended"
            assert time.monotonic() < end, ("no tick any more", self.ticks[-3:], self._said[-500:])
            time.sleep(0.01)

    def none_is_missing(self) -> None:
        numbers = [number for number, _ in self.ticks]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    def gap(self, since: float) -> float:
        """The longest between two ticks."""
        times = [when for _, when in self.ticks if when >= since]
        return max(later - one for one, later in itertools.pairwise(times))


def cpu(host: RealHost, pid: int) -> int:
    """Nanoseconds that the guest in a QEMU has computed."""
    for task in (host.files / "proc" / str(pid) / "task").iterdir():
        if (task / "comm").read_text().startswith("CPU 0"):
            return int((task / "schedstat").read_text().split()[0])
    return 0


class Counted:
    """On how many hosts a VM that computes without a pause runs: on one, from look to look.

    In the look in which it goes from one host to another both have computed; in the next one the source has not.
    """

    def __init__(self, hosts: RealHosts, uuid: UUID) -> None:
        self._hosts = hosts
        self._uuid = uuid
        self._before: dict[str, tuple[int, int]] = {}
        self._ran: set[str] = set()
        self.looks = 0
        self.twice = 0
        self.processes = 0

    def look(self) -> None:
        now: dict[str, tuple[int, int]] = {}
        for name, host in self._hosts.hosts.items():
            try:
                if (pid := host.guests().get(self._uuid)) is not None:
                    now[name] = (pid, cpu(host, pid))
            except OSError:
                continue  # it has ended
        before = self._before
        ran = {
            name for name, (pid, used) in now.items()
            if name in before and before[name][0] == pid and used - before[name][1] > RUNS
        }  # fmt: skip
        self.looks += 1
        self.processes = max(self.processes, len(now))
        self.twice += len(ran & self._ran) > 1
        self._before, self._ran = now, ran


@contextmanager
def counted(hosts: RealHosts, uuid: UUID) -> Iterator[Counted]:
    """Never two, until the end."""
    one = Counted(hosts, uuid)
    with meanwhile(one.look):
        yield one
    assert one.twice == 0, f"two of one VM ran in {one.twice} of {one.looks} looks"


@contextmanager
def states(hosts: RealHosts, vmid: int) -> Iterator[set[str]]:
    """Those that the API says meanwhile."""
    seen: set[str] = set()
    client = hosts.another_client()
    client.authkey = hosts.client.authkey
    with meanwhile(lambda: seen.add(client.vm_state(vmid=vmid).state.value)):
        yield seen


@contextmanager
def unheard(hosts: RealHosts, word: str, bytes_: int) -> Iterator[None]:
    """The word is said nowhere between the hosts, though so many bytes are."""
    control = f"heard-{word[::-1]}"
    command = [*hosts.switch.inside, sys.executable, str(Path(__file__).with_name("sniff.py")), word, control]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as wire:
        assert wire.stdin and wire.stdout and wire.stdout.readline() == "ready\n"
        try:
            yield
            there = hosts["b"].address
            hosts["a"].ok(f"bash -c 'echo {control} >/dev/udp/{there}/9'")
            time.sleep(0.2)  # the sniffer has the frame at once; without it, it says so
        finally:
            wire.stdin.close()
            told = json.loads(wire.stdout.read())
    assert told["seen"] == [control], "what the guest has is in no frame; what is said in the clear is found"
    assert told["bytes"] > bytes_, "the move was seen"


def phase(host: RealHost, uuid: UUID) -> str | None:
    """What the note of the run there says about where it is between two hosts."""
    for file in (host.files / "run/velocity").glob(f"*/{uuid}/run.json"):
        try:
            found: str | None = json.loads(file.read_bytes()).get("between")
        except (OSError, ValueError):
            continue
        return found
    return None
