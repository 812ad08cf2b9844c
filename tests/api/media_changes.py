"""The cases of changes of media, and of the tasks that make them."""

from __future__ import annotations

import asyncio

from tests.api.changes import Case, of
from tests.api.images import disk, qemu_img, upload, wait
from tests.api.origin import lasting_origin
from tests.api.test_transfers import begin
from tests.api.world import World


@of("create_medium")
async def create_medium(_: World) -> Case:
    body = {"mpid": 1, "gid": 0, "name": "disk", "size": 1 << 30, "format": "qcow2"}
    return Case(body, [("create", "medium", "disk")], [{"gid": 0, "mpid": 1, "bytes": 1 << 30}])


@of("upload_medium")
async def upload_medium(_: World) -> Case:
    headers = {"x_velocity_name": "an%20image", "x_velocity_length": "1000"}
    steps = [("create", "medium", "an image")]
    return Case(headers, steps, [{"gid": 0, "mpid": 1, "bytes": 1000}], content=b"x" * 1000)


@of("end_upload")
async def end_upload(w: World) -> Case:
    await begin(w, 1000)
    (upload,) = w.server.services.uploads.all()
    steps = [("cancel", "medium", upload.request.name)]
    return Case({"mid": str(upload.mid)}, steps, [{"gid": 0, "mpid": 1, "bytes": -1000}])


@of("import_medium")
async def import_medium(w: World) -> Case:
    image = w.data / "image.qcow2"
    qemu_img("create", "-f", "qcow2", image, "8M")
    body = {"mid": await upload(w, image), "gid": 0, "mpid": 1, "name": "made"}
    return Case(body, [("create", "medium", "made")], [{"gid": 0, "mpid": 1, "bytes": 8 << 20}])


@of("fetch_medium")
async def fetch_medium(_: World) -> Case:
    body = {"url": f"{lasting_origin()}/1/4096", "gid": 0, "mpid": 1, "name": "made"}
    return Case(body, [("create", "medium", "made")], size_unknown=True)


@of("clone_medium")
async def clone_medium(w: World) -> Case:
    body = {"mid": await upload(w, disk(w.data)), "gid": 0, "mpid": 1, "name": "made"}
    return Case(body, [("create", "medium", "made")], [{"gid": 0, "mpid": 1, "bytes": 4 << 20}])


@of("delete_medium")
async def delete_medium(w: World) -> Case:
    bytes_ = [{"gid": 0, "mpid": 1, "bytes": -(1 << 20)}]
    return Case({"mid": await w.medium()}, [("delete", "medium", "disk")], bytes_)


@of("delete_medium")
async def purge_medium(w: World) -> Case:
    bytes_ = [{"gid": 0, "mpid": 1, "bytes": -(1 << 20)}]
    return Case({"mid": await w.medium(), "purge": True}, [("purge", "medium", "disk")], bytes_)


@of("alter_medium")
async def alter_medium(w: World) -> Case:
    body = {"mid": await w.medium(), "name": "data", "size": 3 << 20, "type": "DATA", "readonly": True}
    return Case(body, [("change", "medium", "disk")], [{"gid": 0, "mpid": 1, "bytes": 2 << 20}])


@of("alter_medium")
async def alter_medium_to_what_it_is(w: World) -> Case:
    return Case({"mid": await w.medium(), "name": "disk", "size": 1 << 20, "readonly": False}, [])


@of("move_medium")
async def move_medium(w: World) -> Case:
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, write=True, manage=True)
    mid = await w.medium("disk", gid=gid)
    moved = [{"gid": 0, "mpid": 1, "bytes": 1 << 20}, {"gid": gid, "mpid": 1, "bytes": -(1 << 20)}]
    return Case({"mid": mid, "gid": 0}, [("change", "medium", "disk")], moved)


@of("move_medium")
async def move_medium_to_where_it_is(w: World) -> Case:
    return Case({"mid": await w.medium(), "gid": 0, "mpid": 1}, [])


@of("convert_medium")
async def convert_medium(w: World) -> Case:
    return Case({"mid": await w.medium(), "format": "qcow2"}, [("change", "medium", "disk")])


def hang(w: World) -> asyncio.Event:
    """From here on a task goes on until it is cancelled; the event says that it has made its file, and hangs."""
    hangs = asyncio.Event()

    async def forever(*_: object, **__: object) -> None:
        hangs.set()
        await asyncio.sleep(1000)

    w.images.convert = forever  # type: ignore[method-assign]
    return hangs


@of("cancel_task")
async def cancel_task(w: World) -> Case:
    hangs = hang(w)
    body = {"mid": await w.medium(), "gid": 0, "mpid": 1, "name": "made"}
    tid = (await w.ok("PUT", "/m/media/clone", **body))["tid"]
    await hangs.wait()
    return Case({"tid": tid}, [("cancel", "task", "made")], [{"gid": 0, "mpid": 1, "bytes": -(1 << 20)}])


@of("cancel_task")
async def cancel_a_task_that_has_ended(w: World) -> Case:
    task = await wait(w, await w.ok("PUT", "/m/media/clone", mid=await w.medium(), gid=0, mpid=1, name="made"))
    return Case({"tid": task["tid"]}, [])
