"""When a host answers: its node does, and it has reported what runs there."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import UNSET

from tests.hosts.installation import Installation
from tests.hosts.test_lost import lost, returned
from tests.hosts.together import Other, together
from velocity.contract.lost_hosts import ConfirmDead
from velocity.contract.problems import Problem, Refused

pytestmark = pytest.mark.anyio


@pytest.mark.holds("MANY-283")
async def test_a_host_is_online_once_it_has_reported_what_runs_there(here: Installation) -> None:
    """Before, every request for its VMs is refused, although its node answers."""
    _, host = await here.join("b")
    assert (await here.membership.show(host)).state == "online"
    here.hosts.silent[host] = 1_799_999_000
    now = await here.membership.show(host)
    assert (now.state, now.since, now.missing) == ("unreachable", 1_799_999_000, UNSET)
    assert "b answers, but has not reported yet which VMs run there" in str(now.message)
    with pytest.raises(Refused) as refused:
        await here.membership.lost.confirm(ConfirmDead(host=host, name="b"), "root")
    assert refused.value.problem is Problem.NODE_ANSWERS
    assert "the node of b responds" in refused.value.message
    del here.hosts.silent[host]
    now = await here.membership.show(host)
    assert (now.state, now.since, now.message) == ("online", UNSET, UNSET)


@pytest.mark.holds("MANY-283")
async def test_that_a_host_reports_or_no_longer_does_is_announced(tmp_path: Path) -> None:
    async with together(tmp_path / "data", b := Other(2, "b")) as w:
        changes, told = w.server.services.changes, list[tuple[str, object]]()
        changes.set_listener(lambda what, which, gid: told.append((what, which)))
        await lost(w, b)
        assert ("host", b.host) in told
        told.clear()
        await returned(w, b)
        assert ("host", b.host) in told
