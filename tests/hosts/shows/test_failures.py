"""What happens when something fails, with real processes and guests: docs/many-hosts.md has the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from tests.hosts.namespaces import NODE, SERVER, RealHosts
from tests.patience import PATIENCE, at_last
from velocity.client import ApiError
from velocity.client.console import Console

pytestmark = [pytest.mark.hosts, pytest.mark.guest]
Say = Callable[[str], None]
CUT = 20.0
"""Seconds for which a link is cut: longer than any keepalive."""


@contextmanager
def timed(say: Say, what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    say(f"hosts: {what}: {time.monotonic() - begun:.1f} s")


def unreachable_since(hosts: RealHosts, vmid: int) -> object:
    return hosts.client.show_vm(vmid=vmid).unreachable_since or None


def until(console: Console, marker: bytes) -> bytes:
    seen, end = b"", time.monotonic() + PATIENCE
    while marker not in seen:
        assert time.monotonic() < end, seen[-2000:]
        seen += console.receive(1) or b""
    return seen


@pytest.mark.holds("MANY-147")
def test_a_link_that_is_cut_is_told_and_changes_nothing(hosts: RealHosts, say: Say) -> None:
    b, vmid, own = hosts["b"], hosts.starts("there", "b"), hosts.starts("here", "a")
    stopped = hosts.client.create_vm(name="stopped", gid=0, cpus=1, memory_mib=64, host=hosts.number("b")).vmid
    guests, before = b.guests(), hosts.running()
    end = time.monotonic() + CUT
    with timed(say, "a cut link is told after"):
        b.cut()
        at_last(lambda: bool(unreachable_since(hosts, vmid)), "the news of the cut")
    shown = hosts.client.show_vm(vmid=vmid)
    assert shown.state.value == "RUNNING", "nothing is concluded from silence"
    with pytest.raises(ApiError, match="host 'b' has not responded since"):
        hosts.client.set_vm_state(vmid=stopped, state="RUNNING")
    while time.monotonic() < end:
        assert hosts.running() == before, "never two of one machine"
        assert hosts.state(own) == "RUNNING"
        time.sleep(0.2)
    assert hosts.client.show_node(host=hosts.number("b")).state == "unreachable"
    with timed(say, "right again after the heal of the link in"):
        b.heal()
        at_last(lambda: not unreachable_since(hosts, vmid), "the host's answer")
    assert hosts.state(vmid) == "RUNNING"
    assert b.guests() == guests, "nothing was started again"
    hosts.client.set_vm_state(vmid=stopped, state="RUNNING")


@pytest.mark.holds("CONSOLE-14", "MANY-148")
def test_a_node_that_is_killed_costs_no_guest(hosts: RealHosts, say: Say) -> None:
    """Its consoles end, and begin again with what was said."""
    b, vmids = hosts["b"], [hosts.starts(name, "b") for name in ("one", "two")]
    guests = b.guests()
    assert len(guests) == 2
    with closing(hosts.console(vmids[0])) as console:
        said = until(console, b"BdsDxe")
        with timed(say, "a killed node serves again in"):
            b.kill(NODE)
            at_last(lambda: console.receive(0) == b"", "the end of the console")
            assert "host does not respond" in console.why
            at_last(lambda: bool(unreachable_since(hosts, vmids[1])), "the news of the node's end")
            at_last(lambda: not any(unreachable_since(hosts, vmid) for vmid in vmids), "its answer")
    assert b.guests() == guests
    with closing(hosts.console(vmids[0])) as console:
        assert said.strip()[-6:] in until(console, b"BdsDxe")
    hosts.client.set_vm_state(vmid=vmids[1], state="PAUSED")


@pytest.mark.holds("MANY-163")
def test_a_node_that_stands_still_is_known_and_costs_nobody_else(hosts: RealHosts, say: Say) -> None:
    b, vmid, own = hosts["b"], hosts.starts("there", "b"), hosts.starts("here", "a")
    guests = b.guests()
    with timed(say, "a node that stands still is told after"):
        b.freeze(NODE)
        try:
            at_last(lambda: bool(unreachable_since(hosts, vmid)), "the news that it does not answer")
            assert hosts.state(vmid) == "RUNNING"
            hosts.client.set_vm_state(vmid=own, state="PAUSED")
            with pytest.raises(ApiError, match="host 'b'"):
                hosts.client.set_vm_state(vmid=vmid, state="PAUSED")
        finally:
            b.thaw(NODE)
    at_last(lambda: not unreachable_since(hosts, vmid), "the host's answer")
    assert b.guests() == guests
    hosts.client.set_vm_state(vmid=vmid, state="PAUSED")


@pytest.mark.holds("MANY-149")
def test_a_host_whose_power_was_cut_starts_what_starts_by_itself(hosts: RealHosts, say: Say) -> None:
    by_itself, not_by_itself = hosts.starts("by itself", "b", autostart=True), hosts.starts("not", "b")
    before = hosts["b"].guests()
    with timed(say, "a host whose power was cut has its VMs again in"):
        hosts["b"].reboot()
        at_last(lambda: hosts.state(not_by_itself) == "STOPPED", "the news that the host has started again")
        at_last(lambda: hosts.state(by_itself) == "RUNNING", "the start of what starts by itself")
    reason = hosts.client.show_vm(vmid=not_by_itself).reason
    assert reason and reason.cause == "host-restarted"
    assert len(hosts["b"].guests()) == 1
    assert hosts["b"].guests().keys() < before.keys()


@pytest.mark.holds("MANY-150")
def test_guests_of_other_hosts_outlive_the_server_and_its_host(hosts: RealHosts, say: Say) -> None:
    a, b, vmid = hosts["a"], hosts["b"], hosts.starts("there", "b")
    guests = b.guests()
    with timed(say, "a killed server knows its hosts again in"):
        a.kill(SERVER)
        hosts.until_served()
        at_last(lambda: hosts.state(vmid) == "RUNNING" and not unreachable_since(hosts, vmid), "the VM as it is")
    with timed(say, "a server whose host's power was cut knows them again in"):
        a.reboot()
        hosts.until_served()
        at_last(lambda: hosts.state(vmid) == "RUNNING" and not unreachable_since(hosts, vmid), "the VM as it is")
    hosts.until("b", "online")
    assert b.guests() == guests
