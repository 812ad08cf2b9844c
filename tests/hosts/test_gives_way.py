"""What is written by two threads at a time may not be there: that a server has given way is written once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.patience import eventually
from velocity.config import Settings
from velocity.controller import GivesWay
from velocity.hosts.roster import Roster
from velocity.installation import displaced
from velocity.node.wire import Displaced
from velocity.store.database import Database

pytestmark = pytest.mark.anyio


async def test_a_server_that_is_told_by_several_at_once_that_another_leads_knows_it_at_its_next_start(
    tmp_path: Path,
) -> None:
    database = cast(Database, SimpleNamespace(lost=False, doubt=lambda sure: None))
    roster = cast(Roster, SimpleNamespace(own=1, get=lambda _: SimpleNamespace(name="a")))
    for number in range(200):
        data = tmp_path / str(number)
        data.mkdir()
        gives_way = GivesWay(Settings(data_dir=data), database, roster, copied=True)
        for _ in range(3):
            gives_way.give_way(Displaced("a later server leads", 2, "b's"), "b")
        await eventually(lambda data=data: displaced(data), "the note")  # type: ignore[misc]
