"""Requests with an Idempotency-Key are carried out once, over a restart too."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_guests import inhabited
from tests.api.world import World, world
from tests.clocks import believed
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import HypervisorError, Unknown
from velocity.idempotency.port import Noted, Pending
from velocity.idempotency.service import UNKEPT, Idempotency
from velocity.steady_clock import SteadyClock
from velocity.store.idempotency import SqlIdempotency

pytestmark = pytest.mark.anyio


async def send(
    w: World, idempotency_key: str, method: str, path: str, _key: str | None = None, **body: Any
) -> httpx.Response:
    headers = {"authorization": f"Bearer {w.key if _key is None else _key}", "idempotency-key": idempotency_key}
    return await w.http.request(method, f"http://velocity{path}", content=json.dumps(body).encode(), headers=headers)


VM: dict[str, Any] = {"name": "vm", "gid": 0, "cpus": 1, "memory_mib": 64}


async def test_a_repeated_request_gets_the_first_answer(w: World) -> None:
    first = await send(w, "k1", "PUT", "/v/vm/efi", **VM)
    again = await send(w, "k1", "PUT", "/v/vm/efi", **VM)
    assert (again.status_code, again.json()) == (200, first.json())
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len((await w.ok("POST", "/v/vm/list", gid=0))["vms"]) == 1
    other = await send(w, "k1", "PUT", "/v/vm/efi", **{**VM, "name": "other"})
    assert (other.status_code, other.json()["code"]) == (409, 409), "a key stands for one request"
    vmid = first.json()["vmid"]
    for _ in range(2):
        assert (await send(w, "k2", "DELETE", "/v/vm", vmid=vmid)).status_code == 200, (
            "it is gone, and that is the answer"
        )
    for _ in range(2):
        answer = await send(w, "k3", "PUT", "/u/group", name="a", parent_gid=99)
        assert answer.json()["code"] == 5210, "refusals are not kept"
    assert (await send(w, "", "PUT", "/u/group", name="a", parent_gid=0)).status_code == 400
    assert (await send(w, "k" * 129, "PUT", "/u/group", name="a", parent_gid=0)).status_code == 400


async def test_what_is_read_on_the_way_is_not_the_change(w: World) -> None:
    vmid = await w.vm("vm")
    await w.ok("DELETE", "/v/vm", vmid=vmid)
    (item,) = (await w.ok("POST", "/t/trash/list"))["items"]
    rival = await w.vm("vm")
    refused = await send(w, "k", "PUT", "/t/trash", trid=item["trid"])
    assert refused.json()["code"] == 25220
    await w.ok("DELETE", "/v/vm", vmid=rival, purge=True)
    first = await send(w, "k", "PUT", "/t/trash", trid=item["trid"])
    again = await send(w, "k", "PUT", "/t/trash", trid=item["trid"])
    assert (first.status_code, again.json()) == (200, first.json())


async def test_keys_are_each_users_own(w: World) -> None:
    bob = await w.user("bob", (0, "group.create"))
    assert (await send(w, "k", "PUT", "/u/group", name="a", parent_gid=0)).status_code == 200
    assert (await send(w, "k", "PUT", "/u/group", bob, name="b", parent_gid=0)).status_code == 200


async def test_twenty_at_once_are_one(w: World) -> None:
    answers = await asyncio.gather(*(send(w, "k", "PUT", "/v/vm/efi", **VM) for _ in range(20)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len((await w.ok("POST", "/v/vm/list", gid=0))["vms"]) == 1


async def test_over_a_restart(tmp_path: Path) -> None:
    async with world(tmp_path / "data") as w:
        first = await send(w, "k", "PUT", "/v/vm/efi", **VM)
    async with world(tmp_path / "data") as w:
        assert (await send(w, "k", "PUT", "/v/vm/efi", **VM)).json() == first.json()
        assert len((await w.ok("POST", "/v/vm/list", gid=0))["vms"]) == 1


@pytest.mark.holds("DUR-17")
async def test_a_crash_between_the_change_and_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note is in the very transaction that makes the VM: what was made is never made twice."""

    async def crash(*_: object) -> None:
        raise SystemError("the server is gone")

    async with world(tmp_path / "data") as w:
        with monkeypatch.context() as crashing:
            crashing.setattr(SqlIdempotency, "keep", crash)
            assert (await send(w, "k", "PUT", "/v/vm/efi", **VM)).status_code == 500, "nobody gets the answer"
    async with world(tmp_path / "data") as w:
        assert len((await w.ok("POST", "/v/vm/list", gid=0))["vms"]) == 1
        again = await send(w, "k", "PUT", "/v/vm/efi", **VM)
        assert (again.status_code, again.json()["code"]) == (409, 409)
        assert len((await w.ok("POST", "/v/vm/list", gid=0))["vms"]) == 1


@pytest.mark.holds("DUR-36")
async def test_what_was_done_is_told_as_done_although_its_user_is_removed_meanwhile(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, uid = await w.user("bob", (0, "group.create")), await w.uid("bob")
    keep = SqlIdempotency.keep

    async def later(self: SqlIdempotency, *what: Any) -> None:
        monkeypatch.undo()
        await w.ok("DELETE", "/u/user", uid=uid)
        await keep(self, *what)

    monkeypatch.setattr(SqlIdempotency, "keep", later)
    answer = await send(w, "k", "PUT", "/u/group", bob, name="a", parent_gid=0)
    assert answer.status_code == 200, answer.text
    assert len((await w.ok("POST", "/u/group/list"))["groups"]) == 2


async def test_a_key_is_forgotten_after_a_day(w: World) -> None:
    await send(w, "k", "PUT", "/u/group", name="a", parent_gid=0)
    w.server.services.idempotency.steady = believed(4_000_000_000.0)
    assert (await send(w, "k", "PUT", "/u/group", name="b", parent_gid=0)).status_code == 200


@pytest.mark.holds("DUR-80")
async def test_a_clock_that_is_set_to_another_year_forgets_no_key(w: World) -> None:
    first = await send(w, "k", "PUT", "/u/group", name="a", parent_gid=0)
    began, passed = time.time(), 0.0
    w.server.services.idempotency.steady = SteadyClock(lambda: began + passed, lambda: passed)
    passed += 7200
    began += 365 * 86_400
    await send(w, "other", "PUT", "/u/group", name="b", parent_gid=0)
    again = await send(w, "k", "PUT", "/u/group", name="a", parent_gid=0)
    assert (again.status_code, again.json()) == (200, first.json())


@pytest.mark.holds("DUR-78")
async def test_a_command_runs_once_in_a_guest_and_its_output_is_not_kept(tmp_path: Path) -> None:
    ran: list[object] = []
    secret = "the output of a command"

    def answers(command: str, given: Mapping[str, Any]) -> Any:
        if command == "guest-exec-status":
            return agent(command, given)
        ran.append(given)
        if given["path"] == "nonsense":
            raise HypervisorError("no such file")
        if given["path"] == "slow":
            raise Unknown("it does not answer")
        return agent(command, given)

    async with world(tmp_path / "data") as w:
        vmid, agent = await inhabited(w)
        (machine,) = w.hypervisor.runs
        w.hypervisor.guests.agents[machine] = answers
        exec_: dict[str, Any] = {"vmid": vmid, "command": ["echo", secret]}
        first = await send(w, "k", "PUT", "/v/vm/exec", **exec_)
        assert (first.status_code, len(ran)) == (200, 1)
        again = await send(w, "k", "PUT", "/v/vm/exec", **exec_)
        assert (again.json()["code"], len(ran)) == (409, 1) and "already" in again.json()["message"]
        for words, code in ((["nonsense"], 45221), (["slow"], 45230)):
            asked = [(await send(w, words[0], "PUT", "/v/vm/exec", vmid=vmid, command=words)) for _ in range(2)]
            assert [one.json()["code"] for one in asked] == [code, code if words == ["nonsense"] else 409]
        hypervisor = w.hypervisor
    kept = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("velocity.db*"))
    assert kept and secret.encode() not in kept
    async with world(tmp_path / "data", hypervisor) as w:
        assert (await send(w, "k", "PUT", "/v/vm/exec", **exec_)).json()["code"] == 409, "over a restart, too"


class Silent:
    """A store that answers nothing."""

    async def find(self, uid: int, key: str, forget_before: int) -> Noted | None:
        raise Refused(Problem.UNAVAILABLE, "silent")

    async def keep(self, pending: Pending, answer: bytes | None, now: int, forget_before: int) -> None:
        raise Refused(Problem.UNAVAILABLE, "silent")

    async def drop(self, uid: int, key: str) -> None:
        raise Refused(Problem.UNAVAILABLE, "silent")

    async def times(self, uid: int, since: int, most: int) -> list[int]:
        raise Refused(Problem.UNAVAILABLE, "silent")


class Forgetful(Silent):
    """A store that takes nothing."""

    async def find(self, uid: int, key: str, forget_before: int) -> Noted | None:
        return None

    async def times(self, uid: int, since: int, most: int) -> list[int]:
        return []


@pytest.mark.holds("DUR-36")
async def test_what_was_done_is_told_as_done_although_its_answer_cannot_be_kept() -> None:
    served = []

    async def serve() -> bytes:
        served.append(1)
        return b"done"

    requests = Idempotency(Forgetful(), SteadyClock(), most=UNKEPT + 2)
    assert [await requests.once(0, "k", b"", serve) for _ in range(2)] == [(b"done", False), (b"done", True)]
    assert len(served) == 1
    for n in range(UNKEPT):
        await requests.once(1, f"k{n}", b"", serve)
    await requests.once(1, "one more", b"", serve)
    assert len(requests.unkept) == 1 + UNKEPT, "memory has a bound"
    assert await requests.once(0, "k", b"", serve) == (b"done", True), (
        "and what one user has done pushes out no other's"
    )


async def test_what_is_urgent_waits_for_no_note() -> None:
    async def serve() -> bytes:
        return b"stopped"

    requests = Idempotency(Silent(), SteadyClock())
    assert await requests.once(0, "k", b"", serve, urgent=True) == (b"stopped", False)
    with pytest.raises(Refused):
        await requests.once(0, "other", b"", serve)
