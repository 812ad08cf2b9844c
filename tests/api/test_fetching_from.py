"""From where media are fetched: public addresses, and servers that prove who they are."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from tests.api.origin import cut, origin, redirects
from tests.api.test_fetching import DATA, SUM, check_nothing_left, fetch
from tests.api.world import world
from tests.certificates import certificate
from velocity.fetching import addresses
from velocity.fetching.port import Limits
from velocity.fetching.source import HttpSource

pytestmark = pytest.mark.anyio


def _stranger(resolved: dict[str, list[str]]) -> HttpSource:
    """To which 127.0.0.2 stands for the internet, and nothing else does that is not there."""

    async def resolve(host: str, _port: int) -> list[str]:
        numeric = [str(socket.getaddrinfo(host, None)[0][4][0])] if host[:1].isdigit() else []
        return resolved.get(host, numeric)

    return HttpSource(
        limits=Limits(pause=0.01),
        resolve=resolve,
        is_public=lambda one: one == "127.0.0.2" or addresses.is_public(one),
        is_own=lambda one: one != "127.0.0.2" and addresses.is_own(one),
    )


@pytest.mark.holds("IMAGE-32")
async def test_only_public_addresses_are_fetched_from_without_a_permission(tmp_path: Path) -> None:
    """Whatever answers there, or whether anything does, the words are the same."""
    names = {
        "local": ["127.0.0.1"],
        "both": ["10.0.0.1", "127.0.0.2"],
        "mapped": ["::ffff:127.0.0.1"],
        "internet": ["127.0.0.2"],
    }
    async with origin() as inside, origin("127.0.0.2") as outside, world(tmp_path / "d", source=_stranger(names)) as w:
        inside.files["/x"] = outside.files["/x"] = cut(DATA)
        gid = await w.group("a")
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=0, write=True, manage=True)
        bob = await w.user("bob", (gid, "media.create"), (gid, "media.list"))
        said = set()
        for host, port in (
            ("127.0.0.1", inside.port),
            ("127.0.0.1", 9),
            ("[::1]", inside.port),
            ("169.254.169.254", 80),
        ):
            body = {"gid": gid, "mpid": 1, "name": "x", "url": f"http://{host}:{port}/x"}
            assert await w.refused("PUT", "/m/media/fetch", bob, **body) == (403, 49200)
            answer = await w.call("PUT", "/m/media/fetch", bob, **body)
            assert answer["field"] == "url" and "velocity.host.reach" in answer["message"]
            said.add(answer["message"].replace(host.strip("[]"), "HOST"))
        for url in (
            f"http://local:{inside.port}/x",
            "http://local:9/x",
            f"http://mapped:{inside.port}/x",
            "http://none/x",
        ):
            task = await fetch(w, url, bob, gid=gid)
            assert task["state"] == "FAILED", task
            said.add(task["message"].replace(url.split("/")[2].partition(":")[0], "HOST"))
        for to in (f"http://local:{inside.port}/x", f"//127.0.0.1:{inside.port}/x", "http://0177.0.0.1/x"):
            outside.files["/to"] = redirects(to)
            task = await fetch(w, outside.url("/to", "internet"), bob, gid=gid)
            assert task["state"] == "FAILED" and "has no public address" in task["message"], task
        assert len(said) == 1, said
        assert inside.asked == [], "nobody was asked"
        for host in ("both", "internet"):
            task = await fetch(w, outside.url("/x", host), bob, gid=gid, name=host)
            assert task["state"] == "DONE", task
        uid = await w.uid("bob")
        await w.ok("PUT", "/u/user/permission", uid=uid, gid=gid, permission="velocity.host.reach")
        assert (await fetch(w, inside.url("/x", "local"), bob, gid=gid))["state"] == "DONE"


@pytest.mark.holds("IMAGE-32")
async def test_a_name_that_comes_to_mean_another_address_leads_nowhere(tmp_path: Path) -> None:
    """The address is asked for once a connection, and a connection goes where was looked."""
    asked: list[str] = []

    async def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    source = HttpSource(
        limits=Limits(pause=0.01), resolve=resolve, is_public=lambda one: one == "127.0.0.2", is_own=lambda one: False
    )
    async with origin("127.0.0.2") as outside, world(tmp_path / "d", source=source) as w:
        outside.files["/x"] = cut(DATA, 1 << 20)
        gid = await w.group("a")
        await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=0, write=True, manage=True)
        bob = await w.user("bob", (gid, "media.create"), (gid, "media.list"))
        task = await fetch(w, outside.url("/x", "rebinds"), bob, gid=gid)
        assert task["state"] == "FAILED" and "has no public address" in task["message"], task
        assert asked == ["rebinds"] * 2 and len(outside.asked) == 1
        assert outside.asked[0].headers["host"] == f"rebinds:{outside.port}"
        await check_nothing_left(w)


@pytest.mark.holds("IMAGE-35")
async def test_who_a_server_is_is_proven(tmp_path: Path) -> None:
    authority = certificate("an authority", authority=True)
    cert, key = certificate("127.0.0.1", by=authority).write(tmp_path / "served")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    async with origin(context=context) as o, origin() as plain:
        o.files |= {"/x": cut(DATA), "/down": redirects(plain.url("/x"))}
        plain.files["/x"] = cut(DATA)
        async with world(tmp_path / "a", fetch_ca=str(tmp_path / "ca.pem")) as w:
            assert (await fetch(w, o.url("/x", scheme="https")))["state"] == "DONE"
            task = await fetch(w, o.url("/down", scheme="https"), name="plain")
            assert "from https to http" in task["message"] and plain.asked == []
            assert (await fetch(w, o.url("/down", scheme="https"), name="plain", sha256=SUM))["state"] == "DONE"
        for ca, words in (("", "does not prove who it is"), (str(tmp_path / "none"), "fetch_ca names cannot be used")):
            async with world(tmp_path / f"b{len(ca)}", fetch_ca=ca) as w:
                task = await fetch(w, o.url("/x", scheme="https"))
                assert task["state"] == "FAILED" and words in task["message"], task
                assert "no file" not in task["message"] and str(tmp_path) not in task["message"]
    assert len(o.asked) == 3
