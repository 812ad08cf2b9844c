"""VMs: create, show, list, change and delete them, and request their states."""

import msgspec
from msgspec import UNSET, UnsetType

from velocity.api.handlers.base import Call, handles
from velocity.contract import boot, cloning, machines, restarts, vm_move
from velocity.contract.isolation import Isolation
from velocity.contract.operation import Nothing
from velocity.contract.settings import settings_of
from velocity.contract.tasks import TaskStarted
from velocity.hypervisor.port import Confinement
from velocity.machines import rules
from velocity.machines.changes.next_boot import choose
from velocity.machines.hosts import where
from velocity.machines.run.keeper import Keeper
from velocity.machines.run.states import Cause
from velocity.machines.service import Fleet
from velocity.machines.settings import cloud_init


@handles(machines.CREATE)
async def create(call: Call[machines.CreateVm]) -> machines.VmCreated:
    vmid, warnings = await call.services.provisioning.create(call.caller, call.request)
    return machines.VmCreated(vmid=vmid, warnings=warnings or UNSET)


@handles(machines.STATE)
async def vm_state(call: Call[machines.StateRequest]) -> machines.VmState:
    keeper = call.services.fleet.get(call.request.vmid)
    state = _state(call.services.fleet, keeper, keeper.state)
    if call.request.state is UNSET:
        return state
    warning = "POST only reads the state, and `state` was ignored: to change it, send the same body with PUT"
    return msgspec.structs.replace(state, warnings=[*(state.warnings or ()), warning])


@handles(machines.SET_STATE)
async def set_state(call: Call[machines.SetState]) -> machines.VmState:
    request = call.request
    fleet = call.services.fleet
    return _state(fleet, *await fleet.request(request.vmid, request.state, force=request.force))


@handles(restarts.RESTART)
async def restart(call: Call[restarts.RestartVm]) -> machines.VmState:
    fleet = call.services.fleet
    keeper = fleet.get(call.request.vmid)
    return _state(fleet, keeper, await keeper.restart(force=call.request.force))


@handles(restarts.RESET)
async def reset_vm(call: Call[restarts.ResetVm]) -> machines.VmState:
    keeper = call.services.fleet.get(call.request.vmid)
    state = await keeper.request_state(Cause.ASK_RESET)
    await call.services.fleet.freezing.forget(keeper)
    return _state(call.services.fleet, keeper, state)


@handles(boot.CHOOSE)
async def choose_boot(call: Call[boot.ChooseBoot]) -> machines.VmState:
    keeper = call.services.fleet.get(call.request.vmid)
    await keeper.alone(lambda: choose(keeper, call.request))
    return _state(call.services.fleet, keeper, keeper.state)


@handles(cloning.CLONE)
async def clone(call: Call[cloning.CloneVm]) -> TaskStarted:
    return TaskStarted(tid=await call.services.cloning.begin(call.caller, call.request))


@handles(vm_move.MOVE)
async def move(call: Call[vm_move.MoveVm]) -> vm_move.VmMoved:
    keeper, disks, warnings = await call.services.group_moves.move(call.caller, call.request)
    vm, media = keeper.machine, [one.mid for one in disks]
    return vm_move.VmMoved(vmid=vm.vmid, gid=vm.gid, revision=vm.revision, media=media, warnings=warnings or UNSET)


@handles(machines.SHOW)
async def show(call: Call[machines.VmRequest]) -> machines.VmInfo:
    keeper = call.services.fleet.get(call.request.vmid)
    confinement = await call.services.fleet.confinement(keeper)
    info = _info(call.services.fleet, keeper, confinement)
    measured = call.services.metrics.measured(keeper)
    if measured is None:
        return info
    taken = measured.usage.memory >> 20
    return msgspec.structs.replace(info, memory_taken_mib=taken, running_since=measured.since)


@handles(machines.DELETE)
async def delete(call: Call[machines.DeleteVm]) -> Nothing:
    await call.services.provisioning.delete(call.caller, call.request, purge=call.purges(call.request.purge))
    return Nothing()


@handles(machines.ALTER)
async def alter(call: Call[machines.AlterVm]) -> machines.VmAltered:
    keeper, warnings = await call.services.provisioning.alter(call.caller, call.request)
    return machines.VmAltered(
        vmid=keeper.machine.vmid,
        revision=keeper.machine.revision,
        waiting=_waiting(keeper),
        warnings=warnings or UNSET,
        waits=_waits(keeper),
    )


@handles(machines.LIST)
async def list_vms(call: Call[machines.ListVms]) -> machines.Vms:
    return machines.Vms(vms=call.services.fleet.listed(call.request).in_place)


def _waiting(keeper: Keeper) -> list[str]:
    return rules.waiting(keeper.machine.spec, keeper.progress.run)


def _waits(keeper: Keeper) -> dict[str, str] | UnsetType:
    known = {field: keeper.waits[field] for field in _waiting(keeper) if field in keeper.waits}
    return known or UNSET


def _warnings(fleet: Fleet, keeper: Keeper) -> list[str]:
    return fleet.builder.warnings(keeper.machine, keeper.progress.run)


def _state(fleet: Fleet, keeper: Keeper, state: machines.State) -> machines.VmState:
    progress = keeper.progress
    return machines.VmState(
        vmid=keeper.machine.vmid,
        state=state,
        reason=progress.reason or UNSET,
        stopping_since=UNSET if progress.stopping_since is None else progress.stopping_since,
        restarting=progress.restarts or UNSET,
        next_boot=progress.boots or UNSET,
        unreachable_since=UNSET if keeper.unreachable_since is None else keeper.unreachable_since,
        warnings=(_warnings(fleet, keeper) or UNSET) if keeper.machine.spec.attached_by else UNSET,
    )


def _info(fleet: Fleet, keeper: Keeper, confinement: Confinement | None) -> machines.VmInfo:
    machine, progress, spec = keeper.machine, keeper.progress, keeper.machine.spec
    return machines.VmInfo(
        vmid=machine.vmid,
        name=machine.name,
        type="EFI",
        state=keeper.state,
        **{**settings_of(machines.VmSettings, spec), "cloud_init": cloud_init.shown(spec.cloud_init)},
        gid=machine.gid,
        revision=machine.revision,
        wanted=progress.requested,
        machine_type=spec.machine_type,
        firmware=spec.firmware,
        hardware=spec.hardware,
        waiting=_waiting(keeper),
        interfaces=fleet.interfaces(machine, progress.run),
        reason=progress.reason or UNSET,
        stopping_since=UNSET if progress.stopping_since is None else progress.stopping_since,
        restarting=progress.restarts or UNSET,
        next_boot=progress.boots or UNSET,
        frozen_until=progress.frozen_until or UNSET,
        unreachable_since=UNSET if keeper.unreachable_since is None else keeper.unreachable_since,
        host=where.of_machine(fleet.hosts.attached, machine),
        moving=where.on_its_way(fleet.hosts.attached, keeper),
        isolation=UNSET if confinement is None else _isolation(confinement, spec),
        warnings=_warnings(fleet, keeper) or UNSET,
        waits=_waits(keeper),
        created=UNSET if machine.created is None else machine.created,
        running_since=(progress.run.began_at or UNSET) if progress.run else UNSET,
    )


def _isolation(holds: Confinement, spec: rules.Spec) -> Isolation:
    return Isolation(
        uid=holds.uid,
        own_uid=holds.own_uid,
        supplementary_groups=list(holds.groups),
        capability_bounding_set=holds.bounding_set,
        no_new_privileges=holds.no_new_privileges,
        seccomp=holds.seccomp,
        namespaces=list(holds.namespaces),
        sees_host_files=holds.sees_host_files,
        oom_score_adj=holds.oom_score_adj,
        core_dumps=holds.core_dumps,
        nat_reaches_host_loopback=holds.nat_reaches_loopback,
        unfiltered_nics=[place for place, one in enumerate(spec.interfaces) if one.id in holds.unfiltered_nics],
        unfiltered_interfaces=list(holds.unfiltered_nics),
        gaps=list(holds.gaps),
        memory_limit_mib=UNSET if holds.memory_limit is None else holds.memory_limit,
        thread_limit=UNSET if holds.thread_limit is None else holds.thread_limit,
        cpu_weight=UNSET if holds.cpu_weight is None else holds.cpu_weight,
    )
