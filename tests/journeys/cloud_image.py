"""A cloud image of Debian, built of its packages: what a catalogue would fetch, where that cannot be.

It takes minutes, and is kept outside the clone. Needs root, and mmdebstrap, dosfstools, mtools, fdisk, binutils.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from velocity.cli.demo.guest import addresses

PROGRAMS = ("mmdebstrap", "mke2fs", "mkfs.vfat", "mcopy", "mmd", "sfdisk", "objcopy", "objdump", "qemu-img")
PACKAGES = (
    "linux-image-cloud-amd64,systemd-sysv,udev,dbus,iproute2,initramfs-tools,zstd,cloud-init,openssh-server,"
    "netplan.io,cloud-guest-utils,sudo,systemd-boot-efi"
)
COMMAND_LINE = "root=LABEL=root rw console=ttyS0 no_timer_check tsc=reliable"
ESP, ROOT = 96, 1500
"""MiB of the two partitions."""


def lacking() -> list[str]:
    """Programs that are not here."""
    return [one for one in PROGRAMS if shutil.which(one) is None]


def cloud_image(cache: Path) -> Path:
    """The image, from the cache or built anew; whole or not at all."""
    made = cache / f"cloud-{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]}.qcow2"
    if not made.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".draft-") as scratch:
            _build(Path(scratch)).rename(made)
    return made


def _build(work: Path) -> Path:
    root = work / "root"
    _run(
        "mmdebstrap", "--mode=root", "--variant=minbase", '--aptopt=APT::Install-Recommends "false"',
        f"--include={PACKAGES}", "bookworm", root,
    )  # fmt: skip
    (root / "etc/fstab").write_text("LABEL=root / ext4 defaults 0 1\n")
    (root / "etc/hostname").unlink(missing_ok=True)
    _run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, work / "root.img", f"{ROOT}M")
    loader = _loader(work, root)
    _run("truncate", "-s", f"{ESP}M", work / "esp.img")
    _run("mkfs.vfat", "-F", "32", work / "esp.img")
    _run("mmd", "-i", work / "esp.img", "::/EFI", "::/EFI/BOOT")
    _run("mcopy", "-i", work / "esp.img", loader, "::/EFI/BOOT/BOOTX64.EFI")
    disk = work / "disk.raw"
    _run("truncate", "-s", f"{ESP + ROOT + 4}M", disk)
    table = f"label: gpt\nstart=2048,size={ESP}MiB,type=U\ntype=L,size={ROOT}MiB\n"
    _run("sfdisk", "-q", disk, input=table)
    for part, at in ((work / "esp.img", 1), (work / "root.img", 1 + ESP)):
        _run("dd", f"if={part}", f"of={disk}", "bs=1M", f"seek={at}", "conv=notrunc,sparse", "status=none")
    _run("qemu-img", "convert", "-O", "qcow2", disk, work / "cloud.qcow2")
    return work / "cloud.qcow2"


def _loader(work: Path, root: Path) -> Path:
    """Kernel, initial RAM disk and command line as one EFI program, around systemd's stub."""
    (work / "cmdline").write_text(COMMAND_LINE)
    stub = next((root / "usr/lib/systemd/boot/efi").glob("linuxx64.efi.stub"))
    kernel, initrd = (next((root / "boot").glob(f"{name}-*")) for name in ("vmlinuz", "initrd.img"))
    sections = ((".cmdline", work / "cmdline"), (".linux", kernel), (".initrd", initrd))
    headers = subprocess.run(["objdump", "-h", stub], capture_output=True, text=True, check=True).stdout
    places = addresses(headers, [file.stat().st_size for _, file in sections])
    words: list[str | Path] = ["objcopy"]
    for (name, file), place in zip(sections, places, strict=True):
        words += ["--add-section", f"{name}={file}", "--change-section-vma", f"{name}={place:#x}"]
    _run(*words, stub, work / "BOOTX64.EFI")
    return work / "BOOTX64.EFI"


def _run(*words: str | Path, input: str | None = None) -> None:
    subprocess.run(words, input=input, text=True, check=True, capture_output=True)
