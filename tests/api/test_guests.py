"""What guests say of themselves (route 44), and what is done inside of them (45 to 47), over agents that tests play."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any
from uuid import UUID

import pytest

from tests.api.world import World
from tests.patience import PATIENCE, eventually
from velocity.hypervisor.fake import FakeAgent
from velocity.hypervisor.port import HypervisorError, Unknown

pytestmark = pytest.mark.anyio


async def running(w: World, **more: Any) -> int:
    vmid = await w.vm("Penguin", **more)
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid


def uuid(w: World, vmid: int) -> UUID:
    return w.server.services.fleet.get(vmid).machine.uuid


async def inhabited(w: World) -> tuple[int, FakeAgent]:
    """A VM that runs, and the agent in its guest."""
    vmid = await running(w)
    agent = w.hypervisor.guests.agents[uuid(w, vmid)] = FakeAgent()
    return vmid, agent


def asked(w: World) -> list[str]:
    return [command for _, command, _ in w.hypervisor.guests.asked]


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest.mark.holds("GUEST-70")
async def test_what_a_guest_tells(w: World) -> None:
    vmid, agent = await inhabited(w)
    answer = await w.ok("POST", "/v/vm/guest", vmid=vmid)
    assert answer.body == {
        "vmid": vmid,
        "agent": "7.2.0",
        "hostname": "penguin",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "nics": [{"name": "eth0", "addresses": ["10.0.2.15/24"], "mac": "52:54:00:12:34:56"}],
        "filesystems": [{"mountpoint": "/", "type": "ext4", "total": 4 << 30, "used": 1 << 30}],
        "users": [{"name": "root", "since": 1_700_000_000}],
    }
    agent.tells = {"guest-info": {"version": "2.5"}}
    assert (await w.ok("POST", "/v/vm/guest", vmid=vmid)).body == {"vmid": vmid, "agent": "2.5"}


async def test_why_nobody_answers(w: World) -> None:
    async def why(vmid: int) -> str:
        answer = await w.ok("POST", "/v/vm/guest", vmid=vmid)
        assert set(answer.body) == {"vmid", "why"}
        return str(answer["why"])

    vmid = await w.vm()
    assert "STOPPED: start it" in await why(vmid)
    await w.ok("PATCH", "/v/vm", vmid=vmid, hardware="1")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    assert "--hardware latest" in await why(vmid)
    other = await running(w)
    assert "qemu-guest-agent" in await why(other)
    w.hypervisor.guests.agents[uuid(w, other)] = FakeAgent()
    await w.ok("PUT", "/v/vm/state", vmid=other, state="PAUSED")
    assert "PAUSED: resume it" in await why(other)


MANY = [{"name": "x" * 1000, "hardware-address": "\x1b[2J", "ip-addresses": [{"ip-address": "nonsense", "prefix": 7}]}]
HOSTILE: dict[str, tuple[Any, Any]] = {
    "guest-get-host-name": ({"host-name": "a\x1b[2J\u202eb" + "c" * 1000}, "a\ufffd[2J\ufffdb" + "c" * 248),
    "guest-network-get-interfaces": (MANY * 100, [{"name": "x" * 255, "addresses": []}] * 64),
    "guest-get-fsinfo": (
        [{"mountpoint": "/\n", "type": "\x00", "used-bytes": -1, "total-bytes": 2**70}] * 999,
        [{"mountpoint": "/\ufffd", "type": "\ufffd"}] * 256,
    ),
    "guest-get-users": ([{"user": "\x9bA", "login-time": -1.0}] * 300, [{"name": "\ufffdA"}] * 256),
}
FIELDS = dict(zip(HOSTILE, ("hostname", "nics", "filesystems", "users"), strict=True))


@pytest.mark.holds("GUEST-71")
async def test_what_a_guest_tells_is_bounded_and_shown_as_text(w: World) -> None:
    vmid, agent = await inhabited(w)
    agent.tells.update({command: told for command, (told, _) in HOSTILE.items()})
    answer = await w.ok("POST", "/v/vm/guest", vmid=vmid)
    assert {FIELDS[command]: shown for command, (_, shown) in HOSTILE.items()}.items() <= answer.body.items()


NONSENSE = [b"", b"{", b"[" * 100_000, b'"' + b"x" * (1 << 20) + b'"', b"[1]", b'{"host-name": 7}', b"\xff", b"NaN"]


@pytest.mark.holds("GUEST-71")
async def test_an_answer_that_is_none_is_left_out_and_the_others_stand(w: World) -> None:
    vmid, agent = await inhabited(w)
    for said in NONSENSE:
        agent.tells["guest-get-host-name"] = said
        answer = await w.ok("POST", "/v/vm/guest", vmid=vmid)
        assert "hostname" not in answer.body
        assert answer["os"] == "Debian GNU/Linux 12 (bookworm)"
    for said in NONSENSE:
        agent.tells["guest-info"] = said
        assert "answer to guest-info is invalid" in (await w.ok("POST", "/v/vm/guest", vmid=vmid))["why"]


@pytest.mark.holds("GUEST-72")
async def test_a_program_runs_in_the_guest(w: World) -> None:
    vmid, agent = await inhabited(w)
    answer = await w.ok("PUT", "/v/vm/exec", vmid=vmid, command=["echo", "$HOME", ""])
    assert answer.body == {
        "vmid": vmid, "running": False, "exit_status": 0, "stdout": encoded("echo $HOME "), "stdout_truncated": False,
        "stderr": "", "stderr_truncated": False,
    }  # fmt: skip
    assert w.hypervisor.guests.asked[0][2] == {"path": "echo", "arg": ["$HOME", ""], "capture-output": True}
    agent.ended = {"exited": True, "signal": 9, "err-data": encoded(b"\xff\n")}
    answer = await w.ok("PUT", "/v/vm/exec", vmid=vmid, command=["cat"], input=encoded(b"\x00in"))
    assert (answer["stdout"], answer["stderr"], answer["signal"]) == (encoded(b"\x00in"), encoded(b"\xff\n"), 9)
    assert "exit_status" not in answer.body


@pytest.mark.holds("GUEST-72")
async def test_a_programs_output_is_its_first_mebibyte(w: World) -> None:
    vmid, agent = await inhabited(w)
    output = bytes(range(256)) * 4096
    agent.ended = {"exited": True, "exitcode": 3, "out-data": encoded(output), "err-data": encoded(output + b"xyz")}
    answer = await w.ok("PUT", "/v/vm/exec", vmid=vmid, command=["x"])
    assert (answer["stdout"], answer["stdout_truncated"]) == (encoded(output), False)
    assert (answer["stderr"], answer["stderr_truncated"], answer["exit_status"]) == (encoded(output), True, 3)


async def test_a_program_that_does_not_end_in_time_goes_on(w: World) -> None:
    vmid, agent = await inhabited(w)
    agent.ended = {"exited": False}
    answer = await w.ok("PUT", "/v/vm/exec", vmid=vmid, command=["sleep", "1000"], timeout=1)
    assert answer["running"] is True and "exit_status" not in answer.body


@pytest.mark.holds("GUEST-73")
async def test_a_program_is_waited_for_as_long_as_the_right_lasts(w: World) -> None:
    vmid, agent = await inhabited(w)
    agent.ended = {"exited": False}
    key = await w.user("operator", (0, "vm.view"), (0, "vm.guest"))
    running = asyncio.create_task(w.call("PUT", "/v/vm/exec", key, vmid=vmid, command=["sleep"], timeout=300))
    await eventually(lambda: "guest-exec-status" in asked(w))
    uid = await w.uid("operator")
    await w.ok("DELETE", "/u/user/permission", uid=uid, gid=0, permission="velocity.vm.guest")
    async with asyncio.timeout(PATIENCE):
        answer = await running
    assert (answer.status, answer.code) == (403, 45200)


ACTS: dict[tuple[str, str], dict[str, Any]] = {
    ("PUT", "/v/vm/exec"): {"command": ["true"]},
    ("PUT", "/v/vm/guest/password"): {"user": "root", "password": "hush hush"},
    ("PUT", "/v/vm/guest/keys"): {"user": "root", "keys": ["ssh-ed25519 AAAA me"]},
    ("POST", "/v/vm/guest/file"): {"path": "/etc/motd"},
    ("PUT", "/v/vm/guest/file"): {"path": "/etc/motd", "content": encoded("hush hush")},
}
CODES = dict(zip(ACTS, (45200, 46200, 46201, 47100, 47200), strict=True))


@pytest.mark.holds("GUEST-73")
async def test_who_may_act_inside_and_of_whom_it_is_refused(w: World) -> None:
    vmid, agent = await inhabited(w)
    agent.files["/etc/motd"] = bytearray(b"welcome")
    stranger = await w.user("stranger")
    operator = await w.user("operator", (0, "vm.view"), (0, "vm.alter"), (0, "vm.interact"), (0, "vm.state"))
    for act, code in CODES.items():
        body = {"vmid": vmid, **ACTS[act]}
        assert await w.refused(*act, operator, **body) == (403, code)
        assert await w.refused(*act, stranger, **body) == (404, code + 10)
    assert asked(w) == []
    agents = w.hypervisor.guests.agents
    for act, code in CODES.items():
        body, second = {"vmid": vmid, **ACTS[act]}, code + code % 100
        agents[uuid(w, vmid)] = agent
        await w.ok(*act, **body)
        agents[uuid(w, vmid)] = refusing
        assert await w.refused(*act, _plan=None, **body) == (406, second + 21)
        agents[uuid(w, vmid)] = silent
        assert await w.refused(*act, _plan=None, **body) == (500, code + 30)
        del agents[uuid(w, vmid)]
        assert await w.refused(*act, _plan=None, **body) == (406, second + 20)


def refusing(command: str, _arguments: object) -> Any:
    raise HypervisorError(f"{command}: no\x1b[2J")


def silent(command: str, _arguments: object) -> Any:
    raise Unknown(f"its guest agent does not answer to {command}")


@pytest.mark.holds("GUEST-74")
async def test_what_is_done_inside_is_history_without_what_it_was(w: World) -> None:
    vmid, _ = await inhabited(w)
    for act in ACTS:
        if act[0] == "PUT":
            planned = await w.ok(*act, vmid=vmid, **ACTS[act], plan=True)
            assert "hush" not in json.dumps(planned.body) and planned["steps"][0]["id"] == vmid
    assert asked(w) == [], "a plan asks nobody"
    for act, body in ACTS.items():
        if act[0] == "PUT":
            await w.ok(*act, vmid=vmid, **body)
    await w.written()
    entries = (await w.ok("POST", "/t/history", vmid=vmid))["entries"]
    told = {entry["operation"]: entry["target"] for entry in entries}
    done = ("execute_in_guest", "set_guest_password", "add_guest_keys", "write_guest_file")
    assert [told[name] for name in done] == [f"vmid={vmid} name=Penguin"] * 4
    assert "hush" not in json.dumps(entries) and encoded("hush hush") not in json.dumps(entries)


@pytest.mark.holds("GUEST-75")
async def test_passwords_and_keys(w: World) -> None:
    vmid, _ = await inhabited(w)
    await w.ok("PUT", "/v/vm/guest/password", vmid=vmid, user="root", password="correct horse ÿ")
    await w.ok("PUT", "/v/vm/guest/keys", vmid=vmid, user="me", keys=["ssh-ed25519 AAAA me", "ssh-rsa BBBB"])
    assert [(command, given) for _, command, given in w.hypervisor.guests.asked] == [
        ("guest-set-user-password", {"username": "root", "password": encoded("correct horse ÿ"), "crypted": False}),
        ("guest-ssh-add-authorized-keys", {"username": "me", "keys": ["ssh-ed25519 AAAA me", "ssh-rsa BBBB"]}),
    ]
    for keys in ([], ["two\nlines"], [""]):
        assert await w.refused("PUT", "/v/vm/guest/keys", vmid=vmid, user="me", keys=keys) == (400, 400)


@pytest.mark.holds("GUEST-76")
async def test_files_in_pieces(w: World) -> None:
    vmid, agent = await inhabited(w)
    content = bytes(range(256)) * 3000
    half = 512 << 10
    await w.ok("PUT", "/v/vm/guest/file", vmid=vmid, path="/new", content=encoded(content[:half]))
    assert agent.files["/new"] == content[:half], "a cut leaves what was written"
    await w.ok("PUT", "/v/vm/guest/file", vmid=vmid, path="/new", content=encoded(content[half:]), offset=half)
    assert agent.files["/new"] == content
    piece = await w.ok("POST", "/v/vm/guest/file", vmid=vmid, path="/new", length=half)
    rest = await w.ok("POST", "/v/vm/guest/file", vmid=vmid, path="/new", offset=half)
    assert (piece["end"], rest["end"]) == (False, True)
    assert base64.b64decode(piece["content"]) + base64.b64decode(rest["content"]) == content
    await w.ok("PUT", "/v/vm/guest/file", vmid=vmid, path="/new", content="")
    assert agent.files["/new"] == b""
    assert await w.refused("POST", "/v/vm/guest/file", vmid=vmid, path="/nowhere") == (406, 47121)
    too_much = encoded(bytes(half + 1))
    assert await w.refused("PUT", "/v/vm/guest/file", vmid=vmid, path="/new", content=too_much) == (400, 400)
    assert agent.handles == 0, "no handle stays open"


@pytest.mark.holds("GUEST-76")
async def test_a_file_that_cannot_be_written_is_closed(w: World) -> None:
    vmid, _ = await inhabited(w)
    full = FakeAgent()

    def answers(command: str, given: Any) -> Any:
        if command == "guest-file-write":
            raise HypervisorError("No space left on device")
        return full(command, given)

    w.hypervisor.guests.agents[uuid(w, vmid)] = answers
    refused = await w.refused("PUT", "/v/vm/guest/file", _plan=None, vmid=vmid, path="/new", content=encoded("x"))
    assert refused == (406, 47221)
    assert full.handles == 0


@pytest.mark.holds("GUEST-77")
async def test_the_agent_shuts_down_beside_the_button_and_sets_the_clock_after_a_pause(w: World) -> None:
    vmid, _ = await inhabited(w)
    w.hypervisor.runs[uuid(w, vmid)].deaf = True
    before = time.time_ns()
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    await w.settle()
    assert asked(w) == ["guest-set-time"]
    assert w.hypervisor.guests.asked[0][2]["time"] >= before
    await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
    await w.server.services.fleet.agents.settle()
    assert w.hypervisor.guests.asked[-1][1:] == ("guest-shutdown", {"mode": "powerdown"})
    assert w.hypervisor.runs[uuid(w, vmid)].presses == 1, "the button is pressed as always"


@pytest.mark.holds("GUEST-77")
async def test_an_agent_that_hangs_delays_no_request(w: World) -> None:
    vmid, _ = await inhabited(w)
    w.hypervisor.guests.agents[uuid(w, vmid)] = lambda command, given: asyncio.Event().wait()
    async with asyncio.timeout(PATIENCE):
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
        await w.ok("PUT", "/v/vm/state", vmid=vmid, state="STOPPED")
        await w.hypervisor.heard()
        assert (await w.ok("POST", "/v/vm/state", vmid=vmid))["state"] == "STOPPED"


async def test_one_user_waits_for_so_many(w: World) -> None:
    vmid, _ = await inhabited(w)
    w.hypervisor.guests.agents[uuid(w, vmid)] = lambda command, given: asyncio.Event().wait()
    waiting = [asyncio.create_task(w.call("POST", "/v/vm/guest", vmid=vmid)) for _ in range(32)]
    await eventually(lambda: len(asked(w)) >= 32)
    answer = await w.call("POST", "/v/vm/guest", vmid=vmid)
    assert answer.status == 429 and "user_guest_requests" in answer["message"]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
