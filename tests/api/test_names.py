"""Names may be any printable text. They come back as they were sent, and become part of nothing else."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import pytest
import sqlalchemy as sa

from tests.api.world import PASSWORD, World, world
from velocity.cli.output import table
from velocity.cli.words import clean
from velocity.store.database import Database

pytestmark = pytest.mark.anyio

ODD = [
    "a,b=c,id=x",
    "../../etc/passwd",
    "-drive file=/etc/shadow",
    "'; drop table users; --",
    "Häuser 家 🏠",
    "%s%n{}$(reboot)`id`",
    "👨\u200d👩\u200d👧 ❤\ufe0f",
    "می\u200cخواهم",
    "x" * 128,
]
USERS = ["anna", "A.B-c_d@x", "Häuser", "家族", "さとう家", "عمر", "l·l", "-drive=/etc/shadow", "x" * 128]
TIDIED = {" spaces ": "spaces", "e\u0301": "é", "\u00a0a\u3000": "a"}
UNSEEN = [
    "left\u200fright\u202ereversed", "a\u200bb", "a\u200db", "a\u00adb", "\u3164", "a\ufe0f", "a\u2066b", "\ufeffa",
    "a\U000e0041", "a\U0001d173", "x\u034f",
]  # fmt: skip
NO_USERS = ["two words", "аdmin", "admіn", "🏠", "ﬁne", "عمرa", "1عمر", "·", "\u1100", "Ωmega"]
"""Look-alikes (the second and third have letters of Cyrillic), symbols, and what turns round what stands beside it."""
REFUSED = ["", "\u2800", "   ", "a\nb", "a\rb", "a\0b", "\x1b[2J", "x" * 129, "a\u2028b", "\x85"]


@pytest.mark.parametrize("name", ODD)
async def test_odd_names_are_names(w: World, name: str) -> None:
    gid = await w.group(name)
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, manage=True, write=True)
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


MADE: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", "/u/group", {"parent_gid": 0}),
    ("PUT", "/m/media/create", {"mpid": 1, "gid": 0, "size": 1}),
    ("PUT", "/v/vm/efi", {"gid": 0, "cpus": 1, "memory_mib": 64}),
]


@pytest.mark.holds("NAME-1")
@pytest.mark.parametrize("name", UNSEEN)
async def test_what_is_never_seen_or_turns_text_round_is_no_name(w: World, name: str) -> None:
    for method, path, body in [*MADE, ("PUT", "/u/user", {"password": PASSWORD})]:
        answer = await w.call(method, path, **body, name=name)
        assert (answer.status, answer["field"]) == (400, "name"), path
        assert name not in answer["message"]
    display = {"width": 64, "height": 64}
    displays = [{"name": "a", **display}, {"name": name, **display}]
    answer = await w.call("PUT", "/v/vm/efi", name="vm", gid=0, cpus=1, memory_mib=64, displays=displays)
    assert (answer.status, answer["field"]) == (400, "displays[1].name")
    upload = await w.upload(b"x", x_velocity_name=quote(name))
    assert (upload.status, upload.code, upload["field"]) == (400, 9214, "x-velocity-name")
    assert w.files() == []


@pytest.mark.holds("NAME-1")
@pytest.mark.parametrize("name", TIDIED)
async def test_a_name_is_kept_in_one_form(w: World, name: str) -> None:
    for method, path, body in MADE:
        await w.ok(method, path, **body, name=name)
        again = await w.call(method, path, **body, name=TIDIED[name])
        assert again.status == 409, "it is the same name"
    assert (await w.ok("POST", "/v/vm/list", gid=0))["vms"][0]["name"] == TIDIED[name]


@pytest.mark.holds("NAME-2")
@pytest.mark.parametrize("name", USERS)
async def test_names_of_users(w: World, name: str) -> None:
    await w.user(name)
    assert (await w.call("POST", "/u/auth", "", name=name, password=PASSWORD)).status == 200
    decomposed = unicodedata.normalize("NFD", name)
    assert (await w.call("POST", "/u/auth", "", name=decomposed, password=PASSWORD)).status == 200


@pytest.mark.holds("NAME-2")
async def test_look_alikes_and_symbols_are_no_names_of_users(w: World) -> None:
    for name in NO_USERS:
        answer = await w.call("PUT", "/u/user", name=name, password=PASSWORD)
        assert (answer.status, answer.code, answer["field"]) == (400, 400, "name"), name
        await w.group(name)


@pytest.mark.holds("NAME-2")
async def test_other_forms_of_a_name_give_no_more_guesses(w: World) -> None:
    await w.user("é")
    for number in range(12):
        name = "é" if number % 2 else "e\u0301"
        answer = await w.call("POST", "/u/auth", "", name=name, password="wrong one")
    assert answer.status == 429


@pytest.mark.holds("NAME-3")
async def test_names_that_were_stored_earlier_load_and_stay(tmp_path: Path) -> None:
    old = "old \u202e name"
    async with world(tmp_path / "data") as w:
        vmid = await w.vm("old")
        uid = (await w.ok("PUT", "/u/user", name="old", password=PASSWORD))["uid"]
    database = Database(f"sqlite:///{tmp_path / 'data' / 'velocity.db'}")
    database.open()

    def work(connection: sa.Connection) -> None:
        for kept, column in (("machines", "vmid"), ("users", "uid")):
            statement = sa.text(f"update {kept} set name = :name where {column} = :id")  # noqa: S608 - our names
            connection.execute(statement, {"name": old, "id": vmid if kept == "machines" else uid})

    await database.write(work)
    await database.close()
    async with world(tmp_path / "data") as w:
        assert (await w.ok("POST", "/v/vm", vmid=vmid))["name"] == old
        await w.ok("PATCH", "/v/vm", vmid=vmid, cpus=2)
        assert (await w.ok("POST", "/u/auth", "", name=old, password=PASSWORD)).status == 200
        await w.ok("PATCH", "/v/vm", vmid=vmid, name="new")


@pytest.mark.holds("NAME-4")
async def test_no_word_of_a_request_looks_like_another_field_of_the_history(w: World) -> None:
    gid = await w.group('a uid=0 "x"')
    await w.call("PUT", "/u/user/permission", uid=0, gid=gid, permission="velocity.x name=root")
    await w.call("PUT", "/v/vm/state", vmid=1, state="RUNNING uid=0")
    targets = [one["target"] for one in (await w.ok("POST", "/t/history", gid=0))["entries"]]
    assert 'parent_gid=0 name="a uid=0 \\"x\\""' in targets
    assert f'uid=0 gid={gid} permission="velocity.x name=root"' in targets
    assert 'vmid=1 state="RUNNING uid=0"' in targets


@pytest.mark.holds("NAME-4")
def test_a_table_on_a_terminal_keeps_its_columns_beside_what_is_written_from_the_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("عمر", "RUNNING"), ("web", "STOPPED")]
    table(("NAME", "STATE"), rows, empty="")
    assert "\u2068" not in capsys.readouterr().out, "for programs it is as it is"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    table(("NAME", "STATE"), rows, empty="")
    first, second = click.unstyle(capsys.readouterr().out).splitlines()[1:]
    assert first == "\u2068عمر\u2069   RUNNING"
    assert second == "web   STOPPED"
