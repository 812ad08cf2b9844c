"""The copy of the host's resolv.conf: several machines that start at once bring it up to date."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from velocity.hypervisor.qemu import resolver

THREADS, TIMES = 8, 20


def test_machines_that_start_at_once_all_find_it(tmp_path: Path) -> None:
    source = tmp_path / "resolv.conf"
    source.write_text("# as long as may be, so that all are at it at once\n" * 20_000)
    together = Barrier(THREADS)

    def start(time: int) -> Path:
        together.wait(60)
        return resolver.copy(tmp_path / f"shown {time}", source)

    with ThreadPoolExecutor(THREADS) as threads:
        for time in range(TIMES):
            for shown in threads.map(start, [time] * THREADS):
                assert [one.name for one in shown.iterdir()] == ["resolv.conf"]
                assert (shown / "resolv.conf").read_bytes() == source.read_bytes()
