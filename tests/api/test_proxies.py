"""Who is believed about where a request comes from: the reverse proxies of the settings, and nobody else."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.world import PASSWORD, World, world
from tests.listening import listening
from tests.patience import eventually
from velocity.api.bounds import Addresses, RequestLimits, is_among
from velocity.api.forwarded import Proxies

pytestmark = pytest.mark.anyio

PROXY, CLIENT, OTHER = "192.0.2.10", "203.0.113.7", "198.51.100.9"


@asynccontextmanager
async def behind(tmp_path: Path, *trusted: str) -> AsyncIterator[World]:
    async with world(tmp_path / "data", trusted_proxies=list(trusted)) as made:
        yield made


async def seen(w: World, peer: str, *forwarded: str, proto: str | None = None, **more: str) -> str:
    """The address in the history of a wrong sign-in that comes from `peer`, with these X-Forwarded-For."""
    headers = [("x-forwarded-for", one) for one in forwarded] + list(more.items())
    headers += [("x-forwarded-proto", proto)] if proto else []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(w.server.asgi, client=(peer, 1))) as http:
        response = await http.post("http://velocity/u/auth", json={"name": "a", "password": "b"}, headers=headers)
    assert response.status_code == 403
    return str((await w.ok("POST", "/t/history", limit=1))["entries"][0]["address"])


@pytest.mark.holds("BOUND-16")
@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", PROXY])
async def test_nobody_is_believed_unless_a_setting_says_so(w: World, peer: str) -> None:
    assert await seen(w, peer, CLIENT) == peer


@pytest.mark.holds("BOUND-16")
async def test_a_proxy_that_is_named_is_believed_and_no_other(tmp_path: Path) -> None:
    async with behind(tmp_path, PROXY, "2001:db8:1::/64", "10.0.0.0/8") as w:
        for peer in (PROXY, f"::ffff:{PROXY}", "10.9.8.7", "2001:db8:1::5"):
            assert await seen(w, peer, CLIENT) == CLIENT, peer
        for peer in (OTHER, "2001:db8:2::5", "127.0.0.1"):
            assert await seen(w, peer, CLIENT) == peer


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        ([f"{OTHER}, {CLIENT}"], CLIENT),
        ([OTHER, CLIENT], CLIENT),
        ([f"{OTHER}, {CLIENT}, 10.0.0.1, {PROXY}"], CLIENT),
        ([f"10.0.0.2, {PROXY}"], "10.0.0.2"),
        ([f"{CLIENT}:4711"], CLIENT),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        ([f"{CLIENT}, nonsense"], PROXY),
        ([f"{CLIENT}, , 10.0.0.1"], "10.0.0.1"),
        ([""], PROXY),
        ([f"{CLIENT}\t"], CLIENT),
        (["unknown"], PROXY),
        (["1" * 5000], PROXY),
    ],
)
def test_the_last_that_is_no_proxy_of_ours_is_the_client(forwarded: Sequence[str], found: str) -> None:
    proxies = Proxies([ip_network(PROXY), ip_network("10.0.0.0/8")])
    passed = proxies.passed(scope(forwarded))
    assert passed is not None
    assert passed["client"] == (found, 0)


def scope(forwarded: Sequence[str] = (), proto: str = "", **more: Any) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    headers += [(b"x-forwarded-proto", proto.encode())] if proto else []
    return {"type": "http", "scheme": "http", "client": (PROXY, 1), "headers": headers, **more}


@pytest.mark.parametrize(
    ("kind", "before", "told", "after"),
    [
        ("http", "http", "https", "https"),
        ("http", "https", "http", "http"),
        ("http", "http", "gopher", "http"),
        ("http", "http", "", "http"),
        ("websocket", "ws", "https", "wss"),
        ("websocket", "wss", "http", "ws"),
    ],
)
def test_the_scheme_that_the_browser_used(kind: str, before: str, told: str, after: str) -> None:
    passed = Proxies([ip_network(PROXY)]).passed(scope([CLIENT], told, type=kind, scheme=before))
    assert passed is not None
    assert passed["scheme"] == after


async def test_a_page_behind_a_proxy_with_tls_is_our_own(tmp_path: Path) -> None:
    headers = {"origin": "https://velocity", "host": "velocity", "x-forwarded-proto": "https"}
    for trusted, status in (((PROXY,), 200), ((), 403)):
        async with (
            behind(tmp_path / str(status), *trusted) as w,
            httpx.AsyncClient(transport=httpx.ASGITransport(w.server.asgi, client=(PROXY, 1))) as http,
        ):
            body = {"name": "root", "password": PASSWORD}
            response = await http.put("http://velocity/u/session", json=body, headers=headers)
            assert response.status_code == status, response.text
            assert ("secure" in response.headers.get("set-cookie", "").lower()) is (status == 200)


async def test_guesses_are_counted_for_the_client(tmp_path: Path) -> None:
    async with behind(tmp_path, PROXY) as w:
        statuses = [await guess(w, PROXY, f"203.0.113.{number}") for number in range(12)]
        assert set(statuses) == {403}, "each of another client"
        statuses = [await guess(w, OTHER, f"203.0.113.{number}") for number in range(12)]
        assert statuses[-1] == 429, "of one, whatever it says"


async def guess(w: World, peer: str, forwarded: str) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(w.server.asgi, client=(peer, 1))) as http:
        body, headers = {"name": "root", "password": "wrong-wrong"}, {"x-forwarded-for": forwarded}
        return (await http.post("http://velocity/u/auth", json=body, headers=headers)).status_code


async def test_a_header_from_elsewhere_is_warned_of_once(w: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for peer in (OTHER, OTHER, CLIENT):
            await seen(w, peer, "192.0.2.99")
    warned = [one.getMessage() for one in caplog.records if "trusted_proxies" in one.getMessage()]
    assert len(warned) == 1
    assert OTHER in warned[0]


@pytest.mark.holds("BOUND-16")
async def test_a_client_behind_a_proxy_has_so_many_requests_at_a_time(tmp_path: Path) -> None:
    """The proxy itself is exempt from the bound of connections, so that its clients do not lock each other out."""
    async with behind(tmp_path, PROXY) as w:
        asked = 0

        async def slow() -> AsyncIterator[bytes]:
            nonlocal asked
            asked += 1
            await asyncio.sleep(1000)
            yield b""

        async def ask(client: str, content: Any = b"{}") -> int:
            headers = {"x-forwarded-for": client, "authorization": f"Bearer {w.key}"}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(w.server.asgi, client=(PROXY, 1))) as http:
                return (await http.post("http://velocity/u/user/list", content=content, headers=headers)).status_code

        held = [asyncio.create_task(ask(CLIENT, slow())) for _ in range(RequestLimits.connections)]
        await eventually(lambda: asked == len(held))
        assert (await ask(CLIENT), await ask(OTHER)) == (429, 200)
        for task in held:
            task.cancel()
        await asyncio.wait(held)
        assert await ask(CLIENT) == 200


def test_the_connections_of_a_proxy_are_not_counted() -> None:
    addresses = Addresses(1, [ip_network("192.0.2.0/24")])
    assert [addresses.enter(PROXY) for _ in range(3)] == [True] * 3
    assert [addresses.enter(OTHER) for _ in range(2)] == [True, False]
    addresses.leave(PROXY)
    addresses.leave(OTHER)
    assert addresses.enter(OTHER)


async def test_the_real_server_believes_nobody_either(w: World) -> None:
    async with listening(w) as server, httpx.AsyncClient() as http:
        body = {"name": "a", "password": "b"}
        await http.post(f"{server.url}/u/auth", json=body, headers={"x-forwarded-for": CLIENT})
    assert (await w.ok("POST", "/t/history", limit=1))["entries"][0]["address"] == "127.0.0.1"


def test_what_is_among_networks() -> None:
    networks = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]
    assert [is_among(one, networks) for one in (PROXY, f"::ffff:{PROXY}", "2001:db8::9", "", "local", OTHER)] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


ORIGIN = "https://vm.example.org:8443"
WHO = {"x-forwarded-for": CLIENT}
SECURE = {**WHO, "x-forwarded-proto": "https"}


async def sign_in(w: World, peer: str, origin: str, headers: dict[str, str]) -> tuple[int, str]:
    """As a browser does that is at `origin`; the status, and why."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(w.server.asgi, client=(peer, 1))) as http:
        body = {"name": "root", "password": PASSWORD}
        response = await http.put("http://x/u/session", json=body, headers={"origin": origin, **headers})
    return response.status_code, response.json().get("message", "")


@pytest.mark.holds("TLS-6")
async def test_a_page_is_our_own_however_a_proxy_that_is_believed_tells_its_host(tmp_path: Path) -> None:
    plain = {"host": "vm.example.org", **SECURE}
    async with behind(tmp_path, PROXY) as w:
        for origin, headers in (
            (ORIGIN, {**SECURE, "host": "vm.example.org:8443"}),
            (ORIGIN, {**SECURE, "host": "VM.Example.org:8443"}),
            (ORIGIN, {**plain, "x-forwarded-port": "8443"}),
            (ORIGIN, {**plain, "x-forwarded-host": "vm.example.org:8443"}),
            (ORIGIN, {**plain, "x-forwarded-host": "spoofed.example, vm.example.org:8443"}),
            (ORIGIN, {**SECURE, "host": "127.0.0.1:8090", "x-forwarded-host": "vm.example.org:8443"}),
            (ORIGIN, {**SECURE, "host": "x", "x-forwarded-host": "vm.example.org", "x-forwarded-port": "80,8443"}),
            ("https://vm.example.org", plain),
            ("https://vm.example.org", {**plain, "x-forwarded-port": "443"}),
            ("https://vm.example.org", {**plain, "x-forwarded-port": "8443"}),
            ("https://vm.example.org", {**plain, "host": "vm.example.org:443"}),
            ("http://vm.example.org", {**WHO, "host": "vm.example.org:80"}),
        ):
            assert await sign_in(w, PROXY, origin, headers) == (200, ""), (origin, headers)


@pytest.mark.holds("TLS-6")
async def test_what_a_proxy_leaves_out_is_refused_with_both_sides_and_the_cure(tmp_path: Path) -> None:
    host, portless = {"host": "vm.example.org:8443"}, {"host": "vm.example.org"}
    cases: list[tuple[str, str, dict[str, str], str]] = [
        (OTHER, ORIGIN, {**SECURE, **host}, f"{OTHER} sends X-Forwarded headers: .* add it to `trusted_proxies`"),
        (OTHER, ORIGIN, {**host}, "must send `X-Forwarded-Proto: https`"),
        (PROXY, ORIGIN, {**WHO, **host}, "must send `X-Forwarded-Proto: https`"),
        (PROXY, ORIGIN, {**SECURE, **portless}, "pass on Host with its port"),
        (OTHER, "http://vm.example.org:8080", {**portless}, "pass on Host with its port"),
        (PROXY, ORIGIN, {**SECURE, **portless, "x-forwarded-port": "no"}, "pass on Host with its port"),
        (PROXY, ORIGIN, {**SECURE, "host": "127.0.0.1:8090"}, "pass on Host as the browser sent it"),
        (PROXY, "https://evil.example", {**SECURE, **host}, "pass on Host as the browser sent it"),
        (PROXY, "null", {**SECURE, "host": "null"}, "another origin"),
    ]
    async with behind(tmp_path, PROXY) as w:
        for peer, origin, headers, words in cases:
            status, message = await sign_in(w, peer, origin, headers)
            assert status == 403, (origin, headers)
            assert re.search(words, message), message
            reached = "https" if peer == PROXY and "x-forwarded-proto" in headers else "http"
            assert f"{origin} by its Origin, while this server was asked as {reached}://{headers['host']}" in message


@pytest.mark.holds("TLS-6")
async def test_a_websocket_that_comes_without_its_upgrade_is_told_so(w: World) -> None:
    response = await w.http.get("http://velocity/v/vm/console/a-ticket")
    assert (response.status_code, response.json()["code"]) == (426, 426)
    assert response.headers["upgrade"] == "websocket"
    assert "a reverse proxy on the way must speak HTTP/1.1 to the server and pass on Upgrade" in response.text
