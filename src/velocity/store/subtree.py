"""The groups at and below one, in a statement with one parameter, however many they are.

PostgreSQL takes at most 65,535 parameters, and SQLite 32,766 unless it was built for more.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, ColumnExpressionArgument, select

from velocity.store.tables import groups


def is_below(gid: ColumnElement[int], top: int) -> ColumnElement[bool]:
    """Whether `gid` is the group `top`, or one below it."""
    found = select(groups.c.gid).where(groups.c.gid == top).cte("subtree", recursive=True)
    children: ColumnExpressionArgument[bool] = groups.c.parent_gid == found.c.gid
    every = found.union(select(groups.c.gid).join(found, children))  # a union, as group 0 is its own parent
    return gid.in_(select(every.c.gid))
