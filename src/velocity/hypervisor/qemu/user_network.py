"""Port forwards of QEMU's user network, which NAT uses if the host has no bridge for it.

https://www.qemu.org/docs/master/system/invocation.html (`-netdev user`)
"""

from __future__ import annotations

from velocity.hypervisor.port import ForwardSpec


def host_end(one: ForwardSpec) -> str:
    """The host's end of a forward, as QEMU writes it."""
    return f"{one.protocol}:{one.host_address}:{one.host_port}"


def forwarded(one: ForwardSpec) -> str:
    """A forward, as QEMU writes it."""
    return f"{host_end(one)}-:{one.guest_port}"
