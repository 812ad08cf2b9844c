"""`make profile`: where the server's time goes, as flame graphs in profile/. py-spy samples it from outside.

Only what computes is sampled: waiting, for QEMU or a disk, is not in the picture.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.harness import HERE
from bench.server import Velocity

SECONDS = 10
RATE = 500
"""Samples in a second."""
PROFILES = HERE.parent / "profile"


def main() -> int:
    PROFILES.mkdir(exist_ok=True)
    with Velocity() as server:
        client = server.client()
        vmid = server.reference_vm(client, "one")

        def read() -> None:
            client.call("POST", "/v/vm/state", vmid=vmid)

        def start() -> None:
            client.call("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
            client.call("PUT", "/v/vm/state", vmid=vmid, state="STOPPED", force=True)

        recorded = [
            record(server.pid, "state", "state reads, one after the other", read),
            record(server.pid, "start", "starts and forced stops", start),
        ]
    return int(not all(recorded))


def record(pid: int, name: str, title: str, work: Callable[[], None]) -> bool:
    """The flame graph of the process while the work is done again and again; False, with the cure, where none is."""
    picture = PROFILES / f"{name}.svg"
    program = Path(sys.executable).with_name("py-spy")
    options = ["--pid", str(pid), "--duration", str(SECONDS), "--rate", str(RATE), "--threads", "--nonblocking"]
    command = [str(program), "record", *options, "--output", str(picture)]
    done = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as spy:
        while spy.poll() is None:
            work()
            done += 1
        said = "" if spy.stdout is None else spy.stdout.read()
    if spy.returncode:
        cure = "py-spy may not look into the server: run it as root, or allow it (sysctl kernel.yama.ptrace_scope=0)"
        sys.stderr.write(f"{said}{cure}\n")
        return False
    sys.stdout.write(f"{picture.relative_to(HERE.parent)}: {title}, {done} of them\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
