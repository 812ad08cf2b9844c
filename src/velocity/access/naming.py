"""How refusals and warnings name other groups' objects: by name to those who may view them, and to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Literal

from velocity.access.directory import Directory
from velocity.access.rules import holds_somewhere
from velocity.contract.permissions import Permission

caller: ContextVar[int | None] = ContextVar("caller", default=None)
"""The uid of the present request's caller. None: the server itself, whose log names everything."""
EVERYBODY = -1
"""In the place of a uid: the words are kept with a VM, and read by all who may view it and perhaps nothing else."""
_VIEWS = {"VM": Permission.VM_VIEW, "medium": Permission.MEDIA_LIST}


def visible_name(directory: Directory, what: Literal["VM", "medium"], name: str, gid: int) -> str:
    """A group's object, as the caller may see it named (contract, conventions)."""
    uid = caller.get()
    if uid == EVERYBODY:
        return f"another {what}"
    if uid is None or directory.holds(uid, _VIEWS[what], gid):
        return f"{what} {name!r}"
    return f"a {what} that you may not see"


def sees_hosts(directory: Directory) -> bool:
    """Whether hosts are named to the caller."""
    uid = caller.get()
    return uid is None or holds_somewhere(directory.held(uid), Permission.HOST_VIEW)


def is_for_everybody() -> bool:
    return caller.get() == EVERYBODY


def everybody() -> Context:
    """A new context in which words are for everybody."""
    context = Context()
    context.run(caller.set, EVERYBODY)
    return context


@contextmanager
def for_everybody() -> Iterator[None]:
    """Within, words are for all who may view a VM: they name no other object."""
    before = caller.set(EVERYBODY)
    try:
        yield
    finally:
        caller.reset(before)
