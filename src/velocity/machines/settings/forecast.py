"""Predicts which parts of a change a running VM takes at once, and which wait, and why.

Pure. What a guest refuses shows only later: `live` reports that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from velocity.hypervisor.port import HostFacts
from velocity.machines import rules
from velocity.machines.rules import Spec
from velocity.machines.settings import disks, forwards, growth

COLD = {
    "machine_type": "the machine type is set at a start",
    "firmware": "the firmware is loaded at a start",
    "hardware": "the devices of a hardware version are created at a start",
    "cpu": "a guest detects the features of its CPU at a start",
    "input": "keyboard and pointer are created at a start",
    "balloon": "the balloon is made at a start",
    "max_cpus": "a maximum is set at a start",
    "max_memory_mib": "a maximum is set at a start",
    "rosetta": "it is chosen at a start",
    "cloud_init": "the guest reads it at a start, and applies most of it once: `new_instance` repeats all of it",
}
"""Fields that wait for the next start -> the reason."""

Why = Callable[[Spec, Spec, HostFacts], str]
"""Why a field of a run cannot be changed as requested; empty if nothing is known to prevent it."""

LIVE: Mapping[str, Why] = {
    "media": disks.what_waits,
    "drives": disks.what_drives_wait,
    "nics": growth.nics_wait,
    "forwards": forwards.wait,
    "cpus": growth.cpus_wait,
    "memory_mib": growth.memory_waits,
    "displays": growth.displays_wait,
}
"""Fields that can be changed in a run, at least in part."""


def forecast(spec: Spec, run: Spec | None, facts: HostFacts) -> tuple[list[str], dict[str, str]]:
    """The fields that change at once, and those that wait with the reason, among those that differ from the run."""
    if run is None:
        return [], {}
    whys = {
        field: LIVE[field](spec, run, facts) if field in LIVE else COLD.get(field, "")
        for field in rules.waiting(spec, run)
    }
    return (
        [field for field, why in whys.items() if not why and field in LIVE],
        {field: why for field, why in whys.items() if why or field not in LIVE},
    )
