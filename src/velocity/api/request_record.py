"""What the history records of a request: who, from where, about what, and how it ended."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from velocity.access.sessions import Caller
from velocity.api import errors, subject
from velocity.api.handlers.base import Services
from velocity.contract import auth, medium, sessions, vm_move
from velocity.contract.operation import Method, Needs, Operation, Wire
from velocity.contract.problems import Refused
from velocity.history.rules import HistoryEntry, item_of, short, target, vmid
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
        "_subject",
        "_to",
        "_uid",
        "_vmid",
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
        self._asked: tuple[Services, Caller | None, Needs, object] | None = None
        self._uid: int | None = None
        self._name = ""
        self._gid = 0
        self._to: int | None = None
        self._subject = ""
        self._vmid: int | None = None
        self.address = address
        self.request = os.urandom(8).hex()
        self.wanted: Wire | None = None
        self.answer: Wire | None = None
        self.changes = NO_CHANGES
        self.planned = False
        self.code: int | None = None
        self.message: str | None = None

    def who(self, services: Services, caller: Caller | None, needs: Needs, named: object) -> None:
        """Note the caller, the group, and what the request is about, before it changes them.

        Reads are looked up later, if at all.
        """
        self._asked = services, caller, needs, named
        if not self._is_read:
            self._look()
            if not isinstance(getattr(self.wanted, "name", None), str):
                self._subject = subject.name(services, needs, self.wanted)
            if (mid := getattr(self.wanted, "mid", None)) is not None:
                self._vmid = subject.vm_of_disk(services, self._gid, mid)

    def _look(self) -> None:
        if self._asked is None:
            return
        services, caller, needs, named = self._asked
        access, self._asked = services.access, None
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
        if self._to is None or status >= LEAST_REFUSAL:
            return [entry]
        return [entry, replace(entry, gid=self._to, vmid=vmid(self.wanted, self.answer, None))]

    def entry(self, status: int) -> HistoryEntry:
        self._look()
        told = self.wanted is not None and not isinstance(self.wanted, SIGN_INS)
        made = self.changes if status < LEAST_REFUSAL else NO_CHANGES
        item = item_of(self.answer, made)
        about = target(self.wanted, self.answer, made, item, self._subject) if told and self.wanted else ""
        concerned = vmid(self.wanted, self.answer, item)
        return HistoryEntry(
            at=int(time.time()),
            uid=self._uid,
            name=short(_printable(self._name)),
            address=self.address,
            request=self.request,
            operation=self._operation.name,
            gid=self._gid if item is None else item.gid,
            target=_printable(about),
            status=status,
            code=self.code,
            message=None if self.message is None else short(_printable(self.message)),
            vmid=self._vmid if concerned is None else concerned,
        )


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(one if one.isprintable() else "\ufffd" for one in text)
