"""A host that is removed just as something else is done with it: that is refused with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tests.api.images import wait
from tests.api.world import World
from tests.hosts.installation import Installation
from tests.hosts.together import Other, together
from tests.patience import eventually
from velocity.contract.machines import State
from velocity.contract.nodes import ListNodes
from velocity.contract.problems import Refused
from velocity.hosts.members import Member
from velocity.hypervisor.port import HostId
from velocity.store.hosts import SqlMembers
from velocity.store.machines import SqlMachines
from velocity.store.media import SqlMedia
from velocity.store.trash import SqlTrash

pytestmark = pytest.mark.anyio

Call = Callable[..., Coroutine[Any, Any, Any]]


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


@pytest.fixture
def just_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[type, str, Call], None]:
    """Has something else done as the database is about to be asked for that, once."""

    def patch(store: type, name: str, first: Call) -> None:
        call = getattr(store, name)

        async def later(self: Any, *given: Any) -> Any:
            monkeypatch.setattr(store, name, call)
            await first()
            return await call(self, *given)

        monkeypatch.setattr(store, name, later)

    return patch


def asks_to_remove(w: World, answers: list[Any]) -> Call:
    async def ask() -> None:
        answers.append(await w.call("DELETE", "/h/node", host=2))

    return ask


@pytest.mark.holds("MANY-237")
@pytest.mark.parametrize("how", ["created", "cloned", "restored"])
async def test_a_host_that_a_vm_is_just_coming_to_stays(
    tmp_path: Path, b: Other, just_before: Callable[..., None], how: str
) -> None:
    answers: list[Any] = []
    async with together(tmp_path / "data", b) as w:
        before = await w.vm("vm", host=2 if how == "restored" else 1)
        if how == "created":
            just_before(SqlMachines, "add", asks_to_remove(w, answers))
            await w.vm("another", host=2)
        elif how == "cloned":
            just_before(SqlMachines, "add", asks_to_remove(w, answers))
            task = await wait(w, await w.ok("PUT", "/v/vm/clone", vmid=before, gid=0, name="copy", host=2))
            assert task["state"] == "DONE", task
        else:
            await w.ok("DELETE", "/v/vm", vmid=before)
            (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
            just_before(SqlTrash, "restore", asks_to_remove(w, answers))
            await w.ok("PUT", "/t/trash", trid=item["trid"])
        (refused,) = answers
        assert (refused.status, refused.code) == (409, 57320), refused.body
        assert "on its way there" in refused["message"]
        hosts = {vm["host"]["id"] for vm in (await w.ok("POST", "/v/vm/list", gid=0))["vms"]}
        assert 2 in hosts


@pytest.mark.holds("MANY-260")
async def test_a_host_that_falls_silent_as_a_medium_is_just_coming_to_it_stays_until_that_has_come(
    tmp_path: Path, b: Other, just_before: Callable[..., None]
) -> None:
    answers: list[Any] = []
    async with together(tmp_path / "data", b) as w:

        async def falls_silent() -> None:
            b.fake.faults.lose(b.host)
            await eventually(lambda: b.host in w.server.hosts.silent)
            await asks_to_remove(w, answers)()

        just_before(SqlMedia, "add", falls_silent)
        mid = await w.medium("new", mpid=20)
        (refused,) = answers
        assert (refused.status, refused.code) == (409, 57320), refused.body
        assert "a medium is in a pool of host 'b', or on its way there" in refused["message"]
        assert (await w.ok("POST", "/m/media", mid=mid))["mpid"] == 20
        await w.ok("DELETE", "/h/node", host=2)


@pytest.mark.holds("MANY-237")
async def test_no_run_begins_on_it(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm("vm", host=1)
        spec = w.server.services.fleet.get(vmid).machine.spec
        with pytest.raises(Refused, match="its host was removed"):
            await SqlMachines(w.server.database).begin_run(vmid, State.RUNNING, spec, HostId(9))


@pytest.mark.holds("MANY-237")
async def test_it_joins_again_or_is_removed(here: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever comes first: the one or the other, for the database and for everybody who asks."""
    one, host = await here.join("b")
    word = await here.token(host)
    removing: list[asyncio.Task[None]] = []
    put = SqlMembers.join

    async def join(self: SqlMembers, member: Member, *more: Any) -> None:
        await put(self, member, *more)
        removing.append(asyncio.create_task(here.membership.remove(host)))
        await asyncio.wait(removing, timeout=0.3)  # it would be through by then, if it did not wait

    monkeypatch.setattr(SqlMembers, "join", join)
    await here.membership.joining.join(one.asks(word))
    await removing[0]
    known = len(await here.membership.all(ListNodes()))
    await here.reopen()
    assert known == len(await here.membership.all(ListNodes())) == 1
