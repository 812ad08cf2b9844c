"""An installation of an older version: its sessions go on, root gets the permissions that came since, users a home."""

from __future__ import annotations

import hashlib
import json
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.api.world import world
from velocity.access.sessions import key_hash
from velocity.contract.permissions import Permission
from velocity.hypervisor.port import HostId
from velocity.store.access import SqlAccess
from velocity.store.database import Database, migrate
from velocity.store.machines import SqlMachines
from velocity.store.trash import SqlTrash

pytestmark = pytest.mark.anyio

FIRST_PERMISSIONS = 22
"""Those of the contract, which every version had."""
FAR = 4_000_000_000


async def make(url: str) -> None:
    """As the version with schema 0005 left it: root with what there was, and two sessions."""
    database = Database(url)

    def work(connection: sa.Connection) -> None:
        migrate(connection, "0005")
        connection.exec_driver_sql("insert into groups (gid, parent_gid, name) values (0, 0, 'root')")
        connection.exec_driver_sql("insert into users (uid, name, password) values (0, 'root', 'x'), (1, 'bob', 'x')")
        grants = [{"pid": pid} for pid in range(1, FIRST_PERMISSIONS + 1)]
        connection.execute(sa.text("insert into grants (uid, gid, pid) values (0, 0, :pid)"), grants)
        for uid, key in ((0, "root's"), (1, "bob's")):
            statement = sa.text("insert into authkeys (hash, uid, expires) values (:hash, :uid, :expires)")
            connection.execute(statement, {"hash": key_hash(key), "uid": uid, "expires": FAR})

    database.read(work)
    await database.close()


@pytest.mark.holds("BROWSER-9")
async def test_an_older_installation(tmp_path: Path, database_url: str) -> None:
    await make(database_url)
    for turn in ("the first start with this version", "the next one"):
        database = Database(database_url)
        database.open()
        kept = database.read(lambda connection: connection.exec_driver_sql("select uid, gid, pid from grants").all())
        await database.close()
        assert len(kept) == (FIRST_PERMISSIONS if turn.startswith("the first") else len(Permission))
        async with world(tmp_path / "data", signs_in=False, database=database_url) as w:
            shown = await w.ok("POST", "/u/user", "root's")
            assert [one["pid"] for one in shown["memberships"][0]["permissions"]] == [one.pid for one in Permission]
            assert (await w.ok("POST", "/u/user", "bob's"))["memberships"] == []
            (listed,) = (await w.ok("POST", "/u/session/list", "root's"))["sessions"]
            assert (listed["expires"], listed["address"], listed["agent"], listed["current"]) == (FAR, "", "", True)
            assert len(listed["sid"]) == 16
            assert (await w.ok("PUT", "/u/group", "root's", name=turn, parent_gid=0)).status == 200


TREE = {1: 0, 2: 1, 3: 1, 4: 2, 5: 2}
"""gid -> parent: 1 has 2 and 3, 2 has 4 and 5."""
HELD = {1: [4], 2: [4, 5], 3: [4, 3], 4: [4, 2], 5: [], 6: [4, 0], 7: [3], 8: [], 9: [5], 10: [], 11: []}
"""uid -> groups where something is held."""
IN_TRASH: list[tuple[dict[int, int], list[tuple[int, int]]]] = [
    ({7: 5, 6: 5, 8: 7}, [(7, 6), (8, 8), (9, 8), (10, 8)]),
    ({9: 99}, [(11, 9), (10, 9), (500, 9)]),
    ({10: 8}, [(8, 10)]),
]
"""Deleted groups with their parents (99 is gone for good), and who held something there."""
HOMES = {0: 0, 1: 4, 2: 2, 3: 1, 4: 2, 5: 0, 6: 0, 7: 1, 8: 5, 9: 5, 10: 0, 11: 0}


@pytest.mark.holds("TEAM-5")
async def test_users_of_older_installations_get_a_home_and_keep_what_they_hold(
    tmp_path: Path, database_url: str
) -> None:
    """The lowest group that is above all that a user holds, or held when its group was deleted."""
    database = Database(database_url)

    def insert(connection: sa.Connection, table: str, **row: object) -> None:
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(sa.text(f"insert into {table} ({names}) values ({values})"), row)  # noqa: S608 - our names

    def work(connection: sa.Connection) -> None:
        migrate(connection, "0007")
        for gid, parent in {0: 0, **TREE}.items():
            insert(connection, "groups", gid=gid, parent_gid=parent, name=f"group {gid}")
        for uid in HOMES:
            insert(connection, "users", uid=uid, name=f"user {uid}" if uid else "root", password="x")
        for pid in range(1, FIRST_PERMISSIONS + 1):
            insert(connection, "grants", uid=0, gid=0, pid=pid)
        insert(
            connection,
            "authkeys",
            hash=key_hash("root's"),
            uid=0,
            expires=FAR,
            sid="s",
            created=1,
            address="",
            agent="",
        )
        for uid, gids in HELD.items():
            for gid in gids:
                insert(connection, "grants", uid=uid, gid=gid, pid=19)
        for number, (groups, grants) in enumerate(IN_TRASH):
            rows = {
                "groups": [{"gid": gid, "parent_gid": up, "name": "x"} for gid, up in groups.items()],
                "grants": [{"uid": uid, "gid": gid, "pid": 19} for uid, gid in grants],
            }
            insert(connection, "trash", kind="group", id="x", gid=0, name=f"{number}", uid=0, size=0, deleted=FAR,
                   rows=json.dumps(rows))  # fmt: skip
        insert(connection, "trash", kind="vm", id="1", gid=0, name="vm", uid=0, size=0, deleted=FAR, rows="{}")

    database.read(work)
    await database.close()
    async with world(tmp_path / "data", signs_in=False, database=database_url) as w:
        homes = {uid: (await w.ok("POST", "/u/user", "root's", uid=uid))["home"] for uid in HOMES}
        assert homes == HOMES
        for uid, gids in HELD.items():
            shown = await w.ok("POST", "/u/user", "root's", uid=uid)
            assert [one["gid"] for one in shown["memberships"]] == sorted(gids)


async def test_where_users_have_signed_in_is_taken_from_the_history(database_url: str) -> None:
    database = Database(database_url)
    entries = [
        (1, "bob", "192.0.2.1", "sign_in", None),
        (2, "bob", "2001:db8::1", "open_session", None),
        (3, "bob", "2001:db8::2", "sign_in", None),
        (4, "bob", "192.0.2.9", "sign_in", 1100),
        (5, "gone", "192.0.2.1", "sign_in", None),
        (6, "root", "local", "create_vm", None),
        (7, "root", "192.0.2.7", "sign_in", None),
        (8, "bob", "192.0.2.1", "sign_in", None),
    ]

    def work(connection: sa.Connection) -> None:
        migrate(connection, "0011")
        connection.exec_driver_sql("insert into groups (gid, parent_gid, name) values (0, 0, 'root')")
        connection.exec_driver_sql("insert into users (uid, name, password) values (0, 'root', 'x'), (1, 'bob', 'x')")
        statement = sa.text(
            "insert into history (at, name, address, request, operation, gid, target, status, code) "
            "values (:at, :name, :address, '', :operation, 0, '', 200, :code)"
        )
        names = ("at", "name", "address", "operation", "code")
        connection.execute(statement, [dict(zip(names, entry, strict=True)) for entry in entries])

    database.read(work)
    await database.close()
    database = Database(database_url)
    database.open()
    found = SqlAccess(database).load().good_addresses
    await database.close()
    assert found == [("bob", "2001:db8::/64"), ("root", "192.0.2.7"), ("bob", "192.0.2.1")]


@pytest.mark.holds("GUEST-32")
async def test_nics_of_older_installations_keep_the_mac_addresses_that_their_places_gave_them(
    database_url: str,
) -> None:
    """Also in the trash, of a run that has other NICs by now, and beside what nobody can read."""
    database = Database(database_url)
    uuids = [str(uuid.UUID(int=number)) for number in range(5)]
    bare = {"cpus": 1, "memory_mib": 64, "machine_type": "fake-1.0", "firmware": "0"}
    kinds = [
        {"nics": [{"type": "NAT"}, {"type": "NAT"}]},
        {"nics": [{"type": "NAT"}]},
        {},
        None,
        {"nics": [{"type": "NAT"}]},
    ]
    runs = ["no JSON", json.dumps({**bare, "nics": [{"type": "NAT"}] * 3}), None, None, None]
    rows = [
        {
            "vmid": number, "uuid": uuids[number], "host_id": 1, "gid": 0, "name": f"vm {number}",
            "spec": "no JSON" if kind is None else json.dumps(bare | kind), "epoch": 0, "wanted": "STOPPED",
            "reason": None, "stopping_since": None, "run_spec": run,
        }
        for number, (kind, run) in enumerate(zip(kinds, runs, strict=True))
    ]  # fmt: skip

    def work(connection: sa.Connection) -> None:
        migrate(connection, "0013")
        connection.exec_driver_sql("insert into groups (gid, parent_gid, name) values (0, 0, 'root')")
        connection.exec_driver_sql("insert into users (uid, name, password) values (0, 'root', 'x')")
        connection.exec_driver_sql("insert into hosts (host_id, name) values (1, 'here')")
        for row in rows[:4]:
            names = ", ".join(row)
            text = f"insert into machines ({names}) values (:{', :'.join(row)})"  # noqa: S608 - our names
            connection.execute(sa.text(text), row)
        statement = sa.text(
            "insert into trash (kind, id, gid, name, uid, size, deleted, rows) "
            "values ('vm', '4', 0, 'x', 0, 0, 1, :rows)"
        )
        connection.execute(statement, {"rows": json.dumps({"machines": [rows[4]]})})
        migrate(connection)

    database.read(work)
    store = SqlMachines(database)
    loaded, unreadable = store.load(HostId(1))
    assert [one.vmid for one in unreadable] == [3]
    macs = [[mac(uuid.UUID(text), place) for place in range(3)] for text in uuids]
    found = {
        machine.vmid: [(one.id, one.mac) for one in spec.interfaces]
        for machine, progress in loaded
        for spec in (progress.run or machine.spec, machine.spec)
    }
    assert found == {0: [(1, macs[0][0]), (2, macs[0][1])], 1: [(1, macs[1][0])], 2: []}
    (of_run,) = (progress.run for _, progress in loaded if progress.run)
    assert [(one.id, one.mac) for one in of_run.interfaces] == list(enumerate(macs[1], 1))
    assert [machine.spec.last_nic for machine, _ in loaded] == [2, 3, 0]
    (item,) = await SqlTrash(database).items()
    contents = await SqlTrash(database).contents(item.trid)
    assert contents is not None
    assert [one.mac for one in contents.machines[0][0].spec.interfaces] == macs[4][:1]
    await database.close()


def mac(machine: uuid.UUID, place: int) -> str:
    """As earlier versions made it."""
    tail = hashlib.sha256(machine.bytes + place.to_bytes(4, "big")).digest()[:3]
    return "52:54:00:" + tail.hex(":")
