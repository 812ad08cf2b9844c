"""Which addresses everybody may have fetched from, and which URLs name one."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from tests.patience import PATIENCE, asked_until, eventually
from velocity.contract.problems import Refused
from velocity.fetching.addresses import AT_ONCE, Resolver, is_own, is_public
from velocity.fetching.urls import parse

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::101:101"]
NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00::1", "fc00::1", "fec0::1"],
    "link-local, with the clouds' metadata": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "fd00:ec2::254"],
    "shared": ["100.64.0.1", "100.100.100.200", "100.127.255.255"],
    "unspecified, and this network": ["0.0.0.0", "0.1.2.3", "::"],
    "multicast, broadcast and reserved": ["224.0.0.1", "239.1.1.1", "255.255.255.255", "240.0.0.1", "ff02::1"],
    "documentation and benchmarks": [
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "2001:db8::1",
        "3fff::1",
    ],
    "the clouds' own": ["168.63.129.16", "192.0.0.192"],
    "IPv4 in IPv6": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::1.1.1.1"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1.1.1.1", "64:ff9b:1::a00:1"],
    "6to4 and Teredo": ["2002:7f00:1::", "2002:101:101::1", "192.88.99.1", "2001:0:7f00:1::1", "2001::1"],
}


@pytest.mark.holds("IMAGE-32")
def test_what_is_not_public_is_told_in_each_of_its_forms() -> None:
    assert [one for one in PUBLIC if not is_public(one)] == []
    assert [(kind, one) for kind, listed in NOT_PUBLIC.items() for one in listed if is_public(one)] == []


@pytest.mark.holds("IMAGE-32")
def test_the_hosts_own_addresses_are_known() -> None:
    assert is_own("127.0.0.1") and is_own("::ffff:127.0.0.1")
    assert not is_own("192.0.2.1") and not is_own("1.1.1.1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ftp://host/x", "neither https:// nor http://"),
        ("file:///etc/passwd", "neither"),
        ("//host/x", "neither"),
        ("host/x", "neither"),
        ("http://", "no name of a host"),
        ("http:///x", "no name of a host"),
        ("http://:80/x", "no name of a host"),
        ("http://-x/", "no name of a host"),
        ("http://a b/", "a space"),
        ("http://a/\r\nHost: b", "a control character"),
        ("http://a\\@b/", "a backslash"),
        ("http://user:secret@host/x", "a user or a password"),
        ("http://secret@host/x", "a user or a password"),
        ("http://@host/x", "a user or a password"),
        ("http://host:x/", "cannot be read"),
        ("http://host:70000/", "cannot be read"),
        ("http://[::1", "cannot be read"),
        ("http://[fe80::1%25eth0]/", "of a single link"),
        ("http://" + "a" * 300 + "/", "no name of a host"),
    ],
)
@pytest.mark.holds("IMAGE-33")
def test_a_url_that_is_not_fetched_is_refused_without_being_shown(text: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        parse(text)
    assert refused.value.field == "url" and "secret" not in refused.value.message


@pytest.mark.holds("IMAGE-33")
def test_of_a_url_neither_path_nor_query_is_shown() -> None:
    url = parse("https://Host.example:8443/a b/c?key=secret#part".replace(" ", "%20"))
    assert (url.scheme, url.host, url.port, url.target) == ("https", "host.example", 8443, "/a%20b/c?key=secret")
    assert url.authority == "host.example:8443" and "secret" not in repr(url) and "/a" not in repr(url)
    assert parse("http://host").target == "/" and parse("http://[2001:0db8::1]:80/").authority == "[2001:db8::1]"
    assert parse("https://münchen.example/ü").host == "xn--mnchen-3ya.example"
    assert parse("https://host/ü?ä").target == "/%C3%BC?%C3%A4"
    assert parse("../x?y", url).whole == "https://host.example:8443/x?y"
    assert parse("//other/x", url).whole == "https://other/x"


@pytest.mark.anyio
@pytest.mark.holds("IMAGE-32")
async def test_a_look_up_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    there, go_on = threading.Event(), threading.Event()

    def getaddrinfo(host: str, *_more: object, **_named: object) -> list[tuple[object, ...]]:
        if host == "hangs":
            there.set()
            assert go_on.wait(PATIENCE)
        return [(0, 0, 0, "", ("192.0.2.1", 80)), (0, 0, 0, "", ("192.0.2.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolve = Resolver(timeout=0.05)
    try:
        assert await resolve("hangs", 80) == []
        await eventually(there.is_set, "its look-up")
        assert await Resolver(timeout=60)("host", 80) == ["192.0.2.1"]
        assert await asyncio.gather(*(resolve("hangs", 80) for _ in range(AT_ONCE + 5))) == [[]] * (AT_ONCE + 5)
        before = set(threading.enumerate())
        assert await resolve("hangs", 80) == []
        assert set(threading.enumerate()) <= before, "they are bounded"
    finally:
        go_on.set()
    await asked_until(lambda: resolve("host", 80), lambda found: found == ["192.0.2.1"])
