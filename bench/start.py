"""A start, a forced stop, a pause and a resume: Velocity over HTTP, beside QEMU itself and libvirt."""

from __future__ import annotations

from contextlib import ExitStack

from bench.harness import Absent, Bench, timed
from bench.peers.libvirt import Libvirt
from bench.peers.raw import RawQemu
from bench.server import Velocity

ROUNDS = 15
FLOOR = "start: raw QEMU, the same devices"


def main() -> None:
    bench = Bench("start", "start, forced stop, pause and resume of one VM")
    with ExitStack() as stack:
        server = stack.enter_context(Velocity())
        client = server.client()
        vmid = server.reference_vm(client, "one")
        raw = RawQemu()
        stack.callback(raw.close)
        libvirt: Libvirt | None = None
        try:
            libvirt = Libvirt()
            stack.callback(libvirt.close)
            bench.versions["libvirt"] = libvirt.version
            libvirt.do("define", name="one")
        except Absent as error:
            bench.absent["libvirt"] = str(error)

        def velocity(what: str, state: str, **more: object) -> None:
            took = timed(lambda: client.call("PUT", "/v/vm/state", vmid=vmid, state=state, **more))
            bench.add(f"{what}: Velocity", "ms", took)

        def ours() -> None:
            velocity("start", "RUNNING")
            for _ in range(3):
                velocity("pause", "PAUSED")
                velocity("resume", "RUNNING")
            velocity("stop", "STOPPED", force=True)

        def floor() -> None:
            bench.add(FLOOR, "ms", raw.start())
            for _ in range(3):
                bench.add("pause: raw QMP", "ms", raw.execute("stop"))
                bench.add("resume: raw QMP", "ms", raw.execute("cont"))
            bench.add("stop: raw QMP quit", "ms", raw.stop())

        def peer() -> None:
            assert libvirt is not None
            bench.add("start: libvirt", "ms", libvirt.ms("start", name="one"))
            for _ in range(3):
                bench.add("pause: libvirt", "ms", libvirt.ms("suspend", name="one"))
                bench.add("resume: libvirt", "ms", libvirt.ms("resume", name="one"))
            bench.add("stop: libvirt", "ms", libvirt.ms("destroy", name="one"))

        bench.rounds(ROUNDS, [ours, floor, peer] if libvirt else [ours, floor])
    bench.goal("start: Velocity", FLOOR, factor=1.15)
    bench.goal("start: Velocity", "start: libvirt", factor=1 / 7, text="at least 7 times faster than libvirt")
    bench.goal("stop: Velocity", "stop: raw QMP quit", factor=1, plus=2)
    bench.goal("stop: Velocity", "stop: libvirt", factor=1 / 20, text="at least 20 times faster than libvirt")
    for what in ("pause", "resume"):
        bench.goal(f"{what}: Velocity", f"{what}: raw QMP", factor=2.5)
        bench.goal(f"{what}: Velocity", f"{what}: libvirt", factor=1 / 3, text="at least 3 times faster than libvirt")
    bench.finish()


if __name__ == "__main__":
    main()
