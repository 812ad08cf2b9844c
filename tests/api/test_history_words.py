"""Every change that the API knows is in the history, as a sentence with names; no phrase is for nothing."""

from __future__ import annotations

import re

import msgspec
import pytest

from tests.api.all_changes import CASES
from tests.api.changes import CHANGES, Prepare
from tests.api.test_history import entries
from tests.api.test_plan import carry_out
from tests.api.world import World
from velocity.cli.happened import Names, sentence
from velocity.contract.events import WATCH
from velocity.contract.history import Entry
from velocity.contract.media import DOWNLOAD, RESUMABLE
from velocity.contract.metrics import EXPOSITION
from velocity.contract.operation import Method
from velocity.contract.phrases import PHRASES
from velocity.contract.registry import OPERATIONS

pytestmark = pytest.mark.anyio

BY_ITSELF = {"host_returned", "start_again", "unblock_node"}
"""What only the server does."""
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|\b(VM|medium|user|group|pool|host|task|item) \d|[a-z]=|{|}|  | $")
"""What no sentence has: an id, a word of a target, a place without a name."""


async def names(w: World) -> Names:
    """How things are called now, as `velocity history` finds it out."""
    services = w.server.services
    known = {f"gid={one.gid}": f"group {one.name}" for one in services.directory.groups.values()} | {"gid=0": "/"}
    known |= {f"uid={one.uid}": f"user {one.name}" for one in services.directory.users.values()}
    known |= {f"vmid={one.machine.vmid}": f"VM {one.machine.name}" for one in services.fleet.all()}
    known |= {f"mid={one.mid}": f"medium {one.name}" for one in services.library.all()}
    known |= {
        f"mpid={one['mpid']}": f"pool {one['name']}" for one in (await w.ok("POST", "/m/pool/list", gid=0))["pools"]
    }
    known |= {f"host={one['host']}": f"host {one['name']}" for one in (await w.ok("POST", "/h/node/list"))["nodes"]}
    known |= {f"host={one.host}": f"host {one.name}" for one in services.fleet.hosts.attached.by_id.values()}
    return known.get


@pytest.mark.holds("PAGE-112")
@pytest.mark.parametrize(("name", "prepare"), CASES, ids=[f"{one.__name__}-{name}" for name, one in CASES])
async def test_every_change_is_a_sentence_in_the_history(w: World, name: str, prepare: Prepare) -> None:
    case = await prepare(w)
    before = max(one["hid"] for one in await entries(w))
    answer = await carry_out(w, CHANGES[name], case, plan=False)
    assert answer.status == 200, answer
    found = [one for one in await entries(w) if one["hid"] > before and one["operation"] == name]
    assert len(found) >= 1
    known = await names(w)
    for one in found:
        entry = msgspec.convert(one, Entry)
        said = sentence(entry, known)
        assert not ID.search(said), (said, entry.target)
        assert not said.startswith("asked for"), said


@pytest.mark.holds("PAGE-112")
def test_every_operation_has_a_phrase_that_always_holds() -> None:
    told = {one.name for one in (*OPERATIONS, RESUMABLE, DOWNLOAD, EXPOSITION, WATCH)}
    assert set(PHRASES) == told | BY_ITSELF
    for name, phrases in PHRASES.items():
        assert [bool(one.when) for one in phrases] == [True] * (len(phrases) - 1) + [False], name


@pytest.mark.holds("PAGE-112")
def test_whatever_is_no_read_is_tried_here() -> None:
    assert {one.name for one in OPERATIONS if one.method is not Method.POST} == {name for name, _ in CASES}
    assert PHRASES["upload_resumable"] == PHRASES["upload_medium"], "which has a protocol of its own"
