"""One worker's part of an installation: what was acknowledged of it, and the requests that it sends."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.crash.model import ASSIGN, ASSIGN_OTHER, State, Thing, empty, pool
from tests.crash.server import Answer, Cut, Server, new_key

Applied = Callable[[State, dict[str, Any]], None]


def unchanged(_state: State, _answer: dict[str, Any]) -> None:
    """Nothing of it is in the model."""


@dataclass
class Request:
    """One request. `applied` does to a model what it does; `partly` are further models that are true if it was cut.

    `send` is for what is not one JSON request: it gives status and answer, too. Such a one is not sent again, but if it
    `resumes`.
    """

    kind: str
    method: str = ""
    path: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    applied: Applied = unchanged
    partly: list[Applied] = field(default_factory=list)
    send: Callable[[Server], Answer] | None = None
    key: str = field(default_factory=new_key)
    resumes: bool = False
    """It is a command that goes on, called again, with what it has begun."""

    def carry(self, server: Server) -> Answer:
        """Raises `Cut`."""
        if self.send is not None:
            return self.send(server)
        return server.call(self.method, self.path, once=self.key, **self.fields)


class Wrong(Exception):
    """An answer that nothing explains."""


def made(kind: str, name: str, given: str, **fields: Any) -> Applied:
    """Something new is there; `given` is the field of the answer with its id."""

    def applied(state: State, answer: dict[str, Any]) -> None:
        state[kind][name] = {"id": answer.get(given), **fields}

    return applied


class World:
    """What was acknowledged. Each worker has one, with a group of its own and names that begin with its prefix."""

    def __init__(self, server: Server, prefix: str, seed: int) -> None:
        self.server = server
        self.prefix = prefix
        self.rng = random.Random(seed)
        self.state: State = empty()
        self.flying: Request | None = None
        """What was sent and got no answer."""
        self.given: set[str] = set()
        self.keys: dict[str, str] = {}
        """Authkey -> whose, of the sessions whose beginning was acknowledged."""
        self.ended: list[str] = []
        """Authkeys whose end was acknowledged."""
        self.passwords: dict[str, list[str]] = {}
        """Whose password was set in this round -> what it may be, the likeliest first."""
        self._count = 0
        self.top = self.name("top")

    def begin(self) -> None:
        """Make its group, with both pools."""
        request = Request("group create", "PUT", "/u/group", {"name": self.top, "parent_gid": 0})
        request.applied = made("groups", self.top, "gid", parent=None, limits={}, members={}, pool=pool(0))
        self.do(request)
        for pool_ in (ASSIGN, ASSIGN_OTHER):
            self.server.ok("PUT", "/m/pool/assign", gid=self.id("groups", self.top), quota=0, **pool_)

    def name(self, what: str) -> str:
        self._count += 1
        return f"{self.prefix}-{what}-{self._count}"

    def id(self, kind: str, name: str) -> Any:
        return self.state[kind][name]["id"]

    def pick(self, kind: str, fits: Callable[[str, Thing], bool] = lambda name, one: True) -> str | None:
        found = sorted(name for name, one in self.state[kind].items() if fits(name, one))
        return self.rng.choice(found) if found else None

    def do(self, request: Request) -> None:
        """Carry it out as a step on the way: it must succeed. Raises `Cut`, `Wrong`."""
        status, answer = self.attempt(request)
        if status != 200:
            raise Wrong(f"{request.kind} was refused: {status} {answer}")

    def attempt(self, request: Request) -> Answer:
        """Send it; the model has it when it is acknowledged. Raises `Cut`: `flying` is it then."""
        self.flying = request
        status, answer = request.carry(self.server)
        if status == 503 and answer.get("outcome") == "unknown":
            raise Cut(str(answer.get("message")))
        self.flying = None
        if status == 200:
            self.acknowledge(request, answer)
        elif status >= 500 and status != 503:
            raise Wrong(f"{request.kind} answered {status}: {answer}")
        return status, answer

    def acknowledge(self, request: Request, answer: dict[str, Any]) -> None:
        request.applied(self.state, answer)
        for name in ("uid", "gid", "vmid", "mid") if request.kind.endswith(" create") else ():
            if name in answer:
                given = f"{name} {answer[name]}"
                if given in self.given:
                    raise Wrong(f"{given} was given twice")
                self.given.add(given)

    def outcomes(self) -> list[tuple[str, State]]:
        """What may be true now: that what flies was done, or not, or partly where that is no lie."""
        found = [("not done" if self.flying else "acknowledged", self.state)]
        if self.flying is not None:
            for how, applied in (("done", self.flying.applied), *(("partly", one) for one in self.flying.partly)):
                state = copy.deepcopy(self.state)
                applied(state, {})
                found.append((how, state))
        return found

    def own(self, seen: State) -> State:
        """What is its own of everything that is seen."""
        prefix = f"{self.prefix}-"
        return {
            kind: {name: one for name, one in things.items() if name.split(" ")[-1].startswith(prefix)}
            for kind, things in seen.items()
        }


Operation = Callable[[World], Request]
"""Makes what it needs first, by requests that are acknowledged, and then the one that is cut."""
