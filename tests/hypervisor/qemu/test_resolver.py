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


def test_the_copy_follows_a_change_in_place_and_another_file_and_comes_back(tmp_path: Path) -> None:
    source, directory = tmp_path / "resolv.conf", tmp_path / "shown"

    def shown() -> bytes:
        return (resolver.copy(directory, source) / "resolv.conf").read_bytes()

    assert shown() == b"", "the host has none"
    for said in (b"nameserver 10.0.0.1\n", b"nameserver 10.0.0.22\n"):
        source.write_bytes(said)
        assert shown() == said
    other = tmp_path / "other"
    other.write_bytes(b"nameserver 10.0.0.33\n")
    other.rename(source)
    assert shown() == b"nameserver 10.0.0.33\n", "as long as the former"
    (directory / "resolv.conf").unlink()
    assert shown() == b"nameserver 10.0.0.33\n", "somebody has removed it"
    source.unlink()
    assert shown() == b""
