"""Other servers on this host, whose uids may overlap with this one's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from velocity.hypervisor.qemu.processes import table
from velocity.hypervisor.qemu.runs import CLAIMS, UID_COUNT
from velocity.network import fence

APART = UID_COUNT + 32
"""How far apart the `uid_base` of two servers on one host have to be: the uids that one server uses."""


def overlaps(uids: range, instance: str, claims: Path = CLAIMS) -> Iterator[str]:
    """What other servers on this host have of the uids from `uids.start` on, with the cure.

    They are known by their packet filters, which stay when a server ends, and by their guests that run; so another
    server with the same `uid_base` is seen only while one of its guests runs.
    """
    last = uids.start + APART - 1
    apart = f"give each server of this host a uid_base at least {APART:,} apart, while none of its guests runs"
    for start in fence.others(uids):
        if abs(start - uids.start) < APART:
            yield (
                f"the uids of this server, {uids.start} to {last}, and those of another one, from {start} on, overlap: "
                f"its packet filter may keep guests here from DHCP, and this one's those there; {apart}, or, if that "
                f"server is gone, `nft delete table inet {fence.table(range(start, start))}`"
            )
    for claim in sorted(claims.iterdir() if claims.is_dir() else (), key=lambda one: one.name):
        if claim.name.isdecimal() and uids.start <= int(claim.name) <= last and (where := _of_another(claim, instance)):
            yield f"a guest of another server ({where}) runs under a uid of this one, {claim.name}: {apart}"
            return


def _of_another(claim: Path, instance: str) -> Path | None:
    """Where another server has the guest that runs under this uid. A crash may leave claims of guests that do not."""
    try:
        root = claim.readlink().parent
        return root if root.name != instance and table([root], {int(claim.name)}) else None
    except OSError:  # it has just gone, or not all processes could be examined
        return None
