"""Makes the answers of guest agents presentable: counts and lengths bounded, texts safe to show. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from velocity.contract.guests import GuestFilesystem, GuestInfo, GuestNic, GuestUser
from velocity.machines.guest.agents import shown

NICS, ADDRESSES, FILESYSTEMS, USERS = 64, 64, 256, 256
"""The most that are shown; of addresses, for one NIC."""
MOST = 2**63 - 1
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


NETWORK = "guest-network-get-interfaces"


class Version(msgspec.Struct):
    version: str


class _Hostname(msgspec.Struct, rename="kebab"):
    host_name: str


class _System(msgspec.Struct, rename="kebab"):
    pretty_name: str = ""
    name: str = ""
    version: str = ""
    kernel_release: str = ""


class _Address(msgspec.Struct, rename="kebab"):
    ip_address: str
    prefix: int


class ToldNic(msgspec.Struct, rename="kebab"):
    name: str
    hardware_address: str = ""
    ip_addresses: list[_Address] = []


class _Filesystem(msgspec.Struct, rename="kebab"):
    mountpoint: str
    type: str
    used_bytes: int | None = None
    total_bytes: int | None = None


class _User(msgspec.Struct, rename="kebab"):
    user: str
    login_time: float | None = None


class Described:
    """What has been reported so far."""

    def __init__(self, vmid: int, version: Version) -> None:
        self.info = GuestInfo(vmid=vmid, agent=shown(version.version))

    def hostname(self, told: _Hostname) -> None:
        self._put(hostname=shown(told.host_name))

    def system(self, told: _System) -> None:
        name = told.pretty_name or f"{told.name} {told.version}".strip()
        self._put(os=shown(name) or UNSET, kernel=shown(told.kernel_release) or UNSET)

    def nics(self, told: list[ToldNic]) -> None:
        self._put(nics=nics(told))

    def filesystems(self, told: list[_Filesystem]) -> None:
        self._put(filesystems=[_filesystem(one) for one in told[:FILESYSTEMS]])

    def users(self, told: list[_User]) -> None:
        self._put(users=[_user(one) for one in told[:USERS]])

    def _put(self, **fields: Any) -> None:
        self.info = msgspec.structs.replace(self.info, **fields)


def nics(told: list[ToldNic]) -> list[GuestNic]:
    """The NICs, in presentable form."""
    return [_nic(one) for one in told[:NICS]]


def described(told: Described) -> Iterator[tuple[str, Any, Callable[[Any], None]]]:
    """The commands, with the type of their answers, and what takes them."""
    yield "guest-get-host-name", _Hostname, told.hostname
    yield "guest-get-osinfo", _System, told.system
    yield NETWORK, list[ToldNic], told.nics
    yield "guest-get-fsinfo", list[_Filesystem], told.filesystems
    yield "guest-get-users", list[_User], told.users


def _nic(one: ToldNic) -> GuestNic:
    mac = one.hardware_address.lower()
    addresses = [found for address in one.ip_addresses[:ADDRESSES] if (found := _address(address))]
    return GuestNic(name=shown(one.name), addresses=addresses, mac=mac if MAC.fullmatch(mac) else UNSET)


def _address(one: _Address) -> str | None:
    """The address in its usual form; None if it is none."""
    try:
        return str(ipaddress.ip_interface((one.ip_address, one.prefix)))
    except ValueError:
        return None


def _filesystem(one: _Filesystem) -> GuestFilesystem:
    return GuestFilesystem(
        mountpoint=shown(one.mountpoint),
        type=shown(one.type),
        total=_bytes(one.total_bytes),
        used=_bytes(one.used_bytes),
    )


def _bytes(count: int | None) -> Any:
    return count if count is not None and 0 <= count <= MOST else UNSET


def _user(one: _User) -> GuestUser:
    since = one.login_time
    return GuestUser(name=shown(one.user), since=int(since) if since is not None and 0 <= since < 2**40 else UNSET)
