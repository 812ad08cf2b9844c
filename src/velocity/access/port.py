"""What access needs: a store, and the areas that hold what groups own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from velocity.access.rules import Discarded, Group, Limits, Session, TrashedAccess, User


class AccessRows(Struct, frozen=True):
    """All rows of access. `grants` are (uid, gid, pid), `limits` are by gid.

    `good_addresses` are the (name, address) pairs of past sign-ins, the latest last.
    """

    users: Sequence[User]
    groups: Sequence[Group]
    grants: Sequence[tuple[int, int, int]]
    sessions: Sequence[Session]
    limits: Mapping[int, Limits]
    lying: TrashedAccess
    good_addresses: Sequence[tuple[str, str]]


class AccessStore(Protocol):
    """Each call is one transaction, durable when it returns. Ids are never reused."""

    def load(self) -> AccessRows: ...

    async def add_root(self, name: str, password: str) -> None:
        """On the first start: group 0, user 0, and every permission for them on it."""

    async def add_user(self, name: str, password: str, home: int) -> int: ...

    async def remove_user(self, uid: int) -> None:
        """Also removes their grants and sessions."""

    async def change_user(self, uid: int, password: str | None, home: int) -> None:
        """Sets the home. A new password (its hash; None: unchanged) ends every session of the user."""

    async def add_group(self, name: str, parent_gid: int) -> int: ...

    async def remove_groups(self, top: int, parent_gid: int, discarded: Discarded | None) -> None:
        """Removes the group `top` and all below it, with all that they own, in every area; into the trash, or
        permanently (None).

        Users at home in one of them are at home in `parent_gid` afterwards.
        """

    async def set_limits(self, gid: int, limits: Limits) -> None: ...

    async def add_grant(self, uid: int, gid: int, pid: int) -> None:
        """Succeeds if it is held already."""

    async def remove_grants(self, uid: int, gid: int, pids: Sequence[int]) -> None:
        """Succeeds if it is not held."""

    async def add_session(self, session: Session, replaces: bytes | None, forget_before: int) -> None:
        """Adds a session; removes the hash that it replaces, and sessions that expired before `forget_before`.

        A session that replaces none makes its address a known one of its user.
        """

    async def remove_session(self, sid: str) -> None: ...


class PendingDeletion(Protocol):
    """What an area is deleting for groups that are being deleted."""

    @property
    def size(self) -> int:
        """The declared size of its media, in bytes."""

    @property
    def ended(self) -> str:
        """What was ended for it, and `restore` does not begin again, in words; empty: nothing."""

    async def restore(self) -> None:
        """The deletion has failed: restore everything, except runs that were ended by force."""

    def committed(self) -> None:
        """The deletion is committed: free names and quota. The groups are still in the directory."""

    async def finish(self, *, purge: bool) -> None:
        """Move its files on the host into the trash, or remove them."""


class GroupContents(Protocol):
    """An area that holds what groups own."""

    def examine(self, gids: Collection[int], *, force: bool, purge: bool) -> None:
        """Check in advance whether these groups can be deleted; report to the plan what would go. Raises `Refused`."""

    async def begin_deletion(self, gids: Collection[int], *, force: bool) -> PendingDeletion:
        """Begin to delete what these groups own. Raises `Refused`, and has then changed nothing."""
