"""Long work and waiting requests end when the permission they need is lost: transfers, tasks, consoles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType

from velocity.access.directory import Directory
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused

LOOK = 1.0
"""Seconds between two checks: sessions also end by time, which is no event."""

Check = Callable[[], None]
"""Raises `Refused` when the permission is lost."""


_ADMITTED: ContextVar[Check | None] = ContextVar("admitted", default=None)
"""The check of the present request."""


def admitted(check: Check) -> None:
    """Note the check by which the present request was admitted."""
    _ADMITTED.set(check)


def check_admitted() -> None:
    """To be called after a request has waited. Raises `Refused` if its permission was lost meanwhile."""
    check = _ADMITTED.get()
    if check is not None:
        check()


def still_user(directory: Directory, uid: int) -> Check:
    """The check for a task of this user: it outlives the session in which it was begun, but not the password."""
    user = directory.user(uid)

    def check() -> None:
        now = directory.users.get(uid)
        if now is None:
            raise Refused(Problem.NO_PERMISSION, f"{user.name!r}, who began it, was removed")
        if now.password != user.password:
            raise Refused(Problem.NO_PERMISSION, f"the password of {user.name!r}, who began it, was changed")

    return check


def still_holds(directory: Directory, uid: int, permission: Permission, gid: int) -> Check:
    """The check for a task of this user that needs a permission on a group."""
    user, check_user = directory.user(uid), still_user(directory, uid)

    def check() -> None:
        check_user()
        if not directory.holds(uid, permission, gid):
            raise Refused(
                Problem.NO_PERMISSION,
                f"{user.name!r}, who began it, no longer has {permission.value} on {directory.path(gid)}",
            )

    return check


class RightWatch:
    """Checks once a second; calls `ended` once, when the check fails. Until then, or until `stop`."""

    def __init__(self, check: Check, ended: Callable[[Refused], None]) -> None:
        self._check = check
        self._ended = ended
        self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        try:
            self._check()
        except Refused as refused:
            self._ended(refused)
        else:
            self._wait()

    def stop(self) -> None:
        self._timer.cancel()


class WhileAllowed:
    """A context whose body is cancelled soon after the permission is lost, and then ends with the refusal."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._is_cancelled = False
        self.refused: Refused | None = None

    async def __aenter__(self) -> WhileAllowed:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._watch = RightWatch(self._check, self.end)
        return self

    def end(self, refused: Refused) -> None:
        """End the body with this refusal."""
        self.refused = refused
        self._is_cancelled = self._task.cancel()

    def check(self) -> None:
        """Raises what the last check has found; for work in pieces that cannot be cancelled."""
        if self.refused is not None:
            raise self.refused

    def settle(self) -> None:
        """Check a last time: what follows is not interrupted. Raises `Refused`."""
        self._watch.stop()
        self._check()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.stop()
        del self._watch  # a reference cycle, which only the garbage collector would find
        if self._is_cancelled and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            assert self.refused is not None
            raise self.refused from error
