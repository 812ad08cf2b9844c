"""IP forwarding of this host, which NAT by a bridge needs: enabled when it is needed, and left so.

https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html
"""

from __future__ import annotations

import logging
from pathlib import Path

from velocity.network.nat_networks import CannotNat

log = logging.getLogger(__name__)

SETTINGS = Path("/proc/sys/net")
V4, V6 = "ipv4/ip_forward", "ipv6/conf/all/forwarding"


def forwards(setting: str, settings: Path = SETTINGS) -> bool:
    try:
        return (settings / setting).read_text().strip() != "0"
    except OSError:  # the kernel has no IPv6
        return False


def ensure(*, ipv6: bool, settings: Path = SETTINGS) -> None:
    """Enable it. Raises `CannotNat` if that is not permitted. A failure for IPv6 is only logged."""
    if not forwards(V4, settings):
        try:
            (settings / V4).write_text("1")
        except OSError as error:
            raise CannotNat(
                f"this host does not forward packets, and that cannot be changed ({error.strerror}): "
                "sysctl -w net.ipv4.ip_forward=1"
            ) from None
        log.info("this host forwards packets now, as NAT guests need that: net.ipv4.ip_forward=1")
    if ipv6 and not forwards(V6, settings):
        try:
            _keep_routers(settings)
            (settings / V6).write_text("1")
        except OSError as error:
            log.warning("NAT guests have no way out by IPv6 (net.ipv6.conf.all.forwarding=1): %s", error.strerror)
        else:
            log.info("this host forwards packets now, as NAT guests need that: net.ipv6.conf.all.forwarding=1")


def _keep_routers(settings: Path) -> None:
    """Interfaces that accept router advertisements keep doing so: with forwarding, they need the value 2 for that."""
    for file in sorted((settings / "ipv6/conf").glob("*/accept_ra")):
        if file.read_text().strip() == "1":
            file.write_text("2")
