"""The TCP connections of a live migration, made here and passed to the two QEMUs, which have no network.

The kernel closes connections that get no data through, even if both processes are alive. tcp(7), socket(7)
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hmac
import os
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from velocity.hypervisor.port import HypervisorError

SILENCE = 15
"""Seconds after which a connection is closed whose peer accepts no data; half of it until the first keepalive probe."""
GREETING = 32
"""Bytes at the beginning of the memory connection: they prove that the sender has the key."""
PATIENCE = 5.0
"""Seconds for connecting, and for receiving a greeting."""
STRANGERS = 16
"""Connections that may be waiting for their greeting."""
ESTABLISHED = "01"


class MovePorts(Struct, frozen=True):
    """The ports at which machines from other hosts arrive.

    `address`: listen at that one only; empty: at all. `idle`: seconds after which a waiting machine without a
    connection ends.
    """

    address: str = ""
    ports: range = range(8100, 8132)
    idle: float = 60.0

    def advertised(self) -> str:
        """The address by which other hosts find this one: that of the default route. Raises `HypervisorError`."""
        if self.address:
            return self.address
        for family, other in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
            with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
                one.connect((other, 9))  # which sends nothing
                return str(one.getsockname()[0])
        raise HypervisorError("this host has no address by which others reach it: set move_address")


@dataclass
class Ports:
    """The target's two listening sockets."""

    memory: socket.socket
    disks: socket.socket

    def close(self) -> None:
        self.memory.close()
        self.disks.close()


def listen(address: str, ports: range, forwarded: Collection[int] = ()) -> Ports:
    """Listen at that address, or at all, but at no port that leads to a guest. Raises `HypervisorError`."""
    free = (port for port in ports if port not in forwarded)
    made: list[socket.socket] = []
    try:
        while len(made) < 2:
            made.append(_listen(address, free))
    except BaseException:
        for one in made:
            one.close()
        raise
    return Ports(*made)


def _listen(address: str, ports: Iterator[int]) -> socket.socket:
    words = "all are taken"
    for port in ports:
        try:
            return patient(_server(address, port))
        except OSError as error:
            words = os.strerror(error.errno or errno.EADDRINUSE)
    raise HypervisorError(f"no port is free on this host for a machine that moves to it ({words}): see move_ports")


def _server(address: str, port: int) -> socket.socket:
    if address:
        return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise
        return socket.create_server(("", port))  # this host has no IPv6


def patient(one: socket.socket) -> socket.socket:
    """The same ports; accepted connections keep their own timeouts."""
    one.setblocking(False)
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE // 2),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, SILENCE // 6),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    ):
        one.setsockopt(level, option, value)
    return one


async def connect(address: str, port: int) -> socket.socket:
    """Raises `HypervisorError`."""
    loop = asyncio.get_running_loop()
    one = patient(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM))
    try:
        async with asyncio.timeout(PATIENCE):
            await loop.sock_connect(one, (address, port))
    except (OSError, TimeoutError) as error:
        one.close()
        why = (error.strerror if isinstance(error, OSError) else None) or "no answer"
        raise HypervisorError(
            f"the target host does not answer at {address}, port {port} ({why}): both hosts' firewalls must let the "
            "ports of its setting move_ports through"
        ) from None
    except BaseException:
        one.close()
        raise
    return one


def greeting(key: str) -> bytes:
    return hmac.digest(bytes.fromhex(key), b"memory", "sha256")


async def greeted(listener: socket.socket, key: str) -> socket.socket:
    """The first connection that begins with the greeting; all others are closed."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[socket.socket] = loop.create_future()
    waiting: set[asyncio.Task[None]] = set()

    async def hear(one: socket.socket) -> None:
        said = b""
        try:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while len(said) < GREETING and (more := await loop.sock_recv(one, GREETING - len(said))):
                        said += more
        finally:
            if hmac.compare_digest(said, greeting(key)) and not found.done():
                found.set_result(one)
            else:
                one.close()

    async def accept() -> None:
        while True:
            one, _ = await loop.sock_accept(listener)
            one.setblocking(False)
            if len(waiting) >= STRANGERS:
                one.close()
                continue
            task = asyncio.create_task(hear(one))
            waiting.add(task)
            task.add_done_callback(waiting.discard)

    accepting = asyncio.create_task(accept())
    try:
        return await found
    finally:
        accepting.cancel()
        for task in waiting:
            task.cancel()
        await asyncio.wait({accepting, *waiting})


def is_connected(port: int) -> bool:
    """Whether anybody is connected to a port of this host. Blocks: call it in a thread. proc(5), /proc/net/tcp"""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/net", table).read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == ESTABLISHED and int(local.rpartition(":")[2], 16) == port:
                    return True
    return False
