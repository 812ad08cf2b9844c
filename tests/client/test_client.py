"""The Python client, through HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import ssl
from pathlib import Path

import httpx
import msgspec
import pytest

import velocity.contract.groups
from tests.host import Host
from tests.patience import PATIENCE
from velocity.client import ApiError, AsyncClient, Client, ClientError, PlanOnly, Unreachable
from velocity.contract import machines, media, nodes
from velocity.contract.machines import Nic, State
from velocity.contract.registry import OPERATIONS


def test_every_operation_has_a_method() -> None:
    for operation in OPERATIONS:
        assert callable(getattr(Client, "upload" if operation.streams else operation.name))


def test_errors_are_the_contracts(host: Host) -> None:
    with Client(host.url, host.key) as client:
        with pytest.raises(ApiError) as refused:
            client.create_vm(name="x", gid=0, cpus=0, memory_mib=64)
        assert (refused.value.status, refused.value.code, refused.value.field) == (406, 12220, "cpus")
    with Client(host.url) as stranger, pytest.raises(ApiError) as refused:
        stranger.list_nics()
    assert refused.value.code == 100


def test_the_hosts_of_an_older_server_are_read() -> None:
    assert msgspec.json.decode(b'{"nodes": []}', type=nodes.Nodes).nodes == []


def test_what_is_absent_is_not_sent(host: Host) -> None:
    with Client(host.url, host.key) as client:
        vmid = client.create_vm(name="x", gid=0, cpus=1, memory_mib=64, nics=[Nic(type="NAT")]).vmid
        shown = client.show_vm(vmid=vmid)
        assert shown.nics == [Nic(type="NAT")]
        assert shown.state is State.STOPPED
        assert client.show_user().uid == 0


@pytest.mark.holds("API-15")
def test_all_of_a_list_comes_page_by_page(host: Host) -> None:
    with Client(host.url, host.key) as client:
        gid = client.create_group(name="a", parent_gid=0).gid
        vmids = [client.create_vm(name=f"vm{n}", gid=gid, cpus=1, memory_mib=64).vmid for n in range(4)]
        wanted = machines.ListVms(gid=gid, limit=2)
        assert [[vm.vmid for vm in page.vms] for page in client.pages(machines.LIST, wanted)] == [
            vmids[:1:-1],
            vmids[1::-1],
            [],
        ]
        (whole,) = client.pages(machines.LIST, machines.ListVms(gid=gid))
        assert [vm.vmid for vm in whole.vms] == vmids[::-1]
        client.assign_pool(gid=gid, mpid=1, write=True, manage=True)
        for name, group, kind in (("own", gid, "DISK"), ("more", gid, "DISK"), ("iso", 0, "ISO"), ("other", 0, "ISO")):
            client.create_medium(name=name, gid=group, mpid=1, size=512, type=kind)
        listed = list(client.pages(media.LIST, media.ListMedia(gid=gid, limit=3)))
        assert sorted(one.name for page in listed for one in [*page.media, *(page.shared or ())]) == [
            "iso", "more", "other", "own",
        ]  # fmt: skip
        assert [len(page.media) + len(page.shared or ()) for page in listed] == [3, 1]

    async def awaited() -> list[int]:
        async with AsyncClient(host.url, host.key) as client:
            return [vm.vmid async for page in client.pages(machines.LIST, wanted) for vm in page.vms]

    assert asyncio.run(awaited()) == vmids[::-1]


def test_uploads_tell_their_progress(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 3_000_000)
    told: list[tuple[int, int]] = []
    with Client(host.url, host.key) as client:
        made = client.upload(
            file,
            mpid=1,
            gid=0,
            name="a, ü",
            type="DISK",
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            progress=lambda done, total: told.append((done, total)),
        )
        assert made.size == 3_000_000
        assert told[0] == (0, 3_000_000)
        assert told[-1] == (3_000_000, 3_000_000)
        assert client.list_media(gid=0).media[0].name == "a, ü"
        with pytest.raises(ApiError) as refused:
            client.upload(file, mpid=1, gid=0, name="a, ü", type="DISK")
        assert refused.value.code == 9220


def test_consoles_carry_bytes_and_a_ticket_opens_once(host: Host) -> None:
    with Client(host.url, host.key) as client:
        vmid = client.create_vm(name="x", gid=0, cpus=1, memory_mib=64).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
        ticket = client.open_console(vmid=vmid, kind="serial")
        console = client.console(ticket)
        console.send(b"\x00\xffecho")
        assert console.receive(timeout=PATIENCE) == b"\x00\xffecho"
        assert console.receive(timeout=0.1) is None
        client.set_vm_state(vmid=vmid, state="STOPPED", force=True)
        assert console.receive(timeout=PATIENCE) == b"", "it ends with the VM"
        console.close()
        with pytest.raises(ClientError):
            client.console(ticket)


def test_a_console_ends_with_the_authkey(host: Host) -> None:
    with Client(host.url, host.key) as client:
        vmid = client.create_vm(name="x", gid=0, cpus=1, memory_mib=64).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
        console = client.console(client.open_console(vmid=vmid, kind="serial"))
        client.sign_out()
        assert console.receive(timeout=PATIENCE) == b""
        console.close()


def test_no_server_is_said_with_the_cure() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(Unreachable, match="velocity serve"):
        client.list_nics()


def test_authorities_are_read_only_for_what_they_prove(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[None] = []
    kept = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        read.append(None)
        return kept()

    monkeypatch.setattr(ssl, "create_default_context", counted)

    async def both(url: str) -> None:
        Client(url).close()
        await AsyncClient(url).close()

    asyncio.run(both("http://127.0.0.1:1"))
    assert len(read) == 0
    asyncio.run(both("https://127.0.0.1:1"))
    assert len(read) == 2


@pytest.mark.holds("TLS-5")
@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (502, "<html>a proxy</html>", "502 a proxy"),
        (502, "<html><head><title>502 Bad Gateway</title></head></html>", "does not reach it.*[(]502 Bad Gateway[)]"),
        (503, "", "does not reach it.*status 503"),
        (504, "Gateway Timeout", "gave up waiting.*504 Gateway Timeout"),
        (413, "<title>413 Request Entity Too Large</title>", "client_max_body_size"),
        (401, "<title>401 Authorization Required</title>", "a sign-in of its own"),
        (403, '{"error": "forbidden"}', "403"),
        (301, "", "redirection to https://x/: use that address"),
        (200, "<html><title>\nWelcome\n to nginx!</title></html>", "200 Welcome to nginx!; look at the address"),
        (200, "", "status 200"),
        (200, "[]", "not from a Velocity server"),
    ],
)
def test_an_answer_that_is_not_ours_has_words(status: int, content: str, words: str) -> None:
    headers = {"location": "https://x/"} if status == 301 else {}
    transport = httpx.MockTransport(lambda request: httpx.Response(status, text=content, headers=headers))
    with Client("http://x", transport=transport) as client, pytest.raises(ClientError, match=words) as told:
        client.list_nics()
    assert "the response is not from a Velocity server" in str(told.value)
    assert isinstance(told.value, ApiError) is (status != 200)


def test_the_same_for_asyncio(host: Host) -> None:
    async def play() -> None:
        async with AsyncClient(host.url, host.key) as client:
            created = velocity.contract.groups.CreateGroup(name="a", parent_gid=0)
            first = await client.call(velocity.contract.groups.CREATE, created, idempotency_key="k")
            again = await client.call(velocity.contract.groups.CREATE, created, idempotency_key="k")
            assert first == again
            shown = await asyncio.gather(*(client.show_group(gid=first.gid) for _ in range(5)))
            assert {one.name for one in shown} == {"a"}
            with pytest.raises(ApiError) as refused:
                await client.create_group(name="a", parent_gid=0)
            assert (refused.value.status, refused.value.code) == (409, 5220)
        async with AsyncClient("http://127.0.0.1:9") as nobody:
            with pytest.raises(Unreachable):
                await nobody.show_user()

    asyncio.run(play())


def test_every_method_is_there_for_asyncio_too() -> None:
    for operation in OPERATIONS:
        if not operation.streams:
            assert inspect.iscoroutinefunction(getattr(AsyncClient, operation.name))


def test_plans(host: Host, tmp_path: Path) -> None:
    groups = velocity.contract.groups
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    wanted = groups.CreateGroup(name="a", parent_gid=0)
    with Client(host.url, host.key) as client:
        (step,) = client.plan(groups.CREATE, wanted).steps
        assert (step.do, step.kind, step.name) == ("create", "group", "a")
        vmid = client.create_vm(name="vm", gid=0, cpus=1, memory_mib=64).vmid
        client.plans = []
        assert client.show_vm(vmid=vmid).name == "vm", "what only reads is done"
        client.delete_vm(vmid=vmid)  # nobody needs its answer: what follows can be planned as well
        with pytest.raises(PlanOnly):
            client.create_group(name="a", parent_gid=0)
        with pytest.raises(PlanOnly):
            client.upload(file, mpid=1, gid=0, name="Häuser, x", type="DISK")
        with pytest.raises(ApiError):
            client.delete_vm(vmid=99)
        told = [(step.do, step.kind, step.name) for plan in client.plans for step in plan.steps]
        assert told == [("delete", "vm", "vm"), ("create", "group", "a"), ("create", "medium", "Häuser, x")]
        assert client.plans[2].consumes[0].bytes == 100
        client.plans = None
        assert client.show_vm(vmid=vmid).name == "vm"
        assert [one.name for one in client.list_groups().groups] == [client.show_group(gid=0).name]
        assert client.list_media(gid=0).media == []

    async def play() -> None:
        async with AsyncClient(host.url, host.key) as client:
            assert (await client.plan(groups.CREATE, wanted)).steps == [step]
            with pytest.raises(ApiError):
                await client.plan(groups.CREATE, groups.CreateGroup(name="a", parent_gid=99))

    asyncio.run(play())
