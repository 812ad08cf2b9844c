"""A setting of a VM is declared once: what requests, answers and stored rows make of it."""

import msgspec
import pytest

from velocity.contract.machines import AlterVm, CreateVm, VmInfo, VmSettings
from velocity.contract.settings import settings_of
from velocity.machines.rules import WAITING, Spec

SETTINGS = VmSettings.__struct_fields__


@pytest.mark.parametrize(
    ("kind", "before", "behind"),
    [
        (CreateVm, ["name", "gid"], ["host", "plan"]),
        (AlterVm, ["vmid", "name"], ["revision", "firmware", "machine_type", "hardware", "new_instance", "plan"]),
        (
            Spec,
            [],
            [
                "machine_type",
                "firmware",
                "hardware",
                "attached_by",
                "writes",
                "plugged",
                "coming",
                "mirrored",
                "interfaces",
                "last_nic",
                "nat_places",
                "instance_id",
                "begun",
                "began_mib",
                "began_at",
            ],
        ),
    ],
)
def test_every_setting_stands_among_the_fields(
    kind: type[msgspec.Struct], before: list[str], behind: list[str]
) -> None:
    assert list(kind.__struct_fields__) == [*before, *SETTINGS, *behind]


def test_an_answer_shows_every_setting_behind_the_state() -> None:
    shown = VmInfo.__struct_fields__
    assert shown[: len(SETTINGS) + 4] == ("vmid", "name", "type", "state", *SETTINGS)
    required = {one.name for one in msgspec.structs.fields(VmInfo) if one.required}
    assert required >= set(SETTINGS)


@pytest.mark.holds("GUEST-25")
def test_a_stored_row_loads_without_a_setting_that_was_not_known_then() -> None:
    spec = msgspec.json.decode(b'{"cpus":2,"memory_mib":64,"machine_type":"q35","firmware":"f"}', type=Spec)
    assert settings_of(VmSettings, spec) == settings_of(VmSettings, VmSettings(cpus=2, memory_mib=64))


def test_a_stored_row_loads_whatever_the_bounds_of_requests_are_now() -> None:
    nics = [{"type": "NAT"}] * 9
    row = {"cpus": 2, "memory_mib": 64, "nics": nics}
    with pytest.raises(msgspec.ValidationError, match=r"nics"):
        msgspec.convert({"name": "a", "gid": 0, **row}, CreateVm)
    assert len(msgspec.convert({**row, "machine_type": "q35", "firmware": "f"}, Spec).nics) == 9


def test_what_a_change_leaves_out_is_not_among_what_it_gives() -> None:
    assert settings_of(VmSettings, AlterVm(vmid=1, cpus=4, nics=[])) == {"cpus": 4, "nics": []}


def test_what_waits_for_the_next_start_is_said_where_a_setting_is_declared() -> None:
    at_once = [name for name in SETTINGS if name not in WAITING]
    assert at_once == ["autostart", "notes", "spread", "together", "host_labels", "ha", "start_order"]
