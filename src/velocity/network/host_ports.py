"""Whether a port of this host can be forwarded: a process that uses it could not be reached any more."""

from __future__ import annotations

import errno
import socket
from typing import Protocol


class PortForward(Protocol):
    """A port of the host forwarded to a guest's; an empty `host_address` means all of the host's (IPv4)."""

    @property
    def host_port(self) -> int: ...
    @property
    def guest_port(self) -> int: ...
    @property
    def protocol(self) -> str: ...
    @property
    def host_address(self) -> str: ...


def words(one: PortForward) -> str:
    """The host's end, for people."""
    port = f"{one.host_port}/{one.protocol}"
    return f"{one.host_address}:{port}" if one.host_address else port


def hindrance(one: PortForward) -> str:
    """Why it cannot be forwarded now, with the cure; empty: it can."""
    kind = socket.SOCK_STREAM if one.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as plug:
        if one.protocol == "tcp":  # what a connection has left behind keeps nobody waiting
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            plug.bind((one.host_address, one.host_port))
        except OSError as error:
            return _why(one, error)
    return ""


def _why(one: PortForward, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            look = f"ss -{'lt' if one.protocol == 'tcp' else 'lu'}np sport = :{one.host_port}"
            return f"a process of the host has its port {words(one)} (`{look}`): stop that, or forward another port"
        case errno.EADDRNOTAVAIL:
            return f"the host has no address {one.host_address}: forward a port of one that it has"
        case errno.EACCES:
            return f"the port {words(one)} is for root alone: forward one from 1024 on"
    return f"the host's port {words(one)} cannot be forwarded: {error.strerror}"
