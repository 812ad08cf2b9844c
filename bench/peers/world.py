"""What guests speak with: takes, gives or returns bytes, as each connection's first one says. `net_io.c` is its client.

Started in the network namespace that it is to be in: `python -m bench.peers.world ADDRESS`. It says its port.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

PIECE = 1 << 20


def serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, contextlib.suppress(OSError):  # it has gone
        match connection.recv(1):
            case b"u":
                buffer = bytearray(PIECE)
                while connection.recv_into(buffer):
                    pass
            case b"d":
                piece = bytes(PIECE)
                while True:
                    connection.sendall(piece)
            case b"t":
                while byte := connection.recv(1):
                    connection.sendall(byte)


def main() -> None:
    listener = socket.create_server((sys.argv[1], 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
