"""What both QEMUs of a move are told alike. https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html (migration)"""

from __future__ import annotations

from typing import Any

from velocity.hypervisor.qemu.moves.secrecy import OBJECT

CALL = 5.0
"""Seconds for one question to QEMU."""
VARIABLES = "vars"
"""The node with the firmware's variables, and what it is called from afar."""
CAPABILITIES = (
    "events",
    "pause-before-switchover",
    "return-path",  # the source knows that the target has loaded all
    "late-block-activate",  # the target takes locks on files only when it is let run
    "auto-converge",
)
STANDSTILL = 300
"""Milliseconds that the guest may stand still for the rest of its memory."""
BANDWIDTH = 1 << 34


def capabilities() -> list[dict[str, Any]]:
    return [{"capability": one, "state": True} for one in CAPABILITIES]


def parameters() -> dict[str, Any]:
    return {
        "max-bandwidth": BANDWIDTH,
        "downtime-limit": STANDSTILL,
        "tls-creds": OBJECT,
        "tls-hostname": "target",  # asked for, and not looked at with a key of both
    }
