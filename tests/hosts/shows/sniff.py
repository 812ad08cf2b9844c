"""Whether something is said on a network in the clear: a program for its namespace.

What it looks for are the words of its command line. When its standard input ends, it says how many bytes of frames it
has seen, and which of the words.
"""

from __future__ import annotations

import json
import select
import socket
import sys

ALL = 3
"""ETH_P_ALL."""


def main() -> None:
    words, size = [word.encode() for word in sys.argv[1:]], 0
    seen: set[bytes] = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL)) as wire:
        wire.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([wire, sys.stdin], [], [])
            if wire in ready:
                frame = wire.recv(1 << 17)
                size += len(frame)
                seen.update(word for word in words if word in frame)
            elif ready:
                break
    sys.stdout.write(json.dumps({"bytes": size, "seen": sorted(word.decode() for word in seen)}))


if __name__ == "__main__":
    main()
