"""What the history records of a request: who, from where, about what, and how it ended."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from velocity.access.service import Access
from velocity.access.sessions import Caller
from velocity.api import errors
from velocity.contract import auth, medium, sessions, vm_move
from velocity.contract.operation import Method, Needs, Operation, Wire
from velocity.contract.problems import Refused
from velocity.contract.trash import TrashItem
from velocity.history.rules import HistoryEntry, short, target, vmid
from velocity.plan import NO_CHANGES

LEAST_REFUSAL = 400
MOVES = (medium.MOVE, vm_move.MOVE)
SIGN_INS = (auth.SignIn, sessions.OpenSession)
"""Requests whose fields are not recorded, except the user's name."""


class RequestRecord:
    """One request. Of its fields, only those listed in `history.rules` are recorded."""

    __slots__ = (
        "_asked",
        "_gid",
        "_is_read",
        "_name",
        "_operation",
        "_to",
        "_uid",
        "address",
        "answer",
        "changes",
        "code",
        "message",
        "planned",
        "request",
        "wanted",
    )

    def __init__(self, operation: Operation[Any, Any], address: str) -> None:
        self._operation = operation
        self._is_read = operation.method is Method.POST and operation is not auth.SIGN_IN
        self._asked: tuple[Access, Caller | None, Needs, object] | None = None
        self._uid: int | None = None
        self._name = ""
        self._gid = 0
        self._to: int | None = None
        self.address = address
        self.request = os.urandom(8).hex()
        self.wanted: Wire | None = None
        self.answer: Wire | None = None
        self.changes = NO_CHANGES
        self.planned = False
        self.code: int | None = None
        self.message: str | None = None

    def who(self, access: Access, caller: Caller | None, needs: Needs, named: object) -> None:
        """Note the caller and the group before the request changes them. Reads are looked up later, if at all."""
        self._asked = access, caller, needs, named
        if not self._is_read:
            self._look()

    def _look(self) -> None:
        if self._asked is None:
            return
        access, caller, needs, named = self._asked
        self._asked = None
        if caller is not None:
            self._uid = caller.uid
            user = access.directory.users.get(caller.uid)
            self._name = user.name if user else ""
        if isinstance(self.wanted, SIGN_INS):  # an unknown name may be a password in the wrong field
            name = self.wanted.name
            known = isinstance(name, str) and access.directory.named(name)
            self._name = str(name) if known else "(nobody's name)" if isinstance(name, str) else "(a link)"
        self._gid = access.place(needs, named)
        to = getattr(self.wanted, "gid", None) if self._operation in MOVES else None
        if to in access.directory.groups and to not in access.directory.line(self._gid):
            self._to = to

    def refused(self, refused: Refused, operation: Operation[Any, Any]) -> None:
        """Note the number and message of a refusal."""
        self.code, self.message = errors.code(refused, operation), refused.message

    def is_history(self, status: int) -> bool:
        """Whether it belongs in the history: changes, sign-ins, and missing permissions; malformed requests do not."""
        if self._operation is sessions.SHOW:
            return False  # the page asks this each time it is opened
        if status in (401, 403, 429):
            return True
        if self._is_read:
            return False
        return not self.planned and (status < LEAST_REFUSAL or self.wanted is not None)

    def entries(self, status: int) -> list[HistoryEntry]:
        """One entry; for a move a second one in the target group, for those who see only that one."""
        entry = self.entry(status)
        return [entry] if self._to is None or status >= LEAST_REFUSAL else [entry, replace(entry, gid=self._to)]

    def entry(self, status: int) -> HistoryEntry:
        self._look()
        told = self.wanted is not None and not isinstance(self.wanted, SIGN_INS)
        made = self.changes if status < LEAST_REFUSAL else NO_CHANGES
        return HistoryEntry(
            at=int(time.time()),
            uid=self._uid,
            name=short(_printable(self._name)),
            address=self.address,
            request=self.request,
            operation=self._operation.name,
            gid=self.answer.gid if isinstance(self.answer, TrashItem) else self._gid,
            target=_printable(target(self.wanted, self.answer, made)) if told and self.wanted else "",
            status=status,
            code=self.code,
            message=None if self.message is None else short(_printable(self.message)),
            vmid=vmid(self.wanted, self.answer),
        )


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)
