"""GET /metrics: resource use of VMs, hosts and the server, as Prometheus text or, if accepted, as OpenMetrics.

https://prometheus.io/docs/instrumenting/content_negotiation/

Callers get the VMs that they may view; the rest needs velocity.host.view.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from prometheus_client import exposition
from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from starlette.requests import Request
from starlette.responses import Response

from velocity.access.sessions import Caller
from velocity.api.endpoint import Endpoint
from velocity.api.handlers.base import Services
from velocity.api.request import carried
from velocity.api.request_counts import RequestCounts
from velocity.api.request_record import RequestRecord
from velocity.contract import hosts
from velocity.contract.fields import PoolState
from velocity.contract.hosts import HostInfo, HostPool
from velocity.contract.machines import State
from velocity.contract.metrics import EXPOSITION
from velocity.contract.operation import Holds, Nothing
from velocity.contract.permissions import Permission
from velocity.hypervisor.attached import AttachedHost
from velocity.hypervisor.port import Usage
from velocity.machines.run.keeper import Keeper
from velocity.metrics.loop import Lag

LOOKED_AT = 250
"""VMs that are read in one step of the event loop."""

OF_VM: dict[str, tuple[str, Callable[[Keeper], float]]] = {
    "running": ("1 while the VM is RUNNING", lambda vm: vm.state is State.RUNNING),
    "cpus": ("CPUs of the VM", lambda vm: vm.machine.spec.cpus),
    "memory_bytes": (
        "Memory that the VM was given",
        lambda vm: (vm.progress.run or vm.machine.spec).memory_mib << 20,
    ),
}
"""Gauges: name -> description and value."""

OF_USAGE: dict[str, tuple[str, str, Callable[[Usage], float | None]]] = {
    "resident_bytes": (
        "gauge",
        "Resident memory of the VM's process: what it uses of the host's memory",
        lambda usage: usage.memory,
    ),
    "cpu_seconds": ("counter", "CPU time of the VM's process", lambda usage: usage.cpu),
    "disk_read_bytes": ("counter", "Bytes read from its media", lambda usage: usage.disk_read),
    "disk_written_bytes": ("counter", "Bytes written to its media", lambda usage: usage.disk_written),
    "network_received_bytes": (
        "counter",
        "Bytes received on its NICs on bridges",
        lambda usage: None if usage.net is None else usage.net.received,
    ),
    "network_sent_bytes": (
        "counter",
        "Bytes sent on its NICs on bridges",
        lambda usage: None if usage.net is None else usage.net.sent,
    ),
}
"""The use of running VMs that respond: name -> kind, description and value. Counters restart with each start of the VM.
"""

OF_HOST: dict[str, tuple[str, Callable[[HostInfo], float]]] = {
    "cpus": ("CPUs of the host", lambda now: now.cpus),
    "memory_bytes": ("Memory of the host", lambda now: now.memory_mib << 20),
    "memory_free_bytes": ("Memory available to a new VM", lambda now: now.memory_free_mib << 20),
    "uptime_seconds": ("Time since the host was started", lambda now: now.uptime),
    "vms_running": ("VMs that are not STOPPED", lambda now: now.vms.running),
    "vms": ("VMs of all groups", lambda now: now.vms.total),
}

OF_POOL = {
    "size": "Size of the pool's file system",
    "free": "Free space of the pool's file system",
    "declared": "Total size that its media may grow to",
    "allocated": "Space that its media take on the disk",
}


Row = tuple[dict[str, str], Sequence[float], Usage | None]
"""A VM's labels, the values of OF_VM, and its use."""


@dataclass(frozen=True)
class Collected:
    """The registry that prometheus_client expects."""

    metrics: list[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.metrics


class OpenMetrics(Endpoint):
    """Serves the VMs' use as last measured, at most ten seconds ago, and the hosts' as of now."""

    def __init__(self, services: Services) -> None:
        super().__init__(EXPOSITION, services)

    async def answer(self, request: Request, about: RequestRecord) -> Response:
        services = self.services
        caller = self.admit(about, carried(request, None), Nothing())
        rows = await _rows(services, caller)
        found: list[Metric] = []
        needs, held = hosts.SHOW.needs, services.directory.held(caller.uid)
        assert isinstance(needs, Holds)
        if services.access.allowed(needs, caller.uid, held, None):
            found = [*_hosts(await services.host.all()), *_requests(services.counts), _lag(services.lag)]
        asked = wants_openmetrics(request.headers.getlist("accept"))
        text = await asyncio.to_thread(text_of, rows, found, asked)  # 10,000 VMs give 2 MB, which takes a second
        kind = openmetrics.CONTENT_TYPE_LATEST if asked else exposition.CONTENT_TYPE_PLAIN_0_0_4
        return Response(text, headers={"cache-control": "no-store", "content-type": kind, "vary": "accept"})


async def _rows(services: Services, caller: Caller) -> list[Row]:
    """Each VM is read when its turn comes; with many VMs, other requests are served in between."""
    rows: list[Row] = []
    sees = services.directory.holding(caller.uid, Permission.VM_VIEW)
    for number, vm in enumerate(services.fleet.all(), start=1):
        machine = vm.machine
        if sees(machine.gid):
            labels = {"vmid": str(machine.vmid), "gid": str(machine.gid), "name": machine.name}
            rows.append((labels, [value(vm) for _, value in OF_VM.values()], services.metrics.usage(vm)))
        if number % LOOKED_AT == 0:
            await asyncio.sleep(0)
            sees = services.directory.holding(caller.uid, Permission.VM_VIEW)
    return rows


def wants_openmetrics(accept: Sequence[str]) -> bool:
    """Whether the client prefers OpenMetrics to plain text; by default, plain text is sent. RFC 9110, 12.5.1"""
    quality: dict[str, float] = {}
    for one in ",".join(accept).split(","):
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        found = re.fullmatch(r"q=([01](?:\.\d{0,3})?)", next((part for part in parameters if part[:2] == "q="), "q=1"))
        quality[kind] = max(quality.get(kind, 0), float(found[1]) if found else 0)
    plain = max(quality.get(kind, 0) for kind in ("text/plain", "text/*", "*/*"))
    return quality.get("application/openmetrics-text", 0) > 0 and quality["application/openmetrics-text"] >= plain


def text_of(rows: Sequence[Row], more: Sequence[Metric], as_openmetrics: bool) -> bytes:
    write = openmetrics.generate_latest if as_openmetrics else exposition.generate_latest
    text: bytes = write(Collected([*_vms(rows), *more]))
    return text


POOL_STATES: tuple[str, ...] = get_args(get_args(PoolState)[0])


def _vms(rows: Sequence[Row]) -> Iterator[Metric]:
    for at, (name, (text, _)) in enumerate(OF_VM.items()):
        yield _metric("gauge", f"velocity_vm_{name}", text, ((labels, values[at]) for labels, values, _ in rows))
    for name, (kind, text, taken) in OF_USAGE.items():
        usages = ((labels, None if usage is None else taken(usage)) for labels, _, usage in rows)
        yield _metric(kind, f"velocity_vm_{name}", text, usages)


Hosts = Sequence[tuple[dict[str, str], HostInfo]]
"""Each host that responds, with its labels: none if it is the only one."""


def _hosts(found: Sequence[tuple[AttachedHost, HostInfo | None]]) -> Iterator[Metric]:
    many = len(found) > 1
    if many:
        responds = (({"host": one.name}, int(now is not None)) for one, now in found)
        yield _metric("gauge", "velocity_host_responds", "1 for a host that responds", responds)
    yield from _responding([({"host": one.name} if many else {}, now) for one, now in found if now is not None])


def _responding(hosts: Hosts) -> Iterator[Metric]:
    about = (
        (which | {"name": now.name, "version": now.version, "hypervisor": now.hypervisor,
         "accelerator": now.accelerator}, 1) for which, now in hosts
    )  # fmt: skip
    yield _metric("info", "velocity_host", "The host and its version", about)
    for name, (text, value) in OF_HOST.items():
        yield _metric("gauge", f"velocity_host_{name}", text, ((which, value(now)) for which, now in hosts))
    load = (
        (which | {"minutes": minutes}, mean)
        for which, now in hosts
        for minutes, mean in zip(("1", "5", "15"), now.load, strict=True)
    )
    yield _metric("gauge", "velocity_host_load", "Load average", load)
    pools = list(_pools(hosts))
    for name, text in OF_POOL.items():
        yield _metric("gauge", f"velocity_pool_{name}_bytes", text, ((of, getattr(pool, name)) for of, pool in pools))
    states = ((of | {"state": state}, int(pool.state == state)) for of, pool in pools for state in POOL_STATES)
    yield _metric("gauge", "velocity_pool_state", "1 for the state that the pool is in, 0 for the others", states)


def _pools(hosts: Hosts) -> Iterator[tuple[dict[str, str], HostPool]]:
    """Each pool with its labels. A shared pool is listed once, without a host."""
    told = set()
    for which, now in hosts:
        for pool in now.pools:
            about = {"mpid": str(pool.mpid), "name": pool.name}
            if not pool.shared:
                yield which | about, pool
            elif pool.mpid not in told:
                told.add(pool.mpid)
                yield about, pool


def _requests(counts: RequestCounts) -> Iterator[Metric]:
    ended = (({"operation": name, "status": status}, count) for (name, status), count in counts.ended.items())
    yield _metric("counter", "velocity_requests", "Requests by operation and status", ended)
    seconds = (({"operation": name}, value) for name, value in counts.seconds.items())
    yield _metric("counter", "velocity_request_seconds", "Time spent on requests", seconds)


def _lag(lag: Lag) -> Metric:
    text = "Delay of the event loop, measured every 25 ms"
    return HistogramMetricFamily("velocity_event_loop_lag_seconds", text, lag.buckets(), lag.seconds)


def _metric(kind: str, name: str, text: str, samples: Iterable[tuple[dict[str, str], float | None]]) -> Metric:
    metric = Metric(name, text, kind)
    suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
    for labels, value in samples:
        if value is not None:
            metric.add_sample(name + suffix, labels, float(value))
    return metric
