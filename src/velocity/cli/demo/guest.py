"""Builds a small bootable EFI guest from the distribution's own kernel and busybox: no root, mount or loop device.

It is an EFI program (`uki.py`) in a FAT image, which the El Torito catalog of an ISO names.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from velocity import durable
from velocity.cli.demo import uki
from velocity.cli.demo.uki import CannotBuild, entry

READY = b"GUEST READY"
HERE = Path(__file__).parent
VERSION = 1

COMMAND_LINE = "console=tty0 console=ttyS0 quiet loglevel=3 panic=-1 tsc=reliable no_timer_check random.trust_cpu=on"
MODULES = (
    "virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "sr_mod", "xhci_pci", "usb_storage", "uas", "virtio_net",
    "virtio_gpu", "virtio_input", "usbhid", "hid_generic", "button", "evdev", "virtio_console", "virtio_rng",
    "pvpanic_mmio", "i6300esb", "isofs", "virtio_balloon", "virtio_mem",
)  # fmt: skip
"""The guest's drivers. Those built into the kernel have no module."""

KERNELS = {"amd64": ("linux-image-amd64", "linux-image-generic")}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Guest:
    """A bootable ISO, and its kernel's version."""

    iso: Path
    kernel: str


def build(cache: Path, say: Say = lambda text: None) -> Guest:
    """The guest, from the cache or newly built; atomically, even if several processes build it."""
    name = f"guest-{recipe()}"
    iso, note = cache / f"{name}.iso", cache / f"{name}.json"
    if iso.is_file() and note.is_file():
        return Guest(iso, json.loads(note.read_text())["kernel"])
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".draft-") as scratch:
        work = Path(scratch)
        root = _fetch(work, say)
        kernel = next((root / "boot").glob("vmlinuz-*"))
        release = kernel.name.removeprefix("vmlinuz-")
        say("building the initial RAM disk and the ISO")
        initrd = work / "initrd.gz"
        initrd.write_bytes(_archive(root, release))
        draft = _iso(work, kernel, initrd, root)
        (work / "note.json").write_text(json.dumps({"kernel": release}))
        durable.sync_file(draft)
        draft.rename(iso)
        (work / "note.json").rename(note)
    return Guest(iso, release)


def recipe() -> str:
    """A hash of everything of ours that goes into the guest."""
    parts = [str(VERSION), COMMAND_LINE, *MODULES]
    parts += [(HERE / name).read_text() for name in ("init.sh", "dhcp.sh", "report.sh")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


# Packages


def _fetch(work: Path, say: Say) -> Path:
    """Download and unpack the packages."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise CannotBuild(
            "the demo guest is built from packages of Debian or Ubuntu; on this system, provide any EFI image: "
            "velocity demo --iso FILE"
        )
    for program in ("objcopy", "objdump", "mformat", "mcopy", "mmd", "xorriso"):
        if shutil.which(program) is None:
            raise CannotBuild(f"{program} is missing: run `make setup`")
    packages = [*_kernel_packages(), "busybox-static", "systemd-boot-efi"]
    root = work / "root"
    root.mkdir()
    for package in packages:
        say(f"fetching {package}")
        uki.run(
            ["apt-get", "download", package],
            work,
            f"{package} cannot be downloaded: check the network connection, run `sudo apt-get update`, and try again",
        )
    for file in sorted(work.glob("*.deb")):
        uki.run(["dpkg", "-x", str(file), str(root)], work, f"{file.name} cannot be unpacked")
        file.unlink()
    return root


def _kernel_packages() -> list[str]:
    """The packages that the distribution's kernel metapackage depends on."""
    for meta in KERNELS["amd64"]:
        done = subprocess.run(["apt-cache", "depends", meta], capture_output=True, text=True, check=False)
        found = re.findall(r"^\s*Depends: (linux-(?:image|modules)-\d\S*)", done.stdout, re.MULTILINE)
        if not found:
            continue
        extra = subprocess.run(["apt-cache", "depends", found[0]], capture_output=True, text=True, check=False)
        found += re.findall(r"^\s*Depends: (linux-modules-\d\S*)", extra.stdout, re.MULTILINE)
        return list(dict.fromkeys(found))
    raise CannotBuild("the package lists contain no kernel: run `sudo apt-get update`, then try again")


# The initial RAM disk


def _archive(root: Path, release: str) -> bytes:
    """The archive, with our scripts."""
    scripts = (("init", "init.sh"), ("bin/dhcp", "dhcp.sh"), ("bin/report", "report.sh"))
    ours = [entry(name, (HERE / source).read_bytes()) for name, source in scripts]
    return uki.archive(ours, next(root.glob("**/bin/busybox")), uki.modules(root, release, MODULES))


# The image


def _iso(work: Path, kernel: Path, initrd: Path, root: Path) -> Path:
    tree = work / "iso"
    tree.mkdir()
    uki.system_partition(uki.program(work, root, COMMAND_LINE, kernel, initrd), tree / "esp.img")
    words = ["xorriso", "-as", "mkisofs", "-quiet", "-V", "VELOCITY_DEMO", "-o", str(work / "guest.iso")]
    uki.run([*words, "-e", "esp.img", "-no-emul-boot", str(tree)], work, "xorriso failed")
    return work / "guest.iso"


def cache_directory(data_dir: Path) -> Path:
    """Where the guest is cached: in the data directory, or in the user's cache if that is not writable."""
    if os.access(data_dir, os.W_OK):
        return data_dir / "cache" / "demo"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "velocity"
