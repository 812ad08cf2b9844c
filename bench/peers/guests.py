"""Guests by command lines that others make: a minimal one by hand, the defaults of Proxmox VE, Incus, virt-manager.

Each is what that product makes of a new EFI guest with a CD-ROM, without what is needed to control it; none needs it to
boot. In place of the product's bridge all have QEMU's user network, so that what differs is the machine.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from bench.peers.raw import CODE, KVM, QEMU, accelerator, new_variables

DONE = b"all-done"


class Place(NamedTuple):
    """What a guest boots with: its own variables, and the descriptors that its command line names."""

    iso: Path
    memory: int
    variables: Path
    fds: list[int]


Made = Callable[[Place], list[str]]


def minimal(place: Place) -> list[str]:
    """The least that boots the same guest: one disk, one NIC, nothing else."""
    return [
        "-machine", "q35", "-cpu", "host" if KVM else "max", *_firmware(place),
        "-drive", f"if=none,id=cd,format=raw,readonly=on,file={place.iso}", "-device", "virtio-blk-pci,drive=cd",
        "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
    ]  # fmt: skip


def proxmox(place: Place) -> list[str]:
    """proxmox/qemu-server, src/test/cfg2cmd/efi-raw.conf.cmd; CD-ROM and NIC as in simple1.conf.cmd, netdev.conf.cmd.

    Without KVM its CPU is qemu64 instead of kvm64 (src/PVE/QemuServer/CPUConfig.pm).
    """
    return [
        "-machine", "pc", "-cpu", "kvm64,+lahf_lm,+sep" if KVM else "qemu64", *_firmware(place),
        "-smp", "1,sockets=1,cores=1,maxcpus=1", "-boot", "menu=on,strict=on,reboot-timeout=1000",
        "-global", "PIIX4_PM.disable_s3=1", "-global", "PIIX4_PM.disable_s4=1",
        "-device", "pci-bridge,id=pci.1,chassis_nr=1,bus=pci.0,addr=0x1e",
        "-device", "pci-bridge,id=pci.2,chassis_nr=2,bus=pci.0,addr=0x1f",
        "-device", "piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2", "-device", "usb-tablet,bus=uhci.0,port=1",
        "-device", "VGA,id=vga,bus=pci.0,addr=0x2",
        "-device", "virtio-balloon-pci,id=balloon0,bus=pci.0,addr=0x3,free-page-reporting=on",
        "-drive", f"if=none,id=drive-ide2,media=cdrom,readonly=on,file={place.iso}",
        "-device", "ide-cd,bus=ide.1,unit=0,drive=drive-ide2,id=ide2,bootindex=100",
        "-netdev", "user,id=net0",
        "-device", "virtio-net-pci,netdev=net0,bus=pci.0,addr=0x12,rx_queue_size=1024,tx_queue_size=256,bootindex=102",
    ]  # fmt: skip


def incus(place: Place) -> list[str]:
    """lxc/incus, internal/server/instance/drivers: driver_qemu.go and driver_qemu_config_override_test.go.

    Without its vsock, agent and SPICE channels, which need more of the host.
    """
    devices = (
        "virtio-balloon-pci", "virtio-rng-pci", "virtio-keyboard-pci", "virtio-tablet-pci", "virtio-serial-pci",
    )  # fmt: skip
    return [
        "-machine", "q35", "-cpu", "host" if KVM else "max", *_firmware(place), "-boot", "strict=on",
        "-device", "pcie-root-port,id=port0,bus=pcie.0,addr=1.0,chassis=0,multifunction=on",
        *(
            word
            for function, device in enumerate(devices)
            for word in ("-device", f"{device},bus=port0,addr=00.{function},multifunction=on")
        ),
        *(
            word
            for port in range(1, 5)
            for word in ("-device", f"pcie-root-port,id=port{port},bus=pcie.0,addr=1.{port},chassis={port}")
        ),
        "-device", "qemu-xhci,bus=port1,addr=00.0", "-device", "virtio-scsi-pci,id=scsi,bus=port2,addr=00.0",
        "-device", "virtio-vga,bus=port3,addr=00.0",
        "-blockdev", f"driver=raw,node-name=cd,read-only=on,file.driver=file,file.filename={place.iso}",
        "-device", "scsi-cd,bus=scsi.0,drive=cd,bootindex=0",
        "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,bus=port4,addr=00.0,bootindex=1",
    ]  # fmt: skip


def virt_manager(place: Place) -> list[str]:
    """virt-manager/virt-manager, tests/data/cli/compare/virt-install-linux2020.xml, as libvirt writes it.

    Its CD-ROM is on SATA. Without sound, USB redirection and SPICE channels. Without KVM libvirt leaves QEMU's own CPU.
    """
    ports = [f"pcie-root-port,port={8 + n},chassis={n + 1},id=pci.{n + 1},bus=pcie.0,addr={2 + n // 8:#x}.{n % 8:#x}"
             + (",multifunction=on" if n % 8 == 0 else "") for n in range(14)]  # fmt: skip
    return [
        "-machine", "q35,vmport=off,hpet=off", "-cpu", "host,migratable=on" if KVM else "qemu64", *_firmware(place),
        "-global", "ICH9-LPC.disable_s3=1", "-global", "ICH9-LPC.disable_s4=1", "-boot", "strict=on",
        *(word for port in ports for word in ("-device", port)),
        "-device", "qemu-xhci,p2=15,p3=15,id=usb,bus=pci.2,addr=0x0", "-device", "usb-tablet,bus=usb.0,port=1",
        "-device", "virtio-serial-pci,id=virtio-serial0,bus=pci.3,addr=0x0",
        "-device", "virtio-vga,bus=pcie.0,addr=0x1", "-device", "virtio-balloon-pci,bus=pci.5,addr=0x0",
        "-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0,bus=pci.6,addr=0x0",
        "-blockdev", f"driver=raw,node-name=cd,read-only=on,file.driver=file,file.filename={place.iso}",
        "-device", "ide-cd,bus=ide.0,drive=cd,bootindex=1",
        "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,bus=pci.1,addr=0x0",
    ]  # fmt: skip


def _firmware(place: Place) -> Sequence[str]:
    return [
        "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CODE}",
        "-drive", f"if=pflash,format=qcow2,unit=1,file={place.variables}",
        "-m", f"{place.memory}M", "-nodefaults", "-no-user-config", "-display", "none",
        "-accel", accelerator(place.memory),
        "-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial",
    ]  # fmt: skip


class ByHand:
    """A guest that runs, started by the command line that `made` makes. None outlives the `with` block.

    `variables`: those that an earlier boot has left; absent: the firmware's own.
    """

    def __init__(self, made: Made, iso: Path, memory: int, variables: Path | None = None) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="velocity-bench-guest-"))
        self.variables = self._home / "vars.qcow2"
        if variables is None:
            new_variables(self.variables)
        else:
            shutil.copyfile(variables, self.variables)
        place = Place(iso, memory, self.variables, [])
        words = made(place)
        self.begun = time.perf_counter()
        self._process = subprocess.Popen(
            [QEMU, *words], pass_fds=place.fds,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,  # as Velocity's: the kernel shares the processors out among sessions. sched(7)
        )  # fmt: skip
        for fd in place.fds:
            os.close(fd)
        self.pid = self._process.pid

    def __enter__(self) -> ByHand:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()
        shutil.rmtree(self._home, ignore_errors=True)

    def read(self, seconds: float) -> bytes:
        """What it says next; nothing, when it says nothing for so long. Raises `EOFError`."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return b""
        if not (said := os.read(self._process.stdout.fileno(), 65536)):
            raise EOFError(f"QEMU has ended with {self._process.wait(10)}")
        return said

    def run(self, command: str, seconds: float = 300) -> str:
        """Type a command, and wait for its end; what was said until then is returned."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}; echo all-''done\n".encode())
        self._process.stdin.flush()
        said, end = b"", time.monotonic() + seconds
        while DONE not in said:
            if time.monotonic() > end:
                raise TimeoutError(command)
            said += self.read(1)
        return said.decode("utf-8", "replace")

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
