"""A host with something of everything, so that every page and every dialog has something to show."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from pathlib import Path
from uuid import UUID, uuid4

from tests.api.world import PASSWORD
from tests.host import Host
from tests.hosts.joins import join
from tests.patience import PATIENCE
from velocity.access.sessions import Caller
from velocity.client import Client
from velocity.contract.machines import Attachment, Display, EmptyDrive, Nic
from velocity.hypervisor.fake import FakeAgent
from velocity.tasks.service import TaskProgress

TEAM, WEB, RUNS, ANN = 1, 1, 2, 1
"""The ids of the group, the VM that is stopped, the one that runs, and the user."""


def furnish(host: Host, scratch: Path) -> None:
    packed = scratch / "packed.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(packed), "1M"], check=True)
    host.ok("media", "upload", str(packed), "--type", "DISK")
    with Client(host.url, host.key) as client:
        team = client.create_group(name="team", parent_gid=0).gid
        client.create_group(name="below", parent_gid=team)
        client.set_quota(gid=team, cpus=4, memory_mib=1024, vms=3)
        client.assign_pool(gid=team, mpid=1, quota=1 << 30, write=True, manage=True)
        client.create_group(name="bare", parent_gid=0)
        ann = client.create_user(name="ann", password=PASSWORD).uid
        for permission in ("velocity.vm.view", "velocity.vm.interact"):
            client.grant_permission(uid=ann, gid=team, permission=permission)
        disk = client.create_medium(mpid=1, gid=0, name="disk", type="DISK", size=1 << 20).mid
        client.create_medium(mpid=1, gid=0, name="spare", type="DISK", size=1 << 20)
        displays = [Display(name="one", width=64, height=64), Display(name="two", width=64, height=64)]
        media = [Attachment(mid=disk, mode="BLOCK")]
        web = client.create_vm(
            name="web",
            gid=0,
            cpus=1,
            memory_mib=64,
            displays=displays,
            media=media,
            drives=[EmptyDrive(mode="USB")],
            nics=[Nic(type="NAT")],
        ).vmid
        runs = client.create_vm(name="runs", gid=team, cpus=1, memory_mib=64, displays=displays[:1]).vmid
        client.set_vm_state(vmid=runs, state="RUNNING")
        host.hypervisor.guests.agents.update(dict.fromkeys(host.hypervisor.runs, FakeAgent()))
        client.delete_medium(mid=client.create_medium(mpid=1, gid=0, name="old", type="DISK", size=1 << 20).mid)
        assert (team, web, runs, ann) == (TEAM, WEB, RUNS, ANN)
        join(client, scratch, "b")
        interrupt_upload(client, scratch / "half.iso")
    begin_forever(host)


def interrupt_upload(client: Client, file: Path) -> None:
    """One that waits for the rest."""
    file.write_bytes(bytes(3 << 20))

    def interrupt(done: int, _total: int) -> None:
        if done > 1 << 20:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        client.upload(file, mpid=1, gid=0, name=file.name, type="ISO", progress=interrupt)


def begin_forever(host: Host) -> None:
    """A task that goes on until it is cancelled."""

    async def work(progress: TaskProgress) -> UUID:
        progress.total, progress.done = 100, 20
        await asyncio.Event().wait()
        raise AssertionError("never")

    tasks = host.app.services.tasks
    begun = tasks.begin(Caller(0, "a test"), "import", 0, "slow", uuid4(), work, lambda: None)
    asyncio.run_coroutine_threadsafe(begun, host.loop).result(PATIENCE)
