"""A lane: rounds on one server. Each is an operation, a kill, a start, and a look at what is true then."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from tests.crash import launching
from tests.crash.model import State, Watcher, differences, taken
from tests.crash.orphans import orphans
from tests.crash.points import SEAMS
from tests.crash.server import Cut, Server
from tests.crash.world import Operation, World, Wrong

SETTLES = 30.0
"""Seconds until what a start has to put in order must be so, on a machine with much to do."""
LAST_WORDS = 6000
"""Characters of the server's log that go with what is wrong."""
FRESH = 20
"""Rounds after which a server with nothing in it takes the place of the old one."""
AT_RANDOM, ANSWERED = "at random", "after its answer"
BEHIND = {point: seam.behind for seam in SEAMS for point in seam.points}
"""Seconds that a point gets after the answer."""
ANSWERS = ("before an answer is sent", "after an answer is sent")
STARTS, WORKS = "server start", "two workers at once"


@dataclass(frozen=True)
class Violation:
    lane: str
    round: int
    operation: str
    point: str
    what: tuple[str, ...]


@dataclass
class Tally:
    """What was killed where, and what was wrong then; of all lanes."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    hurts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of the database."""
    violations: list[Violation] = field(default_factory=list)
    rounds: int = 0

    def add(self, other: Tally) -> None:
        self.kills.update(other.kills)
        self.hurts.update(other.hurts)
        self.violations += other.violations
        self.rounds += other.rounds


@dataclass(frozen=True)
class Cell:
    """Kill at the nth pass of the point while the operation is under way."""

    operation: Operation
    point: str
    nth: int


class Lane:
    """`make` gives a new server."""

    def __init__(
        self, name: str, make: Callable[[], Server], operations: Sequence[Operation], seed: int, tally: Tally
    ) -> None:
        self.name = name
        self._make = make
        self._operations = operations
        self._rng = random.Random(f"{seed} {name}")
        self.tally = tally
        self._round = 0
        self._rounds_of_server = FRESH
        self._starts: list[str] = []
        """Points that a start passes which is not the first."""
        self._first: list[str] | None = None
        """Points that a first start passes, in their order."""
        self._first_killed = False
        self._marked = 0
        self._kills: Counter[str] = Counter()
        """By point."""
        self.server: Server | None = None
        self._worlds: tuple[World, ...] = ()

    def run(self, stop: Callable[[], bool]) -> None:
        """Rounds until it is to stop. The server is gone then."""
        try:
            for cell in self._cells(stop):
                if stop():
                    return
                self.round(cell)
        finally:
            if self.server is not None:
                self.server.close()

    def _cells(self, stop: Callable[[], bool]) -> Iterator[Cell | None]:
        """Every operation at every point that it passes, the points with the fewest kills first; None: at random."""
        passed: dict[Operation, Counter[str]] = {}
        for operation in self._operations:
            if stop():
                return
            passed[operation] = self._record(operation)
        self.renew()
        while True:
            cells = [
                Cell(operation, point, nth)
                for operation, points in passed.items()
                for point, count in points.items()
                for nth in {1, self._rng.randint(1, count)}
            ]
            self._rng.shuffle(cells)
            while cells:
                cell = min(cells, key=lambda one: self._kills[one.point])
                cells.remove(cell)
                yield cell
                if self._rng.random() < 0.2:
                    yield None

    def _record(self, operation: Operation) -> Counter[str]:
        """The points that it passes."""
        server, (world, *_) = self.ready()
        request = operation(world)
        server.order("record")
        status, answer = world.attempt(request)
        assert status == 200, (request.kind, status, answer)
        points = Counter(server.passed())
        server.order("")
        if any(isinstance(vm["state"], set) for vm in world.state["vms"].values()):
            self._look_until_right()
        return points

    # A server

    def ready(self) -> tuple[Server, tuple[World, ...]]:
        if self.server is not None and not self.server.ended() and self._rounds_of_server < FRESH:
            self._rounds_of_server += 1
            return self.server, self._worlds
        if self.server is not None:
            self.server.close()
        self.server = server = self._make()
        launching.write_catalogue(server.catalogue)
        self._rounds_of_server, self._marked = 0, 0
        self._first_start(server)
        self._worlds = World(server, "a", self._rng.getrandbits(32)), World(server, "b", self._rng.getrandbits(32))
        for world in self._worlds:
            world.begin()
        return server, self._worlds

    def renew(self) -> None:
        """Take a new server for the next round: what comes after something wrong is not to be blamed for it."""
        self._rounds_of_server = FRESH

    def _first_start(self, server: Server) -> None:
        """The first of them all is recorded; the second is killed at each point in turn; others at one, by chance."""
        if self._first is None:
            server.order("record")
            assert server.start()
            self._first = [point for point in dict.fromkeys(server.passed()) if point not in ANSWERS]
        else:
            points = self._first if not self._first_killed else [self._rng.choice(self._first)]
            self._first_killed = True
            for point in points:
                server.order(f"1 {point}")
                if not server.start():
                    self.tally.kills[STARTS, point] += 1
                else:
                    server.kill()
            server.order("")
            assert server.start()
        server.order("")

    def start(self) -> None:
        """Start it again; now and then it is killed at a point on its way, and started once more."""
        server = self.server
        assert server is not None
        point = self._rng.choice(self._starts) if self._starts and self._rng.random() < 0.25 else ""
        server.order(f"1 {point}" if point else "record")
        started = server.start()
        if started and not point:
            self._starts = sorted({*self._starts, *server.passed()} - {*ANSWERS})
        server.order("")
        if not started or server.ends_by_then():
            self.tally.kills[STARTS, point] += 1
            assert server.start()

    # A round

    def round(self, cell: Cell | None) -> None:
        """Kill it at the cell's point, or at random, start it again, and look."""
        self._round += 1
        self.tally.rounds += 1
        name, point = WORKS, AT_RANDOM
        try:
            server, worlds = self.ready()
            if cell is None:
                wrong = self._at_random(server, worlds)
            else:
                name, point, wrong = self._at_point(server, worlds[0], cell)
            server.kill()
            self.tally.kills[name, point] += 1
            self._kills[point] += 1
            self.start()
            wrong += self.look(worlds)
            if wrong:
                wrong.append(f"its server's last words: {server.words()[-LAST_WORDS:]}")
        except (AssertionError, Cut, Wrong) as error:
            wrong = [f"{type(error).__name__}: {error}", traceback.format_exc(limit=-4)]
            if self.server is not None and self.server.ended():
                wrong.append(f"its server had ended with {self.server.status()}: {self.server.words()[-3000:]}")
        if wrong:
            self.renew()
            self.tally.violations.append(Violation(self.name, self._round, name, point, tuple(wrong)))

    def _at_point(self, server: Server, world: World, cell: Cell) -> tuple[str, str, list[str]]:
        """The operation, the point at which it was killed, and what was wrong until then."""
        request = cell.operation(world)
        server.order(f"{cell.nth} {cell.point}")
        try:
            status, answer = world.attempt(request)
        except Cut as cut:
            reached = bool(server.passed())
            return request.kind, cell.point if reached else AT_RANDOM, [] if reached else [f"cut by nobody: {cut}"]
        if status != 200:
            return request.kind, ANSWERED, [f"refused: {status} {answer}"]
        reached = server.ends_within(BEHIND.get(cell.point, 0.0))
        return request.kind, cell.point if reached else ANSWERED, []

    def _at_random(self, server: Server, worlds: Sequence[World]) -> list[str]:
        wrong: list[str] = []

        def work(world: World) -> None:
            with suppress(Cut):
                try:
                    while True:
                        world.do(world.rng.choice(self._operations)(world))
                except (AssertionError, Wrong) as error:
                    wrong.append(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=work, args=(world,)) for world in worlds[: 1 if server.qemu else 2]]
        for thread in threads:
            thread.start()
        time.sleep(self._rng.uniform(0.05, 1.0))
        server.kill()
        for thread in threads:
            thread.join()
        return wrong

    # What is true then

    def look(self, worlds: Sequence[World]) -> list[str]:
        wrong = [problem for world in worlds for problem in self._repeat(world)]
        wrong += self._look_until_right()
        wrong += [problem for world in worlds for problem in _sessions(world)]
        assert self.server is not None
        said = self.server.words()
        if (at := said.find("Traceback", self._marked)) >= 0:
            wrong.append(f"a traceback in the log: {said[at : at + 1500]}")
        self._marked = len(said)
        return wrong

    def _repeat(self, world: World) -> list[str]:
        """Send half of what got no answer again, by its key: then it is done, once. What resumes is always called."""
        request = world.flying
        if request is None or (request.send is not None and not request.resumes):
            return []
        if not request.resumes and self._rng.random() < 0.5:
            return []
        status, answer = request.carry(world.server)
        world.flying = None
        if status == 200:
            world.acknowledge(request, answer)
        elif (status, answer.get("code")) == (409, 409):  # it was done, and its answer is lost
            request.applied(world.state, {})
        else:
            return [f"{request.kind}, sent again by its key: {status} {answer}"]
        return []

    def _look_until_right(self) -> list[str]:
        """What is still wrong when everything has had its time; the models are what is seen then."""
        assert self.server is not None
        watcher, end = Watcher(self.server), time.monotonic() + SETTLES
        while True:
            seen = watcher.look()
            fits = [_closest(world, seen) for world in self._worlds]
            wrong = [*watcher.wrong, *(problem for _, problems in fits for problem in problems)]
            if not wrong and not watcher.busy:
                models = [taken(state, world.own(seen)) for world, (state, _) in zip(self._worlds, fits, strict=True)]
                wrong = orphans(self.server, seen, models)
                if not wrong:
                    for world, model in zip(self._worlds, models, strict=True):
                        world.state, world.flying = model, None
                    return []
            if time.monotonic() > end:
                return [*wrong, *(["something is on its way for ever"] if watcher.busy else [])]
            time.sleep(0.1)


def _closest(world: World, seen: State) -> tuple[State, list[str]]:
    """The outcome that is seen, or what the nearest one lacks."""
    own = world.own(seen)
    found = [(how, state, differences(state, own)) for how, state in world.outcomes()]
    how, state, lacking = min(found, key=lambda one: len(one[2]))
    kind = world.flying.kind if world.flying else "nothing under way"
    return state, [f"[{kind}; nearest: {how}] {one}" for one in lacking]


def _sessions(world: World) -> Iterator[str]:
    """Sessions and passwords, which no list shows."""
    for key, user in list(world.keys.items())[-3:]:
        if user in world.state["users"] and world.server.call("POST", "/u/user", key=key)[0] != 200:
            yield f"a session of {user} that was acknowledged is gone"
    for key in world.ended[-3:]:
        if world.server.call("POST", "/u/user", key=key)[0] == 200:
            yield "a session whose end was acknowledged goes on"
    for user, words in world.passwords.items():
        if user in world.state["users"]:
            right = [word for word in words if world.server.call("POST", "/u/auth", name=user, password=word)[0] == 200]
            if len(right) != 1:
                yield f"{user} has {len(right)} passwords of {len(words)} that may be"
            else:
                world.state["users"][user]["_password"] = right[0]
                world.passwords[user] = right  # and so it is at each later look, until another one is set
    world.passwords = dict([*world.passwords.items()][-1:])
