"""What a machine needs of its host before it can start: its firmware build, its machine type, variables that fit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.ports.subjects import NoMedia
from velocity.hypervisor.port import HostId, HypervisorError, Incarnation, MachineSpec
from velocity.hypervisor.qemu import cpu_models, firmware, launch
from velocity.hypervisor.qemu.directories import HostDirectories
from velocity.hypervisor.qemu.probe import Accelerator
from velocity.hypervisor.qemu.runs import Runs
from velocity.hypervisor.qemu.spool import bounds


def build(store: Path, name: str, size: int) -> None:
    """A kept build whose variables take `size` bytes."""
    (store / name).mkdir(parents=True)
    (store / name / "code.fd").write_bytes(b"code")
    command = ["qemu-img", "create", "-q", "-f", "qcow2", str(store / name / "vars.qcow2"), str(size)]
    subprocess.run(command, check=True)


@pytest.mark.holds("GUEST-43")
def test_cpu_models_are_those_that_qemu_says_this_host_can_give(tmp_path: Path) -> None:
    cache = tmp_path / "models.json"
    found = cpu_models.read("qemu-system-x86_64", Accelerator.TCG, cache)
    assert found["Nehalem"] == found["qemu64"] == "", "software emulation has all of these"
    assert "sgx" in found["Icelake-Server-v5"] or "more" in found["Icelake-Server-v5"]
    assert not {"max", "host", "base", "486", "pentium3", "qemu64-v1"} & found.keys()
    assert cpu_models.read("qemu-system-x86_64", Accelerator.TCG, cache) == found


@pytest.mark.holds("GUEST-30")
def test_what_a_host_lacks_is_told_with_the_cure_and_variables_stay_where_they_fit(tmp_path: Path) -> None:
    store = tmp_path / "firmware"
    for name, size in (("old", 528 << 10), ("same", 528 << 10), ("small", 128 << 10)):
        build(store, name, size)
    types = frozenset({"pc-q35-7.2"})
    place = HostDirectories(
        "", "", store, tmp_path / "machines", Runs(tmp_path / "runs", "a", None), NoMedia(tmp_path), False,
        bounds(tmp_path), types, cpu_models={"Nehalem": "", "EPYC": "xsaves"},
    )  # fmt: skip
    who = Incarnation(uuid4(), HostId(1), 1)
    file = tmp_path / "machines" / str(who.machine) / "vars.qcow2"

    def prepare(build: str, machine: str = "pc-q35-7.2", cpu: str = "Nehalem") -> None:
        os.close(launch.prepare_state(place, who, MachineSpec("a", 1, 64, machine, build, cpu=cpu)))

    with pytest.raises(HypervisorError, match=r"the machine type pc-q35-9.9 .*`velocity vm set VM --machine latest`"):
        prepare("old", "pc-q35-9.9")
    for cpu, lacks in (("EPYC", "xsaves"), ("max,enforce=off", "this model")):
        with pytest.raises(HypervisorError, match=rf"CPU model {cpu} .* lacks {lacks}: .*`velocity vm set VM --cpu"):
            prepare("old", cpu=cpu)
    with pytest.raises(firmware.MissingFirmware, match=r"build none .*copy firmware/none .*--firmware host`"):
        prepare("none")
    assert not file.exists()
    prepare("old")
    first = file.stat().st_ino
    command = ["qemu-io", "-f", "qcow2", "-c", "write -P 7 0 512", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    written = file.read_bytes()
    prepare("same")
    assert (file.stat().st_ino, file.read_bytes()) == (first, written), "boot entries stay"
    prepare("small")
    with file.open("rb") as made, (store / "small" / "vars.qcow2").open("rb") as template:
        assert firmware.layout(made.fileno()) == firmware.layout(template.fileno()) == 128 << 10
        assert os.pread(made.fileno(), 1 << 20, 0) == template.read(), "begun anew"
