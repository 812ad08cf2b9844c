"""Reads of many rows, in threads and connections of their own, which do not delay the writer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine

from velocity.store.engine import READS
from velocity.store.writer import AFTERMATH, SILENT, unavailable

READERS = 2
"""Reads at a time; more wait."""

T = TypeVar("T")


class Reader:
    """Each read sees what was committed when it began."""

    def __init__(self, reached: Engine) -> None:
        self._engine = reached
        self._threads = ThreadPoolExecutor(READERS, "store-reader")
        self._failed = float("-inf")
        """When a read last waited for the database in vain (monotonic time)."""

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Raises `Refused(UNAVAILABLE)` if the database does not respond."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, work)

    def _read(self, work: Callable[[Connection], T]) -> T:
        begun = time.monotonic()
        if begun - self._failed < AFTERMATH:
            raise unavailable()
        try:
            with contextlib.ExitStack() as held:
                connection = held.enter_context(self._engine.connect()).execution_options(**READS)
                held.enter_context(connection.begin())
                return work(connection)
        except SILENT as error:
            if time.monotonic() - begun > AFTERMATH:
                self._failed = time.monotonic()
            raise unavailable(error) from error

    def close(self) -> None:
        """Finish the reads under way. Blocks; called in a thread."""
        self._threads.shutdown()
