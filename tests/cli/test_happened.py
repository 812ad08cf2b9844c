"""Entries of the history as sentences, those of `sentences.json` as on the page (`web/scripts/history.test.mjs`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import UNSET

from velocity.cli.happened import sentence
from velocity.contract.history import Entry

NAMES = {
    "vmid=7": "VM web", "mid=m1": "medium debian.iso", "gid=0": "/", "gid=3": "group team/web", "uid=2": "user anna",
    "mpid=1": "pool default", "mpid=2": "pool fast", "host=1": "host attic", "host=4": "host cellar",
}  # fmt: skip
SENTENCES: list[tuple[str, str, str]] = json.loads((Path(__file__).parent / "sentences.json").read_text())


def said(operation: str, target: str, *, refused: bool = False, vmid: int | None = None) -> str:
    entry = Entry(
        hid=1, at=0, name="anna", address="", request="", operation=operation, gid=0, target=target,
        status=403 if refused else 200, code=1 if refused else UNSET, vmid=UNSET if vmid is None else vmid,
    )  # fmt: skip
    return sentence(entry, NAMES.get)


@pytest.mark.holds("PAGE-31", "PAGE-113")
@pytest.mark.parametrize(("operation", "target", "says"), SENTENCES)
def test_it_says_what_the_page_says(operation: str, target: str, says: str) -> None:
    assert said(operation, target) == says


@pytest.mark.holds("PAGE-113")
def test_changes_are_in_the_words_of_a_plan() -> None:
    told = {
        "vmid=7 cpus=2->4 memory_mib=2048->4096 autostart=false->true name=web": "changed VM web: cpus 2 -> 4, "
        "memory 2.0 GiB -> 4.0 GiB, autostart no -> yes",
        "vmid=7 cpus=4 changed=name+notes was=old name=web": "changed VM old: name old -> web, cpus 4, notes",
        "vmid=7 media=+m1,-m9,~m1 changed=drives name=web": "changed VM web: attached medium debian.iso, "
        "detached medium m9, how medium debian.iso is attached",
        "vmid=7 nics=+nat,-bridge:3,nat->nat:down displays=~800x600": "changed VM web: NIC nat added, "
        "NIC bridge:3 removed, NIC nat -> nat:down, display 800x600 changed",
    }
    for target, says in told.items():
        assert said("alter_vm", target) == says
    assert said("alter_medium", "mid=m1 size=1073741824->2147483648") == (
        "grew medium debian.iso from 1.0 GiB to 2.0 GiB"
    )
    assert said("set_quota", "gid=3 cpus=none->8 name=web") == "set the quota of group team/web: cpus none -> 8"
    assert said("assign_pool", "gid=3 mpid=1 quota=none->0 write=none->true") == (
        "assigned pool default to group team/web: quota none -> none, write none -> yes"
    )
    assert said("grant_permission", "uid=2 gid=0 permission=velocity.vm.view") == "granted vm.view on / to user anna"


@pytest.mark.holds("PAGE-113")
def test_what_was_refused_was_only_tried() -> None:
    assert said("delete_vm", "vmid=7", refused=True) == "tried to delete VM web"
    assert said("alter_vm", "vmid=7 changed=name name=db", refused=True) == "tried to rename VM web to db"
    assert said("alter_vm", "vmid=9 changed=name name=db", refused=True) == "tried to rename VM 9 to db", "not seen"
    assert said("list_vms", "gid=3", refused=True) == "tried to see the VMs of group team/web"
    assert said("show_host", "", refused=True) == "tried to see the host"


def test_what_cannot_be_read_is_told_as_far_as_it_can() -> None:
    assert said("create_vm", "gid=3 name=db", vmid=7) == "created VM web in group team/web"
    assert said("alter_vm", 'vmid=7 changed=name name="cut o…') == 'renamed a VM to "cut o…'
    assert said("set_vm_state", "something else") == "set the state of VM"
    assert said("frobnicate_vm", "vmid=7") == "asked for 'frobnicate vm'"
