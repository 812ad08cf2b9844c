"""The stream of events in the client and on the command line."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host import Host
from velocity.cli.events import line
from velocity.cli.words import clean
from velocity.client import ApiError, Client, Unreachable
from velocity.client.events import FIRST_PAUSE, Decoder, Following
from velocity.contract.events import Alive, Bye, Changed, Gone, InitialState, SetVm, VmView
from velocity.contract.machines import Reason, State

TEXT = (
    b'event: gone\ndata: {"kind":"vm","id":7}\nid: a-1\n\n:\nid: a-4\n\nevent: alive\nid: a-5\ndata: {}\n\n'
    b'event: of a later version\ndata: {}\nid: a-6\n\nevent: changed\r\ndata: {"kind":"session"}\r\nid: a-7\r\n\r\n'
    b'event: bye\ndata: {"reason":"slow"}\n\nevent: gone\ndata: {"kind":"vm"'
)


@given(cuts=st.lists(st.integers(0, len(TEXT)), max_size=8))
def test_events_come_out_whole_however_the_bytes_come(cuts: list[int]) -> None:
    decoder, found = Decoder(), []
    places = [0, *sorted(cuts), len(TEXT)]
    for begin, end in itertools.pairwise(places):
        found += list(decoder.feed(TEXT[begin:end]))
    assert found == [Gone(kind="vm", id=7), Alive(), Changed(kind="session"), Bye(reason="slow")]
    assert decoder.last == "a-7"


def test_it_connects_again_for_as_long_as_it_is_patient() -> None:
    now = [0.0]
    following = Following(10.0, lambda: now[0])
    away = Unreachable("away")
    with pytest.raises(Unreachable):
        following.broke(away)  # there never was a server
    assert list(following.feed(TEXT)) == [Gone(kind="vm", id=7), Changed(kind="session")]
    assert following.headers("key")["last-event-id"] == "a-7"
    pauses = []
    while now[0] <= 10.0:
        pauses.append(following.broke(away))
        now[0] += pauses[-1]
    assert pauses == [FIRST_PAUSE, 0.5, 1.0, 2.0, 4.0, 5.0]
    with pytest.raises(Unreachable):
        following.broke(away)
    assert list(following.feed(b"")) == []
    assert following.broke(ApiError(503, 503, "shutting down")) == FIRST_PAUSE
    with pytest.raises(ApiError):
        following.broke(ApiError(401, 100, "signed out"))


def test_what_another_does_is_heard(host: Host) -> None:
    with Client(host.url, host.key) as client, Client(host.url, host.key) as other:
        events = client.events()
        first = next(events)
        assert isinstance(first, InitialState)
        assert first.vms == []
        vmid = other.create_vm(name="x", gid=0, cpus=1, memory_mib=64).vmid
        assert next(one.object.vmid for one in events if isinstance(one, SetVm)) == vmid
        other.delete_vm(vmid=vmid)
        assert next(one.id for one in events if isinstance(one, Gone)) == vmid
        events.close()


def test_where_there_is_nothing_to_follow() -> None:
    with Client("http://127.0.0.1:9") as nobody, pytest.raises(Unreachable):
        next(nobody.events())


def test_who_is_not_signed_in(host: Host) -> None:
    with Client(host.url, "wrong") as stranger, pytest.raises(ApiError) as refused:
        next(stranger.events())
    assert refused.value.code == 100


def test_the_command_line_prints_a_line_each(host: Host) -> None:
    host.ok("group", "create", "a")
    host.ok("vm", "create", "vm", "--memory", "64M")
    assert "you see 2 groups, 1 VMs, 0 media, 0 tasks" in host.ok("events", "--count", "1")
    told = json.loads(host.ok("events", "--count", "1", "--json"))
    assert told["event"] == "snapshot"
    assert [one["name"] for one in told["data"]["vms"]] == ["vm"]


def test_what_comes_from_elsewhere_cannot_reach_the_terminal() -> None:
    vm = VmView(
        vmid=1, gid=0, name="x", cpus=1, memory_mib=1, state=State.STOPPED, wanted=State.RUNNING, autostart=False,
        displays=[], media=[], nics=[], waiting=[], revision="r", reason=Reason(cause="c", message="\x1b[2J", since=0),
    )  # fmt: skip
    assert clean(line(SetVm(object=vm))) == "vm 1 x: STOPPED (\ufffd[2J)"
    assert line(Changed(kind="quota", gid=3)) == "quota of group 3: changed"
    assert line(Changed(kind="session")) == "session of yours: changed"
    assert line(Gone(kind="vm", id=7)) == "vm 7: gone"
    known: dict[tuple[str, object], str] = {("vm", 7): "web", ("group", 3): "red"}
    assert line(Gone(kind="vm", id=7), known) == "vm 7 web: gone"
    assert line(Changed(kind="quota", gid=3), known) == "quota of group 3 red: changed"
