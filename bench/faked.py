"""`velocity serve` over the hypervisor in memory: what is measured then is the server alone, and guests cost nothing.

`Velocity(fake=True)` of `bench.server` starts it: `python -m bench.faked serve`.
"""

from __future__ import annotations

from dataclasses import replace

from velocity.__main__ import main
from velocity.cli import serve
from velocity.hypervisor.fake import FACTS, FakeHypervisor


class Faked(FakeHypervisor):
    """Made as the driver of QEMU is. Its host is never full."""

    def __init__(self, _options: object, _library: object) -> None:
        super().__init__(replace(FACTS, max_cpus=64, memory=1 << 30))

    async def prepare(self) -> None:
        pass


vars(serve)["QemuHypervisor"] = Faked

if __name__ == "__main__":
    main()
