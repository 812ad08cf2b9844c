"""Whom clients trust: this machine's authorities, those that are named, and the own server by its socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.world import PASSWORD
from tests.certificates import certificate
from tests.host import Host, hosting
from tests.patience import PATIENCE
from velocity.cli import own_server
from velocity.client import AsyncClient, Client, ClientError, Unreachable, Untrusted


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[Host]:
    """A server with a certificate for localhost, by an authority of its own in `ca.pem`."""
    lab = certificate("lab CA", authority=True)
    (tmp_path / "ca.pem").write_bytes(lab.pem + lab.key_pem())
    cert, key = certificate("localhost", by=lab).write(tmp_path, lab)
    with hosting(tmp_path / "data", tls_cert=str(cert), tls_key=str(key)) as made:
        yield made


def by_name(host: Host) -> str:
    return f"https://localhost:{host.settings.address[1]}"


@pytest.mark.holds("TLS-2")
def test_a_server_is_trusted_by_what_the_system_or_the_caller_names(secure: Host, tmp_path: Path) -> None:
    ca, url = str(tmp_path / "ca.pem"), by_name(secure)
    refused = secure.run("--server", url, "vm", "list")
    assert refused.exit_code == 6
    told = str(refused.exception)
    assert "no authority that this machine trusts has signed the certificate" in told
    assert "--ca" in told
    assert "no server responds" not in told
    trusted: tuple[tuple[tuple[str, ...], dict[str, str]], ...] = (
        (("--ca", ca), {}),
        ((), {"VELOCITY_CA": ca}),
        ((), {"SSL_CERT_FILE": ca}),
        (("--ca", str(tmp_path / "cert.pem")), {}),
    )
    for words, environment in trusted:
        done = secure.run("--server", url, *words, "whoami", **environment)
        assert done.exit_code == 0, (words, environment, done.output)


@pytest.mark.holds("TLS-2")
def test_what_was_named_at_the_login_is_kept_with_it(secure: Host, tmp_path: Path) -> None:
    """Not the file's place, and not a key that stands in it."""
    ca = tmp_path / "ca.pem"
    secure.environment = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "VELOCITY_DATA_DIR": str(tmp_path / "none")}
    words = ("login", "root", "--server", by_name(secure), "--password-stdin")
    assert secure.run(*words, typed=PASSWORD).exit_code == 6
    assert secure.run(*words, "--ca", str(ca), typed=PASSWORD).exit_code == 0
    ca.unlink()
    assert secure.run("whoami").exit_code == 0
    kept = (tmp_path / "config" / "velocity" / "session.json").read_text()
    assert "PRIVATE" not in kept
    assert secure.run(*words, typed=PASSWORD).exit_code == 0, "a later login there needs none"
    secure.ok("logout")
    assert json.loads((tmp_path / "config" / "velocity" / "session.json").read_text())["authorities"] == {}


@pytest.mark.holds("TLS-3")
def test_each_failure_of_tls_has_its_own_words(secure: Host, tmp_path: Path) -> None:
    port = secure.settings.address[1]
    ca = tmp_path / "ca.pem"
    (tmp_path / "no.pem").write_text("nothing")
    with hosting(tmp_path / "plain") as plain:
        other = plain.settings.address[1]
        cases: list[tuple[str, Path | bool, type[ClientError], str]] = [
            (f"https://127.0.0.1:{port}", ca, Untrusted, "is for another name"),
            (f"https://localhost:{port}", True, Untrusted, "no authority that this machine trusts"),
            (f"https://localhost:{other}", ca, Untrusted, "its address begins with http://"),
            (f"http://localhost:{port}", True, Unreachable, "its address begins with https://"),
            ("https://localhost:9", ca, Unreachable, "no server responds"),
        ]
        for url, verify, kind, words in cases:
            with Client(url, verify=verify) as client, pytest.raises(kind, match=words):
                client.list_nics()

            async def ask(url: str = url, verify: Path | bool = verify) -> None:
                async with AsyncClient(url, verify=verify) as client:
                    await client.list_nics()

            with pytest.raises(kind):
                asyncio.run(ask())
    for file, words in (("no.pem", "no certificate in PEM form"), ("gone.pem", "cannot be read: No such file")):
        with pytest.raises(ClientError, match=words):
            Client(by_name(secure), verify=tmp_path / file)


@pytest.mark.holds("TLS-3")
def test_a_certificate_that_has_expired_is_said_to_have(tmp_path: Path) -> None:
    cert, key = certificate("localhost", days=-1).write(tmp_path)
    with (
        hosting(tmp_path / "data", tls_cert=str(cert), tls_key=str(key)) as host,
        Client(by_name(host), verify=cert) as client,
        pytest.raises(Untrusted, match="has expired: renew it"),
    ):
        client.list_nics()


def test_consoles_streams_and_downloads_go_by_tls_and_by_the_socket(secure: Host, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"x" * 100_000)
    ways = contextlib.ExitStack()
    way = ways.enter_context(own_server.way(secure.settings))
    by_tls = Client(by_name(secure), secure.key, verify=tmp_path / "ca.pem")
    for number, client in enumerate((by_tls, Client(secure.url, secure.key, uds=way))):
        with client:
            vmid = client.create_vm(name=f"vm{number}", gid=0, cpus=1, memory_mib=64).vmid
            client.set_vm_state(vmid=vmid, state="RUNNING")
            console = client.console(client.open_console(vmid=vmid, kind="serial"))
            console.send(b"echo")
            assert console.receive(timeout=PATIENCE) == b"echo"
            console.close()
            mid = client.upload(image, mpid=1, gid=0, name=f"image{number}", type="DISK").mid
            client.download(mid, tmp_path / f"back{number}")
            assert (tmp_path / f"back{number}").read_bytes() == image.read_bytes()
            assert next(client.events()) is not None

    async def follow() -> None:
        async with AsyncClient(secure.url, secure.key, uds=way) as client:
            assert (await client.show_user()).uid == 0

    with ways:
        asyncio.run(follow())


@pytest.mark.holds("TLS-4")
def test_the_own_server_is_found_by_its_data_whatever_it_listens_on(tmp_path: Path) -> None:
    """With TLS for another name, in a directory whose path no socket's address could hold: no setting is told."""
    cert, key = certificate("vm.example.org").write(tmp_path)
    data = tmp_path / ("ein langer, ungewöhnlicher Weg " * 4) / "data"
    data.parent.mkdir()
    with hosting(data, tls_cert=str(cert), tls_key=str(key)) as host:
        host.environment = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "VELOCITY_DATA_DIR": str(data)}
        assert "root (uid 0)" in host.ok("whoami")
        host.ok("vm", "create", "web", "--memory", "64M")
        host.ok("vm", "start", "web")
        assert "asked web to shut down" in host.run("service", "stop-guests").stderr
        socket = data / own_server.SOCKET
        assert socket.stat().st_mode & 0o777 == 0o600
        assert (data / own_server.ADDRESS).read_text().strip() == host.url
        host.settings.key_file.unlink()
        assert host.run("whoami").exit_code == 3, "the socket is a way, and no sign-in"
    assert not socket.exists()
    assert host.run("whoami").exit_code == 5
