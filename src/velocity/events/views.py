"""What lists and events show of the objects: from an area's own data to the contract's types."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from msgspec import UNSET

from velocity.contract import events, media, tasks, uploads
from velocity.contract.medium import MediumDetails, Qcow2Layout
from velocity.contract.vm_settings import AddressSource
from velocity.machines import rules
from velocity.machines.hosts import where
from velocity.machines.run.keeper import Keeper
from velocity.machines.service import Fleet
from velocity.media.attachments import AttachedVm
from velocity.media.rules import Medium
from velocity.media.under_way import UnderWay
from velocity.media.usage import DiskUsage, FileFacts
from velocity.tasks.rules import Task


def vm(keeper: Keeper, fleet: Fleet) -> events.VmView:
    machine, progress, spec = keeper.machine, keeper.progress, keeper.machine.spec
    nics = fleet.interfaces(machine, progress.run) if spec.nics else []
    known = [address for one in nics for address in one.known_addresses or ()]
    return events.VmView(
        vmid=machine.vmid,
        gid=machine.gid,
        name=machine.name,
        cpus=spec.cpus,
        memory_mib=spec.memory_mib,
        state=keeper.state,
        wanted=progress.requested,
        autostart=spec.autostart,
        displays=[events.DisplayView(name=one.name, width=one.width, height=one.height) for one in spec.displays],
        media=[one.mid for one in spec.media],
        nics=[one.type for one in spec.nics],
        waiting=rules.waiting(spec, progress.run),
        revision=machine.revision,
        addresses=[one.address for one in known] or UNSET,
        reserved=[one.address for one in known if one.source is AddressSource.LEASE] or UNSET,
        macs=[one.mac for one in nics] or UNSET,
        reason=progress.reason or UNSET,
        stopping_since=UNSET if progress.stopping_since is None else progress.stopping_since,
        restarting=progress.restarts or UNSET,
        next_boot=progress.boots or UNSET,
        frozen_until=progress.frozen_until or UNSET,
        unreachable_since=UNSET if keeper.unreachable_since is None else keeper.unreachable_since,
        host=where.of_machine(fleet.hosts.attached, machine),
        moving=where.on_its_way(fleet.hosts.attached, keeper),
    )


def users(holders: Iterable[AttachedVm], sees: Callable[[int], bool]) -> list[media.MediumUser]:
    """The VMs that a medium is attached to and the reader may see."""
    return [user(one) for one in holders if one.vmid is not None and sees(one.gid)]


def user(holder: AttachedVm) -> media.MediumUser:
    assert holder.vmid is not None, "a VM that is not there yet is shown to nobody"
    return media.MediumUser(vmid=holder.vmid, name=holder.name, writing=holder.writing)


def medium_info(one: Medium, *, readonly: bool, usage: DiskUsage, used_by: list[media.MediumUser]) -> media.MediumInfo:
    """`usage` has the latest measurement of its disk usage."""
    return media.MediumInfo(
        mid=one.mid,
        mpid=one.mpid,
        name=one.name,
        type=one.type,
        size=one.size,
        readonly=readonly,
        format=one.format,
        allocated=usage.last(one.mid),
        revision=one.revision,
        used_by=used_by,
        content=one.content,
        origin=UNSET if one.origin is None else one.origin,
        missing=True if usage.is_missing(one.mid) else UNSET,
    )


def medium(one: Medium, *, readonly: bool, usage: DiskUsage, used_by: list[media.MediumUser]) -> media.MediumView:
    info = medium_info(one, readonly=readonly, usage=usage, used_by=used_by)
    return media.MediumView(gid=one.gid, **msgspec.structs.asdict(info))


def medium_details(
    view: media.MediumView, file: FileFacts | None, *, boots: bool | None, busy: str | None
) -> MediumDetails:
    layout = file.layout if file else None
    return MediumDetails(
        **msgspec.structs.asdict(view),
        file_size=file.size if file else UNSET,
        modified=int(file.modified) if file else UNSET,
        layout=Qcow2Layout(cluster_size=layout[0], subcluster_size=layout[1]) if layout else UNSET,
        boots=UNSET if boots is None else boots,
        busy=busy or UNSET,
    )


def upload(one: UnderWay) -> uploads.UploadInfo:
    wanted = one.request
    return uploads.UploadInfo(
        mid=one.mid,
        mpid=wanted.mpid,
        gid=wanted.gid,
        name=wanted.name,
        type=wanted.type,
        size=wanted.length,
        received=one.size,
        uid=one.uid,
        sending=one.is_live,
        begun=one.begun,
        heard=int(one.heard),
        expires=UNSET if one.expires is None else one.expires,
    )


def task(one: Task) -> tasks.TaskInfo:
    return tasks.TaskInfo(
        tid=one.tid,
        kind=one.kind,
        uid=one.uid,
        gid=one.gid,
        name=one.name,
        state=one.state,
        done=one.done,
        total=one.total,
        unit=one.unit,
        done_bytes=UNSET if one.done_bytes is None else one.done_bytes,
        total_bytes=UNSET if one.total_bytes is None else one.total_bytes,
        begun=one.begun,
        ended=UNSET if one.ended is None else one.ended,
        message=UNSET if one.message is None else one.message,
        phase=UNSET if one.phase is None else one.phase,
        mid=UNSET if one.mid is None else one.mid,
        vmid=UNSET if one.vmid is None else one.vmid,
    )
