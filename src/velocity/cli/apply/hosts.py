"""The hosts in an apply file: settings of joined hosts, and the hosts of VMs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import UNSET, UnsetType

from velocity.cli import resolve
from velocity.cli.apply.file import FenceEntry, HostEntry, VmEntry, password
from velocity.cli.output import NameNotFound
from velocity.cli.task import watch
from velocity.cli.words import clean, program
from velocity.client import Client, ClientError
from velocity.contract.machines import VmInfo
from velocity.contract.nodes import NodeInfo
from velocity.contract.tasks import TaskState


class HostSteps:
    """The steps for hosts, which are known by their names. No host is created or renamed."""

    def __init__(self, client: Client, base: Path) -> None:
        """Paths are relative to `base`."""
        self._client = client
        self._base = base

    def steps(self, entry: HostEntry) -> Iterator[tuple[str, Callable[[], object]]]:
        """The steps, in words and as calls. Raises `ClientError` if the host has not joined."""
        try:
            host = resolve.host(self._client, entry.name)
        except NameNotFound:
            raise ClientError(
                f"there is no host {clean(entry.name)!r}, and apply does not add hosts: let it join first "
                f"(`{program()} node token`)"
            ) from None
        now = self._client.show_node(host=host)
        changes = {field: value for field, value in _said(entry).items() if value != getattr(now, field)}
        if changes:
            words = ", ".join(f"{field} {_words(value)}" for field, value in changes.items())
            yield f"change host {clean(entry.name)}: {words}", partial(self._client.set_node, host=host, **changes)
        if entry.fence is not None and not _is_so(entry.fence, now):
            named = ", ".join(clean(one) for one in sorted(_options(entry.fence))) or "none"
            words = f"fence agent {clean(entry.fence.agent)}, with the options {named}"
            yield f"change host {clean(entry.name)}: {words}", partial(self._set_fence, host, entry.fence)

    def _set_fence(self, host: int, fence: FenceEntry) -> None:
        secrets = {name: password(self._base / file) for name, file in fence.secret_files.items()}
        self._client.set_fence(host=host, agent=fence.agent, options={**fence.options, **secrets})

    def wanted(self, entry: VmEntry) -> dict[str, int]:
        """The host for a new VM. Raises `ClientError`."""
        return {} if entry.host is None else {"host": resolve.host(self._client, entry.host)}

    def move(self, entry: VmEntry, info: VmInfo) -> Iterator[tuple[str, Callable[[], object]]]:
        """The step that moves a VM to the host in the file, running or stopped."""
        wanted = self.wanted(entry)
        if not wanted or info.host is UNSET or info.host.id == wanted["host"]:
            return

        def go() -> None:
            started = self._client.move_vm_to_host(vmid=info.vmid, host=wanted["host"])
            ended = watch(self._client, started.tid)
            if ended.state is not TaskState.DONE:
                raise ClientError(f"VM {clean(entry.name)} is not on {clean(entry.host)}: {clean(ended.message or '')}")

        here = f"from host {clean(info.host.name)} to {clean(entry.host)}"
        yield f"move VM {clean(entry.name)} in {entry.group} {here}", go


def _options(fence: FenceEntry) -> set[str]:
    return fence.options.keys() | fence.secret_files.keys()


def _is_so(wanted: FenceEntry, now: NodeInfo) -> bool:
    """Whether the fence is as wanted, except for the values of secrets, which are not shown."""
    if isinstance(now.fence, UnsetType) or now.fence.agent != wanted.agent:
        return False
    told = now.fence.options
    same = all(told[name] == value for name, value in wanted.options.items() if name in told)
    return same and _options(wanted) == told.keys() | set(now.fence.secrets)


def _said(entry: HostEntry) -> dict[str, Any]:
    said = {"duty": entry.duty, "labels": entry.labels, "address": entry.address}
    return {field: value for field, value in said.items() if value is not None}


def _words(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{clean(key)}={clean(one)}" for key, one in value.items()) or "none"
    return clean(value)
