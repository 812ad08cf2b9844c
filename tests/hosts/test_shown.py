"""What is shown of several hosts: each with its pools, NICs and VMs, and what of them does not respond."""

from __future__ import annotations

import json
from pathlib import Path
from socket import gethostname

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.api.asking import ask
from tests.api.test_metrics import scrape
from tests.host import hosting
from tests.hosts.together import Other, attaching, smaller, together
from tests.metrics.times import Hands
from velocity import __version__
from velocity.hypervisor.attached import Duty

THERE = {"id": 2, "name": "b"}


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"), facts=smaller(memory=8192), nics={5: "br1", 9: "dmz"})


@pytest.mark.anyio
@pytest.mark.holds("MANY-34")
async def test_each_host_is_shown_with_what_it_has_and_the_others_beside(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        vmid = await w.vm(host=2, memory_mib=512)
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.vm("own", host=1)
        own, other = (await w.ok("POST", "/h/host")).body, (await w.ok("POST", "/h/host", host=2)).body
        assert (own["vms"], other["vms"]) == ({"running": 0, "total": 1}, {"running": 1, "total": 1})
        assert [[one["mpid"] for one in each["pools"]] for each in (own, other)] == [[1], [20]]
        assert own["hosts"] == other["hosts"]
        assert own["hosts"][1] == {
            **THERE, "duty": "active", "vms": {"running": 1, "total": 1}, "memory_mib": 8192, "memory_given_mib": 512,
        }  # fmt: skip
        assert await w.refused("POST", "/h/host", host=3) == (404, 35110)

        await w.server.hosts.attach(b.attached(duty=Duty.DRAINING))
        b.fake.faults.lose(b.host)
        await b.fake.heard()
        shown = (await w.ok("POST", "/h/host"))["hosts"][1]
        assert shown["duty"] == "draining"
        assert shown["unreachable_since"] > 0
        refused = await w.call("POST", "/h/host", host=2)
        assert refused.status == 503
        assert "host 'b' has not responded since" in refused["message"]
    async with together(tmp_path / "alone") as w:
        assert "hosts" not in (await w.ok("POST", "/h/host")).body
        assert (await w.ok("POST", "/h/host", host=1))["name"] == gethostname()


@pytest.mark.anyio
@pytest.mark.holds("PAGE-105")
async def test_how_busy_each_host_is_stands_beside_it(tmp_path: Path, b: Other) -> None:
    hands = Hands()
    async with together(tmp_path / "data", b, times=hands.times()) as w:

        async def uses() -> list[float | None]:
            return [one.get("cpu_use") for one in (await w.ok("POST", "/h/host"))["hosts"]]

        assert await uses() == [None, None]
        for busy in (0.0, 20.0):  # of 8 CPUs, in ten seconds
            b.fake.hosts.busy += busy
            await hands.look(w.server.services.metrics)
        assert await uses() == [0.0, 25.0]
        b.fake.faults.lose(b.host)
        await b.fake.heard()
        await hands.look(w.server.services.metrics)
        assert await uses() == [0.0, None], "what was measured once is not so for ever"


@pytest.mark.anyio
@pytest.mark.holds("MANY-272")
async def test_a_host_is_shown_by_its_own_name_and_version(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        b.name = "cellar"
        await w.server.hosts.attach(b.attached(version="0.0.9"))
        shown = await w.ok("POST", "/h/host", host=2)
        assert (shown["name"], shown["version"]) == ("cellar", "0.0.9")
        assert (await w.ok("POST", "/h/host"))["version"] == __version__
        about = (await scrape(w, w.key))["velocity_host_info"]
        assert {labels[-2:] for labels in about} == {(gethostname(), __version__), ("cellar", "0.0.9")}


@pytest.mark.anyio
@pytest.mark.holds("MANY-35")
async def test_pools_and_nics_say_on_which_hosts_they_are(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:
        nics = (await w.ok("POST", "/v/nic/list"))["host_nics"]
        where = {one["nicid"]: (one["identifier"], [host["id"] for host in one["hosts"]]) for one in nics}
        assert where == {5: ("br0", [1, 2]), 9: ("dmz", [2])}
        pools = (await w.ok("POST", "/m/pool/list", gid=0))["pools"]
        assert [one["host"]["id"] for one in pools] == [1, 2]
        vmid = await w.vm(nics=[{"type": "BRIDGE", "host": 9}])
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["host"] == THERE
    async with together(tmp_path / "alone") as w:
        assert "hosts" not in (await w.ok("POST", "/v/nic/list"))["host_nics"][0]
        assert "host" not in (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]


@pytest.mark.anyio
@pytest.mark.holds("MANY-36")
async def test_metrics_are_of_each_host_that_responds(tmp_path: Path, b: Other) -> None:
    async with together(tmp_path / "data", b) as w:

        async def metrics() -> dict[str, dict[tuple[str, ...], float]]:
            headers = {"authorization": f"Bearer {w.key}", "accept": "application/openmetrics-text"}
            _, text = await ask(w.server.asgi, "GET", "/metrics", b"", headers)
            return {
                family.name: {tuple(one.labels.values()): one.value for one in family.samples}
                for family in text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
            }

        own = w.server.hosts.hosts.own.name
        found = await metrics()
        assert found["velocity_host_memory_bytes"] == {(own,): 4096 << 20, ("b",): 8192 << 20}
        assert found["velocity_host_responds"] == {(own,): 1, ("b",): 1}
        assert {key[:2] for key in found["velocity_pool_free_bytes"]} == {(own, "1"), ("b", "20")}
        b.fake.faults.lose(b.host)
        await b.fake.heard()
        found = await metrics()
        assert found["velocity_host_responds"] == {(own,): 1, ("b",): 0}
        assert list(found["velocity_host_memory_bytes"]) == [(own,)]


@pytest.mark.holds("MANY-37")
def test_the_command_line_names_hosts(tmp_path: Path, b: Other) -> None:
    with hosting(tmp_path / "data", attach=attaching(b)) as host:
        assert "would create vm there" in (planned := host.ok("vm", "create", "there", "--host", "b", "--plan"))
        assert "on host b: it was asked for" in planned
        host.ok("vm", "create", "there", "--host", "b")
        assert "host          b" in host.ok("vm", "show", "there")
        listed = host.ok("vm", "list")
        assert "HOST" in listed.splitlines()[0]
        assert listed.splitlines()[1].split()[-1] == "b"
        assert json.loads(host.ok("host", "show", "b", "--json"))["vms"]["total"] == 1
        assert "0 of 1 VMs" in host.ok("host", "show")
        assert host.ok("pool", "list").splitlines()[2].split()[-1] == "b"
        assert "dmz" in host.ok("nic", "list")
        wrong = host.run("vm", "create", "x", "--host", "c")
        assert wrong.exit_code == 4
        assert "you see no host named 'c'" in wrong.stderr


@pytest.mark.holds("MANY-159")
def test_a_host_is_shown_with_what_it_has_and_what_its_vms_were_given(tmp_path: Path, b: Other) -> None:
    with hosting(tmp_path / "data", attach=attaching(b)) as host:
        host.ok("vm", "create", "one", "--host", "id:1", "--cpus", "2", "--memory", "512M")
        host.ok("vm", "create", "two", "--host", "id:1", "--cpus", "1", "--memory", "512M")
        host.ok("vm", "create", "other", "--host", "b", "--cpus", "1", "--memory", "256M")
        shown = host.ok("node", "show", "id:1")
        assert "cpus          4, 3 given to VMs; one VM can have 8" in shown
        assert "memory        4.0 GiB, 1.0 GiB given to VMs" in shown
        host.ok("vm", "rm", "two")
        own = json.loads(host.ok("--json", "node", "show", "id:1"))
        assert [own[field] for field in ("cpus", "max_vm_cpus", "cpus_given", "memory_given_mib")] == [4, 8, 2, 512]


@pytest.mark.holds("MANY-162")
def test_launch_makes_a_vm_on_the_host_that_is_named(tmp_path: Path, b: Other) -> None:
    c = Other(3, "c", (30, "x"), (31, "y"))
    with hosting(tmp_path / "data", attach=attaching(b, c)) as host:
        host.ok("media", "create", "image", "--size", "1M", "--format", "raw")
        host.ok("launch", "image", "--name", "there", "--host", "b", "--no-wait")
        shown = json.loads(host.ok("--json", "vm", "show", "there"))
        assert (shown["host"]["name"], shown["state"]) == ("b", "RUNNING")
        assert [ref.pool for ref in b.disks.pools[20].kept] == [20]
        several = host.run("launch", "image", "--name", "more", "--host", "c", "--no-wait")
        assert several.exit_code != 0
        assert "name the pool of its disk (--pool): those of host c (3) are x, y" in several.stderr
        host.ok("launch", "image", "--name", "more", "--host", "c", "--pool", "y", "--no-wait")
        assert len(c.disks.pools[31].kept) == 1


@pytest.mark.holds("MANY-52")
def test_the_end_of_the_servers_host_ends_no_guest_of_another(tmp_path: Path, b: Other) -> None:
    with hosting(tmp_path / "data", attach=attaching(b)) as host:
        for name, where in (("own", "1"), ("other", "2")):
            host.ok("vm", "create", name, "--memory", "64M", "--host", where)
            host.ok("vm", "start", name)
        said = host.run("service", "stop-guests", "--timeout", "60")
        assert said.exit_code == 0, said.output
        assert "asked own to shut down" in said.stderr
        assert "other" not in said.stderr
        assert len(b.fake.runs) == 1
        assert not host.hypervisor.runs
