"""Signing in, beside argon2id alone with the same parameters: it is to take what the password's check takes, no more.

And what it takes from others: how long a state read takes while people sign in, and while the same checks go on in a
process that is not the server.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from argon2 import PasswordHasher

from bench.actors import Pulse
from bench.harness import Bench, timed
from bench.seed import World, seed
from bench.server import PASSWORD, Velocity

ROUNDS, SECONDS = 5, 2.0
CORES = os.cpu_count() or 1
CLIENTS = 8
"""More than there are cores: they wait in the server's queue. Each is another user, as one has a measure of tries."""
ONE, READ = "sign-in, one at a time", "state read's p99"


def main() -> None:
    bench = Bench("signin", "signing in")
    with ExitStack() as stack:
        server = stack.enter_context(Velocity())
        seed(server, World(vms=1, users=CLIENTS))
        server.start()
        hasher = PasswordHasher()
        hashed = hasher.hash(PASSWORD)
        clients = [server.client() for _ in range(CLIENTS)]

        def sign_in(number: int) -> None:
            clients[number].call("POST", "/u/auth", name=f"user {number + 1}", password=PASSWORD)

        def verify(_number: int) -> None:
            hasher.verify(hashed, PASSWORD)

        def turn(name: str, work: Callable[[int], None], together: int) -> Callable[[], None]:
            def run() -> None:
                bench.add(f"{ONE}: {name}", "ms", *(timed(lambda: work(0)) for _ in range(3)))
                with Pulse(server, 1) as meanwhile:
                    rate = at_once(work, together)
                bench.add(f"{together} at once: {name}", "/s", rate)
                bench.add(f"{READ} during {together} at once: {name}", "ms", meanwhile.p99)

            return run

        def idle() -> None:
            with Pulse(server, 1) as alone:
                time.sleep(1)
            bench.add(f"{READ}, idle", "ms", alone.p99)

        bench.rounds(ROUNDS, [turn("Velocity", sign_in, CLIENTS), turn("argon2id alone", verify, CORES), idle])
    parameters = f"{hasher.memory_cost >> 10} MiB, {hasher.time_cost} passes, {hasher.parallelism} lanes"
    bench.goal(f"{ONE}: Velocity", f"{ONE}: argon2id alone", factor=1.05, plus=2)
    bench.goal(f"{CLIENTS} at once: Velocity", f"{CORES} at once: argon2id alone", factor=1 / 1.05, least=True)
    bench.goal(
        f"{READ} during {CLIENTS} at once: Velocity", f"{READ} during {CORES} at once: argon2id alone", factor=1.5
    )
    bench.notes.append(f"argon2id with {parameters}; at most one check for each of {CORES} cores at a time")
    bench.finish()


def at_once(work: Callable[[int], None], count: int) -> float:
    """How often in a second it is done, by so many threads for some seconds."""
    end = time.monotonic() + SECONDS
    done = [0] * count

    def one(number: int) -> None:
        while time.monotonic() < end:
            work(number)
            done[number] += 1

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.monotonic() - begun)


if __name__ == "__main__":
    main()
