"""The contract's "Conventions", through HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest

from tests.api.world import World
from velocity.api import decode
from velocity.contract import names
from velocity.contract.registry import OPERATIONS

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/v/vm/list", "/v/vm/list/", "//v/vm/list", "//v/vm/list/"])
async def test_paths_are_tolerant(w: World, path: str) -> None:
    assert (await w.call("POST", path, gid=0)).status == 200


async def test_the_authkey_comes_in_three_ways_and_the_first_present_counts(w: World) -> None:
    key = w.key
    assert (await w.raw("POST", "/v/nic/list", authorization=f"Bearer {key}")).status == 200
    assert (await w.raw("POST", "/v/nic/list", authorization=f"bearer {key}")).status == 200
    assert (await w.raw("POST", "/v/nic/list", json.dumps({"authkey": key}))).status == 200
    assert (await w.raw("POST", "/v/nic/list", x_velocity_authkey=key)).status == 200
    wrong = await w.raw("POST", "/v/nic/list", json.dumps({"authkey": key}), authorization="Bearer no")
    assert (wrong.status, wrong.code) == (401, 100)
    wrong = await w.raw("POST", "/v/nic/list", json.dumps({"authkey": "no"}), x_velocity_authkey=key)
    assert (wrong.status, wrong.code) == (401, 100)
    none = await w.raw("POST", "/v/nic/list")
    assert (none.status, none.code) == (401, 100)


async def test_numbers_come_quoted_too(w: World) -> None:
    group = await w.ok("PUT", "/u/group", name="a", parent_gid="0")
    assert group.body == {"gid": 1, "name": "a", "parent_gid": 0}
    assert (await w.call("POST", "/v/vm/list", gid="1")).status == 200


async def test_null_is_absent_and_unknown_fields_are_ignored(w: World) -> None:
    assert (await w.ok("POST", "/u/user", uid=None, colour="red"))["uid"] == 0
    vmid = await w.vm(nics=[{"type": "NAT", "host": None}], displays=None, media=None, rosetta=None)
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    assert shown["nics"] == [{"type": "NAT"}]
    assert (shown["displays"], shown["media"], shown["rosetta"], shown["autostart"]) == ([], [], False, False)
    assert await w.refused("PUT", "/v/vm/efi", name=None, gid=0, cpus=1, memory_mib=64) == (400, 400)


@pytest.mark.holds("API-17")
@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
async def test_a_null_that_is_deep_in_what_is_ignored_is_ignored_with_it(w: World, opens: bytes, closes: bytes) -> None:
    body = b'{"gid": 0, "more": ' + opens * 600 + b"null" + closes * 600 + b"}"
    assert (await w.raw("POST", "/v/vm/list", body, authorization=f"Bearer {w.key}")).status == 200
    body = b'{"gid": 0, "more": ' + opens * 5_000 + b"null" + closes * 5_000 + b"}"
    answer = await w.raw("POST", "/v/vm/list", body, authorization=f"Bearer {w.key}")
    assert (answer.status, answer.code) == (400, 400)
    assert "nested too deeply" in answer["message"]


async def test_aliases_of_existing_clients(w: World) -> None:
    assert (await w.call("POST", "/u/auth", "", username="root", password="correct horse")).status == 200
    mid = await w.medium()
    display = {"description": "screen", "width": 10, "height": 20}
    vmid = await w.vm(disks=[{"mid": mid, "mode": "USB", "readonly": True}], displays=[display])
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    assert shown["media"] == [{"mid": mid, "mode": "USB", "readonly": True}]
    assert shown["displays"] == [{"name": "screen", "width": 10, "height": 20, "ppi": 96}]


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"7", b'"x"', b"\xff", b'{"gid": }', b"[" * 100_000, b'{"gid":' * 5_000],
)
async def test_broken_json_is_a_400(w: World, body: bytes) -> None:
    answer = await w.raw("POST", "/v/vm/list", body, authorization=f"Bearer {w.key}")
    assert (answer.status, answer.code) == (400, 400)


@pytest.mark.holds("API-21")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "x", "gid": 0, "cpus": "many", "memory_mib": 1}, "cpus"),
        ({"name": "x", "gid": 0, "cpus": 1.5, "memory_mib": 1}, "cpus"),
        ({"name": "x", "gid": 0, "cpus": True, "memory_mib": 1}, "cpus"),
        ({"name": "x", "gid": 2**63, "cpus": 1, "memory_mib": 1}, "gid"),
        ({"name": "", "gid": 0, "cpus": 1, "memory_mib": 1}, "name"),
        ({"name": "a\nb", "gid": 0, "cpus": 1, "memory_mib": 1}, "name"),
        ({"name": "   ", "gid": 0, "cpus": 1, "memory_mib": 1}, "name"),
        ({"name": "x" * 129, "gid": 0, "cpus": 1, "memory_mib": 1}, "name"),
        ({"name": [{}], "gid": 0, "cpus": 1, "memory_mib": 1}, "name"),
        ({"name": {}, "gid": 0, "cpus": 1, "memory_mib": 1}, "name"),
        ({"name": "x", "gid": 0, "cpus": 1, "memory_mib": 1, "displays": [{"name": [{}]}]}, "displays[0].name"),
        ({"name": "x", "gid": 0, "cpus": 1, "memory_mib": 1, "media": [{"mid": "7", "mode": "USB"}]}, "media[0].mid"),
        ({"name": "x", "gid": 0, "cpus": 1, "memory_mib": 1, "displays": [{"name": "d", "width": 0, "height": 1}]},
         "displays[0].width"),
        ({"name": "x", "gid": 0, "cpus": 1, "memory_mib": 1, "displays": [{"width": 1, "height": 1}]},
         "displays[0].name"),
        ({"name": "x", "gid": 0, "cpus": 1, "memory_mib": 1, "nics": {}}, "nics"),
        ({"name": "x", "gid": 0, "cpus": 1, "memory_mib": 1, "cpu": "EPYC\n"}, "cpu"),
        ({"name": "x", "gid": 0, "cpus": 1, "memory_mib": 1, "nics": [{"type": "NAT", "mac": "52:54:00:12:34:56\n"}]},
         "nics[0].mac"),
    ],
)  # fmt: skip
async def test_a_400_names_the_field(w: World, body: dict[str, object], field: str) -> None:
    answer = await w.call("PUT", "/v/vm/efi", **body)
    assert (answer.status, answer.code, answer.body.get("field")) == (400, 400, field)
    assert field in answer["message"]
    assert (await w.ok("POST", "/v/vm/list", gid=0))["vms"] == []


def patterns(kind: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Field and pattern of each text in a request."""
    for meta in getattr(kind, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.pattern:
            yield name, meta.pattern
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield from patterns(field.type, field.name)
    for inner in get_args(kind):
        yield from patterns(inner, name)


@pytest.mark.holds("API-21")
def test_each_text_that_has_a_form_says_in_words_which() -> None:
    found = {one for operation in OPERATIONS for one in patterns(operation.request)}
    assert len(found) > 20
    assert {field for field, pattern in found if pattern != names.PATTERN} <= decode.FORMS.keys()
    assert {pattern for _, pattern in found if not pattern.endswith(r"\Z")} == set(), "$ takes a line's end as well"


@pytest.mark.holds("API-21")
@pytest.mark.parametrize(
    ("method", "path", "body", "field", "words"),
    [
        (
            "PUT",
            "/m/media/fetch",
            {"url": "https://x/", "sha256": "x", "mpid": 1, "gid": 0, "name": "a"},
            "sha256",
            "64 hexa",
        ),
        ("PATCH", "/h/node", {"host": 1, "labels": {"\u00e4": "x"}}, "labels", "letters, digits"),
    ],
)
async def test_what_is_expected_of_a_text_is_said(
    w: World, method: str, path: str, body: dict[str, Any], field: str, words: str
) -> None:
    answer = await w.call(method, path, **body)
    assert (answer.status, answer.body.get("field")) == (400, field)
    assert answer["message"].startswith(f"{field}: expected ")
    assert words in answer["message"]


async def test_validation_comes_before_authentication(w: World) -> None:
    assert await w.refused("PUT", "/v/vm/efi", "", name="x") == (400, 400)
    assert await w.refused("POST", "/v/vm/list", "wrong", gid=0) == (401, 100)


@pytest.mark.holds("BOUND-9")
async def test_unknown_routes_methods_and_too_much(w: World) -> None:
    assert await w.refused("POST", "/v/nothing") == (404, 404)
    assert await w.refused("POST", "/") == (404, 404)
    assert await w.refused("PATCH", "/v/vm/list", gid=0) == (405, 405)
    assert await w.refused("GET", "/v/vm") == (405, 405)
    answer = await w.raw("POST", "/v/vm/list", b" " * (1 << 20) + b"{}", authorization=f"Bearer {w.key}")
    assert (answer.status, answer.code) == (413, 413)

    async def endless() -> object:
        for _ in range(40):
            yield b" " * 65536

    answer = await w.raw("POST", "/v/vm/list", endless(), authorization=f"Bearer {w.key}")
    assert (answer.status, answer.code) == (413, 413)


async def test_the_openapi_document_is_served(w: World) -> None:
    answer = await w.raw("GET", "/openapi.json")
    assert answer["openapi"].startswith("3.1")


async def test_cors_is_off_by_default(w: World) -> None:
    response = await w.http.options("http://velocity/v/vm", headers={"origin": "http://elsewhere"})
    assert "access-control-allow-origin" not in response.headers


async def test_a_database_that_cannot_write_is_a_503_and_changes_nothing(w: World) -> None:
    database = w.server.database
    await w.written()
    database.engine.raw_connection().cursor().execute("PRAGMA query_only=ON")
    assert await w.refused("PUT", "/u/group", _plan=False, name="a", parent_gid=0) == (503, 503)
    assert await w.refused("PUT", "/v/vm/efi", _plan=False, name="a", gid=0, cpus=1, memory_mib=64) == (503, 503)
    assert await w.refused("PUT", "/m/media/create", _plan=False, name="a", gid=0, mpid=1, size=1) == (503, 503)
    assert w.files() == []
    database.engine.raw_connection().cursor().execute("PRAGMA query_only=OFF")
    assert (await w.ok("POST", "/v/vm/list", gid=0))["vms"] == []
    await w.group("a")
