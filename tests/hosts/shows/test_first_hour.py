"""The first hour of docs/many-hosts.md, as it is typed there: two machines, and a VM on each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hosts.namespaces import RealHosts, real_hosts
from tests.patience import at_last

DOCUMENT = Path(__file__).parents[3] / "docs" / "many-hosts.md"


def typed(host: str, containing: str) -> str:
    """What stands behind a prompt of the document's first hour."""
    hour = DOCUMENT.read_text().split("\n## ")[1]
    found: list[str] = re.findall(rf"^ *{host}[$#] (.+)$", hour, re.MULTILINE)
    (line,) = (one for one in found if containing in one)
    return line


@pytest.mark.holds("MANY-145", "MANY-146")
@pytest.mark.guest
def test_a_machine_joins_by_the_documented_commands_alone(place: Path) -> None:
    with real_hosts(place, "a", "b") as hosts:
        hosts.serve()
        hosts.configure("b")
        a, b = hosts["a"], hosts["b"]
        token = a.ok(typed("a", "node token")).strip()
        b.ok(typed("b", "node join --config"), typed=f"{token}\n")
        for command in ("service install", "systemctl"):
            b.ok(typed("b", command))
        hosts.until("b", "online")
        assert re.search(r"2 +b +online +active +192\.0\.2\.8:8091", a.ok(typed("a", "node list")))
        starts_and_stops(hosts)
        ends_with_its_machine(hosts)


def starts_and_stops(hosts: RealHosts) -> None:
    for name in ("a", "b"):
        vmid = hosts.starts(f"on {name}", name)
        assert list(hosts.running().values()) == [[name]]
        hosts.client.set_vm_state(vmid=vmid, state="STOPPED", force=True)
        at_last(lambda: hosts.running() == {}, "the end of the guest")


def ends_with_its_machine(hosts: RealHosts) -> None:
    """Guests of a machine that is shut down end in order, and those that start by themselves do so with it."""
    b = hosts["b"]
    b.ok("sed -i 's/--timeout 90/--timeout 2/' /etc/systemd/system/velocity-guests.service")
    by_itself, not_by_itself = hosts.starts("by itself", "b", autostart=True), hosts.starts("not", "b")
    there = b.guests().keys()
    ended = b.run("systemctl shutdown")
    assert ended.returncode == 0, ended.stderr
    assert b.guests() == {}
    assert all(f"machine {machine}" in ended.stderr for machine in there)
    b.reboot()
    at_last(lambda: hosts.state(not_by_itself) == "STOPPED", "the news that the host has started again")
    at_last(lambda: hosts.state(by_itself) == "RUNNING", "the start of what starts by itself")
    assert len(b.guests()) == 1
