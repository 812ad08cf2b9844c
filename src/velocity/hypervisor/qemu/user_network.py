"""QEMU's user network, which NAT is where the host has no bridge for it.

https://www.qemu.org/docs/master/system/invocation.html (`-netdev user`)
"""

from __future__ import annotations

from velocity.hypervisor.port import ForwardSpec


def host_end(one: ForwardSpec) -> str:
    """What it calls the host's end of a forward."""
    return f"{one.protocol}:{one.host_address}:{one.host_port}"


def forwarded(one: ForwardSpec) -> str:
    """What it calls a forward."""
    return f"{host_end(one)}-:{one.guest_port}"
