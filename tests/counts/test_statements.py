"""What requests ask of the database: each statement that they cost, and how many commits many of them share."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.sql.dml import ValuesBase

from tests.api.world import PASSWORD, World
from tests.patience import PATIENCE

pytestmark = pytest.mark.anyio

CLIENTS = 32
PROOF = "UPDATE leadership"
"""That the server may write, once in each transaction that does: how many requests share one is a matter of time."""
STATEMENT = re.compile(r"(SELECT|INSERT|UPDATE|DELETE)\b(?:(?<!UPDATE).*?\b(?:FROM|INTO)\b|)\s*(\w+)", re.DOTALL)


@contextmanager
def heard(w: World, name: str, hear: Callable[..., None]) -> Iterator[None]:
    """Listen to the engine's event of that name."""
    engine = w.server.database.engine
    sa.event.listen(engine, name, hear)
    try:
        yield
    finally:
        sa.event.remove(engine, name, hear)


async def statements(w: World, request: Callable[[], Awaitable[Any]]) -> list[str]:
    """Verb and table of what is sent to the database for a request, until nothing that it began is under way.

    Counted where SQLAlchemy hands a statement to the driver. Not counted is what only frames a transaction: how many
    requests share one is a matter of time.
    """
    sent: list[str] = []

    def hear(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if said := STATEMENT.match(statement):
            sent.append(f"{said[1]} {said[2]}")

    await w.written()
    before = asyncio.all_tasks()
    with heard(w, "before_cursor_execute", hear):
        await request()
        while begun := asyncio.all_tasks() - before:
            await asyncio.wait(begun)
    return sorted(sent)


OPERATIONS: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("POST", "/v/vm/state", {"vmid": 1}, []),
    ("POST", "/v/vm", {"vmid": 1}, []),
    ("POST", "/v/vm/list", {"gid": 0}, []),
    ("POST", "/m/media/list", {"gid": 0}, []),
    ("PUT", "/v/vm/efi", {"name": "new", "gid": 0, "cpus": 1, "memory_mib": 64}, ["INSERT machines"]),
    ("PUT", "/v/vm/state", {"vmid": 1, "state": "RUNNING"}, ["UPDATE machines"]),
    ("PUT", "/v/vm/state", {"vmid": 1, "state": "PAUSED"}, ["UPDATE machines"]),
    ("PUT", "/v/vm/state", {"vmid": 1, "state": "RUNNING"}, ["UPDATE machines"]),
    # What was asked for, while QEMU ends, and how it ended.
    ("PUT", "/v/vm/state", {"vmid": 1, "state": "STOPPED", "force": True}, ["UPDATE machines"] * 2),
    ("DELETE", "/v/vm", {"vmid": 1}, ["DELETE machines", "INSERT trash", "SELECT machines"]),
    ("PUT", "/m/media/create", {"mpid": 1, "gid": 0, "name": "new", "size": 1 << 20}, ["INSERT media"]),
    # What is deleted are authkeys that have expired, and addresses from long ago.
    (
        "POST",
        "/u/auth",
        {"name": "root", "password": PASSWORD},
        ["DELETE authkeys", "INSERT authkeys", "DELETE good_addresses", "INSERT good_addresses"],
    ),
]
"""In this order, over a world with VM 1: a request, and what it costs beside its entry in the history."""


async def test_reads_ask_nothing_and_changes_little(w: World) -> None:
    assert await w.vm() == 1
    for method, path, body, costs in OPERATIONS:
        sent = await statements(w, partial(w.ok, method, path, **body))
        proofs = sent.count(PROOF)
        assert [one for one in sent if one != PROOF] == sorted([*costs, "INSERT history"] if costs else []), path
        assert bool(costs) <= proofs <= len(costs) + bool(costs), "one for each transaction that writes"


async def test_the_statements_of_a_vm_are_built_once(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made of the statements that SQLAlchemy is given values for: to build one takes longer than to execute it."""
    built: list[str] = []
    values = ValuesBase.values

    def build(statement: ValuesBase, *given: Any, **named: Any) -> ValuesBase:
        built.append(statement.table.description)
        return values(statement, *given, **named)

    monkeypatch.setattr(ValuesBase, "values", build)
    vmid = await w.vm()
    await w.ok("PATCH", "/v/vm", vmid=vmid, memory_mib=128)
    for state in ("RUNNING", "PAUSED", "STOPPED"):
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state=state, force=True)
    await w.ok("POST", "/u/auth", name="root", password=PASSWORD)
    assert built == []


async def test_clients_that_change_at_once_share_their_commits(w: World) -> None:
    """Made of the engine's commits that make VMs. Each takes as long here as it needs until all other clients wait.

    On a disk that slow two in a row are of all clients: of those who came first, and of all others. An entry of the
    history may take one client's place there, who comes a commit later.
    """
    rounds = 5
    clients, commits, makes = CLIENTS, 0, 0
    over = threading.Event()

    def send(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        nonlocal makes
        makes += statement.startswith("INSERT INTO machines")

    def commit(_connection: Any) -> None:
        nonlocal commits, makes
        commits += makes > 0
        while w.server.database.waiting + makes < clients and not over.wait(0.001):
            pass
        makes = 0

    async def client(number: int) -> None:
        nonlocal clients
        for turn in range(rounds):
            await w.vm(f"vm{number}-{turn}")
        clients -= 1

    try:
        with heard(w, "before_cursor_execute", send), heard(w, "commit", commit):
            await asyncio.wait_for(asyncio.gather(*(client(number) for number in range(CLIENTS))), PATIENCE)
    finally:
        over.set()
    assert commits <= 2 * rounds * CLIENTS / (CLIENTS - 1) + 1, f"of {rounds * CLIENTS} VMs"
