"""The probe, the firmware and the facts of the host."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from velocity.hypervisor.qemu import confine, facts, firmware, meter, probe
from velocity.hypervisor.qemu.confine import read_back
from velocity.hypervisor.qemu.probe import Accelerator, BrokenHost, choose, fault
from velocity.sandbox import View

CONFINED = {
    "Uid": "20000 20000 20000 20000", "Gid": "20000 20000 20000 20000", "Groups": "", "NoNewPrivs": "1", "Seccomp": "2",
    **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), "0" * 16),
    "Namespaces": "mount ipc pid", "Root": "ro,nosuid,noexec tmpfs velocity", "Network": "own",
    "OomScoreAdj": "200", "ServerOomScoreAdj": "0", "CoreMax": "0", "FileMax": "1073741824",
    "ProcessesMax": "1024", "MemoryMax": "2048", "ThreadsMax": "", "CpuWeight": "100",
}  # fmt: skip
"""What is read of a process to which all of it holds."""


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.guest
def test_software_emulation_passes_the_probe(tmp_path: Path) -> None:
    assert fault("tcg", "qemu-system-x86_64", probe.TCG_PATIENCE) is None


@pytest.mark.guest
def test_the_choice_has_a_reason_and_is_cached(tmp_path: Path) -> None:
    first = choose("auto", tmp_path / "c.json")
    assert first.reason
    assert (first.accelerator is Accelerator.KVM) == (first.kvm == "works")
    assert (tmp_path / "c.json").stat().st_mode & 0o777 == 0o600
    kept = json.loads((tmp_path / "c.json").read_text())
    kept["value"]["reason"] = "from the cache"
    (tmp_path / "c.json").write_text(json.dumps(kept))
    assert choose("auto", tmp_path / "c.json").reason == "from the cache"
    assert choose("tcg", tmp_path / "c.json").kvm == "not asked", "another wish is another question"


def test_a_kvm_that_cannot_execute_a_guest_is_broken(tmp_path: Path) -> None:
    """A QEMU that fails under kvm as it does where KVM is there but incomplete, and passes under tcg."""
    binary = script(
        tmp_path / "qemu",
        'case "$*" in *"-accel kvm"*) echo "KVM internal error. Suberror: 1" >&2; exit 1;; esac\n'
        'for word in "$@"; do case $word in file:*) printf "probe ok\\n" >"${word#file:}";; esac; done; exit 33\n',
    )
    device = tmp_path / "kvm"
    device.write_text("")
    verdict = choose("auto", tmp_path / "c.json", binary, device)
    assert (verdict.accelerator, verdict.kvm) == (Accelerator.TCG, "broken")
    assert "KVM internal error" in verdict.reason
    forced = choose("kvm", tmp_path / "c.json", binary, device)
    assert (forced.accelerator, forced.kvm) == (Accelerator.KVM, "broken")
    absent = choose("auto", tmp_path / "c.json", binary, tmp_path / "none")
    assert (absent.accelerator, absent.kvm) == (Accelerator.TCG, "absent")


def test_a_probe_that_says_nothing_has_not_passed(tmp_path: Path) -> None:
    assert fault("tcg", script(tmp_path / "a", "exit 33"), 5) == "QEMU ended with status 33"
    assert "cannot be run" in str(fault("tcg", str(tmp_path / "none"), 5))
    with pytest.raises(BrokenHost):
        choose("auto", tmp_path / "c.json", str(tmp_path / "none"), tmp_path / "no-kvm")


@pytest.mark.guest
def test_a_probe_that_hangs_is_ended(tmp_path: Path) -> None:
    assert "did not end" in str(fault("tcg", script(tmp_path / "a", "exec sleep 60"), 0.2))


def descriptor(directory: Path, name: str, files: Path, **more: object) -> None:
    directory.mkdir(exist_ok=True)
    code, variables = files / f"{name}.code", files / f"{name}.vars"
    code.write_text(name)
    variables.write_text("v")
    described = {
        "description": name,
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": str(code), "format": "raw"},
            "nvram-template": {"filename": str(variables), "format": "raw"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "features": ["acpi-s3", "amd-sev"],
        **more,
    }
    (directory / f"{name}.json").write_text(json.dumps(described))


def test_firmware_is_chosen_by_its_descriptors(tmp_path: Path) -> None:
    vendor, admin = tmp_path / "usr", tmp_path / "etc"
    descriptor(vendor, "10-secure", tmp_path, features=["secure-boot", "requires-smm"])
    descriptor(vendor, "20-arm", tmp_path, targets=[{"architecture": "aarch64", "machines": ["virt"]}])
    descriptor(vendor, "30-bios", tmp_path, **{"interface-types": ["bios"]})
    descriptor(vendor, "50-plain", tmp_path)
    descriptor(vendor, "60-other", tmp_path)
    (vendor / "40-broken.json").write_text("{")
    assert firmware.find([admin, vendor]).description == "50-plain"
    admin.mkdir()
    (admin / "50-plain.json").write_text("")
    assert firmware.find([admin, vendor]).description == "60-other", "an empty file masks"
    with pytest.raises(firmware.NoFirmware, match="apt install ovmf"):
        firmware.find([admin])


@pytest.mark.guest
def test_a_build_is_kept_and_told_apart(tmp_path: Path) -> None:
    found = firmware.find()
    kept = firmware.keep(found, tmp_path / "store")
    assert kept == firmware.keep(found, tmp_path / "store")
    assert kept.code.read_bytes() == found.code.read_bytes()
    assert kept.vars.read_bytes()[:4] == b"QFI\xfb"
    with pytest.raises(firmware.MissingFirmware):
        firmware.kept("0123", tmp_path / "store")


def test_the_age_of_a_process_and_how_long_the_cpus_have_computed() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        cpu, memory, age = meter.process(sleeper.pid, 0)
        assert 0 <= age < 60 and cpu < 60 and memory > 0
        assert meter.process(os.getpid(), 0)[2] >= age, "who began it is older"
        sleeper.kill()
    stat = "cpu  100 20 30 4000 500 6 7 80 9 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n"
    assert facts.busy(stat) == 163 / os.sysconf("SC_CLK_TCK"), "neither idle, waiting for a disk, nor stolen"
    assert facts.now().busy > 0


@pytest.mark.guest
def test_the_facts_of_qemu(tmp_path: Path) -> None:
    found = facts.read("qemu-system-x86_64", tmp_path / "f.json")
    assert found.machine_type.startswith("pc-q35-")
    assert 1 < found.max_cpus <= 255
    assert 0 < facts.memory_free_mib() <= found.memory_mib


@pytest.mark.guest
@pytest.mark.skipif(os.geteuid() != 0 or not confine.KVM.exists(), reason="needs root and a /dev/kvm to lend")
def test_a_machine_may_open_kvm_although_its_uid_may_not(tmp_path: Path) -> None:
    look = ["sh", "-c", "exec 3<>/dev/kvm && id -u"]
    mode = confine.KVM.stat().st_mode & 0o777
    confine.KVM.chmod(0o600)

    def opened(view: View | None, uid: int) -> bytes:
        with Path(os.devnull).open("r+b") as null, tempfile.TemporaryFile() as said:
            nothing, env = null.fileno(), {"PATH": os.defpath}
            pid = confine.begin(view, uid, 1 << 30, look, stdin=nothing, stdout=said.fileno(), stderr=nothing, env=env)
            os.waitpid(pid, 0)
            said.seek(0)
            return said.read()

    try:
        assert not confine.is_open_to_all(confine.KVM)
        assert opened(None, 40000) == b""
        seen = confine.view(40000, tmp_path, "qemu-system-x86_64", None, kvm=True)
        assert opened(seen, 40000).split() == [b"40000"]
        assert opened(seen, 40001) == b"", "nobody else's"
        assert list(tmp_path.iterdir()) == [], "nothing of it is seen outside"
        assert confine.KVM.stat().st_uid == 0
    finally:
        confine.KVM.chmod(mode)


@pytest.mark.holds("ISOLATION-5")
def test_what_status_says_of_confinement() -> None:
    whole = read_back(CONFINED, server_uid=0, nat=False, nat_reaches_loopback=False)
    assert whole.gaps == ()
    assert (whole.memory_limit, whole.thread_limit, whole.cpu_weight, whole.core_dumps) == (2048, 1024, 100, False)
    fewer = read_back(CONFINED | {"ThreadsMax": "900"}, server_uid=0, nat=False, nat_reaches_loopback=False)
    assert fewer.thread_limit == 900
    loose = {
        **CONFINED, "Uid": "1000 1000 1000 1000", "Groups": "27", "CapBnd": "ff", "NoNewPrivs": "0", "Seccomp": "0",
        "Namespaces": "", "Root": "rw,relatime ext4 /dev/sda1", "Network": "host",
        "OomScoreAdj": "0", "ServerOomScoreAdj": "0", "CoreMax": "unlimited", "FileMax": "unlimited",
        "ProcessesMax": "1024", "MemoryMax": "", "ThreadsMax": "", "CpuWeight": "",
    }  # fmt: skip
    nothing = read_back(loose, server_uid=1000, nat=True, nat_reaches_loopback=True)
    assert len(nothing.gaps) == 11
    assert nothing.thread_limit is None, "all processes of that user are counted together"


@pytest.mark.holds("ISOLATION-9")
def test_the_nics_that_are_not_filtered_are_named() -> None:
    held = read_back(CONFINED, server_uid=0, nat=False, nat_reaches_loopback=False, unfiltered_nics=iter((1, 3)))
    assert held.unfiltered_nics == (1, 3)
    assert held.gaps == ("no packet filter keeps its NIC 1 and 3 from posing as others: stop it and start it again",)


@pytest.mark.holds("ISOLATION-13")
@pytest.mark.parametrize(
    ("fact", "instead", "gap"),
    [
        ("Namespaces", "mount pid", "it sees the host's files"),
        ("Root", "rw tmpfs velocity", "it sees the host's files"),
        ("Root", "ro ext4 /dev/sda1", "it sees the host's files"),
        ("Network", "host", "it can use this host's network"),
        ("Groups", "27", "it has supplementary groups"),
        ("Gid", "20000 27 20000 20000", "it has supplementary groups"),
        ("CapBnd", "1", "its capability bounding set"),
        *((kind, "1", "it has capabilities") for kind in confine.CAPABILITIES),
        ("NoNewPrivs", "0", "it can gain new privileges"),
        ("Seccomp", "0", "it has no system call filter"),
        ("OomScoreAdj", "0", "the kernel may kill the server before it"),
        ("MemoryMax", "", "its memory is not limited"),
        ("ProcessesMax", "unlimited", "the number of its threads is not limited"),
        ("CoreMax", "unlimited", "a crash may write"),
        ("FileMax", "unlimited", "the size of its media"),
    ],
)
def test_each_thing_that_does_not_hold_is_named_alone(fact: str, instead: str, gap: str) -> None:
    (named,) = read_back(CONFINED | {fact: instead}, server_uid=0, nat=False, nat_reaches_loopback=False).gaps
    assert gap in named
