"""Moves between two hosts under random faults: hosts are lost, reboot and return, phases break, answers are late or
lost, a host is confirmed dead, a user cancels, forces off or restarts, and the server is killed at any point. A VM
never runs twice, every move comes to its end once both hosts answer, and nothing of it is left where the VM is not.
What is typed into its console meanwhile is read once at most, and always where nothing fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from tests.api.world import world
from tests.faults.clock import passed
from tests.faults.hosts import TOLD_BEFORE
from tests.faults.served import Served
from tests.faults.test_lives import LONG, SHOWN, Line, Number, pick
from tests.hosts.together import AGAIN, note
from velocity.access.sessions import Caller
from velocity.hosts.port import AttachedHost, Attaching, OfferedPool
from velocity.hypervisor.fake import Answer, FakeHypervisor
from velocity.hypervisor.port import Fact, FactCause, HostId, MovePhase, SerialConsole, Unknown
from velocity.machines.consoles.consoles import Ticket
from velocity.storage.fake import connect
from velocity.storage.fake.pools import FakeHost
from velocity.store.database import Database

A, B = HostId(1), HostId(2)
POOLS = {A: 1, B: 20}
VMS = 2
LIVES = frozenset({Fact.RUNNING, Fact.PAUSED, Fact.HELD})


class Moves(Served):
    """`fakes` and `disks` outlive the server, as hosts do."""

    @initialize()
    def begin(self) -> None:
        self.prepare()
        self.fakes = {A: FakeHypervisor(), B: FakeHypervisor()}
        self.fakes[A].state.number = TOLD_BEFORE
        self.disks = {A: FakeHost((0, "own"), (1, "default")), B: FakeHost((0, "own"), (20, "fast"))}
        self.uuids: dict[int, UUID] = {}
        self.media: dict[int, str] = {}
        self.twice = ""
        self.words = 0
        self.typing: list[asyncio.Task[bytes]] = []
        self.holds: list[asyncio.Event] = []
        for fake in self.fakes.values():
            self.watch(fake)
        self.run(self.start())
        for number in range(VMS):
            self.run(self.make(number))

    def watch(self, fake: FakeHypervisor) -> None:
        """Whenever a fact is told: nothing runs on both."""
        tell = fake.state.tell

        def told(*values: Any, **more: Any) -> None:
            tell(*values, **more)
            for uuid in self.uuids.values():
                runs = [one.runs[uuid] for one in self.fakes.values() if uuid in one.runs]
                if sum(run.fact in LIVES for run in runs) > 1:
                    self.twice = f"{[run.who for run in runs]}"

        fake.state.tell = told  # type: ignore[method-assign]

    async def start(self) -> None:
        self.lines = {host: Line(fake) for host, fake in self.fakes.items()}

        async def driver(_media: Any) -> Any:
            return self.lines[A]

        async def attach(database: Database, to: Attaching) -> None:
            note(database, B, "b")
            line: Any = self.lines[B]
            storage = connect(self.disks[B], AGAIN)
            await to.attach(AttachedHost(B, "b", line, storage, (OfferedPool(20, "fast"),)))

        own = connect(self.disks[A], AGAIN)
        self.opened = world(
            self.data, self.fakes[A], machines=self.loop.machines, driver=driver, storage=lambda _: own, attach=attach
        )
        self.w = await self.opened.__aenter__()

    async def make(self, number: int) -> None:
        mid = await self.w.medium(f"disk{number}")
        vmid = await self.w.vm(f"vm{number}", host=A, media=[{"mid": mid, "mode": "VIRTIO"}])
        self.uuids[vmid], self.media[vmid] = self.w.server.services.fleet.get(vmid).machine.uuid, mid
        await self.w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")

    async def move(self, vmid: int) -> int:
        host = A if self.w.server.services.fleet.get(vmid).machine.host == B else B
        answer = await self.w.call("PUT", "/v/vm/host", vmid=vmid, host=host)
        assert answer.status in (200, 403, 404, 406, 409, 500), answer
        self.counted[f"move {answer.status}"] += 1
        return int(answer.body.get("tid", 0))

    @rule(one=Number, phase=st.sampled_from([None, *MovePhase]), answers=st.integers(0, 4), turns=st.integers(0, 60))
    def begin_a_move(self, one: int, phase: MovePhase | None, answers: int, turns: int) -> None:
        """It stands in a phase until `go_on`, if one is named; the answer to one of its calls may be lost or late."""

        async def work() -> None:
            for fake in self.fakes.values():
                fake.mobility.holds = {} if phase is None else {phase: asyncio.Event()}
                self.holds += fake.mobility.holds.values()
                if answers:
                    fake.faults.answers.extend([*([None] * (answers - 1)), pick([Answer.LOST, Answer.LATE], one)])
            vmid = pick(sorted(self.uuids), one)
            await self.move(vmid)
            self.typing.append(asyncio.create_task(self.type_word(vmid)))
            await passed(turns)

        self.run(work())

    @rule(breaks=st.sampled_from([None, None, *MovePhase]))
    def go_on(self, breaks: MovePhase | None) -> None:
        self.let_go({} if breaks is None else {breaks: "the link broke"})
        self.run(asyncio.sleep(0.01))
        for fake in self.fakes.values():
            fake.mobility.breaks = {}

    def let_go(self, breaks: dict[MovePhase, str]) -> None:
        for fake in self.fakes.values():
            fake.mobility.holds, fake.mobility.breaks = {}, breaks
        while self.holds:
            self.holds.pop().set()

    @rule(host=st.sampled_from([A, B]), how=st.sampled_from(["lose", "heal", "heal", "reboot"]))
    def host(self, host: HostId, how: str) -> None:
        getattr(self.fakes[host].faults, how)(host)

    @rule(truly=st.booleans())
    def prove(self, truly: bool) -> None:
        """The other host is confirmed dead. By a false word nothing runs twice either: its disks are nowhere else."""
        fake = self.fakes[B]
        if truly:
            fake.faults.reboot(B)
            fake.faults.lose(B)
        elif B not in fake.state.lost:
            return

        async def work() -> None:
            answer = await self.w.call("PUT", "/h/node/dead", host=B, name="b")
            assert answer.status in (200, 500), answer
            self.counted["proofs"] += answer.status == 200

        self.run(work())

    @rule(one=Number, how=st.sampled_from(["cancel", "RUNNING", "STOPPED", "PAUSED", "force", "restart"]))
    def ask(self, one: int, how: str) -> None:
        async def work() -> None:
            vmid = pick(sorted(self.uuids), one)
            if how == "cancel":
                moving = self.w.server.services.fleet.get(vmid).passage.moving
                if moving is not None and moving.tid:
                    await self.w.ok("DELETE", "/t/task", tid=moving.tid)
                    self.counted["cancelled"] += 1
                return
            if how == "restart":
                answer = await self.w.call("PUT", "/v/vm/restart", vmid=vmid, force=True)
            else:
                state, force = ("STOPPED", True) if how == "force" else (how, False)
                answer = await self.w.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=force)
            self.counted[f"{how} {answer.status}"] += 1
            assert answer.status in (200, 406, 409, 500), answer

        self.run(work())

    @rule(one=Number, host=st.sampled_from([A, B]))
    def killed(self, one: int, host: HostId) -> None:
        """A process of a host ends by itself, whatever it was."""
        fake = self.fakes[host]
        if fake.runs:
            fake.play(pick(sorted(fake.runs), one), Fact.ENDED, FactCause.KILLED)
            self.run(asyncio.sleep(0))

    @rule(one=Number, turns=st.integers(3, 150))
    def kill_the_server(self, one: int, turns: int) -> None:
        async def work() -> None:
            vmid = pick(sorted(self.uuids), one)
            moving = asyncio.create_task(self.move(vmid))
            self.typing.append(asyncio.create_task(self.type_word(vmid)))
            await passed(turns)
            await self.kill()
            moving.cancel()
            await self.start()

        self.counted["kills"] += 1
        self.run(work())

    async def type_word(self, vmid: int) -> bytes:
        """By a console of its own, which is closed when all of it was typed."""
        self.words += 1
        word, services = b"<%d>" % self.words, self.w.server.services
        ticket = Ticket(Caller(0, ""), vmid, 0, services.fleet.get(vmid).who, SerialConsole(), 0.0)
        with contextlib.suppress(Unknown):  # its host is lost
            if (stream := await services.consoles.open(ticket, services.fleet.find)) is not None:
                await stream.write(word)
                await stream.close()
        return word

    @rule(seconds=st.sampled_from([0.05, 0.5, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    async def kill(self) -> None:
        for line in self.lines.values():
            line.cut = True
        await super().kill()
        for fake in self.fakes.values():
            await fake.machines.close()

    @invariant()
    def nothing_runs_twice(self) -> None:
        assert not getattr(self, "twice", "")

    async def calm(self) -> None:
        for host, fake in self.fakes.items():
            fake.faults.heal(host)
            fake.faults.answers.clear()
        self.let_go({})
        await asyncio.sleep(LONG)
        services = self.w.server.services
        assert services.host_moves.settling.left == [], "every move has come to its end"
        for host, fake in self.fakes.items():
            assert fake.state.ends == {}, f"each end on host {host} is written down, and acknowledged"
        for vmid, uuid in self.uuids.items():
            await self.is_as_it_is_shown(vmid, uuid)
            for state in ("RUNNING", "STOPPED", "RUNNING"):
                force = state == "STOPPED"
                answer = await self.w.call("PUT", "/v/vm/state", vmid=vmid, state=state, force=force)
                assert (answer.status, answer.body.get("state")) == (200, state), (vmid, answer)
            host = services.fleet.get(vmid).machine.host
            self.fakes[host].runs[uuid].reads = False
            word = await self.type_word(vmid)
            assert await self.move(vmid), "nothing keeps it from moving"
            await asyncio.sleep(LONG)
            assert services.fleet.get(vmid).machine.host != host
            assert self.fakes[B if host == A else A].runs[uuid].unread == word
            await self.is_as_it_is_shown(vmid, uuid)
            self.counted["compared"] += 1
        self.nothing_runs_twice()
        assert all(one.done() for one in self.typing), "nobody types for good"

    def said(self, host: HostId, uuid: UUID) -> bytes:
        state = self.fakes[host].state
        return state.logs.get(uuid, b"") + bytes(state.runs[uuid].said if uuid in state.runs else b"")

    async def is_as_it_is_shown(self, vmid: int, uuid: UUID) -> None:
        keeper, shown = self.w.server.services.fleet.get(vmid), await self.w.ok("POST", "/v/vm", vmid=vmid)
        await self.w.ok("POST", "/m/pool/list", gid=0)  # who looks at a pool has it put in order
        here, there = (B, A) if keeper.machine.host == B else (A, B)
        assert "moving" not in shown.body
        assert "unreachable_since" not in shown.body
        run = self.fakes[here].runs.get(uuid)
        assert shown["state"] == SHOWN[None if run is None else run.fact], (vmid, shown)
        assert uuid not in self.fakes[there].runs, f"VM {vmid} has left its process behind"
        for host in (here, there):
            read = Counter(re.findall(rb"<\d+>", self.said(host, uuid)))
            assert all(count == 1 for count in read.values()), read
            mids = {str(ref.medium) for ref in self.disks[host].pools[POOLS[host]].kept}
            assert (self.media[vmid] in mids) is (host == here), f"the disk of VM {vmid} is on {host}"
            assert self.media[vmid] not in {str(ref.medium) for ref in self.disks[host].pools[POOLS[host]].moving}
        assert (await self.w.ok("POST", "/m/media", mid=self.media[vmid]))["mpid"] == POOLS[here]


@pytest.mark.holds("MANY-78", "MANY-186")
@pytest.mark.long
@pytest.mark.whole
def test_a_vm_that_moves_never_runs_twice_and_every_move_ends(say: Callable[[str], None], whole: bool) -> None:
    class Chosen(Moves):
        counted: ClassVar[Counter[str]] = Counter()

    chosen = settings(
        stateful_step_count=30, max_examples=300 if whole else 12, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    run_state_machine_as_test(Chosen if whole else seed(11)(Chosen), settings=chosen)
    say(f"moves between two hosts: {dict(sorted(Chosen.counted.items()))}")
    assert Chosen.counted["kills"] >= 5
    assert Chosen.counted["move 200"] >= 20
    assert Chosen.counted["proofs"] >= 2
    assert Chosen.counted["compared"] >= 20
