"""Operations on media, each with what it needs first."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.api.origin import lasting_origin, seeded
from tests.crash.model import State
from tests.crash.server import OTHER, POOL, Answer, Cut, Server
from tests.crash.world import Applied, Request, World, Wrong, made

UPLOADED = 1_500_000
TASK = 60.0
"""Seconds for an import or a clone of some MiB."""


def _medium(world: World, group: str, name: str, *, size: int | None, sum_: str | None, **more: Any) -> Applied:
    fields = {"group": group, "type": "DISK", "size": size, "format": "raw", "sum": sum_, **more}
    return made("media", name, "mid", **fields)


def make_medium(world: World, group: str, format_: str = "raw") -> Request:
    name, size = world.name("disk"), 1 << 20
    sum_ = hashlib.sha256(bytes(size)).hexdigest() if format_ == "raw" else None
    fields = {"mpid": POOL, "gid": world.id("groups", group), "name": name, "size": size, "format": format_}
    applied = _medium(world, group, name, size=size, sum_=sum_, format=format_)
    return Request("medium create", "PUT", "/m/media/create", fields, applied)


def medium_create(world: World) -> Request:
    return make_medium(world, world.top)


def medium_create_qcow2(world: World) -> Request:
    request = make_medium(world, world.top, "qcow2")
    request.kind = "qcow2 medium create"
    return request


def _upload(world: World, data: bytes, type_: str = "DISK") -> Request:
    name = world.name("upload")
    sum_ = hashlib.sha256(data).hexdigest()
    headers = {
        "x-velocity-mpid": str(POOL), "x-velocity-gid": str(world.id("groups", world.top)), "x-velocity-name": name,
        "x-velocity-type": type_, "x-velocity-readonly": "false", "x-velocity-sha256": sum_,
    }  # fmt: skip

    def send(server: Server) -> Answer:
        answer = server.send("PUT", "/m/media/upload", headers=headers, content=data)
        return answer.status_code, answer.json()

    applied = _medium(world, world.top, name, size=len(data), sum_=sum_, type=type_)
    return Request("upload", applied=applied, send=send)


def upload(world: World) -> Request:
    return _upload(world, world.rng.randbytes(UPLOADED))


def resumable_upload(world: World) -> Request:
    name, data = world.name("upload"), world.rng.randbytes(UPLOADED)
    about = {"mpid": POOL, "gid": world.id("groups", world.top), "name": name, "type": "DISK", "readonly": "false"}
    metadata = ",".join(f"{key} {base64.b64encode(str(value).encode()).decode()}" for key, value in about.items())
    tus = {"tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream"}

    def send(server: Server) -> Answer:
        begun = {**tus, "upload-length": str(len(data)), "upload-metadata": metadata}
        answer = server.send("POST", "/m/media/tus", headers=begun)
        where, step = answer.headers.get("location", ""), len(data) // 3 + 1
        for at in range(0, len(data), step):
            if answer.is_error:
                return answer.status_code, answer.json()
            headers = {**tus, "upload-offset": str(at)}
            answer = server.send("PATCH", where, headers=headers, content=data[at : at + step])
        return (200 if answer.status_code == 204 else answer.status_code), {"mid": answer.headers.get("x-velocity-mid")}

    sum_ = hashlib.sha256(data).hexdigest()
    return Request("resumable upload", applied=_medium(world, world.top, name, size=len(data), sum_=sum_), send=send)


def of_task(kind: str, method: str, path: str, fields: dict[str, Any], applied: Applied) -> Request:
    """Begun, and waited for."""

    def send(server: Server) -> Answer:
        status, answer = server.call(method, path, **fields)
        end = time.monotonic() + TASK
        while status == 200:
            status, task = server.call("POST", "/t/task", tid=answer["tid"])
            if status == 200 and task["state"] == "DONE":
                return 200, task
            if status == 200 and "the database does not respond" in task.get("message", ""):
                raise Cut(f"{kind}: {task}")
            if status == 200 and task["state"] != "RUNNING":
                raise Wrong(f"{kind}: the task is {task}")
            if time.monotonic() > end:
                raise Wrong(f"{kind}: the task does not end: {task}")
            time.sleep(0.02)
        return status, answer

    return Request(kind, applied=applied, send=send)


def clone(world: World) -> Request:
    world.do(_upload(world, world.rng.randbytes(1 << 20)))
    source = world.state["media"][list(world.state["media"])[-1]]
    name = world.name("clone")
    fields = {"mid": source["id"], "gid": world.id("groups", world.top), "mpid": POOL, "name": name}
    return of_task(
        "clone", "PUT", "/m/media/clone", fields, _medium(world, world.top, name, size=1 << 20, sum_=source["sum"])
    )


@cache
def _image() -> bytes:
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "image.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(file), "4M"], check=True)
        return file.read_bytes()


def import_(world: World) -> Request:
    image = world.pick("media", lambda _, one: one["type"] == "IMAGE")
    if image is None:
        world.do(_upload(world, _image(), "IMAGE"))
        image = list(world.state["media"])[-1]
    name, size = world.name("import"), 4 << 20
    fields = {"mid": world.id("media", image), "gid": world.id("groups", world.top), "mpid": POOL, "name": name}
    sum_ = hashlib.sha256(bytes(size)).hexdigest()
    return of_task("import", "PUT", "/m/media/import", fields, _medium(world, world.top, name, size=size, sum_=sum_))


def _fetch(world: World, kind: str, size: int, **more: Any) -> Request:
    name, seed = world.name("fetch"), world.rng.randrange(1 << 30)
    url = f"{lasting_origin()}/{seed}/{size}"
    fields = {"url": url, "gid": world.id("groups", world.top), "mpid": POOL, "name": name, **more}
    sum_ = hashlib.sha256(seeded(seed, size)).hexdigest()
    return of_task(kind, "PUT", "/m/media/fetch", fields, _medium(world, world.top, name, size=size, sum_=sum_))


def fetch(world: World) -> Request:
    return _fetch(world, "fetch", UPLOADED)


def fetch_image(world: World) -> Request:
    """What is fetched waits out of sight until its disk is imported."""
    return _fetch(world, "fetch of an image", 3 << 19, format="raw")


def _medium_alter(world: World, kind: str, format_: str, **changes: Any) -> Request:
    world.do(make_medium(world, world.top, format_))
    name = list(world.state["media"])[-1]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        medium = state["media"].pop(name)
        size = int(changes.get("size", 0))
        sum_ = hashlib.sha256(bytes(size)).hexdigest() if format_ == "raw" else None
        state["media"][changes.get("name", name)] = {**medium, "size": size, "sum": sum_}

    return Request(kind, "PATCH", "/m/media", {"mid": world.id("media", name), **changes}, applied)


def medium_grow(world: World) -> Request:
    return _medium_alter(world, "medium grow", "raw", size=3 << 20)


def medium_grow_qcow2(world: World) -> Request:
    return _medium_alter(world, "qcow2 medium grow", "qcow2", size=3 << 20, name=world.name("grown"))


def medium_convert(world: World) -> Request:
    world.do(_upload(world, world.rng.randbytes(1 << 20)))
    name = list(world.state["media"])[-1]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["media"][name] |= {"format": "qcow2", "sum": None}

    return of_task(
        "medium convert", "PUT", "/m/media/convert", {"mid": world.id("media", name), "format": "qcow2"}, applied
    )


def medium_move(world: World) -> Request:
    """To the other pool: its bytes are there, or here."""
    world.do(_upload(world, world.rng.randbytes(1 << 20)))
    name = list(world.state["media"])[-1]
    return move(world, "medium move", name)


def move(world: World, kind: str, name: str) -> Request:
    def applied(state: State, _answer: dict[str, Any]) -> None:
        state["media"][name]["mpid"] = OTHER

    return of_task(kind, "PUT", "/m/media/move", {"mid": world.id("media", name), "mpid": OTHER}, applied)


def _medium_delete(world: World, kind: str, *, purge: bool) -> Request:
    world.do(_upload(world, world.rng.randbytes(4096)))
    name = list(world.state["media"])[-1]

    def applied(state: State, _answer: dict[str, Any]) -> None:
        medium = state["media"].pop(name)
        if not purge:
            state["trash"][f"medium {name}"] = {"_contents": {"media": {name: medium}}}

    return Request(kind, "DELETE", "/m/media", {"mid": world.id("media", name), "purge": purge}, applied)


def medium_delete(world: World) -> Request:
    return _medium_delete(world, "medium delete", purge=False)


def medium_purge(world: World) -> Request:
    return _medium_delete(world, "medium purge", purge=True)


OPERATIONS = (
    medium_create, medium_create_qcow2, upload, resumable_upload, clone, import_, fetch, fetch_image, medium_delete,
    medium_purge, medium_grow, medium_grow_qcow2, medium_convert, medium_move,
)  # fmt: skip
