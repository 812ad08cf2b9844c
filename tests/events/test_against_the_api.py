"""What the page holds is what the API says: snapshots and events against lists, after random changes and cuts."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.api.world import PASSWORD, World, world
from tests.events.page import Page, Stream
from velocity.events.limits import StreamLimits
from velocity.hypervisor.port import Fact, FactCause

T = TypeVar("T")
EXAMPLES, SHORT, WHOLE = 14, 38, 150
"""How many times how many steps."""
EACH = 5
"""Steps from one comparison to the next."""
NAMES = ["root", "bob", "ann", "eve"]
RIGHTS = ["vm.view", "media.list", "pool.list", "group.view", "user.list", "vm.create", "media.create"]
Number = st.integers(0, 10**6)


async def lists(w: World, key: str) -> dict[str, Any]:
    """What the lists of the API say to that caller, in the shape of a page."""
    said: dict[str, Any] = {kind: {} for kind in ("vm", "medium", "group", "task", "user")}
    groups = (await w.ok("POST", "/u/group/list", key))["groups"]
    direct = {one["gid"]: {permission["name"] for permission in one["permissions"]} for one in groups}
    parents = {one["gid"]: one["parent_gid"] for one in groups}
    pools: dict[int, dict[str, Any]] = {}
    for group in groups:
        gid = group["gid"]
        held, above = set(direct[gid]), gid
        while above:
            above = parents[above]
            held |= direct[above]
        said["group"][gid] = {**group, "permissions": held}
        for vm in (await w.call("POST", "/v/vm/list", key, gid=gid)).body.get("vms", []):
            shown = (await w.ok("POST", "/v/vm", key, vmid=vm["vmid"])).body
            assert vm == {name: shown[name] for name in vm}, "a list says of a VM what it says itself"
            said["vm"][vm["vmid"]] = shape(shown)
        for medium in (await w.call("POST", "/m/media/list", key, gid=gid)).body.get("media", []):
            said["medium"][medium["mid"]] = {**medium, "gid": gid}
        for task in (await w.call("POST", "/t/task/list", key, gid=gid)).body.get("tasks", []):
            said["task"][task["tid"]] = task
        for pool in (await w.call("POST", "/m/pool/list", key, gid=gid)).body.get("pools", []):
            pools[pool["mpid"]] = {"mpid": pool["mpid"], "name": pool["name"]}
    for user in (await w.call("POST", "/u/user/list", key)).body.get("users", []):
        said["user"][user["uid"]] = user
    return {**said, "pools": sorted(pools.values(), key=str)}


def shape(vm: dict[str, Any]) -> dict[str, Any]:
    """A VM as it is shown whole, in the fields of a list."""
    left_out = (
        "type", "rosetta", "input", "cpu", "balloon", "notes", "cloud_init", "isolation", "interfaces",
        "memory_taken_mib", "running_since", "created", "max_cpus", "max_memory_mib", "drives", "waits", "forwards",
        "spread", "together", "host_labels", "ha", "start_order",
    )  # fmt: skip
    pinned = ("machine_type", "firmware", "hardware")
    short = {name: value for name, value in vm.items() if name not in left_out + pinned}
    short["displays"] = [{name: one[name] for name in ("name", "width", "height")} for one in vm["displays"]]
    short["media"] = [one["mid"] for one in vm["media"]]
    short["nics"] = [one["type"] for one in vm["nics"]]
    known = [address for one in vm["interfaces"] for address in one.get("known_addresses", ())]
    if known:
        short["addresses"] = [one["address"] for one in known]
    if reserved := [one["address"] for one in known if one["source"] == "lease"]:
        short["reserved"] = reserved
    if macs := [one["mac"] for one in vm["interfaces"]]:
        short["macs"] = macs
    return short


class Comparison(RuleBasedStateMachine):
    """Changes are made by root, as requests; each of four readers follows as a page does."""

    counted: ClassVar[Counter[str]] = Counter()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        limits = StreamLimits(wake=0.0, pace={}, most=25, rendered=2)
        self.opened = world(Path(self.directory.name) / "data", limits=limits)
        self.w: World = self.run(self.opened.__aenter__())
        self.keys = {"root": self.w.key}
        self.number = 0
        self.run(self.people())

    async def people(self) -> None:
        w = self.w
        self.gids: list[int] = [0]
        self.vmids: list[int] = []
        self.mids: list[str] = []
        for name in NAMES[1:]:
            self.keys[name] = await w.user(name)
        self.uids = [await w.uid(name) for name in NAMES[1:]]
        for name, parent in (("a", 0), ("b", 0), ("low", 1)):
            self.gids.append(await w.group(name, parent))
        self.mids.append(await w.medium("disk"))
        for gid in (0, 1, 3):
            self.vmids.append(await w.vm("vm", gid))
        for permission in RIGHTS:
            for uid, gid in ((self.uids[0], 0), (self.uids[1], 1)):
                body = {"uid": uid, "gid": gid, "permission": f"velocity.{permission}"}
                await w.ok("PUT", "/u/user/permission", **body)
        self.pages = {name: Page() for name in NAMES}
        self.streams = {name: Stream(w, self.keys[name]) for name in NAMES}

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.run(self.end())
            self.loop.close()
            self.directory.cleanup()

    async def end(self) -> None:
        await self.compare()
        for stream in self.streams.values():
            await stream.leave()
        await self.opened.__aexit__(None, None, None)

    def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """A request of root's; what is refused changes nothing, and is a step as well."""
        answer = self.run(self.w.call(method, path, **body))
        self.counted["granted" if answer.status == 200 else "refused"] += 1
        assert answer.status < 500 or answer.code == 13230, answer
        return answer.body if answer.status == 200 else {}

    def name(self) -> str:
        self.number += 1
        return f"n{self.number}"

    # Changes

    @rule(one=Number)
    def group(self, one: int) -> None:
        made = self.ask("PUT", "/u/group", name=self.name(), parent_gid=pick(self.gids, one))
        self.gids += [made["gid"]] if made else []

    @rule(one=Number)
    def delete_group(self, one: int) -> None:
        self.ask("DELETE", "/u/group", gid=pick(self.gids, one), force=bool(one % 2))

    @rule(one=Number, two=Number)
    def medium(self, one: int, two: int) -> None:
        format_ = ["raw", "qcow2"][two % 2]
        body = {"mpid": 1, "gid": pick(self.gids, one), "name": self.name(), "size": 1 << 20, "format": format_}
        made = self.ask("PUT", "/m/media/create", **body)
        self.mids += [made["mid"]] if made else []

    @rule(one=Number)
    def delete_medium(self, one: int) -> None:
        if self.mids:
            self.ask("DELETE", "/m/media", mid=pick(self.mids, one), purge=bool(one % 2))

    @rule(one=Number, two=Number)
    def clone(self, one: int, two: int) -> None:
        if self.mids:
            self.ask(
                "PUT", "/m/media/clone", mid=pick(self.mids, one), gid=pick(self.gids, two), mpid=1, name=self.name()
            )

    def attached(self, one: int) -> list[dict[str, Any]]:
        count = min(one % 3, len(self.mids))
        return [{"mid": pick(self.mids, one + step), "mode": "BLOCK", "readonly": not one % 2} for step in range(count)]

    @rule(one=Number, two=Number)
    def vm(self, one: int, two: int) -> None:
        body = {"name": self.name(), "gid": pick(self.gids, one), "cpus": 1, "memory_mib": 64}
        made = self.ask("PUT", "/v/vm/efi", **body, media=self.attached(two))
        self.vmids += [made["vmid"]] if made else []

    @rule(one=Number, two=Number, cpus=st.integers(1, 9))
    def alter(self, one: int, two: int, cpus: int) -> None:
        if self.vmids:
            change = [{"name": self.name()}, {"cpus": cpus}, {"media": self.attached(two)}, {"autostart": True}]
            self.ask("PATCH", "/v/vm", vmid=pick(self.vmids, one), **pick(change, two))

    @rule(one=Number, state=st.sampled_from(["RUNNING", "PAUSED", "STOPPED"]), force=st.booleans())
    def state(self, one: int, state: str, force: bool) -> None:
        if self.vmids:
            self.ask("PUT", "/v/vm/state", vmid=pick(self.vmids, one), state=state, force=force)

    @rule(
        one=Number,
        why=st.sampled_from(
            [FactCause.GUEST_PANICKED, FactCause.DISK_FULL, FactCause.GUEST_SHUTDOWN, FactCause.KILLED]
        ),
    )
    def guest(self, one: int, why: FactCause) -> None:
        fake = self.w.hypervisor
        if fake.runs:
            ended = why in (FactCause.GUEST_SHUTDOWN, FactCause.KILLED)
            fake.play(pick(list(fake.runs), one), Fact.ENDED if ended else Fact.PAUSED, why)

    @rule(one=Number)
    def start_that_fails(self, one: int) -> None:
        self.w.hypervisor.faults.refuse = "no luck"
        self.state(one, "RUNNING", False)
        self.w.hypervisor.faults.refuse = None

    @rule(one=Number)
    def delete_vm(self, one: int) -> None:
        if self.vmids:
            self.ask("DELETE", "/v/vm", vmid=pick(self.vmids, one))

    @rule(one=Number)
    def restore(self, one: int) -> None:
        items = self.ask("POST", "/t/trash/list")["items"]
        if items:
            self.ask("PUT", "/t/trash", trid=pick(items, one)["trid"])

    @rule(one=Number, two=Number, three=Number, verb=st.sampled_from(["PUT", "PUT", "DELETE"]))
    def rights(self, one: int, two: int, three: int, verb: str) -> None:
        body = {
            "uid": pick(self.uids, one),
            "gid": pick(self.gids, two),
            "permission": f"velocity.{pick(RIGHTS, three)}",
        }
        self.ask(verb, "/u/user/permission", **body)

    @rule(one=Number, write=st.booleans(), verb=st.sampled_from(["PUT", "PUT", "DELETE"]))
    def pool(self, one: int, write: bool, verb: str) -> None:
        more = {"write": write, "manage": True} if verb == "PUT" else {}
        self.ask(verb, "/m/pool/assign", gid=pick(self.gids, one), mpid=1, **more)

    @rule(one=Number)
    def user(self, one: int) -> None:
        made = self.ask("PUT", "/u/user", name=self.name(), password=PASSWORD)
        if one % 2:
            self.ask("DELETE", "/u/user", uid=made["uid"])

    # Readers

    @rule(name=st.sampled_from(NAMES), count=st.integers(0, 12))
    def cut(self, name: str, count: int) -> None:
        """The connection breaks after so many events more, and is made again after what was heard last."""
        self.run(self.break_off(name, count))

    async def break_off(self, name: str, count: int) -> None:
        stream, page = self.streams[name], self.pages[name]
        for _ in range(count):
            if (event := await stream.at_hand()) is None:
                break
            page.apply(event)
        await stream.leave()
        known = self.w.server.services.events.ring.find(page.last) is not None
        self.counted["cuts that go on" if known else "cuts that begin anew"] += 1
        self.streams[name] = Stream(self.w, self.keys[name], last=page.last)

    @invariant()
    def the_page_holds_what_the_api_says(self) -> None:
        self.steps = getattr(self, "steps", 0) + 1
        if hasattr(self, "streams") and self.steps % EACH == 0:
            self.run(self.compare())

    async def compare(self) -> None:
        await self.w.settle()
        for name in NAMES:
            page, told = self.pages[name], len(self.pages[name].told)
            await self.follow(name)
            heard = len(page.told)
            said = await lists(self.w, self.keys[name])
            await self.follow(name)  # who lists media looks what they take on the disk, and that is told
            assert all(data["kind"] == "medium" for event, _, data in page.told[heard:] if event != "changed"), name
            for event in page.told[told:]:
                self.counted[event[0]] += 1
            for group in page.objects["group"].values():
                group["permissions"] = set(group["permissions"])
            for kind, objects in page.objects.items():
                assert objects == said[kind], (name, kind)
            assert sorted(page.rest["pools"], key=str) == said["pools"]
            self.counted["comparisons"] += 1
            self.counted["objects"] += sum(len(objects) for objects in page.objects.values())

    async def follow(self, name: str) -> None:
        """Read up to the newest event that is for this reader: up to a mark that only he hears."""
        services, stream, page = self.w.server.services, self.streams[name], self.pages[name]
        await self.w.settle()
        services.changes.note_change("session", ([0, *self.uids])[NAMES.index(name)])
        await services.events.settle()
        mark = services.events.ring.head
        while not page.last or int(page.last.split("-")[1]) < mark:
            event = await stream.next()
            assert event is not None
            page.apply(event)


def pick(some: list[Any], number: int) -> Any:
    return some[number % len(some)]


@pytest.mark.holds("EVENT-1")
@pytest.mark.long
@pytest.mark.whole
def test_what_the_page_holds_is_what_the_api_says(say: Callable[[str], None], whole: bool) -> None:
    class Chosen(Comparison):
        counted: ClassVar[Counter[str]] = Counter()

    chosen = settings(
        stateful_step_count=WHOLE if whole else SHORT, max_examples=EXAMPLES, deadline=None, derandomize=not whole,
        database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # shrinking would take many minutes
    )  # fmt: skip
    run_state_machine_as_test(Chosen, settings=chosen)
    say(f"pages against the API: {dict(sorted(Chosen.counted.items()))}, no difference")
    part = 1 if whole else 3
    assert Chosen.counted["comparisons"] >= 1000 // part
    assert Chosen.counted["cuts that go on"] >= 30 // part
    assert Chosen.counted["set"] >= 1000 // part
    assert Chosen.counted["gone"] >= 50 // part
