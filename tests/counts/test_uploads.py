"""What an upload costs the server's process."""

from __future__ import annotations

import http.client
import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from tests.journeys.server import Server

MIB = 256
PIECE = os.urandom(1 << 20)


def faults(pid: int) -> int:
    """Pages that the kernel had to give the process so far, and all its threads. proc_pid_stat(5), minflt"""
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text[text.rindex(")") + 2 :].split()[7])


def upload(server: Server, name: str, mib: int) -> None:
    headers = {
        "authorization": f"Bearer {server.key}",
        "content-length": str(mib << 20),
        "x-velocity-mpid": "1",
        "x-velocity-gid": "0",
        "x-velocity-name": name,
        "x-velocity-type": "DISK",
        "x-velocity-readonly": "false",
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("PUT", "/m/media/upload", (PIECE for _ in range(mib)), headers)
    answer = json.load(connection.getresponse())
    connection.close()
    assert answer["size"] == mib << 20, answer


@pytest.mark.holds("BOUND-14")
@pytest.mark.guest
def test_an_upload_gets_no_page_for_what_it_reads(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made of the minor page faults of `velocity serve`; a GiB is 262,144 pages.

    What begins beside an upload (a thread, its stack) adds pages to one; what is paid by the byte is in each: the least
    of two later ones counts. They are large, as each also has buffers of its own, of a MiB or two.

    glibc keeps buffers by itself once a large one was given back, which is luck: here it does so only where serve says
    so. mallopt(3)
    """
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072")
    server = Server(tmp_path / "data", runtime_dir=str(runtime))
    server.start()
    try:
        assert server.process is not None
        counted = [faults(server.process.pid)]
        for name in ("first", "second", "third"):
            upload(server, name, MIB)
            counted.append(faults(server.process.pid))
    finally:
        server.close()
    first, *later = (after - before for before, after in pairwise(counted))
    assert first * os.sysconf("SC_PAGE_SIZE") < 8 << 20, "no memory without a page"
    assert min(later) * 1024 // MIB < 4096, "of a GiB, once it has its buffers"
