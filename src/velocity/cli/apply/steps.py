"""The steps that make an installation match a file. What the file does not name is left alone."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import UNSET

from velocity.cli.amounts import to_mebibytes, to_quota
from velocity.cli.apply import vms
from velocity.cli.apply.file import File, GroupEntry, MediumEntry, PoolEntry, UserEntry, password
from velocity.cli.apply.hosts import HostSteps
from velocity.cli.apply.media import MediaSteps, host_of, in_words
from velocity.cli.apply.places import Places, above, unless_made
from velocity.cli.output import as_json
from velocity.cli.user import expanded
from velocity.cli.words import clean
from velocity.client import Client, ClientError, Unreachable
from velocity.contract import names
from velocity.contract.groups import Quota
from velocity.contract.pools import Assigned

GROUP_TAKEN, USER_TAKEN = 5220, 2220


@dataclass(frozen=True)
class ApplyStep:
    """One change, in words and as a call."""

    text: str
    do: Callable[[], object]


class ApplySteps:
    """The steps, in an order in which they can be done."""

    def __init__(self, client: Client, file: File, base: Path) -> None:
        self._client = client
        self._file = file
        self._base = base
        self._places = Places(client)
        self._media = MediaSteps(client, self._places, base)
        self._hosts = HostSteps(client, base)
        self._vms = vms.VmSteps(client, self._places, self._media, self._hosts, base)
        self._uids: dict[str, int] = {}
        self.passwords: dict[str, str] = {}
        """Generated passwords, by user name, which are stored nowhere else."""
        self.differences = self._media.differences
        """Differences from the file that no step can remove."""
        self.notes = self._vms.notes

    def steps(self) -> list[ApplyStep]:
        """Raises `ClientError` or `ClickException` for errors in the file, before anything is done."""
        self._check_twice("group", [one.path for one in self._file.groups])
        self._check_twice("user", [one.name for one in self._file.users])
        self._check_twice("host", [one.name for one in self._file.hosts])
        return [
            *(ApplyStep(*step) for host in self._file.hosts for step in self._hosts.steps(host)),
            *(step for group in self._file.groups for step in self._group(group)),
            *(step for user in self._file.users for step in self._user(user)),
            *(ApplyStep(*step) for vm in self._file.vms for step in self._vms.moves(vm)),
            *(step for medium in self._file.media for step in self._medium(medium)),
            *(ApplyStep(*step) for vm in self._file.vms for step in vms.steps(self._vms, vm)),
        ]

    def _check_twice(self, kind: str, named: list[str]) -> None:
        twice = next((one for number, one in enumerate(named) if one in named[:number]), None)
        if twice is not None:
            raise ClientError(f"the file has two tables for the {kind} {clean(twice)}: keep one")

    # Groups

    def _group(self, entry: GroupEntry) -> Iterator[ApplyStep]:
        path = entry.path
        gid = self._places.known(path)
        if gid is None:
            self._places.find(above(path))
            self._places.plan(path)
            yield ApplyStep(f"create group {clean(path)}", lambda: self._create_group(path))
        if entry.quota is not None:
            memory = None if entry.quota.memory is None else to_mebibytes(str(entry.quota.memory))
            limits = {
                "cpus": entry.quota.cpus,
                "memory_mib": memory,
                "vms": entry.quota.vms,
                "forward_ports": entry.quota.forward_ports,
            }
            said: dict[str, Any] = {key: value for key, value in limits.items() if value is not None}
            wanted = Quota(**said)
            if gid is None or self._client.show_quota(gid=gid).limits != wanted:
                words = ", ".join(f"{key} {value}" for key, value in said.items())
                yield ApplyStep(
                    f"set the quota of {clean(path)}: {words or 'no limits'}",
                    lambda: self._client.set_quota(gid=self._places.now(path), **said),
                )
        yield from self._pools(path, gid, entry.pools)

    def _pools(self, path: str, gid: int | None, entries: list[PoolEntry]) -> Iterator[ApplyStep]:
        there = {one.mpid: one for one in self._client.list_pools(gid=gid).pools} if entries and gid is not None else {}
        mpids = [self._media.mpid(one.pool) for one in entries]
        self._check_twice(f"pool of {path}", [str(mpid) for mpid in mpids])
        for pool, mpid in zip(entries, mpids, strict=True):
            assigned = Assigned(quota=to_quota(str(pool.quota)), write=pool.write, manage=pool.manage)
            if mpid not in there or there[mpid].assigned != assigned:
                yield ApplyStep(
                    f"assign pool {clean(pool.pool)} to {clean(path)}", self._assigning(path, mpid, assigned)
                )

    def _create_group(self, path: str) -> None:
        name, parent = names.parts(path)[-1], self._places.now(above(path))

        def there() -> int | None:
            groups = self._client.list_groups().groups
            return next((one.gid for one in groups if (one.name, one.parent_gid) == (name, parent) and one.gid), None)

        def create() -> int:
            return self._client.create_group(name=name, parent_gid=parent).gid

        self._places.made(path, unless_made(create, GROUP_TAKEN, there, f"group {clean(path)}"))

    def _assigning(self, path: str, mpid: int, wanted: Assigned) -> Callable[[], object]:
        return lambda: self._client.assign_pool(gid=self._places.now(path), mpid=mpid, **msgspec.structs.asdict(wanted))

    # Users

    def _user(self, entry: UserEntry) -> Iterator[ApplyStep]:
        if not self._uids:
            self._uids = self._users()
        uid = self._uids.get(entry.name)
        shown = None if uid is None else self._client.show_user(uid=uid)
        if shown is None:
            at = "" if entry.group is None else f" in {entry.group}"
            yield ApplyStep(f"create user {clean(entry.name)}{at}", lambda: self._create_user(entry))
        if entry.group is not None and shown is not None and shown.home != self._places.find(entry.group):
            yield ApplyStep(f"move user {clean(entry.name)} to {entry.group}", lambda: self._move_user(entry))
        held: dict[int, set[str]] = {}
        for membership in shown.memberships if shown else ():
            held[membership.gid] = {one.name for one in membership.permissions}
        for grant in entry.grants:
            gid = self._places.find(grant.group)
            missing = [one for one in expanded(tuple(grant.permissions)) if gid is None or one not in held.get(gid, ())]
            if missing:
                words = ", ".join(grant.permissions)
                yield ApplyStep(
                    f"grant {clean(entry.name)} {words} on {grant.group}",
                    partial(self._grant, entry.name, grant.group, missing),
                )

    def _users(self) -> dict[str, int]:
        return {one.name: one.uid for one in self._client.list_users().users}

    def _create_user(self, entry: UserEntry) -> None:
        gid = UNSET if entry.group is None else self._places.now(entry.group)
        given = None if entry.password_file is None else password(self._base / entry.password_file)
        made = secrets.token_urlsafe(12)

        def create() -> int:
            try:
                uid = self._client.create_user(name=entry.name, password=given or made, gid=gid).uid
            except Unreachable:  # it may have been created nevertheless
                if given is None:
                    self._tell_password(entry.name, made)
                raise
            if given is None:
                self._tell_password(entry.name, made)
            return uid

        self._uids[entry.name] = unless_made(
            create, USER_TAKEN, lambda: self._users().get(entry.name), f"user {clean(entry.name)}"
        )

    def _tell_password(self, name: str, password: str) -> None:
        self.passwords[name] = password
        if not as_json():  # with JSON, it is in the result
            _tell_once(f"  the first password of {clean(name)}: {password}   (it is not shown again)")

    def _move_user(self, entry: UserEntry) -> None:
        self._client.change_user(uid=self._uids[entry.name], gid=self._places.now(str(entry.group)))

    def _grant(self, name: str, group: str, permissions: list[str]) -> None:
        for permission in permissions:
            self._client.grant_permission(uid=self._uids[name], gid=self._places.now(group), permission=permission)

    # Media

    def _medium(self, entry: MediumEntry) -> Iterator[ApplyStep]:
        if self._media.is_new(entry, self._file.media):
            source = entry.size or entry.file or entry.image or f"from {host_of(str(entry.url))}"
            fetched = entry.url is not None or self._media.by_name(entry)
            verb = "create" if entry.size else "upload" if entry.file else "fetch" if fetched else "import"
            yield ApplyStep(
                f"{verb} medium {clean(entry.name)} ({source}) for {entry.group}", partial(self._media.make, entry)
            )
        elif changes := self._media.changes(entry):
            yield ApplyStep(
                f"change medium {clean(entry.name)} in {entry.group}: {in_words(entry, changes)}",
                partial(self._media.change, entry),
            )


def _tell_once(words: str) -> None:
    """On standard output; on standard error where that takes nothing, as they are stored nowhere else."""
    try:
        click.echo(words)
    except OSError:
        click.echo(words, err=True)
        raise
