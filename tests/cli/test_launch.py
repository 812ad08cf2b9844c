"""`velocity launch` and `velocity vm ssh`: from the name of an image to the line that logs in."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import pytest
from msgspec import structs

from tests.api.images import qemu_img
from tests.api.test_catalogue import entry
from tests.cli.test_plan import planned
from tests.host import Host, hosting
from tests.patience import PATIENCE, at_last
from tests.serving import serving
from velocity.cli import ssh
from velocity.client import Client
from velocity.config import NicSetting
from velocity.contract.vm_settings import Forward
from velocity.hypervisor.fake import FACTS, FakeHypervisor
from velocity.hypervisor.port import HardwareProfile, NicAddress

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7kZ0qS me@here"
BRIDGED = dataclasses.replace(
    FACTS, hardware=(HardwareProfile("2", "", nat_bridge=True),), nat_networks=("127.9.16.0/28",)
)
"""Its guests have addresses on which the tests can answer."""


class Served:
    """A server with one image, that counts who asks for it."""

    def __init__(self, content: bytes) -> None:
        self.asked, self.turn = 0, Lock()
        self.sends = Event()
        self.sends.set()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with served.turn:
                    served.asked += 1
                served.sends.wait(PATIENCE)
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "raw").write_bytes(b"a disk".ljust(1 << 20, b"\0"))
    qemu_img("convert", "-O", "qcow2", tmp_path / "raw", tmp_path / "qcow2")
    content = (tmp_path / "qcow2").read_bytes()
    made = Served(content)
    url = f"http://127.0.0.1:{made.server.server_port}/a.qcow2"
    (tmp_path / "more.toml").write_text(entry(url, sha256=hashlib.sha256(content).hexdigest()))
    with serving(made.server):
        yield made


@pytest.fixture
def bridged(tmp_path: Path, served: Served) -> Iterator[Host]:
    with hosting(tmp_path / "data", FakeHypervisor(BRIDGED), catalogues=[str(tmp_path / "more.toml")]) as made:
        yield made


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Something speaks as ssh does, at every address of this host."""
    with socket.create_server(("0.0.0.0", 0)) as listener:
        monkeypatch.setattr(ssh, "PORT", listener.getsockname()[1])

        def answer() -> None:
            while True:
                try:
                    connected, _ = listener.accept()
                except OSError:
                    return
                with connected:
                    connected.sendall(b"SSH-2.0-test\r\n")

        Thread(target=answer, daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)


def media(host: Host) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads(host.ok("media", "list", "--json"))["media"]}


@pytest.mark.holds("CLI-31")
@pytest.mark.usefixtures("answering")
def test_an_image_becomes_a_vm_that_one_logs_in_to(bridged: Host, served: Served) -> None:
    steps = planned(bridged, "launch", "small-1", "--name", "web", "--ssh-key", KEY)
    assert steps == [
        "would create medium small-1 in /", "would create vm web in /",
        "would take 1 CPU, 1.0 GiB, 1 VM in /",
    ]  # fmt: skip
    assert media(bridged) == {} and served.asked == 0
    said = bridged.ok("launch", "small-1", "--name", "web", "--ssh-key", KEY, "--memory", "64M")
    info = json.loads(bridged.ok("vm", "show", "web", "--json"))
    (address,) = info["interfaces"][0]["addresses"]
    assert said.split("#")[0].strip() == "velocity vm ssh web" and f"ssh small@{address}" in said
    assert (info["state"], info["cloud_init"]) == ("RUNNING", {"user": "small", "ssh_keys": [KEY], "secrets": []})
    found = media(bridged)
    assert {name: one["readonly"] for name, one in found.items()} == {"small-1": True, "web-disk": False}
    assert [one["mid"] for one in info["media"]] == [found["web-disk"]["mid"]]
    assert bridged.ok("launch", "small-1", "--name", "web", "--ssh-key", KEY) == said, "it goes on with what is there"
    bridged.ok("launch", "small-1", "--name", "db", "--memory", "64M", "--user", "ann", "--no-wait")
    assert served.asked == 1, "the image is fetched once"
    assert json.loads(bridged.ok("vm", "show", "db", "--json"))["cloud_init"]["user"] == "ann"
    bridged.ok("vm", "create", "old", "--memory", "64M")
    refused = bridged.run("launch", "small-1", "--name", "old")
    assert refused.exit_code == 1 and "another VM old" in refused.stderr
    copied = json.loads(
        bridged.ok("launch", f"id:{found['small-1']['mid']}", "--name", "c", "--memory", "64M", "--no-wait", "--json")
    )
    assert copied["state"] == "RUNNING" and "user" not in copied["cloud_init"]
    assert "nobody can log in" in bridged.run("launch", "small-1", "--name", "db", "--no-wait").stderr
    refused = bridged.run("launch", f"id:{found['small-1']['mid']}")
    assert refused.exit_code == 2 and "--name" in refused.stderr
    refused = bridged.run("launch", "nothing")
    assert refused.exit_code == 4 and "media catalogue" in refused.stderr


@pytest.mark.holds("CLI-38")
def test_a_disk_is_as_large_as_it_is_asked_to_be_and_never_cut(bridged: Host) -> None:
    words = ("launch", "small-1", "--memory", "64M", "--no-wait", "--disk-size")
    bridged.ok(*words, "3M", "--name", "large")
    assert {name: one["size"] >> 20 for name, one in media(bridged).items()} == {"small-1": 1, "large-disk": 3}
    refused = bridged.run(*words, "512K", "--name", "cut")
    assert refused.exit_code == 1 and "disks only grow" in refused.stderr
    refused = bridged.run(*words, "3M", "--name", "cut", "--cpus", "999")
    assert refused.exit_code == 1 and "cpus is 999" in str(refused.exception)
    assert "cut" not in bridged.ok("vm", "list") and "cut-disk" not in media(bridged), "nothing is left of either"


@pytest.mark.holds("CLI-39")
def test_an_apply_file_names_an_image_of_the_catalogue(bridged: Host, served: Served, tmp_path: Path) -> None:
    text = '[[media]]\nname = "base"\nimage = "small-1"\n'
    (tmp_path / "apply.toml").write_text(text)
    file = str(tmp_path / "apply.toml")
    assert "fetch medium base (small-1)" in bridged.ok("apply", file, "--plan") and served.asked == 0
    bridged.ok("apply", file, "--yes")
    (base,) = media(bridged).values()
    (image,) = (
        one for one in json.loads(bridged.ok("media", "catalogue", "--json"))["images"] if one["name"] == "small-1"
    )
    assert (base["origin"], base["format"]) == (image["origin"], "qcow2")
    bridged.ok("apply", file, "--yes")
    assert served.asked == 1, "it is there"
    (tmp_path / "apply.toml").write_text(text.replace("base", "other").replace("small-1", "small-2"))
    refused = bridged.run("apply", file, "--yes")
    assert (
        refused.exit_code == 1 and "small-2" in str(refused.exception) and "media catalogue" in str(refused.exception)
    )
    (tmp_path / "small-2").write_bytes((tmp_path / "qcow2").read_bytes())
    bridged.ok("apply", file, "--yes")
    assert "origin" not in media(bridged)["other"] and served.asked == 1, "a file beside it goes before the catalogue"


@pytest.mark.holds("CLI-31")
@pytest.mark.usefixtures("answering")
def test_two_launches_at_once_fetch_the_image_once(bridged: Host, served: Served, tmp_path: Path) -> None:
    served.sends.clear()
    command = [sys.executable, "-m", "velocity", "launch", "small-1", "--memory", "64M", "--no-wait", "--name"]
    files = [(tmp_path / name).open("w+") for name in ("a", "b")]
    running = [
        subprocess.Popen([*command, Path(file.name).name], env={**os.environ, **bridged.environment}, stderr=file)
        for file in files
    ]
    waits = "somebody else is fetching"
    at_last(lambda: any(waits in Path(file.name).read_text() for file in files), "that one waits for the other")
    served.sends.set()
    assert [one.wait(PATIENCE) for one in running] == [0, 0]
    for file in files:
        file.close()
    assert served.asked == 1 and set(media(bridged)) == {"small-1", "a-disk", "b-disk"}


@pytest.mark.holds("CLI-31")
def test_a_launch_that_was_cut_short_goes_on_where_it_stood(bridged: Host, served: Served) -> None:
    bridged.ok("media", "fetch", "small-1", "--readonly")
    bridged.ok("media", "clone", "small-1", "web-disk")
    bridged.ok("launch", "small-1", "--name", "web", "--memory", "64M", "--no-wait")
    assert served.asked == 1 and set(media(bridged)) == {"small-1", "web-disk"}


@pytest.mark.holds("CLI-31")
def test_without_an_address_the_console_is_named(tmp_path: Path) -> None:
    with hosting(tmp_path / "data", forward_ports="none") as host:
        host.ok("media", "create", "disk", "--size", "1M")
        said = host.run("launch", "disk", "--name", "web", "--memory", "64M")
        assert said.exit_code == 0 and "velocity vm console" in said.stderr and "as root" in said.stderr
        refused = host.run("vm", "ssh", "web")
        assert refused.exit_code == 1 and "velocity vm console" in refused.stderr
        host.ok("vm", "stop", "web", "--force")
        assert "velocity vm start" in host.run("vm", "ssh", "web").stderr


@pytest.mark.holds("CLI-64")
def test_nobody_waits_for_ssh_of_a_vm_that_does_not_run(bridged: Host) -> None:
    """NAT keeps its address, where nothing responds."""
    bridged.ok("vm", "create", "web", "--memory", "64M", "--nic", "nat")
    assert "127.9.16.2" in bridged.ok("vm", "list")
    assert "VM web is STOPPED: `velocity vm start" in bridged.run("vm", "ssh", "web").stderr
    bridged.ok("vm", "start", "web")
    bridged.ok("vm", "pause", "web")
    assert "VM web is PAUSED: `velocity vm resume" in bridged.run("vm", "ssh", "web").stderr


@pytest.mark.holds("CLI-42")
def test_a_bridged_address_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "LOOK", 0.01)
    with hosting(tmp_path / "data", nics=[NicSetting(nicid=5, identifier="br0", description="office")]) as host:
        host.ok("media", "create", "disk", "--size", "1M")
        words = ("launch", "disk", "--name", "web", "--memory", "64M", "--nic", "bridge:br0", "--user", "ann")
        said = host.run(*words, "--timeout", "0.05")
        assert said.exit_code == 0 and "no address of VM web is known" in said.stderr
        assert "guest agent" in said.stderr and "--forward" not in said.stderr, "which a bridged NIC has no use for"
        refused = host.run("vm", "ssh", "web", "--timeout", "0.05")
        assert refused.exit_code == 1 and "guest agent" in refused.stderr
        (machine,) = host.hypervisor.runs
        with Client(host.url, authkey=host.key) as client, ThreadPoolExecutor() as waits:
            target = waits.submit(lambda: ssh.awaited(client, client.show_vm(vmid=1), PATIENCE)[1])
            with pytest.raises(TimeoutError):
                target.result(0.1)
            host.hypervisor.hosts.heard = [NicAddress(machine, 1, "192.0.2.7")]
            look = host.app.services.addresses.look()
            asyncio.run_coroutine_threadsafe(look, host.loop).result(PATIENCE)
            assert target.result(PATIENCE) == ssh.Target("192.0.2.7")
        said = host.run(*words, "--no-wait")
        assert "ssh ann@192.0.2.7" in said.stdout


@pytest.mark.holds("CLI-36")
def test_in_qemus_user_network_a_port_of_the_host_leads_to_ssh(host: Host) -> None:
    host.hypervisor.state.taken_ports = {2222}
    host.ok("vm", "create", "other", "--memory", "64M", "--nic", "nat", "--forward", "2223:22")
    host.ok("media", "create", "disk", "--size", "1M")
    said = host.run("launch", "disk", "--name", "web", "--memory", "64M", "--no-wait", "--user", "ann")
    assert said.exit_code == 0 and "the port 2224 of this host, at 127.0.0.1, leads to its ssh" in said.stderr
    assert said.stdout.strip().endswith("ssh -p 2224 ann@127.0.0.1")
    assert "127.0.0.1:2224:22" in host.ok("vm", "show", "web")
    again = host.run("launch", "disk", "--name", "web", "--memory", "64M", "--no-wait", "--user", "ann")
    assert again.stdout == said.stdout and "2224" not in again.stderr, "what leads to it is used"
    with Client(host.url, authkey=host.key) as client:
        info = client.show_vm(vmid=2)
        assert ssh.target(client, info) == ssh.Target("127.0.0.1", 2224)
        client.server = "http://far.example:8090"
        assert ssh.target(client, info) is None, "which leads from that host alone"
        everywhere = structs.replace(info, forwards=[Forward(host_port=2225, guest_port=22)])
        assert ssh.target(client, everywhere) == ssh.Target("far.example", 2225)


@pytest.mark.holds("CLI-32")
def test_ssh_keeps_the_keys_of_guests_by_vm_and_server(
    bridged: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a %h"))
    bridged.ok("vm", "create", "web", "--memory", "64M", "--nic", "nat", "--user", "ann")
    name = f"vm-1.{bridged.settings.listen.replace(':', '-')}"
    with Client(bridged.settings.base_url, authkey=bridged.key) as client:
        info = client.show_vm(vmid=1)
        words = ssh.line(client, info, None)
        kept = tmp_path / "a %h/velocity/known_hosts" / name
        kept.write_text("a key")
        other = ssh.line(client, info, "bob")
        assert kept.exists() and words[-2:] == ["-l", "ann"] and other[-2:] == ["-l", "bob"]
        assert ssh.line(client, info, None, new_key=True) == words and not kept.exists()
    said = dict(word.split("=", 1) for word in words if "=" in word)
    assert said == {
        "HostKeyAlias": name, "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": f'"{tmp_path}/a %%h/velocity/known_hosts/{name}"',
    }  # fmt: skip
