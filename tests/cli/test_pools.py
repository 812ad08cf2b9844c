"""`velocity pool`: what is not named stays, and what holds now is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.cli.people import member
from tests.host import Host
from tests.patience import PATIENCE
from tests.serving import serving
from velocity.cli.doctor import UNPACKERS, pools
from velocity.client import Client
from velocity.storage.directory.unpackers import UNPACK


@pytest.fixture
def red(host: Host) -> Host:
    host.ok("group", "create", "red")
    host.ok("group", "create", "attic", "--parent", "red")
    return host


def assigned(host: Host, group: str) -> Any:
    """What is assigned to the group itself, as quota, write and manage."""
    (pool,) = json.loads(host.ok("pool", "list", "--group", group, "--json"))["pools"]
    return tuple(pool["assigned"].values()) if "assigned" in pool else None


OF_A_CONNECTION = ("host", "connection", "content-length", "transfer-encoding")


@contextmanager
def between(url: str) -> Iterator[tuple[str, dict[str, Callable[[], object]]]]:
    """A proxy in front of the server, and what is done after an answer of each path."""
    after: dict[str, Callable[[], object]] = {}

    class Passing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in OF_A_CONNECTION}
            answer = httpx.request(self.command, url + self.path, content=body, headers=headers, timeout=PATIENCE)
            after.get(self.path, lambda: None)()
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in OF_A_CONNECTION:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_PUT = do_PATCH = do_DELETE = do_HEAD = do_POST

        def log_message(self, *_: object) -> None:
            """It is nobody's business."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}", after


def said(host: Host, *words: str) -> str:
    result = host.run("pool", "assign", *words)
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.stdout == ""
    return result.stderr


def test_what_is_not_named_stays(red: Host) -> None:
    assert said(red, "default", "red", "--quota", "2G", "--write", "--manage") == (
        "assigned pool default (1) to red: quota 2.0 GiB, write yes, manage yes\n"
    )
    assert said(red, "1", "red", "--quota", "3G").endswith("to red: quota 3.0 GiB, write yes, manage yes\n")
    said(red, "1", "red", "--no-write")
    assert assigned(red, "red") == (3 << 30, False, True)
    said(red, "1", "red", "--quota", "none", "--write")
    assert assigned(red, "red") == (0, True, True)
    said(red, "1", "red")
    assert assigned(red, "red") == (0, True, True)
    assert said(red, "1", "red", "--quota", "0", "--no-write", "--no-manage").endswith(
        "quota none, write no, manage no\n"
    )


def test_a_new_pool_gives_no_more_than_is_named(red: Host) -> None:
    said(red, "1", "red")
    assert assigned(red, "red") == (0, False, False)


def test_what_a_group_inherits_stays_when_it_gets_a_quota_of_its_own(red: Host) -> None:
    said(red, "1", "red", "--quota", "2G", "--write", "--manage")
    assert assigned(red, "attic") is None
    said(red, "1", "attic", "--quota", "1G")
    assert assigned(red, "attic") == (1 << 30, True, True)


def test_what_was_changed_meanwhile_is_not_undone(red: Host) -> None:
    said(red, "1", "red", "--write", "--manage")
    with Client(red.url, red.key) as other, between(red.url) as (url, after):
        after["/m/pool/list"] = lambda: other.assign_pool(gid=1, mpid=1, write=False, manage=True)
        refused = red.run("pool", "assign", "id:1", "id:1", "--quota", "1G", VELOCITY_SERVER=url)
    assert refused.exit_code == 1
    assert "changed" in str(refused.exception)
    assert assigned(red, "red") == (0, False, True)


def test_pools_go_by_name(red: Host) -> None:
    said(red, "default", "red", "--write", "--manage")
    rosa = member(red, "rosa", "red")
    rosa.ok("media", "create", "disk", "--size", "1M", "--pool", "default")
    assert said(rosa, "default", "attic", "--write").startswith("assigned pool default (1) to red/attic: ")
    unknown = rosa.run("pool", "assign", "fast", "attic")
    assert unknown.exit_code == 4
    assert "you see no pool named 'fast'" in unknown.stderr
    assert red.run("pool", "revoke", "default", "red").stderr == "took pool default (1) away from red\n"


def test_who_may_assign_but_not_list_names_all(red: Host) -> None:
    said(red, "1", "red", "--write", "--manage")
    ivan = member(red, "ivan", "red", holds="pool.assign")
    assert ivan.run("pool", "assign", "1", "attic", "--write").exit_code == 3
    assert said(ivan, "1", "attic", "--quota", "1G", "--write", "--no-manage") == (
        "assigned pool 1 to red/attic: quota 1.0 GiB, write yes, manage no\n"
    )


def test_a_pool_that_is_away_is_shown_as_such(host: Host) -> None:
    (found,) = pools(host.settings)
    assert found.text.startswith("pool 'default': ")
    (host.data / "media").rename(host.data / "away")
    for words in (("pool", "list"), ("host", "show")):
        shown = host.run(*words)
        assert shown.exit_code == 0
        assert shown.stdout.splitlines()[-1].endswith(" away")
        assert shown.stderr.startswith("warning: pool 'default' is away")
    refused = host.run("media", "create", "disk", "--size", "1M")
    assert refused.exit_code == 1
    assert "pool 'default' is away" in str(refused.exception)
    (found,) = pools(host.settings)
    assert (found.verdict, found.text) == (
        "limited", f"pool 'default' is not at {host.data / 'media'}: mount its disk there",
    )  # fmt: skip
    (host.data / "away").rename(host.data / "media")
    assert host.ok("pool", "list").splitlines()[-1].endswith(" online")


def test_doctor_names_programs_that_imports_lack(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {words[0] for words in UNPACK.values()} <= {*UNPACKERS, "cat"}
    which = shutil.which
    assert "unpackers" not in host.run("doctor").stdout
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("zstd", "bzip2") else which(name))
    assert "not all packed images can be imported: install zstd, bzip2" in host.run("doctor").stdout
