"""Implements the port `Hypervisor` with QEMU on this host."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil

from velocity import sandbox
from velocity.hypervisor.port import HostFacts, HypervisorError
from velocity.hypervisor.qemu import (
    cpu_models,
    disk_io,
    facts,
    firmware,
    first_boot,
    hardware,
    nat_host,
    probe,
    spool,
    uid_ranges,
)
from velocity.hypervisor.qemu.adoption import Adoption
from velocity.hypervisor.qemu.consoles import QemuConsoles, QemuScreens
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.fact_stream import FactStream
from velocity.hypervisor.qemu.firmware import FirmwareBuild
from velocity.hypervisor.qemu.guests import QemuGuests
from velocity.hypervisor.qemu.host import QemuHosts
from velocity.hypervisor.qemu.machines import QemuMachines
from velocity.hypervisor.qemu.mirrors import QemuMirrors
from velocity.hypervisor.qemu.mobility import QemuMobility
from velocity.hypervisor.qemu.moves.moves import Moves
from velocity.hypervisor.qemu.options import Options, note_runs, out_of_reach
from velocity.hypervisor.qemu.runs import Runs, TooLong
from velocity.hypervisor.qemu.starting import Starts
from velocity.hypervisor.qemu.usage import QemuMeters
from velocity.hypervisor.qemu.watched_runs import WatchedRuns
from velocity.network import fence, nft, taps
from velocity.storage.port import MediaFiles

log = logging.getLogger(__name__)


class QemuHypervisor:
    """Implements `velocity.hypervisor.port.Hypervisor` with one QEMU process per machine."""

    def __init__(self, options: Options, media: MediaFiles) -> None:
        self._options = options
        self._media = media
        news = FactStream()
        self.watched = WatchedRuns(news)
        self.starts = Starts(self.watched)
        moves = Moves(self.watched)
        self.adoption = Adoption(self.watched, self.starts, moves, news)
        self.machines = QemuMachines(self.watched, self.starts, self.adoption, moves, news)
        self.consoles = QemuConsoles(self.watched, self.adoption)
        self.screens = QemuScreens(self.adoption)
        self.hosts = QemuHosts(options, self.watched, self.starts, self.adoption)
        self.meters = QemuMeters(self.adoption)
        self.guests = QemuGuests(self.adoption)
        self.mirrors = QemuMirrors(self.watched, self.adoption)
        self.mobility = QemuMobility(self.watched, self.adoption, self.machines, moves, news, options.moves)

    async def prepare(self) -> None:
        """Detect what this host supports, and create its directories. Raises `HypervisorError` with the cure."""
        image = await asyncio.to_thread(self._prepare)
        uids, binary = self._options.uids, self._options.binary
        self.watched.open(uids, first_boot.later(binary, image, None if uids is None else uids.stop))

    def _prepare(self) -> FirmwareBuild:
        chosen = self._options
        cache, state = chosen.data_dir / "cache", chosen.data_dir / "machines"
        for directory in (cache, state):  # backups include the latter, also before the first VM has started
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            verdict = probe.choose(chosen.accelerator, cache / "accelerator.json", chosen.binary)
            host = facts.read(chosen.binary, cache / "qemu.json")
            models = cpu_models.read(chosen.binary, verdict.accelerator, cache / "cpu-models.json")
            aio, _ = disk_io.direct_aio(chosen.binary, chosen.uids, cache / "io-uring.json")
            image = firmware.keep(firmware.find(), chosen.data_dir / "firmware")
        except (probe.BrokenHost, firmware.NoFirmware) as error:
            raise HypervisorError(str(error)) from None
        nat = nat_host.find(chosen, choose=True)
        if nat.refuses:
            log.error("NAT: %s", nat.why)
        runs = Runs(
            chosen.runtime_dir, chosen.instance, chosen.uids, given=nat.bridge.given if nat.bridge else _no_nat,
            former=chosen.guests_in,
        )  # fmt: skip
        if chosen.guests_in is not None:
            log.warning("guests run in %s: that is used until the server starts without guests", chosen.guests_in)
        try:
            runs.open()
            note_runs(chosen, runs.root)
        except TooLong as error:
            raise HypervisorError(str(error)) from None
        name = verdict.accelerator.value
        if name == "tcg":
            name += ",thread=multi"
        self.watched.place = HostDirectories(
            binary=shutil.which(chosen.binary) or chosen.binary,  # else each start tries all of PATH
            accelerator=name,
            firmware=chosen.data_dir / "firmware",
            state=state,
            runs=runs,
            media=self._media,
            privileged=chosen.uids is not None,
            bounds=spool.bounds(runs.root),
            machine_types=host.machine_types,
            nat=nat.bridge,
            cpu_models=models,
            direct_aio=aio,
        )
        self.hosts.known = HostFacts(
            accelerator=verdict.accelerator.value,
            accelerator_reason=verdict.reason,
            hypervisor=f"QEMU {host.version}",
            machine_type=host.machine_type,
            firmware=image.build,
            hardware=hardware.known(),
            cpu_models=models,
            max_cpus=host.max_cpus,
            memory=host.memory_mib,
            nat_networks=nat.networks.words if nat.networks else (),
            nat_lacking=nat.why if nat.refuses else "",
            cpus=os.cpu_count() or 1,
        )
        if taps.can_connect() is None:
            taps.remove_orphans()
        if chosen.uids is not None:
            _raise_fence(chosen.uids, chosen.instance)
            if (why := sandbox.missing()) is not None:
                log.warning("guests' processes see this host's files: %s", why)
                if (closed := out_of_reach(chosen)) is not None:
                    log.error("%s", closed)
        return image


def _raise_fence(uids: range, instance: str) -> None:
    try:
        fence.raise_fence(uids)
    except nft.CannotFilter as error:
        log.warning("NAT guests can reach this host's loopback addresses: %s", error)
    for words in uid_ranges.overlaps(uids, instance):
        log.warning("%s", words)


def _no_nat(mac: str) -> tuple[str, ...]:
    return ()
