"""Transfers by the Python client and the command line: shorter sessions, lines that break, words at each end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.test_forms import FILE, NAMED, form
from tests.api.world import PASSWORD
from tests.host import Host
from tests.patience import at_last
from velocity.client import ApiError, Client, ClientError, HeldSession, renewal
from velocity.contract.machines import Attachment
from velocity.contract.problems import Problem, Refused
from velocity.media.rules import Medium
from velocity.store.media import SqlMedia

TUS = {"tus-resumable": "1.0.0"}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of which half is over are renewed at once."""
    monkeypatch.setattr(renewal, "SOONEST", 0.01)


class Cutting(httpx.HTTPTransport):
    """Cuts the connection of each of the first answers to a GET after so many bytes."""

    def __init__(self, *after: int) -> None:
        super().__init__()
        self.after = list(after)
        self.asked: list[str | None] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.method == "GET":
            self.asked.append(request.headers.get("range"))
            if self.after and response.is_success:
                return httpx.Response(
                    response.status_code, headers=response.headers, stream=Cut(response, self.after.pop(0))
                )
        return response


class Cut(httpx.SyncByteStream):
    def __init__(self, response: httpx.Response, after: int) -> None:
        self.response, self.after = response, after

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self.response.stream, httpx.SyncByteStream)
        for piece in self.response.stream:
            yield piece[: self.after]
            self.after -= len(piece)
            if self.after <= 0:
                self.response.close()
                raise httpx.ReadError("cut")


@pytest.mark.holds("IMAGE-23")
def test_a_download_goes_on_where_its_line_broke(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(FILE * 20)
    transport = Cutting(1_000_000, 500_000)
    with Client(host.url, host.key) as sender, Client(host.url, host.key, transport=transport) as client:
        mid = sender.upload(file, mpid=1, gid=0, name="a", type="DISK").mid
        client.download(mid, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == file.read_bytes()
        assert transport.asked == [None, "bytes=1000000-", "bytes=1500000-"]
        transport.after = [1_000_000]

        def changes(done: int, total: int) -> None:
            """Once, as it would by a VM that ran for a moment."""
            if transport.after or len(transport.asked) > 4:
                return
            stored = host.data / "media" / f"{mid}.raw"
            stored.write_bytes(b"n" * len(file.read_bytes()))

        client.download(mid, tmp_path / "new", progress=changes)
        assert (tmp_path / "new").read_bytes() == b"n" * file.stat().st_size, "from the beginning, of one time"


@pytest.mark.holds("IMAGE-21")
def test_a_download_that_a_vm_cuts_says_which(host: Host, tmp_path: Path) -> None:
    with Client(host.url, host.key) as client, Client(host.url, host.key) as other:
        mid = client.create_medium(mpid=1, gid=0, name="disk", size=64 << 20).mid
        vmid = other.create_vm(name="writer", gid=0, cpus=1, memory_mib=64, media=[Attachment(mid=mid, mode="BLOCK")])

        def starts(done: int, total: int) -> None:
            if done < 4 << 20:
                other.set_vm_state(vmid=vmid.vmid, state="RUNNING")

        with pytest.raises(ApiError, match="VM 'writer' is writing to medium 'disk': stop it first"):
            client.download(mid, tmp_path / "copy", progress=starts)
        assert not (tmp_path / "copy").exists()


@pytest.mark.holds("DUR-82")
def test_an_upload_waits_for_a_database_that_does_not_respond_at_its_end(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No byte is sent twice."""
    file = tmp_path / "file"
    file.write_bytes(FILE)
    sent: list[int] = []
    add, failures = SqlMedia.add, [1, 2]

    async def fails(store: SqlMedia, medium: Medium) -> None:
        if failures:
            failures.pop()
            raise Refused(Problem.UNAVAILABLE, "the database does not respond; nothing was changed: try again later")
        await add(store, medium)

    monkeypatch.setattr(SqlMedia, "add", fails)
    with Client(host.url, host.key) as client:
        made = client.upload(file, mpid=1, gid=0, name="waits", type="DISK", progress=lambda done, _: sent.append(done))
        assert (host.data / "media" / f"{made.mid}.raw").read_bytes() == FILE
    assert failures == []
    assert sorted(set(sent)) == sent


@pytest.mark.holds("CLI-4")
def test_the_failure_of_a_head_has_words(host: Host) -> None:
    with Client(host.url, host.key) as client, pytest.raises(ApiError) as refused:
        client.exchange("HEAD", "/m/media/tus/nothing", b"", dict(TUS))
    assert (refused.value.status, refused.value.code) == (404, 9219)
    assert refused.value.message == "there is no such upload: start it again"
    with Client(host.url, "wrong") as client, pytest.raises(ApiError, match="this authkey is unknown: sign in"):
        client.exchange("HEAD", "/m/media/tus/nothing", b"", dict(TUS))
    proxy = httpx.MockTransport(lambda request: httpx.Response(502))
    with Client("http://x", transport=proxy) as client, pytest.raises(ApiError, match="status 502"):
        client.exchange("HEAD", "/m/media/tus/nothing", b"", dict(TUS))


@pytest.mark.holds("CLI-5")
def test_a_session_is_renewed_while_its_client_works(host: Host, soon: None, tmp_path: Path) -> None:
    """Whoever shares it finds the new authkey; an upload goes on although the old one was refused in between."""
    file = tmp_path / "file"
    file.write_bytes(FILE * 30)
    with Client(host.url) as first, Client(host.url) as second:
        issued = first.sign_in(name="root", password=PASSWORD)
        due = HeldSession(issued.authkey, 0, 1)
        store = renewal.OwnSession(due)
        second.stay_signed_in(HeldSession.of(issued), store)
        first.stay_signed_in(due, store)
        at_last(lambda: first.authkey != issued.authkey, "the renewal")
        assert first.show_user().uid == 0
        assert second.authkey == issued.authkey, "which is refused now"
        assert second.upload(file, mpid=1, gid=0, name="a", type="DISK").size == len(FILE) * 30
        assert second.authkey == first.authkey
        second.download(second.list_media(gid=0).media[0].mid, tmp_path / "copy")
    with Client(host.url, issued.authkey) as stranger, pytest.raises(ApiError) as refused:
        stranger.show_user()
    assert refused.value.status == 401


@pytest.mark.holds("CLI-5")
def test_the_command_line_keeps_the_session_that_it_renews(host: Host, soon: None, tmp_path: Path) -> None:
    """One of which more than half is over; what else is kept stays."""
    del host.environment["VELOCITY_AUTHKEY"]
    host.ok("login", "root", "--password-stdin", typed=PASSWORD)
    kept = Path(host.environment["XDG_CONFIG_HOME"]) / "velocity" / "session.json"
    before = json.loads(kept.read_bytes())
    before["times"][host.url][0] = 0
    kept.write_text(json.dumps(before))

    def renewed() -> bool:
        host.ok("media", "list")
        return bool(json.loads(kept.read_bytes())["authkeys"] != before["authkeys"])

    at_last(renewed, "the renewal")
    after = json.loads(kept.read_bytes())
    assert after["times"][host.url][0] > 0
    assert (before["names"], before["last"]) == (after["names"], after["last"])
    with Client(host.url, before["authkeys"][host.url]) as stranger, pytest.raises(ApiError):
        stranger.show_user()
    (tmp_path / "image").write_bytes(b"x" * 100)
    host.ok("media", "upload", str(tmp_path / "image"))


@pytest.mark.holds("CLI-6")
def test_uploads_under_way_are_listed_ended_and_gone_on_with(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "big.img"
    file.write_bytes(FILE * 30)

    def killed(done: int, total: int) -> None:
        if done > 2 << 20:
            raise KeyboardInterrupt

    with Client(host.url, host.key) as client, pytest.raises(KeyboardInterrupt):
        client.upload(file, mpid=1, gid=0, name="big.img", type="DISK", progress=killed)
    at_last(lambda: any(one.size for one in host.app.services.uploads.all()))
    (listed,) = json.loads(host.ok("--json", "media", "uploads"))["uploads"]
    assert listed["name"] == "big.img" and 0 < listed["received"] < listed["size"]
    assert "big.img" in host.ok("media", "uploads")
    host.ok("media", "upload", str(file))
    (made,) = json.loads(host.ok("--json", "media", "list"))["media"]
    assert made["mid"] == listed["mid"], "the same upload went on"
    assert (host.data / "media" / f"{made['mid']}.raw").read_bytes() == file.read_bytes()
    assert "no uploads are under way" in host.run("media", "uploads").output

    with Client(host.url, host.key) as client, pytest.raises(KeyboardInterrupt):
        client.upload(file, mpid=1, gid=0, name="other", type="DISK", progress=killed)
    assert host.run("media", "cancel", "nothing").exit_code == 4
    host.ok("media", "cancel", "other")
    assert json.loads(host.ok("--json", "media", "uploads"))["uploads"] == []


@pytest.mark.holds("IMAGE-19")
def test_a_form_in_a_file_is_said_to_have_been_unwrapped(host: Host, tmp_path: Path) -> None:
    (tmp_path / "saved").write_bytes(form((NAMED, FILE)))
    result = host.run("media", "upload", str(tmp_path / "saved"))
    assert result.exit_code == 0 and "the file is a form with a file in it" in result.stderr
    (made,) = json.loads(host.ok("--json", "media", "list"))["media"]
    assert made["size"] == len(FILE)


@pytest.mark.holds("IMAGE-56")
def test_a_file_that_changes_while_it_is_uploaded_becomes_no_medium(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "file"

    def grows(done: int, total: int) -> None:
        if done:
            with file.open("ab") as more:
                more.write(b"x")

    def shrinks(done: int, total: int) -> None:
        if done:
            os.truncate(file, 1 << 20)

    def is_rewritten(done: int, total: int) -> None:
        if done:
            file.write_bytes(b"n" * total)

    with Client(host.url, host.key) as client:
        for changes in (grows, shrinks, is_rewritten):
            file.write_bytes(b"o" * (3 << 20))
            with pytest.raises(ClientError, match="has changed while it was uploaded: upload it again"):
                client.upload(file, mpid=1, gid=0, name="a", type="DISK", progress=changes)
            assert client.list_media(gid=0).media == []
        file.write_bytes(b"o" * (3 << 20))
        assert client.upload(file, mpid=1, gid=0, name="a", type="DISK").size == 3 << 20
