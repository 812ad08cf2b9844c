"""A short form of the matrix: chosen points, both databases, both hypervisors. `make crash` is the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.crash import launching, machines, media, operations, people, points
from tests.crash.lane import AT_RANDOM, Cell, Lane, Tally
from tests.crash.model import differences, empty
from tests.crash.orphans import orphans
from tests.crash.server import OTHER, Server
from tests.postgres import Postgres

COMMITTED = "after the database commits"
MEMORY = (
    Cell(media.upload, "before a medium is moved into place", 1),
    Cell(media.resumable_upload, "before an answer is sent", 2),
    Cell(media.clone, COMMITTED, 3),
    Cell(media.fetch, "after a medium's bytes are flushed", 1),
    Cell(media.fetch_image, "before a made medium is flushed", 1),
    Cell(media.medium_delete, "before a medium is moved into the trash", 1),
    Cell(media.medium_grow, "before a medium's file grows", 1),
    Cell(media.medium_convert, COMMITTED, 2),
    Cell(operations.restore_group, "after a medium is moved out of the trash", 1),
    Cell(operations.group_delete_by_force, "after a machine in memory is stopped", 1),
    Cell(machines.vm_delete_with_disk, "after a medium is moved into the trash", 1),
    Cell(operations.restore_vm_with_disk, COMMITTED, 1),
    Cell(machines.vm_clone, COMMITTED, 2),
    Cell(machines.vm_restart, "after a machine in memory is stopped", 1),
    Cell(machines.vm_reset, "after a machine in memory is reset", 1),
    Cell(operations.empty_trash, COMMITTED, 2),
    Cell(operations.vm_limit, COMMITTED, 1),
    Cell(operations.vm_move, "before the database commits", 1),
    Cell(operations.vm_disk_convert, "after a disk in memory is held", 1),
    Cell(media.medium_move, COMMITTED, 2),
    Cell(operations.vm_disk_move, "before a disk in memory is settled", 1),
    Cell(operations.vm_disk_grow, COMMITTED, 1),
    Cell(operations.vm_plug_disk, COMMITTED, 1),
    Cell(operations.vm_plug_nic, "after a machine in memory is altered", 1),
    Cell(operations.vm_forward, "before a machine in memory is altered", 1),
    Cell(machines.vm_start_chosen, COMMITTED, 1),
    Cell(launching.launch, "before a made medium is flushed", 1),
    Cell(launching.launch, "before a machine in memory is started", 1),
)
POSTGRESQL = (Cell(people.group_create, COMMITTED, 1), Cell(machines.vm_create, "before the database commits", 1))
QEMU = (
    Cell(machines.vm_start, "after QEMU is spawned", 1),
    Cell(machines.vm_pause, "after QEMU is told to pause", 1),
    Cell(operations.vm_disk_convert, "before QEMU is told to take a copy", 1),
    Cell(operations.vm_disk_move, "after QEMU is told to hold a disk", 1),
    Cell(operations.vm_plug_disk, "after QEMU is told to plug a device", 1),
    Cell(operations.vm_forward, "after QEMU is told of a port", 2),
    Cell(machines.vm_kill, "before a uid is given back", 1),
)


def _killed(name: str, make: Callable[[], Server], cells: Sequence[Cell], *, at_random: bool = False) -> Lane:
    """A lane that has been through all of it, with its server; nothing was wrong."""
    lane = Lane(name, make, [cell.operation for cell in cells], 1, Tally())
    for cell in cells:
        lane.round(cell)
    if at_random:
        lane.round(None)
    assert lane.tally.violations == []
    killed = {point for _, point in lane.tally.kills}
    assert {cell.point for cell in cells} <= killed, "a point that was not reached"
    assert (AT_RANDOM in killed) == at_random
    return lane


def _close(lane: Lane) -> None:
    assert lane.server is not None
    lane.server.close()


@pytest.mark.holds("DUR-41")
@pytest.mark.long
def test_what_is_shown_after_a_kill_is_what_was_acknowledged_and_nothing_is_left() -> None:
    lane = _killed("memory", lambda: Server(qemu=False), MEMORY, at_random=True)
    try:
        server = lane.server
        assert server is not None
        (server.pools[OTHER] / ".moving" / "stray.raw").touch()
        assert any("stray" in one for one in orphans(server, empty(), [])), "what is left is seen"
    finally:
        _close(lane)


@pytest.mark.holds("DUR-42")
@pytest.mark.long
def test_what_postgresql_has_after_a_kill_is_what_was_acknowledged(postgres: Postgres) -> None:
    _close(_killed("postgresql", lambda: Server(qemu=False, database=postgres.database()), POSTGRESQL))


@pytest.mark.holds("DUR-43")
@pytest.mark.guest
def test_guests_and_what_is_shown_of_them_agree_after_a_kill_in_the_middle() -> None:
    _close(_killed("qemu", lambda: Server(qemu=True), QEMU))


def test_every_seam_of_the_table_is_there() -> None:
    for seam in (*points.SEAMS, points.BRIDGED):
        points.find(seam.where)
    with pytest.raises(points.SeamIsGone, match="mend the table"):
        points.find("os:no_such_call")


def test_a_lie_about_a_state_is_a_difference() -> None:
    model, seen = empty(), empty()
    model["vms"]["a"] = {"state": "STOPPED", "cpus": None, "_known": 1}
    assert differences(model, seen) == ["vms 'a' is not there"]
    seen["vms"]["a"] = {"state": "RUNNING", "cpus": 2}
    assert differences(model, seen) == ["vms 'a': state is 'RUNNING', not 'STOPPED'"]
    model["vms"]["a"]["state"] = {"RUNNING", "STOPPED"}
    assert differences(model, seen) == []
    seen["media"]["b"] = {}
    assert differences(model, seen) == ["media 'b' should not be there"]
