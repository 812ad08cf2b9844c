"""How long a state read takes while something else goes on: a process of its own asks again and again.

`Pulse` is the bench's side of it; `python -m bench.pulse` is the process.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from types import TracebackType

from bench.server import Client, Velocity

PACE = 0.004
"""Seconds from one question to the next, or as long as an answer takes."""


class Pulse:
    """Reads a VM's state as long as the `with` block lasts; then `ms` has what each answer took."""

    def __init__(self, server: Velocity, vmid: int) -> None:
        self._words = [str(server.port), server.key, str(vmid)]
        self.ms: list[float] = []

    def __enter__(self) -> Pulse:
        """Returns when the first answers have come."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.pulse", *self._words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        answer, _ = self._process.communicate("\n")
        self.ms = json.loads(answer)

    @property
    def p99(self) -> float:
        return sorted(self.ms)[-1 - len(self.ms) // 100]


def main() -> None:
    port, key, vmid = sys.argv[1:]
    client = Client(int(port), key)

    def ask() -> float:
        begun = time.perf_counter()
        client.call("POST", "/v/vm/state", vmid=int(vmid))
        return (time.perf_counter() - begun) * 1000

    for _ in range(20):
        ask()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    found = [ask()]
    while not select.select([sys.stdin], [], [], max(PACE - found[-1] / 1000, 0))[0]:
        found.append(ask())
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
