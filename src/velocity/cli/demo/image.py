"""Builds a cloud image from the distribution's packages, with cloud-init, sshd and the guest agent, bootable by EFI.

For places that only reach the distribution's mirror, not the servers of the catalogue. mmdebstrap(1) needs no root if
users may create namespaces. What would delay the boot under software emulation is left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from velocity import durable
from velocity.cli.demo import uki
from velocity.cli.demo.guest import HERE, Say
from velocity.cli.demo.uki import CannotBuild, entry

VERSION = 1
PROGRAMS = ("mmdebstrap", "mke2fs", "sfdisk", "objcopy", "objdump", "mformat", "mmd", "mcopy", "qemu-img")
KERNELS = {"debian": "linux-image-cloud-amd64", "ubuntu": "linux-image-virtual"}
WITH_GRAPHICS = {"debian": "linux-image-amd64", "ubuntu": "linux-image-generic"}
"""Larger kernels, with drivers for displays such as virtio-gpu."""
PACKAGES = (
    "systemd-sysv", "systemd-resolved", "udev", "dbus", "iproute2", "busybox-static", "cloud-init", "cloud-guest-utils",
    "openssh-server", "qemu-guest-agent", "sudo", "systemd-boot-efi",
)  # fmt: skip
COMMAND_LINE = (
    "root=LABEL=root rw console=tty0 console=ttyS0 quiet loglevel=3 tsc=reliable no_timer_check random.trust_cpu=on "
    "memhp_default_state=online"
)
MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "nvme", "ext4", "crc32c_generic")
"""Modules in the initial RAM disk."""
DONE_WITHOUT = (
    "e2scrub_reap.service", "e2scrub_all.timer", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
    "systemd-pstore.service", "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
    "modprobe@configfs.service", "modprobe@dm_mod.service", "modprobe@drm.service", "modprobe@efi_pstore.service",
    "modprobe@fuse.service", "modprobe@loop.service", "sys-kernel-config.mount", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount", "dev-hugepages.mount", "dev-mqueue.mount",
    "cloud-init-hotplugd.socket", "proc-sys-fs-binfmt_misc.automount", "systemd-binfmt.service",
)  # fmt: skip
"""Units that this guest does not need, and that slow down its boot."""
NOT_LOADED = (
    "kvm", "kvm_amd", "kvm_intel", "aesni_intel", "ghash_clmulni_intel", "sha1_ssse3", "sha256_ssse3", "sha512_ssse3",
    "crct10dif_pclmul", "efi_pstore", "serio_raw", "sg",
)  # fmt: skip
"""Modules that udev would load without need, most of which run self-tests."""
ROOT = 1500
"""MiB of the file system; cloud-init enlarges it to the disk."""
WITHOUT_INITRD = (
    'mkdir -p "$1/etc/initramfs-tools"; echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf"'
)
"""It gets our own initial RAM disk, which is smaller."""
PLACE = "VELOCITY_IMAGE_PLACE"
"""The variable with which the hook finds our files; command lines are visible to others."""
PATIENCE = 1800.0
"""Seconds for the packages; mirrors may be slow."""


def build(cache: Path, say: Say = lambda text: None, kernels: Mapping[str, str] = KERNELS) -> Path:
    """The image (qcow2), from the cache or newly built; atomically, even if several processes build it."""
    image = cache / f"cloud-{recipe(kernels)}.qcow2"
    if not image.is_file():
        _check()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="velocity-image-") as scratch:
            disk = _disk(Path(tempfile.mkdtemp(dir=scratch)), kernels, say)
            with tempfile.TemporaryDirectory(dir=cache, prefix=".draft-") as beside:
                draft = Path(beside) / "image.qcow2"
                uki.run(["qemu-img", "convert", "-O", "qcow2", str(disk), str(draft)], cache, "qemu-img failed")
                durable.sync_file(draft)
                draft.rename(image)
    return image


def recipe(kernels: Mapping[str, str] = KERNELS) -> str:
    """A hash of everything of ours that goes into the image, and of the distribution's release."""
    parts = [str(VERSION), *_release(), COMMAND_LINE, *PACKAGES, *MODULES, *DONE_WITHOUT, *NOT_LOADED]
    parts += [] if kernels is KERNELS else [*kernels.values()]
    parts += [(HERE / name).read_text() for name in ("image-init.sh", "image-root.sh", "image.cfg")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _release() -> tuple[str, str]:
    """The distribution, and the name of its release."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "", ""
    return release.get("ID", ""), release.get("VERSION_CODENAME", "")


def _check() -> None:
    family, _ = _release()
    if family not in KERNELS:
        raise CannotBuild("the image is built of packages of Debian or Ubuntu: name one of the catalogue instead")
    for program in PROGRAMS:
        if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
            raise CannotBuild(f"{program} is missing: run `scripts/setup demo`")


def _disk(work: Path, kernels: Mapping[str, str], say: Say) -> Path:
    """A disk with two partitions: boot, and system."""
    with _shared(work):
        _system(work, kernels, say)
    say("building the disk")
    boot = work / "boot"
    boot.mkdir()
    uki.run(["tar", "-xf", "boot.tar", "-C", str(boot)], work, "what it boots with cannot be unpacked")
    kernel = next(boot.glob("boot/vmlinuz-*"))
    loaded = uki.modules(boot, kernel.name.removeprefix("vmlinuz-"), MODULES)
    initrd = work / "initrd.gz"
    initrd.write_bytes(
        uki.archive([entry("init", (HERE / "image-init.sh").read_bytes())], boot / "bin/busybox", loaded)
    )
    loader = uki.program(work, boot, COMMAND_LINE, kernel, initrd)
    uki.system_partition(loader, work / "esp.img")
    return _joined(work, [(work / "esp.img", "U"), (work / "root.img", "L")])


@contextlib.contextmanager
def _shared(work: Path) -> Iterator[None]:
    """Let the user that root is in mmdebstrap's namespace access this; others cannot, as the parent is not listable."""
    for place in (work, work.parent):
        place.chmod(0o711)
    try:
        yield
    finally:
        work.parent.chmod(0o700)


def _system(work: Path, kernels: Mapping[str, str], say: Say) -> None:
    """Make `root.img`, and `boot.tar` with what boots it."""
    files = {name: (HERE / name).read_text() for name in ("image-root.sh", "image.cfg")}
    files["masked"] = "".join(f"{unit}\n" for unit in DONE_WITHOUT)
    files["not-loaded"] = "".join(f"blacklist {module}\n" for module in NOT_LOADED)
    for name, text in files.items():
        (work / name).write_text(text)
        (work / name).chmod(0o644)
    for name, size in (("boot.tar", 0), ("root.img", ROOT << 20)):
        with (work / name).open("wb") as made:
            made.truncate(size)
        (work / name).chmod(0o666)
    family, suite = _release()
    say(f"installing {suite} with sshd, cloud-init and a guest agent: some minutes")
    uki.run(
        [
            "mmdebstrap", "--variant=minbase", "--format=null", f"--include={','.join((kernels[family], *PACKAGES))}",
            '--aptopt=APT::Install-Recommends "false"', "--dpkgopt=force-confold", "--dpkgopt=force-unsafe-io",
            "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
            f"--essential-hook={WITHOUT_INITRD}", f'--customize-hook=cd "${PLACE}" && . ./image-root.sh',
            suite, "/dev/null", *_mirrors(),
        ],
        work, "the system cannot be installed", PATIENCE, **{PLACE: str(work)},
    )  # fmt: skip


def _mirrors() -> list[str]:
    """This host's mirrors; empty: let mmdebstrap choose."""
    apt = Path("/etc/apt")
    places = (apt / "sources.list.d/debian.sources", apt / "sources.list.d/ubuntu.sources", apt / "sources.list")
    return [str(place) for place in places if place.is_file() and place.stat().st_size]


def _joined(work: Path, parts: list[tuple[Path, str]]) -> Path:
    """A GPT disk with these partitions, each with its type (sfdisk(8))."""
    disk, at, table = work / "disk.raw", 1, "label: gpt\n"
    places = []
    for part, kind in parts:
        size = -(-part.stat().st_size >> 20)
        table += f"start={at}MiB,size={size}MiB,type={kind}\n"
        places.append((part, at))
        at += size
    with disk.open("wb") as made:
        made.truncate((at + 1) << 20)
    (work / "table").write_text(table)
    uki.run(["sh", "-c", 'sfdisk -q "$0" <table', str(disk)], work, "the disk cannot be partitioned")
    for part, place in places:
        copy = ["dd", f"if={part}", f"of={disk}", "bs=1M", f"seek={place}", "conv=notrunc,sparse", "status=none"]
        uki.run(copy, work, "the disk cannot be written")
    return disk
