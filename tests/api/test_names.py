"""Names may be any printable text. They come back as they were sent, and become part of nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.api.world import PASSWORD, World
from velocity.cli.words import clean

pytestmark = pytest.mark.anyio

ODD = [
    "a,b=c,id=x",
    "../../etc/passwd",
    "-drive file=/etc/shadow",
    "'; drop table users; --",
    "Häuser 家 🏠",
    "left\u200fright\u202ereversed",
    "%s%n{}$(reboot)`id`",
    " spaces ",
    "x" * 128,
]
REFUSED = ["", "   ", "a\nb", "a\rb", "a\0b", "\x1b[2J", "x" * 129, "a\u2028b", "\x85"]


@pytest.mark.parametrize("name", ODD)
async def test_odd_names_are_names(w: World, name: str) -> None:
    gid = await w.group(name)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True, write=True)
    await w.user(name)
    assert (await w.call("POST", "/u/auth", "", name=name, password=PASSWORD)).status == 200
    mid = await w.medium(name, gid=gid)
    displays = [{"name": name, "width": 64, "height": 64}]
    vmid = await w.vm(name, gid, media=[{"mid": mid, "mode": "BLOCK"}], displays=displays)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    shown = await w.ok("POST", "/v/vm", vmid=vmid)
    assert (shown["name"], shown["displays"][0]["name"]) == (name, name)
    assert (await w.ok("POST", "/m/media/list", gid=gid))["media"][0]["name"] == name
    assert (await w.ok("POST", "/u/group", gid=gid))["name"] == name
    assert all(re.fullmatch(r"[0-9a-f-]{36}\.raw", file) for file in w.files()), "no word of a user is a file's name"
    assert clean(name).isprintable(), "and none moves a terminal's cursor"


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_name(w: World, name: str) -> None:
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", "/u/group", {"parent_gid": 0}),
        ("PUT", "/u/user", {"password": PASSWORD}),
        ("PUT", "/m/media/create", {"mpid": 1, "gid": 0, "size": 1}),
        ("PUT", "/v/vm/efi", {"gid": 0, "cpus": 1, "memory_mib": 64}),
    ]
    for method, path, body in requests:
        answer = await w.call(method, path, **body, name=name)
        assert (answer.status, answer.code, answer["field"]) == (400, 400, "name")
        assert answer["message"].startswith("name: ")
    assert w.files() == []
