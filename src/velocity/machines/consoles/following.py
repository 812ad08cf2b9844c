"""Serial consoles that continue on the new host of a moved VM, without repeating output."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from velocity.hypervisor.port import ByteStream, HypervisorError, Unknown

TAIL = 256
"""Bytes by which the position of the viewer is found."""


class FollowingStream:
    """Implements `velocity.hypervisor.port.ByteStream`.

    `reopen` returns the stream on which to continue, and whether it begins with output of this one; None: the run has
    ended, or does not continue elsewhere. `type_in` returns how much of an input was typed on the VM's present host;
    the rest is typed on the next one.
    """

    def __init__(
        self,
        stream: ByteStream,
        reopen: Callable[[], Awaitable[tuple[ByteStream, bool] | None]],
        type_in: Callable[[bytes], Awaitable[int]],
    ) -> None:
        self._stream = stream
        self._reopen = reopen
        self._type_in = type_in
        self._heard = b""

    async def read(self) -> bytes:
        """Raises `Unknown` if its host no longer responds, and the VM is on no other one."""
        again = False
        while True:
            lost: HypervisorError | None = None
            try:
                data = await self._stream.read()
            except HypervisorError as error:
                data, lost = b"", error
            if data:
                if again:
                    data, again = unheard(data, self._heard), False
                if data:
                    self._heard = (self._heard + data)[-TAIL:]
                    return data
                continue
            following = await self._reopen()
            if following is None:
                if lost is not None:
                    raise lost
                return b""
            await self._stream.close()
            self._stream, again = following

    async def write(self, data: bytes) -> None:
        """Returns when all of it was typed, on whichever host. What a silent host may have typed is not repeated."""
        while data:
            try:
                data = data[await self._type_in(data) :]
            except Unknown:
                return
            except HypervisorError:  # a node of an older version, which takes input from the stream
                with contextlib.suppress(HypervisorError):
                    await self._stream.write(data)
                return

    async def close(self) -> None:
        await self._stream.close()


def unheard(said: bytes, heard: bytes) -> bytes:
    """The output after what was last heard; all of it, if that is not found in it."""
    at = said.rfind(heard) if len(heard) == TAIL else said.find(heard)
    return said if at < 0 or not heard else said[at + len(heard) :]
