"""Certificates of hosts, and of the authority that signs them, are renewed by themselves."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from tests.hosts.installation import Installation
from tests.hosts.test_joining import rows_of
from tests.patience import eventually
from velocity.hosts.members import JoinToken, Sealed
from velocity.node import identity
from velocity.node.certificates import Authority
from velocity.store.hosts import SqlMembers

pytestmark = pytest.mark.anyio


@pytest.mark.holds("MANY-33")
async def test_a_certificate_is_renewed_by_itself_before_its_time_is_over(here: Installation) -> None:
    one, host = await here.join("b")
    before = identity.read(one.settings.data_dir)
    assert before is not None

    def renewed() -> bool:
        now = identity.read(one.settings.data_dir)
        return now is not None and now.certificate != before.certificate

    here.now = before.begins + (before.expires - before.begins) * 0.6
    await here.until(host, lambda now: now.state == "online")
    assert not renewed()
    here.now = before.begins + (before.expires - before.begins) * 0.7
    await eventually(renewed, "a new certificate")
    here.now = float(before.begins)
    now = identity.read(one.settings.data_dir)
    assert now is not None
    assert now.key != before.key
    await here.until(host, lambda now: now.state == "online")
    await here.reopen()
    await here.until(host, lambda now: now.state == "online")


@pytest.mark.holds("MANY-49")
@pytest.mark.parametrize("has_the_new_one", [True, False])
async def test_a_server_that_ended_while_it_renewed_a_certificate_finds_the_host_by_either(
    here: Installation, has_the_new_one: bool
) -> None:
    one, host = await here.join("b")
    own = identity.read(one.settings.data_dir)
    assert own is not None
    await here.membership.close()
    rows = SqlMembers(here.database)
    (member,) = (row for row in rows.load().members if row.host == host)
    serial, renewing = ("1", own.serial) if has_the_new_one else (own.serial, "1")
    await rows.note(dataclasses.replace(member, serial=serial, renewing=renewing))
    await here.reopen()
    await here.until(host, lambda now: now.state == "online")
    await eventually(lambda: [row.renewing for row in rows_of(here) if row.host == host] == [""])
    assert [row.serial for row in rows_of(here) if row.host == host] == [own.serial]


@pytest.mark.holds("MANY-236")
async def test_the_authority_is_renewed_in_time_and_hosts_learn_of_it_with_their_own_certificate(
    here: Installation,
) -> None:
    old = Authority.make(datetime.now(UTC) - timedelta(days=3000))
    sealed, store = Sealed(old.certificate.decode(), old.key.decode()), SqlMembers(here.database)
    awaited = JoinToken("0" * 32, b"k" * 32, int(here.now) + 3600)
    await store.add_token(awaited, sealed, 0)
    await here.reopen()
    one, host = await here.join("b")

    def known() -> str:
        found = identity.read(one.settings.data_dir)
        assert found is not None
        return found.authority

    assert known() == sealed.certificate, "a token that somebody may use names it"
    here.now += 7200
    await here.reopen()
    await here.until(host, lambda now: now.state == "online")
    renewed = SqlMembers(here.database).load().authority
    assert renewed is not None
    assert renewed.key == sealed.key
    assert renewed.certificate != sealed.certificate == known()
    here.now += 300 * 86_400
    await eventually(lambda: known() == renewed.certificate)
    await here.until(host, lambda now: now.state == "online")
    await here.join("c")
