"""The law of the port about ports of the host that lead to machines."""

from __future__ import annotations

import msgspec
import pytest

from tests.journeys.server import free_port
from tests.ports.subjects import DEADLINE, Subject, machine, next_run
from tests.ports.test_growth import FIRST, SECOND, another_server, become, runs
from velocity.hypervisor.port import ForwardSpec, HypervisorError, NatSpec, Stop

pytestmark = pytest.mark.anyio


def led(nic: NatSpec, *ports: int) -> NatSpec:
    return msgspec.structs.replace(nic, forwards=tuple(ForwardSpec(port, 22, "tcp", "127.0.0.1") for port in ports))


@pytest.mark.holds("NAT-15")
async def test_ports_lead_to_a_machine_from_its_start_and_others_at_once(subject: Subject) -> None:
    first, second, third = (free_port() for _ in range(3))
    who, made = await runs(subject, nics=(led(FIRST, first),))
    assert [subject.leads(port) for port in (first, second)] == [True, False]
    for _ in range(2):
        altered = await become(subject, who, made, nics=(led(FIRST, second, third),))
        assert (altered.spec.nics, altered.waits) == ((led(FIRST, second, third),), ())
        assert [subject.leads(port) for port in (first, second, third)] == [False, True, True]
    await another_server(subject)
    assert [subject.leads(port) for port in (first, second, third)] == [False, True, True], "no server is needed for it"
    altered = await become(subject, who, made, nics=(FIRST, led(SECOND, second)))
    assert (altered.spec.nics, altered.waits) == ((FIRST, led(SECOND, second)), ()), "from one NIC to another"
    assert [subject.leads(port) for port in (second, third)] == [True, False]
    await subject.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)
    assert not subject.leads(second)


@pytest.mark.holds("NAT-15")
async def test_a_port_that_somebody_has_waits_and_says_so(subject: Subject) -> None:
    taken, other = free_port(), free_port()
    who, made = await runs(subject, nics=(FIRST,))
    with subject.taken(taken):
        altered = await become(subject, who, made, nics=(led(FIRST, taken, other),))
        assert altered.spec.nics == (led(FIRST, other),)
        assert [(one.field, str(taken) in one.why) for one in altered.waits] == [("forwards", True)]
    altered = await become(subject, who, made, nics=(led(FIRST, taken, other),))
    assert altered.waits == ()
    assert subject.leads(taken)
    await subject.hypervisor.machines.stop(who, Stop.NOW, deadline=DEADLINE)


@pytest.mark.holds("NAT-15")
async def test_a_machine_does_not_start_without_its_ports(subject: Subject) -> None:
    port, who = free_port(), machine()
    before, made = await runs(subject, nics=(FIRST,))
    await subject.hypervisor.machines.stop(before, Stop.NOW, deadline=DEADLINE)
    with subject.taken(port), pytest.raises(HypervisorError, match=str(port)):
        await subject.hypervisor.machines.start(
            who, msgspec.structs.replace(made, nics=(led(FIRST, port),)), deadline=DEADLINE
        )
    after = next_run(who)
    await subject.hypervisor.machines.start(
        after, msgspec.structs.replace(made, nics=(led(FIRST, port),)), deadline=DEADLINE
    )
    assert subject.leads(port)
    await subject.hypervisor.machines.stop(after, Stop.NOW, deadline=DEADLINE)
