"""Connections that mean harm, from an address without a bound: what others feel of them, and what memory they take.

Each kind comes at once on many connections, and again as soon as the server has ended one. From elsewhere an address
has 256; loopback has no such bound, so nothing but the bounds of a request holds here. Each leaves as soon as it has
its answer, and does not wait for the server's end: what it sent by then lies unread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.actors import Pulse
from bench.crowd import Crowd
from bench.harness import Bench, memory_mib
from bench.server import Velocity, Wrong

ROUNDS = 3
IDLE = 2.0
READ, RESIDENT = "state read's p99", "the server's memory (RSS)"
HEAD, BODY = "GET / HTTP/1.1\r\nhost: crowd\r\n", "POST /v/vm/list HTTP/1.1\r\nhost: crowd\r\n"
FAST, MANY = 32, 256
SOON, LATE = 4.0, 13.0
"""Seconds: until a bound of bytes is passed often, and one of ten seconds once."""


class Kind:
    """What is sent, on so many connections for so long, and how it is refused."""

    def __init__(self, status: int, begun: str, piece: str = "", pace: float = 0.0) -> None:
        self.status = status
        self.fields = {"begun": begun, "piece": piece, "pace": pace}
        endless = bool(piece) and not pace
        self.connections, self.seconds = (FAST, SOON) if endless else (MANY, LATE)


KINDS = {
    "an endless header": Kind(431, HEAD + "x: ", "a"),
    "an endless URL": Kind(431, "GET /", "a"),
    "a million header lines": Kind(431, HEAD, "".join(f"h{number}: v\r\n" for number in range(1000))),
    "a body that is too large": Kind(413, BODY + "content-length: 1000000000\r\n\r\n", " "),
    "a slow body": Kind(408, BODY + "content-length: 1000\r\n\r\n", " ", 1),
    "half a header, and no more": Kind(408, HEAD + "x: a"),
    "nothing at all": Kind(408, ""),
}


def main() -> None:
    bench = Bench("hostile", "connections that mean harm, and another user's reads")
    with Velocity() as server:
        vmid = server.reference_vm(server.client(), "read", disk=False)
        tallies: dict[str, list[int]] = {}

        def idle() -> None:
            with Pulse(server, vmid) as alone:
                time.sleep(IDLE)
            bench.add(f"{READ}, idle", "ms", alone.p99)

        def turn(name: str, kind: Kind) -> Callable[[], None]:
            def run() -> None:
                with (
                    Crowd("hostile", port=server.port, connections=kind.connections, **kind.fields) as crowd,
                    Pulse(server, vmid) as meanwhile,
                ):
                    time.sleep(kind.seconds)
                check(name, kind, crowd.tally.statuses)
                tallies.setdefault(name, []).append(crowd.tally.answers)
                bench.add(f"{READ} during {name}", "ms", meanwhile.p99)

            return run

        turns = [turn(name, kind) for name, kind in KINDS.items()]
        for run in turns:
            run()
        bench.values.clear()
        bench.add(f"{RESIDENT}, after one of each", "MiB", memory_mib(server.pid, "Rss"))
        bench.rounds(ROUNDS, [idle, *turns], warm=0)
        bench.add(f"{RESIDENT}, after all", "MiB", memory_mib(server.pid, "Rss"))
    for name in KINDS:
        bench.goal(f"{READ} during {name}", f"{READ}, idle", factor=3)
    bench.goal(f"{RESIDENT}, after all", f"{RESIDENT}, after one of each", factor=1.05)
    ended = ", ".join(f"{name} {sum(counts)} ({KINDS[name].status})" for name, counts in tallies.items())
    bench.notes.append(f"connections that the server ended, with the status of its answer: {ended}")
    bench.finish()


def check(name: str, kind: Kind, statuses: dict[int, int]) -> None:
    """Those that ended were refused, and as they should be; what was cut off while it went on sending may miss it."""
    if not statuses.get(kind.status) or set(statuses) - {0, kind.status}:
        raise Wrong(f"{name}: expected {kind.status}, got {statuses}")


if __name__ == "__main__":
    main()
