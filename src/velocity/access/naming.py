"""How refusals and warnings name other groups' objects: by name to those who may view them, and to nobody else."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Literal

from velocity.access.directory import Directory
from velocity.contract.permissions import Permission

caller: ContextVar[int | None] = ContextVar("caller", default=None)
"""The uid of the present request's caller. None: the server itself, whose log names everything."""
_VIEWS = {"VM": Permission.VM_VIEW, "medium": Permission.MEDIA_LIST}


def visible_name(directory: Directory, what: Literal["VM", "medium"], name: str, gid: int) -> str:
    """A group's object, as the caller may see it named (contract, conventions)."""
    uid = caller.get()
    if uid is None or directory.holds(uid, _VIEWS[what], gid):
        return f"{what} {name!r}"
    return f"a {what} that you may not see"
