"""The ring: bounded in number and in bytes, exact for whoever follows, and closed to whoever has no right."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from velocity.access.rules import Group
from velocity.events.ring import Above, Around, Only, Ring, Same, Somewhere, WithParts, WithPermissions

ALL = Only(frozenset({1}))
GROUPS = {0: Group(0, 0, "root"), 1: Group(1, 0, "a"), 2: Group(2, 1, "b"), 3: Group(3, 0, "c")}


@given(sizes=st.lists(st.integers(0, 40), max_size=60), most=st.integers(1, 12), most_bytes=st.integers(1, 200))
def test_who_follows_misses_nothing_and_who_lags_is_told_so(sizes: list[int], most: int, most_bytes: int) -> None:
    ring = Ring(most, most_bytes)
    for number, size in enumerate(sizes, start=1):
        assert ring.append(ALL, Same(b"x" * size)).seq == number
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
    ring = Ring(100, 30)
    for _ in range(10):
        ring.append(ALL, Same(b"x" * 10))
    assert [cursor for cursor in range(11) if ring.knows(cursor)] == [7, 8, 9, 10]


def test_who_hears() -> None:
    above = Above(0b10, (2, 1, 0))
    assert above.hears(1, {0: 0b10})
    assert above.hears(1, {2: 0b11})
    assert not above.hears(1, {2: 0b01, 3: 0b10})
    around = Around(0b10, (1, 0), GROUPS)
    assert around.hears(1, {2: 0b10})
    assert not around.hears(1, {3: 0b10, 2: 0b01})
    assert not around.hears(1, {9: 0b10}), "a group that is gone"
    assert Somewhere(0b10).hears(1, {3: 0b10})
    assert not Somewhere(0b10).hears(1, {3: 0b01})
    assert ALL.hears(1, {})
    assert not ALL.hears(2, {})


def test_each_reader_gets_the_parts_that_he_may_see() -> None:
    parts = ((Above(1, (1, 0)), b"one"), (Above(1, (3, 0)), b"three"))
    body = WithParts(b"[", parts, b"]").within(b"<", b">")
    assert body.frame({0: 1}) == b"<[one,three]>"
    assert body.frame({3: 1}) == b"<[three]>"
    assert body.frame({2: 1}) == b"<[]>"
    named = WithPermissions(b"[", (2, 1, 0), b"]")
    assert named.frame({1: 1 << 7, 2: 1 << 19}) == b'["velocity.group.create","velocity.vm.view"]'
    assert named.frame({3: 1 << 7}) == b"[]"
