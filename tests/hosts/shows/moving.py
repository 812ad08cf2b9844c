"""A guest that computes and writes, and goes from host to host."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.hosts.namespaces import RealHosts
from tests.hosts.shows.looking import Shell, phase
from tests.patience import at_last
from velocity.cli.demo.guest import Guest
from velocity.contract.tasks import TaskState
from velocity.contract.vm_settings import Attachment

MIB = 1 << 20
SHARED = 7
"""The pool that both hosts have."""
SECRET = "of-this-guest-alone"


class Moving:
    """Two hosts with a shared pool, and a guest that has a disk in its host's own pool and computes."""

    def __init__(self, hosts: RealHosts, guest: Guest, storage: Path) -> None:
        self.hosts, self.client = hosts, hosts.client
        iso = self.client.upload(guest.iso, mpid=SHARED, gid=0, name="iso", type="CDROM", readonly=True).mid
        self.mid = self.client.create_medium(mpid=1, gid=0, name="disk", size=16 * MIB).mid
        media = [Attachment(mid=iso, mode="VIRTIO"), Attachment(mid=self.mid, mode="BLOCK")]
        self.storage = storage
        self.tid = 0
        self.vmid = self.client.create_vm(
            name="goes", gid=0, cpus=1, memory_mib=256, media=media, host=hosts.number("a")
        ).vmid
        self.client.set_vm_state(vmid=self.vmid, state="RUNNING")
        (self.uuid,) = hosts.running()
        self.shell = Shell(hosts.console(self.vmid))
        self.shell.boot()
        self.shell.run(f"yes {SECRET} | head -c 1000000 >/tmp/secret; dd if=/tmp/secret of=/dev/vda bs=1M seek=4")
        self.shell.begin_ticks()

    def looks_anew(self) -> None:
        """By another console: who has typed on one that is open has the keyboard."""
        console = self.hosts.console(self.vmid)
        self.shell.close()
        self.shell = Shell(console)

    def where(self) -> list[str]:
        return self.hosts.running().get(self.uuid, [])

    def to(self, host: str) -> None:
        """Have it there, if it is not."""
        if self.where() != [host]:
            self.begin(host)
            assert self.ended() is TaskState.DONE
            at_last(lambda: self.where() == [host], "the end of what it left")
            self.shell.goes_on()

    def begin(self, host: str) -> None:
        self.tid = self.client.move_vm_to_host(vmid=self.vmid, host=self.hosts.number(host)).tid

    def ended(self, tid: int | None = None) -> TaskState:
        """What has become of the move, or of that task."""
        of = self.tid if tid is None else tid
        at_last(lambda: self.client.show_task(tid=of).state is not TaskState.RUNNING, "the end of the task")
        return self.client.show_task(tid=of).state

    def is_handed_over(self) -> None:
        """Returns as that begins: it stands still at a, or goes on at b already."""
        at_last(lambda: phase(self.hosts["a"], self.uuid) not in (None, "sending"), "that it is handed over")

    def committed(self) -> bool:
        """Whether the database says that the VM is at the target, where the source may have it yet."""
        with closing(sqlite3.connect(self.hosts["a"].data / "velocity.db")) as database:
            return database.execute("select phase from host_moves").fetchall() == [("done",)]

    def has_variables(self) -> bool:
        """Whether the server has a copy of its firmware variables."""
        with closing(sqlite3.connect(self.hosts["a"].data / "velocity.db")) as database:
            return bool(database.execute("select machine from firmware_variables").fetchall())

    def is_whole(self, there: str) -> None:
        """It runs on that host, which alone has something of it, and is known to."""
        at_last(lambda: self.hosts.client.show_vm(vmid=self.vmid).host.name == there, "where it is")
        at_last(lambda: self.hosts.state(self.vmid) == "RUNNING", "its state")
        (left,) = {"a", "b"} - {there}
        at_last(lambda: self.files(left) == [] and self.own(left) == [], "the removal of what the other one had")

    def shares(self) -> Path:
        """The file of its disk, in the shared pool."""
        if not list(self.storage.glob(f"{self.mid}*")):
            tid = self.client.move_medium(mid=self.mid, mpid=SHARED).tid
            assert tid, "it moves as a task"
            assert self.ended(tid) is TaskState.DONE
        (file,) = self.storage.glob(f"{self.mid}*")
        return file

    def inside(self) -> str:
        """The SHA-256 of the first MiB, as the guest has it once it has stopped writing."""
        self.shell.run("touch /tmp/halt; wait %2; rm /tmp/halt; echo 3 >/proc/sys/vm/drop_caches")
        said = self.shell.run("dd if=/dev/vda bs=1M count=1 2>/dev/null | sha256sum")
        return str(re.findall(r"[0-9a-f]{64}", said)[-1])

    def files(self, host: str) -> list[Path]:
        """Of its disk, in that host's own pool."""
        return list(self.hosts[host].place.rglob(f"{self.mid}*"))

    def takes(self, host: str) -> int:
        """Bytes that its disk takes of that host's own pool."""
        (file,) = self.files(host)
        return file.stat().st_blocks * 512

    def own(self, host: str) -> list[Path]:
        """What the host has of its runs."""
        return list((self.hosts[host].files / "run/velocity").glob(f"*/{self.uuid}*"))
