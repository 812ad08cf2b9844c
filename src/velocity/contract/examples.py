"""An example of each request and response, for the OpenAPI document. A field without an example is an error."""

from __future__ import annotations

import enum
import types
import typing
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import UnsetType

from velocity.contract.operation import Wire

INCLUDED = {
    "OpenSession.name", "OpenSession.password", "ChangeUser.password", "ChangeUser.old_password", "SetQuota.cpus",
    "SetQuota.memory_mib", "AssignPool.quota", "AssignPool.write", "AssignPool.manage", "CreateVm.displays",
    "CreateVm.media", "CreateVm.nics", "CreateVm.autostart", "AlterVm.cpus", "AlterVm.memory_mib", "SetState.force",
    "ShowScreen.display", "Step.id", "Step.gid", "Step.changes", "FieldChange.old", "FieldChange.new",
    "Revocation.permission", "Consumption.cpus", "Quota.cpus", "Quota.memory_mib", "Display.ppi", "Attachment.readonly",
    "Forward.protocol",
    "FetchMedium.url", "HostInfo.unasked_writers", "Explanation.line", "Explanation.ask", "ImportMedium.mid",
    "Explain.vmid",
    "GuestInfo.agent", "GuestInfo.hostname", "GuestInfo.os", "GuestInfo.nics", "GuestInfo.filesystems",
    "GuestInfo.users", "GuestNic.mac", "GuestFilesystem.total", "GuestFilesystem.used", "Executed.exit_status",
    "SetNode.duty",
}  # fmt: skip
"""Optional fields that examples contain."""

_MID = "5f0c6f0e-6f0b-4c53-9f6e-0d6f2b1c7a10"
_REVISION = "1f7a2b9c"
_VALUES: dict[str, Any] = {
    "authkey": "q3mZ0v7Xk2", "csrf": "b81d02", "sid": "s4Jk", "link": "Vd81", "password": "correct horse battery",
    "old_password": "a former password", "address": "192.0.2.7", "agent": "curl/8.5", "description": "what it is for",
    "uid": 1, "gid": 0, "parent_gid": 0, "pid": 1, "mpid": 1, "nicid": 1, "vmid": 7, "tid": 3, "trid": 4, "hid": 120,
    "mid": _MID, "uuid": _MID, "member": 2, "name": "web", "revision": _REVISION, "created": 1767225600,
    "expires": 1767229200, "since": 1767225600, "begun": 1767225600, "ended": 1767225660, "taken": 1767225600,
    "deleted": 1767225600, "at": 1767225600, "cpus": 2, "memory_mib": 2048, "given_mib": 2048, "vms": 4, "bytes": 65536,
    "quota": 10737418240, "used": 1073741824, "free": 53687091200, "allocated": 268435456, "declared": 21474836480,
    "size": 1073741824, "length": 1073741824, "left": 10737418240, "width": 1280, "height": 720, "ppi": 96,
    "done": 524288, "total": 1048576, "unit": "bytes", "display": "main", "line": "login:", "text": "login:",
    "ticket": "Zk1p", "path": "/v/vm/console/Zk1p", "format": "raw", "type": "DISK", "machine_type": "pc-q35-9.2",
    "firmware": "edk2-2024.05", "hardware": "2", "input": "virtio", "max_cpus": 4, "max_memory_mib": 8192,
    "cpus_given": 3, "memory_given_mib": 4096, "max_vm_cpus": 255,
    "CreateVm.cpu": "best", "AlterVm.cpu": "best", "VmInfo.cpu": "best", "wanted": "RUNNING", "waiting": "memory_mib",
    "cause": "guest-shutdown", "message": "the guest powered itself off", "notes": "", "permission": "velocity.vm.view",
    "operation": "set_vm_state", "identifier": "eth0", "permissions": "velocity.vm.view", "cpu": 12.5,
    "disk_read": 4096, "disk_written": 8192, "interval": 10, "argv": "qemu-system-x86_64", "version": "1.0",
    "load": 0.5, "memory_free_mib": 8192, "uptime": 86400, "hypervisor": "QEMU 9.2", "accelerator": "kvm",
    "accelerator_reason": "", "running": 3, "run": 2, "request": "01JGF", "target": "vm 7", "status": 200,
    "kind": "import", "png": "iVBORw0KGgo=", "field": "cpus", "old": 1, "new": 2, "id": 7,
    "warnings": "it has no bootable medium", "nics": "NAT", "media": _MID, "architectures": "x86_64", "gaps": "",
    "namespaces": "mount", "Display.name": "main", "Attachment.mode": "BLOCK", "Nic.type": "NAT", "Nic.host": 1,
    "VmInfo.type": "EFI", "SetState.state": "RUNNING", "UploadMedium.type": "ISO",
    "PermissionInfo.name": "velocity.vm.view", "SignIn.name": "root", "GivenName.name": "root",
    "HostNic.description": "the wired network", "TrashItem.id": "7", "HostInfo.load": [0.5, 0.4, 0.3],
    "received": 524288, "heard": 1767225630, "spread": "", "together": "", "host_labels": "disk=ssd", "start_order": 0,
    "spans": "hour", "vmids": 7, "cpu_use": 12.5, "certificate_expires": 1798761600, "running_since": 1767225600,
    "mac": "52:54:00:12:34:56", "title": "Debian 13", "architecture": "x86_64", "server": "cloud.example",
    "user": "debian", "trust": "tls", "origin": "5b1f0c9d2e7a4c36", "secrets": "password_hash", "FetchMedium.url": "https://cloud.example/disk.qcow2",
    "stdout": "aGVsbG8K", "stderr": "", "command": "uname", "keys": "ssh-ed25519 AAAAC3Nz me@example",
    "SetGuestPassword.password": "correct horse battery", "ReadGuestFile.path": "/etc/hostname", "hostname": "web",
    "WriteGuestFile.path": "/etc/hostname", "WriteGuestFile.content": "d2ViCg==", "GuestFilePiece.content": "d2ViCg==",
    "host_port": 2222, "guest_port": 22, "protocol": "tcp",
    "GuestInfo.agent": "7.2.0", "os": "Debian GNU/Linux 12 (bookworm)", "addresses": "192.0.2.7/24", "mountpoint": "/",
    "GuestFrozen.filesystems": 2, "GuestThawed.filesystems": 2, "frozen_until": 1767225660,
    "GuestNic.name": "eth0", "GuestFilesystem.type": "ext4", "GuestUser.name": "root", "exit_status": 0,
    "Consumption.cpus": 1, "PoolInfo.name": "default", "HostPool.name": "default", "Step.name": "web",
    "host": 2, "NodeInfo.name": "b", "JoinNode.name": "b", "Joined.name": "b", "duty": "active",
    "NodeInfo.labels": {"rack": "a"}, "SetNode.labels": {"rack": "a"}, "NodePool.name": "b", "urls": "https://a.example:8090",
    "NodeInfo.address": "192.0.2.8:8091", "JoinNode.address": "192.0.2.8:8091", "Token.token": "vnt1.k9kgaHR0cHM6",
    "JoinNode.token": "5c" * 32, "proof": "a7" * 32, "joined": 1767225600, "NodeInfo.hostname": "b",
    "JoinNode.request": "-----BEGIN CERTIFICATE REQUEST-----", "certificate": "-----BEGIN CERTIFICATE-----",
    "authority": "-----BEGIN CERTIFICATE-----", "SetFence.agent": "fence_ipmilan",
    "NodeFence.agent": "fence_ipmilan", "NodeFence.options": {"ip": "192.0.2.9"}, "NodeDeath.by": "root",
}  # fmt: skip
"""Field, or type and field -> its example; for lists, that of an element."""


def example(kind: type[Wire]) -> dict[str, Any]:
    """The example of a type, as JSON. Raises `LookupError` for a field without one."""
    fields = {f"{kind.__name__}.{one.name}": one for one in msgspec.structs.fields(kind)}
    return {one.name: _value(key, one.type) for key, one in fields.items() if one.required or key in INCLUDED}


def _value(key: str, kind: Any) -> Any:
    if key in _VALUES:
        return _VALUES[key]
    (kind, *_) = (one for one in _options(kind) if one is not UnsetType)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return [_value(key, arguments[0])]
    if origin is Literal:
        return arguments[0]
    if kind is bool:
        return True
    if isinstance(kind, type) and issubclass(kind, Wire):
        return example(kind)
    name = key.partition(".")[2]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _VALUES.get(name, next(iter(kind)).value)
    return _VALUES[name]


def _options(kind: Any) -> tuple[Any, ...]:
    """The members of a union, without annotations."""
    if typing.get_origin(kind) is Annotated:
        return _options(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (Union, types.UnionType):
        return tuple(option for one in typing.get_args(kind) for option in _options(one))
    return (kind,)
