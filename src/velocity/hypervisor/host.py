"""Facts about a host and its machines: values of the port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from velocity.hypervisor.spec import HardwareProfile
from velocity.storage.port import Value


@dataclass(frozen=True)
class HostFacts:
    """What a host offers a machine. Memory is in MiB. Never part of a union, hence without a tag.

    `hardware`: the oldest first. `nat_networks` are those in which NAT NICs can have addresses, IPv4 first;
    `nat_lacking` says why there are none, if that keeps machines with such NICs from starting. `cpus` are the host's
    own; 0: not reported. `max_cpus` is the most for one machine. `cpu_models`: name -> what the host lacks for it, in
    words; empty: it supports that model.
    """

    accelerator: str
    accelerator_reason: str
    hypervisor: str
    machine_type: str
    firmware: str
    hardware: tuple[HardwareProfile, ...]
    cpu_models: Mapping[str, str]
    max_cpus: int
    memory: int
    nat_networks: tuple[str, ...] = ()
    nat_lacking: str = ""
    cpus: int = 0


class Confinement(Value, frozen=True):
    """The confinement of a machine's process, read back from the running system."""

    uid: int
    own_uid: bool
    groups: tuple[int, ...]
    bounding_set: str
    no_new_privileges: bool
    seccomp: bool
    namespaces: tuple[str, ...]
    sees_host_files: bool
    oom_score_adj: int
    memory_limit: int | None
    """MiB that the process may take, including the guest's memory; None: no limit of its own, as for the next two."""
    thread_limit: int | None
    cpu_weight: int | None
    core_dumps: bool
    nat_reaches_loopback: bool
    unfiltered_nics: tuple[int, ...]
    """The ids of BRIDGE NICs, and of NAT NICs with addresses of the host's networks."""
    gaps: tuple[str, ...]


class NicAddress(Value, frozen=True):
    """An address of one of a machine's NICs, by the NIC's id."""

    machine: UUID
    nic: int
    address: str


class HostNow(Value, frozen=True):
    """The present load of a host. Memory is in MiB, `load` the averages of 1, 5 and 15 minutes, `uptime` in seconds.

    `busy` is the CPU time of all its CPUs since then, in seconds.
    """

    name: str
    cpus: int
    load: tuple[float, float, float]
    memory: int
    memory_free: int
    uptime: int
    busy: float = 0.0
