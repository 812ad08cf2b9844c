"""Serial consoles that continue on the new host of a moved VM, without repeating output."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from velocity.hypervisor.port import ByteStream, HypervisorError, Unknown

TAIL = 256
"""Bytes by which it is found how far the viewer has heard."""


class FollowingStream:
    """Implements `velocity.hypervisor.port.ByteStream`.

    `reopen` gives the stream on which it goes on, and whether that begins with what was said on this one; None: it has
    ended, or does not go on elsewhere. `type_in` says how much of something was typed on the host that the VM is on, so
    that what was not is typed on the next one.
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
        """Raises `Unknown`: its host does not answer any more, and the VM is on no other one."""
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
        """Returns when all of it was typed, wherever. What may have been, as a host was silent, is not once more."""
        while data:
            try:
                data = data[await self._type_in(data) :]
            except Unknown:
                return
            except HypervisorError:  # the node there is of the version before, which takes it by the stream
                with contextlib.suppress(HypervisorError):
                    await self._stream.write(data)
                return

    async def close(self) -> None:
        await self._stream.close()


def unheard(said: bytes, heard: bytes) -> bytes:
    """What is behind what was heard last; all of it, where that is not found. A little is all that had been said."""
    at = said.rfind(heard) if len(heard) == TAIL else said.find(heard)
    return said if at < 0 or not heard else said[at + len(heard) :]
