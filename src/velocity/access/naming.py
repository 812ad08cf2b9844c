"""How refusals and warnings name other groups' objects: by name to those who may view them, and to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context, ContextVar
from typing import Literal

from velocity.access.directory import Directory
from velocity.access.rules import holds_somewhere
from velocity.contract.permissions import Permission

caller: ContextVar[int | None] = ContextVar("caller", default=None)
"""The uid of the present request's caller. None: the server itself, whose log names everything."""
EVERYBODY = -1
"""In the place of a uid: the words are kept with a VM, and read by all who may view it and perhaps nothing else."""
_hidden: ContextVar[dict[str, list[str]]] = ContextVar("hidden")
"""What is hidden in words for everybody -> the names of what it may be, for the log."""
_VIEWS = {"VM": Permission.VM_VIEW, "medium": Permission.MEDIA_LIST}


def visible_name(directory: Directory, what: Literal["VM", "medium"], name: str, gid: int) -> str:
    """A group's object, as the caller may see it named (contract, conventions)."""
    uid = caller.get()
    if uid == EVERYBODY:
        return hide(f"another {what}", f"{what} {name!r}")
    if uid is None or directory.holds(uid, _VIEWS[what], gid):
        return f"{what} {name!r}"
    return f"a {what} that you may not see"


def sees_hosts(directory: Directory) -> bool:
    """Whether hosts are named to the caller."""
    uid = caller.get()
    return uid is None or holds_somewhere(directory.held(uid), Permission.HOST_VIEW)


def is_for_everybody() -> bool:
    return caller.get() == EVERYBODY


def hide(words: str, name: str) -> str:
    """Returns these words, which stand for the name in words for everybody."""
    names = _hidden.get().setdefault(words, [])
    if name not in names:
        names.append(name)
    return words


def revealed(words: str) -> str:
    """Words for everybody of the present request, with the names: for the server's own log only."""
    for hidden, names in _hidden.get({}).items():
        words = words.replace(hidden, " or ".join(names))
    return words


def everybody() -> Context:
    """A new context in which words are for everybody."""
    context = Context()
    context.run(caller.set, EVERYBODY)
    context.run(_hidden.set, {})
    return context


def for_everybody() -> AbstractContextManager[None]:
    """Within, words are for all who may view a VM: they name no other object."""
    return _worded_for(EVERYBODY)


def for_the_server() -> AbstractContextManager[None]:
    """Within, words are for the server's own log, which names everything."""
    return _worded_for(None)


@contextmanager
def _worded_for(uid: int | None) -> Iterator[None]:
    before, hidden = caller.set(uid), _hidden.set({})
    try:
        yield
    finally:
        _hidden.reset(hidden)
        caller.reset(before)
