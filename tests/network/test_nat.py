"""NAT by a bridge, in namespaces: guests that stand at taps have their addresses, the way out, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.network import nat_host
from tests.root import as_root
from velocity.network import forwarding, nic_filter
from velocity.network.nat_networks import CannotNat
from velocity.network.rules import addresses, next_place

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.guest,
    as_root("namespaces of the network"),
]


@pytest.fixture
def world() -> Iterator[tuple[str, str]]:
    """The namespaces of a host and of the world that it reaches by up0, which answers DNS."""
    host, beyond = (f"v{kind}{uuid.uuid4().hex[:8]}" for kind in "hw")
    answering = None
    try:
        for name in (host, beyond):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", host, "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", beyond)
        for name, last in ((host, 2), (beyond, 1)):
            for address in (f"192.0.2.{last}/24", f"2001:db8::{last}/64"):
                run("ip", "-n", name, "address", "add", address, "dev", "up0", *(["nodad"] if ":" in address else []))
            run("ip", "-n", name, "link", "set", "up0", "up")
        run("ip", "-n", host, "route", "add", "default", "via", "192.0.2.1")
        run("ip", "-n", host, "route", "add", "default", "via", "2001:db8::1")
        run("ip", "-n", beyond, "address", "add", f"{nat_host.METADATA}/32", "dev", "lo")
        answering = subprocess.Popen(["ip", "netns", "exec", beyond, sys.executable, "-c", DNS])
        yield host, beyond
    finally:
        if answering is not None:
            answering.kill()
            answering.wait()
        for name in (host, beyond):
            end_all(name)
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def end_all(namespace: str) -> None:
    """What a test that failed has left there: a namespace lives as long as a process in it."""
    pids = subprocess.run(["ip", "netns", "pids", namespace], check=False, capture_output=True, text=True).stdout
    for pid in map(int, pids.split()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


DNS = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
    plug.bind(("192.0.2.1", 53))
    while True:
        asked, caller = plug.recvfrom(512)
        plug.sendto(asked[:2] + b"\\x81\\x83" + asked[4:], caller)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Where dnsmasq, under a uid of its own, can come to."""
    directory = Path(tempfile.mkdtemp(prefix="vn-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


REACHES = {
    "world": nat_host.HOST,
    "world, IPv6": "2001:db8::2",
    "metadata": "refused",
    "host": "refused",
    "bridge": "refused",
    "bridge, IPv6": "refused",
    "bridge, link-local": "refused",
    "host's loopback": "refused",
    "neighbour": "silence",
    "neighbour, IPv6": "silence",
    "guest of another server": "silence",
    "DNS": "[True, True]",
    f"process of uid {nat_host.GUESTS.start} calls guest": "ConnectionRefusedError",
    "process of uid 40999 calls guest": "reached",
}
"""What a guest reaches, and how it is seen there; who reaches a guest."""
SPEAKS = {
    "as itself", "as nobody yet", "ARP as itself", "IPv6 as itself", "link-local", "another link-local", "here I am",
    "here I am, link-local",
}  # fmt: skip
RESTORED = {
    "dnsmasq killed": ["NAT's dnsmasq"],
    "flush ruleset": ["the packet"],
    "no bridge": ["the NAT"],
    "no reservations": [],
    "not isolated": [],
}
"""What is said of it, by its first words."""


@pytest.mark.holds("NAT-1", "NAT-2", "NAT-3", "NAT-4", "NAT-5")
def test_guests_reach_the_world_and_neither_the_host_nor_each_other(world: tuple[str, str], place: Path) -> None:
    host, beyond = world
    command = ["ip", "netns", "exec", host, sys.executable, "-m", nat_host.__name__, str(place), beyond]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout)
    (ours, theirs) = told["networks"]
    assert not IPv4Network(ours[0]).overlaps(IPv4Network(theirs[0])) and ours[1] != theirs[1]
    for one in told["leases"]:
        assert one["given"] == one["promised"], "an address is known before the guest has it"
    gateway = told["leases"][0]["router"]
    assert told["reaches"] == {**REACHES, "host calls guest": gateway}
    assert set(told["speaks"]) == SPEAKS
    quiet, adopted = (told["restored"].pop(name) for name in ("quiet", "adopted"))
    assert (quiet, adopted) == ([], True), "a server that is started again touches nothing"
    said = {name: [words for words in lines if not words.startswith("vt")] for name, lines in told["restored"].items()}
    assert said == RESTORED
    refused = told["refused"]
    assert "another running VM has its address" in refused["an address of another"]
    assert list(refused) == ["a name that none can have", "an address of another", "a link that is there", "queues"]
    assert refused["queues"] == "4"
    assert told["lingers"] is False
    assert told["left"] == []


@pytest.mark.holds("NAT-9")
def test_networks_are_chosen_beside_the_hosts_routes_and_kept(world: tuple[str, str], tmp_path: Path) -> None:
    """Of all that is private, one network of 256 addresses is left in the first case, and a VPN's in the second."""
    program = """
import json, subprocess, sys
from ipaddress import IPv4Network
from pathlib import Path
from velocity.network import nat_networks
file, bridge = Path(sys.argv[1]), "vnat00000000"

def told(wanted=""):
    try:
        return nat_networks.settled(file, wanted, bridge).words[0]
    except nat_networks.CannotNat as error:
        return str(error)

def ip(*words):
    subprocess.run(["ip", *words], check=True)

for subnet in ("10.0.0.0/8", "172.16.0.0/12"):
    ip("route", "add", subnet, "via", "192.0.2.1")
for third in range(0, 256, 16):
    if third != 48:
        ip("route", "add", f"192.168.{third}.0/24", "via", "192.0.2.1")
said = {"only": told(), "again": told(), "set": told("192.168.63.0/24"), "taken": told("192.168.16.0/22")}
said["set back"] = told("192.168.48.0/20")
ip("route", "add", "192.168.50.0/24", "via", "192.0.2.1")
try:
    nat_networks.check(nat_networks.kept(file), bridge)
except nat_networks.CannotNat as error:
    said["inside"] = str(error)
file.unlink()
said["in a VPN's"] = told()
file.write_text("nonsense")
said["unreadable"] = told()
print(json.dumps(said))
"""
    command = ["ip", "netns", "exec", world[0], sys.executable, "-c", program, str(tmp_path / "nat.json")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["only"] == told["again"] == told["set back"] == "192.168.48.0/20"
    assert told["set"] == "192.168.63.0/24"
    cure = "set nat_subnet to one that it does not use, and restart the server"
    reach = "which this host reaches by up0 (`ip route show table all`)"
    assert told["taken"] == f"the network 192.168.16.0/22 of NAT overlaps 192.168.16.0/24, {reach}: {cure}"
    assert told["inside"] == f"the network 192.168.48.0/20 of NAT overlaps 192.168.50.0/24, {reach}: {cure}"
    for name in ("in a VPN's", "unreadable"):
        chosen = IPv4Network(told[name])
        assert chosen.prefixlen == 20 and chosen.is_private and not chosen.overlaps(IPv4Network("192.168.0.0/16"))


@pytest.mark.holds("NAT-8")
@pytest.mark.parametrize(
    ("last", "taken", "place"),
    [(0, set(), 2), (2, {2}, 3), (3, {2}, 4), (14, {2, 13, 14}, 3), (14, {3}, 2), (14, set(range(2, 15)), 15)],
    ids=["the first", "the next", "not the one that came back", "the end", "from the start", "none is left"],
)
def test_an_address_comes_back_late(last: int, taken: set[int], place: int) -> None:
    networks = ("192.0.2.0/28", "fd00:1:2:3::/64")
    assert next_place(last, networks, taken.__contains__) == place
    assert bool(addresses(networks, place)) is (place < 15)


def test_addresses_follow_from_places() -> None:
    networks = ("10.9.16.0/20", "fd00:1:2:3::/64")
    assert addresses(networks, 2) == ("10.9.16.2", "fd00:1:2:3::2")
    assert addresses(networks, 4094) == ("10.9.31.254", "fd00:1:2:3::ffe")
    assert [addresses(networks, one) for one in (0, 1, 4095, 5000)] == [(), (), (), ()]
    assert addresses((), 2) == ()
    assert str(nic_filter.link_local("52:54:00:12:34:56")) == "fe80::5054:ff:fe12:3456"


def test_forwarding_is_set_when_it_is_needed_and_hosts_go_on_to_heed_routers(tmp_path: Path) -> None:
    files = {"ipv4/ip_forward": "0", "ipv6/conf/all/forwarding": "0"}
    files |= {f"ipv6/conf/{nic}/accept_ra": said for nic, said in (("eth0", "1"), ("eth1", "0"), ("eth2", "2"))}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    forwarding.ensure(ipv6=False, settings=tmp_path)
    assert forwarding.forwards(forwarding.V4, tmp_path) and not forwarding.forwards(forwarding.V6, tmp_path)
    forwarding.ensure(ipv6=True, settings=tmp_path)
    assert forwarding.forwards(forwarding.V6, tmp_path)
    assert [(tmp_path / f"ipv6/conf/eth{one}/accept_ra").read_text().strip() for one in range(3)] == ["2", "0", "2"]
    with pytest.raises(CannotNat, match="sysctl -w net"):
        forwarding.ensure(ipv6=False, settings=tmp_path / "nothing")


@pytest.mark.holds("NAT-5")
def test_what_a_server_left_is_told_and_goes_by_uninstall_and_with_the_last_guest(
    world: tuple[str, str], place: Path
) -> None:
    """With a firewall of the host's that drops what it does not know, as Docker's."""
    (place / "units").mkdir()
    settings = {"VELOCITY_DATA_DIR": str(place / "a b" / "data"), "VELOCITY_RUNTIME_DIR": str(place / "run")}
    unit = "\n".join(["[Service]", *(f'Environment="{name}={value}"' for name, value in settings.items())])
    (place / "units" / "velocity.service").write_text(unit)
    program = """
import json, subprocess, sys
from click.testing import CliRunner
from pathlib import Path
from velocity.cli.doctor import _nat
from velocity.cli.main import velocity
from velocity.hypervisor.qemu import nat_host
from velocity.config import Settings
from velocity.hypervisor.qemu.options import options

place = Path(sys.argv[1])
data = place / "a b" / "data"
data.mkdir(parents=True)
chosen = options(Settings(data_dir=data, runtime_dir=str(place / "run"), accelerator="tcg", uid_base=20000))
links = lambda: sorted(path.name for path in Path("/sys/class/net").iterdir())
told = lambda: {one.what: [one.verdict, one.text] for one in _nat(chosen)}
before, said = links(), {"never": told()}
subprocess.run(["ip", "route", "add", "blackhole", "10.99.1.0/24"], check=True)
unusable = options(Settings(data_dir=data, runtime_dir=str(place / "run"), uid_base=20000, nat_subnet="10.99.0.0/20"))
refused = lambda: {one.what: [one.verdict, one.text] for one in _nat(unusable)}
said["refused"] = refused()
assert not (data / "nat.json").exists(), "it only looks"
bridge = nat_host.find(chosen, choose=True).bridge
said["chosen"] = told()
said["changed"] = refused()
bridge.ensure()
said["made"] = told()
drop = "table ip filter {\\n chain FORWARD {\\n type filter hook forward priority 0; policy drop;\\n }\\n}\\n"
subprocess.run(["nft", "-f", "-"], input=drop, text=True, check=True)
subprocess.run(["sysctl", "-qw", "net.ipv4.ip_forward=0"], check=True)
subprocess.run(["nft", "delete", "table", "inet", f"velocity_{bridge.bridge}"], check=True)
said["hindered"] = told()
known = f"add rule ip filter FORWARD iifname {bridge.bridge} accept\\nadd table inet firewalld\\n"
chain = "add chain inet firewalld filter_INPUT { type filter hook input priority 10; }\\n"
subprocess.run(["nft", "-f", "-"], input=known + chain, text=True, check=True)
said["told"] = told()
done = CliRunner().invoke(velocity, ["service", "uninstall", "--directory", str(place / "units")])
assert done.exit_code == 0, (done.output, done.exception)
bridge.ensure()
settings = {"VELOCITY_DATA_DIR": str(data), "VELOCITY_RUNTIME_DIR": str(place / "run")}
again = CliRunner().invoke(velocity, ["service", "uninstall", "--directory", str(place / "units")], env=settings)
assert again.exit_code == 0 and "removed NAT's bridge" in again.output, again.output
bridge.ensure()
(data / "lock").touch()
stopped = CliRunner().invoke(velocity, ["service", "stop-guests"], env=settings)
assert stopped.exit_code == 0 and "removed NAT's bridge" in stopped.output, stopped.output
running = subprocess.run(["pgrep", "-f", f"^dnsmasq .*{place}"], capture_output=True).stdout.decode()
said |= {"bridge": bridge.bridge, "output": done.output, "left": [links() == before, running, bridge.exists()]}
print(json.dumps(said))
"""
    command = ["ip", "netns", "exec", world[0], sys.executable, "-c", program, str(place)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["never"]["nat bridge"][1].endswith("on a bridge, whose network the first start chooses")
    for when in ("refused", "changed"):
        verdict, text = told[when]["nat bridge"]
        assert verdict == "limited" and "no guest with a NAT NIC can start: the network 10.99.0.0/20" in text, text
    verdicts = [told[when]["nat bridge"][0] for when in ("never", "chosen", "made", "hindered")]
    assert verdicts == ["ok", "ok", "ok", "limited"]
    assert told["chosen"]["nat bridge"][1].endswith("the bridge is created when a guest needs it")
    assert "net.ipv4.ip_forward" in told["made"]["nat bridge"][1], "that the host forwards is told"
    hindered = told["hindered"]["nat bridge"][1]
    shut = "the chain ip filter FORWARD drops packets that it has no rule for: let it accept packets that come in by "
    shut += told["bridge"]
    assert "the chain inet firewalld filter_INPUT drops packets" in told["told"]["nat bridge"][1]
    assert "ip filter FORWARD" not in told["told"]["nat bridge"][1], "it was told of the bridge"
    for words in ("no packet filter keeps its guests from this host", "sysctl -w net.ipv4.ip_forward=1", shut):
        assert words in hindered
    assert f"removed NAT's bridge {told['bridge']}" in told["output"]
    assert told["left"] == [True, "", False]


def test_what_cannot_be_removed_now_ends_nothing(world: tuple[str, str], place: Path) -> None:
    """Without `ip`, as on a host that is being upgraded: the server goes on, and comes back to it."""
    program = """
import os, sys
from pathlib import Path
from tests.network.nat_host import Host
from velocity.hypervisor.qemu import nic_filters

place = Path(sys.argv[1])
(place / "resolvers").mkdir()
(place / "resolvers" / "resolv.conf").write_text("")
host, path = Host(place, 3), os.environ["PATH"]
host.nat.ensure()
os.environ["PATH"] = str(place)
nic_filters.remove_nat(host.nat, 0.0)
assert host.nat.exists()
os.environ["PATH"] = path
nic_filters.remove_nat(host.nat, 3600.0)
assert host.nat.exists()
nic_filters.remove_nat(host.nat, 0.0)
assert not host.nat.exists()
"""
    command = ["ip", "netns", "exec", world[0], sys.executable, "-c", program, str(place)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "cannot be removed yet" in done.stderr
