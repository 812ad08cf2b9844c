"""A server that stands by: the signals that end it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from velocity.cli.standby import SIGNALS, Standby, answering
from velocity.config import Settings
from velocity.installation import database_of

pytestmark = pytest.mark.anyio


@pytest.mark.holds("MANY-228")
async def test_a_signal_ends_the_waiting_and_none_is_lost_behind_it(tmp_path: Path) -> None:
    """Of a server that begins to lead, each of them ends the process again, as it does before."""
    settings = Settings(data_dir=tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    waits = Standby(settings, database_of(settings))
    async with answering(settings, listener, None, waits):
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await waits.wait()
    assert waits.ends.is_set()
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    assert (handlers[signal.SIGTERM], handlers[signal.SIGQUIT]) == (signal.SIG_DFL, signal.SIG_DFL)
    listener.close()


@pytest.mark.holds("MANY-277")
async def test_a_database_that_does_not_answer_is_named_as_in_the_settings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data_dir=tmp_path, database="postgresql://velocity:secret@127.0.0.1:1/velocity")
    assert not await Standby(settings, database_of(settings)).is_free(), "nobody knows"
    assert "PostgreSQL at 127.0.0.1:1, database 'velocity', user 'velocity' does not respond" in caplog.text
    assert "secret" not in caplog.text
