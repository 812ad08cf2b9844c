"""EFI firmware, found by the distributions' descriptors and kept per build.

https://www.qemu.org/docs/master/interop/firmware.json (schema, and precedence of directories)
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from velocity.durable import sync, sync_file

DEFAULT_DIRECTORIES = (
    Path("/etc/qemu/firmware"),
    Path("/usr/local/share/qemu/firmware"),
    Path("/usr/share/qemu/firmware"),
)
"""The first directory has precedence."""

UNWANTED = frozenset({"secure-boot", "enrolled-keys", "requires-smm"})
"""Features that a firmware for any guest must not have: it would refuse unsigned boot loaders, or need SMM."""


CONVERTED = 60
"""Seconds for qemu-img to convert a template of variables, which has some hundred KiB."""


class NoFirmware(Exception):
    """This host has no suitable EFI firmware, or it cannot be kept; the message has the cure."""


class MissingFirmware(Exception):
    """The build that a machine is pinned to is not kept here."""


class Firmware(Struct, frozen=True):
    """The files of a descriptor. `build` identifies them by a hash of their content."""

    code: Path
    variables: Path
    variables_format: str
    description: str
    build: str


class FirmwareBuild(Struct, frozen=True):
    """A build as it is kept: `code` is raw, `vars` the qcow2 template of a machine's variables, as installed.

    `booted` is the same template after a boot, if there was one (`first_boot`).
    """

    code: Path
    vars: Path
    build: str

    @property
    def booted(self) -> Path:
        return self.vars.with_name("booted.qcow2")

    @property
    def template(self) -> Path:
        """The template of a new machine's variables."""
        return self.booted if self.booted.is_file() else self.vars


def find(directories: Sequence[Path] = DEFAULT_DIRECTORIES) -> Firmware:
    """The first suitable firmware, in the order of the descriptors' names. Raises `NoFirmware`."""
    for descriptor in _descriptors(directories):
        try:
            described = json.loads(descriptor.read_text("utf-8"))
            files = _fitting(described)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # an invalid descriptor of somebody else is ignored
        if files is not None and files[0].is_file() and files[1].is_file():
            code, variables, kind = files
            digest = hashlib.sha256(code.read_bytes() + b"\0" + variables.read_bytes()).hexdigest()
            return Firmware(code, variables, kind, str(described.get("description", "")), digest[:16])
    raise NoFirmware(
        "no EFI firmware for x86_64 is installed: `apt install ovmf` on Debian and Ubuntu, "
        "`dnf install edk2-ovmf` on Fedora"
    )


def keep(firmware: Firmware, store: Path) -> FirmwareBuild:
    """Keep a copy, so that machines pinned to this build keep booting it after the distribution's package changes.

    Raises `NoFirmware`, `OSError`: nothing is kept.
    """
    target = store / firmware.build
    if not target.is_dir():
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=store, prefix=".draft-") as scratch:
            draft = Path(scratch) / "build"
            draft.mkdir()
            shutil.copyfile(firmware.code, draft / "code.fd")
            _convert(firmware, draft / "vars.qcow2")
            for file in (draft / "code.fd", draft / "vars.qcow2"):
                sync_file(file)
            sync(draft)
            if not target.is_dir():
                draft.rename(target)
                sync(store)
    return kept(firmware.build, store)


def _convert(firmware: Firmware, target: Path) -> None:
    """Write the template of its variables as qcow2. Raises `NoFirmware`."""
    command = ["qemu-img", "convert", "-f", firmware.variables_format, "-O", "qcow2"]
    command += [str(firmware.variables), str(target)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=CONVERTED)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None)  # bytes after a timeout
        lines = (said.decode(errors="replace") if isinstance(said, bytes) else said or "").strip().splitlines()
        why = lines[-1] if lines else str(error)
        raise NoFirmware(
            f"the firmware {firmware.variables} cannot be copied to {target.parents[2]} by qemu-img ({why}): start the "
            "server again once it can"
        ) from None


def kept(build: str, store: Path) -> FirmwareBuild:
    """The kept build. Raises `MissingFirmware`."""
    directory = store / build
    if not (directory / "vars.qcow2").is_file():
        raise MissingFirmware(
            f"the firmware build {build} that this VM uses is missing on this host: copy firmware/{build} from the "
            "data directory, or the backup, that the VM comes from to firmware/ in this server's; or give the VM this "
            "host's build: `velocity vm set VM --firmware host`"
        )
    return FirmwareBuild(directory / "code.fd", directory / "vars.qcow2", build)


def layout(variables: int) -> int:
    """The size in bytes of the variable store in a qcow2 file: builds with another size are incompatible.

    https://www.qemu.org/docs/master/interop/qcow2.html
    """
    return int.from_bytes(os.pread(variables, 8, 24), "big")


def _descriptors(directories: Sequence[Path]) -> list[Path]:
    """By name; a file masks those of the same name in later directories, and an empty one only masks."""
    found: dict[str, Path] = {}
    for directory in directories:
        if directory.is_dir():
            for file in directory.glob("*.json"):
                found.setdefault(file.name, file)
    return [file for _, file in sorted(found.items()) if file.is_file() and file.stat().st_size]


def _fitting(described: dict[str, Any]) -> tuple[Path, Path, str] | None:
    if "uefi" not in described["interface-types"] or UNWANTED & set(described["features"]):
        return None
    fits = any(
        target["architecture"] == "x86_64" and any("q35" in machine for machine in target["machines"])
        for target in described["targets"]
    )
    mapping = described["mapping"]
    if not fits or mapping["device"] != "flash" or mapping.get("mode", "split") != "split":
        return None
    code, variables = mapping["executable"], mapping["nvram-template"]
    if code["format"] != "raw" or variables["format"] not in ("raw", "qcow2"):
        return None
    return Path(code["filename"]), Path(variables["filename"]), variables["format"]
