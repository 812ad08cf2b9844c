"""Two servers on one PostgreSQL database: the one that leads stands still, and is woken when the other leads."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts.namespaces import SERVER, RealHosts, real_hosts
from tests.patience import PATIENCE, at_last
from tests.postgres import Postgres, lose_the_lock
from velocity.cli import own_server
from velocity.client import ApiError, Client, ClientError
from velocity.config import Settings

pytestmark = [pytest.mark.hosts, pytest.mark.guest]


@pytest.mark.holds("MANY-169")
def test_a_server_that_stood_still_changes_nothing_when_another_leads(
    place: Path, postgres: Postgres, say: Callable[[str], None]
) -> None:
    """What it was asked meanwhile is refused; it stands by then. Guests notice nothing."""
    url = postgres.database()
    lines = [f'database = "{url}"', "standby = true"]
    with real_hosts(place, "a", "b") as hosts:
        hosts.serve(*lines)
        hosts.join("b", *lines, kind="")
        a = hosts["a"]
        vmids = {name: hosts.starts(name, name) for name in ("a", "b")}
        before = hosts.running()
        a.freeze(SERVER)
        asked = Asked(hosts)
        asked.begin()
        begun = time.monotonic()
        lose_the_lock(url)
        at_last(lambda: is_leading(hosts["b"].data), "the other server to lead")
        say(f"hosts: a server that stands by leads {time.monotonic() - begun:.1f} s after the lock is free")
        leads = hosts.another_client("b")
        leads.authkey = hosts.client.authkey
        assert leads.vm_state(vmid=vmids["b"]).state.value == "RUNNING"
        made = leads.create_vm(name="by b", gid=0, cpus=1, memory_mib=64).vmid
        a.thaw(SERVER)
        asked.end()
        assert asked.done == [], "who leads no more changes nothing"
        at_last(lambda: states(leads) == {"a": "online", "b": "online"}, "the first one as a host")
        assert {one.vmid for one in leads.list_vms(gid=0).vms} == {*vmids.values(), made}
        assert hosts.running() == before
        for vmid in vmids.values():
            leads.set_vm_state(vmid=vmid, state="STOPPED", force=True)
        assert hosts.running() == {}


class Asked:
    """Changes that a server is asked for while it stands still."""

    def __init__(self, hosts: RealHosts) -> None:
        self._clients = [hosts.another_client() for _ in range(5)]
        for one in self._clients:
            one.authkey = hosts.client.authkey
        self.done: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(one,), daemon=True) for one in self._clients]

    def begin(self) -> None:
        for one in self._threads:
            one.start()

    def _ask(self, client: Client) -> None:
        name = f"late {self._clients.index(client)}"
        with contextlib.suppress(ApiError, ClientError):
            client.create_vm(name=name, gid=0, cpus=1, memory_mib=64)
            self.done.append(name)

    def end(self) -> None:
        for one in self._threads:
            one.join(2 * PATIENCE)
            assert not one.is_alive()


def is_leading(data: Path) -> bool:
    """As the server says there, by its own socket."""
    with own_server.way(Settings(data_dir=data)) as way, socket.socket(socket.AF_UNIX) as probe:
        if way is None or probe.connect_ex(str(way)):
            return False
        try:
            probe.sendall(b"GET /health HTTP/1.1\r\nhost: b\r\n\r\n")
            return probe.recv(100).startswith(b"HTTP/1.1 200 ")
        except ConnectionError:  # it stops standing by just then
            return False


def states(client: Client) -> dict[str, str]:
    return {one.name: one.state for one in client.list_nodes().nodes}
