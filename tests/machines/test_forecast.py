"""What is told of a change of a VM that runs, before it is tried."""

from __future__ import annotations

import dataclasses
from uuid import UUID

import pytest
from msgspec.structs import replace

from velocity.contract.machines import Attachment, Interface, Nic
from velocity.hypervisor.fake import FACTS
from velocity.hypervisor.port import HardwareProfile
from velocity.hypervisor.waits import FULL, NO_PORT
from velocity.machines.rules import PINNED, WAITING, Spec
from velocity.machines.settings.forecast import COLD, LIVE, forecast


@pytest.mark.holds("GUEST-93")
def test_whatever_may_wait_changes_at_once_or_says_why_it_does_not() -> None:
    assert {*WAITING, *PINNED} == COLD.keys() | LIVE.keys()


HARDWARE = HardwareProfile("2", "", spare_ports=3)
RUN = Spec(cpus=1, memory_mib=64, machine_type="", firmware="", hardware="2")


def told(run: Spec, disks: int, nics: int) -> dict[str, str]:
    """What waits of a VM that is to have so many BLOCK disks and NICs."""
    media = [Attachment(mid=UUID(int=one + 1), mode="BLOCK") for one in range(disks)]
    interfaces = tuple(Interface(id=one + 1, mac=f"52:54:00:00:00:0{one}") for one in range(nics))
    spec = replace(run, media=media, nics=[Nic("BRIDGE", host=1)] * nics, interfaces=interfaces)
    return forecast(spec, run, dataclasses.replace(FACTS, hardware=(HARDWARE,)))[1]


@pytest.mark.holds("GUEST-93")
def test_a_plan_knows_how_many_devices_find_a_place() -> None:
    assert told(RUN, 2, 1) == {}
    assert told(RUN, 2, 2) == {"nics": NO_PORT}
    assert told(RUN, 4, 0) == {"media": FULL}
    (first,) = [Attachment(mid=UUID(int=1), mode="BLOCK")]
    began = replace(RUN, media=[first], nics=[Nic("BRIDGE", host=1)], last_nic=1)
    began = replace(began, interfaces=(Interface(id=1, mac="52:54:00:00:00:00"),))
    assert told(began, 3, 2) == {}, "what was there at the start has places of its own"
    assert told(replace(began, plugged=(first.mid,), last_nic=0), 2, 2) == {"nics": NO_PORT}
