"""What is known of a host and its machines: values of the port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from velocity.hypervisor.spec import HardwareProfile
from velocity.storage.port import Value


@dataclass(frozen=True)
class HostFacts:
    """What a host can give a machine. Memory is in MiB. It never stands for one of several kinds: it has no tag.

    `hardware`: oldest first. `nat_networks` are those in which it can give NAT NICs addresses, IPv4's first;
    `nat_lacking` says why there are none, if that is to keep machines with such NICs from starting.
    `cpus` are its own; 0: it does not tell. `max_cpus` is what one machine can have.
    `cpu_models`: name -> what the host lacks of it, in words; none: it can give that one.
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
    """What holds of a machine's process, read back from the running system, never from what was asked for."""

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
    """MiB that the process may take, its guest's memory among them; None: no bound of its own, as with the next two."""
    thread_limit: int | None
    cpu_weight: int | None
    core_dumps: bool
    nat_reaches_loopback: bool
    unfiltered_nics: tuple[int, ...]
    """The ids of BRIDGE NICs, and of NAT NICs with addresses of the host's networks."""
    gaps: tuple[str, ...]


class NicAddress(Value, frozen=True):
    """An address of a NIC of a machine, by the NIC's id."""

    machine: UUID
    nic: int
    address: str


class HostNow(Value, frozen=True):
    """How a host does. Memory is in MiB, `load` the means of 1, 5 and 15 minutes, `uptime` seconds since its start.

    `busy` is how many seconds all its CPUs together have computed since then.
    """

    name: str
    cpus: int
    load: tuple[float, float, float]
    memory: int
    memory_free: int
    uptime: int
    busy: float = 0.0
