"""Builds a small bootable EFI guest from the distribution's own kernel and busybox: no root, no mount, no loop device.

The kernel, an initial RAM disk and the command line become one EFI program around systemd's stub (the UAPI group's
"Unified Kernel Image"); that lies in a FAT image which an ISO names in its El Torito catalog.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

READY = b"GUEST READY"
HERE = Path(__file__).parent
VERSION = 1

COMMAND_LINE = "console=tty0 console=ttyS0 quiet loglevel=3 panic=-1 tsc=reliable no_timer_check random.trust_cpu=on"
MODULES = (
    "virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "sr_mod", "xhci_pci", "usb_storage", "uas", "virtio_net",
    "virtio_gpu", "virtio_input", "usbhid", "hid_generic", "button", "evdev", "virtio_console", "virtio_rng",
    "pvpanic_mmio", "i6300esb", "isofs", "virtio_balloon", "virtio_mem",
)  # fmt: skip
"""What the guest drives; one that is built into the kernel has no file and needs none."""

KERNELS = {"amd64": ("linux-image-amd64", "linux-image-generic")}
ALIGNMENT = 0x1000

Say = Callable[[str], None]


class CannotBuild(Exception):
    """The guest cannot be built here; the message has the cure."""


@dataclass(frozen=True)
class Guest:
    """A bootable ISO, and the version of the kernel in it."""

    iso: Path
    kernel: str


def build(cache: Path, say: Say = lambda text: None) -> Guest:
    """The guest, from the cache or built anew. Whole or not at all, also when two build at once."""
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
        initrd.write_bytes(gzip.compress(_archive(root, release), 1))
        draft = _iso(work, kernel, initrd, root)
        (work / "note.json").write_text(json.dumps({"kernel": release}))
        draft.rename(iso)
        (work / "note.json").rename(note)
    return Guest(iso, release)


def recipe() -> str:
    """Changes with everything of ours that goes into the guest."""
    parts = [str(VERSION), COMMAND_LINE, *MODULES]
    parts += [(HERE / name).read_text() for name in ("init.sh", "dhcp.sh", "report.sh")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


# Packages


def _fetch(work: Path, say: Say) -> Path:
    """The unpacked packages."""
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
        _run(
            ["apt-get", "download", package],
            work,
            f"{package} cannot be downloaded: run `sudo apt-get update`, then try again",
        )
    for file in sorted(work.glob("*.deb")):
        _run(["dpkg", "-x", str(file), str(root)], work, f"{file.name} cannot be unpacked")
        file.unlink()
    return root


def _kernel_packages() -> list[str]:
    """The packages that the distribution's kernel metapackage stands for."""
    for meta in KERNELS["amd64"]:
        done = subprocess.run(["apt-cache", "depends", meta], capture_output=True, text=True, check=False)
        found = re.findall(r"^\s*Depends: (linux-(?:image|modules)-\d\S*)", done.stdout, re.MULTILINE)
        if not found:
            continue
        extra = subprocess.run(["apt-cache", "depends", found[0]], capture_output=True, text=True, check=False)
        found += re.findall(r"^\s*Depends: (linux-modules-\d\S*)", extra.stdout, re.MULTILINE)
        return list(dict.fromkeys(found))
    raise CannotBuild("the package lists contain no kernel: run `sudo apt-get update`, then try again")


def _run(command: list[str], where: Path, trouble: str) -> str:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(f"{trouble} ({error})") from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise CannotBuild(f"{trouble} ({words[-1] if words else 'it said nothing'})")
    return done.stdout


# The initial RAM disk


def _archive(root: Path, release: str) -> bytes:
    """A cpio archive with busybox, our scripts and the modules in the order in which they load."""
    modules = _modules(root, release)
    entries = [entry(name, mode=0o40755) for name in ("bin", "lib", "dev")]
    entries.append(entry("dev/console", mode=0o20600, device=(5, 1)))
    entries.append(entry("bin/busybox", next(root.glob("**/bin/busybox")).read_bytes()))
    for name, source in (("init", "init.sh"), ("bin/dhcp", "dhcp.sh"), ("bin/report", "report.sh")):
        entries.append(entry(name, (HERE / source).read_bytes()))
    entries += [entry(f"lib/{name}", data, mode=0o100644) for name, data in modules.items()]
    entries.append(entry("lib/order", "".join(f"{name}\n" for name in modules).encode(), mode=0o100644))
    return b"".join([*entries, entry("TRAILER!!!", mode=0)])


_numbers = itertools.count(1)


def entry(name: str, data: bytes = b"", mode: int = 0o100755, device: tuple[int, int] = (0, 0)) -> bytes:
    """One member of a cpio archive, "newc" format, owned by root. cpio(5)"""
    encoded = name.encode() + b"\0"
    fields = (next(_numbers), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def _modules(root: Path, release: str) -> dict[str, bytes]:
    """The modules with what they depend on, in loading order, uncompressed."""
    there = {
        file.name.split(".ko")[0].replace("-", "_"): file
        for file in root.glob(f"**/modules/{release}/**/*.ko*")
        if re.search(r"\.ko(\.xz|\.zst|\.gz)?$", file.name)
    }
    return ordered(MODULES, {name: lambda file=file: _plain(file) for name, file in there.items()})  # type: ignore[misc]


def ordered(wanted: tuple[str, ...], there: Mapping[str, Callable[[], bytes]]) -> dict[str, bytes]:
    """The wanted modules after what each depends on, as its own `depends=` says; missing ones are built in."""
    order: dict[str, bytes] = {}

    def take(name: str) -> None:
        if name not in there or f"{name}.ko" in order:
            return
        data = there[name]()
        found = re.search(rb"(?:^|\0)depends=([^\0]*)", data)
        for needed in found[1].decode().split(",") if found else ():
            take(needed.replace("-", "_"))
        order[f"{name}.ko"] = data

    for name in wanted:
        take(name)
    return order


def _plain(file: Path) -> bytes:
    data = file.read_bytes()
    if file.suffix == ".xz":
        return lzma.decompress(data)
    if file.suffix == ".gz":
        return gzip.decompress(data)
    if file.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", str(file)], capture_output=True, check=True).stdout
    return data


# The image


def _iso(work: Path, kernel: Path, initrd: Path, root: Path) -> Path:
    stub = next(root.glob("**/linuxx64.efi.stub"))
    (work / "cmdline").write_text(COMMAND_LINE)
    headers = _run(["objdump", "-h", str(stub)], work, "the EFI stub cannot be read")
    sections = [(".cmdline", work / "cmdline"), (".linux", kernel), (".initrd", initrd)]
    command = ["objcopy"]
    for (name, file), address in zip(
        sections, addresses(headers, [file.stat().st_size for _, file in sections]), strict=True
    ):
        command += ["--add-section", f"{name}={file}", "--change-section-vma", f"{name}={address:#x}"]
    loader = work / "BOOTX64.EFI"
    _run([*command, str(stub), str(loader)], work, "the EFI program cannot be built")
    tree = work / "iso"
    tree.mkdir()
    image = tree / "esp.img"
    kib = (loader.stat().st_size // 1024 + 1024 + 63) // 64 * 64
    with image.open("wb") as out:
        out.truncate(kib * 1024)
    for step in (
        ["mformat", "-i", str(image), "-T", str(kib * 2), "-h", "16", "-s", "63", "::"],
        ["mmd", "-i", str(image), "::/EFI", "::/EFI/BOOT"],
        ["mcopy", "-i", str(image), str(loader), "::/EFI/BOOT/BOOTX64.EFI"],
        ["xorriso", "-as", "mkisofs", "-quiet", "-V", "VELOCITY_DEMO", "-o", str(work / "guest.iso"),
         "-e", "esp.img", "-no-emul-boot", str(tree)],
    ):  # fmt: skip
        _run(step, work, f"{step[0]} failed")
    return work / "guest.iso"


def addresses(headers: str, sizes: list[int]) -> Iterator[int]:
    """Where the sections go: behind all that `objdump -h` says the stub has, each behind the one before."""
    ends = [
        int(vma, 16) + int(size, 16) for size, vma in re.findall(r"^\s*\d+ \S+\s+(\w{8})\s+(\w{16})", headers, re.M)
    ]
    place = max(ends)
    for size in sizes:
        place = -(-place // ALIGNMENT) * ALIGNMENT
        yield place
        place += size


def cache_directory(data_dir: Path) -> Path:
    """Where the guest is kept: with the data, or with the user's caches when that is not ours to write."""
    if os.access(data_dir, os.W_OK):
        return data_dir / "cache" / "demo"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "velocity"
