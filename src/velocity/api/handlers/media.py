"""Media pools and media."""

from msgspec import UNSET, UnsetType

from velocity import plan
from velocity.api.handlers.base import Call, Services, handles
from velocity.contract import fetching, media, medium, pools, uploads
from velocity.contract.operation import Nothing
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.contract.tasks import TaskStarted
from velocity.events import views
from velocity.machines.hosts import where
from velocity.media import rules
from velocity.media.rules import Assignment, Medium


@handles(pools.ASSIGN_POOL)
async def assign_pool(call: Call[pools.AssignPool]) -> Nothing:
    request = call.request
    assignment = Assignment(request.quota, request.write, request.manage)
    await call.services.assignments.assign(call.caller, request.gid, request.mpid, assignment, request.revision)
    return Nothing()


@handles(pools.REVOKE_POOL)
async def revoke_pool(call: Call[pools.RevokePool]) -> Nothing:
    await call.services.assignments.revoke(call.caller, call.request.gid, call.request.mpid, call.request.revision)
    return Nothing()


@handles(pools.LIST_POOLS)
async def list_pools(call: Call[pools.ListPools]) -> pools.Pools:
    return pools.Pools(
        pools=[
            pools.PoolInfo(
                mpid=use.pool.mpid,
                name=use.pool.name,
                write=use.assignment.write,
                manage=use.assignment.manage,
                quota=use.assignment.quota,
                used=use.used,
                free=use.free,
                revision=use.revision,
                state=use.now.state,
                message=use.now.message or UNSET,
                left=UNSET if use.left is None else use.left,
                assigned=UNSET if use.own is None else pools.Assigned(**vars(use.own)),
                host=where.of_pool(call.services.fleet.hosts.attached, use.pool.mpid),
                hosts=where.of_shared_pool(call.services.fleet.hosts.attached, use.pool.mpid),
            )
            for use in await call.services.pools.seen_by(call.request)
        ]
    )


@handles(media.CREATE)
async def create(call: Call[media.CreateMedium]) -> media.MediumCreated:
    one = await call.services.creation.create(call.caller, call.request)
    return media.MediumCreated(mid=one.mid, size=one.size)


@handles(uploads.LIST)
async def list_uploads(call: Call[uploads.ListUploads]) -> uploads.Uploads:
    found = call.request.page(call.services.uploads.of_group(call.request.gid), key=lambda one: one.mid.int)
    return uploads.Uploads(uploads=[views.upload(one) for one in found])


@handles(uploads.END)
async def end_upload(call: Call[uploads.EndUpload]) -> Nothing:
    upload = call.services.uploads.get(call.request.mid)
    plan.step("cancel", "medium", upload.request.name, gid=upload.request.gid)
    plan.consumes(upload.request.gid, {"bytes": -upload.request.length}, mpid=upload.request.mpid)
    plan.stop_here()
    await upload.end("the upload was ended by request: start it again if you need it")
    if call.services.library.find(upload.mid) is not None:
        words = f"the upload {upload.request.name!r} has just ended, and is a medium by now: delete that"
        raise Refused(Problem.MEDIUM_NOT_FOUND, words, field="mid")
    return Nothing()


@handles(media.IMPORT)
async def import_medium(call: Call[media.ImportMedium]) -> TaskStarted:
    return TaskStarted(tid=await call.services.conversions.import_(call.caller, call.request))


@handles(fetching.FETCH)
async def fetch(call: Call[fetching.FetchMedium]) -> TaskStarted:
    return TaskStarted(tid=await call.services.fetching.fetch(call.caller, call.request))


@handles(media.CLONE)
async def clone(call: Call[media.CloneMedium]) -> TaskStarted:
    return TaskStarted(tid=await call.services.conversions.clone(call.caller, call.request))


@handles(media.LIST)
async def list_media(call: Call[media.ListMedia]) -> media.Media:
    services, request = call.services, call.request
    found = _listed(services, request)
    await services.usage.measure([one for one in found if one.gid == request.gid])
    if request.is_page:  # another for one that was deleted meanwhile: a page that is not full would be the last
        found = _listed(services, request)
    found = [one for one in found if services.library.find(one.mid)]
    sees = services.directory.holding(call.caller.uid, Permission.VM_VIEW)

    def used_by(one: Medium) -> list[media.MediumUser]:
        return views.users(services.attachments.attached_vms(one.mid), sees)

    usage = services.usage
    return media.Media(
        media=[
            views.medium_info(one, readonly=services.assignments.readonly(one), usage=usage, used_by=used_by(one))
            for one in found
            if one.gid == request.gid
        ],
        shared=[
            views.medium(one, readonly=True, usage=usage, used_by=used_by(one))
            for one in found
            if one.gid != request.gid
        ]
        or UNSET,
    )


def _listed(services: Services, request: media.ListMedia) -> list[Medium]:
    library = services.library
    own = [] if request.shared is True else library.of_group(request.gid)
    shared = [] if request.shared is False else library.shared_with(request.gid)
    found = [*own, *shared]
    if not isinstance(request.host, UnsetType):
        there = services.fleet.hosts.attached.pools_of(request.host)
        found = [one for one in found if one.mpid in there]
    return request.page(found, key=lambda one: one.mid.int)


@handles(medium.SHOW)
async def show(call: Call[media.MediumRequest]) -> medium.MediumDetails:
    services, mid = call.services, call.request.mid
    file = await services.usage.look(services.library.get(mid))
    one = services.library.get(mid)
    sees = services.directory.holding(call.caller.uid, Permission.VM_VIEW)
    view = views.medium(
        one,
        readonly=services.assignments.readonly(one),
        usage=services.usage,
        used_by=views.users(services.attachments.attached_vms(mid), sees),
    )
    boots = rules.boots(one, services.usage.last)
    return views.medium_details(view, file, boots=boots, busy=services.sources.change_of(mid))


@handles(medium.ALTER)
async def alter(call: Call[medium.AlterMedium]) -> medium.MediumAltered:
    one, waiting, warnings = await call.services.alteration.alter(call.caller, call.request)
    return medium.MediumAltered(mid=one.mid, revision=one.revision, waiting=waiting, warnings=warnings or UNSET)


@handles(medium.MOVE)
async def move(call: Call[medium.MoveMedium]) -> medium.MediumMoved:
    tid = await call.services.relocation.move(call.caller, call.request)
    return medium.MediumMoved(mid=call.request.mid, tid=UNSET if tid is None else tid)


@handles(medium.CONVERT)
async def convert(call: Call[medium.ConvertMedium]) -> TaskStarted:
    return TaskStarted(tid=await call.services.relocation.convert(call.caller, call.request))


@handles(media.DELETE)
async def delete(call: Call[media.DeleteMedium]) -> Nothing:
    await call.services.deletion.delete(call.caller, call.request, purge=call.purges(call.request.purge))
    return Nothing()
