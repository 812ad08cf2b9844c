"""QEMU with somebody between its monitor and the server, who keeps what it is sent: `between.py FILE ARGUMENTS`."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from pathlib import Path

QEMU = "qemu-system-x86_64"


def main(file: str, arguments: list[str]) -> None:
    for number, word in enumerate(arguments):
        if monitor := re.match(r"socket,id=qmp,fd=(\d+),", word):
            inner, outer = socket.socketpair()
            if os.fork() == 0:
                inner.close()
                stand(outer, int(monitor[1]), Path(file))
                return
            inner.set_inheritable(True)
            arguments[number] = f"socket,id=qmp,fd={inner.fileno()}"
    os.execvp(QEMU, [QEMU, *arguments])  # noqa: S606 the process itself becomes QEMU, as its parent expects


def stand(qemu: socket.socket, listening: int, file: Path) -> None:
    server, _ = socket.socket(fileno=listening).accept()
    threading.Thread(target=carry, args=(qemu, server)).start()
    carry(server, qemu, file)


def carry(source: socket.socket, target: socket.socket, file: Path | None = None) -> None:
    while piece := source.recv(1 << 16):
        if file is not None:
            with file.open("ab") as kept:
                kept.write(piece)
        target.sendall(piece)
    target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
