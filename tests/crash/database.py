"""PostgreSQL that is killed, and a way to it that is cut: at once, before a COMMIT arrives, or before its answer."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.crash.lane import Lane, Tally, Violation
from tests.crash.server import Cut, Server
from tests.crash.world import Operation, Request, World, Wrong
from tests.postgres import SOCKET, Postgres

KILLED, CUT = "PostgreSQL is killed", "the way to PostgreSQL is cut"
BEFORE, AFTER = "COMMIT does not arrive", "the answer to COMMIT is lost"
BACK = 60.0
"""Seconds until a server must answer again whose database is back."""


class DatabaseOption:
    """Listens in a directory of its own, and carries what comes to the database's socket and back."""

    def __init__(self, directory: Path, to: Path) -> None:
        self._to = to
        self._open: set[socket.socket] = set()
        self._order = ""
        self._commits = 0
        self._turn = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(directory / SOCKET))
        self._listener.listen(16)
        self.cut_off = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, order: str, commits: int) -> None:
        """Be cut at one of the next COMMITs: `BEFORE` or `AFTER`."""
        with self._turn:
            self._order, self._commits = order, commits
            self.cut_off.clear()

    def cut(self) -> None:
        """End all connections."""
        with self._turn:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.cut_off.set()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    there.connect(str(self._to))
                except OSError:
                    here.close()
                    continue
                with self._turn:
                    self._open |= {here, there}
                committing = threading.Event()
                for source, target, asks in ((here, there, True), (there, here, False)):
                    threading.Thread(target=self._carry, args=(source, target, committing, asks), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, committing: threading.Event, asks: bool) -> None:
        lost = False
        with suppress(OSError):
            while not lost and (data := source.recv(65536)):
                if asks and b"COMMIT\0" in data and self._counts():
                    committing.set()
                    lost = self._order == BEFORE
                elif not asks and committing.is_set():
                    lost = True
                if not lost:
                    target.sendall(data)
        if lost:
            self._order = ""
            self.cut()
        for end in (source, target):  # whoever reads at the other side hears of it
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _counts(self) -> bool:
        with self._turn:
            if not self._order:
                return False
            self._commits -= 1
            return self._commits == 0


class DatabaseLane:
    """Rounds in which the database is hurt and the server is not: what it shows is what is there, then and later."""

    def __init__(self, postgres: Postgres, operations: Sequence[Operation], seed: int, tally: Tally) -> None:
        self._postgres = postgres
        self._operations = operations
        self._rng = random.Random(f"{seed} database")
        self._tally = tally
        self._option: DatabaseOption | None = None
        self._lane = Lane("database", self._make, operations, seed, tally)
        self._round = 0

    def _make(self) -> Server:
        server = Server(qemu=False)
        if self._option is not None:
            self._option.close()
        self._option = DatabaseOption(server.home, self._postgres.socket)
        server.database = self._postgres.url(self._postgres.create(), server.home)
        return server

    def run(self, stop: Callable[[], bool]) -> None:
        try:
            while not stop():
                cells = [(operation, what) for operation in self._operations for what in (KILLED, CUT, BEFORE, AFTER)]
                self._rng.shuffle(cells)
                for operation, what in cells:
                    if stop():
                        return
                    self.round(operation, what)
        finally:
            if self._lane.server is not None:
                self._lane.server.close()
            if self._option is not None:
                self._option.close()

    def round(self, operation: Operation, what: str) -> None:
        """Hurt it while the operation is under way; let it be well again; look, kill the server, and look again."""
        self._round += 1
        self._tally.rounds += 1
        kind = operation.__name__
        try:
            server, worlds = self._lane.ready()
            request = operation(worlds[0])
            kind = request.kind
            wrong = self._hurt(worlds[0], request, what)
            self._tally.hurts[kind, what] += 1
            if server.ended():  # it may end, and be started again by whoever watches over it
                self._lane.start()
            else:
                self._await(server)
            wrong += self._lane.look(worlds)
            server.kill()
            self._tally.kills[kind, "after " + what] += 1
            self._lane.start()
            wrong += [f"after a restart: {problem}" for problem in self._lane.look(worlds)]
        except (AssertionError, Cut, Wrong) as error:
            wrong = [f"{type(error).__name__}: {error}"]
        if wrong:
            self._lane.renew()
            self._tally.violations.append(Violation("database", self._round, kind, what, tuple(wrong)))

    def _hurt(self, world: World, request: Request, what: str) -> list[str]:
        assert self._option is not None
        hurting = threading.Thread(target=self._soon, args=(what,))
        if what in (BEFORE, AFTER):
            self._option.arm(what, self._rng.randint(1, 2))
        else:
            hurting.start()
        try:
            status, answer = world.attempt(request)
            return [] if status in (200, 503) else [f"refused: {status} {answer}"]
        except Cut:
            return []
        except Wrong as wrong:
            return [str(wrong)]
        finally:
            if hurting.ident is not None:
                hurting.join()
            self._option.arm("", 0)

    def _soon(self, what: str) -> None:
        assert self._option is not None
        time.sleep(self._rng.uniform(0, 0.03))
        if what == CUT:
            self._option.cut()
        else:
            self._postgres.kill()
            self._postgres.serve()

    def _await(self, server: Server) -> None:
        """Until it answers and changes something again."""
        end = time.monotonic() + BACK
        while server.call("PUT", "/u/group/quota", gid=0)[0] != 200:
            assert time.monotonic() < end, "the database is back, and the server refuses all changes"
            time.sleep(0.2)
