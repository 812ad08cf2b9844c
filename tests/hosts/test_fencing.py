"""Fence agents: what they are asked, what is believed of them, and that nobody runs another program by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from tests.api.world import World
from tests.hosts import agent
from tests.hosts.test_lost import lost, running, shown
from tests.hosts.together import Other, machine, together
from tests.patience import asked_until, eventually
from tests.store.lossy import Lossy
from velocity.cli import doctor_hosts
from velocity.config import Settings
from velocity.contract.nodes import NodeFence, NodeInfo
from velocity.contract.problems import Problem, Refused
from velocity.hosts import fencing
from velocity.hosts.fence_options import check
from velocity.hosts.fencing import FenceAgents, NotFenced
from velocity.hosts.members import Fence
from velocity.hypervisor.port import HostId

SECRET = "correct horse"


@pytest.fixture
def b() -> Other:
    return Other(2, "b", (20, "fast"))


@pytest.fixture
def agents(tmp_path: Path) -> FenceAgents:
    agent.install(tmp_path / "agents")
    return FenceAgents([tmp_path / "agents"], pause=0.0, deadline=30.0)


def fence(plug: str) -> Fence:
    return Fence(agent.NAME, {"plug": plug, "password": SECRET})


@pytest.mark.holds("MANY-94", "MANY-96")
@pytest.mark.parametrize("plug", ["works", "slow", "leaves"])
@pytest.mark.anyio
async def test_a_machine_is_off_when_the_agent_has_done_it_and_says_so(
    agents: FenceAgents, tmp_path: Path, plug: str
) -> None:
    assert await agents.is_on(fence("works"))
    await agents.power_off(fence(plug))
    assert not await agents.is_on(fence(plug))
    told = agent.asked(tmp_path / "agents")
    assert [line for line in told if line.startswith("action=")][:3] == ["action=status", "action=off", "action=status"]
    assert f"password={SECRET}" in told
    assert set((tmp_path / "agents" / "arguments").read_text().split()) == {"0"}, "arguments are for everybody to see"


@pytest.mark.holds("MANY-94")
@pytest.mark.parametrize(
    ("plug", "words"),
    [
        ("fails", "has not powered the machine off: 'Failed:  [31mno login with ***'"),
        ("lies", "and that the machine is on"),
        ("mute", "does not say whether the machine is on (it ended with 1)"),
    ],
)
@pytest.mark.anyio
async def test_nothing_else_proves_it(agents: FenceAgents, plug: str, words: str) -> None:
    with pytest.raises(NotFenced) as raised:
        await agents.power_off(fence(plug))
    assert words in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.holds("MANY-94")
@pytest.mark.anyio
async def test_an_agent_that_hangs_is_ended_with_what_it_began(tmp_path: Path) -> None:
    agent.install(tmp_path / "agents")
    agents = FenceAgents([tmp_path / "agents"], deadline=1.0)
    with pytest.raises(NotFenced, match="has not ended within 1 seconds"):
        await agents.power_off(fence("hangs"))
    group = int((tmp_path / "agents" / "hanging").read_text())
    await eventually(lambda: not in_group(group), "what it began")


def in_group(group: int) -> list[Path]:
    """The processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(stat)
    return found


@pytest.mark.holds("MANY-95")
@pytest.mark.anyio
async def test_only_fence_agents_are_run_and_only_from_where_they_may_be(tmp_path: Path) -> None:
    agents = FenceAgents([tmp_path / "agents"])
    program, elsewhere = agent.install(tmp_path / "agents"), agent.install(tmp_path / "else")
    assert agents.find(agent.NAME) == agents.find(str(program)) == program
    for name in (str(elsewhere), f"{tmp_path}/agents/../else/{agent.NAME}", "/bin/fence_sh", "fence_that_is_not_there"):
        with pytest.raises(Refused) as raised:
            agents.find(name)
        assert raised.value.problem is Problem.FENCE_AGENT
    for option in ("password_script", "ssh_options", "telnet_path", "debug_file", "action", "exec", "identity_file"):
        with pytest.raises(Refused, match="is not passed to fence agents"):
            check({"ip": "192.0.2.9", option: "x"})
    check({"ip": "192.0.2.9", "username": "admin", "password": "x", "lanplus": "1"})
    assert (Path("/usr/sbin"), Path("/usr/bin")) == fencing.DIRECTORIES


async def fenced(w: World, plug: str, **more: str) -> None:
    await w.ok("PUT", "/h/node/fence", host=2, agent=agent.NAME, options={"plug": plug, "password": SECRET, **more})


@pytest.mark.holds("MANY-96")
@pytest.mark.anyio
async def test_a_secret_of_a_fence_agent_is_in_no_answer_history_or_plan(tmp_path: Path, b: Other) -> None:
    agent.install(tmp_path / "agents")
    async with together(tmp_path / "data", b, fence_agents=[str(tmp_path / "agents")]) as w:
        answers: list[Any] = []
        body = {"host": 2, "agent": agent.NAME, "options": {"plug": "works", "password": SECRET}}
        answers += [(await w.ok("PUT", "/h/node/fence", **body, plan=True)).body]
        answers += [(await w.ok("PUT", "/h/node/fence", **body)).body]
        assert answers[1]["fence"] == {"agent": agent.NAME, "options": {"plug": "works"}, "secrets": ["password"]}
        answers += [(await w.ok("POST", "/h/node/fence", host=2)).body]
        assert answers[2] == {"host": 2, "power": "on"}
        await w.written()
        answers += [(await w.ok("POST", "/t/history")).body, (await w.ok("POST", "/h/node/list")).body]
        assert SECRET not in json.dumps(answers)
        for wrong, code in (
            ({"agent": "fence_that_is_not_there"}, 60221),
            ({"options": {"password_script": "/bin/sh"}}, 60222),
            ({"host": 1}, 60220),
            ({"host": 9}, 60210),
        ):
            assert (await w.refused("PUT", "/h/node/fence", **body | wrong))[1] == code
        assert (await w.call("PUT", "/h/node/fence", **body | {"agent": "/bin/sh"})).status == 400
        assert (await w.call("PUT", "/h/node/fence", **body | {"options": {"ip": "a\naction=on"}})).status == 400
    async with together(tmp_path / "data", b, fence_agents=[str(tmp_path / "agents")]) as w:
        assert (await w.ok("POST", "/h/node", host=2))["fence"]["secrets"] == ["password"]
        await w.ok("DELETE", "/h/node/fence", host=2)
        assert "fence" not in (await w.ok("POST", "/h/node", host=2)).body
        assert await w.refused("DELETE", "/h/node/fence", host=2) == (406, 60320)
        assert await w.refused("POST", "/h/node/fence", host=2) == (406, 60120)
        assert await w.refused("PATCH", "/h/node/fence", host=2, name="b") == (406, 60420)


@pytest.mark.holds("MANY-97")
@pytest.mark.anyio
async def test_a_host_is_powered_off_and_dead_only_if_that_is_proven(tmp_path: Path, b: Other) -> None:
    agent.install(tmp_path / "agents")
    async with together(tmp_path / "data", b, fence_agents=[str(tmp_path / "agents")]) as w:
        vmid = await running(w, ha="restart")
        assert await w.refused("PATCH", "/h/node/fence", host=2, name="c") == (406, 60421)
        await lost(w, b)
        for plug in ("fails", "lies", "mute"):
            await fenced(w, plug)
            if plug != "lies":
                assert await w.refused("POST", "/h/node/fence", host=2) == (500, 60130)
            refused = await w.call("PATCH", "/h/node/fence", host=2, name="b")
            assert (refused.status, refused.code) == (500, 60430)
            assert "nothing was changed" in refused["message"]
            assert (await shown(w, vmid))["state"] == "RUNNING"
        await fenced(w, "works")
        now = await w.ok("PATCH", "/h/node/fence", host=2, name="b")
        assert (now["state"], now["dead"]["by"]) == ("dead", f"the fence agent {agent.NAME}")
        await eventually(lambda: machine(w, vmid) in w.hypervisor.runs)
        await w.settle()


@pytest.mark.holds("STATE-25")
@pytest.mark.anyio
async def test_a_host_that_was_powered_off_is_told_to_be_where_that_cannot_be_recorded(
    tmp_path: Path, b: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.install(tmp_path / "agents")
    async with together(tmp_path / "data", b, fence_agents=[str(tmp_path / "agents")]) as w:
        await running(w)
        await lost(w, b)
        await fenced(w, "works")
        database, agents = Lossy(w.server.database), w.server.services.membership.lost.agents

        async def power_off(fence: Fence) -> None:
            await FenceAgents.power_off(agents, fence)
            database.silent = True

        with monkeypatch.context() as lossy:
            lossy.setattr(agents, "power_off", power_off)
            answer = await w.call("PATCH", "/h/node/fence", host=2, name="b")
        assert answer.status == 503 and "b was powered off" in answer["message"]
        assert "nothing was changed" not in answer["message"]
        database.silent = False
        assert (await w.ok("PATCH", "/h/node/fence", host=2, name="b"))["state"] == "dead"


@pytest.mark.holds("MANY-98")
@pytest.mark.anyio
async def test_a_silent_host_with_ha_vms_is_fenced_by_itself_and_one_without_is_not(tmp_path: Path) -> None:
    agent.install(tmp_path / "agents")
    hosts = [Other(number, name) for number, name in ((2, "b"), (3, "c"), (4, "d"), (5, "e"))]
    settings: dict[str, Any] = {"fence_agents": [str(tmp_path / "agents")], "fence_after": 1}
    async with together(tmp_path / "data", *hosts, **settings) as w:
        ha = await running(w, "ha", ha="restart")
        plain = await running(w, "plain", host=3)
        for host in (2, 3):
            body = {"agent": agent.NAME, "options": {"plug": "works", "ip": str(host)}}
            await w.ok("PUT", "/h/node/fence", host=host, **body)
        for one in hosts[:2]:
            await lost(w, one)
        await eventually(lambda: HostId(2) in w.server.hosts.deaths)
        await eventually(lambda: machine(w, ha) in w.hypervisor.runs)
        await w.settle()
        assert HostId(3) not in w.server.hosts.deaths
        assert (await shown(w, plain))["state"] == "RUNNING"
        assert "ip=3" not in agent.asked(tmp_path / "agents")
        await w.written()
        entries = (await w.ok("POST", "/t/history"))["entries"]
        by_itself = [one for one in entries if one["operation"] == "fence_node"]
        assert [(one["target"], one["name"], one["status"]) for one in by_itself] == [("host=2 name=b", "", 200)]


@pytest.mark.holds("MANY-273")
@pytest.mark.anyio
async def test_a_host_in_maintenance_is_not_fenced_by_itself(tmp_path: Path, b: Other) -> None:
    """Somebody works on the machine, as on its firmware."""
    agent.install(tmp_path / "agents")
    settings: dict[str, Any] = {"fence_agents": [str(tmp_path / "agents")], "fence_after": 1}
    async with together(tmp_path / "data", b, **settings) as w:
        await running(w, "ha", ha="restart")
        await w.ok("PUT", "/h/node/fence", host=2, agent=agent.NAME, options={"plug": "works"})
        await w.ok("PATCH", "/h/node", host=2, duty="maintenance")
        await lost(w, b)
        due = w.server.services.membership.lost.looks
        await eventually(lambda: w.server.services.membership.lost.looks > due + 2)
        assert agent.asked(tmp_path / "agents") == []
        assert "does not happen by itself in maintenance" in (await w.ok("POST", "/h/node", host=2))["missing"]
        await w.ok("PATCH", "/h/node", host=2, duty="draining")
        await eventually(lambda: b.host in w.server.hosts.deaths)
        await w.settle()


@pytest.mark.holds("MANY-98")
@pytest.mark.anyio
async def test_a_server_that_hears_nobody_fences_nobody(tmp_path: Path) -> None:
    """It is rather the server itself that is cut off."""
    agent.install(tmp_path / "agents")
    hosts = [Other(number, name) for number, name in ((2, "b"), (3, "c"), (4, "d"))]
    settings: dict[str, Any] = {"fence_agents": [str(tmp_path / "agents")], "fence_after": 1}
    async with together(tmp_path / "data", *hosts, **settings) as w:
        await running(w, "ha", ha="restart")
        await w.ok("PUT", "/h/node/fence", host=2, agent=agent.NAME, options={"plug": "works"})
        for one in hosts:
            await lost(w, one)
        due = w.server.services.membership.lost.looks
        await eventually(lambda: w.server.services.membership.lost.looks > due + 2)
        assert agent.asked(tmp_path / "agents") == []
        hosts[2].fake.faults.heal(HostId(4))
        hosts[1].fake.faults.heal(HostId(3))
        await eventually(lambda: HostId(2) in w.server.hosts.deaths)
        await w.settle()


@pytest.mark.holds("MANY-291")
@pytest.mark.anyio
async def test_a_server_that_could_have_been_replaced_fences_nobody(tmp_path: Path, b: Other) -> None:
    agent.install(tmp_path / "agents")
    settings: dict[str, Any] = {"fence_agents": [str(tmp_path / "agents")], "fence_after": 1}
    async with together(tmp_path / "data", b, Other(3, "c"), **settings) as w:
        membership = w.server.services.membership
        await running(w, "ha", ha="restart")
        await w.ok("PUT", "/h/node/fence", host=2, agent=agent.NAME, options={"plug": "works"})
        await w.ok("PATCH", "/h/node", host=3, keeps_copy=True)  # it has not answered as a node of this server
        await lost(w, b)
        due = membership.lost.looks
        await eventually(lambda: membership.lost.looks > due + 3)
        assert agent.asked(tmp_path / "agents") == []
        await w.ok("PATCH", "/h/node", host=3, keeps_copy=False)
        await eventually(lambda: b.host in w.server.hosts.deaths)
        await w.settle()


@pytest.mark.holds("MANY-98")
@pytest.mark.anyio
async def test_an_agent_that_fails_is_told_and_tried_again(tmp_path: Path, b: Other) -> None:
    agent.install(tmp_path / "agents")
    settings: dict[str, Any] = {"fence_agents": [str(tmp_path / "agents")], "fence_after": 1}
    async with together(tmp_path / "data", b, **settings) as w:
        vmid = await running(w, "ha", ha="restart")
        await fenced(w, "fails")
        await lost(w, b)
        await eventually(lambda: "action=off" in agent.asked(tmp_path / "agents"))

        async def missing() -> str:
            return str((await w.ok("POST", "/h/node", host=2))["missing"])

        assert "no login with ***" in await asked_until(missing, lambda now: "it could not be fenced" in now)
        assert (await shown(w, vmid))["state"] == "RUNNING"
        assert w.hypervisor.runs == {}
        await fenced(w, "works")
        await eventually(lambda: b.host in w.server.hosts.deaths)
        await w.settle()


@pytest.mark.holds("MANY-103")
def test_doctor_says_which_hosts_cannot_be_fenced(tmp_path: Path) -> None:
    agent.install(tmp_path / "agents")
    settings = Settings(fence_agents=[str(tmp_path / "agents")])
    own = NodeInfo(
        host=1, name="a", own=True, state="online", duty="active", labels={}, vms=0, cpus_given=0, memory_given_mib=0,
        pools=[], nics=[],
    )  # fmt: skip
    hosts = [
        replace(own, host=number, name=name, own=False, fence=fence)
        for number, name, fence in (
            (2, "b", UNSET),
            (3, "c", NodeFence(agent="fence_that_is_not_there", options={}, secrets=[])),
            (4, "d", NodeFence(agent=agent.NAME, options={}, secrets=[])),
        )
    ]
    found = list(doctor_hosts.fencing(settings, [own, *hosts]))
    assert [one.verdict for one in found] == ["limited", "limited", "ok"]
    assert "the host b has no fence agent" in found[0].text
    assert "the host c cannot be fenced: the fence agent fence_that_is_not_there is not installed" in found[1].text
