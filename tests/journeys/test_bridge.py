"""A BRIDGE NIC on a Linux bridge and on an ordinary interface, in a network namespace with a DHCP server of our own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.server import Server, Terminal, in_namespace
from tests.patience import PATIENCE
from velocity.cli.demo.guest import Guest

pytestmark = pytest.mark.guest


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace with a bridge br0 (198.51.100.1, DHCP) and on it one end of a veth pair, whose other end is up0."""
    name = f"vb{uuid.uuid4().hex[:8]}"
    run("ip", "netns", "add", name)
    directory = Path(tempfile.mkdtemp(prefix="dhcp-"))
    dnsmasq = None
    try:
        for words in (
            "link set lo up",
            "link add br0 type bridge",
            "addr add 198.51.100.1/24 dev br0",
            "link set br0 up",
            "link add vb0 type veth peer name up0",
            "link set vb0 master br0 up",
            "link set up0 up",
        ):
            run("ip", "-n", name, *words.split())
        command = ["ip", "netns", "exec", name, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"]
        command += ["--bind-interfaces", "--interface=br0", "--no-ping", "--dhcp-range=198.51.100.50,198.51.100.99,1h"]
        command += [f"--dhcp-leasefile={directory}/leases", f"--pid-file={directory}/pid", "--user=root"]
        dnsmasq = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield name
    finally:
        if dnsmasq is not None:
            dnsmasq.terminate()
            dnsmasq.wait()
        run("ip", "netns", "delete", name)
        shutil.rmtree(directory)


def test_a_bridged_guest_is_on_the_host_nic(namespace: str, tmp_path: Path, runtime: Path, guest: Guest) -> None:
    nics = '[{nicid=7, identifier="br0", description="a bridge"}, {nicid=8, identifier="up0"}]'
    server = Server(tmp_path / "data", netns=namespace, nics=nics, runtime_dir=str(runtime))
    try:
        server.start()
        declared = server.ok("POST", "/v/nic/list")["host_nics"]
        assert declared[0] == {"nicid": 7, "description": "a bridge", "identifier": "br0"}
        mid = server.upload("guest.iso", guest.iso.read_bytes())
        vmid = server.ok(
            "PUT",
            "/v/vm/efi",
            name="bridged",
            gid=0,
            cpus=1,
            memory_mib=256,
            media=[{"mid": mid, "mode": "VIRTIO"}],
            nics=[{"type": "BRIDGE", "host": "7"}, {"type": "BRIDGE", "host": 8}],
        )["vmid"]
        assert server.ok("POST", "/v/vm", vmid=vmid)["nics"][0] == {"type": "BRIDGE", "host": 7}
        server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        ours = links(namespace) - {"br0", "vb0", "up0", "lo"}
        assert [name[:2] + name[-2:] for name in sorted(ours)] == ["vtn0", "vtn1"]
        terminal = server.console(vmid)
        terminal.boot()
        for nic in ("eth0", "eth1"):
            shown = terminal.run(f"for i in $(seq 20); do ip -4 addr show {nic} | grep inet && break; sleep 1; done")
            assert "inet 198.51.100." in shown, shown
        assert "bytes from" in terminal.run("ping -c 1 -W 3 198.51.100.1")
        assert server.ok("POST", "/v/vm", vmid=vmid)["isolation"]["gaps"] == []
        its_traffic_is_counted(server, namespace, terminal)
        server.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        assert links(namespace) == {"br0", "vb0", "up0", "lo"}, "no link outlives its VM"
    finally:
        server.close()


def its_traffic_is_counted(server: Server, namespace: str, terminal: Terminal) -> None:
    """The guest sends half a million bytes: it is in what the guest sent, not in what it received."""
    before = {way: server.measured(f"velocity_vm_network_{way}_bytes_total") for way in ("sent", "received")}
    with in_namespace(namespace, lambda: socket.create_server(("198.51.100.1", 0))) as sink:
        sink.settimeout(PATIENCE)
        drain = threading.Thread(target=take, args=(sink, 500_000))
        drain.start()
        terminal.run(f"dd if=/dev/zero bs=1000 count=500 2>/dev/null | nc 198.51.100.1 {sink.getsockname()[1]}")
        drain.join()
    end = time.monotonic() + PATIENCE
    while server.measured("velocity_vm_network_sent_bytes_total") < before["sent"] + 500_000:
        assert time.monotonic() < end
        time.sleep(0.5)
    assert server.measured("velocity_vm_network_received_bytes_total") < before["received"] + 200_000


def take(sink: socket.socket, count: int) -> None:
    plug, _ = sink.accept()
    with plug:
        while count > 0 and (data := plug.recv(65536)):
            count -= len(data)


def links(namespace: str) -> set[str]:
    done = run("ip", "-n", namespace, "-o", "link", "show")
    return {line.split(": ")[1].split("@")[0] for line in done.splitlines()}


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
