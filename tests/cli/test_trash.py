"""Emptying the trash, while others do so too."""

from __future__ import annotations

import pytest

from tests.host import Host
from velocity.cli.trash import remove_all
from velocity.client import Client


@pytest.mark.holds("CLI-24")
def test_what_went_meanwhile_does_not_end_the_emptying(host: Host) -> None:
    for name in ("a", "b", "c"):
        host.ok("media", "create", name, "--size", "1M")
        host.ok("media", "rm", name)
    with Client(host.url, host.key) as client:
        items = client.list_trash().items
        client.purge(trid=items[0].trid)
        assert remove_all(client, items[:2]) == 1
        assert [one.trid for one in client.list_trash().items] == [items[2].trid]
