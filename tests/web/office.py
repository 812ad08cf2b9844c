"""A made-up team's host, as the documents' pictures show it: its people, their VMs, and three days of work."""

from __future__ import annotations

import asyncio
import json
import math
import random
import shlex
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tests.api.world import PASSWORD
from tests.host import Host, hosting
from tests.metrics.times import Hands
from tests.patience import PATIENCE, at_last
from velocity.client import Client
from velocity.config import NicSetting, PoolSetting
from velocity.hypervisor.fake import FakeHosts, FakeHypervisor, FakeRun, FakeScreens, FakeState, Faults
from velocity.hypervisor.port import (
    Confinement,
    Fact,
    FactCause,
    HardwareProfile,
    HostFacts,
    HostId,
    HostNow,
    Incarnation,
    NicAddress,
    Traffic,
    Usage,
)

FACTS = HostFacts(
    accelerator="kvm",
    accelerator_reason="KVM works: guests run at the speed of this host",
    hypervisor="QEMU 7.2.22",
    machine_type="pc-q35-7.2",
    firmware="9b2f6c01d4e7a853",
    hardware=(
        HardwareProfile("1", ""),
        HardwareProfile("2", "eight PCI bridges with free slots", agent=True, nat_bridge=True),
    ),
    nat_networks=("10.78.208.0/24",),
    cpu_models={"Nehalem": "", "EPYC": ""},
    max_cpus=24,
    memory=131_072,
)
MIB = 1 << 20

BEGINNING = """
group create web
group create staging --parent web
group create data
group create lab
group quota web --cpus 16 --memory 32G --vms 10
group quota web/staging --cpus 6 --memory 12G --vms 4
group quota data --cpus 8 --memory 40G --vms 6
group quota lab --cpus 8 --memory 12G --vms 8
pool assign 1 web --quota 120G --write --manage
pool assign 1 web/staging --quota 40G --write --manage
pool assign 1 data --quota 120G --write --manage
pool assign 2 data --quota 200G --write --manage
pool assign 1 lab --quota 70G --write --manage
user create anna
user create ben
user create cleo
user create dina
user create emil
user grant anna admin --group /
user grant ben admin --group data
user grant cleo admin --group web
user grant dina operator --group web
user grant dina maker --group web/staging
user grant emil maker --group lab
user grant emil viewer --group web
"""
"""What root set up, by the command line."""

WORK = """
anna: media upload {images}/alpine-virt-3.20.3.iso --readonly
cleo: media create www-1-disk --size 20G --format qcow2 --group web
cleo: vm create www-1 --group web --cpus 4 --memory 8G {screen} --media www-1-disk:virtio {server}
cleo: media create www-2-disk --size 20G --format qcow2 --group web
cleo: vm create www-2 --group web --cpus 4 --memory 8G {screen} --media www-2-disk:virtio {server}
cleo: media create shop-disk --size 24G --format qcow2 --group web
cleo: vm create shop --group web --cpus 2 --memory 4G {screen} --media shop-disk:virtio {server}
cleo: vm start www-1 --group web
cleo: vm start www-2 --group web
cleo: vm start shop --group web
ben: media create pg-data --size 64G --group data
ben: media create pg-wal --size 16G --group data
ben: vm create postgres --group data --cpus 4 --memory 24G {screen} --media pg-data --media pg-wal:virtio {server}
ben: media create backups --size 160G --format qcow2 --group data --pool 2
ben: media create grafana-disk --size 8G --format qcow2 --group data
ben: vm create grafana --group data --cpus 2 --memory 4G {screen} --media grafana-disk:virtio {server}
ben: vm create nightly-backup --group data --memory 2G --media backups:virtio --nic bridge:1
ben: vm start postgres --group data
ben: vm start grafana --group data
anna: media create vpn-disk --size 8G --format qcow2
anna: vm create vpn --cpus 1 --memory 1G {screen} --media vpn-disk:virtio {server}
anna: vm start vpn
dina: media create shop-next-disk --size 20G --format qcow2 --group web/staging
dina: vm create shop-next --group web/staging --cpus 2 --memory 4G {screen} --media shop-next-disk:virtio --nic nat
dina: vm create load-test --group web/staging --cpus 2 --memory 2G --nic nat
dina: vm start shop-next --group web/staging
emil: media create ci-1-disk --size 16G --format qcow2 --group lab
emil: media create ci-2-disk --size 16G --format qcow2 --group lab
emil: vm create ci-1 --group lab --cpus 3 --memory 4G {screen} --media ci-1-disk:virtio --nic nat
emil: vm create ci-2 --group lab --cpus 3 --memory 4G {screen} --media ci-2-disk:virtio --nic nat
emil: media create scratch --size 32G --group lab
emil: media upload {images}/ipxe.iso --readonly --group lab
emil: vm create kernel-test --group lab --cpus 1 --memory 2G {screen} --media ipxe.iso:usb --nic nat
emil: vm start ci-1 --group lab
emil: vm start ci-2 --group lab
emil: vm start kernel-test --group lab
dina: vm stop --force www-2 --group web
dina: vm start www-2 --group web
dina: vm create demo-for-sales --group web/staging --memory 2G --nic nat
dina: vm rm demo-for-sales --group web/staging
ben: media create old-export --size 20G --group data
ben: media rm old-export --group data
emil: vm set ci-1 --cpus 4 --group lab
emil: vm create too-large --group lab --cpus 8 --memory 32G
emil: vm pause kernel-test --group lab
cleo: vm set shop --memory 6G --group web
dina: vm pause shop-next --group web/staging
"""
"""What each did since, oldest first. One thing is refused, as it happens."""

SHORT = {"screen": "--display screen=1024x640", "server": "--nic bridge:1 --autostart"}
"""What stands for the words in braces."""

BUSY = {
    "www-1": (95.0, 3100, 2.5),
    "www-2": (70.0, 2900, 1.8),
    "shop": (45.0, 2300, 0.9),
    "postgres": (130.0, 17_800, 6.0),
    "grafana": (20.0, 1900, 0.3),
    "vpn": (6.0, 310, 1.2),
    "ci-1": (180.0, 2600, 0.4),
}
"""Of a VM that runs: percent of a core, MiB resident, MiB a second over its NIC and disk; all as a mean."""


class OfficeScreens(FakeScreens):
    """`pictures`: what stands on whose display."""

    def __init__(self, state: FakeState, faults: Faults, pictures: Mapping[str, bytes]) -> None:
        super().__init__(state, faults)
        self._pictures = pictures

    async def shot(self, who: Incarnation, index: int, *, deadline: float) -> bytes:
        name = self._state.runs[who.machine].spec.name
        return self._pictures.get(name) or await super().shot(who, index, deadline=deadline)


class OfficeHosts(FakeHosts):
    """A host as a small team has it."""

    async def now(self, host: HostId, *, deadline: float) -> HostNow:
        return HostNow("atlas", 24, (6.84, 6.12, 5.37), FACTS.memory, self.free, 47 * 86_400, self.busy)

    async def confinement(self, who: Incarnation, *, deadline: float) -> Confinement | None:
        found = await super().confinement(who, deadline=deadline)
        return found and replace(found, uid=20_004, own_uid=True, gaps=())


class Office(FakeHypervisor):
    """In memory, but for what is seen of it."""

    def __init__(self, screens: Mapping[str, bytes] | None = None) -> None:
        super().__init__(FACTS)
        self.screens = OfficeScreens(self.state, self.faults, screens or {})
        self.hosts = OfficeHosts(self.state, FACTS)
        self.hosts.free = 61_300

    def named(self, name: str) -> FakeRun:
        return next(run for run in self.runs.values() if run.spec.name == name)

    def work(self, at: float, seconds: float, chance: random.Random) -> None:
        """Every guest goes on with its work for so long."""
        self.hosts.busy += 0.31 * 24 * seconds
        for run in self.runs.values():
            cpu, memory, traffic = BUSY.get(run.spec.name, (2.0, 200, 0.0))
            tide = 1 + 0.35 * math.sin(at / 700 + cpu) + 0.15 * math.sin(at / 130 + memory)
            peak = 2.2 if chance.random() < 0.02 else 1.0
            done = tide * peak * chance.uniform(0.85, 1.15)
            before = run.usage or Usage(0.0, 0, 0, 0, Traffic(0, 0))
            net = before.net or Traffic(0, 0)
            through = int(traffic * done * MIB * seconds)
            run.usage = Usage(
                cpu=before.cpu + cpu / 100 * done * seconds,
                memory=int(memory * MIB * (1 + 0.04 * math.sin(at / 900))),
                disk_read=before.disk_read + through // 3,
                disk_written=before.disk_written + through // 2,
                net=Traffic(net.received + through // 4, net.sent + through),
                age=before.age + seconds if before.age else 11 * 86_400,
            )


@contextmanager
def office(place: Path, screens: Mapping[str, bytes] | None = None) -> Iterator[Host]:
    """The team's server, as it stands today."""
    hypervisor = Office(screens)
    settings: dict[str, Any] = {
        "pools": [
            PoolSetting(mpid=1, name="nvme", path=place / "nvme"),
            PoolSetting(mpid=2, name="archive", path=place / "archive"),
        ],
        "nics": [NicSetting(nicid=1, identifier="br0", description="office network")],
    }
    data = place / "data"
    with hosting(data, hypervisor, **settings) as begun:
        _furnish(begun, place)
    _age(data / "velocity.db")
    hour = 3600.0
    hands = Hands(time.time() - hour)
    with hosting(data, hypervisor, hands, **settings) as host:
        chance = random.Random(1)
        while hands.now < time.time() - 10:
            hypervisor.work(hands.now, 10, chance)
            host.look()
        _hear(host)
        yield host


def _furnish(host: Host, place: Path) -> None:
    images = place / "images"
    _image(images / "alpine-virt-3.20.3.iso", "alpine-virt 3.20.3 x86_64", 63 * MIB)
    _image(images / "ipxe.iso", "iPXE", 2 * MIB)
    for line in BEGINNING.strip().splitlines():
        host.ok(*shlex.split(line), *(["--password-stdin"] if line.startswith("user create") else []), typed=PASSWORD)
    keys = {}
    with Client(host.url) as client:
        for name in ("anna", "ben", "cleo", "dina", "emil"):
            keys[name] = client.sign_in(name=name, password=PASSWORD).authkey
    for line in WORK.strip().splitlines():
        name, _, words = line.partition(": ")
        done = host.run(*shlex.split(words.format(images=images, **SHORT)), VELOCITY_AUTHKEY=keys[name])
        assert (done.exit_code != 0) == ("too-large" in words), (words, done.output, done.stderr)
    hypervisor = host.hypervisor
    assert isinstance(hypervisor, Office)
    hypervisor.play(hypervisor.named("ci-2").who.machine, Fact.ENDED, FactCause.KILLED)
    at_last(lambda: "killed" in host.ok("--json", "vm", "show", "ci-2", "--group", "lab"))


def _hear(host: Host) -> None:
    """The host hears each guest that runs at its address."""
    services = host.app.services
    fleet = services.fleet
    for number, keeper in enumerate(fleet.all()):
        for nic in fleet.interfaces(keeper.machine, keeper.progress.run):
            address = nic.addresses[0] if nic.addresses else f"192.0.2.{20 + number}"
            host.hypervisor.hosts.heard.append(NicAddress(keeper.machine.uuid, nic.id, address))
    asyncio.run_coroutine_threadsafe(services.addresses.look(), host.loop).result(PATIENCE)


def _image(file: Path, label: str, size: int) -> None:
    """An ISO with nothing but its label and a loader's name. ECMA-119 8.4, El Torito 2.0, UEFI 13.3.2.1"""
    file.parent.mkdir(exist_ok=True)
    sector = 2048
    primary = b"\1CD001\1\0" + b" " * 32 + label.upper().encode().ljust(32)[:32] + bytes(8)
    primary += (size // sector).to_bytes(4, "little") + (size // sector).to_bytes(4, "big")
    boot = b"\0CD001\1EL TORITO SPECIFICATION".ljust(71, b"\0") + (20).to_bytes(4, "little")
    catalog = b"\1\xef".ljust(32, b"\0") + b"\x88\0".ljust(8, b"\0") + (24).to_bytes(4, "little")
    with file.open("wb") as out:
        for number, data in ((16, primary), (17, boot), (18, b"\xffCD001\1"), (20, catalog), (24, b"BOOTX64 EFI")):
            out.seek(number * sector)
            out.write(data)
        out.truncate(size)


def _age(database: Path) -> None:
    """What was done within seconds is spread over three days: the last of it a few minutes ago."""
    now = int(time.time())

    def ago(newest: int, place: int) -> int:
        return now - newest - int(240 * place + 16 * place**2.05)

    with closing(sqlite3.connect(database)) as connection, connection:
        entries = [row[0] for row in connection.execute("select hid from history order by hid desc")]
        times = {hid: ago(150, place) for place, hid in enumerate(entries)}
        connection.executemany("update history set at = ? where hid = ?", [(at, hid) for hid, at in times.items()])
        for trid, kind in connection.execute("select trid, kind from trash").fetchall():
            hours = 5 if kind == "vm" else 30
            connection.execute("update trash set deleted = ? where trid = ?", (now - hours * 3600, trid))
        connection.execute("update machines set created = ?", (now - 12 * 86_400,))  # before they were started
        for vmid, text in connection.execute("select vmid, reason from machines where reason is not null").fetchall():
            reason = json.loads(text) | {"since": now - 26 * 60}
            connection.execute("update machines set reason = ? where vmid = ?", (json.dumps(reason), vmid))
