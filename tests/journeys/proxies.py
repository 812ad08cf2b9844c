"""Reverse proxies as docs/tls-and-proxies.md has them, each a process of its own, on ports of ours."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import certificate
from tests.journeys.server import free_port
from tests.patience import PATIENCE

DOCUMENT = Path(__file__).parents[2] / "docs" / "tls-and-proxies.md"
MODULES = (
    "mpm_event", "authz_core", "authn_core", "authz_host", "socache_shmcb", "ssl", "headers", "setenvif", "reqtimeout",
    "proxy", "proxy_http",
)  # fmt: skip
"""Of Apache's; what a distribution has turned on, and those that the document names."""


@dataclass(frozen=True)
class Proxy:
    """Where it answers, and the authority that signed its certificate."""

    url: str
    ca: Path


def block(name: str) -> str:
    """The configuration in the document."""
    found = re.search(rf"```{name}\n(.*?)```", DOCUMENT.read_text(), re.S)
    assert found is not None, f"docs/tls-and-proxies.md has no block for {name}"
    return found[1]


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert old in text, (old, text)
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def running(name: str, place: Path, port: int, *changes: tuple[str, str]) -> Iterator[Proxy]:
    """That proxy, before the server on `port`; `changes` are made to the document's block first."""
    place.mkdir()
    lab = certificate("lab CA", authority=True)
    own = certificate("localhost", by=lab)
    own.write(place, lab)
    (place / "ca.pem").write_bytes(lab.pem)
    (place / "both.pem").write_bytes(own.pem + lab.pem + own.key_pem())
    listens = free_port()
    text = replaced(block(name), *changes).replace("127.0.0.1:8090", f"127.0.0.1:{port}")
    command = COMMANDS[name](place, listens, text)
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={"PATH": os.environ["PATH"], "HOME": str(place), "XDG_DATA_HOME": str(place)},
        )  # fmt: skip
    try:
        end = time.monotonic() + PATIENCE
        while not _answers(listens):
            assert process.poll() is None and time.monotonic() < end, (place / "log").read_text()
            time.sleep(0.02)
        yield Proxy(f"https://localhost:{listens}", place / "ca.pem")
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _program(*names: str) -> str:
    for name in names:
        if found := shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            return found
    raise AssertionError(f"none of {names} is there: scripts/setup dev installs it")


def _nginx(place: Path, port: int, text: str) -> list[str]:
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{one}_temp_path {place}/{one};\n" for one in names)
    server = replaced(
        text,
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/vm.example.org.pem", f"{place}/cert.pem"),
        ("/etc/ssl/vm.example.org.key", f"{place}/key.pem"),
    )
    (place / "nginx.conf").write_text(
        f"daemon off; pid {place}/pid; error_log stderr; user root; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; {temporary}{server} }}\n"
    )
    return [_program("nginx"), "-e", "stderr", "-c", str(place / "nginx.conf")]


def _caddy(place: Path, port: int, text: str) -> list[str]:
    site = replaced(
        text, ("vm.example.org {", f"https://localhost:{port} {{\n\ttls {place}/cert.pem {place}/key.pem\n")
    )
    (place / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{site}")
    return [_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(place / "Caddyfile")]


def _haproxy(place: Path, port: int, text: str) -> list[str]:
    (place / "haproxy.cfg").write_text(
        replaced(text, ("bind :443", f"bind 127.0.0.1:{port}"), ("/etc/ssl/vm.example.org.pem", f"{place}/both.pem"))
    )
    return [_program("haproxy"), "-db", "-f", str(place / "haproxy.cfg")]


def _apache(place: Path, port: int, text: str) -> list[str]:
    program = _program("apache2", "httpd")
    folder = next(one for one in map(Path, ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules")) if one.is_dir())
    modules = "".join(f"LoadModule {one}_module {folder}/mod_{one}.so\n" for one in MODULES)
    host = replaced(
        text,
        ("*:443", f"127.0.0.1:{port}"),
        ("/etc/ssl/vm.example.org.pem", f"{place}/cert.pem"),
        ("/etc/ssl/vm.example.org.key", f"{place}/key.pem"),
    )
    (place / "apache.conf").write_text(
        f"ServerRoot {place}\nServerName localhost\nPidFile {place}/pid\nDefaultRuntimeDir {place}\n"
        f"Listen 127.0.0.1:{port}\nErrorLog {place}/error.log\n{modules}{host}"
    )
    return [program, "-f", str(place / "apache.conf"), "-DFOREGROUND"]


COMMANDS = {"nginx": _nginx, "caddy": _caddy, "haproxy": _haproxy, "apache": _apache}
UNDER_A_PATH = {
    "nginx": (
        ("location / {", "location /velocity/ {"),
        ("proxy_pass http://127.0.0.1:8090;", "proxy_pass http://127.0.0.1:8090/;"),
    ),
    "caddy": (("\treverse_proxy 127.0.0.1:8090", "\thandle_path /velocity/* {\n\treverse_proxy 127.0.0.1:8090\n}"),),
    "haproxy": (("    server velocity", "    http-request replace-path /velocity/(.*) /\\1\n    server velocity"),),
    "apache": (("ProxyPass / ", "ProxyPass /velocity/ "),),
}
"""The changes that the document describes."""
