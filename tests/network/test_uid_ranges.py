"""Two servers on one host whose uids overlap: the packet filter of one stops the DHCP of the other, so it is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.root import as_root
from velocity.hypervisor.qemu.uid_ranges import APART, overlaps

ROOT = Path(__file__).parents[2]

PROGRAM = """
import subprocess, sys
from pathlib import Path
from velocity.cli.doctor import _nat
from velocity.config import Settings
from velocity.hypervisor.qemu.options import options
from velocity.network import fence

def told(uid_base):
    chosen = options(Settings(data_dir=Path(sys.argv[1]), accelerator="tcg", uid_base=uid_base))
    return [one.text for one in _nat(chosen) if (one.what, one.verdict) == ("uid_base", "limited")]

for start in (900_020_000, 900_025_000, 900_050_000):
    fence.raise_fence(range(start, start + 10_000))
for own, other in ((900_020_000, 900_025_000), (900_025_000, 900_020_000)):
    (text,) = told(own)
    assert f"the uids of this server, {own} to {own + 10_031}, and those of another one, from {other} on" in text, text
    assert "give each server of this host a uid_base at least 10,032 apart" in text
assert [one.count("from 900050000 on") for one in told(900_050_000 + 10_031)] == [1]
assert told(900_050_000) == told(900_050_000 + 10_032) == told(900_050_000 - 10_032) == []
(text,) = told(900_020_000)
subprocess.run(text.split("`")[1].split(), check=True)
assert told(900_020_000) == [], "the cure that it names"
"""


@as_root("network namespaces")
@pytest.mark.holds("NAT-22")
def test_ranges_of_uids_that_overlap_are_told_with_the_cure(tmp_path: Path) -> None:
    command = ["unshare", "--net", sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


@as_root("processes under other uids")
@pytest.mark.holds("NAT-22")
def test_a_guest_of_another_server_under_a_uid_of_this_one_is_told(tmp_path: Path) -> None:
    """As of servers that have the same `uid_base`, and so the same packet filter."""
    uids, claims = range(10**9, 10**9 + 10_000), tmp_path / "uids"
    assert list(overlaps(uids, "mine", claims)) == [], "there is none yet"
    claims.mkdir()
    for uid, run in ((uids.start, "mine/1"), (uids.start + APART, "its/2"), (uids.start - 1, "its/3")):
        (tmp_path / run).mkdir(parents=True)
        (claims / str(uid)).symlink_to(tmp_path / run)
    (claims / str(uids.start + 1)).symlink_to(tmp_path / "gone" / "4")
    assert list(overlaps(uids, "mine", claims)) == [], "of this server, outside, or gone"
    uid, its = uids.start + 2, tmp_path / "its" / str(uuid4())
    its.mkdir()
    (claims / str(uid)).symlink_to(its)
    assert list(overlaps(uids, "mine", claims)) == [], "its process has ended, as after a crash"
    guest = ["/bin/sh", "-c", "read end", "sh", "-pidfile", f"{its}/own/pid"]
    with subprocess.Popen(guest, stdin=subprocess.PIPE, user=uid, cwd="/") as process:
        (text,) = overlaps(uids, "mine", claims)
        assert process.stdin is not None
        process.stdin.close()
    assert (
        f"a guest of another server ({tmp_path}/its) runs under a uid of this one, {uids.start + 2}: give each" in text
    )
