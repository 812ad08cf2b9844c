"""Routes 7 to 10 and 14."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from tests.api.world import World, world
from tests.root import as_root
from velocity.config import PoolSetting
from velocity.storage.directory.places import MARK

pytestmark = pytest.mark.anyio


async def test_pools(w: World) -> None:
    (pool,) = (await w.ok("POST", "/m/pool/list", gid=0))["pools"]
    assert pool["free"] > 0
    assert {**pool, "free": 1, "revision": "a word"} == {
        "mpid": 1, "name": "default", "write": True, "manage": True, "quota": 0, "used": 0, "free": 1,
        "revision": "a word", "state": "online",
    }  # fmt: skip
    gid = await w.group("a")
    assert (await w.ok("POST", "/m/pool/list", gid=gid))["pools"] == [], "nothing was assigned to it"
    assert await w.refused("POST", "/m/pool/list", gid=99) == (404, 7110)
    key = await w.user("bob", (gid, "vm.view"))
    assert await w.refused("POST", "/m/pool/list", key, gid=gid) == (403, 7100)
    assert await w.refused("POST", "/m/pool/list", key, gid=99) == (403, 7100)


async def test_create_list_and_delete(w: World) -> None:
    made = await w.ok("PUT", "/m/media/create", mpid=1, gid=0, name="a,b ../c", size="1048577")
    assert made["size"] == 1048577
    (file,) = [name for name in w.files() if not name.startswith(".")]
    assert file == f"{made['mid']}.raw"
    assert (w.data / "media" / file).stat().st_size == 1048577
    assert (w.data / "media" / file).stat().st_blocks == 0, "sparse"
    (listed,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert listed["name"] == "a,b ../c"
    assert (listed["type"], listed["readonly"], listed["mpid"], listed["format"]) == ("DISK", False, 1, "raw")
    assert await w.refused("PUT", "/m/media/create", mpid=1, gid=0, name="a,b ../c", size=1) == (409, 8220)
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 1048577
    key = await w.user("bob")
    assert await w.refused("DELETE", "/m/media", key, mid=made["mid"]) == (403, 14300)
    assert await w.refused("DELETE", "/m/media", key, mid=str(uuid4())) == (403, 14300)
    assert await w.refused("DELETE", "/m/media", mid=str(uuid4())) == (404, 14310)
    assert await w.refused("DELETE", "/m/media", mid="7") == (400, 400)
    await w.ok("DELETE", "/m/media", mid=made["mid"], purge=True)
    assert w.files() == []


async def test_what_creating_refuses(w: World) -> None:
    gid = await w.group("a")
    base = {"mpid": 1, "gid": 0, "name": "x", "size": 1}
    assert await w.refused("PUT", "/m/media/create", **{**base, "size": 0}) == (400, 400)
    assert await w.refused("PUT", "/m/media/create", **{**base, "format": "vmdk"}) == (400, 400)
    assert await w.refused("PUT", "/m/media/create", **{**base, "gid": 99}) == (404, 8210)
    assert await w.refused("PUT", "/m/media/create", **{**base, "mpid": 99}) == (404, 8211)
    assert await w.refused("PUT", "/m/media/create", **{**base, "gid": gid}) == (403, 8201)
    if not holds(w.data, 2**63 - 1):  # a tmpfs does hold it, as long as it is empty
        assert await w.refused("PUT", "/m/media/create", _plan=False, **{**base, "size": 2**63 - 1}) == (406, 8221)
    key = await w.user("bob", (gid, "media.create"))
    assert await w.refused("PUT", "/m/media/create", key, **base) == (403, 8200)
    assert await w.refused("PUT", "/m/media/create", key, **{**base, "gid": gid, "mpid": 99}) == (403, 8201)
    assert w.files() == []


async def test_upload(w: World) -> None:
    data = os.urandom(3_000_000)
    sha = hashlib.sha256(data).hexdigest()
    made = await w.upload(data, x_velocity_name="H%C3%A4user%2C%20x", x_velocity_sha256=sha.upper())
    assert (made.status, made["size"]) == (200, 3_000_000)
    (listed,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert (listed["name"], listed["type"]) == ("Häuser, x", "ISO")
    assert "contains no ISO 9660 file system" in listed["content"]["warning"], "said before a start"
    assert (w.data / "media" / f"{made['mid']}.raw").read_bytes() == data
    again = await w.upload(b"x", x_velocity_name="H%C3%A4user%2C%20x")
    assert (again.status, again.code) == (409, 9220)


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("authkey", None, 9211),
        ("mpid", None, 9212),
        ("mpid", "one", 9212),
        ("mpid", str(2**70), 9212),
        ("gid", None, 9213),
        ("gid", "", 9213),
        ("name", None, 9214),
        ("name", "", 9214),
        ("name", "%FF", 9214),
        ("name", "a%0Ab", 9214),
        ("type", None, 9215),
        ("type", "x" * 33, 9215),
        ("readonly", None, 9216),
        ("readonly", "yes", 9216),
        ("sha256", "abc", 400),
    ],
)
async def test_upload_headers(w: World, header: str, value: str | None, code: int) -> None:
    answer = await w.upload(b"x", **{f"x_velocity_{header}": value})  # type: ignore[arg-type]
    assert (answer.status, answer.code) == (400, code)
    assert w.files() == []


@pytest.mark.holds("API-7")
async def test_a_header_s_text_is_utf_8_as_it_is_or_percent_encoded_or_else_latin_1(w: World) -> None:
    sent = [  # the bytes of the name and of the type, and as what they are kept
        ("Häuser 1".encode(), "Käse".encode(), "Häuser 1", "Käse"),
        (b"H%C3%A4user%202", "Käse".encode("latin-1"), "Häuser 2", "Käse"),
        ("Häuser 3".encode("latin-1"), b"DISK", "Häuser 3", "DISK"),
        ("é%20%C3%A9".encode("latin-1"), b"%41", "é é", "%41"),
        ("100 % 日本".encode(), "日本".encode(), "100 % 日本", "日本"),
    ]
    for name, kind, *_ in sent:
        made = await w.upload(b"x", x_velocity_name=name, x_velocity_type=kind)  # type: ignore[arg-type]
        assert made.status == 200, (name, made.body)
    listed = {one["name"]: one["type"] for one in (await w.ok("POST", "/m/media/list", gid=0))["media"]}
    assert listed == {name: kind for *_, name, kind in sent}


async def test_what_an_upload_refuses(w: World) -> None:
    gid = await w.group("a")
    key = await w.user("bob", (gid, "media.create"))

    async def refused(content: object, _key: str | None = None, **headers: str) -> tuple[int, int]:
        answer = await w.upload(content, _key, **headers)
        assert w.files() == []
        return answer.status, answer.code

    async def chunks() -> object:
        for _ in range(5):
            yield b"x" * 1000

    assert await refused(b"x", "wrong") == (401, 100)
    assert await refused(b"x", key) == (403, 9200)
    assert await refused(b"x", key, x_velocity_gid=str(gid)) == (403, 9201)
    assert await refused(b"x", x_velocity_gid="99") == (404, 9217)
    assert await refused(b"x", x_velocity_mpid="99") == (404, 9218)
    assert await refused(b"x", x_velocity_sha256="0" * 64) == (406, 9223)
    assert await refused(chunks()) == (400, 9210)
    assert await refused(chunks(), x_velocity_length="4999") == (413, 9222)
    assert await refused(chunks(), x_velocity_length="5001") == (400, 9210)
    assert await refused(chunks(), x_velocity_length=str(1 << 60)) == (406, 9221)
    assert await refused(b"") == (400, 9210)
    assert (await w.upload(chunks(), x_velocity_length="5000")).status == 200


@pytest.mark.holds("DUR-3")
async def test_an_upload_that_is_cut_off_leaves_nothing_and_frees_its_name(w: World) -> None:
    """Played at the edge itself, as the HTTP server tells it: some of the body, then that the client has gone."""
    sent = {"authkey": w.key, "mpid": "1", "gid": "0", "name": "cut", "type": "ISO", "readonly": "false"}
    headers = [(f"x-velocity-{name}".encode(), value.encode()) for name, value in sent.items()]
    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/m/media/upload",
        "headers": [*headers, (b"content-length", b"4000000")],
        "query_string": b"",
    }
    during: list[str] = []
    messages = iter([{"type": "http.request", "body": b"x" * 2_000_000, "more_body": True}])

    async def receive() -> dict[str, object]:
        during.extend(w.files())
        return next(messages, {"type": "http.disconnect"})

    async def send(message: object) -> None:
        raise AssertionError(f"nobody is there to be answered: {message}")

    await w.server.asgi(scope, receive, send)
    assert any(name.startswith(".moving/") for name in during), "it was under way"
    assert w.files() == []
    assert (await w.upload(b"x", x_velocity_name="cut")).status == 200


@pytest.mark.guest
@as_root("mounts")
async def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    pool = tmp_path / "small"
    pool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(pool)], check=True)
    try:
        async with world(tmp_path / "data", pools=[PoolSetting(mpid=1, name="small", path=pool)]) as w:

            async def fills_up() -> object:
                for number in range(3):
                    if number == 1:
                        (pool / "somebody else's").write_bytes(b"x" * (2 << 20))
                    yield b"x" * (1 << 20)

            assert (await w.upload(b"x" * (5 << 20))).code == 9221, "known before it begins"
            answer = await w.upload(fills_up(), x_velocity_length=str(3 << 20))
            assert (answer.status, answer.code) == (406, 9221)
            assert {file.name for file in pool.rglob("*") if file.is_file()} == {"somebody else's", MARK.name}
            assert (await w.ok("POST", "/m/media/list", gid=0))["media"] == []
    finally:
        subprocess.run(["umount", str(pool)], check=True)


@pytest.mark.holds("DUR-4")
async def test_a_crash_in_the_middle_is_undone_or_finished(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        mid = await w.medium("kept")
        pool = tmp_path / "data" / "media"
        (pool / f"{mid}.raw").rename(pool / ".moving" / f"{mid}.raw")
        (pool / ".moving" / f"{uuid4()}.raw").write_bytes(b"half an upload")
    async with world(tmp_path / "data") as w:
        assert w.files() == [f"{mid}.raw"]


async def test_lists_refuse_strangers(w: World) -> None:
    key = await w.user("bob")
    assert await w.refused("POST", "/m/media/list", key, gid=0) == (403, 10100)
    assert await w.refused("POST", "/m/media/list", gid=9) == (404, 10110)


async def test_an_attached_medium_stays(w: World) -> None:
    mid = await w.medium()
    vmid = await w.vm(media=[{"mid": mid, "mode": "BLOCK"}])
    assert await w.refused("DELETE", "/m/media", mid=mid) == (409, 14320)
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    await w.ok("DELETE", "/m/media", mid=mid)


async def test_a_readonly_upload_may_be_attached_to_many(w: World) -> None:
    mid = (await w.upload(b"x" * 512, x_velocity_type="DISK", x_velocity_readonly="true"))["mid"]
    for name in ("one", "two"):
        await w.vm(name, media=[{"mid": mid, "mode": "BLOCK"}])
    (medium,) = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert [one["name"] for one in medium["used_by"]] == ["one", "two"]


def holds(directory: Path, size: int) -> bool:
    """Whether the file system there can have a sparse file of that size."""
    file = directory / "probe"
    file.touch()
    try:
        os.truncate(file, size)
    except OSError:
        return False
    finally:
        file.unlink()
    return True
