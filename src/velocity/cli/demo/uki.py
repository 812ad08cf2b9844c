"""Builds an EFI program from kernel, initial RAM disk and command line with systemd's stub, and a partition with it.

See "Unified Kernel Image" and "EFI System Partition" of the UAPI group. Needs no root, mount or loop device.
"""

from __future__ import annotations

import gzip
import itertools
import lzma
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ALIGNMENT = 0x1000
SPARE = 1024
"""KiB in an EFI System Partition beside its one file."""


class CannotBuild(Exception):
    """No guest can be built here; the message has the cure."""


def run(command: list[str], where: Path, trouble: str, timeout: float = 600, **environment: str) -> str:
    """Run a program; returns its output. Raises `CannotBuild` with its last words, or what apt marks as errors."""
    try:
        done = subprocess.run(
            command, cwd=where, capture_output=True, text=True, check=False, timeout=timeout,
            env={**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin", **environment},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuild(f"{trouble} ({error})") from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        said = next((line for line in words if line.startswith("E: ")), words[-1] if words else "it said nothing")
        raise CannotBuild(f"{trouble} ({said})")
    return done.stdout


# The initial RAM disk


_numbers = itertools.count(1)


def entry(name: str, data: bytes = b"", mode: int = 0o100755, device: tuple[int, int] = (0, 0)) -> bytes:
    """One member of a cpio archive ("newc" format), owned by root. cpio(5)"""
    encoded = name.encode() + b"\0"
    fields = (next(_numbers), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(encoded), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def archive(ours: list[bytes], busybox: Path, loaded: Mapping[str, bytes]) -> bytes:
    """A compressed archive with busybox, our members, and the modules with their loading order."""
    entries = [entry(name, mode=0o40755) for name in ("bin", "lib", "dev")]
    entries.append(entry("dev/console", mode=0o20600, device=(5, 1)))
    entries += [entry("bin/busybox", busybox.read_bytes()), *ours]
    entries += [entry(f"lib/{name}", data, mode=0o100644) for name, data in loaded.items()]
    entries.append(entry("lib/order", "".join(f"{name}\n" for name in loaded).encode(), mode=0o100644))
    return gzip.compress(b"".join([*entries, entry("TRAILER!!!", mode=0)]), 1)


def modules(root: Path, release: str, wanted: tuple[str, ...]) -> dict[str, bytes]:
    """The modules and their dependencies, in loading order, uncompressed."""
    there = {
        file.name.split(".ko")[0].replace("-", "_"): file
        for file in root.glob(f"**/modules/{release}/**/*.ko*")
        if re.search(r"\.ko(\.xz|\.zst|\.gz)?$", file.name)
    }
    return ordered(wanted, {name: lambda file=file: _plain(file) for name, file in there.items()})  # type: ignore[misc]


def ordered(wanted: tuple[str, ...], there: Mapping[str, Callable[[], bytes]]) -> dict[str, bytes]:
    """The wanted modules, each after its dependencies (`depends=`). Missing ones are built in."""
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


# The EFI program


def program(work: Path, root: Path, command_line: str, kernel: Path, initrd: Path) -> Path:
    """`BOOTX64.EFI`; `root` contains the unpacked packages."""
    stub = next(root.glob("**/linuxx64.efi.stub"))
    (work / "cmdline").write_text(command_line)
    headers = run(["objdump", "-h", str(stub)], work, "the EFI stub cannot be read")
    sections = [(".cmdline", work / "cmdline"), (".linux", kernel), (".initrd", initrd)]
    command = ["objcopy"]
    for (name, file), address in zip(
        sections, addresses(headers, [file.stat().st_size for _, file in sections]), strict=True
    ):
        command += ["--add-section", f"{name}={file}", "--change-section-vma", f"{name}={address:#x}"]
    loader = work / "BOOTX64.EFI"
    run([*command, str(stub), str(loader)], work, "the EFI program cannot be built")
    return loader


def system_partition(loader: Path, image: Path) -> None:
    """An EFI System Partition, just large enough, that boots this program."""
    kib = (loader.stat().st_size // 1024 + SPARE + 63) // 64 * 64
    with image.open("wb") as out:
        out.truncate(kib * 1024)
    for step in (
        ["mformat", "-i", str(image), "-T", str(kib * 2), "-h", "16", "-s", "63", "::"],
        ["mmd", "-i", str(image), "::/EFI", "::/EFI/BOOT"],
        ["mcopy", "-i", str(image), str(loader), "::/EFI/BOOT/BOOTX64.EFI"],
    ):
        run(step, loader.parent, f"{step[0]} failed")


def addresses(headers: str, sizes: list[int]) -> Iterator[int]:
    """The addresses of the sections, one after the other, behind those that `objdump -h` shows in the stub."""
    ends = [
        int(vma, 16) + int(size, 16) for size, vma in re.findall(r"^\s*\d+ \S+\s+(\w{8})\s+(\w{16})", headers, re.M)
    ]
    place = max(ends)
    for size in sizes:
        place = -(-place // ALIGNMENT) * ALIGNMENT
        yield place
        place += size
