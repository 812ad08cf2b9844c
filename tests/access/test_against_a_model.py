"""Random trees, grants, revocations, deletions and requests, compared with a model of a few lines, through HTTP."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.api.world import World, world

STEPS = 500
SHORT, WHOLE = 11, 52
"""How many times so many steps."""
NOWHERE = 10**6
"""The id of no user and no group."""

PERMISSIONS = ["user.assign", "user.revoke", "user.remove", "group.create", "group.remove", "group.view", "vm.view"]
Number = st.integers(0, 10**6)


class Model:
    """The whole of access in the fewest words."""

    def __init__(self) -> None:
        self.parent = {0: 0}
        self.home = {0: 0}
        self.trash: list[tuple[dict[int, int], dict[int, set[tuple[int, str]]]]] = []
        """What was deleted at once: the groups with their parents, and what users held on them."""
        self.grants = {0: {(0, permission) for permission in PERMISSIONS}}

    def holds(self, uid: int, permission: str, gid: int) -> bool:
        gid = gid if gid in self.parent else 0
        return (gid, permission) in self.grants[uid] or (gid != 0 and self.holds(uid, permission, self.parent[gid]))

    def below(self, gid: int) -> set[int]:
        return {gid}.union(*(self.below(child) for child, parent in self.parent.items() if parent == gid != child))

    def create_group(self, actor: int, parent: int) -> int:
        if not self.holds(actor, "group.create", parent):
            return 5200
        return 200 if parent in self.parent else 5210

    def delete_group(self, actor: int, gid: int) -> int:
        if not self.holds(actor, "group.remove", self.parent.get(gid, 0)):
            return 5300
        if gid not in self.parent:
            return 5310
        if gid == 0:
            return 5320
        gone = self.below(gid)
        lying = {uid: {one for one in held if one[0] in gone} for uid, held in self.grants.items()}
        self.trash.append(({one: self.parent[one] for one in gone}, lying))
        self.home = {uid: self.parent[gid] if home in gone else home for uid, home in self.home.items()}
        self.parent = {child: parent for child, parent in self.parent.items() if child not in gone}
        for held in self.grants.values():
            held.difference_update([one for one in held if one[0] in gone])
        return 200

    def grant(self, actor: int, uid: int, gid: int, permission: str) -> int:
        if not self.holds(actor, "user.assign", gid):
            return 4200
        if not self.holds(actor, permission, gid):
            return 4220
        if uid not in self.grants or gid not in self.parent:
            return 4210 if uid not in self.grants else 4211
        self.grants[uid].add((gid, permission))
        return 200

    def revoke(self, actor: int, uid: int, gid: int, permission: str | None) -> int:
        held = self.grants.get(uid, set())
        taken = {(gid, permission)} if permission else {one for one in held if one[0] == gid}
        if not self.holds(actor, "user.revoke", gid) or not all(
            self.holds(actor, str(one), gid)
            for _, one in taken & held or ({(gid, permission)} if permission else set())
        ):
            return 4300
        if uid not in self.grants or gid not in self.parent:
            return 4310 if uid not in self.grants else 4311
        if (uid, gid) == (0, 0):
            return 4320
        held.difference_update(taken)
        return 200

    def restore(self, actor: int) -> int:
        """What was deleted last."""
        groups, lying = self.trash[-1]
        (parent,) = set(groups.values()) - set(groups)
        if not self.holds(actor, "group.remove", parent):
            return 25200
        self.trash.pop()
        self.parent |= groups
        for uid, held in lying.items():
            self.grants.get(uid, set()).update(held)
        return 200

    def authority(self, actor: int, uid: int) -> bool:
        """Whether the actor may remove users where the user holds or held something, and where his home is."""
        if uid not in self.grants:
            return self.holds(actor, "user.remove", 0)
        where = {self.home[uid], *(gid for gid, _ in self.held(uid))}
        return all(self.holds(actor, "user.remove", gid) for gid in where)

    def held(self, uid: int) -> set[tuple[int, str]]:
        """What a user holds; what lies in the trash counts on the next group above that is there."""
        deleted = {child: parent for groups, _ in self.trash for child, parent in groups.items()}
        found = set()
        for at, permission in [*self.grants[uid], *(one for _, lying in self.trash for one in lying.get(uid, ()))]:
            gid = at
            while gid in deleted:
                gid = deleted[gid]
            found.add((gid, permission))
        return found

    def move_home(self, actor: int, uid: int, gid: int) -> int:
        if not all(self.holds(actor, "user.remove", one) for one in (self.home.get(uid, 0), gid)):
            return 2400
        if uid not in self.grants or gid not in self.parent:
            return 2410 if uid not in self.grants else 2411
        self.home[uid] = gid
        return 200

    def remove_user(self, actor: int, uid: int) -> int:
        if not self.authority(actor, uid):
            return 2300
        if uid not in self.grants:
            return 2310
        if uid in (0, actor):
            return 2320
        del self.grants[uid]
        del self.home[uid]
        return 200

    def set_password(self, actor: int, uid: int) -> int:
        """Of another: by whoever has authority over the account, and holds all that it holds, or held in the trash."""
        if not self.authority(actor, uid):
            return 2400
        if uid not in self.grants:
            return 2410
        return 200 if all(self.holds(actor, one, gid) for gid, one in self.held(uid)) else 2400

    def look(self, actor: int, gid: int, permission: str, lacking: int, missing: int) -> int:
        if not self.holds(actor, permission, gid):
            return lacking
        return 200 if gid in self.parent else missing


class Comparison(RuleBasedStateMachine):
    """Each step is done to both; what is answered must be the same."""

    database: Callable[[], str | None] = staticmethod(lambda: None)
    steps = 0

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.opened = world(Path(self.directory.name) / "data", **self._settings())
        self.world: World = self.loop.run_until_complete(self.opened.__aenter__())
        self.model = Model()
        self.keys = {0: self.world.key}
        for number in range(3):
            self.add_user(number)
        # A user who holds nothing changes nothing: each gets something to begin with.
        for uid in (1, 2, 3):
            for permission in PERMISSIONS[uid::2]:
                self.grant(0, uid, 0, PERMISSIONS.index(permission))

    def _settings(self) -> dict[str, Any]:
        url = type(self).database()
        return {"database": url} if url else {}

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.run_until_complete(self.opened.__aexit__(None, None, None))
            self.loop.close()
            self.directory.cleanup()

    def send(self, actor: int, method: str, path: str, **body: object) -> tuple[int, dict[str, object]]:
        """The code of the answer (200 when it was granted), and the answer."""
        type(self).steps += 1
        answer = self.loop.run_until_complete(
            self.world.raw(method, path, json.dumps(body).encode(), authorization=f"Bearer {self.keys[actor]}")
        )
        return int(answer.body.get("code", answer.status)), answer.body

    def actor(self, number: int) -> int:
        return sorted(self.model.grants)[number % len(self.model.grants)]

    def someone(self, number: int) -> int:
        return [*sorted(self.model.grants), NOWHERE][number % (len(self.model.grants) + 1)]

    def somewhere(self, number: int) -> int:
        return [*sorted(self.model.parent), NOWHERE][number % (len(self.model.parent) + 1)]

    @rule(number=Number)
    def add_user(self, number: int) -> None:
        if len(self.model.grants) > 8:
            return
        code, made = self.send(0, "PUT", "/u/user", name=f"user-{self.steps}", password="password")
        assert code == 200
        uid = int(str(made["uid"]))
        assert uid not in self.model.grants
        self.model.grants[uid] = set()
        self.model.home[uid] = 0
        sessions = self.world.server.services.access.sessions
        self.keys[uid] = self.loop.run_until_complete(sessions.begin(uid)).authkey

    @rule(actor=Number, parent=Number)
    def create_group(self, actor: int, parent: int) -> None:
        actor, parent = self.actor(actor), self.somewhere(parent)
        code, made = self.send(actor, "PUT", "/u/group", name=f"group {self.steps}", parent_gid=parent)
        assert code == self.model.create_group(actor, parent)
        if code == 200:
            self.model.parent[int(str(made["gid"]))] = parent

    @rule(actor=Number, gid=Number)
    def delete_group(self, actor: int, gid: int) -> None:
        actor, gid = self.actor(actor), self.somewhere(gid)
        code, _ = self.send(actor, "DELETE", "/u/group", gid=gid)
        assert code == self.model.delete_group(actor, gid)

    @rule(actor=Number, uid=Number, gid=Number, permission=Number)
    def grant(self, actor: int, uid: int, gid: int, permission: int) -> None:
        actor, uid, gid = self.actor(actor), self.someone(uid), self.somewhere(gid)
        name = PERMISSIONS[permission % len(PERMISSIONS)]
        body = {"uid": uid, "gid": gid, "permission": f"velocity.{name}"}
        code, _ = self.send(actor, "PUT", "/u/user/permission", **body)
        assert code == self.model.grant(actor, uid, gid, name)

    @rule(actor=Number, uid=Number, gid=Number, permission=Number, everything=st.booleans())
    def revoke(self, actor: int, uid: int, gid: int, permission: int, everything: bool) -> None:
        actor, uid, gid = self.actor(actor), self.someone(uid), self.somewhere(gid)
        everything = everything and uid != 0  # root holds permissions that the model does not know
        name = None if everything else PERMISSIONS[permission % len(PERMISSIONS)]
        body = {"uid": uid, "gid": gid, "permission": None if name is None else f"velocity.{name}"}
        code, _ = self.send(actor, "DELETE", "/u/user/permission", **body)
        assert code == self.model.revoke(actor, uid, gid, name)

    @rule(actor=Number)
    def restore_what_was_deleted_last(self, actor: int) -> None:
        if not self.model.trash:
            return
        actor = self.actor(actor)
        newest = max(item["trid"] for item in self.send(0, "POST", "/t/trash/list")[1]["items"])  # type: ignore[attr-defined]
        code, _ = self.send(actor, "PUT", "/t/trash", trid=newest)
        assert code == self.model.restore(actor)

    @rule(actor=Number, uid=Number, gid=Number)
    def move_home(self, actor: int, uid: int, gid: int) -> None:
        actor, uid, gid = self.actor(actor), self.someone(uid), self.somewhere(gid)
        code, _ = self.send(actor, "PATCH", "/u/user", uid=uid, gid=gid)
        assert code == self.model.move_home(actor, uid, gid)

    @rule(uid=Number)
    def show_home(self, uid: int) -> None:
        uid = self.actor(uid)
        assert self.send(0, "POST", "/u/user", uid=uid)[1]["home"] == self.model.home[uid]

    @rule(actor=Number, uid=Number)
    def remove_user(self, actor: int, uid: int) -> None:
        actor, uid = self.actor(actor), self.someone(uid)
        code, _ = self.send(actor, "DELETE", "/u/user", uid=uid)
        assert code == self.model.remove_user(actor, uid)

    @rule(actor=Number, uid=Number)
    def set_password(self, actor: int, uid: int) -> None:
        """Nobody captures an account: neither by giving it rights, nor by the trash. Who is not known is asked too."""
        actor, uid = self.actor(actor), self.someone(uid)
        if uid in (0, actor):  # of oneself the old one is needed; root holds more than the model knows
            return
        code, _ = self.send(actor, "PATCH", "/u/user", uid=uid, password=f"captured {self.steps}")
        assert code == self.model.set_password(actor, uid)
        if code == 200:
            sessions = self.world.server.services.access.sessions
            self.keys[uid] = self.loop.run_until_complete(sessions.begin(uid)).authkey

    @rule(actor=Number, gid=Number)
    def list_vms(self, actor: int, gid: int) -> None:
        actor, gid = self.actor(actor), self.somewhere(gid)
        code, _ = self.send(actor, "POST", "/v/vm/list", gid=gid)
        assert code == self.model.look(actor, gid, "vm.view", 17100, 17110)

    @rule(actor=Number, gid=Number)
    def show_group(self, actor: int, gid: int) -> None:
        actor, gid = self.actor(actor), self.somewhere(gid)
        code, shown = self.send(actor, "POST", "/u/group", gid=gid)
        assert code == self.model.look(actor, gid, "group.view", 5100, 5110)
        if code == 200 and gid != 0:
            members = shown["memberships"]
            assert isinstance(members, list)
            assert {(one["uid"], p["name"]) for one in members for p in one["permissions"]} == {
                (uid, f"velocity.{name}") for uid, held in self.model.grants.items() for at, name in held if at == gid
            }


@pytest.mark.holds("TEAM-1")
@pytest.mark.long
@pytest.mark.whole
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_access_does_what_a_model_of_a_few_lines_does(
    kind: str, request: pytest.FixtureRequest, say: Callable[[str], None], whole: bool
) -> None:
    class Chosen(Comparison):
        steps = 0

    if kind == "postgresql":
        Chosen.database = staticmethod(request.getfixturevalue("postgres").installed)
    quick = settings(
        stateful_step_count=STEPS, max_examples=WHOLE if whole else SHORT, deadline=None, derandomize=not whole,
        database=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Chosen, settings=quick)
    say(f"access against its model on {kind}: {Chosen.steps} steps, no difference")
    assert Chosen.steps >= (10_000 if whole else 2_500)
