"""Routes 33, 34 and 35, and GET /metrics: what is shown, and to whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families
from starlette.types import Message

from tests.api.world import World, world
from tests.metrics.times import Hands
from velocity import __version__
from velocity.hypervisor.port import Traffic, Usage

pytestmark = pytest.mark.anyio

MEASURED = Usage(cpu=3.5, memory=96 << 20, disk_read=4096, disk_written=512, net=Traffic(received=70, sent=30))


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def w(tmp_path: Path, anyio_backend: str, hands: Hands) -> AsyncIterator[World]:
    async with world(tmp_path / "data", times=hands.times()) as made:
        yield made


async def running(w: World, name: str, gid: int = 0, usage: Usage = MEASURED) -> int:
    vmid = await w.vm(name, gid)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    w.hypervisor.runs[w.server.services.fleet.get(vmid).machine.uuid].usage = usage
    return vmid


async def works(w: World, hands: Hands, vmid: int, **more: Any) -> None:
    """Ten seconds in which its counters grow, and a look at them."""
    run = w.hypervisor.runs[w.server.services.fleet.get(vmid).machine.uuid]
    assert run.usage is not None
    run.usage = replace(run.usage, **more)
    await hands.look(w.server.services.metrics)


async def test_the_hour_and_the_day_of_a_vm(w: World, hands: Hands) -> None:
    vmid = await running(w, "vm")
    empty = await w.ok("POST", "/v/vm/metrics", vmid=vmid, span="hour")
    nothing: dict[str, Any] = {"at": [], "cpu": [], "memory_mib": [], "disk_read": [], "disk_written": []}
    assert empty.body == {"vmid": vmid, "interval": 10, "given_mib": 64, "spans": ["hour"], **nothing}
    await works(w, hands, vmid)
    await works(w, hands, vmid, cpu=9.75, disk_read=4096 + 10_000, disk_written=1024, net=Traffic(1070, 2030))
    shown = await w.ok("POST", "/v/vm/metrics", vmid=vmid, span="hour")
    assert shown.body == {
        "vmid": vmid,
        "interval": 10,
        "given_mib": 64,
        "running_since": 1_700_000_010,
        "spans": ["hour"],
        "at": [1_700_000_010, 1_700_000_020],
        "cpu": [None, 62.5],
        "memory_mib": [96, 96],
        "disk_read": [None, 1000],
        "disk_written": [None, 51],
        "net_received": [None, 100],
        "net_sent": [None, 200],
    }
    day = await w.ok("POST", "/v/vm/metrics", vmid=vmid, span="day")
    assert (day["interval"], day["at"], day["cpu"]) == (120, [1_699_999_920], [62.5])
    year = await w.ok("POST", "/v/vm/metrics", vmid=vmid, span="year")
    assert (year["interval"], year["at"], year["cpu"]) == (86_400, [1_699_920_000], [62.5])
    assert await w.refused("POST", "/v/vm/metrics", vmid=vmid, span="century") == (400, 400)


@pytest.mark.holds("GUEST-40")
async def test_what_a_vm_was_given_is_shown_beside_what_the_host_spends_on_it(w: World, hands: Hands) -> None:
    vmid = await running(w, "vm")
    assert "memory_taken_mib" not in (await w.ok("POST", "/v/vm", vmid=vmid)).body, "it was not measured yet"
    await works(w, hands, vmid)
    await w.ok("PATCH", "/v/vm", vmid=vmid, memory_mib=256)

    async def shown() -> tuple[int, int, list[float]]:
        info = (await w.ok("POST", "/v/vm", vmid=vmid)).body
        given = (await w.ok("POST", "/v/vm/metrics", vmid=vmid, span="hour"))["given_mib"]
        return (
            info.get("memory_taken_mib", 0),
            given,
            list((await scrape(w, w.key))["velocity_vm_memory_bytes"].values()),
        )

    assert await shown() == (96, 64, [64 << 20]), "more memory waits for the next start"
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    assert await shown() == (0, 256, [256 << 20])


async def test_a_vm_on_nat_alone_has_no_counters_of_its_network(w: World, hands: Hands) -> None:
    vmid = await running(w, "vm", usage=replace(MEASURED, net=None))
    await works(w, hands, vmid)
    await works(w, hands, vmid)
    shown = await w.ok("POST", "/v/vm/metrics", vmid=vmid, span="hour")
    assert shown["cpu"] == [None, 0]
    assert "net_received" not in shown.body and "net_sent" not in shown.body


async def test_who_may_see_what_a_vm_takes(w: World) -> None:
    gid = await w.group("a")
    vmid = await running(w, "vm", gid)
    viewer, other = await w.user("viewer", (gid, "vm.view")), await w.user("other", (gid, "media.list"))
    stranger = await w.user("stranger")
    await w.ok("POST", "/v/vm/metrics", viewer, vmid=vmid, span="day")
    assert await w.refused("POST", "/v/vm/metrics", other, vmid=vmid, span="day") == (403, 33100)
    assert await w.refused("POST", "/v/vm/metrics", stranger, vmid=vmid, span="day") == (404, 33110)
    await w.ok("POST", "/v/vm/command", viewer, vmid=vmid)
    assert await w.refused("POST", "/v/vm/command", other, vmid=vmid) == (403, 34100)
    assert await w.refused("POST", "/v/vm/command", stranger, vmid=vmid) == (404, 34110)


@pytest.mark.holds("METRIC-12")
async def test_what_all_that_run_take_is_one_answer_of_those_that_the_caller_may_view(w: World, hands: Hands) -> None:
    ours = await w.group("ours")
    age = 3600.0
    mine, other = await running(w, "mine", ours, replace(MEASURED, age=age)), await running(w, "other")
    await w.vm("still", ours)
    bob, stranger = await w.user("bob", (ours, "vm.view")), await w.user("stranger")
    nothing: dict[str, Any] = {"vmids": [], "cpu": [], "memory_mib": [], "running_since": []}
    assert (await w.ok("POST", "/v/vm/usage", bob)).body == nothing, "it was not measured yet"
    await works(w, hands, mine)
    began = int(hands.now - age)
    first = await w.ok("POST", "/v/vm/usage", bob)
    assert first.body == {"vmids": [mine], "cpu": [None], "memory_mib": [96], "running_since": [began]}
    await works(w, hands, mine, cpu=9.75, memory=128 << 20, age=age + 9)
    shown = await w.ok("POST", "/v/vm/usage", bob)
    assert shown.body == {"vmids": [mine], "cpu": [62.5], "memory_mib": [128], "running_since": [began]}
    assert (await w.ok("POST", "/v/vm/usage"))["vmids"] == [mine, other]
    assert (await w.ok("POST", "/v/vm/usage", stranger)).body == nothing
    for path, more in (("/v/vm", {}), ("/v/vm/metrics", {"span": "hour"})):
        assert (await w.ok("POST", path, bob, vmid=mine, **more))["running_since"] == began
    await w.ok("PUT", "/v/vm/state", vmid=mine, state="STOPPED", force=True)
    assert (await w.ok("POST", "/v/vm/usage", bob)).body == nothing
    assert "running_since" not in (await w.ok("POST", "/v/vm", bob, vmid=mine)).body


@pytest.mark.holds("METRIC-13")
async def test_how_busy_the_host_is_over_ten_seconds(w: World, hands: Hands) -> None:
    host, metrics = w.hypervisor.hosts, w.server.services.metrics

    async def shown() -> float | None:
        return (await w.ok("POST", "/h/host")).body.get("cpu_use")

    assert await shown() is None
    await hands.look(metrics)
    assert await shown() is None, "a share needs the measurement before"
    for busy, share in ((20.0, 25.0), (20.0, 0.0), (5000.0, 100.0), (3.0, None), (43.0, 50.0)):
        host.busy = busy
        await hands.look(metrics)
        assert await shown() == share, busy


async def test_the_command_of_a_vm_while_it_runs(w: World) -> None:
    vmid = await running(w, "vm")
    uuid = str(w.server.services.fleet.get(vmid).machine.uuid)
    shown = await w.ok("POST", "/v/vm/command", vmid=vmid)
    assert shown.body == {"vmid": vmid, "argv": ["fake", "-uuid", uuid, "-pidfile", "RUN/pid"]}
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)
    assert await w.refused("POST", "/v/vm/command", vmid=vmid) == (406, 34120)


@pytest.mark.holds("PAGE-66")
async def test_the_host(w: World) -> None:
    gid = await w.group("a")
    await running(w, "one")
    await w.vm("two", gid)
    await w.medium(size=3 << 20)
    await w.upload(b"x" * 10_000)
    shown = await w.ok("POST", "/h/host")
    pool = shown.body.pop("pools")[0]
    assert shown.body == {
        "name": gethostname(),
        "version": __version__,
        "cpus": 8,
        "load": [0.5, 0.25, 0.125],
        "memory_mib": 4096,
        "memory_free_mib": 4096,
        "uptime": 86_400,
        "hypervisor": "fake 1.0",
        "accelerator": "fake",
        "accelerator_reason": "nothing is executed",
        "vms": {"running": 1, "total": 2},
        "unknown_guests": [],
        "unasked_writers": [],
        "data_dir": str(w.data),
    }
    assert (pool["mpid"], pool["declared"]) == (1, (3 << 20) + 10_000)
    assert 10_000 <= pool["allocated"] < 3 << 20, "what is sparse takes nothing"
    assert pool["size"] > pool["free"] > 0
    member = await w.user("member", (gid, "vm.view"))
    assert await w.refused("POST", "/h/host", member) == (403, 35100)
    watched = await w.ok("POST", "/h/host", await w.user("watcher", (gid, "host.view")))
    assert "data_dir" not in watched.body, "where it is on the host is for who manages hosts"


async def test_a_pool_that_cannot_be_read_is_no_end_of_the_host(w: World) -> None:
    (w.data / "media").rename(w.data / "elsewhere")
    pool = (await w.ok("POST", "/h/host"))["pools"][0]
    assert (pool["size"], pool["free"], pool["allocated"]) == (0, 0, 0)
    (w.data / "elsewhere").rename(w.data / "media")


OPENMETRICS = "application/openmetrics-text"
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.holds("METRIC-11")
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (PROMETHEUS, OPENMETRICS),
        (OPENMETRICS, OPENMETRICS),
        ("Application/OpenMetrics-Text; Q=0.8, text/plain;q=0.5", OPENMETRICS),
        ("text/plain, application/openmetrics-text;q=0.9", "text/plain"),
        ("application/openmetrics-text;q=0, */*;q=0.1", "text/plain"),
        ("application/openmetrics-text;q=x", "text/plain"),
        ("*/*", "text/plain"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/plain"),
        ("application/json", "text/plain"),
        ("", "text/plain"),
        (",;q=", "text/plain"),
    ],
)
async def test_metrics_come_in_the_form_that_is_asked_for(w: World, accept: str, kind: str) -> None:
    """As plain text, for `curl` and `promtool`, where OpenMetrics is not asked for."""
    await running(w, 'quo"te \\ ü', await w.group("ours"))
    headers = {"authorization": f"Bearer {w.key}", "accept": accept}
    response = await w.http.get("http://velocity/metrics", headers=headers)
    assert (response.headers["content-type"].split(";")[0], response.headers["vary"]) == (kind, "accept")
    read = text_string_to_metric_families if kind == OPENMETRICS else plain_families
    found = {family.name: family for family in read(response.text)}
    assert found["velocity_vm_cpus"].samples[0].labels["name"] == 'quo"te \\ ü'
    assert found["velocity_requests"].type == "counter"
    assert response.text.endswith("# EOF\n") == (kind == OPENMETRICS)


async def scrape(w: World, key: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample -> the values of its labels -> its value; read by the library's own parser."""
    headers = {"authorization": f"Bearer {key}", "accept": OPENMETRICS}
    response = await w.http.get("http://velocity/metrics", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(response.text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


@pytest.mark.holds("METRIC-6")
async def test_openmetrics_of_the_vms_that_the_caller_may_view(w: World, hands: Hands) -> None:
    ours, theirs = await w.group("ours"), await w.group("theirs")
    odd = 'quo"te \\ brace} ü'
    mine, still, other = await running(w, odd, ours), await w.vm("still", ours), await running(w, "other", theirs)
    await works(w, hands, mine)
    key = await w.user("bob", (ours, "vm.view"))
    found = await scrape(w, key)
    label = (str(ours), odd, str(mine))
    assert found["velocity_vm_running"] == {label: 1, (str(ours), "still", str(still)): 0}
    assert found["velocity_vm_memory_bytes"][label] == 64 << 20
    taken = {name.removeprefix("velocity_vm_"): values for name, values in found.items() if len(values) == 1}
    assert taken == {
        "resident_bytes": {label: 96 << 20},
        "cpu_seconds_total": {label: 3.5},
        "disk_read_bytes_total": {label: 4096},
        "disk_written_bytes_total": {label: 512},
        "network_received_bytes_total": {label: 70},
        "network_sent_bytes_total": {label: 30},
    }
    others = ("velocity_host", "velocity_pool", "velocity_request", "velocity_event")
    assert not any(name.startswith(others) for name in found)
    assert (str(theirs), "other", str(other)) in (await scrape(w, w.key))["velocity_vm_running"]


async def test_openmetrics_of_the_host_and_the_server(w: World) -> None:
    await running(w, "vm")
    await w.refused("POST", "/v/vm", vmid=99)
    for seconds in (0.0, 0.25, 3.0):
        w.server.services.lag.note(seconds)
    found = await scrape(w, w.key)
    assert found["velocity_host_info"] == {("fake", "fake 1.0", gethostname(), __version__): 1}
    assert found["velocity_host_memory_bytes"] == {(): 4096 << 20}
    assert found["velocity_host_load"] == {("1",): 0.5, ("5",): 0.25, ("15",): 0.125}
    assert (found["velocity_host_vms"], found["velocity_host_vms_running"]) == ({(): 1}, {(): 1})
    assert set(found["velocity_pool_free_bytes"]) == {("1", "default")}
    ended = found["velocity_requests_total"]
    assert (ended["create_vm", "200"], ended["show_vm", "404"], ended["sign_in", "200"]) == (1, 1, 1)
    assert found["velocity_request_seconds_total"]["create_vm",] > 0
    buckets = found["velocity_event_loop_lag_seconds_bucket"]
    assert (buckets["0.001",], buckets["0.1",], buckets["0.25",], buckets["1.0",], buckets["+Inf",]) == (1, 1, 2, 2, 3)
    assert found["velocity_event_loop_lag_seconds_count"] == {(): 3}
    assert found["velocity_event_loop_lag_seconds_sum"] == {(): 3.25}
    watcher = await w.user("watcher", (await w.group("a"), "host.view"))
    seen = await scrape(w, watcher)
    assert "velocity_host_info" in seen and "velocity_vm_running" not in seen, "the host alone"


async def test_openmetrics_needs_an_authkey(w: World) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}):
        response = await w.http.get("http://velocity/metrics", headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, 100)
    response = await w.http.post("http://velocity/metrics")
    assert response.status_code == 405


async def test_a_client_that_goes_away_before_its_answer_is_counted(w: World) -> None:
    sent: list[Message] = []

    async def leave() -> Message:
        return {"type": "http.disconnect"}

    async def answer(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v/vm",
        "headers": [],
        "query_string": b"",
        "client": None,
    }
    await w.server.asgi(scope, leave, answer)
    assert sent == []
    assert (await scrape(w, w.key))["velocity_requests_total"]["show_vm", "none"] == 1
