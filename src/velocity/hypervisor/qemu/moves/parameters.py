"""The migration capabilities and parameters of both QEMUs.

https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (migration)
"""

from __future__ import annotations

from typing import Any

from velocity.hypervisor.qemu.moves.secrecy import OBJECT

CALL = 5.0
"""Seconds for one QMP command."""
VARIABLES = "vars"
"""The block node of the firmware variables, and the name of its export."""
CAPABILITIES = (
    "events",
    "pause-before-switchover",
    "return-path",  # the source knows that the target has loaded all
    "late-block-activate",  # the target takes locks on files only when it is let run
    "auto-converge",
)
STANDSTILL = 300
"""Milliseconds of downtime for the rest of the memory."""
BANDWIDTH = 1 << 34
"""Bytes per second: no limit in practice."""


def capabilities() -> list[dict[str, Any]]:
    return [{"capability": one, "state": True} for one in CAPABILITIES]


def parameters() -> dict[str, Any]:
    return {
        "max-bandwidth": BANDWIDTH,
        "downtime-limit": STANDSTILL,
        "tls-creds": OBJECT,
        "tls-hostname": "target",  # required, but not checked with a pre-shared key
    }
