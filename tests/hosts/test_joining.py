"""A machine joins by a token, and by nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec import UNSET
from msgspec.structs import replace
from sqlalchemy import delete, insert

from tests.hosts.installation import Installation
from tests.patience import eventually
from velocity.contract import joining
from velocity.contract.joining import BadToken, NodeToken
from velocity.contract.nodes import JoinNode, ListNodes, SetNode
from velocity.contract.problems import Problem, Refused
from velocity.hosts.joining import TOKENS
from velocity.hosts.members import Member
from velocity.hosts.port import FIRST_HOST, Duty
from velocity.node import identity, places
from velocity.node.certificates import Authority, serial_of
from velocity.node.joining import BadAnswer
from velocity.store.hosts import SqlMembers
from velocity.store.leadership import Term
from velocity.store.tables import authority, groups, media

pytestmark = pytest.mark.anyio


async def names(here: Installation) -> list[str]:
    return [one.name for one in await here.membership.all(ListNodes())][1:]


@pytest.mark.holds("MANY-24")
async def test_a_machine_joins_by_a_token_and_is_attached_with_what_it_tells(here: Installation) -> None:
    one, host = await here.join("b")
    now = await here.membership.show(host)
    assert (now.name, now.state, now.own, now.vms) == ("b", "online", False, 0)
    assert [(pool.mpid, pool.name) for pool in now.pools] == [(2, "b")], "a number that no other host has"
    attached = here.hosts.there[host]
    assert (attached.name, attached.duty, attached.pools[0].mpid) == ("b", Duty.ACTIVE, 2)
    found = await attached.hypervisor.machines.adopt(host, deadline=5)
    assert found.complete
    assert found.host == host
    assert one.running is not None


@pytest.mark.holds("MANY-56")
async def test_a_question_without_an_answer_is_told_to_who_else_waits_for_the_host(here: Installation) -> None:
    one, host = await here.join("b")
    assert here.hosts.doubted == []
    await one.stop()
    await here.until(host, lambda now: now.state == "unreachable")
    assert here.hosts.doubted == [host]


@pytest.mark.holds("MANY-257")
async def test_a_token_of_a_time_in_which_the_clock_was_ahead_holds_no_longer_than_any(here: Installation) -> None:
    here.now += 365 * 86_400
    words = [await here.token() for _ in range(TOKENS)]
    here.now -= 365 * 86_400
    with pytest.raises(Refused, match="token"):
        await here.membership.joining.join(here.machine("b").asks(words[0]))
    await here.join("b")


@pytest.mark.holds("MANY-257")
async def test_a_token_holds_while_a_clock_is_corrected_by_some_seconds(here: Installation) -> None:
    word, one = await here.token(), here.machine("b")
    here.now -= 5
    assert await here.membership.joining.join(one.asks(word))


@pytest.mark.holds("MANY-25")
async def test_a_token_serves_once_for_an_hour_and_no_word_in_its_place(here: Installation) -> None:
    word, one = await here.token(), here.machine("b")
    asked = one.asks(word)
    stranger = NodeToken.read(word)
    unknown = str(NodeToken(stranger.urls, stranger.authority, b"x" * joining.SECRET))
    for wrong in (
        replace(asked, name="c"),
        replace(asked, address="127.0.0.1:2"),
        replace(asked, request=here.machine("c").asks(word).request),
        replace(asked, proof="0" * 64),
        here.machine("d").asks(unknown),
    ):
        await refused(here, wrong)
    here.now += 3601
    await refused(here, asked)
    here.now -= 3601
    await here.membership.joining.join(asked)
    await refused(here, here.machine("e").asks(word))
    assert await names(here) == ["b"]
    for text in ("", "vnt1.", "vnt1.AAAA", "vnt1.ä", word[:-4], word.removeprefix("vnt1.")):
        with pytest.raises(BadToken):
            NodeToken.read(text)


async def refused(here: Installation, asked: JoinNode) -> None:
    with pytest.raises(Refused) as error:
        await here.membership.joining.join(asked)
    assert error.value.problem is Problem.TOKEN_REFUSED


@pytest.mark.holds("MANY-26")
async def test_an_answer_that_was_lost_is_given_again_to_the_same_machine_alone(here: Installation) -> None:
    word, one = await here.token(), here.machine("b")
    first = await here.membership.joining.join(one.asks(word))
    again = await here.membership.joining.join(one.asks(word))
    assert (again.host, again.mpid) == (first.host, first.mpid)
    assert await names(here) == ["b"]
    await here.reopen()
    third = await here.membership.joining.join(one.asks(word))
    assert third.host == first.host
    own = one.accept(word, third)
    assert own.host == first.host
    assert not places.draft(one.settings.data_dir).exists()


@pytest.mark.holds("MANY-27")
async def test_an_answer_that_was_changed_on_the_way_is_not_believed_and_nothing_is_written(here: Installation) -> None:
    word, one = await here.token(), here.machine("b")
    answer = await here.membership.joining.join(one.asks(word))
    token = NodeToken.read(word)
    other = Authority.make(datetime.now(UTC))
    forged = replace(answer, authority=other.certificate.decode())
    signed = other.sign(one.asks(word).request.encode(), "b.node.velocity", datetime.now(UTC))
    forged = replace(forged, certificate=signed.decode())
    own_proof = replace(forged, proof=joining.proof(joining.key(token.secret), forged))
    for changed in (replace(answer, mpid=9), replace(answer, name="x"), forged, own_proof):
        with pytest.raises(BadAnswer):
            one.accept(word, changed)
    assert identity.read(one.settings.data_dir) is None
    assert one.accept(word, answer).name == "b"
    file = places.identity(one.settings.data_dir)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.holds("MANY-28", "MANY-266")
async def test_a_host_joins_again_by_a_token_for_it_and_its_former_certificate_is_worth_nothing(
    here: Installation,
) -> None:
    one, host = await here.join("b")
    before = identity.read(one.settings.data_dir)
    assert before is not None
    with pytest.raises(Refused) as error:
        await here.membership.joining.join(one.asks(await here.token()))
    assert error.value.problem is Problem.NODE_KNOWN
    assert "--again b" in error.value.message
    word = await here.token(host)
    answer = await here.membership.joining.join(one.asks(word, f"127.0.0.1:{one.running.port if one.running else 0}"))
    assert answer.host == host
    now = await here.until(host, lambda now: now.state == "unreachable")
    assert "does not answer" in str(now.message), "it still shows the former certificate"
    await here.until(host, lambda now: "the certificate shown at its address is another one" in str(now.message))
    port = one.running.port if one.running else 0
    await one.stop()
    own = one.accept(word, answer)
    assert serial_of(own.certificate.encode()) != serial_of(before.certificate.encode())
    await one.serve(own, port)
    await here.until(host, lambda now: now.state == "online")


@pytest.mark.holds("MANY-29")
async def test_a_removed_host_is_detached_and_its_number_is_given_to_nobody_else(here: Installation) -> None:
    _, host = await here.join("b")
    await here.membership.remove(host)
    assert host not in here.hosts.there
    assert await names(here) == []
    _, other = await here.join("c")
    assert other > host
    await here.membership.remove(other)
    await here.reopen()
    word, one = await here.token(), here.machine("d")
    assert (await here.membership.joining.join(one.asks(word))).host > other


@pytest.mark.holds("MANY-30", "MANY-233", "MANY-266")
async def test_a_host_that_does_not_answer_is_there_at_the_servers_start_as_it_was_known_last(
    here: Installation,
) -> None:
    one, host = await here.join("b")
    await one.stop()
    now = await here.until(host, lambda now: now.state == "unreachable")
    assert now.since == int(here.now)
    assert "b does not answer at 127.0.0.1:" in str(now.message)
    now = await here.until(host, lambda now: "nothing listens at its address" in str(now.message))
    assert now.missing is UNSET, "there is no VM that could start elsewhere"
    await here.reopen()
    attached = here.hosts.there[host]
    assert attached.hypervisor.hosts.about(host) == one.fake.hosts.about(host)
    assert [pool.name for pool in attached.pools] == ["b"]
    own = identity.read(one.settings.data_dir)
    assert own is not None
    port = int(str((await here.membership.show(host)).address).rpartition(":")[2])
    await one.serve(own, port)
    await here.until(host, lambda now: now.state == "online")


@pytest.mark.holds("MANY-253")
async def test_since_when_a_host_does_not_answer_is_told_of_this_time_and_not_of_an_earlier_one(
    here: Installation,
) -> None:
    one, host = await here.join("b")
    own = identity.read(one.settings.data_dir)
    assert own is not None
    port = int(str((await here.membership.show(host)).address).rpartition(":")[2])
    await one.stop()
    await here.until(host, lambda now: now.since == int(here.now))
    await one.serve(own, port)
    await here.until(host, lambda now: now.state == "online")
    await here.close()  # and the host, before anybody could notice
    here.now += 86_400
    lost = int(here.now)
    await here.open()
    await here.until(host, lambda now: now.since == lost)
    here.now += 60
    await here.reopen()
    await here.until(host, lambda now: "does not answer at" in str(now.message))
    assert (await here.membership.show(host)).since == lost, "another server process tells the same"


@pytest.mark.holds("MANY-60")
async def test_no_number_of_a_host_or_its_pool_is_given_again_whoever_joined_again_meanwhile(
    here: Installation,
) -> None:
    """Media and grants of a removed host's pool stay; they are not to be those of another's."""
    one, b = await here.join("b")
    other, c = await here.join("c")
    word = await here.token(b)
    await one.stop()
    one.accept(word, await here.membership.joining.join(one.asks(word)))
    had = (await here.membership.show(c)).pools[0].mpid
    await other.stop()
    await here.membership.remove(c)
    await here.reopen()
    word, third = await here.token(), here.machine("d")
    answer = await here.membership.joining.join(third.asks(word))
    assert answer.host > c
    assert answer.mpid > had


@pytest.mark.holds("MANY-61")
async def test_a_host_that_answers_is_not_removed_with_media_in_its_pools(here: Installation) -> None:
    one, host = await here.join("b")
    (pool,) = (await here.membership.show(host)).pools
    rows = (
        insert(groups).values(gid=0, parent_gid=0, name=""),
        insert(media).values(
            mid="m", mpid=pool.mpid, gid=0, name="disk", type="DISK", format="raw", size=1, readonly=False, content=""
        ),
    )
    await here.database.write(lambda connection: [connection.execute(row) for row in rows] and None)
    with pytest.raises(Refused) as error:
        await here.membership.remove(host)
    assert error.value.problem is Problem.NODE_BUSY
    assert "1 medium is in pools of b: move or delete" in error.value.message
    await here.until(host, lambda now: now.state == "online")
    await one.stop()
    await here.until(host, lambda now: now.state == "unreachable")
    await here.membership.remove(host)
    assert await names(here) == [], "nobody can move media of a host that is lost"


@pytest.mark.holds("MANY-57", "MANY-158")
async def test_hosts_of_a_database_that_was_moved_join_again_one_by_one_and_keep_their_names(
    here: Installation,
) -> None:
    one, b = await here.join("b")
    _, c = await here.join("c")
    await here.membership.set(SetNode(host=b, name="bee"))
    await here.database.write(lambda connection: connection.execute(delete(authority)))
    await here.reopen()

    async def has_to_join(host: int) -> bool:
        now = await here.membership.show(host)
        return now.state == "unreachable" and "has to join again" in str(now.message)

    assert here.hosts.expected == {b: "bee", c: "c"}
    assert await has_to_join(b)
    word = await here.token(b)
    assert await has_to_join(b), "a token was made, and not used yet"
    await here.reopen()
    assert await has_to_join(b)
    await one.stop()
    answer = await here.membership.joining.join(one.asks(word))
    assert (answer.host, answer.name) == (b, "bee")
    address = await one.serve(one.accept(word, answer))
    await here.membership.set(SetNode(host=b, address=address))
    await here.until(b, lambda now: now.state == "online")
    assert await has_to_join(c)


@pytest.mark.holds("MANY-31")
async def test_a_duty_and_labels_are_kept_and_told_to_what_places_vms(here: Installation) -> None:
    _, host = await here.join("b")
    await here.membership.set(SetNode(host=host, duty="draining", labels={"rack": "a"}))
    assert (here.hosts.there[host].duty, here.hosts.there[host].labels) == (Duty.DRAINING, {"rack": "a"})
    await here.membership.set(SetNode(host=1, duty="maintenance", name="a"))
    assert (here.hosts.there[FIRST_HOST].duty, here.hosts.there[FIRST_HOST].name) == (Duty.MAINTENANCE, "a")
    await here.reopen()
    assert (here.hosts.there[host].duty, here.hosts.there[FIRST_HOST].duty) == (Duty.DRAINING, Duty.MAINTENANCE)
    with pytest.raises(Refused) as error:
        await here.membership.set(SetNode(host=1, name="b"))
    assert error.value.problem is Problem.NODE_NAME_TAKEN


@pytest.mark.holds("MANY-243")
async def test_what_several_people_change_of_a_host_at_once_is_all_kept(here: Installation) -> None:
    _, host = await here.join("b")
    changes = [SetNode(host=host, duty="maintenance"), SetNode(host=host, labels={"rack": "a"})]
    await asyncio.gather(*(here.membership.set(one) for one in (*changes, SetNode(host=host, name="bee"))))
    for _ in range(2):
        now = await here.membership.show(host)
        assert (now.duty, now.labels, now.name) == ("maintenance", {"rack": "a"}, "bee")
        await here.reopen()


@pytest.mark.holds("MANY-243")
async def test_a_host_that_is_removed_while_it_is_changed_stays_removed(here: Installation) -> None:
    _, host = await here.join("b")
    removed, changed = await asyncio.gather(
        here.membership.remove(host), here.membership.set(SetNode(host=host, name="bee")), return_exceptions=True
    )
    assert removed is None
    assert isinstance(changed, Refused) and changed.problem is Problem.HOST_NOT_FOUND
    await here.reopen()
    assert host not in [row.host for row in rows_of(here)]


def rows_of(here: Installation) -> Sequence[Member]:
    return SqlMembers(here.database).load().members


@pytest.mark.holds("MANY-53")
@pytest.mark.parametrize("displaced", [True, False])
async def test_what_a_host_says_of_a_later_server_ends_this_one_only_if_the_database_says_so(
    here: Installation, displaced: bool
) -> None:
    one, host = await here.join("b")
    own, port = identity.read(one.settings.data_dir), one.running.port if one.running else 0
    assert own is not None
    await one.stop()
    places.term(one.settings.data_dir).write_text('{"term": 99}')
    if displaced:
        Term().take(here.database.engine)
    await one.serve(own, port)
    if displaced:
        await eventually(lambda: here.database.lost, "the end of its leadership")
        return
    now = await here.until(host, lambda now: "in term 99" in str(now.message))
    assert "let the host join again" in str(now.message)
    assert not here.database.lost
    word = await here.token(host)
    answer = await here.membership.joining.join(one.asks(word, f"127.0.0.1:{port}"))
    await one.stop()
    await one.serve(one.accept(word, answer), port)
    await here.until(host, lambda now: now.state == "online")


@pytest.mark.holds("MANY-54")
async def test_what_is_learnt_of_a_host_and_what_a_user_changes_overtake_each_other_unharmed(
    here: Installation,
) -> None:
    word, one = await here.token(), here.machine("b")
    host = (await here.membership.joining.join(one.asks(word))).host
    rows = SqlMembers(here.database)
    (before,) = (row for row in rows_of(here) if row.host == host)
    drained = dataclasses.replace(before, duty=Duty.DRAINING)
    await rows.keep(drained)
    await rows.note(dataclasses.replace(before, heard=7, name="other"))
    await rows.keep(dataclasses.replace(drained, serial="0"))
    (after,) = (row for row in rows_of(here) if row.host == host)
    assert (after.duty, after.heard, after.name, after.serial) == (Duty.DRAINING, 7, "b", before.serial)
