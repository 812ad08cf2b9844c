"""A network namespace with a bridge, a DHCP server of our own, and a way out to another namespace."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.network import frames
from tests.root import only_root

WORLD, OUT = "192.0.2.1", "192.0.2.2"
NET6 = "fd00:5::"
NETBOOT = "netboot.efi"
HTTP = 8000
"""The file that guests boot from the network, and the port at which they ask for it."""


@contextlib.contextmanager
def bridged() -> Iterator[str]:
    """A namespace with a bridge br0 (198.51.100.1, DHCP) and on it one end of a veth pair, whose other end is up0.

    By out0 it reaches the world, which is a namespace of a name with a w behind it.
    """
    only_root("namespaces of the network")
    name = f"vb{uuid.uuid4().hex[:8]}"
    run("ip", "netns", "add", name)
    run("ip", "netns", "add", f"{name}w")
    directory = Path(tempfile.mkdtemp(prefix="dhcp-"))
    dnsmasq = None
    try:
        for words in (
            "link set lo up",
            "link add br0 type bridge",
            "addr add 198.51.100.1/24 dev br0",
            f"addr add {frames.HOST6}/64 dev br0 nodad",
            f"addr add {NET6}1/64 dev br0 nodad",
            "link set br0 up",
            "link add vb0 type veth peer name up0",
            "link set vb0 master br0 up",
            "link set up0 up",
            f"link add out0 type veth peer name out0 netns {name}w",
            f"addr add {OUT}/24 dev out0",
            "link set out0 up",
        ):
            run("ip", "-n", name, *words.split())
        # As on most hosts: where br_netfilter is at work, the kernel puts fragments together that are only bridged.
        for setting in Path("/proc/sys/net/bridge").glob("bridge-nf-call-*"):
            run("ip", "netns", "exec", name, "sysctl", "-qw", f"net.bridge.{setting.name}=0")
        for words in (f"addr add {WORLD}/24 dev out0", "link set out0 up"):
            run("ip", "-n", f"{name}w", *words.split())
        command = ["ip", "netns", "exec", name, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"]
        command += ["--bind-interfaces", "--interface=br0", "--no-ping", "--dhcp-range=198.51.100.50,198.51.100.99,1h"]
        # There is nothing to boot by IPv6: firmware that gets no answer at all tries it for more than a minute.
        command += [f"--dhcp-range={NET6}50,{NET6}99,64,1h"]
        (directory / NETBOOT).write_bytes(b"MZ" + bytes(4094))
        directory.chmod(0o755)
        command += ["--enable-tftp", f"--tftp-root={directory}", f"--dhcp-boot=tag:!http,{NETBOOT}"]
        command += ["--dhcp-vendorclass=set:http,HTTPClient", "--dhcp-option-force=tag:http,60,HTTPClient"]
        command += [f"--dhcp-boot=tag:http,http://198.51.100.1:{HTTP}/{NETBOOT}"]
        command += [f"--dhcp-leasefile={directory}/leases", f"--pid-file={directory}/pid", "--user=root"]
        dnsmasq = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield name
    finally:
        if dnsmasq is not None:
            dnsmasq.terminate()
            dnsmasq.wait()
        run("ip", "netns", "delete", name)
        run("ip", "netns", "delete", f"{name}w")
        shutil.rmtree(directory)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
