"""A host as the API shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import UNSET

from velocity.access.rules import Amount
from velocity.contract import nodes
from velocity.hosts.copies import KeptCopy
from velocity.hosts.lost import LostHosts
from velocity.hosts.members import API, Known, Member


@dataclass(frozen=True)
class Found:
    """What is found out about a host. `trouble`: why it does not answer, `since` when (Unix seconds). `ahead`: seconds
    that its clock is ahead of ours. `uids`: a warning about the uids of its guests. Empty or 0: nothing is wrong.
    """

    trouble: str
    since: int
    ahead: int
    uids: str


def shown(one: Member, vms: int, given: Amount, found: Found, kept: KeptCopy | None, lost: LostHosts) -> nodes.NodeInfo:
    """A host as the API shows it. `vms`: how many it has; `given`: what they were given; `kept`: its database copy."""
    known = one.known
    facts: dict[str, object] = {}
    if known is not None:
        facts = {
            "version": known.version,
            "hostname": known.hostname,
            "hypervisor": known.facts.hypervisor,
            "accelerator": known.facts.accelerator,
            "max_vm_cpus": known.facts.max_cpus,
            "memory_mib": known.facts.memory,
        }
        facts |= {"cpus": known.facts.cpus} if known.facts.cpus else {}
    if one.own and one.address:
        facts |= {"address": one.address}
    if not one.own:
        facts |= {"uuid": one.uuid, "address": one.address or UNSET, "joined": one.joined or UNSET}
        facts |= {"certificate_expires": known.certificate_expires or UNSET} if known else {}
        facts |= {"since": found.since} if found.since else {}
    if kept is not None:
        facts |= {"keeps_copy": True, "copied": kept.at or UNSET, "copy_message": kept.trouble or UNSET}
    facts |= {"clock_ahead": found.ahead} if found.ahead else {}
    facts |= lost.shown(one, vms)
    told = found.trouble or _version(known), _clock(found.ahead), found.uids
    return nodes.NodeInfo(
        host=one.host,
        name=one.name,
        own=one.own,
        state=lost.state(one),
        duty=one.duty.value,
        labels=dict(one.labels),
        vms=vms,
        cpus_given=given.cpus,
        memory_given_mib=given.memory_mib,
        pools=[nodes.NodePool(mpid=pool.mpid, name=pool.name) for pool in known.pools] if known else [],
        nics=[nodes.NodeNic(nicid=nicid, identifier=name) for nicid, name in known.nics.items()] if known else [],
        message="; ".join(filter(None, told)) or UNSET,
        **facts,  # type: ignore[arg-type]
    )


def _clock(ahead: int) -> str:
    """A warning that its clock is wrong, and what to do; empty if it is right."""
    if not ahead:
        return ""
    where = "ahead of" if ahead > 0 else "behind"
    return (
        f"its clock is {_far(abs(ahead))} {where} this server's: synchronize both (systemd-timesyncd or chrony), as "
        "certificates and the clocks of guests depend on them"
    )


def _far(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _version(known: Known | None) -> str:
    """A warning that its version is another one, and what to do; empty if it is the same."""
    if known is None or known.api == API:
        return ""
    if known.api > API:
        return (
            f"it runs Velocity {known.version}, which is newer than this server: upgrade the server, and next time "
            "before its hosts"
        )
    return (
        f"it runs Velocity {known.version}, which is older than this server, and lacks newer features: upgrade it, "
        "and restart velocity-node there"
    )


def other_uids(one: Member, others: Iterable[Member]) -> str:
    """A warning that a host sharing a pool with it uses other uids; empty: none."""
    if one.own or one.known is None or not one.known.uid_base:
        return ""
    mine = {pool.mpid: pool.name for pool in one.known.pools if pool.shared}
    for other in others:
        if other.host == one.host or other.known is None or other.known.uid_base in (0, one.known.uid_base):
            continue
        for pool in other.known.pools:
            if pool.shared and pool.mpid in mine:
                return (
                    f"its uid_base is {one.known.uid_base}, and that of {other.name}, with which it shares the pool "
                    f"{mine[pool.mpid]!r}, {other.known.uid_base}: set the same on both, while no VM runs there"
                )
    return ""
