"""What access needs to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from velocity.access.rules import Group, Session, User


@dataclass(frozen=True)
class Kept:
    """Everything of access that is in the store. `grants` are (uid, gid, pid)."""

    users: Sequence[User]
    groups: Sequence[Group]
    grants: Sequence[tuple[int, int, int]]
    sessions: Sequence[Session]


class AccessStore(Protocol):
    """Each call is one transaction; what returns is durable. Ids are never given twice."""

    def load(self) -> Kept: ...

    async def add_root(self, name: str, password: str) -> None:
        """The first start: group 0, user 0 and every permission of his on it."""

    async def add_user(self, name: str, password: str) -> int: ...

    async def set_password(self, uid: int, password: str) -> None:
        """Sets the hash and ends every session of the user."""

    async def add_group(self, name: str, parent_gid: int) -> int: ...

    async def add_grant(self, uid: int, gid: int, pid: int) -> None:
        """Held already is success."""

    async def add_session(self, session: Session, replaces: bytes | None, forget_before: int) -> None:
        """Adds it, removes the one that it replaces, and those that expired before `forget_before`."""

    async def remove_session(self, key: bytes) -> None: ...
