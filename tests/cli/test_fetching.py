"""`velocity media fetch`: what is made of a URL, and what is said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.api.images import qemu_img
from tests.cli.test_plan import planned
from tests.host import Host
from tests.serving import serving

RAW = b"a disk of some bytes".ljust(1 << 20, b"\0")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """A server with a disk under each path."""
    (tmp_path / "raw").write_bytes(RAW)
    qemu_img("convert", "-O", "qcow2", tmp_path / "raw", tmp_path / "qcow2")
    image = (tmp_path / "qcow2").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = image if "qcow2" in self.path else RAW
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.holds("IMAGE-37")
def test_what_is_fetched_is_named_and_imported_by_its_url(host: Host, served: str) -> None:
    rows = (
        ("/img/debian%2013.qcow2?key=secret", (), "debian 13", "DISK", "qcow2"),
        ("/a.qcow2", ("--format", "raw", "--name", "b"), "b", "DISK", "raw"),
        ("/c.qcow2", ("--as-is",), "c.qcow2", "DISK", "raw"),
        ("/d.iso", ("--readonly", "--sha256", hashlib.sha256(RAW).hexdigest()), "d.iso", "ISO", "raw"),
        ("/e.bin", ("--type", "FIRMWARE"), "e.bin", "FIRMWARE", "raw"),
    )
    for path, words, *_ in rows:
        assert len(host.ok("media", "fetch", served + path, *words).split()[0]) == 36, path
    media = {one["name"]: one for one in json.loads(host.ok("media", "list", "--json"))["media"]}
    assert {(name, one["type"], one["format"]) for name, one in media.items()} == {tuple(row[2:]) for row in rows}
    assert media["b"]["size"] == len(RAW) != media["c.qcow2"]["size"] and media["d.iso"]["readonly"]
    assert planned(host, "media", "fetch", served + "/f.qcow2") == ["would create medium f in /"]
    tid = host.ok("media", "fetch", served + "/g.qcow2", "--detach").strip()
    host.ok("task", "wait", f"id:{tid}")
    assert "fetch" in host.ok("task", "list") and "secret" not in host.ok("task", "list")


@pytest.mark.holds("IMAGE-37")
def test_what_cannot_be_fetched_is_said(host: Host, served: str) -> None:
    rows = (
        ((served,), "give the medium a name with --name"),
        ((served + "/a.qcow2", "--as-is", "--format", "raw"), "exclude each other"),
        (("ftp://host/a",), "neither https:// nor http://"),
        (("http://[", "--name", "a"), "cannot be read"),
        ((served + "/a.iso", "--sha256", "0" * 64), "not the one in `sha256`"),
        ((served + "/a.iso", "--sha256", "0"), "sha256"),
    )
    for words, said in rows:
        result = host.run("media", "fetch", *words)
        assert result.exit_code and said in f"{result.output} {result.exception}", (words, result)
    assert json.loads(host.ok("media", "list", "--json"))["media"] == []


@pytest.mark.holds("IMAGE-37")
def test_a_file_of_an_installation_names_urls(host: Host, served: str, tmp_path: Path) -> None:
    file, sum_ = tmp_path / "installation.toml", hashlib.sha256(RAW).hexdigest()
    tables = (
        f'name = "a"\nurl = "{served}/a.iso?key=secret"\nsha256 = "{sum_}"',
        f'name = "b"\nurl = "{served}/b.qcow2"\nformat = "qcow2"',
    )
    file.write_text("".join(f"[[media]]\n{table}\n" for table in tables))
    plan = host.ok("apply", str(file), "--plan")
    assert "fetch medium a (from 127.0.0.1) for /" in plan and "secret" not in plan
    host.ok("apply", str(file), "--yes")
    media = json.loads(host.ok("media", "list", "--json"))["media"]
    assert {(one["name"], one["type"], one["format"], one["size"]) for one in media} == {
        ("a", "ISO", "raw", len(RAW)), ("b", "DISK", "qcow2", len(RAW))
    }  # fmt: skip
    assert "fetch" not in host.ok("apply", str(file), "--yes"), "what is there is not fetched again"
    for text, words in (
        ('url = "http://host/x"\nsize = 1', "exactly one of size, file, image and url"),
        (f'size = 1\nsha256 = "{sum_}"', "of a url only"),
        (f'url = "{served}/c.iso"\nsha256 = "{"0" * 64}"', "not the one in `sha256`"),
    ):
        file.write_text(f'[[media]]\nname = "c"\n{text}\n')
        result = host.run("apply", str(file), "--yes")
        assert result.exit_code and words in f"{result.output} {result.exception}", text
