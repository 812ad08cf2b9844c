"""Uploads that are under way elsewhere, on the Media page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.host import Host
from tests.web.conftest import NewPerson
from velocity.client import Client


@pytest.mark.holds("PAGE-20")
def test_an_interrupted_upload_is_shown_and_can_be_ended(host: Host, person: NewPerson, tmp_path: Path) -> None:
    file = tmp_path / "big.img"
    file.write_bytes(bytes(3 << 20))

    def killed(done: int, total: int) -> None:
        if done > 1 << 20:
            raise KeyboardInterrupt

    with Client(host.url, host.key) as client, pytest.raises(KeyboardInterrupt):
        client.upload(file, mpid=1, gid=0, name="big.img", type="DISK", progress=killed)
    somebody = person(host.url)
    somebody.enter("root", "/media")
    shown = somebody.page.get_by_role("region", name="Uploads elsewhere")
    expect(shown).to_contain_text("big.img")
    expect(shown).to_contain_text("of 3 MiB")
    assert somebody.violations(".v-uploads") == []
    shown.get_by_role("button", name="Cancel big.img").click()
    somebody.page.get_by_role("button", name="Cancel the upload").click()
    expect(shown).to_have_count(0)
    assert json.loads(host.ok("--json", "media", "uploads"))["uploads"] == []
