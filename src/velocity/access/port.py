"""What access needs: a store, and the areas that hold what groups own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from velocity.access.rules import Discarded, Group, Limits, Session, TrashedAccess, User


@dataclass(frozen=True)
class AccessRows:
    """Everything of access that is in the store. `grants` are (uid, gid, pid), `limits` are by gid.

    `good_addresses` are (name, address) of those who have signed in, the latest last.
    """

    users: Sequence[User]
    groups: Sequence[Group]
    grants: Sequence[tuple[int, int, int]]
    sessions: Sequence[Session]
    limits: Mapping[int, Limits]
    lying: TrashedAccess
    good_addresses: Sequence[tuple[str, str]]


class AccessStore(Protocol):
    """Each call is one transaction; what returns is durable. Ids are never given twice."""

    def load(self) -> AccessRows: ...

    async def add_root(self, name: str, password: str) -> None:
        """The first start: group 0, user 0 and every permission of theirs on it."""

    async def add_user(self, name: str, password: str, home: int) -> int: ...

    async def remove_user(self, uid: int) -> None:
        """With their grants and sessions."""

    async def change_user(self, uid: int, password: str | None, home: int) -> None:
        """Sets the home; a new password (its hash; None: the old one stays) ends every session of the user."""

    async def add_group(self, name: str, parent_gid: int) -> int: ...

    async def remove_groups(self, gids: Sequence[int], parent_gid: int, discarded: Discarded | None) -> None:
        """With all that they own, in every area; into the trash, or for good (None). Children come after parents.

        Who is at home in one of them is so in the group `parent_gid` from here on.
        """

    async def set_limits(self, gid: int, limits: Limits) -> None: ...

    async def add_grant(self, uid: int, gid: int, pid: int) -> None:
        """Held already is success."""

    async def remove_grants(self, uid: int, gid: int, pids: Sequence[int]) -> None:
        """Not held is success."""

    async def add_session(self, session: Session, replaces: bytes | None, forget_before: int) -> None:
        """Adds it, removes the hash that it replaces, and the sessions that expired before `forget_before`.

        Of one that replaces none, the address is good for its user from here on.
        """

    async def remove_session(self, sid: str) -> None: ...


class PendingDeletion(Protocol):
    """What an area has taken out of use for groups that are being deleted."""

    @property
    def size(self) -> int:
        """Bytes that its media declare."""

    async def restore(self) -> None:
        """The deletion has failed: everything is as it was, but for what was ended by force."""

    def committed(self) -> None:
        """The deletion is committed: names and quota are free. The groups are still in the directory."""

    async def finish(self, *, purge: bool) -> None:
        """Put what is left of it on the host aside, or remove it."""


class GroupContents(Protocol):
    """An area that keeps what groups own."""

    def examine(self, gids: Collection[int], *, force: bool, purge: bool) -> None:
        """Whether these groups may go, as far as can be told before anything is touched. Raises `Refused`.

        Tells the plan what would go with them.
        """

    async def begin_deletion(self, gids: Collection[int], *, force: bool) -> PendingDeletion:
        """Take what these groups own out of use. Raises `Refused`, and then has changed nothing."""
