"""Moves whose hosts are silent, or whose server is killed, after the hand-over, and what is cleared then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import insert

from tests.api.images import wait
from tests.hosts.test_moves import cleared, moved, running, stays, used
from tests.hosts.test_pools import objects
from tests.hosts.together import Other, machine, together
from tests.patience import eventually
from velocity.hypervisor.fake import Answer, FakeHypervisor
from velocity.hypervisor.port import Fact, FactCause, HostId, Incarnation, MovePhase, SerialEnd
from velocity.storage.fake.pools import FakeContent
from velocity.storage.port import HOST_POOL, variables
from velocity.store.tables import host_moves

pytestmark = pytest.mark.anyio
A, B = HostId(1), HostId(2)


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


def when_handed(fake: FakeHypervisor, do: Callable[[], object]) -> None:
    """In the moment in which that source has handed over, for the first time."""
    tell = fake.state.tell

    def told(who: Incarnation, fact: Fact, why: FactCause, *, devices: bool = False) -> None:
        tell(who, fact, why, devices=devices)
        if fact is Fact.HANDED:
            fake.state.tell = tell  # type: ignore[method-assign]
            do()

    fake.state.tell = told  # type: ignore[method-assign]


def when_committed(fake: FakeHypervisor, do: Callable[[], object]) -> None:
    """When its target has been looked at for the last time: that source is asked for its last words then."""
    last = fake.mobility.last

    async def asked(who: Incarnation, *, deadline: float) -> SerialEnd:
        do()
        return await last(who, deadline=deadline)

    fake.mobility.last = asked  # type: ignore[method-assign]


@pytest.mark.holds("MANY-258")
@pytest.mark.parametrize("phase", [MovePhase.DISKS, MovePhase.MEMORY])
@pytest.mark.parametrize("returns", [False, True], ids=["", "and returns"])
async def test_no_guest_is_handed_over_to_a_host_that_has_fallen_silent(
    tmp_path: Path, b: Other, phase: MovePhase, returns: bool
) -> None:
    """It would stand still until that host answers."""
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w, media=[{"mid": await w.medium(), "mode": "VIRTIO"}])
        uuid, silent, mobility = machine(w, vmid), w.server.hosts.silent, w.hypervisor.mobility
        hold = mobility.holds[phase] = asyncio.Event()
        begun = await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2)
        await eventually(lambda: phase in mobility.under_way.values())
        b.fake.faults.lose(B)
        await eventually(lambda: B in silent)
        if returns:
            b.fake.faults.heal(B)
            await eventually(lambda: B not in silent)
        hold.set()
        task = await wait(w, begun)
        assert task["state"] == ("DONE" if returns else "FAILED")
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["state"], shown["host"]["id"]) == ("RUNNING", 2 if returns else 1)
        if not returns:
            assert w.hypervisor.runs[uuid].fact is Fact.RUNNING
            assert "host 'b' has not responded since" in task["message"]
            assert "move it again once that host responds" in task["message"]
            b.fake.faults.heal(B)
            await cleared(w)
            assert (b.fake.runs, objects(b.disks.pools[20]), b.disks.pools[20].moving) == ({}, {}, {})
            assert (await moved(w, vmid))["state"] == "DONE"


@pytest.mark.holds("MANY-79")
async def test_one_that_is_handed_over_although_its_move_was_undone_comes_back(tmp_path: Path, b: Other) -> None:
    """Its source had not heard yet that the move was given up."""
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w)
        uuid, mobility = machine(w, vmid), w.hypervisor.mobility
        hold = mobility.holds[MovePhase.MEMORY] = asyncio.Event()
        begun = await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2)
        await eventually(lambda: MovePhase.MEMORY in mobility.under_way.values())
        b.fake.faults.lose(B)
        await eventually(lambda: B in w.server.hosts.silent)
        hold.set()
        assert (await wait(w, begun))["state"] == "FAILED"
        run = w.hypervisor.runs[uuid]
        epoch = run.who.epoch
        w.hypervisor.play(uuid, Fact.HANDED, FactCause.ASKED)
        b.fake.faults.heal(B)
        await cleared(w)
        assert (run.fact, run.who.epoch > epoch) == (Fact.RUNNING, True)
        await eventually(lambda: w.server.services.fleet.get(vmid).state.value == "RUNNING")
        assert b.fake.runs == {}


@pytest.mark.holds("MANY-79")
@pytest.mark.parametrize(
    ("answer", "committed"),
    [(None, True), (None, False), (Answer.LATE, False)],
    ids=["committed", "handed over", "not known"],
)
async def test_a_target_that_is_silent_after_the_hand_over_is_told_and_waited_for(
    tmp_path: Path, b: Other, answer: Answer | None, committed: bool
) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w, media=[{"mid": await w.medium(), "mode": "VIRTIO"}])
        uuid, fleet = machine(w, vmid), w.server.services.fleet
        (when_committed if committed else when_handed)(w.hypervisor, lambda: b.fake.faults.lose(B))
        w.hypervisor.faults.answers.extend([None, answer])  # what it is made of; the hand-over
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2)
        await eventually(lambda: fleet.get(vmid).state.value == "PAUSED")
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["state"], shown["reason"]["cause"]) == ("PAUSED", "move-unfinished")
        assert shown["host"]["id"] == (2 if committed else 1), "where the database says"
        assert "host 2, where it is to continue, does not respond: it runs nowhere" in shown["reason"]["message"]
        assert (await w.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")).status == 409
        assert w.hypervisor.runs[uuid].fact is Fact.HANDED

        b.fake.faults.heal(B)
        await eventually(lambda: fleet.get(vmid).state.value == "RUNNING")
        await cleared(w)
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["state"], shown["host"]["id"]) == ("RUNNING", 2)
        assert not {"reason", "unreachable_since", "moving"} & shown.body.keys()
        assert (b.fake.runs[uuid].fact, w.hypervisor.runs) == (Fact.RUNNING, {})


@pytest.mark.holds("MANY-79", "MANY-189")
@pytest.mark.parametrize("answer", [None, Answer.LATE], ids=["handed over", "not known"])
async def test_one_that_was_handed_over_comes_back_where_its_target_has_ended(
    tmp_path: Path, b: Other, answer: Answer | None
) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w, media=[{"mid": await w.medium(), "mode": "VIRTIO"}])
        uuid = machine(w, vmid)
        when_handed(w.hypervisor, lambda: b.fake.play(uuid, Fact.ENDED, FactCause.KILLED))
        w.hypervisor.faults.answers.extend([None, answer])
        assert (await moved(w, vmid))["state"] == "FAILED"
        await stays(w, b, vmid)
        assert w.hypervisor.runs[uuid].who.epoch == 3, "higher than that of its target"
        assert (await moved(w, vmid))["state"] == "DONE"


@pytest.mark.holds("MANY-79")
async def test_one_whose_source_ends_after_the_hand_over_goes_on_at_the_target(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await running(w, media=[{"mid": await w.medium(), "mode": "VIRTIO"}])
        uuid = machine(w, vmid)
        when_handed(w.hypervisor, lambda: w.hypervisor.play(uuid, Fact.ENDED, FactCause.KILLED))
        w.hypervisor.faults.answers.extend([None, Answer.LATE])
        assert (await moved(w, vmid))["state"] == "DONE"
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["state"], shown["host"]["id"], "reason" in shown.body) == ("RUNNING", 2, False)
        assert b.fake.runs[uuid].fact is Fact.RUNNING


@pytest.mark.holds("MANY-79", "MANY-184")
async def test_a_server_that_is_killed_after_the_hand_over_leaves_it_to_the_next_one(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        mid = await w.medium()
        vmid = await running(w, media=[{"mid": mid, "mode": "VIRTIO"}])
        uuid, fake = machine(w, vmid), w.hypervisor
        fake.runs[uuid].reads = False
        fake.runs[uuid].type_in(b"typed")
        when_handed(fake, lambda: fake.faults.lose(A))
        fake.faults.answers.extend([None, Answer.LATE])
        await w.ok("PUT", "/v/vm/host", vmid=vmid, host=2)
        await eventually(lambda: fake.runs[uuid].fact is Fact.HANDED)
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert shown["host"]["id"] == 1, "as long as nothing else is committed"
        await w.ok("POST", "/m/pool/list", gid=0)  # the target's pool is put in order
        assert [ref.medium for ref in b.disks.pools[20].moving] == [UUID(mid)], "what is to be of use stays"
        fake.faults.heal(A)
        await cleared(w)
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["state"], shown["host"]["id"]) == ("RUNNING", 2)
        assert bytes(b.fake.runs[uuid].unread) == b"typed"
        assert objects(b.disks.pools[20]).keys() == {UUID(mid)}
        assert (await w.ok("POST", "/m/media", mid=mid))["mpid"] == 20
        assert (await used(w, 1), await used(w, 20)) == (0, 1 << 20)
        task = (await w.ok("POST", "/t/task", tid=1)).body
        assert "the move is completed or undone as soon as it does" in task["message"]


@pytest.mark.holds("MANY-79")
async def test_a_source_that_is_silent_is_cleared_later_also_by_the_next_server(tmp_path: Path) -> None:
    b, c = Other(2, "b", (20, "fast")), Other(3, "c", (30, "slow"))
    async with together(tmp_path / "data", b, c) as w:
        mid = await w.medium(mpid=20)
        vmid = await w.vm("web", host=2, media=[{"mid": mid, "mode": "VIRTIO"}])
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        uuid, tell = machine(w, vmid), c.fake.state.tell

        def told(who: Incarnation, fact: Fact, why: FactCause, *, devices: bool = False) -> None:
            tell(who, fact, why, devices=devices)
            if fact is Fact.RUNNING:
                b.fake.faults.lose(B)

        c.fake.state.tell = told  # type: ignore[method-assign]
        assert (await moved(w, vmid, 3))["state"] == "DONE"
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["state"], shown["host"]["id"]) == ("RUNNING", 3)
        assert b.fake.runs[uuid].fact is Fact.HANDED, "nobody has told it"
        back = await w.call("PUT", "/v/vm/host", vmid=vmid, host=2)
        assert back.code == 62220
        c.fake.state.tell = tell  # type: ignore[method-assign]
    c.fake.faults.lose(c.host)
    async with together(tmp_path / "data", b, c) as w:
        shown = await w.ok("POST", "/v/vm", vmid=vmid)
        assert (shown["state"], shown["host"]["id"]) == ("RUNNING", 3), "as it was known last"
        assert shown["unreachable_since"]
        assert "reason" not in shown.body
        for other in (b, c):
            other.fake.faults.heal(other.host)
        await cleared(w)
        assert (b.fake.runs, c.fake.runs[uuid].fact) == ({}, Fact.RUNNING)
        assert objects(b.disks.pools[20]) == {}
        assert objects(c.disks.pools[30]).keys() == {UUID(mid)}
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["state"] == "RUNNING"
        assert (await moved(w, vmid, 2))["state"] == "DONE"


@pytest.mark.holds("MANY-217")
async def test_a_move_that_an_older_version_forgot_costs_a_vm_that_has_moved_since_nothing(
    tmp_path: Path, b: Other
) -> None:
    """Its row was stored as its task was cancelled; a start undoes what it finds."""
    async with together(tmp_path / "data", b) as w:
        vmid, fake = await w.vm("web", host=1), w.hypervisor
        uuid = machine(w, vmid)
        assert (await moved(w, vmid))["state"] == "DONE"
        await cleared(w)
        b.disks.pools[HOST_POOL].kept[variables(uuid)] = has = FakeContent(data=b"boot 0001")
        row = {"vmid": vmid, "uuid": str(uuid), "source": 1, "target": 2, "epoch": 0, "next_epoch": 0}
        row |= {"media": "[]", "phase": "begun"}
        await w.server.database.aside(lambda connection: connection.execute(insert(host_moves).values(row)) and None)
    async with together(tmp_path / "data", b, hypervisor=fake) as w:
        await cleared(w)
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"]["id"] == 2
        assert b.disks.pools[HOST_POOL].kept[variables(uuid)] is has
