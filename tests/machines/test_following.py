"""Consoles that follow their VM: what is typed while its host does not answer, or knows less than the server."""

from __future__ import annotations

import pytest

from velocity.hypervisor.port import ByteStream, HypervisorError, Unknown
from velocity.machines.consoles.following import FollowingStream

pytestmark = pytest.mark.anyio


class Typed:
    """A stream that says these pieces, and has what was written to it; `ended`: it takes no more."""

    def __init__(self, *pieces: bytes, fault: HypervisorError | None = None) -> None:
        self.written = b""
        self.ended = False
        self._pieces = list(pieces)
        self._fault = fault

    async def read(self) -> bytes:
        if not self._pieces and self._fault is not None:
            raise self._fault
        return self._pieces.pop(0) if self._pieces else b""

    async def write(self, data: bytes) -> None:
        if self.ended:
            raise Unknown("the host has ended this stream")
        self.written += data

    async def close(self) -> None:
        self.ended = True


async def nowhere() -> tuple[ByteStream, bool] | None:
    return None


async def heard(first: Typed, *following: tuple[Typed, bool]) -> list[bytes]:
    """What a viewer of the first stream hears until the end of the last one."""
    coming: list[tuple[ByteStream, bool]] = list(following)

    async def reopen() -> tuple[ByteStream, bool] | None:
        return coming.pop(0) if coming else None

    stream, found = FollowingStream(first, reopen, Host().type_in), list[bytes]()
    while data := await stream.read():
        found.append(data)
    return found


@pytest.mark.holds("MANY-188")
async def test_what_a_guest_says_on_another_host_is_heard_whole_although_it_said_the_like_before() -> None:
    assert await heard(Typed(b"# "), (Typed(b"ls\r\n# "), False)) == [b"# ", b"ls\r\n# "]


@pytest.mark.holds("MANY-188")
async def test_what_begins_with_what_was_heard_goes_on_behind_it() -> None:
    assert await heard(Typed(b"# "), (Typed(b"# ls\r\n# "), True)) == [b"# ", b"ls\r\n# "]
    long = b"".join(b"%04d " % number for number in range(1000))
    assert await heard(Typed(long), (Typed(long[-3000:] + b"new"), True)) == [long, b"new"]
    assert await heard(Typed(b"all"), (Typed(b"all", b"all"), True)) == [b"all", b"all"]


@pytest.mark.holds("CONSOLE-14", "MANY-188")
async def test_a_host_that_is_silent_ends_no_console_of_a_vm_that_has_left_it() -> None:
    silent = Typed(b"one ", fault=Unknown("there is no connection to the host"))
    assert await heard(silent, (Typed(b"two"), False)) == [b"one ", b"two"]
    with pytest.raises(Unknown, match="no connection"):  # of one that is there still: nobody knows that it has stopped
        await heard(Typed(b"one", fault=Unknown("there is no connection to the host")))


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


@pytest.mark.holds("MANY-186")
async def test_the_rest_of_what_was_taken_in_part_follows() -> None:
    stream, host = Typed(), Host(2, 0, 3, 1)
    await FollowingStream(stream, nowhere, host.type_in).write(b"typed")
    assert (host.typed, stream.written) == (b"typed", b"")


@pytest.mark.holds("MANY-186")
async def test_what_may_have_been_typed_is_not_typed_again_and_the_console_stays() -> None:
    stream, host = Typed(), Host(2, Unknown("the host does not respond"), 4)
    following = FollowingStream(stream, nowhere, host.type_in)
    await following.write(b"lost")
    await following.write(b"next")
    assert (host.typed, stream.written) == (b"lonext", b"")


@pytest.mark.holds("MANY-187")
async def test_a_host_of_the_version_before_takes_it_by_the_stream_and_one_that_has_ended_closes_nothing() -> None:
    stream = Typed()
    older = [HypervisorError("the Velocity of this host is older") for _ in range(2)]
    following = FollowingStream(stream, nowhere, Host(*older).type_in)
    await following.write(b"typed")
    assert stream.written == b"typed"
    stream.ended = True
    await following.write(b"more")
    assert stream.written == b"typed"
