"""A Ceph cluster of one monitor and one OSD in memory, for tests: real daemons, in one directory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from tests.reserved import reserved

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "rbd", "monmaptool", "qemu-storage-daemon")
PORT = 3300
WAIT = 120.0
"""Seconds for what takes few, on however slow a host."""
FULL, ROOM = ("0.0000001", "0.0000002", "0.0000003"), ("0.85", "0.9", "0.95")
"""Of how much of it Ceph warns, moves nothing there any more, and takes nothing any more."""
SETTINGS = """[global]
fsid = {fsid}
mon_host = v2:{address}:{port}
public_addr = {address}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
osd_crush_chooseleaf_type = 0
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
paxos_propose_interval = 0.05
osd_heartbeat_interval = 1
osd_objectstore = memstore
memstore_device_bytes = 2147483648
ms_bind_msgr1 = false
ms_async_op_threads = 1
osd_op_num_shards = 1
osd_op_num_threads_per_shard = 2
mon_data = {path}/mon
osd_data = {path}/osd
run_dir = {path}
admin_socket = {path}/$name.asok
log_file = {path}/$name.log
mon_cluster_log_file = {path}/cluster.log
pid_file =
keyring = {path}/$name.keyring
"""


def lacking() -> str:
    """What this machine has not that a cluster and its pools need; empty: nothing."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"needs {', '.join(missing)}: install ceph-mon ceph-osd ceph-common qemu-block-extra"
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "needs root, and /dev/fuse"
    places = (Path("/usr/lib"), Path("/usr/lib64"))
    if not any(one for place in places for one in place.glob("**/block-rbd.so")):
        return "needs QEMU with RBD: install qemu-block-extra"
    return ""


class Ceph:
    """One cluster. `path` is to be short: sockets are in it."""

    def __init__(self, path: Path, address: str = "127.0.0.1", inside: Sequence[str] = ()) -> None:
        """`inside`: what its programs are begun with, to be in another network."""
        self._inside = inside
        self.path = path
        self.conf = path / "ceph.conf"
        self._address = address
        self._place = reserved()
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for directory in (self.path, self.path / "mon", self.path / "osd"):
            directory.mkdir(parents=True, exist_ok=True)
        fsid = str(uuid4())
        port = PORT if self._inside else self._place.getsockname()[1]
        self.conf.write_text(SETTINGS.format(fsid=fsid, address=self._address, port=port, path=self.path))
        mon, admin = self.path / "mon.keyring", self.path / "client.admin.keyring"
        every = [word for kind in ("mon", "osd", "mgr") for word in ("--cap", kind, "allow *")]
        self._run("ceph-authtool", "-C", mon, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", "-C", admin, "--gen-key", "-n", "client.admin", *every)
        self._run("ceph-authtool", mon, "--import-keyring", admin)
        monmap = self.path / "monmap"
        at = f"[v2:{self._address}:{port}]"
        self._run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "m", at, monmap)
        self._once("ceph-mon", "--mkfs", "-i", "m", "--monmap", monmap, "--keyring", mon)
        self._begin("mon", "ceph-mon", "-i", "m", "--keyring", mon)
        self._start_osd()
        self.ceph("osd", "pool", "create", "vm", "8")
        self.admin("rbd", "pool", "init", "vm")
        self.user("velocity")

    def _start_osd(self) -> None:
        uuid, keyring = str(uuid4()), self.path / "osd.0.keyring"
        self._run("ceph-authtool", "-C", keyring, "--gen-key", "-n", "osd.0", "--cap", "osd", "allow *", "--cap", "mon",
            "allow profile osd")  # fmt: skip
        key = self._run("ceph-authtool", "-p", "-n", "osd.0", keyring).strip()
        self.ceph("osd", "new", uuid, "0", "-i", "-", given=json.dumps({"cephx_secret": key}))
        shutil.copy(keyring, self.path / "osd" / "keyring")
        self._once("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", uuid)
        self._begin("osd", "ceph-osd", "-i", "0")
        end = time.monotonic() + WAIT
        while not json.loads(self.ceph("osd", "stat", "--format=json"))["num_up_osds"]:
            assert time.monotonic() < end, "the OSD does not come up"
            time.sleep(0.1)

    def user(self, name: str) -> None:
        """One that may do in pool `vm` what docs/placement.md gives to a server."""
        mon = 'profile rbd, allow command "osd blocklist" with blocklistop=rm'
        words = ("auth", "get-or-create", f"client.{name}", "mon", mon, "osd", "profile rbd pool=vm")
        (self.path / f"client.{name}.keyring").write_text(self.ceph(*words))

    def ceph(self, *words: str, given: str | None = None) -> str:
        """As the administrator."""
        return self.admin("ceph", "--connect-timeout=60", *words, given=given)

    def admin(self, program: str, *words: str, given: str | None = None) -> str:
        return self._run(program, "--conf", self.conf, *words, given=given)

    def freeze(self) -> None:
        """Whatever is asked of it hangs."""
        self._daemons["osd"].send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._daemons["osd"].send_signal(signal.SIGCONT)

    def fill(self) -> None:
        """It is full, by limits that are low."""
        self._limit(FULL)
        end = time.monotonic() + WAIT
        while not any("full" in one["flags_names"].split(",") for one in self._pools()):
            assert time.monotonic() < end, "the pool does not become full"
            time.sleep(0.1)

    def drain(self) -> None:
        """It has room."""
        self._limit(ROOM)

    def _limit(self, ratios: Sequence[str]) -> None:
        for name, ratio in zip(("nearfull", "backfillfull", "full"), ratios, strict=True):
            self.ceph("osd", f"set-{name}-ratio", ratio)

    def _pools(self) -> list[dict[str, str]]:
        return list(json.loads(self.ceph("osd", "pool", "ls", "detail", "--format=json")))

    def stop(self) -> None:
        for one in reversed(self._daemons.values()):
            one.kill()
            one.wait()
        self._place.close()

    def _once(self, program: str, *words: object) -> None:
        self._run(program, "--conf", self.conf, *words)

    def _run(self, program: str, *words: object, given: str | None = None) -> str:
        command = [*self._inside, program, *map(str, words)]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=WAIT, check=False)
        assert done.returncode == 0, f"{program} {words[:6]}: {done.stderr}"
        return done.stdout

    def _begin(self, name: str, program: str, *words: object) -> None:
        with (self.path / f"{name}.out").open("wb") as out:
            command = [*self._inside, program, "-f", "--conf", self.conf, *words]
            self._daemons[name] = subprocess.Popen(list(map(str, command)), stdout=out, stderr=out)
