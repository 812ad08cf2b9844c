"""From what a file says and what there is to the steps between them. Nothing is removed that the file does not name."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import UNSET

from velocity.cli import resolve, where
from velocity.cli.apply.file import File, GroupEntry, MediumEntry, UserEntry, VmEntry
from velocity.cli.media import import_file, send, to_bytes
from velocity.cli.output import NameNotFound
from velocity.cli.task import follow
from velocity.cli.user import expanded
from velocity.cli.vm_settings import MediaScope, read
from velocity.cli.words import clean
from velocity.client import Client, ClientError
from velocity.contract.groups import Quota
from velocity.contract.machines import State, VmInfo
from velocity.contract.pools import Assigned


@dataclass(frozen=True)
class ApplyStep:
    """One change, in words and as a call."""

    text: str
    do: Callable[[], object]


class ApplySteps:
    """The steps from what is to what should be, in the order in which they can be done."""

    def __init__(self, client: Client, file: File, base: Path) -> None:
        self._client = client
        self._file = file
        self._base = base
        self._gids = {path: gid for gid, path in where.paths(client).items()}
        self._planned: set[str] = set()

    def steps(self) -> list[ApplyStep]:
        """Raises `ClientError` for a group that is neither there nor in the file."""
        return [
            *(step for group in self._file.groups for step in self._group(group)),
            *(step for user in self._file.users for step in self._user(user)),
            *(step for medium in self._file.media for step in self._medium(medium)),
            *(step for vm in self._file.vms for step in self._vm(vm)),
        ]

    def _gid(self, path: str) -> int | None:
        """None: not there yet, but planned."""
        path = path.strip("/") or "/"
        if path in self._gids:
            return self._gids[path]
        if path in self._planned:
            return None
        raise ClientError(
            f"there is no group {clean(path)!r}, and the file does not create it: add it under [[groups]]"
        )

    def _now(self, path: str) -> int:
        """When its turn has come, it is there."""
        return self._gids[path.strip("/") or "/"]

    def _mpid(self, pool: int | str) -> int:
        return pool if isinstance(pool, int) else resolve.mpid(self._client, pool)

    # Groups

    def _group(self, entry: GroupEntry) -> Iterator[ApplyStep]:
        path = entry.path.strip("/")
        parent, _, name = path.rpartition("/")
        if path not in self._gids:
            self._gid(parent)
            self._planned.add(path)
            yield ApplyStep(f"create group {path}", lambda: self._create_group(path, parent, name))
        gid = self._gids.get(path)
        quota = entry.quota
        if quota is not None:
            memory = None if quota.memory is None else to_bytes(quota.memory) >> 20
            limits = {"cpus": quota.cpus, "memory_mib": memory, "vms": quota.vms}
            wanted = Quota(**{key: value for key, value in limits.items() if value is not None})
            if gid is None or self._client.show_quota(gid=gid).limits != wanted:
                words = ", ".join(f"{key} {value}" for key, value in limits.items() if value is not None)
                yield ApplyStep(
                    f"set the quota of {path}: {words or 'no limits'}",
                    lambda: self._client.set_quota(
                        gid=self._now(path), cpus=wanted.cpus, memory_mib=wanted.memory_mib, vms=wanted.vms
                    ),
                )
        there = {} if gid is None else {one.mpid: one for one in self._client.list_pools(gid=gid).pools}
        for pool in entry.pools:
            assigned = Assigned(quota=to_bytes(pool.quota), write=pool.write, manage=pool.manage)
            mpid = self._mpid(pool.pool)
            if mpid not in there or there[mpid].assigned != assigned:
                yield ApplyStep(f"assign pool {clean(pool.pool)} to {path}", self._assigning(path, mpid, assigned))

    def _create_group(self, path: str, parent: str, name: str) -> None:
        self._gids[path] = self._client.create_group(name=name, parent_gid=self._now(parent)).gid

    def _assigning(self, path: str, mpid: int, wanted: Assigned) -> Callable[[], object]:
        return lambda: self._client.assign_pool(gid=self._now(path), mpid=mpid, **msgspec.structs.asdict(wanted))

    # Users

    def _user(self, entry: UserEntry) -> Iterator[ApplyStep]:
        known = {one.name: one for one in self._client.list_users().users}
        shown = self._client.show_user(uid=known[entry.name].uid) if entry.name in known else None
        if shown is None:
            at = "" if entry.group is None else f" in {entry.group}"
            yield ApplyStep(f"create user {clean(entry.name)}{at}", lambda: self._create_user(entry))
        elif entry.group is not None and shown.home != self._gid(entry.group):
            yield ApplyStep(f"move user {clean(entry.name)} to {entry.group}", lambda: self._move_user(entry))
        held: dict[int, set[str]] = {}
        for membership in shown.memberships if shown else ():
            held[membership.gid] = {one.name for one in membership.permissions}
        for grant in entry.grants:
            gid = self._gid(grant.group)
            missing = [one for one in expanded(tuple(grant.permissions)) if gid is None or one not in held.get(gid, ())]
            if missing:
                words = ", ".join(grant.permissions)
                yield ApplyStep(
                    f"grant {clean(entry.name)} {words} on {grant.group}",
                    self._granting(entry.name, grant.group, missing),
                )

    def _create_user(self, entry: UserEntry) -> None:
        made = None
        if entry.password_file is not None:
            password = (self._base / entry.password_file).read_text(encoding="utf-8").rstrip("\n")
        else:
            password = made = secrets.token_urlsafe(12)
        gid = UNSET if entry.group is None else self._now(entry.group)
        self._client.create_user(name=entry.name, password=password, gid=gid)
        if made is not None:
            click.echo(f"  the first password of {clean(entry.name)}: {made}   (it is not shown again)")

    def _move_user(self, entry: UserEntry) -> None:
        self._client.change_user(uid=resolve.uid(self._client, entry.name), gid=self._now(str(entry.group)))

    def _granting(self, name: str, group: str, permissions: list[str]) -> Callable[[], object]:
        def grant() -> None:
            uid = resolve.uid(self._client, name)
            for permission in permissions:
                self._client.grant_permission(uid=uid, gid=self._now(group), permission=permission)

        return grant

    # Media

    def _medium(self, entry: MediumEntry) -> Iterator[ApplyStep]:
        gid = self._gid(entry.group)
        there = [] if gid is None else self._client.list_media(gid=gid).media
        mpid = self._mpid(entry.pool)
        if any((one.name, one.mpid) == (entry.name, mpid) for one in there):
            return
        source = entry.size or entry.file or entry.image
        verb = "create" if entry.size else "upload" if entry.file else "import"
        yield ApplyStep(
            f"{verb} medium {clean(entry.name)} ({source}) for {entry.group}", lambda: self._make_medium(entry)
        )

    def _make_medium(self, entry: MediumEntry) -> None:
        gid, mpid = self._now(entry.group), self._mpid(entry.pool)
        if entry.size is not None:
            self._client.create_medium(
                name=entry.name, size=to_bytes(entry.size), gid=gid, mpid=mpid, type=entry.type or "DISK",
                format=entry.format,
            )  # fmt: skip
            return
        file = self._base / str(entry.file or entry.image)
        kind = entry.type or ("ISO" if file.suffix.lower() == ".iso" else "DISK")
        if entry.file is not None:
            send(self._client, file, entry.name, kind, gid, mpid, readonly=False)
            return
        tid = import_file(self._client, file, entry.name, gid=gid, mpid=mpid, format=entry.format, type=kind)
        follow(self._client, tid, detach=False)

    # VMs

    def _vm(self, entry: VmEntry) -> Iterator[ApplyStep]:
        gid = self._gid(entry.group)
        there = [] if gid is None else [one for one in self._client.list_vms(gid=gid).vms if one.name == entry.name]
        label = f"VM {clean(entry.name)} in {entry.group}"
        if not there:
            yield ApplyStep(
                f"create {label}", lambda: self._client.create_vm(**self._wanted(entry), **self._place(entry))
            )
        else:
            info = self._client.show_vm(vmid=there[0].vmid)
            changes = self._changes(entry, info)
            if changes:
                yield ApplyStep(
                    f"change {label}: {', '.join(changes)}",
                    lambda: self._client.alter_vm(vmid=info.vmid, **changes),
                )
        state = there[0].state if there else State.STOPPED
        if entry.state is not None and entry.state != state.value:
            verb = "start" if entry.state == "RUNNING" else "stop"
            yield ApplyStep(f"{verb} {label}", lambda: self._set_state(entry))

    def _place(self, entry: VmEntry) -> dict[str, Any]:
        return {"gid": self._now(entry.group), "name": entry.name}

    def _wanted(self, entry: VmEntry) -> dict[str, Any]:
        said = {name: value for name, value in msgspec.structs.asdict(entry).items() if value is not None}
        return read(MediaScope(self._client, self._now(entry.group)), said)

    def _changes(self, entry: VmEntry, info: VmInfo) -> dict[str, Any]:
        try:
            wanted = self._wanted(entry)
        except NameNotFound as error:
            raise ClientError(f"VM {clean(entry.name)}: {error.message}; apply the media first, then the VM") from None
        return {name: value for name, value in wanted.items() if getattr(info, name) != value}

    def _set_state(self, entry: VmEntry) -> None:
        vmid = resolve.vmid(self._client, self._now(entry.group), entry.name)
        self._client.set_vm_state(vmid=vmid, state=str(entry.state))
