"""The VMs in an apply file: which are created, changed, moved, started and stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from velocity.cli.apply.file import CloudInitEntry, VmEntry
from velocity.cli.apply.hosts import HostSteps
from velocity.cli.apply.media import MediaSteps
from velocity.cli.apply.places import Places, unless_made
from velocity.cli.attachments import MediaScope, medium_words
from velocity.cli.cloud_init import has_secrets
from velocity.cli.output import AmbiguousName, NameNotFound, warn
from velocity.cli.vm import wait_stopped
from velocity.cli.vm_settings import differs, read
from velocity.cli.words import clean
from velocity.client import ApiError, Client, ClientError
from velocity.contract.cloud_init import CloudInit
from velocity.contract.machines import ALTER, AlterVm, Attachment, State, VmAltered, VmInfo, VmSummary

NAME_TAKEN, OLD_REVISION = 12223, 16429
CHANGES = 5
"""How often a change is attempted while others change the same VM."""
STOP_SECONDS = 60.0
"""Seconds for a guest to shut down."""


class VmSteps:
    """The steps for VMs."""

    def __init__(self, client: Client, places: Places, media: MediaSteps, hosts: HostSteps, base: Path) -> None:
        self._base = base
        self._client = client
        self._places = places
        self._media = media
        self._hosts = hosts
        self._seen: set[tuple[int | str, str]] = set()
        self._moving: dict[tuple[int | str, str], VmInfo] = {}
        """VMs that move from another group, by their group and name in the file."""
        self.notes = media.notes
        """Also settings that match the file and are not in effect yet."""

    def find(self, entry: VmEntry) -> VmSummary | VmInfo | None:
        """The existing VM. Raises `ClientError` for two tables of one VM."""
        key = (self._places.key(entry.group), entry.name)
        if key in self._seen:
            raise ClientError(f"the file has two tables for the VM {clean(entry.name)} in {entry.group}: keep one")
        self._seen.add(key)
        if key in self._moving:
            return self._moving[key]
        gid = self._places.find(entry.group)
        found = None if gid is None else self._look(gid, entry.name)
        return None if found is None or found.vmid in self._leaving() else found

    def _leaving(self) -> set[int]:
        return {one.vmid for one in self._moving.values()}

    def moves(self, entry: VmEntry) -> Iterator[tuple[str, Callable[[], object]]]:
        """The step that moves a VM from the group in `moved_from`, with its disks, if it is still there."""
        old = None if entry.moved_from is None else self._places.look(entry.moved_from)
        gid = self._places.find(entry.group)
        found = None if old is None or old == gid else self._look(old, entry.name)
        if found is None:
            return
        label, here = f"VM {clean(entry.name)}", clean(entry.group)
        if found.vmid in self._leaving():
            raise ClientError(f"the file moves the {label} from {clean(entry.moved_from)} to two groups: keep one")
        there = None if gid is None else self._look(gid, entry.name)
        if there is not None and there.vmid not in self._leaving():
            self.notes.append(f"{label} is in {here}, and another one in {clean(entry.moved_from)}, which stays there")
            return
        info = self._client.show_vm(vmid=found.vmid)
        self._moving[self._places.key(entry.group), entry.name] = info
        self._media.comes_along(info, entry.group)
        yield (
            f"move {label} from {clean(entry.moved_from)} to {here}, with its disks",
            lambda: self._client.move_vm(vmid=info.vmid, gid=self._places.now(entry.group)),
        )

    def _look(self, gid: int, name: str) -> VmSummary | None:
        return next((one for one in self._client.list_vms(gid=gid).vms if one.name == name), None)

    def to_its_host(self, entry: VmEntry, vmid: int) -> Iterator[tuple[str, Callable[[], object]]]:
        return self._hosts.move(entry, self._client.show_vm(vmid=vmid)) if entry.host is not None else iter(())

    def changed(self, entry: VmEntry, vmid: int) -> list[str]:
        """The settings that differ from the file."""
        info = self._client.show_vm(vmid=vmid)
        waits = [one for one in info.waiting if one in self._settings(entry)]
        label = f"VM {clean(entry.name)} in {entry.group}"
        if waits and info.state is not State.STOPPED:
            self.notes.append(f"{label}: {', '.join(waits)} take effect at its next start")
        media = self._attached(entry)
        changes = self._differing(info, self._settings(entry) | ({} if media is None else {"media": media}))
        if changes and info.state is not State.STOPPED:
            self.notes += (f"{label}: {one}" for one in self._would_wait(vmid, changes))
        return [*changes, *(["media"] if media is None else [])]

    def _would_wait(self, vmid: int, changes: dict[str, Any]) -> Iterator[str]:
        """What a running VM would get only at its next start, as far as the server knows."""
        with contextlib.suppress(ApiError):  # an earlier step may be missing; the step reports errors
            for step in self._client.plan(ALTER, AlterVm(vmid=vmid, **changes)).steps:
                for field, why in (step.waits or {}).items():
                    yield f"{field} would change at its next start only{f' ({why})' if why else ''}"

    def _settings(self, entry: VmEntry) -> dict[str, Any]:
        """The settings in the file, without media."""
        said = {name: value for name, value in msgspec.structs.asdict(entry).items() if value is not None}
        del said["media"]
        if entry.cloud_init is not None:
            said |= self._cloud_init(entry.cloud_init)
        return read(MediaScope(self._client, None), said)

    def _cloud_init(self, entry: CloudInitEntry) -> dict[str, Any]:
        """The fields as the options of `vm create`, with paths completed."""
        said = {name: value for name, value in msgspec.structs.asdict(entry).items() if value is not None}
        for name in ("user_data", "network_config", "meta_data"):
            if said.get(name):
                said[name] = self._base / said[name]
        if "ssh_keys" in said:
            keys = said["ssh_keys"]
            said["ssh_keys"] = [one if " " in one else str(self._base / Path(one).expanduser()) for one in keys]
        return said

    def _differing(self, info: VmInfo, wanted: dict[str, Any]) -> dict[str, Any]:
        changes = {name: value for name, value in wanted.items() if differs(info, name, value)}
        if "cloud_init" in wanted and self._secrets_differ(info, wanted["cloud_init"]):
            changes["cloud_init"] = wanted["cloud_init"]
        return changes

    def _secrets_differ(self, info: VmInfo, wanted: CloudInit) -> bool:
        """Whether secrets differ: the server knows, but never shows them."""
        if not has_secrets(wanted):
            return False
        return bool(self._client.plan(ALTER, AlterVm(vmid=info.vmid, cloud_init=wanted)).steps)

    def _attachments(self, texts: list[str], gid: int) -> dict[str, Any]:
        return read(MediaScope(self._client, gid), {"media": texts})

    def check(self, entry: VmEntry) -> None:
        """Raises `ClientError` or `ClickException` if the VM cannot be as in the file."""
        self._settings(entry)
        self._hosts.wanted(entry)
        self._attached(entry)

    def _attached(self, entry: VmEntry) -> list[Attachment] | None:
        """The media to attach; None: some are to be made. Raises `ClientError` if one never will be."""
        found, waits = [], False
        for text in entry.media:
            words = medium_words(text)
            if {(self._places.key(entry.group), word) for word in words} & self._media.planned:
                waits = True
                continue
            try:
                found += self._attachments([text], self._media.now_in(entry.group, words))["media"]
            except AmbiguousName:
                raise
            except NameNotFound as error:
                raise ClientError(
                    f"VM {clean(entry.name)}: {error.message}; the file does not make it: add it under [[media]]"
                ) from None
        return None if waits else found

    def create(self, entry: VmEntry) -> None:
        gid = self._places.now(entry.group)
        settings = self._settings(entry) | self._attachments(entry.media, gid) | self._hosts.wanted(entry)
        unless_made(
            lambda: self._client.create_vm(name=entry.name, gid=gid, **settings).vmid,
            NAME_TAKEN,
            lambda: found.vmid if (found := self._look(gid, entry.name)) else None,
            f"VM {clean(entry.name)}",
        )

    def change(self, entry: VmEntry, vmid: int) -> None:
        """Change the VM from its present settings, which may have changed since the plan."""
        for number in range(CHANGES):
            info = self._client.show_vm(vmid=vmid)
            wanted = self._settings(entry) | self._attachments(entry.media, info.gid)
            changes = self._differing(info, wanted)
            if not changes:
                return
            try:
                answer = self._client.alter_vm(vmid=vmid, revision=info.revision, **changes)
            except ApiError as error:
                if error.code != OLD_REVISION or number == CHANGES - 1:
                    raise
            else:
                warn([*_waiting(answer), *(answer.warnings or [])])
                return

    def set_state(self, entry: VmEntry) -> None:
        found = self._look(self._places.now(entry.group), entry.name)
        if found is None:
            raise ClientError(
                f"VM {clean(entry.name)} in {entry.group} has been removed meanwhile: apply the file again"
            )
        self._client.set_vm_state(vmid=found.vmid, state=str(entry.state))
        if entry.state == State.STOPPED.value:
            state = wait_stopped(self._client, found.vmid, STOP_SECONDS)
            if state.state is not State.STOPPED:
                raise ClientError(
                    f"VM {clean(entry.name)} in {entry.group} is still {state.state.value} after {STOP_SECONDS:.0f} s: "
                    "stop it with --force, and apply the file again"
                )


def _waiting(answer: VmAltered) -> Iterator[str]:
    """The settings of a running VM that have not changed yet, and why."""
    for field in answer.waiting:
        why = (answer.waits or {}).get(field)
        yield f"at its next start: {field}{f' ({why})' if why else ''}"


def steps(vms: VmSteps, entry: VmEntry) -> Iterator[tuple[str, Any]]:
    """The steps for one VM, in words and as calls."""
    label = f"VM {clean(entry.name)} in {entry.group}"
    found = vms.find(entry)
    vms.check(entry)
    if found is None:
        yield f"create {label}", lambda: vms.create(entry)
    else:
        vmid = found.vmid
        yield from vms.to_its_host(entry, vmid)
        changes = vms.changed(entry, vmid)
        if changes:
            yield f"change {label}: {', '.join(changes)}", lambda: vms.change(entry, vmid)
    state = found.state if found else State.STOPPED
    if entry.state is not None and entry.state != state.value:
        verb = "start" if entry.state == "RUNNING" else "stop"
        yield f"{verb} {label}", lambda: vms.set_state(entry)
