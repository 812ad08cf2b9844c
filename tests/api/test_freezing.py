"""File systems of guests that are frozen for a backup (route 41), and thawed in time, over agents that tests play."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_guests import asked, inhabited, refusing, uuid
from tests.api.world import World, world
from tests.patience import asked_until
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.fake import FakeAgent
from velocity.hypervisor.port import HypervisorError, Unknown
from velocity.machines.rules import RunRecord
from velocity.store.machines import SqlMachines

pytestmark = pytest.mark.anyio
FREEZE, THAW, STATUS = "guest-fsfreeze-freeze", "guest-fsfreeze-thaw", "guest-fsfreeze-status"


async def shown(w: World, vmid: int) -> Any:
    return (await w.ok("POST", "/v/vm", vmid=vmid)).body.get("frozen_until")


async def thawed(w: World, vmid: int) -> None:
    """Waits until it is shown so."""
    await asked_until(lambda: shown(w, vmid), lambda until: until is None)


@pytest.mark.holds("GUEST-90")
async def test_file_systems_are_frozen_shown_so_and_thawed(w: World) -> None:
    vmid, agent = await inhabited(w)
    answer = await w.ok("PUT", "/v/vm/freeze", vmid=vmid, timeout=300)
    assert (answer["filesystems"], agent.frozen) == (1, 1)
    assert await shown(w, vmid) == answer["frozen_until"]
    assert w.server.services.fleet.get(vmid).progress.frozen_until == answer["frozen_until"]
    assert (await w.ok("PUT", "/v/vm/thaw", vmid=vmid)).body == {"vmid": vmid, "filesystems": 1}
    assert (await shown(w, vmid), agent.frozen) == (None, 0)
    assert (await w.ok("PUT", "/v/vm/thaw", vmid=vmid))["filesystems"] == 0, "and again, which does nothing"
    for timeout in (0, 601):
        assert await w.refused("PUT", "/v/vm/freeze", vmid=vmid, timeout=timeout) == (400, 400)


@pytest.mark.holds("GUEST-90")
async def test_a_frozen_guest_is_asked_for_nothing_else(w: World) -> None:
    vmid, _ = await inhabited(w)
    await w.ok("PUT", "/v/vm/freeze", vmid=vmid)
    before = asked(w)
    for path, body in (("exec", {"command": ["true"]}), ("freeze", {})):
        answer = await w.call("PUT", f"/v/vm/{path}", vmid=vmid, **body)
        assert answer.status == 406 and "velocity vm thaw" in answer["message"], answer
    assert (await w.ok("POST", "/v/vm/guest", vmid=vmid)).body == {"vmid": vmid, "agent": "7.2.0"}
    assert asked(w) == [*before, "guest-info"]


@pytest.mark.holds("GUEST-91")
@pytest.mark.parametrize("done", ["thaw", "reset"])
async def test_what_was_done_is_told_so_where_it_cannot_be_written_down_yet(
    w: World, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    """And is written behind."""
    vmid, agent = await inhabited(w)
    await w.ok("PUT", "/v/vm/freeze", vmid=vmid)
    w.server.services.fleet.freezing.pauses = (0.01,)
    keep, away = SqlMachines.keep_progress, [True, True]

    async def refused(store: SqlMachines, vmid: int, progress: RunRecord) -> None:
        if progress.frozen_until is None and away:
            away.pop()
            raise Refused(Problem.UNAVAILABLE, "nothing was changed")
        await keep(store, vmid, progress)

    monkeypatch.setattr(SqlMachines, "keep_progress", refused)
    await w.ok("PUT", f"/v/vm/{done}", vmid=vmid)
    await thawed(w, vmid)
    assert (away, agent.frozen) == ([], 0)


@pytest.mark.holds("GUEST-91")
async def test_of_two_that_freeze_at_once_one_is_refused_and_thaws_nothing(w: World) -> None:
    vmid, agent = await inhabited(w)
    answers = await asyncio.gather(*(w.call("PUT", "/v/vm/freeze", vmid=vmid) for _ in range(2)))
    assert sorted(one.status for one in answers) == [200, 406]
    await w.settle()
    assert (agent.frozen, asked(w)) == (1, [FREEZE])


@pytest.mark.holds("GUEST-91")
async def test_what_is_frozen_is_thawed_in_time_and_the_history_has_it(w: World) -> None:
    vmid, agent = await inhabited(w)
    await w.ok("PUT", "/v/vm/freeze", vmid=vmid, timeout=1)
    assert agent.frozen
    await thawed(w, vmid)
    assert not agent.frozen
    await w.written()
    newest, before, *_ = (await w.ok("POST", "/t/history", vmid=vmid))["entries"]
    assert (newest["operation"], newest.get("uid"), before["operation"]) == ("thaw_guest", None, "freeze_guest")


@pytest.mark.holds("GUEST-91")
async def test_a_server_that_comes_next_thaws_what_one_that_was_killed_has_frozen(tmp_path: Path) -> None:
    agent = FakeAgent()
    async with world(tmp_path / "data") as w:
        vmid, _ = await inhabited(w)
        w.hypervisor.guests.agents[uuid(w, vmid)] = agent
        await w.ok("PUT", "/v/vm/freeze", vmid=vmid, timeout=1)
        hypervisor, key = w.hypervisor, w.key
    assert agent.frozen, "a server that ends leaves it as it is"
    async with world(tmp_path / "data", hypervisor) as w:
        w.key = key
        await thawed(w, vmid)
    assert not agent.frozen


@pytest.mark.holds("GUEST-91")
async def test_a_guest_that_cannot_be_thawed_is_asked_until_it_is(w: World) -> None:
    w.server.services.fleet.freezing.pauses = (0.01,)
    vmid, agent = await inhabited(w)
    lost = 0

    def answers(command: str, given: Any) -> Any:
        nonlocal lost
        if command == FREEZE:
            agent(command, given)
            raise Unknown("its guest agent does not answer")
        if command == THAW and lost < 3:
            lost += 1
            raise (Unknown("it does not answer"), HypervisorError("it is busy"))[lost % 2]
        return agent(command, given)

    w.hypervisor.guests.agents[uuid(w, vmid)] = answers
    assert await w.refused("PUT", "/v/vm/freeze", _plan=None, vmid=vmid, timeout=600) == (500, 41230)
    await thawed(w, vmid)
    assert (agent.frozen, lost) == (0, 3)


@pytest.mark.holds("GUEST-91")
async def test_what_froze_nothing_is_not_shown_as_frozen(w: World) -> None:
    vmid, _ = await inhabited(w)
    w.hypervisor.guests.agents[uuid(w, vmid)] = refusing
    assert await w.refused("PUT", "/v/vm/freeze", _plan=None, vmid=vmid) == (406, 41221)
    await thawed(w, vmid)
    assert asked(w) == [FREEZE, THAW, STATUS]
    del w.hypervisor.guests.agents[uuid(w, vmid)]
    assert await w.refused("PUT", "/v/vm/freeze", _plan=None, vmid=vmid) == (406, 41220)
    await thawed(w, vmid)
    stopped = await w.vm("stopped")
    assert await w.refused("PUT", "/v/vm/freeze", vmid=stopped) == (406, 41220)


@pytest.mark.holds("GUEST-91")
async def test_a_guest_that_ends_or_boots_anew_is_frozen_no_more(w: World) -> None:
    vmid, agent = await inhabited(w)
    await w.ok("PUT", "/v/vm/freeze", vmid=vmid)
    await w.ok("PUT", "/v/vm/reset", vmid=vmid)
    assert await shown(w, vmid) is None
    agent.frozen = 0
    await w.ok("PUT", "/v/vm/freeze", vmid=vmid)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    assert await shown(w, vmid) is None
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert await shown(w, vmid) is None


@pytest.mark.holds("GUEST-91")
async def test_a_graceful_stop_thaws_first(w: World) -> None:
    vmid, _ = await inhabited(w)
    w.hypervisor.runs[uuid(w, vmid)].deaf = True
    await w.ok("PUT", "/v/vm/freeze", vmid=vmid)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
    await w.server.services.fleet.agents.settle()
    assert asked(w)[-2:] == [THAW, "guest-shutdown"]


async def test_who_may_freeze(w: World) -> None:
    vmid, _ = await inhabited(w)
    key = await w.user("operator", (0, "vm.view"), (0, "vm.state"))
    assert await w.refused("PUT", "/v/vm/freeze", key, vmid=vmid) == (403, 41200)
    assert await w.refused("PUT", "/v/vm/thaw", key, vmid=vmid) == (403, 41201)
    assert asked(w) == []
