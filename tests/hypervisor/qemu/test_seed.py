"""The CD that cloud-init reads: what tools other than ours find on it, and where it is."""

from __future__ import annotations

import itertools
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.hypervisor.qemu.plans import KINDS
from velocity.hypervisor.port import SeedSpec
from velocity.hypervisor.qemu import hardware
from velocity.hypervisor.qemu.command import arguments
from velocity.hypervisor.qemu.seed import image, opened

SEED = SeedSpec("#!/bin/sh\n" + "echo \u00e4\n" * 9000, "instance-id: a\n", "version: 2\n")


@pytest.mark.holds("MORE-15")
def test_other_tools_read_the_label_and_the_files(tmp_path: Path) -> None:
    for seed in (SEED, SeedSpec("#cloud-config\n", "instance-id: b\n")):
        cd, to = tmp_path / "seed.iso", tmp_path / seed.meta_data[-2]
        cd.write_bytes(image(seed))
        assert cd.stat().st_size % 2048 == 0
        said = subprocess.run(
            ["xorriso", "-osirrox", "on", "-indev", f"stdio:{cd}", "-extract", "/", to],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "'CIDATA'" in said.stdout + said.stderr
        texts = {"user-data": seed.user_data, "meta-data": seed.meta_data, "network-config": seed.network_config}
        found = {file.name: file.read_text() for file in to.iterdir()}
        assert found == {name: text for name, text in texts.items() if text}


@pytest.mark.holds("MORE-15")
def test_nobody_writes_to_it_and_it_has_no_name() -> None:
    file = opened(SEED)
    try:
        assert b"echo" in os.pread(file, 1 << 20, 0)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(file, b"x")
        assert os.fstat(file).st_nlink == 0
    finally:
        os.close(file)


@pytest.mark.holds("MORE-15")
def test_it_has_a_place_of_its_own_and_moves_nothing() -> None:
    for kind, made in KINDS.items():
        for profile in hardware.PROFILES:
            one = replace(made, spec=msgspec.structs.replace(made.spec, hardware=profile.name))
            words = arguments(replace(one, files=replace(one.files, seed=5)))
            rest = [word for word in words if word not in arguments(one)]
            devices = [word for option, word in itertools.pairwise(words) if option == "-device"]
            places = [word for device in devices for word in device.split(",") if word.startswith("addr=")]
            assert len(places) == len(set(places)) and "addr=0x13" in places, kind
            assert not any("bootindex" in word for word in rest), "the firmware does not look at it"
            without = [word for word in devices if "seed" not in word]
            assert without == [word for option, word in itertools.pairwise(arguments(one)) if option == "-device"]
