"""Consoles that follow their VM: what is typed while its host does not answer, or knows less than the server."""

from __future__ import annotations

import pytest

from velocity.hypervisor.port import ByteStream, HypervisorError, Unknown
from velocity.machines.following import FollowingStream

pytestmark = pytest.mark.anyio


class Typed:
    """A stream that has what was written to it; `ended`: it takes no more."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = False

    async def read(self) -> bytes:
        return b""

    async def write(self, data: bytes) -> None:
        if self.ended:
            raise Unknown("the host has ended this stream")
        self.written += data

    async def close(self) -> None:
        self.ended = True


async def nowhere() -> ByteStream | None:
    return None


class Host:
    """Takes so many bytes in each of the next calls, or fails so."""

    def __init__(self, *answers: int | HypervisorError) -> None:
        self.typed = b""
        self._answers = list(answers)

    async def type_in(self, data: bytes) -> int:
        answer = self._answers.pop(0)
        if isinstance(answer, HypervisorError):
            raise answer
        self.typed += data[:answer]
        return answer


@pytest.mark.holds("MANY-312")
async def test_the_rest_of_what_was_taken_in_part_follows() -> None:
    stream, host = Typed(), Host(2, 0, 3, 1)
    await FollowingStream(stream, nowhere, host.type_in).write(b"typed")
    assert (host.typed, stream.written) == (b"typed", b"")


@pytest.mark.holds("MANY-312")
async def test_what_may_have_been_typed_is_not_typed_again_and_the_console_stays() -> None:
    stream, host = Typed(), Host(2, Unknown("the host does not respond"), 4)
    following = FollowingStream(stream, nowhere, host.type_in)
    await following.write(b"lost")
    await following.write(b"next")
    assert (host.typed, stream.written) == (b"lonext", b"")


@pytest.mark.holds("MANY-313")
async def test_a_host_of_the_version_before_takes_it_by_the_stream_and_one_that_has_ended_closes_nothing() -> None:
    stream = Typed()
    older = [HypervisorError("the Velocity of this host is older") for _ in range(2)]
    following = FollowingStream(stream, nowhere, Host(*older).type_in)
    await following.write(b"typed")
    assert stream.written == b"typed"
    stream.ended = True
    await following.write(b"more")
    assert stream.written == b"typed"
