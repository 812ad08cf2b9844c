"""Two machines at home, by the commands of docs/many-hosts.md: the other one becomes the server, the former a host."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.hosts.namespaces import RealHosts, real_hosts
from tests.patience import at_last
from velocity import promotion
from velocity.client import Client

pytestmark = [pytest.mark.hosts, pytest.mark.guest]
CONFIG = "--config /etc/velocity/velocity.toml"
GAVE_WAY = 78


def written(file: Path) -> int:
    """The number of the last transaction in a database."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        return int(database.execute("select written from leadership").fetchone()[0])


def copied(hosts: RealHosts) -> bool:
    """Whether the copy on b has all that is in the database on a."""
    copy = promotion.newest_copy(hosts["b"].data)
    return copy is not None and copy.mark.written >= written(hosts["a"].data / "velocity.db")


def states(client: Client) -> dict[str, str]:
    return {one.name: one.state for one in client.list_nodes().nodes}


@pytest.mark.holds("MANY-179")
def test_two_at_home_change_places_while_their_guests_run(place: Path, say: Callable[[str], None]) -> None:
    """The former server still runs, cut off: it gives way when it is back. No guest ends, and none is started."""
    with real_hosts(place, "a", "b") as hosts:
        hosts.serve()
        hosts.join("b")
        a, b = hosts["a"], hosts["b"]
        a.ok("velocity node set b --keeps-copy")
        vmids = {name: hosts.starts(f"on {name}", name) for name in ("a", "b")}
        before = hosts.running()
        at_last(lambda: copied(hosts), "the copy")
        assert "stop it for good there" in b.run(f"systemctl stop velocity-node; velocity promote {CONFIG}").stderr
        a.cut()

        begun = time.monotonic()
        hosts.let_reach("b")
        promoted = b.run(f"velocity promote {CONFIG}", typed="y\n")
        assert promoted.returncode == 0, promoted.stderr
        assert "b becomes the server, with the database as of" in promoted.stderr
        b.ok(promoted.stdout.partition("   (")[0])
        hosts.until_served("b")
        leads = hosts.another_client("b")
        leads.authkey = hosts.client.authkey
        at_last(lambda: leads.vm_state(vmid=vmids["b"]).state.value == "RUNNING", "the state of the VM on b")
        say(f"hosts: a host that keeps a copy is the server {time.monotonic() - begun:.1f} s after it is asked to be")
        assert states(leads) == {"a": "unreachable", "b": "online"}
        assert leads.show_vm(vmid=vmids["a"]).unreachable_since

        a.heal()
        at_last(lambda: a.run("systemctl is-active velocity").returncode != 0, "the former server to give way")
        again = a.run(f"velocity serve {CONFIG}")
        assert again.returncode == GAVE_WAY
        assert "velocity node join --former-server" in again.stderr
        token = b.ok("velocity node token --again a").strip()
        a.ok("systemctl disable --now velocity && systemctl disable velocity-guests")
        a.ok(f"velocity node join --former-server {CONFIG}", typed=token + "\n")
        a.ok(a.ok(f"velocity service install --node --timeout 2 {CONFIG}"))
        at_last(lambda: states(leads) == {"a": "online", "b": "online"}, "the former server as a host")
        at_last(lambda: not leads.show_vm(vmid=vmids["a"]).unreachable_since, "the state of the VM on a")
        assert hosts.running() == before
        for vmid in vmids.values():
            leads.set_vm_state(vmid=vmid, state="STOPPED", force=True)
        assert hosts.running() == {}
