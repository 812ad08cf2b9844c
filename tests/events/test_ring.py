"""The ring: bounded in number and in bytes, exact for whoever follows, and closed to whoever has no right."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from velocity.access.rules import Group
from velocity.contract.events import GroupView
from velocity.contract.media import Content, MediumUser, MediumView
from velocity.events.buffer import (
    ByReader,
    EventBuffer,
    HoldersAnywhere,
    HoldersNearby,
    HoldersUpward,
    Same,
    TheseUsers,
)
from velocity.events.shown import ShownGroup, ShownMedium

ALL = TheseUsers(frozenset({1}))
GROUPS = {0: Group(0, 0, "root"), 1: Group(1, 0, "a"), 2: Group(2, 1, "b"), 3: Group(3, 0, "c")}


@given(sizes=st.lists(st.integers(0, 40), max_size=60), most=st.integers(1, 12), most_bytes=st.integers(1, 200))
def test_who_follows_misses_nothing_and_who_lags_is_told_so(sizes: list[int], most: int, most_bytes: int) -> None:
    ring = EventBuffer(most, most_bytes)
    for number, size in enumerate(sizes, start=1):
        assert ring.append_event(ALL, Same(b"x" * size)).seq == number
        kept = ring.since(ring.head - 1, 1)
        assert kept is not None, "the newest is there, whatever its size"
        assert [one.seq for one in kept] == [number]
    known = [cursor for cursor in range(ring.head + 1) if ring.knows(cursor)]
    assert known == list(range(known[0], ring.head + 1))
    assert ring.head - known[0] <= most
    assert ring.bytes == sum(sizes[known[0] :])
    assert ring.bytes <= most_bytes or ring.head - known[0] == 1
    for cursor in range(-2, ring.head + 3):
        found = ring.since(cursor, 5)
        if cursor in known:
            assert found is not None
            assert [one.seq for one in found] == list(range(cursor + 1, min(ring.head, cursor + 5) + 1))
        else:
            assert found is None


def test_as_much_as_fits_is_kept() -> None:
    ring = EventBuffer(100, 30)
    for _ in range(10):
        ring.append_event(ALL, Same(b"x" * 10))
    assert [cursor for cursor in range(11) if ring.knows(cursor)] == [7, 8, 9, 10]


def test_who_hears() -> None:
    above = HoldersUpward(0b10, (2, 1, 0))
    assert above.may_receive(1, {0: 0b10})
    assert above.may_receive(1, {2: 0b11})
    assert not above.may_receive(1, {2: 0b01, 3: 0b10})
    around = HoldersNearby(0b10, (1, 0), GROUPS)
    assert around.may_receive(1, {2: 0b10})
    assert not around.may_receive(1, {3: 0b10, 2: 0b01})
    assert not around.may_receive(1, {9: 0b10}), "a group that is gone"
    assert HoldersAnywhere(0b10).may_receive(1, {3: 0b10})
    assert not HoldersAnywhere(0b10).may_receive(1, {3: 0b01})
    assert ALL.may_receive(1, {})
    assert not ALL.may_receive(2, {})


def test_each_reader_gets_the_parts_that_he_may_see() -> None:
    users = [MediumUser(vmid=vmid, name=name, writing=False) for vmid, name in ((1, "one"), (3, "three"))]
    medium = MediumView(
        gid=1, mid=UUID(int=1), mpid=1, name="disk", type="DISK", size=1, readonly=False, format="raw", allocated=0,
        revision="", used_by=users, content=Content(format="blank"),
    )  # fmt: skip
    shown = ShownMedium(medium, (HoldersUpward(1, (1, 0)), HoldersUpward(1, (3, 0))))
    assert [one.name for one in shown.to({0: 1}).used_by] == ["one", "three"]
    assert [one.name for one in shown.to({3: 1}).used_by] == ["three"]
    assert shown.to({2: 1}).used_by == []
    group = ShownGroup(GroupView(gid=2, parent_gid=1, name="b", permissions=[]), (2, 1, 0))
    assert group.to({1: 1 << 7, 2: 1 << 19}).permissions == ["velocity.group.create", "velocity.vm.view"]
    assert group.to({3: 1 << 7}).permissions == []


def test_what_differs_from_reader_to_reader_is_encoded_for_each() -> None:
    body = ByReader(lambda held: b"%d" % held[0], 1).within(b"<", b">").within(b"[", b"]")
    assert [body.frame({0: number}) for number in (1, 2)] == [b"[<1>]", b"[<2>]"]
    assert body.size == 5
