"""Speaks as a guest does, through the descriptor of its NIC, and tells what of it came through. For a namespace only.

Arguments: the host NIC, the device where a neighbour listens, and whether the NIC is trusted.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.network import frames
from velocity.network import nic_filter, taps

VNET_HEADER = bytes(10)
PATIENCE = 60.0
LINK = "vt51111n0"
OWN = bytes.fromhex("525400000001")


def main(host_nic: str, neighbour: str, trusted: bool) -> None:
    mac = OWN.hex(":")
    before = links()
    nic = taps.connect_nic(host_nic, mac, LINK, trusted=trusted)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as ear:
        ear.bind((neighbour, 0))
        # What the neighbour says is in its own name: a bridge knows where it is.
        ear.send(frames.ether(frames.OTHER, frames.ARP, frames.arp(frames.OTHER)))
        spoken = {**frames.honest(OWN), **frames.of_the_network(OWN), **frames.posing(OWN)}
        for frame in spoken.values():
            os.write(nic.fds[0], VNET_HEADER + frame)
        came = heard(ear, nic.fds[0])
    said = {
        "came": [name for name, frame in spoken.items() if frames.to(frame) in came],
        "holds": {trust: nic_filter.holds(LINK, mac, trusted=trust == "trusted") for trust in ("trusted", "full")},
        "of another": nic_filter.holds(LINK, frames.OTHER.hex(":"), trusted=True),
        "learned": [line for line in run("bridge", "fdb", "show").splitlines() if LINK in line],
        "addresses": [one for one in map(str, taps.addresses(host_nic)) if one.startswith("2001:")],
        "chains": nic_filter.links(),
    }
    os.close(nic.fds[0])
    taps.disconnect_nic(LINK)
    taps.disconnect_nic(LINK)
    left = {"links": links() == before, "chains": nic_filter.links()}
    sys.stdout.write(json.dumps({**said, "left": left}))


def heard(ear: socket.socket, speaks: int) -> set[bytes]:
    """Where all goes that the neighbour gets, until it has got one that surely comes, and a moment more."""
    last = frames.ether(OWN, frames.ARP, frames.arp(OWN))
    os.write(speaks, VNET_HEADER + last)
    came: set[bytes] = set()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ear.settimeout(0.5 if frames.to(last) in came else PATIENCE)
        try:
            came.add(frames.to(ear.recv(2048)))
        except TimeoutError:
            break
    assert frames.to(last) in came, "nothing comes through"
    return came


def links() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] == "trusted")
