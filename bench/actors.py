"""Who does the same thing again and again while something else goes on, and how long it took each time.

Each is a process of its own, so that none waits for another at this end. `Actor` is the bench's side of it;
`python -m bench.actors KIND FIELDS` is the process.
"""

from __future__ import annotations

import itertools
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from bench.files import medium, put
from bench.harness import timed
from bench.readers import Readers
from bench.server import Client, Velocity, Wrong
from velocity.client.console import Console

WARM = 3
"""Turns that are not counted."""


class Actor:
    """Acts as long as the `with` block lasts; then `ms` has what each turn took."""

    module = "bench.actors"

    def __init__(self, kind: str, **fields: object) -> None:
        self._words = [kind, json.dumps(fields)]
        self.found: Any = []
        """What the process has told at its end."""

    def __enter__(self) -> Self:
        self.prepare()
        self.tell("go")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.tell("end")
        self.end()

    def launch(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, *self._words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def prepare(self) -> None:
        """Returns when it has had its first answers, and waits."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise Wrong(f"{' '.join(self._words)} has ended with {self._process.wait()}")

    def tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        answer, _ = self._process.communicate()
        self.found = json.loads(answer)

    @property
    def ms(self) -> list[float]:
        return list(self.found)

    @property
    def p99(self) -> float:
        return percentile(self.ms, 99)


class Pulse(Actor):
    """Reads a VM's state."""

    def __init__(self, server: Velocity, vmid: int) -> None:
        super().__init__("read", port=server.port, key=server.key, path="/v/vm/state", vmid=vmid)


def act(actors: Sequence[Actor], seconds: float) -> None:
    """All of them at once, for so long."""
    for step in (Actor.launch, Actor.wait, lambda one: one.tell("go")):
        for one in actors:
            step(one)
    time.sleep(seconds)
    for step in (lambda one: one.tell("end"), Actor.end):
        for one in actors:
            step(one)


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest of them that so many in a hundred are not above."""
    return sorted(values)[-1 - len(values) * (100 - share) // 100]


class Turn(NamedTuple):
    """What is measured, what is done after it, and the seconds from one turn to the next, if it takes no longer."""

    work: Callable[[], object]
    after: Callable[[], object]
    pace: float


def nothing() -> None:
    pass


def read(_stack: ExitStack, port: int, key: str, path: str, vmid: int) -> Turn:
    client = Client(port, key)
    return Turn(lambda: client.call("POST", path, vmid=vmid), nothing, 0.004)


def start(_stack: ExitStack, port: int, key: str, vmid: int) -> Turn:
    client = Client(port, key)

    def ask(state: str) -> None:
        client.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=True)

    return Turn(lambda: ask("RUNNING"), lambda: ask("STOPPED"), 0.1)


def sign_in(_stack: ExitStack, port: int, name: str, password: str) -> Turn:
    client = Client(port)
    return Turn(lambda: client.call("POST", "/u/auth", name=name, password=password), nothing, 0)


def upload(_stack: ExitStack, port: int, key: str, file: str, name: str) -> Turn:
    client = Client(port, key)
    mids: list[str] = []

    def send() -> None:
        mids.append(json.loads(put(port, "/m/media/upload", Path(file), medium(key, name)))["mid"])

    return Turn(send, lambda: client.call("DELETE", "/m/media", mid=mids.pop(), purge=True), 0.05)


def change(stack: ExitStack, port: int, key: str, vmid: int, readers: int) -> Turn:
    """Until all who read the events have been told."""
    client = Client(port, key)
    many = stack.enter_context(Readers(port, [key] * readers))
    numbers = itertools.count()

    def told() -> None:
        name = f"told {next(numbers)}"
        client.call("PATCH", "/v/vm", vmid=vmid, name=name)
        many.until(f'"{name}"'.encode())

    return Turn(told, many.drain, 0.1)


def typing(stack: ExitStack, port: int, key: str, vmid: int) -> Turn:
    """Until the console has shown what was typed."""
    ticket = Client(port, key).call("POST", "/v/vm/console", vmid=vmid, kind="serial")
    console = Console(f"http://127.0.0.1:{port}", ticket["path"])
    stack.callback(console.close)
    numbers = itertools.count()

    def typed() -> None:
        word = b"<%d>" % next(numbers)
        console.send(word)
        shown = b""
        while word not in shown:
            more = console.receive()
            if not more:
                raise Wrong("the console has ended")
            shown += more

    return Turn(typed, nothing, 0.02)


KINDS: dict[str, Callable[..., Turn]] = {
    "read": read, "start": start, "sign_in": sign_in, "upload": upload, "change": change, "type": typing,
}  # fmt: skip


def main() -> None:
    kind, fields = sys.argv[1:]
    with ExitStack() as stack:
        turn = KINDS[kind](stack, **json.loads(fields))
        for _ in range(WARM):
            turn.work()
            turn.after()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        found: list[float] = []
        wait = 0.0
        while not found or not select.select([sys.stdin], [], [], wait)[0]:
            begun = time.monotonic()
            found.append(timed(turn.work))
            turn.after()
            wait = max(turn.pace - (time.monotonic() - begun), 0)
        json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
