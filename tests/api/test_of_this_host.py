"""A VM keeps machine type and firmware build, until somebody has it take those of its host."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.api.world import world
from tests.host import hosting
from velocity.hypervisor.fake import FACTS, FakeHypervisor

pytestmark = pytest.mark.anyio

OTHER = dataclasses.replace(FACTS, machine_type="fake-2.0", firmware="fedcba9876543210")


@pytest.mark.holds("GUEST-29")
async def test_a_vm_takes_what_its_host_has_now_when_it_is_told_to(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid = await w.vm()
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    async with world(tmp_path / "data", FakeHypervisor(OTHER)) as w:
        shown = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        assert (shown["machine_type"], shown["firmware"]) == ("fake-1.0", FACTS.firmware), "nothing changes by itself"
        same = await w.ok("PATCH", "/v/vm", vmid=vmid, **{name: shown[name] for name in ("machine_type", "firmware")})
        assert same["revision"] == shown["revision"], "what it has is no change"
        request = {"vmid": vmid, "firmware": "host", "machine_type": "latest", "revision": shown["revision"]}
        planned = await w.ok("PATCH", "/v/vm", **request, plan=True)
        assert [(one["field"], one["old"], one["new"]) for one in planned["steps"][0]["changes"]] == [
            ("machine_type", "fake-1.0", "fake-2.0"), ("firmware", FACTS.firmware, OTHER.firmware),
        ]  # fmt: skip
        assert (await w.ok("POST", "/v/vm", vmid=vmid)).body == shown
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        altered = await w.ok("PATCH", "/v/vm", **request)
        assert altered["waiting"] == ["machine_type", "firmware"]
        assert altered["revision"] != shown["revision"]
        shown = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        assert (shown["machine_type"], shown["firmware"]) == ("fake-2.0", OTHER.firmware)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["waiting"] == []
        (run,) = w.hypervisor.runs.values()
        assert (run.spec.machine_type, run.spec.firmware) == ("fake-2.0", OTHER.firmware)


@pytest.mark.holds("GUEST-29")
async def test_what_is_of_no_host_is_refused_with_the_word_that_is_meant(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        vmid = await w.vm()
        before = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        for field, value, word in (("firmware", "latest", "host"), ("machine_type", "pc-q35-99.0", "latest")):
            answer = await w.call("PATCH", "/v/vm", vmid=vmid, **{field: value})
            assert (answer.status, answer.code, answer["field"]) == (406, 16422, field)
            assert f"set it to '{word}'" in answer["message"]
            assert await w.refused("PATCH", "/v/vm", vmid=vmid, cpus=2, **{field: value}) == (406, 16422)
        weak = await w.user("weak", (0, "vm.view"))
        assert await w.refused("PATCH", "/v/vm", weak, vmid=vmid, firmware="host") == (403, 16400)
        assert (await w.ok("POST", "/v/vm", vmid=vmid)).body == before


@pytest.mark.holds("GUEST-29")
def test_the_command_line_asks_for_it_and_shows_its_plan(tmp_path: Path) -> None:
    with hosting(tmp_path / "data") as host:
        host.ok("vm", "create", "web", "--memory", "64M")
    with hosting(tmp_path / "data", FakeHypervisor(OTHER)) as host:
        both = ("vm", "set", "web", "--firmware", "host", "--machine", "latest")
        planned = host.run(*both, "--plan").output
        assert f"machine_type fake-1.0 -> fake-2.0, firmware {FACTS.firmware} -> {OTHER.firmware}" in planned, planned
        host.ok(*both)
        lines = [line.split(None, 1) for line in host.ok("vm", "show", "web").splitlines()]
        assert ["machine", "fake-2.0"] in lines and ["firmware", OTHER.firmware] in lines
        refused = host.run("vm", "set", "web", "--firmware", "other")
        assert refused.exit_code == 2 and "'other' is not 'host'" in refused.stderr
