"""The server behind the reverse proxies that docs/tls-and-proxies.md configures, with nothing but what stands there."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.world import PASSWORD
from tests.host import Host, hosting
from tests.journeys.proxies import COMMANDS, UNDER_A_PATH, Proxy, block, running
from tests.journeys.server import free_port
from tests.patience import PATIENCE
from velocity.client import Client
from velocity.client.trust import trusted

IDLE = 75
"""Seconds: more than the minute after which proxies end what is silent, unless they are told otherwise."""
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
EVERY = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A server that believes proxies on its own machine."""
    with hosting(tmp_path_factory.mktemp("behind") / "data", trusted_proxies=["127.0.0.1"]) as made:
        yield made


def http(proxy: Proxy, path: str = "") -> httpx.Client:
    """As a browser, which is at 127.0.0.2."""
    trust = trusted(proxy.url, proxy.ca)
    transport = httpx.HTTPTransport(verify=trust, local_address="127.0.0.2")
    return httpx.Client(base_url=proxy.url + path, transport=transport, timeout=PATIENCE, trust_env=False)


@pytest.mark.holds("TLS-7")
@pytest.mark.whole
@EVERY
def test_all_goes_through_a_proxy_as_the_document_has_it(name: str, behind: Host, tmp_path: Path, whole: bool) -> None:
    """A browser's sign-in, a stream and a console (also after silence), an upload, and whose requests they were."""
    with running(name, tmp_path / name, behind.settings.address[1]) as proxy:
        check_sign_in(proxy, behind)
        check_transfers(proxy, "", name, behind, tmp_path, 300 << 20 if whole else 3 << 20, IDLE if whole else 0.2)


@pytest.mark.holds("TLS-7")
@EVERY
def test_all_goes_through_a_proxy_under_a_path(name: str, behind: Host, tmp_path: Path) -> None:
    with running(name, tmp_path / name, behind.settings.address[1], *UNDER_A_PATH[name]) as proxy:
        check_transfers(proxy, "/velocity", f"{name} path", behind, tmp_path, 3 << 20, 0.2)


@EVERY
def test_the_document_bounds_nothing_that_takes_long(name: str) -> None:
    """The short form of the silence: whatever time a block sets, but for connecting, is far beyond it."""
    found = re.findall(r"(\w*[Tt]imeout\w*(?: \w+)?)\s+(\d+)([smh]?)\b", block(name))
    for what, number, unit in found:
        assert what == "timeout connect" or int(number) * SECONDS[unit] >= 10 * IDLE, (what, number, unit)
    assert name == "caddy" or found


def check_sign_in(proxy: Proxy, host: Host) -> None:
    with http(proxy) as browser:
        answer = browser.put("/u/session", json={"name": "root", "password": PASSWORD}, headers={"origin": proxy.url})
        assert answer.status_code == 200, answer.text
        assert "secure" in answer.headers["set-cookie"].lower()
        assert answer.headers["strict-transport-security"]
        foreign = browser.put(
            "/u/session", json={"name": "root", "password": PASSWORD}, headers={"origin": "https://evil.example"}
        )
        assert foreign.status_code == 403
    with Client(host.url, host.key) as client:
        assert client.list_history(limit=1).entries[0].address == "127.0.0.2"


def check_transfers(proxy: Proxy, path: str, name: str, host: Host, place: Path, size: int, silence: float) -> None:
    """`silence`: seconds for which a stream and a console say nothing."""
    image, url = place / "image", proxy.url + path
    with image.open("wb") as out:
        out.truncate(size)
    with Client(url, host.key, verify=proxy.ca) as client, http(proxy, path) as browser:
        assert client.upload(image, mpid=1, gid=0, name=name, type="DISK").size == size
        answer = browser.put("/m/media/upload", content=image.read_bytes(), headers={
            "authorization": f"Bearer {host.key}", "x-velocity-mpid": "1", "x-velocity-gid": "0",
            "x-velocity-name": f"{name} whole", "x-velocity-type": "DISK", "x-velocity-readonly": "false",
        })  # fmt: skip
        assert answer.status_code == 200, answer.text
        vmid = client.create_vm(name=name, gid=0, cpus=1, memory_mib=64).vmid
        client.set_vm_state(vmid=vmid, state="RUNNING")
        console = client.console(client.open_console(vmid=vmid, kind="serial"))
        with browser.stream("GET", "/v/events", headers={"authorization": f"Bearer {host.key}"}) as stream:
            assert stream.status_code == 200
            lines = stream.iter_lines()
            assert next(lines)
            time.sleep(silence)
            client.create_group(name=f"{name} group", parent_gid=0)
            assert any(f"{name} group" in line for line in lines), "it came by the stream that was silent"
        console.send(b"echo")
        assert console.receive(timeout=PATIENCE) == b"echo"
        console.close()
        client.set_vm_state(vmid=vmid, state="STOPPED", force=True)


@pytest.mark.holds("TLS-5")
@pytest.mark.whole
def test_what_a_proxy_says_itself_has_words_in_the_command_line(behind: Host, tmp_path: Path, whole: bool) -> None:
    port = behind.settings.address[1]
    image = tmp_path / "image"
    image.write_bytes(b"x" * (3 << 20))
    with running("nginx", tmp_path / "small", port, ("client_max_body_size 0;", "")) as proxy:
        told = behind.run("--server", proxy.url, "--ca", str(proxy.ca), "media", "upload", str(image))
        assert told.exit_code == 1
        assert "client_max_body_size" in str(told.exception)
        assert "<" not in str(told.exception)
    for name in COMMANDS if whole else ("caddy", "haproxy"):
        with running(name, tmp_path / name, free_port()) as proxy:
            told = behind.run("--server", proxy.url, "--ca", str(proxy.ca), "vm", "list")
            assert told.exit_code == 1
            assert "a reverse proxy that does not reach it: start the server" in str(told.exception), name
            assert "<" not in str(told.exception)


COPIED = {
    "the port is lost": (("Host $http_host", "Host $host"),),
    "no scheme": (("proxy_set_header X-Forwarded-Proto $scheme;", ""),),
    "the host is lost": (("proxy_set_header Host $http_host;", ""),),
}
WORDS = {
    "the port is lost": "pass on Host with its port",
    "no scheme": "X-Forwarded-Proto: https",
    "the host is lost": "pass on Host as the browser sent it",
}


@pytest.mark.holds("TLS-6")
def test_a_proxy_as_people_copy_it_is_refused_with_the_cure(behind: Host, tmp_path: Path) -> None:
    port = behind.settings.address[1]
    body = {"name": "root", "password": PASSWORD}
    for number, (what, changes) in enumerate(COPIED.items()):
        with running("nginx", tmp_path / f"copied{number}", port, *changes) as proxy, http(proxy) as browser:
            refused = browser.put("/u/session", json=body, headers={"origin": proxy.url})
            assert refused.status_code == 403, what
            assert WORDS[what] in refused.json()["message"], refused.text
    upgrade = ("proxy_set_header Upgrade $http_upgrade;", "")
    with running("nginx", tmp_path / "upgrade", port, upgrade) as proxy:
        with Client(behind.url, behind.key) as client:
            vmid = client.create_vm(name="copied", gid=0, cpus=1, memory_mib=64).vmid
            client.set_vm_state(vmid=vmid, state="RUNNING")
        told = behind.run("--server", proxy.url, "--ca", str(proxy.ca), "vm", "console", "copied")
        assert told.exit_code == 1
        assert "pass on Upgrade and Connection" in str(told.exception), told.output
