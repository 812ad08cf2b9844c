"""A clone of a qcow2 disk with 768 MiB in it, and its import as a raw one, beside `cp` and the best of `qemu-img`.

All that is made is on the disk when it is measured. Where blocks can be shared (btrfs, XFS), a clone is done at once.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.files import fill, medium, put
from bench.harness import Bench, timed
from bench.server import Velocity, Wrong
from bench.upload import synced

DISK, DATA = 4 << 30, 768 << 20
ROUNDS = 5
CLONE, IMPORT = "clone of 768 MiB in 4 GiB", "import of the same as a raw disk"
BEST = ("qemu-img", "convert", "-n", "--target-is-zero", "-W", "-m", "16", "-f", "qcow2", "-O", "raw")


def main() -> None:
    bench = Bench("clone", "a disk, cloned and imported")
    with ExitStack() as stack:
        server = stack.enter_context(Velocity())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="velocity-bench-", dir=server.data)))
        image = disk(home)
        client = server.client()
        mid = str(json.loads(put(server.port, "/m/media/upload", image, medium(server.key, "disk")))["mid"])
        source = done(server, str(client.call("PUT", "/m/media/import", **body(mid, "source", "qcow2"))["tid"]))
        names = itertools.count()

        def make(what: str, path: str, mid: str, format_: str) -> None:
            begun: list[str] = []

            def work() -> None:
                asked = client.call("PUT", path, **body(mid, f"made {next(names)}", format_))
                begun.append(done(server, str(asked["tid"])))

            bench.add(f"{what}: Velocity", "ms", timed(work))
            client.call("DELETE", "/m/media", mid=begun[0], purge=True)

        def by_hand(what: str, *words: object) -> None:
            target = home / "target"
            if words[0] == BEST[0]:
                target.touch()
                with target.open("r+b") as made:
                    made.truncate(DISK)

            def work() -> None:
                subprocess.run([str(word) for word in (*words, image, target)], check=True)
                synced(target)

            bench.add(what, "ms", timed(work))
            target.unlink()

        bench.rounds(
            ROUNDS,
            [
                lambda: make(CLONE, "/m/media/clone", source, "qcow2"),
                lambda: by_hand(f"{CLONE}: cp, synced", "cp"),
                lambda: make(IMPORT, "/m/media/import", mid, "raw"),
                lambda: by_hand(f"{IMPORT}: qemu-img, synced", *BEST),
            ],
        )
    bench.goal(f"{CLONE}: Velocity", f"{CLONE}: cp, synced", factor=1.1)
    bench.goal(f"{IMPORT}: Velocity", f"{IMPORT}: qemu-img, synced", factor=1.1)
    bench.finish()


def disk(home: Path) -> Path:
    raw, image = home / "raw", home / "image"
    fill(raw, DATA)
    with raw.open("r+b") as made:
        made.truncate(DISK)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)
    raw.unlink()
    synced(image)
    return image


def body(mid: str, name: str, format_: str) -> dict[str, object]:
    return {"mid": mid, "gid": 0, "mpid": 1, "name": name, "format": format_}


def done(server: Velocity, tid: str) -> str:
    """The medium that the task has made. Raises `Wrong`."""
    client = server.client()
    while (task := client.call("POST", "/t/task", tid=tid))["state"] == "RUNNING":
        time.sleep(0.005)
    client.close()
    if task["state"] != "DONE":
        raise Wrong(str(task))
    return str(task["mid"])


if __name__ == "__main__":
    main()
