"""A guest from an uploaded ISO sees the machine that was asked for, and lives through every state."""

from __future__ import annotations

import base64
import os
import re
import socket
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.journeys.conftest import StartServer
from tests.journeys.rfb import viewing
from tests.journeys.server import Server, Terminal, in_namespace
from tests.patience import PATIENCE, at_last
from tests.processes import open_files
from velocity.cli.demo.guest import Guest

EV_KEY, EV_ABS, KEY_A, ABS_X = 1, 3, 30, 0
"""Of Linux's input-event-codes.h."""

pytestmark = pytest.mark.guest
WORLD = "198.51.100.2"


@pytest.mark.holds("GUEST-39", "GUEST-41", "STATE-4", "ISOLATION-1", "ISOLATION-2", "ISOLATION-4")
def test_a_guest_sees_its_machine_and_lives_through_every_state(
    network: str | None, start_server: StartServer, guest: Guest
) -> None:
    server = start_server(**({"netns": network, "nat_subnet": "none"} if network else {}))
    vmid = create(server, guest)
    assert server.state(vmid)["state"] == "STOPPED"
    assert server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")["state"] == "RUNNING"
    terminal = server.console(vmid)
    said = terminal.boot()
    sees_its_devices(said, terminal)
    cannot_write_what_is_readonly(terminal)
    is_measured = has_work(server, vmid, terminal)
    if os.geteuid() == 0:
        reaches_the_world_but_not_the_loopback(server, terminal)
        is_confined(server, vmid)
    else:
        is_confined_as_an_ordinary_user_can(server, vmid, terminal)
    tells_its_command(server, vmid)
    shows_its_second_display(server, vmid)
    hears_keyboard_and_pointer(server, vmid, terminal)
    is_measured()
    pauses_and_resumes(server, vmid, terminal)
    stops_by_its_power_button_even_when_it_does_not_listen_yet(server, vmid, terminal)
    assert any(log.stat().st_size for log in (server.data / "machines").glob("*/serial.*.log"))
    server.ok("DELETE", "/v/vm", vmid=vmid)
    assert len(list((server.data / "machines").iterdir())) == 1, "its firmware variables lie in the trash with it"
    server.ok("DELETE", "/t/trash", trid=server.ok("POST", "/t/trash/list")["items"][0]["trid"])
    assert list((server.data / "machines").iterdir()) == []


def create(server: Server, guest: Guest) -> int:
    def disk(name: str, **more: object) -> str:
        return str(server.ok("PUT", "/m/media/create", mpid=1, gid=0, name=name, size=8 << 20, **more)["mid"])

    answer = server.ok(
        "PUT",
        "/v/vm/efi",
        name="everything, even ,commas=on",
        gid="0",
        cpus=2,
        memory_mib="384",
        displays=[
            {"name": "left", "width": 1280, "height": 720, "ppi": 110},
            {"description": "right", "width": 1600, "height": 900},
        ],
        media=[
            {"mid": server.upload("guest ü.iso", guest.iso.read_bytes()), "mode": "VIRTIO"},
            {"mid": disk("usb"), "mode": "USB", "readonly": False},
            {"mid": disk("block"), "mode": "BLOCK", "readonly": True},
            {"mid": disk("scsi", format="qcow2"), "mode": "VIRTIO", "readonly": False},
        ],
        nics=[{"type": "NAT", "host": None}],
    )
    return int(answer["vmid"])


def sees_its_devices(said: str, terminal: Terminal) -> None:
    there = "[ -e /sys/block/sdb ] && ip -4 addr show eth0 | grep -q inet"
    terminal.run(f"n=0; until {there} || [ $n -gt 150 ]; do n=$((n+1)); sleep 0.2; done")
    report = said + terminal.run("report; ip -4 addr show eth0")
    assert re.search(r"GUEST cpus 2 mem_kib 3[0-9]{5}\b", report), report
    disks = dict(re.findall(r"GUEST disk (\w+) (sectors \d+ ro \d at \S+)", report))
    on = {name: facts.split(" at ")[1] for name, facts in disks.items()}
    usb = [name for name, path in on.items() if "/usb" in path]
    scsi = [name for name, path in on.items() if "/virtio" in path and "/host" in path and name.startswith("sd")]
    assert len(usb) == 1 and len(scsi) == 1, disks
    assert "sectors 16384 ro 0" in disks[usb[0]]
    assert "sectors 16384 ro 0" in disks[scsi[0]]
    assert "sectors 16384 ro 1" in disks["vda"]
    assert disks["sr0"], "an ISO is a CD-ROM"
    modes = re.findall(r"GUEST display \S+ connected mode (\S+)", report)
    assert sorted(set(modes)) == ["1280x720", "1600x900"]
    assert "inet 10.0.2.15/24" in report


def cannot_write_what_is_readonly(terminal: Terminal) -> None:
    denied = terminal.run("dd if=/dev/zero of=/dev/vda bs=512 count=1 conv=fsync; echo status=$?")
    assert "status=0" not in denied
    written = terminal.run("dd if=/dev/zero of=/dev/sda bs=512 count=1 conv=fsync; echo status=$?")
    assert "status=0" in written


def reaches_the_world_but_not_the_loopback(server: Server, terminal: Terminal) -> None:
    world = in_namespace(f"{server.netns}w", lambda: socket.create_server((WORLD, 0)))
    here = server.inside(lambda: socket.create_server(("127.0.0.1", 0)))
    with greeting(world) as its_port, greeting(here) as port:
        assert "hello" in terminal.run(f"nc -w 5 {WORLD} {its_port} </dev/null"), "the way out works"
        # The user network hands its gateway's address to the host's loopback: from inside nobody answers there.
        called = (f"nc -w 3 {address} {port} </dev/null" for address in ("10.0.2.2", "127.0.0.1", "0.0.0.0"))
        answers = terminal.run(f"({' & '.join(called)} & ping -c 1 -W 2 10.0.2.16 & wait)")
        assert "hello" not in answers, answers
        assert "bytes from" not in answers, "no other guest is on its network"
        with server.inside(lambda: socket.create_connection(("127.0.0.1", port), timeout=3)) as plug:
            assert plug.recv(5) == b"hello", "the service is there for the host itself"


def is_confined(server: Server, vmid: int) -> None:
    holds = server.ok("POST", "/v/vm", vmid=vmid)["isolation"]
    assert [gap for gap in holds["gaps"] if not gap.startswith("its memory is not limited")] == []
    (pid,) = server.processes()
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert set(status["Uid"].split()) == {str(holds["uid"])} and holds["uid"] >= 20000
    assert set(status["Gid"].split()) == {str(holds["uid"])}
    assert status["Groups"].strip() == ""
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    files = {one for one in open_files(pid) if one.startswith("/") and not one.startswith("/dev/")}
    allowed = (str(server.data / "media"), str(server.data / "machines"), str(server.data / "firmware"))
    (run,) = Path(server.settings["runtime_dir"]).glob("*/*")
    own = {str(run / name) for name in ("own/pid", "serial.in", "serial.0", "qemu.out")}
    assert {one for one in files if not one.startswith(allowed)} <= own, files
    assert (server.data / "velocity.db").stat().st_mode & 0o777 == 0o600
    assert (server.data / "root.key").stat().st_mode & 0o777 == 0o600


def is_confined_as_an_ordinary_user_can(server: Server, vmid: int, terminal: Terminal) -> None:
    """What is missing is told."""
    holds = server.ok("POST", "/v/vm", vmid=vmid)["isolation"]
    assert (holds["uid"], holds["no_new_privileges"], holds["seccomp"]) == (os.geteuid(), True, True)
    assert (holds["own_uid"], holds["sees_host_files"], holds["nat_reaches_host_loopback"]) == (False, True, True)
    for lack in ("the server's uid", "host's files", "127.0.0.1"):
        assert [gap for gap in holds["gaps"] if lack in gap and "run the server as root" in gap], holds["gaps"]
    with greeting(socket.create_server(("127.0.0.1", 0))) as port:
        assert "hello" in terminal.run(f"nc -w 5 10.0.2.2 {port} </dev/null"), "the way out works"
    assert "bytes from" not in terminal.run("ping -c 1 -W 2 10.0.2.16"), "no other guest is on its network"


def has_work(server: Server, vmid: int, terminal: Terminal) -> Callable[[], None]:
    """It writes, and takes memory; whether that is measured is seen later, as it takes up to ten seconds."""
    gives_memory_back = takes_memory(server, vmid, terminal)
    written = server.measured("velocity_vm_disk_written_bytes_total")
    terminal.run("dd if=/dev/zero of=/dev/sda bs=64k count=64 conv=fsync")

    def is_measured() -> None:
        at_last(lambda: server.measured("velocity_vm_disk_written_bytes_total") >= written + (4 << 20), every=0.5)
        shows_what_was_measured(server, vmid)
        gives_memory_back()

    return is_measured


def shows_what_was_measured(server: Server, vmid: int) -> None:
    def asked() -> dict[str, Any]:
        return server.ok("POST", "/v/vm/metrics", vmid=vmid, span="hour")

    at_last(lambda: abs(asked()["at"][-1] - time.time()) < 15, "the latest point")
    hour = asked()
    assert hour["at"] == list(range(hour["at"][0], hour["at"][-1] + 1, 10))
    points = zip(hour["at"], hour["memory_mib"], hour["disk_written"], strict=True)
    rates = [(at, rate) for at, memory, rate in points if memory is not None]  # each since the one before
    written = sum((at - before) * rate for (before, _), (at, rate) in pairwise(rates) if rate is not None)
    assert written > (4 << 20) / 2, "a measurement may come some seconds after its time"
    assert max(rate for rate in hour["cpu"] if rate is not None) > 0
    assert server.measured("velocity_vm_cpu_seconds_total") > 2, "it has booted, maybe between two looks"
    assert 64 < hour["memory_mib"][-1] < 1024
    assert "net_received" not in hour, "NAT has no counters"
    assert server.measured("velocity_vm_disk_read_bytes_total") > 4 << 20, "its kernel came from the ISO"
    day = server.ok("POST", "/v/vm/metrics", vmid=vmid, span="day")
    assert (day["interval"], day["memory_mib"][-1] > 64) == (120, True)


def takes_memory(server: Server, vmid: int, terminal: Terminal) -> Callable[[], None]:
    """It fills memory and frees it; whether the host has it back is seen later."""
    (pid,) = server.processes()
    before = resident(pid)
    terminal.run("dd if=/dev/zero of=/run/filled bs=1M count=128")
    taken = resident(pid)
    assert taken > before + 96
    terminal.run("rm /run/filled")

    def back() -> None:
        at_last(lambda: resident(pid) <= taken - 96, "that its memory is the host's again")
        info, hour = server.ok("POST", "/v/vm", vmid=vmid), server.ok("POST", "/v/vm/metrics", vmid=vmid, span="hour")
        assert 64 < info["memory_taken_mib"] < 1024 and hour["given_mib"] == 384

    return back


def resident(pid: int) -> int:
    """MiB of the host's memory that a process has."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) >> 10


def tells_its_command(server: Server, vmid: int) -> None:
    argv = server.ok("POST", "/v/vm/command", vmid=vmid)["argv"]
    (pid,) = server.processes()
    assert len(argv) == len(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")) - 1
    said = " ".join(argv)
    assert "-smp 2" in said and "RUN/" in said
    for path in (str(server.data), server.settings["runtime_dir"], "/media/", "/machines/"):
        assert path not in said


def shows_its_second_display(server: Server, vmid: int) -> None:
    ticket = server.ok("POST", "/v/vm/console", vmid=vmid, kind="display", display="right")
    url = f"ws://127.0.0.1:{server.port}{ticket['path']}"
    with server.inside(lambda: connect(url, proxy=None)) as screen:
        assert screen.recv(5) == b"RFB 003.008\n"
    with pytest.raises(InvalidStatus) as denied:
        server.inside(lambda: connect(url, proxy=None))
    assert denied.value.response.status_code == 404, "a ticket opens once"


def hears_keyboard_and_pointer(server: Server, vmid: int, terminal: Terminal) -> None:
    """By the virtio devices, which its Linux drives."""
    for file, name in (("keys", "Virtio Keyboard"), ("places", "Virtio Tablet")):
        terminal.run(f"F=$(grep -l '{name}' /sys/class/input/event*/device/name); F=${{F%/device/name}}")
        terminal.run(f"timeout 45 dd if=/dev/input/${{F##*/}} of=/run/{file} bs=24 count=4 2>/dev/null & true")
    terminal.run("sleep 1")
    with viewing(server, vmid, "left") as viewer:
        viewer.types("ab")
        for x in range(100, 1200, 100):
            viewer.points(x, 360)
        terminal.run("wait")
    keys, places = (heard(terminal, file) for file in ("keys", "places"))
    assert next(code for kind, code, value in keys if (kind, value) == (EV_KEY, 1)) == KEY_A, keys
    across = [value for kind, code, value in places if (kind, code) == (EV_ABS, ABS_X)]
    assert across and across == sorted(set(across)), places


def heard(terminal: Terminal, file: str) -> list[tuple[int, int, int]]:
    """Type, code and value of events, each of which has 24 bytes."""
    printed = terminal.run(f"base64 /run/{file}")
    lines = [line for line in printed.splitlines() if re.fullmatch(r"[A-Za-z0-9+/=]{4,}", line)]
    return [one[2:] for one in struct.iter_unpack("<qqHHi", base64.b64decode("".join(lines)))]


def pauses_and_resumes(server: Server, vmid: int, terminal: Terminal) -> None:
    assert server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")["state"] == "PAUSED"
    assert server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")["state"] == "PAUSED"
    assert server.state(vmid)["state"] == "PAUSED"
    assert server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")["state"] == "RUNNING"
    assert "42" in terminal.run("echo $((6 * 7))")


def stops_by_its_power_button_even_when_it_does_not_listen_yet(server: Server, vmid: int, terminal: Terminal) -> None:
    terminal.type("reboot -f\n")
    terminal.until(b"BdsDxe", PATIENCE)
    assert server.ok("POST", "/v/vm", vmid=vmid)["reason"]["cause"] == "guest-reset"
    answer = server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
    assert answer["state"] == "STOPPING"
    assert answer["stopping_since"] > 1_700_000_000
    status, refused = server.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert (status, refused["code"]) == (406, 13220)
    ended = server.wait_for(vmid, "STOPPED", 300)
    assert ended["reason"]["cause"] == "guest-shutdown"
    assert server.processes() == []


@contextmanager
def greeting(server: socket.socket) -> Iterator[int]:
    """A service that greets whoever connects: its port."""
    with server:
        server.settimeout(0.2)
        over = threading.Event()

        def greet() -> None:
            while not over.is_set():
                try:
                    plug, _ = server.accept()
                except TimeoutError:
                    continue
                with plug:
                    plug.sendall(b"hello\n")

        thread = threading.Thread(target=greet)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            over.set()
            thread.join()


@pytest.fixture
def network() -> Iterator[str | None]:
    """A namespace for the server, and behind a link one for the world: links of the host itself would disturb browsers.

    None for ordinary users.
    """
    if os.geteuid() != 0:
        yield None
        return
    name = f"vw{uuid.uuid4().hex[:8]}"
    world = f"{name}w"
    ip("netns", "add", name)
    ip("netns", "add", world)
    try:
        ip("-n", name, "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", world)
        for space, link, address in ((name, "out", "198.51.100.1"), (world, "in", WORLD)):
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "addr", "add", f"{address}/30", "dev", link)
            ip("-n", space, "link", "set", link, "up")
        yield name
    finally:
        ip("netns", "delete", name)
        ip("netns", "delete", world)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
