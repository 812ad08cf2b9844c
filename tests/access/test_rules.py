"""Inheritance, against a model of a few lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from velocity.access.rules import Group, held, holds, holds_somewhere, line
from velocity.contract.permissions import ALL, Permission, members

trees = st.lists(st.integers(0, 10_000), max_size=12).map(
    lambda picks: (
        {0: Group(0, 0, "root")} | {gid: Group(gid, pick % gid, str(gid)) for gid, pick in enumerate(picks, start=1)}
    )
)
grants = st.dictionaries(st.integers(0, 12), st.integers(0, ALL >> 1).map(lambda bits: bits << 1), max_size=5)


@given(trees, grants)
def test_a_permission_holds_where_it_or_an_ancestor_has_it(groups: dict[int, Group], grants: dict[int, int]) -> None:
    here = {gid: bits for gid, bits in grants.items() if gid in groups}
    for gid in groups:
        ancestors = {gid}
        while 0 not in ancestors:
            ancestors |= {groups[one].parent_gid for one in ancestors}
        assert set(line(groups, gid)) == ancestors
        for permission in Permission:
            expected = any(here.get(one, 0) & permission.bit for one in ancestors)
            assert holds(groups, here, permission, gid) == expected
        assert held(groups, here, gid) | ALL == ALL | held(groups, here, gid)


def test_somewhere_is_at_least_one_group() -> None:
    assert holds_somewhere({7: Permission.NIC_LIST.bit}, Permission.NIC_LIST)
    assert not holds_somewhere({7: Permission.NIC_LIST.bit}, Permission.VM_VIEW)
    assert members(ALL) == list(Permission)
