"""What the hypervisor in memory does of a move whose answers are late, lost or under way."""

from __future__ import annotations

import pytest

from tests.ports.subjects import DEADLINE, machine, next_run, spec
from velocity.hypervisor.fake import Answer, FakeHypervisor
from velocity.hypervisor.port import Fact, HypervisorError, Incarnation, Landing, Unknown

pytestmark = pytest.mark.anyio


class Hosts:
    """Two, and a machine that runs on the first and is awaited on the second."""

    async def begin(self) -> Hosts:
        self.a, self.b = FakeHypervisor(), FakeHypervisor()
        self.who = machine()
        self.arriving = next_run(self.who)
        await self.a.machines.start(self.who, spec(self.a), deadline=DEADLINE)
        self.places = await self.a.mobility.places(self.who, deadline=DEADLINE)
        self.landing = await self.receive(self.arriving)
        return self

    async def receive(self, who: Incarnation) -> Landing:
        return await self.b.mobility.receive(who, spec(self.b), self.places, (), deadline=DEADLINE)

    async def send(self, answer: Answer) -> None:
        self.a.faults.answers.append(answer)
        with pytest.raises(Unknown):
            async for _ in self.a.mobility.send(self.who, self.landing, (), deadline=DEADLINE):
                pass

    async def facts(self) -> tuple[Fact, Fact]:
        one = await self.a.machines.facts(self.who, deadline=DEADLINE)
        return one.fact, (await self.b.machines.facts(self.arriving, deadline=DEADLINE)).fact


async def test_a_late_answer_has_handed_it_over_and_a_lost_one_has_not() -> None:
    late = await Hosts().begin()
    await late.send(Answer.LATE)
    assert await late.facts() == (Fact.HANDED, Fact.RECEIVED)
    lost = await Hosts().begin()
    await lost.send(Answer.LOST)
    assert await lost.facts() == (Fact.RUNNING, Fact.ENDED)


@pytest.mark.parametrize("released", [False, True])
async def test_while_it_stands_still_nothing_is_known_and_a_target_that_is_released_decides(released: bool) -> None:
    hosts = await Hosts().begin()
    await hosts.send(Answer.UNDER_WAY)
    with pytest.raises(Unknown):
        await hosts.a.machines.facts(hosts.who, deadline=DEADLINE)
    (found,) = (await hosts.a.machines.adopt(hosts.who.host, deadline=DEADLINE)).found
    assert found.fact is Fact.SILENT
    if released:
        await hosts.b.mobility.release(hosts.arriving, deadline=DEADLINE)
    hosts.a.faults.arrive(hosts.who.machine)
    expected = (Fact.RUNNING, Fact.ABSENT) if released else (Fact.HANDED, Fact.RECEIVED)
    assert await hosts.facts() == expected


async def test_a_source_that_ends_takes_what_waits_for_it_along() -> None:
    hosts = await Hosts().begin()
    sending = hosts.a.mobility.send(hosts.who, hosts.landing, (), deadline=DEADLINE)
    await anext(sending)
    hosts.a.faults.reboot(hosts.who.host)
    with pytest.raises(HypervisorError, match="has ended"):
        await anext(sending)
    assert await hosts.facts() == (Fact.ABSENT, Fact.ENDED)


async def test_a_receipt_whose_answer_is_late_waits_and_is_released() -> None:
    hosts = await Hosts().begin()
    await hosts.b.mobility.release(hosts.arriving, deadline=DEADLINE)
    hosts.arriving = next_run(hosts.arriving)
    hosts.b.faults.answers.append(Answer.LATE)
    with pytest.raises(Unknown):
        await hosts.receive(hosts.arriving)
    assert await hosts.facts() == (Fact.RUNNING, Fact.INCOMING)
    await hosts.b.mobility.release(hosts.arriving, deadline=DEADLINE)
    assert await hosts.facts() == (Fact.RUNNING, Fact.ABSENT)
