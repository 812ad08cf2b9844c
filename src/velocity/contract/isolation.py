"""The isolation of a virtual machine's process from the host, other machines and their network."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.operation import Wire


class Isolation(Wire, frozen=True):
    """How the VM's process is isolated, read back from /proc while it runs."""

    uid: int
    own_uid: bool
    supplementary_groups: list[int]
    capability_bounding_set: Annotated[str, Meta(description="hexadecimal, as in /proc/PID/status")]
    no_new_privileges: bool
    seccomp: bool
    namespaces: Annotated[list[str], Meta(description="those of its own, of mount, ipc and pid")]
    sees_host_files: Annotated[bool, Meta(description="whether it sees more of them than /usr and its own directory")]
    oom_score_adj: Annotated[int, Meta(description="the higher, the sooner the kernel ends it when memory runs out")]
    core_dumps: Annotated[bool, Meta(description="whether a crash may write what it has in memory to a disk")]
    nat_reaches_host_loopback: bool
    unfiltered_nics: Annotated[
        list[int],
        Meta(description="bridged NICs without a packet filter, by their index in `nics`, from 0"),
    ]
    unfiltered_interfaces: Annotated[list[int], Meta(description="the same by their ids, as in `interfaces`")]
    gaps: Annotated[list[str], Meta(description="what is not isolated here, and how to change that")]
    memory_limit_mib: Annotated[int, Meta(description="limit of its process; absent: no limit")] | UnsetType = UNSET
    thread_limit: Annotated[int, Meta(description="limit of its process; absent: no limit")] | UnsetType = UNSET
    cpu_weight: Annotated[int, Meta(description="its CPU weight when CPUs are scarce")] | UnsetType = UNSET
