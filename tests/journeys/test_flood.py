"""What a guest says reaches the console and the log whole, however the server fares meanwhile."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.journeys.conftest import Lasting
from tests.journeys.server import Server, Terminal

pytestmark = pytest.mark.guest

FIRST = 100_000
LINES = {"short": 30_000, "whole": 520_000}
"""How many; each one has eight bytes on a terminal. A guest under emulation says some 50 KB in a second."""


def come(server: Server, terminal: Terminal, until: bytes, seconds: float) -> bytes:
    """What is said up to the mark, read as it comes; meanwhile the server stands still for three seconds."""
    pieces, tail = [terminal.seen], b""
    stood, end = False, time.monotonic() + seconds
    while until not in tail + pieces[-1]:
        assert time.monotonic() < end, (sum(map(len, pieces)), pieces[-1][-200:])
        tail = (tail + pieces[-1])[-64:]
        data = terminal.socket.recv(60)
        assert isinstance(data, bytes)
        pieces.append(data)
        if not stood and sum(map(len, pieces)) > 20_000:
            stood = True
            assert server.process is not None
            os.kill(server.process.pid, signal.SIGSTOP)
            time.sleep(3)
            os.kill(server.process.pid, signal.SIGCONT)
    terminal.close()
    return b"".join(pieces)


@pytest.mark.holds("BOUND-2")
@pytest.mark.whole
def test_numbered_lines_come_whole_over_a_server_that_stands_still_and_one_that_is_killed(
    lasting: Lasting, whole: bool
) -> None:
    count = LINES["whole" if whole else "short"]
    server, vmid = lasting.server, lasting.vmid
    terminal = server.console(vmid)
    middle, last = FIRST + count // 2, FIRST + count
    terminal.type(f"echo BEG''UN; seq {FIRST} {last}; echo EN''D\n")
    before = come(server, terminal, b"%d\r\n" % middle, 600)
    server.kill()
    time.sleep(1)
    server.start()
    again = server.console(vmid)
    after = come(server, again, b"END", 600)

    expected = b"".join(b"%d\r\n" % number for number in range(FIRST, last + 1)) + b"END"
    first = before.partition(b"BEGUN\r\n")[2]
    assert expected.startswith(first), "nothing is lost or doubled up to the kill"
    assert expected.endswith(after.partition(b"END")[0] + b"END"), "nor from the replay to the end"
    assert len(after) > 60 << 10, "the console begins with what was said before"
    log = server.ok("POST", "/v/vm/log", vmid=vmid, bytes=1 << 20)["text"].encode()
    kept = log.partition(b"BEGUN\r\n")[2] or log
    assert kept.partition(b"END")[0] + b"END" in expected, "nor in the log"
    assert len(kept) > min(len(expected), 1 << 20) - 1000
